#!/usr/bin/env python3
"""Header compression: RFC 7541, and what RFC 9113 4.3 says of it."""

import hpack

from lib import main
from lib.h2cases import Cases, ConformanceTest
from lib.h2frames import (
    METHOD_GET, PATH_ROOT, SCHEME_HTTP, STATIC_ENTRIES, Code, Setting, block, continuation, data,
    field, headers, indexed, integer, post, remembered, request, string, table_size)

case = Cases()

FIRST_DYNAMIC = STATIC_ENTRIES + 1
REQUEST = block(request())


def huffman(text):
    raw = hpack.huffman.HuffmanEncoder(hpack.huffman_constants.REQUEST_CODES,
                                       hpack.huffman_constants.REQUEST_CODES_LENGTH)
    coded = raw.encode(text.encode("latin-1"))
    return integer(len(coded), 7, 0x80) + coded


def refused(h2, fragment):
    h2.send(headers(1, fragment))
    h2.expect_connection_error(Code.COMPRESSION_ERROR)


def answered(h2, fragment, stream=1):
    h2.open(stream, headers(stream, fragment))
    return h2.expect_response(stream)


# ---- tables


@case("RFC 7541 2.3.1")
def the_static_table(h2, app):
    answered(h2, indexed(METHOD_GET) + indexed(SCHEME_HTTP) + indexed(PATH_ROOT) +
             integer(1, 4) + string("static.example"))
    assert (app.last().method, app.last().target) == ("GET", "/")
    assert app.last().get("host") == "static.example"


@case.each("RFC 7541 2.3.3", {
    "62, while the dynamic table is empty": FIRST_DYNAMIC,
    "70": 70,
    "127": 127,
    "2^31": 2**31,
})
def an_index_beyond_the_tables(h2, index):
    refused(h2, REQUEST + indexed(index))


@case.each("RFC 7541 2.3.3", {
    "with indexing": 0x40,
    "without indexing": 0x00,
    "never indexed": 0x10,
})
def the_index_of_a_name_beyond_the_tables(h2, pattern):
    bits = 6 if pattern == 0x40 else 4
    refused(h2, REQUEST + integer(FIRST_DYNAMIC, bits, pattern) + string("x"))


@case("RFC 7541 2.3.2")
def the_dynamic_table_lasts_from_request_to_request(h2, app):
    answered(h2, REQUEST + remembered("x-old", "1") + remembered("x-new", "2"))
    answered(h2, REQUEST + indexed(FIRST_DYNAMIC + 1) + indexed(FIRST_DYNAMIC), 3)
    assert (app.last().get("x-old"), app.last().get("x-new")) == ("1", "2")
    answered(h2, REQUEST + integer(FIRST_DYNAMIC, 4) + string("3"), 5)
    assert app.last().get("x-new") == "3", "a name out of the dynamic table"


@case("RFC 7541 2.3.2")
def every_connection_has_its_own_table(h2):
    refused(h2, REQUEST + indexed(FIRST_DYNAMIC))


@case("RFC 7541 4.4")
def entries_are_evicted_in_their_order(h2):
    for number in range(5):  # the fifth evicts the first: 4096 bytes hold four of 1032
        answered(h2, REQUEST + remembered(f"x-{number}", "v" * 997), 2 * number + 1)
    answered(h2, REQUEST + indexed(FIRST_DYNAMIC + 2), 11)
    h2.send(headers(13, REQUEST + indexed(FIRST_DYNAMIC + 4)))
    h2.expect_connection_error(Code.COMPRESSION_ERROR)


@case("RFC 7541 4.4")
def an_entry_larger_than_the_table_empties_it(h2, app):
    answered(h2, REQUEST + remembered("x-a", "1") + remembered("x-large", "v" * 5000))
    assert len(app.last().get("x-large")) == 5000
    h2.send(headers(3, REQUEST + indexed(FIRST_DYNAMIC)))
    h2.expect_connection_error(Code.COMPRESSION_ERROR)


