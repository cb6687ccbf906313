"""The base of tests of the hot restart: a program that can be replaced, and its generations."""

import contextlib
import json
import os
import pathlib
import select
import signal
import sys

from .case import SluiceTest
from .client import Client
from .process import BINARY, run_sluice
from .steady import Steady
from .wait import BOUND, wait_until

LIB = pathlib.Path(__file__).resolve().parent

_PROGRAM = """#!{python}
import os, signal, sys
sys.path.insert(0, {lib!r})
from hand_over_wire import *
sys.excepthook = lambda *unused: None  # the log is for the log
"""


class Generation:
    """A process that others have started, and that the test watches."""

    def __init__(self, pid):
        self.pid = pid
        self.fd = os.pidfd_open(pid)

    def ended(self, seconds=0.0):
        return bool(select.select([self.fd], [], [], seconds)[0])

    def wait_ended(self):
        if not self.ended(BOUND):
            raise AssertionError(f"process {self.pid} still runs after {BOUND} s")

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.fd, number)

    def end(self):
        """False when it had to be killed."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGINT)
        if self.ended(BOUND):
            return True
        self.signal(signal.SIGKILL)
        return False


class RestartTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        # Where the next version of the program is put.
        self.program = self.directory / "sluice"
        self.install(BINARY)

    # ---- the program

    def install(self, target):
        """From here on `target` is what a restart starts."""
        link = self.directory / "next"
        link.symlink_to(pathlib.Path(target).resolve())
        link.replace(self.program)

    def install_script(self, body):
        """From here on a restart starts a Python program of these lines; see hand_over_wire."""
        script = self.directory / f"program{len(list(self.directory.glob('program*')))}"
        script.write_text(_PROGRAM.format(python=sys.executable, lib=str(LIB)) + body,
                          encoding="utf-8")
        script.chmod(0o700)
        self.install(script)
        return script

    # ---- the processes

    def serve(self, **config):
        """A process in front of self.app, started as self.program; see config()."""
        return self.start(self.config(self.app, **config), program=self.program)

    def configure(self, **config):
        """What the next generation of the first process finds in its file."""
        self.rewrite(self.config(self.app, **config))

    def rewrite(self, config):
        self.write(self.directory / "sluice0.yaml", config)

    @staticmethod
    def write(path, config):
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        path.write_text(text, encoding="utf-8")

    def spawn(self, *arguments, **more):
        process = super().spawn(*arguments, **more)
        self.addCleanup(self._end_successors, process)
        return process

    def _end_successors(self, process):
        for pid in sorted({event["pid"] for event in process.events("hand_over")}):
            if self._is_ours(pid):
                left = Generation(pid)
                ended = left.end()
                os.close(left.fd)
                self.assertTrue(ended, f"process {pid} had to be killed")

    def _is_ours(self, pid):
        try:
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return str(self.directory).encode() in command

    def generation(self, pid):
        """To be watched; ended with the others."""
        watched = Generation(pid)
        self.addCleanup(os.close, watched.fd)
        return watched

    # ---- a restart

    def command(self, process):
        """`sluice restart`, whatever comes of it."""
        return run_sluice("restart", "--admin", process.admin_address)

    def restart(self, process):
        """`sluice restart`, which has to do it. The pid of the new process."""
        before = len(process.events("handed_over"))
        done = self.command(process)
        self.assertEqual(0, done.returncode, done.stderr)
        return process.wait_for("handed_over", before + 1)["pid"]

    def refused(self, process):
        """`sluice restart`, which must not. What it says."""
        done = self.command(process)
        self.assertEqual(1, done.returncode, done.stdout)
        self.assertIn("not restarted, and the running process serves on", done.stderr)
        return done.stderr

    def serving(self, process):
        """Which generation answers at the admin."""
        return process.metric("sluice_generation")

    def ask(self, address, target="/"):
        """The body that a fresh connection to `address` is answered."""
        with Client(address) as client:
            answer = client.ask("GET", target)
        self.assertEqual(200, answer.status, answer)
        return answer.body

    @contextlib.contextmanager
    def under_load(self, process, listener="in", clients=2):
        """Fresh connections all the time, of which none may fail. They come before the body, and
        after it."""
        load = Steady(process.address(listener), clients=clients)
        try:
            load.wait_for_more()
            yield load
            load.wait_for_more()
        finally:
            failures = load.stop()
        self.assertEqual([], failures)

    def wait_phase_again(self, process):
        """Until the process that tried to hand over is ready as before."""
        wait_until(lambda: process.admin_json("/drain")["phase"] == "ready", "it is ready again")


class TakeoverTest(RestartTest):
    def setUp(self):
        super().setUp()
        self.path = self.directory / "takeover"

    def take_over(self, **config):
        """A process that is to take over from whoever listens at self.path."""
        config = self.config(self.app, **{"restart": {"timeout": "5s"}} | config)
        path = self.directory / "new.yaml"
        self.write(path, config)
        return self.spawn("-c", path, "--takeover", self.path)


class FailureTest(RestartTest):
    def serve_here(self, **config):
        return self.serve(**{"restart": {"socket": str(self.directory / "takeover")}} | config)

    def check_recovery(self, process):
        """It serves as ever, and what is installed next can take over."""
        self.wait_phase_again(process)
        self.assertEqual(200, process.admin("/ready").status)
        self.assertEqual(1, self.serving(process))
        for _ in range(8):  # on every worker
            self.assertEqual(b"ok", self.ask(process.address()))

    def check_later_restart(self, process):
        self.install(BINARY)
        with self.under_load(process):
            self.restart(process)
        self.assertEqual(2, self.serving(process))
        self.assertEqual(0, process.child.wait(BOUND))
