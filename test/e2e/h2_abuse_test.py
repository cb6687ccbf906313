#!/usr/bin/env python3
"""Floods and slow attacks on HTTP/2: each is ended, counted, costs a bounded amount of memory, and
does not disturb the client beside it. And honest bursts pass."""

import itertools

from lib import SANITIZED, SluiceTest, main, wait_until
from lib.h2frames import (
    MAX_WINDOW, Code, Kind, Setting, block, continuation, data, dependency, field, frame, headers,
    headers_in_pieces, indexed, ping, post, priority_frame, remembered, request, rst_stream,
    settings, string, window_update)
from lib.h2wire import H2Connection

MANY = 50_000  # frames: more than any allowance

# What a flood may make the process grow by. What it sends is far more than this.
GROWTH = 24 << 20


def again(chunk, count=MANY, batch=100):
    return itertools.repeat(chunk * batch, count // batch)


def streams(first=1):
    return range(first, 2 * MANY, 2)


def on_each_stream(make):
    return (make(stream) for stream in streams())


OPEN = headers(1, post("/held"), end=False)

# kind -> {name: what is sent}. Begins with whatever opens stream 1.
FLOODS = {
    "settings": {
        "SETTINGS": lambda: again(settings((Setting.ENABLE_PUSH, 0))),
        "empty SETTINGS": lambda: again(settings()),
        "SETTINGS that change the table":
            lambda: again(settings((Setting.HEADER_TABLE_SIZE, 0)) +
                          settings((Setting.HEADER_TABLE_SIZE, 4096))),
        "SETTINGS that change the windows of open streams":
            lambda: itertools.chain([OPEN], again(settings((Setting.INITIAL_WINDOW_SIZE, 1)) +
                                                  settings((Setting.INITIAL_WINDOW_SIZE, 9)))),
    },
    "ping": {
        "PING": lambda: again(ping()),
        "PING within a request": lambda: itertools.chain([OPEN], again(ping())),
    },
    "empty_data": {
        "empty DATA": lambda: itertools.chain([OPEN], again(data(1))),
    },
    "continuation": {
        "empty CONTINUATION":
            lambda: itertools.chain([headers(1, request(), end_headers=False)],
                                    again(continuation(1, b"", False))),
        "CONTINUATION with a byte of a long field":
            lambda: itertools.chain([headers(1, b"\0" + string("x-a") + b"\x7f\xff\xff\x02",
                                             end_headers=False)],
                                    again(continuation(1, b"a", False))),
    },
    "header_block": {
        "a header block without end":
            lambda: itertools.chain([headers(1, request(), end_headers=False)],
                                    again(continuation(1, field("x-a", "a" * 16_000), False),
                                          2000, 1)),
        "a header block that grows when it is decoded":
            lambda: itertools.chain([headers(1, block(request()) +
                                             remembered("x-bomb", "b" * 3900),
                                             end_headers=False)],
                                    again(continuation(1, indexed(62) * 16_000, False), 2000, 1)),
    },
    "priority": {
        "PRIORITY on idle streams": lambda: on_each_stream(
            lambda stream: priority_frame(stream, on=stream + 2, exclusive=True)),
        "PRIORITY on an open stream":
            lambda: itertools.chain([OPEN], again(priority_frame(1, weight=7))),
    },
    "window_update": {
        "WINDOW_UPDATE on the connection": lambda: again(window_update(0, 1)),
        "WINDOW_UPDATE on a stream": lambda: itertools.chain([OPEN], again(window_update(1, 1))),
    },
    "rapid_reset": {
        "requests reset at once": lambda: on_each_stream(
            lambda stream: headers(stream, request()) + rst_stream(stream)),
        "requests reset without a code": lambda: on_each_stream(
            lambda stream: headers(stream, request()) + rst_stream(stream, Code.NO_ERROR)),
        "requests reset with their body": lambda: on_each_stream(
            lambda stream: headers(stream, post(), end=False) + data(stream, b"x") +
            rst_stream(stream)),
        "RST_STREAM on a closed stream":
            lambda: itertools.chain([OPEN + rst_stream(1)], again(rst_stream(1))),
    },
}

# Breaches of rules for which we reset the stream: CVE-2025-8671.
INDUCED = {
    "a malformed request": lambda stream:
        headers(stream, request(more=[("Upper", "1")])),
    "a field of the connection": lambda stream:
        headers(stream, request(more=[("connection", "close")])),
    "two hosts": lambda stream:
        headers(stream, request(more=[("host", "b.example")])),
    "a window that overflows": lambda stream:
        headers(stream, request("/held")) + window_update(stream, MAX_WINDOW),
    "a body that contradicts its length": lambda stream:
        headers(stream, post("/held", more=[("content-length", "9")]), end=False) +
        data(stream, b"x", end=True),
    "trailers that do not end": lambda stream:
        headers(stream, post("/held"), end=False) + headers(stream, [("x-a", "1")], end=False),
}

# Those for which RFC 9113 5.4.1 lets us end the connection at once, and we may.
INDUCED_ONCE = {
    "an increment of 0": lambda stream:
        headers(stream, request("/held")) + window_update(stream, 0),
    "DATA behind END_STREAM": lambda stream:
        headers(stream, request("/held")) + data(stream, b"x"),
    "HEADERS behind END_STREAM": lambda stream:
        headers(stream, request("/held")) + headers(stream, [("x-a", "1")]),
    "PRIORITY of a wrong size": lambda stream:
        headers(stream, post("/held"), end=False) + frame(Kind.PRIORITY, 0, stream, b"\0"),
    "PRIORITY on itself": lambda stream:
        headers(stream, post("/held"), end=False) + priority_frame(stream, on=stream),
    "HEADERS that depend on themselves": lambda stream:
        headers(stream, request("/held"), priority=dependency(on=stream)),
    "DATA above the largest frame": lambda stream:
        headers(stream, post("/held"), end=False) + data(stream, bytes(16_385)),
    "streams above the limit": lambda stream:
        headers(stream, request("/held")),
}

CALM = Code.ENHANCE_YOUR_CALM
AT_ONCE = (Code.PROTOCOL_ERROR, Code.STREAM_CLOSED, Code.FRAME_SIZE_ERROR, Code.FLOW_CONTROL_ERROR)


# What may also be ignored, at little cost.
IGNORED = {
    "DATA for a stream that was reset":
        lambda: itertools.chain([OPEN + rst_stream(1)], again(data(1, b"x" * 100), MANY, 10)),
    "DATA for a stream that we reset":
        lambda: itertools.chain([headers(1, request(more=[("connection", "close")]), end=False)],
                                again(data(1, b"x" * 100), MANY, 10)),
    "answers to PINGs that nobody sent": lambda: again(ping(ack=True)),
    "PRIORITY_UPDATE": lambda: again(frame(Kind.PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1")),
    "frames of unknown types": lambda: again(frame(0xee, 0, 0, b"x")),
    "large frames of unknown types": lambda: again(frame(0xee, 0, 0, bytes(16_384)), 1000, 10),
}


class AbuseTest(SluiceTest):
    def begin(self, **listener):
        self.app = self.origin()
        self.app.hold("/held")
        self.process = self.sluice(self.app, listener=listener)
        self.innocent = self.client()
        self.stream = itertools.count(1, 2)
        self.innocent_is_served()
        self.memory = self.process.rss_bytes()

    def client(self, **more):
        client = H2Connection(self.process.address(), **more)
        self.addCleanup(client.close)
        return client

    def attacker(self, **more):
        attacker = self.client(**more)
        attacker.opens_by_hand = True
        return attacker

    def innocent_is_served(self):
        self.innocent.get(next(self.stream))

    def floods(self, **labels):
        return self.process.metric("sluice_http2_floods_total", **labels)

    def memory_is_bounded(self):
        grown = self.process.rss_bytes() - self.memory
        if not SANITIZED:
            self.assertLess(grown, GROWTH, f"grown by {grown >> 10} KiB")

    def survived(self):
        self.innocent_is_served()
        self.memory_is_bounded()

    def everybody_has_left(self):
        for gauge, count in (("sluice_requests_in_flight", 0), ("sluice_connections_open", 1)):
            wait_until(lambda gauge=gauge, count=count:
                       self.process.metric(gauge, listener="in") == count, f"{gauge} is {count}")

    # ---- floods

    def test_floods(self):
        self.begin()
        for kind, floods in FLOODS.items():
            for count, (name, chunks) in enumerate(floods.items(), 1):
                with self.subTest(f"{kind}: {name}"):
                    attacker = self.attacker()
                    attacker.flood(chunks())
                    attacker.expect_connection_error(CALM)
                    attacker.close()
                    self.assertEqual(count, self.floods(kind=kind))
                    self.survived()
        self.assertEqual(sum(map(len, FLOODS.values())), self.floods(), "and nothing else")
        self.everybody_has_left()

    def in_turns(self, attacker, make, count=4000, together=20):
        """Opens streams, never more at a time than the server allows; until it says GOAWAY."""
        opened = iter(streams())
        for turn in range(count // together):
            mark = turn.to_bytes(8, "big")
            attacker.send(b"".join(make(next(opened)) for _ in range(together)) + ping(mark))
            attacker.pump_until(lambda: attacker.goaways or mark in attacker.pings,
                                "answer to the PING behind a burst")
            if attacker.goaways:
                return

    def test_what_makes_us_reset_streams(self):
        self.begin()
        for count, (name, make) in enumerate(INDUCED.items(), 1):
            with self.subTest(name):
                self.app.requests.clear()
                attacker = self.attacker()
                self.in_turns(attacker, make)
                attacker.expect_connection_error(CALM)
                attacker.close()
                self.assertEqual(count, self.floods(kind="induced_reset"))
                self.assertLess(len(self.app.requests), 150, "requests that reached the origin")
                self.survived()
        self.everybody_has_left()

    def test_what_may_end_the_connection_at_once(self):
        self.begin()
        for name, make in INDUCED_ONCE.items():
            with self.subTest(name):
                self.app.requests.clear()
                attacker = self.attacker()
                attacker.flood(on_each_stream(make))
                attacker.expect_connection_error(CALM, *AT_ONCE)
                attacker.close()
                self.assertLess(len(self.app.requests), 250, "requests that reached the origin")
                self.survived()
        self.everybody_has_left()

    def test_what_may_be_ignored(self):
        self.begin()
        for name, chunks in IGNORED.items():
            with self.subTest(name):
                attacker = self.attacker()
                if not attacker.flood(chunks()):
                    attacker.expect_alive()
                attacker.close()
                self.survived()
        self.everybody_has_left()

    def test_heads_that_are_too_large(self):
        """Each is refused, and the connection lives (RFC 6585 5)."""
        self.begin()
        bomb = remembered("x-bomb", "b" * 3900)
        for name, fields in {
                "as they are sent": block(request(more=[("x-a", "a" * 40_000)] * 2)),
                "when they are decoded": block(request()) + bomb + indexed(62) * 20,
                "by their number": block(request(more=[("x-a", "1")] * 101)),
        }.items():
            with self.subTest(name):
                client = self.client()
                for stream in range(1, 401, 2):
                    client.open(stream, headers_in_pieces(stream, fields))
                    client.expect_response(stream, 431)
                client.get(401)
                client.close()
                self.survived()

    def test_a_field_that_no_decoder_takes(self):
        self.begin()
        client = self.client()
        client.open(1, headers_in_pieces(1, request(more=[("x-a", "a" * 70_000)])))
        client.expect_connection_error(Code.COMPRESSION_ERROR, CALM)
        self.survived()

    def test_floods_of_a_peer_that_never_reads(self):
        self.begin()
        for name, chunk in {"SETTINGS": settings(), "PING": ping()}.items():
            with self.subTest(name):
                attacker = self.attacker(receive_buffer=4096)
                attacker.send(chunk * 5000)
                self.everybody_has_left()
                attacker.close()
                self.survived()

    def test_allowances_are_configurable(self):
        self.begin(http2={"floods": {"ping": 3, "settings": 2}})
        attacker = self.attacker()
        attacker.send(ping() * 4)
        attacker.expect_connection_error(CALM)
        self.assertEqual(1, self.floods(kind="ping"))
        attacker = self.attacker()  # whose preface has one SETTINGS
        attacker.send(settings() * 2)
        attacker.expect_connection_error(CALM)
        self.assertEqual(1, self.floods(kind="settings"))

    def test_honest_bursts_pass(self):
        self.begin()
        client = self.client()
        for stream in range(1, 201, 2):
            client.open(stream, headers(stream, request()) + rst_stream(stream))
        client.send(ping() * 50 + window_update(0, 1000) * 100 + settings() * 10 +
                    b"".join(priority_frame(stream) for stream in range(201, 401, 2)))
        client.open(401, headers_in_pieces(401, post(), count=40, end=False) +
                    data(401) * 100 + window_update(401, 1) * 100 + data(401, end=True))
        client.expect_response(401)
        for stream in range(403, 603, 2):
            client.open(stream, headers(stream, request()))
        for stream in range(403, 603, 2):
            client.expect_response(stream)
        client.expect_alive()
        self.assertEqual([], client.goaways)
        self.assertEqual(0, self.floods())


if __name__ == "__main__":
    main()
