#!/usr/bin/env python3
"""The drain of HTTP/2 on the wire: two GOAWAYs and a PING between them, what is in flight, what
still arrives. RFC 9113 6.8."""

import signal
import time

from lib import main, pattern, wait_until
from lib.h2frames import PREFACE, Code, Setting, data, headers, request, rst_stream, settings
from lib.h2watch import NOTICE, H2DrainTest


class GoodbyeTest(H2DrainTest):
    def test_an_idle_connection(self):
        self.serve()
        self.h2.answers_pings = False
        self.h2.get(1)
        before = len(self.h2.seen)
        self.process.signal()
        payload = self.h2.wait_noticed()
        self.assertEqual(["GOAWAY", "PING"], self.h2.kinds(before))
        self.assertEqual([NOTICE], self.h2.goaways)

        before = len(self.h2.seen)
        self.h2.get(3)  # it was on its way
        self.assertEqual(["HEADERS", "DATA"], self.h2.kinds(before))

        before = len(self.h2.seen)
        self.h2.answer(payload)
        self.expect_goodbye(3)
        self.assertEqual(["GOAWAY"], self.h2.kinds(before))
        for stage, count in {"notice": 1, "final": 1, "error": 0}.items():
            self.assertEqual(count, self.process.metric("sluice_goaway_sent_total", stage=stage))
        self.finish(0, 1)

    def test_a_connection_that_never_had_a_stream(self):
        self.serve()
        self.process.signal()
        self.expect_goodbye(0)
        self.finish(0, 0)

    def test_many_connections_are_told_their_own_last_stream(self):
        self.serve()
        connections = [self.h2] + [self.open() for _ in range(19)]
        for count, h2 in enumerate(connections):
            for stream in range(1, 2 * count, 2):
                h2.get(stream)
        self.process.signal()
        for count, h2 in enumerate(connections):
            self.expect_goodbye(max(2 * count - 1, 0), h2)
            h2.close()
        self.finish(0, 0, told=20)

    def test_all_streams_before_the_answer_to_the_ping_are_served(self):
        self.serve()
        self.h2.answers_pings = False
        self.process.signal()
        payload = self.h2.wait_noticed()
        for stream in range(1, 100, 2):
            self.h2.ask(stream, f"/{stream}")
        self.h2.answer(payload)  # behind them
        for stream in range(1, 100, 2):
            self.h2.expect_response(stream)
        self.expect_goodbye(99)
        self.finish(0, 50)

    def test_a_client_that_never_answers_the_ping_is_released_by_the_timer(self):
        self.serve(linger="300ms")
        self.h2.answers_pings = False
        self.h2.get(1)
        started = time.monotonic()
        self.process.signal()
        self.h2.wait_noticed()
        self.h2.get(3)
        self.expect_goodbye(3)
        self.assertGreaterEqual(time.monotonic() - started, 0.3)
        self.finish(0, 1)

    def test_another_ping_is_not_the_answer(self):
        self.serve()
        self.h2.answers_pings = False
        self.process.signal()
        payload = self.h2.wait_noticed()
        for other in (bytes(8), b"whatever", payload[::-1]):
            self.h2.answer(other)
        self.h2.expect_alive()
        self.assertEqual([NOTICE], self.h2.goaways)
        self.h2.get(1)
        self.h2.answer(payload)
        self.expect_goodbye(1)
        self.finish(0, 1)

    def test_a_stream_behind_the_last_goaway_is_not_taken(self):
        self.serve()
        hold = self.app.hold("/slow")
        self.h2.ask(1, "/slow")
        hold.wait_arrived()
        self.process.signal()
        self.h2.wait_goaways()
        late = self.h2.ask(3, "/late")
        self.h2.expect_alive()
        hold.release()
        self.h2.expect_response(1)
        self.expect_goodbye(1)
        self.assertEqual((None, None), (late.fields, late.reset))
        self.assertEqual([], self.app.seen("/late"))
        self.finish(1, 1)

    def test_a_client_that_closes_on_the_first_goaway(self):
        self.serve()
        hold = self.app.hold("/slow")
        self.h2.answers_pings = False
        self.h2.ask(1, "/slow")
        hold.wait_arrived()
        self.process.signal()
        self.h2.wait_noticed()
        self.h2.half_close()
        self.h2.wait_goaways()
        hold.release()
        self.h2.expect_response(1)
        self.expect_goodbye(1)
        self.finish(1, 1)

    def test_clients_that_leave_during_the_drain(self):
        self.serve()
        hold = self.app.hold("/slow")
        clients = [self.h2] + [self.open() for _ in range(3)]
        for h2 in clients:
            h2.answers_pings = False
            h2.ask(1, "/slow")
        hold.wait_arrived(4)
        self.process.signal()
        for h2 in clients:
            h2.wait_noticed()
        clients[0].send(rst_stream(1))
        clients[0].close()
        for h2 in clients[1:]:
            h2.reset()
        self.assertEqual(0, self.process.wait_exit(), "who leaves was not cut")
        self.assertEqual(0, self.process.report()["cut"]["total"])

    def test_a_connection_that_begins_within_the_grace(self):
        self.serve(idle_grace="60s")
        late = self.open(begin=False)
        wait_until(lambda: self.process.admin_json("/connections")["total"] == 2, "it is in")
        self.begin_drain()
        late.answers_pings = False
        late.begin()
        late.get(1)
        self.assertEqual("SETTINGS", late.kinds()[0])
        late.answer(late.wait_noticed())
        self.expect_goodbye(1, late)
        late.close()
        self.expect_goodbye(0)
        self.finish(0, 1, told=2)

    def test_connections_in_the_accept_queue(self):
        self.serve(idle_grace="60s")
        # Stopped, it cannot accept: these are in the queue, with their requests, when it is told.
        self.process.signal(signal.SIGSTOP)
        queued = [self.open(begin=False) for _ in range(20)]
        for h2 in queued:
            h2.send(PREFACE + settings())
        for h2 in queued[:10]:
            h2.ask(1)
            h2.ask(3)
        self.process.signal()
        self.process.signal(signal.SIGCONT)
        for h2 in queued[10:]:
            h2.get(1)
        for index, h2 in enumerate(queued):
            for stream in (1, 3)[:2 if index < 10 else 1]:
                h2.expect_response(stream)
            self.expect_goodbye(3 if index < 10 else 1, h2)
            h2.close()
        self.h2.close()
        self.assertEqual(0, self.process.wait_exit())
        report = self.process.report()
        self.assertEqual((21, 0), (report["told"], report["cut"]["total"]))


