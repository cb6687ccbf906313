#!/usr/bin/env python3
"""An upstream that stands still (SIGSTOP) or is slow: its kernel goes on accepting connections, so
only time tells. The others carry the load."""

import re
import signal
import subprocess

from lib import Client, SANITIZED, SluiceTest, main, wait_until
from lib.upstreams import Upstream


class StoppedTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.a, self.b = (Upstream(name, self.directory / "journal") for name in ("a", "b"))
        self.addCleanup(self.a.close)
        self.addCleanup(self.b.close)
        self.addCleanup(lambda: self.a.send(signal.SIGCONT))

    def states(self, process):
        cluster, = process.admin_json("/clusters")["clusters"]
        return {endpoint["address"]: endpoint["state"] for endpoint in cluster["endpoints"]}

    def test_one_that_stands_still_is_found_out(self):
        process = self.sluice(
            self.a, self.b,
            cluster={"health_check": {"interval": "200ms", "unhealthy_interval": "200ms",
                                      "timeout": "300ms", "unhealthy_threshold": 2},
                     "circuit_breaker": {"min_retries": 64}},
            listener={"routes": [{"cluster": "app",
                                  "retries": {"attempts": 3, "per_try_timeout": "300ms"}}]})
        self.assertEqual({"usable"}, set(self.states(process).values()))
        seconds = 6 if SANITIZED else 4
        wrk = subprocess.Popen(["wrk", "-t1", "-c10", f"-d{seconds}s", "--latency", process.url()],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wait_until(lambda: process.metric("sluice_upstream_requests_total") > 50, "wrk goes on")
        self.a.send(signal.SIGSTOP)
        wait_until(lambda: self.states(process)[self.a.address] == "unhealthy", "it is found out")
        process.wait_for("endpoint_unhealthy", endpoint=self.a.address, reason="timeout")
        text, _ = wrk.communicate(timeout=60)
        self.assertNotIn("Non-2xx", text)
        self.assertNotIn("Socket errors", text)
        slowest = re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", text)[1]
        requests = re.search(r"(\d+) requests in", text)[1]
        print(f"stopped: {requests} requests, 0 failed, the slowest took {slowest}")
        self.a.send(signal.SIGCONT)
        wait_until(lambda: self.states(process)[self.a.address] == "usable", "it is back")
        with Client(process.address()) as client:
            self.assertEqual({b"a", b"b"}, {client.ask().body for _ in range(4)})

    def test_a_slow_one_gets_less(self):
        slow, quick = self.origin(), self.origin()
        hold = slow.hold("/x")
        process = self.sluice(slow, quick, workers=1, cluster={"load_balancing": "least_request"})
        # Whoever came to the slow one stays there, and makes it less likely to get the next.
        waiting = []
        for number in range(20):
            client = self.connect(process)
            client.request(target="/x")
            wait_until(lambda n=number: len(slow.seen("/x")) + len(quick.seen("/x")) > n, "it came")
            if len(slow.seen("/x")) > len(waiting):
                waiting.append(client)
            else:
                self.assertEqual(200, client.read_response().status)
        self.assertLess(len(waiting), 5)
        hold.release()
        for client in waiting:
            self.assertEqual(200, client.read_response().status)


if __name__ == "__main__":
    main()
