"""A small authoritative name server over UDP, whose zone a test changes while it runs."""

import socket
import struct
import threading

_TYPES = {"A": 1, "AAAA": 28, "SRV": 33}


def _name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def _data(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    priority, weight, port, target = value
    return struct.pack("!HHH", priority, weight, port) + _name(target)


class DnsServer:
    """`zone[name, "A"]` is a list of values; of SRV: (priority, weight, port, target)."""

    def __init__(self, ttl=1):
        self.ttl = ttl
        self.zone = {}
        self.silent = False
        self.queries = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def address(self):
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self):
        self._closed = True
        self._thread.join()
        self._socket.close()

    def _run(self):
        while not self._closed:
            try:
                query, peer = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            self.queries += 1
            if not self.silent:
                self._socket.sendto(self._answer(query), peer)

    def _answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name = ".".join(labels)
        number, = struct.unpack("!H", query[at + 1:at + 3])
        kinds = [kind for kind, one in _TYPES.items() if one == number]
        values = self.zone.get((name, kinds[0]), []) if kinds else []
        known = any(key[0] == name for key in self.zone)
        records = b""
        for value in values:
            data = _data(kinds[0], value)
            records += b"\xc0\x0c" + struct.pack("!HHIH", number, 1, self.ttl, len(data)) + data
        return (query[:2] + struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, len(values), 0, 0)
                + query[12:at + 5] + records)