class InFlightTest(H2DrainTest):
    """What is under way when the drain begins is answered whole."""

    def test_a_response_that_the_origin_takes_its_time_for(self):
        self.serve()
        hold = self.app.hold("/slow")
        self.h2.ask(1, "/slow")
        hold.wait_arrived()
        self.begin_drain()
        self.assertEqual({"http2": 1}, self.in_flight())
        self.assertEqual(1, self.process.metric("sluice_drain_inflight", protocol="http2"))
        self.h2.wait_goaways()
        hold.release()
        self.h2.expect_response(1, body=b"ok")
        self.expect_goodbye(1)
        report = self.finish(1, 1)
        self.assertEqual({"http2": 1}, report["in_flight_at_start"]["by_protocol"])
        self.assertEqual({"default/0": 1}, report["in_flight_at_start"]["by_route"])

    def test_a_response_that_has_begun(self):
        hold = self.app.hold("/", lambda x: x.send("5\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\n"))

        def begin(x):
            x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            hold(x)
        self.app.on("/", begin)
        self.serve()
        answer = self.h2.ask(1)
        self.h2.pump_until(lambda: answer.body == b"hello", "the first half")
        self.begin_drain()
        self.h2.wait_goaways()
        hold.release()
        self.h2.expect_response(1, body=b"helloworld")
        self.assertEqual([("x-sum", "1")], answer.trailers)
        self.expect_goodbye(1)
        self.finish(1, 1)

    def test_a_download_as_fast_as_the_client_takes_it(self):
        whole = pattern(1_000_000)
        self.app.on("/", lambda x: x.reply(body=whole))
        self.serve()
        answer = self.h2.ask(1)
        self.h2.pump_until(lambda: len(answer.body) == 65_535, "all that the windows allow")
        self.begin_drain()
        self.h2.wait_goaways()
        self.assertEqual(65_535, len(answer.body))
        while len(answer.body) < len(whole):
            seen = len(answer.body)
            self.h2.send(self.h2.allow(0, 50_000) + self.h2.allow(1, 50_000))
            self.h2.pump_until(lambda seen=seen: len(answer.body) > seen, "more of the body")
        self.h2.expect_response(1, body=whole)
        self.expect_goodbye(1)
        self.finish(1, 1)

    def test_an_upload(self):
        self.serve()
        self.h2.upload(1, "/up")
        self.h2.send(data(1, b"hello"))
        wait_until(lambda: self.app.seen("/up"), "the request has reached the origin")
        self.begin_drain()
        self.h2.wait_goaways()
        self.h2.send(data(1, b"world", end=True))
        self.h2.expect_response(1)
        self.assertEqual(b"helloworld", self.app.seen("/up")[0].body)
        self.expect_goodbye(1)
        self.finish(1, 1)

    def test_a_head_of_which_only_a_part_has_come(self):
        self.serve()
        self.h2.answers_pings = False
        whole = headers(1, request("/late"))
        self.h2.open(1, whole[:20])
        self.h2.wait_taken()
        self.begin_drain()
        payload = self.h2.wait_noticed()
        self.h2.send(whole[20:])
        self.h2.expect_response(1)
        self.h2.answer(payload)
        self.expect_goodbye(1)
        self.finish(1, 1)

    def test_a_preface_of_which_only_a_part_has_come(self):
        self.serve()
        begun = [self.open(begin=False) for _ in PREFACE[1:]]
        for size, h2 in enumerate(begun, start=1):
            h2.answers_pings = False
            h2.send(PREFACE[:size])
            h2.wait_taken()
        client = self.connect(self.process)  # for all that is known it may be one, too
        client.send(b"P")
        client.wait_taken()
        self.begin_drain()
        for size, h2 in enumerate(begun, start=1):
            h2.send(PREFACE[size:] + settings())
            h2.get(1)
            h2.answer(h2.wait_noticed())
            self.expect_goodbye(1, h2)
            h2.close()
        client.send(b"OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        answer = client.read_response()
        self.assertEqual((200, True), (answer.status, answer.closes))
        client.close()
        self.h2.close()
        self.assertEqual(0, self.process.wait_exit())
        self.assertEqual(len(PREFACE), self.process.report()["finished"])

    def test_a_hundred_streams(self):
        self.serve()
        self.assertEqual(100, self.h2.settings[Setting.MAX_CONCURRENT_STREAMS])
        hold = self.app.hold("/slow")
        for stream in range(1, 200, 2):
            self.h2.ask(stream, "/slow")
        hold.wait_arrived(100)
        self.begin_drain()
        self.h2.wait_goaways()
        self.assertEqual({"http2": 100}, self.in_flight())
        hold.release()
        for stream in range(1, 200, 2):
            self.h2.expect_response(stream, body=b"ok")
        self.expect_goodbye(199)
        self.finish(100, 100)

    def test_a_tunnel_that_ends(self):
        def echo(x):
            x.send("HTTP/1.1 200 Connected\r\n\r\n")
            x.send(x.connection.read_to_end())
            x.close()
        self.app.on("example.com:443", echo)
        self.serve(listener={"allow_connect": True})
        self.h2.open(1, headers(1, [(":method", "CONNECT"), (":authority", "example.com:443")],
                                end=False))
        self.h2.expect_head(1)
        self.begin_drain()
        self.h2.wait_goaways()
        self.assertEqual({"tunnel": 1}, self.in_flight())
        self.h2.send(data(1, b"still", end=True))
        self.h2.expect_response(1, body=b"still")
        self.expect_goodbye(1)
        self.finish(1, 1)

    def test_both_protocols_at_once(self):
        self.serve()
        hold = self.app.hold("/slow")
        client = self.connect(self.process)
        client.request("GET", "/slow")
        self.h2.ask(1, "/slow")
        hold.wait_arrived(2)
        self.begin_drain()
        self.assertEqual({"http1": 1, "http2": 1}, self.in_flight())
        hold.release()
        answer = client.read_response()
        self.assertEqual((200, True), (answer.status, answer.closes))
        client.close()
        self.h2.expect_response(1)
        self.expect_goodbye(1)
        self.finish(2, 2, told=2)


class LameDuckTest(H2DrainTest):
    def test_who_asks_is_told(self):
        self.serve(propagation_delay="60s")
        asking, silent = self.h2, self.open()
        self.process.signal()
        self.process.wait_for_phase("lame_duck")
        asking.get(1)
        self.expect_goodbye(1, asking)
        asking.close()
        late = self.open()
        late.get(1)  # a new connection is served, and told as well
        self.expect_goodbye(1, late)
        late.close()
        silent.expect_alive()
        self.assertEqual([], silent.goaways)
        self.process.signal()  # do not wait for the minute
        silent.expect_end()
        self.assertEqual((0, Code.NO_ERROR), silent.goaways[-1])
        silent.close()
        self.assertEqual(0, self.process.wait_exit())

    def test_undrain(self):
        self.serve(propagation_delay="60s")
        asking, silent = self.h2, self.open()
        self.process.signal()
        self.process.wait_for_phase("lame_duck")
        asking.answers_pings = False
        asking.get(1)
        payload = asking.wait_noticed()
        self.assertEqual("ready", self.process.admin_json("/drain", "DELETE")["phase"])
        asking.answer(payload)  # what was said stays said
        self.expect_goodbye(1, asking)
        for stream in range(1, 20, 2):
            silent.get(stream)
        self.assertEqual([], silent.goaways, "who was told nothing stays")
        self.open().get(1)


if __name__ == "__main__":
    main()
