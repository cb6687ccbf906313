"""The base of tests of retries: origins that answer in turn, and what all have to agree on."""

import itertools
import socket

from .case import SluiceTest

# Seconds: far below the waits that must not be made, and far above the time that an answer takes.
SOON = 10


def unavailable(exchange):
    exchange.reply(503, b"busy")


class Refusing:
    """An endpoint where nobody listens, and nobody else will."""

    def __init__(self):
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self):
        self._socket.close()


class RetryTest(SluiceTest):
    def script(self, origins, scripts):
        """The n-th request for /x that reaches any of them is answered by the n-th script, and
        those behind by the last."""
        number = itertools.count()
        for origin in origins:
            origin.on("/x", lambda x: scripts[min(next(number), len(scripts) - 1)](x))
        self.origins = origins

    def serve(self, count, *scripts, retries=None, route=None, cluster=None, others=(), workers=1):
        """So many origins, and `others` before them, which are not asked what they saw."""
        self.script([self.origin() for _ in range(count)], scripts)
        self.route(*others, *self.origins, retries=retries, route=route, cluster=cluster,
                   workers=workers)

    def route(self, *origins, retries=None, route=None, **more):
        """A process with one route and a log of its own."""
        (self.directory / "access.log").unlink(missing_ok=True)
        self.process = self.sluice(*origins, listener={"routes": [
            {"cluster": "app", "retries": retries or {}, **(route or {})}]}, **more)

    def refusing(self):
        endpoint = Refusing()
        self.addCleanup(endpoint.close)
        return endpoint

    def ask(self, method="GET", target="/x", body=None, fields=()):
        with self.process.connect() as client:
            return client.ask(method, target, fields, body)

    def seen(self):
        return [len(origin.seen("/x")) for origin in self.origins]

    def bodies(self):
        """Of the requests that arrived whole."""
        return [x.body for origin in self.origins for x in origin.seen("/x") if x.body]

    def retries(self, **labels):
        return self.process.metric("sluice_upstream_retries_total", **labels)

    def assert_told(self, status, attempts, reason, detail=None):
        """One request, and this is what the log, the metrics and the origins say of it."""
        line, = self.log_lines(1)
        self.assertEqual((status, attempts, detail),
                         (line["status"], line["attempts"], line.get("detail")))
        self.assertEqual(attempts, sum(self.seen()))
        self.assertEqual(attempts, self.process.metric("sluice_upstream_requests_total"))
        self.assertEqual(attempts - 1, self.retries())
        self.assertEqual(attempts - 1, self.retries(reason=reason))
