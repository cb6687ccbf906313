#!/usr/bin/env python3
"""Clients of HTTP/2 that are slow on purpose: every wait for them has an end, and what is kept for
them is bounded."""

import itertools
import select

from lib import BOUND, SANITIZED, SluiceTest, main, patience, wait_until
from lib.h2frames import (
    MAX_WINDOW, PREFACE, Code, Setting, block, continuation, data, headers, ping, post, request,
    settings)
from lib.h2wire import H2Connection

REQUEST = block(request())

# What a hundred responses that nobody takes may make the process grow by.
GROWTH = 48 << 20


class SlowClientTest(SluiceTest):
    def begin(self, **timeouts):
        self.app = self.origin()
        self.process = self.sluice(self.app, listener={"timeouts": timeouts})
        self.memory = self.process.rss_bytes()

    def client(self, **more):
        client = H2Connection(self.process.address(), **more)
        self.addCleanup(client.close)
        return client

    def drip(self, client, chunks):
        """Sends one after the other, with pauses, until the server has had enough."""
        left = patience(BOUND)
        for chunk in chunks:
            client.drain()
            if client.ended_by or client.goaways:
                return
            self.assertTrue(left(), "a client that drips is served for ever")
            client.send(chunk)
            pause = patience(0.05)
            while pause() and not client.ended_by:
                select.select([client.socket], [], [], pause())
                client.drain()

    def everybody_has_left(self):
        for gauge in ("sluice_requests_in_flight", "sluice_connections_open"):
            wait_until(lambda gauge=gauge: self.process.metric(gauge, listener="in") == 0,
                       f"{gauge} is 0")

    def others_are_served(self):
        client = self.client()
        client.get(1)
        client.close()

    # ---- heads

    def test_connections_without_a_request(self):
        self.begin(header="500ms", idle="500ms")
        beginnings = {
            "nothing at all": b"",
            "half a preface": PREFACE[:10],
            "a preface alone": PREFACE,
            "a preface and half of SETTINGS": PREFACE + settings()[:5],
            "half of a frame": PREFACE + settings() + headers(1, request())[:12],
        }
        clients = {name: self.client(begin=False) for name in beginnings}
        for name, client in clients.items():
            client.send(beginnings[name])
        for name, client in clients.items():
            with self.subTest(name):
                client.read_to_end_of_anything()
        self.others_are_served()

    def test_idle_connections(self):
        self.begin(header="500ms", idle="500ms")
        fresh, used, mute = self.client(), self.client(), self.client(begin=False)
        used.get(1)
        mute.answers_settings = False
        mute.begin()
        for name, client in {"fresh": fresh, "used": used, "no ACK": mute}.items():
            with self.subTest(name):
                client.expect_end()
                self.assertEqual({Code.NO_ERROR}, {code for _, code in client.goaways})
        self.everybody_has_left()

    def test_pings_do_not_keep_a_connection_open(self):
        self.begin(header="500ms", idle="500ms")
        client = self.client()
        self.drip(client, itertools.repeat(ping()))
        client.expect_end()
        self.assertEqual({Code.NO_ERROR}, {code for _, code in client.goaways})

    def test_a_header_block_that_stops(self):
        self.begin(header="500ms")
        for name, sent in {
                "without a byte": headers(1, b"", end_headers=False),
                "within a field": headers(1, REQUEST[:9], end_headers=False),
                "before END_HEADERS": headers(1, REQUEST, end_headers=False),
                "within CONTINUATION": headers(1, REQUEST, end_headers=False) +
                                       continuation(1, b"xxx")[:10],
        }.items():
            with self.subTest(name):
                client = self.client()
                client.send(sent)
                client.expect_connection_error(Code.ENHANCE_YOUR_CALM)
        self.assertEqual([], self.app.requests)
        self.everybody_has_left()
        self.others_are_served()

    def test_trailers_that_stop(self):
        """The request is refused; nothing else can come on that connection, so it is idle."""
        self.begin(body="500ms", idle="500ms")
        client = self.client()
        client.open(1, headers(1, post(), end=False) + data(1, b"x") +
                    headers(1, b"", end_headers=False))
        client.expect_response(1, 408)
        client.expect_end()
        self.everybody_has_left()
        self.assertTrue(all(x.body is None for x in self.app.requests))

    def test_a_header_block_that_drips(self):
        self.begin(header="500ms")
        client = self.client()
        client.send(headers(1, REQUEST, end_headers=False))
        self.drip(client, itertools.repeat(continuation(1, b"", False)))
        client.expect_connection_error(Code.ENHANCE_YOUR_CALM)
        self.everybody_has_left()

    # ---- bodies

    def test_a_body_that_does_not_come(self):
        self.begin(body="500ms")
        client = self.client()
        client.open(1, headers(1, post(), end=False))
        client.open(3, headers(3, post(), end=False) + data(3, b"x"))
        client.expect_response(1, 408)
        client.expect_response(3, 408)
        client.expect_alive()
        client.get(5)
        self.assertTrue(all(x.body is None for x in self.app.requests[:-1]))

    # ---- responses

    def test_a_window_that_stays_shut(self):
        self.begin(write="500ms")
        client = self.client()
        client.send(client.own_settings((Setting.INITIAL_WINDOW_SIZE, 0)))
        client.open(1, headers(1, request()))
        client.expect_head(1)
        client.pump_until(lambda: client.answers[1].reset is not None, "the end of the stream")
        client.expect_alive()
        client.open(3, headers(3, request(method="HEAD")))
        client.expect_response(3)
        wait_until(lambda: self.process.metric("sluice_requests_in_flight", listener="in") == 0,
                   "nothing is in flight")

    def test_the_window_of_the_connection_stays_shut(self):
        self.app = self.origin()
        self.app.on("/large", lambda x: x.reply(body=bytes(200_000)))
        self.process = self.sluice(self.app, listener={"timeouts": {"write": "500ms"}})
        client = self.client()
        client.send(client.own_settings((Setting.INITIAL_WINDOW_SIZE, MAX_WINDOW)))
        for stream in (1, 3, 5):
            client.open(stream, headers(stream, request("/large")))
        for stream in (1, 3, 5):
            client.pump_until(lambda stream=stream: client.answers[stream].reset is not None,
                              "the end of the stream")
        client.expect_alive()

    def test_a_peer_that_never_reads(self):
        self.begin(write="1s")

        def endless(x):
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                x.send(bytes(1 << 16))
        self.app.on("/endless", endless)
        client = self.client(receive_buffer=4096)
        client.send(client.own_settings((Setting.INITIAL_WINDOW_SIZE, MAX_WINDOW)) +
                    client.allow(0, MAX_WINDOW - 65535))
        for stream in range(1, 201, 2):
            client.open(stream, headers(stream, request("/endless")))
        wait_until(lambda: len(self.app.seen("/endless")) == 100, "a hundred requests")
        self.others_are_served()
        self.everybody_has_left()
        grown = self.process.rss_bytes() - self.memory
        if not SANITIZED:
            self.assertLess(grown, GROWTH, f"grown by {grown >> 10} KiB")
        self.others_are_served()


if __name__ == "__main__":
    main()
