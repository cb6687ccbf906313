#!/usr/bin/env python3
"""Hot restart: a new process in the place of the old one, and nobody notices."""

import os
import signal

from lib import BOUND, main, wait_until
from lib.restart_case import RestartTest
from lib.tls_case import TlsTest


class WaysTest(RestartTest):
    def test_by_command(self):
        pid_file = self.directory / "pid"
        process = self.serve(pid_file=str(pid_file))
        with self.under_load(process):
            done = self.command(process)
        self.assertEqual(0, done.returncode, done.stderr)
        successor = process.wait_for("handed_over")["pid"]
        self.assertEqual(f"process {successor} has taken over from {process.pid}, which drains\n",
                         done.stdout)
        self.assertEqual(0, process.child.wait(BOUND))
        self.assertEqual(f"{successor}\n", pid_file.read_text(encoding="utf-8"),
                         "the old process leaves the file to the new one")
        self.assertEqual(2, self.serving(process))
        report = process.report()
        self.assertEqual("hand_over", report["trigger"])
        self.assertEqual(0, report["cut"]["total"], report)
        new = self.generation(successor)
        new.signal(signal.SIGTERM)
        new.wait_ended()
        self.assertFalse(pid_file.exists(), "the last process removes it")

    def test_by_admin(self):
        process = self.serve()
        with self.under_load(process):
            answer = process.admin_json("/restart", "POST")
        self.assertEqual(process.pid, answer["previous_pid"])
        self.assertEqual(process.wait_for("handed_over")["pid"], answer["pid"])
        self.assertEqual(2, self.serving(process))

    def test_by_signal(self):
        process = self.serve()
        with self.under_load(process):
            process.signal(signal.SIGUSR2)
            process.wait_for("handed_over")
        self.assertEqual(2, self.serving(process))

    def test_by_signal_without_an_admin(self):
        process = self.start(self.config(self.app) | {"admin": "off"}, program=self.program)
        with self.under_load(process):
            process.signal(signal.SIGUSR2)
            process.wait_for("handed_over")

    def test_a_second_request_meanwhile_is_refused(self):
        # The new process gets no further than its start until the test lets it.
        gate = self.directory / "gate"
        process = self.serve()
        self.install_script(
            f"import time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
            "channel = Channel.inherited()\n"
            "channel.send(REFUSAL, b'it was only a test')\n"
            "channel.close()\n")
        process.signal(signal.SIGUSR2)
        process.wait_for("hand_over")
        self.assertIn("another process is taking over just now", self.refused(process))
        gate.touch()
        process.wait_for("hand_over_failed")
        self.assertEqual(1, self.serving(process))


class CountersTest(RestartTest):
    """Counters in /metrics go on where the old process was."""

    @staticmethod
    def counters(process):
        """Samples of counters, and of what histograms count."""
        kinds, samples = {}, {}
        for line in process.metrics().splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                kinds[name] = kind
                continue
            if line.startswith("#"):
                continue
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            histogram = any(kinds.get(name.removesuffix(suffix)) == "histogram"
                            for suffix in ("_bucket", "_count", "_sum"))
            if kinds.get(name) == "counter" or histogram:
                samples[series] = float(value)
        return samples

    def test_they_never_go_backwards(self):
        process = self.serve(restart={"generations": 64})
        before, samples, fallen = self.counters(process), 0, []
        with self.under_load(process):
            for number in range(2, 5):
                process.signal(signal.SIGUSR2) if number == 2 else self.restart(process)
                enough = samples + 20
                while samples < enough or self.serving(process) < number:
                    now = self.counters(process)
                    fallen += [(series, value, now.get(series)) for series, value in before.items()
                               if now.get(series, 0) < value]
                    before, samples = now, samples + 1
        self.assertEqual([], fallen)

    def test_work_that_the_old_process_finishes_is_counted(self):
        hold = self.app.hold("/slow")
        process = self.serve()
        for _ in range(5):
            self.ask(process.address())
        client = self.connect(process)
        client.request(target="/slow")
        hold.wait_arrived()
        self.restart(process)
        hold.release()
        self.assertEqual(200, client.read_response().status)
        client.close()
        self.assertEqual(0, process.child.wait(BOUND))

        def total():
            return process.metric("sluice_requests_total", listener="in")
        wait_until(lambda: total() == 6, lambda: f"six requests are counted, not {total()}")


class TicketsTest(TlsTest, RestartTest):
    def s_client(self, process, *arguments, data=b""):
        return super().s_client(process, *arguments, "-alpn", "http/1.1", "-servername",
                                "edge.test", data=data)

    def test_sessions_are_resumed_after_a_restart(self):
        process = self.start(self.config(self.app, listener={"tls": self.tls()}),
                             program=self.program)
        request = b"GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n"
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version):
                session = self.directory / f"session{version}"
                said = self.s_client(process, version, "-sess_out", session, "-ign_eof",
                                     data=request)
                self.assertIn("New, TLSv1", said)
                for _ in range(2):
                    self.restart(process)
                    said = self.s_client(process, version, "-sess_in", session, "-ign_eof",
                                         data=request)
                    self.assertIn("Reused, TLSv1", said)
                    self.assertIn("200 ", said)


class PathTest(RestartTest):
    def test_a_program_found_in_path(self):
        environment = os.environ | {"PATH": f"{self.directory}:{os.environ['PATH']}"}
        process = self.start(self.config(self.app), program="sluice", env=environment)
        self.restart(process)
        self.assertEqual(2, self.serving(process))

    def test_the_arguments_are_the_same(self):
        process = self.start(self.config(self.app), "--set", "listeners.0.via=once-more",
                             program=self.program)
        successor = self.restart(process)
        with open(f"/proc/{successor}/cmdline", "rb") as words:
            self.assertIn(b"listeners.0.via=once-more", words.read().split(b"\0"))
        with self.connect(process) as client:
            self.assertEqual("1.1 once-more", client.ask().get("via"))


if __name__ == "__main__":
    main()
