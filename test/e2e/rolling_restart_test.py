#!/usr/bin/env python3
"""Two upstreams are restarted in turn, politely and by SIGKILL, while clients go on: no request that
may be sent twice fails, and of the others exactly those that cannot be."""

import collections
import json
import re
import signal
import subprocess
import time

from lib import SANITIZED, SluiceTest, main, wait_until
from lib.tools import loaded
from lib.upstreams import Posts, Upstream

_ROUNDS = 2 if SANITIZED else 4
_H2LOAD_REQUESTS = 6000 if SANITIZED else 40_000

# Longer than a request waits between its attempts (25 + 50 + 100 ms at most): in shorter turns it
# might meet an endpoint that is away each time.
_TURN = 0.2


class RollingRestartTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.journal = self.directory / "journal"
        self.upstreams = [Upstream(name, self.journal) for name in ("a", "b")]
        for upstream in self.upstreams:
            self.addCleanup(upstream.close)

    def serve(self, **retries):
        return self.sluice(*self.upstreams, cluster={
            "outlier_detection": {"base_ejection": "500ms"}, "circuit_breaker": {"min_retries": 64}},
            listener={"routes": [{"cluster": "app", "retries": {"attempts": 3, **retries}}]})

    def roll(self, process, number, rounds=_ROUNDS, over=lambda: False):
        """Restarts them in turn, each when the other serves again."""
        def answered():
            return process.metric("sluice_upstream_requests_total")
        for _ in range(rounds):
            for upstream in self.upstreams:
                enough = answered() + 30
                wait_until(lambda e=enough: over() or answered() > e, "the load goes on")
                time.sleep(_TURN)
                if over():
                    return
                upstream.restart(number)

    def wrk(self, process):
        """Goes on until it is interrupted: how long a roll takes is the machine's affair."""
        return subprocess.Popen(["wrk", "-t1", "-c20", "-d120s", process.url()],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_get_by_wrk(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(number.name):
                process = self.serve()
                wrk = self.wrk(process)
                self.addCleanup(wrk.kill)
                self.roll(process, number)
                wrk.send_signal(signal.SIGINT)
                text, _ = wrk.communicate(timeout=60)
                requests = int(re.search(r"(\d+) requests in", text)[1])
                print(f"{number.name}: wrk, {requests} requests, "
                      f"{process.metric('sluice_upstream_retries_total'):.0f} retries")
                self.assertNotIn("Non-2xx", text)
                self.assertNotIn("Socket errors", text)
                self.assertGreater(requests, 100)

    def test_get_over_http2_by_h2load(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(number.name):
                process = self.serve()
                h2load = subprocess.Popen(
                    ["h2load", "-t1", "-c4", "-m10", f"-n{_H2LOAD_REQUESTS}", process.url()],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.roll(process, number, 1000, lambda: h2load.poll() is not None)
                done = loaded(h2load.stdout.read())
                h2load.stdout.close()
                self.assertEqual((done.total, done.total, 0, 0), (
                    done.total, done.succeeded, done.failed, done.other))
                print(f"{number.name}: h2load, {done.total} requests, 0 failed, "
                      f"{process.metric('sluice_upstream_retries_total'):.0f} retries")

    def test_post(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(number.name):
                self.journal.write_text("", encoding="utf-8")
                process = self.serve()
                posts = Posts(process.address())
                self.roll(process, number)
                statuses = posts.stop()
                process.signal()
                self.assertEqual(0, process.wait_exit())
                carried_out = collections.Counter(self.journal.read_text().split())
                self.assertEqual([], [i for i, times in carried_out.items() if times > 1],
                                 "carried out twice")
                answered = [i for i, status in statuses.items() if status == 200]
                self.assertEqual([], [i for i in answered if i not in carried_out], "lost")
                failed = len(statuses) - len(answered)
                log = [json.loads(line) for line in
                       (self.directory / "access.log").read_text().splitlines()]
                told = [entry for entry in log if entry["method"] == "POST"
                        and entry["status"] != 200]
                self.assertEqual(failed, len(told), "what failed is on record, and nothing else")
                print(f"{number.name}: {len(statuses)} POSTs, {failed} failed, "
                      f"{sum(1 for i in statuses if i in carried_out) - len(answered)} of them "
                      "carried out")
                (self.directory / "access.log").unlink()


if __name__ == "__main__":
    main()
