#!/usr/bin/env python3
"""How often a request is sent once more, where to, and for how long: by what the servers saw of
it. What makes it go once more is in retries_test.py."""

import collections
import threading
import time

from lib import main, wait_until
from lib.origin import Hold
from lib.retry_case import SOON, RetryTest, unavailable

_BUSY = {"statuses": ["503"], "backoff": "1ms"}


def silent(exchange):
    exchange.wait_for_end()


class TimeTest(RetryTest):
    def ask_timed(self, method="GET", body=None):
        """(response, seconds)"""
        begin = time.monotonic()
        return self.ask(method, body=body), time.monotonic() - begin

    def test_a_silent_one_is_given_up(self):
        self.serve(2, silent, lambda x: x.reply(), retries={"per_try_timeout": "1s"})
        answer, seconds = self.ask_timed()
        self.assertEqual(200, answer.status)
        self.assertGreater(seconds, 0.9)
        self.assertEqual([1, 1], self.seen())
        self.assert_told(200, 2, "try_timeout")

    def test_all_are_silent(self):
        self.serve(3, silent, retries={"per_try_timeout": "200ms", "attempts": 2})
        self.assertEqual(504, self.ask().status)
        self.assertEqual([1, 1, 1], self.seen())
        self.assert_told(504, 3, "try_timeout", "try_timeout")
        wait_until(lambda: not any(o.open_connections() for o in self.origins), "all were left")

    def test_a_post_that_a_silent_one_has(self):
        self.serve(2, lambda x: (x.read_body(), silent(x)), retries={"per_try_timeout": "200ms"})
        self.assertEqual(504, self.ask("POST", body=b"pay").status)
        self.assert_told(504, 1, "try_timeout", "try_timeout")

    def test_never_longer_than_the_timeout_of_the_route(self):
        self.serve(3, silent, retries={"per_try_timeout": "200ms", "attempts": 20},
                   route={"timeout": "500ms"})
        answer, seconds = self.ask_timed()
        self.assertEqual(504, answer.status)
        self.assertLess(seconds, SOON)
        self.assertGreater(seconds, 0.4)
        self.assertLessEqual(sum(self.seen()), 3)

    def test_a_backoff_that_would_be_longer_is_not_waited_for(self):
        long = {"backoff": "8760h", "max_backoff": "8760h"}
        self.serve(1, unavailable, retries={**_BUSY, **long}, route={"timeout": "5s"})
        answer, seconds = self.ask_timed()
        self.assertEqual(503, answer.status)
        self.assertLess(seconds, 5)
        self.assert_told(503, 1, "status")

    def test_after_a_failed_connection_another_endpoint_is_asked_at_once(self):
        self.serve(2, lambda x: x.reset(), lambda x: x.reply(), route={"timeout": "5s"},
                   retries={"backoff": "8760h", "max_backoff": "8760h"})
        self.assertEqual(200, self.ask().status)
        self.assert_told(200, 2, "reset")

    def test_no_backoff_is_longer_than_the_longest(self):
        self.serve(1, unavailable, retries={
            **_BUSY, "backoff": "100h", "max_backoff": "1ms", "attempts": 20})
        answer, seconds = self.ask_timed()
        self.assertEqual(503, answer.status)
        self.assertLess(seconds, SOON)
        self.assert_told(503, 21, "status")

    def test_no_longer_than_a_drain_lasts(self):
        failing = Hold(lambda x: x.reply(503, b"busy", {"Retry-After": "20"}))
        self.addCleanup(failing.release)
        self.serve(1, failing, retries=_BUSY, route={"timeout": "60s"})
        client = self.connect(self.process)
        client.request(target="/x")
        failing.wait_arrived()
        self.process.signal()
        self.process.wait_for_phase("draining")
        failing.release()
        self.assertEqual(b"busy", client.read_response().body)
        client.close()
        self.assertEqual(0, self.process.wait_exit())
        self.assertEqual([1], self.seen())


