#!/usr/bin/env python3
"""Flow control of HTTP/2, both ways. RFC 9113 5.2, 6.9 and 6.5.2."""

from lib import main
from lib.h2cases import Cases, ConformanceTest
from lib.h2frames import (
    DEFAULT_WINDOW, MAX_WINDOW, Code, Kind, Setting, data, frame, headers, post, request,
    rst_stream, settings, window_update)

case = Cases()

WINDOW = Setting.INITIAL_WINDOW_SIZE


def answers(app, count):
    """The path of a response with a body of so many bytes."""
    app.on(f"/{count}", lambda x: x.reply(body=bytes(count)))
    return f"/{count}"


# ---- WINDOW_UPDATE


@case("RFC 9113 6.9")
def an_increment_of_0_on_the_connection(h2):
    h2.send(window_update(0, 0))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case("RFC 9113 6.9")
def an_increment_of_0_on_a_stream(h2):
    h2.open(1, headers(1, post(), end=False) + window_update(1, 0))
    h2.expect_stream_error(1, Code.PROTOCOL_ERROR, connection=[Code.PROTOCOL_ERROR])


@case.each("RFC 9113 6.9", {
    "none": (0, b""), "3 bytes": (0, bytes(3)), "5 bytes": (0, bytes(5)),
    "3 bytes on a stream": (1, bytes(3)), "5 bytes on a stream": (1, bytes(5)),
})
def window_update_of_a_wrong_size(h2, form):
    h2.open(1, headers(1, post(), end=False) + frame(Kind.WINDOW_UPDATE, 0, *form))
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR)


@case("RFC 9113 6.9.1")
def the_window_of_the_connection_overflows(h2):
    h2.send(window_update(0, MAX_WINDOW))
    h2.expect_connection_error(Code.FLOW_CONTROL_ERROR)


@case("RFC 9113 6.9.1")
def the_window_of_the_connection_overflows_in_steps(h2):
    h2.send(window_update(0, MAX_WINDOW - DEFAULT_WINDOW) + window_update(0, 1))
    h2.expect_connection_error(Code.FLOW_CONTROL_ERROR)


@case("RFC 9113 6.9.1")
def the_window_of_a_stream_overflows(h2):
    h2.open(1, headers(1, post(), end=False) + window_update(1, MAX_WINDOW))
    h2.expect_stream_error(1, Code.FLOW_CONTROL_ERROR)


@case("RFC 9113 6.9.1")
def the_window_of_a_stream_overflows_in_steps(h2):
    h2.open(1, headers(1, post(), end=False) + window_update(1, MAX_WINDOW - DEFAULT_WINDOW) +
            window_update(1, 1))
    h2.expect_stream_error(1, Code.FLOW_CONTROL_ERROR)


@case("RFC 9113 6.9.1")
def the_largest_windows_of_all(h2, app):
    path = answers(app, 200_000)
    h2.open(1, headers(1, post(path), end=False))
    h2.send(h2.allow(0, MAX_WINDOW - DEFAULT_WINDOW) + h2.allow(1, MAX_WINDOW - DEFAULT_WINDOW) +
            data(1, end=True))
    assert len(h2.expect_response(1).body) == 200_000


@case("RFC 9113 6.9.1")
def the_window_of_a_stream_bounds_its_body(h2, app):
    path = answers(app, 100_000)
    h2.send(h2.allow(0, 10**6))
    h2.open(1, headers(1, request(path)))
    h2.expect_body_bytes(1, DEFAULT_WINDOW)
    h2.send(h2.allow(1, 10))
    h2.expect_body_bytes(1, DEFAULT_WINDOW + 10)
    h2.send(h2.allow(1, 10**6))
    assert len(h2.expect_response(1).body) == 100_000


@case("RFC 9113 6.9.1")
def the_window_of_the_connection_bounds_all_bodies(h2, app):
    path = answers(app, 50_000)
    for stream in (1, 3):
        h2.open(stream, headers(stream, request(path)))

    def bytes_received():
        return sum(len(answer.body) for answer in h2.answers.values())
    h2.pump_until(lambda: bytes_received() >= DEFAULT_WINDOW, "as much as the window allows")
    h2.expect_alive()
    assert bytes_received() == DEFAULT_WINDOW, bytes_received()
    h2.send(h2.allow(0, 10**6))
    for stream in (1, 3):
        h2.expect_response(stream)


@case("RFC 9113 6.9.1")
def heads_are_not_bound_by_windows(h2, app):
    path = answers(app, DEFAULT_WINDOW)
    h2.get(1, path)
    h2.open(3, headers(3, request()))
    h2.expect_head(3)
    h2.expect_body_bytes(3, 0)
    h2.open(5, headers(5, request(method="HEAD")))
    h2.expect_response(5)
    h2.send(h2.allow(0, 2))
    h2.expect_response(3, body=b"ok")


@case("RFC 9113 6.9.1")
def a_stream_without_window_stops_no_other(h2, app):
    path = answers(app, 40_000)
    h2.send(h2.own_settings((WINDOW, 0)))
    h2.open(1, headers(1, request(path)))
    h2.expect_head(1)
    h2.open(3, headers(3, request(path)))
    h2.send(h2.allow(3, 40_000))
    assert len(h2.expect_response(3).body) == 40_000
    h2.expect_body_bytes(1, 0)


@case("RFC 9113 6.9.1")
def a_window_of_one_byte(h2):
    h2.send(h2.own_settings((WINDOW, 1)))
    h2.open(1, headers(1, request()))
    h2.expect_body_bytes(1, 1)
    h2.send(h2.allow(1, 1))
    assert h2.expect_response(1, body=b"ok").data_frames[:2] == [1, 1]


