#!/usr/bin/env python3
"""Restarts with a configuration that is wrong, or that cannot be carried out."""

import json
import re

from lib import main
from lib.restart_case import FailureTest


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
