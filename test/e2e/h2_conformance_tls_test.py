#!/usr/bin/env python3
"""HTTP/2 over TLS on raw frames: RFC 9113 3.2, RFC 7301, and the cases about frames and flow control
once more, now that frames meet TLS records. A connection must end with close_notify."""

import pathlib
import ssl
import subprocess
import tempfile

import h2_conformance_flow_test
import h2_conformance_frames_test

from lib import main
from lib.h2cases import Cases, ConformanceTest
from lib.h2frames import PREFACE, data, headers, post, request, settings

_DIRECTORY = tempfile.TemporaryDirectory(prefix="sluice-e2e-")
CERT, KEY = (pathlib.Path(_DIRECTORY.name) / name for name in ("cert.pem", "key.pem"))


def setUpModule():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", KEY, "-out", CERT,
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)


def tearDownModule():
    _DIRECTORY.cleanup()


class Strict(ssl.SSLContext):
    """To it a connection that ends without close_notify is cut: RFC 8446 6.1."""

    def wrap_socket(self, sock, **more):
        return super().wrap_socket(sock, suppress_ragged_eofs=False, **more)


def client_context(protocols=("h2",), version=None):
    context = Strict(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERT)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if version:
        context.maximum_version = version
    return context


case = Cases()


@case("RFC 9113 3.2")
def alpn_names_http2(h2):
    assert h2.socket.selected_alpn_protocol() == "h2"
    h2.get(1)


@case("RFC 9113 3.2", protocols=("h2", "http/1.1"))
def alpn_prefers_http2(h2):
    assert h2.socket.selected_alpn_protocol() == "h2"
    h2.get(1)


@case("RFC 9113 3.2", protocols=("http/1.1", "h2"))
def alpn_has_the_order_of_the_server(h2):
    assert h2.socket.selected_alpn_protocol() == "h2"
    h2.get(1)


@case("RFC 9113 9.2", version=ssl.TLSVersion.TLSv1_2)
def tls_1_2(h2):
    assert h2.socket.version() == "TLSv1.2" and not h2.socket.compression()
    h2.get(1)


@case("RFC 9113 3.4", begin=False)
def http_1_where_http_2_was_agreed(h2, app):
    h2.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    h2.read_to_end_of_anything()
    assert not app.requests


@case("RFC 7301 3.2", begin=False, protocols=("http/1.1",))
def http_2_where_http_1_was_agreed(h2, app):
    assert h2.socket.selected_alpn_protocol() == "http/1.1"
    h2.send(PREFACE + settings() + headers(1, request()))
    h2.read_to_end_of_anything()
    assert not app.requests and bytes(h2.buffer[:9]) == b"HTTP/1.1 ", h2.buffer


@case("RFC 9113 3.2")
def a_byte_in_a_record(h2, app):
    sent = headers(1, post(), end=False) + data(1, b"abc", end=True)
    h2.open(1, sent[:1])
    for byte in sent[1:]:
        h2.send(bytes([byte]))
    h2.expect_response(1)
    assert app.last().body == b"abc"


@case("RFC 9113 3.2")
def many_frames_in_a_record(h2):
    for stream in range(1, 101, 2):
        h2.open(stream, b"")
    h2.send(b"".join(headers(stream, request()) for stream in range(1, 101, 2)))
    for stream in range(1, 101, 2):
        h2.expect_response(stream)


class TlsTest(ConformanceTest):
    cases = case

    def listener(self):
        return {"tls": {"certificates": [{"cert": str(CERT), "key": str(KEY)}]}}

    def connection(self, protocols=("h2",), version=None, **more):
        return super().connection(tls=client_context(protocols, version), **more)


class FramesOverTlsTest(TlsTest):
    cases = h2_conformance_frames_test.case


class FlowControlOverTlsTest(TlsTest):
    cases = h2_conformance_flow_test.case


if __name__ == "__main__":
    main()
