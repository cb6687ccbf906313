#!/usr/bin/env python3
"""Fields of HTTP/2 requests: names, values, cookies, pseudo-header fields, and whom a request is
for. RFC 9113 8.2 and 8.3. Nothing of a malformed request reaches the origin."""

from lib import main
from lib.h2cases import Cases, ConformanceTest, malformed, only
from lib.h2frames import data, headers, headers_in_pieces, post, request

case = Cases()

# ---- names and values


@case.each("RFC 9113 8.2.1", {
    "upper case": "X-Upper",
    "one letter in upper case": "x-uppEr",
    "nothing": "",
    "a space": "x a",
    "a space at its end": "x-a ",
    "a tab": "x\ta",
    "a colon": "x:a",
    "a colon at its end": "x-a:",
    "NUL": "x\0a",
    "CR": "x\ra",
    "LF": "x\na",
    "CR LF": "x\r\na",
    "a control character": "x\x01a",
    "DEL": "x\x7fa",
    "a byte above ASCII": "x\xe9",
    "UTF-8": "x\xc3\xa9",
    "a separator": "x(a)",
    "quotes": 'x"a"',
    "a slash": "x/a",
})
def a_name_with(h2, app, name):
    malformed(h2, app, headers(1, request(more=[(name, "1")])))


@case.each("RFC 9113 8.2.1", {
    "NUL": "a\0b",
    "NUL alone": "\0",
    "CR": "a\rb",
    "LF": "a\nb",
    "CR LF": "a\r\nb",
    "CR at its end": "a\r",
    "LF at its beginning": "\na",
    "a space at its beginning": " a",
    "a space at its end": "a ",
    "a tab at its beginning": "\ta",
    "a tab at its end": "a\t",
    "a space alone": " ",
    "a control character": "a\x01b",
    "a vertical tab": "a\x0bb",
    "DEL": "a\x7fb",
})
def a_value_with(h2, app, value):
    malformed(h2, app, headers(1, request(more=[("x-a", value)])))


@case.each("RFC 9113 8.2.1", {
    "nothing": "",
    "a space inside": "a b",
    "a tab inside": "a\tb",
    "bytes above ASCII": "\xc3\xa9\xff",
    "a colon": ":a:b",
    "quotes": '"a, b"; c="d"',
    "65 kB less a little": "v" * 60_000,
})
def a_value_may_have(h2, app, value):
    assert only(h2, app, headers_in_pieces(1, request(more=[("x-a", value)]))).get("x-a") == value


@case.each("RFC 9113 8.2.1", {
    "an upper-case name": ("X-A", "1"),
    "a colon in a name": ("x:a", "1"),
    "CR LF in a value": ("x-a", "1\r\nx-b: 2"),
    "NUL in a value": ("x-a", "\0"),
    "an empty name": ("", "1"),
    "a space before a value": ("x-a", " 1"),
})
def trailers_with(h2, app, field):
    h2.open(1, headers(1, post(), end=False) + data(1, b"ab") + headers(1, [field]))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert all(x.body is None for x in app.seen("/")), "the origin took it for complete"


# ---- connection-specific fields

CONNECTION_SPECIFIC = {
    "connection: close": ("connection", "close"),
    "connection: keep-alive": ("connection", "keep-alive"),
    "connection, empty": ("connection", ""),
    "connection: x-a": ("connection", "x-a"),
    "keep-alive": ("keep-alive", "timeout=5"),
    "proxy-connection": ("proxy-connection", "keep-alive"),
    "transfer-encoding: chunked": ("transfer-encoding", "chunked"),
    "transfer-encoding: identity": ("transfer-encoding", "identity"),
    "upgrade": ("upgrade", "h2c"),
    "te: gzip": ("te", "gzip"),
    "te: trailers, gzip": ("te", "trailers, gzip"),
    "te: trailers;q=0.5": ("te", "trailers;q=0.5"),
}


