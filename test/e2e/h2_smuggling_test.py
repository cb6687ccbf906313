#!/usr/bin/env python3
"""What HTTP/2 can carry and HTTP/1.1 cannot: a request to the one must never become two to the
other, nor gain a field. The origin is HTTP/1.1 and reads strictly; it is asked what it saw."""

from lib import Broken, main, wait_until
from lib.h2cases import Cases, ConformanceTest
from lib.h2frames import data, headers, headers_in_pieces, post, request

case = Cases()

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"

# ---- text that would end a line, or a head

BREAKS = {
    "CR LF": "\r\nx-gained: 1",
    "CR LF and an end": "\r\n\r\n" + SMUGGLED,
    "LF": "\nx-gained: 1",
    "LF LF": "\n\n" + SMUGGLED,
    "CR": "\rx-gained: 1",
    "NUL and CR LF": "\0\r\nx-gained: 1",
}


def nothing(h2, app, fields):
    h2.open(1, headers_in_pieces(1, fields))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert [x.target for x in app.requests] == ["/after"], app.requests
    assert b"gained" not in app.last().head


@case.each("in a value", BREAKS)
def value(h2, app, text):
    nothing(h2, app, request(more=[("x-a", "1" + text)]))


@case.each("in a name", BREAKS)
def name(h2, app, text):
    nothing(h2, app, request(more=[("x-a" + text, "1")]))


@case.each("in :path", BREAKS)
def path(h2, app, text):
    nothing(h2, app, request("/a" + text))


@case.each("in :path", {
    "a version": " HTTP/1.1",
    "a version and a field": " HTTP/1.1\r\nx-gained: 1",
    "a version and a request": " HTTP/1.1\r\nHost: a.example\r\n\r\n" + SMUGGLED,
    "HTTP/0.9": " ",
    "a tab": "\tHTTP/1.1",
    "a form feed": "\x0cHTTP/1.1",
    "a no-break space": "\xa0HTTP/1.1",
})
def path_and(h2, app, text):
    nothing(h2, app, request("/a" + text))


@case.each("in :method", BREAKS | {
    "a target": " /smuggled",
    "a request line": " /smuggled HTTP/1.1",
    "a request": " /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET",
    "a tab": "\t/smuggled",
})
def method(h2, app, text):
    nothing(h2, app, request(method="GET" + text))


@case.each("in :authority", BREAKS | {
    "a space": " b", "a path": "/smuggled", "a query": "?a", "a fragment": "#a", "user": "@b",
"a backslash": "\\b", "an open bracket": "[", "a quote": '"',
})
def authority(h2, app, text):
    nothing(h2, app, request(authority="a" + text))


@case.each("in :scheme", BREAKS | {
    "a URL": "://b.example/?", "a space": " ", "a path": "/", "a colon": ":",
})
def scheme(h2, app, text):
    nothing(h2, app, request(scheme="http" + text))


@case.each("in cookie", BREAKS)
def cookie(h2, app, text):
    nothing(h2, app, request(more=[("cookie", "a=1"), ("cookie", "b=2" + text)]))


@case.each("in host", BREAKS)
def host(h2, app, text):
    nothing(h2, app, request(without=[":authority"], more=[("host", "a.example" + text)]))


@case.each("in content-length", BREAKS)
def content_length(h2, app, text):
    nothing(h2, app, post(more=[("content-length", "0" + text)]))


@case.each("in te", BREAKS)
def te(h2, app, text):
    nothing(h2, app, request(more=[("te", "trailers" + text)]))


@case.each("in expect", BREAKS)
def expect(h2, app, text):
    nothing(h2, app, request(more=[("expect", "100-continue" + text)]))


# ---- fields that would change the framing


