#!/usr/bin/env python3
"""Upgrade and CONNECT: a connection that becomes a tunnel, and ends one half at a time."""

from lib import Broken, SluiceTest, main, wait_until


class TunnelTest(SluiceTest):
    OFFER = {"Connection": "Upgrade", "Upgrade": "echo"}

    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.app.on("/tunnel", self.echo)
        self.process = self.sluice(self.app)
        self.client = self.connect(self.process)
        self.after_half_close = b"bye"

    def echo(self, x):
        x.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while True:
            try:
                x.send(x.connection.read_some())
            except Broken:
                break
        x.send(self.after_half_close)
        x.close()

    def upgrade(self):
        answer = self.client.ask("GET", "/tunnel", self.OFFER)
        self.assertEqual((101, "echo"), (answer.status, answer.get("upgrade")))
        self.assertEqual("upgrade", answer.get("connection").lower())
        self.assertIsNone(answer.get("content-length"))
        self.assertIsNone(answer.get("transfer-encoding"))

    def test_both_directions_and_a_half_close(self):
        self.upgrade()
        for _ in range(3):
            anything = b"\0\r\n\r\nGET / HTTP/1.1\r\n\r\n\xff"
            self.client.send(anything)
            self.assertEqual(anything, self.client.read_exactly(len(anything)))
        self.client.half_close()
        self.assertEqual(b"bye", self.client.read_to_end(), "what was sent after our FIN")

    def test_bytes_sent_ahead_belong_to_the_tunnel(self):
        self.client.send("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                         "Upgrade: echo\r\n\r\nahead")
        self.assertEqual(101, self.client.read_head().status)
        self.assertEqual(b"ahead", self.client.read_exactly(5))

    def test_the_origin_ends_first(self):
        def greet(x):
            x.send("HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello")
            x.connection.half_close()
            self.app.heard = x.wait_for_end()
        self.app.on("/tunnel", greet)
        self.upgrade()
        self.assertEqual(b"hello", self.client.read_to_end())
        self.client.send("still going")
        self.client.half_close()
        wait_until(lambda: getattr(self.app, "heard", None), "the other direction has ended")
        self.assertEqual(b"still going", self.app.heard)

    def test_a_large_transfer(self):
        self.upgrade()
        block = bytes(range(256)) * 256
        for _ in range(32):
            self.client.send(block)
            self.assertEqual(block, self.client.read_exactly(len(block)))

    def test_it_is_counted_as_a_tunnel_while_it_lasts(self):
        self.upgrade()
        self.assertEqual({"tunnel": 1},
                         self.process.admin_json("/drain")["in_flight"]["by_protocol"])
        self.client.half_close()
        self.client.read_to_end()
        wait_until(lambda: self.process.admin_json("/drain")["in_flight"]["total"] == 0,
                   "nothing is in flight")

    def test_an_upgrade_that_the_origin_ignores(self):
        answer = self.client.ask("GET", "/plain", self.OFFER)
        self.assertEqual((200, b"ok"), (answer.status, answer.body))
        self.assertEqual("echo", self.app.last().get("upgrade"))
        self.assertEqual(200, self.client.ask().status, "the connection goes on")

    def test_no_upgrade_without_the_connection_option_or_for_http_1_0(self):
        self.client.ask("GET", "/plain", {"Upgrade": "echo"})
        self.assertIsNone(self.app.last().get("upgrade"))
        self.client.ask("GET", "/plain", self.OFFER, version="1.0")
        self.assertIsNone(self.app.last().get("upgrade"))

    def test_a_switch_that_nobody_asked_for(self):
        self.assertEqual(502, self.client.ask("GET", "/tunnel").status)

    def test_connect_is_refused(self):
        self.client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        answer = self.client.read_response()
        self.assertEqual(405, answer.status)
        self.assertIn("GET", answer.get("allow"))
        self.assertEqual("fin", self.client.ended())
        self.assertEqual([], self.app.requests)

    def test_connect_where_it_is_allowed(self):
        def accept(x):
            x.send("HTTP/1.1 200 Connected\r\n\r\n")
            x.send(x.connection.read_some())
            x.close()
        self.app.on("example.com:443", accept)
        process = self.sluice(self.app, listener={"allow_connect": True})
        client = self.connect(process)
        client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        self.assertEqual(200, client.read_head().status)
        client.send("through")
        self.assertEqual(b"through", client.read_exactly(7))


if __name__ == "__main__":
    main()
