#!/usr/bin/env python3
"""What makes a request go once more, and what does not: with real servers, which know best what
they were sent. gRPC statuses are in retry_grpc_test.py; how often, where to and for how long
in retry_limits_test.py."""

import time

from lib import main, wait_until
from lib.h2origin import H2Origin
from lib.retry_case import SOON, RetryTest, unavailable


class ConnectFailureTest(RetryTest):
    def test_an_endpoint_that_refuses(self):
        self.serve(1, lambda x: x.reply(), others=[self.refusing()])
        for _ in range(10):
            self.assertEqual(200, self.ask("POST", body=b"pay").status)
        self.assertEqual({(200, 1)}, {(line["status"], line["attempts"])
                                      for line in self.log_lines(10)}, "it was sent once")
        self.assertEqual([10], self.seen())
        self.assertGreater(self.retries(reason="connect_failure"), 0)
        self.assertEqual(self.retries(), self.retries(reason="connect_failure"))

    def test_not_when_the_route_does_not_want_it(self):
        self.route(self.refusing(), self.refusing(), retries={"connect_failure": False})
        self.assertEqual(503, self.ask().status)
        self.assertEqual(0, self.log_lines(1, detail="connect_failed")[0]["attempts"])
        self.assertEqual(1, self.process.metric("sluice_upstream_connect_failures_total"))

    def test_no_more_often_than_attempts(self):
        self.route(*[self.refusing() for _ in range(5)], retries={"attempts": 2})
        self.assertEqual(503, self.ask().status)
        self.assertEqual(3, self.process.metric("sluice_upstream_connect_failures_total"))
        self.assertEqual(2, self.retries(reason="connect_failure"))


class ResetTest(RetryTest):
    def test_what_is_idempotent_goes_elsewhere(self):
        for end in ("reset", "close"):
            with self.subTest(end):
                self.serve(2, lambda x, end=end: getattr(x, end)(), lambda x: x.reply())
                self.assertEqual(200, self.ask().status)
                self.assertEqual([1, 1], self.seen())
                self.assert_told(200, 2, "reset")

    def test_a_post_does_not(self):
        self.serve(2, lambda x: (x.read_body(), x.reset()))
        self.assertEqual(502, self.ask("POST", body=b"pay").status)
        self.assert_told(502, 1, "reset", "upstream_reset_before_response")

    def test_unless_any_method_may(self):
        self.serve(2, lambda x: (x.read_body(), x.reset()), lambda x: x.reply(),
                   retries={"any_method": True})
        self.assertEqual(200, self.ask("POST", body=b"pay").status)
        self.assert_told(200, 2, "reset")
        self.assertEqual([b"pay"] * 2, self.bodies())

    def test_not_when_the_route_does_not_want_it(self):
        self.serve(2, lambda x: x.reset(), retries={"reset": False})
        self.assertEqual(502, self.ask().status)
        self.assert_told(502, 1, "reset", "upstream_reset_before_response")

    def upload(self, **retries):
        """A POST whose upstream breaks off before it has the end; its client."""
        self.serve(2, lambda x: (x.connection.read_exactly(3), x.reset()), lambda x: x.reply(),
                   retries=retries)
        client = self.connect(self.process)
        client.send("POST /x HTTP/1.1\r\nHost: h.test\r\nContent-Length: 6\r\n\r\npay")
        return client

    def test_an_upload_that_was_broken_off_before_its_end(self):
        client = self.upload()
        wait_until(lambda: self.retries(reason="reset") == 1, "it goes again")
        client.send("ing")
        self.assertEqual(200, client.read_response().status)
        self.assert_told(200, 2, "reset")
        self.assertEqual([b"paying"], self.bodies())

    def test_but_not_when_the_route_does_not_want_it(self):
        self.assertEqual(502, self.upload(uploads=False).read_response().status)
        self.assert_told(502, 1, "reset", "upstream_reset_before_response")


