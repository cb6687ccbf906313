#!/usr/bin/env python3
"""Restarts that fail: the old process serves on, says why, and a later restart works."""

import json
import os
import re
import signal

from lib import BINARY, BOUND, main, wait_until
from lib.restart_case import RestartTest

# What every new process does at first.
_GREET = "channel = Channel.inherited()\nchannel.send(HELLO, hello())\n"
_RECEIVE = _GREET + "channel.expect(COMPLETE)\n"
_READY = _RECEIVE + "channel.send(READY)\nchannel.expect(STOPPED)\n"


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


class ProgramTest(FailureTest):
    """The new program is not what it should be."""

    PROGRAMS = {
        "exits at once": ("sys.exit(7)", "exit code 7"),
        "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        "crashes after its greeting": (_GREET + "die()", "signal 9"),
        "exits after its greeting": (_GREET + "os._exit(5)", "exit code 5"),
        "dies in the middle of the transfer": (_GREET + "channel.receive()\ndie()", "signal 9"),
        "exits before it is ready": (_RECEIVE + "os._exit(6)", "exit code 6"),
        "is ready and dies": (_RECEIVE + "channel.send(READY)\ndie()", "signal 9"),
        "is told to accept and dies": (_READY + "die()", "signal 9"),
        "is told to accept and exits": (_READY + "os._exit(8)", "exit code 8"),
        "speaks another version": (
            "channel = Channel.inherited()\nchannel.send(HELLO, hello(version=99) + b'more')\n"
            "channel.expect(OFFER)\n", "speaks version 99"),
        "is ready before it has greeted": (
            "channel = Channel.inherited()\nchannel.send(READY)\nhang()",
            "does not keep to the protocol"),
        "accepts before it may": (_RECEIVE + "channel.send(ACCEPTING)\nhang()",
                                  "does not keep to the protocol"),
        "greets twice": (_RECEIVE + "channel.send(HELLO, hello())\nhang()",
                         "does not keep to the protocol"),
        "talks nonsense": ("channel = Channel.inherited()\nchannel.socket.sendall(b'GET / ' * 99)\n"
                           "hang()", "does not keep to the protocol"),
        "gives up": (_RECEIVE + "channel.send(REFUSAL, b'not today')\nhang()", "not today"),
        "talks nonsense when it is told to accept": (
            _READY + "channel.send(HELLO, hello())\nhang()", "signal 9"),
    }

    def test_it_serves_on(self):
        process = self.serve_here()
        for number, (name, (script, why)) in enumerate(self.PROGRAMS.items(), 1):
            with self.subTest(name):
                self.install_script(script)
                with self.under_load(process, clients=1):
                    said = self.refused(process)
                self.assertIn(why, said)
                self.check_recovery(process)
                self.assertEqual(number, process.metric("sluice_handover_total", result="failed"))
                pid = process.wait_for("hand_over", number)["pid"]
                self.assertFalse(os.path.exists(f"/proc/{pid}"), "it is gone, and reaped")
        self.check_later_restart(process)

    def test_a_later_restart_works_after_the_worst(self):
        for name in ("crashes", "is told to accept and dies", "speaks another version"):
            with self.subTest(name):
                self.install(BINARY)
                process = self.serve_here(
                    restart={"socket": str(self.directory / f"takeover{len(self.processes)}")})
                self.rewrite(json.loads(
                    (self.directory / f"sluice{len(self.processes) - 1}.yaml").read_text()))
                self.install_script(self.PROGRAMS[name][0])
                self.refused(process)
                self.check_later_restart(process)

    def test_it_is_not_there(self):
        process = self.serve_here()
        self.program.unlink()
        with self.under_load(process):
            said = self.refused(process)
        self.assertIn(f"cannot start {self.program}", said)
        self.check_recovery(process)
        self.check_later_restart(process)

    def test_it_hangs(self):
        process = self.serve_here(restart={"timeout": "1s"})
        for number, (name, script) in enumerate({
                "says nothing": "hang()", "does not get ready": _RECEIVE + "hang()",
                "does not read what it is sent": _GREET + "hang()"}.items(), 1):
            with self.subTest(name):
                self.install_script(script)
                with self.under_load(process):
                    said = self.refused(process)
                self.assertIn("was not ready within restart.timeout", said)
                self.check_recovery(process)
                pid = process.wait_for("hand_over", number)["pid"]
                self.assertFalse(os.path.exists(f"/proc/{pid}"), "it was killed")
        self.check_later_restart(process)

    def test_it_hangs_when_it_is_told_to_accept(self):
        # The old process may accept again only when the new one is certainly gone: connections wait
        # so long in the kernel's queue, and none is lost.
        process = self.serve_here(restart={"timeout": "1s"})
        self.install_script(_READY + "hang()")
        with self.under_load(process):
            process.signal(signal.SIGUSR2)
            killed = process.wait_for("hand_over_killed")
            self.assertIn("was not ready within restart.timeout", killed["error"])
            self.assertIn("signal 9", process.wait_for("hand_over_failed")["error"])
        self.check_recovery(process)
        self.check_later_restart(process)

    def test_a_stop_meanwhile_is_done_when_it_has_failed(self):
        gate = self.directory / "gate"
        process = self.serve_here()
        self.install_script(_RECEIVE + "import time\n"
                            f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n")
        process.signal(signal.SIGUSR2)
        process.wait_for("hand_over")
        process.signal(signal.SIGTERM)
        wait_until(lambda: process.admin_json("/drain")["phase"] == "handing_over",
                   "it is handing over")
        gate.touch()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual("sigterm", process.report()["trigger"].lower())


class ConfigurationTest(FailureTest):
    def check_refusal(self, process, pattern):
        with self.under_load(process):
            said = self.refused(process)
        self.assertRegex(said, pattern)
        self.check_recovery(process)

    def check_later_restart(self, process):
        # The command's complaint is on the log's stream, as lines for people.
        process.garbage.clear()
        super().check_later_restart(process)

    def test_it_is_wrong(self):
        process = self.serve_here()
        file = re.escape(str(self.directory / "sluice0.yaml"))
        good = self.config(self.app)
        for name, text, complaint in (
                ("no YAML", "listeners: [\n", r":\d+:\d+: "),
                ("an unknown key", json.dumps(good | {"listenners": []}, indent=1),
                 r":\d+:\d+: .*listenners"),
                ("no listener", json.dumps(good | {"listeners": []}, indent=1), r":\d+:\d+: "),
                ("an unknown cluster",
                 json.dumps(good, indent=1).replace('"cluster": "app"', '"cluster": "apq"'),
                 r":\d+:\d+: .*apq")):
            with self.subTest(name):
                self.rewrite(text)
                self.check_refusal(process, file + complaint)
        (self.directory / "sluice0.yaml").unlink()
        with self.subTest("no file"):
            self.check_refusal(process, file)
        self.configure()
        self.check_later_restart(process)

    def test_it_cannot_be_carried_out(self):
        process = self.serve_here()
        good = self.config(self.app)
        taken = self.origin().address
        other = {"name": "other", "address": taken, "cluster": "app"}
        for name, config, complaint in (
                ("a port that another process has",
                 good | {"listeners": [*good["listeners"], other]},
                 f"listener other: cannot listen on {taken}: .*another process has it"),
                ("a certificate that is not there", self.config(self.app, listener={
                    "tls": {"certificates": [{"cert": "/nonexistent", "key": "/nonexistent"}]}}),
                 "/nonexistent"),
                ("a log that cannot be written", good | {"access_log": "/nonexistent/log"},
                 "access_log.path: .*/nonexistent/log"),
                ("an admin port that another process has", good | {"admin": taken},
                 f"admin: cannot listen on {taken}")):
            with self.subTest(name):
                self.rewrite(config)
                self.check_refusal(process, complaint)
        self.configure()
        self.check_later_restart(process)


if __name__ == "__main__":
    main()
