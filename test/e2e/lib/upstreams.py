"""Upstreams that are processes of their own (upstream_server.py), and clients that count."""

import pathlib
import signal
import subprocess
import sys
import threading

from .client import Client
from .wait import BOUND
from .wire import Broken

_SERVER = pathlib.Path(__file__).with_name("upstream_server.py")


class Upstream:
    """One of them, on the same port whenever it is started."""

    def __init__(self, name, journal, port=0):
        self.name = name
        self.journal = journal
        self.port = port
        self.child = None
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.child = subprocess.Popen(
            [sys.executable, _SERVER, str(self.port), self.name, self.journal],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(self.child.stdout.readline())

    def send(self, number):
        self.child.send_signal(number)

    def end(self, number=signal.SIGTERM):
        self.child.send_signal(number)
        self.child.wait(BOUND)
        self.child.stdout.close()

    def restart(self, number=signal.SIGTERM):
        self.end(number)
        self.start()

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


class Posts:
    """Clients that send one POST after the other, each with an identity as its body."""

    def __init__(self, address, clients=4):
        self.statuses = {}  # by identity; 0: the connection broke off
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(address, number), daemon=True)
                         for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, address, number):
        client = Client(address)
        for turn in range(10**9):
            if self._stop.is_set():
                break
            identity = f"{number}-{turn}"
            try:
                self.statuses[identity] = client.ask("POST", "/", body=identity.encode()).status
            except (Broken, OSError):
                self.statuses[identity] = 0
                client.close()
                client = Client(address)
        client.close()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(BOUND)
        return self.statuses
