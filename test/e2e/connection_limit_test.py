#!/usr/bin/env python3
"""A circuit breaker's limit on connections: requests wait, and are served as these become free."""

import threading
import time

from lib import main, wait_until
from lib.breaker_case import BreakerTest
from lib.h2origin import H2Origin


class ConnectionLimitTest(BreakerTest):
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

    def test_those_that_wait_are_served_in_a_drain(self):
        app = self.origin()
        hold = app.hold("/slow")
        self.serve(app, connections=1)
        busy = self.send()
        hold.wait_arrived()
        waiting = self.send("/next", 4)
        self.wait_counts(waiting=4)
        self.process.signal()
        self.process.wait_for_phase("draining")
        hold.release()
        for client in busy + waiting:
            self.assert_answered([client])
            client.close()
        self.assertEqual(0, self.process.wait_exit())

    def test_one_connection_of_http2_carries_many(self):
        app = H2Origin(max_streams=2)
        self.addCleanup(lambda: self.assertEqual([], app.errors, "raised in the origin"))
        self.addCleanup(app.close)
        hold = app.hold("/slow")
        self.serve(app, connections=1, pending=2, cluster={"protocol": "http2"})
        first = self.send()  # and the origin's limit is known
        hold.wait_arrived()
        second = self.send()
        hold.wait_arrived()
        waiting = self.send("/next", 2)
        self.wait_counts(waiting=2, in_flight=4, connections=1)
        self.assert_refused(1)
        waiting.pop().reset()
        self.wait_counts(waiting=1, in_flight=3)
        hold.release()
        self.assert_answered(first + second + waiting)
        self.assertEqual((1, 2, 3), (len(app.connections), app.connections[0].most_open,
                                     self.sent()))

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

    def test_each_endpoint_may_have_one(self):
        origins = [self.origin(), self.origin()]
        holds = [origin.hold("/slow") for origin in origins]
        self.serve(*origins, connections=1)
        first, second = self.send(), self.send()
        for hold in holds:
            hold.wait_arrived()
        self.wait_counts(connections=2, waiting=0)
        for hold in holds:
            hold.release()
        self.assert_answered(first + second)
        self.wait_counts(connections=1)

    def two_endpoints(self, **cluster):
        """With one connection each, which carries a request; a third request waits for the endpoint
        that has the first. What releases the first and the second, and all three clients."""
        origins = [self.origin(), self.origin()]
        holds = [origin.hold("/slow") for origin in origins]
        self.serve(*origins, connections=2, cluster=cluster)
        first = self.send()
        wait_until(lambda: any(origin.seen("/slow") for origin in origins), "it came")
        if origins[1].seen("/slow"):
            holds.reverse()
        second = self.send()
        holds[1].wait_arrived()
        third = self.send("/next")
        self.wait_counts(waiting=1, connections=2)
        return holds, first, second, third

    def assert_room_is_made(self, holds, first, second, third):
        holds[1].release()
        self.assert_answered(second + third)
        self.assertTrue(first[0].is_quiet())
        holds[0].release()
        self.assert_answered(first)
        self.assertEqual((3, 0), (self.sent(), self.overflows()))

    def test_an_idle_connection_elsewhere_makes_room(self):
        origins = [self.origin(), self.origin()]
        self.serve(*origins, connections=1)
        with self.process.connect() as client:
            for _ in range(6):
                self.assertEqual(200, client.ask().status)
        self.assertEqual([3, 3], [len(origin.requests) for origin in origins])
        self.assertEqual(1, self.cluster()["connections"])

    def test_one_that_becomes_idle_elsewhere_makes_room(self):
        self.assert_room_is_made(*self.two_endpoints())

    def test_one_that_closes_elsewhere_makes_room(self):
        self.assert_room_is_made(*self.two_endpoints(max_requests_per_connection=1))

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

    def test_many_clients_share_few_connections(self):
        def answer(exchange):
            time.sleep(0.002)  # so that others come meanwhile
            exchange.reply()
        origins = [self.origin() for _ in range(3)]
        for origin in origins:
            origin.on("/", answer)
        self.serve(*origins, connections=2)
        statuses = []

        def ask():
            with self.process.connect() as client:
                for _ in range(25):
                    statuses.append(client.ask().status)
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(200, statuses.count(200))
        self.assertEqual((200, 0), (self.sent(), self.overflows()))
        self.assertLessEqual(self.cluster()["connections"], 2)


if __name__ == "__main__":
    main()
