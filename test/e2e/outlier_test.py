#!/usr/bin/env python3
"""Endpoints are set aside for what their requests meet, and come back."""

import time

from lib import SluiceTest, main, wait_until

LONG = "1m"  # an ejection that a test does not outlast


class OutlierTest(SluiceTest):
    def serve(self, *origins, timeout="15s", **outlier):
        route = {"cluster": "app", "retries": 0, "timeout": timeout}
        detection = {"consecutive_connect_failures": 0, "base_ejection": LONG} | outlier
        self.process = self.sluice(*origins, workers=1, listener={"routes": [route]},
                                   cluster={"outlier_detection": detection})
        self.client = self.connect(self.process)
        return self.process

    def failing(self, status=500):
        origin = self.origin()
        origin.on("/", lambda x: x.reply(status))
        return origin

    def ask(self, times):
        return [self.client.ask().status for _ in range(times)]

    def endpoint(self, origin):
        cluster, = self.process.admin_json("/clusters")["clusters"]
        found, = (one for one in cluster["endpoints"] if one["address"] == origin.address)
        return found

    def state(self, origin):
        return self.endpoint(origin)["state"]

    def ejections(self):
        return self.process.metric("sluice_upstream_ejections_total", cluster="app")

    def assert_ejected(self, origin, reason):
        """It is, by that rule, and nobody is sent there."""
        event = self.process.wait_for("endpoint_ejected", endpoint=origin.address)
        self.assertEqual(("app", reason), (event["cluster"], event["reason"]))
        self.assertEqual("ejected", self.state(origin))
        self.assertEqual(1, self.process.metric("sluice_upstream_endpoints", state="ejected"))
        self.assertEqual(1, self.ejections())
        before = len(origin.requests)
        self.assertEqual([200] * 6, self.ask(6))
        self.assertEqual(before, len(origin.requests))

    def assert_not_ejected(self, *origins):
        for origin in origins:
            self.assertEqual("usable", self.state(origin))
        self.assertEqual(0, self.ejections())

    def eject(self, bad):
        """Until it is ejected and has come back; for how long it was, at most."""
        count = self.ejections()
        bad.on("/", lambda x: x.reply(500))
        began = time.monotonic()
        wait_until(lambda: self.ask(1) and self.ejections() > count, "it is ejected")
        bad.on("/", lambda x: x.reply(200))
        wait_until(lambda: self.state(bad) == "usable", "it has come back")
        return time.monotonic() - began


class RulesTest(OutlierTest):
    def fail(self, bad, times, status=500):
        """Asks until so many requests have failed at it."""
        before = len(bad.requests)
        statuses = self.ask(2 * times)
        self.assertEqual((times, times), (statuses.count(status), len(bad.requests) - before))

    def assert_rule(self, bad, reason, times, status=500):
        """It is ejected by the `times`-th failure and not before."""
        self.fail(bad, times - 1, status)
        self.assert_not_ejected(bad)
        self.fail(bad, 1, status)
        self.assert_ejected(bad, reason)
        self.assertEqual(times, len(bad.requests))

    def test_5xx(self):
        bad = self.failing(500)
        self.serve(bad, self.origin(), consecutive_5xx=3)
        self.assert_rule(bad, "consecutive_5xx", 3)

    def test_failures_of_a_gateway_are_5xx_too(self):
        bad = self.failing(503)
        self.serve(bad, self.origin(), consecutive_5xx=2)
        self.assert_rule(bad, "consecutive_5xx", 2, 503)

    def test_a_success_begins_anew(self):
        moody = self.origin()
        moody.on("/", lambda x: x.reply(200 if len(moody.requests) % 3 == 0 else 500))
        self.serve(moody, self.origin(), consecutive_5xx=3, consecutive_gateway_failures=3)
        self.assertEqual(8, self.ask(24).count(500))
        self.assert_not_ejected(moody)

    def test_what_the_client_did_wrong_is_no_failure(self):
        strict = self.failing(429)
        self.serve(strict, self.origin(), consecutive_5xx=1, consecutive_gateway_failures=1)
        self.assertEqual(5, self.ask(10).count(429))
        self.assert_not_ejected(strict)

    def test_failures_of_a_gateway(self):
        for status in (502, 503, 504):
            with self.subTest(status=status):
                bad = self.failing(status)
                self.serve(bad, self.origin(), consecutive_gateway_failures=3)
                self.assert_rule(bad, "consecutive_gateway_failures", 3, status)

    def test_a_500_is_no_failure_of_a_gateway(self):
        bad = self.failing(500)
        self.serve(bad, self.origin(), consecutive_gateway_failures=1)
        self.assertEqual(5, self.ask(10).count(500))
        self.assert_not_ejected(bad)

    def test_resets(self):
        bad = self.origin()
        bad.on("/", lambda x: x.reset())
        self.serve(bad, self.origin(), consecutive_gateway_failures=3)
        self.assert_rule(bad, "consecutive_gateway_failures", 3, 502)

    def test_timeouts(self):
        bad = self.origin()
        bad.hold("/")
        self.serve(bad, self.origin(), timeout="300ms", consecutive_gateway_failures=2)
        self.assert_rule(bad, "consecutive_gateway_failures", 2, 504)

    def test_connections_that_fail(self):
        dead = self.origin()
        dead.close()
        self.serve(dead, self.origin(), consecutive_connect_failures=3)
        self.assertEqual(2, self.ask(4).count(503))
        self.assert_not_ejected(dead)
        self.assertEqual(1, self.ask(2).count(503))
        self.assert_ejected(dead, "consecutive_connect_failures")
        self.assertEqual(3, self.process.metric("sluice_upstream_connect_failures_total"))

    def test_rules_that_are_off(self):
        bad, dead = self.failing(503), self.origin()
        dead.close()
        self.serve(bad, dead, self.origin())
        self.assertEqual(20, self.ask(30).count(503))
        self.assert_not_ejected(bad, dead)


