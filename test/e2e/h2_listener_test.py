#!/usr/bin/env python3
"""HTTP/2 and HTTP/1.1 on one port, told apart by the first bytes; limits; CONNECT."""

from lib import SluiceTest, main, wait_until
from lib.h2frames import (PREFACE, Code, Setting, data, headers, ping, post, request, rst_stream,
                          settings)
from lib.h2wire import H2Connection


class H2Test(SluiceTest):
    def serve(self, **listener):
        self.app = self.origin()
        self.process = self.sluice(self.app, listener=listener)
        self.h2 = self.open()

    def open(self, **more):
        connection = H2Connection(self.process.address(), **more)
        self.addCleanup(connection.close)
        return connection

    def wait_connections(self, count):
        wait_until(lambda: self.process.admin_json("/connections")["total"] == count,
                   f"{count} connections are open")


class PortTest(H2Test):
    def setUp(self):
        super().setUp()
        self.serve()

    def test_both_on_one_port(self):
        for turn in range(3):
            self.assertEqual(200, self.connect(self.process).ask("GET", f"/{turn}").status)
            self.h2.get(2 * turn + 1, f"/{turn}")
        self.assertEqual(6, len(self.app.requests))

    def test_a_preface_that_comes_in_two_parts(self):
        greeting = PREFACE + settings()
        for at in range(1, len(greeting)):
            with self.subTest(at=at):
                h2 = self.open(begin=False)
                h2.send(greeting[:at])
                h2.wait_taken()
                h2.send(greeting[at:])
                h2.get(1)

    def test_everything_byte_by_byte(self):
        h2 = self.open(begin=False)
        greeting = PREFACE + settings()
        for byte in greeting:
            h2.send(bytes([byte]))
            h2.wait_taken()
        h2.get(1)
        h2.answers.clear()
        whole = headers(3, post("/slowly"), end=False) + data(3, b"body", end=True)
        h2.open(3, whole[:1])
        for byte in whole[1:]:
            h2.wait_taken()
            h2.send(bytes([byte]))
        h2.expect_response(3)
        self.assertEqual(b"body", self.app.seen("/slowly")[0].body)

    def test_requests_of_http_1_that_begin_like_the_preface(self):
        for method in ("POST", "PUT", "PATCH", "PROPFIND", "PROPPATCH"):
            message = f"{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode()
            for at in range(1, 6):
                with self.subTest(method=method, at=at):
                    client = self.connect(self.process)
                    client.send(message[:at])
                    client.wait_taken()
                    client.send(message[at:])
                    self.assertEqual(200, client.read_response().status)
                    self.assertEqual(method, self.app.last().method)
                    client.close()

    def test_a_preface_that_turns_out_wrong(self):
        for wrong in (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            with self.subTest(wrong):
                h2 = self.open(begin=False)
                h2.send(wrong + settings())
                h2.read_to_end_of_anything()
        self.assertEqual([], self.app.requests)
        self.h2.get(1)

    def test_a_client_that_leaves_within_the_preface(self):
        self.wait_connections(1)
        for size in (1, 3, 4, 10, 23):
            client = self.connect(self.process)
            client.send(PREFACE[:size])
            client.wait_taken()
            client.reset()
        self.wait_connections(1)
        self.assertEqual([], self.app.requests)

    def test_where_it_is_switched_off(self):
        self.serve_without()
        client = self.connect(self.process)
        client.send(PREFACE + settings())
        answer = client.read_response()
        self.assertIn(answer.status, (400, 505))
        self.assertEqual(b"HTTP/1.1", answer.head[:8])
        self.assertIn(client.ended(), ("fin", "reset"))
        self.assertEqual(200, self.connect(self.process).ask().status)

    def serve_without(self):
        self.process = self.sluice(self.app, listener={"http2": {"enabled": False}})


class LimitTest(H2Test):
    """What is too much is refused, and the connection is as good as before."""

    def expect(self, status, message, stream=1):
        self.h2.open(stream, message)
        self.h2.expect_response(stream, status)
        self.h2.expect_alive()
        self.h2.get(stream + 2)
        self.assertEqual(["/"], [x.target for x in self.app.requests], "only what is allowed")
        self.assertEqual([], self.h2.goaways)

    def test_a_body_that_is_announced_as_too_large(self):
        self.serve(limits={"body_bytes": 1000})
        self.expect(413, headers(1, post(more=[("content-length", "1001")]), end=False))

    def test_a_body_that_turns_out_too_large(self):
        self.serve(limits={"body_bytes": 1000})
        self.h2.open(1, headers(1, post("/large"), end=False) + data(1, b"x" * 600))
        wait_until(lambda: self.app.seen("/large"), "the request has reached the origin")
        self.h2.send(data(1, b"x" * 600))
        self.h2.expect_response(1, 413)
        self.h2.get(3)
        self.assertIsNone(self.app.seen("/large")[0].body)

    def test_a_body_that_just_fits(self):
        self.serve(limits={"body_bytes": 1000})
        self.h2.open(1, headers(1, post(), end=False) + data(1, b"x" * 1000, end=True))
        self.h2.expect_response(1, 200)

    def test_a_target_that_is_too_long(self):
        self.serve(limits={"uri_bytes": 2000})
        self.expect(414, headers(1, request("/" + "x" * 2000)))

    def test_fields_that_are_too_large_or_too_many(self):
        self.serve(limits={"header_bytes": 4096, "header_count": 20})
        self.assertLessEqual(4096, self.h2.settings[Setting.MAX_HEADER_LIST_SIZE])
        self.expect(431, headers(1, request(more=[("x-large", "x" * 4100)])))
        self.app.requests.clear()
        self.expect(431, headers(5, request(more=[(f"x-{i}", "1") for i in range(25)])), stream=5)

    def hold_streams(self, h2, count):
        """Opens one more than `count` streams; the origin has the others."""
        streams = range(1, 2 * count, 2)
        for stream in streams:
            h2.open(stream, headers(stream, request("/slow")))
        self.hold.wait_arrived(count)
        h2.open(2 * count + 1, headers(2 * count + 1, request("/one/too/many")))
        return streams

    def test_streams_at_a_time_for_a_client_that_could_not_know(self):
        self.serve(http2={"max_concurrent_streams": 3})
        self.hold = self.app.hold("/slow")
        h2 = self.open(begin=False)
        h2.answers_settings = False
        h2.send(PREFACE + settings())
        streams = self.hold_streams(h2, 3)
        h2.expect_stream_error(7, Code.REFUSED_STREAM)
        self.assertEqual(3, h2.settings[Setting.MAX_CONCURRENT_STREAMS])
        self.hold.release()
        for stream in streams:
            h2.expect_response(stream)
        h2.get(9)
        self.assertEqual([], self.app.seen("/one/too/many"))

    def test_streams_at_a_time_for_a_client_that_knew(self):
        self.serve(http2={"max_concurrent_streams": 3})
        self.hold = self.app.hold("/slow")
        self.hold_streams(self.h2, 3)
        # RFC 9113 5.4.1: its stream error may be one of the connection.
        self.h2.expect_stream_error(7, Code.REFUSED_STREAM, connection=[Code.PROTOCOL_ERROR])
        self.assertEqual([], self.app.seen("/one/too/many"))

    def test_requests_of_a_connection(self):
        self.serve(limits={"requests_per_connection": 3})
        self.h2.answers_pings = False
        for stream in (1, 3, 5, 7):  # the one behind the limit was on its way
            self.h2.get(stream)
        self.assertEqual([(2**31 - 1, Code.NO_ERROR)], self.h2.goaways)
        self.h2.answers_pings = True
        self.h2.expect_end()
        self.assertEqual((7, Code.NO_ERROR), self.h2.goaways[-1])
        self.assertEqual("fin", self.h2.ended_by)

    def test_a_flood_is_counted(self):
        self.serve(http2={"floods": {"ping": 20}})
        other = self.open()
        self.h2.send(ping() * 100)
        self.h2.expect_connection_error(Code.ENHANCE_YOUR_CALM)
        self.assertEqual(1, self.process.metric("sluice_http2_floods_total", kind="ping"))
        self.assertEqual(1, self.process.metric("sluice_http2_floods_total"))
        self.assertEqual(1, self.process.metric("sluice_goaway_sent_total", stage="error"))
        self.assertEqual(1, self.process.metric("sluice_goaway_sent_total"))
        other.get(1)

    def test_an_idle_connection_is_told_goodbye(self):
        self.serve(timeouts={"idle": "200ms", "header": "60s"})
        self.h2.get(1)
        self.h2.expect_end()
        self.assertEqual([(2**31 - 1, Code.NO_ERROR), (1, Code.NO_ERROR)], self.h2.goaways)
        self.assertEqual("fin", self.h2.ended_by)


class ConnectTest(H2Test):
    TO = "example.com:443"

    def connect_through(self):
        self.h2.open(1, headers(1, [(":method", "CONNECT"), (":authority", self.TO)], end=False))

    def test_it_is_refused(self):
        self.serve()
        self.connect_through()
        answer = self.h2.expect_response(1, 405)
        self.assertIn("GET", answer.get("allow"))
        self.h2.get(3)
        self.assertEqual([], self.app.seen(self.TO))

    def test_where_it_is_allowed(self):
        def accept(x):
            x.send("HTTP/1.1 200 Connected\r\n\r\n")
            while (heard := x.connection.read_some()) != b"end":
                x.send(heard)
            x.send("bye")
            x.close()
        self.serve(allow_connect=True)
        self.app.on(self.TO, accept)
        self.connect_through()
        answer = self.h2.expect_head(1)
        self.assertEqual(200, answer.status)
        sent = b""
        for part in (b"through", b"\0\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"x" * 10_000):
            self.h2.send(data(1, part))
            sent += part
            self.h2.expect_body_bytes(1, len(sent))
        self.assertEqual(sent, answer.body)
        self.assertEqual({"tunnel": 1},
                         self.process.admin_json("/drain")["in_flight"]["by_protocol"])
        self.h2.get(3)  # beside it
        self.h2.send(data(1, b"end"))
        self.h2.pump_until(lambda: answer.ended, "the end of the tunnel")
        self.assertEqual(sent + b"bye", answer.body)
        self.h2.send(data(1, b"", end=True))
        self.h2.get(5)

    def test_a_client_that_ends_first(self):
        def accept(x):
            x.send("HTTP/1.1 200 Connected\r\n\r\n")
            heard = x.connection.read_to_end()
            x.send(b"heard " + heard)
            x.close()
        self.serve(allow_connect=True)
        self.app.on(self.TO, accept)
        self.connect_through()
        self.h2.expect_head(1)
        self.h2.send(data(1, b"all", end=True))
        self.h2.expect_response(1, body=b"heard all")

    def test_a_client_that_resets_it(self):
        ends = []

        def accept(x):
            x.send("HTTP/1.1 200 Connected\r\n\r\n")
            ends.append(x.wait_for_end())
        self.serve(allow_connect=True)
        self.app.on(self.TO, accept)
        self.connect_through()
        self.h2.expect_head(1)
        self.h2.send(data(1, b"all") + rst_stream(1))
        wait_until(lambda: ends, "the origin's side has ended, too")
        self.h2.get(3)


if __name__ == "__main__":
    main()
