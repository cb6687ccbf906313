#!/usr/bin/env python3
"""SETTINGS, PING and GOAWAY of HTTP/2. RFC 9113 6.5, 6.7, 6.8 and 7."""

from lib import main
from lib.h2cases import Cases, ConformanceTest
from lib.h2frames import (
    ACK, MAX_FRAME, MAX_WINDOW, PREFACE, Code, Kind, Setting, data, frame, goaway, headers, ping,
    post, request, rst_stream, settings, settings_ack)

case = Cases()

# ---- SETTINGS


@case("RFC 9113 6.5")
def settings_on_a_stream(h2):
    h2.open(1, headers(1, post(), end=False) + frame(Kind.SETTINGS, 0, 1))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 6.5", {"6 bytes": bytes(6), "1 byte": b"\0"})
def an_ack_with_a_payload(h2, payload):
    h2.send(frame(Kind.SETTINGS, ACK, 0, payload))
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR)


@case.each("RFC 9113 6.5", {"1 byte": bytes(1), "5 bytes": bytes(5), "7 bytes": bytes(7)})
def settings_of_a_wrong_size(h2, payload):
    h2.send(frame(Kind.SETTINGS, 0, 0, payload))
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR)


@case.each("RFC 9113 6.5.2", {
    "ENABLE_PUSH of 2": (Setting.ENABLE_PUSH, 2, Code.PROTOCOL_ERROR),
    "ENABLE_PUSH of 2^32-1": (Setting.ENABLE_PUSH, 2**32 - 1, Code.PROTOCOL_ERROR),
    "INITIAL_WINDOW_SIZE of 2^31":
        (Setting.INITIAL_WINDOW_SIZE, 2**31, Code.FLOW_CONTROL_ERROR),
    "INITIAL_WINDOW_SIZE of 2^32-1":
        (Setting.INITIAL_WINDOW_SIZE, 2**32 - 1, Code.FLOW_CONTROL_ERROR),
    "MAX_FRAME_SIZE of 0": (Setting.MAX_FRAME_SIZE, 0, Code.PROTOCOL_ERROR),
    "MAX_FRAME_SIZE of 16383": (Setting.MAX_FRAME_SIZE, MAX_FRAME - 1, Code.PROTOCOL_ERROR),
    "MAX_FRAME_SIZE of 2^24": (Setting.MAX_FRAME_SIZE, 2**24, Code.PROTOCOL_ERROR),
})
def an_invalid_value(h2, setting):
    name, value, code = setting
    h2.send(settings((Setting.HEADER_TABLE_SIZE, 4096), (name, value)))
    h2.expect_connection_error(code)


@case.each("RFC 9113 6.5.2", {
    "HEADER_TABLE_SIZE of 2^32-1": (Setting.HEADER_TABLE_SIZE, 2**32 - 1),
    "ENABLE_PUSH of 0": (Setting.ENABLE_PUSH, 0),
    "ENABLE_PUSH of 1": (Setting.ENABLE_PUSH, 1),
    "MAX_CONCURRENT_STREAMS of 0": (Setting.MAX_CONCURRENT_STREAMS, 0),
    "INITIAL_WINDOW_SIZE of 2^31-1": (Setting.INITIAL_WINDOW_SIZE, MAX_WINDOW),
    "MAX_FRAME_SIZE of 16384": (Setting.MAX_FRAME_SIZE, MAX_FRAME),
    "MAX_FRAME_SIZE of 2^24-1": (Setting.MAX_FRAME_SIZE, 2**24 - 1),
    "MAX_HEADER_LIST_SIZE of 2^32-1": (Setting.MAX_HEADER_LIST_SIZE, 2**32 - 1),
    "an unknown setting": (0xfeed, 2**32 - 1),
    "the setting 0": (0, 1),
})
def a_valid_value(h2, setting):
    h2.send(h2.own_settings(setting))
    h2.pump_until(lambda: h2.acknowledged == 2, "ACK of SETTINGS")
    h2.get(1)


@case("RFC 9113 6.5.2")
def an_initial_window_of_0_holds_the_body_back(h2):
    h2.send(h2.own_settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    h2.open(1, headers(1, request()))
    h2.expect_head(1)
    h2.expect_body_bytes(1, 0)
    h2.send(h2.allow(1, 2))
    h2.expect_response(1, body=b"ok")


@case("RFC 9113 6.5.2")
def a_large_response_head_comes_in_frames_of_the_agreed_size(h2, app):
    app.on("/large", lambda x: x.reply(fields=[(f"x-{i}", "v" * 2000) for i in range(20)]))
    answer = h2.get(1, "/large")
    assert answer.get("x-19") == "v" * 2000


@case("RFC 9113 6.5.2")
def a_large_body_comes_in_frames_of_the_agreed_size(h2, app):
    app.on("/large", lambda x: x.reply(body=bytes(60_000)))
    assert max(h2.get(1, "/large").data_frames) <= MAX_FRAME


@case("RFC 9113 6.5.3")
def settings_are_applied_in_their_order(h2):
    h2.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)) +
            h2.own_settings((Setting.INITIAL_WINDOW_SIZE, 100), (Setting.INITIAL_WINDOW_SIZE, 1)))
    h2.open(1, headers(1, request()))
    h2.expect_head(1)
    h2.expect_body_bytes(1, 1)