class HowManyTest(OutlierTest):
    def ejected(self, bad, good, **outlier):
        """How many of so many that fail are set aside, when all have failed."""
        origins = [self.failing() for _ in range(bad)] + [self.origin() for _ in range(good)]
        self.serve(*origins, consecutive_5xx=2, **outlier)
        self.ask(6 * len(origins))
        states = [self.state(origin) for origin in origins]
        self.assertEqual(["usable"] * good, states[bad:])
        self.assertEqual(states.count("ejected"), self.ejections())
        statuses = self.ask(4 * len(origins))
        left = len(origins) - states.count("ejected")
        self.assertEqual(len(statuses) * good / left, statuses.count(200))
        return states.count("ejected")

    def test_half_of_them_at_most(self):
        self.assertEqual(2, self.ejected(bad=3, good=1))

    def test_so_many_percent_at_most(self):
        self.assertEqual(3, self.ejected(bad=4, good=0, max_ejected_percent=75))

    def test_what_is_no_whole_endpoint_does_not_count(self):
        self.assertEqual(1, self.ejected(bad=3, good=0, max_ejected_percent=66))

    def test_one_may_be_at_least(self):
        self.assertEqual(1, self.ejected(bad=2, good=1, max_ejected_percent=1))

    def test_none_at_0_percent(self):
        self.assertEqual(0, self.ejected(bad=2, good=1, max_ejected_percent=0))

    def test_the_only_one_never(self):
        self.assertEqual(0, self.ejected(bad=1, good=0, max_ejected_percent=100))

    def test_one_that_comes_back_makes_room_for_another(self):
        first, second = self.failing(), self.failing()
        self.serve(first, second, self.origin(), consecutive_5xx=2, base_ejection="300ms",
                   max_ejected_percent=34)
        for origin in (first, second):
            wait_until(lambda address=origin.address: self.ask(1) and self.process.events(
                "endpoint_ejected", endpoint=address), "each is ejected in its turn")


class HowLongTest(OutlierTest):
    def serve_for(self, base, **outlier):
        self.bad = self.origin()
        self.serve(self.bad, self.origin(), consecutive_5xx=2, base_ejection=base, **outlier)

    def assert_back(self):
        before = len(self.bad.requests)
        self.assertEqual([200] * 6, self.ask(6))
        self.assertEqual(before + 3, len(self.bad.requests))

    def test_it_comes_back_and_is_away_longer_each_time(self):
        self.serve_for("400ms", interval="1m")
        for times in (1, 2, 3):
            self.assertGreaterEqual(self.eject(self.bad), 0.4 * times)
            self.assertEqual(times, self.endpoint(self.bad)["ejections"])
            self.assert_back()

    def test_but_no_longer_than_the_most(self):
        self.serve_for("300ms", interval="1m", max_ejection="300ms")
        for _ in range(8):
            seconds = self.eject(self.bad)
            self.assertGreaterEqual(seconds, 0.3)
        self.assertLess(seconds, 2.4, "as long as the eighth would be")

    def test_what_was_long_ago_is_forgotten(self):
        self.serve_for("200ms", interval="100ms")
        self.eject(self.bad)
        wait_until(lambda: self.endpoint(self.bad)["ejections"] == 0, "it is forgotten")

    def test_a_retry_makes_up_for_the_failures(self):
        bad = self.failing(503)
        config = self.config(bad, self.origin(), workers=1, listener={"routes": [
            {"cluster": "app", "retries": {"attempts": 2, "statuses": ["503"]}}]},
            cluster={"outlier_detection": {"consecutive_5xx": 3, "base_ejection": LONG}})
        self.process = self.start(config)
        self.client = self.connect(self.process)
        self.assertEqual([200] * 12, self.ask(12))
        self.assertEqual(3, len(bad.requests))
        self.assert_ejected(bad, "consecutive_5xx")


class ManyWorkersTest(OutlierTest):
    def serve_all(self, workers, **outlier):
        self.bad = self.failing()
        self.process = self.sluice(self.bad, self.origin(), workers=workers, cluster={
            "outlier_detection": {"consecutive_5xx": 3} | outlier})

    def one_of_each(self):
        """A client of each of two workers."""
        clients = {}
        while len(clients) < 2:
            client = self.connect(self.process)
            client.ask()
            listed = self.process.admin_json("/connections")["connections"]
            worker, = (one["worker"] for one in listed if one["peer"] == client.name)
            clients.setdefault(worker, client)
        return clients.values()

    def test_what_one_worker_finds_out_the_others_know(self):
        self.serve_all(workers=4, base_ejection=LONG)
        with self.process.connect() as client:
            wait_until(lambda: client.ask() and self.ejections(), "one of them has found it out")
        clients = [self.connect(self.process) for _ in range(32)]
        self.process.admin_json("/clusters")  # every worker has answered, and was told before
        before = len(self.bad.requests)
        for client in clients:
            self.assertEqual(200, client.ask().status)
        self.assertEqual(before, len(self.bad.requests))
        self.assertEqual(1, self.ejections())

    def test_it_is_away_longer_whoever_finds_it_out(self):
        self.serve_all(workers=2, base_ejection="500ms", interval="1m")
        self.bad.on("/", lambda x: x.reply(200))
        for times, self.client in enumerate(self.one_of_each(), 1):
            self.assertGreaterEqual(self.eject(self.bad), 0.5 * times)


if __name__ == "__main__":
    main()
