"""HTTP/2 as bytes (RFC 9113, RFC 7541): frames and header blocks made by hand, so that a test can
send what no library would."""

import struct
from enum import IntEnum
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65535
MAX_FRAME = 16384  # what a peer may send when nothing else was agreed


class Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9
    PRIORITY_UPDATE = 16  # RFC 9218


# Flags.
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8  # RFC 8441


class Code(IntEnum):
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def word(kind, value):
    """The name of a value of an enumeration, or the value where it has none."""
    try:
        return kind(value).name
    except ValueError:
        return str(value)


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    def __str__(self):
        text = f"{word(Kind, self.kind)}({len(self.payload)})"
        if self.flags:
            text += f" flags={self.flags:#x}"
        if self.stream:
            text += f" stream={self.stream}"
        if self.kind == Kind.RST_STREAM and len(self.payload) == 4:
            text += f" {word(Code, number(self.payload))}"
        elif self.kind == Kind.GOAWAY and len(self.payload) >= 8:
            last, code = struct.unpack(">II", self.payload[:8])
            text += f" last={last} {word(Code, code)} {self.payload[8:]!r}"
        return text


def number(payload):
    return struct.unpack(">I", payload)[0]


# ---- frames


def frame(kind, flags=0, stream=0, payload=b"", length=None, reserved=0):
    """Any frame. `length` lies about its size, `reserved` sets the bit before the stream."""
    size = len(payload) if length is None else length
    return struct.pack(">BHBBI", size >> 16, size & 0xffff, kind, flags,
                       stream | reserved << 31) + payload


def padded(flags, payload, padding):
    """Flags and payload with so many bytes of padding; None: not padded."""
    if padding is None:
        return flags, payload
    return flags | PADDED, bytes([padding]) + payload + bytes(padding)


def dependency(on=0, weight=16, exclusive=False):
    return struct.pack(">IB", on | exclusive << 31, weight - 1)


def data(stream, payload=b"", end=False, padding=None):
    flags, payload = padded(END_STREAM if end else 0, payload, padding)
    return frame(Kind.DATA, flags, stream, payload)


def headers(stream, fields, end=True, end_headers=True, padding=None, priority=None):
    """`fields`: a header block, or the list of fields that one is to be made of."""
    flags = (END_STREAM if end else 0) | (END_HEADERS if end_headers else 0)
    payload = block(fields)
    if priority is not None:
        flags |= PRIORITIZED
        payload = priority + payload
    flags, payload = padded(flags, payload, padding)
    return frame(Kind.HEADERS, flags, stream, payload)


def headers_in_pieces(stream, fields, count=None, **more):
    """HEADERS and as many CONTINUATIONs as it takes, or `count` frames of about one size."""
    whole = block(fields)
    step = -(-len(whole) // count) if count else MAX_FRAME - 300
    pieces = [whole[at:at + step] for at in range(0, len(whole), step)]
    last = len(pieces) - 1
    return headers(stream, pieces[0], end_headers=last == 0, **more) + b"".join(
        continuation(stream, piece, at == last) for at, piece in enumerate(pieces) if at > 0)


def continuation(stream, fields=b"", end_headers=True):
    return frame(Kind.CONTINUATION, END_HEADERS if end_headers else 0, stream, block(fields))


def priority_frame(stream, **more):
    return frame(Kind.PRIORITY, 0, stream, dependency(**more))


def rst_stream(stream, code=Code.CANCEL):
    return frame(Kind.RST_STREAM, 0, stream, struct.pack(">I", code))


def settings(*pairs):
    return frame(Kind.SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def settings_ack():
    return frame(Kind.SETTINGS, ACK)


def ping(payload=b"conform!", ack=False):
    return frame(Kind.PING, ACK if ack else 0, 0, payload)


def goaway(last=0, code=Code.NO_ERROR, debug=b""):
    return frame(Kind.GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def window_update(stream, increment):
    return frame(Kind.WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


# ---- header blocks


def integer(value, bits, pattern=0):
    """An integer behind `pattern` in a first byte that has so many bits for it (RFC 7541 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([pattern | value])
    out = [pattern | most]
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def string(text):
    """A string literal as it is, without Huffman coding (RFC 7541 5.2)."""
    raw = text if isinstance(text, bytes) else text.encode("latin-1")
    return integer(len(raw), 7) + raw


def field(name, value):
    """A literal that leaves the dynamic table alone (RFC 7541 6.2.2)."""
    return b"\0" + string(name) + string(value)


def remembered(name, value):
    """A literal that enters the dynamic table (RFC 7541 6.2.1)."""
    return b"\x40" + string(name) + string(value)


def indexed(index):
    return integer(index, 7, 0x80)


def table_size(size):
    return integer(size, 5, 0x20)


# Of the static table.
STATIC_ENTRIES = 61
METHOD_GET, SCHEME_HTTP, PATH_ROOT = 2, 6, 4


def block(fields):
    if isinstance(fields, bytes):
        return fields
    return b"".join(field(name, value) for name, value in fields)


def request(path="/", method="GET", more=(), without=(), **pseudo):
    """The fields of a request, in order; `pseudo` may set authority and scheme, `without` names
    pseudo-header fields that are left out."""
    values = {":method": method, ":scheme": pseudo.get("scheme", "http"),
              ":authority": pseudo.get("authority", "a.example"), ":path": path}
    return [(name, value) for name, value in values.items() if name not in without] + list(more)


def post(path="/", more=(), **rest):
    return request(path, "POST", more, **rest)
