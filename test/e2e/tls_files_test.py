#!/usr/bin/env python3
"""Files of TLS: renewed while it runs, and checked before it does."""

import json
import shutil
import signal

from lib import main, run_sluice, wait_until
from lib.tls_case import TlsTest


class ReloadTest(TlsTest):
    def reloads(self, process, result):
        return process.metric("sluice_tls_certificate_reload_total", result=result)

    def replace(self, name):
        """Makes the edge's files those of a new certificate."""
        pair = self.ca.issue(name, "DNS:edge.test")
        shutil.move(pair.key, self.edge.key)
        shutil.move(pair.cert, self.edge.cert)

    def test_by_itself(self):
        process = self.sluice(self.app, listener={"tls": self.tls()},
                              tls={"reload_interval": "50ms"})
        with self.open(process) as before:
            self.assertEqual(200, before.ask().status)
            self.replace("renewed")
            wait_until(lambda: self.subject(process, "edge.test") == "renewed",
                       "the new certificate is shown")
            self.assertEqual(200, before.ask().status)
            self.assertEqual("https", self.app.last().get("x-forwarded-proto"))
        # It is taken once it stands still: never a new certificate with an old key.
        self.assertEqual(0, self.reloads(process, "error"))
        self.assertEqual("CN=renewed",
                         process.admin_json("/tls")["tls"][0]["certificates"][0]["subject"])

    def test_on_request_and_on_sighup(self):
        process = self.sluice(self.app, listener={"tls": self.tls()},
                              tls={"reload_interval": "0s"})
        expiry = process.metric("sluice_tls_certificate_not_after_seconds", owner="listeners.in")
        self.replace("second")
        self.assertEqual("edge", self.subject(process, "edge.test"))
        answer = json.loads(process.admin("/tls/reload", "POST").body)
        self.assertEqual("CN=second", answer["tls"][0]["certificates"][0]["subject"])
        wait_until(lambda: self.subject(process, "edge.test") == "second", "shown")
        self.replace("third")
        process.signal(signal.SIGHUP)
        wait_until(lambda: self.subject(process, "edge.test") == "third", "shown")
        self.assertEqual(2, self.reloads(process, "ok"))
        self.assertLessEqual(expiry, process.metric("sluice_tls_certificate_not_after_seconds",
                                                    owner="listeners.in"))

    def test_files_that_cannot_be_used_change_nothing(self):
        process = self.serve()
        self.edge.key.write_text("no key", encoding="utf-8")
        answer = process.admin("/tls/reload", "POST")
        self.assertEqual(500, answer.status)
        entry = json.loads(answer.body)["tls"][0]
        self.assertIn(f"{self.edge.key}: holds no private key", entry["error"])
        self.assertEqual("CN=edge", entry["certificates"][0]["subject"])
        process.wait_for("tls_reload_failed")
        self.assertEqual("edge", self.subject(process, "edge.test"))
        self.assertEqual((0, 1), (self.reloads(process, "ok"), self.reloads(process, "error")))


class CheckTest(TlsTest):
    def both_say(self, tls, what, cluster=None):
        """`check` and `serve` end with 2 and the same words."""
        config = self.config(self.app, listener={"tls": tls}, cluster=cluster or {})
        path = self.directory / "wrong.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        checked = run_sluice("check", "-c", path)
        served = run_sluice("serve", "-c", path)
        self.assertEqual((2, 2), (checked.returncode, served.returncode), checked.stderr)
        self.assertEqual(checked.stderr, served.stderr)
        self.assertIn(what, checked.stderr)

    def test_what_serve_would_fail_on(self):
        other = self.ca.issue("other")
        none = str(self.directory / "none.pem")
        at = "listeners.in.tls.certificates[0]"
        self.both_say({"certificates": [{"cert": none, "key": str(self.edge.key)}]},
                      f"{at}.cert: {none}: No such file or directory")
        self.both_say({"certificates": [{"cert": str(self.edge.cert), "key": str(other.key)}]},
                      f"{at}.key: {other.key}: is not the key of the certificate in "
                      f"{self.edge.cert}")
        self.both_say(self.tls(ciphers="NONE-SUCH"), "listeners.in.tls.ciphers: 'NONE-SUCH'")
        self.both_say(self.tls(client_auth="required"), "expected a file in tls.ca")
        self.both_say(self.tls(client_auth="required", ca=none), "listeners.in.tls.ca: ")
        self.both_say(self.tls(), f"clusters.app.tls.ca: {none}: No such file",
                      cluster={"tls": {"server_name": "a.test", "ca": none}})
        self.both_say(self.tls(), "tls.server_name is missing", cluster={"tls": {}})


if __name__ == "__main__":
    main()
