// The parser's contract as tables: what is refused and why, what is taken and how it is told. Every
// entry is also fed byte by byte and cut in two at every place, which must make no difference.

#include "http/h1_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "fuzz/h1_transcript.h"

namespace sluice {
namespace {

using test::CheckAllCuts;
using test::H1Transcript;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Side = H1Transcript::Side;
using namespace std::string_literals;  // NOLINT: literals that hold NUL

constexpr char kEnd[] = "\r\n\r\n";

std::string Told(Side side, std::string_view input, const HttpLimits& limits = {}) {
  H1Transcript transcript(side, limits);
  transcript.Feed(input);
  for (size_t cut = 0; cut <= input.size(); ++cut) CheckAllCuts(side, limits, input, cut);
  return transcript.text();
}

struct Case {
  std::string input;
  std::string told;
};

std::string Get(std::string_view fields) {
  return "GET / HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + kEnd;
}

std::string GetFrom(std::string_view host) {
  return "GET / HTTP/1.1\r\nHost: " + std::string(host) + kEnd;
}

std::string Line(std::string_view line) { return std::string(line) + "\r\nHost: h" + kEnd; }

std::string Chunked(std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked" + std::string(kEnd) +
         std::string(body);
}

constexpr char kChunkedHead[] = "POST http://h/ 1.1 keep-alive chunked\n";

// ---- requests that are refused ----

class RefusedRequest : public ::testing::TestWithParam<Case> {};

TEST_P(RefusedRequest, AtTheHead) {
  EXPECT_EQ(Told(Side::kRequests, GetParam().input), GetParam().told + "\n") << GetParam().input;
}

INSTANTIATE_TEST_SUITE_P(
    RequestLine, RefusedRequest,
    ::testing::Values(
        Case{Line("GET  / HTTP/1.1"), "400 target"}, Case{Line("GET /  HTTP/1.1"), "400 target"},
        Case{Line("GET / x HTTP/1.1"), "400 target"}, Case{Line("GET\t/ HTTP/1.1"), "400 method"},
        Case{Line("GET /\tHTTP/1.1"), "400 request_line"},
        Case{Line("GET /\tx HTTP/1.1"), "400 target"}, Case{Line("GET / HTTP/1.1 "), "400 version"},
        Case{Line("GET /"), "400 request_line"}, Case{Line("GET"), "400 request_line"},
        Case{Line(" GET / HTTP/1.1"), "400 request_line"},
        Case{Line("G(T / HTTP/1.1"), "400 method"}, Case{Line("G\xc3T / HTTP/1.1"), "400 method"},
        Case{Line("get / HTTP/1.1"), "501 method"}, Case{Line("GETX / HTTP/1.1"), "501 method"},
        Case{Line("G / HTTP/1.1"), "501 method"}, Case{Line("BREW / HTTP/1.1"), "501 method"},
        Case{Line("DESCRIBE / HTTP/1.1"), "501 method"},  // RTSP's
        Case{Line("PLAY / RTSP/1.0"), "400 version"}, Case{Line("GET / ICE/1.0"), "400 version"},
        Case{Line("GET / http/1.1"), "400 version"}, Case{Line("GET / HTTP/11"), "400 version"},
        Case{Line("GET / HTTP/1.10"), "400 version"}, Case{Line("GET / HTTP/1."), "400 version"},
        Case{Line("GET / HTTP/0.9"), "505 version"}, Case{Line("GET / HTTP/1.2"), "505 version"},
        Case{Line("GET / HTTP/2.0"), "505 version"}, Case{Line("GET / HTTP/9.9"), "505 version"},
        Case{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 version"}));

INSTANTIATE_TEST_SUITE_P(
    Target, RefusedRequest,
    ::testing::Values(Case{Line("GET x HTTP/1.1"), "400 target"},
                      Case{Line("GET /a#b HTTP/1.1"), "400 target"},
                      Case{Line("GET /\xc3\xa4 HTTP/1.1"), "400 target"},
                      Case{Line("GET * HTTP/1.1"), "400 target"},
                      Case{Line("OPTIONS *x HTTP/1.1"), "400 target"},
                      Case{Line("GET a.example:80 HTTP/1.1"), "400 target"},
                      Case{Line("GET ftp://a.example/ HTTP/1.1"), "400 target"},
                      Case{Line("GET http:/a.example/ HTTP/1.1"), "400 target"},
                      Case{Line("GET http:///x HTTP/1.1"), "400 target"},
                      Case{Line("GET http://user@a.example/ HTTP/1.1"), "400 target"},
                      Case{Line("GET http://a.example:x/ HTTP/1.1"), "400 target"},
                      Case{Line("CONNECT / HTTP/1.1"), "400 target"},
                      Case{Line("CONNECT a.example HTTP/1.1"), "400 target"},
                      Case{Line("CONNECT a.example: HTTP/1.1"), "400 target"},
                      Case{Line("CONNECT a.example:0 HTTP/1.1"), "400 target"},
                      Case{Line("CONNECT a.example:65536 HTTP/1.1"), "400 target"},
                      Case{Line("CONNECT http://a.example:80 HTTP/1.1"), "400 target"}));

INSTANTIATE_TEST_SUITE_P(
    LineDiscipline, RefusedRequest,
    ::testing::Values(Case{"GET / HTTP/1.1\nHost: h\n\n", "400 bare_lf"},
                      Case{"GET / HTTP/1.1\r\nHost: h\n\r\n", "400 bare_lf"},
                      Case{"GET / HTTP/1.1\r\nHost: h\r\n\n", "400 bare_lf"},
                      Case{"GET / HTTP/1.1\r\nHost: h\n\n", "400 bare_lf"},
                      Case{"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400 bare_lf"},
                      Case{"GET / HTTP/1.1\rHost: h\r\n\r\n", "400 bare_cr"},
                      Case{"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", "400 bare_cr"},
                      Case{Get("A: b\rc"), "400 bare_cr"}, Case{Get("A: b\r"), "400 bare_cr"},
                      Case{"GET / HTTP/1.1\r\nHost: h\r\n\rX: y\r\n\r\n", "400 bare_cr"},
                      Case{"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400 bare_cr"},
                      Case{Get("A: b\r\n c"), "400 obs_fold"},
                      Case{Get("A: b\r\n\tc"), "400 obs_fold"}, Case{Get(" A: b"), "400 obs_fold"},
                      Case{"GET / HTTP/1.1\r\n Host: h\r\n\r\n", "400 obs_fold"},
                      Case{"GET / HTTP/1.1\r\nHost: h\r\n \r\n\r\n", "400 obs_fold"},
                      Case{Get("A: b\0c"s), "400 control_character"},
                      Case{Get("A: b\x7f"), "400 control_character"},
                      Case{Get("A: b\x0b"), "400 control_character"},
                      Case{Get("A\0: b"s), "400 control_character"},
                      Case{"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", "400 control_character"},
                      Case{"\x16\x03\x01\x02"s, "400 control_character"},  // TLS
                      Case{"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1", "400 request_line"}));

INSTANTIATE_TEST_SUITE_P(
    Field, RefusedRequest,
    ::testing::Values(Case{Get("A : b"), "400 header_field"}, Case{Get(": b"), "400 header_field"},
                      Case{Get("A\t: b"), "400 header_field"}, Case{Get("A"), "400 header_field"},
                      Case{Get("A b: c"), "400 header_field"},
                      Case{Get("\xc3\xa4: c"), "400 header_field"},
                      Case{Get("Content-Length : 3"), "400 header_field"},
                      Case{Get("Transfer-Encoding : chunked"), "400 header_field"}));

INSTANTIATE_TEST_SUITE_P(
    Host, RefusedRequest,
    ::testing::Values(Case{"GET / HTTP/1.1\r\n\r\n", "400 host"},
                      Case{"GET http://a.example/ HTTP/1.1\r\n\r\n", "400 host"},
                      Case{Get("Host: h"), "400 host"}, Case{Get("hOST: other"), "400 host"},
                      Case{"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400 host"},
                      Case{GetFrom(""), "400 host"}, Case{GetFrom("a b"), "400 host"},
                      Case{GetFrom("a/b"), "400 host"}, Case{GetFrom("a?b"), "400 host"},
                      Case{GetFrom("a@b"), "400 host"}, Case{GetFrom("a\\b"), "400 host"},
                      Case{GetFrom("a%2"), "400 host"}, Case{GetFrom("a%zz"), "400 host"},
                      Case{GetFrom("a\xc3\xa4"), "400 host"}, Case{GetFrom(":80"), "400 host"},
                      Case{GetFrom("a:b"), "400 host"}, Case{GetFrom("a:80:80"), "400 host"},
                      Case{GetFrom("a:65536"), "400 host"}, Case{GetFrom("a:+80"), "400 host"},
                      Case{GetFrom("[::1"), "400 host"}, Case{GetFrom("[::1]x"), "400 host"},
                      Case{GetFrom("[fe80::1%25eth0]"), "400 host"},
                      Case{GetFrom("[]"), "400 host"}, Case{GetFrom("::1"), "400 host"}));

INSTANTIATE_TEST_SUITE_P(
    ContentLength, RefusedRequest,
    ::testing::Values(Case{Get("Content-Length: +3"), "400 content_length"},
                      Case{Get("Content-Length: -3"), "400 content_length"},
                      Case{Get("Content-Length: 0x3"), "400 content_length"},
                      Case{Get("Content-Length: 3a"), "400 content_length"},
                      Case{Get("Content-Length: 3 3"), "400 content_length"},
                      Case{Get("Content-Length: 3, 3"), "400 content_length"},
                      Case{Get("Content-Length: 3,"), "400 content_length"},
                      Case{Get("Content-Length: 3.0"), "400 content_length"},
                      Case{Get("Content-Length:"), "400 content_length"},
                      Case{Get("Content-Length: \"3\""), "400 content_length"},
                      Case{Get("Content-Length: 3\r\nContent-Length: 3"), "400 content_length"},
                      Case{Get("Content-Length: 3\r\nContent-Length: 4"), "400 content_length"},
                      Case{Get("Content-Length:\r\nContent-Length: 4"), "400 content_length"},
                      Case{Get("Content-Length: 18446744073709551619"), "400 content_length"},
                      Case{Get("Content-Length: 18446744073709551615"), "400 content_length"},
                      Case{Get("Content-Length: 9223372036854775808"), "400 content_length"}));

INSTANTIATE_TEST_SUITE_P(
    TransferEncoding, RefusedRequest,
    ::testing::Values(Case{Get("Transfer-Encoding: chunked, identity"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: chunked, chunked"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: xchunked"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: chunkedx"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: chunked;a=b"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: \"chunked\""), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: identity"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: gzip"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: chunked, gzip"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding:"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: ,"), "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding:\r\nTransfer-Encoding: chunked"),
                           "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                           "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
                           "400 transfer_encoding"},
                      Case{Get("Transfer-Encoding: gzip, chunked"), "501 transfer_coding"},
                      Case{Get("Transfer-Encoding: identity, chunked"), "501 transfer_coding"},
                      Case{Get("Transfer-Encoding:\x0b"
                               "chunked"),
                           "400 control_character"},
                      Case{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                           "400 transfer_encoding_in_http_1_0"}));

INSTANTIATE_TEST_SUITE_P(
    Connection, RefusedRequest,
    ::testing::Values(
        Case{Get("Connection: close, Host"), "400 connection_names_protected_field"},
        Case{Get("Connection: content-length"), "400 connection_names_protected_field"},
        Case{Get("Connection: Transfer-Encoding"), "400 connection_names_protected_field"},
        Case{Get("Connection: Authorization"), "400 connection_names_protected_field"},
        Case{Get("Connection: Cookie"), "400 connection_names_protected_field"},
        Case{Get("Connection: X-Forwarded-For"), "400 connection_names_protected_field"},
        Case{Get("Connection: a b"), "400 connection"},
        Case{Get("Connection: \"a\""), "400 connection"},
        Case{Get("Connection: a,b,c,d,e,f,g,h,i"), "400 connection"},
        Case{Get("Expect: 200-ok"), "417 expect"}, Case{Get("Expect:"), "417 expect"},
        Case{"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
             "400 connect_with_body"},
        Case{"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
             "400 connect_with_body"}));

// Which of the two is blamed is llhttp's choice; that it is refused is not.
TEST(H1Request, BothFramingsAreRefused) {
  for (const char* fields : {"Content-Length: 3\r\nTransfer-Encoding: chunked",
                             "Transfer-Encoding: chunked\r\nContent-Length: 3",
                             "Content-Length: 0\r\nTransfer-Encoding: chunked",
                             "Transfer-Encoding: identity\r\nContent-Length: 3"}) {
    EXPECT_THAT(Told(Side::kRequests, Get(fields)), StartsWith("400 ")) << fields;
    EXPECT_THAT(Told(Side::kResponses, "HTTP/1.1 200 OK\r\n" + std::string(fields) + kEnd),
                StartsWith("400 "))
        << fields;
  }
}

// ---- every byte in every place ----

bool IsTokenByte(int c) {
  return std::isalnum(c) != 0 || (c != 0 && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
}

TEST(H1Request, AFieldNameIsAToken) {
  for (int c = 0; c < 256; ++c) {
    const std::string byte(1, static_cast<char>(c));
    for (const std::string& name : {byte, "A" + byte, byte + "A", "A" + byte + "A"}) {
      H1Transcript transcript(Side::kRequests);
      transcript.Feed(Get(name + ": v"));
      if (c == ':') continue;  // ends the name
      const bool taken = !transcript.parser().error().has_value();
      EXPECT_EQ(taken, IsTokenByte(c)) << c << " in " << name << ": " << transcript.text();
    }
  }
}

TEST(H1Request, AFieldValueHoldsNoControlCharacter) {
  for (int c = 0; c < 256; ++c) {
    H1Transcript transcript(Side::kRequests);
    const std::string field = "A: x" + std::string(1, static_cast<char>(c)) + "y";
    transcript.Feed(Get(field));
    const bool allowed = c == '\t' || (c >= 0x20 && c != 0x7f);
    EXPECT_EQ(!transcript.parser().error().has_value(), allowed) << c;
    if (allowed) {
      EXPECT_THAT(transcript.text(), HasSubstr(field + "\n")) << c;
    }
  }
}

TEST(H1Request, ATargetIsVisibleAscii) {
  for (int c = 0; c < 256; ++c) {
    for (const char* before : {"/x", "/x?", "http://a.example/"}) {
      H1Transcript transcript(Side::kRequests);
      transcript.Feed(
          Line("GET " + (before + std::string(1, static_cast<char>(c))) + "y HTTP/1.1"));
      const bool allowed = c > 0x20 && c < 0x7f && c != '#';
      EXPECT_EQ(!transcript.parser().error().has_value(), allowed) << c << " behind " << before;
    }
  }
}

TEST(H1Request, AMethodIsAToken) {
  for (int c = 0; c < 256; ++c) {
    if (c == ' ') continue;  // ends it
    H1Transcript transcript(Side::kRequests);
    transcript.Feed(Line("G" + std::string(1, static_cast<char>(c)) + "T / HTTP/1.1"));
    EXPECT_THAT(transcript.text(), StartsWith(c == 'E'         ? "GET "
                                              : IsTokenByte(c) ? "501 method"
                                                               : "400 "))
        << c;
  }
}

// ---- requests that are taken ----

class Request : public ::testing::TestWithParam<Case> {};

TEST_P(Request, IsTold) {
  EXPECT_EQ(Told(Side::kRequests, GetParam().input), GetParam().told) << GetParam().input;
}

INSTANTIATE_TEST_SUITE_P(
    Target, Request,
    ::testing::Values(
        Case{Line("GET /a?b=c HTTP/1.1"), "GET http://h/a?b=c 1.1 keep-alive\nend\n"},
        Case{Line("GET //x/../y HTTP/1.1"), "GET http://h//x/../y 1.1 keep-alive\nend\n"},
        Case{Line("OPTIONS * HTTP/1.1"), "OPTIONS http://h* 1.1 keep-alive\nend\n"},
        Case{Line("PROPFIND / HTTP/1.1"), "PROPFIND http://h/ 1.1 keep-alive\nend\n"},
        Case{Line("GET http://a.example:8080/x?y HTTP/1.1"),
             "GET http://a.example:8080/x?y 1.1 keep-alive\nend\n"},
        Case{Line("GET HTTPS://a.example HTTP/1.1"), "GET http://a.example/ 1.1 keep-alive\nend\n"},
        Case{Line("GET http://a.example?x HTTP/1.1"),
             "GET http://a.example/?x 1.1 keep-alive\nend\n"},
        Case{Line("OPTIONS http://a.example HTTP/1.1"),
             "OPTIONS http://a.example* 1.1 keep-alive\nend\n"},
        Case{Line("CONNECT a.example:443 HTTP/1.1") + "\x16\x03",
             "CONNECT http://a.example:443 1.1 close\nend\n"},
        Case{"GET / HTTP/1.0\r\n\r\n", "GET http:/// 1.0 close\nend\n"},
        Case{GetFrom("[::1]:80"), "GET http://[::1]:80/ 1.1 keep-alive\nend\n"},
        Case{GetFrom("a_b.example:"), "GET http://a_b.example:/ 1.1 keep-alive\nend\n"},
        Case{GetFrom("%41"), "GET http://%41/ 1.1 keep-alive\nend\n"}));

INSTANTIATE_TEST_SUITE_P(
    Persistence, Request,
    ::testing::Values(
        Case{Get("Connection: close"), "GET http://h/ 1.1 close\nend\n"},
        Case{Get("Connection: CLOSE, keep-alive"), "GET http://h/ 1.1 close\nend\n"},
        Case{Get("Connection: , keep-alive ,"), "GET http://h/ 1.1 keep-alive\nend\n"},
        Case{Get("Connection: x\r\nConnection: close"), "GET http://h/ 1.1 close\nend\n"},
        Case{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
             "GET http:/// 1.0 keep-alive\nend\n"},
        Case{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
             "GET http:/// 1.0 close\nend\n"}));

INSTANTIATE_TEST_SUITE_P(
    HopByHop, Request,
    ::testing::Values(
        Case{Get("Connection: close, X-Own\r\nx-own: 1\r\nKeep-Alive: timeout=5\r\n"
                 "Proxy-Connection: close\r\nTE: gzip\r\nHTTP2-Settings: x\r\nUpgrade: x\r\n"
                 "X-Kept: 2\r\nTrailer: ETag\r\nProxy-Authorization: y"),
             "GET http://h/ 1.1 close\nX-Kept: 2\nTrailer: ETag\nProxy-Authorization: y\nend\n"},
        Case{Get("Connection: X-A\r\nX-A: 1\r\nConnection: X-B\r\nX-B: 1\r\nX-C: 1\r\nX-A: 2"),
             "GET http://h/ 1.1 keep-alive\nX-C: 1\nend\n"},
        Case{Get("TE: gzip, Trailers"), "GET http://h/ 1.1 keep-alive accepts-trailers\nend\n"}));

INSTANTIATE_TEST_SUITE_P(
    Upgrade, Request,
    ::testing::Values(
        Case{Get("Connection: keep-alive, Upgrade\r\nUpgrade: websocket"),
             "GET http://h/ 1.1 keep-alive upgrade=websocket\nend\n"},
        Case{Get("Connection: Upgrade\r\nUpgrade: a\r\nUpgrade: b/1"),
             "GET http://h/ 1.1 keep-alive upgrade=a, b/1\nend\n"},
        Case{Get("Upgrade: websocket"), "GET http://h/ 1.1 keep-alive\nend\n"},
        Case{Get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x"),
             "GET http://h/ 1.1 keep-alive\nend\n"},
        Case{"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
             "GET http:/// 1.0 close\nend\n"},
        // The body is still HTTP; what follows it is for the response to decide.
        Case{Get("Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2") + "ab",
             "GET http://h/ 1.1 keep-alive length content-length=2 upgrade=x\nbody "
             "\"ab\"\nend\n"},
        Case{Get("Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked") +
                 "1\r\na\r\n0\r\n\r\n",
             "GET http://h/ 1.1 keep-alive chunked upgrade=x\nbody \"a\"\nend\n"}));

INSTANTIATE_TEST_SUITE_P(
    Expect, Request,
    ::testing::Values(Case{Get("Expect: 100-Continue\r\nContent-Length: 1") + "x",
                           "GET http://h/ 1.1 keep-alive length content-length=1 expects-continue\n"
                           "body \"x\"\nend\n"},
                      Case{Get("Expect: 100-continue"), "GET http://h/ 1.1 keep-alive\nend\n"},
                      Case{Get("Expect: 100-continue\r\nContent-Length: 0"),
                           "GET http://h/ 1.1 keep-alive content-length=0\nend\n"},
                      Case{"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
                           "POST http:/// 1.0 close length content-length=1\nbody \"x\"\nend\n"}));

INSTANTIATE_TEST_SUITE_P(
    Fields, Request,
    ::testing::Values(
        Case{Get("A:b\r\nB:\t c d \t\r\nC:\r\nD: \r\nE: \xff\x80"),
             "GET http://h/ 1.1 keep-alive\nA: b\nB: c d\nC: \nD: \nE: \xff\x80\nend\n"},
        Case{"\r\n\r\n" + Get("A: b"), "GET http://h/ 1.1 keep-alive\nA: b\nend\n"},
        Case{Get("Content-Length: 0003 ") + "abc" + Get("Content-Length: 0") + Get("A: b"),
             "GET http://h/ 1.1 keep-alive length content-length=3\nbody \"abc\"\nend\n"
             "GET http://h/ 1.1 keep-alive content-length=0\nend\n"
             "GET http://h/ 1.1 keep-alive\nA: b\nend\n"},
        Case{Get("Transfer-Encoding: Chunked") + "0\r\n\r\n",
             "GET http://h/ 1.1 keep-alive chunked\nend\n"}));

// ---- chunked bodies ----

class ChunkedBody : public ::testing::TestWithParam<Case> {};

TEST_P(ChunkedBody, IsTold) {
  EXPECT_EQ(Told(Side::kRequests, Chunked(GetParam().input)), kChunkedHead + GetParam().told)
      << GetParam().input;
}

INSTANTIATE_TEST_SUITE_P(
    Taken, ChunkedBody,
    ::testing::Values(
        Case{"5\r\nhello\r\n00a\r\n0123456789\r\n0\r\n\r\n", "body \"hello0123456789\"\nend\n"},
        Case{"A\r\n0123456789\r\n000\r\n\r\n", "body \"0123456789\"\nend\n"},
        Case{"5\r\n\r\n0\r\n\r\n0\r\n\r\n", "body \"\r\n0\r\n\"\nend\n"},
        Case{"1;a=b;c\r\nx\r\n1;d=\"e;f\"\r\ny\r\n0;z\r\n\r\n", "body \"xy\"\nend\n"},
        Case{"1; a =\tb ;c = \"\\\"\\\\ \" ; d\r\nx\r\n0\r\n\r\n", "body \"x\"\nend\n"},
        Case{"0\r\nETag: x\r\nX-Own:  y \r\n\r\n", "trailer ETag: x\ntrailer X-Own: y\nend\n"}));

INSTANTIATE_TEST_SUITE_P(
    Refused, ChunkedBody,
    ::testing::Values(
        Case{"\r\n5\r\nhello\r\n", "400 chunk_size\n"}, Case{"x\r\n", "400 chunk_size\n"},
        Case{"0x5\r\nhello", "400 chunk_size\n"}, Case{"-5\r\nhello", "400 chunk_size\n"},
        Case{"+5\r\nhello", "400 chunk_size\n"}, Case{" 5\r\nhello", "400 chunk_size\n"},
        Case{"5 \r\nhello", "400 chunk_size\n"}, Case{"5\t;a\r\nhello", "400 chunk_size\n"},
        Case{";a=b\r\nhello", "400 chunk_size\n"}, Case{"5\nhello", "400 chunk_size\n"},
        Case{"5\r5\r\nhello", "400 chunk_size\n"}, Case{"5_0\r\nhello", "400 chunk_size\n"},
        Case{"10000000000000005\r\nhello", "400 chunk_size\n"},
        Case{"00000000000000005\r\nhello", "400 chunk_size\n"},
        Case{"5;a\nhello", "400 chunk_extension\n"}, Case{"5;a\rb\r\n", "400 chunk_extension\n"},
        Case{"5;\r\nhello", "400 chunk_extension\n"}, Case{"5;=\r\n", "400 chunk_extension\n"},
        Case{"5;a\0\r\n"s, "400 chunk_extension\n"},
        Case{"5;a b\r\nhello", "400 chunk_extension\n"},
        Case{"5;a \r\nhello", "400 chunk_extension\n"},
        Case{"5;a=\r\nhello", "400 chunk_extension\n"},
        Case{"5;a=b \r\nhello", "400 chunk_extension\n"},
        Case{"5;a=b=c\r\nhello", "400 chunk_extension\n"},
        Case{"5;a=\"b\r\nhello", "400 chunk_extension\n"},
        Case{"5;a=\"b\"c\r\nhello", "400 chunk_extension\n"},
        Case{"5;a=\"\\\r\n\"\r\nhello", "400 chunk_extension\n"},
        Case{"5;" + std::string(255, 'a'), "400 chunk_extension\n"},
        Case{"5\r\nhello0\r\n\r\n", "body \"hello\"\n400 chunk_end\n"},
        Case{"5\r\nhello\n0\r\n\r\n", "body \"hello\"\n400 chunk_end\n"},
        Case{"5\r\nhello\r0\r\n\r\n", "body \"hello\"\n400 chunk_end\n"},
        Case{"5\r\nhelloX\n0\r\n\r\n", "body \"hello\"\n400 chunk_end\n"},
        Case{"0\r\nA: b\nC: d\r\n\r\n", "400 bare_lf\n"}, Case{"0\r\n\n", "400 bare_lf\n"},
        Case{"0\r\n\rA: b\r\n\r\n", "400 bare_cr\n"}, Case{"0\r\n A: b\r\n\r\n", "400 obs_fold\n"},
        Case{"0\r\nA: b\r\n c\r\n\r\n", "400 obs_fold\n"},
        Case{"0\r\nA: \0\r\n\r\n"s, "400 control_character\n"},
        Case{"0\r\nA : b\r\n\r\n", "400 header_field\n"},
        Case{"0\r\n: b\r\n\r\n", "400 header_field\n"},
        Case{"0\r\nA\r\n\r\n", "400 header_field\n"},
        // One more request line would be a smuggled request.
        Case{"0\r\nGET / HTTP/1.1\r\n\r\n", "400 header_field\n"}));

TEST(H1Request, ALargeChunkIsBelieved) {
  EXPECT_EQ(Told(Side::kRequests, Chunked("ffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
            std::string(kChunkedHead) + "body \"hello\r\n0\r\n\r\n\"\n");
}

TEST(H1Request, TrailersThatWouldChangeTheMessageAreDropped) {
  const std::string dropped =
      "Content-Length: 5\r\nHost: x\r\nConnection: close\r\nKeep-Alive: 1\r\nTE: trailers\r\n"
      "Trailer: a\r\nUpgrade: x\r\nAuthorization: x\r\nCookie: x\r\nSet-Cookie: x\r\n"
      "Content-Type: x\r\nContent-Encoding: x\r\nContent-Range: x\r\nCache-Control: x\r\n"
      "Expect: 100-continue\r\nIf-Match: x\r\nX-Forwarded-For: x\r\nVia: x\r\n";
  EXPECT_EQ(Told(Side::kRequests, Chunked("0\r\n" + dropped + "\r\n")),
            std::string(kChunkedHead) + "end\n");
  EXPECT_EQ(Told(Side::kRequests, Chunked("0\r\nA: 1\r\n" + dropped + "B: 2\r\n\r\n")),
            std::string(kChunkedHead) + "trailer A: 1\ntrailer B: 2\nend\n");
}

TEST(H1Request, ATransferEncodingTrailerIsNeverPassedOn) {
  const std::string told =
      Told(Side::kRequests, Chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n"));
  EXPECT_THAT(told, Not(HasSubstr("trailer")));
}

TEST(H1Request, TrailersNamedByConnectionAreRemoved) {
  EXPECT_EQ(Told(Side::kRequests, Get("Connection: x-own\r\nTransfer-Encoding: chunked") +
                                      "0\r\nX-Own: a\r\nETag: b\r\n\r\n" + Get("A: b")),
            "GET http://h/ 1.1 keep-alive chunked\ntrailer ETag: b\nend\n"
            "GET http://h/ 1.1 keep-alive\nA: b\nend\n");
}

// ---- limits ----

TEST(H1Limits, HeaderBytesCountTheWholeHead) {
  const std::string head = Get("A: " + std::string(50, 'x'));
  HttpLimits limits;
  limits.header_bytes = static_cast<uint32_t>(head.size());
  EXPECT_THAT(Told(Side::kRequests, head, limits), StartsWith("GET "));
  --limits.header_bytes;
  EXPECT_EQ(Told(Side::kRequests, head, limits), "431 header_bytes\n");

  const std::string response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  limits.header_bytes = static_cast<uint32_t>(response.size());
  EXPECT_THAT(Told(Side::kResponses, response, limits), StartsWith("200 "));
  --limits.header_bytes;
  EXPECT_EQ(Told(Side::kResponses, response, limits), "431 header_bytes\n");
}

TEST(H1Limits, HeaderBytesAreCountedAfreshForEachHead) {
  const std::string head = Get("A: b");
  HttpLimits limits;
  limits.header_bytes = static_cast<uint32_t>(head.size());
  EXPECT_THAT(Told(Side::kRequests, head + head + "\r\n" + head, limits), Not(HasSubstr("431")));
}

TEST(H1Limits, HeaderCount) {
  HttpLimits limits;
  limits.header_count = 3;
  EXPECT_THAT(Told(Side::kRequests, Get("A: 1\r\nB: 2"), limits), StartsWith("GET "));
  EXPECT_EQ(Told(Side::kRequests, Get("A: 1\r\nB: 2\r\nC: 3"), limits), "431 header_count\n");
}

TEST(H1Limits, UriBytes) {
  HttpLimits limits;
  limits.uri_bytes = 10;
  EXPECT_THAT(Told(Side::kRequests, Line("GET /123456789 HTTP/1.1"), limits), StartsWith("GET "));
  EXPECT_EQ(Told(Side::kRequests, Line("GET /1234567890 HTTP/1.1"), limits), "414 uri_bytes\n");
}

TEST(H1Limits, AnEndlessRequestLineIsRefusedBeforeItsEnd) {
  HttpLimits limits;
  limits.uri_bytes = 100;
  H1Transcript transcript(Side::kRequests, limits);
  transcript.Feed("GET /" + std::string(200, 'x'));
  EXPECT_EQ(transcript.text(), "414 uri_bytes\n");
}

TEST(H1Limits, TrailersAreBoundedAsHeadersAre) {
  HttpLimits limits;
  limits.header_count = 2;
  EXPECT_EQ(Told(Side::kRequests, Chunked("0\r\nA: 1\r\nB: 2\r\n\r\n"), limits),
            std::string(kChunkedHead) + "trailer A: 1\ntrailer B: 2\nend\n");
  EXPECT_EQ(Told(Side::kRequests, Chunked("0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"), limits),
            std::string(kChunkedHead) + "431 header_count\n");
  limits = {};
  limits.header_bytes = 200;
  EXPECT_EQ(Told(Side::kRequests, Chunked("0\r\nA: " + std::string(300, 'x')), limits),
            std::string(kChunkedHead) + "431 header_bytes\n");
}

TEST(H1Limits, BodyBytes) {
  HttpLimits limits;
  limits.body_bytes = 5;
  EXPECT_THAT(Told(Side::kRequests, Get("Content-Length: 5") + "hello", limits),
              HasSubstr("hello"));
  EXPECT_EQ(Told(Side::kRequests, Get("Content-Length: 6") + "hello!", limits), "413 body_bytes\n");
  EXPECT_EQ(Told(Side::kRequests, Chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), limits),
            std::string(kChunkedHead) + "body \"abcde\"\nend\n");
  EXPECT_EQ(Told(Side::kRequests, Chunked("3\r\nabc\r\n3\r\ndef\r\n"), limits),
            std::string(kChunkedHead) + "body \"abc\"\n413 body_bytes\n");
  EXPECT_EQ(Told(Side::kRequests, Chunked("ffffffffffffffff\r\n"), limits),
            std::string(kChunkedHead) + "413 body_bytes\n");
}

// ---- responses ----

struct ResponseCase {
  Side side;
  std::string input;
  std::string told;
};

class Response : public ::testing::TestWithParam<ResponseCase> {};

TEST_P(Response, IsTold) {
  EXPECT_EQ(Told(GetParam().side, GetParam().input), GetParam().told) << GetParam().input;
}

std::string Ok(std::string_view fields) {
  return "HTTP/1.1 200 OK\r\n" + std::string(fields) + kEnd;
}

std::string Status(std::string_view line) {
  return std::string(line) + "\r\nContent-Length: 0" + kEnd;
}

INSTANTIATE_TEST_SUITE_P(
    StatusLine, Response,
    ::testing::Values(
        ResponseCase{Side::kResponses, Status("HTTP/1.1 200 OK"),
                     "200 'OK' 1.1 keep-alive content-length=0\nend\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1 999 \xe4 \t x"),
                     "999 '\xe4 \t x' 1.1 keep-alive content-length=0\nend\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1 200 "),
                     "200 '' 1.1 keep-alive content-length=0\nend\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1 200"),
                     "200 '' 1.1 keep-alive content-length=0\nend\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1  200 OK"), "400 status_line\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1 099 OK"), "400 status_line\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1 20 OK"), "400 status_line\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1 2000 OK"), "400 status_line\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1 20x OK"), "400 status_line\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1 200OK"), "400 status_line\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1 200\tOK"), "400 status_line\n"},
        ResponseCase{Side::kResponses, Status("HTTP/1.1"), "400 status_line\n"},
        ResponseCase{Side::kResponses, Status("H"), "400 version\n"},
        ResponseCase{Side::kResponses, Status("ICY 200 OK"), "400 version\n"},
        ResponseCase{Side::kResponses, Status("RTSP/1.0 200 OK"), "400 version\n"},
        ResponseCase{Side::kResponses, Status("HTTP/2.0 200 OK"), "505 version\n"},
        ResponseCase{Side::kResponses, Status("\r\nHTTP/1.1 200 OK"), "400 status_line\n"},
        ResponseCase{Side::kResponses, "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
                     "400 bare_lf\n"},
        ResponseCase{Side::kResponses, Ok("A: b\r\n c"), "400 obs_fold\n"},
        ResponseCase{Side::kResponses, Ok("A : b"), "400 header_field\n"}));

