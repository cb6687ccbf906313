"""The base of tests of TLS: a CA, an edge certificate, and clients that are strict."""

import json
import re
import ssl
import subprocess

from .case import SluiceTest
from .certs import Authority
from .wait import BOUND


class TlsTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.directory)
        self.edge = self.ca.issue("edge")
        self.app = self.origin()

    def tls(self, *pairs, **more):
        return {"certificates": [pair.config() for pair in pairs or (self.edge,)]} | more

    def serve(self, tls=None, listener=None, **more):
        listener = {"tls": tls or self.tls()} | (listener or {})
        return self.sluice(self.app, listener=listener, **more)

    def context(self, pair=None, **more):
        """A client that takes an end without close_notify for an error."""
        context = ssl.create_default_context(cafile=self.ca.cert)
        context.set_alpn_protocols(["http/1.1"])
        if pair:
            context.load_cert_chain(pair.cert, pair.key)
        for name, value in more.items():
            setattr(context, name, value)
        return context

    def open(self, process, name="edge.test", context=None):
        client = self.connect(process)
        client.socket = (context or self.context()).wrap_socket(
            client.socket, server_hostname=name, suppress_ragged_eofs=False)
        client.host = name
        return client

    def s_client(self, process, *arguments, data=b""):
        """What openssl says about a connection that it makes and ends."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", process.address(), "-CAfile", self.ca.cert,
             *map(str, arguments)], input=data, capture_output=True, timeout=BOUND, check=False)
        return (done.stdout + done.stderr).decode("latin-1")

    def subject(self, process, name):
        return re.search(r"^subject=CN = (\S+)", self.s_client(process, "-servername", name),
                         re.MULTILINE)[1]

    def logged(self):
        return [json.loads(line) for line in
                (self.directory / "access.log").read_text(encoding="utf-8").splitlines()]
