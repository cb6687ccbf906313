#!/usr/bin/env python3
"""Frames of HTTP/2: preface, format, sizes, header blocks, and what each type demands of its form.
RFC 9113 3.4, 4, 5.5 and 6."""

from lib import main
from lib.h2cases import Cases, ConformanceTest
from lib.h2frames import (
    END_HEADERS, END_STREAM, MAX_FRAME, PADDED, PREFACE, PRIORITIZED, Code, Kind, Setting, block,
    continuation, data, dependency, frame, goaway, headers, headers_in_pieces, indexed, ping, post,
    priority_frame, request, rst_stream, settings, settings_ack, window_update)

case = Cases()

# ---- the preface


@case("RFC 9113 3.4", begin=False)
def the_server_begins_with_settings(h2):
    h2.begin()
    assert h2.settings.get(Setting.ENABLE_PUSH, 0) == 0, "a server does not announce push"
    assert h2.settings.get(Setting.INITIAL_WINDOW_SIZE, 0) < 2**31
    assert MAX_FRAME <= h2.settings.get(Setting.MAX_FRAME_SIZE, MAX_FRAME) < 2**24


@case("RFC 9113 3.4", begin=False)
def the_server_does_not_wait_for_settings(h2):
    h2.send(PREFACE)
    h2.pump_until(lambda: h2.settings_frames, "SETTINGS of the server")


@case("RFC 9113 3.4", begin=False)
def a_preface_byte_by_byte(h2):
    for byte in PREFACE + settings():
        h2.send(bytes([byte]))
    h2.get(1)


@case("RFC 9113 3.4", begin=False)
def preface_and_request_in_one_write(h2):
    h2.open(1, PREFACE + settings() + headers(1, request()))
    h2.expect_response(1)


@case.each("RFC 9113 3.4", {
    "wrong in its last line": b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    "wrong in its last byte": PREFACE[:-1] + b"x",
    "wrong in its version": b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n",
    "a bare LF": b"PRI * HTTP/2.0\n\nSM\n\n",
    "twice": PREFACE + PREFACE,
}, begin=False)
def a_bad_preface(h2, app, preface):
    h2.send(preface + settings() + headers(1, request()))
    h2.read_to_end_of_anything()
    assert not app.requests


@case.each("RFC 9113 3.4", {
    "PING": ping(),
    "HEADERS": headers(1, request()),
    "WINDOW_UPDATE": window_update(0, 1),
    "an unknown frame": frame(0xee),
    "the ACK of SETTINGS": settings_ack(),
    "SETTINGS on a stream": frame(Kind.SETTINGS, 0, 1),
}, begin=False)
def the_first_frame_is_not_settings(h2, app, first):
    h2.answers_settings = False
    h2.send(PREFACE + first)
    h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert not app.requests


# ---- frame format


@case.each("RFC 9113 4.1", {
    "on the connection": frame(0xee, 0, 0, b"anything"),
    "on an idle stream": frame(0xee, 0, 99, b"anything"),
    "with all flags": frame(0xee, 0xff, 0, b"anything"),
    "without a payload": frame(0xff),
    "of the largest size": frame(0xee, 0, 0, bytes(MAX_FRAME)),
    "ALTSVC, which is for clients": frame(0xa, 0, 0, b"\0\x01ah2=\":1\""),
    "ORIGIN, which is for clients": frame(0xc, 0, 0, b"\0\x01a"),
})
def a_frame_of_unknown_type_is_ignored(h2, unknown):
    h2.send(unknown)
    h2.expect_alive()
    h2.get(1)


@case("RFC 9113 4.1")
def unknown_frames_within_a_stream_are_ignored(h2, app):
    h2.open(1, headers(1, post(), end=False) + frame(0xee, 0, 1, b"x") + data(1, b"ab") +
            frame(0xef, 0xff, 1) + data(1, b"cd", end=True) + frame(0xee, 0, 1))
    h2.expect_response(1)
    assert app.last().body == b"abcd"


UNDEFINED = 0xff & ~(END_STREAM | END_HEADERS | PADDED | PRIORITIZED)


