#!/usr/bin/env python3
"""The client of `script/bench resilience` tells what became of its requests, and the bench what Sluice
has missed."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import unittest

ROOT = pathlib.Path(os.environ.get("SLUICE_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench"))

import resilience as bench  # pylint: disable=wrong-import-position

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request of a connection as `answers` says, in turn; None ends the connection."""

    def __init__(self, *answers):
        self.answers = answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        turn = 0
        with connection, connection.makefile("rb") as reader:
            while True:
                length = 0
                line = reader.readline()
                if not line:
                    return
                while line not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                    line = reader.readline()
                reader.read(length)
                answer = self.answers[turn % len(self.answers)]
                turn += 1
                if answer is None:
                    return
                connection.sendall(answer)


class ClientTest(unittest.TestCase):
    def count(self, *answers, methods="1 1"):
        server = Server(*answers)
        self.addCleanup(server.listener.close)
        child = subprocess.Popen(
            [sys.executable, bench.CLIENT, str(server.port), *methods.split(), "1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assertEqual("open\n", child.stdout.readline())
        threading.Event().wait(0.3)  # of load
        text, _ = child.communicate("", timeout=30)
        return json.loads(text.splitlines()[-1])

    def test_all_is_well(self):
        counts = self.count(OK)
        for one in counts.values():
            self.assertGreater(one["sent"], 10)
            self.assertEqual((one["sent"], {}), (one["ok"], one["failed"]))
            self.assertLessEqual(one["p50_us"], one["p99_us"])

    def test_other_statuses_have_failed(self):
        counts = self.count(OK, OK.replace(b"200", b"502"))
        for one in counts.values():
            self.assertGreater(one["failed"]["status 502"], 3)
            self.assertEqual(one["sent"], one["ok"] + one["failed"]["status 502"])

    def test_a_get_whose_connection_ends_is_asked_again_and_a_post_is_lost(self):
        counts = self.count(OK, None)
        self.assertEqual({}, counts["GET"]["failed"])
        self.assertGreater(counts["POST"]["failed"]["broken off"], 3)

    def test_a_fresh_connection_that_ends_is_a_failure_of_both(self):
        counts = self.count(None)
        for one in counts.values():
            self.assertEqual(0, one["ok"])
            self.assertEqual(one["sent"], one["failed"]["broken off"])


class VerdictTest(unittest.TestCase):
    @staticmethod
    def counts(get, post, sent=1000):
        return {method: {"sent": sent, "ok": sent - failed,
                         "failed": {"status 502": failed} if failed else {}}
                for method, failed in (("GET", get), ("POST", post))}

    def test_no_get_may_fail(self):
        self.assertEqual(["quit: 1 GETs failed"],
                         bench.verdict({("sluice", "quit"): (self.counts(1, 0), 4)}))

    def test_no_more_may_fail_than_of_others(self):
        results = {("sluice", "kill"): (self.counts(0, 30), 4),
                   ("nginx", "kill"): (self.counts(5, 9), 4),
                   ("haproxy", "kill"): (self.counts(0, 29), 4)}
        self.assertEqual(["kill: 30 of 1000 POST failed, of nginx's 9 of 1000"],
                         bench.verdict(results))

    def test_a_handful_more_is_chance(self):
        results = {("sluice", "kill"): (self.counts(0, 14), 4),
                   ("nginx", "kill"): (self.counts(0, 5), 4)}
        self.assertEqual([], bench.verdict(results))

    def test_rounds_add_up(self):
        total = {}
        latencies = {"p50_us": 1, "p99_us": 2, "p999_us": 3, "worst_us": 4}
        for worst in (9, 4):
            one = self.counts(2, 3)
            for counts in one.values():
                counts.update(latencies, worst_us=worst)
            bench.add(total, one)
        self.assertEqual((2000, 4, 9), (total["GET"]["sent"], bench.failures(total["GET"]),
                                        total["GET"]["worst_us"]))


if __name__ == "__main__":
    unittest.main()
