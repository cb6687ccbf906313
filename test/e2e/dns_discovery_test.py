#!/usr/bin/env python3
"""Endpoints that a name server names: they come and go under load, and stay when it is gone."""

import json
import os
import signal
import time

from lib import SluiceTest, main, run_sluice, wait_until
from lib.dns_server import DnsServer
from lib.restart_case import FailureTest


class DnsDiscoveryTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.dns = DnsServer()
        self.addCleanup(self.dns.close)
        # One port on two addresses: two endpoints, which the same name finds.
        self.one = self.origin()
        self.port = int(self.one.address.rpartition(":")[2])
        self.two = self.origin(f"127.0.0.2:{self.port}")
        self.dns.zone["app.test", "A"] = ["127.0.0.1"]

    def serve(self, **dns):
        dns = {"name": f"app.test:{self.port}", "servers": [self.dns.address],
               "min_refresh": "50ms", "max_refresh": "100ms", "timeout": "200ms", "tries": 1} | dns
        config = self.config(clusters=[{"name": "app", "dns": dns, "drain_timeout": "5s"}])
        return self.start(config)

    def endpoints(self, process):
        cluster, = process.admin_json("/clusters")["clusters"]
        return {endpoint["address"] for endpoint in cluster["endpoints"]}

    def wait_endpoints(self, process, *addresses):
        expected = {f"{address}:{self.port}" for address in addresses}
        wait_until(lambda: self.endpoints(process) == expected, f"the endpoints are {expected}")

    def test_it_is_ready_when_they_are_found(self):
        process = self.serve()
        self.wait_endpoints(process, "127.0.0.1")
        with process.connect() as client:
            self.assertEqual(200, client.ask().status)
        self.assertEqual(0, process.metric("sluice_dns_lookups_total", result="failure"))

    def test_they_come_and_go_under_load(self):
        for origin in (self.one, self.two):
            origin.on("/bytes/100", lambda x: x.reply(body=b"x" * 100))
        process = self.serve()
        clients = [self.connect(process) for _ in range(4)]
        deadline = time.monotonic() + 2
        turn = 0
        while time.monotonic() < deadline:
            turn += 1
            self.dns.zone["app.test", "A"] = [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"],
                                              ["127.0.0.2"]][turn // 20 % 3]
            for client in clients:
                self.assertEqual(200, client.ask().status)
        self.assertGreater(len(process.events("endpoints_found")), 3)
        self.assertTrue(self.two.requests)

    def test_what_is_in_flight_on_one_that_goes_finishes(self):
        hold = self.one.hold("/slow")
        process = self.serve()
        client = self.connect(process)
        client.request(target="/slow")
        hold.wait_arrived()
        self.dns.zone["app.test", "A"] = ["127.0.0.2"]
        self.wait_endpoints(process, "127.0.0.2")
        part, = process.admin_json("/drain")["parts"]
        self.assertEqual((self.one.address, "draining", 1),
                         (part["endpoint"], part["state"], part["in_flight"]))
        hold.release()
        self.assertEqual(200, client.read_response().status)

    def test_one_that_is_drained_stays_so_when_it_comes_back(self):
        self.dns.zone["app.test", "A"] = ["127.0.0.1", "127.0.0.2"]
        process = self.serve()

        def is_drained(absent):
            parts = process.admin_json("/drain")["parts"]
            return [(part["endpoint"], part["state"], part.get("absent", False))
                    for part in parts] == [(self.one.address, "drained", absent)]
        process.admin_json(f"/drain?endpoint={self.one.address}", "POST")
        wait_until(lambda: is_drained(absent=False), "it is drained")
        self.dns.zone["app.test", "A"] = ["127.0.0.2"]
        wait_until(lambda: is_drained(absent=True), "it is away")
        self.dns.zone["app.test", "A"] = ["127.0.0.1", "127.0.0.2"]
        self.wait_endpoints(process, "127.0.0.1", "127.0.0.2")
        wait_until(lambda: is_drained(absent=False), "it is back")
        with process.connect() as client:
            for _ in range(6):
                self.assertEqual(200, client.ask().status)
            self.assertEqual(0, len(self.one.requests))
            process.admin_json(f"/drain?endpoint={self.one.address}", "DELETE")
            for _ in range(6):
                self.assertEqual(200, client.ask().status)
        self.assertTrue(self.one.requests)

    def test_the_last_good_answer_stays(self):
        process = self.serve()
        self.dns.silent = True
        process.wait_for("dns_failed")
        with process.connect() as client:
            self.assertEqual(200, client.ask().status)
        self.wait_endpoints(process, "127.0.0.1")
        self.assertIn("app.test", process.admin_json("/clusters")["clusters"][0]["dns_error"])
        self.dns.silent = False
        self.dns.zone["app.test", "A"] = ["127.0.0.2"]
        process.wait_for("dns_recovered")
        self.wait_endpoints(process, "127.0.0.2")

    def test_a_name_that_nobody_knows(self):
        process = self.serve(name=f"nobody.test:{self.port}")
        with process.connect() as client:
            self.assertEqual(503, client.ask().status)
        event = process.wait_for("dns_failed")
        self.assertIn("nobody.test", event["reason"])
        self.assertEqual("the cluster has no endpoints", event["effect"])

    def test_services(self):
        self.dns.zone["_http._tcp.app.test", "SRV"] = [(0, 1, self.port, "one.test"),
                                                       (1, 1, self.port, "two.test")]
        self.dns.zone["one.test", "A"] = ["127.0.0.1"]
        self.dns.zone["two.test", "A"] = ["127.0.0.2"]
        process = self.serve(name="_http._tcp.app.test", records="srv")
        self.wait_endpoints(process, "127.0.0.1", "127.0.0.2")
        with process.connect() as client:
            for _ in range(6):
                self.assertEqual(200, client.ask().status)
        self.assertEqual(0, len(self.two.requests), "of a lower priority")

    def reload(self, process, change):
        """`change` gets the configuration, and changes it."""
        path = process.arguments[process.arguments.index("-c") + 1]
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        change(config)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        done = run_sluice("reload", "--admin", process.admin_address)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def test_a_reload_does_not_forget_them(self):
        process = self.serve()
        self.dns.silent = True
        with process.connect() as client:
            self.assertEqual(200, client.ask().status)
            said = self.reload(
                process, lambda config: config["listeners"][0].update(limits={"header_count": 50}))
            self.assertNotIn("endpoints", said)
            self.assertEqual(200, client.ask().status)
        self.wait_endpoints(process, "127.0.0.1")

    def test_nor_does_one_that_looks_them_up_otherwise(self):
        process = self.serve()
        self.dns.silent = True
        for number, change in enumerate(({"tries": 2}, {"name": f"other.test:{self.port}"}), 1):
            with self.subTest(change), process.connect() as client:
                said = self.reload(
                    process, lambda config, to=change: config["clusters"][0]["dns"].update(to))
                self.assertIn("clusters[app].dns", said)
                for _ in range(4):
                    self.assertEqual(200, client.ask().status)
                process.wait_for("dns_failed", number)
                self.assertEqual(200, client.ask().status)
        self.dns.silent = False
        self.dns.zone["other.test", "A"] = ["127.0.0.2"]
        self.wait_endpoints(process, "127.0.0.2")

    def test_from_given_ones_to_a_name(self):
        process = self.start(self.config(self.one))
        self.dns.silent = True

        def look_up(config):
            cluster, = config["clusters"]
            del cluster["endpoints"]
            cluster["dns"] = {"name": f"app.test:{self.port}", "servers": [self.dns.address],
                              "min_refresh": "50ms", "timeout": "100ms", "tries": 1}

        with process.connect() as client:
            self.reload(process, look_up)
            process.wait_for("dns_failed")
            self.assertEqual(200, client.ask().status)
        self.dns.zone["app.test", "A"] = ["127.0.0.2"]
        self.dns.silent = False
        self.wait_endpoints(process, "127.0.0.2")


class HandOverTest(FailureTest):
    """What is found out about upstreams while a new process does not get ready."""

    def begin(self, process):
        self.install_script("hang()")
        process.signal(signal.SIGUSR2)
        successor = process.wait_for("hand_over")["pid"]
        self.assertEqual("handing_over", process.admin_json("/drain")["phase"])
        return successor

    def end(self, process, successor):
        os.kill(successor, signal.SIGKILL)
        process.wait_for("hand_over_failed")

    def endpoints(self, process):
        cluster, = process.admin_json("/clusters")["clusters"]
        return {endpoint["address"]: endpoint["state"] for endpoint in cluster["endpoints"]}

    def test_endpoints_that_were_found_are_used(self):
        dns = DnsServer()
        self.addCleanup(dns.close)
        port = self.app.address.rpartition(":")[2]
        other = self.origin(f"127.0.0.2:{port}")
        dns.zone["app.test", "A"] = ["127.0.0.1"]
        process = self.serve_here(clusters=[
            {"name": "app", "dns": {"name": f"app.test:{port}", "servers": [dns.address],
                                    "min_refresh": "20ms", "max_refresh": "20ms"}}])
        successor = self.begin(process)
        dns.zone["app.test", "A"] = ["127.0.0.2"]
        asked = dns.queries
        wait_until(lambda: dns.queries > asked + 8, "it has asked again")  # A and AAAA each time
        self.assertEqual({self.app.address}, set(self.endpoints(process)))
        self.end(process, successor)
        wait_until(lambda: set(self.endpoints(process)) == {other.address}, "the endpoint is used")
        self.check_recovery(process)

    def test_what_turned_unhealthy_is_drained(self):
        other = self.origin()
        for origin in (self.app, other):
            origin.on("/healthz", lambda x: x.reply(200))
        check = {"path": "/healthz", "interval": "20ms", "unhealthy_interval": "20ms",
                 "unhealthy_threshold": 1, "healthy_threshold": 1}
        process = self.serve_here(clusters=[
            {"name": "app", "endpoints": [self.app.address, other.address],
             "health_check": check}])

        def wait_state(origin, state):
            wait_until(lambda: self.endpoints(process)[origin.address] == state, f"it is {state}")

        successor = self.begin(process)
        for origin in (self.app, other):
            origin.on("/healthz", lambda x: x.reply(500))
            wait_state(origin, "unhealthy")
            if origin is self.app:
                origin.on("/healthz", lambda x: x.reply(200))
                wait_state(origin, "usable")
        self.assertEqual([], process.events("part_drain"))
        self.end(process, successor)
        process.wait_for("part_drain", name=other.address)
        self.assertEqual(1, len(process.events("part_drain")), "the other is well again")


if __name__ == "__main__":
    main()