@case.each("framing fields", {
    "transfer-encoding": [("transfer-encoding", "chunked")],
    "transfer-encoding in capitals": [("Transfer-Encoding", "chunked")],
    "transfer-encoding, hidden": [("transfer-encoding ", "chunked")],
    "transfer-encoding behind a colon": [("transfer-encoding:", "chunked")],
    "transfer-encoding and a length": [("content-length", "5"), ("transfer-encoding", "chunked")],
    "connection names the length": [("connection", "content-length"), ("content-length", "5")],
    "a length, behind a sign": [("content-length", "+5")],
    "two lengths": [("content-length", "0"), ("content-length", "5")],
    "an upgrade": [("upgrade", "websocket"), ("connection", "upgrade")],
    "HTTP/2 to come": [("http2-settings", "AAMAAABk"), ("upgrade", "h2c")],
})
def framing(h2, app, fields):
    h2.open(1, headers(1, post(more=fields), end=False) + data(1, b"0\r\n\r\n", end=True))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert [x.target for x in app.requests] == ["/after"], app.requests


BODY = b"0\r\n\r\n" + SMUGGLED.encode()


def one_with_body(h2, app, sent, body):
    """One request, with this body and not a byte more, and nothing behind it."""
    h2.open(1, sent)
    h2.expect_response(1)
    h2.get(3, "/after")
    assert [x.path for x in app.requests] == ["/", "/after"], app.requests
    assert app.requests[0].body == body, app.requests[0].body


@case.each("bodies", {
    "of POST": post(),
    "of GET": request(),
    "of DELETE": request(method="DELETE"),
    "of HEAD": request(method="HEAD"),
    "of OPTIONS": request(method="OPTIONS"),
    "with a length": post(more=[("content-length", str(len(BODY)))]),
    "with te": post(more=[("te", "trailers")]),
})
def what_looks_like_a_request(h2, app, fields):
    one_with_body(h2, app, headers(1, fields, end=False) + data(1, BODY, end=True), BODY)


@case("bodies")
def one_byte_at_a_time(h2, app):
    sent = b"".join(data(1, BODY[i:i + 1]) for i in range(len(BODY)))
    one_with_body(h2, app, headers(1, post(), end=False) + sent + data(1, end=True), BODY)


@case("bodies")
def with_padding_and_empty_frames(h2, app):
    sent = b"".join(data(1, BODY[i:i + 3], padding=i) + data(1) for i in range(0, len(BODY), 3))
    one_with_body(h2, app, headers(1, post(), end=False) + sent + data(1, end=True, padding=9),
                  BODY)


@case("bodies")
def with_trailers(h2, app):
    one_with_body(h2, app, headers(1, post(), end=False) + data(1, BODY) +
                  headers(1, [("x-sum", "1")]), BODY)


@case.each("bodies", {"of GET": "GET", "of POST": "POST", "of PUT": "PUT", "of DELETE": "DELETE"})
def none(h2, app, method_name):
    """A request without a body must not leave the origin waiting for one."""
    one_with_body(h2, app, headers(1, request(method=method_name)), b"")
    assert app.requests[0].get("transfer-encoding") is None, app.requests[0]


@case.each("bodies", {"of GET": "GET", "of POST": "POST"})
def an_empty_one(h2, app, method_name):
    one_with_body(h2, app, headers(1, request(method=method_name), end=False) + data(1, end=True),
                  b"")


@case.each("lengths and bodies", {
    "longer": (str(len(BODY) - 1), True),
    "far longer": ("5", True),
    "longer than none": ("0", True),
    "shorter": (str(len(BODY) + 1), True), "longer, open": ("5", False),
    "longer than none, open": ("0", False),
})
def a_body_that_is(h2, app, form):
    length, end = form
    h2.open(1, headers(1, post("/lie", more=[("content-length", length)]), end=False) +
            data(1, BODY, end=end))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert [x.path for x in app.requests if x.path != "/lie"] == ["/after"], app.requests
    # One that announces no body is complete with its head.
    assert all(x.body is None or length == "0" for x in app.seen("/lie")), "it never was complete"


