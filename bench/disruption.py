#!/usr/bin/env python3
"""Reloads and restarts proxies under constant load, and says what their clients noticed.

Four kinds of clients go on all the time: HTTP/1.1 over connections that are kept, HTTP/1.1 over a new
connection for each request, HTTP/2 with several requests under way on each connection, and WebSockets
that wait for an echo. Each makes one request after the other with a pause between them, so that the
load is the same for all proxies. First they are left alone; then the configuration changes again and
again, by a reload, and in a run of its own by a restart:

  sluice   POST /reload; sluice restart
  nginx    HUP; USR2, and QUIT to the old one when the new one serves
  haproxy  USR2 to the master; a new process with -x and -sf

A request is failed when it was sent and not answered in full, or could not be sent because no
connection could be made. A reconnect is a connection that a client had not wanted to make: of
HTTP/1.1 that is kept, HTTP/2 and WebSockets. Latencies of requests under way during a disruption
(from the order until a new connection sees the new configuration, but at least a quarter of a second)
are compared with those before the first. Memory is that of all generations together, what they share
counted once.

Sluice is to have no failure in a million requests, no reconnect of a kept HTTP/1.1 connection or a
WebSocket, and a p99 during reloads of at most twice that before.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import disruption, family, report
from lib.drain_loads import Client
from lib.origin import Origin, StreamOrigin
from lib.process import cores
from lib.workspace import allow_open_files, workspace

KINDS = {"keep-alive": "HTTP/1.1, kept", "new": "HTTP/1.1, new", "h2": "HTTP/2",
         "websocket": "WebSocket"}
ACTIONS = ("reload", "restart")

# Clients of each kind: connections, streams on each, and the pause between requests in ms.
LOAD = {"keep-alive": (64, 1, 20), "new": (16, 1, 20), "h2": (8, 8, 40), "websocket": (200, 1, 200)}
PATHS = {"websocket": "/websocket"}

# What connecting all clients at once has set off is over then.
SETTLE_SECONDS = 1

# What belongs to a disruption at least, and how often memory is looked at: seconds.
SHORTEST_DISRUPTION = 0.25
WATCH = 0.1

# A proxy that does not do it so often in a row is left alone.
MOST_FAILURES = 3

P99_TARGET = 2
MIB = 2**20


@dataclass
class Outcome:
    """Of one proxy and one kind of disruption."""

    proxy: str
    action: str
    wanted: int
    counts: dict = None  # of the client, by kind
    seconds: list = field(default_factory=list)  # until each was seen
    failures: int = 0
    processes: int = 0  # at most
    memory_before: int = 0
    memory: int = 0  # at most

    def failed(self, kind):
        return sum(count for name, count in self.counts[kind].items()
                   if name.startswith("failed_") or name in ("not_ok", "timed_out"))

    def requests(self):
        """Those of HTTP."""
        return sum(counts["sent"] for kind, counts in self.counts.items() if kind != "websocket")

    @property
    def name(self):
        return f"{self.proxy}, {self.action}"


class Load(Client):
    """bench/disruption_client.cc."""

    name = "disruption client"
    mark = b"open\n"

    def __init__(self, programs, core, proxy):
        groups = [f"{kind}:{proxy.h2_port if kind == 'h2' else proxy.port}:{connections}:{streams}:"
                  f"{pause}:{PATHS.get(kind, '/1KiB')}"
                  for kind, (connections, streams, pause) in LOAD.items()]
        super().__init__([programs / "sluice_disruption_client", *groups], core)

    def __enter__(self):
        self.child = subprocess.Popen(
            ["taskset", "-c", str(self.core), *map(str, self.command)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *unused):
        self.child.stdin.close()
        super().__exit__(*unused)

    def tell(self, word):
        self.child.stdin.write(f"{word}\n".encode())
        self.child.stdin.flush()


class Bench:
    def __init__(self, options, directory, origin, stream_origin):
        self.options = options
        self.directory = directory
        self.origin, self.stream_origin = origin, stream_origin
        self.proxy_core, self.load_core = cores()

    def run(self, name, action):
        wanted = getattr(self.options, f"{action}s")
        outcome = Outcome(name, action, wanted)
        with disruption.PROXIES[name](self, action) as proxy, \
                Load(self.options.programs, self.load_core, proxy) as load:
            load.wait_for_mark()
            self.watch(proxy, outcome, SETTLE_SECONDS)
            load.tell("before")
            self.watch(proxy, outcome, self.options.seconds)
            outcome.memory_before = outcome.memory
            self.disrupt(proxy, load, outcome)
            load.tell("stop")
            load.wait_for_end()
            outcome.counts = load.counts()
        return outcome

    def disrupt(self, proxy, load, outcome):
        interval = getattr(self.options, f"{outcome.action}_interval")
        # Who cannot be disrupted so often is not waited for forever.
        end = time.monotonic() + interval * outcome.wanted * 1.5
        failures = 0  # in a row
        while len(outcome.seconds) < outcome.wanted and failures < MOST_FAILURES:
            while not proxy.may_go_on() and time.monotonic() < end:
                self.watch(proxy, outcome, WATCH)
            if time.monotonic() >= end:
                return
            began = time.monotonic()
            load.tell("begin")
            took = proxy.disrupt()
            if took is None:
                failures += 1
                outcome.failures += 1
            else:
                failures = 0
                outcome.seconds.append(took)
            self.watch(proxy, outcome, began + SHORTEST_DISRUPTION - time.monotonic())
            load.tell("end")
            self.watch(proxy, outcome, began + interval - time.monotonic())

    @staticmethod
    def watch(proxy, outcome, seconds):
        """Lets time pass, and looks at memory meanwhile."""
        end = time.monotonic() + seconds
        while True:
            processes, memory = proxy.family.memory()
            outcome.processes = max(outcome.processes, processes)
            outcome.memory = max(outcome.memory, memory)
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, WATCH))


def print_clients(outcomes):
    rows = []
    for outcome in outcomes:
        for kind, counts in outcome.counts.items():
            reconnects = "-" if kind == "new" else f"{counts['reconnects']:,}"
            before, during = counts["p99_before_us"], counts["p99_during_us"]
            rows.append([outcome.name, KINDS[kind], f"{counts['sent']:,}",
                         f"{outcome.failed(kind):,}", f"{counts['connections_reset']:,}", reconnects,
                         report.microseconds(before), report.microseconds(during),
                         f"{ratio(counts):.2f}", report.microseconds(counts["worst_us"])])
    report.print_table(["", "clients", "requests", "failed", "connections reset", "reconnects",
                        "p99 before", "p99 during", "ratio", "worst"], rows)


def print_proxies(outcomes):
    rows = []
    for outcome in outcomes:
        seconds = outcome.seconds or [0]
        rows.append([outcome.name, f"{len(outcome.seconds)} of {outcome.wanted}",
                     outcome.failures, f"{statistics.median(seconds) * 1000:.0f} ms",
                     f"{max(seconds) * 1000:.0f} ms", outcome.processes,
                     f"{outcome.memory_before / MIB:.1f} MiB", f"{outcome.memory / MIB:.1f} MiB"])
    report.print_table(["", "done", "not done", "until seen, median", "longest", "processes at most",
                        "memory before", "peak memory"], rows)


def print_failures(outcomes):
    """What the failures were."""
    for outcome in outcomes:
        for kind, counts in outcome.counts.items():
            kinds = {name: count for name, count in counts.items()
                     if count and (name.startswith("failed_") or name in ("not_ok", "timed_out"))}
            if kinds:
                print(f"{outcome.name}, {KINDS[kind]}: {kinds}")
    print(flush=True)


def ratio(counts):
    """Of the p99 during disruptions to that before."""
    return counts["p99_during_us"] / max(counts["p99_before_us"], 1)


def verdict(outcomes, requests):
    """What Sluice has missed, in words."""
    missed = []
    for outcome in outcomes:
        if len(outcome.seconds) < outcome.wanted or outcome.failures:
            missed.append(f"{outcome.name}: {len(outcome.seconds)} of {outcome.wanted} done")
        for kind, counts in outcome.counts.items():
            who = f"{outcome.name}, {KINDS[kind]}"
            if outcome.failed(kind):
                missed.append(f"{who}: {outcome.failed(kind):,} failed")
            if kind in ("keep-alive", "websocket") and counts["reconnects"]:
                missed.append(f"{who}: {counts['reconnects']:,} reconnects")
            if outcome.action == "reload" and ratio(counts) > P99_TARGET:
                missed.append(f"{who}: a p99 of {ratio(counts):.2f} times that before")
    total = sum(outcome.requests() for outcome in outcomes)
    if total < requests:
        missed.append(f"only {total:,} requests over HTTP, not {requests:,}")
    return missed


def parse_arguments():
    def names(text):
        return text.split(",")

    parser = argparse.ArgumentParser(prog="script/bench disruption", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default="build/release/sluice", help="default: %(default)s")
    parser.add_argument("--programs", default="build/release", type=pathlib.Path,
                        help="where the clients and the origin are (default: %(default)s)")
    parser.add_argument("--proxies", default=",".join(disruption.PROXIES), metavar="NAMES",
                        type=names, help="default: %(default)s")
    parser.add_argument("--actions", default=",".join(ACTIONS), metavar="NAMES", type=names,
                        help="default: %(default)s")
    parser.add_argument("--reloads", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--restarts", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--reload-interval", type=float, default=1, metavar="SECONDS",
                        help="from one to the next (default: %(default)s)")
    parser.add_argument("--restart-interval", type=float, default=2, metavar="SECONDS",
                        help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=10,
                        help="of load before the first (default: %(default)s)")
    parser.add_argument("--deadline", type=int, default=10, metavar="SECONDS",
                        help="after which an old generation is to end what is left "
                             "(default: %(default)s)")
    parser.add_argument("--requests", type=int, default=1_000_000,
                        help="that Sluice is to have served in all (default: %(default)s)")
    options = parser.parse_args()
    for chosen, possible in ((options.proxies, disruption.PROXIES), (options.actions, ACTIONS)):
        unknown = [name for name in chosen if name not in possible]
        if unknown:
            parser.error(f"no such thing: {', '.join(unknown)}; there are: {', '.join(possible)}")
    return options


def main():
    options = parse_arguments()
    allow_open_files(20000)
    family.adopt_orphans()
    report.print_machine(report.versions_of(options.proxies, options.sluice))
    _, load_core = cores()
    with workspace() as (directory, files), \
            Origin(directory, files, load_core) as origin, \
            StreamOrigin(options.programs, directory, load_core) as stream_origin:
        bench = Bench(options, directory, origin, stream_origin)
        outcomes = [bench.run(name, action)
                    for name in options.proxies for action in options.actions]

    print_clients(outcomes)
    print_proxies(outcomes)
    print_failures(outcomes)
    missed = verdict([outcome for outcome in outcomes if outcome.proxy == "sluice"],
                     options.requests) if "sluice" in options.proxies else []
    for complaint in missed:
        print(f"missed: {complaint}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