class StatusTest(RetryTest):
    def test_one_that_is_listed(self):
        for statuses in (["503"], ["500-599"]):
            self.serve(2, unavailable, lambda x: x.reply(), retries={"statuses": statuses})
            self.assertEqual(b"ok", self.ask().body)
            self.assert_told(200, 2, "status")

    def test_one_that_is_not(self):
        self.serve(2, lambda x: x.reply(500), retries={"statuses": ["501-599", "429"]})
        self.assertEqual(500, self.ask().status)
        self.assert_told(500, 1, "status")

    def test_a_post(self):
        self.serve(2, unavailable, retries={"statuses": ["503"]})
        self.assertEqual(503, self.ask("POST", body=b"pay").status)
        self.assert_told(503, 1, "status")

    def test_a_put_that_is_answered_before_its_end(self):
        self.serve(2, lambda x: (
            x.connection.read_exactly(3),
            x.send("HTTP/1.1 503 Busy\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n"),
            x.wait_for_end()), lambda x: x.reply(), retries={"statuses": ["503"]})
        client = self.connect(self.process)
        client.send("PUT /x HTTP/1.1\r\nHost: h.test\r\nContent-Length: 6\r\n\r\npay")
        wait_until(lambda: self.retries(reason="status") == 1, "it goes again")
        client.send("ing")
        self.assertEqual(b"ok", client.read_response().body)
        self.assertEqual([b"paying"], self.bodies())
        self.assert_told(200, 2, "status")

    def test_the_last_one_goes_to_the_client(self):
        self.serve(4, *[lambda x, n=n: x.reply(503, str(n).encode()) for n in range(1, 9)],
                   retries={"statuses": ["503"], "attempts": 2})
        answer = self.ask()
        self.assertEqual((503, b"3"), (answer.status, answer.body))
        self.assert_told(503, 3, "status")


class RetryAfterTest(RetryTest):
    def answers(self, count, seconds, **route):
        def later(exchange):
            self.times.append(time.monotonic())
            exchange.reply(503, b"busy", {"Retry-After": str(seconds)})
        self.times = []
        self.serve(count, later, lambda x: (self.times.append(time.monotonic()), x.reply()),
                   retries={"statuses": ["503"]}, route=route)
        begin = time.monotonic()
        answer = self.ask()
        return answer, time.monotonic() - begin

    def test_the_only_endpoint_is_left_alone_for_so_long(self):
        answer, _ = self.answers(1, 1)
        self.assertEqual(200, answer.status)
        self.assertGreaterEqual(self.times[1] - self.times[0], 0.95)
        self.assert_told(200, 2, "status")

    def test_it_means_nothing_to_another_endpoint(self):
        answer, seconds = self.answers(2, 3600, timeout="2h")
        self.assertEqual(200, answer.status)
        self.assertLess(seconds, SOON)
        self.assertEqual([1, 1], self.seen())
        self.assert_told(200, 2, "status")

    def test_who_cannot_wait_so_long_is_told_at_once(self):
        answer, seconds = self.answers(1, 60, timeout="30s")
        self.assertEqual((503, b"busy", "60"),
                         (answer.status, answer.body, answer.get("retry-after")))
        self.assertLess(seconds, SOON)
        self.assert_told(503, 1, "status")

    def test_an_endpoint_that_gets_nothing_is_no_other_one(self):
        for weight in (0, 1):
            with self.subTest("weight 0" if weight == 0 else "drained by an operator"):
                self.script([self.origin()], [
                    lambda x: x.reply(503, b"busy", {"Retry-After": "60"}), lambda x: x.reply()])
                one, other = self.origins[0].address, self.origin().address
                self.route(retries={"statuses": ["503"]}, route={"timeout": "30s"}, cluster={
                    "endpoints": [one, {"address": other, "weight": weight}]})
                if weight > 0:
                    self.assertEqual(
                        200, self.process.admin(f"/drain?endpoint={other}", "POST").status)
                self.assertEqual(503, self.ask().status)
                self.assert_told(503, 1, "status")


class RefusedTest(RetryTest):
    """REFUSED_STREAM and GOAWAY of an HTTP/2 upstream: it has not processed the request."""

    def serve_h2(self, count, *scripts, **retries):
        origins = [H2Origin() for _ in range(count)]
        for origin in origins:
            self.addCleanup(lambda o=origin: self.assertEqual([], o.errors, "in the origin"))
            self.addCleanup(origin.close)
        self.script(origins, scripts)
        self.route(*origins, retries=retries, cluster={"protocol": "http2"}, workers=1)

    def test_a_post_goes_elsewhere(self):
        for refuse in (lambda x: x.refuse(), lambda x: x.connection.goaway(max(0, x.stream - 2))):
            self.serve_h2(2, refuse, lambda x: x.reply())
            self.assertEqual(200, self.ask("POST", body=b"pay").status)
            self.assertEqual([1, 1], self.seen())
            self.assert_told(200, 2, "refused")

    def test_the_first_time_is_no_attempt(self):
        self.serve_h2(2, lambda x: x.refuse(), attempts=1)
        self.assertEqual(503, self.ask("POST", body=b"pay").status)
        self.assert_told(503, 3, "refused", "upstream_refused")

    def test_not_when_the_route_does_not_want_it(self):
        self.serve_h2(2, lambda x: x.refuse(), refused=False)
        self.assertEqual(503, self.ask("POST", body=b"pay").status)
        self.assert_told(503, 1, "refused", "upstream_refused")


if __name__ == "__main__":
    main()
