#!/usr/bin/env python3
"""SIGTERM in the middle of HTTP/2 load: nothing that was accepted is lost."""

import collections
import json
import subprocess
import threading

from lib import BOUND, SANITIZED, SluiceTest, main, wait_until
from lib.h2frames import headers, request
from lib.h2watch import NOTICE, Watched
from lib.tools import loaded


class H2loadTest(SluiceTest):
    """h2load takes GOAWAY to its word and never connects anew, so most of its requests are never
    sent, and it reports those as failed along with any that are lost. They are told apart by the
    access log, which has a line for every request whose first byte came, and each must say that its
    response was whole."""

    def drain_under_load(self, delay):
        log = self.directory / f"access{len(self.processes)}.log"
        process = self.embedded("--workers", "2", "--set", f"access_log={log}",
                                "--set", f"drain.propagation_delay={delay}",
                                "--set", "drain.linger=20s")
        child = subprocess.Popen(
            ["h2load", "-t1", "-c8", "-m16", "-n10000000", process.url("/bytes/1000")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)
        enough = 500 if SANITIZED else 5000
        wait_until(lambda: process.metric("sluice_requests_total", listener="127.0.0.1:0") > enough,
                   "the load is under way")
        process.signal()
        text, _ = child.communicate(timeout=3 * BOUND)
        result = loaded(text)
        self.assertEqual(0, process.wait_exit())
        report = process.report()
        self.assertEqual(0, report["cut"]["total"], report)
        self.assertFalse(any(phase["overrun"] for phase in report["phases"]), report)
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        ends = collections.Counter((line["kind"], line["status"], line["end"]) for line in lines
                                   if line["listener"] == "127.0.0.1:0")
        # Whatever was accepted ended well; a log that has no room leaves out lines, and adds none.
        self.assertEqual({("http2", 200, "complete")}, set(ends))
        self.assertLessEqual(sum(ends.values()), result.succeeded)
        self.assertEqual(0, result.other)
        self.assertEqual(result.total, result.succeeded + result.failed)
        return result.succeeded, report["in_flight_at_start"]["total"]

    def test_nothing_that_was_sent_is_lost(self):
        answered = in_flight = 0
        for delay in ("0s", "100ms") * 2:
            with self.subTest(propagation_delay=delay):
                counts = self.drain_under_load(delay)
                answered += counts[0]
                in_flight += counts[1]
        print(f"h2load: {answered} sent and answered, 4 drains with {in_flight} in flight, 0 lost")


class Streams(threading.Thread):
    """Asks on a few streams at a time until told to go, and then for as long as that is allowed:
    until the PING behind the first GOAWAY is answered. Whatever was asked has to be answered."""

    WIDTH = 8

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.answered = 0
        self.error = None
        self.start()

    def run(self):
        try:
            with Watched(self.address) as h2:
                self._ask(h2)
        except Exception as error:  # told by the test
            self.error = error

    def _ask(self, h2):
        h2.answers_pings = False
        stream, open_streams, noticed = 1, set(), False
        while open_streams or not noticed:
            while not noticed and len(open_streams) < self.WIDTH:
                h2.open(stream, headers(stream, request(f"/bytes/{stream % 1000}")))
                open_streams.add(stream)
                stream += 2
            if h2.goaways and not noticed:
                h2.answer(h2.wait_noticed())  # behind all that was asked for
                noticed = True
            h2.pump_until(lambda: any(h2.answers[one].whole for one in open_streams),
                          "one of the responses")
            for one in [one for one in open_streams if h2.answers[one].whole]:
                open_streams.remove(one)
                self._judge(h2, one, h2.answers.pop(one))
        h2.expect_end()
        last = stream - 2
        if h2.goaways != [NOTICE, (last, 0)] or h2.ended_by != "fin":
            raise AssertionError(f"{h2.goaways} and {h2.ended_by} after stream {last}")

    def _judge(self, h2, stream, answer):
        if answer.status != 200 or len(answer.body) != stream % 1000:
            raise AssertionError(f"stream {stream}: {answer}")
        # Give back what was taken of the connection's window.
        if answer.body:
            h2.send(h2.allow(0, len(answer.body)))
        self.answered += 1


class StreamsTest(SluiceTest):
    def test_streams_that_cross_the_goaway(self):
        answered = 0
        for _ in range(3):
            process = self.embedded("--workers", "2", "--set", "drain.linger=20s")
            clients = [Streams(process.address()) for _ in range(6)]
            wait_until(lambda: all(x.error or x.answered > 50 for x in clients),
                       "the load is under way")
            process.signal()
            for client in clients:
                client.join(3 * BOUND)
                self.assertFalse(client.is_alive(), "a client that still waits")
                self.assertIsNone(client.error)
            self.assertEqual(0, process.wait_exit())
            report = process.report()
            self.assertEqual((0, 6), (report["cut"]["total"], report["told"]))
            answered += sum(client.answered for client in clients)
        print(f"{answered} answered on 18 connections, 3 drains, 0 lost")


if __name__ == "__main__":
    main()