@case("RFC 7541 4.4")
def a_name_whose_own_entry_is_evicted(h2, app):
    answered(h2, REQUEST + remembered("x-a", "v" * 3000))
    answered(h2, REQUEST + integer(FIRST_DYNAMIC, 6, 0x40) + string("w" * 3000), 3)
    assert app.last().get("x-a") == "w" * 3000
    answered(h2, REQUEST + indexed(FIRST_DYNAMIC), 5)
    assert app.last().get("x-a") == "w" * 3000


@case("RFC 7541 2.2")
def a_malformed_request_still_feeds_the_table(h2, app):
    h2.open(1, headers(1, REQUEST + field("Upper", "1") + remembered("x-kept", "yes")))
    h2.expect_refused(1)
    answered(h2, REQUEST + indexed(FIRST_DYNAMIC), 3)
    assert app.last().get("x-kept") == "yes"


@case("RFC 7541 2.2")
def trailers_feed_the_table(h2, app):
    h2.open(1, headers(1, post(), end=False) + data(1, b"x") +
            headers(1, remembered("x-sum", "1")))
    h2.expect_response(1)
    answered(h2, REQUEST + indexed(FIRST_DYNAMIC), 3)
    assert app.last().get("x-sum") == "1"


# ---- size of the dynamic table


@case.each("RFC 7541 4.2", {
    "0": table_size(0),
    "the default": table_size(4096),
    "smaller, then larger": table_size(0) + table_size(4096),
    "in a frame of its own": b"",
})
def a_size_update_before_the_first_field(h2, update):
    if update:
        answered(h2, update + REQUEST)
    else:
        h2.open(1, headers(1, table_size(100), end_headers=False) + continuation(1, REQUEST))
        h2.expect_response(1)
    answered(h2, REQUEST, 3)


@case("RFC 7541 4.3")
def a_size_of_0_empties_the_table(h2):
    answered(h2, REQUEST + remembered("x-a", "1"))
    answered(h2, table_size(0) + table_size(4096) + REQUEST, 3)
    h2.send(headers(5, REQUEST + indexed(FIRST_DYNAMIC)))
    h2.expect_connection_error(Code.COMPRESSION_ERROR)


@case("RFC 7541 4.3")
def nothing_is_remembered_at_size_0(h2):
    answered(h2, table_size(0) + REQUEST + remembered("x-a", "1"))
    h2.send(headers(3, REQUEST + indexed(FIRST_DYNAMIC)))
    h2.expect_connection_error(Code.COMPRESSION_ERROR)


@case.each("RFC 7541 4.2", {
    "after the first field": indexed(METHOD_GET) + table_size(100) + REQUEST,
    "at the end": REQUEST + table_size(4096),
})
def a_size_update(h2, fragment):
    refused(h2, fragment)


@case.each("RFC 7541 6.3", {
    "by one": 1, "by far": 2**30,
})
def a_size_above_what_the_server_allows(h2, more):
    most = h2.settings.get(Setting.HEADER_TABLE_SIZE, 4096)
    refused(h2, table_size(most + more) + REQUEST)


@case.each("RFC 7541 4.2", {"0": 0, "64": 64, "the largest": 2**32 - 1})
def the_server_keeps_to_our_table_size(h2, size):
    h2.get(1)
    h2.send(h2.own_settings((Setting.HEADER_TABLE_SIZE, size)))
    for stream in (3, 5, 7):
        h2.get(stream)


@case("RFC 7541 4.2")
def our_table_size_changes_back_and_forth(h2):
    h2.get(1)
    h2.send(h2.own_settings((Setting.HEADER_TABLE_SIZE, 0)) +
            h2.own_settings((Setting.HEADER_TABLE_SIZE, 4096)))
    h2.get(3)
    h2.get(5)


# ---- integers


