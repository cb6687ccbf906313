#!/usr/bin/env python3
"""Responses of an origin that are malformed or break off: the client gets 502, or sees that its
response is incomplete. What is broken is never passed on as if it were whole."""

from lib import Broken, SluiceTest, main, wait_until

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def fields(*lines, body=b""):
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


# Nothing of these may reach a client.
HEADS = {
    "length and encoding": fields(b"Content-Length: 5", b"Transfer-Encoding: chunked",
                                  body=b"0\r\n\r\n"),
    "two lengths": fields(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "a signed length": fields(b"Content-Length: +5", body=b"hello"),
    "a negative length": fields(b"Content-Length: -5", body=b"hello"),
    "a length beyond 64 bits": fields(b"Content-Length: 18446744073709551619", body=b"abc"),
    "a list of lengths": fields(b"Content-Length: 5, 5", body=b"hello"),
    "an encoding that is not chunked": fields(b"Transfer-Encoding: identity", body=b"hello"),
    "chunked is not the last": fields(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "an encoding that nobody asked for": fields(b"Transfer-Encoding: gzip, chunked"),
    "an encoding in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a bare LF after a field": OK + b"X: a\nContent-Length: 0\r\n\r\n",
    "a bare CR": fields(b"X: a\rSet-Cookie: evil=1", b"Content-Length: 0"),
    "a folded line": fields(b"X: a", b" b", b"Content-Length: 0"),
    "a space before the colon": fields(b"Content-Length : 0"),
    "a NUL in a value": fields(b"X: a\0b", b"Content-Length: 0"),
    "no name": fields(b": b", b"Content-Length: 0"),
    "no colon": fields(b"X", b"Content-Length: 0"),
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status that is no number": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "an empty line first": b"\r\n" + fields(b"Content-Length: 0"),
    "no status line": b"Content-Length: 0\r\n\r\n",
    "a 1xx with a body": b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nhello",
    "a 101 that nobody asked for": b"HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "Connection names the framing": fields(b"Connection: content-length", b"Content-Length: 5",
                                           body=b"hello"),
    "a head that is too large": fields(b"X: " + b"x" * 100_000, b"Content-Length: 0"),
    "too many fields": fields(*[b"X: 1"] * 200, b"Content-Length: 0"),
    "a head that breaks off": OK + b"Content-Le",
    "nothing at all": b"",
}

# The client has their head already.
BODIES = {
    "fewer bytes than the length": fields(b"Content-Length: 10", body=b"hello"),
    "no last chunk": CHUNKED + b"5\r\nhello\r\n",
    "a chunk that breaks off": CHUNKED + b"a\r\nhello",
    "a chunk size that is no number": CHUNKED + b"5\r\nhello\r\nxyz\r\n",
    "a chunk size with a sign": CHUNKED + b"5\r\nhello\r\n-5\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"5\r\nhello\r\n10000000000000005\r\nhello\r\n"
                                   b"0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"5\r\nhelloo\r\n0\r\n\r\n",
    "a bare LF after a chunk size": CHUNKED + b"5\r\nhello\r\n0\n\n",
    "a folded trailer": CHUNKED + b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n",
    "trailers that break off": CHUNKED + b"5\r\nhello\r\n0\r\nX: a\r\n",
}


class HostileResponseTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.process = self.sluice(self.app)

    def answer_with(self, data):
        def answer(x):
            x.send(data)
            x.close()
        self.app.on("/bad", answer)

    def test_heads(self):
        client = self.connect(self.process)
        for name, data in HEADS.items():
            with self.subTest(name):
                self.answer_with(data)
                answer = client.ask("GET", "/bad")
                self.assertEqual(502, answer.status, answer)
                self.assertIn(b"502", answer.body)
                self.assertNotIn(b"evil", answer.head)
        self.assertEqual(200, client.ask().status, "the client's connection is none the worse")

    def test_bodies(self):
        for name, data in BODIES.items():
            for version in ("1.1", "1.0"):
                with self.subTest(name, version=version):
                    self.answer_with(data)
                    client = self.connect(self.process)
                    client.request("GET", "/bad", version=version)
                    with self.assertRaises(Broken) as seen:
                        answer = client.read_response()
                        self.fail(f"it looks complete: {answer}")
                    self.assertNotIn("bound", str(seen.exception))

    def test_bodies_cut_by_a_reset(self):
        def reset(x):
            x.send(fields(b"Content-Length: 10", body=b"hello"))
            x.reset()
        self.app.on("/bad", reset)
        client = self.connect(self.process)
        client.request("GET", "/bad")
        with self.assertRaises(Broken):
            client.read_response()

    def test_a_second_response_is_not_taken_for_the_next_requests(self):
        self.app.on("/bad", lambda x: x.send(
            fields(b"Content-Length: 2", body=b"ok") +
            fields(b"Content-Length: 6", body=b"poison")))
        client = self.connect(self.process)
        self.assertEqual(b"ok", client.ask("GET", "/bad").body)
        self.assertEqual(b"ok", client.ask("GET", "/").body)
        self.assertEqual(2, self.app.connections, "the poisoned connection is not used again")

    def test_an_unsolicited_response_on_an_idle_connection(self):
        sent = []

        def later(x):
            x.reply()
            x.send(fields(b"Content-Length: 6", body=b"poison"))
            sent.append(x.wait_for_end())
        self.app.on("/bad", later)
        client = self.connect(self.process)
        self.assertEqual(b"ok", client.ask("GET", "/bad").body)
        wait_until(lambda: sent, "the proxy drops a connection that speaks without being asked")
        self.assertEqual(b"ok", client.ask().body)

    def test_bodies_where_none_belong(self):
        """RFC 9112 6.3: these end with their head, whatever follows."""
        client = self.connect(self.process)
        for name, method, data in (
                ("204", "GET", b"HTTP/1.1 204 No\r\nContent-Length: 6\r\n\r\npoison"),
                ("304", "GET", b"HTTP/1.1 304 No\r\nContent-Length: 6\r\n\r\npoison"),
                ("HEAD", "HEAD", fields(b"Content-Length: 6", body=b"poison"))):
            with self.subTest(name):
                self.answer_with(data)
                client.request(method, "/bad")
                self.assertIn(client.read_response(method).status, (200, 204, 304))
                self.assertEqual(b"ok", client.ask().body)

    def test_other_clients_do_not_notice(self):
        hold = self.app.hold("/slow")
        other = self.connect(self.process)
        other.request("GET", "/slow")
        hold.wait_arrived()
        self.answer_with(HEADS["two lengths"])
        self.assertEqual(502, self.connect(self.process).ask("GET", "/bad").status)
        hold.release()
        self.assertEqual(200, other.read_response().status)


if __name__ == "__main__":
    main()
