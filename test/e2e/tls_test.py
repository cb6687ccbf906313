#!/usr/bin/env python3
"""TLS towards clients: versions, names, client certificates, sessions."""

import json
import re
import secrets
import shutil
import signal
import ssl

from lib import Broken, main, wait_until
from lib.certs import Authority
from lib.tls_case import TlsTest


class AgreementTest(TlsTest):
    def test_https_and_what_is_known_of_it(self):
        process = self.serve()
        with self.open(process) as client:
            self.assertEqual(200, client.ask().status)
        self.assertEqual("https", self.app.last().get("x-forwarded-proto"))
        line = wait_until(self.logged, "a line in the access log")[0]
        self.assertEqual(("https", "TLSv1.3", "edge.test", "no", "none"),
                         tuple(line[key] for key in ("scheme", "tls_version", "tls_server_name",
                                                     "tls_resumed", "client_verify")))
        self.assertEqual(1, process.metric("sluice_tls_handshakes_total", version="TLSv1.3"))

    def test_the_person_who_starts_it_reads_https(self):
        config = self.config(self.app, listener={"tls": self.tls()}, log={"format": "text"})
        path = self.directory / "text.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        process = self.spawn("-c", path)
        wait_until(lambda: any("phase=ready" in line for line in process.garbage), "ready")
        self.assertTrue(any(re.match(r"listener in: https://127\.0\.0\.1:\d+$", line)
                            for line in process.garbage), process.garbage)
        process.signal()
        self.assertEqual(0, process.wait_exit())
        process.garbage.clear()

    def test_versions_and_ciphers(self):
        process = self.serve(self.tls(min_version="1.3"))
        self.assertIn("alert protocol version", self.s_client(process, "-tls1_2"))
        self.assertIn("TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256", self.s_client(process))
        wait_until(lambda: process.metric("sluice_tls_handshake_failures_total",
                                          reason="protocol_version") == 1, "it is counted")

    def test_alpn_that_nobody_speaks(self):
        process = self.serve()
        said = self.s_client(process, "-alpn", "imap")
        self.assertIn("alert no application protocol", said)
        wait_until(lambda: process.metric("sluice_tls_handshake_failures_total",
                                          reason="no_alpn") == 1, "it is counted")

    def test_http_without_tls(self):
        process = self.serve()
        with self.connect(process) as client:
            answer = client.ask()
            self.assertEqual(400, answer.status)
            self.assertIn(b"HTTPS", answer.body)
            self.assertEqual("fin", client.ended())
        self.assertEqual(1, process.metric("sluice_tls_handshake_failures_total",
                                           reason="plain_http"))
        self.assertEqual([], self.app.requests)

    def test_a_handshake_has_its_time(self):
        process = self.serve(listener={"timeouts": {"handshake": "100ms"}})
        with self.connect(process) as client:
            self.assertEqual("fin", client.ended())
        self.assertEqual(1, process.metric("sluice_tls_handshake_failures_total",
                                           reason="timeout"))

    def test_the_name_chooses_the_certificate(self):
        shop = self.ca.issue("shop", "DNS:*.shop.test", "DNS:shop.test")
        named = self.ca.issue("named")
        tls = self.tls(self.edge, shop)
        tls["certificates"].append(named.config(server_names=["api.test", "*.api.test"]))
        process = self.serve(tls)
        for name, subject in (("edge.test", "edge"), ("a.shop.test", "shop"),
                              ("SHOP.test", "shop"), ("a.b.shop.test", "edge"),
                              ("x.api.test", "named"), ("named.test", "edge"),
                              ("unknown.test", "edge")):
            self.assertEqual(subject, self.subject(process, name), name)
        self.assertRegex(self.s_client(process, "-noservername"), r"(?m)^subject=CN = edge")


