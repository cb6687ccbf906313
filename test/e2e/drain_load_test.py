#!/usr/bin/env python3
"""SIGTERM in the middle of load: nothing that was accepted is lost."""

import re
import shutil
import subprocess
import unittest

from lib import Load, SluiceTest, main, wait_until


class LoadTest(SluiceTest):
    def test_clients_that_check_every_response(self):
        answered = unaccepted = 0
        for delay in ("0s", "200ms") * 2:
            with self.subTest(propagation_delay=delay):
                process = self.embedded("--workers", "2", "--set", "drain.idle_grace=200ms",
                                        "--set", f"drain.propagation_delay={delay}")
                load = Load(process.address())
                wait_until(lambda load=load: load.answered > 300, "the load is under way")
                process.signal()
                load.wait()
                self.assertEqual([], load.lost)
                self.assertEqual(0, process.wait_exit())
                report = process.report()
                self.assertEqual(0, report["cut"]["total"], report)
                self.assertFalse(any(phase["overrun"] for phase in report["phases"]), report)
                answered += load.answered
                unaccepted += load.unaccepted
        print(f"{answered} answered, 0 lost, 4 drains; {unaccepted} connections met the closing"
              " listener and were never accepted")
        self.assertLess(unaccepted, 20)

    def test_undrain_under_load(self):
        process = self.embedded("--set", "drain.propagation_delay=60s")
        load = Load(process.address())
        for _ in range(10):
            enough = load.answered + 50
            process.admin_json("/drain", "POST")
            wait_until(lambda: load.answered > enough, "lame ducks serve")
            process.admin_json("/drain", "DELETE")
        self.assertEqual([], load.lost)
        process.signal()
        process.wait_for_phase("lame_duck", count=11)
        process.signal()
        load.wait()
        process.wait_exit()

    @unittest.skipUnless(shutil.which("wrk"), "wrk is not installed")
    def test_wrk(self):
        process = self.embedded("--set", "drain.propagation_delay=60s")
        wrk = subprocess.Popen(["wrk", "-t1", "-c20", "-d3s", process.url("/bytes/1000")],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(wrk.wait)
        self.addCleanup(wrk.stdout.close)

        def answered():
            return process.metric("sluice_requests_total", listener="127.0.0.1:0")
        wait_until(lambda: answered() > 100, "wrk is under way")
        process.signal()
        process.wait_for_phase("lame_duck")
        before = answered()
        text, _ = wrk.communicate(timeout=30)
        self.assertNotIn("Socket errors", text)
        self.assertNotIn("Non-2xx", text)
        requests = int(re.search(r"(\d+) requests in", text)[1])
        after = answered() - before
        print(f"wrk: {requests} answered, {after:.0f} of them by a lame duck, 0 failed")
        self.assertGreater(after, 100)
        wait_until(lambda: process.admin_json("/drain")["in_flight"]["total"] == 0,
                   "wrk's last requests, which it left behind, are over")
        process.signal()
        self.assertEqual(0, process.wait_exit())


if __name__ == "__main__":
    main()
