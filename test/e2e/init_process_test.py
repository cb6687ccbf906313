#!/usr/bin/env python3
"""Sluice as PID 1 of a container, in a PID namespace of its own: it must live as long as any
generation does, and look after all of them."""

import json
import os
import signal
import subprocess
import unittest

from lib import SluiceTest, main, run_sluice, wait_until

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def has_namespaces():
    return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0


@unittest.skipUnless(has_namespaces(), "no PID namespaces here")
class InitProcessTest(SluiceTest):
    def setUp(self):
        super().setUp()
        path = self.directory / "sluice.yaml"
        path.write_text(json.dumps(self.config(self.origin())), encoding="utf-8")
        self.process = self.spawn("-c", path, within=NAMESPACE).wait_ready()

    def init_pid(self):
        """PID 1, as it is called out here."""
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children, encoding="ascii") as file:
            return int(file.read().split()[0])

    def tell(self, number):
        os.kill(self.init_pid(), number)

    def restart(self):
        result = run_sluice("restart", "--admin", self.process.admin_address)
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    def generation(self):
        return self.process.metric("sluice_generation")

    def test_restarts_and_drains(self):
        self.assertEqual(1, self.generation())
        for generation in (2, 3):
            self.restart()
            self.assertEqual(generation, self.generation())
            self.assertEqual(200, self.connect(self.process).ask().status)
        self.tell(signal.SIGTERM)
        self.assertEqual(0, self.process.wait_exit())

    def test_forwards_a_restart(self):
        self.tell(signal.SIGUSR2)
        wait_until(lambda: self.generation() == 2, "the second generation")
        self.tell(signal.SIGTERM)
        self.assertEqual(0, self.process.wait_exit())


if __name__ == "__main__":
    main()
