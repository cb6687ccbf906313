"""Clients that keep asking until nobody answers any more, and check every response whole."""

import threading

from .client import Client
from .wait import BOUND
from .wire import Broken

PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n"


def pattern(count):
    """What /bytes/COUNT of the embedded origin answers."""
    return (PATTERN * (count // len(PATTERN) + 1))[:count]


class Kind:
    """What one client asks for, over and over."""

    def __init__(self, target, expected, method="GET", body=None, fresh=False):
        self.target = target
        self.expected = expected
        self.method = method
        self.body = body
        self.fresh = fresh  # a new connection for each request


# Of the embedded origin.
KINDS = [
    Kind("/bytes/100", pattern(100)),
    Kind("/bytes/100000", pattern(100_000)),
    Kind("/bytes/10", pattern(10), fresh=True),
    Kind("/echo", b"x" * 3000, "POST", b"x" * 3000),
    Kind("/echo", b"y" * 200, "PUT", b"y" * 200, fresh=True),
    Kind("/stream/4?interval=5", b"chunk 1\nchunk 2\nchunk 3\nchunk 4\n"),
    Kind("/delay/15", None),
]


class Load:
    """One thread for each kind. What happened is in `answered`, `lost` and `unaccepted`."""

    def __init__(self, address, kinds=tuple(KINDS)):
        self.address = address
        self.answered = 0
        self.lost = []  # requests that the process had, and that got no whole response
        # Connections that the kernel reset before a byte came back: they met the closing listener
        # and were never accepted.
        self.unaccepted = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(kind,), daemon=True)
                         for kind in kinds]
        for thread in self._threads:
            thread.start()

    def wait(self):
        """Until every client has found nobody there."""
        for thread in self._threads:
            thread.join(2 * BOUND)
            if thread.is_alive():
                self.lost.append("a client that still waits")

    def _connect(self):
        try:
            return Client(self.address)
        except (ConnectionRefusedError, ConnectionResetError):
            return None

    def _run(self, kind):
        client, served = None, 0
        while client or (client := self._connect()):
            try:
                answer = client.ask(kind.method, kind.target, body=kind.body)
            except (Broken, OSError) as error:
                with self._lock:
                    if served == 0 and client.received == 0:
                        self.unaccepted += 1
                    else:
                        self.lost.append(f"{kind.target}, request {served + 1} of its connection:"
                                         f" {error}")
                client.close()
                client, served = None, 0
                continue
            self._judge(kind, answer)
            served += 1
            if kind.fresh or answer.closes:
                client.close()
                client, served = None, 0

    def _judge(self, kind, answer):
        with self._lock:
            self.answered += 1
            if answer.status != 200:
                self.lost.append(f"{kind.target}: {answer}")
            elif kind.expected is not None and answer.body != kind.expected:
                self.lost.append(f"{kind.target}: a wrong body, {answer.body[:100]!r}")
