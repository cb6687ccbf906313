#!/usr/bin/env python3
"""HTTP/2 towards upstreams, for clients of both protocols: in front of a scripted origin and of
nghttpd."""

import unittest

from lib import SANITIZED, SluiceTest, main, pattern, wait_until
from lib.h2upstream import HTTP2, UpstreamTest
from lib.tools import NGHTTPD, PRIOR_KNOWLEDGE, h2load, run, start_nghttpd


class PairTest(UpstreamTest):
    """Each is asked by a client of HTTP/1.1 and by one of HTTP/2."""

    def setUp(self):
        super().setUp()
        self.serve()

    def both(self, *arguments, path="/", data=None):
        """curl's (version, status, head, body) by either protocol."""
        for version, option in (("1.1", "--http1.1"), ("2", PRIOR_KNOWLEDGE)):
            answer = run("curl", "-sS", "-i", option, *arguments, self.process.url(path), data=data)
            head, _, body = answer.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/" + version.encode() + b" "), head)
            yield head.decode().lower(), body

    def test_get(self):
        self.app.on("/a", lambda x: x.reply(body=b"hello", fields={"x-own": "1"}))
        for head, body in self.both(path="/a?b=c"):
            self.assertIn("\nx-own: 1", head)
            self.assertEqual(b"hello", body)
            request = self.app.last()
            self.assertEqual(("GET", "/a?b=c", "http", self.process.address()),
                             (request.method, request.target, request.scheme, request.authority))
            self.assertEqual([None] * 3, [request.get(name) for name in
                                          ("host", "connection", "transfer-encoding")])

    def test_head(self):
        self.app.on("/", lambda x: x.reply(body=b"12345"))
        for head, body in self.both("--head"):
            self.assertIn("content-length: 5", head)
            self.assertEqual(b"", body)

    def test_statuses_without_a_body(self):
        for status in (204, 304):
            self.app.on("/", lambda x, status=status: x.reply(status))
            for head, body in self.both():
                self.assertIn(f" {status} ", head)
                self.assertEqual(b"", body)

    def test_uploads(self):
        whole = pattern(5_000_000)
        for arguments, length in ((("--data-binary", "@-"), str(len(whole))), (("-T", "-"), None)):
            for _, body in self.both("-X", "POST", "-H", "Expect:", *arguments, data=whole):
                self.assertEqual(b"ok", body)
                request = self.app.last()
                self.assertTrue(whole == bytes(request.body), f"{len(request.body)} bytes")
                self.assertEqual(length, request.get("content-length"))

    def test_a_download(self):
        whole = pattern(10_000_000)
        self.app.on("/", lambda x: x.reply(body=whole))
        for _, body in self.both():
            self.assertTrue(whole == body, f"{len(body)} bytes have arrived")

    def test_trailers(self):
        def answer(x):
            x.read_body()
            x.begin()
            x.send(b"hello")
            x.end([("x-sum", "42")])
        self.app.on("/", answer)
        for _, body in self.both("-H", "TE: trailers"):
            self.assertIn(b"hello", body)
            self.assertIn(b"x-sum: 42", body.lower())
            self.assertEqual("trailers", self.app.last().get("te"))

    def test_interim_responses(self):
        def answer(x):
            x.begin(103, {"link": "</a.css>"})
            x.reply()
        self.app.on("/", answer)
        for head, rest in self.both():
            self.assertIn(" 103 ", head)
            self.assertIn("link: </a.css>", head)
            self.assertIn(b"ok", rest)

    def test_an_answer_before_the_end_of_the_request(self):
        self.app.on("/", lambda x: (
            x.begin(403, {"content-length": "3"}), x.send(b"no\n", end=True)))
        answer = self.h2.upload(1)
        self.h2.pump_until(lambda: answer.ended, "the response")
        self.assertEqual((403, b"no\n"), (answer.status, answer.body))
        self.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        answer = self.client.read_response()
        self.assertEqual((403, b"no\n"), (answer.status, answer.body))

    def test_large_heads(self):
        large = "x" * 30_000
        self.app.on("/", lambda x: x.reply(fields={"x-back": x.get("x-large")}))
        for head, _ in self.both("-H", f"X-Large: {large}"):
            self.assertIn(f"x-back: {large}", head)

    def test_many_at_once_on_one_connection(self):
        hold = self.app.hold("/slow")
        for stream in range(1, 60, 2):
            self.h2.ask(stream, "/slow")
        clients = [self.connect(self.process) for _ in range(20)]
        for client in clients:
            client.request("GET", "/slow")
        hold.wait_arrived(50)
        self.assertEqual(1, len(self.app.connections))
        hold.release()
        for stream in range(1, 60, 2):
            self.h2.expect_response(stream, body=b"ok")
        for client in clients:
            self.assertEqual(b"ok", client.read_response().body)

    def test_a_slow_reader_does_not_stop_the_others(self):
        self.app.on("/large", lambda x: x.reply(body=pattern(3_000_000)))
        slow = self.open()
        answer = slow.ask(1, "/large")
        slow.pump_until(lambda: len(answer.body) == 65_535, "all that the windows allow")
        for stream in range(1, 40, 2):
            self.h2.get(stream)
        self.assertEqual(1, len(self.app.connections))
        while len(answer.body) < 3_000_000:
            seen = len(answer.body)
            slow.send(slow.allow(0, 500_000) + slow.allow(1, 500_000))
            slow.pump_until(lambda seen=seen: len(answer.body) > seen, "more of the body")
        slow.expect_response(1, body=pattern(3_000_000))