@case("RFC 9113 6.5.3")
def every_settings_frame_is_acknowledged(h2):
    h2.send(settings((Setting.ENABLE_PUSH, 0)) * 5 + settings() * 5)
    h2.expect_alive()
    assert h2.acknowledged == 11, h2.acknowledged


@case("RFC 9113 6.5.3", begin=False)
def the_ack_comes_before_a_response(h2):
    h2.send(PREFACE)
    h2.open(1, settings() + headers(1, request()))
    h2.pump_until(lambda: h2.answers[1].fields is not None, "a response")
    assert h2.acknowledged == 1


@case("RFC 9113 6.5.3")
def an_ack_is_not_acknowledged(h2):
    """One that nobody waits for may also be called an error."""
    h2.send(settings_ack() + ping(b"afteracks"[:8]))
    h2.pump_until(lambda: h2.goaways or b"afterack" in h2.pings, "any reaction")
    if h2.goaways:
        h2.expect_connection_error(Code.PROTOCOL_ERROR)
    assert h2.acknowledged == 1


@case("RFC 9113 6.5.3", begin=False)
def requests_do_not_wait_for_our_ack(h2):
    h2.answers_settings = False
    h2.begin()
    h2.get(1)


# ---- PING


@case("RFC 9113 6.7")
def ping_is_echoed(h2):
    payloads = [bytes([i]) * 8 for i in range(10)]
    h2.send(b"".join(ping(payload) for payload in payloads))
    h2.pump_until(lambda: len(h2.pings) == 10, "answers to PING")
    assert h2.pings == payloads, h2.pings


@case("RFC 9113 6.7")
def the_ack_of_a_ping_is_not_answered(h2):
    h2.send(ping(b"unasked!", ack=True))
    h2.expect_alive()
    assert b"unasked!" not in h2.pings


@case("RFC 9113 6.7")
def ping_within_a_request(h2, app):
    h2.open(1, headers(1, post(), end=False) + data(1, b"ab"))
    h2.expect_alive()
    h2.send(data(1, b"cd", end=True))
    h2.expect_response(1)
    assert app.last().body == b"abcd"


@case.each("RFC 9113 6.7", {"a ping": 0, "an ACK": ACK})
def ping_on_a_stream(h2, flags):
    h2.open(1, headers(1, post(), end=False) + frame(Kind.PING, flags, 1, bytes(8)))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 6.7", {
    "none": (0, b""), "7 bytes": (0, bytes(7)), "9 bytes": (0, bytes(9)),
    "an ACK of 7 bytes": (ACK, bytes(7)),
})
def ping_of_a_wrong_size(h2, form):
    h2.send(frame(Kind.PING, form[0], 0, form[1]))
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR)


# ---- GOAWAY


@case("RFC 9113 6.8")
def goaway_on_a_stream(h2):
    h2.open(1, headers(1, post(), end=False) + frame(Kind.GOAWAY, 0, 1, bytes(8)))
    h2.expect_connection_error(Code.PROTOCOL_ERROR)


@case.each("RFC 9113 6.8", {"none": b"", "4 bytes": bytes(4), "7 bytes": bytes(7)})
def goaway_of_a_wrong_size(h2, payload):
    h2.send(frame(Kind.GOAWAY, 0, 0, payload))
    h2.expect_connection_error(Code.FRAME_SIZE_ERROR)


@case.each("RFC 9113 6.8", {
    "NO_ERROR": goaway(),
    "debug data": goaway(0, Code.NO_ERROR, b"going home"),
    "an unknown code": goaway(0, 0xdeadbeef),
    "twice": goaway(2**31 - 2) + goaway(0),
})
def goaway_lets_open_streams_finish(h2, app, sent):
    hold = app.hold("/held")
    h2.open(1, headers(1, request("/held")))
    hold.wait_arrived()
    h2.send(sent)
    h2.expect_alive()
    hold.release()
    h2.expect_response(1, body=b"ok")


@case("RFC 9113 6.8")
def goaway_and_our_end(h2):
    h2.get(1)
    h2.send(goaway())
    h2.half_close()
    h2.expect_end()
    assert all(code == Code.NO_ERROR for _, code in h2.goaways), h2.goaways


# ---- codes


@case("RFC 9113 7")
def unknown_codes_mean_nothing_special(h2):
    h2.open(1, headers(1, post(), end=False) + rst_stream(1, 2**32 - 1))
    h2.expect_alive()
    h2.get(3)


class ControlTest(ConformanceTest):
    cases = case


if __name__ == "__main__":
    main()
