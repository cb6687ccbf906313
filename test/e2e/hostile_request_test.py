#!/usr/bin/env python3
"""Requests that are malformed, ambiguous or too large: each is refused, closed, and not a byte of
it reaches the origin. RFC 9112 11.1 and 11.2 say what happens otherwise."""

from lib import SluiceTest, main

GOOD = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*lines, body=b""):
    """A POST with these field lines."""
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + b"".join(line + b"\r\n" for line in lines) + \
        b"\r\n" + body


def get(*lines):
    return b"GET / HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked"

# What is complete with its head.
HEADS = {
    # Framing.
    "length and encoding": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    "encoding and length": post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "two lengths, the same": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "a list of lengths": post(b"Content-Length: 5, 5", body=b"hello"),
    "a signed length": post(b"Content-Length: +5", body=b"hello"),
    "a negative length": post(b"Content-Length: -5", body=b"hello"),
    "a hexadecimal length": post(b"Content-Length: 0x5", body=b"hello"),
    "an empty length": post(b"Content-Length:"),
    "a length with a space inside": post(b"Content-Length: 1 0", body=b"0123456789"),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551619", body=b"abc"),
    "a length of 2^63": post(b"Content-Length: 9223372036854775808", body=b"abc"),
    "chunked is not the last": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "two encodings": post(CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "an encoding that is not chunked": post(b"Transfer-Encoding: identity", body=b"hello"),
    "an encoding that only looks it": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "an encoding in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "an encoding behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked"),
    "an encoding in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an empty encoding": post(b"Transfer-Encoding:"),
    # Lines.
    "a bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a bare LF after a field": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "a bare LF at the end": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "a bare CR in a value": get(b"Host: a", b"X: a\rY: b"),
    "a bare CR in the request line": b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
    "a CR that ends a line twice": b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
    "a folded line": get(b"Host: a", b"X: a", b" b"),
    "a folded line with a tab": get(b"Host: a", b"X: a", b"\tb"),
    "a line folded before the first field": get(b" X: a", b"Host: a"),
    "a space before the colon": get(b"Host: a", b"X : b"),
    "a tab before the colon": get(b"Host: a", b"X\t: b"),
    "a space in a name": get(b"Host: a", b"X Y: b"),
    "no name": get(b"Host: a", b": b"),
    "no colon": get(b"Host: a", b"X"),
    "a NUL in a value": get(b"Host: a", b"X: a\0b"),
    "a NUL in a name": get(b"Host: a", b"X\0: b"),
    "a control character in a value": get(b"Host: a", b"X: a\x01b"),
    "DEL in a value": get(b"Host: a", b"X: a\x7fb"),
    "a byte above ASCII in a name": get(b"Host: a", b"X\xe9: b"),
    "a separator in a name": get(b"Host: a", b"X(a): b"),
    # The request line.
    "a method with a separator": b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no method": b" / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space at the end": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "a control character in the target": b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a byte above ASCII in the target": b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target without a slash": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target of another scheme": b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target with user information": b"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "an asterisk for GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT to a path": b"CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "a version in lower case": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "a version with two digits": b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    "the start of a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    # Host and Connection.
    "no Host": get(),
    "an empty Host": get(b"Host:"),  # RFC 9110 4.2.1: no "http" URI is without one
    "two Hosts": get(b"Host: a", b"Host: b"),
    "two Hosts, the same": get(b"Host: a", b"Host: a"),
    "a Host with a path": get(b"Host: a/b"),
    "a Host with user information": get(b"Host: u@a"),
    "a Host with a space": get(b"Host: a b"),
    "Connection names the framing": post(b"Connection: Content-Length", b"Content-Length: 5",
                                         body=b"hello"),
    "Connection names Host": get(b"Host: a", b"Connection: Host"),
    "Connection names the client's address": get(b"Host: a", b"Connection: X-Forwarded-For"),
    "CONNECT with a body": b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\nhello",
}

# What is wrong with the body, after a head that was in order.
BODIES = {
    "a chunk size with a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "an empty chunk size": b"\r\nhello\r\n0\r\n\r\n",
    "a chunk size that is no number": b"g\r\nhello\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a chunk size with a space before it": b" 5\r\nhello\r\n0\r\n\r\n",
    "a chunk size that ends in LF": b"5\nhello\r\n0\r\n\r\n",
    "a chunk that ends in LF": b"5\r\nhello\n0\r\n\r\n",
    "a chunk longer than it says": b"3\r\nhello\r\n0\r\n\r\n",
    "a bare LF in a chunk extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "a bare CR in a chunk extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a NUL in a chunk extension": b"5;a\0\r\nhello\r\n0\r\n\r\n",
    "a chunk extension without end": b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    "a bare LF after the last chunk": b"0\n\n",
    "a folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
    "a trailer with a space before the colon": b"0\r\nX : a\r\n\r\n",
    "a trailer with a NUL": b"0\r\nX: \0\r\n\r\n",
}


class HostileRequestTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.process = self.sluice(self.app)

    def refusal(self, data, status, process=None):
        """Sends `data` and a good request behind it: one response, of this status, and the end."""
        client = self.connect(process or self.process)
        try:
            client.send(data + GOOD)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while it was being sent; the answer is there all the same
        answer = client.read_response()
        self.assertEqual(status, answer.status, answer)
        self.assertTrue(answer.closes, answer)
        self.assertIn(client.ended(), ("fin", "reset"), "nothing follows the refusal")
        client.close()
        return answer

    def assert_untouched(self):
        self.assertEqual([], self.app.requests)
        self.assertEqual(0, self.app.connections, "the origin was bothered")

    def test_heads(self):
        for name, data in HEADS.items():
            with self.subTest(name):
                self.refusal(data, 400)
                self.assert_untouched()
        with self.process.connect() as client:
            self.assertEqual(200, client.ask().status, "others are served as before")

    def test_heads_that_come_byte_by_byte(self):
        for name in ("length and encoding", "a bare LF after a field", "a folded line",
                     "a length beyond 64 bits", "a space before the colon"):
            with self.subTest(name):
                client = self.connect(self.process)
                for byte in HEADS[name].partition(b"hello")[0]:
                    try:
                        client.send(bytes([byte]))
                    except (BrokenPipeError, ConnectionResetError):
                        break
                self.assertEqual(400, client.read_response().status)
                self.assert_untouched()

    def test_bodies(self):
        for name, body in BODIES.items():
            with self.subTest(name):
                self.refusal(post(CHUNKED, body=body), 400)
                for request in self.app.requests:
                    self.assertNotEqual("/smuggled", request.path)
                    self.assertIsNone(request.body, "it never was complete")

    def test_trailers_without_end(self):
        self.refusal(post(CHUNKED, body=b"0\r\n" + b"X: a\r\n" * 20_000), 431)
        self.assertEqual([], [x for x in self.app.requests if x.body is not None])

    def test_paths_that_servers_read_differently(self):
        for path in ("/../etc", "/a/%2e%2e/../../etc", "/a%00b", "/%zz", "/a%2", "/a%2fb/..%5c"):
            with self.subTest(path):
                self.refusal(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 400)
                self.assert_untouched()

    def test_other_statuses(self):
        large = b"x" * 200_000
        cases = {
            "an unknown coding": (post(b"Transfer-Encoding: gzip, chunked"), 501),
            "a version of the future": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            "a version of the past": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
            "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
            "an expectation that nobody knows": (post(b"Expect: tea", b"Content-Length: 0"), 417),
            "a large field": (get(b"Host: a", b"X: " + large), 431),
            "a large name": (get(b"Host: a", large + b": x"), 431),
            "many fields": (get(b"Host: a", *[b"X: 1"] * 101), 431),
            "a long target": (b"GET /" + large + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            "a target a little too long": (b"GET /" + large[:16384] +
                                           b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        }
        for name, (data, status) in cases.items():
            with self.subTest(name):
                self.refusal(data, status)
                self.assert_untouched()

    def test_limits_are_configurable(self):
        limits = {"header_bytes": "512B", "header_count": 5, "uri_bytes": "100B",
                  "body_bytes": "10B"}
        process = self.sluice(self.app, listener={"limits": limits})
        cases = {
            "header_bytes": (get(b"Host: a", b"X: " + b"x" * 600), 431),
            "header_count": (get(b"Host: a", *[b"X: 1"] * 5), 431),
            "uri_bytes": (b"GET /" + b"x" * 101 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            "body_bytes, by its length": (post(b"Content-Length: 11", body=b"x" * 11), 413),
            "body_bytes, by its first chunk": (post(CHUNKED, body=b"b\r\n" + b"x" * 11), 413),
        }
        for name, (data, status) in cases.items():
            with self.subTest(name):
                self.refusal(data, status, process)
                self.assertEqual([], [x for x in self.app.requests if x.body is not None])
        with process.connect() as client:
            self.assertEqual(200, client.ask("POST", "/" + "x" * 98, body=b"x" * 10).status)
            self.assertEqual(200, client.ask(fields=[("X", "1")] * 4).status)

    def test_a_body_that_grows_too_large_is_cut_off_upstream(self):
        process = self.sluice(self.app, listener={"limits": {"body_bytes": "10B"}})
        self.refusal(post(CHUNKED, body=b"5\r\nhello\r\n6\r\nworld!\r\n"), 413, process)
        self.assertEqual([], [x for x in self.app.requests if x.body is not None])

    def test_the_requests_before_a_bad_one_are_answered(self):
        client = self.connect(self.process)
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" * 3 +
                    HEADS["length and encoding"] + GOOD)
        self.assertEqual([200, 200, 200, 400], [client.read_response().status for _ in range(4)])
        self.assertIn(client.ended(), ("fin", "reset"))
        self.assertEqual(["/1"] * 3, [request.path for request in self.app.requests])

    def test_refusals_are_logged_and_counted(self):
        self.refusal(HEADS["two Hosts"], 400)
        self.assertEqual(1, self.process.metric("sluice_requests_total", **{"class": "4xx"}))

    def test_what_may_look_odd_but_is_allowed(self):
        cases = {
            "empty lines before the request": b"\r\n\r\n" + GOOD,
            "an empty value": get(b"Host: a", b"X:"),
            "no space after the colon": get(b"Host:a"),
            "white space around a value": get(b"Host: a", b"X: \t b \t "),
            "bytes above ASCII in a value": get(b"Host: a", b"X: \xc3\xa9\xff"),
            "chunked in capitals": post(b"transfer-encoding: CHUNKED", body=b"0\r\n\r\n"),
            "a chunk extension": post(CHUNKED, body=b'5;a=b;c="d e"\r\nhello\r\n0\r\n\r\n'),
            "a chunk size with zeros before it": post(CHUNKED,
                                                      body=b"0005\r\nhello\r\n000\r\n\r\n"),
            "a chunk size in capitals": post(CHUNKED, body=b"A\r\n0123456789\r\n0\r\n\r\n"),
            "a length with zeros before it": post(b"Content-Length: 005", body=b"hello"),
        }
        for name, data in cases.items():
            with self.subTest(name):
                client = self.connect(self.process)
                client.send(data)
                self.assertEqual(200, client.read_response().status)
                self.assertEqual(200, client.ask().status, "and the connection goes on")
        for request in self.app.requests:
            self.assertIn(request.read_body(), (b"", b"hello", b"0123456789"))


if __name__ == "__main__":
    main()
