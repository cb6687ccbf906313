#!/usr/bin/env python3
"""HTTP/2 over TLS, by ALPN: curl, h2load and nghttpd, and the goodbyes of both protocols."""

import ssl
import unittest

from lib import SANITIZED, SluiceTest, main, pattern, wait_until
from lib.h2frames import Code
from lib.h2watch import NOTICE, Watched
from lib.tools import NGHTTPD, h2load, run, start_nghttpd


class Strict(ssl.SSLContext):
    """A connection that ends without close_notify is an error to it."""

    def wrap_socket(self, sock, **more):
        return super().wrap_socket(sock, suppress_ragged_eofs=False, **more)


class TlsTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.cert, self.key = self.directory / "cert.pem", self.directory / "key.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", self.key, "-out", self.cert, "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.context = Strict(ssl.PROTOCOL_TLS_CLIENT)
        self.context.load_verify_locations(self.cert)
        self.context.set_alpn_protocols(["h2"])

    def serve(self, listener=None, **config):
        tls = {"certificates": [{"cert": str(self.cert), "key": str(self.key)}]}
        self.process = self.sluice(self.app, listener={"tls": tls} | (listener or {}), **config)
        self.url = f"https://{self.process.address()}"

    def curl(self, path, *arguments, **more):
        return run("curl", "-sS", "--cacert", self.cert, *arguments, self.url + path, **more)

    def open(self):
        connection = Watched(self.process.address(), tls=self.context)
        self.addCleanup(connection.close)
        return connection


class ClientTest(TlsTest):
    def versions(self):
        """What curl speaks that would rather speak HTTP/2, and what it speaks otherwise."""
        return [self.curl("/", *option, "-o", "/dev/null", "-w", "%{http_version}")
                for option in ((), ("--http1.1",))]

    def test_alpn_decides(self):
        self.serve()
        self.assertEqual([b"2", b"1.1"], self.versions())
        self.serve(listener={"http2": {"enabled": False}})
        self.assertEqual([b"1.1", b"1.1"], self.versions())

    def test_what_the_origin_is_told(self):
        self.serve()
        self.curl("/")
        self.assertEqual("https", self.app.last().get("x-forwarded-proto"))

    def test_bodies_both_ways(self):
        self.serve()
        whole = pattern(5_000_000)
        self.app.on("/down", lambda x: x.reply(body=whole))
        self.assertTrue(whole == self.curl("/down"))
        self.assertEqual(b"ok", self.curl("/up", "--data-binary", "@-", data=whole))
        self.assertTrue(whole == self.app.seen("/up")[0].body)

    def test_many_at_a_time_on_one_connection(self):
        self.serve()
        lines = self.curl("/[1-50]", "--parallel", "-o", "/dev/null", "-w",
                          "%{http_version} %{response_code} %{num_connects}\\n").split(b"\n")[:-1]
        self.assertEqual([b"2 200 0"] * 49 + [b"2 200 1"], sorted(lines))
        self.assertEqual(50, len({request.path for request in self.app.requests}))

    def test_h2load(self):
        self.serve(listener={"routes": [{"direct_response": {"body": "x" * 1000}}]})
        requests = 4_000 if SANITIZED else 20_000
        result = h2load(f"-n{requests}", "-c8", "-m16", self.url)
        self.assertEqual((requests, 0, 0), (result.succeeded, result.failed, result.other))
        self.assertEqual(8, self.process.metric("sluice_tls_handshakes_total", listener="in"))


