#!/usr/bin/env python3
"""GOAWAY, refusals and failures of an HTTP/2 upstream; the drain with HTTP/2 on both sides."""

import itertools

from lib import Broken, main, wait_until
from lib.h2frames import Code, data, headers, post, rst_stream
from lib.h2upstream import UpstreamTest


class RefusalTest(UpstreamTest):
    """What an upstream has not processed is sent again, whatever it is; what it may have is not."""

    def answers(self, *scripts):
        """The n-th request for /x is answered by the n-th of them."""
        number = itertools.count()
        self.app.on("/x", lambda x: scripts[min(next(number), len(scripts) - 1)](x))

    def test_a_refused_post_is_sent_again(self):
        self.serve()
        self.answers(lambda x: x.refuse(), lambda x: x.reply())
        answer = self.client.ask("POST", "/x", body=b"pay")
        self.assertEqual((200, b"ok"), (answer.status, answer.body))
        self.assertEqual(b"pay", bytes(self.app.seen("/x")[1].body))
        self.assertEqual(1, self.process.metric("sluice_upstream_retries_total"))

    def test_a_goaway_below_a_stream(self):
        self.serve()
        first = self.app.hold("/first")
        self.answers(lambda x: x.connection.goaway(x.stream - 2), lambda x: x.reply())
        self.h2.ask(1, "/first")
        first.wait_arrived()
        self.h2.upload(3, "/x")
        self.h2.send(data(3, b"pay", end=True))
        self.h2.expect_response(3)
        self.assertEqual(b"pay", bytes(self.app.seen("/x")[1].body))
        self.assertEqual(2, len(self.app.connections), "again, on a fresh connection")
        self.h2.get(5)
        self.assertEqual(2, len(self.app.connections), "nothing goes to the one that is leaving")
        first.release()
        self.h2.expect_response(1, body=b"ok")  # it is below the id, and was served
        wait_until(lambda: self.app.open_connections() == 1, "the one that left is closed")
        self.assertEqual(0, self.process.metric("sluice_upstream_connect_failures_total"))

    def test_a_goaway_of_an_idle_connection(self):
        self.serve()
        self.assertEqual(200, self.client.ask().status)
        connection, = self.app.connections
        connection.goaway(1)
        for _ in range(5):
            self.assertEqual(200, self.client.ask("POST", "/", body=b"pay").status)
        wait_until(lambda: self.app.open_connections() == 1, "the one that left is closed")
        self.assertEqual(6, len(self.app.requests))

    def test_the_two_goaways_of_a_graceful_upstream(self):
        self.serve()
        hold = self.app.hold("/slow")
        self.h2.ask(1, "/slow")
        hold.wait_arrived()
        connection, = self.app.connections
        connection.goaway(2**31 - 1)
        connection.goaway(1)
        self.h2.get(3)
        hold.release()
        self.h2.expect_response(1)
        self.assertEqual(0, self.process.metric("sluice_upstream_retries_total"))

    def test_a_reset_that_may_have_been_processed_is_told(self):
        self.serve()
        self.app.on("/x", lambda x: x.reset())
        self.assertEqual(502, self.client.ask("POST", "/x", body=b"pay").status)
        self.assertEqual(1, len(self.app.seen("/x")))
        self.assertEqual(200, self.client.ask().status)
        self.assertEqual(1, len(self.app.connections))

    def test_a_response_that_breaks_off(self):
        def break_off(x):
            x.begin()
            x.send(b"hello")
            hold(x)
        self.serve()
        hold = self.app.hold("/hold", lambda x: x.reset())
        self.app.on("/x", break_off)
        answer = self.h2.ask(1, "/x")
        self.client.request("GET", "/x")
        head = self.client.read_head()
        self.h2.pump_until(lambda: answer.body == b"hello", "the first half")
        hold.release()
        self.h2.pump_until(lambda: answer.ended or answer.reset is not None, "its end")
        self.assertEqual((False, b"hello"), (answer.ended, answer.body))
        self.assertNotEqual(Code.NO_ERROR, answer.reset)
        with self.assertRaises(Broken):
            self.client.read_body_into(head)

    def test_a_connection_that_dies_with_many_streams(self):
        self.serve()
        hold = self.app.hold("/slow")
        for stream in range(1, 40, 2):
            self.h2.open(stream, headers(stream, post("/slow")))
        hold.wait_arrived(20)
        self.app.close_connections()
        for stream in range(1, 40, 2):
            self.h2.expect_response(stream, 502)
        self.assertEqual(20, len(self.app.seen("/slow")), "a POST is not sent twice")
        self.h2.get(41)
        wait_until(lambda: self.process.admin_json("/drain")["in_flight"]["total"] == 0, "all over")

    def test_a_client_that_gives_up_is_passed_on(self):
        self.serve()
        self.app.on("/slow", lambda x: x.wait_for_end())
        self.h2.ask(1, "/slow")
        request, = wait_until(lambda: self.app.seen("/slow"), "it has reached the origin")
        self.h2.send(rst_stream(1))
        wait_until(request.gone, "the origin is told")
        self.assertEqual(Code.CANCEL, request.reset_by_peer)
        self.h2.get(3)
        self.assertEqual(1, len(self.app.connections))


class DrainTest(UpstreamTest):
    def begin(self, streams, **drain):
        """So many streams that the origin holds, and SIGTERM."""
        self.serve(drain={"linger": "60s"} | drain)
        self.hold = self.app.hold("/slow")
        self.streams = range(1, 2 * streams, 2)
        for stream in self.streams:
            self.h2.ask(stream, "/slow")
        self.hold.wait_arrived(streams)
        self.process.signal()
        self.h2.wait_goaways()

    def test_what_is_in_flight_is_finished(self):
        self.begin(50, deadline="60s")
        self.assertEqual({"http2": 50},
                         self.process.admin_json("/drain")["in_flight"]["by_protocol"])
        self.hold.release()
        for stream in self.streams:
            self.h2.expect_response(stream, body=b"ok")
        self.h2.expect_end()
        self.assertEqual("fin", self.h2.ended_by)
        self.h2.close()
        self.client.close()
        self.assertEqual(0, self.process.wait_exit())
        report = self.process.report()
        self.assertEqual((50, 50, 0), (report["in_flight_at_start"]["total"], report["finished"],
                                       report["cut"]["total"]))
        wait_until(lambda: self.app.open_connections() == 0, "the upstream is left")

    def test_who_is_cut_is_taken_from_the_upstream(self):
        self.begin(3, deadline="300ms")
        for stream in self.streams:
            self.h2.expect_response(stream, 503)
        self.h2.expect_end()
        self.h2.close()
        self.client.close()
        self.assertEqual(3, self.process.wait_exit())
        self.assertEqual({"http2": {"deadline": 3}}, self.process.report()["cut"]["by_protocol"])
        wait_until(lambda: all(x.gone() for x in self.app.seen("/slow")), "the upstream is told")

    def test_an_idle_upstream_connection_does_not_hold_it(self):
        self.serve(drain={"deadline": "60s"})
        self.h2.get(1)
        self.h2.close()
        self.client.close()
        self.process.signal()
        self.assertEqual(0, self.process.wait_exit())
        wait_until(lambda: self.app.open_connections() == 0, "the upstream is left")


if __name__ == "__main__":
    main()
