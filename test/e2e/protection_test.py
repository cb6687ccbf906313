#!/usr/bin/env python3
"""Limits that hold over all workers, mirrors, faults, sessions: with real clients."""

import json
import socket
import threading
import time

from lib import SluiceTest, main, wait_until


class ProtectionTest(SluiceTest):
    def test_a_rate_limit_counts_over_all_workers(self):
        process = self.sluice(self.origin(), workers=2, listener={"routes": [
            {"cluster": "app", "rate_limit": {"requests": 1, "per": "1h", "burst": 50}}]})
        statuses = []

        def ask():
            for _ in range(10):
                with process.connect() as client:
                    statuses.append(client.ask().status)
        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((50, 50), (statuses.count(200), statuses.count(429)))
        with process.connect() as client:
            answer = client.ask()
            self.assertEqual(429, answer.status)
            self.assertGreater(int(answer.get("retry-after")), 3000)

    def test_a_limit_of_requests_in_flight(self):
        app = self.origin()
        hold = app.hold("/slow")
        process = self.sluice(app, workers=2, listener={"routes": [
            {"cluster": "app", "max_in_flight": 3}]})
        clients = [self.connect(process) for _ in range(3)]
        for client in clients:
            client.request(target="/slow")
        hold.wait_arrived(3)
        other = self.connect(process)
        self.assertEqual(503, other.ask().status)
        hold.release()
        for client in clients:
            self.assertEqual(200, client.read_response().status)
        wait_until(lambda: other.ask().status == 200, "the places were given back")

    def test_a_place_in_flight_is_given_back_by_a_client_that_leaves(self):
        app = self.origin()
        hold = app.hold("/slow")
        process = self.sluice(app, workers=2, listener={"routes": [
            {"cluster": "app", "max_in_flight": 2}]})
        leaving, staying = self.connect(process), self.connect(process)
        for client in (leaving, staying):
            client.request(target="/slow")
        hold.wait_arrived(2)
        other = self.connect(process)
        self.assertEqual(503, other.ask().status)
        leaving.reset()
        wait_until(lambda: other.ask().status == 200, "its place is free")
        self.log_lines(1, status=503, detail="max_in_flight")
        hold.release()
        self.assertEqual(200, staying.read_response().status)

    def test_limits_outlive_a_reload_that_does_not_touch_them(self):
        app = self.origin()
        hold = app.hold("/slow")
        limited = {"name": "limited", "match": {"prefix": "/a"}, "cluster": "app",
                   "rate_limit": {"requests": 1, "per": "1h", "burst": 5}}
        few = {"name": "few", "match": {"path": "/slow"}, "cluster": "app", "max_in_flight": 1}
        config = self.config(app, listener={"routes": [limited, few]}, reload={"watch": False})
        process = self.start(config)

        def reload():
            path = self.directory / "sluice0.yaml"
            path.write_text(json.dumps(config), encoding="utf-8")
            self.assertEqual("changed", process.admin_json("/reload", "POST")["result"])

        busy, client = self.connect(process), self.connect(process)
        busy.request(target="/slow")
        hold.wait_arrived()
        self.assertEqual([200] * 3, [client.ask(target="/a").status for _ in range(3)])
        config["listeners"][0]["routes"].append({"name": "more", "cluster": "app"})
        reload()
        statuses = [self.connect(process).ask(target="/a").status for _ in range(4)]
        self.assertEqual([200, 200, 429, 429], statuses)
        self.assertEqual(503, client.ask(target="/slow").status)
        hold.release()
        self.assertEqual(200, busy.read_response().status)
        wait_until(lambda: client.ask(target="/slow").status == 200, "the place was given back")
        limited["rate_limit"]["burst"] = 2
        reload()
        statuses = [self.connect(process).ask(target="/a").status for _ in range(3)]
        self.assertEqual([200, 200, 429], statuses)

    def test_a_mirror(self):
        app, shadow = self.origin(), self.origin()
        shadow.on("/x", lambda x: x.reply(500, b"nobody sees this"))
        config = self.config(app, listener={"routes": [
            {"cluster": "app", "mirror": {"cluster": "shadow"}}]})
        config["clusters"].append({"name": "shadow", "endpoints": [shadow.address]})
        process = self.start(config)
        with process.connect() as client:
            answer = client.ask("POST", "/x", body=b"y" * 10_000)
        self.assertEqual((200, b"ok"), (answer.status, answer.body))
        wait_until(lambda: shadow.seen("/x") and shadow.last().body == b"y" * 10_000,
                   "the mirror has it")

    def mirrored(self, shadow, **route):
        """A process that drains at once, and mirrors to that address."""
        self.app = self.origin()
        config = self.config(self.app, drain={"deadline": "1m"}, listener={"routes": [
            {"cluster": "app", "timeout": "1m", "mirror": {"cluster": "shadow"}} | route]})
        config["clusters"].append({"name": "shadow", "endpoints": [shadow],
                                   "connect_timeout": "1m"})
        return self.start(config)

    def assert_nobody_waits(self, process):
        """For the mirror: neither clients nor the drain."""
        began = time.monotonic()
        with process.connect() as client:
            for body in (None, b"y", b"y" * 3_000_000):
                answer = client.ask("GET" if body is None else "POST", body=body)
                self.assertEqual((200, b"ok"), (answer.status, answer.body))
                self.assertEqual(body or b"", self.app.last().body)
        hold = self.app.hold("/slow")
        busy = self.connect(process)
        busy.request("POST", "/slow", body=b"y" * 1000)
        hold.wait_arrived()
        process.drain()
        process.wait_for_phase("draining")
        self.assertTrue(busy.is_quiet())
        hold.release()
        self.assertEqual(200, busy.read_response().status)
        busy.close()
        self.assertEqual(0, process.wait_exit())
        self.assertLess(time.monotonic() - began, 15, "the mirror's time would be a minute")
        report = process.report()
        self.assertEqual((1, 0), (report["in_flight_at_start"]["total"], report["cut"]["total"]))

    def test_nobody_waits_for_a_mirror_that_hangs(self):
        shadow = self.origin()
        hold = shadow.hold("/", lambda x: x.close())
        process = self.mirrored(shadow.address)
        shadow.hold("/slow", lambda x: x.close())
        self.assert_nobody_waits(process)
        hold.wait_arrived(3)

    def test_nobody_waits_for_a_mirror_that_is_slow(self):
        shadow = self.origin()

        def drip(exchange):
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                exchange.send("x")
                time.sleep(0.05)
        for path in ("/", "/slow"):
            shadow.on(path, drip)
        self.assert_nobody_waits(self.mirrored(shadow.address))
        self.assertEqual(3, len(shadow.seen("/")))

    def test_nobody_waits_for_a_mirror_that_is_dead(self):
        shadow = self.origin()
        shadow.close()
        self.assert_nobody_waits(self.mirrored(shadow.address))

    def test_nobody_waits_for_a_mirror_that_does_not_accept(self):
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            address = "127.0.0.1:%d" % full.getsockname()[1]
            with socket.create_connection(full.getsockname()):
                self.assert_nobody_waits(self.mirrored(address))

    def test_a_cluster_that_is_drained_gets_no_copies(self):
        shadow = self.origin()
        process = self.mirrored(shadow.address)
        with process.connect() as client:
            process.admin_json("/drain?cluster=shadow", "POST")
            self.assertEqual(200, client.ask(target="/drained").status)
            process.admin_json("/drain?cluster=shadow", "DELETE")
            self.assertEqual(200, client.ask(target="/again").status)
        wait_until(lambda: shadow.seen("/again"), "the mirror has it")
        self.assertEqual([], shadow.seen("/drained"))

    def test_nor_does_one_that_was_removed_with_its_listener(self):
        app, shadow = self.origin(), self.origin()
        routes = [{"cluster": "app", "mirror": {"cluster": "shadow"}}]
        config = self.config(app, drain={"idle_grace": "20s"}, listeners=[
            {"name": "old", "address": "127.0.0.1:0", "routes": routes},
            {"name": "new", "address": "127.0.0.1:0", "cluster": "app"}])
        config["clusters"].append({"name": "shadow", "endpoints": [shadow.address]})
        process = self.start(config)
        with process.connect("old") as client:
            self.assertEqual(200, client.ask(target="/early").status)
            wait_until(lambda: shadow.seen("/early"), "the mirror has it")
            del config["listeners"][0], config["clusters"][1]
            path = self.directory / "sluice0.yaml"
            path.write_text(json.dumps(config), encoding="utf-8")
            process.admin_json("/reload", "POST")
            self.assertEqual(200, client.ask(target="/late").status)
        self.assertTrue(app.seen("/late"))
        end = time.monotonic() + 0.3  # a copy would come a moment later
        while time.monotonic() < end:
            self.assertEqual([], shadow.seen("/late"))

    def test_mirrors_have_the_limits_of_their_cluster(self):
        self.app, shadow = self.origin(), self.origin()
        hold = shadow.hold("/", lambda x: x.close())
        config = self.config(self.app, workers=1, listener={"routes": [
            {"cluster": "app", "mirror": {"cluster": "shadow"}}]})
        config["clusters"].append({"name": "shadow", "endpoints": [shadow.address],
                                   "circuit_breaker": {"requests": 2}})
        process = self.start(config)
        with process.connect() as client:
            for _ in range(5):
                self.assertEqual(200, client.ask().status)
        hold.wait_arrived(2)
        for metric, app, mirrored in (("sluice_upstream_pending_overflow_total", 0, 3),
                                      ("sluice_upstream_requests_total", 5, 2)):
            self.assertEqual((app, mirrored), (process.metric(metric, cluster="app"),
                                               process.metric(metric, cluster="shadow")))

    def test_a_mirror_has_it_though_the_cluster_is_dead(self):
        shadow = self.origin()
        process = self.mirrored(shadow.address)
        self.app.close()
        with process.connect() as client:
            self.assertEqual(503, client.ask().status)
        wait_until(lambda: shadow.seen("/"), "the mirror has it")

    def test_faults(self):
        process = self.sluice(self.origin(), listener={"routes": [
            {"match": {"path": "/abort"}, "cluster": "app",
             "fault": {"abort_percent": 100, "abort_status": 418}},
            {"match": {"path": "/delay"}, "cluster": "app",
             "fault": {"delay_percent": 100, "delay": "300ms"}}]})
        with process.connect() as client:
            self.assertEqual(418, client.ask("GET", "/abort").status)
            self.assertEqual(200, client.ask("GET", "/delay").status)

    def test_an_abort_takes_no_notice_of_a_body(self):
        app = self.origin()
        process = self.sluice(app, listener={"routes": [
            {"match": {"path": "/abort"}, "cluster": "app",
             "fault": {"abort_percent": 100, "abort_status": 418}}, {"cluster": "app"}]})
        with process.connect() as client:
            for size in (1, 1000, 100_000):
                answer = client.ask("POST", "/abort", body=b"x" * size)
                self.assertEqual((418, False), (answer.status, answer.closes))
                self.assertEqual(200, client.ask().status, "on the same connection")
        self.assertEqual([], app.seen("/abort"))
        lines = self.log_lines(3, path="/abort")
        self.assertEqual({(418, "fault", 0)},
                         {(line["status"], line["detail"], line["attempts"]) for line in lines})

    def delayed(self, body=None, **drain):
        """A process that drains while a fault delays a request, and the client."""
        self.app = self.origin()
        process = self.sluice(self.app, drain=drain, listener={"routes": [
            {"cluster": "app", "fault": {"delay_percent": 100, "delay": "700ms"}}]})
        client = self.connect(process)
        client.request("GET" if body is None else "POST", body=body)
        wait_until(lambda: process.admin_json("/connections")["in_flight"] == 1, "it has begun")
        self.assertEqual([], self.app.requests)
        process.signal()
        process.wait_for_phase("draining")
        return process, client

    def test_a_delayed_request_is_answered_in_a_drain(self):
        for body in (None, b"x" * 10, b"x" * 1_000_000):
            with self.subTest(body=len(body or b"")):
                process, client = self.delayed(body)
                answer = client.read_response()
                self.assertEqual((200, b"ok", True), (answer.status, answer.body, answer.closes))
                self.assertEqual(body or b"", self.app.last().body)
                client.close()
                self.assertEqual(0, process.wait_exit())

    def test_a_delay_beyond_the_deadline_is_cut(self):
        process, client = self.delayed(deadline="100ms")
        self.assertEqual(503, client.read_response().status)
        self.assertEqual(3, process.wait_exit())
        self.assertEqual([], self.app.requests)

    def test_a_session_outlives_the_process(self):
        origins = [self.origin() for _ in range(3)]
        for number, origin in enumerate(origins):
            origin.on("/", lambda x, n=number: x.reply(body=str(n).encode()))
        cluster = {"session_cookie": {"name": "stick"}}
        process = self.sluice(*origins, cluster=cluster)
        with process.connect() as client:
            first = client.ask()
        cookie = first.get("set-cookie").partition(";")[0]
        self.assertTrue(cookie.startswith("stick="))
        process.signal()
        process.wait_exit()
        process = self.sluice(*origins, cluster=cluster)
        with process.connect() as client:
            for _ in range(10):
                answer = client.ask(fields={"Cookie": cookie}.items())
                self.assertEqual(first.body, answer.body)
                self.assertIsNone(answer.get("set-cookie"))


if __name__ == "__main__":
    main()
