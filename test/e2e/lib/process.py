"""The real binary as a child process: its configuration, its log, its signals, its exit."""

import json
import os
import pathlib
import select
import signal
import subprocess
import threading
import time

from .client import Client
from .wait import BOUND, patience
from .wire import Broken

BINARY = os.environ.get("SLUICE_BINARY", "build/test/sluice")
SOURCE_DIR = pathlib.Path(
    os.environ.get("SLUICE_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[3]))


def _sanitized():
    binary = pathlib.Path(BINARY).read_bytes()
    return b"__asan_init" in binary or b"__tsan_init" in binary


# A build with a sanitizer is slow and large: claims about time and memory are not for it.
SANITIZED = _sanitized()


def run_sluice(*arguments, **more):
    """Runs a command of the binary to its end."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                          timeout=BOUND, check=False, **more)


class Sluice:
    """`sluice serve ARGUMENTS`. The log is JSON lines on stderr, kept in `lines` as they come; that
    of the processes that take over from this one among them."""

    def __init__(self, *arguments, program=BINARY, stdout=subprocess.DEVNULL, within=(), **more):
        """`within`: a command that runs it."""
        self.arguments = [str(argument) for argument in arguments]
        self.lines = []  # of the log, parsed
        self.garbage = []  # lines that are not JSON
        self._changed = threading.Condition()
        self._closed = False
        self.child = subprocess.Popen(
            [*map(str, (*within, program)), "serve", *self.arguments], stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=subprocess.PIPE, **more)
        self.pid = self.child.pid
        self._exit_fd = os.pidfd_open(self.pid)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    # ---- the log

    def _read_log(self):
        for raw in self.child.stderr:
            with self._changed:
                try:
                    self.lines.append(json.loads(raw))
                except ValueError:
                    self.garbage.append(raw.decode(errors="replace").rstrip())
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def events(self, event, **fields):
        """Lines of the log that are of this event and have these values."""
        with self._changed:
            return [line for line in self.lines
                    if line.get("event") == event and fields.items() <= line.items()]

    def wait_for(self, event, count=1, **fields):
        """Waits for the `count`-th such line and returns it."""
        left = patience(BOUND)
        while True:
            with self._changed:
                found = [line for line in self.lines
                         if line.get("event") == event and fields.items() <= line.items()]
                if len(found) >= count:
                    return found[count - 1]
                if self._closed or left() == 0.0:
                    raise AssertionError(f"no event {event} {fields} in the log")
                self._changed.wait(left())

    def wait_for_phase(self, phase, count=1):
        return self.wait_for("phase", count, phase=phase)

    def last_words(self):
        with self._changed:
            lines = [json.dumps(line) for line in self.lines] + self.garbage
        return (f"sluice serve {' '.join(self.arguments)} (pid {self.pid}, "
                f"exit code {self.child.poll()}):\n" + "\n".join(lines[-40:]))

    # ---- addresses

    def wait_ready(self):
        self.wait_for_phase("ready")
        return self

    def address(self, listener=None):
        """Where a listener listens; without a name, the first one."""
        fields = {} if listener is None else {"listener": listener}
        return self.wait_for("listening", **fields)["address"]

    @property
    def admin_address(self):
        return self.address("admin")

    def connect(self, listener=None, **more):
        return Client(self.address(listener), **more)

    def url(self, path="/", listener=None):
        return f"http://{self.address(listener)}{path}"

    def admin(self, path, method="GET", fields=()):
        """One request to the admin on a connection of its own."""
        with Client(self.admin_address) as client:
            return client.ask(method, path, fields)

    def admin_json(self, path, method="GET"):
        response = self.admin(path, method)
        if response.status != 200:
            raise AssertionError(f"{method} {path}: {response}")
        return json.loads(response.body)

    def metrics(self):
        """As text. Asked once more where, in a restart, a process ended whose admin had just accepted
        the connection: its admin waits for nobody."""
        try:
            return self.admin("/metrics").body.decode()
        except Broken:
            return self.admin("/metrics").body.decode()

    def metric(self, name, **labels):
        """The sum of the samples of this name that have these labels."""
        total = 0.0
        for line in self.metrics().splitlines():
            if line.startswith("#") or not line.startswith((name + "{", name + " ")):
                continue
            if all(f'{label}="{value}"' in line for label, value in labels.items()):
                total += float(line.rpartition(" ")[2])
        return total

    # ---- the process

    def rss_bytes(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return 1024 * int(status.split("VmRSS:")[1].split()[0])

    def running(self):
        return self.child.poll() is None

    def signal(self, number=signal.SIGTERM):
        self.child.send_signal(number)

    def stop_now(self):
        """The first and the second signal. Two of a kind would be one if they met in the kernel."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGINT)

    def drain(self):
        """SIGTERM; returns when it was sent, for exit_seconds."""
        self.signal()
        return time.monotonic()

    def wait_exit(self, seconds=BOUND):
        """The exit code. Does not poll, so that the time it takes can be measured."""
        if not select.select([self._exit_fd], [], [], seconds)[0]:
            raise AssertionError(f"still running after {seconds} s")
        code = self.child.wait()
        self._reader.join(BOUND)
        return code

    def report(self):
        """The drain report that was logged at exit."""
        return self.wait_for("drain_report")["report"]

    def close(self):
        """Ends the process if it still runs; what is wrong with how it ended, or None."""
        try:
            if self.running():
                self.stop_now()
            code = self.wait_exit()
        except AssertionError as error:
            self.child.kill()
            self.child.wait()
            return f"the process had to be killed: {error}"
        finally:
            self._reader.join(BOUND)
            self.child.stderr.close()
            os.close(self._exit_fd)
        if code not in (0, 1, 2, 3):
            return f"the process ended with {code}"
        if self.garbage and code in (0, 3):
            return "lines on stderr that are not of the log:\n" + "\n".join(self.garbage)
        return None
