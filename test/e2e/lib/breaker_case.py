"""The base of tests of circuit breakers: one worker, requests that wait, and exact counts."""

from .case import SluiceTest
from .wait import wait_until


class BreakerTest(SluiceTest):
    def serve(self, *origins, cluster=None, route=None, **breaker):
        route = {"cluster": "app", "timeout": "60s", "retries": 0} | (route or {})
        self.process = self.sluice(*origins, workers=1, listener={"routes": [route]},
                                   cluster={"circuit_breaker": breaker} | (cluster or {}))
        return self.process

    def cluster(self):
        cluster, = self.process.admin_json("/clusters")["clusters"]
        return cluster

    def wait_counts(self, **counts):
        """Until the cluster has these numbers of `waiting`, `in_flight`, `connections`."""
        wait_until(lambda: counts.items() <= self.cluster().items(),
                   lambda: f"{counts}, but {self.cluster()}")

    def send(self, target="/slow", count=1):
        """Clients that have each sent a request."""
        clients = [self.connect(self.process) for _ in range(count)]
        for client in clients:
            client.request(target=target)
        return clients

    def assert_answered(self, clients, status=200):
        for client in clients:
            self.assertEqual(status, client.read_response().status)

    def assert_refused(self, times):
        """One request is refused, and it is the `times`-th."""
        self.assert_answered(self.send("/refused"), 503)
        refused = self.log_lines(times, path="/refused", detail="pending_overflow")
        self.assertEqual(times, len(refused))
        self.assertEqual(0, refused[-1]["attempts"])
        self.assertEqual(times, self.overflows())

    def overflows(self):
        return self.process.metric("sluice_upstream_pending_overflow_total", cluster="app")

    def sent(self):
        return self.process.metric("sluice_upstream_requests_total", cluster="app")
