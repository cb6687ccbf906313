#!/usr/bin/env python3
"""Sends SIGTERM to Sluice in the middle of load, many times, and says what became of every request.

Each run starts a fresh process in front of a fast origin, a slow one and one that speaks HTTP/2, and
puts load on it by one kind of client (lib/drain_loads.py): busy connections, some that pause between
requests, and some whose responses take a while. The signal comes when a number of requests were
answered. The clients go on until the port is gone. A request that was sent and not answered in full
is `failed`; what Sluice says it had to end by force is `cut`. Both must be 0. What the process said it
did not take (HTTP/2 can), is `refused`, and what a client took back before it left, because of a
GOAWAY, is `unsent`: no failures.

Runs alternate between propagation delays: none (the listener goes away at once), and one under
which new connections and requests are still served while responses advise closing.
"""

import argparse
import json
import pathlib
import random
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import report
from lib.drain_loads import LOADS
from lib.origin import H2Origin, Origin
from lib.process import Process, cores, free_port, http_status, wait_for_http
from lib.workspace import allow_open_files, workspace

CONFIG = """
workers: {workers}
access_log: off
listeners:
  - {{name: fast, address: "127.0.0.1:{fast}", cluster: fast}}
  - {{name: slow, address: "127.0.0.1:{slow}", cluster: slow}}
  - {{name: h2, address: "127.0.0.1:{h2}", cluster: h2}}
clusters:
  - {{name: fast, endpoints: ["127.0.0.1:{fast_origin}"]}}
  - {{name: slow, endpoints: ["127.0.0.1:{slow_origin}"]}}
  - {{name: h2, endpoints: ["127.0.0.1:{h2_origin}"], protocol: http2}}
admin: {{address: "127.0.0.1:{admin}"}}
drain: {{propagation_delay: {delay}, jitter: 0s, report_file: {report}}}
"""

# How long a drain may take before the bench gives up.
DRAIN_SECONDS = 60
IDLE_STARTS = 10
IDLE_TARGET_MS = 50


def is_failure(name):
    return name.startswith("failed_") or name in ("timed_out", "reset")


@dataclass
class Outcome:
    """Runs with one kind of client and one propagation delay, added up."""

    load: type
    delay: str
    runs: int = 0
    counts: dict = field(default_factory=dict)
    cut: int = 0
    bad_exits: int = 0
    seconds: list = field(default_factory=list)

    def add(self, counts, cut, exit_code, seconds):
        self.runs += 1
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.cut += cut
        self.bad_exits += exit_code != 0
        self.seconds.append(seconds)

    def count(self, name):
        return self.counts.get(name, 0)

    @property
    def failed(self):
        return sum(self.failures.values())

    @property
    def failures(self):
        return {name: count for name, count in self.counts.items() if is_failure(name) and count}

    @property
    def name(self):
        return f"{self.load.name}, propagation delay {self.delay}"

    @property
    def clean(self):
        return not (self.failed or self.cut or self.bad_exits or self.count("not_ok"))


class Sluice:
    """One process to be drained."""

    def __init__(self, bench, delay):
        self.fast, self.slow, self.h2 = free_port(), free_port(), free_port()
        self.admin = free_port()
        self.report = bench.directory / "report.json"
        self.report.unlink(missing_ok=True)
        config = bench.directory / "sluice.yaml"
        config.write_text(CONFIG.format(
            workers=bench.options.workers, fast=self.fast, slow=self.slow, h2=self.h2,
            admin=self.admin, fast_origin=bench.origin.port, slow_origin=bench.slow_port,
            h2_origin=bench.h2_origin.port, delay=delay, report=self.report))
        self.process = Process([bench.options.sluice, "serve", "-c", config], bench.proxy_core,
                               bench.directory / "sluice.out")
        try:
            wait_for_http(self.process, self.admin, "/ready")
        except BaseException:
            self.process.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.stop()

    def drain(self):
        """Sends SIGTERM; returns the exit code, and the seconds from the signal to the end."""
        signalled = time.monotonic()
        self.process.signal(signal.SIGTERM)
        code = self.process.wait(DRAIN_SECONDS)
        if code is None:
            raise SystemExit(f"bench: still running {DRAIN_SECONDS} s after SIGTERM:\n"
                             f"{self.process.last_words()}")
        return code, time.monotonic() - signalled

    def cut(self):
        """How many requests the drain report says were cut."""
        return json.loads(self.report.read_text())["cut"]["total"]


class Bench:
    def __init__(self, options, directory, origins):
        self.options = options
        self.directory = directory
        self.origin, self.slow_port, self.h2_origin = origins
        self.proxy_core, self.load_core = cores()

    def run(self, outcome, answered):
        with Sluice(self, outcome.delay) as sluice, \
                outcome.load(self, sluice, answered) as load:
            load.wait_for_mark()
            code, seconds = sluice.drain()
            load.wait_for_end()
            counts = load.counts()
            outcome.add(counts, sluice.cut(), code, seconds)
            if not outcome.clean:
                print(f"run {outcome.runs}, {outcome.name}: exit code {code}, {counts}\n"
                      f"{sluice.process.last_words()}", file=sys.stderr)

    def idle_exit(self):
        """Seconds from SIGTERM to the end of a process that has nothing to do."""
        with Sluice(self, "0s") as sluice:
            if http_status(sluice.admin, "/live") != 200:
                raise SystemExit("bench: alive, but /live does not say so")
            code, seconds = sluice.drain()
            if code != 0:
                raise SystemExit(f"bench: an idle process exited with {code}")
            return seconds