@case.each("RFC 7541 5.1", {
    "an index without end": b"\xff" + b"\x80" * 100 + b"\x01",
    "an index above 2^32": b"\xff\xff\xff\xff\xff\x7f",
    "an index above 2^64": b"\xff" + b"\xff" * 10 + b"\x7f",
    "the length of a name": b"\0\x7f\xff\xff\xff\xff\xff\x7f" + b"x" * 50,
    "the length of a value": b"\0\1x\x7f\xff\xff\xff\xff\xff\x7f" + b"x" * 50,
    "a table size": b"\x3f\xff\xff\xff\xff\xff\x7f",
})
def an_integer_overflows(h2, fragment):
    refused(h2, fragment + REQUEST)


@case.each("RFC 7541 5.1", {
    "in an index": b"\xff",
    "in a longer index": b"\xff\x80",
    "in the index of a name": b"\x7f",
    "in the length of a name": b"\0\x7f",
    "in the length of a value": b"\0\1x\x7f\x80",
})
def a_block_ends_within_an_integer(h2, fragment):
    refused(h2, REQUEST + fragment)


@case("RFC 7541 5.1")
def an_integer_longer_than_it_needs_to_be(h2, app):
    answered(h2, REQUEST + b"\0" + string("x-long") + b"\x7f\x81\x80\x00" + b"v" * 128)
    assert app.last().get("x-long") == "v" * 128


# ---- strings


@case.each("RFC 7541 5.2", {
    "a name": b"\0\x05x-a",
    "a value": b"\0\3x-a\x05v",
    "a value that is missing": b"\0\3x-a",
    "a name that is missing": b"\0",
    "a Huffman-coded value": b"\0\3x-a\x85v",
    "a length far beyond": b"\0\3x-a\x7f\xff\xff\x03",
})
def a_block_ends_within(h2, fragment):
    refused(h2, REQUEST + fragment)


@case("RFC 7541 5.2")
def huffman_coded_strings(h2, app):
    value = "".join(chr(c) for c in range(0x21, 0x7f))
    answered(h2, b"".join(b"\0" + huffman(name) + huffman(text)
                          for name, text in request("/coded", more=[("x-all", value)])))
    assert app.last().target == "/coded" and app.last().get("x-all") == value


@case.each("RFC 7541 5.2", {
    "8 bits of padding": b"\x82\x1f\xff",  # 'a' is 5 bits: 00011, and 11 bits of padding
    "padding that is not EOS": b"\x81\x18",
    "padding with its last bit off": b"\x81\x1e",
    "EOS": b"\x84\xff\xff\xff\xff",
    "EOS behind a letter": b"\x85\x1f\xff\xff\xff\xff",
    "EOS before a letter": b"\x85\xff\xff\xff\xfc\x3f",
})
def a_bad_huffman_code(h2, text):
    refused(h2, REQUEST + b"\0" + string("x-coded") + text)


@case.each("RFC 7541 5.2", {
    "8 bits of padding": b"\x82\x1f\xff", "EOS": b"\x84\xff\xff\xff\xff",
})
def a_bad_huffman_code_in_a_name(h2, text):
    refused(h2, REQUEST + b"\0" + text + string("v"))


# ---- representations


@case.each("RFC 7541 6.1", {"alone": indexed(0), "behind a request": REQUEST + indexed(0)})
def index_0(h2, fragment):
    refused(h2, fragment)


@case.each("RFC 7541 6.2", {
    "with indexing": 0x40, "without indexing": 0x00, "never indexed": 0x10,
})
def a_literal(h2, app, pattern):
    answered(h2, REQUEST + bytes([pattern]) + string("x-a") + string("1"))
    assert app.last().get("x-a") == "1"


@case("RFC 7541 6.2.3")
def what_is_never_indexed_stays_out_of_the_table(h2):
    answered(h2, REQUEST + b"\x10" + string("x-secret") + string("1"))
    h2.send(headers(3, REQUEST + indexed(FIRST_DYNAMIC)))
    h2.expect_connection_error(Code.COMPRESSION_ERROR)


@case("RFC 9113 4.3")
def an_empty_header_block_is_a_malformed_request(h2, app):
    h2.open(1, headers(1, b""))
    h2.expect_refused(1)
    assert not app.requests


class HeaderCompressionTest(ConformanceTest):
    cases = case


if __name__ == "__main__":
    main()
