#!/usr/bin/env python3
"""Messages in HTTP/2: CONNECT, lengths, trailers, interim responses, and what is cut. RFC 9113 8.1
and 8.5. Nothing of a malformed request is complete for the origin."""

from lib import main, wait_until
from lib.h2cases import Cases, ConformanceTest, malformed, only
from lib.h2frames import Code, data, headers, post, request, rst_stream

case = Cases()

# ---- CONNECT

CONNECT = {"method": "CONNECT", "without": [":scheme", ":path"]}


@case.each("RFC 9113 8.5", {
    "with a path": request(method="CONNECT", authority="a:1", without=[":scheme"]),
    "with a scheme": request(method="CONNECT", authority="a:1", without=[":path"]),
    "with both": request(method="CONNECT", authority="a:1"),
    "without an authority": request(method="CONNECT", without=[":scheme", ":path", ":authority"]),
    "with an empty authority": request(authority="", **CONNECT),
    "with a Host alone": request(method="CONNECT", without=[":scheme", ":path", ":authority"],
                                 more=[("host", "a:1")]),
    "with a protocol that was not offered":
        request(method="CONNECT", authority="a:1") + [(":protocol", "websocket")],
})
def connect(h2, app, fields):
    malformed(h2, app, headers(1, fields))


@case("RFC 9113 8.5")
def connect_where_it_is_not_allowed(h2, app):
    h2.open(1, headers(1, request(authority="a:1", **CONNECT), end=False))
    answer = h2.answers[1]
    h2.pump_until(lambda: answer.whole or answer.reset is not None, "a refusal")
    assert answer.fields is None or 400 <= answer.status < 600, answer
    h2.expect_alive()
    assert not app.requests


@case("RFC 8441 3")
def protocol_without_connect(h2, app):
    malformed(h2, app, headers(1, [*request(without=[":path"]), (":protocol", "websocket"),
                                   (":path", "/")]))


# ---- lengths


@case.each("RFC 9113 8.1.1", {
    "too short by one": ("4", b"hello"),
    "too long by one": ("6", b"hello"),
    "too long by far": ("9223372036854775807", b"hello"),
    "without a body": ("5", b""),
})
def a_content_length_that_is(h2, app, form):
    length, body = form
    h2.open(1, headers(1, post("/lie", more=[("content-length", length)]), end=False) +
            data(1, body, end=True))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert [x.target for x in app.requests if x.body is not None] == ["/after"], app.requests


@case("RFC 9113 8.1.1")
def a_content_length_where_the_head_is_the_end(h2, app):
    malformed(h2, app, headers(1, post(more=[("content-length", "5")])))


@case("RFC 9113 8.1.1")
def a_content_length_that_several_frames_exceed(h2, app):
    h2.open(1, headers(1, post("/lie", more=[("content-length", "5")]), end=False) +
            data(1, b"abc") + data(1, b"def") + data(1, b"ghi", end=True))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert [x.target for x in app.requests if x.body is not None] == ["/after"], app.requests


@case("RFC 9113 8.1.1")
def a_content_length_that_trailers_cut_short(h2, app):
    h2.open(1, headers(1, post("/lie", more=[("content-length", "5")]), end=False) +
            data(1, b"abc") + headers(1, [("x-sum", "1")]))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert [x.target for x in app.requests if x.body is not None] == ["/after"], app.requests


@case.each("RFC 9110 8.6", {
    "two": [("content-length", "5"), ("content-length", "6")],
    "two, the same": [("content-length", "5"), ("content-length", "5")],
    "a list": [("content-length", "5, 5")],
    "a sign": [("content-length", "+5")],
    "negative": [("content-length", "-5")],
    "hexadecimal": [("content-length", "0x5")],
    "empty": [("content-length", "")],
    "a space inside": [("content-length", "5 0")],
    "letters": [("content-length", "five")],
    "a point": [("content-length", "5.0")],
    "2^63": [("content-length", "9223372036854775808")],
    "2^64 and 5": [("content-length", "18446744073709551621")],
})
def a_bad_content_length(h2, app, fields):
    malformed(h2, app, headers(1, post(more=fields), end=False) + data(1, b"hello", end=True))


@case("RFC 9110 8.6")
def a_content_length_that_is_true(h2, app):
    seen = only(h2, app, headers(1, post(more=[("content-length", "5")]), end=False) +
                data(1, b"he") + data(1, b"llo", end=True))
    assert (seen.body, seen.get("content-length")) == (b"hello", "5")


# ---- the form of a request


@case.each("RFC 9113 8.1", {
    "behind a body": data(1, b"ab") + headers(1, [("x-sum", "1")], end=False),
    "at once": headers(1, [("x-sum", "1")], end=False),
})
def trailers_without_end_stream(h2, app, rest):
    h2.open(1, headers(1, post(), end=False) + rest)
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert all(x.body is None for x in app.seen("/"))


@case("RFC 9113 8.1")
def a_second_request_on_a_stream(h2, app):
    h2.open(1, headers(1, post("/one"), end=False) + headers(1, post("/two")))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert not app.seen("/two")
    assert all(x.body is None for x in app.seen("/one"))


