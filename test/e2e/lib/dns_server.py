"""A small authoritative name server over UDP, whose zone a test changes while it runs."""

import socket
import struct
import threading

_MOST_UDP = 512
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
    """`zone[name, "A"]` is a list of values; of SRV: (priority, weight, port, target).

    All may be changed at any time. Of an answer that is too long for UDP nothing but that is said.
    """

    def __init__(self, ttl=1):
        self.ttl = ttl
        self.zone = {}
        self.silent = False
        self.failing = False  # SERVFAIL
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
            if self.silent:
                continue
            try:
                answer = self._answer(query)
            except (IndexError, UnicodeDecodeError, struct.error):
                continue  # it was no question
            self._socket.sendto(answer, peer)

    def _answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name = ".".join(labels)
        number, = struct.unpack("!H", query[at + 1:at + 3])
        kinds = [kind for kind, one in _TYPES.items() if one == number]
        zone = dict(self.zone)
        values = zone.get((name, kinds[0]), []) if kinds else []
        code = 0 if any(key[0] == name for key in zone) else 3
        if self.failing:
            values, code = [], 2
        records = b""
        for value in values:
            data = _data(kinds[0], value)
            records += b"\xc0\x0c" + struct.pack("!HHIH", number, 1, self.ttl, len(data)) + data
        question = query[12:at + 5]
        flags = 0x8180 | code
        if 12 + len(question) + len(records) > _MOST_UDP:
            flags, values, records = flags | 0x200, [], b""
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(values), 0, 0) + question + records


def _self_check():
    server = DnsServer(ttl=7)
    server.zone["app.test", "A"] = ["10.0.0.1"]
    server.zone["many.test", "A"] = ["10.0.0.1"] * 100
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(("127.0.0.1", int(server.address.rpartition(":")[2])))

        def ask(name, kind):
            client.send(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + _name(name)
                        + struct.pack("!HH", _TYPES[kind], 1))
            answer = client.recv(4096)
            assert answer[:2] == b"\x12\x34", answer
            flags, _, count = struct.unpack("!HHH", answer[2:8])
            return flags & 0x20f, count, answer

        client.send(b"no question")
        code, count, answer = ask("app.test", "A")
        assert (code, count) == (0, 1), (code, count)
        assert answer.endswith(struct.pack("!IH", 7, 4) + b"\x0a\0\0\1"), answer
        assert ask("app.test", "AAAA")[:2] == (0, 0), "a name without such records"
        assert ask("no.test", "A")[:2] == (3, 0), "no such name"
        assert ask("many.test", "A")[:2] == (0x200, 0), "truncated"
        server.failing = True
        assert ask("app.test", "A")[:2] == (2, 0), "it fails"
        server.silent = True
        client.settimeout(0.3)
        try:
            raise AssertionError(f"{ask('app.test', 'A')} of a silent server")
        except TimeoutError:
            pass
    server.close()
    print("ok")


if __name__ == "__main__":
    _self_check()
