#!/usr/bin/env python3
"""HTTP/2 in cleartext, by clients that others have written: curl, nghttp, h2load, Python's h2."""

import collections
import json
import re

import h2.config
import h2.connection
import h2.events

from lib import SANITIZED, SluiceTest, main, pattern, wait_until
from lib.tools import PRIOR_KNOWLEDGE, h2load, nghttp_frames, run

TRAILERS = ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
            "0\r\nX-Sum: 42\r\n\r\n")


class CurlTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.process = self.sluice(self.app)

    def curl(self, path, *arguments, data=None):
        """The response's head and what follows it."""
        answer = run("curl", "-sS", "-i", PRIOR_KNOWLEDGE, *arguments, self.process.url(path),
                     data=data)
        head, _, rest = answer.partition(b"\r\n\r\n")
        return head.decode(), rest

    def test_get(self):
        self.app.on("/a", lambda x: x.reply(body=b"hello", fields={"X-Own": "1"}))
        head, body = self.curl("/a?b=c")
        self.assertTrue(head.startswith("HTTP/2 200 "), head)
        self.assertIn("\nx-own: 1", head)
        self.assertEqual(b"hello", body)
        request = self.app.last()
        self.assertEqual(("HTTP/1.1", "/a?b=c"), (request.version, request.target))
        self.assertEqual(self.process.address(), request.get("host"))
        self.assertEqual("2 sluice", request.get("via"))

    def test_head(self):
        self.app.on("/a", lambda x: x.reply(body=b"12345"))
        head, body = self.curl("/a", "--head")
        self.assertIn("content-length: 5", head)
        self.assertEqual(b"", body)
        self.assertEqual("HEAD", self.app.last().method)

    def test_statuses_without_a_body(self):
        for status in (204, 304):
            with self.subTest(status):
                self.app.on("/", lambda x, status=status: x.reply(status))
                head, body = self.curl("/")
                self.assertTrue(head.startswith(f"HTTP/2 {status} "), head)
                self.assertEqual(b"", body)

    def test_uploads(self):
        data = pattern(5_000_000)
        for framing, arguments in (("content-length", ("-X", "POST", "--data-binary", "@-")),
                                   ("transfer-encoding", ("-X", "POST", "-T", "-"))):
            with self.subTest(framing):
                _, body = self.curl("/", *arguments, data=data)
                self.assertEqual(b"ok", body)
                request = self.app.last()
                self.assertEqual("POST", request.method)
                self.assertTrue(data == request.body, f"{len(request.body)} bytes have arrived")
                framings = {"content-length": str(len(data)), "transfer-encoding": "chunked"}
                for name, value in framings.items():
                    self.assertEqual(value if name == framing else None, request.get(name))

    def test_a_download(self):
        data = pattern(10_000_000)
        self.app.on("/", lambda x: x.reply(body=data))
        _, body = self.curl("/")
        self.assertTrue(data == body, f"{len(body)} bytes have arrived")

    def test_trailers(self):
        self.app.on("/", lambda x: x.send(TRAILERS))
        _, rest = self.curl("/", "-H", "TE: trailers")
        self.assertEqual(b"hellox-sum: 42\r\n", rest)
        self.assertEqual("trailers", self.app.last().get("te"))

    def test_expect_100_continue(self):
        def ask(x):
            x.send("HTTP/1.1 100 Continue\r\n\r\n")
            x.reply()
        self.app.on("/", ask)
        head, rest = self.curl("/", "-H", "Expect: 100-continue", "--data-binary", "@-",
                               data=b"data")
        self.assertEqual("HTTP/2 100 ", head)
        self.assertTrue(rest.startswith(b"HTTP/2 200 "), rest)
        self.assertEqual(b"data", self.app.last().body)

    def test_an_error_of_ours(self):
        self.app.on("/", lambda x: x.reset())
        head, body = self.curl("/")
        self.assertTrue(head.startswith("HTTP/2 502 "), head)
        self.assertTrue(body.startswith(b"502 Bad Gateway: "), body)

    def test_many_at_a_time(self):
        # Where curl may put several requests on one connection, by prior knowledge, its 7.88 breaks
        # them all; so each has its own here.
        answers = run("curl", "-sS", PRIOR_KNOWLEDGE, "--parallel", "--parallel-immediate",
                      "-o", "/dev/null", "-w", "%{http_version} %{response_code}\\n",
                      self.process.url("/[1-50]")).split(b"\n")[:-1]
        self.assertEqual([b"2 200"] * 50, answers)
        self.assertEqual(50, len({request.path for request in self.app.requests}))

    def test_an_upgrade_to_h2c_is_not_for_us_nor_for_the_origin(self):
        # RFC 9113 3.1: obsolete. Passed on, it would be a way around the proxy.
        answer = run("curl", "-sS", "-i", "--http2", self.process.url())
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        request = self.app.last()
        self.assertEqual([None] * 2, [request.get("upgrade"), request.get("http2-settings")])


