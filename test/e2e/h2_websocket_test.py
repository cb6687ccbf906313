#!/usr/bin/env python3
"""WebSockets over HTTP/2 (RFC 8441) to an origin that knows HTTP/1.1 only, frame by frame."""

import os
import struct

from lib import SluiceTest, main, wait_until
from lib.h2frames import Code, Setting, data, headers, request, rst_stream
from lib.h2wire import H2Connection
from lib.websocket_origin import WebSocketOrigin

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def masked(opcode, payload, fin=True):
    """A frame of a client (RFC 6455 5.2)."""
    size = len(payload)
    if size < 126:
        length = struct.pack(">B", 0x80 | size)
    elif size < 65536:
        length = struct.pack(">BH", 0x80 | 126, size)
    else:
        length = struct.pack(">BQ", 0x80 | 127, size)
    key = os.urandom(4)
    stream = key * (size // 4 + 1)
    body = (int.from_bytes(payload, "big") ^ int.from_bytes(stream[:size], "big")).to_bytes(size, "big")
    return bytes([0x80 * fin | opcode]) + length + key + body


def frames(received):
    """(opcode, payload) of each whole frame of a server."""
    while len(received) >= 2:
        opcode, size, at = received[0] & 15, received[1], 2
        if size == 126:
            (size,), at = struct.unpack(">H", received[2:4]), 4
        elif size == 127:
            (size,), at = struct.unpack(">Q", received[2:10]), 10
        if len(received) < at + size:
            return
        yield opcode, bytes(received[at:at + size])
        received = received[at + size:]


class WebSocketTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = WebSocketOrigin()
        self.addCleanup(self.app.close)
        self.process = self.sluice(self.app)
        self.h2 = H2Connection(self.process.address())
        self.addCleanup(self.h2.close)

    def ask(self, stream, path="/chat", more=()):
        fields = request(path, "CONNECT", [("sec-websocket-version", "13"), *more])
        self.h2.open(stream, headers(stream, [fields[0], (":protocol", "websocket"), *fields[1:]],
                                     end=False))

    def open(self, stream, **more):
        self.ask(stream, **more)
        answer = self.h2.expect_head(stream)
        self.assertEqual(200, answer.status)
        return answer

    def say(self, stream, frame):
        """In pieces that no DATA frame is too small for; the windows of this side never close
        since what comes back is as much."""
        for at in range(0, len(frame), 16384):
            self.h2.send(data(stream, frame[at:at + 16384]))

    def hear(self, answer, count):
        self.h2.pump_until(lambda: len(list(frames(answer.body))) >= count, f"{count} frames")
        return list(frames(answer.body))

    def test_it_is_announced(self):
        self.assertEqual(1, self.h2.settings[Setting.ENABLE_CONNECT_PROTOCOL])

    def test_messages_come_back(self):
        answer = self.open(1, more=[("sec-websocket-protocol", "echo"), ("origin", "http://a")])
        self.assertEqual("echo", answer.get("sec-websocket-protocol"))
        for name in ("sec-websocket-accept", "upgrade", "connection", "content-length"):
            self.assertIsNone(answer.get(name), name)
        path, fields = self.app.requests[0]
        self.assertEqual(("/chat", "websocket", "a.example", "http://a", "13"),
                         (path, fields["Upgrade"], fields["Host"], fields["Origin"],
                          fields["Sec-WebSocket-Version"]))
        large = os.urandom(20_000)
        self.say(1, masked(TEXT, b"hello"))
        self.assertEqual([(TEXT, b"hello")], self.hear(answer, 1))
        self.say(1, masked(TEXT, b"wor", fin=False) + masked(PING, b"?") + masked(0, b"ld"))
        self.assertEqual([(PONG, b"?"), (TEXT, b"world")], self.hear(answer, 3)[1:])
        self.say(1, masked(BINARY, large))
        self.assertEqual((BINARY, large), self.hear(answer, 4)[3])
        self.say(1, masked(CLOSE, struct.pack(">H", 1000)))
        self.assertEqual((CLOSE, struct.pack(">H", 1000)), self.hear(answer, 5)[-1])
        self.h2.pump_until(lambda: answer.ended, "the end of the stream")
        self.h2.send(data(1, b"", end=True))
        wait_until(lambda: self.app.closes == [1000], "the origin has seen the Close")
        wait_until(lambda: self.process.admin_json("/drain")["in_flight"]["total"] == 0,
                   "nothing is in flight")

    def test_many_on_one_connection(self):
        answers = {stream: self.open(stream) for stream in range(1, 40, 2)}
        for stream in answers:
            self.say(stream, masked(TEXT, b"%d" % stream))
        for stream, answer in answers.items():
            self.assertEqual([(TEXT, b"%d" % stream)], self.hear(answer, 1))
        self.h2.send(rst_stream(1, Code.CANCEL))
        wait_until(lambda: self.app.closes == [1006], "its origin's connection has ended")
        self.say(3, masked(TEXT, b"and on"))
        self.assertEqual((TEXT, b"and on"), self.hear(answers[3], 2)[1])

    def test_a_refusal(self):
        self.ask(1, path="/forbidden")
        self.h2.send(data(1, masked(TEXT, b"too early")))
        answer = self.h2.expect_response(1, 403, b"not for you\n")
        self.assertIsNone(answer.get("upgrade"))
        self.open(3)

    def test_what_was_said_before_the_answer(self):
        self.ask(1)
        self.say(1, masked(TEXT, b"early"))
        answer = self.h2.expect_head(1)
        self.assertEqual([(TEXT, b"early")], self.hear(answer, 1))

    def test_another_protocol(self):
        fields = request("/udp", "CONNECT")
        self.h2.open(1, headers(1, [(":protocol", "connect-udp"), *fields], end=False))
        self.h2.expect_response(1, 501)
        self.open(3)


if __name__ == "__main__":
    main()
