#!/usr/bin/env python3
"""One line for each request, in a file that can be rotated, and never in anybody's way."""

import json
import os
import signal
import subprocess

from lib import SluiceTest, main, wait_until


class AccessLogTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.path = self.directory / "access.log"

    def lines(self, path=None):
        return [json.loads(line)
                for line in (path or self.path).read_text(encoding="utf-8").splitlines()]

    def wait_lines(self, count, path=None):
        return wait_until(lambda: len(self.lines(path)) >= count and self.lines(path),
                          f"{count} lines in the access log")

    def test_what_a_line_says(self):
        process = self.sluice(self.app)
        client = self.connect(process)
        self.app.on("/a", lambda x: x.reply(201, b"created"))
        client.ask("POST", "/a?b=c", {"Host": "h.test", "User-Agent": 'q"\\u', "X-Request-Id": "1"},
                   body=b"12345")
        line, = self.wait_lines(1)
        expected = {"method": "POST", "path": "/a?b=c", "authority": "h.test", "scheme": "http",
                    "protocol": "HTTP/1.1", "kind": "http1", "status": 201, "bytes_in": 5,
                    "bytes_out": 7, "attempts": 1, "route": "default/0", "cluster": "app",
                    "endpoint": self.app.address, "listener": "in", "peer": client.name,
                    "request_id": "1", "user_agent": 'q"\\u', "end": "complete"}
        self.assertEqual(expected, expected | {key: line.get(key) for key in expected})
        self.assertRegex(line["start_time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertGreaterEqual(line["duration_ms"], line["upstream_ms"])

    def test_requests_that_never_reached_a_route_are_logged(self):
        process = self.sluice(self.app)
        client = self.connect(process)
        client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        self.assertEqual(400, client.read_response().status)
        line, = self.wait_lines(1)
        self.assertEqual((400, "host"), (line["status"], line["detail"]))
        self.assertNotIn("cluster", line)

    def test_who_left_and_who_broke_off(self):
        def broken(x):
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            x.close()
        self.app.on("/broken", broken)
        self.app.on("/slow", lambda x: x.wait_for_end())
        process = self.sluice(self.app)
        client = self.connect(process)
        client.request("GET", "/broken")
        client.read_to_end()
        self.assertEqual("upstream_failed", self.wait_lines(1)[0]["end"])
        client = self.connect(process)
        client.request("GET", "/slow")
        wait_until(lambda: self.app.seen("/slow"), "it has reached the origin")
        client.reset()
        self.assertEqual("client_gone", self.wait_lines(2)[1]["end"])

    def test_a_line_of_ones_own(self):
        process = self.sluice(self.app, access_log={
            "path": str(self.path), "format": "text",
            "text_format": '%METHOD% "%PATH%" %STATUS% %REQ(X-A)% %REQ(X-B)% 100%%'})
        self.connect(process).ask("GET", "/\"x", {"X-A": "1\\"})
        wait_until(lambda: self.path.read_text(encoding="utf-8"), "a line is there")
        self.assertRegex(self.path.read_text(encoding="utf-8"),
                         r'^GET "/\\x22x" 200 1\\x5c - 100%\n$', "nobody breaks out of quotes")

    def test_rotation(self):
        log = self.directory / "sluice.log"
        process = self.sluice(self.app)
        client = self.connect(process)
        client.ask("GET", "/before")
        self.wait_lines(1)
        rotated = self.directory / "access.log.1"
        os.rename(self.path, rotated)
        client.ask("GET", "/between")
        self.assertEqual(["/before", "/between"],
                         [line["path"] for line in self.wait_lines(2, rotated)])
        process.signal(signal.SIGUSR1)
        process.wait_for("logs_reopened")
        wait_until(self.path.exists, "the file is there again")
        client.ask("GET", "/after")
        self.assertEqual(["/after"], [line["path"] for line in self.wait_lines(1)])
        self.assertEqual(2, len(self.lines(rotated)))
        self.assertFalse(log.exists())

    def test_rotation_under_load_loses_no_line(self):
        process = self.sluice(self.app)
        clients = [self.connect(process) for _ in range(4)]
        for turn in range(10):
            for client in clients:
                for _ in range(5):
                    self.assertEqual(200, client.ask().status)
            os.rename(self.path, self.directory / f"rotated.{turn}")
            process.signal(signal.SIGUSR1)
            wait_until(self.path.exists, "the file is there again")
        process.signal()
        self.assertEqual(0, process.wait_exit())
        rotated = sum(len(self.lines(self.directory / f"rotated.{turn}")) for turn in range(10))
        self.assertEqual(200, rotated + len(self.lines()))

    def test_the_log_itself_is_rotated_too(self):
        path = self.directory / "sluice.log"
        process = self.sluice(self.app)
        config = self.config(self.app, log={"path": str(path)})
        (self.directory / "filed.yaml").write_text(json.dumps(config), encoding="utf-8")
        process = self.spawn("-c", self.directory / "filed.yaml")

        def events(file):
            return [line["event"] for line in self.lines(file)] if file.exists() else []
        wait_until(lambda: "phase" in events(path), "it is ready")
        os.rename(path, self.directory / "old.log")
        process.signal(signal.SIGUSR1)
        wait_until(lambda: "logs_reopened" in events(path), "the log goes on in a new file")
        process.signal()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual("drain_report", events(path)[-1])

    def test_everything_is_flushed_at_exit(self):
        process = self.sluice(self.app)
        client = self.connect(process)
        for _ in range(100):
            client.ask()
        process.signal()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual(100, len(self.lines()))

    def test_stdout(self):
        process = self.start(self.config(self.app, access_log="stdout"), stdout=subprocess.PIPE)
        self.addCleanup(process.child.stdout.close)
        self.connect(process).ask("GET", "/out")
        self.assertEqual("/out", json.loads(process.child.stdout.readline())["path"])

    def test_off(self):
        process = self.start(self.config(self.app, access_log="off"), stdout=subprocess.PIPE)
        self.addCleanup(process.child.stdout.close)
        self.assertEqual(200, self.connect(process).ask().status)
        process.signal()
        self.assertEqual(0, process.wait_exit())
        self.assertEqual(b"", process.child.stdout.read())
        self.assertFalse(self.path.exists())

    def test_a_file_that_cannot_be_opened(self):
        path = self.directory / "bad.yaml"
        config = self.config(self.app, access_log="/nowhere/access.log")
        path.write_text(json.dumps(config), encoding="utf-8")
        process = self.spawn("-c", path)
        self.assertEqual(1, process.wait_exit())
        self.assertIn("/nowhere/access.log", "\n".join(process.garbage))

    def test_a_pipe_that_nobody_reads_stops_nothing(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        process = self.start(self.config(self.app, access_log="stdout", workers=1),
                             stdout=writing)
        os.close(writing)
        client = self.connect(process)
        # Long lines: the pipe takes 64 KiB, the ring of the worker 1 MiB.
        agent = {"User-Agent": "x" * 4000, "X-Request-Id": "y" * 100}
        target = "/" + "z" * 4000

        def dropped():
            for _ in range(20):
                self.assertEqual(200, client.ask("GET", target, agent).status)
            return process.metric("sluice_access_log_dropped_total")
        wait_until(dropped, "lines are dropped, and counted")
        self.assertEqual(200, client.ask().status)
        client.close()
        process.signal()
        self.assertEqual(0, process.wait_exit(), "it cannot flush, and leaves all the same")

    def test_a_pipe_whose_reader_has_gone(self):
        reading, writing = os.pipe()
        process = self.start(self.config(self.app, access_log="stdout"), stdout=writing)
        os.close(writing)
        os.close(reading)
        client = self.connect(process)
        for _ in range(10):
            self.assertEqual(200, client.ask().status)
        wait_until(lambda: process.metric("sluice_access_log_dropped_total") == 10,
                   "the lines are counted as dropped")


if __name__ == "__main__":
    main()