class ToolsTest(SluiceTest):
    IN = "127.0.0.1:0"  # the name of an embedded process's listener

    def setUp(self):
        super().setUp()
        self.app = self.origin()

    def test_nghttp(self):
        self.app.on("/trailers", lambda x: x.send(TRAILERS))
        self.app.on("/large", lambda x: x.reply(body=pattern(1_000_000)))
        process = self.sluice(self.app)
        urls = [process.url(path) for path in ("/a", "/trailers", "/large", "/b")]
        text = run("nghttp", "-nv", *urls)
        self.assertIn(b"x-sum: 42", text)
        frames = nghttp_frames(text)
        asked = [stream for direction, kind, stream in frames if direction == "send"
                 and kind == "HEADERS"]
        answered = [stream for direction, kind, stream in frames if direction == "recv"
                    and kind == "HEADERS"]
        self.assertEqual(4, len(asked))
        self.assertEqual(sorted(asked + [asked[1]]), sorted(answered), "one has trailers, too")
        self.assertEqual(4, len(re.findall(rb"recv .*\n +; END_STREAM", text)))
        self.assertEqual({"SETTINGS", "WINDOW_UPDATE", "HEADERS", "DATA"},
                         {kind for direction, kind, _ in frames if direction == "recv"},
                         "nothing was reset, and no GOAWAY came")

    def test_nghttp_uploads(self):
        process = self.sluice(self.app)
        data = self.directory / "data"
        data.write_bytes(pattern(300_000))
        run("nghttp", "-n", "-m5", f"--data={data}", process.url("/up"))
        self.assertEqual([300_000] * 5, [len(x.body) for x in self.app.seen("/up")])

    def test_h2load(self):
        process = self.embedded("--workers", "2")
        requests = 4_000 if SANITIZED else 20_000
        result = h2load(f"-n{requests}", "-c8", "-m16", process.url("/bytes/1000"))
        self.assertEqual((requests, 0, 0), (result.succeeded, result.failed, result.other))
        self.assertEqual(requests, process.metric("sluice_requests_total", listener=self.IN,
                                                  **{"class": "2xx"}))
        self.assertEqual(8, process.metric("sluice_connections_total", listener=self.IN))

    def test_h2load_with_bodies_both_ways(self):
        process = self.embedded("--workers", "2")
        data = self.directory / "data"
        data.write_bytes(pattern(100_000))
        result = h2load("-n200", "-c4", "-m8", "-d", data, process.url("/echo"))
        self.assertEqual((200, 0), (result.succeeded, result.failed))
        for direction in ("request", "response"):
            self.assertEqual(200 * 100_000, process.metric(f"sluice_{direction}_body_bytes_total",
                                                           listener=self.IN))

    def test_h2load_wants_more_streams_than_there_are(self):
        process = self.embedded("--set", "listeners.0.http2.max_concurrent_streams=3")
        result = h2load("-n500", "-c2", "-m50", process.url("/bytes/100"))
        # It opens its 50 before it has read SETTINGS, so those beyond 3 are refused, but once.
        self.assertLessEqual(result.failed, 2 * 47)
        self.assertEqual(500, result.succeeded + result.failed)
        self.assertEqual(result.succeeded, process.metric("sluice_requests_total",
                                                          listener=self.IN))


