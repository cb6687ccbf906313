#!/usr/bin/env python3
"""The drain as a real client of event streams sees it (curl)."""

import re
import subprocess
import threading

from lib import BOUND, SluiceTest, main, wait_until


class EventStreamDrainTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.stop = threading.Event()
        self.addCleanup(self.stop.set)
        self.app = self.origin()
        self.app.on("/events", self.events)

    def events(self, x):
        x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
               "Transfer-Encoding: chunked\r\n\r\n")
        number = 0
        while not self.stop.is_set():
            # An event in two chunks, so that a stream that is ended anywhere is seen to be.
            for part in (f"id: {number}\r\nda", f"ta: {number * 'x'}\r\n\r\n"):
                x.send(f"{len(part):x}\r\n{part}\r\n")
                self.stop.wait(0.005)
            number += 1

    def curl(self, *arguments):
        return subprocess.Popen(
            ["curl", "--silent", "--show-error", "--no-buffer", "--output", self.directory / "out",
             *arguments, self.process.url("/events")], stderr=subprocess.PIPE, text=True)

    def check(self, *arguments):
        route = {"match": {"prefix": "/"}, "cluster": "app",
                 "event_stream": {"retry": "2s", "retry_jitter": "1s"}}
        self.process = self.sluice(self.app, listener={"routes": [route]})
        client = self.curl(*arguments)
        out = self.directory / "out"
        wait_until(lambda: out.exists() and out.read_bytes().count(b"\r\n\r\n") > 10,
                   "some events have come")
        self.process.signal()
        _, error = client.communicate(timeout=BOUND)
        self.assertEqual((0, ""), (client.returncode, error), "the response is complete")
        self.assertEqual(0, self.process.wait_exit())
        events = out.read_bytes().decode().split("\r\n\r\n")
        retry = re.fullmatch(r"retry: (\d+)\n\n", events.pop())
        self.assertTrue(retry, events)
        self.assertTrue(2000 <= int(retry[1]) <= 3000, retry[1])
        self.assertEqual([f"id: {i}\r\ndata: {i * 'x'}" for i in range(len(events))], events)
        self.assertEqual({"told": 1, "left": 0, "lost": 0}, self.process.report()["long_lived"])

    def test_over_http1(self):
        self.check("--http1.1")

    def test_over_http2(self):
        self.check("--http2-prior-knowledge")


if __name__ == "__main__":
    main()