# ---- changes of the initial window


@case("RFC 9113 6.9.2")
def a_larger_initial_window_opens_waiting_streams(h2):
    h2.send(h2.own_settings((WINDOW, 0)))
    h2.open(1, headers(1, request()))
    h2.expect_head(1)
    h2.expect_body_bytes(1, 0)
    h2.send(h2.own_settings((WINDOW, 1)))
    h2.expect_body_bytes(1, 1)
    h2.send(h2.own_settings((WINDOW, 100)))
    h2.expect_response(1, body=b"ok")


@case("RFC 9113 6.9.2")
def a_window_may_become_negative(h2, app):
    path = answers(app, 1000)
    h2.send(h2.own_settings((WINDOW, 10)))
    h2.open(1, headers(1, request(path)))
    h2.expect_body_bytes(1, 10)
    h2.send(h2.own_settings((WINDOW, 3)))  # -7
    h2.expect_body_bytes(1, 10)
    h2.send(h2.allow(1, 7))  # 0
    h2.expect_body_bytes(1, 10)
    h2.send(h2.allow(1, 5))
    h2.expect_body_bytes(1, 15)
    h2.send(h2.own_settings((WINDOW, 10_000)))
    h2.expect_response(1)


@case("RFC 9113 6.9.2")
def the_initial_window_is_not_that_of_the_connection(h2, app):
    h2.send(h2.own_settings((WINDOW, 10**6)))
    h2.open(1, headers(1, request(answers(app, 100_000))))
    h2.expect_body_bytes(1, DEFAULT_WINDOW)


@case("RFC 9113 6.9.2")
def a_larger_initial_window_overflows_a_stream(h2):
    h2.open(1, headers(1, post(), end=False) +
            window_update(1, MAX_WINDOW - DEFAULT_WINDOW) +
            settings((WINDOW, DEFAULT_WINDOW + 1)))
    h2.expect_connection_error(Code.FLOW_CONTROL_ERROR)


@case("RFC 9113 6.9.2")
def a_window_update_counts_on_top_of_a_change(h2, app):
    path = answers(app, 1000)
    h2.send(h2.own_settings((WINDOW, 0)))
    h2.open(1, headers(1, request(path)))
    h2.expect_head(1)
    h2.send(h2.allow(1, 5) + h2.own_settings((WINDOW, 20)))
    h2.expect_body_bytes(1, 25)


# ---- what we may send


def upload(h2, app, pieces, stream=1, **form):
    """Sends a body within the windows that the server grants, and awaits the response."""
    received = []
    app.on("/upload", lambda x: (received.append(x.read_body()), x.reply()))
    h2.open(stream, headers(stream, post("/upload"), end=False))
    answer = h2.answers[stream]
    initial = h2.settings.get(WINDOW, DEFAULT_WINDOW)
    sent = 0
    for piece in pieces:
        sent += len(piece) + (form.get("padding", -1) + 1)
        h2.pump_until(lambda: sent <= initial + answer.credit and
                      sent <= DEFAULT_WINDOW + h2.credit, "a window to send in")
        h2.send(data(stream, piece, **form))
    h2.send(data(stream, end=True))
    h2.expect_response(stream)
    assert received == [b"".join(pieces)], "not the body that was sent"


@case("RFC 9113 6.9.1")
def an_upload_larger_than_the_windows(h2, app):
    upload(h2, app, [bytes([i % 251]) * 16_000 for i in range(200)])


@case("RFC 9113 6.9.1")
def uploads_on_many_streams_in_turn(h2, app):
    for stream in range(1, 41, 2):
        upload(h2, app, [bytes([stream]) * 10_000] * 10, stream)


@case("RFC 9113 6.1")
def padding_counts_and_is_given_back(h2, app):
    upload(h2, app, [b"x"] * 9000, padding=255)


@case("RFC 9113 6.9")
def bodies_nobody_reads_are_given_back(h2, app):
    """Streams that end early: what was sent on them counts for the connection."""
    app.hold("/never")
    for stream in range(1, 41, 2):
        h2.open(stream, headers(stream, post("/never"), end=False) +
                data(stream, bytes(16_000)) * 2 + rst_stream(stream))
        h2.expect_alive()
    upload(h2, app, [bytes(16_000)] * 8, 41)


@case("RFC 9113 6.9.1")
def data_beyond_the_windows(h2, app):
    """The origin does not read, so the server cannot open the window for ever."""
    app.hold("/stuck")
    h2.open(1, headers(1, post("/stuck"), end=False))
    pieces = (data(1, bytes(16_000)) for _ in range(4000))
    h2.flood(pieces, until=lambda: h2.answers[1].reset is not None)
    h2.expect_stream_error(1, Code.FLOW_CONTROL_ERROR, connection=[Code.FLOW_CONTROL_ERROR])


@case("RFC 9113 6.9.1")
def the_announced_windows_are_whole(h2, app):
    """As much as was announced may be sent at once, whether or not anybody takes it."""
    hold = app.hold("/held")
    initial = h2.settings.get(WINDOW, DEFAULT_WINDOW)
    h2.open(1, headers(1, post("/held"), end=False))
    left = min(initial, DEFAULT_WINDOW + h2.credit)
    size = left
    while left > 0:
        h2.send(data(1, bytes(min(left, 16_384))))
        left -= 16_384
    h2.expect_alive()
    h2.send(data(1, end=True))
    hold.release()
    h2.expect_response(1)
    assert len(app.last().body) == size


class FlowControlTest(ConformanceTest):
    cases = case


if __name__ == "__main__":
    main()
