#!/usr/bin/env python3
"""Uploads whose upstream dies in the middle, or gives them back (379): they go on elsewhere, byte for
byte, as far as that is safe; and nobody is told of it."""

import itertools
import random
import signal
import time

from lib import SANITIZED, SluiceTest, main, wait_until
from lib.h2frames import data
from lib.h2origin import H2Origin
from lib.h2watch import Watched
from lib.origin import Hold
from lib.upstreams import Upstream

_KIB = 1 << 10
_MIB = 1 << 20
_PARTIAL_POST_REPLAY = 379
# Of a body that is given back; in the other one, of one whose upstream dies.
_GIVES_BACK = {"partial_post_replay": True}


def some_bytes(count):
    return random.Random(count).randbytes(count)


def pieces(exchange):
    """The body of a request as it comes, whatever frames it."""
    peer = exchange.connection
    if exchange.get("transfer-encoding"):
        while size := int(peer.read_line(), 16):
            yield peer.read_exactly(size + 2)[:-2]
        peer.read_exactly(2)
        return
    left = int(exchange.get("content-length"))
    while left > 0:
        piece = peer.read_some()
        left -= len(piece)
        yield piece


def take(body, count):
    """So many bytes of it, or a little more."""
    taken = bytearray()
    while len(taken) < count:
        taken += next(body)
    return bytes(taken)


def chunk(piece):
    return b"%x\r\n%s\r\n" % (len(piece), piece)


_HEAD_379 = "HTTP/1.1 379 Partial POST Replay\r\nTransfer-Encoding: chunked\r\n\r\n"


class GiveBack:
    """What restarts when it has so much of an upload: it answers 379, and sends back what it has and
    what still comes."""

    def __init__(self, count):
        self.count = count
        self.given = 0  # bytes

    def __call__(self, exchange):
        body = pieces(exchange)
        back = take(body, self.count)
        exchange.send(_HEAD_379)
        parts = (back[at:at + 64 * _KIB] for at in range(0, len(back), 64 * _KIB))
        for piece in itertools.chain(parts, body):
            exchange.send(chunk(piece))
            self.given += len(piece)
        exchange.send(chunk(b""))
        exchange.close()

    def stands_still(self):
        """Nobody takes what it gives back."""
        before = self.given
        time.sleep(0.1)
        return before == self.given


class UploadTest(SluiceTest):
    def serve(self, *scripts, cluster=None, **retries):
        """Two origins; the n-th request for /up that reaches any of them is answered by the n-th
        script, and those behind by the last."""
        number = itertools.count()

        def answer(exchange):
            scripts[min(next(number), len(scripts) - 1)](exchange)
        self.origins = [self.origin() for _ in range(2)]
        for origin in self.origins:
            origin.on("/up", answer)
        self.process = self.sluice(
            *self.origins, workers=1, cluster=cluster or {},
            listener={"routes": [{"cluster": "app", "retries": {"attempts": 3, **retries}}]})

    def seen(self):
        """What has reached the origins, in order of its end."""
        return [x for origin in self.origins for x in origin.seen("/up")]

    def uploads(self):
        """The bodies that arrived whole."""
        return [x.body for x in self.seen() if x.body is not None]

    def begin(self, length, method="POST"):
        client = self.connect(self.process)
        client.send(f"{method} /up HTTP/1.1\r\nHost: h.test\r\nContent-Length: {length}\r\n\r\n")
        return client

    def retries(self, reason):
        return self.process.metric("sluice_upstream_retries_total", reason=reason)

    def assert_once(self, status, detail):
        """One request failed, and is on record once."""
        line, = self.log_lines(1)
        self.assertEqual((status, detail), (line["status"], line["detail"]))
        self.assertEqual(1, self.process.metric("sluice_requests_total", listener="in"))


