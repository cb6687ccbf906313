"""A raw HTTP/1 client: it sends what it is told."""

import array
import fcntl
import select
import socket
import sys
import termios

from .wait import BOUND, wait_until
from .wire import Broken, Message, Peer, field_lines


def _unacknowledged(sock):
    """Bytes that the kernel holds because they may not have arrived."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, count)
    return count[0]


def _unread(sock):
    """Bytes that have arrived, on the way to a process that has not read them; IPv4 only."""
    def name(address):
        return f"{int.from_bytes(socket.inet_aton(address[0]), sys.byteorder):08X}:{address[1]:04X}"
    ends = [name(sock.getpeername()), name(sock.getsockname())]
    with open("/proc/net/tcp", encoding="ascii") as lines:
        for line in lines:
            if (fields := line.split())[1:3] == ends:
                return int(fields[4].partition(":")[2], 16)
    return 0


class Response(Message):
    def __init__(self):
        super().__init__()
        self.status = 0
        self.reason = ""
        self.interim = []  # the 1xx before it


def parse_address(address):
    """(family, what connect takes) for "127.0.0.1:80", "[::1]:80" and "unix:/path"."""
    if address.startswith("unix:"):
        return socket.AF_UNIX, address[len("unix:"):]
    host, _, port = address.rpartition(":")
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port))
    return socket.AF_INET, (host, int(port))


class Client(Peer):
    """One connection, from the address `source` if there is one."""

    def __init__(self, address, receive_buffer=None, timeout=BOUND, source=None):
        family, target = parse_address(address)
        connection = socket.socket(family, socket.SOCK_STREAM)
        super().__init__(connection)
        self.host = "localhost" if family == socket.AF_UNIX else address
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(timeout)
        try:
            if source:
                connection.bind((source, 0))
            connection.connect(target)
        except OSError:
            connection.close()
            raise
        if family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    @property
    def name(self):
        """The address of this end, as the peer sees it."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def request(self, method="GET", target="/", fields=(), body=None, version="1.1"):
        """Sends a request; `body` gets a Content-Length, Host is added unless given."""
        fields = list(fields.items() if isinstance(fields, dict) else fields)
        if not any(name.lower() == "host" for name, _ in fields):
            fields.insert(0, ("Host", self.host))
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        head = f"{method} {target} HTTP/{version}\r\n{field_lines(fields)}\r\n"
        self.send(head.encode("latin-1") + (body or b""))

    def read_head(self):
        """The next response head of any status, without its body."""
        response = Response()
        line = self.read_head_into(response, "reading a response head")
        version, _, rest = line.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise Broken(f"bad status line {line!r}", self.buffer)
        status, _, response.reason = rest.partition(" ")
        response.status = int(status)
        return response

    def read_body_into(self, response):
        encoding, length = response.get("transfer-encoding"), response.get("content-length")
        if encoding is not None and length is not None:
            raise Broken("both Transfer-Encoding and Content-Length", response.head)
        if encoding is not None:
            self.read_chunked_into(response)
        elif length is not None:
            response.body = self.read_exactly(int(length), "reading a body")
        else:
            response.body = self.read_to_end()

    def read_response(self, method="GET"):
        """The next final response, whole; raises Broken when it is cut short."""
        interim = []
        while (response := self.read_head()).status < 200 and response.status != 101:
            interim.append(response)
        response.interim = interim
        if method == "HEAD" or response.status in (101, 204, 304):
            response.body = b""
        else:
            self.read_body_into(response)
        return response

    def ask(self, method="GET", target="/", fields=(), body=None, **more):
        self.request(method, target, fields, body, **more)
        return self.read_response(method)

    def ended(self):
        """Waits for the end of the connection: "fin", "reset", or what came instead."""
        try:
            rest = self.read_to_end()
        except Broken as broken:
            return "reset" if "reset" in str(broken) else str(broken)
        return rest or "fin"

    def wait_taken(self):
        """Until the peer, on this machine, has read all that was sent."""
        wait_until(lambda: not (_unacknowledged(self.socket) or _unread(self.socket)),
                   "the peer has read everything")

    def is_quiet(self):
        """True when nothing has arrived, not even an end. Does not wait."""
        return not (self.eof or self.buffer or select.select([self.socket], [], [], 0)[0])
