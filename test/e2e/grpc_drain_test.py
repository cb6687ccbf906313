#!/usr/bin/env python3
"""The drain as gRPC clients see it: grpcio on both sides of the real binary."""

import threading

from lib import BOUND, main, wait_until
from lib.grpc_case import GrpcTest
from lib.grpc_origin import grpc


# What grpcio says of a call of which no byte was sent: it found nobody to connect to, or was taken
# back because a GOAWAY had come. Without retries, as here, the caller is told.
NEVER_LEFT = ("failed to connect to all addresses", "GOAWAY received")


class Drain(GrpcTest):
    def test_no_call_fails(self):
        self.proxy()
        clients, failed, done = [self.calls() for _ in range(4)], [], []

        def load(client):
            while True:
                try:
                    client.unary("Slow", b"x")
                    done.append(1)
                except grpc.RpcError as error:
                    failed.append(error.details())
                    return

        threads = [threading.Thread(target=load, args=(client,), daemon=True)
                   for client in clients for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(done) > 100, "load")
        self.process.drain()
        code = self.process.wait_exit()
        for thread in threads:
            thread.join(BOUND)
            self.assertFalse(thread.is_alive(), "a call that still waits")
        lost = [error for error in failed if not any(words in error for words in NEVER_LEFT)]
        self.assertEqual(([], 0), (lost, code))
        # Nothing that did leave is hidden among them: each call that the server saw was answered.
        self.assertEqual(len(done), self.server.told("begun", method="Slow"))
        report = self.process.report()
        self.assertEqual({}, {key: value for key, value in report["cut"].items() if value})

    def test_a_straggler_is_told(self):
        self.proxy(drain={"deadline": "500ms"})
        client = self.calls()
        stream = client.count(count=2, hold=True, timeout=None)
        self.assertEqual([b"0 ", b"1 "], [next(stream), next(stream)])
        unary = client.unary_future("Hang", timeout=None)
        self.server.wait_for("begun", method="Hang")
        self.process.drain()
        for call in (lambda: next(stream), unary.result):
            error = self.assert_fails(grpc.StatusCode.UNAVAILABLE, call)
            self.assertEqual("draining", error.details())
        self.assertEqual(3, self.process.wait_exit())
        report = self.process.report()
        self.assertEqual(["grpc", "grpc"], [one["protocol"] for one in report["stragglers"]])
        self.server.wait_for("over", method="Hang", cancelled=True)
        self.server.wait_for("over", method="Count", cancelled=True)
        for path in ("Hang", "Count"):
            self.logged(path=f"/test.Test/{path}", end="cut", grpc_status=14,
                        detail="drain_deadline")


    def test_streams_that_a_route_ends_early(self):
        route = {"match": {"prefix": "/"}, "cluster": "app", "on_drain": "end_early"}
        self.proxy({"routes": [route]}, drain={"deadline": "20s", "spread": "100ms"})
        streams = [self.calls().count(count=2, hold=True, timeout=None) for _ in range(5)]
        for stream in streams:
            self.assertEqual([b"0 ", b"1 "], [next(stream), next(stream)])
        self.process.drain()
        for stream in streams:
            error = self.assert_fails(grpc.StatusCode.UNAVAILABLE, lambda one=stream: next(one))
            self.assertEqual("draining", error.details())
        self.assertEqual(0, self.process.wait_exit(), "nothing was cut")
        report = self.process.report()
        self.assertEqual({"told": 5, "left": 0, "lost": 0}, report["long_lived"])
        self.assertEqual(0, report["cut"]["total"])
        for _ in streams:
            self.server.wait_for("over", method="Count", cancelled=True)


class DrainOverTls(Drain):
    TLS = True


if __name__ == "__main__":
    main()
