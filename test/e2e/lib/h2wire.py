"""A client of HTTP/2 that sends any bytes, and judges every frame that comes back.

What the server sends is held to RFC 9113 whatever the test is about: a frame of the wrong size, on
the wrong stream, beyond a window or after its end fails the test that met it.
"""

import select
import struct

import hpack

from .client import Client
from .h2frames import (
    ACK, DEFAULT_WINDOW, END_HEADERS, END_STREAM, MAX_FRAME, MAX_WINDOW, PADDED, PREFACE, Code,
    Frame, Kind, Setting, headers, number, ping, request, settings, settings_ack, word)
from .wait import BOUND, patience

_SHOWN = 12  # frames, in a failure


class Answer:
    """What has come on one stream."""

    def __init__(self, window):
        self.interim = []  # the fields of each 1xx
        self.fields = None  # of the final head
        self.body = bytearray()
        self.data_frames = []  # their sizes
        self.trailers = None
        self.ended = False
        self.reset = None  # the code of RST_STREAM
        self.window = window  # what the server may still send
        self.credit = 0  # what it has allowed us beyond the initial window

    @property
    def status(self):
        return int(dict(self.fields)[":status"])

    def get(self, name, default=None):
        values = [value for field, value in self.fields if field == name]
        return ", ".join(values) if values else default

    @property
    def whole(self):
        return self.ended and self.fields is not None

    def __repr__(self):
        ending = "ended" if self.ended else "open"
        if self.reset is not None:
            ending += f", reset with {word(Code, self.reset)}"
        return f"<{self.fields} body={bytes(self.body[:100])!r} {ending}>"