class DiesTest(UploadTest):
    """An upstream that dies before it has the end of a request cannot have carried it out."""

    @staticmethod
    def dies_after(count, how="reset"):
        def answer(exchange):
            take(pieces(exchange), count)
            getattr(exchange, how)()
        return answer

    def test_it_goes_on_elsewhere(self):
        body = some_bytes(48 * _KIB)
        for how in ("reset", "close"):
            for chunked in (False, True):
                with self.subTest(how, chunked=chunked):
                    self.serve(self.dies_after(20 * _KIB, how), lambda x: x.reply(201))
                    client = self.connect(self.process)
                    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 49152"
                    client.send(f"POST /up HTTP/1.1\r\nHost: h.test\r\n{framing}\r\n\r\n")
                    first, second = body[:24 * _KIB], body[24 * _KIB:]
                    client.send(chunk(first) if chunked else first)
                    wait_until(lambda: self.retries("reset") == 1, "it goes again")
                    client.send(chunk(second) + chunk(b"") if chunked else second)
                    self.assertEqual(201, client.read_response().status)
                    self.assertEqual([body], self.uploads())
                    self.assertEqual([1, 1], [len(o.seen("/up")) for o in self.origins])

    def test_it_goes_on_elsewhere_when_a_process_is_killed(self):
        journal = self.directory / "journal"
        upstreams = [Upstream(name, journal) for name in ("a", "b")]
        for upstream in upstreams:
            self.addCleanup(upstream.close)
        self.process = self.sluice(*upstreams)
        body = some_bytes(24 * _KIB).hex().encode()
        client = self.begin(len(body))
        client.send(body[:10_000])

        def busy():
            cluster, = self.process.admin_json("/clusters")["clusters"]
            return [endpoint["address"] for endpoint in cluster["endpoints"]
                    if endpoint["in_flight"]]
        address, = wait_until(busy, "it is on its way")
        killed, = [upstream for upstream in upstreams if upstream.address == address]
        killed.end(signal.SIGKILL)
        client.send(body[10_000:])
        answer = client.read_response()
        self.assertEqual((200, 1), (answer.status, self.retries("reset")))
        self.assertNotEqual(killed.name.encode(), answer.body)
        self.assertEqual([body], journal.read_bytes().split(), "carried out once")

    def test_over_http2_on_both_sides(self):
        body = some_bytes(40 * _KIB)
        origins = [H2Origin() for _ in range(2)]
        number = itertools.count()

        def answer(exchange):
            if next(number) == 0:
                exchange.connection.wait(lambda: len(exchange.body) >= 8 * _KIB)
                exchange.connection.shut()
            else:
                exchange.reply(201)
        for origin in origins:
            self.addCleanup(origin.close)
            origin.on("/up", answer)
        process = self.sluice(*origins, workers=1, cluster={"protocol": "http2"})
        client = Watched(process.address())
        self.addCleanup(client.close)
        client.upload(1, "/up")
        for at in range(0, len(body), 8 * _KIB):
            client.send(data(1, body[at:at + 8 * _KIB], end=at + 8 * _KIB >= len(body)))
            if at == 16 * _KIB:
                wait_until(lambda: process.metric("sluice_upstream_retries_total") == 1,
                           "it goes again")
        client.expect_response(1, 201)
        whole = [bytes(x.body) for origin in origins for x in origin.seen("/up") if x.ended]
        self.assertEqual([body], whole)

    def test_not_when_it_is_longer_than_what_is_held(self):
        self.serve(self.dies_after(33 * _KIB), body_bytes="32KiB")
        body = some_bytes(64 * _KIB)
        client = self.begin(len(body))
        client.send(body[:40 * _KIB])
        self.assertEqual(502, client.read_response().status)
        self.assertEqual(1, len(self.seen()))
        self.assertEqual(0, self.retries("reset"))
        self.assert_once(502, "upstream_reset_before_response")

    def test_not_when_its_end_was_sent(self):
        self.serve(lambda x: (x.read_body(), x.reset()))
        with self.process.connect() as client:
            self.assertEqual(502, client.ask("POST", "/up", body=b"pay").status)
        self.assertEqual([b"pay"], self.uploads())
        self.assert_once(502, "upstream_reset_before_response")

    def test_unless_it_may_be_carried_out_twice(self):
        self.serve(lambda x: (x.read_body(), x.reset()), lambda x: x.reply())
        with self.process.connect() as client:
            self.assertEqual(200, client.ask("PUT", "/up", body=b"put").status)
        self.assertEqual([b"put", b"put"], self.uploads())

    def test_not_when_the_route_does_not_want_it(self):
        self.serve(self.dies_after(1000), lambda x: x.reply(), uploads=False)
        client = self.begin(2000)
        client.send(b"x" * 1000)
        self.assertEqual(502, client.read_response().status)
        client = self.begin(2000, "PUT")
        client.send(b"x" * 2000)
        self.assertEqual(200, client.read_response().status)


