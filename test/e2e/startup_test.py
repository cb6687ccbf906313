#!/usr/bin/env python3
"""From a command line to a process that serves, or to an error that helps."""

import json
import os
import re
import signal
import socket
import stat
import subprocess

from lib import SOURCE_DIR, Client, SluiceTest, main, run_sluice, wait_until
from lib.certs import Authority

ANYWHERE = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
AT_ONCE = ("--set", "drain.propagation_delay=0s")


def curl(*arguments):
    return subprocess.run(["curl", "-sS", "--max-time", "20", *map(str, arguments)],
                          capture_output=True, check=False)


class ServeTest(SluiceTest):
    def get(self, process, path="/"):
        with process.connect() as client:
            return client.ask("GET", path)

    def test_without_a_configuration_it_fronts_the_origin_inside(self):
        process = self.spawn(*ANYWHERE, *AT_ONCE).wait_ready()
        answer = curl(process.url("/"))
        self.assertEqual(0, answer.returncode, answer.stderr)
        self.assertIn(b"Hello from Sluice", answer.stdout)
        self.assertEqual(10_000, len(curl(process.url("/bytes/10000")).stdout))
        process.signal()
        self.assertEqual(0, process.wait_exit())

    def test_the_first_commands_of_the_readme_use_the_usual_ports(self):
        # Binding them here would collide with whoever has them: the help says which they are.
        text = run_sluice("serve", "--help").stdout
        self.assertIn("127.0.0.1:8080", text)
        self.assertIn("127.0.0.1:9901", text)

    def test_to_fronts_a_service(self):
        origin = self.origin()
        for url in (f"http://{origin.address}", f"http://{origin.address}/",
                    f"http://localhost:{origin.address.rpartition(':')[2]}"):
            with self.subTest(url):
                process = self.spawn(*ANYWHERE, *AT_ONCE, "--to", url).wait_ready()
                self.assertEqual(b"ok", self.get(process).body)

    def test_to_something_that_is_no_url(self):
        for url, complaint in (("ftp://127.0.0.1:1", "expected http://"),
                               ("https://127.0.0.1:1", "TLS"),
                               ("http://127.0.0.1:1/path", "host and a port"),
                               ("http://127.0.0.1:99999", "port")):
            with self.subTest(url):
                process = self.spawn(*ANYWHERE, "--to", url)
                self.assertEqual(2, process.wait_exit())
                self.assertIn(complaint, "\n".join(process.garbage))

    def test_workers(self):
        process = self.spawn(*ANYWHERE, *AT_ONCE, "--workers", "3").wait_ready()
        tasks = os.listdir(f"/proc/{process.pid}/task")
        self.assertGreaterEqual(len(tasks), 4, "three workers and the control thread")
        self.assertEqual(200, self.get(process).status)

    def test_set_overrides_the_command_line_and_the_file(self):
        config = self.config(self.origin(), listener={"via": "from-file"})
        process = self.start(config, "--set", "listeners.0.via=from-set")
        self.assertEqual("1.1 from-set", self.get(process).get("via"))

    def test_configuration_minimal(self):
        origin = self.origin()
        path = SOURCE_DIR / "configs" / "minimal.yaml"
        self.assertLess(len(path.read_text(encoding="utf-8").splitlines()), 10)
        process = self.spawn("-c", path, *ANYWHERE, *AT_ONCE, "--set",
                             f"clusters.0.endpoints=['{origin.address}']").wait_ready()
        self.assertEqual(b"ok", self.get(process).body)

    def test_configuration_sidecar(self):
        app, users, billing = self.origin(), self.origin(), self.origin()
        app.on("/hello", lambda x: x.reply(fields={"Server": "secret"}))
        settings = {
            "listeners.0.address": "'127.0.0.1:0'", "listeners.1.address": "'127.0.0.1:0'",
            "admin": "'127.0.0.1:0'", "drain.propagation_delay": "0s",
            "drain.strategy": "immediate",
            "clusters.0.endpoints": f"['{app.address}']",
            "clusters.1.endpoints": f"['{users.address}']",
            "clusters.2.endpoints": f"['{billing.address}']",
            "clusters.3.endpoints": f"['{billing.address}']",
        }
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        process = self.spawn("-c", SOURCE_DIR / "configs" / "sidecar.yaml", *words).wait_ready()

        with process.connect("inbound") as client:
            self.assertEqual(b"pong\n", client.ask("GET", "/ping").body)
            answer = client.ask("GET", "/hello")
            self.assertEqual((200, None), (answer.status, answer.get("server")))
        with process.connect("outbound") as client:
            for host, origin, status in (("users.internal", users, 200),
                                         ("billing.internal", billing, 200),
                                         ("eu.billing.internal", billing, 200),
                                         ("elsewhere.internal", None, 404)):
                with self.subTest(host):
                    before = len(origin.requests) if origin else 0
                    self.assertEqual(status, client.ask(fields={"Host": host}).status)
                    if origin:
                        self.assertEqual(before + 1, len(origin.requests))
        process.signal()
        self.assertEqual(0, process.wait_exit())

    def test_pid_file(self):
        path = self.directory / "sluice.pid"
        process = self.sluice(self.origin(), pid_file=str(path))
        self.assertEqual(f"{process.pid}\n", path.read_text())
        os.kill(int(path.read_text()), signal.SIGTERM)
        self.assertEqual(0, process.wait_exit())
        self.assertFalse(path.exists(), "the pid file is removed")

    def test_unix_sockets_on_every_side(self):
        origin = self.origin(f"unix:{self.directory}/app.sock")
        listener, admin = f"unix:{self.directory}/in.sock", f"unix:{self.directory}/admin.sock"
        process = self.sluice(origin, listener={"address": listener}, admin=admin)
        self.assertEqual(b"ok", self.get(process).body)
        self.assertIsNone(origin.last().get("x-forwarded-for"), "a Unix peer has no address")
        answer = curl("--unix-socket", self.directory / "in.sock", "http://any/")
        self.assertEqual(b"ok", answer.stdout)
        self.assertEqual(200, process.admin("/ready").status)
        mode = stat.S_IMODE(os.stat(self.directory / "admin.sock").st_mode)
        self.assertEqual(0, mode & 0o077, f"the admin socket is the owner's alone: {mode:o}")
        process.signal()
        self.assertEqual(0, process.wait_exit())
        left = sorted(path.name for path in self.directory.glob("*.sock"))
        self.assertEqual(["app.sock"], left, "our socket files are removed")

    def test_a_stale_socket_file_is_replaced_and_a_living_one_is_not(self):
        path = self.directory / "in.sock"
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(str(path))
        stale.close()
        origin = self.origin()
        process = self.sluice(origin, listener={"address": f"unix:{path}"})
        self.assertEqual(b"ok", self.get(process).body)

        second = self.spawn("--listen", f"unix:{path}", "--admin", "127.0.0.1:0")
        self.assertEqual(1, second.wait_exit())
        self.assertIn(str(path), "\n".join(second.garbage))
        self.assertEqual(b"ok", self.get(process).body, "the first one is untouched")

    def test_ipv6(self):
        origin = self.origin("[::1]:0")
        process = self.sluice(origin, listener={"address": "[::1]:0"}, admin="[::1]:0")
        self.assertTrue(process.address().startswith("[::1]:"))
        self.assertEqual(b"ok", self.get(process).body)
        self.assertEqual("::1", origin.last().get("x-forwarded-for"))
        self.assertEqual(b"ok", curl("-g", process.url("/")).stdout)
        self.assertEqual(200, process.admin("/ready").status)

    def test_ready_is_said_only_when_it_is_true(self):
        process = self.spawn(*ANYWHERE, *AT_ONCE)
        address = process.address()
        with Client(address) as client:  # the first moment anybody can know the address
            self.assertEqual(200, client.ask("GET", "/").status)
        process.wait_ready()
        self.assertEqual(200, process.admin("/ready").status)