@case.each("RFC 9113 8.2.2", CONNECTION_SPECIFIC)
def a_connection_specific_field(h2, app, field):
    malformed(h2, app, headers(1, request(more=[field])))


@case.each("RFC 9113 8.2.2", {name: CONNECTION_SPECIFIC[name] for name in
                              ("connection: close", "transfer-encoding: chunked", "upgrade")})
def a_connection_specific_trailer(h2, app, field):
    h2.open(1, headers(1, post(), end=False) + data(1, b"ab") + headers(1, [field]))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert all(x.body is None for x in app.seen("/"))


@case("RFC 9113 8.2.2")
def te_trailers(h2, app):
    only(h2, app, headers(1, request(more=[("te", "trailers")])))


# ---- cookies


@case("RFC 9113 8.2.3")
def cookie_crumbs_are_joined(h2, app):
    seen = only(h2, app, headers(1, request(more=[
        ("cookie", "a=1"), ("x-between", "x"), ("cookie", "b=2"), ("cookie", "c=3; d=4")])))
    assert [value for name, value in seen.fields if name.lower() == "cookie"] == \
        ["a=1; b=2; c=3; d=4"], seen.fields


@case("RFC 9113 8.2.3")
def one_cookie_stays_as_it_is(h2, app):
    seen = only(h2, app, headers(1, request(more=[("cookie", "a=1; b=2")])))
    assert seen.get("cookie") == "a=1; b=2"


# ---- pseudo-header fields


@case.each("RFC 9113 8.3", {
    "an unknown one": [*request(), (":unknown", "1")],
    "one of responses": [*request(), (":status", "200")],
    "no name behind the colon": [*request(), (":", "1")],
    "upper case": [(":METHOD", "GET"), *request(without=[":method"])],
    "behind a regular field": [("x-a", "1"), *request()],
    "the path behind a regular field":
        [*request(without=[":path"]), ("x-a", "1"), (":path", "/")],
    "the authority behind a regular field":
        [*request(without=[":authority"]), ("x-a", "1"), (":authority", "a.example")],
    "the method twice": [*request(), (":method", "GET")],
    "two methods": [*request(), (":method", "POST")],
    "the scheme twice": [*request(), (":scheme", "http")],
    "the path twice": [*request(), (":path", "/")],
    "the authority twice": [*request(), (":authority", "a.example")],
    "two authorities": [*request(), (":authority", "b.example")],
})
def a_pseudo_header_field(h2, app, fields):
    malformed(h2, app, headers(1, fields))


@case.each("RFC 9113 8.3", {
    ":method": (":method", "GET"), ":path": (":path", "/"), ":status": (":status", "200"),
    ":authority": (":authority", "a.example"), "an unknown one": (":unknown", "1"),
})
def a_pseudo_header_field_in_trailers(h2, app, field):
    h2.open(1, headers(1, post(), end=False) + data(1, b"ab") + headers(1, [field]))
    h2.expect_refused(1)
    h2.get(3, "/after")
    assert all(x.body is None for x in app.seen("/"))


@case.each("RFC 9113 8.3.1", {
    "no method": request(without=[":method"]),
    "no scheme": request(without=[":scheme"]),
    "no path": request(without=[":path"]),
    "no pseudo-header field at all": [("x-a", "1"), ("host", "a.example")],
    "an empty method": request(method=""),
    "a method with a space": request(method="GE T"),
    "a method with a separator": request(method="GE(T"),
    "a method with a control character": request(method="GET\x01"),
    "an empty scheme": request(scheme=""),
    "a scheme with a space": request(scheme="ht tp"),
    "a scheme with a slash": request(scheme="http:/"),
    "a scheme that begins with a digit": request(scheme="1http"),
    "an empty path": request(""),
    "a path without a slash": request("a"),
    "a path that is a URL": request("http://a.example/"),
    "a path that begins with a space": request(" /"),
    "a path with a space": request("/a b"),
    "a path with a tab": request("/a\tb"),
    "a path with NUL": request("/a\0b"),
    "a path with CR": request("/a\rb"),
    "a path with LF": request("/a\nb"),
    "a path with DEL": request("/a\x7fb"),
    "a path with a byte above ASCII": request("/\xe9"),
    "a path with a fragment": request("/a#b"),
    "a query alone": request("?a=b"),
    "an asterisk for GET": request("*"),
    "an asterisk for POST": request("*", method="POST"),
    "an asterisk and more": request("*/a", method="OPTIONS"),
})
def a_request_with(h2, app, fields):
    malformed(h2, app, headers(1, fields))


