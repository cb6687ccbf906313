"""What two generations of the process say to each other (lifecycle/hand_over_messages.h), for tests
that are one of them. Needs nothing of this package: programs of the tests import it alone.
"""

import array
import os
import signal
import socket
import struct
import time

VERSION = 1

(HELLO, REFUSAL, OFFER, SOCKETS, TICKET_KEYS, COUNTERS, COMPLETE, READY, STOPPED, ACCEPTING, MOVE,
 MOVE_ANSWER, COUNTERS_END) = range(1, 14)

LISTENER, ADMIN, TAKEOVER = range(3)

_HEADER = struct.Struct("<IHH")
_BOUND = 60.0


class Left(Exception):
    """The other side has closed the channel."""


def frame(kind, payload=b"", fd_count=0):
    return _HEADER.pack(len(payload), kind, fd_count) + payload


def text(value):
    return struct.pack("<I", len(value)) + value.encode()


def hello(version=VERSION):
    return struct.pack("<II", version, 0)


def offer(socket_count, version=VERSION, generation=1):
    return struct.pack("<IIIBI", version, generation, socket_count, 0, 0)


def sockets(entries):
    """`entries`: (kind, listener, configured address) of each."""
    return struct.pack("<I", len(entries)) + b"".join(
        struct.pack("<B", kind) + text(listener) + text(configured) + text("")
        for kind, listener, configured in entries)


class Channel:
    """One end."""

    def __init__(self, connection):
        self.socket = connection
        connection.settimeout(_BOUND)
        self._buffer = b""
        self._fds = []

    @classmethod
    def inherited(cls):
        """Of the process that has started this one."""
        return cls(socket.socket(fileno=int(os.environ["SLUICE_TAKEOVER_FD"])))

    @classmethod
    def connect(cls, path):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(path))
        return cls(connection)

    def send(self, kind, payload=b"", fds=()):
        data = frame(kind, payload, len(fds))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([data], rights)
        if sent < len(data):  # the other side may leave as soon as it has all of it
            self.socket.sendall(data[sent:])

    def receive(self):
        """The next frame: (kind, payload, descriptors)."""
        kind, size, count = None, _HEADER.size, 0
        while True:
            if kind is None and len(self._buffer) >= _HEADER.size:
                length, kind, count = _HEADER.unpack_from(self._buffer)
                size += length
            if kind is not None and len(self._buffer) >= size:
                payload, self._buffer = self._buffer[_HEADER.size:size], self._buffer[size:]
                fds, self._fds = self._fds[:count], self._fds[count:]
                return kind, payload, fds
            data, fds, _, _ = socket.recv_fds(self.socket, 65536, 253)
            if not data:
                raise Left()
            self._buffer += data
            self._fds += fds

    def expect(self, kind):
        """Frames until one of this kind, whose payload is returned."""
        while True:
            received, payload, fds = self.receive()
            for fd in fds:
                os.close(fd)
            if received == REFUSAL:
                raise Left(payload.decode())
            if received == kind:
                return payload

    def close(self):
        self.socket.close()


def hang():
    """Until somebody kills this process, or has forgotten to."""
    time.sleep(10 * _BOUND)


def die():
    """As the kernel ends a process that is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    hang()
