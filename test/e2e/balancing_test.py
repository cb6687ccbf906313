#!/usr/bin/env python3
"""Which endpoint a request goes to: by turns, load, chance, a hash of the request, a session,
priorities and zones, over all workers. What is left to chance may be off by six deviations."""

import collections
import json
import math

from lib import SluiceTest, main, wait_until

_BY_HASH = ("ring_hash", "maglev")
_CHECK = {"path": "/healthz", "interval": "100ms", "unhealthy_interval": "50ms", "timeout": "5s",
          "unhealthy_threshold": 1, "healthy_threshold": 1}


class BalancingTest(SluiceTest):
    def serve(self, count, *endpoints, workers=2, zone="", **cluster):
        """So many origins, which answer with their number; the n-th of `endpoints` is what is said
        of the n-th."""
        self.origins = [self.origin() for _ in range(count)]
        for number, origin in enumerate(self.origins):
            origin.on("/", lambda x, n=number: x.reply(body=str(n).encode()))
            origin.on("/healthz", lambda x: x.reply())
        places = [{"address": origin.address} for origin in self.origins]
        for place, more in zip(places, endpoints):
            place.update(more)
        self.settings = self.config(
            workers=workers, zone=zone, reload={"watch": False},
            listener={"routes": [{"cluster": "app", "retries": 0}]},
            cluster={"endpoints": places, **cluster})
        self.process = self.start(self.settings)

    def ask(self, client, **fields):
        """The number of the origin that answered."""
        answer = client.ask(fields=fields)
        self.assertEqual(200, answer.status)
        return int(answer.body)

    def counts(self, requests, connections=8):
        """How many of so many requests each origin gets, over so many connections."""
        seen = collections.Counter()
        for _ in range(connections):
            with self.process.connect() as client:
                seen.update(self.ask(client) for _ in range(requests // connections))
        return [seen[number] for number in range(len(self.origins))]

    def assert_shares(self, shares, counts):
        """Within what chance allows; a share of 0 or 1 is exact."""
        total = sum(counts)
        for share, count in zip(shares, counts):
            deviation = math.sqrt(total * share * (1 - share))
            self.assertLessEqual(abs(count - total * share), 6 * deviation, (shares, counts))


class PolicyTest(BalancingTest):
    def test_round_robin(self):
        self.serve(3)
        # Of each worker, no origin is more than one request ahead of another.
        counts = self.counts(240)
        self.assertLessEqual(max(counts) - min(counts), 2, counts)

    def test_round_robin_by_weight(self):
        self.serve(4, {"weight": 1}, {"weight": 2}, {"weight": 5}, {"weight": 0}, workers=1)
        for _ in range(3):
            self.assertEqual([8, 16, 40, 0], self.counts(64))

    def test_least_request_of_an_idle_cluster(self):
        self.serve(3, {"weight": 1}, {"weight": 2}, {"weight": 5}, load_balancing="least_request")
        self.assert_shares([1 / 8, 2 / 8, 5 / 8], self.counts(400))

    def test_least_request_of_a_busy_one(self):
        self.serve(2, {"weight": 1}, {"weight": 2}, workers=1, load_balancing="least_request")
        for origin in self.origins:
            origin.hold("/slow")
        for count in range(1, 13):
            self.connect(self.process).request(target="/slow")
            wait_until(lambda n=count: sum(len(o.seen("/slow")) for o in self.origins) == n,
                       "it has arrived")
        self.assertEqual([4, 8], [len(origin.seen("/slow")) for origin in self.origins])

    def test_random(self):
        self.serve(3, {"weight": 1}, {"weight": 1}, {"weight": 2}, load_balancing="random")
        self.assert_shares([1 / 4, 1 / 4, 1 / 2], self.counts(400))


class HashTest(BalancingTest):
    @staticmethod
    def fields(on, key):
        return {"X-Key": key} if on == "header" else {"Cookie": f"other=1; key={key}"}

    def places(self, on, keys=60, connections=1):
        """Where each key goes: the same on every connection."""
        places = collections.defaultdict(set)
        for _ in range(connections):
            with self.process.connect() as client:
                for key in range(keys):
                    places[key].add(self.ask(client, **self.fields(on, f"key {key}")))
        self.assertEqual(set(), {key for key, those in places.items() if len(those) > 1})
        return [places[key].pop() for key in range(keys)]

    def restart(self):
        self.process.signal()
        self.assertEqual(0, self.process.wait_exit())
        self.process = self.start(self.settings)

    def test_a_key_stays_where_it_is(self):
        for balancing in _BY_HASH:
            for on, name in (("header", "x-key"), ("cookie", "key")):
                with self.subTest(balancing, on=on):
                    self.serve(3, load_balancing=balancing, hash_on={on: name})
                    before = self.places(on, connections=8)
                    self.assertEqual({0, 1, 2}, set(before))
                    self.restart()
                    self.assertEqual(before, self.places(on, connections=3))
                    self.settings["clusters"][0]["endpoints"].reverse()
                    self.restart()
                    self.assertEqual(before, self.places(on), "whatever their order")

    def test_a_client_stays_where_it_is(self):
        for balancing in _BY_HASH:
            with self.subTest(balancing):
                self.serve(3, load_balancing=balancing)

                def place(host):
                    with self.process.connect(source=host) as client:
                        return self.ask(client)
                hosts = [f"127.0.0.{number}" for number in range(2, 62)]
                before = [place(host) for host in hosts]
                self.assertEqual({0, 1, 2}, set(before))
                self.assertEqual(before, [place(host) for host in hosts])
                self.restart()
                self.assertEqual(before, [place(host) for host in hosts])

    def test_without_a_key_anybody_will_do(self):
        for balancing in _BY_HASH:
            with self.subTest(balancing):
                self.serve(3, load_balancing=balancing, hash_on={"header": "x-key"})
                self.assert_shares([1 / 3] * 3, self.counts(240))

    def test_the_others_stay_when_an_endpoint_goes_and_comes(self):
        for balancing, weight, moves in (("ring_hash", 1, 0), ("ring_hash", 3, 0.1),
                                         ("maglev", 1, 0.1), ("maglev", 3, 0.1)):
            with self.subTest(balancing, weight=weight):
                self.serve(5, {}, {}, {"weight": weight}, load_balancing=balancing,
                           hash_on={"header": "x-key"})
                before = self.places("header", 300)
                self.assertAlmostEqual(weight / (4 + weight), before.count(2) / 300, delta=0.19)
                endpoints = self.settings["clusters"][0]["endpoints"]
                gone = endpoints.pop(2)
                self.reload()
                after = self.places("header", 300, connections=4)
                self.assertNotIn(2, after)
                stayed = [(a, b) for a, b in zip(before, after) if a != 2]
                moved = sum(a != b for a, b in stayed)
                self.assertLessEqual(moved, moves * len(stayed), f"of {len(stayed)} have moved")
                endpoints.insert(2, gone)
                self.reload()
                self.assertEqual(before, self.places("header", 300, connections=4))

    def reload(self):
        (self.directory / f"sluice{len(self.processes) - 1}.yaml").write_text(
            json.dumps(self.settings), encoding="utf-8")
        self.assertEqual("changed", self.process.admin_json("/reload", "POST")["result"])


class LevelTest(BalancingTest):
    """Who gets work depends on who is healthy."""

    def set_health(self, **states):
        """{"o1": False}: origin 1 fails its check, and the process knows it."""
        for name, healthy in states.items():
            self.origins[int(name[1:])].on(
                "/healthz", lambda x, status=200 if healthy else 500: x.reply(status))
        wanted = {self.origins[int(name[1:])].address: "usable" if healthy else "unhealthy"
                  for name, healthy in states.items()}

        def states_now():
            cluster, = self.process.admin_json("/clusters")["clusters"]
            return {one["address"]: one["state"] for one in cluster["endpoints"]}
        wait_until(lambda: wanted.items() <= states_now().items(), lambda: states_now())

    def test_the_next_priority_when_the_first_is_ill_and_back(self):
        self.serve(2, {"priority": 0}, {"priority": 1}, health_check=_CHECK)
        for _ in range(2):
            self.assertEqual([80, 0], self.counts(80))
            self.set_health(o0=False)
            self.assertEqual([0, 80], self.counts(80))
            self.set_health(o0=True)

    def test_a_priority_that_is_half_ill(self):
        self.serve(3, {"priority": 0}, {"priority": 0}, {"priority": 1}, health_check=_CHECK)
        self.assert_shares([0.5, 0.5, 0], self.counts(80))
        self.set_health(o0=False)
        self.assert_shares([0, 0.7, 0.3], self.counts(400))

    def test_panic(self):
        for threshold, shares in ((50, [1 / 4] * 4), (25, [0, 0, 0, 1]), (0, [0, 0, 0, 1])):
            with self.subTest(threshold):
                self.serve(4, panic_threshold=threshold, health_check=_CHECK,
                           load_balancing="random")
                self.set_health(o0=False, o1=False, o2=False)
                self.assert_shares(shares, self.counts(240))
                self.set_health(o0=True, o1=True)
                self.assert_shares([1 / 3, 1 / 3, 0, 1 / 3], self.counts(240))

    def test_the_own_zone(self):
        self.serve(4, {"zone": "here"}, {"zone": "there"}, {"zone": "here"}, {"zone": "there"},
                   zone="here", health_check=_CHECK, load_balancing="random")
        self.assert_shares([0.5, 0, 0.5, 0], self.counts(240))
        self.set_health(o0=False)
        self.assert_shares([0, 0.15, 0.7, 0.15], self.counts(400))
        self.set_health(o2=False)
        self.assert_shares([0, 0.5, 0, 0.5], self.counts(240))
        self.set_health(o0=True, o2=True)
        self.assert_shares([0.5, 0, 0.5, 0], self.counts(240))

    def test_a_session(self):
        for balancing in ("round_robin", "ring_hash"):
            with self.subTest(balancing):
                self.serve(3, health_check=_CHECK, load_balancing=balancing,
                           session_cookie={"name": "stick"})
                with self.process.connect() as client:
                    first = client.ask()
                cookie = {"Cookie": first.get("set-cookie").partition(";")[0]}
                place = int(first.body)
                for _ in range(8):
                    with self.process.connect() as client:
                        self.assertEqual(place, self.ask(client, **cookie))
                self.set_health(**{f"o{place}": False})
                with self.process.connect() as client:
                    second = client.ask(fields=cookie)
                self.assertNotEqual(first.body, second.body)
                self.assertNotEqual(cookie["Cookie"], second.get("set-cookie").partition(";")[0])
                self.set_health(**{f"o{place}": True})
                with self.process.connect() as client:
                    self.assertEqual(place, self.ask(client, **cookie))
                    answer = client.ask(fields={"Cookie": "stick=0123456789abcdef"})
                    self.assertIsNotNone(answer.get("set-cookie"), "it names nobody")


if __name__ == "__main__":
    main()