@case.each("RFC 9113 8.3.1", {
    "no authority and no Host": request(without=[":authority"]),
    "an empty authority": request(authority=""),
    "an empty Host alone": request(without=[":authority"], more=[("host", "")]),
    "user information": request(authority="user@a.example"),
    "user information with a password": request(authority="u:p@a.example"),
    "a path in the authority": request(authority="a.example/b"),
    "a space in the authority": request(authority="a example"),
    "a port that is no number": request(authority="a.example:x"),
    "CR LF in the authority": request(authority="a.example\r\nx-a: 1"),
    "NUL in the authority": request(authority="a.example\0"),
    "an authority that is not the Host": request(more=[("host", "b.example")]),
    "a Host with a port that the authority has not": request(more=[("host", "a.example:1")]),
    "two Hosts": request(without=[":authority"], more=[("host", "a"), ("host", "b")]),
    "a Host twice": request(without=[":authority"], more=[("host", "a"), ("host", "a")]),
    "the authority, and a Host twice":
        request(more=[("host", "a.example"), ("host", "b.example")]),
    "user information in the Host": request(without=[":authority"], more=[("host", "u@a")]),
    "a path in the Host": request(without=[":authority"], more=[("host", "a/b")]),
})
def whom_it_is_for(h2, app, fields):
    malformed(h2, app, headers(1, fields))


@case.each("RFC 9113 8.3.1", {
    "the authority alone": request(authority="a.example"),
    "the Host alone": request(without=[":authority"], more=[("host", "a.example")]),
    "both, the same": request(more=[("host", "a.example")]),
    "both, in different case": request(more=[("host", "A.Example")]),
})
def the_origin_is_told_one_host(h2, app, fields):
    seen = only(h2, app, headers(1, fields))
    hosts = [value.lower() for name, value in seen.fields if name.lower() == "host"]
    assert hosts == ["a.example"], seen.fields


@case.each("RFC 9113 8.3.1", {
    "a port": "a.example:8080", "an IPv4 address": "192.0.2.1", "an IPv6 address": "[2001:db8::1]",
    "an IPv6 address and a port": "[2001:db8::1]:443",
})
def an_authority_may_have(h2, app, authority):
    assert only(h2, app, headers(1, request(authority=authority))).get("host") == authority


@case("RFC 9113 8.3.1")
def options_for_everything(h2, app):
    seen = only(h2, app, headers(1, request("*", method="OPTIONS")))
    assert (seen.method, seen.target) == ("OPTIONS", "*")


@case.each("RFC 9113 8.3.1", {
    "a query": "/a?b=c&d", "an empty query": "/a?", "escapes": "/a%20b", "two slashes": "/a//b",
    "question marks": "/a?b?c", "a colon": "/a:b", "an at": "/@a",
})
def a_path_with(h2, app, path):
    assert only(h2, app, headers(1, request(path))).target.replace("//", "/") == \
        path.replace("//", "/")


@case("RFC 9110 9.1")
def methods_keep_their_case(h2, app):
    assert only(h2, app, headers(1, request(method="pOsT"))).method == "pOsT"


class FieldsTest(ConformanceTest):
    cases = case


if __name__ == "__main__":
    main()