class ClientCertificateTest(TlsTest):
    def setUp(self):
        super().setUp()
        self.alice = self.ca.issue("alice", "URI:spiffe://test/alice", "DNS:alice.test")

    def serve_asking(self, auth, **listener):
        routes = [{"cluster": "app", "request_headers": {
            "set": {"X-Client": "%CLIENT_SUBJECT%", "X-Verify": "%CLIENT_VERIFY%"}}}]
        return self.serve(self.tls(client_auth=auth, ca=str(self.ca.cert)),
                          {"routes": routes, "forward_client_cert": "replace"} | listener)

    def test_required(self):
        process = self.serve_asking("required")
        with self.open(process, context=self.context(self.alice)) as client:
            client.ask(fields={"X-Forwarded-Client-Cert": "Hash=forged", "X-Client": "CN=root"})
        seen = self.app.last()
        self.assertEqual("CN=alice", seen.get("x-client"))
        self.assertRegex(
            seen.get("x-forwarded-client-cert"),
            r'^Hash=[0-9a-f]{64};Subject="CN=alice";URI=spiffe://test/alice;DNS=alice\.test$')
        stranger = Authority(self.directory, "stranger").issue("mallory")
        for pair, reason in ((None, "bad_certificate"), (stranger, "unknown_ca")):
            # In TLS 1.3 the client learns of it when it reads.
            with self.assertRaises((ssl.SSLError, Broken, ConnectionError)):
                with self.open(process, context=self.context(pair)) as client:
                    client.ask()
            wait_until(lambda: process.metric("sluice_tls_handshake_failures_total",
                                              reason=reason) == 1, f"{reason} is counted")
        self.assertEqual(1, len(self.app.requests))

    def test_optional_refuses_nobody_and_says_so(self):
        process = self.serve_asking("optional")
        stranger = Authority(self.directory, "stranger").issue("mallory")
        for pair, verify, name in ((None, "none", None), (self.alice, "verified", "CN=alice"),
                                   (stranger, "failed", "CN=mallory")):
            with self.open(process, context=self.context(pair)) as client:
                self.assertEqual(200, client.ask(fields={"X-Client": "CN=root"}).status)
            seen = self.app.last()
            self.assertEqual((verify, name), (seen.get("x-verify"), seen.get("x-client")))
            self.assertEqual(verify == "verified",
                             seen.get("x-forwarded-client-cert") is not None)

    def test_a_trusted_proxy_speaks_for_its_clients(self):
        process = self.serve_asking("required", forward_client_cert="append",
                                    trust_forwarded=True)
        with self.open(process, context=self.context(self.alice)) as client:
            client.ask(fields={"X-Forwarded-Client-Cert": "Hash=theirs"})
        self.assertRegex(self.app.last().get("x-forwarded-client-cert"),
                         r"^Hash=theirs, Hash=[0-9a-f]{64};")

    def test_without_tls_nobody_claims_a_certificate(self):
        process = self.sluice(self.app)
        with self.connect(process) as client:
            client.ask(fields={"X-Forwarded-Client-Cert": "Hash=forged"})
        self.assertIsNone(self.app.last().get("x-forwarded-client-cert"))


class SessionTest(TlsTest):
    def resumes(self, first, second, version):
        """Whether a session of one process resumes on every worker of another."""
        session = self.directory / "session"
        with open(session, "wb"):
            pass
        # With a request, so that the ticket, which comes after the handshake, is waited for.
        request = b"GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n"
        self.s_client(first, version, "-sess_out", session, "-ign_eof", data=request)
        said = [self.s_client(second, version, "-sess_in", session, "-ign_eof", data=request)
                for _ in range(4)]
        answers = {bool(re.search(r"(?m)^Reused, ", one)) for one in said}
        self.assertEqual(1, len(answers), said)
        return answers.pop()

    def test_sessions_resume_on_any_worker(self):
        process = self.serve(workers=3)
        for version in ("-tls1_2", "-tls1_3"):
            self.assertTrue(self.resumes(process, process, version), version)
        self.assertEqual(4, process.metric("sluice_tls_handshakes_total", resumed="yes",
                                           version="TLSv1.3"))

    def test_without_tickets_there_are_no_sessions(self):
        process = self.serve(self.tls(session_tickets=False))
        session = self.directory / "session"
        for version in ("-tls1_2", "-tls1_3"):
            said = self.s_client(process, version, "-sess_out", session, data=b"")
            self.assertNotIn("TLS session ticket:", said)

    def test_processes_with_the_same_keys_share_sessions(self):
        keys = []
        for name in ("old", "new"):
            keys.append(self.directory / f"{name}.ticket")
            keys[-1].write_bytes(secrets.token_bytes(80))
        old, new = keys
        first = self.serve(self.tls(ticket_key_files=[str(old)]))
        second = self.serve(self.tls(ticket_key_files=[str(new), str(old)]))
        alone = self.serve()
        for version in ("-tls1_2", "-tls1_3"):
            self.assertTrue(self.resumes(first, second, version), version)
            self.assertFalse(self.resumes(second, first, version), version)
            self.assertFalse(self.resumes(first, alone, version), version)
        # And a key file that is replaced is taken.
        shutil.copy(new, old)
        first.signal(signal.SIGHUP)
        first.wait_for("tls_reloaded")
        self.assertTrue(self.resumes(second, first, "-tls1_3"))


if __name__ == "__main__":
    main()
