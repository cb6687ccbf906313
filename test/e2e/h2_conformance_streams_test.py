#!/usr/bin/env python3
"""Streams of HTTP/2: which frame may come in which state, identifiers, the limit of concurrency,
and how errors end a stream or a connection. RFC 9113 5.1, 5.3, 5.4."""

from lib import main
from lib.h2cases import Cases, ConformanceTest
from lib.h2frames import (
    Code, Kind, Setting, block, continuation, data, dependency, frame, headers, indexed, post,
    priority_frame, remembered, request, rst_stream, window_update)

case = Cases()

ON_THE_FRAME = [Code.PROTOCOL_ERROR, Code.STREAM_CLOSED]

# ---- idle


@case.each("RFC 9113 5.1 idle", {
    "DATA": data(1, b"x"),
    "an empty DATA": data(1),
    "RST_STREAM": rst_stream(1),
    "WINDOW_UPDATE": window_update(1, 1),
    "CONTINUATION": continuation(1),
})
def a_frame_on_an_idle_stream(h2, sent):
    h2.send(sent)
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 5.1 idle", {
    "DATA": data(5, b"x"),
    "RST_STREAM": rst_stream(5),
    "WINDOW_UPDATE": window_update(5, 1),
})
def a_frame_on_a_stream_above_those_opened(h2, sent):
    h2.get(3)
    h2.send(sent)
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 5.1 idle", {
    "DATA": data(2, b"x"),
    "RST_STREAM": rst_stream(2),
    "WINDOW_UPDATE": window_update(2, 1),
})
def a_frame_on_a_stream_the_server_never_opened(h2, sent):
    h2.get(3)
    h2.send(sent)
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case("RFC 9113 5.1 idle")
def priority_leaves_a_stream_idle(h2):
    h2.send(priority_frame(9, on=3))
    h2.get(5)
    h2.get(9)


# ---- half-closed (remote)


def half_closed(h2, app, stream=1):
    """A request that is complete and waits for its response."""
    hold = app.hold(f"/held{stream}")
    h2.open(stream, headers(stream, request(f"/held{stream}")))
    hold.wait_arrived()
    return hold


@case.each("RFC 9113 5.1 half-closed (remote)", {
    "DATA": data(1, b"x"),
    "an empty DATA": data(1),
    "DATA with END_STREAM": data(1, b"x", end=True),
    "HEADERS": headers(1, request()),
    "HEADERS as trailers": headers(1, [("x-a", "1")]),
})
def a_frame_behind_end_stream(h2, app, sent):
    half_closed(h2, app)
    h2.send(sent)
    h2.expect_stream_error(1, Code.STREAM_CLOSED, connection=[Code.STREAM_CLOSED])


@case("RFC 9113 5.1 half-closed (remote)")
def continuation_behind_end_stream(h2, app):
    half_closed(h2, app)
    h2.send(continuation(1))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case("RFC 9113 5.1 half-closed (remote)")
def what_may_come_behind_end_stream(h2, app):
    hold = half_closed(h2, app)
    h2.send(window_update(1, 1) + priority_frame(1) + frame(0xee, 0, 1, b"x"))
    h2.expect_alive()
    hold.release()
    h2.expect_response(1, body=b"ok")


@case("RFC 9113 5.1 half-closed (remote)")
def rst_stream_behind_end_stream(h2, app):
    half_closed(h2, app)
    h2.send(rst_stream(1))
    h2.expect_alive()
    h2.get(3)
    assert h2.answers[1].fields is None and h2.answers[1].reset is None


@case("RFC 9113 5.1 half-closed (remote)")
def data_behind_a_request_body(h2, app):
    hold = app.hold("/held")
    h2.open(1, headers(1, post("/held"), end=False) + data(1, b"ab", end=True))
    hold.wait_arrived()
    h2.send(data(1, b"cd", end=True))
    h2.expect_stream_error(1, Code.STREAM_CLOSED, connection=[Code.STREAM_CLOSED])


@case("RFC 9113 5.1 half-closed (remote)")
def data_behind_trailers(h2, app):
    app.hold("/held")
    h2.open(1, headers(1, post("/held"), end=False) + data(1, b"ab") + headers(1, [("x-a", "1")]))
    h2.send(data(1, b"cd", end=True))
    h2.expect_stream_error(1, Code.STREAM_CLOSED, connection=[Code.STREAM_CLOSED])


# ---- closed


def met_after_the_end(h2, app, sent):
    """A frame for a closed stream: a connection error, a stream error, or nothing. The server does
    not forward it, and its header compression and windows stay in step."""
    count = len(app.requests)
    h2.send(sent)
    h2.send(frame(Kind.PING, 0, 0, b"afterend"))
    h2.pump_until(lambda: h2.goaways or h2.ended_by or b"afterend" in h2.pings, "any reaction")
    assert len(app.requests) == count, "it was forwarded"
    if h2.goaways:
        h2.expect_connection_error(*ON_THE_FRAME)
    else:
        h2.get(101)


