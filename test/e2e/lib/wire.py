"""HTTP/1 as bytes on a socket, read strictly: what clients and origins have in common."""

import socket

# A body that is larger than this is to be read piecemeal, by the test itself.
_MOST = 1 << 18


class Broken(Exception):
    """What was read is incomplete or malformed; `received` is what there was of it."""

    def __init__(self, why, received):
        super().__init__(f"{why}; received {bytes(received[-300:])!r}")
        self.received = bytes(received)


class Message:
    """A request or a response: fields as sent, the body, the trailers."""

    def __init__(self):
        self.head = b""
        self.fields = []  # [(name, value)]
        self.body = None
        self.trailers = []

    def get(self, name, default=None):
        """The values of the field, joined as a list is (RFC 9110 5.3)."""
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        return ", ".join(values) if values else default

    @property
    def closes(self):
        return "close" in self.get("connection", "").lower()

    def __repr__(self):
        return f"<{self.head!r} body={(self.body or b'')[:200]!r}>"


def field_lines(fields):
    return "".join(f"{name}: {value}\r\n" for name, value in fields)


class Peer:
    """One end of a connection. Every read and write has the socket's bound."""

    def __init__(self, connection):
        self.socket = connection
        self.buffer = bytearray()
        self.eof = False
        self.received = 0  # bytes

    # ---- out

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    # ---- in

    def fill(self, why):
        """Waits for more bytes; `why` says what for."""
        if self.eof:
            raise Broken(why + ": the connection has ended", self.buffer)
        try:
            data = self.socket.recv(_MOST)
        except (ConnectionResetError, BrokenPipeError):
            raise Broken(why + ": connection reset", self.buffer) from None
        except TimeoutError:
            raise Broken(why + ": nothing came within the bound", self.buffer) from None
        if not data:
            self.eof = True
            raise Broken(why + ": the connection ended", self.buffer)
        self.received += len(data)
        self.buffer += data

    def read_exactly(self, count, why="reading"):
        while len(self.buffer) < count:
            self.fill(why)
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_line(self, why="reading a line"):
        while (end := self.buffer.find(b"\r\n")) < 0:
            self.fill(why)
        return self.read_exactly(end + 2)[:-2]

    def read_some(self):
        """At least one byte: whatever has arrived."""
        if not self.buffer:
            self.fill("reading")
        return self.read_exactly(len(self.buffer))

    def read_to_end(self):
        """Everything until the peer's FIN; a reset raises Broken."""
        while not self.eof:
            try:
                self.fill("reading to the end")
            except Broken:
                if not self.eof:
                    raise
        return self.read_exactly(len(self.buffer))

    def read_fields(self):
        fields = []
        while line := self.read_line("reading fields"):
            name, colon, value = line.partition(b":")
            if not colon or not name or name != name.strip():
                raise Broken(f"bad field line {line!r}", self.buffer)
            fields.append((name.decode("latin-1"), value.strip().decode("latin-1")))
        return fields

    def read_head_into(self, message, why):
        """Returns the first line, without its end."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            self.fill(why)
        message.head = bytes(self.buffer[:end + 4])
        line = self.read_line().decode("latin-1")
        message.fields = self.read_fields()
        return line

    def read_chunked_into(self, message):
        body = bytearray()
        while size := int(self.read_line("reading a chunk size").partition(b";")[0], 16):
            body += self.read_exactly(size, "reading a chunk")
            if self.read_exactly(2, "reading a chunk's end") != b"\r\n":
                raise Broken("a chunk does not end where it said", body)
        message.trailers = self.read_fields()
        message.body = bytes(body)
