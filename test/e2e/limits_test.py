#!/usr/bin/env python3
"""Limits and timeouts, with small values: each has its status, and none can be dodged."""

import json
import select
import socket

from lib import SluiceTest, main, patience, wait_until

SOON = 0.02  # between two bytes of a slow client


class TimeoutTest(SluiceTest):
    def serve(self, listener=None, **more):
        self.app = self.origin()
        self.process = self.sluice(self.app, listener=listener, **more)
        self.client = self.connect(self.process)

    def trickle(self, seconds):
        """Sends a byte now and then until something comes back; False if nothing does in time."""
        left = patience(seconds)
        while left() > 0:
            if select.select([self.client.socket], [], [], SOON)[0]:
                return True
            self.client.send("x")
        return False

    def logged(self):
        """The lines of the access log."""
        text = (self.directory / "access.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def wait_logged(self, **fields):
        wait_until(lambda: any(fields.items() <= line.items() for line in self.logged()),
                   lambda: f"{fields} in the access log, which has {self.logged()}")

    def test_a_head_that_does_not_end(self):
        self.serve({"timeouts": {"header": "200ms"}})
        self.client.send("GET / HTTP/1.1\r\nHost: a\r\n")
        answer = self.client.read_response()
        self.assertEqual((408, True), (answer.status, answer.closes))
        self.assertEqual("fin", self.client.ended())
        self.wait_logged(status=408, end="client_timeout", detail="header_timeout")

    def test_a_head_that_comes_slowly_is_given_no_more_time(self):
        self.serve({"timeouts": {"header": "300ms"}})
        self.client.send("GET / HTTP/1.1\r\nX: ")
        self.assertTrue(self.trickle(10), "slowloris holds its connection")
        self.assertEqual(408, self.client.read_response().status)

    def test_a_connection_without_a_request(self):
        self.serve({"timeouts": {"header": "200ms"}})
        self.assertEqual("fin", self.client.ended(), "closed, with nothing to answer")

    def test_idle_between_requests(self):
        self.serve({"timeouts": {"idle": "200ms", "header": "60s"}})
        self.assertEqual(200, self.client.ask().status)
        self.assertEqual("fin", self.client.ended())

    def test_a_body_that_stops(self):
        self.serve({"timeouts": {"body": "200ms"}})
        self.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
        answer = self.client.read_response()
        self.assertEqual((408, True), (answer.status, answer.closes))
        self.wait_logged(status=408, detail="body_timeout", bytes_in=5)
        wait_until(lambda: self.app.open_connections() == 0, "the origin is told by the end")
        self.assertIsNone(self.app.last().body)

    def test_a_body_that_moves_slowly_is_waited_for(self):
        self.serve({"timeouts": {"body": "400ms"}})
        self.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        self.assertFalse(self.trickle(1.2), "something came back before the body had ended")

    def test_a_client_that_takes_nothing(self):
        process = self.embedded("--set", "listeners.0.timeouts.write=300ms")
        client = self.connect(process, receive_buffer=4096)
        client.request("GET", "/bytes/1000000000")
        client.read_exactly(1000)
        wait_until(lambda: process.admin_json("/connections")["total"] == 0,
                   "the connection has been given up")
        self.assertEqual("reset", client.ended())

    def test_a_client_that_takes_little_is_waited_for(self):
        process = self.embedded("--set", "listeners.0.timeouts.write=500ms")
        client = self.connect(process, receive_buffer=4096)
        client.request("GET", "/bytes/1000000000")
        left, taken = patience(1.5), 0
        while left() > 0:  # everything is full all the time
            taken += len(client.socket.recv(4096))
            select.select([], [], [], 0.002)
        self.assertEqual(1, process.admin_json("/connections")["in_flight"], f"taken: {taken}")

    def test_a_route_that_takes_too_long(self):
        self.serve({"routes": [{"cluster": "app", "timeout": "200ms"}]})
        self.app.on("/", lambda x: x.wait_for_end())
        answer = self.client.ask()
        self.assertEqual(504, answer.status)
        self.wait_logged(status=504, detail="route_timeout")
        wait_until(lambda: self.app.open_connections() == 0, "the origin is told by the end")
        self.assertEqual(200, self.client.ask("GET", "/other").status, "the client's goes on")

    def test_a_response_that_stops_half_way(self):
        self.serve({"routes": [{"cluster": "app", "timeout": "300ms"}]})
        hold = self.app.hold("/", lambda x: x.send("rest!"))

        def begin(x):
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin")
            hold(x)
        self.app.on("/", begin)
        self.client.request()
        self.assertEqual(200, self.client.read_head().status)
        self.assertEqual(b"begin", self.client.read_to_end(), "cut, and visibly so")

    def test_the_time_of_a_route_begins_when_the_request_is_whole(self):
        self.serve({"routes": [{"cluster": "app", "timeout": "300ms"}]})
        self.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        self.assertFalse(self.trickle(0.9), "something came back before the body had ended")


class ConnectTest(SluiceTest):
    def ask(self, address, **cluster):
        process = self.sluice(cluster={"endpoints": [address]} | cluster)
        self.client = self.connect(process)
        answer = self.client.ask()
        self.process = process
        return answer

    def test_refused(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # but nobody listens
            answer = self.ask(f"127.0.0.1:{nobody.getsockname()[1]}")
        self.assertEqual(503, answer.status)
        self.assertFalse(answer.closes)
        self.assertEqual(503, self.client.ask().status)
        self.assertEqual(2 * 3, self.process.metric("sluice_upstream_connect_failures_total",
                                                    reason="refused"), "each with two retries")

    def test_a_socket_file_that_is_not_there(self):
        self.assertEqual(503, self.ask(f"unix:{self.directory}/none.sock").status)

    def test_no_answer_to_a_connection(self):
        full = socket.socket()
        self.addCleanup(full.close)
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # The accept queue takes one or two; then the kernel drops what comes.
        for _ in range(4):
            waiting = socket.socket()
            self.addCleanup(waiting.close)
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        answer = self.ask(f"127.0.0.1:{full.getsockname()[1]}", connect_timeout="200ms")
        self.assertEqual(504, answer.status)
        self.assertEqual(3, self.process.metric("sluice_upstream_connect_failures_total",
                                                reason="timeout"), "with two retries")

    def test_upstream_connections_are_limited_and_the_rest_waits(self):
        app = self.origin()
        hold = app.hold("/slow")
        process = self.sluice(app, workers=1, cluster={"max_connections": 2, "max_pending": 3})
        clients = [self.connect(process) for _ in range(5)]
        for client in clients:
            client.request("GET", "/slow")
            if client is clients[1]:
                hold.wait_arrived(2)
        wait_until(lambda: process.admin_json("/connections")["in_flight"] == 5, "all are in")
        answer = self.connect(process).ask()
        self.assertEqual(503, answer.status, "the sixth finds the queue full")
        self.assertEqual(2, app.connections)
        hold.release()
        for client in clients:
            self.assertEqual(200, client.read_response().status)
        self.assertEqual(2, app.connections)

    def test_upstream_connections_are_closed_when_idle_or_worn_out(self):
        app = self.origin()
        process = self.sluice(app, workers=1, cluster={"idle_timeout": "100ms"})
        self.assertEqual(200, self.connect(process).ask().status)
        wait_until(lambda: app.open_connections() == 0, "the idle connection is closed")
        process = self.sluice(app, workers=1, cluster={"max_requests_per_connection": 2})
        client = self.connect(process)
        for _ in range(4):
            self.assertEqual(200, client.ask().status)
        self.assertEqual(1 + 2, app.connections)


class ConnectionLimitTest(SluiceTest):
    def test_above_the_limit_connections_wait(self):
        for name, config in (("listener", {"listener": {"limits": {"connections": 2}}}),
                             ("process", {"max_connections": 2})):
            with self.subTest(name):
                process = self.sluice(self.origin(), **config)
                first, second = self.connect(process), self.connect(process)
                self.assertEqual([200, 200], [first.ask().status, second.ask().status])
                waiting = [self.connect(process) for _ in range(5)]  # the kernel takes them
                for client in waiting:
                    client.request()
                for _ in range(20):
                    self.assertEqual(200, first.ask().status)
                self.assertTrue(all(client.is_quiet() for client in waiting), "they wait")
                self.assertEqual(2, process.admin_json("/connections")["total"])
                self.assertGreaterEqual(process.metric("sluice_connections_over_limit_total"), 1)
                first.close()
                while waiting:  # each gets the place of the one before
                    served = wait_until(lambda: [x for x in waiting if not x.is_quiet()],
                                        "one that waited is served")
                    self.assertEqual(200, served[0].read_response().status)
                    served[0].close()
                    waiting.remove(served[0])

    def test_above_the_limit_connections_are_rejected(self):
        process = self.sluice(self.origin(), listener={"limits": {"connections": 2},
                                                       "on_overload": "reject"})
        first, second = self.connect(process), self.connect(process)
        self.assertEqual([200, 200], [first.ask().status, second.ask().status])
        third = self.connect(process)
        answer = third.ask()
        self.assertEqual((503, True), (answer.status, answer.closes))
        self.assertEqual("fin", third.ended())
        self.assertEqual(200, first.ask().status)
        self.assertEqual(1, process.metric("sluice_connections_over_limit_total"))
        second.close()
        wait_until(lambda: process.admin_json("/connections")["total"] == 1, "one has left")
        self.assertEqual(200, self.connect(process).ask().status)

    def test_connections_that_wait_for_a_place_are_told_by_a_drain(self):
        app = self.origin()
        hold = app.hold("/slow")
        process = self.sluice(app, listener={"limits": {"connections": 1}})
        served = self.connect(process)
        served.request("GET", "/slow")
        hold.wait_arrived()
        waiting = [self.connect(process) for _ in range(6)]
        for client in waiting:
            client.request()
        wait_until(lambda: process.metric("sluice_connections_over_limit_total") >= 1, "full")
        process.signal()
        for client in waiting:
            answer = client.read_response()
            self.assertEqual((503, True), (answer.status, answer.closes))
            client.close()
        hold.release()
        self.assertEqual(200, served.read_response().status)
        served.close()
        self.assertEqual(0, process.wait_exit())

    def test_a_limit_outlasts_many_connections(self):
        process = self.sluice(self.origin(), listener={"limits": {"connections": 3}})
        for _ in range(50):
            with process.connect() as client:
                self.assertEqual(200, client.ask().status)

    def test_requests_of_a_connection(self):
        process = self.sluice(self.origin(),
                              listener={"limits": {"requests_per_connection": 3}})
        client = self.connect(process)
        self.assertEqual([False, False, True], [client.ask().closes for _ in range(3)])
        self.assertEqual("fin", client.ended())


if __name__ == "__main__":
    main()
