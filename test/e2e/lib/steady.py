"""Clients that come without a pause, each request on a connection of its own."""

import threading

from .client import Client
from .wait import BOUND, wait_until
from .wire import Broken


class Steady:
    """Asks `address` until stop(), in `clients` threads. What went wrong is in `failures`."""

    def __init__(self, address, target="/", clients=2):
        self.address = address
        self.target = target
        self.answered = 0
        self.failures = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        while not self._stop.is_set() and len(self.failures) < 20:
            wrong = self._ask()
            with self._lock:
                self.answered += 1
                if wrong:
                    self.failures.append(f"request {self.answered}: {wrong}")

    def _ask(self):
        try:
            with Client(self.address) as client:
                answer = client.ask("GET", self.target)
            return None if answer.status == 200 else str(answer)
        except (Broken, OSError) as error:
            return repr(error)

    def wait_for_more(self, count=20):
        """Until so many have been answered that came after this call."""
        enough = self.answered + count + len(self._threads)
        wait_until(lambda: self.answered >= enough or self.failures, "more requests are answered")

    def stop(self):
        """What went wrong."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * BOUND)
            if thread.is_alive():
                self.failures.append("a client that still waits")
        return self.failures
