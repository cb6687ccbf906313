#!/usr/bin/env python3
"""Hot restarts one after another, under load, and while older generations drain."""

import signal

from lib import BOUND, SANITIZED, Load, main, wait_until
from lib.restart_case import RestartTest


class ChainTest(RestartTest):
    RESTARTS = 4 if SANITIZED else 12

    def test_many_under_load(self):
        process = self.serve(restart={"generations": 64})
        with self.under_load(process, clients=4) as load:
            for number in range(self.RESTARTS):
                self.restart(process)
                load.wait_for_more()
                self.assertEqual(number + 2, self.serving(process))
        self.assertEqual(0, process.child.wait(BOUND))
        print(f"{self.RESTARTS} restarts, {load.answered} requests on fresh connections, 0 failed")
        self.assertEqual(self.RESTARTS, process.metric("sluice_handover_total", result="taken"))

    def test_every_kind_of_request(self):
        process = self.embedded("--workers", "2", "--set", "drain.idle_grace=200ms",
                                "--set", "restart.generations=64", program=self.program)
        load = Load(process.address())
        newest = None
        for _ in range(self.RESTARTS // 2):
            enough = load.answered + 100
            wait_until(lambda: load.answered > enough or load.lost, "the load is under way")
            newest = self.generation(self.restart(process))
        newest.signal(signal.SIGTERM)
        load.wait()
        self.assertEqual([], load.lost)
        newest.wait_ended()

    def test_requests_in_flight_are_answered_by_the_old_process(self):
        hold = self.app.hold("/slow")
        process = self.serve()
        clients = [self.connect(process) for _ in range(8)]
        for client in clients:
            client.request(target="/slow")
        hold.wait_arrived(len(clients))
        self.restart(process)
        self.assertTrue(process.running())
        self.assertEqual(b"ok", self.ask(process.address()))
        hold.release()
        for client in clients:
            answer = client.read_response()
            self.assertEqual((200, b"ok"), (answer.status, answer.body))
        for client in clients:
            client.close()
        self.assertEqual(0, process.child.wait(BOUND))
        report = process.report()
        self.assertEqual(len(clients), report["finished"], report)

    def test_old_generations_that_drain_are_bounded(self):
        holds = [self.app.hold(f"/slow/{number}") for number in range(3)]
        process = self.serve(restart={"generations": 2}, drain={"deadline": "60s"})
        clients = [self.connect(process)]
        generations = [self.generation(process.pid)]
        for number, hold in enumerate(holds):
            if number > 0:
                generations.append(self.generation(self.restart(process)))
                clients.append(self.connect(process))
            clients[-1].request(target=f"/slow/{number}")
            hold.wait_arrived()
        with self.under_load(process):
            said = self.refused(process)
        self.assertIn("2 older generations still drain", said)
        self.assertIn("restart.generations", said)
        self.assertEqual(3, self.serving(process))
        holds[0].release()
        self.assertEqual(b"ok", clients[0].read_response().body)
        clients[0].close()
        generations[0].wait_ended()
        with self.under_load(process):
            generations.append(self.generation(self.restart(process)))
        self.assertEqual(4, self.serving(process))
        for client, hold, generation in list(zip(clients, holds, generations))[1:]:
            hold.release()
            self.assertEqual(b"ok", client.read_response().body)
            client.close()
            generation.wait_ended()
        self.assertEqual(b"ok", self.ask(process.address()))


if __name__ == "__main__":
    main()