class RefusalTest(SluiceTest):
    def refused(self, text, *arguments):
        """What `sluice serve` says of this configuration, and `sluice check` too."""
        path = self.directory / "bad.yaml"
        path.write_text(text, encoding="utf-8")
        process = self.spawn("-c", path, *arguments)
        self.assertEqual(2, process.wait_exit())
        said = "\n".join(process.garbage)
        checked = run_sluice("check", "-c", path, *arguments)
        self.assertEqual(2, checked.returncode)
        self.assertEqual(said, checked.stderr.rstrip("\n"))
        return said.replace(str(path), "bad.yaml")

    GOOD = ("listeners:\n  - address: 127.0.0.1:0\n    cluster: app\n"
            "clusters:\n  - name: app\n    endpoints: [127.0.0.1:3000]\n")

    def test_errors_name_the_place_and_what_was_expected(self):
        cases = {
            "an unknown key": (self.GOOD.replace("address", "adress"), r"bad\.yaml:2:5:.*address"),
            "a wrong type": (self.GOOD + "workers: many\n", r"bad\.yaml:7:10:.*workers"),
            "a duration without a unit": (self.GOOD + "drain:\n  deadline: 20\n",
                                          r"bad\.yaml:8:13:.*deadline.*20s"),
            "a dangling cluster": (self.GOOD.replace("cluster: app", "cluster: ap"),
                                   r"bad\.yaml:3:14:.*'ap'.*app"),
            "a bad address": (self.GOOD.replace("127.0.0.1:0", "127.0.0.1"),
                              r"bad\.yaml:2:14:.*address"),
            "not YAML": ("listeners: [\n", r"bad\.yaml:\d+:\d+: "),
            "a key said twice": (self.GOOD + "workers: 1\nworkers: 2\n", r"bad\.yaml:8:1:"),
            "nothing": ("", r"bad\.yaml.*listeners"),
        }
        for name, (text, pattern) in cases.items():
            with self.subTest(name):
                self.assertRegex(self.refused(text), pattern)

    def test_an_error_in_set_names_it(self):
        said = self.refused(self.GOOD, "--set", "drain.deadlin=5s")
        self.assertIn("--set drain.deadlin=5s", said)
        self.assertIn("deadline", said)

    def test_a_file_that_is_not_there(self):
        for command in ("serve", "check"):
            result = run_sluice(command, "-c", self.directory / "none.yaml")
            self.assertEqual(2, result.returncode)
            self.assertIn("none.yaml", result.stderr)
            self.assertIn("No such file", result.stderr)

    def test_a_port_in_use(self):
        first = self.spawn(*ANYWHERE, *AT_ONCE).wait_ready()
        free = "127.0.0.1:0"
        for listen, admin in ((first.address(), free), (free, first.admin_address)):
            with self.subTest(listen=listen, admin=admin):
                address = admin if listen == free else listen
                second = self.spawn("--listen", listen, "--admin", admin)
                self.assertEqual(1, second.wait_exit())
                said = "\n".join(second.garbage)
                self.assertIn(address, said)
                self.assertIn("Address already in use", said)
                self.assertIn("choose another port", said)

    def test_bad_command_lines(self):
        for arguments in (("serve", "--listn", "x"), ("fly",), (), ("serve", "--workers", "0"),
                          ("serve", "-c", "a.yaml", "--to", "http://127.0.0.1:1"), ("check",)):
            with self.subTest(arguments):
                result = run_sluice(*arguments)
                self.assertEqual(2, result.returncode, result)
                self.assertTrue(result.stderr)
                self.assertFalse(result.stdout)


