#!/usr/bin/env python3
"""`sluice serve --takeover` when the old process is killed on the way."""

import signal
import socket
import subprocess
import sys

from lib import BOUND, main, wait_until
from lib.restart_case import LIB, TakeoverTest

# `ours` are its listening sockets, `channel` its end of the channel.
_OLD_PROCESS = """
import os, signal, socket, sys
sys.path.insert(0, sys.argv[1])
from hand_over_wire import *

def listening():
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", int(sys.argv[3])))
    made.listen(64)
    return made

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[2])
server.listen(4)
ours = [listening(), listening()]
inventory = [(LISTENER, "in", "127.0.0.1:0")] * 2 + [(TAKEOVER, "", "unix:" + sys.argv[2])]
fds = [each.fileno() for each in (*ours, server)]
print("listening", flush=True)
channel = Channel(server.accept()[0])
"""

# A client that has connected before its end, and is still there after it. That it connects to
# ours[0] takes that the other is closed.
_VISIT = """
waiting = socket.create_connection(ours[0].getsockname())
if os.fork() == 0:
    for each in [*ours, server, channel.socket]:
        each.close()
    waiting.settimeout(60)
    waiting.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    with open(sys.argv[2] + ".answer", "wb") as file:
        file.write(waiting.recv(100))
    os._exit(0)
die()
"""


class DyingTest(TakeoverTest):
    """The old process is killed: the new one serves, with what it has got."""

    def check(self, script):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        old = subprocess.Popen(
            [sys.executable, "-c", _OLD_PROCESS + script, str(LIB), self.path, str(port)],
            stdout=subprocess.PIPE)
        self.addCleanup(old.wait)
        self.addCleanup(old.stdout.close)
        self.addCleanup(old.kill)
        self.assertEqual(b"listening\n", old.stdout.readline())
        config = {"listeners": [{"name": "in", "address": f"127.0.0.1:{port}", "cluster": "app"}]}
        new = self.take_over(restart={"socket": str(self.path), "timeout": "20s"}, **config)
        new.wait_ready()
        self.assertEqual(-signal.SIGKILL, old.wait(BOUND))
        self.assertEqual(f"127.0.0.1:{port}", new.address())
        for _ in range(20):
            self.assertEqual(b"ok", self.ask(new.address()))
        with self.under_load(new):
            later = self.spawn("-c", self.directory / "new.yaml", "--takeover", self.path)
            later.wait_ready()
        self.assertEqual(0, new.wait_exit())
        return new

    OFFER = "channel.expect(HELLO)\nchannel.send(OFFER, offer(3))\n"
    HALF = OFFER + "channel.send(SOCKETS, sockets(inventory[:1]), fds[:1])\n"
    COMPLETE = (HALF + "channel.send(SOCKETS, sockets(inventory[1:]), fds[1:])\n"
                "channel.send(COMPLETE)\nchannel.expect(READY)\n")

    def test_before_the_transfer(self):
        new = self.check("channel.expect(HELLO)\ndie()")
        self.assertTrue(new.events("predecessor_died"))

    def test_after_its_offer(self):
        self.check(self.OFFER + "die()")

    def test_in_the_middle_of_the_transfer(self):
        self.check(self.HALF + "die()")

    def test_after_the_transfer(self):
        self.check(self.COMPLETE + "die()")

    def test_when_it_has_stopped(self):
        self.check(self.COMPLETE + "channel.send(STOPPED)\ndie()")

    def test_when_the_new_one_accepts(self):
        self.check(self.COMPLETE + "channel.send(STOPPED)\nchannel.expect(ACCEPTING)\ndie()")

    def test_connections_in_its_queue_are_served(self):
        self.check("ours[1].close()\n" + self.HALF + _VISIT)
        answer = self.directory / "takeover.answer"
        wait_until(answer.exists, "the connection in the queue is answered")
        wait_until(answer.read_bytes, "the answer is written")
        self.assertIn(b" 200 ", answer.read_bytes())


if __name__ == "__main__":
    main()
