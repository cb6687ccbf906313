#!/usr/bin/env python3
"""Calls of gRPC that fail before anything came of them, and are made once more: with real clients
and a real server."""

from concurrent import futures

from lib import main
from lib.grpc_case import Conversation
from lib.grpc_origin import Calls, grpc
from lib.retry_case import RetryTest

_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class Service(grpc.GenericRpcHandler):
    """Ends its calls with these, one after the other, and then with what it was sent."""

    def __init__(self, *codes):
        self.codes = list(codes)
        self.begins = False  # with a message, before it fails
        self.calls = 0

    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(self._answer)

    def _answer(self, requests, context):
        self.calls += 1
        if self.codes:
            if self.begins:
                yield b"first"
            context.abort(self.codes.pop(0), f"call {self.calls}")
        yield from requests


class GrpcTest(RetryTest):
    def serve_grpc(self, *codes, **retries):
        self.service = Service(*codes)
        server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(self.service,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(lambda: server.stop(0).wait())
        self.route(cluster={"endpoints": [f"127.0.0.1:{port}"], "protocol": "http2"}, retries={
            "grpc_statuses": ["unavailable"], "attempts": 2, **retries})
        calls = Calls.to(self.process.address())
        self.addCleanup(calls.close)
        return calls

    def assert_called(self, times, status):
        """One call, and this is what everybody says of it."""
        line, = self.log_lines(1)
        self.assertEqual((times, times, status),
                         (self.service.calls, line["attempts"], int(line["grpc_status"])))
        self.assertEqual(times, self.process.metric("sluice_upstream_requests_total"))
        self.assertEqual(times - 1, self.retries())
        self.assertEqual(times - 1, self.retries(reason="grpc_status"))

    def assert_fails(self, code, details, call):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual((code, details), (caught.exception.code(), caught.exception.details()))

    def test_one_that_is_listed(self):
        calls = self.serve_grpc(_UNAVAILABLE)
        self.assertEqual(b"pay", calls.unary("Any", b"pay")[0])
        self.assert_called(2, 0)

    def test_the_last_one_reaches_the_client(self):
        calls = self.serve_grpc(*[_UNAVAILABLE] * 9)
        self.assert_fails(_UNAVAILABLE, "call 3", lambda: calls.unary("Any", b"pay"))
        self.assert_called(3, 14)

    def test_one_that_is_not_listed(self):
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
        calls = self.serve_grpc(code)
        self.assert_fails(code, "call 1", lambda: calls.unary("Any", b"pay"))
        self.assert_called(1, 8)

    def test_nothing_is_listed(self):
        calls = self.serve_grpc(_UNAVAILABLE, grpc_statuses=[])
        self.assert_fails(_UNAVAILABLE, "call 1", lambda: calls.unary("Any", b"pay"))
        self.assert_called(1, 14)

    def test_a_stream_whose_requests_go_on(self):
        calls = self.serve_grpc(_UNAVAILABLE)
        conversation = Conversation()
        self.addCleanup(conversation.end)
        conversation.say(b"before")
        answers = calls.chat(iter(conversation))
        self.assertEqual(b"before", next(answers))
        conversation.say(b"behind")
        conversation.end()
        self.assertEqual([b"behind"], list(answers))
        self.assert_called(2, 0)

    def test_not_when_its_response_has_begun(self):
        calls = self.serve_grpc(_UNAVAILABLE)
        self.service.begins = True
        self.assert_fails(_UNAVAILABLE, "call 1", lambda: list(calls.chat(iter([b"pay"]))))
        self.assert_called(1, 14)


if __name__ == "__main__":
    main()
