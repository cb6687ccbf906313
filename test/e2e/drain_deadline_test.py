#!/usr/bin/env python3
"""What is still in flight at the deadline, or at a second signal, is cut: told so as far as it can
be, visibly incomplete where it cannot, counted, and in the report."""

import os
import json
import re
import signal
import time
import unittest

from lib import Broken, Client, SluiceTest, main, wait_until

SHORT = {"deadline": "300ms"}
LONG = {"deadline": "60s"}
UPGRADE = {"Connection": "upgrade", "Upgrade": "echo"}


# ThreadSanitizer delivers a signal inside the handler of another, whatever its sa_mask says.
UNDER_TSAN = "/tsan/" in os.environ.get("SLUICE_BINARY", "")


class StragglerTest(SluiceTest):
    """Each kind of straggler, brought about by a deadline and by a second signal."""

    def setUp(self):
        super().setUp()
        self.app = self.origin()

    def both_ways(self, scenario):
        """Runs `scenario(client)`, which leaves something in flight and returns what is to be
        checked after the cut."""
        for drain, reason in ((SHORT, "deadline"), (LONG, "second_signal")):
            with self.subTest(reason):
                self.process = self.sluice(self.app, drain=drain)
                self.client = self.connect(self.process)
                check = scenario()
                self.process.signal()
                self.process.wait_for_phase("draining")
                if reason == "second_signal":
                    self.process.signal()
                self.assertEqual(reason, self.process.wait_for("drain_cut")["reason"])
                check()
                self.client.close()
                started = time.monotonic()
                self.assertEqual(3, self.process.wait_exit())
                self.assertLess(time.monotonic() - started, 10, "the exit is prompt")
                self.check_report(reason)

    def check_report(self, reason):
        report = self.process.report()
        self.assertEqual(1, report["cut"]["total"], report)
        (protocol, reasons), = report["cut"]["by_protocol"].items()
        self.assertEqual({reason: 1}, reasons)
        straggler, = report["stragglers"]
        self.assertEqual((protocol, "in"), (straggler["protocol"], straggler["listener"]))
        self.assertEqual(self.client_name, straggler["peer"])
        self.assertTrue(straggler["waiting_for"])
        if reason == "deadline":
            self.assertGreaterEqual(straggler["age_seconds"], 0.25)
        self.straggler = straggler
        text = (self.directory / "access.log").read_text(encoding="utf-8")
        line = json.loads(text.splitlines()[-1])
        self.assertEqual("cut", line["end"], line)

    def remember(self):
        self.client_name = self.client.name

    def assert_503(self):
        answer = self.client.read_response()
        self.assertEqual((503, True), (answer.status, answer.closes), answer)
        self.assertRegex(answer.get("retry-after"), re.compile(r"^\d+$"))
        self.assertEqual("fin", self.client.ended())

    def test_waiting_for_the_origin(self):
        def scenario():
            self.remember()
            self.client.request("GET", "/slow")
            hold.wait_arrived()
            return self.assert_503
        hold = self.app.hold("/slow")
        self.both_ways(scenario)
        self.assertEqual("default/0", self.straggler["route"])
        self.assertEqual("response from the upstream", self.straggler["waiting_for"])

    def test_a_head_that_does_not_end(self):
        def scenario():
            self.remember()
            self.client.send("GET / HTTP/1.1\r\nHo")
            wait_until(lambda: self.process.admin_json("/connections")["in_flight"] == 1,
                       "it has begun")
            return self.assert_503
        self.both_ways(scenario)
        self.assertEqual("request head", self.straggler["waiting_for"])

    def test_an_upload_that_does_not_end(self):
        def scenario():
            self.remember()
            seen = len(self.app.requests)
            self.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
            wait_until(lambda: len(self.app.requests) > seen, "it has reached the origin")
            return self.assert_503
        self.both_ways(scenario)
        self.assertEqual(5, self.straggler["bytes_in"])

    def half_a_response(self, head):
        def begin(x):
            x.send(head)
            x.wait_for_end()
        self.app.on("/half", begin)

    def test_a_chunked_response_that_does_not_end(self):
        def incomplete():
            with self.assertRaises(Broken) as seen:
                self.client.read_body_into(self.head)
            self.assertNotIn(b"0\r\n", seen.exception.received)

        def scenario():
            self.remember()
            self.client.request("GET", "/half")
            self.head = self.client.read_head()
            return incomplete
        self.half_a_response(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        self.both_ways(scenario)
        self.assertEqual(5, self.straggler["bytes_out"])

    def test_a_response_with_a_length_that_does_not_end(self):
        def incomplete():
            self.assertEqual(b"hello", self.client.read_to_end())

        def scenario():
            self.remember()
            self.client.request("GET", "/half")
            self.assertEqual("10", self.client.read_head().get("content-length"))
            return incomplete
        self.half_a_response("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        self.both_ways(scenario)

    def test_a_response_until_close_is_reset(self):
        """A FIN would make it look complete to an HTTP/1.0 client."""
        def scenario():
            self.remember()
            self.client.request("GET", "/half", version="1.0")
            self.client.read_head()
            self.assertEqual(b"hello", self.client.read_exactly(5))
            return lambda: self.assertEqual("reset", self.client.ended())
        self.half_a_response("HTTP/1.1 200 OK\r\n\r\nhello")
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
            self.client.close()
            self.client = self.connect(self.process, receive_buffer=4096)
            self.remember()
            self.client.request("GET", "/endless")
            self.client.read_head()
            return lambda: None
        self.app.on("/endless", endless)
        self.both_ways(scenario)

    def test_a_tunnel(self):
        def tunnel(x):
            x.send("HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            ends.append(x.wait_for_end())

        def scenario():
            self.remember()
            ends.clear()
            self.client.request("GET", "/tunnel", UPGRADE)
            self.assertEqual(101, self.client.read_head().status)
            self.client.send("hello")
            return both_ends

        def both_ends():
            self.assertEqual("fin", self.client.ended())
            wait_until(lambda: ends, "the origin's side has ended, too")
            self.assertEqual([b"hello"], ends)
        ends = []
        self.app.on("/tunnel", tunnel)
        self.both_ways(scenario)
        self.assertEqual("tunnel", self.straggler["protocol"])


class SignalTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()

    def test_a_second_signal_while_lame_duck_skips_the_delay(self):
        process = self.sluice(self.app, drain={"propagation_delay": "60s"})
        process.signal()
        process.wait_for_phase("lame_duck")
        process.signal()
        self.assertEqual(0, process.wait_exit(), "nothing was in flight, nothing is cut")

    def test_a_second_signal_while_lame_duck_cuts_what_is_in_flight(self):
        process = self.sluice(self.app, drain={"propagation_delay": "60s"})
        hold = self.app.hold("/slow")
        client = self.connect(process)
        client.request("GET", "/slow")
        hold.wait_arrived()
        process.signal()
        process.wait_for_phase("lame_duck")
        process.signal(signal.SIGINT)
        self.assertEqual(503, client.read_response().status)
        client.close()
        self.assertEqual(3, process.wait_exit())

    @unittest.skipIf(UNDER_TSAN, "handlers nest under ThreadSanitizer, and libuv's waits for itself")
    def test_a_hundred_signals_are_the_same_as_two(self):
        process = self.sluice(self.app, drain=LONG)
        hold = self.app.hold("/slow")
        client = self.connect(process)
        client.request("GET", "/slow")
        hold.wait_arrived()
        process.stop_now()
        for _ in range(49):
            if process.running():
                process.stop_now()
        self.assertEqual(503, client.read_response().status)
        client.close()
        self.assertEqual(3, process.wait_exit())
        self.assertEqual(1, len(process.events("second_signal")))
        self.assertEqual(1, len(process.events("drain_report")))
        self.assertEqual({"http1": {"second_signal": 1}},
                         process.report()["cut"]["by_protocol"])

    @unittest.skipIf(UNDER_TSAN, "handlers nest under ThreadSanitizer, and libuv's waits for itself")
    def test_signals_in_every_phase_do_no_harm(self):
        process = self.sluice(self.app, drain={"propagation_delay": "20ms"})
        while process.running():
            process.stop_now()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual(0, process.report()["cut"]["total"])


class PeerTest(SluiceTest):
    """Peers that do not go by themselves."""

    def setUp(self):
        super().setUp()
        self.app = self.origin()

    def drained(self, process, seconds=5):
        started = time.monotonic()
        process.signal()
        self.assertEqual(0, process.wait_exit())
        self.assertLess(time.monotonic() - started, seconds)

    def test_a_client_that_does_not_close(self):
        process = self.sluice(self.app, drain=LONG)
        clients = [self.connect(process) for _ in range(10)]
        for client in clients:
            self.assertEqual(200, client.ask().status)
        self.drained(process)

    def test_a_client_that_half_closed(self):
        process = self.sluice(self.app, drain=LONG)
        client = self.connect(process)
        self.assertEqual(200, client.ask().status)
        client.half_close()
        self.drained(process)

    def test_a_client_that_goes_on_sending(self):
        process = self.sluice(self.app, drain=LONG | {"linger": "300ms"})
        client = self.connect(process)
        self.assertEqual(200, client.ask().status)
        process.signal()
        process.wait_for_phase("draining")
        self.assertEqual("fin", client.ended())
        try:
            while process.running():
                client.send(b"x" * 1000)
        except OSError:
            pass
        self.assertEqual(0, process.wait_exit())

    def test_an_origin_that_does_not_close(self):
        self.app.on("/", lambda x: (x.reply(), x.wait_for_end()))
        process = self.sluice(self.app, drain=LONG)
        client = self.connect(process)
        self.assertEqual(200, client.ask().status)
        client.close()
        self.drained(process)

    def test_a_client_that_leaves_during_the_drain(self):
        process = self.sluice(self.app, drain=LONG)
        self.app.on("/slow", lambda x: x.wait_for_end())
        client = self.connect(process)
        client.request("GET", "/slow")
        wait_until(lambda: self.app.requests, "it has reached the origin")
        process.signal()
        process.wait_for_phase("draining")
        client.reset()
        self.assertEqual(0, process.wait_exit(), "who leaves was not cut")
        self.assertEqual(0, process.report()["cut"]["total"])

    def test_a_tunnel_of_which_one_half_is_closed(self):
        def tunnel(x):
            x.send("HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            x.connection.read_to_end()
            x.wait_for_end()
        self.app.on("/tunnel", tunnel)
        process = self.sluice(self.app, drain=SHORT)
        client = self.connect(process)
        client.request("GET", "/tunnel", UPGRADE)
        self.assertEqual(101, client.read_head().status)
        client.half_close()
        process.signal()
        self.assertIn(process.wait_exit(), (0, 3))

    def test_many_stragglers(self):
        process = self.sluice(self.app, drain=SHORT)
        hold = self.app.hold("/slow")
        clients = [self.connect(process) for _ in range(100)]
        for client in clients:
            client.request("GET", "/slow")
        hold.wait_arrived(100)
        process.signal()
        for client in clients:
            self.assertEqual(503, client.read_response().status)
            client.close()
        self.assertEqual(3, process.wait_exit())
        report = process.report()
        self.assertEqual({"http1": {"deadline": 100}}, report["cut"]["by_protocol"])
        self.assertEqual(100, report["in_flight_at_start"]["total"])
        ages = [straggler["age_seconds"] for straggler in report["stragglers"]]
        self.assertEqual(sorted(ages, reverse=True), ages, "the slowest first")
        self.assertGreater(len(ages), 10)

    def test_a_report_that_cannot_be_written_costs_nothing_else(self):
        process = self.sluice(self.app, drain={"report_file": "/nowhere/report.json"})
        with Client(process.address()) as client:
            self.assertEqual(200, client.ask().status)
        process.signal()
        self.assertEqual(0, process.wait_exit())
        self.assertIn("/nowhere", process.wait_for("drain_report_failed")["error"])


if __name__ == "__main__":
    main()
