#!/usr/bin/env python3
"""The configuration is reloaded: what it changes takes effect, and nothing else happens."""

import json
import pathlib
import signal
import socket

from lib import SANITIZED, Client, Load, SluiceTest, main, run_sluice, wait_until
from lib.load import Kind
from lib.websocket import WebSocket, answer_websocket

# Each is a thread of the origin.
SESSIONS = 100 if SANITIZED else 1000


class ReloadTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.app = self.origin()
        self.app.on("/ws", answer_websocket)
        self.settings = self.config(self.app)

    def begin(self):
        self.proxy = self.start(self.settings)
        self.path = self.directory / "sluice0.yaml"
        return self.proxy

    def write(self, text=None):
        text = json.dumps(self.settings, indent=1) if text is None else text
        self.path.write_text(text, encoding="utf-8")

    def reload(self, status=200):
        """Writes the settings and asks for a reload; the report."""
        self.write()
        response = self.proxy.admin("/reload", "POST")
        self.assertEqual(status, response.status, response.body)
        return json.loads(response.body)

    def answer(self, status, body):
        """A route for everything that answers by itself."""
        self.settings["listeners"][0].pop("cluster", None)
        self.settings["listeners"][0]["routes"] = [
            {"name": "fixed", "direct_response": {"status": status, "body": body}}]

    # ---- what asks for it

    def test_a_post_to_the_admin_answers_with_what_changed(self):
        self.begin()
        self.answer(200, "one")
        report = self.reload()
        self.assertEqual(("changed", 2, "admin"),
                         (report["result"], report["generation"], report["cause"]))
        self.assertIn({"what": "added",
                       "path": "listeners[in].virtual_hosts[default].routes[fixed]"},
                      report["changes"])
        self.assertEqual(b"one", self.connect(self.proxy).ask().body)
        self.assertEqual(report, self.proxy.admin_json("/reload"))

    def test_sighup(self):
        self.begin()
        self.answer(200, "one")
        self.write()
        self.proxy.signal(signal.SIGHUP)
        self.proxy.wait_for("reloaded", cause="signal")
        wait_until(lambda: self.connect(self.proxy).ask().body == b"one", "the new answer")

    def test_the_command_says_what_changed(self):
        self.begin()
        admin = ("--admin", self.proxy.admin_address)
        self.settings["drain"]["deadline"] = "7s"
        self.settings["workers"] = 1
        self.write()
        done = run_sluice("reload", *admin)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual("reloaded: generation 2\n"
                         "  changed drain.deadline: 10s -> 7s\n"
                         "  changed workers: 2 -> 1 (at the next restart)\n", done.stdout)
        self.write("listeners: [\n")
        done = run_sluice("reload", *admin)
        self.assertEqual(2, done.returncode, done.stdout)
        self.assertIn(f"{self.path}:", done.stderr)

    def test_the_same_file_changes_nothing(self):
        self.begin()
        self.assertEqual("never", self.proxy.admin_json("/reload")["result"])
        report = self.reload()
        self.assertEqual(("unchanged", []), (report["result"], report["changes"]))

    # ---- what is wrong is refused

    def test_a_bad_file_is_refused_with_its_position_and_nothing_happens(self):
        self.begin()
        client = self.connect(self.proxy)
        before = self.proxy.admin("/config").body
        for text, said in (
                ("listeners: [\n", ":2:"),
                ("listners: []\n", ":1:1: "),
                (json.dumps(self.settings | {"workers": "many"}), ":1:"),
                (json.dumps(self.settings | {"clusters": []}), "app"),
                (json.dumps(self.settings | {"log": {"path": "/nowhere/at/all"}}), "log.path"),
                (json.dumps(self.settings | {"access_log": "/nowhere/at/all"}), "access_log.path"),
        ):
            with self.subTest(text=text[:40]):
                self.write(text)
                refused = self.proxy.metric("sluice_config_reload_total", result="error")
                response = self.proxy.admin("/reload", "POST")
                self.assertEqual(422, response.status)
                report = json.loads(response.body)
                self.assertEqual(("refused", 1), (report["result"], report["generation"]))
                self.assertIn(said, report["error"])
                self.assertEqual(report, self.proxy.admin_json("/reload"))
                self.assertEqual(refused + 1,
                                 self.proxy.metric("sluice_config_reload_total", result="error"))
                self.assertEqual(0, self.proxy.metric("sluice_config_last_reload_successful"))
                self.assertEqual(before, self.proxy.admin("/config").body)
                self.assertEqual(200, client.ask().status)
        self.path.unlink()
        self.assertEqual(422, self.proxy.admin("/reload", "POST").status)
        self.write()
        self.assertEqual("unchanged", self.proxy.admin_json("/reload", "POST")["result"])
        self.assertEqual(1, self.proxy.metric("sluice_config_last_reload_successful"))

    def test_without_a_file_there_is_nothing_to_reload(self):
        proxy = self.embedded()
        response = proxy.admin("/reload", "POST")
        self.assertEqual(409, response.status)
        self.assertIn(b"without a configuration file", response.body)

    def test_overrides_stay_above_the_file(self):
        self.path = self.directory / "sluice.yaml"
        self.write()
        self.proxy = self.spawn("-c", self.path, "--set", "drain.deadline=3s").wait_ready()
        self.settings["drain"]["deadline"] = "8s"
        self.assertEqual("unchanged", self.reload()["result"])
        self.assertIn(b"deadline: 3s", self.proxy.admin("/config").body)

    # ---- what has not changed is not touched

    def test_connections_go_on_and_old_generations_are_freed(self):
        self.settings["listeners"][0]["routes"] = [
            {"name": "fixed", "match": {"path": "/fixed"}, "direct_response": {"body": ""}},
            {"name": "rest", "cluster": "app"}]
        del self.settings["listeners"][0]["cluster"]
        self.begin()
        clients = [self.connect(self.proxy) for _ in range(10)]
        sessions = [WebSocket(self.connect(self.proxy), "/ws") for _ in range(10)]
        for session in sessions:
            self.assertEqual(101, session.answer.status)
        for i in range(100):
            self.settings["listeners"][0]["routes"][0]["direct_response"]["body"] = str(i)
            self.assertEqual("changed", self.reload()["result"])
            client = clients[i % len(clients)]
            self.assertEqual(str(i).encode(), client.ask("GET", "/fixed").body)
            self.assertEqual(200, client.ask("GET", "/").status)
        for session in sessions:
            self.assertTrue(session.echoes())
        # Those of the first generation, and of the present one, on both workers at most.
        wait_until(lambda: self.proxy.metric("sluice_config_generations") <= 4,
                   lambda: self.proxy.metric("sluice_config_generations"))
        for session in sessions:
            session.client.close()
        wait_until(lambda: self.proxy.metric("sluice_config_generations") == 2,
                   "only the present generation is left")
        self.assertEqual(20, self.proxy.metric("sluice_connections_total", listener="in"))

    def test_a_request_in_flight_keeps_what_it_goes_by(self):
        self.begin()
        hold = self.app.hold("/slow")
        client = self.connect(self.proxy)
        client.request("GET", "/slow")
        hold.wait_arrived()
        self.answer(200, "one")
        self.settings["clusters"] = []
        self.assertEqual("changed", self.reload()["result"])
        self.assertEqual(b"one", self.connect(self.proxy).ask("GET", "/slow").body)
        self.assertEqual(3, self.proxy.metric("sluice_config_generations"))
        hold.release()
        self.assertEqual(b"ok", client.read_response().body)
        self.assertEqual(b"one", client.ask("GET", "/slow").body)
        wait_until(lambda: self.proxy.metric("sluice_config_generations") == 2,
                   "only the present generation is left")

    # ---- what was removed drains

    def routes(self, *names):
        self.settings["listeners"][0].pop("cluster", None)
        self.settings["listeners"][0]["routes"] = [
            {"name": name, "match": {"prefix": f"/{name}"}, "cluster": "app"} for name in names]

    def test_a_removed_route_tells_its_websockets_and_no_others(self):
        for path in ("/a/ws", "/b/ws"):
            self.app.on(path, answer_websocket)
        self.routes("a", "b")
        self.begin()
        told = WebSocket(self.connect(self.proxy), "/a/ws")
        other = WebSocket(self.connect(self.proxy), "/b/ws")
        self.routes("b")
        self.assertIn("listeners[in].virtual_hosts[default].routes[a]",
                      [change["path"] for change in self.reload()["changes"]])
        self.assertEqual(1001, told.close_code())
        self.proxy.wait_for("part_drained", scope="route", name="a", cut=0)
        self.assertEqual(404, self.connect(self.proxy).ask("GET", "/a").status)
        self.assertTrue(other.echoes())
        # It comes again, and is another one.
        self.routes("a", "b")
        self.reload()
        self.assertEqual(200, self.connect(self.proxy).ask("GET", "/a").status)
        self.assertTrue(WebSocket(self.connect(self.proxy), "/a/ws").echoes())

    def test_a_removed_endpoint_finishes_what_it_has(self):
        gone = self.origin()
        self.settings["clusters"][0] |= {"endpoints": [gone.address], "drain_timeout": "10s"}
        self.begin()
        hold = gone.hold("/slow")
        client = self.connect(self.proxy)
        client.request("GET", "/slow")
        hold.wait_arrived()
        self.settings["clusters"][0]["endpoints"] = [self.app.address]
        self.reload()
        before = len(gone.requests)
        for _ in range(4):
            self.assertEqual(200, self.connect(self.proxy).ask().status)
        self.assertEqual(before, len(gone.requests))
        hold.release()
        self.assertEqual(b"ok", client.read_response().body)
        self.proxy.wait_for("part_drained", scope="endpoint", name=gone.address, cut=0)
        wait_until(lambda: not gone.open_connections(), "the connections to it are closed")

    def test_at_its_drain_timeout_what_is_on_a_removed_endpoint_is_cut(self):
        gone = self.origin()
        self.settings["clusters"][0] |= {"endpoints": [gone.address], "drain_timeout": "100ms"}
        self.begin()
        hold = gone.hold("/slow")
        self.addCleanup(hold.release)
        client = self.connect(self.proxy)
        client.request("GET", "/slow")
        hold.wait_arrived()
        self.settings["clusters"][0]["endpoints"] = [self.app.address]
        self.reload()
        self.assertEqual(503, client.read_response().status)
        self.proxy.wait_for("part_drained", scope="endpoint", name=gone.address, cut=1)

    def test_listeners_come_and_go(self):
        second = {"name": "second", "address": "127.0.0.1:0", "cluster": "app"}
        self.begin()
        first = self.connect(self.proxy)
        self.settings["listeners"].append(second)
        self.reload()
        address = self.proxy.address("second")
        hold = self.app.hold("/slow")
        busy, idle = self.connect(address), self.connect(address)
        self.assertEqual(200, idle.ask().status)
        busy.request("GET", "/slow")
        hold.wait_arrived()
        del self.settings["listeners"][1]
        self.reload()
        self.assertEqual("fin", idle.ended())
        wait_until(lambda: _refused(address), "the port is free")
        hold.release()
        response = busy.read_response()
        self.assertEqual((200, "close"), (response.status, response.get("connection")))
        self.proxy.wait_for("part_drained", scope="listener", name="second", cut=0)
        self.assertEqual(200, first.ask().status)
        # The same name again is another listener.
        self.settings["listeners"].append(second)
        self.reload()
        again = self.proxy.wait_for("listening", 2, listener="second")["address"]
        self.assertEqual(200, self.connect(again).ask().status)
        self.assertEqual("unchanged", self.reload()["result"])

    def test_an_address_that_is_taken_refuses_the_whole_reload(self):
        self.begin()
        with socket.socket() as thief:
            thief.bind(("127.0.0.1", 0))
            thief.listen()
            port = thief.getsockname()[1]
            self.settings["listeners"].append(
                {"name": "second", "address": f"127.0.0.1:{port}", "cluster": "app"})
            report = self.reload(422)
            self.assertIn(str(port), report["error"])
            self.assertEqual(1, report["generation"])
        self.assertEqual(200, self.connect(self.proxy).ask().status)

    def test_another_name_keeps_the_sockets(self):
        path = f"unix:{self.directory}/in.sock"
        for address in (path, "127.0.0.1:0"):
            with self.subTest(address=address):
                self.settings["listeners"][0] |= {"name": "in", "address": address}
                proxy = self.start(self.settings)
                self.proxy, self.path = proxy, pathlib.Path(proxy.arguments[1])
                bound = proxy.address("in")
                self.settings["listeners"][0]["name"] = "renamed"
                self.reload()
                self.assertEqual(bound, proxy.address("renamed"))
                self.assertEqual(200, self.connect(bound).ask().status)

    def test_a_unix_socket_that_is_removed_leaves_no_file(self):
        second = self.directory / "second.sock"
        self.settings["listeners"].append(
            {"name": "second", "address": f"unix:{second}", "cluster": "app"})
        self.begin()
        self.assertEqual(200, self.connect(f"unix:{second}").ask().status)
        del self.settings["listeners"][1]
        self.reload()
        self.assertFalse(second.exists())

    # ---- the file has changed

    def wait_watched(self, count):
        self.proxy.wait_for("reloaded", count, cause="file")

    def test_written_in_place_or_replaced(self):
        self.settings["reload"] = {"debounce": "10ms"}
        self.begin()
        self.answer(200, "in place")
        self.write()
        self.wait_watched(1)
        self.assertEqual(b"in place", self.connect(self.proxy).ask().body)
        self.answer(200, "replaced")
        other = self.directory / "other.yaml"
        other.write_text(json.dumps(self.settings), encoding="utf-8")
        other.rename(self.path)
        self.wait_watched(2)
        self.assertEqual(b"replaced", self.connect(self.proxy).ask().body)
        self.write("listeners: [\n")
        self.proxy.wait_for("reload_refused", cause="file")
        self.write()
        self.wait_watched(3)

    def test_the_swap_of_a_config_map(self):
        self.settings["reload"] = {"debounce": "10ms"}
        for version in ("1", "2"):
            self.answer(200, version)
            (self.directory / f"..{version}").mkdir()
            file = self.directory / f"..{version}" / "sluice.yaml"
            file.write_text(json.dumps(self.settings), encoding="utf-8")
        (self.directory / "..data").symlink_to("..1")
        (self.directory / "sluice.yaml").symlink_to("..data/sluice.yaml")
        self.proxy = self.spawn("-c", self.directory / "sluice.yaml").wait_ready()
        self.assertEqual(b"1", self.connect(self.proxy).ask().body)
        (self.directory / "..data_tmp").symlink_to("..2")
        (self.directory / "..data_tmp").rename(self.directory / "..data")
        self.wait_watched(1)
        self.assertEqual(b"2", self.connect(self.proxy).ask().body)

    # ---- under load

    def test_nobody_notices_a_hundred_reloads(self):
        self.begin()
        sessions = [WebSocket(self.connect(self.proxy), "/ws") for _ in range(SESSIONS)]
        load = Load(self.proxy.address(), [
            Kind("/", b"ok"), Kind("/", b"ok", fresh=True), Kind("/", b"ok", "POST", b"x" * 2000)])
        for i in range(100):
            self.settings["clusters"][0]["max_pending"] = 1000 + i % 2
            self.settings["listeners"][0]["timeouts"] = {"idle": f"{60 + i}s"}
            self.assertEqual("changed", self.reload()["result"])
        for session in sessions:
            self.assertTrue(session.echoes())
            session.client.close()
        self.proxy.drain()
        load.wait()
        self.assertEqual([], load.lost)
        self.assertGreater(load.answered, 100)


def _refused(address):
    try:
        Client(address).close()
        return False
    except ConnectionRefusedError:
        return True


if __name__ == "__main__":
    main()
