#!/usr/bin/env python3
"""`sluice drain` and `sluice status` against a running process."""

import json
import subprocess

from lib import BINARY, BOUND, SluiceTest, main, run_sluice


class CommandTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()

    def serve(self, **drain):
        self.process = self.sluice(self.app, drain=drain)

    def run_command(self, *arguments):
        return run_sluice(*arguments, "--admin", self.process.admin_address)

    def test_status(self):
        self.serve()
        hold = self.app.hold("/slow")
        self.connect(self.process).request("GET", "/slow")
        hold.wait_arrived()
        result = self.run_command("status")
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertRegex(result.stdout, r"(?m)^phase +ready, for ")
        self.assertRegex(result.stdout, r"(?m)^in flight +1 \(http1 1\)$")
        self.assertRegex(result.stdout, r"(?m)^connections +1$")
        document = json.loads(self.run_command("status", "--json").stdout)
        self.assertEqual("ready", document["phase"])
        hold.release()

    def test_drain_and_undo(self):
        self.serve(propagation_delay="60s")
        result = self.run_command("drain")
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertIn("lame_duck", result.stdout)
        self.assertEqual(503, self.process.admin("/ready").status)
        self.assertRegex(self.run_command("status").stdout, r"(?m)^drain +begun by cli")
        result = self.run_command("drain", "--undo")
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertIn("ready", result.stdout)
        self.assertEqual(200, self.process.admin("/ready").status)

        result = self.run_command("drain", "--undo")
        self.assertEqual(1, result.returncode)
        self.assertIn("nothing to undrain", result.stderr)

    def test_wait_returns_when_the_process_is_gone(self):
        self.serve()
        hold = self.app.hold("/slow")
        client = self.connect(self.process)
        client.request("GET", "/slow")
        hold.wait_arrived()
        waiting = self.start_waiting()
        self.process.wait_for_phase("draining")
        self.assertIsNone(waiting.poll())
        hold.release()
        self.assertEqual(200, client.read_response().status)
        client.close()
        text, errors = waiting.communicate(timeout=BOUND)
        self.assertEqual((0, ""), (waiting.returncode, errors))
        self.assertIn("drained", text)
        self.assertEqual(0, self.process.wait_exit(1), "it is gone by then")

    def start_waiting(self):
        waiting = subprocess.Popen(
            [BINARY, "drain", "--wait", "--admin", self.process.admin_address],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(waiting.wait)
        self.addCleanup(waiting.stdout.close)
        self.addCleanup(waiting.stderr.close)
        return waiting

    def test_wait_says_when_requests_were_cut(self):
        # The goodbye takes long enough for the cut to be seen.
        self.serve(deadline="300ms", linger="2s")
        hold = self.app.hold("/slow")
        client = self.connect(self.process)
        client.request("GET", "/slow")
        hold.wait_arrived()
        waiting = self.start_waiting()
        self.assertEqual(503, client.read_response().status)
        text, _ = waiting.communicate(timeout=BOUND)
        self.assertEqual(3, self.process.wait_exit())
        self.assertEqual(3, waiting.returncode, text)
        self.assertIn("cut", text)

    def test_wait_on_a_drain_that_is_taken_back(self):
        self.serve(propagation_delay="60s")
        waiting = self.start_waiting()
        self.process.wait_for_phase("lame_duck")
        self.process.admin_json("/drain", "DELETE")
        _, errors = waiting.communicate(timeout=BOUND)
        self.assertEqual(1, waiting.returncode)
        self.assertIn("taken back", errors)

    def test_nobody_there(self):
        for command in (("status",), ("drain",), ("drain", "--wait"), ("drain", "--undo")):
            with self.subTest(command):
                result = run_sluice(*command, "--admin", f"unix:{self.directory}/none.sock")
                self.assertEqual(1, result.returncode)
                self.assertIn("is sluice running", result.stderr)

    def test_by_a_unix_socket(self):
        self.process = self.sluice(self.app, admin=f"unix:{self.directory}/admin.sock")
        self.assertEqual(0, self.run_command("status").returncode)
        self.assertEqual(0, self.run_command("drain", "--wait").returncode)
        self.assertEqual(0, self.process.wait_exit())

    def test_exclusive_options(self):
        self.assertEqual(2, run_sluice("drain", "--wait", "--undo").returncode)


if __name__ == "__main__":
    main()
