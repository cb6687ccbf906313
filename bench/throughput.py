#!/usr/bin/env python3
"""Measures Sluice beside nginx, HAProxy and nghttpx: the same work, in alternation, in one run.

Each proxy has one worker, pinned to one core; wrk or h2load and the origin share the other. CPU
microseconds per request are the user and system time of the proxy alone. Medians over the rounds;
ratios are the median of the rounds' ratios, because two runs next to each other see the same
machine.

The names say what comes in and what goes out: h2c-h1 is HTTP/2 in cleartext from the client and
HTTP/1.1 to the origin. TLS is 1.3 with TLS_AES_128_GCM_SHA256 and X25519, which is all that the
clients offer; nothing is resumed. A request of handshake-* is a connection of its own. What
websocket counts are messages: each is sent when the echo of the one before has come back.
"""

import argparse
import json
import pathlib
import statistics
import sys
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import proxies, report, workloads
from lib.process import cpu_seconds
from lib.workspace import allow_open_files, workspace

# What Sluice sets out to reach: CPU per request, against the best of whom, at most this ratio.
PEERS = ("nginx", "haproxy", "nghttpx")
TARGETS = [
    ("ka-1KiB", ("nginx",), 1.0),
    ("ka-1KiB", ("haproxy",), 1.1),
    ("ka-64KiB", ("haproxy",), 1.0),
    ("new-conn-1KiB", ("nginx",), 1.1),
    ("h2c-h1", PEERS, 1.1),
    ("h2tls-h1", PEERS, 1.1),
    ("h2c-h2", PEERS, 1.1),
    ("grpc-unary", PEERS, 1.1),
    ("h2tls-h1", ("nginx",), 1.0),
    ("h1tls-ka", ("nginx",), 1.0),
    ("handshake-rsa", ("nginx",), 1.0),
    ("handshake-ecdsa", ("nginx",), 1.0),
    ("websocket", ("nginx",), 1.05),
]

@dataclass
class Series:
    """The rounds of one proxy under one workload."""

    per_second: list = field(default_factory=list)
    cpu_us: list = field(default_factory=list)
    p50_us: list = field(default_factory=list)
    p99_us: list = field(default_factory=list)
    errors: int = 0


def run(scene, workload, options):
    """{name of a proxy: its Series}."""
    with scene.proxies(workload) as running:
        results = {proxy.name: Series() for proxy in running}
        for proxy in running:
            measure(scene, proxy, workload, 1, Series())  # warm up
        for _ in range(options.rounds):
            for proxy in running:
                measure(scene, proxy, workload, options.duration, results[proxy.name])
    return results


def measure(scene, proxy, workload, seconds, series):
    before = cpu_seconds(proxy.process.pid)
    result = scene.load(proxy, workload, seconds)
    spent = cpu_seconds(proxy.process.pid) - before
    if result.requests == 0:
        raise SystemExit(f"bench: {proxy.name} answered nothing in {workload.name}:\n"
                         f"{proxy.process.last_words()}")
    if spent == 0:
        raise SystemExit(f"bench: {proxy.name} used less than a clock tick in {workload.name}: "
                         "measure for longer, or on a machine that is less busy")
    series.per_second.append(result.per_second)
    series.cpu_us.append(spent * 1e6 / result.requests)
    series.p50_us.append(result.p50_us)
    series.p99_us.append(result.p99_us)
    series.errors += result.errors


def ratio(results, peer, values):
    """Sluice against a peer, round by round."""
    if "sluice" not in results or peer not in results:
        return None
    pairs = zip(getattr(results["sluice"], values), getattr(results[peer], values))
    return statistics.median(ours / theirs for ours, theirs in pairs)


def print_workload(workload, results):
    print(f"{workload.name}: {workload.description}")
    rows = []
    for name, series in results.items():
        cpu_ratio = ratio(results, name, "cpu_us")
        rate_ratio = ratio(results, name, "per_second")
        own = name == "sluice" or cpu_ratio is None
        rows.append([
            name,
            f"{statistics.median(series.per_second):,.0f}",
            f"{statistics.median(series.cpu_us):.1f}",
            f"{min(series.cpu_us):.1f} to {max(series.cpu_us):.1f}",
            report.microseconds(statistics.median(series.p50_us)),
            report.microseconds(statistics.median(series.p99_us)),
            str(series.errors),
            "-" if own else f"{cpu_ratio:.2f}",
            "-" if own else f"{rate_ratio:.2f}",
        ])
    unit = workload.unit
    report.print_table(["proxy", f"{unit}s/s", f"CPU µs/{unit}", "lowest to highest", "p50", "p99",
                        "errors", "CPU sluice/peer", f"{unit}s/s sluice/peer"], rows)


def print_targets(measured):
    rows = []
    for workload, peers, at_most in TARGETS:
        results = measured.get(workload, {})
        found = {peer: ratio(results, peer, "cpu_us") for peer in peers if peer in results}
        if "sluice" not in results or not found:
            continue
        best = max(found, key=found.get)
        rows.append([f"{workload}: CPU against {best}"
                     + (", the best" if len(peers) > 1 else ""), f"{at_most:.2f}",
                     f"{found[best]:.2f}", "reached" if found[best] <= at_most else "missed"])
    if rows:
        report.print_table(["target", "at most", "measured", ""], rows)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench throughput", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    proxies.add_arguments(parser)
    workloads.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--duration", type=int, default=5, metavar="SECONDS",
                        help="of each measurement (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, help="write every round's numbers here too")
    return parser.parse_args()


def main():
    options = parse_arguments()
    proxies.check_names(options)
    chosen = workloads.chosen(options)
    allow_open_files(8192)
    report.print_machine(report.versions_of([*options.only, "wrk", "h2load", "openssl"],
                                            options.sluice))

    measured = {}
    with workspace() as (directory, files), workloads.Scene(options, directory, files) as scene:
        for workload in chosen:
            measured[workload.name] = run(scene, workload, options)
            print_workload(workload, measured[workload.name])
    print_targets(measured)
    if options.json:
        numbers = {workload: {name: vars(series) for name, series in results.items()}
                   for workload, results in measured.items()}
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    main()
