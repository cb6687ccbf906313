#!/usr/bin/env python3
"""What happens to listening sockets in a hot restart whose configuration is another."""

from lib import BOUND, Client, main, wait_until
from lib.restart_case import RestartTest


class WorkersTest(RestartTest):
    def test_fewer_and_more(self):
        process = self.serve(workers=3)
        with self.under_load(process, clients=4) as load:
            for workers in (1, 4, 2, 3):
                self.configure(workers=workers)
                self.restart(process)
                load.wait_for_more(50)
                names = {line.split('thread="worker')[1].split('"')[0] for line in
                         process.admin("/metrics").body.decode().splitlines()
                         if 'thread="worker' in line and line.startswith("sluice_loop_turn")}
                self.assertTrue({str(number) for number in range(workers)} <= names, names)

    def test_no_queue_is_left_without_an_owner(self):
        process = self.serve(workers=4)
        self.configure(workers=1)
        self.restart(process)
        for _ in range(100):  # the kernel spreads them over all four sockets
            self.assertEqual(b"ok", self.ask(process.address()))


class ListenersTest(RestartTest):
    def listener(self, name, address="127.0.0.1:0", **more):
        return {"name": name, "address": address, "cluster": "app"} | more

    def path(self, name):
        return f"unix:{self.directory / name}"

    def check_gone(self, address):
        """Nobody listens there, now that the old process has drained."""
        def refused():
            try:
                Client(address).close()
            except (ConnectionRefusedError, FileNotFoundError):
                return True
            return False
        wait_until(refused, f"{address} is given up")

    def test_added_removed_and_renamed(self):
        process = self.serve(listeners=[self.listener("in"), self.listener("goes"),
                                        self.listener("old")])
        goes, renamed = process.address("goes"), process.address("old")
        self.configure(listeners=[self.listener("comes"), self.listener("new", renamed),
                                  self.listener("in")])
        with self.under_load(process), self.under_load(process, "old"):
            self.restart(process)
            self.assertEqual(b"ok", self.ask(process.address("comes")))
        self.assertEqual(process.address("in"),
                         process.wait_for("listening", 2, listener="in")["address"])
        self.assertEqual(renamed, process.address("new"))
        self.check_gone(goes)
        self.assertEqual(goes, process.wait_for("inherited_socket_closed")["address"])

    def test_another_address(self):
        process = self.serve(listeners=[self.listener("in")])
        before = process.address("in")
        self.configure(listeners=[self.listener("in", self.path("in"))])
        self.restart(process)
        self.assertEqual(self.path("in"),
                         process.wait_for("listening", 2, listener="in")["address"])
        self.assertEqual(b"ok", self.ask(self.path("in")))
        self.check_gone(before)

    def test_names_that_are_exchanged(self):
        process = self.serve(listeners=[self.listener("a"), self.listener("b")])
        a, b = process.address("a"), process.address("b")
        self.configure(listeners=[self.listener("b", a), self.listener("a", b)])
        with self.under_load(process, "a"), self.under_load(process, "b"):
            self.restart(process)
        self.assertEqual(a, process.wait_for("listening", 2, listener="b")["address"])
        self.assertEqual(b, process.wait_for("listening", 2, listener="a")["address"])

    def test_port_zero_stays_the_port(self):
        listeners = [self.listener(name) for name in ("in", "second", "third")]
        process = self.serve(listeners=listeners)
        self.restart(process)
        for name in ("in", "second", "third", "admin"):
            self.assertEqual(process.address(name),
                             process.wait_for("listening", 2, listener=name)["address"])

    def test_unix_sockets(self):
        process = self.serve(workers=3, admin=self.path("admin"), listeners=[
            self.listener("in", self.path("in")), self.listener("goes", self.path("goes"))])
        with self.under_load(process) as load:
            for number, workers in ((2, 1), (3, 4)):
                self.configure(workers=workers, admin=self.path("admin"),
                               listeners=[self.listener("in", self.path("in"))])
                self.restart(process)
                self.assertEqual(number, self.serving(process))
                load.wait_for_more()
        self.assertEqual(0, process.child.wait(BOUND))
        self.check_gone(self.path("goes"))
        self.assertFalse((self.directory / "goes").exists(), "its file is removed")
        self.assertTrue((self.directory / "in").is_socket())

    def test_more_descriptors_than_one_message_takes(self):
        count = 130
        listeners = [self.listener(f"in{number}") for number in range(count)]
        process = self.serve(workers=2, listeners=listeners)
        with self.under_load(process, "in0"):
            self.restart(process)
        for number in range(count):
            name = f"in{number}"
            self.assertEqual(process.address(name),
                             process.wait_for("listening", 2, listener=name)["address"])
            self.assertEqual(b"ok", self.ask(process.address(name)))
        self.assertEqual([], process.events("inherited_socket_closed"))

    def test_ipv6_and_all_interfaces(self):
        process = self.serve(listeners=[self.listener("in", "[::1]:0"),
                                        self.listener("all", "0.0.0.0:0")])
        with self.under_load(process):
            self.restart(process)
        port = process.address("all").rpartition(":")[2]
        self.assertEqual(b"ok", self.ask(f"127.0.0.1:{port}"))

    def test_a_listener_that_was_drained_by_itself(self):
        addresses = ["127.0.0.1:0", self.path("in")]
        process = self.serve(listeners=[self.listener(f"in{number}", address)
                                        for number, address in enumerate(addresses)])
        for number in range(2):
            process.admin_json(f"/drain?listener=in{number}", "POST")
            self.check_gone(process.address(f"in{number}"))
        self.restart(process)
        for number in range(2):
            self.assertEqual(b"ok", self.ask(process.address(f"in{number}")))

    def test_another_backlog(self):
        process = self.serve(listener={"backlog": 16})
        self.configure(listener={"backlog": 64})
        with self.under_load(process):
            self.restart(process)

    def test_the_admin_moves(self):
        process = self.serve(admin=self.path("admin"))
        self.configure(admin="127.0.0.1:0")
        with self.under_load(process):
            done = self.command(process)
            self.assertEqual(0, done.returncode, done.stderr)
        address = process.wait_for("listening", 2, listener="admin")["address"]
        with Client(address) as client:
            self.assertEqual(200, client.ask("GET", "/ready").status)
        self.assertEqual(0, process.child.wait(BOUND))
        self.assertFalse((self.directory / "admin").exists(), "its file is removed")

    def test_a_restart_socket_that_comes_and_goes(self):
        path = self.directory / "takeover"
        process = self.serve()
        self.configure(restart={"socket": str(path)})
        self.restart(process)
        self.assertTrue(path.is_socket())
        self.configure()
        self.restart(process)
        wait_until(lambda: not path.exists(), "its file is removed")


class UpstreamTest(RestartTest):
    def test_another_upstream(self):
        process = self.serve()
        other = self.origin()
        other.on("/", lambda exchange: exchange.reply(body=b"other"))
        self.rewrite(self.config(other))
        with self.under_load(process):
            self.restart(process)
        self.assertEqual(b"other", self.ask(process.address()))


if __name__ == "__main__":
    main()
