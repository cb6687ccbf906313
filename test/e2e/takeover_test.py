#!/usr/bin/env python3
"""`sluice serve --takeover`: the new process beside an old one that is not as it should be."""

import socket
import stat
import threading

from lib import BOUND, main
from lib.hand_over_wire import (COMPLETE, COUNTERS, HELLO, LISTENER, OFFER, READY, REFUSAL, SOCKETS,
                                STOPPED, Channel, Left, offer, sockets)
from lib.restart_case import TakeoverTest


class RealTest(TakeoverTest):
    def test_a_supervisor_starts_the_new_process(self):
        process = self.serve(restart={"socket": str(self.path)})
        with self.under_load(process):
            new = self.spawn("-c", self.directory / "sluice0.yaml", "--takeover", self.path)
            new.wait_ready()
        self.assertEqual(process.address(), new.address())
        self.assertEqual(0, process.wait_exit())
        self.assertEqual(new.pid, process.wait_for("handed_over")["pid"])
        self.assertEqual(2, new.metric("sluice_generation"))
        with self.under_load(new):
            third = self.spawn("-c", self.directory / "sluice0.yaml", "--takeover", self.path)
            third.wait_ready()
        self.assertEqual(0, new.wait_exit())
        self.assertEqual(3, third.metric("sluice_generation"))

    def test_nobody_is_there(self):
        new = self.take_over(restart={"socket": str(self.path)}).wait_ready()
        self.assertEqual(str(self.path), new.wait_for("nothing_to_take_over")["socket"])
        self.assertEqual(b"ok", self.ask(new.address()))
        self.assertEqual(1, new.metric("sluice_generation"))

    def test_the_socket_that_a_dead_process_has_left(self):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.path))
        new = self.take_over(restart={"socket": str(self.path)}).wait_ready()
        self.assertEqual(b"ok", self.ask(new.address()))

    def test_both_sockets_are_for_their_owner_only(self):
        admin = self.directory / "admin"
        process = self.serve(admin=f"unix:{admin}", restart={"socket": str(self.path)})
        for path in (admin, self.path):
            self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode) & 0o677, path)
        self.restart(process)
        for path in (admin, self.path):
            self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode) & 0o677, path)

    def test_the_last_process_takes_its_socket_away(self):
        process = self.serve(restart={"socket": str(self.path)})
        process.signal()
        self.assertEqual(0, process.wait_exit())
        self.assertFalse(self.path.exists())

    def test_a_path_that_is_no_socket(self):
        new = self.spawn("--listen", "127.0.0.1:0", "--takeover", "/" + "x" * 200)
        self.assertEqual(1, new.wait_exit())
        self.assertIn("too long for a Unix socket", "\n".join(new.garbage))


class LivingTest(TakeoverTest):
    """The old process lives and does not hand over: it goes on, and the new one must not start."""

    def old(self, script):
        """An old process that is this test, alive: `script` gets its end of the channel."""
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(self.path))
        server.listen(4)
        server.settimeout(BOUND)

        def run():
            connection, _ = server.accept()
            channel = Channel(connection)
            self.addCleanup(channel.close)
            try:
                script(channel)
            except (Left, OSError):
                pass
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(self.path.unlink)
        self.addCleanup(server.close)
        self.addCleanup(thread.join, BOUND)

    def check(self, script, why, timeout="10s"):
        self.old(script)
        new = self.take_over(restart={"timeout": timeout})
        self.assertEqual(1, new.wait_exit())
        said = "\n".join(new.garbage) + str(new.events("takeover_failed"))
        self.assertIn(why, said)
        self.assertEqual([], new.events("phase", phase="ready"))

    def socket(self):
        made = socket.create_server(("127.0.0.1", 0), reuse_port=True)
        self.addCleanup(made.close)
        return made

    def offer(self, channel, count=1):
        channel.expect(HELLO)
        channel.send(OFFER, offer(count))

    def hand_over(self, channel):
        self.offer(channel)
        channel.send(SOCKETS, sockets([(LISTENER, "in", "127.0.0.1:0")]),
                     [self.socket().fileno()])
        channel.send(COMPLETE)

    def test_it_refuses(self):
        self.check(lambda channel: channel.send(REFUSAL, b"not before tea"),
                   "refuses to hand over: not before tea")

    def test_it_speaks_another_version(self):
        self.check(lambda channel: channel.send(OFFER, offer(0, version=7) + b"tomorrow"),
                   "speaks version 7 of the hand-over")

    def test_it_says_nothing(self):
        self.check(lambda channel: channel.receive(), "did not answer within restart.timeout", "1s")

    def test_it_falls_silent(self):
        self.check(self.offer, "did not answer within restart.timeout", "1s")

    def test_it_does_not_stop(self):
        self.check(self.hand_over, "did not answer within restart.timeout", "1s")

    def test_it_closes_at_once(self):
        self.check(lambda channel: channel.close(), "cannot take over")

    def test_it_closes_half_way(self):
        def script(channel):
            self.offer(channel, 2)
            channel.send(SOCKETS, sockets([(LISTENER, "in", "127.0.0.1:0")]),
                         [self.socket().fileno()])
            channel.close()
        self.check(script, "cannot")

    def test_it_closes_before_it_has_stopped(self):
        def script(channel):
            self.hand_over(channel)
            channel.expect(READY)
            channel.close()
        self.check(script, "the other process has left")

    def test_it_refuses_when_the_new_one_is_ready(self):
        def script(channel):
            self.hand_over(channel)
            channel.expect(READY)
            channel.send(REFUSAL, b"second thoughts")
        self.check(script, "second thoughts")

    def test_it_does_not_keep_to_the_protocol(self):
        whole = sockets([(LISTENER, "in", "127.0.0.1:0")])
        for name, steps in {
                "no offer": [(SOCKETS, b"")],
                "a malformed offer": [(OFFER, offer(1)[:-1])],
                "two offers": [(OFFER, offer(0)), (OFFER, offer(0))],
                "sockets without descriptors": [(OFFER, offer(1)), (SOCKETS, whole)],
                "malformed sockets": [(OFFER, offer(1)), (SOCKETS, whole + b"x")],
                "complete too soon": [(OFFER, offer(3)), (COMPLETE, b"")],
                "stopped too soon": [(OFFER, offer(0)), (STOPPED, b"")],
                "counters too soon": [(COUNTERS, b"x")]}.items():
            with self.subTest(name):
                self.path = self.directory / name.replace(" ", "")

                def script(channel, steps=steps):
                    for kind, payload in steps:
                        channel.send(kind, payload)
                    channel.receive()
                self.check(script, "does not keep to the protocol")

    def test_connections_that_come_meanwhile_are_the_old_process_s(self):
        """A new process with more workers than it got sockets takes no share before it may."""
        ours = self.socket()
        ours.settimeout(BOUND)
        served = []

        def script(channel):
            self.offer(channel)
            channel.send(SOCKETS, sockets([(LISTENER, "in", "127.0.0.1:0")]), [ours.fileno()])
            channel.send(COMPLETE)
            channel.expect(READY)
            clients = [socket.create_connection(ours.getsockname()) for _ in range(40)]
            for client in clients:
                served.append(ours.accept()[0])
                client.close()
            channel.send(REFUSAL, b"it was only a test")
        self.old(script)
        new = self.take_over(workers=4)
        self.assertEqual(1, new.wait_exit())
        self.assertEqual(40, len(served))
        for connection in served:
            connection.close()


if __name__ == "__main__":
    main()
