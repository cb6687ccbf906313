#!/usr/bin/env python3
"""The client of `script/bench drain --long-lived` knows one end of a stream from another: here a
server ends its streams in every way there is. And what the bench makes of its counts."""

import contextlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import types
import unittest

import h2.config
import h2.connection
import h2.events
import h2.settings

ROOT = pathlib.Path(os.environ.get("SLUICE_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
PROGRAMS = pathlib.Path(os.environ.get("SLUICE_BINARY", ROOT / "build/test/sluice")).parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench"))

import drain_long_lived as bench  # pylint: disable=wrong-import-position
from lib.origin import StreamOrigin  # pylint: disable=wrong-import-position

SECONDS = 60
OPCODES = {"continuation": 0, "text": 1, "close": 8}


def message(number):
    return f"message {number} ".encode().ljust(64, b"s")


def frame(opcode, payload, last=True):
    return bytes([(0x80 if last else 0) | OPCODES[opcode], len(payload)]) + payload


def close(code):
    return frame("close", code.to_bytes(2, "big"))


def event(number):
    return f"id: {number}\ndata: ".encode() + message(number) + b"\n\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def grpc_message(number):
    return b"\0" + (64).to_bytes(4, "big") + message(number)


def reset(connection):
    """Ends a connection so that the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def finish(connection):
    """Ends a connection so that the other side sees no reset, whatever it still sends."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass


class Server:
    """Serves one connection with `serve(connection)`, which ends it, then closes it."""

    def __init__(self, serve):
        self.serve = serve
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.failure = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            self.listener.settimeout(SECONDS)
            connection, _ = self.listener.accept()
            with connection:
                connection.settimeout(SECONDS)
                self.serve(connection)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.thread.join()
        self.listener.close()


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    return head


def read_frame(connection):
    """A short frame of the client: its first byte, and what it masks."""
    first, size = connection.recv(2, socket.MSG_WAITALL)
    key = connection.recv(4, socket.MSG_WAITALL)
    payload = connection.recv(size & 0x7f, socket.MSG_WAITALL) if size & 0x7f else b""
    return first, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


class ClientTest(unittest.TestCase):
    """Each case is one stream: what it is sent at its end, and what the client says."""

    def ends(self, kind, serve):
        """How a stream ended, by the client."""
        with Server(serve) as server:
            run = subprocess.run(
                [PROGRAMS / "sluice_stream_client", str(SECONDS), f"{kind}:{server.port}:1:1:/x"],
                capture_output=True, text=True, check=True, timeout=SECONDS)
        self.assertIsNone(server.failure)
        mark, line = run.stdout.splitlines()
        counts = json.loads(line)[kind]
        self.assertEqual("open", mark)
        self.assertEqual(1, counts.pop("open"))
        self.assertEqual(1, sum(counts.values()), counts)
        return next(end for end, count in counts.items() if count)

    def websocket(self, *parts, answer=None, end=finish):
        """Opens, sends `parts`, reads an answer if there must be one, ends."""
        def serve(connection):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            self.assertEqual((0x81, b"hello"), read_frame(connection))
            connection.sendall(frame("text", b"hello") + b"".join(parts))
            if answer:
                self.assertEqual((0x88, answer), read_frame(connection))
            end(connection)
        return self.ends("websocket", serve)

    def test_websockets(self):
        going_away = (1001).to_bytes(2, "big")
        half = message(1)[:32]
        fragment = frame("text", half, last=False)
        whole = frame("text", message(0))
        self.assertEqual("clean", self.websocket(whole, close(1001), answer=going_away))
        self.assertEqual("clean", self.websocket(
            whole, fragment, frame("continuation", message(1)[32:]), close(1001),
            answer=going_away))
        self.assertEqual("cut", self.websocket(whole, fragment, close(1001), answer=going_away))
        self.assertEqual("cut", self.websocket(whole, frame("text", message(1))[:40]))
        self.assertEqual("cut", self.websocket(whole[:1]))
        self.assertEqual("untold", self.websocket(whole))
        self.assertEqual("untold", self.websocket(whole, close(1000)))
        self.assertEqual("reset", self.websocket(whole, close(1001), answer=going_away,
                                                 end=reset))
        self.assertEqual("broken", self.websocket(frame("text", message(1)), close(1001)))
        self.assertEqual("broken", self.websocket(close(1001), whole))
        self.assertEqual("broken", self.websocket(b"\xff" * 10))

    def events(self, *parts):
        def serve(connection):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                               chunk(event(0)) + b"".join(parts))
            finish(connection)
        return self.ends("events", serve)

    def test_event_streams(self):
        self.assertEqual("clean", self.events(LAST_CHUNK))
        self.assertEqual("clean", self.events(
            chunk(event(1)[:70]), chunk(event(1)[70:]), chunk(b"retry: 1500\n\n"), LAST_CHUNK))
        self.assertEqual("cut", self.events(chunk(event(1)[:-1]), LAST_CHUNK))
        self.assertEqual("cut", self.events(chunk(event(1)[:1])))
        self.assertEqual("untold", self.events())
        self.assertEqual("broken", self.events(chunk(event(2)), LAST_CHUNK))
        self.assertEqual("broken", self.events(chunk(b"retry: 1\n"), chunk(event(2)), LAST_CHUNK))

    def http2(self, kind, first, *steps):
        """Sends `first` on the stream, and once it has begun, lets each of `steps` do something
        with it: (connection of h2, id of the stream)."""
        def serve(connection):
            peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            peer.local_settings = h2.settings.Settings(client=False, initial_values={
                h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
            peer.initiate_connection()
            connection.sendall(peer.data_to_send())
            asked = None
            while not asked:
                received = connection.recv(65536)
                self.assertTrue(received, "the client asks before it ends")
                asked = [event for event in peer.receive_data(received)
                         if isinstance(event, h2.events.RequestReceived)]
                connection.sendall(peer.data_to_send())
            stream = asked[0].stream_id
            peer.send_headers(stream, [(":status", "200")])
            peer.send_data(stream, first)
            for step in steps:
                step(peer, stream)
            connection.sendall(peer.data_to_send())
            finish(connection)
        return self.ends(kind, serve)

    def test_grpc_streams(self):
        def trailers(status):
            return lambda peer, stream: peer.send_headers(
                stream, [("grpc-status", str(status))], end_stream=True)
        def reset_stream(peer, stream):
            peer.reset_stream(stream, 8)
        def data(part):
            return lambda peer, stream: peer.send_data(stream, part)
        first = grpc_message(0)
        self.assertEqual("clean", self.http2("grpc", first, data(grpc_message(1)), trailers(14)))
        self.assertEqual("cut", self.http2("grpc", first, data(grpc_message(1)[:9]), trailers(14)))
        self.assertEqual("cut", self.http2("grpc", first, data(b"\0"), reset_stream))
        self.assertEqual("reset", self.http2("grpc", first, reset_stream))
        self.assertEqual("untold", self.http2("grpc", first, trailers(0)))
        self.assertEqual("untold", self.http2("grpc", first))
        self.assertEqual("broken", self.http2("grpc", first, data(grpc_message(2)), trailers(14)))

    def test_websockets_over_http2(self):
        def end(peer, stream):
            peer.end_stream(stream)
        def reset_stream(peer, stream):
            peer.reset_stream(stream, 8)
        hello = frame("text", b"hello")
        self.assertEqual("clean", self.http2("websocket-h2", hello + close(1001), end))
        self.assertEqual("reset", self.http2("websocket-h2", hello + close(1001), reset_stream))
        self.assertEqual("untold", self.http2("websocket-h2", hello, end))
        self.assertEqual("cut", self.http2("websocket-h2", hello + frame("text", b"a")[:2], end))


class OriginTest(unittest.TestCase):
    """The origin and the client understand each other."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        core = min(os.sched_getaffinity(0))
        self.origin = self.enterContext(
            StreamOrigin(PROGRAMS, pathlib.Path(directory.name), core))

    def test_streams_of_every_kind_are_opened_and_end_with_the_origin(self):
        h1, h2_port = self.origin.port, self.origin.h2_port
        groups = [f"websocket:{h1}:20:1:/websocket?ms=20", f"events:{h1}:20:1:/events?ms=20",
                  f"grpc:{h2_port}:2:10:/x.Y/Z?ms=20",
                  f"websocket-h2:{h2_port}:2:10:/websocket?ms=20"]
        command = [PROGRAMS / "sluice_stream_client", str(SECONDS), *groups]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            self.assertEqual("open\n", client.stdout.readline())
            self.origin.stop()
            counts = json.loads(client.stdout.read())
        for kind, ends in counts.items():
            self.assertEqual(20, ends.pop("open"), kind)
            self.assertEqual(20, ends["cut"] + ends["reset"] + ends["untold"], (kind, ends))

    def test_close_is_answered_and_counted(self):
        with socket.create_connection(("127.0.0.1", self.origin.port), SECONDS) as connection:
            connection.sendall(b"GET /websocket HTTP/1.1\r\nUpgrade: websocket\r\n"
                               b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
                          read_head(connection))
            connection.sendall(b"\x88\x82" + bytes(4) + (1001).to_bytes(2, "big"))
            self.assertEqual(close(1001), connection.recv(4, socket.MSG_WAITALL))
            self.assertEqual(b"", connection.recv(1), "the server ends the connection first")
        self.assertEqual({"websockets": 1, "closed": 1}, self.origin.counts())


class BenchTest(unittest.TestCase):
    """What is made of the counts."""

    @staticmethod
    def options(**changed):
        return types.SimpleNamespace(**{"websockets": 5000, "event_streams": 5000,
                                        "grpc_streams": 1000, "descriptors": 20_000, **changed})

    @staticmethod
    def outcome(clean, **changed):
        counts = {"open": 3, **dict.fromkeys(bench.ENDS, 0), "clean": clean, "cut": 3 - clean}
        return bench.Outcome(**{"proxy": "sluice", "counts": {"websocket": counts}, "exit_code": 0,
                                "seconds": 5.0, "closed": 3, "turns": {}, **changed})

    def test_so_many_streams_as_descriptors_suffice_for(self):
        with contextlib.redirect_stdout(None):
            options = self.options()
            bench.scale_down(options)
            used = 2 * (options.websockets + options.event_streams) + 1000 + 50 + 200
            self.assertLessEqual(used, 20_000)
            self.assertGreater(used, 19_990)
            options = self.options(descriptors=30_000)
            bench.scale_down(options)
            self.assertEqual((5000, 5000), (options.websockets, options.event_streams))
            with self.assertRaises(SystemExit):
                bench.scale_down(self.options(descriptors=1000))

    def test_what_is_missed(self):
        self.assertEqual([], bench.verdict(self.outcome(3), False))
        self.assertEqual(["websocket: 66.67 % clean, not 100 %", "exit code 3"],
                         bench.verdict(self.outcome(2, exit_code=3), False))
        slow = self.outcome(3, turns={"worker0": 0.0051, "control": 0.0123})
        self.assertEqual([], bench.verdict(slow, False))
        self.assertEqual(["a turn of 12.3 ms, not within 10 ms"], bench.verdict(slow, True))

    def test_turns_are_read_from_metrics(self):
        metrics = ('# TYPE sluice_loop_turn_seconds_max gauge\n'
                   'sluice_loop_turn_seconds_max{thread="control"} 0.0025\n'
                   'sluice_loop_turn_seconds_max{thread="worker0"} 5.3e-03\n')
        self.assertEqual([("control", "0.0025"), ("worker0", "5.3e-03")],
                         bench.TURN_METRIC.findall(metrics))


if __name__ == "__main__":
    unittest.main()