def milliseconds(seconds):
    return f"{seconds * 1000:,.1f} ms"


def print_outcomes(outcomes, idle):
    def row(name, group):
        seconds = sorted(second for outcome in group for second in outcome.seconds)
        runs = sum(o.runs for o in group)
        numbers = [sum(o.count(n) for o in group) for n in ("sent", "answered")]
        numbers += [sum(o.failed for o in group), sum(o.cut for o in group),
                    sum(o.count("refused") for o in group),
                    sum(o.count("unsent") for o in group),
                    sum(o.count("not_ok") for o in group), sum(o.bad_exits for o in group)]
        return [name, f"{runs:,}", *(f"{n:,}" for n in numbers),
                milliseconds(statistics.median(seconds)), milliseconds(seconds[-1])]

    rows = [row(o.name, [o]) for o in outcomes if o.runs]
    rows.append(row("all", [o for o in outcomes if o.runs]))
    rows.append(["idle exit", str(len(idle)), *["-"] * 8,
                 milliseconds(statistics.median(idle)), milliseconds(max(idle))])
    report.print_table(["", "runs", "sent", "answered", "failed", "cut", "refused", "unsent", "not 200", "exit not 0",
                        "time to exit, median", "longest"], rows)


def verdict(outcomes, idle, requests):
    """What was missed, in words; empty when all is well."""
    missed = []
    answered = {}
    for outcome in outcomes:
        answered[outcome.load] = answered.get(outcome.load, 0) + outcome.count("answered")
        if not outcome.clean:
            missed.append(f"{outcome.name}: not every request was served "
                          f"({outcome.failures or 'see the table'})")
    for load, count in answered.items():
        if count < requests // load.share:
            missed.append(f"{load.name}: only {count:,} requests were answered, not "
                          f"{requests // load.share:,}")
    if max(idle) * 1000 >= IDLE_TARGET_MS:
        missed.append(f"an idle process took {milliseconds(max(idle))} to exit, not under "
                      f"{IDLE_TARGET_MS} ms")
    return missed


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench drain", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default="build/release/sluice", help="default: %(default)s")
    parser.add_argument("--programs", default="build/release", type=pathlib.Path,
                        help="where the load clients and origins are (default: %(default)s)")
    parser.add_argument("--clients", default=",".join(LOADS), metavar="NAMES",
                        type=lambda text: text.split(","), help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=50,
                        help="with each kind of client (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=1_000_000,
                        help="of each kind, to be answered over all its runs, at least; gRPC's, "
                             "whose client is slow, are a twentieth (default: %(default)s)")
    parser.add_argument("--propagation-delay", default="0s,500ms", metavar="DELAYS", dest="delays",
                        type=lambda text: text.split(","),
                        help="runs alternate between these (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--connections", type=int, default=64,
                        help="busy ones; an eighth of them, with eight streams each, where it is "
                             "HTTP/2 (default: %(default)s)")
    parser.add_argument("--pausing", type=int, default=8,
                        help="that pause some 20 ms between requests (default: %(default)s)")
    parser.add_argument("--slow", type=int, default=4,
                        help="of each kind: waiting 300 ms for a response, and receiving one over "
                             "that time (default: %(default)s)")
    return parser.parse_args()


def main():
    options = parse_arguments()
    allow_open_files(8192)
    _, load_core = cores()
    report.print_machine(report.versions_of(["sluice", "h2load"], options.sluice))
    outcomes = [Outcome(LOADS[client], delay)
                for client in options.clients for delay in options.delays]
    slow_port = free_port()
    slow_command = [sys.executable, pathlib.Path(__file__).with_name("slow_origin.py"), slow_port]

    with workspace() as (directory, files), \
            Origin(directory, files, load_core) as origin, \
            H2Origin(options.programs / "sluice_h2_origin", directory, load_core) as h2_origin, \
            Process(slow_command, load_core, directory / "slow_origin.out") as slow_origin:
        wait_for_http(slow_origin, slow_port, "/wait")
        bench = Bench(options, directory, (origin, slow_port, h2_origin))
        each = -(-options.requests // options.runs)
        total = options.runs * len(options.clients)
        for number in range(total):
            # A little more than its share, at random: the signal must not find the same moment.
            bench.run(outcomes[number % len(outcomes)], each + random.randrange(each // 20 + 1))
            if sys.stderr.isatty():
                print(f"\r{number + 1} of {total} drains ", end="", file=sys.stderr, flush=True)
        idle = [bench.idle_exit() for _ in range(IDLE_STARTS)]

    print_outcomes(outcomes, idle)
    missed = verdict(outcomes, idle, options.requests)
    for complaint in missed:
        print(f"missed: {complaint}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
