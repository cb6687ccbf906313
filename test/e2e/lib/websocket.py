"""WebSockets on raw connections: a session of a client, and an origin's answer."""

import base64
import hashlib
import os

from .wire import Broken

_OPCODE_CLOSE = 8


class WebSocket:
    """A session on a raw connection. Frames are short: at most 125 bytes."""

    def __init__(self, client, target):
        key = base64.b64encode(os.urandom(16)).decode()
        self.client = client
        self.answer = client.ask("GET", target, {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key})

    def send(self, opcode, payload=b""):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.client.send(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def receive(self):
        """(opcode, payload) of the next frame."""
        opcode, length = self.client.read_exactly(2, "reading a frame")
        return opcode & 15, self.client.read_exactly(length, "reading a frame's payload")

    def echoes(self):
        self.send(1, b"hello")
        return self.receive() == (1, b"hello")

    def close_code(self):
        """Waits for a Close, answers it, and returns its code."""
        opcode, payload = self.receive()
        if opcode != _OPCODE_CLOSE:
            raise AssertionError(f"expected a Close, got opcode {opcode}")
        self.send(_OPCODE_CLOSE, payload[:2])
        return int.from_bytes(payload[:2], "big")


def answer_websocket(exchange):
    """Echoes messages and the Close, as an origin does."""
    accept = hashlib.sha1((exchange.get("sec-websocket-key")
                           + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    exchange.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                  "Upgrade: websocket\r\n"
                  f"Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}\r\n\r\n")
    exchange.closed = True
    connection = exchange.connection
    opcode = 0
    while opcode != _OPCODE_CLOSE:
        try:
            first, second = connection.read_exactly(2)
        except Broken:
            return
        opcode, length = first & 15, second & 127
        mask = connection.read_exactly(4)
        masked = connection.read_exactly(length)
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))
        connection.send(bytes([first, length]) + payload)