class Library:
    """A connection of Python's h2, which judges what it is sent and keeps to what it is allowed."""

    def __init__(self, client):
        self.client = client
        self.h2 = h2.connection.H2Connection(
            config=h2.config.H2Configuration(header_encoding="utf-8"))
        self.heads, self.trailers, self.interim = {}, {}, {}
        self.bodies = collections.defaultdict(bytearray)
        self.ended, self.reset = set(), {}
        self.settings = False
        self.h2.initiate_connection()
        self.pump_until(lambda: self.settings)

    def pump_until(self, condition):
        self.client.send(self.h2.data_to_send())
        while not condition():
            for event in self.h2.receive_data(self.client.read_some()):
                self._take(event)
            self.client.send(self.h2.data_to_send())

    def _take(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[stream] = dict(event.headers)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            self.interim[stream] = dict(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailers[stream] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[stream] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(stream)
        elif isinstance(event, h2.events.StreamReset):
            self.reset[stream] = event.error_code
            self.ended.add(stream)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings = True

    def request(self, path="/", method="GET", fields=(), end=True):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [
            (":method", method), (":scheme", "http"), (":authority", "h.test"), (":path", path),
            *fields], end_stream=end)
        return stream

    def send_body(self, stream, data, end=True):
        while data:
            self.pump_until(lambda: self.h2.local_flow_control_window(stream) > 0)
            size = min(len(data), self.h2.local_flow_control_window(stream),
                       self.h2.max_outbound_frame_size)
            self.h2.send_data(stream, data[:size])
            data = data[size:]
        if end:
            self.h2.end_stream(stream)

    def wait(self, *streams):
        self.pump_until(lambda: self.ended >= set(streams))
        return [int(self.heads[stream][":status"]) for stream in streams]


class LibraryTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.process = self.sluice(self.app)
        self.python_h2 = Library(self.connect(self.process))

    def test_streams_end_in_the_order_of_their_responses(self):
        hold = self.app.hold("/slow")
        slow = self.python_h2.request("/slow")
        quick = [self.python_h2.request(f"/{i}") for i in range(20)]
        self.assertEqual([200] * 20, self.python_h2.wait(*quick))
        self.assertNotIn(slow, self.python_h2.heads)
        hold.release()
        self.assertEqual([200], self.python_h2.wait(slow))

    def test_an_upload_and_trailers_both_ways(self):
        self.app.on("/", lambda x: (x.read_body(), x.send(TRAILERS)))
        data = pattern(500_000)
        stream = self.python_h2.request("/", "POST", [("te", "trailers")], end=False)
        self.python_h2.send_body(stream, data, end=False)
        self.python_h2.h2.send_headers(stream, [("x-check", "1")], end_stream=True)
        self.assertEqual([200], self.python_h2.wait(stream))
        self.assertEqual({"x-sum": "42"}, self.python_h2.trailers[stream])
        request = self.app.last()
        self.assertTrue(data == request.body)
        self.assertEqual([("x-check", "1")],
                         [(name.lower(), value) for name, value in request.trailers])

    def test_uploads_and_downloads_at_once(self):
        self.app.on("/down", lambda x: x.reply(body=pattern(700_000)))
        downs = [self.python_h2.request("/down") for _ in range(5)]
        ups = [self.python_h2.request(f"/up/{i}", "PUT", end=False) for i in range(5)]
        for number, stream in enumerate(ups):
            self.python_h2.send_body(stream, pattern(200_000 + number))
        self.assertEqual([200] * 10, self.python_h2.wait(*ups, *downs))
        for stream in downs:
            self.assertTrue(pattern(700_000) == self.python_h2.bodies[stream])
        for number in range(5):
            self.assertEqual(200_000 + number, len(self.app.seen(f"/up/{number}")[0].body))

    def test_interim_responses(self):
        def hint(x):
            x.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
            x.reply()
        self.app.on("/", hint)
        stream = self.python_h2.request()
        self.assertEqual([200], self.python_h2.wait(stream))
        self.assertEqual({":status": "103", "link": "</a.css>"}, self.python_h2.interim[stream])

    def test_cookies_become_one_field(self):
        # RFC 9113 8.2.3: HTTP/1.1 has one Cookie.
        self.python_h2.wait(self.python_h2.request(fields=[("cookie", "a=1"), ("cookie", "b=2")]))
        self.assertEqual("a=1; b=2", self.app.last().get("cookie"))

    def test_a_response_that_breaks_off_is_reset(self):
        def break_off(x):
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            x.close()
        self.app.on("/broken", break_off)
        broken, good = self.python_h2.request("/broken"), self.python_h2.request("/good")
        self.assertEqual([200, 200], self.python_h2.wait(broken, good))
        self.assertEqual([broken], list(self.python_h2.reset))
        self.assertEqual(b"ok", self.python_h2.bodies[good])

    def test_a_request_that_is_taken_back_is_taken_from_the_origin(self):
        ends = []
        self.app.on("/slow", lambda x: ends.append(x.wait_for_end()))
        slow = self.python_h2.request("/slow")
        self.python_h2.pump_until(lambda: True)
        wait_until(lambda: self.app.seen("/slow"), "it has reached the origin")
        self.python_h2.h2.reset_stream(slow)
        self.assertEqual([200], self.python_h2.wait(self.python_h2.request("/")))
        wait_until(lambda: ends, "the origin is told by the end")

    def test_what_is_said_about_it(self):
        hold = self.app.hold("/slow")
        slow = self.python_h2.request("/slow")
        self.assertEqual([200] * 2, self.python_h2.wait(*[self.python_h2.request(f"/{i}")
                                                        for i in range(2)]))
        hold.wait_arrived()
        connection, = self.process.admin_json("/connections")["connections"]
        expected = {"listener": "in", "peer": self.python_h2.client.name, "state": "busy",
                    "requests": 3}
        self.assertEqual(expected, expected | {key: connection[key] for key in expected})
        stream, = connection["in_flight"]
        self.assertEqual(("http2", "default/0", "response from the upstream"),
                         (stream["protocol"], stream["route"], stream["waiting_for"]))
        hold.release()
        self.python_h2.wait(slow)
        log = self.directory / "access.log"
        wait_until(lambda: log.read_text(encoding="utf-8").count("\n") == 3, "all are logged")
        for line in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
            self.assertEqual(("HTTP/2", "http2", "h.test", 200, "complete"),
                             tuple(line[key] for key in ("protocol", "kind", "authority", "status",
                                                         "end")))

    def test_a_line_of_ones_own(self):
        log = self.directory / "own.log"
        process = self.sluice(self.app, access_log={
            "path": str(log), "format": "text", "text_format": "%METHOD% %PATH% %PROTOCOL%"})
        library = Library(self.connect(process))
        library.wait(library.request("/two"))
        self.connect(process).ask("GET", "/one")
        wait_until(lambda: log.read_text(encoding="utf-8").count("\n") == 2, "both are logged")
        self.assertEqual(["GET /two HTTP/2", "GET /one HTTP/1.1"],
                         log.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    main()