class H2Connection(Client):
    """One connection. Until `begin` nothing is sent but what the test sends."""

    def __init__(self, address, *, begin=True, own_settings=(), tls=None, **more):
        super().__init__(address, **more)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.answers = {}
        self.goaways = []  # (last stream id, code), as they came
        self.pings = []  # payloads of PING acknowledgements
        self.settings = {}  # of the server
        self.settings_frames = 0
        self.acknowledged = 0  # SETTINGS of ours
        self.ended_by = None  # "fin" or "reset"
        self.frames = 0
        self.answers_settings = self.answers_pings = True
        self.opens_by_hand = False  # streams are opened without `open`
        self.window = DEFAULT_WINDOW  # of the connection: what the server may still send
        self.credit = 0  # what it has allowed us beyond the initial window
        self._last_frames = []
        self._initial_window = DEFAULT_WINDOW
        self._max_frame = MAX_FRAME
        self._block = None  # (stream, flags, bytes) of a header block that is not complete
        self._decoder = hpack.Decoder()
        self._ping_number = 0
        if begin:
            self.begin(*own_settings)

    def begin(self, *own_settings):
        """Preface and SETTINGS both ways, acknowledged."""
        self.send(PREFACE + self.own_settings(*own_settings))
        self.pump_until(lambda: self.settings_frames and self.acknowledged, "SETTINGS and its ACK")

    def own_settings(self, *pairs):
        """A SETTINGS frame that the judge of this side knows of."""
        for name, value in pairs:
            if name == Setting.INITIAL_WINDOW_SIZE:
                for answer in self.answers.values():
                    answer.window += value - self._initial_window
                self._initial_window = value
            elif name == Setting.MAX_FRAME_SIZE:
                self._max_frame = value
            elif name == Setting.HEADER_TABLE_SIZE:
                self._decoder.max_allowed_table_size = value
        return settings(*pairs)

    def allow(self, stream, increment):
        """A WINDOW_UPDATE that the judge of this side knows of."""
        if stream:
            self.answers[stream].window += increment
        else:
            self.window += increment
        return struct.pack(">BHBBII", 0, 4, Kind.WINDOW_UPDATE, 0, stream, increment)

    def open(self, stream, data):
        """Sends `data`, which begins with the HEADERS of this stream."""
        self.answers.setdefault(stream, Answer(self._initial_window))
        self.send(data)

    def send(self, data):
        """A peer that has closed is found when reading."""
        try:
            super().send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    # ---- reading

    def read_frame(self):
        """The next frame, or None at the end of the connection."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            if not self._more():
                self._check(self.ended_by == "reset" or not self.buffer, "it ended in a frame")
                return None
        size = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        frame = Frame(kind, flags, stream, bytes(self.buffer[9:9 + size]))
        del self.buffer[:9 + size]
        self.frames += 1
        self._last_frames = self._last_frames[-_SHOWN + 1:] + [frame]
        return frame

    def _more(self):
        """False at the end of the connection."""
        if self.ended_by:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError):
            self.ended_by = "reset"
            return False
        if not data:
            self.ended_by = "fin"
            return False
        self.received += len(data)
        self.buffer += data
        return True

    def pump_until(self, condition, what):
        """Takes frames until `condition`, or the end of the connection, which fails."""
        while not condition():
            try:
                frame = self.read_frame()
            except TimeoutError:
                raise self._failure(f"within {BOUND} s no {what}") from None
            if frame is None:
                raise self._failure(f"no {what}")
            self._take(frame)

    def drain(self):
        """Takes what has arrived. Does not wait."""
        while not self.ended_by and self._readable():
            self._more()
        while (frame := self._buffered_frame()) is not None:
            self._take(frame)

    def _readable(self):
        decrypted = getattr(self.socket, "pending", lambda: 0)()  # of TLS
        return decrypted or select.select([self.socket], [], [], 0)[0]

    def _buffered_frame(self):
        whole = len(self.buffer) >= 9 and \
            len(self.buffer) >= 9 + int.from_bytes(self.buffer[:3], "big")
        return self.read_frame() if whole else None

    def flood(self, chunks, until=lambda: False):
        """Sends until the server has said GOAWAY or ended, or `until`; reads meanwhile. False when
        all was sent before."""
        left = patience(BOUND)
        for chunk in chunks:
            self.drain()
            if self.goaways or self.ended_by or until():
                return True
            self._send_reading(memoryview(chunk), left)
        return False

    def _send_reading(self, view, left):
        while view and not self.ended_by:
            if not left():
                raise self._failure("the flood was not taken and not refused")
            readable, writable, _ = select.select([self.socket], [self.socket], [], left())
            if writable:
                try:
                    view = view[self.socket.send(view):]
                except (BrokenPipeError, ConnectionResetError):
                    return
            if readable:
                self.drain()

    # ---- what comes, judged

    def _failure(self, text):
        frames = "\n  ".join(str(frame) for frame in self._last_frames)
        return AssertionError(f"{text}; the connection is {self.ended_by or 'open'}, "
                              f"its last frames:\n  {frames}")

    def _check(self, condition, text):
        if not condition:
            raise self._failure("the server broke a rule: " + text)

    def _take(self, frame):
        self._check(len(frame.payload) <= self._max_frame, "a frame above SETTINGS_MAX_FRAME_SIZE")
        self._check(self.frames > 1 or frame.kind == Kind.SETTINGS and not frame.flags & ACK,
                    "its first frame is not SETTINGS")
        if self._block is not None:
            self._check(frame.kind == Kind.CONTINUATION and frame.stream == self._block[0],
                        "a header block is not contiguous")
        {
            Kind.DATA: self._take_data,
            Kind.HEADERS: self._take_headers,
            Kind.RST_STREAM: self._take_rst_stream,
            Kind.SETTINGS: self._take_settings,
            Kind.PING: self._take_ping,
            Kind.GOAWAY: self._take_goaway,
            Kind.WINDOW_UPDATE: self._take_window_update,
            Kind.CONTINUATION: self._take_continuation,
        }.get(frame.kind, self._take_unexpected)(frame)

    def _take_unexpected(self, frame):
        self._check(False, f"nobody asked for {frame}")

    def _answer_of(self, frame):
        if self.opens_by_hand:
            self.answers.setdefault(frame.stream, Answer(self._initial_window))
        answer = self.answers.get(frame.stream)
        self._check(answer is not None, f"{frame}: the stream was never opened")
        return answer

    def _answer_for(self, frame):
        answer = self._answer_of(frame)
        self._check(not answer.ended, f"{frame}: behind END_STREAM")
        self._check(answer.reset is None, f"{frame}: behind RST_STREAM")
        return answer

    def _take_data(self, frame):
        answer = self._answer_for(frame)
        self._check(answer.fields is not None, "DATA before the head")
        self._check(answer.trailers is None, "DATA behind trailers")
        answer.window -= len(frame.payload)
        self.window -= len(frame.payload)
        if frame.payload:
            self._check(answer.window >= 0, f"{frame}: beyond the window of the stream")
            self._check(self.window >= 0, f"{frame}: beyond the window of the connection")
        payload = frame.payload
        if frame.flags & PADDED:
            payload = payload[1:len(payload) - payload[0]]
        answer.body += payload
        answer.data_frames.append(len(frame.payload))
        answer.ended = bool(frame.flags & END_STREAM)

    def _take_headers(self, frame):
        self._answer_for(frame)
        self._check(not frame.flags & PADDED, "padded HEADERS, which this judge cannot read")
        self._take_fragment(frame.stream, frame.flags, frame.payload)

    def _take_continuation(self, frame):
        self._check(self._block is not None, "CONTINUATION without HEADERS")
        stream, flags, begun = self._block
        self._take_fragment(stream, flags | frame.flags & END_HEADERS, begun + frame.payload)

    def _take_fragment(self, stream, flags, fragment):
        self._block = (stream, flags, fragment)
        if not flags & END_HEADERS:
            return
        self._block = None
        fields = self._decoder.decode(fragment)
        answer, end = self.answers[stream], bool(flags & END_STREAM)
        for name, _ in fields:
            self._check(name == name.lower(), f"a name with upper case: {name}")
            self._check(name not in ("connection", "keep-alive", "transfer-encoding", "upgrade",
                                     "proxy-connection"), f"a connection-specific field: {name}")
        if answer.fields is not None:
            self._check(end, "trailers without END_STREAM")
            self._check(not any(name.startswith(":") for name, _ in fields),
                        "a pseudo-header field in trailers")
            answer.trailers = fields
        else:
            self._check(fields[0][0] == ":status", "a response does not begin with :status")
            self._check(sum(name.startswith(":") for name, _ in fields) == 1,
                        "pseudo-header fields beside :status")
            if fields[0][1].startswith("1"):
                self._check(not end and fields[0][1] != "101", f"an interim response: {fields}")
                answer.interim.append(fields)
                return
            answer.fields = fields
        answer.ended = end

    def _take_rst_stream(self, frame):
        self._check(len(frame.payload) == 4, "the size of RST_STREAM")
        answer = self._answer_of(frame)
        answer.reset = number(frame.payload)

    def _take_settings(self, frame):
        self._check(frame.stream == 0 and len(frame.payload) % 6 == 0, f"{frame}: its form")
        if frame.flags & ACK:
            self._check(not frame.payload, "SETTINGS ACK with a payload")
            self.acknowledged += 1
            return
        self.settings_frames += 1
        for at in range(0, len(frame.payload), 6):
            name, value = struct.unpack(">HI", frame.payload[at:at + 6])
            self.settings[name] = value
        if self.answers_settings:
            self.send(settings_ack())

    def _take_ping(self, frame):
        self._check(frame.stream == 0 and len(frame.payload) == 8, f"{frame}: its form")
        if frame.flags & ACK:
            self.pings.append(frame.payload)
        elif self.answers_pings:
            self.send(ping(frame.payload, ack=True))

    def _take_goaway(self, frame):
        self._check(frame.stream == 0 and len(frame.payload) >= 8, f"{frame}: its form")
        last, code = struct.unpack(">II", frame.payload[:8])
        self._check(not self.goaways or last <= self.goaways[-1][0], "GOAWAY whose id has grown")
        self.goaways.append((last, code))

    def _take_window_update(self, frame):
        self._check(len(frame.payload) == 4, "the size of WINDOW_UPDATE")
        increment = number(frame.payload)
        self._check(0 < increment <= MAX_WINDOW, f"WINDOW_UPDATE by {increment}")
        if frame.stream == 0:
            self.credit += increment
        else:
            self._answer_of(frame).credit += increment

    # ---- what a test expects

    def expect_connection_error(self, *codes):
        """GOAWAY with one of these codes, and the end of the connection (RFC 9113 5.4.1)."""
        wanted = " or ".join(word(Code, code) for code in codes)
        self.pump_until(lambda: self._error_goaway() is not None, f"GOAWAY {wanted}")
        _, code = self._error_goaway()
        if code not in codes:
            raise self._failure(f"GOAWAY says {word(Code, code)}, not {wanted}")
        self.expect_end()

    def _error_goaway(self):
        return next((goaway for goaway in self.goaways if goaway[1] != Code.NO_ERROR), None)

    def expect_end(self):
        """The server ends the connection; what comes before is taken."""
        try:
            while (frame := self.read_frame()) is not None:
                self._take(frame)
        except TimeoutError:
            raise self._failure(f"within {BOUND} s no end of the connection") from None

    def read_to_end_of_anything(self):
        """The server ends the connection; what it says before may be of any protocol."""
        try:
            while self._more():
                pass
        except TimeoutError:
            raise self._failure(f"within {BOUND} s no end of the connection") from None

    def expect_stream_error(self, stream, *codes, connection=()):
        """RST_STREAM with one of these codes, while the connection lives (RFC 9113 5.4.2). Where a
        rule lets the server choose, `connection` names the codes of the connection error."""
        answer = self.answers.setdefault(stream, Answer(self._initial_window))
        wanted = " or ".join(word(Code, code) for code in codes)
        self.pump_until(lambda: answer.reset is not None or answer.whole or
                        self._error_goaway() is not None, f"RST_STREAM {wanted}")
        if connection and self._error_goaway() is not None:
            self.expect_connection_error(*connection)
            return
        if answer.reset not in codes:
            raise self._failure(f"stream {stream} should be reset with {wanted}, is {answer}")
        self.expect_alive()

    def expect_refused(self, stream, status=400):
        """A malformed request (RFC 9113 8.1.1): a stream error, or a response of this status."""
        answer = self.answers[stream]
        self.pump_until(lambda: answer.reset is not None or answer.whole,
                        "refusal of a malformed request")
        if answer.fields is not None and answer.status != status or \
                answer.reset not in (None, Code.PROTOCOL_ERROR, Code.NO_ERROR):
            raise self._failure(f"a malformed request was met with {answer}")
        self.expect_alive()

    def expect_response(self, stream, status=200, body=None):
        """A whole response."""
        answer = self.answers[stream]
        self.pump_until(lambda: answer.whole or answer.reset is not None,
                        f"response on stream {stream}")
        if not answer.whole or answer.status != status:
            raise self._failure(f"no {status} on stream {stream} but {answer}")
        if body is not None and answer.body != body:
            raise self._failure(f"not the body that was expected: {answer}")
        return answer

    def expect_head(self, stream):
        answer = self.answers[stream]
        self.pump_until(lambda: answer.fields is not None, f"a response head on stream {stream}")
        return answer

    def expect_body_bytes(self, stream, count):
        """Exactly so many bytes of a body, and no more before a PING is answered."""
        answer = self.answers[stream]
        self.pump_until(lambda: len(answer.body) >= count,
                        f"{count} bytes of a body")
        self.expect_alive()
        if len(answer.body) != count:
            raise self._failure(f"{len(answer.body)} bytes of a body instead of {count}")

    def expect_alive(self):
        """A PING is answered: what was sent before it has been read, and the connection lives."""
        self._ping_number += 1
        payload = struct.pack(">Q", self._ping_number)
        self.send(ping(payload))
        self.pump_until(lambda: payload in self.pings, "answer to PING")
        if self._error_goaway() is not None:
            raise self._failure("the connection should live on")

    def get(self, stream, path="/", status=200, **more):
        """A request and its whole response."""
        self.open(stream, headers(stream, request(path, **more)))
        return self.expect_response(stream, status)
