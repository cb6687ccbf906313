#!/usr/bin/env python3
"""What the process and its service manager tell each other: activation, and notifications."""

import os
import signal
import socket
import sys

from lib import BOUND, main, wait_until
from lib.restart_case import RestartTest

# Puts descriptors in their place and says whose they are, as a service manager does.
_ACTIVATE = """
import os, sys
fds = [int(word) for word in sys.argv[1].split(",")]
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ["LISTEN_FDS"] = str(len(high))
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[2]))
if sys.argv[3]:
    os.environ["LISTEN_FDNAMES"] = sys.argv[3]
os.execv(sys.argv[4], sys.argv[4:])
"""


class ActivationTest(RestartTest):
    def listening(self, family=socket.AF_INET, address=("127.0.0.1", 0)):
        made = socket.socket(family)
        made.bind(address)
        made.listen(64)
        self.addCleanup(made.close)
        return made

    @staticmethod
    def name(made):
        address = made.getsockname()
        return f"unix:{address}" if made.family == socket.AF_UNIX else "%s:%d" % address[:2]

    def activate(self, config, made, names, wrong_pid=0):
        fds = [each.fileno() for each in made]
        within = [sys.executable, "-c", _ACTIVATE, ",".join(map(str, fds)), wrong_pid, names]
        return self.start(config, within=within, program=self.program, pass_fds=fds)

    def activated(self, *made, names="", wrong_pid=0, **config):
        return self.activate(self.config(self.app, **config), made, names, wrong_pid)

    def test_by_name(self):
        service, admin = self.listening(), self.listening()
        process = self.activated(service, admin, names="in:admin", admin="127.0.0.1:1")
        self.assertEqual(self.name(service), process.address("in"))
        self.assertEqual(self.name(admin), process.admin_address)
        self.check(process)

    def test_by_address(self):
        service = self.listening()
        process = self.activated(service, listener={"address": self.name(service)})
        self.assertEqual(self.name(service), process.address("in"))
        self.check(process)

    def test_a_unix_socket(self):
        service = self.listening(socket.AF_UNIX, str(self.directory / "in"))
        process = self.activated(service, names="whatever",
                                 listener={"address": self.name(service)})
        self.assertEqual(self.name(service), process.address("in"))
        self.check(process)

    def check(self, process):
        """It serves, on every worker, and hands the socket over."""
        with self.under_load(process):
            for _ in range(20):
                self.assertEqual(b"ok", self.ask(process.address()))
            self.restart(process)
        self.assertEqual(2, self.serving(process))

    def test_a_connection_that_was_there_first(self):
        service = self.listening()
        with socket.create_connection(service.getsockname()) as early:
            early.settimeout(BOUND)
            early.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.activated(service, names="in")
            self.assertIn(b" 200 ", early.recv(1000))

    def test_sockets_of_another_process(self):
        service = self.listening()
        process = self.activated(service, names="in", wrong_pid=1)
        self.assertNotEqual(self.name(service), process.address("in"))
        self.assertEqual(b"ok", self.ask(process.address()))

    def test_a_socket_that_nobody_is_configured_for(self):
        process = self.activated(self.listening(), names="stranger")
        self.assertEqual("stranger", process.wait_for("inherited_socket_closed")["listener"])
        self.assertEqual(b"ok", self.ask(process.address()))

    def test_the_variables_are_not_passed_on(self):
        service = self.listening()
        process = self.activated(service, names="in")
        successor = self.restart(process)
        with open(f"/proc/{successor}/environ", "rb") as text:
            self.assertNotIn(b"LISTEN_FDS=", text.read())


class NotifyTest(RestartTest):
    def setUp(self):
        super().setUp()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.settimeout(BOUND)

    def listen(self, address):
        self.manager.bind(address)
        return os.environ | {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def said(self):
        return self.manager.recv(1000).decode()

    def check(self, environment):
        process = self.start(self.config(self.app), program=self.program, env=environment)
        self.assertEqual(f"READY=1\nMAINPID={process.pid}", self.said())
        successor = self.restart(process)
        self.assertEqual({f"READY=1\nMAINPID={successor}", f"MAINPID={successor}"},
                         {self.said(), self.said()})
        self.assertEqual(0, process.child.wait(BOUND))
        new = self.generation(successor)
        new.signal(signal.SIGTERM)
        self.assertEqual("STOPPING=1", self.said(), "only the one that is the last has said so")
        new.wait_ended()

    def test_at_a_path(self):
        self.check(self.listen(str(self.directory / "notify")))

    def test_in_the_abstract_namespace(self):
        self.check(self.listen(f"\0sluice-test-{os.getpid()}"))

    def test_a_restart_that_fails_changes_nothing(self):
        environment = self.listen(str(self.directory / "notify"))
        process = self.start(self.config(self.app), program=self.program, env=environment)
        self.assertIn("READY=1", self.said())
        self.install_script("sys.exit(7)")
        self.refused(process)
        process.signal()
        self.assertEqual("STOPPING=1", self.said())
        self.assertEqual(0, process.wait_exit())

    def test_nobody_hears(self):
        environment = os.environ | {"NOTIFY_SOCKET": str(self.directory / "nobody")}
        process = self.start(self.config(self.app), program=self.program, env=environment)
        self.assertEqual(b"ok", self.ask(process.address()))
        self.restart(process)
        wait_until(lambda: self.serving(process) == 2, "the new one serves")


if __name__ == "__main__":
    main()