INSTANTIATE_TEST_SUITE_P(
    Framing, Response,
    ::testing::Values(
        ResponseCase{Side::kResponses, Ok("Content-Length: 2") + "ab" + Ok("Content-Length: 0"),
                     "200 'OK' 1.1 keep-alive length content-length=2\nbody \"ab\"\nend\n"
                     "200 'OK' 1.1 keep-alive content-length=0\nend\n"},
        ResponseCase{Side::kResponses,
                     Ok("Transfer-Encoding: chunked") + "2\r\nab\r\n0\r\nETag: x\r\n\r\n",
                     "200 'OK' 1.1 keep-alive chunked\nbody \"ab\"\ntrailer ETag: x\nend\n"},
        ResponseCase{Side::kResponses, Ok("A: b") + "HTTP/1.1 200 OK",
                     "200 'OK' 1.1 close until-close\nA: b\nbody \"HTTP/1.1 200 OK\"\n"},
        ResponseCase{Side::kResponses, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
                     "200 'OK' 1.0 close length content-length=1\nbody \"x\"\nend\n"},
        ResponseCase{Side::kResponses,
                     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
                     "200 'OK' 1.0 keep-alive length content-length=1\nbody \"x\"\nend\n"},
        ResponseCase{Side::kResponses, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                     "400 transfer_encoding_in_http_1_0\n"},
        ResponseCase{Side::kResponses, Ok("Transfer-Encoding: gzip"), "400 transfer_encoding\n"},
        ResponseCase{Side::kResponses, Ok("Transfer-Encoding: gzip, chunked"),
                     "501 transfer_coding\n"},
        ResponseCase{Side::kResponses, Ok("Content-Length: 1\r\nContent-Length: 1"),
                     "400 content_length\n"},
        ResponseCase{Side::kResponses, Ok("Content-Length: 1, 1"), "400 content_length\n"},
        ResponseCase{Side::kResponses, Ok("Content-Length: 18446744073709551619"),
                     "400 content_length\n"}));

