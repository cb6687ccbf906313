#!/usr/bin/env python3
"""A process whose critical clusters are out of reach says so, or drains itself."""

import json
import time

from lib import SluiceTest, main, wait_until
from lib.dns_server import DnsServer


class SelfDrainTest(SluiceTest):
    CHECK = {"path": "/healthz", "interval": "20ms", "unhealthy_interval": "20ms", "timeout": "5s",
             "unhealthy_threshold": 1, "healthy_threshold": 1}

    def serve(self, clusters=1, critical=True, changes=None, **self_drain):
        """In front of so many clusters of one endpoint each."""
        self.apps = [self.origin() for _ in range(clusters)]
        for app in self.apps:
            app.on("/healthz", lambda x: x.reply(200))
        self.settings = self.config(
            listener={"routes": [{"match": {"prefix": f"/{number}"}, "cluster": f"app{number}"}
                                 for number in range(clusters)]},
            clusters=[{"name": f"app{number}", "endpoints": [app.address], "critical": critical,
                       "health_check": self.CHECK} for number, app in enumerate(self.apps)],
            self_drain=self_drain, **(changes or {}))
        self.process = self.start(self.settings)
        return self.process

    def turn(self, app, healthy):
        """Its health check passes, or fails, and that is known."""
        event = "endpoint_healthy" if healthy else "endpoint_unhealthy"
        before = len(self.process.events(event, endpoint=app.address))
        app.on("/healthz", lambda x: x.reply(200 if healthy else 500))
        self.process.wait_for(event, before + 1, endpoint=app.address)

    def ready(self):
        return self.process.admin("/ready").status == 200

    def failed(self):
        return self.process.metric("sluice_self_check_failed")

    def wait_unready(self):
        wait_until(lambda: not self.ready(), "it is not ready")

    def wait_again_ready(self):
        wait_until(self.ready, "it is ready again")

    def assert_stays(self):
        """What is known of the clusters now makes it neither unready nor drain."""
        end = time.monotonic() + 0.5  # `after` is far less in the tests that ask
        while time.monotonic() < end:
            self.assertTrue(self.ready())
        self.assertEqual(([], 0), (self.process.events("self_check_failed"), self.failed()))

    # ---- when it does nothing

    def test_off_by_default(self):
        self.serve(after="1ms")
        self.turn(self.apps[0], False)
        self.assert_stays()

    def test_clusters_that_are_not_critical_do_not_count(self):
        self.serve(critical=False, action="unready", after="1ms")
        self.turn(self.apps[0], False)
        self.assert_stays()

    def test_nor_does_one_endpoint_of_two(self):
        good, bad = self.origin(), self.origin()
        for origin in (good, bad):
            origin.on("/healthz", lambda x: x.reply(200))
        self.process = self.sluice(good, bad, cluster={"critical": True,
                                                       "health_check": self.CHECK},
                                   self_drain={"action": "drain", "after": "1ms"})
        self.turn(bad, False)
        self.assert_stays()
        self.turn(good, False)
        self.assertEqual(0, self.process.wait_exit())

    def test_short_blips_do_not_add_up(self):
        self.serve(action="drain", after="3s")
        end = time.monotonic() + 4
        while time.monotonic() < end:
            self.turn(self.apps[0], False)
            self.turn(self.apps[0], True)
        self.assertTrue(self.ready())
        self.assertEqual([], self.process.events("self_check_failed"))

    def test_nor_does_what_is_not_known_yet(self):
        dns = DnsServer()
        self.addCleanup(dns.close)
        app = self.origin()
        port = app.address.rpartition(":")[2]
        dns.zone["app.test", "A"] = ["127.0.0.1"]
        dns.silent = True
        lookup = {"name": f"app.test:{port}", "servers": [dns.address], "tries": 1,
                  "timeout": "10s"}
        self.process = self.start(self.config(
            clusters=[{"name": "app", "dns": lookup, "critical": True}],
            self_drain={"action": "drain", "after": "1ms"}))
        self.assert_stays()

    # ---- unready

    def test_unready_for_as_long_as_it_lasts_time_and_again(self):
        self.serve(action="unready", after="100ms")
        client = self.connect(self.process)
        for count in range(1, 4):
            self.turn(self.apps[0], False)
            self.wait_unready()
            self.assertIn(b"critical clusters", self.process.admin("/ready").body)
            self.assertEqual(200, self.process.admin("/live").status)
            self.assertEqual((1, 1), (self.failed(), self.process.metric("sluice_phase",
                                                                         phase="ready")))
            answer = client.ask(target="/0")
            self.assertEqual((200, False), (answer.status, answer.closes), "it is served")
            self.assertEqual(count, len(self.process.events("self_check_failed")))
            self.turn(self.apps[0], True)
            self.wait_again_ready()
            self.assertEqual(0, self.failed())
            self.process.wait_for("self_check_recovered", count)

    def test_not_before_it_has_lasted(self):
        self.serve(action="unready", after="700ms")
        began = time.monotonic()
        self.turn(self.apps[0], False)
        self.wait_unready()
        self.assertGreaterEqual(time.monotonic() - began, 0.7)

    def test_a_share_of_the_clusters(self):
        self.serve(clusters=3, action="unready", percent=60, after="1ms")
        self.turn(self.apps[0], False)
        self.assert_stays()
        self.turn(self.apps[1], False)
        self.wait_unready()
        self.assertEqual({"critical_clusters": 3, "out_of_reach": 2}.items(),
                         self.process.wait_for("self_check_failed").items()
                         & {"critical_clusters": 3, "out_of_reach": 2}.items())
        self.turn(self.apps[0], True)
        self.wait_again_ready()
        self.turn(self.apps[2], False)
        self.wait_unready()

    def test_all_of_them_by_default(self):
        self.serve(clusters=2, action="unready", after="1ms")
        self.turn(self.apps[0], False)
        self.assert_stays()
        self.turn(self.apps[1], False)
        self.wait_unready()

    def test_it_can_still_be_drained(self):
        self.serve(action="unready", after="1ms")
        self.turn(self.apps[0], False)
        self.wait_unready()
        self.process.signal()
        self.assertEqual(0, self.process.wait_exit())
        self.assertEqual("sigterm", self.process.report()["trigger"])

    # ---- drain

    def test_a_drain_lets_what_is_in_flight_finish(self):
        body = b"x" * 300_000
        self.serve(action="drain", after="100ms")
        hold = self.apps[0].hold("/0/slow", lambda x: x.reply(body=body))
        clients = [self.connect(self.process) for _ in range(4)]
        for client in clients:
            client.request(target="/0/slow")
        hold.wait_arrived(4)
        self.apps[0].on("/healthz", lambda x: x.reply(500))
        self.process.wait_for_phase("draining")
        self.assertFalse(self.ready())
        hold.release()
        for client in clients:
            answer = client.read_response()
            self.assertEqual((200, body, True), (answer.status, answer.body, answer.closes))
            client.close()
        self.assertEqual(0, self.process.wait_exit())
        report = self.process.report()
        self.assertEqual(("self_check", 4, 0), (report["trigger"],
                                                report["in_flight_at_start"]["total"],
                                                report["cut"]["total"]))

    def test_a_drain_that_has_to_cut_exits_as_any_other(self):
        self.serve(action="drain", after="1ms", changes={"drain": {"deadline": "200ms"}})
        hold = self.apps[0].hold("/0/slow")
        client = self.connect(self.process)
        client.request(target="/0/slow")
        hold.wait_arrived()
        self.apps[0].on("/healthz", lambda x: x.reply(500))
        self.assertEqual(503, client.read_response().status)
        self.assertEqual(3, self.process.wait_exit())
        self.assertEqual("self_check", self.process.report()["trigger"])

    def test_a_drain_that_was_taken_back_may_come_again(self):
        self.serve(action="drain", after="1ms", changes={"drain": {"propagation_delay": "1m"}})
        for count in (1, 2):
            self.turn(self.apps[0], False)
            self.process.wait_for_phase("lame_duck", count)
            self.turn(self.apps[0], True)
            self.assertEqual(200, self.process.admin("/drain", "DELETE").status)
            self.wait_again_ready()

    # ---- reload

    def reload(self, **self_drain):
        self.settings["self_drain"] = self_drain
        path = self.directory / "sluice0.yaml"
        path.write_text(json.dumps(self.settings), encoding="utf-8")
        self.process.admin_json("/reload", "POST")

    def test_a_reload_switches_it_on_and_off(self):
        self.serve()
        self.turn(self.apps[0], False)
        self.reload(action="unready", after="1ms")
        self.wait_unready()
        self.reload(action="off")
        self.wait_again_ready()
        self.assertEqual(0, self.failed())

    def test_a_reload_that_wants_a_drain_of_an_unready_process(self):
        self.serve(action="unready", after="1ms")
        self.turn(self.apps[0], False)
        self.wait_unready()
        self.reload(action="drain", after="1ms")
        self.assertEqual(0, self.process.wait_exit())


if __name__ == "__main__":
    main()
