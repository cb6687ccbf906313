"""A scriptable origin on a raw socket. A test says what each path does:

    origin.on("/old", lambda x: x.reply(301, fields={"Location": "/new"}))
    hold = origin.hold("/slow")   # answered when the test calls hold.release()

One thread for each connection. A path that nobody described is answered with 200 and "ok".
"""

import socket
import threading

from .client import parse_address
from .wait import BOUND, wait_until
from .wire import Broken, Message, Peer, field_lines


class Exchange(Message):
    """One request as the origin received it, and the means to answer it, well or badly."""

    def __init__(self, connection, number):
        super().__init__()
        self.connection = connection
        self.number_on_connection = number
        self.method = self.target = self.version = ""
        self.closed = False

    def read_head(self):
        """False when the connection has ended."""
        try:
            line = self.connection.read_head_into(self, "waiting for a request")
        except Broken:
            return False
        self.method, self.target, self.version = line.split(" ")
        return True

    @property
    def path(self):
        return self.target.partition("?")[0]

    def read_body(self):
        if self.body is not None:
            return self.body
        if self.get("transfer-encoding"):
            self.connection.read_chunked_into(self)
        else:
            length = int(self.get("content-length", "0"))
            self.body = self.connection.read_exactly(length, "reading a body")
        return self.body

    def send(self, data):
        self.connection.send(data)

    def reply(self, status=200, body=b"ok", fields=()):
        """A complete response, after the request's body was read."""
        self.read_body()
        fields = list(fields.items() if isinstance(fields, dict) else fields)
        if status not in (204, 304):
            fields.append(("Content-Length", str(len(body))))
        head = f"HTTP/1.1 {status} Fine\r\n{field_lines(fields)}\r\n"
        bodiless = self.method == "HEAD" or status in (204, 304)
        self.send(head.encode("latin-1") + (b"" if bodiless else body))

    def close(self):
        self.closed = True
        self.connection.close()

    def reset(self):
        self.closed = True
        self.connection.reset()

    def wait_for_end(self):
        """Until the proxy closes; what it sends until then is returned."""
        try:
            return self.connection.read_to_end()
        except Broken as broken:
            return broken.received
        finally:
            self.closed = True


class Hold:
    """Requests that wait until the test releases them."""

    def __init__(self, answer):
        self._answer = answer
        self._released = threading.Event()
        self._arrived = threading.Semaphore(0)

    def __call__(self, exchange):
        self._arrived.release()
        if self._released.wait(5 * BOUND):
            self._answer(exchange)
        else:
            exchange.close()

    def wait_arrived(self, count=1):
        for arrived in range(count):
            if not self._arrived.acquire(timeout=BOUND):
                raise AssertionError(f"{arrived} of {count} requests have reached the origin")

    def release(self):
        self._released.set()


class Origin:
    def __init__(self, address="127.0.0.1:0"):
        family, target = parse_address(address)
        self._listening = socket.socket(family, socket.SOCK_STREAM)
        self._listening.bind(target)
        self._listening.listen(512)
        self.address = address
        if family != socket.AF_UNIX:
            port = self._listening.getsockname()[1]
            self.address = f"{address.rpartition(':')[0]}:{port}"
        self._scripts = {}
        self._holds = []
        self._open = set()
        self._lock = threading.Lock()
        self.connections = 0
        self.requests = []  # every Exchange whose head arrived
        self.errors = []  # what a script raised
        self._received = []  # by closed connections
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    # ---- the script

    def on(self, path, answer):
        """`answer` is called with the Exchange; when it returns, the connection goes on."""
        self._scripts[path] = answer

    def hold(self, path, answer=lambda exchange: exchange.reply()):
        hold = Hold(answer)
        self._holds.append(hold)
        self._scripts[path] = hold
        return hold

    # ---- what happened

    def seen(self, path):
        return [request for request in list(self.requests) if request.path == path]

    def last(self):
        if not self.requests:
            raise AssertionError("no request has reached the origin")
        return self.requests[-1]

    def open_connections(self):
        return len(self._open)

    def bytes_received(self):
        with self._lock:
            return sum(self._received) + sum(connection.received for connection in self._open)

    def close_connections(self):
        """Closes every connection, as a restart would."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _shut(connection.socket)
        wait_until(lambda: not self._open, "the origin's connections are closed")

    def close(self):
        for hold in self._holds:
            hold.release()
        _shut(self._listening)  # ends the accept(2) of the other thread
        self._thread.join(BOUND)
        self._listening.close()
        self.close_connections()

    # ---- serving

    def _accept(self):
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            accepted.settimeout(6 * BOUND)
            connection = Peer(accepted)
            with self._lock:
                self._open.add(connection)
                self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            self._serve_requests(connection)
        except (Broken, OSError):
            pass  # the proxy has left; what it was sent is the test's to judge
        except Exception as error:  # told by the test's tearDown
            self.errors.append(error)
        finally:
            with self._lock:
                self._open.discard(connection)
                self._received.append(connection.received)
            connection.close()

    def _serve_requests(self, connection):
        number = 0
        while (exchange := Exchange(connection, number)).read_head():
            number += 1
            self.requests.append(exchange)
            self._scripts.get(exchange.path, Exchange.reply)(exchange)
            if exchange.closed:
                return
            exchange.read_body()


def _shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