INSTANTIATE_TEST_SUITE_P(
    NoBody, Response,
    ::testing::Values(
        ResponseCase{Side::kResponseToHead, Ok("Content-Length: 9") + Ok("A: b"),
                     "200 'OK' 1.1 keep-alive content-length=9\nend\n"
                     "200 'OK' 1.1 keep-alive\nA: b\nend\n"},
        ResponseCase{Side::kResponseToHead, Ok("Transfer-Encoding: chunked") + Ok("A: b"),
                     "200 'OK' 1.1 keep-alive\nend\n200 'OK' 1.1 keep-alive\nA: b\nend\n"},
        ResponseCase{Side::kResponses, "HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n",
                     "304 'x' 1.1 keep-alive content-length=9\nend\n"},
        ResponseCase{Side::kResponses, "HTTP/1.1 204 x\r\n\r\n", "204 'x' 1.1 keep-alive\nend\n"},
        ResponseCase{Side::kResponses, "HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n",
                     "204 'x' 1.1 keep-alive\nend\n"},
        // What may follow is not taken for a response, as the connection is not used again.
        ResponseCase{Side::kResponses, "HTTP/1.1 204 x\r\nContent-Length: 9\r\n\r\n",
                     "204 'x' 1.1 close\nend\n"},
        ResponseCase{Side::kResponses, "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n",
                     "204 'x' 1.1 close\nend\n"}));

