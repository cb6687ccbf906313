#!/usr/bin/env python3
"""gRPC by a real client and a real server (grpcio), Sluice between them: every kind of call,
deadlines and cancellation, and what a client is told when something breaks."""

import json
import struct
import threading

from lib import BOUND, SluiceTest, main, patience
from lib.grpc_case import Conversation, GrpcTest
from lib.grpc_origin import Calls, grpc

LARGE = 5 * 1024 * 1024


def fields_of(metadata):
    return [(key, value) for key, value in metadata]


class Kinds(GrpcTest):
    """Every kind of call, by prior knowledge."""

    def setUp(self):
        super().setUp()
        self.proxy()
        self.client = self.calls()

    def test_unary(self):
        response, call = self.client.unary("Echo", b"hello")
        self.assertEqual(b"hello", response)
        self.assertEqual(grpc.StatusCode.OK, call.code())
        line = self.logged(path="/test.Test/Echo")
        self.assertEqual((200, 0, "grpc", "HTTP/2", "complete"),
                         (line["status"], line["grpc_status"], line["kind"], line["protocol"],
                          line["end"]))

    def test_an_empty_message(self):
        self.assertEqual(b"", self.client.unary("Echo", b"")[0])

    def test_client_stream(self):
        self.assertEqual(b"60", self.client.collect(iter([b"x" * 10, b"y" * 20, b"z" * 30])))
        self.assertEqual(b"0", self.client.collect(iter([])))

    def test_server_stream(self):
        self.assertEqual([b"0 ", b"1 ", b"2 "], list(self.client.count(count=3)))
        self.assertEqual([], list(self.client.count(count=0)))

    def test_bidirectional_stream_message_by_message(self):
        conversation = Conversation()
        answers = self.client.chat(iter(conversation))
        for number in range(20):
            message = f"message {number}".encode()
            conversation.say(message)
            self.assertEqual(message, next(answers))
        conversation.end()
        self.assertEqual([], list(answers))

    def test_many_calls_at_a_time_share_connections(self):
        calls = [self.client.unary_future("Echo", str(number).encode()) for number in range(500)]
        for number, call in enumerate(calls):
            self.assertEqual(str(number).encode(), call.result())
        self.assertEqual(500.0, self.process.metric("sluice_requests_total"))

    def test_metadata_both_ways(self):
        sent = (("x-text", "value, with \"signs\""), ("x-data-bin", bytes(range(256))),
                ("x-twice", "one"), ("x-twice", "two"))
        _, call = self.client.unary("Echo", metadata=sent)
        trailing = fields_of(call.trailing_metadata())
        for field in sent:
            self.assertIn(field, trailing)
        received = json.loads(self.client.unary("Metadata", metadata=sent)[0])
        self.assertIn(["x-data-bin", bytes(range(256)).hex()], received)
        self.assertIn("x-request-id", [key for key, _ in received])

    def test_large_messages(self):
        message = bytes(range(256)) * (LARGE // 256)
        self.assertEqual(message, self.client.unary("Echo", message)[0])
        self.assertEqual([LARGE] * 3,
                         [len(one) for one in self.client.count(count=3, bytes=LARGE)])
        self.assertEqual(str(3 * LARGE).encode(), self.client.collect(iter([message] * 3)))

    def test_a_slow_reader_does_not_stop_other_calls(self):
        stuck = self.client.count(count=8, bytes=LARGE)
        next(stuck)
        for number in range(50):
            self.assertEqual(b"x", self.client.unary("Echo", b"x")[0], number)
        self.assertEqual(7, len(list(stuck)))

    def test_errors_of_the_server(self):
        for code, details in ((5, "no such thing"), (13, "gr\u00fc\u00df dich, 100%"), (16, "")):
            request = json.dumps({"code": code, "details": details}).encode()
            with self.assertRaises(grpc.RpcError) as caught:
                self.client.unary("Fail", request)
            self.assertEqual((code, details),
                             (caught.exception.code().value[0], caught.exception.details()))
            self.logged(path="/test.Test/Fail", grpc_status=code)

    def test_a_method_that_does_not_exist(self):
        # The server answers with its status in the head: trailers-only.
        error = self.assert_fails(grpc.StatusCode.UNIMPLEMENTED,
                                  lambda: self.client.unary("Nothing"))
        self.assertIn("Method not found", error.details())
        self.logged(path="/test.Test/Nothing", grpc_status=12)


class KindsOverTls(Kinds):
    """The same by ALPN."""

    TLS = True


class Ends(GrpcTest):
    """Calls that end before they are done."""

    def test_cancellation_reaches_the_server(self):
        self.proxy()
        client = self.calls()
        call = client.unary_future("Hang")
        self.server.wait_for("begun", method="Hang")
        call.cancel()
        self.server.wait_for("over", method="Hang", cancelled=True)
        self.assertEqual(grpc.StatusCode.CANCELLED, call.code())

        stream = client.count(count=2, hold=True)
        self.assertEqual([b"0 ", b"1 "], [next(stream), next(stream)])
        stream.cancel()
        self.server.wait_for("over", method="Count", cancelled=True)
        self.logged(path="/test.Test/Count", end="client_gone")
        self.assertEqual(b"x", client.unary("Echo", b"x")[0], "the connection is of no further use")

    def test_the_deadline_of_the_client(self):
        self.proxy()
        client = self.calls()
        client.unary("Echo")  # so that the next one reaches the server well within its deadline
        call = client.unary_future("Hang", timeout=1.0)
        self.assert_fails(grpc.StatusCode.DEADLINE_EXCEEDED, call.result)
        self.server.wait_for("over", method="Hang", cancelled=True)

    def test_the_route_timeout_is_a_deadline(self):
        self.proxy({"routes": [{"cluster": "app", "timeout": "1s"}]})
        error = self.assert_fails(grpc.StatusCode.DEADLINE_EXCEEDED,
                                  lambda: self.calls().unary("Hang"))
        self.assertIn("the upstream did not answer in time", error.details())
        self.server.wait_for("over", method="Hang", cancelled=True)
        self.logged(path="/test.Test/Hang", detail="route_timeout", grpc_status=4)

    def test_a_stream_may_be_silent_for_longer_than_the_route_timeout(self):
        self.proxy({"routes": [{"cluster": "app", "timeout": "200ms"}]})
        conversation = Conversation()
        client = self.calls()
        answers = client.chat(iter(conversation))
        conversation.say(b"first")
        self.assertEqual(b"first", next(answers))
        # Two calls without an answer, one after the other: twice the route's timeout.
        for _ in range(2):
            self.assert_fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: client.unary("Hang"))
        conversation.say(b"second")
        self.assertEqual(b"second", next(answers))
        conversation.end()
        self.assertEqual([], list(answers))

    def test_no_route_is_unimplemented(self):
        self.proxy({"routes": [{"match": {"prefix": "/other"}, "cluster": "app"}]})
        error = self.assert_fails(grpc.StatusCode.UNIMPLEMENTED,
                                  lambda: self.calls().unary("Echo"))
        self.assertEqual("no route matches", error.details())
        self.logged(path="/test.Test/Echo", detail="no_route", status=200, grpc_status=12)

    def test_no_upstream_is_unavailable(self):
        self.proxy()
        self.server.kill()
        error = self.assert_fails(grpc.StatusCode.UNAVAILABLE, lambda: self.calls().unary("Echo"))
        self.assertEqual("no connection to the upstream", error.details())

    def test_a_body_above_the_limit_is_resource_exhausted(self):
        self.proxy({"limits": {"body_bytes": 1000}})
        client = self.calls()
        self.assertEqual(b"x" * 990, client.unary("Echo", b"x" * 990)[0])
        self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED,
                          lambda: client.unary("Echo", b"x" * 2000))
        self.logged(path="/test.Test/Echo", detail="body_too_large", grpc_status=8)

    def test_an_upstream_killed_in_the_middle_is_unavailable(self):
        self.proxy()
        client = self.calls()
        stream = client.count(count=3, hold=True, timeout=None)
        self.assertEqual([b"0 ", b"1 ", b"2 "], [next(stream) for _ in range(3)])
        unary = client.unary_future("Hang")
        self.server.wait_for("begun", method="Hang")
        self.server.kill()
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, lambda: next(stream))
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, unary.result)
        self.logged(path="/test.Test/Count", grpc_status=14)


