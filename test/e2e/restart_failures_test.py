#!/usr/bin/env python3
"""Restarts that fail: the old process serves on, says why, and a later restart works."""

import json
import os
import signal

from lib import BINARY, main, wait_until
from lib.restart_case import FailureTest

# What every new process does at first.
_GREET = "channel = Channel.inherited()\nchannel.send(HELLO, hello())\n"
_RECEIVE = _GREET + "channel.expect(COMPLETE)\n"
_READY = _RECEIVE + "channel.send(READY)\nchannel.expect(STOPPED)\n"


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
        process = self.serve_here(restart={"timeout": "4s"})  # enough for the one that works
        for number, (name, script) in enumerate({
                "says nothing": "hang()", "does not get ready": _RECEIVE + "hang()"}.items(), 1):
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
        process = self.serve_here(restart={"timeout": "4s"})
        self.install_script(_READY + "hang()")
        with self.under_load(process):
            process.signal(signal.SIGUSR2)
            killed = process.wait_for("hand_over_killed")
            self.assertIn("was not ready within restart.timeout", killed["error"])
            self.assertIn("signal 9", process.wait_for("hand_over_failed")["error"])
        self.check_recovery(process)
        self.check_later_restart(process)

    def test_it_dies_later(self):
        # That is another story: the old process has drained, or does, and what it has is answered.
        hold = self.app.hold("/slow")
        process = self.serve_here()
        clients = [self.connect(process) for _ in range(4)]
        for client in clients:
            client.request(target="/slow")
        hold.wait_arrived(len(clients))
        self.install_script(_READY + "channel.send(ACCEPTING)\ndie()")
        process.signal(signal.SIGUSR2)
        process.wait_for("successor_lost")
        hold.release()
        for client in clients:
            answer = client.read_response()
            self.assertEqual((200, b"ok"), (answer.status, answer.body))
            client.close()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual(0, process.report()["cut"]["total"])

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


if __name__ == "__main__":
    main()
