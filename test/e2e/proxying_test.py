#!/usr/bin/env python3
"""HTTP/1 through the proxy, by curl and by hand: bodies, framing, 1xx, fields."""

import hashlib
import re
import subprocess

from lib import SluiceTest, main, wait_until


class CurlTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.process = self.sluice(self.app)

    def curl(self, path, *arguments, data=None):
        """The response's head and body."""
        answer = subprocess.run(
            ["curl", "-sS", "-i", "--max-time", "20", *arguments, self.process.url(path)],
            input=data, capture_output=True, check=False)
        self.assertEqual(0, answer.returncode, answer.stderr)
        head, _, body = answer.stdout.partition(b"\r\n\r\n")
        return head.decode(), body

    def test_get(self):
        self.app.on("/a", lambda x: x.reply(body=b"hello", fields={"X-Own": "1"}))
        head, body = self.curl("/a?b=c")
        self.assertTrue(head.startswith("HTTP/1.1 200 "), head)
        self.assertIn("X-Own: 1", head)
        self.assertEqual(b"hello", body)
        self.assertEqual("/a?b=c", self.app.last().target)

    def test_head(self):
        self.app.on("/a", lambda x: x.reply(body=b"12345"))
        head, body = self.curl("/a", "--head")
        self.assertIn("Content-Length: 5", head)
        self.assertEqual(b"", body)
        self.assertEqual("HEAD", self.app.last().method)

    def test_post_and_put(self):
        data = bytes(range(256)) * 1000
        for method in ("POST", "PUT", "PATCH"):
            with self.subTest(method):
                _, body = self.curl("/", "-X", method, "--data-binary", "@-", data=data)
                self.assertEqual(b"ok", body)
                request = self.app.last()
                self.assertEqual((method, data), (request.method, request.body))
                self.assertEqual(str(len(data)), request.get("content-length"))

    def test_delete_and_a_method_of_ones_own(self):
        for method in ("DELETE", "OPTIONS", "PROPFIND", "M-SEARCH"):
            with self.subTest(method):
                self.curl("/", "-X", method)
                self.assertEqual(method, self.app.last().method)

    def test_chunked_upload(self):
        data = b"0123456789" * 50_000
        self.curl("/", "-T", "-", "-H", "Expect:", data=data)
        request = self.app.last()
        self.assertEqual("chunked", request.get("transfer-encoding"))
        self.assertIsNone(request.get("content-length"))
        self.assertEqual(data, request.body)

    def test_expect_continue(self):
        def continue_then_reply(x):
            self.assertEqual("100-continue", x.get("expect").lower())
            x.send("HTTP/1.1 100 Continue\r\n\r\n")
            x.reply()
        self.app.on("/", continue_then_reply)
        data = b"x" * 300_000
        head, _ = self.curl("/", "-T", "-", "-H", "Expect: 100-continue",
                            "--expect100-timeout", "15", data=data)
        self.assertEqual(1, head.count("100 Continue"), head)
        self.assertEqual(data, self.app.last().body)

    def test_bodiless_statuses(self):
        for status in (204, 304):
            with self.subTest(status):
                self.app.on("/s", lambda x, s=status: x.reply(s, fields={"ETag": '"1"'}))
                head, body = self.curl("/s")
                self.assertIn(f" {status} ", head)
                self.assertIn('ETag: "1"', head)
                self.assertNotIn("chunked", head)
                self.assertEqual(b"", body)

    def test_http_1_0(self):
        self.app.on("/", lambda x: x.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
        head, body = self.curl("/", "--http1.0")
        self.assertEqual(b"hello", body)
        self.assertNotIn("chunked", head, "HTTP/1.0 has no chunks")
        self.assertEqual("HTTP/1.1", self.app.last().version)

    def test_connections_are_kept(self):
        answer = subprocess.run(
            ["curl", "-sS", "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", "-w",
             "%{num_connects} ", *[self.process.url(f"/{i}") for i in range(3)]],
            capture_output=True, check=True)
        self.assertEqual(b"1 0 0 ", answer.stdout, "connections that curl made for each")
        self.assertEqual(1, self.app.connections)

    def test_a_large_body_arrives_whole_both_ways(self):
        data = hashlib.sha256(b"seed").digest() * 100_000
        self.app.on("/mirror", lambda x: x.reply(body=x.read_body()))
        _, body = self.curl("/mirror", "--data-binary", "@-", "-H", "Expect:", data=data)
        self.assertEqual(hashlib.sha256(data).digest(), hashlib.sha256(body).digest())


class FramingTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.process = self.sluice(self.app)
        self.client = self.connect(self.process)

    def test_chunks_pass_as_they_come(self):
        pieces = self.app.hold("/", lambda x: x.send("5\r\nworld\r\n0\r\n\r\n"))

        def first_half(x):
            x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            pieces(x)
        self.app.on("/", first_half)
        self.client.request()
        head = self.client.read_head()
        self.assertEqual("chunked", head.get("transfer-encoding"))
        self.assertEqual(b"5\r\nhello\r\n", self.client.read_exactly(10), "while the rest waits")
        pieces.release()
        self.assertEqual(b"5\r\nworld\r\n0\r\n\r\n", self.client.read_exactly(15))

    def test_trailers_of_a_response(self):
        self.app.on("/", lambda x: x.send(
            "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
            "2\r\nhi\r\n0\r\nX-Sum: 42\r\nContent-Length: 7\r\n\r\n"))
        answer = self.client.ask(fields={"TE": "trailers", "Connection": "TE"})
        self.assertEqual((b"hi", [("X-Sum", "42")]), (answer.body, answer.trailers))
        self.assertEqual([], self.client.ask().trailers, "for a client that did not ask")

    def test_trailers_of_a_request(self):
        self.client.send(f"POST / HTTP/1.1\r\nHost: {self.client.host}\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n"
                         "2\r\nhi\r\n0\r\nX-Sum: 42\r\nHost: evil\r\n\r\n")
        self.assertEqual(200, self.client.read_response().status)
        request = self.app.last()
        self.assertEqual((b"hi", [("X-Sum", "42")]), (request.body, request.trailers))

    def test_a_response_until_close(self):
        def until_close(x):
            x.send("HTTP/1.1 200 OK\r\n\r\nall of it")
            x.close()
        self.app.on("/", until_close)
        self.assertEqual(b"all of it", self.client.ask().body)
        self.assertEqual(b"all of it", self.client.ask().body, "the client's connection is kept")
        self.client.request(version="1.0")
        answer = self.client.read_response()
        self.assertEqual((b"all of it", True), (answer.body, answer.closes))

    def test_http_1_0_by_hand(self):
        self.client.send("GET / HTTP/1.0\r\n\r\n")
        answer = self.client.read_response()
        self.assertEqual((200, b"ok"), (answer.status, answer.body))
        self.assertEqual("fin", self.client.ended())
        self.assertEqual("1.0 sluice", self.app.last().get("via"))

        client = self.connect(self.process)
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual("keep-alive", client.read_response().get("connection").lower())
        self.assertEqual(200, client.ask().status)

    def test_early_hints_are_passed_on(self):
        def hint(x):
            x.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: X-Hop\r\n"
                   "X-Hop: 1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
            x.reply()
        self.app.on("/", hint)
        answer = self.client.ask()
        self.assertEqual([103, 102], [interim.status for interim in answer.interim])
        self.assertEqual("</a.css>", answer.interim[0].get("link"))
        self.assertIsNone(answer.interim[0].get("x-hop"))
        self.assertEqual(b"ok", answer.body)
        self.client.request(version="1.0")
        self.assertEqual([], self.client.read_response().interim, "HTTP/1.0 has no 1xx")

    def test_an_expectation_that_the_origin_refuses(self):
        def refuse(x):
            x.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
            x.close()
        self.app.on("/", refuse)
        self.client.send(f"PUT / HTTP/1.1\r\nHost: {self.client.host}\r\nContent-Length: 10\r\n"
                         "Expect: 100-continue\r\n\r\n")
        answer = self.client.read_response()
        self.assertEqual((417, []), (answer.status, answer.interim))
        self.assertTrue(answer.closes, "the body may or may not follow")

    def test_pipelined_requests_are_answered_in_order(self):
        self.app.on("/echo", lambda x: x.reply(body=x.target.encode()))
        requests = "".join(f"GET /echo?{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(50))
        self.client.send(requests)
        for i in range(50):
            self.assertEqual(f"/echo?{i}".encode(), self.client.read_response().body)

    def test_pipelined_uploads_and_a_last_request(self):
        self.app.on("/echo", lambda x: x.reply(body=x.read_body()))
        self.client.send(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\ntwo\r\n0\r\n\r\n"
            "HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n"
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfour"
            "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(b"one", self.client.read_response().body)
        self.assertEqual(b"two", self.client.read_response().body)
        self.assertEqual("0", self.client.read_response("HEAD").get("content-length"))
        answer = self.client.read_response()
        self.assertEqual((b"four", True), (answer.body, answer.closes))
        self.assertEqual("fin", self.client.ended(), "nothing after Connection: close")
        self.assertEqual(4, len(self.app.requests))

    def test_a_client_that_half_closes_still_gets_its_answer(self):
        hold = self.app.hold("/")
        self.client.request()
        self.client.half_close()
        hold.wait_arrived()
        hold.release()
        self.assertEqual(b"ok", self.client.read_response().body)
        self.assertEqual("fin", self.client.ended())

    def test_a_response_before_the_request_has_ended(self):
        def early(x):
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
        self.app.on("/", early)
        self.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
        self.assertEqual(b"early", self.client.read_response().body)
        self.client.send("56789")
        self.app.on("/next", lambda x: x.reply(body=b"next"))
        self.assertEqual(b"next", self.client.ask("GET", "/next").body)

    def test_the_origin_is_told_when_the_client_leaves(self):
        ended = []
        self.app.on("/", lambda x: ended.append(x.wait_for_end()))
        self.client.request()
        wait_until(lambda: self.app.requests, "the request has reached the origin")
        self.client.reset()
        wait_until(lambda: ended, "the origin's connection has ended")


class FieldsTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.process = self.sluice(self.app)
        self.client = self.connect(self.process)

    def forwarded(self, fields=(), **more):
        """The request as the origin saw it."""
        self.assertEqual(200, self.client.ask(fields=fields, **more).status)
        return self.app.last()

    def test_hop_by_hop_fields_of_a_request_end_here(self):
        request = self.forwarded([
            ("Connection", "X-Hop, keep-alive"), ("X-Hop", "1"), ("Connection", "x-other"),
            ("X-OTHER", "2"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"),
            ("TE", "gzip"), ("Upgrade", "h9"), ("X-End-To-End", "kept")])
        for name in ("connection", "x-hop", "x-other", "keep-alive", "proxy-connection", "te",
                     "upgrade"):
            self.assertIsNone(request.get(name), f"{name} in {request}")
        self.assertEqual("kept", request.get("x-end-to-end"))

    def test_hop_by_hop_fields_of_a_response_end_here(self):
        self.app.on("/", lambda x: x.reply(fields=[
            ("Connection", "X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "x"), ("Upgrade", "h2c"), ("X-End-To-End", "kept")]))
        answer = self.client.ask()
        for name in ("connection", "x-hop", "keep-alive", "proxy-connection", "upgrade"):
            self.assertIsNone(answer.get(name), f"{name} in {answer}")
        self.assertEqual("kept", answer.get("x-end-to-end"))

    def test_the_origins_close_is_honoured_and_does_not_leak(self):
        def last(x):
            x.reply(fields={"Connection": "close"})
            x.close()
        self.app.on("/", last)
        for _ in range(3):
            self.assertFalse(self.client.ask().closes)
        self.assertEqual(3, self.app.connections)

    def test_the_clients_close_does_not_leak(self):
        self.process = self.sluice(self.app, workers=1)  # one pool
        self.client = self.connect(self.process)
        request = self.forwarded({"Connection": "close"})
        self.assertIsNone(request.get("connection"))
        self.assertEqual("fin", self.client.ended())
        self.client = self.connect(self.process)
        self.forwarded()
        self.assertEqual(1, self.app.connections, "the upstream connection was kept")

    def test_who_asked_and_through_whom(self):
        request = self.forwarded({"Host": "example.com", "Via": "1.0 before",
                                  "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https",
                                  "Forwarded": "for=6.6.6.6", "X-Forwarded-Port": "1"})
        self.assertEqual("127.0.0.1", request.get("x-forwarded-for"), "a client's word is nothing")
        self.assertEqual("http", request.get("x-forwarded-proto"))
        self.assertEqual("example.com", request.get("x-forwarded-host"))
        self.assertIsNone(request.get("x-forwarded-port"))
        self.assertIsNone(request.get("forwarded"))
        self.assertEqual("1.0 before, 1.1 sluice", request.get("via"))
        self.assertEqual("example.com", request.get("host"))
        self.assertEqual("1.1 sluice", self.client.ask().get("via"))

    def test_a_trusted_hop_in_front(self):
        process = self.sluice(self.app, listener={"trust_forwarded": True, "forwarded": True})
        self.client = self.connect(process)
        request = self.forwarded({"Host": "a", "X-Forwarded-For": "6.6.6.6",
                                  "X-Forwarded-Proto": "https", "Forwarded": "for=6.6.6.6"})
        self.assertEqual("6.6.6.6, 127.0.0.1", request.get("x-forwarded-for"))
        self.assertEqual("https", request.get("x-forwarded-proto"))
        self.assertEqual("for=6.6.6.6, for=127.0.0.1;host=a;proto=http", request.get("forwarded"))

    def test_request_ids(self):
        first = self.forwarded().get("x-request-id")
        self.assertRegex(first, re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))
        self.assertNotEqual(first, self.forwarded().get("x-request-id"))
        self.assertEqual("mine-1", self.forwarded({"X-Request-Id": "mine-1"}).get("x-request-id"))

    def test_absolute_form(self):
        request = self.forwarded({"Host": "other"}, target="http://example.com:81/p?q=1")
        self.assertEqual("/p?q=1", request.target)
        self.assertEqual("example.com:81", request.get("host"), "the target counts, not Host")
        self.assertEqual("/", self.forwarded(target="http://example.com").target)

    def test_asterisk_form(self):
        request = self.forwarded(method="OPTIONS", target="*")
        self.assertEqual(("OPTIONS", "*"), (request.method, request.target))

    def test_max_forwards(self):
        self.client.ask("OPTIONS", "/", {"Max-Forwards": "0"})
        self.assertEqual([], self.app.requests, "the last hop is here")
        request = self.forwarded({"Max-Forwards": "5"}, method="OPTIONS")
        self.assertEqual("4", request.get("max-forwards"))

    def test_large_heads_both_ways(self):
        large = "x" * 30_000
        self.app.on("/", lambda x: x.reply(fields={"X-Back": x.get("x-large")}))
        answer = self.client.ask(fields={"X-Large": large, "X-Two": large[:20_000]})
        self.assertEqual((200, large), (answer.status, answer.get("x-back")))
        target = "/" + "y" * 12_000
        self.assertEqual(target, self.forwarded(target=target).target)

    def test_a_head_that_comes_byte_by_byte(self):
        for byte in b"GET /slowly HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n":
            self.client.send(bytes([byte]))
        self.assertEqual(200, self.client.read_response().status)
        self.assertEqual("1", self.app.last().get("x-a"))

    def test_fields_keep_their_spelling_order_and_repetition(self):
        self.app.on("/", lambda x: x.reply(
            fields=[("set-cookie", "a=1"), ("X-oDD", ""), ("Set-Cookie", "b=2")]))
        answer = self.client.ask(fields=[("x-lOW", "1"), ("X-Many", "1"), ("X-Many", "2")])
        sent = [field for field in self.app.last().fields if field[0] in ("x-lOW", "X-Many")]
        self.assertEqual([("x-lOW", "1"), ("X-Many", "1"), ("X-Many", "2")], sent)
        got = [field for field in answer.fields if field[0].lower() in ("set-cookie", "x-odd")]
        self.assertEqual([("set-cookie", "a=1"), ("X-oDD", ""), ("Set-Cookie", "b=2")], got)


if __name__ == "__main__":
    main()
