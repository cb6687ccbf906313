#!/usr/bin/env python3
"""Drains proxies that carry thousands of long-lived streams, and says how each stream ended.

WebSockets, event streams and gRPC calls are opened through one proxy, all of them get messages, and
then the proxy is told to drain: Sluice by SIGTERM, nginx by SIGQUIT, HAProxy by SIGUSR1. Each may
cut what is left after 20 seconds. A stream has ended clean if its client was told in the words of
its protocol, after a whole message, with nothing lost: a WebSocket by Close 1001 and the end of the
connection, an event stream by the end of its response, a gRPC call by the status UNAVAILABLE. It is
`cut` if it ended in the middle of a message, `reset` if it was between two, `untold` if it ended
there without those words. Sluice is to reach 100 %.

With --over-h2 only Sluice is drained, and only WebSockets are open: by extended CONNECT (RFC 8441),
many to a connection, on both sides.
"""

import argparse
import json
import pathlib
import re
import resource
import sys
import time
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import long_lived, proxies, report
from lib.origin import StreamOrigin
from lib.process import cores, http_body
from lib.workspace import allow_open_files, workspace

KINDS = {"websocket": "websocket", "events": "event stream", "grpc": "gRPC stream",
         "websocket-h2": "websocket over HTTP/2"}
ENDS = ("clean", "cut", "reset", "untold", "broken", "still_open")

# How long a drain may take before the bench gives up.
DRAIN_SECONDS = 60

# gRPC streams on each client connection.
GRPC_STREAMS = 20
# Descriptors beside those of streams.
SPARE_DESCRIPTORS = 200
# A process is not given more.
ENOUGH_DESCRIPTORS = 2**17

# What --over-h2 opens unless told otherwise.
H2_WEBSOCKETS = 50_000
H2_STREAMS = 100
H2_TURN_TARGET_MS = 10
TURN_METRIC = re.compile(r'^sluice_loop_turn_seconds_max\{thread="([^"]*)"\} (\S+)', re.MULTILINE)


@dataclass
class Outcome:
    """Of one proxy's drain."""

    proxy: str
    counts: dict  # of the client, by kind
    exit_code: int
    seconds: float  # from the signal to the exit
    closed: int  # WebSockets whose Close the origin has seen
    report: dict = None  # Sluice's own
    turns: dict = None  # the longest turn of each of Sluice's threads, in seconds, if it says

    def total(self, what):
        return sum(counts[what] for counts in self.counts.values())


