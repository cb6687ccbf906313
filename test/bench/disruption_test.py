#!/usr/bin/env python3
"""The client of `script/bench disruption` tells what happened to its requests: here a server ends
connections in every way there is. And what the bench makes of its counts."""

import contextlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

import h2.config
import h2.connection
import h2.events

ROOT = pathlib.Path(os.environ.get("SLUICE_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
PROGRAMS = pathlib.Path(os.environ.get("SLUICE_BINARY", ROOT / "build/test/sluice")).parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench"))

import disruption as bench  # pylint: disable=wrong-import-position
from lib.family import Family  # pylint: disable=wrong-import-position

SECONDS = 60
BODY = b"s" * 1024
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + BODY
LAST = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def reset(connection):
    """Ends a connection so that the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_head(connection):
    """The head of a request, or what there is of it at the end of the connection."""
    head = b""
    while b"\r\n\r\n" not in head:
        byte = connection.recv(1)
        if not byte:
            return head
        head += byte
    return head


def answer(connection, count, response=OK):
    for _ in range(count):
        if not read_head(connection):
            return
        connection.sendall(response)


def answer_all(connection):
    """Until the client has enough."""
    while read_head(connection):
        connection.sendall(OK)


def answer_one(connection):
    """As who closes after each response."""
    if read_head(connection):
        connection.sendall(LAST)


def read_frame(connection):
    """A short frame of the client: its first byte, and what it masks; None at the end."""
    head = connection.recv(6, socket.MSG_WAITALL)
    if len(head) < 6:
        return None
    payload = connection.recv(head[1] & 0x7f, socket.MSG_WAITALL)
    return head[0], bytes(byte ^ head[2 + i % 4] for i, byte in enumerate(payload))


def frame(first, payload):
    return bytes([first, len(payload)]) + payload


def echo(connection, count=sys.maxsize):
    """Opens a WebSocket, and gives back so many messages."""
    if not read_head(connection):
        return
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    for _ in range(count):
        message = read_frame(connection)
        if not message:
            return
        connection.sendall(frame(*message))


class Server:
    """Serves its first connections by the functions of `script`, and all that follow by `usual`."""

    def __init__(self, usual, *script):
        self.usual = usual
        self.script = list(script)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.done = threading.Event()  # a connection behind the script has come
        self.failure = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                connection, _ = self.listener.accept()
                serve = self.script.pop(0) if self.script else self.usual
                if serve == self.usual:
                    self.done.set()
                with connection:
                    connection.settimeout(SECONDS)
                    self.serve(serve, connection)

    def serve(self, serve, connection):
        try:
            serve(connection)
        except ConnectionError:
            pass
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


class Client:
    """The program, with one connection of a kind."""

    def __init__(self, kind, port, streams=1):
        self.kind = kind
        self.child = subprocess.Popen(
            [PROGRAMS / "sluice_disruption_client", f"{kind}:{port}:1:{streams}:1:/x"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()

    def wait_until_open(self):
        assert self.child.stdout.readline() == "open\n"

    def tell(self, *words):
        self.child.stdin.write("".join(f"{word}\n" for word in words))
        self.child.stdin.flush()

    def counts(self):
        return json.loads(self.child.stdout.readline())[self.kind]


class ClientTest(unittest.TestCase):
    def run_client(self, kind, usual, *script, streams=1):
        """Runs until the script is through and the client was served again; returns its counts that are
        not 0, without those that depend on time."""
        with Server(usual, *script) as server, Client(kind, server.port, streams) as client:
            client.wait_until_open()
            self.assertTrue(server.done.wait(SECONDS))
            client.tell("before", "stop")
            counts = client.counts()
        self.assertIsNone(server.failure)
        self.assertGreaterEqual(counts["answered"], 4)
        self.assertEqual(counts["sent"], counts["answered"] + self.lost(counts), counts)
        return {name: count for name, count in counts.items()
                if count and not name.endswith("_us")
                and name not in ("sent", "answered", "connected")}

    @staticmethod
    def lost(counts):
        return sum(counts[name] for name in ("failed_fresh", "failed_reused", "failed_midway"))

    def keep_alive(self, *script):
        return self.run_client("keep-alive", answer_all, *script)

    def test_a_connection_that_lasts(self):
        self.assertEqual({}, self.keep_alive())

    def test_a_connection_that_ends_in_good_order(self):
        def last(connection):
            answer(connection, 4)
            answer(connection, 1, LAST)
        self.assertEqual({"reconnects": 1, "told": 1}, self.keep_alive(last))

    def test_a_connection_that_is_closed_unasked(self):
        def stale(connection):
            answer(connection, 4)
            connection.shutdown(socket.SHUT_WR)
            read_head(connection)
        counts = self.keep_alive(stale)
        # Whether it had asked already is chance.
        self.assertEqual(1, counts.pop("reconnects"))
        self.assertIn(counts, ({"closed_idle": 1}, {"failed_reused": 1}))

    def test_requests_that_are_not_answered(self):
        def fresh(connection):
            read_head(connection)
        def reused(connection):
            answer(connection, 4)
            read_head(connection)
        def midway(connection):
            answer(connection, 4)
            answer(connection, 1, OK[:500])
        self.assertEqual({"reconnects": 1, "failed_fresh": 1}, self.keep_alive(fresh))
        self.assertEqual({"reconnects": 1, "failed_reused": 1}, self.keep_alive(reused))
        self.assertEqual({"reconnects": 1, "failed_midway": 1}, self.keep_alive(midway))

    def test_a_reset(self):
        def broken(connection):
            answer(connection, 4)
            read_head(connection)
            reset(connection)
        self.assertEqual({"reconnects": 1, "failed_reused": 1, "connections_reset": 1},
                         self.keep_alive(broken))

    def test_another_status(self):
        def unavailable(connection):
            answer(connection, 1, OK.replace(b"200 OK", b"503 No"))
            answer(connection, 4)
            answer(connection, 1, LAST)
        self.assertEqual({"not_ok": 1, "reconnects": 1, "told": 1}, self.keep_alive(unavailable))

    def test_a_port_where_nobody_listens(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            with Client("new", bound.getsockname()[1]) as client:
                client.tell("stop")
                counts = client.counts()
        self.assertEqual((0, 0), (counts["sent"], counts["answered"]))
        self.assertGreaterEqual(counts["failed_connect"], 1)

    def test_new_connections(self):
        def silent(connection):
            read_head(connection)
        self.assertEqual({}, self.run_client("new", answer_one))
        self.assertEqual({"failed_fresh": 1}, self.run_client("new", answer_one, silent))

    def test_websockets(self):
        going_away = frame(0x88, (1001).to_bytes(2, "big"))

        def told(connection):
            echo(connection, 4)
            connection.sendall(going_away)
            while read_frame(connection)[0] != 0x88:
                pass
        def cut(connection):
            echo(connection, 4)
            read_frame(connection)
        def half(connection):
            echo(connection, 4)
            connection.sendall(frame(*read_frame(connection))[:50])
        def other(connection):
            echo(connection, 4)
            read_frame(connection)
            connection.sendall(frame(0x81, b"another"))
        def refused(connection):
            answer(connection, 1)
        run = lambda *script: self.run_client("websocket", echo, *script)
        self.assertEqual({}, run())
        counts = run(told)
        self.assertEqual((1, 1), (counts.pop("reconnects"), counts.pop("told")))
        # Whether a message was under way is chance.
        self.assertIn(counts, ({}, {"failed_reused": 1}))
        self.assertEqual({"reconnects": 1, "failed_reused": 1}, run(cut))
        self.assertEqual({"reconnects": 1, "failed_midway": 1}, run(half))
        self.assertEqual(1, run(other)["not_ok"])
        self.assertEqual({"reconnects": 1, "not_ok": 1}, run(refused))

    def test_http2(self):
        def serve(connection, requests=sys.maxsize, goaway=False):
            peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            peer.initiate_connection()
            connection.sendall(peer.data_to_send())
            while requests > 0:
                received = connection.recv(65536)
                if not received:
                    return
                for event in peer.receive_data(received):
                    if isinstance(event, h2.events.RequestReceived) and requests > 0:
                        requests -= 1
                        peer.send_headers(event.stream_id, [(":status", "200")])
                        peer.send_data(event.stream_id, BODY, end_stream=True)
                if goaway and requests == 0:
                    peer.close_connection()
                connection.sendall(peer.data_to_send())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        self.assertEqual({}, self.run_client("h2", serve, streams=2))
        self.assertEqual({"reconnects": 1, "told": 1}, self.run_client(
            "h2", serve, lambda connection: serve(connection, 5, goaway=True)))
        counts = self.run_client("h2", serve, lambda connection: serve(connection, 5))
        self.assertEqual((1, 1), (counts.pop("reconnects"), counts.pop("closed_idle")))
        self.assertIn(counts, ({}, {"failed_reused": 1}))

    def test_requests_of_a_disruption_are_counted_apart(self):
        slow = threading.Event()
        seen = threading.Event()

        def serve(connection):
            while read_head(connection):
                if slow.is_set():
                    seen.set()
                    time.sleep(0.05)
                connection.sendall(OK)
        with Server(serve) as server, Client("keep-alive", server.port) as client:
            client.wait_until_open()
            client.tell("before", "begin")
            slow.set()
            self.assertTrue(seen.wait(SECONDS))
            client.tell("end", "stop")  # of which the slow one sees both
            counts = client.counts()
        self.assertGreaterEqual(counts["p99_during_us"], 50_000)
        self.assertGreaterEqual(counts["worst_us"], counts["p99_during_us"])


class FamilyTest(unittest.TestCase):
    def test_it_knows_those_whose_parent_is_gone_and_ends_all(self):
        script = "sleep 600 & echo; read line; exit"
        family = Family()
        with subprocess.Popen(["bash", "-c", script], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as parent:
            parent.stdout.readline()
            family.add(parent.pid)
            self.assertEqual(2, len(family.look()))
            parent.stdin.write(b"\n")
            parent.stdin.close()
            parent.wait()
        processes, memory = family.memory()
        self.assertEqual(1, processes)
        self.assertGreater(memory, 0)
        family.stop()
        self.assertEqual([], family.look())


class BenchTest(unittest.TestCase):
    """What is made of the counts."""

    @staticmethod
    def outcome(action="reload", done=3, **changed):
        counts = dict.fromkeys(
            ("sent", "answered", "not_ok", "failed_connect", "failed_fresh", "failed_reused",
             "failed_midway", "timed_out", "reconnects", "connections_reset"), 0)
        counts |= {"p99_before_us": 1000, "p99_during_us": 1500, "worst_us": 2000}
        kinds = {kind: dict(counts) for kind in bench.KINDS}
        kinds["new"] |= {"sent": 100} | changed
        kinds["websocket"] |= {"sent": 1000}
        kinds["keep-alive"] |= {"reconnects": changed.get("reconnects", 0)}
        kinds["h2"] |= {"reconnects": 5}
        return bench.Outcome("sluice", action, 3, kinds, [0.1] * done)

    def test_what_is_missed(self):
        self.assertEqual([], bench.verdict([self.outcome(), self.outcome("restart")], 200))
        self.assertEqual(["only 200 requests over HTTP, not 201"],
                         bench.verdict([self.outcome(), self.outcome("restart")], 201))
        self.assertEqual(["sluice, reload: 2 of 3 done"],
                         bench.verdict([self.outcome(done=2)], 0))
        self.assertEqual(["sluice, reload, HTTP/1.1, new: 3 failed"],
                         bench.verdict([self.outcome(failed_connect=1, not_ok=2)], 0))
        self.assertEqual(["sluice, restart, HTTP/1.1, kept: 7 reconnects"],
                         bench.verdict([self.outcome("restart", reconnects=7)], 0))

    def test_only_reloads_must_not_be_felt(self):
        slow = {"p99_during_us": 2001}
        self.assertEqual(["sluice, reload, HTTP/1.1, new: a p99 of 2.00 times that before"],
                         bench.verdict([self.outcome(**slow)], 0))
        self.assertEqual([], bench.verdict([self.outcome("restart", **slow)], 0))


if __name__ == "__main__":
    unittest.main()