class BudgetTest(RetryTest):
    """Ten requests at once, which all fail. Those that are sent once more are held."""

    def begin(self, **circuit_breaker):
        self.serve(2, unavailable, retries=_BUSY, cluster={"circuit_breaker": circuit_breaker})

    def overflows(self):
        return self.process.metric("sluice_upstream_retry_overflow_total")

    def ten(self):
        """How many were sent once more."""
        failing, again = Hold(unavailable), Hold(lambda x: x.reply())
        self.addCleanup(failing.release)
        self.addCleanup(again.release)
        self.script(self.origins, [failing] * 10 + [again])
        before = self.retries() + self.overflows(), self.retries(), sum(self.seen())
        clients = [self.connect(self.process) for _ in range(10)]
        for client in clients:
            client.request(target="/x")
        failing.wait_arrived(10)
        failing.release()
        wait_until(lambda: self.retries() + self.overflows() == before[0] + 10, "all are decided")
        retried = int(self.retries() - before[1])
        again.wait_arrived(retried)
        again.release()
        statuses = [client.read_response().status for client in clients]
        self.assertEqual((retried, 10 - retried), (statuses.count(200), statuses.count(503)))
        self.assertEqual(before[2] + 10 + retried, sum(self.seen()))
        return retried

    def test_so_many_whatever_there_is(self):
        self.begin(retry_percent=0, min_retries=2)
        for _ in range(3):
            self.assertEqual(2, self.ten(), "what was used is given back")

    def test_a_share_of_those_in_flight(self):
        self.begin(retry_percent=50, min_retries=0)
        for _ in range(3):
            self.assertIn(self.ten(), range(1, 6))

    def test_who_leaves_before_the_retry_gives_it_back(self):
        self.serve(1, lambda x: x.reply(503, b"busy", {"Retry-After": "10"}), retries=_BUSY,
                   cluster={"circuit_breaker": {"retry_percent": 0, "min_retries": 1}})
        client = self.connect(self.process)
        client.request(target="/x")
        wait_until(lambda: self.retries() == 1, "the retry is waited for")
        self.assertEqual(503, self.ask().status)
        self.assertEqual(1, self.overflows())
        client.reset()
        self.log_lines(1, end="client_gone")
        self.script(self.origins, [unavailable, lambda x: x.reply()])
        self.assertEqual(200, self.ask().status)
        self.assertEqual((2, 1, [4]), (self.retries(), self.overflows(), self.seen()))

    def test_none(self):
        self.begin(retry_percent=0, min_retries=0)
        self.assertEqual(0, self.ten())


class ElsewhereTest(RetryTest):
    def test_no_endpoint_twice_as_long_as_there_is_another(self):
        for balancing in ("round_robin", "least_request", "random", "ring_hash", "maglev"):
            with self.subTest(balancing):
                self.serve(4, unavailable, retries={**_BUSY, "attempts": 5},
                           cluster={"load_balancing": balancing})
                tried = collections.defaultdict(list)  # the origins, by request
                for number, origin in enumerate(self.origins):
                    origin.on("/x", lambda x, n=number, t=tried: (
                        t[x.target].append(n), unavailable(x)))
                for number in range(10):
                    self.assertEqual(503, self.ask(target=f"/x?{number}").status)
                self.assertEqual(10, len(tried))
                for order in tried.values():
                    self.assertEqual(6, len(order))
                    self.assertEqual({0, 1, 2, 3}, set(order[:4]), order)
                    self.assertFalse(any(a == b for a, b in zip(order, order[1:])), order)

    def test_one_of_the_next_priority(self):
        self.origins = first, second = self.origin(), self.origin()
        first.on("/x", lambda x: x.reset())
        second.on("/x", lambda x: x.reply())
        self.route(first, second, cluster={"endpoints": [
            {"address": first.address}, {"address": second.address, "priority": 1}]})
        for _ in range(10):
            self.assertEqual(200, self.ask().status)
        self.assertEqual([10, 10], self.seen())

    def test_rather_one_that_is_set_aside_than_the_same_again(self):
        self.serve(2, unavailable, lambda x: x.reply(), unavailable, lambda x: x.reply(),
                   retries=_BUSY, cluster={"outlier_detection": {
                       "consecutive_gateway_failures": 1, "base_ejection": "1h"}})
        self.assertEqual(200, self.ask().status)
        self.process.wait_for("endpoint_ejected")
        self.assertEqual([1, 1], self.seen())
        self.assertEqual(200, self.ask().status)
        self.assertEqual([2, 2], self.seen())


class AgreementTest(RetryTest):
    def test_the_log_and_the_metrics_agree_with_the_origins(self):
        times = collections.Counter()  # that a request was seen
        ends = collections.Counter()
        lock = threading.Lock()

        def answer(exchange):
            """Request n fails n % 3 times before it succeeds."""
            number = int(exchange.target.partition("?")[2])
            with lock:
                times[exchange.target] += 1
                end = "reply" if times[exchange.target] > number % 3 else (
                    "reset" if number % 2 else "busy")
                ends[end] += 1
            {"reply": lambda x: x.reply(), "reset": lambda x: x.reset(), "busy": unavailable}[end](
                exchange)
        self.serve(3, answer, retries=_BUSY, workers=2,
                   cluster={"circuit_breaker": {"min_retries": 100}})

        def ask(first):
            with self.process.connect() as client:
                for number in range(first, 240, 8):
                    client.ask(target=f"/x?{number}")
        threads = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = self.log_lines(240, status=200)
        self.assertEqual(dict(times), {line["path"]: line["attempts"] for line in lines})
        self.assertEqual({1, 2, 3}, set(times.values()))
        self.assertEqual((240, 480), (len(lines), sum(self.seen())))
        self.assertEqual(480, self.process.metric("sluice_upstream_requests_total"))
        self.assertEqual(240, self.retries())
        self.assertEqual(ends["busy"], self.retries(reason="status"))
        self.assertEqual(ends["reset"], self.retries(reason="reset") + self.retries(reason="lost"))


if __name__ == "__main__":
    main()