@case("lengths and bodies")
def a_body_that_exceeds_its_length_later(h2, app):
    """The part that fits may be taken for the whole; the rest must not be taken for a request."""
    h2.open(1, headers(1, post("/lie", more=[("content-length", "5")]), end=False) +
            data(1, b"hello"))
    wait_until(lambda: app.seen("/lie"), "the request is at the origin")
    h2.send(data(1, SMUGGLED.encode(), end=True))
    answer = h2.answers[1]
    h2.pump_until(lambda: answer.reset is not None or answer.whole, "an end")
    h2.get(3, "/after")
    assert {x.path for x in app.requests} == {"/lie", "/after"}, app.requests


# ---- trailers


@case.each("trailers", {
    "content-length": ("content-length", "100"),
    "host": ("host", "b.example"),
    "authorization": ("authorization", "none"),
    "trailer": ("trailer", "x-a"),
    "content-type": ("content-type", "text/evil"),
})
def that_must_not_be_merged(h2, app, field):
    """RFC 9110 6.5.1. Refused, or passed on as the trailer it is, or dropped: never a header."""
    h2.open(1, headers(1, post(), end=False) + data(1, b"ab") + headers(1, [field]))
    answer = h2.answers[1]
    h2.pump_until(lambda: answer.reset is not None or answer.whole, "an end")
    h2.get(3, "/after")
    for seen in app.seen("/"):
        assert seen.get(field[0]) != field[1], seen
        if field[0] in ("content-length", "host"):
            assert all(name.lower() != field[0] for name, _ in seen.trailers), seen.trailers


@case.each("trailers", {
    "transfer-encoding": ("transfer-encoding", "chunked"),
    "CR LF": ("x-a", "1\r\n\r\n" + SMUGGLED),
    "CR LF in a name": ("x-a: 1\r\n\r\n" + SMUGGLED, "1"),
})
def that_would_end_the_body(h2, app, field):
    h2.open(1, headers(1, post(), end=False) + data(1, b"ab") + headers(1, [field]))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert all(x.body is None for x in app.seen("/"))
    assert not app.seen("/smuggled")


# ---- what the proxy adds is the proxy's


@case("fields of the proxy")
def a_client_cannot_forge_where_it_comes_from(h2, app):
    h2.get(1, more=[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "b.example")])
    seen = app.last()
    assert seen.get("x-forwarded-for") == "127.0.0.1", seen
    assert seen.get("x-forwarded-proto") == "http", seen
    assert seen.get("x-forwarded-host") in (None, "a.example"), seen


@case("fields of the proxy")
def a_scheme_does_not_make_a_connection_secure(h2, app):
    h2.get(1, scheme="https")
    assert app.last().get("x-forwarded-proto") == "http", app.last()


@case("fields of the proxy")
def pseudo_header_fields_do_not_leak(h2, app):
    h2.get(1)
    assert not any(name.startswith(":") for name, _ in app.last().fields), app.last()
    assert app.last().version == "HTTP/1.1"


# ---- the way back


@case.each("the way back", {
    "a bare LF": "HTTP/1.1 200 OK\r\nX-A: 1\nX-Gained: 1\r\nContent-Length: 0\r\n\r\n",
    "a bare CR": "HTTP/1.1 200 OK\r\nX-A: 1\rX-Gained: 1\r\nContent-Length: 0\r\n\r\n",
    "NUL": "HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n",
    "a folded line": "HTTP/1.1 200 OK\r\nX-A: 1\r\n X-Gained: 1\r\nContent-Length: 0\r\n\r\n",
    "a name with a space": "HTTP/1.1 200 OK\r\nX A: 1\r\nContent-Length: 0\r\n\r\n",
    "a pseudo-header field": "HTTP/1.1 200 OK\r\n:status: 200\r\nContent-Length: 0\r\n\r\n",
    "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\nx",
})
def a_response_with(h2, app, text):
    def answer(x):
        try:
            x.send(text)
            x.wait_for_end()
        except (Broken, OSError):
            pass
    app.on("/bad", answer)
    h2.open(1, headers(1, request("/bad")))
    h2.expect_response(1, 502)
    h2.expect_alive()
    h2.get(3)


class SmugglingTest(ConformanceTest):
    cases = case

    def judge(self, h2):
        self.assertEqual([], self.app.seen("/smuggled"))


if __name__ == "__main__":
    main()
