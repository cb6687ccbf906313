#!/usr/bin/env python3
"""HTTP/2 streams that are still there at the deadline, or at a second signal: told so as far as
they can be, never ended as if they were whole, counted, and in the report."""

import json

from lib import main, wait_until
from lib.h2frames import Code, data, headers, request
from lib.h2watch import NOTICE, H2DrainTest

SHORT = {"deadline": "300ms"}
LONG = {"deadline": "60s"}
HALF = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"


class StragglerTest(H2DrainTest):
    """Each kind of straggler, brought about by a deadline and by a second signal."""

    def both_ways(self, scenario, last=1, protocol="http2", **more):
        """Runs `scenario()`, which leaves streams in flight and returns what is to be checked after
        the cut. `last` is the id in the last GOAWAY."""
        for drain, reason in ((SHORT, "deadline"), (LONG, "second_signal")):
            with self.subTest(reason):
                self.serve(**more, **drain)
                check = scenario()
                name = self.h2.name
                self.process.signal()
                self.process.wait_for_phase("draining")
                if reason == "second_signal":
                    self.process.signal()
                self.assertEqual(reason, self.process.wait_for("drain_cut")["reason"])
                check()
                if last is not None:
                    self.expect_goodbye(last)
                self.h2.close()
                self.assertEqual(3, self.process.wait_exit())
                self.check_report(protocol, reason, name)

    def check_report(self, protocol, reason, name):
        report = self.process.report()
        streams = report["cut"]["total"]
        self.assertEqual({protocol: {reason: streams}}, report["cut"]["by_protocol"])
        self.assertEqual(streams, len(report["stragglers"]))
        for straggler in report["stragglers"]:
            self.assertEqual((protocol, "in", name), (straggler["protocol"], straggler["listener"],
                                                      straggler["peer"]))
            self.assertTrue(straggler["waiting_for"])
            if reason == "deadline":
                self.assertGreaterEqual(straggler["age_seconds"], 0.25)
        self.stragglers = report["stragglers"]
        text = (self.directory / "access.log").read_text(encoding="utf-8")
        ends = [line["end"] for line in map(json.loads, text.splitlines()) if line["peer"] == name]
        self.assertEqual(streams, ends.count("cut"), ends)

    def expect_503(self, stream=1):
        answer = self.h2.expect_response(stream, 503)
        self.assertRegex(answer.get("retry-after"), r"^\d+$")

    def expect_broken(self, answer, so_far):
        """RST_STREAM with an error, and no END_STREAM before it."""
        self.h2.pump_until(lambda: answer.reset is not None or answer.ended, "its end")
        self.assertFalse(answer.ended, "it looks complete")
        self.assertNotEqual(Code.NO_ERROR, answer.reset)
        self.assertEqual(so_far, answer.body)

    def half_a_response(self, path="/half", head=HALF):
        def begin(x):
            x.send(head)
            x.wait_for_end()
        self.app.on(path, begin)

    def begin_half(self, stream):
        answer = self.h2.ask(stream, "/half")
        self.h2.pump_until(lambda: answer.body == b"hello", "the first half")
        return answer

    def test_waiting_for_the_origin(self):
        def scenario():
            self.h2.ask(1, "/slow")
            hold.wait_arrived()
            return self.expect_503
        hold = self.app.hold("/slow")
        self.both_ways(scenario)
        straggler, = self.stragglers
        self.assertEqual(("default/0", "response from the upstream"),
                         (straggler["route"], straggler["waiting_for"]))

    def test_a_client_that_has_not_answered_the_ping(self):
        def scenario():
            self.h2.answers_pings = False
            self.h2.ask(1, "/slow")
            hold.wait_arrived()
            return self.expect_503
        hold = self.app.hold("/slow")
        self.both_ways(scenario)

    def test_an_upload_that_does_not_end(self):
        def scenario():
            seen = len(self.app.requests)
            self.h2.upload(1)
            self.h2.send(data(1, b"hello"))
            wait_until(lambda: len(self.app.requests) > seen, "it has reached the origin")
            return self.expect_503
        self.both_ways(scenario)
        self.assertEqual(5, self.stragglers[0]["bytes_in"])

    def test_a_head_that_does_not_end(self):
        def scenario():
            whole = headers(1, request())
            self.h2.open(1, whole[:20])
            self.wait_in_flight(1)
            return self.expect_503
        self.both_ways(scenario)
        self.assertEqual("request head", self.stragglers[0]["waiting_for"])

    def test_a_response_that_does_not_end(self):
        def scenario():
            answer = self.begin_half(1)
            return lambda: self.expect_broken(answer, b"hello")
        self.half_a_response()
        self.both_ways(scenario)
        self.assertEqual(5, self.stragglers[0]["bytes_out"])

    def test_a_response_with_a_length_that_does_not_end(self):
        def scenario():
            answer = self.begin_half(1)
            self.assertEqual("10", answer.get("content-length"))
            return lambda: self.expect_broken(answer, b"hello")
        self.half_a_response(head="HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        self.both_ways(scenario)

    def test_a_response_whose_window_is_shut(self):
        def scenario():
            answer = self.h2.ask(1, "/large")
            self.h2.pump_until(lambda: len(answer.body) == 65_535, "all that the windows allow")
            return lambda: self.expect_broken(answer, b"x" * 65_535)
        self.app.on("/large", lambda x: x.reply(body=b"x" * 1_000_000))
        self.both_ways(scenario)

    def test_a_client_that_takes_nothing(self):
        def endless(x):
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
            try:
                while True:
                    x.send(b"x" * 65536)
            except OSError:
                x.close()

        def scenario():
            self.h2 = self.open(receive_buffer=4096)
            self.h2.ask(1, "/endless")
            self.h2.expect_head(1)
            self.h2.send(self.h2.allow(0, 2**30) + self.h2.allow(1, 2**30))
            return lambda: None
        self.app.on("/endless", endless)
        self.both_ways(scenario, last=None, linger="300ms")

    def test_a_tunnel(self):
        def tunnel(x):
            x.send("HTTP/1.1 200 Connected\r\n\r\n")
            ends.append(x.wait_for_end())

        def scenario():
            ends.clear()
            self.h2.open(1, headers(1, [(":method", "CONNECT"), (":authority", "a.example:443")],
                                    end=False))
            answer = self.h2.expect_head(1)
            self.h2.send(data(1, b"hello"))
            self.h2.expect_alive()
            return lambda: both_ends(answer)

        def both_ends(answer):
            self.h2.pump_until(lambda: answer.reset is not None or answer.ended, "its end")
            wait_until(lambda: ends, "the origin's side has ended, too")
            self.assertEqual([b"hello"], ends)
        ends = []
        self.app.on("a.example:443", tunnel)
        self.both_ways(scenario, protocol="tunnel", listener={"allow_connect": True})

    def test_streams_of_every_kind_on_one_connection(self):
        def scenario():
            whole = self.h2.ask(1, "/whole")
            half = self.begin_half(3)
            for stream in (5, 7):
                self.h2.ask(stream, "/slow")
            hold.wait_arrived(2)

            def check():
                self.h2.expect_response(1)
                self.expect_broken(half, b"hello")
                self.expect_503(5)
                self.expect_503(7)
                self.assertTrue(whole.whole)
            return check
        hold = self.app.hold("/slow")
        self.half_a_response()
        self.both_ways(scenario, last=7)
        self.assertEqual(3, len(self.stragglers))

    def test_a_hundred_streams(self):
        self.serve(deadline="300ms")
        hold = self.app.hold("/slow")
        for stream in range(1, 200, 2):
            self.h2.ask(stream, "/slow")
        hold.wait_arrived(100)
        self.process.signal()
        for stream in range(1, 200, 2):
            self.expect_503(stream)
        self.expect_goodbye(199)
        self.h2.close()
        self.assertEqual(3, self.process.wait_exit())
        report = self.process.report()
        self.assertEqual({"http2": {"deadline": 100}}, report["cut"]["by_protocol"])
        self.assertEqual(100, report["in_flight_at_start"]["total"])


class SecondSignalTest(H2DrainTest):
    def test_while_lame_duck(self):
        self.serve(propagation_delay="60s")
        hold = self.app.hold("/slow")
        self.h2.ask(1, "/slow")
        hold.wait_arrived()
        self.process.signal()
        self.process.wait_for_phase("lame_duck")
        self.assertEqual([], self.h2.goaways)
        self.process.signal()
        self.h2.expect_response(1, 503)
        self.h2.expect_end()
        self.assertEqual((1, Code.NO_ERROR), self.h2.goaways[-1])
        self.h2.close()
        self.assertEqual(3, self.process.wait_exit())

    def test_idle_connections_are_not_cut(self):
        self.serve(propagation_delay="60s")
        self.h2.get(1)
        self.process.signal()
        self.process.wait_for_phase("lame_duck")
        self.process.signal()
        self.h2.expect_end()
        self.assertEqual((1, Code.NO_ERROR), self.h2.goaways[-1])
        self.h2.close()
        self.assertEqual(0, self.process.wait_exit())

    def test_a_client_that_neither_answers_nor_leaves(self):
        self.serve(linger="200ms")
        self.h2.answers_pings = False
        self.h2.get(1)
        self.process.signal()
        self.assertEqual(0, self.process.wait_exit(), "nobody waits for it for long")
        self.assertEqual(0, self.process.report()["cut"]["total"])
        self.h2.expect_end()
        self.assertEqual([NOTICE, (1, Code.NO_ERROR)], self.h2.goaways)


if __name__ == "__main__":
    main()
