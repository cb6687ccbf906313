#!/usr/bin/env python3
"""A reused upstream connection may die just as a request is put on it. What is safe to send again
is sent once more; what is not is never sent twice."""

import signal

from lib import Broken, SluiceTest, main


class ReplayTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.process = self.sluice(self.app, workers=1)
        self.client = self.connect(self.process)
        # Dies of the second request of a connection, as an origin that was about to close it.
        self.app.on("/dies", lambda x: x.close() if x.number_on_connection else x.reply())
        self.app.on("/resets", lambda x: x.reset() if x.number_on_connection else x.reply())

    def warm(self):
        """One idle connection in the pool, one request on it so far."""
        self.assertEqual(200, self.client.ask().status)
        self.assertEqual(1, self.app.connections)

    def replays(self):
        return self.process.metric("sluice_upstream_retries_total")

    def test_a_get_is_replayed(self):
        for path in ("/dies", "/resets"):
            with self.subTest(path):
                self.app.connections = 0
                self.warm()
                answer = self.client.ask("GET", path)
                self.assertEqual((200, b"ok"), (answer.status, answer.body))
                self.assertEqual(2, len(self.app.seen(path)))
                self.assertEqual(2, self.app.connections, "on a fresh connection")
                self.app.close_connections()
        self.assertEqual(2, self.replays())

    def test_a_put_is_replayed_with_its_body(self):
        self.warm()
        body = bytes(range(256)) * 16
        self.assertEqual(200, self.client.ask("PUT", "/dies", body=body).status)
        first, second = self.app.seen("/dies")
        self.assertEqual(0, len(first.body or b""))
        self.assertEqual(body, second.body)

    def test_a_post_is_not_sent_twice(self):
        self.warm()
        answer = self.client.ask("POST", "/dies", body=b"pay")
        self.assertEqual(502, answer.status)
        self.assertEqual(1, len(self.app.seen("/dies")))
        self.assertEqual(0, self.replays())
        self.assertEqual(200, self.client.ask().status)

    def test_not_on_a_fresh_connection_if_the_route_does_not_want_that(self):
        process = self.sluice(self.app, listener={"routes": [
            {"cluster": "app", "retries": {"reset": False}}]})
        self.app.on("/always", lambda x: x.close())
        with process.connect() as client:
            self.assertEqual(502, client.ask("GET", "/always").status)
        self.assertEqual(1, len(self.app.seen("/always")))

    def test_only_twice(self):
        self.app.on("/always", lambda x: x.close())
        self.warm()
        self.assertEqual(502, self.client.ask("GET", "/always").status)
        self.assertEqual(3, len(self.app.seen("/always")))

    def test_not_after_the_first_byte_of_a_response(self):
        def begin(x):
            x.send("HTTP/1.1 200 OK\r\nContent-")
            x.close()
        self.app.on("/begins", begin)
        self.warm()
        self.assertEqual(502, self.client.ask("GET", "/begins").status)
        self.assertEqual(1, len(self.app.seen("/begins")))

    def test_not_when_a_part_of_the_response_was_passed_on(self):
        def begin(x):
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            x.close()
        self.app.on("/begins", begin)
        self.warm()
        self.client.request("GET", "/begins")
        with self.assertRaises(Broken):
            self.client.read_response()
        self.assertEqual(1, len(self.app.seen("/begins")))

    def test_a_connection_that_was_closed_while_idle_is_not_used(self):
        self.warm()
        self.app.close_connections()
        answer = self.client.ask("POST", "/", body=b"pay")
        self.assertEqual(200, answer.status, "a POST, too: it is put on a connection that is open")
        self.assertEqual(1, len([x for x in self.app.requests if x.method == "POST"]))

    def test_a_connection_that_was_closed_while_the_proxy_was_not_looking(self):
        self.warm()
        # It finds the request and the origin's close at the same moment.
        self.process.signal(signal.SIGSTOP)
        self.app.close_connections()
        self.client.request("POST", "/", body=b"pay")
        self.process.signal(signal.SIGCONT)
        self.assertEqual(200, self.client.read_response().status)
        self.assertEqual(1, len([x for x in self.app.requests if x.method == "POST"]))

    def test_an_origin_that_restarts_costs_no_request(self):
        for _ in range(20):
            self.assertEqual(200, self.client.ask().status)
            self.app.close_connections()
        self.assertEqual(20, len(self.app.seen("/")))

    def test_a_pool_of_dead_connections_costs_one_replay(self):
        hold = self.app.hold("/together")
        clients = [self.connect(self.process) for _ in range(8)]
        for client in clients:
            client.request("GET", "/together")
        hold.wait_arrived(8)
        hold.release()
        for client in clients:
            self.assertEqual(200, client.read_response().status)
        self.assertEqual(8, self.app.connections)
        self.process.signal(signal.SIGSTOP)
        self.app.close_connections()
        for client in clients:
            client.request("GET", "/")
        self.process.signal(signal.SIGCONT)
        for client in clients:
            self.assertEqual(200, client.read_response().status)


if __name__ == "__main__":
    main()
