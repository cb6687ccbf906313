"""A program and every process that came of it: generations that replace each other, whose parents are
gone. They are known by id and start time, so that nobody else's process is ever taken for one."""

import contextlib
import ctypes
import os
import signal
import time

from .process import stat_fields

PR_SET_CHILD_SUBREAPER = 36
STOP_SECONDS = 5


def adopt_orphans():
    """Makes this process the parent of those whose own parent has ended."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Family:
    def __init__(self):
        self.members = {}  # process id -> start time

    def add(self, pid):
        fields = stat_fields(pid)
        if fields:
            self.members[pid] = started(fields)

    def look(self):
        """Takes in the children of members, lets go of those that have ended; returns who is left."""
        children = {}
        alive = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            fields = stat_fields(name)
            if fields:
                alive[int(name)] = fields
                children.setdefault(int(fields[1]), []).append(int(name))
        self.members = {pid: since for pid, since in self.members.items()
                        if pid in alive and started(alive[pid]) == since}
        known = list(self.members)
        for pid in known:
            for child in children.get(pid, []):
                if child not in self.members:
                    self.members[child] = started(alive[child])
                    known.append(child)
        for pid in known:
            if alive[pid][0] == "Z":
                self.forget_ended(pid, int(alive[pid][1]))
        return [pid for pid in self.members if alive[pid][0] != "Z"]

    def forget_ended(self, pid, parent):
        if parent != os.getpid():
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)

    def memory(self):
        """How many processes there are, and their memory: what they share counts once."""
        total = 0
        processes = self.look()
        for pid in processes:
            with contextlib.suppress(OSError), \
                    open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
                total += sum(int(line.split()[1]) * 1024 for line in rollup
                             if line.startswith("Pss:"))
        return len(processes), total

    def stop(self):
        """Ends all of them, politely first."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.look():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + STOP_SECONDS
            while self.look() and time.monotonic() < deadline:
                time.sleep(0.02)


def started(fields):
    return fields[19]