@case.each("RFC 9113 5.1 closed", {
    "DATA": data(1, b"x"),
    "DATA with END_STREAM": data(1, b"x", end=True),
    "HEADERS": headers(1, request("/again")),
    "HEADERS as trailers": headers(1, [("x-a", "1")]),
})
def a_frame_on_a_stream_that_has_ended(h2, app, sent):
    h2.get(1)
    met_after_the_end(h2, app, sent)


@case.each("RFC 9113 5.1 closed", {
    "DATA": data(1, b"x"),
    "HEADERS": headers(1, request("/again")),
    "HEADERS as trailers": headers(1, [("x-a", "1")]),
})
def a_frame_on_a_stream_that_we_reset(h2, app, sent):
    app.hold("/held")
    h2.open(1, headers(1, post("/held"), end=False) + rst_stream(1))
    h2.expect_alive()
    met_after_the_end(h2, app, sent)


@case.each("RFC 9113 5.1 closed", {
    "DATA": data(1, b"x"),
    "DATA with END_STREAM": data(1, b"x", end=True),
    "HEADERS as trailers": headers(1, [("x-a", "1")]),
    "WINDOW_UPDATE": window_update(1, 1),
    "RST_STREAM": rst_stream(1),
    "a WINDOW_UPDATE that overflows": window_update(1, 2**31 - 1),
})
def a_frame_on_a_stream_that_the_server_reset(h2, sent):
    """The peer may have sent it before it knew."""
    h2.open(1, headers(1, post(more=[("connection", "close")]), end=False))
    h2.expect_refused(1)
    h2.send(sent)
    h2.expect_alive()
    h2.get(3)


@case.each("RFC 9113 5.1 closed", {
    "WINDOW_UPDATE": window_update(1, 1),
    "RST_STREAM": rst_stream(1),
    "PRIORITY": priority_frame(1),
    "a frame of unknown type": frame(0xee, 0, 1),
})
def what_may_come_on_a_closed_stream(h2, sent):
    h2.get(1)
    h2.send(sent)
    h2.expect_alive()
    h2.get(3)


@case("RFC 9113 5.1 closed")
def a_second_rst_stream(h2):
    h2.open(1, headers(1, post(), end=False) + rst_stream(1) + rst_stream(1, Code.NO_ERROR))
    h2.expect_alive()
    h2.get(3)


@case("RFC 9113 5.1 closed")
def continuation_on_a_closed_stream(h2):
    h2.get(1)
    h2.send(continuation(1))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case("RFC 9113 5.1 closed")
def trailers_of_a_reset_stream_still_feed_the_header_table(h2, app):
    h2.open(1, headers(1, post(more=[("connection", "close")]), end=False))
    h2.expect_refused(1)
    h2.send(headers(1, remembered("x-late", "kept")))
    h2.open(3, headers(3, block(request()) + indexed(62)))
    h2.expect_response(3)
    assert app.last().get("x-late") == "kept"


@case("RFC 9113 5.1 closed")
def data_of_reset_streams_gives_the_connection_window_back(h2):
    """More than the window of the connection, on streams that the server has reset."""
    sent = 0
    for stream in range(1, 81, 2):
        h2.open(stream, headers(stream, post(more=[("connection", "close")]), end=False) +
                data(stream, bytes(16_000)) * 2)
        sent += 32_000
        h2.expect_refused(stream)
    h2.pump_until(lambda: h2.credit >= sent / 2, "the window of the connection again")
    h2.open(81, headers(81, post(), end=False) + data(81, bytes(16_000), end=True))
    h2.expect_response(81)


# ---- identifiers


@case("RFC 9113 5.1.1")
def an_even_identifier(h2, app):
    h2.send(headers(2, request()))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert not app.requests


@case("RFC 9113 5.1.1")
def an_identifier_below_the_last_one(h2, app):
    h2.get(5)
    h2.send(headers(3, request("/lower")))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert not app.seen("/lower")


@case("RFC 9113 5.1.1")
def an_identifier_below_one_that_is_open(h2, app):
    half_closed(h2, app, 5)
    h2.send(headers(3, request("/lower")))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert not app.seen("/lower")


@case("RFC 9113 5.1.1")
def an_identifier_twice(h2, app):
    h2.get(1, "/first")
    h2.send(headers(1, request("/second")))
    h2.send(frame(Kind.PING, 0, 0, b"the same"))
    h2.pump_until(lambda: h2.goaways or h2.ended_by or b"the same" in h2.pings, "any reaction")
    assert h2.goaways, "an identifier cannot be used again"
    h2.expect_connection_error(*ON_THE_FRAME)
    assert not app.seen("/second")


@case("RFC 9113 5.1.1")
def identifiers_may_be_left_out(h2):
    for stream in (1, 7, 1001, 2**30 + 1):
        h2.get(stream)


