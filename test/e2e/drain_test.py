#!/usr/bin/env python3
"""The drain on real sockets: lame duck, undrain, what is in flight, what still arrives."""

import json
import signal
import time

from lib import SANITIZED, Client, SluiceTest, main, wait_until

LONG = {"propagation_delay": "60s"}  # ended by a second signal, or undone


class IdleTest(SluiceTest):
    def exit_seconds(self, clients=0):
        process = self.sluice(self.origin(), drain={"idle_grace": "10ms"})
        for _ in range(clients):
            self.assertEqual(200, self.connect(process).ask().status)
        sent = process.drain()
        self.assertEqual(0, process.wait_exit())
        return time.monotonic() - sent

    def test_an_idle_process_is_gone_at_once(self):
        # 50 ms is the promise. Machines that run tests are busy with others: one of several tries
        # has to show it, with a margin.
        bound = 2.0 if SANITIZED else 0.25
        seconds = [self.exit_seconds()]
        while min(seconds) > bound and len(seconds) < 10:
            seconds.append(self.exit_seconds())
        print("an idle process is gone after "
              + ", ".join(f"{1000 * one:.1f}" for one in seconds) + " ms")
        self.assertLess(min(seconds), bound)

    def test_idle_connections_are_closed_and_do_not_hold_it(self):
        process = self.sluice(self.origin(), drain={"linger": "10s"})
        clients = [self.connect(process) for _ in range(20)]
        for client in clients:
            self.assertEqual(200, client.ask().status)
        sent = process.drain()
        for client in clients:
            self.assertEqual("fin", client.ended())
            client.close()
        self.assertEqual(0, process.wait_exit())
        self.assertLess(time.monotonic() - sent, 5, "it does not wait for the linger bound")
        self.assertEqual(20, process.report()["told"])

    def test_the_report(self):
        process = self.sluice(self.origin(), drain={
            "report_file": str(self.directory / "report.json")})
        process.signal()
        self.assertEqual(0, process.wait_exit())
        report = process.report()
        self.assertEqual("sigterm", report["trigger"])
        self.assertEqual(["draining", "stopping_background", "flushing", "releasing"],
                         [phase["phase"] for phase in report["phases"]])
        for phase in report["phases"]:
            self.assertFalse(phase["overrun"], phase)
        self.assertEqual(0, report["cut"]["total"])
        self.assertTrue(report["fits_grace_period"])
        written = json.loads((self.directory / "report.json").read_text(encoding="utf-8"))
        self.assertEqual(report, written)
        self.assertEqual("exited", written["phase"])

    def test_the_phases_are_logged_in_order(self):
        process = self.sluice(self.origin(), drain={"propagation_delay": "50ms"})
        process.signal()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual(["ready", "lame_duck", "draining", "stopping_background", "flushing",
                          "releasing", "exited"],
                         [line["phase"] for line in process.events("phase")])

    def test_sigint(self):
        process = self.sluice(self.origin())
        process.signal(signal.SIGINT)
        self.assertEqual(0, process.wait_exit())
        self.assertEqual("sigint", process.report()["trigger"])


class LameDuckTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()

    def test_unready_but_serving(self):
        process = self.sluice(self.app, drain=LONG)
        client = self.connect(process)
        self.assertFalse(client.ask().closes)
        process.signal()
        process.wait_for_phase("lame_duck")

        self.assertEqual(503, process.admin("/ready").status)
        self.assertEqual(200, process.admin("/live").status)
        self.assertEqual("lame_duck", process.admin_json("/drain")["phase"])
        self.assertEqual(1, process.metric("sluice_phase", phase="lame_duck"))
        self.assertEqual(0, process.metric("sluice_phase", phase="ready"))

        answer = client.ask()
        self.assertEqual((200, True), (answer.status, answer.closes))
        self.assertEqual("fin", client.ended())
        answer = self.connect(process).ask()
        self.assertEqual((200, True), (answer.status, answer.closes), "a new connection, too")

        process.signal()  # do not wait for the minute
        self.assertEqual(0, process.wait_exit())

    def test_undrain(self):
        process = self.sluice(self.app, drain=LONG)
        client = self.connect(process)
        for turn in range(3):
            process.signal()
            process.wait_for_phase("lame_duck", count=turn + 1)
            self.assertEqual(503, process.admin("/ready").status)
            self.assertEqual("ready", process.admin_json("/drain", "DELETE")["phase"])
            self.assertEqual(200, process.admin("/ready").status)
            self.assertFalse(client.ask().closes)
        self.assertEqual(409, process.admin("/drain", "DELETE").status, "there is nothing to undo")
        # The signals before are forgotten: this is a first one again.
        process.signal()
        wait_until(lambda: process.admin("/ready").status == 503, "it drains")
        self.assertEqual("lame_duck", process.admin_json("/drain")["phase"])

    def test_undrain_is_refused_once_the_delay_is_over(self):
        hold = self.app.hold("/slow")
        process = self.sluice(self.app)
        self.connect(process).request("GET", "/slow")
        hold.wait_arrived()
        process.signal()
        process.wait_for_phase("draining")
        answer = process.admin("/drain", "DELETE")
        self.assertEqual(409, answer.status)
        self.assertIn(b"draining", answer.body)
        hold.release()
        self.assertEqual(0, process.wait_exit())

    def test_the_gradual_strategy_begins_gently(self):
        process = self.sluice(self.app, drain=LONG | {"strategy": "gradual"})
        process.signal()
        process.wait_for_phase("lame_duck")
        kept = 0
        for _ in range(40):
            with process.connect() as client:
                kept += not client.ask().closes
        # In the first seconds of a minute hardly one in twenty is told.
        self.assertGreater(kept, 20)

    def test_by_the_admin(self):
        process = self.sluice(self.app, drain=LONG)
        self.assertEqual("lame_duck", process.admin_json("/drain", "POST")["phase"])
        self.assertEqual("lame_duck", process.admin_json("/drain", "POST")["phase"], "again")
        self.assertEqual(503, process.admin("/ready").status)
        process.stop_now()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual("admin", process.report()["trigger"])

    def test_prestop_answers_when_the_delay_has_passed(self):
        process = self.sluice(self.app, drain={"propagation_delay": "400ms"})
        hold = self.app.hold("/slow")
        self.connect(process).request("GET", "/slow")
        hold.wait_arrived()
        started = time.monotonic()
        with Client(process.admin_address) as admin:
            admin.request("GET", "/drain/prestop")
            process.wait_for_phase("lame_duck")
            self.assertEqual(200, self.connect(process).ask().status)
            answer = admin.read_response()
        self.assertGreaterEqual(time.monotonic() - started, 0.4)
        self.assertEqual(200, answer.status)
        self.assertEqual("draining", json.loads(answer.body)["phase"])
        process.signal()  # as Kubernetes does then; not a second one
        self.assertTrue(process.running())
        hold.release()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual("prestop", process.report()["trigger"])


