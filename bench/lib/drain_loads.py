"""The clients of `script/bench drain`. Each puts load on a Sluice, says when a number of requests
were answered, and at the end what became of all."""

import json
import os
import pathlib
import select
import subprocess
import time

from . import h2load

# How long a run's load may take before the bench gives up.
SECONDS = 120

GRPC_CLIENT = pathlib.Path(__file__).parents[1] / "grpc_drain_client.py"
# The interpreter that has Debian's python3-grpcio.
PYTHON = "/usr/bin/python3"


class Client:
    """A program that prints a mark, and its counts at the end. A `with` gives one that runs, and ends
    it."""

    name = ""
    mark = b"mark\n"

    def __init__(self, command, core):
        self.command = command
        self.core = core
        self.output = b""
        self.child = None

    def counts(self):
        """What the last line says."""
        return json.loads(self.output.splitlines()[-1])

    def __enter__(self):
        self.child = subprocess.Popen(
            ["taskset", "-c", str(self.core), *map(str, self.command)], stdout=subprocess.PIPE)
        return self

    def __exit__(self, *unused):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()

    def wait_for_mark(self):
        deadline = time.monotonic() + SECONDS
        while self.mark not in self.output:
            if not self.read(deadline):
                raise SystemExit(f"bench: the load ended early: {self.output.decode()}")

    def wait_for_end(self):
        deadline = time.monotonic() + SECONDS
        while self.read(deadline):
            pass

    def read(self, deadline):
        """Reads more of what it prints; returns whether there was more."""
        left = max(deadline - time.monotonic(), 0)
        if not select.select([self.child.stdout], [], [], left)[0]:
            raise SystemExit(f"bench: {self.name}: nothing happens: {self.output.decode()}")
        data = os.read(self.child.stdout.fileno(), 65536)
        self.output += data
        return bool(data)


class Load(Client):
    """Base of those that make requests. Their counts are {what: how many requests}: sent, answered,
    and kinds of failure (is_failure in drain.py)."""

    share = 1  # of the requests that the bench was asked for: some clients are slow

    def __init__(self, bench, sluice, answered):
        super().__init__(self.arguments(bench.options, sluice, max(answered // self.share, 1)),
                         bench.load_core)

    def arguments(self, options, sluice, answered):
        raise NotImplementedError


class Http1(Load):
    """Busy keep-alive connections, some that pause, and some whose responses take a while."""

    name = "HTTP/1.1"

    def arguments(self, options, sluice, answered):
        return [options.programs / "sluice_drain_client", SECONDS, answered,
                f"{sluice.fast}:{options.connections}:0:/1KiB",
                f"{sluice.fast}:{options.pausing}:20:/1KiB",
                f"{sluice.slow}:{options.slow}:0:/wait?ms=300",
                f"{sluice.slow}:{options.slow}:0:/trickle?ms=300"]


class Http2(Load):
    """The same over HTTP/2 in cleartext, several streams to a connection; half of it goes to an
    HTTP/2 origin."""

    name = "HTTP/2"

    def arguments(self, options, sluice, answered):
        connections = max(options.connections // 8, 1)
        return [options.programs / "sluice_h2_drain_client", SECONDS, answered,
                f"{sluice.fast}:{connections}:8:0:1024:/1KiB",
                f"{sluice.h2}:{connections}:8:0:1024:/1KiB",
                f"{sluice.fast}:{options.pausing}:2:20:1024:/1KiB",
                f"{sluice.slow}:{options.slow}:2:0:5:/wait?ms=300",
                f"{sluice.slow}:{options.slow}:2:0:50:/trickle?ms=300",
                f"{sluice.h2}:{options.slow}:2:0:50:/trickle?ms=300"]


class Grpc(Load):
    """Unary calls by gRPC's own library, without retries."""

    name = "gRPC"
    share = 20

    def __init__(self, bench, sluice, answered):
        super().__init__(bench, sluice, answered)
        self.origin = bench.h2_origin
        self.before = self.origin.requests()

    def counts(self):
        counts = super().counts()
        # What the library says it never sent must not have arrived.
        seen = self.origin.requests() - self.before
        counts["failed_midway"] = max(seen - counts["sent"], 0)
        counts["sent"] = max(seen, counts["sent"])
        return counts

    def arguments(self, options, sluice, answered):
        return [PYTHON, GRPC_CLIENT, SECONDS, answered,
                f"{sluice.h2}:16:/bench.Echo/Unary",
                f"{sluice.h2}:{options.slow}:/wait?ms=300",
                f"{sluice.h2}:{options.slow}:/trickle?ms=300"]


class H2load(Load):
    """Plain h2load, which never connects anew and cannot tell what it sent from what it only meant
    to send: what was sent is what the origin has seen."""

    name = "h2load"
    mark = b"progress: 10% done\n"
    path = "/1KiB"

    def __init__(self, bench, sluice, answered):
        super().__init__(bench, sluice, answered)
        self.origin = bench.origin
        self.before = self.origin.requests()

    def arguments(self, options, sluice, answered):
        load = h2load.Load(max(options.connections // 8, 1), 8)
        return load.command(f"-n{answered * 10}", f"http://127.0.0.1:{sluice.fast}{self.path}")

    def counts(self):
        counts = h2load.parse(self.output.decode())
        sent = self.origin.requests() - self.before - 1  # the question is a request, too
        heads = sum(counts.statuses.values())
        refusals = counts.statuses["4xx"] + counts.statuses["5xx"]
        # Of its next requests, which a GOAWAY overtook before they were sent, h2load says that they
        # are done, and have failed. They have no status.
        midway = max(heads - refusals - counts.succeeded, 0)
        return {"sent": max(sent, heads), "answered": heads - midway, "not_ok": refusals,
                "failed_midway": midway, "failed_reused": max(sent - heads, 0)}


LOADS = {"h1": Http1, "h2": Http2, "h2load": H2load, "grpc": Grpc}
