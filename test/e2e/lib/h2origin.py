"""A scriptable origin that speaks HTTP/2 in cleartext, by Python's h2. A test says what each path
does, as with lib.origin:

    origin.on("/old", lambda x: x.reply(301, fields={"location": "/new"}))
    hold = origin.hold("/slow")   # answered when the test calls hold.release()

One thread for each connection and one for each request. A path that nobody described is answered
with 200 and "ok".
"""

import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

from .origin import Hold
from .wait import BOUND, wait_until
from .wire import Message


class Gone(Exception):
    """The proxy has reset the stream, or left."""


class Exchange(Message):
    """One request as the origin received it, and the means to answer it, well or badly."""

    def __init__(self, connection, stream, fields):
        super().__init__()
        self.connection = connection
        self.stream = stream
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        self.fields = [(name, value) for name, value in fields if not name.startswith(":")]
        self.method, self.target = pseudo[":method"], pseudo.get(":path", "")
        self.scheme, self.authority = pseudo.get(":scheme"), pseudo.get(":authority")
        self.body = bytearray()
        self.ended = False
        self.reset_by_peer = None  # the code

    @property
    def path(self):
        return self.target.partition("?")[0]

    def read_body(self):
        """All of the request."""
        self.connection.wait(lambda: self.ended or self.gone())
        if not self.ended:
            raise Gone
        return bytes(self.body)

    def gone(self):
        return self.reset_by_peer is not None or self.connection.closed

    def begin(self, status=200, fields=(), end=False):
        """A response head, or an interim one."""
        fields = list(fields.items() if isinstance(fields, dict) else fields)
        self.connection.act(self, lambda h2: h2.send_headers(
            self.stream, [(":status", str(status)), *fields], end_stream=end))

    def send(self, data, end=False):
        """Body bytes, as the windows allow."""
        while True:
            self.connection.wait(lambda: self.gone() or not data or self._window() > 0)
            part = data[:self._window()] if data else b""
            data = data[len(part):]
            self.connection.act(self, lambda h2, part=part, last=not data: h2.send_data(
                self.stream, part, end_stream=end and last))
            if not data:
                return

    def _window(self):
        h2 = self.connection.h2
        return min(h2.local_flow_control_window(self.stream), h2.max_outbound_frame_size)

    def end(self, trailers):
        self.connection.act(self, lambda h2: h2.send_headers(
            self.stream, trailers, end_stream=True))

    def reply(self, status=200, body=b"ok", fields=()):
        """A complete response, after the whole request."""
        self.read_body()
        fields = list(fields.items() if isinstance(fields, dict) else fields)
        if status not in (204, 304):
            fields.append(("content-length", str(len(body))))
        bodiless = self.method == "HEAD" or status in (204, 304)
        self.begin(status, fields, end=bodiless)
        if not bodiless:
            self.send(body, end=True)

    def reset(self, code=h2.errors.ErrorCodes.INTERNAL_ERROR):
        self.connection.act(self, lambda h2: h2.reset_stream(self.stream, code))

    def refuse(self):
        """It was not processed (RFC 9113 8.7)."""
        self.reset(h2.errors.ErrorCodes.REFUSED_STREAM)

    def wait_for_end(self):
        """Until the proxy has given it up."""
        self.connection.wait(self.gone)


class _Connection:
    def __init__(self, origin, accepted):
        self.origin = origin
        self.socket = accepted
        self.closed = False
        self.open = {}  # stream -> Exchange
        self.most_open = 0
        self.h2 = h2.connection.H2Connection(config=h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8"))
        self._changed = threading.Condition()
        if origin.max_streams:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: origin.max_streams})

    # ---- for exchanges, in threads of theirs

    def wait(self, condition):
        with self._changed:
            if not self._changed.wait_for(condition, 6 * BOUND):
                raise AssertionError("the proxy neither goes on nor leaves")

    def act(self, exchange, what):
        with self._changed:
            if exchange.gone():
                raise Gone
            what(self.h2)
            self._flush()
            if self.h2.streams[exchange.stream].closed:
                self.open.pop(exchange.stream, None)

    def goaway(self, last):
        """Says that streams above `last` will not be processed; the others go on."""
        with self._changed:
            frame = hyperframe.frame.GoAwayFrame(0, last_stream_id=last)
            self.socket.sendall(frame.serialize())

    def shut(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _flush(self):
        try:
            self.socket.sendall(self.h2.data_to_send())
        except OSError:
            raise Gone from None

    # ---- the connection's own thread

    def serve(self):
        try:
            with self._changed:
                self.h2.initiate_connection()
                self._flush()
            while data := self.socket.recv(1 << 16):
                with self._changed:
                    for event in self.h2.receive_data(data):
                        self._take(event)
                    self._flush()
                    self._changed.notify_all()
        except (OSError, Gone):
            pass  # the proxy has left; what it was sent is the test's to judge
        finally:
            with self._changed:
                self.closed = True
                self._changed.notify_all()
            self.socket.close()

    def _take(self, event):
        exchange = self.open.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            exchange = Exchange(self, event.stream_id, event.headers)
            self.open[event.stream_id] = exchange
            self.most_open = max(self.most_open, len(self.open))
            self.origin.dispatch(exchange)
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if exchange:
                exchange.body += event.data
        elif exchange is None:
            return
        elif isinstance(event, h2.events.TrailersReceived):
            exchange.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            exchange.ended = True
        elif isinstance(event, h2.events.StreamReset):
            exchange.reset_by_peer = event.error_code
            del self.open[event.stream_id]


class H2Origin:
    """`max_streams`: of a connection at a time."""

    def __init__(self, max_streams=None):
        self.max_streams = max_streams
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._scripts = {}
        self._holds = []
        self.connections = []  # all there were
        self.requests = []  # every Exchange whose head arrived
        self.errors = []  # what a script raised, and what the proxy did wrong
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def on(self, path, answer):
        """`answer` is called with the Exchange, in a thread of its own."""
        self._scripts[path] = answer

    def hold(self, path, answer=lambda exchange: exchange.reply()):
        hold = Hold(answer)
        self._holds.append(hold)
        self._scripts[path] = hold
        return hold

    def seen(self, path):
        return [request for request in list(self.requests) if request.path == path]

    def last(self):
        if not self.requests:
            raise AssertionError("no request has reached the origin")
        return self.requests[-1]

    def open_connections(self):
        return sum(not connection.closed for connection in self.connections)

    def close_connections(self):
        """Closes every connection, as a restart would."""
        for connection in list(self.connections):
            connection.shut()
        wait_until(lambda: self.open_connections() == 0, "the origin's connections are closed")

    def close(self):
        for hold in self._holds:
            hold.release()
        try:
            self._listening.shutdown(socket.SHUT_RDWR)  # ends the accept(2) of the other thread
        except OSError:
            pass
        self._thread.join(BOUND)
        self._listening.close()
        self.close_connections()

    # ---- serving

    def dispatch(self, exchange):
        self.requests.append(exchange)
        threading.Thread(target=self._run, args=(self._answer, exchange), daemon=True).start()

    def _answer(self, exchange):
        self._scripts.get(exchange.path, Exchange.reply)(exchange)

    def _accept(self):
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(self, accepted)
            self.connections.append(connection)
            threading.Thread(target=self._run, args=(connection.serve,), daemon=True).start()

    def _run(self, what, *arguments):
        try:
            what(*arguments)
        except Gone:
            pass
        except Exception as error:  # told by the test's tearDown
            self.errors.append(error)
