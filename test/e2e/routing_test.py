#!/usr/bin/env python3
"""Which request goes where, and what is changed on the way."""

from lib import SluiceTest, main


def direct(text, **match):
    return {"match": match, "direct_response": {"status": 200, "body": text}}


class MatchTest(SluiceTest):
    def serve(self, routes):
        self.client = self.connect(self.sluice(self.origin(), listener={"routes": routes}))

    def routed(self, target="/", method="GET", fields=()):
        """The body of the route that answered, or the status of an error."""
        answer = self.client.ask(method, target, fields)
        return answer.body.decode() if answer.status == 200 else answer.status

    def test_paths(self):
        self.serve([direct("exact", path="/a"), direct("regex", regex="/a/[0-9]+"),
                    direct("prefix", prefix="/a"), direct("other", prefix="/b/")])
        for target, expected in (("/a", "exact"), ("/a?x", "exact"), ("/a/12", "regex"),
                                 ("/a/12/3", "prefix"), ("/a/", "prefix"), ("/a/b", "prefix"),
                                 ("/b/", "other"), ("/", 404), ("/A", 404)):
            with self.subTest(target):
                self.assertEqual(expected, self.routed(target))

    def test_methods(self):
        self.serve([direct("read", methods=["GET", "HEAD"]), direct("write", methods=["POST"])])
        self.assertEqual("read", self.routed())
        self.assertEqual("write", self.routed(method="POST", fields={"Content-Length": "0"}))
        self.assertEqual(404, self.routed(method="DELETE"))

    def test_fields(self):
        self.serve([direct("exact", headers=[{"name": "X-A", "exact": "1"}]),
                    direct("prefix", headers=[{"name": "x-a", "prefix": "2"}]),
                    direct("regex", headers=[{"name": "X-A", "regex": "3+"}]),
                    direct("both", headers=[{"name": "X-A"}, {"name": "X-B", "present": True}]),
                    direct("absent", headers=[{"name": "X-A", "absent": True}])])
        for fields, expected in (({"X-A": "1"}, "exact"), ({"x-A": "22"}, "prefix"),
                                 ({"X-A": "333"}, "regex"), ({"X-A": "9", "X-B": ""}, "both"),
                                 ({}, "absent"), ({"X-A": "34"}, 404)):
            with self.subTest(fields):
                self.assertEqual(expected, self.routed(fields=fields))

    def test_query(self):
        self.serve([direct("exact", query=[{"name": "v", "exact": "2"}]),
                    direct("present", query=[{"name": "debug"}]), direct("rest")])
        for target, expected in (("/?v=2", "exact"), ("/?a=b&v=2&c", "exact"), ("/?v=3", "rest"),
                                 ("/?debug", "present"), ("/?debug=0", "present"), ("/", "rest")):
            with self.subTest(target):
                self.assertEqual(expected, self.routed(target))

    def test_hosts(self):
        hosts = [{"domains": ["a.test", "b.test"], "routes": [direct("exact")]},
                 {"domains": ["*.a.test"], "routes": [direct("wildcard")]},
                 {"domains": ["*.b.a.test"], "routes": [direct("longer")]},
                 {"domains": ["*"], "routes": [direct("default")]}]
        self.client = self.connect(self.sluice(self.origin(), listener={"virtual_hosts": hosts}))
        for host, expected in (("a.test", "exact"), ("A.Test", "exact"), ("b.test:8080", "exact"),
                               ("x.a.test", "wildcard"), ("x.y.a.test", "wildcard"),
                               ("x.b.a.test", "longer"), ("aa.test", "default")):
            with self.subTest(host):
                self.assertEqual(expected, self.routed(fields={"Host": host}))

    def test_a_host_that_nobody_serves(self):
        hosts = [{"domains": ["a.test"], "routes": [direct("a")]}]
        self.client = self.connect(self.sluice(self.origin(), listener={"virtual_hosts": hosts}))
        self.assertEqual(404, self.routed(fields={"Host": "b.test"}))

    def test_a_path_cannot_be_disguised(self):
        app = self.origin()
        routes = [direct("private", prefix="/private"), {"cluster": "app"}]
        process = self.sluice(app, listener={"routes": routes})
        for target in ("/private/x", "/./private/x", "/public/../private/x", "/%70rivate/x",
                       "/public/%2e%2e/private/x", "//private/x", "/public/..%2fprivate/x",
                       "/public\\..\\private", "/%2fprivate/x"):
            with self.subTest(target):
                self.client = self.connect(process)  # a refusal closes
                answer = self.routed(target)
                if answer not in ("private", 400):
                    sent = app.last().target
                    self.assertNotIn("..", sent)
                    self.assertFalse(sent.startswith("/private"), sent)


