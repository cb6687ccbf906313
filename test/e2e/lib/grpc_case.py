"""The base of tests of gRPC: a real server (grpc_service.py), Sluice, real clients."""

import json
import queue

from .case import SluiceTest
from .grpc_origin import Calls, GrpcOrigin, grpc
from .tools import run
from .wait import BOUND, wait_until


class Conversation:
    """The requests of a bidirectional stream, sent one at a time."""

    def __init__(self):
        self._requests = queue.Queue()

    def say(self, message):
        self._requests.put(message)

    def end(self):
        self._requests.put(None)

    def __iter__(self):
        while (message := self._requests.get(timeout=5 * BOUND)) is not None:
            yield message


class GrpcTest(SluiceTest):
    TLS = False  # on both sides; else by prior knowledge

    def setUp(self):
        super().setUp()
        self.cert, self.key = self.directory / "cert.pem", self.directory / "key.pem"
        if self.TLS:
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", self.key, "-out", self.cert, "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.server = GrpcOrigin(*([self.cert, self.key] if self.TLS else []))
        self.addCleanup(self.server.close)

    def proxy(self, listener=None, **more):
        """In front of the server."""
        listener, cluster = dict(listener or {}), {"protocol": "http2"}
        if self.TLS:
            pair = {"cert": str(self.cert), "key": str(self.key)}
            listener["tls"] = {"certificates": [pair]}
            cluster["tls"] = {"ca": str(self.cert), "server_name": "localhost"}
        self.process = self.sluice(self.server, listener=listener, cluster=cluster, **more)
        return self.process

    def calls(self):
        credentials = grpc.ssl_channel_credentials(self.cert.read_bytes()) if self.TLS else None
        calls = Calls.to(self.process.address(), credentials)
        self.addCleanup(calls.close)
        return calls

    def assert_fails(self, code, call):
        """Returns the error, which is of this code."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(code, caught.exception.code(), caught.exception)
        return caught.exception

    def logged(self, **fields):
        """Waits for a line of the access log with these values."""
        log = self.directory / "access.log"

        def find():
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
            for line in map(json.loads, lines):
                if fields.items() <= line.items():
                    return line
            return None
        return wait_until(find, lambda: f"{fields} in {log.read_text(encoding='utf-8')}")
