#!/usr/bin/env python3
"""Limits that hold over all workers, mirrors, faults, sessions: with real clients."""

import threading

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

    def test_faults(self):
        process = self.sluice(self.origin(), listener={"routes": [
            {"match": {"path": "/abort"}, "cluster": "app",
             "fault": {"abort_percent": 100, "abort_status": 418}},
            {"match": {"path": "/delay"}, "cluster": "app",
             "fault": {"delay_percent": 100, "delay": "300ms"}}]})
        with process.connect() as client:
            self.assertEqual(418, client.ask("GET", "/abort").status)
            self.assertEqual(200, client.ask("GET", "/delay").status)

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
