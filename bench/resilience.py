#!/usr/bin/env python3
"""Restarts two upstreams in turn, again and again, under constant load through a proxy, and says what
the clients noticed: beside HAProxy and nginx, each in its turn, each configured as well as it can be
(bench/lib/resilience.py).

  quit   the upstream finishes what it has in flight, and is then away for a while (a deploy)
  kill   it is killed, and is then away for a while (a crash)

Clients send GET, which may be sent twice, and POST, which may not: of those some are lost with an
upstream that is killed, whatever is before it. A request failed when it was not answered 200.

Sluice is to have no more failures than either, beyond what is chance, and none of a GET.
"""

import argparse
import math
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import report
from lib.drain_loads import PYTHON, Client
from lib.process import cores
from lib.resilience import CONFIGS, Proxy, Upstream
from lib.workspace import workspace

CLIENT = pathlib.Path(__file__).with_name("resilience_client.py")
WAYS = ("quit", "kill")

# Connections that send GET, those that send POST, and the pause of each between requests.
GETS, POSTS, PAUSE_MS = 40, 20, 20


class Load(Client):
    name = "resilience client"
    mark = b"open\n"

    def __init__(self, core, port):
        super().__init__([PYTHON, CLIENT, port, GETS, POSTS, PAUSE_MS], core)

    def __enter__(self):
        self.child = subprocess.Popen(
            ["taskset", "-c", str(self.core), *map(str, self.command)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def stop(self):
        self.child.stdin.close()
        self.wait_for_end()
        return self.counts()


def run(name, how, options, directory):
    """What became of the requests, by method, and how often an upstream was restarted."""
    proxy_core, load_core = cores()
    with Upstream("a", directory, load_core) as a, Upstream("b", directory, load_core) as b, \
            Proxy(name, options, directory, proxy_core, (a, b)) as proxy, \
            Load(load_core, proxy.port) as load:
        load.wait_for_mark()
        restarts = 0
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            (a, b)[restarts % 2].restart(how, options.gap)
            restarts += 1
            time.sleep(options.pause)
        return load.stop(), restarts


def failures(counts):
    return sum(counts["failed"].values())


def add(total, counts):
    """Adds a further round of the same; latencies are the worst of all rounds."""
    for method, more in counts.items():
        one = total.setdefault(method, {"sent": 0, "ok": 0, "failed": {}, "p50_us": 0, "p99_us": 0,
                                        "p999_us": 0, "worst_us": 0})
        one["sent"] += more["sent"]
        one["ok"] += more["ok"]
        for kind, count in more["failed"].items():
            one["failed"][kind] = one["failed"].get(kind, 0) + count
        for name in ("p50_us", "p99_us", "p999_us", "worst_us"):
            one[name] = max(one[name], more[name])


def print_results(results):
    rows = []
    for (name, how), (counts, restarts) in results.items():
        for method, one in counts.items():
            rows.append([f"{name}, {how}", restarts, method, f"{one['sent']:,}",
                         f"{failures(one):,}", *(report.microseconds(one[quantile]) for quantile in
                                                 ("p50_us", "p99_us", "p999_us", "worst_us"))])
    report.print_table(["", "restarts", "method", "requests", "failed", "p50", "p99", "p99.9",
                        "worst"], rows)
    for (name, how), (counts, _) in results.items():
        for method, one in counts.items():
            if one["failed"]:
                print(f"{name}, {how}, {method}: {one['failed']}")


def beyond_chance(ours, theirs):
    """Whether the share of failures is larger by more than three standard deviations: when each run
    loses a handful, one or the other always loses more."""
    (lost, sent), (lost_there, sent_there) = ours, theirs
    if not sent or not sent_there:
        return False
    share = (lost + lost_there) / (sent + sent_there)
    deviation = math.sqrt(share * (1 - share) * (1 / sent + 1 / sent_there))
    return lost / sent - lost_there / sent_there > 3 * deviation


def verdict(results):
    """What Sluice has missed, in words."""
    missed = []
    for (name, how), (counts, _) in results.items():
        if name != "sluice":
            continue
        if failures(counts["GET"]):
            missed.append(f"{how}: {failures(counts['GET'])} GETs failed")
        for peer in ("haproxy", "nginx"):
            other = results.get((peer, how))
            if other is None:
                continue
            for method in counts:
                ours, theirs = ((failures(one[method]), one[method]["sent"])
                                for one in (counts, other[0]))
                if beyond_chance(ours, theirs):
                    missed.append(f"{how}: {ours[0]} of {ours[1]} {method} failed, of {peer}'s "
                                  f"{theirs[0]} of {theirs[1]}")
    return missed


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench resilience", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default="build/release/sluice", help="default: %(default)s")
    parser.add_argument("--proxies", default=",".join(CONFIGS), metavar="NAMES",
                        type=lambda text: text.split(","), help="default: %(default)s")
    parser.add_argument("--ways", default=",".join(WAYS), metavar="NAMES",
                        type=lambda text: text.split(","), help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=20,
                        help="of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2,
                        help="in which every proxy has its turn (default: %(default)s)")
    parser.add_argument("--gap", type=float, default=0.5, metavar="SECONDS",
                        help="an upstream is away (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=1, metavar="SECONDS",
                        help="before the other's turn (default: %(default)s)")
    options = parser.parse_args()
    for chosen, possible in ((options.proxies, CONFIGS), (options.ways, WAYS)):
        unknown = [name for name in chosen if name not in possible]
        if unknown:
            parser.error(f"no such thing: {', '.join(unknown)}; there are: {', '.join(possible)}")
    return options


def main():
    options = parse_arguments()
    report.print_machine(report.versions_of(options.proxies, options.sluice))
    results = {}
    with workspace() as (directory, _):
        for _ in range(options.rounds):
            for how in options.ways:
                for name in options.proxies:
                    counts, restarts = run(name, how, options, directory)
                    total, before = results.setdefault((name, how), ({}, 0))
                    add(total, counts)
                    results[name, how] = total, before + restarts
    print_results(results)
    missed = verdict(results) if "sluice" in options.proxies else []
    for complaint in missed:
        print(f"missed: {complaint}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