@case("RFC 9113 4.1")
def undefined_flags_are_ignored(h2, app):
    h2.send(frame(Kind.SETTINGS, 0xfe) + frame(Kind.WINDOW_UPDATE, 0xff, 0, b"\0\0\0\1"))
    h2.open(1, frame(Kind.HEADERS, UNDEFINED | END_HEADERS, 1, block(post())) +
            frame(Kind.PRIORITY, 0xff, 1, dependency()) +
            frame(Kind.DATA, UNDEFINED | END_STREAM, 1, b"ab"))
    h2.expect_response(1)
    assert app.last().body == b"ab"
    whole = block(request())
    h2.open(3, headers(3, whole[:9], end_headers=False) +
            frame(Kind.CONTINUATION, 0xff, 3, whole[9:]))
    h2.expect_response(3)
    h2.open(5, headers(5, post(), end=False) + frame(Kind.RST_STREAM, 0xff, 5, b"\0\0\0\x08"))
    h2.send(frame(Kind.PING, 0xfe, 0, b"flagged!"))
    h2.pump_until(lambda: b"flagged!" in h2.pings, "answer to a PING with undefined flags")


@case("RFC 9113 4.1")
def the_reserved_bit_is_ignored(h2, app):
    h2.open(1, frame(Kind.HEADERS, END_HEADERS, 1, block(post()), reserved=1) +
            frame(Kind.DATA, END_STREAM, 1, b"ab", reserved=1))
    h2.expect_response(1)
    assert app.last().body == b"ab"
    h2.send(frame(Kind.PING, 0, 0, b"reserved", reserved=1))
    h2.pump_until(lambda: b"reserved" in h2.pings, "answer to a PING with the reserved bit")


@case("RFC 9113 4.1")
def the_reserved_bit_of_an_increment_is_ignored(h2):
    h2.send(frame(Kind.WINDOW_UPDATE, 0, 0, b"\x80\0\0\1"))
    h2.get(1)


# ---- frame sizes

TOO_LARGE = bytes(MAX_FRAME + 1)


@case("RFC 9113 4.2")
def data_of_the_largest_size(h2, app):
    h2.open(1, headers(1, post(), end=False) + data(1, bytes(MAX_FRAME), end=True))
    h2.expect_response(1)
    assert len(app.last().body) == MAX_FRAME


@case("RFC 9113 4.2")
def headers_of_the_largest_size(h2, app):
    fields = block(request())
    value = MAX_FRAME - len(fields) - len(block([("x-large", "x" * 16_000)])) + 16_000
    fields += block([("x-large", "x" * value)])
    assert len(fields) == MAX_FRAME
    h2.open(1, headers(1, fields))
    h2.expect_response(1)
    assert len(app.last().get("x-large")) == value


@case("RFC 9113 4.2")
def data_above_the_largest_size(h2):
    h2.open(1, headers(1, post(), end=False) + data(1, TOO_LARGE))
    h2.expect_stream_error(1, Code.FRAME_SIZE_ERROR, connection=[Code.FRAME_SIZE_ERROR])


@case.each("RFC 9113 4.2", {
    "HEADERS": headers(1, TOO_LARGE),
    "SETTINGS": frame(Kind.SETTINGS, 0, 0, bytes(MAX_FRAME + 2)),
    "CONTINUATION": headers(1, request(), end_headers=False) + continuation(1, TOO_LARGE),
    "GOAWAY": frame(Kind.GOAWAY, 0, 0, TOO_LARGE),
    "PING": frame(Kind.PING, 0, 0, TOO_LARGE),
    "an unknown frame": frame(0xee, 0, 0, TOO_LARGE),
})
def a_frame_above_the_largest_size(h2, large):
    h2.send(large)
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR)


@case("RFC 9113 4.2")
def a_frame_is_refused_by_its_header_alone(h2):
    h2.send(frame(Kind.HEADERS, END_HEADERS, 1, b"", length=2**24 - 1))
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR)


# ---- header blocks


@case("RFC 9113 4.3")
def a_header_block_that_cannot_be_decoded(h2):
    h2.send(headers(1, indexed(1000)))
    h2.expect_connection_error(Code.COMPRESSION_ERROR)


@case("RFC 9113 4.3")
def a_header_block_ends_within_a_field(h2):
    h2.send(headers(1, block(request())[:-1]))
    h2.expect_connection_error(Code.COMPRESSION_ERROR)


@case("RFC 9113 4.3")
def a_header_block_in_one_byte_frames(h2, app):
    fields = request("/pieces", more=[("x-a", "1")])
    h2.open(1, headers_in_pieces(1, fields, count=len(block(fields))))
    h2.expect_response(1)
    assert app.last().target == "/pieces" and app.last().get("x-a") == "1"