@case("RFC 9113 5.1.1")
def the_last_identifier_of_all(h2):
    h2.get(2**31 - 1)
    h2.expect_alive()


@case.each("RFC 9113 5.1.1", {
    "WINDOW_UPDATE": window_update(3, 1),
    "RST_STREAM": rst_stream(3),
})
def a_stream_that_was_left_out_is_closed(h2, sent):
    h2.get(5)
    h2.send(sent)
    h2.expect_alive()
    h2.get(7)


# ---- concurrency


def limit(h2):
    most = h2.settings[Setting.MAX_CONCURRENT_STREAMS]
    assert most >= 100, "RFC 9113 6.5.2 recommends no less"
    return most


@case("RFC 9113 5.1.2")
def streams_up_to_the_limit(h2, app):
    hold = app.hold("/held")
    streams = range(1, 2 * limit(h2), 2)
    for stream in streams:
        h2.open(stream, headers(stream, request("/held")))
    h2.expect_alive()
    assert all(h2.answers[stream].reset is None for stream in streams)
    hold.release()
    for stream in streams:
        h2.expect_response(stream)


@case("RFC 9113 5.1.2")
def a_stream_above_the_limit(h2, app):
    app.hold("/held")
    last = 2 * limit(h2) + 1
    for stream in range(1, last, 2):
        h2.open(stream, headers(stream, post("/held"), end=False))
    h2.open(last, headers(last, request("/above")))
    h2.expect_stream_error(last, Code.REFUSED_STREAM, Code.PROTOCOL_ERROR,
                           connection=[Code.PROTOCOL_ERROR])
    assert not app.seen("/above")


@case("RFC 9113 5.1.2")
def streams_that_were_reset_make_room(h2, app):
    app.hold("/held")
    most = limit(h2)
    for stream in range(1, 2 * most, 2):
        h2.open(stream, headers(stream, request("/held")) + rst_stream(stream))
    for stream in range(2 * most + 1, 2 * most + 21, 2):
        h2.get(stream)


@case("RFC 9113 5.1.2")
def streams_that_ended_make_room(h2):
    for stream in range(1, 4 * limit(h2), 2):
        h2.get(stream)


# ---- priority


@case.each("RFC 9113 5.3", {
    "in HEADERS": headers(1, request(), priority=dependency(on=1)),
    "in PRIORITY": headers(1, post(), end=False) + priority_frame(1, on=1) + data(1, end=True),
})
def a_stream_that_depends_on_itself(h2, sent):
    """An error of RFC 7540 that RFC 9113 does not know: either is right, but nothing else."""
    h2.open(1, sent)
    answer = h2.answers[1]
    h2.pump_until(lambda: answer.whole or answer.reset is not None or h2.goaways, "any reaction")
    if h2.goaways:
        h2.expect_connection_error(Code.PROTOCOL_ERROR)
    elif answer.reset is not None:
        h2.expect_stream_error(1, Code.PROTOCOL_ERROR)
    else:
        h2.expect_response(1)


# ---- errors


@case("RFC 9113 5.4.1")
def goaway_names_the_last_stream_that_was_taken(h2, app):
    h2.get(1)
    half_closed(h2, app, 7)
    h2.send(data(0, b"x"))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert h2.goaways[-1][0] == 7, h2.goaways


@case("RFC 9113 5.4.1")
def goaway_before_any_stream_names_none(h2):
    h2.send(data(0, b"x"))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert h2.goaways[-1][0] == 0, h2.goaways


@case("RFC 9113 5.4.1")
def what_follows_a_connection_error_is_not_served(h2, app):
    h2.send(data(0, b"x") + headers(1, request("/late")))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert not app.requests


@case("RFC 9113 5.4.2")
def a_stream_error_leaves_the_others_alone(h2, app):
    hold = half_closed(h2, app, 1)
    h2.open(3, headers(3, request(more=[("Upper", "1")])))
    h2.expect_refused(3)
    hold.release()
    h2.expect_response(1)
    h2.get(5)


@case("RFC 9113 5.4.3", begin=True)
def the_connection_ends_within_a_request(h2, app):
    h2.open(1, headers(1, post("/cut"), end=False) + data(1, b"half"))
    h2.expect_alive()
    h2.half_close()
    h2.expect_end()
    assert all(x.body is None for x in app.seen("/cut")), "the origin took a part for the whole"


@case("RFC 9113 5.4.3")
def the_connection_ends_while_a_window_is_shut(h2, app):
    """No WINDOW_UPDATE can follow: there is nothing to wait for."""
    h2.send(h2.own_settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    h2.open(1, headers(1, request()))
    h2.expect_head(1)
    h2.half_close()
    h2.expect_end()
    assert not h2.answers[1].ended


class StreamsTest(ConformanceTest):
    cases = case


if __name__ == "__main__":
    main()
