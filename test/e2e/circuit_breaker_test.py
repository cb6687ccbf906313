#!/usr/bin/env python3
"""How many requests a circuit breaker lets wait, be in flight, and be sent again: exactly."""

import threading

from lib import main, wait_until
from lib.breaker_case import BreakerTest


class PendingTest(BreakerTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.hold = self.app.hold("/slow")

    def fill(self, pending):
        """The only connection is taken, and as many wait as may: their clients."""
        self.serve(self.app, connections=1, pending=pending)
        busy = self.send()
        self.hold.wait_arrived()
        waiting = self.send("/next", pending)
        self.wait_counts(waiting=pending, in_flight=pending + 1, connections=1)
        return busy, waiting

    def test_so_many_wait_and_no_more(self):
        busy, waiting = self.fill(3)
        self.assert_refused(1)
        self.assert_refused(2)
        self.assertEqual(1, self.sent(), "what waits was not sent")
        self.hold.release()
        self.assert_answered(busy + waiting)
        self.assertEqual((4, 4), (self.sent(), len(self.app.requests)))
        self.assertEqual(1, self.app.connections)
        self.wait_counts(waiting=0, in_flight=0, connections=1)

    def test_they_are_served_in_order(self):
        self.serve(self.app, connections=1)
        busy = self.send()
        self.hold.wait_arrived()
        waiting = []
        for number in range(5):
            waiting += self.send(f"/{number}")
            self.wait_counts(waiting=number + 1)
        self.hold.release()
        self.assert_answered(busy + waiting)
        self.assertEqual(["/slow", "/0", "/1", "/2", "/3", "/4"],
                         [request.path for request in self.app.requests])

    def test_a_client_that_leaves_frees_its_place(self):
        busy, (leaving, staying) = self.fill(2)
        self.assert_refused(1)
        leaving.reset()
        self.wait_counts(waiting=1, in_flight=2)
        later = self.send("/later")
        self.wait_counts(waiting=2)
        self.assert_refused(2)
        self.hold.release()
        self.assert_answered(busy + [staying] + later)
        self.assertEqual(3, self.sent(), "the request of the one that left was not")


class RequestsTest(BreakerTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.hold = self.app.hold("/slow")

    def fill(self):
        self.serve(self.app, requests=3)
        clients = self.send(count=3)
        self.hold.wait_arrived(3)
        self.wait_counts(in_flight=3, waiting=0, connections=3)
        return clients

    def test_so_many_are_in_flight_and_no_more(self):
        clients = self.fill()
        self.assert_refused(1)
        self.assert_refused(2)
        self.assertEqual((3, 3), (self.sent(), len(self.app.requests)))
        self.hold.release()
        self.assert_answered(clients)
        self.wait_counts(in_flight=0)
        self.assert_answered(self.send("/more"))
        self.assertEqual((4, 2), (self.sent(), self.overflows()))

    def test_one_that_is_answered_frees_its_place(self):
        self.serve(self.app, requests=2)
        slow = self.send()
        self.hold.wait_arrived()
        other = self.connect(self.process)
        for _ in range(10):
            self.assertEqual(200, other.ask(target="/quick").status)
        self.assertEqual((11, 0), (self.sent(), self.overflows()))
        self.hold.release()
        self.assert_answered(slow)

    def test_a_client_that_leaves_frees_its_place(self):
        leaving, *staying = self.fill()
        leaving.reset()
        self.wait_counts(in_flight=2)
        later = self.send()
        self.hold.wait_arrived()
        self.assert_refused(1)
        self.hold.release()
        self.assert_answered(staying + later)

    def test_an_upstream_that_fails_frees_the_place(self):
        self.app.on("/reset", lambda exchange: exchange.reset())
        self.serve(self.app, requests=1)
        for _ in range(5):
            self.assert_answered(self.send("/reset"), 502)
        self.assert_answered(self.send("/fine"))
        self.assertEqual((6, 0), (self.sent(), self.overflows()))


class RetriesTest(BreakerTest):
    def setUp(self):
        super().setUp()
        self.app = app = self.origin()
        self.released = threading.Event()
        self.addCleanup(self.released.set)

        def twice(exchange):
            """Fails, and answers the second time when the test says so."""
            if len(app.seen(exchange.path)) == 1:
                exchange.reset()
            elif self.released.wait(20):
                exchange.reply()
        for path in ("/a", "/b", "/c", "/d"):
            app.on(path, twice)

    def retried(self, target):
        """The client of a request that was sent again."""
        client = self.send(target)
        wait_until(lambda: len(self.app.seen(target)) == 2, f"{target} is sent again")
        return client

    def assert_not_retried(self, target):
        self.assert_answered(self.send(target), 502)
        self.assertEqual(1, len(self.app.seen(target)))
        self.assertEqual(1, self.process.metric("sluice_upstream_retry_overflow_total"))

    def retries(self):
        return self.process.metric("sluice_upstream_retries_total", cluster="app")

    def test_so_many_are_under_way_and_no_more(self):
        self.serve(self.app, min_retries=2, retry_percent=0, route={"retries": 3})
        clients = self.retried("/a") + self.retried("/b")
        self.assert_not_retried("/c")
        self.assertEqual((2, 5), (self.retries(), self.sent()))
        self.released.set()
        self.assert_answered(clients)
        self.wait_counts(in_flight=0)
        self.assert_answered(self.send("/d"))
        self.assertEqual((3, 7), (self.retries(), self.sent()))

    def test_a_client_that_leaves_frees_its_place(self):
        self.serve(self.app, min_retries=1, retry_percent=0, route={"retries": 3})
        leaving, = self.retried("/a")
        self.assert_not_retried("/b")
        leaving.reset()
        self.wait_counts(in_flight=0)
        self.released.set()
        self.assert_answered(self.send("/c"))
        self.assertEqual(2, self.retries())

    def test_so_many_percent_of_what_is_in_flight(self):
        self.serve(self.app, min_retries=0, retry_percent=40, route={"retries": 3})
        hold = self.app.hold("/slow")
        clients = self.send(count=3)
        hold.wait_arrived(3)
        clients += self.retried("/a")  # the first of four
        clients += self.retried("/b")  # the second of five
        self.assert_not_retried("/c")  # it would be the third of six
        self.assertEqual(2, self.retries())
        hold.release()
        self.released.set()
        self.assert_answered(clients)


if __name__ == "__main__":
    main()
