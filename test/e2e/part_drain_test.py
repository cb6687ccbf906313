#!/usr/bin/env python3
"""Drains of a listener, a route, a cluster, an endpoint: the rest is served as before."""

import json
import os
import socket

from lib import Client, SluiceTest, main, run_sluice, wait_until
from lib.websocket import WebSocket, answer_websocket

class PartDrainTest(SluiceTest):
    """/a goes to cluster a, /b to cluster b, /both to one of them; all of it on two listeners."""

    def setUp(self):
        super().setUp()
        self.a = self.origin()
        self.b = self.origin()
        for origin in (self.a, self.b):
            origin.on("/a/ws", answer_websocket)
            origin.on("/b/ws", answer_websocket)

    def serve(self, drain=None, address="127.0.0.1:0", **rest):
        routes = [
            {"name": "both", "match": {"path": "/both"},
             "clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]},
            {"name": "a", "match": {"prefix": "/a"}, "cluster": "a"},
            {"name": "b", "match": {"prefix": "/b"}, "cluster": "b"},
        ]
        self.process = self.start(self.config(
            self.a, drain={"spread": "100ms"} | (drain or {}),
            listeners=[{"name": "in", "address": address, "routes": routes},
                       {"name": "other", "address": "127.0.0.1:0", "routes": routes}],
            clusters=[{"name": "a", "endpoints": [self.a.address]},
                      {"name": "b", "endpoints": [self.b.address]}], **rest))
        return self.process

    def change(self, method, query):
        """(status, document) of an order to the admin."""
        answer = self.process.admin("/drain?" + query, method)
        return answer.status, json.loads(answer.body)

    def drain(self, query):
        status, document = self.change("POST", query)
        self.assertEqual(200, status, document)

    def undrain(self, query):
        status, document = self.change("DELETE", query)
        self.assertEqual(200, status, document)

    def parts(self):
        return self.process.admin_json("/drain")["parts"]

    def wait_drained(self, **part):
        """The entry of a part once it is drained."""
        def find():
            return [one for one in self.parts()
                    if part.items() <= one.items() and one["state"] == "drained"]
        wait_until(find, f"{part} is drained")
        return find()[0]

    def ask(self, target, listener="in"):
        with Client(self.process.address(listener)) as client:
            return client.ask("GET", target)


class RouteTest(PartDrainTest):
    def test_new_requests_are_refused_and_those_in_flight_finish(self):
        self.serve()
        hold = self.a.hold("/a/hold")
        busy, other = self.connect(self.process), self.connect(self.process)
        busy.request("GET", "/a/hold")
        hold.wait_arrived()
        self.drain("route=a")

        refused = other.ask("GET", "/a/new")
        self.assertEqual(503, refused.status)
        self.assertEqual("1", refused.get("retry-after"))
        self.assertIn(b"draining", refused.body)
        self.assertFalse(refused.closes, "the connection has other routes to go")
        self.assertEqual(200, other.ask("GET", "/b").status)
        self.assertEqual(503, self.ask("/a", "other").status, "on every listener")
        [part] = self.parts()
        self.assertEqual(("a", "draining", 1), (part["route"], part["state"], part["in_flight"]))
        self.assertEqual(200, self.process.admin("/ready").status)
        self.assertEqual(1, self.process.metric("sluice_part_drained", scope="route"))

        hold.release()
        answer = busy.read_response()
        self.assertEqual((200, False), (answer.status, answer.closes))
        part = self.wait_drained(route="a")
        self.assertEqual((0, 0), (part["in_flight"], part["cut"]))
        self.assertEqual(1, self.process.metric("sluice_drain_duration_seconds_count",
                                                scope="route"))
        self.undrain("route=a")
        self.assertEqual(200, other.ask("GET", "/a").status)
        self.assertEqual([], self.parts())
        self.assertEqual(0, self.process.metric("sluice_part_drained", scope="route"))

    def test_websockets_of_the_route_are_told_and_no_others(self):
        self.serve()
        told = [WebSocket(self.connect(self.process), "/a/ws") for _ in range(4)]
        kept = WebSocket(self.connect(self.process), "/b/ws")
        for session in told + [kept]:
            self.assertTrue(session.echoes())
        self.drain("route=a")
        for session in told:
            self.assertEqual(1001, session.close_code())
            self.assertEqual("fin", session.client.ended())
        part = self.wait_drained(route="a")
        self.assertEqual((4, 0, 0), (part["told"], part["left"], part["cut"]))
        self.assertTrue(kept.echoes())
        self.assertEqual(503, WebSocket(self.connect(self.process), "/a/ws").answer.status)

    def test_the_deadline_cuts_the_route_alone(self):
        self.serve(drain={"deadline": "300ms"})
        holds = [self.a.hold("/a/hold"), self.b.hold("/b/hold")]
        cut, kept = self.connect(self.process), self.connect(self.process)
        cut.request("GET", "/a/hold")
        kept.request("GET", "/b/hold")
        for hold in holds:
            hold.wait_arrived()
        self.drain("route=a")
        answer = cut.read_response()
        self.assertEqual((503, True), (answer.status, answer.closes))
        self.assertEqual(1, self.wait_drained(route="a")["cut"])
        self.assertEqual(1, self.process.metric("sluice_drain_cut_total", protocol="http1",
                                                reason="deadline"))
        self.assertTrue(kept.is_quiet())
        holds[1].release()
        self.assertEqual(200, kept.read_response().status)


class ClusterTest(PartDrainTest):
    def test_the_other_cluster_of_a_route_takes_its_share(self):
        self.serve()
        client = self.connect(self.process)
        self.drain("cluster=a")
        for _ in range(10):
            self.assertEqual(200, client.ask("GET", "/both").status)
        self.assertEqual((0, 10), (len(self.a.seen("/both")), len(self.b.seen("/both"))))
        self.assertEqual(503, client.ask("GET", "/a").status)
        self.assertEqual(200, client.ask("GET", "/b").status)
        self.drain("cluster=b")
        self.assertEqual(503, client.ask("GET", "/both").status)
        self.undrain("cluster=a")
        self.assertEqual(200, client.ask("GET", "/both").status)
        self.assertEqual(1, len(self.a.seen("/both")))

    def test_its_idle_connections_are_closed_and_its_websockets_told(self):
        self.serve()
        client = self.connect(self.process)
        session = WebSocket(self.connect(self.process), "/a/ws")
        self.assertTrue(session.echoes())
        self.assertEqual(200, client.ask("GET", "/a").status)
        self.assertEqual(2, self.a.open_connections())
        self.drain("cluster=a")
        wait_until(lambda: self.a.open_connections() <= 1, "the idle connection is closed")
        self.assertEqual(1001, session.close_code())
        self.wait_drained(cluster="a")
        wait_until(lambda: self.a.open_connections() == 0, "nothing is left at the origin")


class EndpointTest(PartDrainTest):
    def serve_both(self):
        config = self.config(self.a, self.b, drain={"spread": "100ms"})
        self.process = self.start(config)
        return self.connect(self.process)

    def test_the_other_endpoints_take_over(self):
        client = self.serve_both()
        for _ in range(4):
            self.assertEqual(200, client.ask().status)
        self.assertEqual((2, 2), (len(self.a.seen("/")), len(self.b.seen("/"))))
        hold = self.a.hold("/hold")
        self.b.on("/hold", lambda exchange: exchange.reply())
        busy = []
        while not self.a.seen("/hold"):
            busy.append(self.connect(self.process))
            busy[-1].request("GET", "/hold")
            wait_until(lambda: self.a.seen("/hold") or not busy[-1].is_quiet(), "an origin has it")
        self.drain("endpoint=" + self.a.address)
        for _ in range(4):
            self.assertEqual(200, client.ask().status)
        self.assertEqual((2, 6), (len(self.a.seen("/")), len(self.b.seen("/"))))
        wait_until(lambda: self.a.open_connections() == 1, "the idle connections are closed")
        hold.release()
        self.assertEqual(200, busy[-1].read_response().status)
        self.wait_drained(endpoint=self.a.address)
        wait_until(lambda: self.a.open_connections() == 0, "nothing is left at the origin")
        self.undrain("endpoint=" + self.a.address)
        for _ in range(4):
            self.assertEqual(200, client.ask().status)
        self.assertEqual(4, len(self.a.seen("/")))

    def test_the_last_endpoint(self):
        client = self.serve_both()
        self.drain("endpoint=" + self.a.address)
        self.drain("endpoint=" + self.b.address)
        refused = client.ask()
        self.assertEqual((503, "1"), (refused.status, refused.get("retry-after")))
        self.undrain("endpoint=" + self.b.address)
        self.assertEqual(200, client.ask().status)


class ListenerTest(PartDrainTest):
    def assert_refused(self, address):
        for _ in range(16):  # whichever worker's socket the kernel would choose
            with self.assertRaises(ConnectionRefusedError):
                Client(address)

    def test_connections_are_told_and_new_ones_refused_until_undrain(self):
        self.serve()
        address = self.process.address("in")
        hold = self.a.hold("/a/hold")
        idle, busy = self.connect(address), self.connect(address)
        other = self.connect(self.process.address("other"))
        self.assertEqual(200, idle.ask("GET", "/a").status)
        busy.request("GET", "/a/hold")
        hold.wait_arrived()
        self.drain("listener=in")

        self.assert_refused(address)
        self.assertEqual("fin", idle.ended())
        idle.close()
        self.assertEqual(200, other.ask("GET", "/a").status)
        self.assertFalse(other.ask("GET", "/a").closes)
        self.assertEqual(200, self.process.admin("/ready").status)
        hold.release()
        answer = busy.read_response()
        self.assertEqual((200, True), (answer.status, answer.closes))
        busy.close()
        self.wait_drained(listener="in")

        self.undrain("listener=in")
        clients = [self.connect(address) for _ in range(16)]
        for client in clients:
            answer = client.ask("GET", "/a")
            self.assertEqual((200, False), (answer.status, answer.closes))
        self.assertTrue(other.ask("GET", "/a"))
        # And once more, because sockets that were shut are not those that were bound.
        self.drain("listener=in")
        self.assert_refused(address)
        self.undrain("listener=in")
        self.assertEqual(200, self.ask("/a").status)

    def test_nobody_else_gets_the_port(self):
        self.serve()
        host, _, port = self.process.address("in").rpartition(":")
        self.drain("listener=in")
        self.assert_refused(self.process.address("in"))
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with self.assertRaisesRegex(OSError, "Address already in use"):
                thief.bind((host, int(port)))
                thief.listen()

    def test_on_a_unix_socket(self):
        address = f"unix:{self.directory}/in.sock"
        self.serve(address=address)
        self.assertEqual(200, self.ask("/a").status)
        for _ in range(2):
            self.drain("listener=in")
            self.assert_refused(address)
            self.undrain("listener=in")
            for _ in range(8):
                self.assertEqual(200, self.ask("/a").status)
        self.process.signal()
        self.assertEqual(0, self.process.wait_exit())
        self.assertFalse(os.path.exists(address.removeprefix("unix:")))

    def test_websockets_of_the_listener_are_told(self):
        self.serve()
        told = WebSocket(self.connect(self.process.address("in")), "/a/ws")
        kept = WebSocket(self.connect(self.process.address("other")), "/a/ws")
        self.assertTrue(told.echoes() and kept.echoes())
        self.drain("listener=in")
        self.assertEqual(1001, told.close_code())
        self.wait_drained(listener="in")
        self.assertTrue(kept.echoes())

    def test_the_process_drains_while_a_listener_is_drained(self):
        self.serve()
        client = self.connect(self.process.address("other"))
        self.assertEqual(200, client.ask("GET", "/a").status)
        self.drain("listener=in")
        self.process.signal()
        self.assertEqual(0, self.process.wait_exit())
        self.assertEqual(0, self.process.report()["cut"]["total"])

    def test_the_process_drains_while_a_part_drains(self):
        self.serve(drain={"deadline": "60s"})
        holds = [self.a.hold("/a/hold"), self.b.hold("/b/hold")]
        clients = [self.connect(self.process), self.connect(self.process)]
        clients[0].request("GET", "/a/hold")
        clients[1].request("GET", "/b/hold")
        for hold in holds:
            hold.wait_arrived()
        self.drain("route=a")
        self.process.signal()
        self.process.wait_for_phase("draining")
        status, document = self.change("DELETE", "route=a")
        self.assertEqual(409, status)
        self.assertIn("the phase is draining", document["error"])
        for hold, client in zip(holds, clients):
            hold.release()
            self.assertEqual(200, client.read_response().status)
            client.close()
        self.assertEqual(0, self.process.wait_exit())


class OrderTest(PartDrainTest):
    def test_refusals(self):
        self.serve()
        for method, query, status, words in (
                ("POST", "route=bth", 404, 'did you mean "both"'),
                ("POST", "cluster=nothing", 404, "there are: a, b"),
                ("POST", "listener=admin", 404, "there are: in, other"),
                ("DELETE", "endpoint=127.0.0.1:1", 404, self.a.address),
                ("DELETE", "route=a", 409, "not drained"),
                ("POST", "route=a&cluster=a", 400, "not several"),
                ("POST", "route=", 400, "names nothing"),
                ("POST", "rout=a", 400, "there are: listener, route, cluster, endpoint")):
            with self.subTest(query=query):
                answered, document = self.change(method, query)
                self.assertEqual(status, answered)
                self.assertIn(words, document["error"])
        self.assertEqual("ready", self.process.admin_json("/drain")["phase"])
        self.assertEqual([], self.parts())

    def test_draining_twice_is_one_drain(self):
        self.serve()
        for _ in range(2):
            self.drain("route=%61")  # a, percent-encoded
        self.assertEqual(1, len(self.parts()))
        self.undrain("route=a")
        self.process.wait_for("part_undrained", scope="route", name="a")
        self.assertEqual(1, len(self.process.events("part_drain", scope="route", name="a")))

    def cli(self, *arguments):
        return run_sluice(*arguments, "--admin", self.process.admin_address)

    def test_the_command_line(self):
        self.serve()
        drained = self.cli("drain", "--route", "a", "--wait")
        self.assertEqual((0, ""), (drained.returncode, drained.stderr))
        self.assertIn("route a: drained\n", drained.stdout)
        self.assertIn("part         route a: drained for ", self.cli("status").stdout)
        self.assertEqual(503, self.ask("/a").status)
        undone = self.cli("drain", "--route", "a", "--undo")
        self.assertEqual((0, "route a: serves again\n"), (undone.returncode, undone.stdout))
        self.assertEqual(200, self.ask("/a").status)
        wrong = self.cli("drain", "--listener", "inn")
        self.assertEqual(1, wrong.returncode)
        self.assertIn('did you mean "in"?', wrong.stderr)
        self.assertEqual(2, self.cli("drain", "--listener", "in", "--route", "a").returncode)

    def test_the_command_line_says_what_was_cut(self):
        self.serve(drain={"deadline": "200ms"})
        hold = self.a.hold("/a/hold")
        client = self.connect(self.process)
        client.request("GET", "/a/hold")
        hold.wait_arrived()
        drained = self.cli("drain", "--cluster", "a", "--wait")
        self.assertEqual(3, drained.returncode, drained)
        self.assertIn("cluster a: drained, 1 cut\n", drained.stdout)
        self.assertEqual(503, client.read_response().status)


if __name__ == "__main__":
    main()
