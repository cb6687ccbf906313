#!/usr/bin/env python3
"""The drain as a browser sees it: a page in Chromium with a WebSocket and an EventSource, while one
process takes over from another at the same address."""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import unittest

from lib import BOUND, SluiceTest, main, wait_until

CHROMIUM = shutil.which("chromium")

PAGE = b"""<!doctype html><script>
const seen = {messages: 0, ids: [], opened: 0, closed: 0, close: null};
const tell = path => fetch(path, {method: "POST", body: JSON.stringify(seen)});
const socket = new WebSocket(`ws://${location.host}/socket`);
socket.onmessage = () => { ++seen.messages; };
socket.onclose = e => { seen.close = {code: e.code, clean: e.wasClean, reason: e.reason}; };
const source = new EventSource("/events");
source.onopen = () => { ++seen.opened; };
source.onerror = () => { if (source.readyState == EventSource.CLOSED) ++seen.closed; };
let talking = false, done = false, after = 0;
source.onmessage = e => {
  seen.ids.push(Number(e.lastEventId));
  if (!talking && seen.ids.length > 10 && seen.messages > 10) { talking = true; tell("/talking"); }
  if (seen.close && seen.opened > 1 && ++after > 20 && !done) { done = true; tell("/done"); }
};
</script>"""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@unittest.skipUnless(CHROMIUM, "there is no chromium")
class BrowserDrainTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.stop = threading.Event()
        self.addCleanup(self.stop.set)
        self.told = {}
        self.app = self.origin()
        self.app.on("/", lambda x: x.reply(body=PAGE, fields={"Content-Type": "text/html"}))
        self.app.on("/socket", self.socket)
        self.app.on("/events", self.events)
        for path in ("/talking", "/done"):
            self.app.on(path, self.hear)

    def hear(self, x):
        self.told[x.path] = json.loads(x.read_body())
        x.reply()

    def socket(self, x):
        key = x.get("sec-websocket-key").encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        x.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               f"Sec-WebSocket-Accept: {accept.decode()}\r\n\r\n")

        def talk():
            while not closed.wait(0.01):
                x.send(b"\x01\x05hello")
                x.send(b"\x80\x07, world")
        closed = threading.Event()
        talking = threading.Thread(target=talk)
        talking.start()
        try:
            close = x.connection.read_some()  # the page says nothing else
        finally:
            closed.set()
            talking.join()
        self.assertEqual(0x88, close[0])
        x.send(b"\x88\x02\x03\xe9")
        x.close()

    def events(self, x):
        x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
               "Transfer-Encoding: chunked\r\n\r\n")
        number = int(x.get("last-event-id", "-1"))
        while not self.stop.wait(0.005):
            number += 1
            for part in (f"id: {number}\nda", "ta: something\n\n"):
                x.send(f"{len(part):x}\r\n{part}\r\n")

    def browse(self, url):
        browser = subprocess.Popen(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", f"--user-data-dir={self.directory / 'profile'}",
             "--remote-debugging-port=0", url],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)

        def close():
            os.killpg(browser.pid, signal.SIGKILL)  # it is the leader of its own group
            browser.wait()
        self.addCleanup(close)

    def test_a_page_is_handed_over_in_silence(self):
        route = {"match": {"prefix": "/"}, "cluster": "app",
                 "event_stream": {"retry": "50ms", "retry_jitter": "50ms"}}
        config = self.config(self.app, listener={"routes": [route]})
        first = self.start(config)
        self.browse(first.url())
        wait_until(lambda: "/talking" in self.told,
                   lambda: f"the page has both: {[x.target for x in self.app.requests]}", 2 * BOUND)

        first.signal()
        self.assertEqual(0, first.wait_exit())
        config["listeners"][0]["address"] = first.address()
        second = self.start(config)
        wait_until(lambda: "/done" in self.told, "the page has come back", 2 * BOUND)
        seen = self.told["/done"]
        self.assertEqual({"code": 1001, "clean": True, "reason": "going away"}, seen["close"])
        self.assertEqual(0, seen["closed"], "the EventSource has never given up")
        self.assertEqual(list(range(len(seen["ids"]))), seen["ids"], "each event once, in order")
        self.assertEqual(0, first.report()["long_lived"]["lost"])
        self.assertTrue(second.running())


if __name__ == "__main__":
    main()
