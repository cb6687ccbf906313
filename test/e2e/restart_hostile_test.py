#!/usr/bin/env python3
"""Whoever connects to restart.socket may send anything: the old process serves on."""

import array
import contextlib
import os
import socket
import struct
import unittest

from lib import BOUND, main, wait_until
from lib.hand_over_wire import (ACCEPTING, COMPLETE, HELLO, MOVE_ANSWER, OFFER, READY, REFUSAL,
                                SOCKETS, Channel, Left, frame, hello, offer)
from lib.restart_case import RestartTest


class HostileTest(RestartTest):
    TIMEOUT = "15s"

    def setUp(self):
        super().setUp()
        self.path = self.directory / "takeover"
        self.process = self.serve(restart={"socket": str(self.path), "timeout": self.TIMEOUT})
        self.attempts = 0

    def channel(self):
        channel = Channel.connect(self.path)
        self.addCleanup(channel.close)
        self.attempts += 1
        return channel

    def failed(self):
        """The error of the last attempt."""
        return self.process.wait_for("hand_over_failed", self.attempts)["error"]

    def check_recovery(self):
        self.wait_phase_again(self.process)
        for _ in range(4):
            self.assertEqual(b"ok", self.ask(self.process.address()))

    def check_later_restart(self):
        with self.under_load(self.process):
            self.restart(self.process)
        self.assertEqual(2, self.serving(self.process))
        self.assertEqual(0, self.process.child.wait(BOUND))


class BytesTest(HostileTest):
    def test_bytes(self):
        greeting = frame(HELLO, hello())
        for name, data, why in (
                ("of another protocol", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "too large"),
                ("random ones", os.urandom(4096), ""),
                ("of a huge length", struct.pack("<IHH", 0xFFFFFFFF, HELLO, 0), "too large"),
                ("of a length just too large", struct.pack("<IHH", 2**20 + 1, HELLO, 0),
                 "too large"),
                ("of more descriptors than the kernel takes", struct.pack("<IHH", 8, HELLO, 254),
                 "too large"),
                ("of descriptors that do not come", frame(HELLO, hello(), 2), "missing"),
                ("of no kind", frame(0), "does not keep to the protocol"),
                ("of an unknown kind", frame(65535), "does not keep to the protocol"),
                ("of a short hello", frame(HELLO, hello()[:7]), "malformed hello"),
                ("of a long hello", frame(HELLO, hello() + b"x"), "malformed hello"),
                ("of an empty hello", frame(HELLO), "malformed hello"),
                ("of another version", frame(HELLO, hello(version=2**32 - 1)),
                 "speaks version 4294967295"),
                ("of a process that hands over", frame(OFFER, offer(1)),
                 "does not keep to the protocol"),
                ("out of order", frame(READY), "does not keep to the protocol"),
                ("out of order after hello", greeting + frame(ACCEPTING),
                 "does not keep to the protocol"),
                ("of hello, twice", greeting * 2, "does not keep to the protocol"),
                ("of an answer to nothing", greeting + frame(MOVE_ANSWER, bytes(13)),
                 "does not keep to the protocol"),
                ("of a complete too many", greeting + frame(COMPLETE),
                 "does not keep to the protocol"),
                ("of a refusal", frame(REFUSAL, b"\xff\x00\"<" * 5000), "gave up")):
            with self.subTest(name):
                channel = self.channel()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    channel.socket.sendall(data)
                self.assertIn(why, self.failed())
                self.check_recovery()
        self.check_later_restart()

    def test_it_leaves(self):
        greeting = frame(HELLO, hello())
        for data in (b"", greeting[:1], greeting[:9], greeting):
            with self.subTest(data=data):
                channel = self.channel()
                channel.socket.sendall(data)
                channel.close()
                self.assertTrue(self.failed())
                self.check_recovery()
        self.check_later_restart()

    def test_more_of_them_at_once(self):
        channels = [self.channel() for _ in range(12)]
        with self.under_load(self.process):
            for channel in channels[1:]:
                with self.assertRaisesRegex(Left, "another process is taking over"):
                    channel.expect(OFFER)
            channels[0].close()
            self.process.wait_for("hand_over_failed")
        self.check_recovery()
        self.check_later_restart()

    def test_the_whole_protocol_byte_by_byte(self):
        channel = self.channel()
        for byte in frame(HELLO, hello()):
            channel.socket.sendall(bytes([byte]))
        channel.expect(COMPLETE)
        channel.send(REFUSAL, b"that is all")
        self.assertIn("that is all", self.failed())
        self.check_recovery()
        self.check_later_restart()


class SilenceTest(HostileTest):
    TIMEOUT = "4s"  # enough for the restart that works

    def test_silence_is_bounded(self):
        for data in (b"", frame(HELLO, hello())[:10]):
            with self.subTest(data=data):
                channel = self.channel()
                channel.socket.sendall(data)
                with self.under_load(self.process):
                    self.assertIn("was not ready within restart.timeout", self.failed())
                self.check_recovery()
        self.check_later_restart()

    def test_a_peer_that_does_not_read(self):
        channel = self.channel()
        channel.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        channel.send(HELLO, hello())
        with self.under_load(self.process):
            self.failed()
        self.check_recovery()
        self.check_later_restart()


class DescriptorsTest(HostileTest):
    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def test_descriptors_that_nobody_asked_for(self):
        self.ask(self.process.address())
        before = self.fds()
        for name, count, data in (("with a hello", 3, frame(HELLO, hello(), 3)),
                                  ("with nothing", 253, b"\0"),
                                  ("with half a frame", 100, frame(HELLO, hello(), 100)[:9])):
            with self.subTest(name):
                channel = self.channel()
                with open("/dev/null", "rb") as null:
                    rights = array.array("i", [null.fileno()] * count)
                    channel.socket.sendmsg(
                        [data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                channel.close()
                self.assertTrue(self.failed())
                self.check_recovery()
        wait_until(lambda: self.fds() <= before + 4, lambda: f"they are closed again: {self.fds()}")
        self.check_later_restart()

    def test_more_than_a_frame_may_have(self):
        channel = self.channel()
        before = self.fds()
        with open("/dev/null", "rb") as null:
            rights = array.array("i", [null.fileno()] * 200)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for _ in range(10):
                    channel.socket.sendmsg(
                        [b"\0" * 4], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        self.assertTrue(self.failed())
        self.check_recovery()
        wait_until(lambda: self.fds() <= before + 4, lambda: f"they are closed again: {self.fds()}")
        self.check_later_restart()

    def test_sockets_that_were_handed_out_do_no_harm_when_they_are_closed(self):
        channel = self.channel()
        channel.send(HELLO, hello())
        kind, _, fds = channel.receive()
        while kind != COMPLETE:
            if kind == SOCKETS:
                self.assertTrue(fds)
            for fd in fds:
                os.close(fd)
            kind, _, fds = channel.receive()
        channel.close()
        self.failed()
        with self.under_load(self.process):
            self.check_recovery()
        self.check_later_restart()


class OtherUserTest(HostileTest):
    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_it_is_turned_away(self):
        self.directory.chmod(0o755)
        self.path.chmod(0o777)  # as if somebody had been careless
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                os.setuid(65534)
                channel = Channel.connect(self.path)
                try:
                    channel.send(HELLO, hello())
                    channel.receive()
                except (Left, OSError):
                    code = 0
            os._exit(code)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        said = self.process.wait_for("hand_over_refused")["error"]
        self.assertIn("another user", said)
        self.check_recovery()
        self.check_later_restart()


if __name__ == "__main__":
    main()
