#!/usr/bin/env python3
"""The limits of a cluster (circuit_breaker), counted exactly: on one worker."""

import threading

from lib import SluiceTest, main, wait_until


class CircuitBreakerTest(SluiceTest):
    def serve(self, *origins, cluster=None, route=None, **breaker):
        route = {"cluster": "app", "timeout": "60s", "retries": 0} | (route or {})
        self.process = self.sluice(*origins, workers=1, listener={"routes": [route]},
                                   cluster={"circuit_breaker": breaker} | (cluster or {}))
        return self.process

    def cluster(self):
        cluster, = self.process.admin_json("/clusters")["clusters"]
        return cluster

    def wait_counts(self, **counts):
        """Until the cluster has these numbers of `waiting`, `in_flight`, `connections`."""
        wait_until(lambda: counts.items() <= self.cluster().items(),
                   lambda: f"{counts}, but {self.cluster()}")

    def send(self, target="/slow", count=1):
        """Clients that have each sent a request."""
        clients = [self.connect(self.process) for _ in range(count)]
        for client in clients:
            client.request(target=target)
        return clients

    def assert_answered(self, clients, status=200):
        for client in clients:
            self.assertEqual(status, client.read_response().status)

    def assert_refused(self, times):
        """One request is refused, and it is the `times`-th."""
        self.assert_answered(self.send("/refused"), 503)
        refused = self.log_lines(times, path="/refused", detail="pending_overflow")
        self.assertEqual(times, len(refused))
        self.assertEqual(0, refused[-1]["attempts"])
        self.assertEqual(times, self.overflows())

    def overflows(self):
        return self.process.metric("sluice_upstream_pending_overflow_total", cluster="app")

    def sent(self):
        return self.process.metric("sluice_upstream_requests_total", cluster="app")


class PendingTest(CircuitBreakerTest):
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


class RequestsTest(CircuitBreakerTest):
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


class ConnectionsTest(CircuitBreakerTest):
    def test_others_wait_and_are_served_as_connections_become_free(self):
        app = self.origin()
        holds = [app.hold("/a"), app.hold("/b")]
        self.serve(app, connections=2)
        first, second = self.send("/a"), self.send("/b")
        for hold in holds:
            hold.wait_arrived()
        waiting = self.send("/c", 4)
        self.wait_counts(waiting=4, connections=2)
        self.assertEqual(2, app.connections)
        holds[0].release()
        self.assert_answered(first + waiting)
        self.assertTrue(second[0].is_quiet())
        holds[1].release()
        self.assert_answered(second)
        self.assertEqual((2, 6, 0), (app.connections, self.sent(), self.overflows()))

    def test_a_connection_that_the_upstream_closes_makes_room(self):
        app = self.origin()
        close = app.hold("/last", lambda x: x.reply(fields={"Connection": "close"}))
        self.serve(app, connections=1)
        first = self.send("/last")
        close.wait_arrived()
        waiting = self.send("/next", 2)
        self.wait_counts(waiting=2)
        close.release()
        self.assert_answered(first + waiting)
        self.assertEqual(2, app.connections)

    def two_endpoints(self, **cluster):
        """With one connection between them, which carries a request; the next one waits for the
        other endpoint. What releases the first, and both clients."""
        origins = [self.origin(), self.origin()]
        released = threading.Event()

        def answer(exchange):
            released.wait(20)
            exchange.reply()
        for origin in origins:
            origin.on("/slow", answer)
        self.serve(*origins, connections=1, cluster=cluster)
        first = self.send()
        wait_until(lambda: sum(len(origin.seen("/slow")) for origin in origins) == 1, "it came")
        second = self.send("/next")
        self.wait_counts(waiting=1, connections=1)
        self.assertEqual([0, 1], sorted(origin.connections for origin in origins))
        return released, first, second

    def test_an_idle_connection_elsewhere_makes_room(self):
        origins = [self.origin(), self.origin()]
        self.serve(*origins, connections=1)
        with self.process.connect() as client:
            for _ in range(6):
                self.assertEqual(200, client.ask().status)
        self.assertEqual([3, 3], [len(origin.requests) for origin in origins])
        self.assertEqual(1, self.cluster()["connections"])

    def test_one_that_becomes_idle_elsewhere_makes_room(self):
        released, first, second = self.two_endpoints()
        released.set()
        self.assert_answered(first + second)
        self.assertEqual((2, 0), (self.sent(), self.overflows()))

    def test_one_that_closes_elsewhere_makes_room(self):
        released, first, second = self.two_endpoints(max_requests_per_connection=1)
        released.set()
        self.assert_answered(first + second)
        self.assertEqual((2, 0), (self.sent(), self.overflows()))

    def test_attempts_that_fail_make_room_and_are_made_once(self):
        app = self.origin()
        app.close()
        self.serve(app, connections=1)
        for count in range(1, 4):
            self.assert_answered(self.send("/dead"), 503)
            self.wait_counts(waiting=0, in_flight=0, connections=0)
            self.assertEqual(
                count, self.process.metric("sluice_upstream_connect_failures_total"))
        self.log_lines(3, detail="connect_failed")
        self.assertEqual((0, 0), (self.sent(), self.overflows()))


class RetriesTest(CircuitBreakerTest):
    def test_so_many_retries_are_under_way_and_no_more(self):
        app = self.origin()
        released = threading.Event()
        self.addCleanup(released.set)

        def twice(exchange):
            """Fails, and answers the second time when the test says so."""
            if len(app.seen(exchange.path)) == 1:
                exchange.reset()
            elif released.wait(20):
                exchange.reply()
        for path in ("/a", "/b", "/c", "/d"):
            app.on(path, twice)
        self.serve(app, min_retries=2, retry_percent=0, route={"retries": 3})
        retried = self.send("/a") + self.send("/b")
        wait_until(lambda: len(app.seen("/a") + app.seen("/b")) == 4, "both are sent again")
        self.assert_answered(self.send("/c"), 502)
        self.assertEqual(1, len(app.seen("/c")))
        self.assertEqual(1, self.process.metric("sluice_upstream_retry_overflow_total"))
        self.assertEqual(2, self.process.metric("sluice_upstream_retries_total"))
        self.assertEqual(5, self.sent())
        released.set()
        self.assert_answered(retried)
        self.wait_counts(in_flight=0)
        self.assert_answered(self.send("/d"))
        self.assertEqual((1, 3), (self.process.metric("sluice_upstream_retry_overflow_total"),
                                  self.process.metric("sluice_upstream_retries_total")))
        self.assertEqual(7, self.sent())


if __name__ == "__main__":
    main()
