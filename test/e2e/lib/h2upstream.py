"""The base of tests with HTTP/2 towards the upstream."""

from .case import SluiceTest
from .h2origin import H2Origin
from .h2watch import Watched

HTTP2 = {"protocol": "http2"}


class UpstreamTest(SluiceTest):
    def serve(self, max_streams=None, cluster=None, **config):
        """One worker, so that one connection will do; a client of each protocol."""
        self.app = H2Origin(max_streams)
        self.addCleanup(lambda: self.assertEqual([], self.app.errors, "raised in the origin"))
        self.addCleanup(self.app.close)
        self.process = self.sluice(self.app, cluster=HTTP2 | (cluster or {}),
                                   **{"workers": 1} | config)
        self.client = self.connect(self.process)
        self.h2 = self.open()

    def open(self):
        connection = Watched(self.process.address())
        self.addCleanup(connection.close)
        return connection