class ActionTest(SluiceTest):
    def serve(self, *routes, **more):
        self.app = self.origin()
        self.client = self.connect(self.sluice(self.app, listener={"routes": routes}, **more))

    def test_direct_response(self):
        self.serve({"match": {"path": "/t"}, "direct_response": {
            "status": 418, "body": "{}", "content_type": "application/json"},
                    "response_headers": {"set": {"X-Pot": "tea"}}},
                   {"direct_response": {"status": 204}})
        answer = self.client.ask("GET", "/t")
        self.assertEqual((418, b"{}", "application/json", "tea"),
                         (answer.status, answer.body, answer.get("content-type"),
                          answer.get("x-pot")))
        self.assertEqual("2", self.client.ask("HEAD", "/t").get("content-length"))
        self.assertEqual(204, self.client.ask("POST", "/", body=b"ignored").status)
        self.assertEqual(204, self.client.ask().status)
        self.assertEqual([], self.app.requests)

    def test_redirect(self):
        self.serve({"match": {"path": "/tls"}, "redirect": {"status": 301, "scheme": "https"}},
                   {"match": {"path": "/host"}, "redirect": {"host": "new.test"}},
                   {"match": {"path": "/path"}, "redirect": {"status": 308, "path": "/other"}})
        for target, status, location in (
                ("/tls?a=b", 301, "https://old.test/tls?a=b"),
                ("/host", 302, "http://new.test/host"),
                ("/path?a", 308, "http://old.test/other")):
            with self.subTest(target):
                answer = self.client.ask("GET", target, {"Host": "old.test"})
                self.assertEqual((status, location), (answer.status, answer.get("location")))

    def test_prefix_and_host_rewrite(self):
        self.serve({"match": {"prefix": "/api"}, "cluster": "app", "prefix_rewrite": "/v1"},
                   {"match": {"path": "/one"}, "cluster": "app", "prefix_rewrite": "/two"},
                   {"match": {"prefix": "/strip/"}, "cluster": "app", "prefix_rewrite": "/"},
                   {"cluster": "app", "host_rewrite": "inside.test:81"})
        for target, expected in (("/api/users?x=1", "/v1/users?x=1"), ("/api", "/v1"),
                                 ("/one?q", "/two?q"), ("/strip/a/b", "/a/b")):
            with self.subTest(target):
                self.client.ask("GET", target)
                self.assertEqual(expected, self.app.last().target)
        self.client.ask("GET", "/", {"Host": "outside.test"})
        self.assertEqual("inside.test:81", self.app.last().get("host"))
        self.assertEqual("outside.test", self.app.last().get("x-forwarded-host"))

    def test_field_edits(self):
        self.serve({"cluster": "app",
                    "request_headers": {"remove": ["X-Remove"], "set": {"X-Set": "new"},
                                        "add": {"X-Add": "more"}},
                    "response_headers": {"remove": ["Server"], "set": {"X-Set": "new"},
                                         "add": {"X-Add": "more"}}})
        fields = [("X-Remove", "1"), ("x-remove", "2"), ("X-Set", "old"), ("X-Add", "one")]
        self.app.on("/", lambda x: x.reply(
            fields=[("Server", "secret"), ("x-set", "old"), ("X-Add", "one")]))
        answer = self.client.ask(fields=fields)
        request = self.app.last()
        self.assertIsNone(request.get("x-remove"))
        self.assertIsNone(answer.get("server"))
        for message in (request, answer):
            self.assertEqual("new", message.get("x-set"))
            self.assertEqual("one, more", message.get("x-add"))

    def test_weighted_clusters(self):
        old, new, never = self.origin(), self.origin(), self.origin()
        clusters = [{"name": name, "endpoints": [origin.address]}
                    for name, origin in (("old", old), ("new", new), ("never", never))]
        route = {"clusters": [{"name": "old", "weight": 3}, {"name": "new"},
                              {"name": "never", "weight": 0}]}
        client = self.connect(self.sluice(clusters=clusters, listener={"routes": [route]}))
        for _ in range(400):
            self.assertEqual(200, client.ask().status)
        self.assertEqual(400, len(old.requests) + len(new.requests))
        # 300 are expected; one run in ten million is outside of these.
        self.assertTrue(250 < len(old.requests) < 350, len(old.requests))

    def test_endpoints_in_turn(self):
        origins = [self.origin() for _ in range(3)]
        client = self.connect(self.sluice(*origins, workers=1))
        for _ in range(30):
            client.ask()
        self.assertEqual([10, 10, 10], [len(origin.requests) for origin in origins])

    def test_endpoints_by_weight(self):
        light, heavy = self.origin(), self.origin()
        endpoints = [light.address, {"address": heavy.address, "weight": 2}]
        client = self.connect(self.sluice(workers=1, cluster={"endpoints": endpoints}))
        for _ in range(30):
            client.ask()
        self.assertEqual((10, 20), (len(light.requests), len(heavy.requests)))

    def test_least_request_avoids_the_busy_endpoint(self):
        busy, free = self.origin(), self.origin()
        process = self.sluice(busy, free, workers=1, cluster={"load_balancing": "least_request"})
        holds = [busy.hold("/wait"), free.hold("/wait")]
        for _ in range(8):
            self.connect(process).request("GET", "/wait")
        for hold in holds:
            hold.wait_arrived(4)
        holds[1].release()
        client = self.connect(process)
        answered = 0
        while answered < 20:
            answered += client.ask().status == 200
        self.assertGreater(len(free.seen("/")), len(busy.seen("/")))


if __name__ == "__main__":
    main()