class InFlightTest(SluiceTest):
    """What is under way when the drain begins, and what still arrives, is answered whole."""

    def setUp(self):
        super().setUp()
        self.app = self.origin()

    def serve(self, **drain):
        self.process = self.sluice(self.app, drain={"idle_grace": "5s"} | drain)
        self.client = self.connect(self.process)

    def begin_drain(self):
        self.process.signal()
        self.process.wait_for_phase("draining")

    def finish(self, in_flight, finished):
        self.client.close()
        self.assertEqual(0, self.process.wait_exit())
        report = self.process.report()
        self.assertEqual(in_flight, report["in_flight_at_start"]["total"], report)
        self.assertEqual(finished, report["finished"], report)
        self.assertEqual(0, report["cut"]["total"], report)
        return report

    def test_a_request_that_waits_for_the_origin(self):
        self.serve()
        hold = self.app.hold("/slow")
        self.client.request("GET", "/slow")
        hold.wait_arrived()
        self.begin_drain()
        self.assertEqual({"http1": 1},
                         self.process.admin_json("/drain")["in_flight"]["by_protocol"])
        self.assertEqual(1, self.process.metric("sluice_drain_inflight", protocol="http1"))
        hold.release()
        answer = self.client.read_response()
        self.assertEqual((200, b"ok", True), (answer.status, answer.body, answer.closes))
        self.assertEqual("fin", self.client.ended())
        report = self.finish(1, 1)
        self.assertEqual({"default/0": 1}, report["in_flight_at_start"]["by_route"])

    def test_a_response_that_has_begun(self):
        self.serve()
        hold = self.app.hold("/", lambda x: x.send("5\r\nworld\r\n0\r\n\r\n"))

        def begin(x):
            x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            hold(x)
        self.app.on("/", begin)
        self.client.request()
        head = self.client.read_head()
        hold.wait_arrived()
        self.begin_drain()
        hold.release()
        self.client.read_body_into(head)
        self.assertEqual(b"helloworld", head.body)
        self.assertEqual("fin", self.client.ended())
        self.finish(1, 1)

    def test_an_upload(self):
        self.serve()
        self.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        wait_until(lambda: self.app.requests, "the request has reached the origin")
        self.begin_drain()
        self.client.send("world")
        answer = self.client.read_response()
        self.assertEqual((200, True), (answer.status, answer.closes))
        self.assertEqual(b"helloworld", self.app.last().body)
        self.finish(1, 1)

    def test_a_head_of_which_only_a_part_has_come(self):
        self.serve()
        self.client.send("GET / HTTP/1.1\r\nHo")
        wait_until(lambda: self.process.admin_json("/connections")["in_flight"] == 1, "it began")
        self.begin_drain()
        self.client.send("st: a\r\n\r\n")
        answer = self.client.read_response()
        self.assertEqual((200, True), (answer.status, answer.closes))
        self.finish(1, 1)

    def test_pipelined_requests(self):
        self.serve()
        hold = self.app.hold("/1")
        self.client.send("".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(1, 6)))
        hold.wait_arrived()
        self.begin_drain()
        hold.release()
        answers = [self.client.read_response() for _ in range(5)]
        self.assertEqual([200] * 5, [answer.status for answer in answers])
        self.assertEqual([False] * 4 + [True], [answer.closes for answer in answers])
        self.finish(1, 5)

    def test_a_request_on_an_idle_connection_within_the_grace(self):
        self.serve()
        self.assertEqual(200, self.client.ask().status)
        self.begin_drain()
        answer = self.client.ask("POST", "/", body=b"late")
        self.assertEqual((200, True), (answer.status, answer.closes))
        self.assertEqual("fin", self.client.ended())
        self.finish(0, 1)

    def test_a_request_on_a_new_connection_within_the_grace(self):
        self.serve()  # connected, but nothing was ever sent on it
        wait_until(lambda: self.process.admin_json("/connections")["total"] == 1, "it is in")
        self.begin_drain()
        answer = self.client.ask()
        self.assertEqual((200, True), (answer.status, answer.closes))
        self.finish(0, 1)

    def test_the_grace_ends(self):
        self.serve(idle_grace="50ms")
        self.assertEqual(200, self.client.ask().status)
        self.begin_drain()
        self.assertEqual("fin", self.client.ended())
        self.finish(0, 0)

    def test_new_connections_are_refused_when_the_listener_is_closed(self):
        self.serve()
        hold = self.app.hold("/slow")
        self.client.request("GET", "/slow")
        hold.wait_arrived()
        self.begin_drain()

        def refused():
            try:
                self.process.connect().close()
            except ConnectionRefusedError:
                return True
            return False
        wait_until(refused, "connections are refused")
        hold.release()
        self.assertEqual(200, self.client.read_response().status)
        self.finish(1, 1)

    def test_connections_in_the_accept_queue(self):
        self.serve()
        self.assertEqual(200, self.client.ask().status)
        # Stopped, it cannot accept: these are in the queue, with their requests, when it is told.
        self.process.signal(signal.SIGSTOP)
        queued = [self.connect(self.process) for _ in range(20)]
        for client in queued[:10]:
            client.request()
        self.process.signal()
        self.process.signal(signal.SIGCONT)
        answers = [client.read_response() for client in queued[:10]]
        self.assertEqual([200] * 10, [answer.status for answer in answers])
        self.process.wait_for_phase("draining")
        # A worker may have answered before it was told: such a client may ask once more, too.
        staying = [client for client, answer in zip(queued, answers) if not answer.closes]
        for client in staying + queued[10:]:
            self.assertEqual(200, client.ask().status, "within the grace")
        self.client.close()
        self.assertEqual(0, self.process.wait_exit())
        self.assertEqual(0, self.process.report()["cut"]["total"])

    def test_many_requests_at_once(self):
        self.serve(deadline="60s")
        hold = self.app.hold("/slow")
        clients = [self.connect(self.process) for _ in range(100)]
        for client in clients:
            client.request("GET", "/slow")
        hold.wait_arrived(100)
        self.begin_drain()
        hold.release()
        for client in clients:
            answer = client.read_response()
            self.assertEqual((200, True), (answer.status, answer.closes))
        self.finish(100, 100)

    def test_tunnels_that_end(self):
        def echo(x):
            x.send("HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            x.send(x.connection.read_some())
            x.send(x.connection.read_to_end())
            x.close()
        self.app.on("/tunnel", echo)
        self.serve()
        self.client.request("GET", "/tunnel", {"Connection": "upgrade", "Upgrade": "echo"})
        self.assertEqual(101, self.client.read_head().status)
        self.begin_drain()
        self.client.send("still")
        self.assertEqual(b"still", self.client.read_exactly(5), "a tunnel goes on")
        self.client.send("alive")
        self.client.half_close()
        self.assertEqual(b"alive", self.client.read_to_end())
        report = self.finish(1, 1)
        self.assertEqual({"tunnel": 1}, report["in_flight_at_start"]["by_protocol"])

    def test_the_drain_ends_the_moment_the_last_request_does(self):
        self.serve(deadline="60s", linger="60s")
        hold = self.app.hold("/slow")
        self.client.request("GET", "/slow")
        hold.wait_arrived()
        self.begin_drain()
        hold.release()
        self.assertEqual(200, self.client.read_response().status)
        self.client.close()
        started = time.monotonic()
        self.assertEqual(0, self.process.wait_exit())
        self.assertLess(time.monotonic() - started, 2)

    def test_outbound_listeners_serve_until_inbound_work_is_done(self):
        process = self.sluice(self.app, drain={"idle_grace": "50ms"}, listeners=[
            {"name": "in", "address": "127.0.0.1:0", "cluster": "app"},
            {"name": "out", "address": "127.0.0.1:0", "cluster": "app", "direction": "outbound"}])
        inbound, outbound = self.connect(process), self.connect(process.address("out"))
        self.assertEqual(200, outbound.ask().status)
        hold = self.app.hold("/slow")
        inbound.request("GET", "/slow")
        hold.wait_arrived()
        process.signal()
        process.wait_for_phase("draining")
        for _ in range(10):
            answer = outbound.ask()
            self.assertEqual((200, False), (answer.status, answer.closes))
            with process.connect("out") as another:
                self.assertEqual(200, another.ask().status, "and it accepts")
        hold.release()
        self.assertEqual(200, inbound.read_response().status)
        inbound.close()
        self.assertEqual("fin", outbound.ended())
        outbound.close()
        self.assertEqual(0, process.wait_exit())


if __name__ == "__main__":
    main()