class OverHttp1(SluiceTest):
    """A server behind an HTTP/1.1 hop: messages in chunks, the status in trailers."""

    def setUp(self):
        super().setUp()
        self.server = self.origin()
        self.process = self.sluice(self.server)
        self.client = Calls.to(self.process.address())
        self.addCleanup(self.client.close)

    @staticmethod
    def answer(exchange, *messages, end=b"0\r\ngrpc-status: 0\r\n\r\n"):
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n")
        for message in messages:
            exchange.send(b"%x\r\n%b\r\n" % (len(message), message))
        exchange.send(end)

    @staticmethod
    def framed(message):
        return b"\0" + struct.pack(">I", len(message)) + message

    def test_trailers_reach_the_client(self):
        self.server.on("/test.Test/Echo", lambda x: self.answer(x, x.read_body()))
        response, call = self.client.unary("Echo", b"hello", metadata=(("x-a", "b"),))
        self.assertEqual(b"hello", response)
        self.assertEqual(grpc.StatusCode.OK, call.code())
        request = self.server.last()
        self.assertEqual("trailers", request.get("te"))
        self.assertEqual("TE", request.get("connection"))
        self.assertEqual("b", request.get("x-a"))

    def test_a_status_in_trailers(self):
        self.server.on("/test.Test/Echo", lambda x: self.answer(
            x, end=b"0\r\ngrpc-status: 5\r\ngrpc-message: not%20here\r\n\r\n"))
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.unary("Echo", b"hello")
        self.assertEqual((grpc.StatusCode.NOT_FOUND, "not here"),
                         (caught.exception.code(), caught.exception.details()))

    def test_an_upstream_that_breaks_off(self):
        # A reset overtakes what was read in the same moment, so the end waits for the client.
        break_off = threading.Event()

        def between(exchange):
            self.answer(exchange, self.framed(b"one"), end=b"")
            break_off.wait(BOUND)
            exchange.close()

        def within(exchange):
            self.answer(exchange, self.framed(b"one"), self.framed(b"two")[:6], end=b"")
            break_off.wait(BOUND)
            exchange.close()
        for script, code in ((between, grpc.StatusCode.UNAVAILABLE),
                             (within, grpc.StatusCode.INTERNAL)):
            with self.subTest(script.__name__):
                self.server.on("/test.Test/Count", script)
                break_off.clear()
                stream = self.client.count()
                self.assertEqual(b"one", next(stream))
                break_off.set()
                with self.assertRaises(grpc.RpcError) as caught:
                    next(stream)
                self.assertEqual(code, caught.exception.code())

                # A client that waits for one message does not wait for ever.
                self.server.on("/test.Test/Echo", script)
                left = patience(BOUND)
                with self.assertRaises(grpc.RpcError) as caught:
                    self.client.unary("Echo")
                self.assertEqual(code, caught.exception.code())
                self.assertGreater(left(), 0.0)

    def test_something_that_is_not_http(self):
        self.server.on("/test.Test/Echo", lambda x: (x.send(b"HTTP/1.1 what\r\n\r\n"), x.close()))
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.unary("Echo")
        self.assertEqual(grpc.StatusCode.INTERNAL, caught.exception.code())


if __name__ == "__main__":
    main()