class GivenBackTest(UploadTest):
    """379 (draft-frindell-httpbis-partial-post-replay), of uploads far longer than what is held."""

    def test_it_arrives_byte_for_byte(self):
        body = some_bytes(8 * _MIB)
        for chunked in (False, True):
            with self.subTest(chunked=chunked):
                self.serve(GiveBack(3 * _MIB), lambda x: x.reply(201), cluster=_GIVES_BACK)
                client = self.connect(self.process)
                if chunked:
                    client.send("POST /up HTTP/1.1\r\nHost: h.test\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n")
                    for at in range(0, len(body), _MIB):
                        client.send(chunk(body[at:at + _MIB]))
                    client.send(chunk(b""))
                else:
                    client.request("POST", "/up", body=body)
                answer = client.read_response()
                self.assertEqual((201, []), (answer.status, answer.interim))
                self.assertTrue([body] == self.uploads(), "what arrived is what was sent")
                self.assertEqual(1, self.retries("partial_post"))
                self.assertEqual({None, "1"}, {x.get("partial-post-replay") for x in self.seen()})
                line = self.log_lines(1)[-1]
                self.assertEqual((201, 2, len(body)),
                                 (line["status"], line["attempts"], line["bytes_in"]))

    def test_while_the_client_still_sends(self):
        body = some_bytes(4 * _MIB)
        self.serve(GiveBack(_MIB), lambda x: x.reply(), cluster=_GIVES_BACK)
        client = self.begin(len(body))
        client.send(body[:2 * _MIB])
        wait_until(lambda: len(self.seen()) == 2, "it goes on elsewhere")
        client.send(body[2 * _MIB:])
        self.assertEqual(200, client.read_response().status)
        self.assertTrue([body] == self.uploads(), "what arrived is what was sent")

    def test_twice(self):
        body = some_bytes(4 * _MIB)
        self.serve(GiveBack(_MIB), GiveBack(2 * _MIB), lambda x: x.reply(), cluster=_GIVES_BACK)
        client = self.begin(len(body))
        client.send(body[:2 * _MIB])
        # All of that is with the second one, which gives it back in its turn.
        wait_until(lambda: len(self.seen()) == 3, "it goes on with a third request")
        client.send(body[2 * _MIB:])
        self.assertEqual(200, client.read_response().status)
        self.assertTrue([body] == self.uploads(), "what arrived is what was sent")
        self.assertEqual(2, self.retries("partial_post"))

    def test_a_slow_upstream_makes_the_process_hold_no_more(self):
        body = some_bytes(48 * _MIB)
        giving, taking = GiveBack(24 * _MIB), Hold(lambda x: x.reply())
        self.addCleanup(taking.release)
        self.serve(giving, taking, cluster=_GIVES_BACK)
        before = self.process.rss_bytes()
        client = self.begin(len(body))
        client.send(body[:24 * _MIB])
        taking.wait_arrived()
        wait_until(giving.stands_still, "nothing more is taken back")
        self.assertLess(giving.given, 24 * _MIB)
        if not SANITIZED:
            self.assertLess(self.process.rss_bytes() - before, 16 * _MIB)
        taking.release()
        client.send(body[24 * _MIB:])
        self.assertEqual(200, client.read_response().status)
        self.assertTrue([body] == self.uploads(), "what arrived is what was sent")

    def test_what_is_still_held_is_sent_from_here(self):
        self.serve(lambda x: (take(pieces(x), 1000), x.send(
            "HTTP/1.1 379 Partial POST Replay\r\nContent-Length: 0\r\n\r\n"), x.close()),
                   lambda x: x.reply(), cluster=_GIVES_BACK)
        client = self.begin(2000)
        client.send(b"x" * 1000)
        wait_until(lambda: self.retries("partial_post") == 1, "it goes again")
        client.send(b"y" * 1000)
        self.assertEqual(200, client.read_response().status)
        self.assertEqual([b"x" * 1000 + b"y" * 1000], self.uploads())

    def test_over_http2_on_both_sides(self):
        body = some_bytes(_MIB)
        origins = [H2Origin() for _ in range(2)]
        number = itertools.count()

        def give(exchange):
            exchange.connection.wait(lambda: len(exchange.body) >= 300 * _KIB)
            exchange.begin(_PARTIAL_POST_REPLAY)
            sent = 0
            while not exchange.gone():
                exchange.connection.wait(lambda: len(exchange.body) > sent or exchange.gone())
                piece = bytes(exchange.body[sent:])
                exchange.send(piece)
                sent += len(piece)

        def answer(exchange):
            if next(number) == 0:
                give(exchange)
            else:
                exchange.reply(201)
        for origin in origins:
            self.addCleanup(origin.close)
            origin.on("/up", answer)
        process = self.sluice(*origins, workers=1, cluster={"protocol": "http2"} | _GIVES_BACK)
        client = Watched(process.address())
        self.addCleanup(client.close)
        answer = client.upload(1, "/up")
        sent = 0
        while sent < len(body):
            client.pump_until(lambda: answer.credit + 65535 > sent and client.credit + 65535 > sent,
                              "room for more")
            room = min(answer.credit, client.credit) + 65535 - sent
            piece = body[sent:sent + min(room, 16 * _KIB)]
            sent += len(piece)
            client.send(data(1, piece, end=sent == len(body)))
        client.expect_response(1, 201)
        whole = [bytes(x.body) for origin in origins for x in origin.seen("/up") if x.ended]
        self.assertTrue([body] == whole, "what arrived is what was sent")


