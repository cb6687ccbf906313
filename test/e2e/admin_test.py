#!/usr/bin/env python3
"""The admin: what it tells, to whom, and what it lets nobody do by accident."""

import json
import shutil
import subprocess
import unittest

from lib import Client, SluiceTest, main, run_sluice, wait_until


class AdminTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.process = self.sluice(self.app, drain={"propagation_delay": "60s"})

    def test_live_and_ready(self):
        for path in ("/live", "/ready"):
            answer = self.process.admin(path)
            self.assertEqual(200, answer.status)
            self.assertEqual("no-store", answer.get("cache-control"))
            self.assertEqual(200, self.process.admin(path, "HEAD").status)

    def test_the_index_lists_what_there_is(self):
        text = self.process.admin("/").body.decode()
        for path in ("/live", "/ready", "/metrics", "/config", "/connections", "/drain",
                     "/drain/prestop"):
            self.assertIn(path, text)

    def test_what_there_is_not(self):
        self.assertEqual(404, self.process.admin("/nothing").status)
        answer = self.process.admin("/metrics", "POST")
        self.assertEqual(405, answer.status)
        self.assertIn("GET", answer.get("allow"))

    def test_metrics(self):
        client = self.connect(self.process)
        for _ in range(3):
            self.assertEqual(200, client.ask("POST", "/", body=b"12345").status)
        self.app.on("/no", lambda x: x.reply(404))
        client.ask("GET", "/no")
        metric = self.process.metric
        # A request is counted when it is over, which the client may know a little earlier.
        wait_until(lambda: metric("sluice_requests_total", listener="in") == 4, "four are over")
        self.assertEqual(3, metric("sluice_requests_total", listener="in", **{"class": "2xx"}))
        self.assertEqual(1, metric("sluice_requests_total", listener="in", **{"class": "4xx"}))
        self.assertEqual(15, metric("sluice_request_body_bytes_total", listener="in"))
        self.assertEqual(8, metric("sluice_response_body_bytes_total", listener="in"))
        self.assertEqual(4, metric("sluice_request_duration_seconds_count", listener="in"))
        self.assertEqual(4, metric("sluice_upstream_requests_total", cluster="app"))
        self.assertEqual(1, metric("sluice_connections_open", listener="in"))
        self.assertEqual(1, metric("sluice_connections_total", listener="in"))
        self.assertEqual(1, metric("sluice_build_info"))
        phases = {phase: metric("sluice_phase", phase=phase)
                  for phase in ("starting", "ready", "lame_duck", "draining", "exited")}
        self.assertEqual({phase: float(phase == "ready") for phase in phases}, phases)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_metrics_are_as_prometheus_wants_them(self):
        self.connect(self.process).ask()
        self.process.admin_json("/drain", "POST")
        answer = self.process.admin("/metrics")
        self.assertIn("text/plain; version=0.0.4", answer.get("content-type"))
        result = subprocess.run(["promtool", "check", "metrics"], input=answer.body,
                                capture_output=True, check=False)
        self.assertEqual((0, b"", b""), (result.returncode, result.stdout, result.stderr))

    def test_connections(self):
        hold = self.app.hold("/slow")
        busy, idle = self.connect(self.process), self.connect(self.process)
        busy.request("GET", "/slow")
        hold.wait_arrived()
        self.assertEqual(200, idle.ask().status)
        document = self.process.admin_json("/connections")
        self.assertEqual((2, 1), (document["total"], document["in_flight"]))
        found = {connection["peer"]: connection for connection in document["connections"]}
        self.assertEqual({busy.name, idle.name}, set(found))
        self.assertEqual(("busy", "idle"), (found[busy.name]["state"], found[idle.name]["state"]))
        stream, = found[busy.name]["in_flight"]
        self.assertEqual(("http1", "default/0", "response from the upstream"),
                         (stream["protocol"], stream["route"], stream["waiting_for"]))
        hold.release()

    def test_config_can_be_read_back(self):
        text = self.process.admin("/config").body
        path = self.directory / "dumped.yaml"
        path.write_bytes(text)
        result = run_sluice("check", "-c", path)
        self.assertEqual(0, result.returncode, result.stderr)
        again = self.spawn("-c", path).wait_ready()
        self.assertEqual(text, again.admin("/config").body)
        self.assertEqual(200, self.connect(again).ask().status)

    def test_config_of_many_things_can_be_read_back(self):
        routes = [{"match": {"regex": r"/a\.b/[0-9]+", "methods": ["GET"],
                             "headers": [{"name": "X-A", "regex": "^'\"#: $"}],
                             "query": [{"name": "q", "absent": True}]},
                   "redirect": {"status": 308, "host": "new.test"}},
                  {"direct_response": {"status": 200, "body": "a: b\n# no comment\n\ttab é \"'"}}]
        listeners = [{"address": f"unix:{self.directory}/l.sock", "name": "x: y",
                      "virtual_hosts": [{"domains": ["*.a.test", "*"], "routes": routes}],
                      "limits": {"body_bytes": "1MiB"}, "timeouts": {"idle": "1h30m"}}]
        first = self.sluice(listeners=listeners, clusters=[], workers="auto",
                            access_log={"path": "off"}, log={"level": "debug"})
        text = first.admin("/config").body
        first.signal()
        self.assertEqual(0, first.wait_exit())
        path = self.directory / "dumped.yaml"
        path.write_bytes(text)
        again = self.spawn("-c", path).wait_ready()
        self.assertEqual(text, again.admin("/config").body)
        self.assertEqual(routes[1]["direct_response"]["body"],
                         self.connect(again).ask().body.decode())

    def test_a_page_of_another_origin_cannot_change_anything(self):
        own = f"http://{self.process.admin_address}"
        cross = [{"Origin": "http://evil.test"}, {"Origin": "null"},
                 {"Referer": "http://evil.test/page"}, {"Sec-Fetch-Site": "cross-site"},
                 {"Sec-Fetch-Site": "same-site"}, {"Origin": own + ".evil.test"},
                 {"Host": "evil.test"}, {"Host": "evil.test", "Origin": "http://evil.test"},
                 {"Origin": own, "Sec-Fetch-Site": "cross-site"}]
        for fields in cross:
            for method, path in (("POST", "/drain"), ("DELETE", "/drain"),
                                 ("POST", "/drain/prestop"), ("GET", "/drain/prestop")):
                with self.subTest(f"{method} {path}", fields=fields):
                    answer = self.process.admin(path, method, fields)
                    self.assertEqual(403, answer.status, answer)
        browser = {"User-Agent": "Mozilla/5.0"}
        self.assertEqual(403, self.process.admin("/drain/prestop", "GET", browser).status,
                         "an image tag would do that")
        self.assertEqual(405, self.process.admin("/drain?x", "PUT").status)
        self.assertEqual("ready", self.process.admin_json("/drain")["phase"])

        self.assertEqual(200, self.process.admin("/drain", "POST", {"Origin": own}).status)
        self.assertEqual("lame_duck", self.process.admin_json("/drain")["phase"])

    def test_names_that_dns_could_point_here_learn_nothing(self):
        for path in ("/config", "/connections", "/drain"):
            self.assertEqual(403, self.process.admin(path, fields={"Host": "evil.test"}).status)
        for path in ("/live", "/ready", "/metrics"):
            self.assertEqual(200, self.process.admin(path, fields={"Host": "pod.test"}).status)

    def test_no_cross_origin_reading_is_offered(self):
        answer = self.process.admin("/drain", fields={"Origin": "http://evil.test"})
        self.assertIsNone(answer.get("access-control-allow-origin"))

    def test_a_connection_is_kept(self):
        with Client(self.process.admin_address) as client:
            for path in ("/live", "/metrics", "/drain", "/nothing", "/ready"):
                self.assertFalse(client.ask("GET", path).closes)

    def test_it_is_as_strict_as_the_listeners(self):
        with Client(self.process.admin_address) as client:
            client.send("POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            self.assertEqual(400, client.read_response().status)
        self.assertEqual("ready", self.process.admin_json("/drain")["phase"])

    def test_off(self):
        process = self.sluice(self.app, admin="off")
        self.assertEqual(200, self.connect(process).ask().status)
        self.assertEqual([], process.events("listening", listener="admin"))

    def test_it_answers_during_the_whole_drain(self):
        hold = self.app.hold("/slow")
        client = self.connect(self.process)
        client.request("GET", "/slow")
        hold.wait_arrived()
        with Client(self.process.admin_address) as watcher:
            self.process.signal()
            self.process.wait_for_phase("lame_duck")
            self.assertEqual("lame_duck", json.loads(watcher.ask("GET", "/drain").body)["phase"])
            self.process.signal()
            self.process.wait_for_phase("draining")
        self.assertEqual(503, client.read_response().status)


if __name__ == "__main__":
    main()
