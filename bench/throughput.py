#!/usr/bin/env python3
"""Measures Sluice beside nginx and HAProxy: the same work, in alternation, in one run.

Each proxy has one worker, pinned to one core; wrk and the origin share the other. CPU microseconds
per request are the user and system time of the proxy alone. Medians over the rounds; ratios are the
median of the rounds' ratios, because two runs next to each other see the same machine.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import sys
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import proxies, report, wrk
from lib.origin import Origin
from lib.process import cores, cpu_seconds
from lib.workspace import allow_open_files, workspace


@dataclass
class Workload:
    name: str
    path: str
    connections: int
    headers: tuple = ()


WORKLOADS = [
    Workload("ka-0B", "/0B", 64),
    Workload("ka-1KiB", "/1KiB", 64),
    Workload("ka-64KiB", "/64KiB", 64),
    Workload("new-conn-1KiB", "/1KiB", 64, ("Connection: close",)),
    Workload("dl-10MiB", "/10MiB", 16),
]

# What Sluice sets out to reach: CPU per request, against whom, at most this ratio.
TARGETS = [
    ("ka-1KiB", "nginx", 1.0),
    ("ka-1KiB", "haproxy", 1.1),
    ("ka-64KiB", "haproxy", 1.0),
    ("new-conn-1KiB", "nginx", 1.1),
]


@dataclass
class Series:
    """The rounds of one proxy under one workload."""

    per_second: list = field(default_factory=list)
    cpu_us: list = field(default_factory=list)
    p50_us: list = field(default_factory=list)
    p99_us: list = field(default_factory=list)
    errors: int = 0


def measure(proxy, workload, seconds, core, series):
    before = cpu_seconds(proxy.process.pid)
    url = f"http://127.0.0.1:{proxy.port}{workload.path}"
    result = wrk.run(url, workload.connections, seconds, core, workload.headers)
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


def run_workload(workload, running, options, core):
    results = {proxy.name: Series() for proxy in running}
    for proxy in running:
        measure(proxy, workload, 1, core, Series())  # warm up
    for _ in range(options.rounds):
        for proxy in running:
            measure(proxy, workload, options.duration, core, results[proxy.name])
    return results


def ratio(results, peer, values):
    """Sluice against a peer, round by round."""
    if "sluice" not in results or peer not in results:
        return None
    pairs = zip(getattr(results["sluice"], values), getattr(results[peer], values))
    return statistics.median(ours / theirs for ours, theirs in pairs)


def print_workload(workload, results):
    print(f"{workload.name}: {workload.connections} connections")
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
    report.print_table(["proxy", "requests/s", "CPU µs/request", "lowest to highest", "p50", "p99",
                        "errors", "CPU sluice/peer", "requests/s sluice/peer"], rows)


def print_targets(measured):
    rows = []
    for workload, peer, at_most in TARGETS:
        found = ratio(measured.get(workload, {}), peer, "cpu_us")
        if found is not None:
            rows.append([f"{workload}: CPU per request against {peer}", f"{at_most:.2f}",
                         f"{found:.2f}", "reached" if found <= at_most else "missed"])
    if rows:
        report.print_table(["target", "at most", "measured", ""], rows)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench throughput", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    proxies.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--duration", type=int, default=5, metavar="SECONDS",
                        help="of each measurement (default: %(default)s)")
    parser.add_argument("-c", "--connections", type=int,
                        help="default: 64, and 16 for the downloads")
    parser.add_argument("--workloads", default=",".join(w.name for w in WORKLOADS),
                        metavar="NAMES", type=lambda text: text.split(","),
                        help="default: %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="write every round's numbers here too")
    return parser.parse_args()


def main():
    options = parse_arguments()
    workloads = [w for w in WORKLOADS if w.name in options.workloads]
    if options.connections:
        for workload in workloads:
            workload.connections = options.connections
    allow_open_files(8192)
    proxy_core, load_core = cores()
    chosen = proxies.chosen(options)
    report.print_machine(report.versions_of([p.name for p in chosen] + ["wrk"], options.sluice))

    measured = {}
    with workspace() as (directory, files), contextlib.ExitStack() as stack:
        origin = stack.enter_context(Origin(directory, files, load_core))
        running = [stack.enter_context(p.start(directory, origin.port, proxy_core)) for p in chosen]
        for workload in workloads:
            measured[workload.name] = run_workload(workload, running, options, load_core)
            print_workload(workload, measured[workload.name])
    print_targets(measured)
    if options.json:
        numbers = {workload: {name: vars(series) for name, series in results.items()}
                   for workload, results in measured.items()}
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    main()