class CommandTest(SluiceTest):
    def test_version(self):
        result = run_sluice("--version")
        self.assertEqual(0, result.returncode)
        self.assertRegex(result.stdout, r"^sluice \d+\.\d+\.\d+")

    def test_help(self):
        result = run_sluice("--help")
        self.assertEqual(0, result.returncode)
        for command in ("serve", "check", "drain", "status"):
            self.assertRegex(result.stdout, rf"(?m)^ +{command} ")
            self.assertEqual(0, run_sluice(command, "--help").returncode)
        self.assertIn("Exit codes", result.stdout)

    def fill(self, directory):
        """Makes the files that a shipped configuration names."""
        for ca in ("partners-ca", "internal-ca"):
            Authority(directory, ca)
        own = Authority(directory, "own")
        for name in ("example.com", "shop"):
            own.issue(name)
        for name in ("tickets.0", "tickets.1"):
            (directory / name).write_bytes(os.urandom(80))
            (directory / name).chmod(0o600)

    def test_check_of_the_files_that_are_shipped(self):
        self.fill(self.directory)
        for path in sorted((SOURCE_DIR / "configs").glob("*.yaml")):
            with self.subTest(path.name):
                here = self.directory / path.name
                here.write_text(path.read_text(encoding="utf-8").replace(
                    "/etc/sluice/tls", str(self.directory)), encoding="utf-8")
                result = run_sluice("check", "-c", here)
                self.assertEqual((0, ""), (result.returncode, result.stderr))
                self.assertTrue(result.stdout.startswith("ok"), result.stdout)

    def test_check_warns_where_the_contract_cannot_hold(self):
        path = self.directory / "slow.yaml"
        path.write_text(RefusalTest.GOOD + "drain:\n  deadline: 60s\n", encoding="utf-8")
        result = run_sluice("check", "-c", path)
        self.assertEqual(0, result.returncode)
        self.assertIn("grace_period", result.stderr)
        strict = run_sluice("check", "-c", path, "--strict")
        self.assertEqual(2, strict.returncode)
        self.assertIn("--strict", strict.stderr)

    def test_serve_logs_the_warnings_of_check(self):
        config = self.config(self.origin(), drain={"deadline": "60s"})
        process = self.start(config)
        self.assertIn("grace_period", process.wait_for("config_warning")["warning"])
        process.signal()
        self.assertEqual(0, process.wait_exit())

    def test_every_line_of_the_log_is_an_event_with_time_and_level(self):
        process = self.sluice(self.origin())
        process.signal()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual([], process.garbage)
        for line in process.lines:
            self.assertTrue(line["event"], line)
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("info", "warning"), json.dumps(line))

    def test_sighup_without_a_file_is_not_the_end(self):
        process = self.embedded()
        process.signal(signal.SIGHUP)
        process.wait_for("signal_ignored", signal="SIGHUP")
        with process.connect() as client:
            self.assertEqual(200, client.ask().status)

    def test_a_log_for_people(self):
        config = self.config(self.origin(), log={"format": "text"})
        path = self.directory / "text.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        process = self.spawn("-c", path)
        wait_until(lambda: any("phase=ready" in line for line in process.garbage),
                   "it says that it is ready")
        text = "\n".join(process.garbage)
        self.assertRegex(text, re.compile(r"^listener in: http://127\.0\.0\.1:\d+$", re.M))
        self.assertIn("stop with Ctrl-C", text)
        process.signal(signal.SIGINT)
        self.assertEqual(0, process.wait_exit())
        process.garbage.clear()


if __name__ == "__main__":
    main()