@case("RFC 9113 4.3")
def a_header_block_across_twenty_frames(h2, app):
    sent = headers_in_pieces(1, request(more=[("x-large", "x" * 30_000)]), count=20)
    assert sent.count(b"\x09\x00\0\0\0\1") == 18, "and the last, which ends it"
    h2.open(1, sent)
    h2.expect_response(1)
    assert len(app.last().get("x-large")) == 30_000


@case("RFC 9113 4.3")
def header_blocks_whose_first_and_last_frames_are_empty(h2):
    h2.open(1, headers(1, b"", end_headers=False) + continuation(1, request(), False) +
            continuation(1))
    h2.expect_response(1)


@case("RFC 9113 4.3")
def trailers_in_pieces(h2, app):
    h2.open(1, headers(1, post(), end=False) + data(1, b"ab") +
            headers(1, block([("x-sum", "1")])[:4], end_headers=False) +
            continuation(1, block([("x-sum", "1")])[4:]))
    h2.expect_response(1)
    assert app.last().body == b"ab" and app.last().trailers == [("x-sum", "1")]


@case.each("RFC 9113 4.3", {
    "PING": ping(),
    "SETTINGS": settings(),
    "WINDOW_UPDATE": window_update(0, 1),
    "WINDOW_UPDATE on the stream": window_update(1, 1),
    "PRIORITY": priority_frame(1),
    "PRIORITY on another stream": priority_frame(3),
    "DATA": data(1, b"x"),
    "RST_STREAM": rst_stream(1),
    "GOAWAY": goaway(),
    "HEADERS": headers(1, request()),
    "HEADERS on another stream": headers(3, request()),
    "CONTINUATION on another stream": continuation(3, b"", False),
    "CONTINUATION on stream 0": continuation(0, b"", False),
    "a frame of unknown type": frame(0xee, 0, 1),
    "a frame of unknown type on the connection": frame(0xee),
})
def a_frame_within_a_header_block(h2, app, other):
    h2.send(headers(1, request(), end_headers=False) + other + continuation(1))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert not app.requests


# ---- DATA


@case("RFC 9113 6.1")
def data_on_stream_0(h2):
    h2.send(data(0, b"x"))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 6.1", {"none": 0, "one byte": 1, "255 bytes": 255})
def padding_of_data_is_taken_off(h2, app, padding):
    h2.open(1, headers(1, post(), end=False) + data(1, b"ab", padding=padding) +
            data(1, b"", padding=padding) + data(1, b"cd", end=True, padding=padding))
    h2.expect_response(1)
    assert app.last().body == b"abcd"


@case.each("RFC 9113 6.1", {
    "as long as the payload": b"\x05abcd",
    "longer than the payload": b"\xffabcd",
    "without room": b"\x01",
})
def padding_of_data_is_too_long(h2, app, payload):
    h2.open(1, headers(1, post(), end=False) +
            frame(Kind.DATA, PADDED | END_STREAM, 1, payload))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert not any(x.body for x in app.requests)


@case("RFC 9113 6.1")
def padded_data_without_its_length(h2):
    h2.open(1, headers(1, post(), end=False) + frame(Kind.DATA, PADDED, 1))
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR)


@case("RFC 9113 6.1")
def empty_data_ends_a_stream(h2, app):
    h2.open(1, headers(1, post(), end=False) + data(1) + data(1, b"ab") + data(1, end=True))
    h2.expect_response(1)
    assert app.last().body == b"ab"


# ---- HEADERS


@case("RFC 9113 6.2")
def headers_on_stream_0(h2):
    h2.send(headers(0, request()))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 6.2", {
    "padded": {"padding": 7},
    "padded by nothing": {"padding": 0},
    "with a priority": {"priority": dependency(0, 256)},
    "with an exclusive priority": {"priority": dependency(0, 1, exclusive=True)},
    "that depend on a stream that never was": {"priority": dependency(77)},
    "padded, with a priority": {"padding": 255, "priority": dependency()},
})
def well_formed_headers(h2, form):
    h2.open(1, headers(1, request(), **form))
    h2.expect_response(1)


