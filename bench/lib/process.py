"""Child processes pinned to a core, and what /proc says they cost.

A bench ends only what it started: each Process stops its own child, by id, when its `with` ends.
"""

import os
import select
import signal
import socket
import subprocess
import time
from http.client import HTTPConnection, HTTPException

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60
STOP_SECONDS = 15


def cores():
    """The core of the proxy under test, and the core of everything else."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("bench: two cores are needed: one for the proxy, one for load and origin")
    return allowed[0], allowed[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A command running on one core, its output in a file."""

    def __init__(self, command, core, log):
        self.command = [str(word) for word in command]
        self.log = log
        with open(log, "ab") as output:
            self.child = subprocess.Popen(
                ["taskset", "-c", str(core), *self.command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.pid = self.child.pid  # taskset execs: the id is the command's own
        self.exit_fd = os.pidfd_open(self.pid)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, seconds):
        """Waits for the exit without polling; returns the exit code, or None if it still runs."""
        if not select.select([self.exit_fd], [], [], seconds)[0]:
            return None
        return self.child.wait()

    def stop(self):
        """Ends the process and what it started, politely first. Safe to call twice."""
        if self.exit_fd is None:
            return
        family = tree(self.pid)
        if self.running():
            self.signal(signal.SIGTERM)
        if self.wait(STOP_SECONDS) is None:
            for pid in family:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.child.wait()
        os.close(self.exit_fd)
        self.exit_fd = None

    def last_words(self):
        with open(self.log, "rb") as log:
            return log.read()[-2000:].decode(errors="replace")


def wait_for_http(process, port, path):
    """Waits until `path` is answered with 200, for a bounded time."""
    wait_until(process, lambda: http_status(port, path) == 200)


def wait_for_port(process, port):
    """Waits until connections are accepted, for a bounded time."""
    wait_until(process, lambda: accepts(port))


def wait_until(process, ready):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.running():
        if ready():
            return
        time.sleep(0.01)
    why = "is not ready in time" if process.running() else "ended"
    raise SystemExit(f"bench: {' '.join(process.command)} {why}:\n{process.last_words()}")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        return True
    except OSError:
        return False


def http_status(port, path):
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def http_body(port, path):
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def tree(root):
    """A process and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(name)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def stat_fields(pid):
    """/proc/<pid>/stat from the state on: the name before it may hold spaces and parentheses."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_seconds(root):
    """User and system time of a process and its descendants."""
    ticks = 0
    for pid in tree(root):
        fields = stat_fields(pid)
        if fields:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def memory_bytes(root):
    """Resident and proportional memory of a process and its descendants: {"Rss": .., "Pss": ..}."""
    total = {"Rss": 0, "Pss": 0}
    for pid in tree(root):
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
            for line in rollup:
                name, _, rest = line.partition(":")
                if name in total:
                    total[name] += int(rest.split()[0]) * 1024
    return total