class NeverToldTest(UploadTest):
    """Whatever goes wrong with a 379, no client ever sees one."""

    def test_what_comes_back_is_not_what_was_sent(self):
        for what, back in (("less", chunk(b"x" * 1000) + chunk(b"")),
                           ("it breaks off", chunk(b"x" * 1000)),
                           ("more", chunk(b"x" * 2 * _MIB)),
                           ("no chunk", b"nonsense\r\n")):
            with self.subTest(what):
                def answer(exchange, back=back):
                    take(pieces(exchange), _MIB)
                    exchange.send(_HEAD_379.encode() + back)
                    exchange.close()
                self.serve(answer, lambda x: x.reply(), cluster=_GIVES_BACK)
                client = self.begin(3 * _MIB)
                client.send(b"x" * _MIB)
                self.assertEqual(502, client.read_response().status)
                self.assertEqual([], self.uploads())
                self.assert_once(502, "partial_post_replay")
                (self.directory / "access.log").unlink()

    def test_where_nobody_expects_it(self):
        self.serve(lambda x: x.reply(_PARTIAL_POST_REPLAY))
        for method in ("GET", "POST"):
            with self.process.connect() as client:
                answer = client.ask(method, "/up", body=b"pay" if method == "POST" else None)
                self.assertEqual((502, []), (answer.status, answer.interim))
        self.assertEqual(2, len(self.log_lines(2, status=502, detail="partial_post_replay")))
        self.assertEqual(2, len(self.seen()))

    def test_where_all_give_it_back(self):
        self.serve(lambda x: x.reply(_PARTIAL_POST_REPLAY, x.read_body()), cluster=_GIVES_BACK)
        with self.process.connect() as client:
            self.assertEqual(502, client.ask("POST", "/up", body=b"pay").status)
        self.assertEqual(5, len(self.seen()), "once for nothing, and three retries")
        self.assert_once(502, "partial_post_replay")


if __name__ == "__main__":
    main()