@case("RFC 9113 8.1")
def trailers_reach_the_origin(h2, app):
    seen = only(h2, app, headers(1, post(more=[("trailer", "x-sum")]), end=False) +
                data(1, b"ab") + headers(1, [("x-sum", "1"), ("x-other", "2")]))
    assert seen.body == b"ab" and seen.trailers == [("x-sum", "1"), ("x-other", "2")]


@case("RFC 9113 8.1")
def trailers_without_a_body(h2, app):
    seen = only(h2, app, headers(1, post(), end=False) + headers(1, [("x-sum", "1")]))
    assert seen.body == b""


@case("RFC 9113 8.1")
def a_response_before_the_request_has_ended(h2, app):
    def early(x):
        x.send("HTTP/1.1 200 Early\r\nContent-Length: 5\r\n\r\nearly")
        x.wait_for_end()
    app.on("/early", early)
    h2.open(1, headers(1, post("/early"), end=False) + data(1, b"ab"))
    h2.expect_response(1, body=b"early")
    h2.expect_alive()
    assert h2.answers[1].reset in (None, Code.NO_ERROR)
    h2.get(3)


@case("RFC 9113 8.1")
def trailers_of_a_response(h2, app):
    app.on("/t", lambda x: x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"))
    answer = h2.get(1, "/t")
    assert answer.body == b"ok" and answer.trailers == [("x-sum", "1")], answer


@case("RFC 9113 8.1")
def interim_responses_come_before_the_final_one(h2, app):
    def hint(x):
        x.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        x.reply()
    app.on("/hint", hint)
    answer = h2.get(1, "/hint")
    assert [dict(fields)[":status"] for fields in answer.interim] == ["103", "102"], answer.interim


@case("RFC 9113 8.6")
def switching_protocols_does_not_exist(h2, app):
    app.on("/switch", lambda x: (x.send("HTTP/1.1 101 Switching Protocols\r\n"
                                        "Connection: upgrade\r\nUpgrade: a\r\n\r\n"),
                                 x.wait_for_end()))
    h2.open(1, headers(1, request("/switch")))
    h2.expect_response(1, 502)


@case("RFC 9110 9.3.2")
def head_has_no_body(h2):
    h2.open(1, headers(1, request(method="HEAD")))
    answer = h2.expect_response(1)
    assert not answer.body and answer.get("content-length") == "2", answer


@case.each("RFC 9110 6.4.1", {"204": 204, "304": 304})
def a_status_without_a_body(h2, app, status):
    app.on("/none", lambda x: x.reply(status))
    h2.open(1, headers(1, request("/none")))
    assert not h2.expect_response(1, status).body


@case("RFC 9110 10.1.1")
def expect_100_continue(h2, app):
    app.on("/", lambda x: (x.send("HTTP/1.1 100 Continue\r\n\r\n"), x.reply()))
    h2.open(1, headers(1, post(more=[("expect", "100-continue")]), end=False))
    h2.pump_until(lambda: h2.answers[1].interim, "100 Continue")
    assert dict(h2.answers[1].interim[0])[":status"] == "100"
    h2.send(data(1, b"hello", end=True))
    h2.expect_response(1)
    assert app.last().body == b"hello"


@case("RFC 9113 8.2.2")
def connection_fields_of_the_origin_stay_there(h2, app):
    app.on("/hop", lambda x: x.reply(fields=[
        ("Connection", "x-hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"), ("Upgrade", "h2c"), ("X-End", "1")]))
    answer = h2.get(1, "/hop")  # the judge of frames looks for the others
    assert answer.get("x-hop") is None and answer.get("x-end") == "1", answer


@case("RFC 9113 8.2")
def names_of_the_origin_are_sent_in_lower_case(h2, app):
    app.on("/upper", lambda x: x.reply(fields=[("X-UPPER-Case", "Kept")]))
    assert h2.get(1, "/upper").get("x-upper-case") == "Kept"


# ---- responses that are cut


@case.each("RFC 9113 8.1.1", {
    "by its length": "Content-Length: 9\r\n\r\nhalf",
    "within a chunk": "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    "between chunks": "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
})
def a_response_that_is_cut_is_reset(h2, app, rest):
    def cut(x):
        x.send("HTTP/1.1 200 OK\r\n" + rest)
        x.close()
    app.on("/cut", cut)
    h2.open(1, headers(1, request("/cut")))
    answer = h2.answers[1]
    h2.pump_until(lambda: answer.ended or answer.reset is not None, "an end")
    assert not answer.ended, "a part was passed off as the whole"
    assert answer.reset != Code.NO_ERROR, answer
    h2.expect_alive()
    h2.get(3)


@case.each("RFC 9113 8.1.1", {
    "a reset": lambda h2: h2.send(rst_stream(1)),
    "the end of the connection": lambda h2: h2.close(),
})
def a_request_that_is_cut_by(h2, app, cut):
    received = []
    app.on("/cut", lambda x: received.append(x.wait_for_end()))
    h2.open(1, headers(1, post("/cut"), end=False) + data(1, b"half"))
    wait_until(lambda: app.seen("/cut"), "the request is at the origin")
    cut(h2)
    wait_until(lambda: received, "the origin is told")
    assert not received[0].endswith(b"0\r\n\r\n"), "a part was passed off as the whole"


class MessagesTest(ConformanceTest):
    cases = case


if __name__ == "__main__":
    main()
