#!/usr/bin/env python3
"""How TLS connections end, and TLS towards upstreams."""

import socket
import ssl
import threading

from lib import BOUND, Broken, main
from lib.certs import Authority
from lib.tls_case import TlsTest


class EndTest(TlsTest):
    def test_an_idle_connection_is_ended_with_close_notify(self):
        process = self.serve()
        with self.open(process) as client:
            client.ask()
            process.signal()
            # A connection that ended without it would raise SSLEOFError.
            self.assertEqual(b"", client.read_to_end())
        self.assertEqual(0, process.wait_exit())

    def test_a_response_under_way_ends_whole_and_with_close_notify(self):
        process = self.serve()
        hold = self.app.hold("/slow")
        with self.open(process) as client:
            client.request(target="/slow")
            hold.wait_arrived()
            process.signal()
            process.wait_for_phase("draining")
            hold.release()
            answer = client.read_response()
            self.assertEqual((200, b"ok", True), (answer.status, answer.body, answer.closes))
            self.assertEqual(b"", client.read_to_end())
        self.assertEqual(0, process.wait_exit())

    def test_s_client_sees_a_clean_close(self):
        process = self.serve()
        request = b"GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n"
        said = self.s_client(process, "-ign_eof", "-msg", data=request)
        self.assertRegex(said, r"<<< TLS 1\.3, Alert \[length 0002\], warning close_notify")
        self.assertNotIn("unexpected eof", said)

    def test_a_body_without_a_length_ends_with_close_notify(self):
        self.app.on("/old", lambda x: (x.read_body(), x.send("HTTP/1.1 200 OK\r\n\r\nall"),
                                       x.close()))
        process = self.serve()
        with self.open(process) as client:
            client.request(target="/old", version="1.0")
            self.assertEqual(b"all", client.read_response().body)

    def test_a_body_that_broke_off_does_not(self):
        self.app.on("/cut", lambda x: (x.read_body(), x.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n"), x.close()))
        process = self.serve()
        with self.open(process) as client:
            client.request(target="/cut", version="1.0")
            with self.assertRaises((ssl.SSLError, Broken, ConnectionError)):
                client.read_response()


class UpstreamTest(TlsTest):
    """A process with a TLS cluster in front of one with a TLS listener."""

    def front(self, back, cluster=None, **tls):
        tls = {"server_name": "edge.test", "ca": str(self.ca.cert)} | tls
        config = self.config(listener={}, cluster={"endpoints": [back.address()], "tls": tls}
                             | (cluster or {}))
        return self.start(config)

    def ask(self, process, target="/"):
        with self.connect(process) as client:
            return client.ask(target=target)

    def failures(self, process, reason):
        return process.metric("sluice_upstream_tls_handshake_failures_total", reason=reason)

    def test_the_endpoint_is_verified(self):
        back = self.serve()
        front = self.front(back)
        answer = self.ask(front)
        self.assertEqual((200, b"ok"), (answer.status, answer.body))
        wrong_name = self.front(back, server_name="other.test")
        self.assertEqual(503, self.ask(wrong_name).status)
        self.assertEqual(3, self.failures(wrong_name, "bad_certificate"), "with two retries")
        stranger = Authority(self.directory, "stranger")
        wrong_ca = self.front(back, ca=str(stranger.cert))
        self.assertEqual(503, self.ask(wrong_ca).status)
        self.assertEqual(3, self.failures(wrong_ca, "unknown_ca"))
        unverified = self.config(cluster={"endpoints": [back.address()], "tls": {"verify": False}})
        self.assertEqual(200, self.ask(self.start(unverified)).status)

    def test_an_endpoint_may_ask_for_our_certificate(self):
        back = self.serve(self.tls(client_auth="required", ca=str(self.ca.cert)),
                          {"forward_client_cert": "replace"})
        self.assertEqual(502, self.ask(self.front(back)).status)
        us = self.ca.issue("us")
        front = self.front(back, cert=str(us.cert), key=str(us.key))
        self.assertEqual(200, self.ask(front).status)
        self.assertIn('Subject="CN=us"', self.app.last().get("x-forwarded-client-cert"))

    def test_sessions_are_resumed(self):
        front = self.front(self.serve(), {"max_requests_per_connection": 1})
        with self.connect(front) as client:  # one worker
            for _ in range(4):
                self.assertEqual(200, client.ask().status)
        self.assertEqual((1, 3), tuple(front.metric("sluice_upstream_tls_handshakes_total",
                                                    resumed=word) for word in ("no", "yes")))

    def origin_over_tls(self, end):
        """One connection: answers with a body that ends with it, then does `end`."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.edge.cert, self.edge.key)

        def serve():
            accepted, _ = listening.accept()
            accepted.settimeout(BOUND)
            with context.wrap_socket(accepted, server_side=True) as secure:
                secure.recv(65536)
                secure.sendall(b"HTTP/1.1 200 OK\r\n\r\nsome of it")
                end(secure)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        self.addCleanup(serving.join, BOUND)
        return f"127.0.0.1:{listening.getsockname()[1]}"

    def test_a_body_that_ends_without_close_notify_is_broken_off(self):
        def orderly(secure):
            secure.unwrap()

        def cut(secure):
            secure.shutdown(socket.SHUT_WR)  # a FIN, and nothing before it

        for end, whole in ((orderly, True), (cut, False)):
            address = self.origin_over_tls(end)
            config = self.config(cluster={"endpoints": [address], "tls": {
                "server_name": "edge.test", "ca": str(self.ca.cert)}})
            process = self.start(config)
            with self.connect(process) as client:
                client.request()
                if whole:
                    self.assertEqual(b"some of it", client.read_response().body)
                else:
                    with self.assertRaises(Broken):
                        client.read_response()


if __name__ == "__main__":
    main()