class Bench:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.proxy_core, self.load_core = cores()

    def groups(self, proxy):
        """What the client opens."""
        options = self.options
        every = f"?ms={options.interval}"
        if options.over_h2:
            connections = -(-options.websockets // H2_STREAMS)
            return [f"websocket-h2:{proxy.h2_port}:{connections}:{H2_STREAMS}:/websocket{every}"]
        grpc = -(-options.grpc_streams // GRPC_STREAMS)
        groups = {f"websocket:{proxy.port}:{options.websockets}:1:/websocket{every}":
                      options.websockets,
                  f"events:{proxy.port}:{options.event_streams}:1:/events{every}":
                      options.event_streams,
                  f"grpc:{proxy.h2_port}:{grpc}:{GRPC_STREAMS}:/bench.Stream/Open{every}":
                      options.grpc_streams}
        return [group for group, streams in groups.items() if streams]

    def drain(self, name):
        """Opens everything through one proxy, drains it, and returns the Outcome."""
        proxy = long_lived.PROXIES[name](self.options)
        programs = self.options.programs
        with StreamOrigin(programs, self.directory, self.load_core) as origin, \
                proxy.start(self.directory, origin, self.proxy_core), \
                long_lived.StreamClient(programs, self.load_core, self.groups(proxy)) as client:
            client.wait_for_mark()
            signalled = time.monotonic()
            proxy.process.signal(proxy.drain_signal)
            turns = watch_turns(proxy) if name == "sluice" else None
            exit_code = proxy.process.wait(DRAIN_SECONDS)
            seconds = time.monotonic() - signalled
            if exit_code is None:
                raise SystemExit(f"bench: {name} still runs {DRAIN_SECONDS} s after its signal:\n"
                                 f"{proxy.process.last_words()}")
            client.wait_for_end()
            return Outcome(name, client.counts(), exit_code, seconds, origin.counts()["closed"],
                           read_report(proxy, exit_code) if name == "sluice" else None, turns)


def read_report(sluice, exit_code):
    """What Sluice has written at its end."""
    if not sluice.report.exists():
        raise SystemExit(f"bench: sluice has left no drain report, its exit code is {exit_code}:\n"
                         f"{sluice.process.last_words()}")
    return json.loads(sluice.report.read_text())


def watch_turns(sluice):
    """The longest turn of each thread that its metrics have told of, until it exits."""
    longest = {}
    deadline = time.monotonic() + DRAIN_SECONDS
    while sluice.process.wait(0.2) is None and time.monotonic() < deadline:
        try:
            metrics = http_body(sluice.admin, "/metrics").decode()
        except (OSError, ValueError):
            continue
        for thread, seconds in TURN_METRIC.findall(metrics):
            longest[thread] = max(float(seconds), longest.get(thread, 0))
    return longest


def print_outcomes(outcomes):
    rows = []
    for outcome in outcomes:
        for kind, counts in outcome.counts.items():
            rows.append([outcome.proxy, KINDS[kind], f"{counts['open']:,}", f"{counts['clean']:,}",
                         share(counts), *(f"{counts[end]:,}" for end in ENDS[1:]),
                         f"{outcome.seconds:.1f} s"])
    report.print_table(["proxy", "kind", "open", "clean", "share", "cut in a message", "reset",
                        "untold", "broken", "still open", "time to exit"], rows)


def share(counts):
    return f"{100 * counts['clean'] / counts['open']:.2f} %"


def print_sluice(outcome):
    """What Sluice says itself."""
    streams = outcome.report["long_lived"]
    print(f"sluice: opened {outcome.total('open'):,}, clean {outcome.total('clean'):,}; by its own "
          f"account told {streams['told']:,}, left by themselves {streams['left']:,}, without an "
          f"answer {streams['lost']:,}, cut {outcome.report['cut']['total']:,}; Close passed on to "
          f"the origin {outcome.closed:,}; exit code {outcome.exit_code}")
    for thread, seconds in sorted(outcome.turns.items()):
        print(f"sluice: longest turn of {thread}: {seconds * 1000:.1f} ms")


def verdict(outcome, over_h2):
    """What Sluice has missed, in words."""
    missed = [f"{KINDS[kind]}: {share(counts)} clean, not 100 %"
              for kind, counts in outcome.counts.items() if counts["clean"] != counts["open"]]
    if outcome.exit_code != 0:
        missed.append(f"exit code {outcome.exit_code}")
    longest = max(outcome.turns.values(), default=0) * 1000
    if over_h2 and longest > H2_TURN_TARGET_MS:
        missed.append(f"a turn of {longest:.1f} ms, not within {H2_TURN_TARGET_MS} ms")
    return missed


def scale_down(options):
    """Makes fewer streams of too many: a proxy needs two descriptors for each one over HTTP/1.1, and
    nginx one for each gRPC call, beside the client's connection."""
    grpc = options.grpc_streams + -(-options.grpc_streams // GRPC_STREAMS)
    left = options.descriptors - grpc - SPARE_DESCRIPTORS
    wanted = 2 * (options.websockets + options.event_streams)
    if wanted <= left:
        return
    if left <= 0:
        raise SystemExit(f"bench: {options.grpc_streams} gRPC streams are too many for "
                         f"{options.descriptors} descriptors (ulimit -Hn)")
    options.websockets = options.websockets * left // wanted
    options.event_streams = options.event_streams * left // wanted
    print(f"{wanted + grpc + SPARE_DESCRIPTORS:,} descriptors would be needed in one process, which "
          f"may have {options.descriptors:,} (ulimit -Hn): {options.websockets:,} WebSockets and "
          f"{options.event_streams:,} event streams instead\n")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench drain --long-lived", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default="build/release/sluice", help="default: %(default)s")
    parser.add_argument("--programs", default="build/release", type=pathlib.Path,
                        help="where the client and the origin are (default: %(default)s)")
    parser.add_argument("--proxies", metavar="NAMES", type=lambda text: text.split(","),
                        help=f"default: {','.join(long_lived.PROXIES)}")
    parser.add_argument("--over-h2", action="store_true",
                        help=f"{H2_WEBSOCKETS:,} WebSockets over HTTP/2")
    parser.add_argument("--websockets", type=int, help="default: 5000")
    parser.add_argument("--event-streams", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--grpc-streams", type=int, default=1000,
                        help=f"in {GRPC_STREAMS}s, as each client connection has so many "
                             "(default: %(default)s)")
    parser.add_argument("--interval", type=int, metavar="MS",
                        help="between messages of a stream (default: 2000, over HTTP/2 10000)")
    parser.add_argument("--spread", type=int, metavar="SECONDS",
                        help="Sluice's drain.spread (default: 5, over HTTP/2 10)")
    options = parser.parse_args()
    if options.websockets is None:
        options.websockets = H2_WEBSOCKETS if options.over_h2 else 5000
    options.interval = options.interval or (10_000 if options.over_h2 else 2000)
    options.spread = options.spread or (10 if options.over_h2 else 5)
    options.only = options.proxies or (["sluice"] if options.over_h2 else [*long_lived.PROXIES])
    proxies.check_names(options, tuple(long_lived.PROXIES))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    options.descriptors = (ENOUGH_DESCRIPTORS if hard == resource.RLIM_INFINITY
                           else min(hard, ENOUGH_DESCRIPTORS))
    return options


def main():
    options = parse_arguments()
    report.print_machine(report.versions_of(options.only, options.sluice))
    if not options.over_h2:
        scale_down(options)
    allow_open_files(options.descriptors)
    with workspace() as (directory, _):
        bench = Bench(options, directory)
        outcomes = [bench.drain(name) for name in options.only]

    print_outcomes(outcomes)
    missed = []
    for outcome in outcomes:
        if outcome.proxy == "sluice":
            print_sluice(outcome)
            missed = verdict(outcome, options.over_h2)
    for complaint in missed:
        print(f"missed: {complaint}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
