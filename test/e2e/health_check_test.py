#!/usr/bin/env python3
"""Health checks against real servers: what does not pass gets no traffic, and /clusters and the
metrics say so."""

import json
from concurrent import futures

import grpc

from lib import SluiceTest, main, wait_until
from lib.grpc_origin import Calls


class _Health(grpc.GenericRpcHandler):
    """grpc.health.v1.Health/Check and one other method, without generated code."""

    def __init__(self):
        self.serving = True
        self.asked = []

    def service(self, details):
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(self._check)
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)

    def _check(self, request, _):
        self.asked.append(request)
        return b"\x08\x01" if self.serving else b"\x08\x02"


class HealthCheckTest(SluiceTest):
    CHECK = {"interval": "100ms", "unhealthy_interval": "50ms", "timeout": "2s",
             "unhealthy_threshold": 2}

    def states(self, process):
        cluster, = process.admin_json("/clusters")["clusters"]
        return {endpoint["address"]: endpoint for endpoint in cluster["endpoints"]}

    def wait_state(self, process, address, state):
        wait_until(lambda: self.states(process)[address]["state"] == state, f"{address} is {state}")

    def test_http(self):
        good, bad = self.origin(), self.origin()
        for origin in (good, bad):
            origin.on("/healthz", lambda x: x.reply(200))
        process = self.sluice(good, bad, cluster={"health_check": {"path": "/healthz",
                                                                   **self.CHECK}})
        self.wait_state(process, bad.address, "usable")
        bad.on("/healthz", lambda x: x.reply(500))
        self.wait_state(process, bad.address, "unhealthy")
        self.assertEqual("status 500", self.states(process)[bad.address]["check_failure"])
        event = process.wait_for("endpoint_unhealthy")
        self.assertEqual((bad.address, "status 500"), (event["endpoint"], event["reason"]))
        with process.connect() as client:
            for _ in range(10):
                self.assertEqual(200, client.ask().status)
        self.assertEqual(0, len(bad.seen("/")))
        self.assertEqual(1, process.metric("sluice_upstream_endpoints", state="unhealthy"))
        self.assertGreater(process.metric("sluice_health_checks_total", result="fail"), 1)
        bad.on("/healthz", lambda x: x.reply(200))
        self.wait_state(process, bad.address, "usable")
        with process.connect() as client:
            for _ in range(10):
                self.assertEqual(200, client.ask().status)
        self.assertGreater(len(bad.seen("/")), 0)

    def test_one_that_says_it_drains(self):
        going, other = self.origin(), self.origin()
        going.on("/", lambda x: x.reply(fields={"x-sluice-drain": "true"})
                 if x.get("user-agent") == "sluice-health-check" else x.reply())
        process = self.sluice(going, other, cluster={"health_check": self.CHECK})
        self.wait_state(process, going.address, "draining")
        before = len([x for x in going.seen("/") if not x.get("user-agent")])
        with process.connect() as client:
            for _ in range(10):
                self.assertEqual(200, client.ask().status)
        self.assertEqual(before, len([x for x in going.seen("/") if not x.get("user-agent")]))

    def test_tcp(self):
        good, bad = self.origin(), self.origin()
        bad.close()
        process = self.sluice(good, bad, cluster={"health_check": {"kind": "tcp", **self.CHECK}})
        self.wait_state(process, bad.address, "unhealthy")
        self.assertEqual("refused", self.states(process)[bad.address]["check_failure"])
        self.assertEqual("usable", self.states(process)[good.address]["state"])

    def test_an_open_port_does_not_end_a_drain(self):
        going, other = self.origin(), self.origin()
        going.on("/", lambda x: x.reply(fields={"x-sluice-drain": "true"}))
        config = self.config(going, other)
        config["clusters"][0] |= {"health_check": {"kind": "tcp", **self.CHECK},
                                  "upstream_drain": {"hold": "1h"}}
        process = self.start(config)
        with process.connect() as client:
            while not going.seen("/"):
                self.assertEqual(200, client.ask().status)
        self.wait_state(process, going.address, "draining")

        def passed():
            return process.metric("sluice_health_checks_total", result="pass")
        before = passed()
        wait_until(lambda: passed() > before + 8, "each was checked again")
        self.assertEqual("draining", self.states(process)[going.address]["state"])
        config["listeners"][0]["limits"] = {"header_count": 50}
        path = self.directory / "sluice0.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        process.admin_json("/reload", "POST")
        self.assertEqual("draining", self.states(process)[going.address]["state"],
                         "nor does a reload")

    def test_grpc(self):
        health = _Health()
        server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(health,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(server.stop, 0)
        address = f"127.0.0.1:{port}"
        process = self.start(self.config(clusters=[{
            "name": "app", "endpoints": [address], "protocol": "http2",
            "health_check": {"kind": "grpc", "service": "pkg.Service", **self.CHECK}}]))
        self.assertEqual("usable", self.states(process)[address]["state"])
        self.assertIn(b"\x0a\x0bpkg.Service", health.asked)
        health.serving = False
        self.wait_state(process, address, "unhealthy")
        self.assertEqual("not serving", self.states(process)[address]["check_failure"])
        calls = Calls.to(process.address())
        self.addCleanup(calls.close)
        self.assertEqual(b"x", calls.unary("Any", b"x")[0], "the only one is asked nevertheless")

    def test_the_first_check_comes_before_ready(self):
        origin = self.origin()
        origin.on("/", lambda x: x.reply(503))
        process = self.sluice(origin, self.origin(), cluster={"health_check": self.CHECK})
        self.assertEqual("unhealthy", self.states(process)[origin.address]["state"])

    def drained(self, **cluster):
        """A process with one request in flight on an endpoint that turns unhealthy, and its client."""
        other = self.origin()
        self.ill = self.origin()
        for origin in (self.ill, other):
            origin.on("/healthz", lambda x: x.reply(200))
        self.hold = self.ill.hold("/slow")
        other.on("/slow", lambda x: x.reply(404))
        process = self.sluice(self.ill, other, cluster={
            "health_check": {"path": "/healthz", **self.CHECK}, **cluster})
        client = self.connect(process)
        while not self.ill.seen("/slow"):
            client.request(target="/slow")
            wait_until(lambda: self.ill.seen("/slow") or other.seen("/slow"), "it came")
            if not self.ill.seen("/slow"):
                self.assertEqual(404, client.read_response().status)
                other.requests.clear()
        self.ill.on("/healthz", lambda x: x.reply(500))
        self.wait_state(process, self.ill.address, "unhealthy")
        process.wait_for("part_drain", name=self.ill.address)
        return process, client

    def test_what_is_in_flight_on_an_unhealthy_one_may_finish(self):
        process, client = self.drained()
        self.hold.release()
        self.assertEqual(200, client.read_response().status)
        self.assertEqual(0, process.wait_for("part_drained", name=self.ill.address)["cut"])

    def test_but_no_longer_than_the_drain_timeout(self):
        process, client = self.drained(drain_timeout="300ms")
        self.assertEqual(503, client.read_response().status)
        self.assertEqual(1, process.wait_for("part_drained", name=self.ill.address)["cut"])
        self.hold.release()

    def test_unless_it_recovers_in_time(self):
        process, client = self.drained(drain_timeout="3s")
        self.ill.on("/healthz", lambda x: x.reply(200))
        process.wait_for("part_undrained", name=self.ill.address)
        with process.connect() as others:
            for _ in range(4):
                self.assertEqual(200, others.ask().status)
        self.hold.release()
        self.assertEqual(200, client.read_response().status)
        self.assertEqual([], process.events("part_cut"))

    def test_nothing_is_drained_where_all_are_unhealthy(self):
        app = self.origin()
        hold = app.hold("/slow")
        process = self.sluice(app, cluster={"health_check": {"path": "/healthz", **self.CHECK},
                                            "drain_timeout": "100ms"})
        client = self.connect(process)
        client.request(target="/slow")
        hold.wait_arrived()
        app.on("/healthz", lambda x: x.reply(500))
        self.wait_state(process, app.address, "unhealthy")
        wait_until(lambda: len(app.seen("/healthz")) > 12, "some time has passed")
        hold.release()
        self.assertEqual(200, client.read_response().status)
        self.assertEqual([], process.events("part_drain"))

    def test_checks_end_with_the_drain(self):
        origin = self.origin()
        process = self.sluice(origin, cluster={"health_check": self.CHECK})
        process.signal()
        self.assertEqual(0, process.wait_exit())


if __name__ == "__main__":
    main()