INSTANTIATE_TEST_SUITE_P(
    InterimAndTunnel, Response,
    ::testing::Values(
        ResponseCase{Side::kResponses,
                     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\n" +
                         Ok("Content-Length: 0"),
                     "100 'Continue' 1.1 keep-alive\nend\n103 'x' 1.1 keep-alive\nLink: y\nend\n"
                     "200 'OK' 1.1 keep-alive content-length=0\nend\n"},
        ResponseCase{Side::kResponses, "HTTP/1.1 100 x\r\nContent-Length: 3\r\n\r\nabc",
                     "400 body_of_1xx\n"},
        ResponseCase{Side::kResponses, "HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n",
                     "400 body_of_1xx\n"},
        ResponseCase{Side::kResponses,
                     "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Accept: y\r\n\r\n\x81\x01z",
                     "101 'x' 1.1 close upgrade=websocket\nSec-WebSocket-Accept: y\nend\n"},
        ResponseCase{Side::kResponses, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
                     "400 upgrade\n"},
        ResponseCase{Side::kResponses, "HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n",
                     "400 upgrade\n"},
        ResponseCase{Side::kResponses,
                     "HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                     "400 upgrade\n"},
        ResponseCase{Side::kResponseToConnect, Ok("Content-Length: 3") + "abc",
                     "200 'OK' 1.1 close\nend\n"},
        ResponseCase{Side::kResponseToConnect, "HTTP/1.1 407 x\r\nContent-Length: 1\r\n\r\na",
                     "407 'x' 1.1 keep-alive length content-length=1\nbody \"a\"\nend\n"}));

INSTANTIATE_TEST_SUITE_P(
    HopByHop, Response,
    ::testing::Values(
        ResponseCase{Side::kResponses,
                     Ok("Connection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: 5\r\nUpgrade: h2\r\n"
                        "Content-Length: 0\r\nServer: y"),
                     "200 'OK' 1.1 close content-length=0\nServer: y\nend\n"},
        ResponseCase{Side::kResponses, Ok("Connection: Content-Length\r\nContent-Length: 0"),
                     "400 connection_names_protected_field\n"}));

// ---- ends ----

std::string ToldToTheEnd(Side side, std::string_view input) {
  H1Transcript transcript(side);
  transcript.Feed(input);
  transcript.Finish();
  return transcript.text();
}

TEST(H1Eof, IsProperBetweenMessages) {
  EXPECT_EQ(ToldToTheEnd(Side::kRequests, ""), "eof\n");
  EXPECT_EQ(ToldToTheEnd(Side::kRequests, "\r\n"), "eof\n");
  EXPECT_THAT(ToldToTheEnd(Side::kRequests, Get("A: b")), HasSubstr("end\neof\n"));
  EXPECT_THAT(ToldToTheEnd(Side::kResponses, Ok("Content-Length: 0")), HasSubstr("end\neof\n"));
}

TEST(H1Eof, IsProperWhereItDelimitsTheBody) {
  EXPECT_THAT(ToldToTheEnd(Side::kResponses, Ok("A: b") + "abc"),
              HasSubstr("body \"abc\"\nend\neof\n"));
  EXPECT_THAT(ToldToTheEnd(Side::kResponses, Ok("A: b")), HasSubstr("end\neof\n"));
}

TEST(H1Eof, InsideAMessageCutsItOff) {
  for (const std::string& input :
       {"G"s, "GET / HTTP/1.1\r\n"s, "GET / HTTP/1.1\r\nHost: h\r\n\r"s,
        Get("Content-Length: 2") + "a", Get("Content-Length: 2"), Chunked(""), Chunked("1"),
        Chunked("1\r\n"), Chunked("1\r\na"), Chunked("1\r\na\r"), Chunked("1\r\na\r\n"),
        Chunked("0\r\n"), Chunked("0\r\n\r"), Chunked("0\r\nA: b\r\n")}) {
    const std::string told = ToldToTheEnd(Side::kRequests, input);
    EXPECT_THAT(told, HasSubstr("cut off\n")) << input;
    EXPECT_THAT(told, Not(HasSubstr("end\n"))) << input;
  }
}

// ---- the interface ----

class StoppingEvents final : public H1Events {
 public:
  void OnHead(H1Framing, bool) override { Note("head"); }
  void OnBody(std::string_view bytes) override { Note("body " + std::string(bytes)); }
  void OnTrailers(const HeaderList&) override { Note("trailers"); }
  void OnMessageEnd() override { Note("end"); }

  std::string Take() { return std::exchange(noted_, ""); }

  H1Parser* parser = nullptr;

 private:
  void Note(const std::string& what) {
    noted_ += what + ";";
    parser->Stop();
  }
  std::string noted_;
};

TEST(H1Stop, ReturnsAfterEachCallback) {
  StoppingEvents events;
  const HttpLimits limits;
  H1Parser parser(events, limits);
  events.parser = &parser;
  RequestHead head;
  parser.BeginRequest(head);

  const std::string text = Chunked("2\r\nab\r\n3\r\ncde\r\n0\r\nX: y\r\n\r\n") + "GET";
  std::string_view rest = text;
  std::string seen;
  for (const char* expected : {"head;", "body ab;", "body cde;", "trailers;"}) {
    rest.remove_prefix(parser.Execute(rest));
    EXPECT_EQ(events.Take(), expected);
  }
  EXPECT_EQ(rest, "GET");
  EXPECT_TRUE(parser.in_message());
  EXPECT_EQ(parser.Execute({}), 0u);  // the end is due, and needs no byte
  EXPECT_EQ(events.Take(), "end;");
  EXPECT_FALSE(parser.in_message());
  EXPECT_EQ(parser.Execute(rest), 0u);
  EXPECT_EQ(events.Take(), "");
}

TEST(H1Stop, AnEndThatIsDueIsToldAtEofToo) {
  StoppingEvents events;
  const HttpLimits limits;
  H1Parser parser(events, limits);
  events.parser = &parser;
  RequestHead head;
  parser.BeginRequest(head);
  const std::string text = Get("A: b");
  EXPECT_EQ(parser.Execute(text), text.size());
  EXPECT_EQ(events.Take(), "head;");
  EXPECT_TRUE(parser.FinishAtEof());
  EXPECT_EQ(events.Take(), "end;");
}

TEST(H1Parser, KnowsWhereItIs) {
  H1Transcript transcript(Side::kRequests);
  const H1Parser& parser = transcript.parser();
  transcript.Feed("\r\n");
  EXPECT_FALSE(parser.in_message());
  EXPECT_FALSE(parser.in_head());
  transcript.Feed("P");
  EXPECT_TRUE(parser.in_message());
  EXPECT_TRUE(parser.in_head());
  transcript.Feed("OST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
  EXPECT_TRUE(parser.in_message());
  EXPECT_FALSE(parser.in_head());
  transcript.Feed("x");
  EXPECT_FALSE(parser.in_message());
}

TEST(H1Parser, ConsumesNothingAfterAnError) {
  StoppingEvents events;
  const HttpLimits limits;
  H1Parser parser(events, limits);
  events.parser = &parser;
  RequestHead head;
  parser.BeginRequest(head);
  EXPECT_EQ(parser.Execute("GET / HTTP/1.1\r\nHost: h\n"), 23u);
  ASSERT_TRUE(parser.error());
  EXPECT_EQ(parser.error()->status, 400);
  EXPECT_EQ(parser.Execute("\r\n"), 0u);
  EXPECT_FALSE(parser.FinishAtEof());
  parser.BeginRequest(head);
  EXPECT_EQ(parser.Execute(Get("A: b")), 0u);
  EXPECT_EQ(events.Take(), "");
}

TEST(H1Parser, AnotherHeadBetweenEmptyLinesChangesNothing) {
  StoppingEvents events;
  const HttpLimits limits;
  H1Parser parser(events, limits);
  events.parser = &parser;
  RequestHead first, second;
  parser.BeginRequest(first);
  EXPECT_EQ(parser.Execute("\r"), 1u);
  parser.BeginRequest(second);
  EXPECT_EQ(parser.Execute("\n" + Get("A: b")), Get("A: b").size() + 1);
  EXPECT_FALSE(parser.error());
  EXPECT_EQ(second.headers.Value("A"), "b");
}

TEST(H1Parser, GivesFieldsTheirIdsAndTheMethodItsName) {
  H1Transcript transcript(Side::kRequests);
  // With a body still to come, so that the head is not used again for the next one.
  transcript.Feed("PUT /x HTTP/1.1\r\nhost: h\r\nuser-AGENT: a\r\nX-Own: b\r\nContent-Length: 1" +
                  std::string(kEnd));
  EXPECT_EQ(transcript.request().method, Method::kPut);
  EXPECT_EQ(transcript.request().method_name, "PUT");
  EXPECT_EQ(transcript.request().headers.Value(HeaderId::kUserAgent), "a");
  ASSERT_NE(transcript.request().headers.Find("x-own"), nullptr);
  EXPECT_EQ(transcript.request().headers.Find("x-own")->id, HeaderId::kOther);
}

TEST(H1Parser, TellsTheMethodsApart) {
  for (const auto& [name, method] :
       {std::pair("GET", Method::kGet), std::pair("HEAD", Method::kHead),
        std::pair("POST", Method::kPost), std::pair("PUT", Method::kPut),
        std::pair("DELETE", Method::kDelete), std::pair("OPTIONS", Method::kOptions),
        std::pair("PATCH", Method::kPatch), std::pair("TRACE", Method::kTrace),
        std::pair("MKCOL", Method::kOther), std::pair("SEARCH", Method::kOther)}) {
    H1Transcript transcript(Side::kRequests);
    transcript.Feed(std::string(name) + " / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
    EXPECT_EQ(transcript.request().method, method) << name;
  }
}

// An Arena moves a text that outgrows its block; views into the head must not notice.
TEST(H1Parser, ALongHeadThatTricklesInIsWhole) {
  std::string fields;
  for (int i = 0; i < 90; ++i) {
    fields += "X-" + std::to_string(i) + ": " + std::string(200, static_cast<char>('a' + i % 26));
    fields += i < 89 ? "\r\n" : "";
  }
  H1Transcript whole(Side::kRequests), trickled(Side::kRequests);
  whole.Feed(Get(fields));
  trickled.FeedInPieces(Get(fields), 7);
  EXPECT_THAT(whole.text(), StartsWith("GET "));
  EXPECT_EQ(whole.text(), trickled.text());
}

}  // namespace
}  // namespace sluice