class LimitTest(UpstreamTest):
    def test_further_connections_where_the_upstream_takes_few_streams(self):
        self.serve(max_streams=2)
        self.h2.get(1)  # now it is known
        hold = self.app.hold("/slow")
        for stream in range(3, 15, 2):
            self.h2.ask(stream, "/slow")
        hold.wait_arrived(6)
        self.assertEqual(3, len(self.app.connections))
        hold.release()
        for stream in range(3, 15, 2):
            self.h2.expect_response(stream)
        self.assertEqual([2, 2, 2], [one.most_open for one in self.app.connections])

    def test_a_queue_where_there_may_be_no_further_connection(self):
        self.serve(max_streams=2, cluster={"max_connections": 1})
        self.h2.get(1)
        for stream in range(3, 43, 2):
            self.h2.ask(stream, f"/{stream}")
        for stream in range(3, 43, 2):
            self.h2.expect_response(stream)
        self.assertEqual([2], [one.most_open for one in self.app.connections])

    def test_a_limit_of_our_own(self):
        self.serve(cluster={"http2": {"max_concurrent_streams": 3}})
        hold = self.app.hold("/slow")
        for stream in range(1, 13, 2):
            self.h2.ask(stream, "/slow")
        hold.wait_arrived(6)
        self.assertEqual([3, 3], [one.most_open for one in self.app.connections])
        hold.release()
        for stream in range(1, 13, 2):
            self.h2.expect_response(stream)


@unittest.skipUnless(NGHTTPD, "nghttpd is not installed")
class NghttpdTest(SluiceTest):
    def serve(self, *arguments):
        files = self.directory / "files"
        files.mkdir()
        (files / "large").write_bytes(pattern(3_000_000))
        (files / "small").write_bytes(pattern(1000))
        address = start_nghttpd(self, files, "--no-tls", *arguments)
        self.process = self.sluice(cluster=HTTP2 | {"endpoints": [address]})
        wait_until(lambda: self.connect(self.process).ask("GET", "/small").status == 200,
                   "nghttpd listens")

    def test_downloads(self):
        self.serve()
        for option in ("--http1.1", PRIOR_KNOWLEDGE):
            with self.subTest(option):
                self.assertTrue(pattern(3_000_000) ==
                                run("curl", "-sS", option, self.process.url("/large")))

    def test_uploads(self):
        self.serve("--echo-upload")
        for option in ("--http1.1", PRIOR_KNOWLEDGE):
            with self.subTest(option):
                body = run("curl", "-sS", option, "--data-binary", "@-", "-H", "Expect:",
                           self.process.url("/up"), data=pattern(3_000_000))
                self.assertTrue(pattern(3_000_000) == body, f"{len(body)} bytes have come back")

    def test_trailers_behind_a_content_length(self):
        self.serve("--trailer=x-sum: 42")
        text = run("nghttp", "-nv", self.process.url("/small"))
        self.assertRegex(text, rb"(?s)content-length: 1000.*x-sum: 42.*; END_STREAM")

    def test_h2load(self):
        self.serve()
        requests = 1000 if SANITIZED else 5000
        before = self.process.metric("sluice_upstream_connections_total")
        for more in (("-m16",), ("--h1",)):
            with self.subTest(more):
                result = h2load(f"-n{requests}", "-c8", *more, self.process.url("/small"))
                self.assertEqual((requests, 0, 0), (result.succeeded, result.failed, result.other))
        opened = self.process.metric("sluice_upstream_connections_total") - before
        self.assertLessEqual(opened, 2 * 2, "two for each worker carry all of it")

    def test_h2load_where_the_upstream_takes_few_streams(self):
        self.serve("--max-concurrent-streams=4")
        result = h2load("-n1000", "-c4", "-m32", self.process.url("/small"))
        self.assertEqual((1000, 0, 0), (result.succeeded, result.failed, result.other))


if __name__ == "__main__":
    main()