@unittest.skipUnless(NGHTTPD, "nghttpd is not installed")
class UpstreamTest(TlsTest):
    def test_http2_all_the_way(self):
        files = self.directory / "files"
        files.mkdir()
        (files / "large").write_bytes(pattern(3_000_000))
        address = start_nghttpd(self, files, self.key, self.cert)
        for protocol in ("http2", "auto"):
            with self.subTest(protocol):
                self.serve(workers=1, cluster={
                    "endpoints": [address], "protocol": protocol,
                    "tls": {"server_name": "localhost", "ca": str(self.cert)}})
                wait_until(lambda: self.curl("/large", "-o", "/dev/null", "-w", "%{http_code}") ==
                           b"200", "nghttpd listens")
                self.assertTrue(pattern(3_000_000) == self.curl("/large"))
                result = h2load("-n200", "-c4", "-m8", self.url + "/large")
                self.assertEqual((200, 0, 0), (result.succeeded, result.failed, result.other))
                # It speaks nothing else, and one connection carries it all.
                self.assertEqual(1, self.process.metric("sluice_upstream_connections_total"))


class DrainTest(TlsTest):
    """close_notify, then FIN, behind the last GOAWAY: anything else raises in the client."""

    LONG = {"linger": "60s", "deadline": "60s", "idle_grace": "60s"}

    def test_an_idle_connection(self):
        self.serve(drain=self.LONG)
        h2 = self.open()
        h2.answers_pings = False
        h2.get(1)
        self.process.signal()
        payload = h2.wait_noticed()
        h2.get(3)
        h2.answer(payload)
        h2.expect_end()
        self.assertEqual([NOTICE, (3, Code.NO_ERROR)], h2.goaways)
        self.assertEqual("fin", h2.ended_by)
        h2.close()
        self.assertEqual(0, self.process.wait_exit())

    def test_what_is_in_flight(self):
        self.serve(drain=self.LONG)
        whole = pattern(1_000_000)
        hold = self.app.hold("/slow", lambda x: x.reply(body=whole))
        h2 = self.open()
        h2.ask(1, "/slow")
        h2.send(h2.allow(0, 2_000_000) + h2.allow(1, 2_000_000))
        hold.wait_arrived()
        self.process.signal()
        h2.wait_goaways()
        hold.release()
        h2.expect_response(1, body=whole)
        h2.expect_end()
        self.assertEqual("fin", h2.ended_by)
        h2.close()
        self.assertEqual(0, self.process.wait_exit())
        self.assertEqual(1, self.process.report()["finished"])

    def test_a_handshake_is_finished_and_its_request_served(self):
        self.serve(drain=self.LONG)
        raw = Watched(self.process.address(), begin=False)
        self.addCleanup(raw.close)
        wait_until(lambda: self.process.admin_json("/connections")["total"] == 1, "it is in")
        self.process.signal()
        self.process.wait_for_phase("draining")
        raw.socket = self.context.wrap_socket(raw.socket, server_hostname="localhost")
        raw.answers_pings = False
        raw.begin()
        raw.get(1)
        raw.answer(raw.wait_noticed())
        raw.expect_end()
        self.assertEqual([NOTICE, (1, Code.NO_ERROR)], raw.goaways)
        raw.close()
        self.assertEqual(0, self.process.wait_exit())

    def test_a_handshake_that_does_not_go_on_is_closed_at_the_deadline(self):
        self.serve(drain={"deadline": "300ms"})
        client = self.connect(self.process)
        wait_until(lambda: self.process.admin_json("/connections")["total"] == 1, "it is in")
        self.process.signal()
        self.assertEqual(0, self.process.wait_exit(), "no request was accepted, none was cut")
        self.assertIn(client.ended(), ("fin", "reset"))

    def test_a_response_that_is_cut(self):
        def begin(x):
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            x.wait_for_end()
        self.app.on("/half", begin)
        self.serve(drain={"deadline": "300ms"})
        h2 = self.open()
        answer = h2.ask(1, "/half")
        h2.pump_until(lambda: answer.body == b"hello", "the first half")
        self.process.signal()
        h2.pump_until(lambda: answer.ended or answer.reset is not None, "its end")
        self.assertFalse(answer.ended, "it looks complete")
        h2.expect_end()
        h2.close()
        self.assertEqual(3, self.process.wait_exit())
        self.assertEqual({"http2": {"deadline": 1}}, self.process.report()["cut"]["by_protocol"])


if __name__ == "__main__":
    main()
