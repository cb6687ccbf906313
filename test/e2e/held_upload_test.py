#!/usr/bin/env python3
"""Uploads that are held back, because they wait for a connection or the upstream does not read:
their clients are not read meanwhile. That must not last for ever, and who leaves is noticed."""

from lib import SluiceTest, main, wait_until


class HeldUploadTest(SluiceTest):
    BODY = b"x" * (64 << 20)  # more than fits anywhere

    def serve(self, **route):
        """One connection upstream, and one request at a time on a second route."""
        self.app = self.origin()
        self.hold = self.app.hold("/slow")
        self.process = self.sluice(
            self.app, workers=1, cluster={"circuit_breaker": {"connections": 1}},
            listener={"routes": [
                {"match": {"path": "/slow"}, "cluster": "app", "timeout": "1m"},
                {"cluster": "app", "timeout": "1s", "max_in_flight": 1} | route]})

    def upload(self, target="/upload"):
        """A client that sends until nothing more is taken."""
        client = self.connect(self.process)
        client.request("POST", target, {"Content-Length": len(self.BODY)})
        client.socket.settimeout(0.5)  # without a byte taken
        try:
            while client.socket.send(self.BODY):
                pass
        except TimeoutError:
            pass
        client.socket.settimeout(8)
        return client

    def waiting_for_a_connection(self):
        self.busy = self.connect(self.process)
        self.busy.request(target="/slow")
        self.hold.wait_arrived()
        client = self.upload()
        wait_until(lambda: self.cluster()["waiting"] == 1, "it waits")
        return client

    def not_read(self):
        """The upstream does not read the body."""
        self.unread = self.app.hold("/upload", lambda exchange: exchange.close())
        client = self.upload()
        self.unread.wait_arrived()
        return client

    def cluster(self):
        cluster, = self.process.admin_json("/clusters")["clusters"]
        return cluster

    def wait_left(self, in_flight):
        wait_until(lambda: self.cluster()["in_flight"] == in_flight, "it is over", 8)

    def test_a_client_that_leaves_while_it_waits_for_a_connection(self):
        self.serve()
        self.waiting_for_a_connection().reset()
        self.wait_left(in_flight=1)
        self.assertEqual(0, self.cluster()["waiting"])
        self.hold.release()
        self.assertEqual(200, self.busy.read_response().status)
        self.assertEqual([], self.app.seen("/upload"))
        self.log_lines(1, path="/upload", end="client_gone")

    def test_a_wait_for_a_connection_is_bounded(self):
        self.serve()
        self.assertEqual(504, self.waiting_for_a_connection().read_response().status)

    def test_a_client_that_leaves_while_the_upstream_does_not_read(self):
        self.serve()
        self.not_read().reset()
        self.wait_left(in_flight=0)
        self.assertEqual(200, self.connect(self.process).ask().status, "its place is given back")
        self.log_lines(1, path="/upload", end="client_gone")

    def test_an_upstream_that_does_not_read_is_given_up(self):
        self.serve()
        self.assertEqual(504, self.not_read().read_response().status)
        self.wait_left(in_flight=0)

    def test_a_client_that_leaves_while_a_fault_delays_it(self):
        self.serve(fault={"delay_percent": 100, "delay": "1m"})
        client = self.upload()
        wait_until(lambda: self.process.admin_json("/connections")["in_flight"] == 1, "it began")
        client.reset()
        wait_until(lambda: self.process.admin_json("/connections")["in_flight"] == 0,
                   "it is over", 8)
        self.assertEqual([], self.app.requests)


if __name__ == "__main__":
    main()