@case.each("RFC 9113 6.2", {
    "as long as the payload": (0, b"\x04abc"),
    "longer than the payload": (0, b"\xffabc"),
    "longer than what the priority leaves": (PRIORITIZED, b"\x03" + dependency() + b"ab"),
})
def padding_of_headers_is_too_long(h2, form):
    flags, payload = form
    h2.send(frame(Kind.HEADERS, flags | PADDED | END_HEADERS | END_STREAM, 1, payload))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 6.2", {
    "its padding": (PADDED, b""),
    "its priority": (PRIORITIZED, b"\0\0\0\0"),
    "its padding and priority": (PADDED | PRIORITIZED, b"\0\0\0\0\0"),
})
def headers_too_small_for(h2, form):
    flags, payload = form
    h2.send(frame(Kind.HEADERS, flags | END_HEADERS | END_STREAM, 1, payload))
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR)


# ---- PRIORITY


@case("RFC 9113 6.3")
def priority_on_stream_0(h2):
    h2.send(priority_frame(0))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 6.3", {"4 bytes": bytes(4), "6 bytes": bytes(6), "none": b""})
def priority_of_a_wrong_size(h2, payload):
    h2.open(1, headers(1, post(), end=False) + frame(Kind.PRIORITY, 0, 1, payload))
    h2.expect_stream_error(1, Code.FRAME_SIZE_ERROR, connection=[Code.FRAME_SIZE_ERROR])


@case("RFC 9113 6.3")
def priority_in_any_state_is_ignored(h2):
    h2.send(priority_frame(1) + priority_frame(7, on=1, exclusive=True))
    h2.get(1)
    h2.open(3, headers(3, post(), end=False) + priority_frame(3, on=7) + data(3, b"", end=True))
    h2.expect_response(3)
    h2.send(priority_frame(3, weight=256) + priority_frame(1, on=3) + priority_frame(2))
    h2.expect_alive()


@case("RFC 9218 7.1")
def priority_update_and_the_priority_field(h2, app):
    h2.send(frame(Kind.PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"))
    h2.get(1, more=[("priority", "u=0, i")])
    assert app.last().get("priority") == "u=0, i", "the field is end to end"


# ---- RST_STREAM


@case("RFC 9113 6.4")
def rst_stream_on_stream_0(h2):
    h2.send(rst_stream(0))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case("RFC 9113 6.4")
def rst_stream_on_an_idle_stream(h2):
    h2.send(rst_stream(1))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 6.4", {"3 bytes": bytes(3), "5 bytes": bytes(5), "none": b""})
def rst_stream_of_a_wrong_size(h2, payload):
    h2.open(1, headers(1, post(), end=False) + frame(Kind.RST_STREAM, 0, 1, payload))
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR)


@case.each("RFC 9113 6.4", {"CANCEL": Code.CANCEL, "NO_ERROR": 0, "an unknown one": 0xdeadbeef})
def rst_stream_ends_the_request_whatever_its_code(h2, app, code):
    app.on("/never", lambda x: x.wait_for_end())
    h2.open(1, headers(1, post("/never", more=[("content-length", "9")]), end=False))
    h2.expect_alive()
    h2.send(rst_stream(1, code))
    h2.expect_alive()
    assert h2.answers[1].reset is None, "RST_STREAM is not answered with RST_STREAM"
    h2.get(3)


# ---- PUSH_PROMISE


@case.each("RFC 9113 6.6", {"an idle stream": 1, "stream 0": 0, "an open stream": 3})
def push_promise_on(h2, stream):
    h2.open(3, headers(3, post(), end=False))
    h2.send(frame(Kind.PUSH_PROMISE, END_HEADERS, stream, b"\0\0\0\2" + block(request())))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


# ---- CONTINUATION


@case.each("RFC 9113 6.10", {
    "as the first frame": continuation(1),
    "on stream 0": continuation(0),
    "behind a complete header block": headers(1, post(), end=False) + continuation(1),
    "behind END_HEADERS of a CONTINUATION":
        headers(1, request(), end_headers=False) + continuation(1) + continuation(1),
    "behind DATA": headers(1, post(), end=False) + data(1, b"x") + continuation(1),
    "behind complete trailers":
        headers(1, post(), end=False) + headers(1, [("x-a", "1")]) + continuation(1),
})
def continuation_without_headers(h2, frames):
    h2.open(1, frames)
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


class FramesTest(ConformanceTest):
    cases = case


if __name__ == "__main__":
    main()
