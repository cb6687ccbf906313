#!/usr/bin/env python3
"""Measures Sluice beside nginx, HAProxy and nghttpx: the same work, in alternation, in one run.

Each proxy has one worker, pinned to one core; wrk or h2load and the origin share the other. CPU
microseconds per request are the user and system time of the proxy alone. Medians over the rounds;
ratios are the median of the rounds' ratios, because two runs next to each other see the same
machine.

The names say what comes in and what goes out: h2c-h1 is HTTP/2 in cleartext from the client and
HTTP/1.1 to the origin. TLS is 1.3 with TLS_AES_128_GCM_SHA256 and X25519, which is all that the
clients offer; nothing is resumed. A request of handshake-* is a connection of its own.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import sys
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import h2load, proxies, report, wrk
from lib.certificates import Certificate, client_conf
from lib.origin import H2Origin, Origin
from lib.process import cores, cpu_seconds
from lib.workspace import allow_open_files, workspace


@dataclass
class Workload:
    name: str
    path: str
    connections: int
    streams: int = 0  # at a time on each connection, of HTTP/2; 0: HTTP/1.1
    headers: tuple = ()
    downstream: str = "h1"
    upstream: str = "h1"
    certificate: str = None  # of which kind
    message: bool = False  # a gRPC call with one

    @property
    def description(self):
        words = f"{self.connections} connections"
        if self.streams:
            words += f" x {self.streams} streams"
        if self.certificate:
            words += f", TLS 1.3, {self.certificate} key"
        return words


CLOSE = ("Connection: close",)
GRPC = ("content-type: application/grpc", "te: trailers")

WORKLOADS = [
    Workload("ka-0B", "/0B", 64),
    Workload("ka-1KiB", "/1KiB", 64),
    Workload("ka-64KiB", "/64KiB", 64),
    Workload("new-conn-1KiB", "/1KiB", 64, headers=CLOSE),
    Workload("dl-10MiB", "/10MiB", 16),
    Workload("h2c-h1", "/1KiB", 16, 32, downstream="h2c"),
    Workload("h2tls-h1", "/1KiB", 16, 32, downstream="tls", certificate="rsa"),
    Workload("h2c-h2", "/1KiB", 16, 32, downstream="h2c", upstream="h2"),
    Workload("grpc-unary", "/bench.Echo/Unary", 16, 32, headers=GRPC, downstream="h2c",
             upstream="h2", message=True),
    Workload("h1tls-ka", "/1KiB", 64, downstream="tls", certificate="rsa"),
    Workload("handshake-rsa", "/0B", 64, headers=CLOSE, downstream="tls", certificate="rsa"),
    Workload("handshake-ecdsa", "/0B", 64, headers=CLOSE, downstream="tls", certificate="ecdsa"),
]

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
]

# A message of 64 bytes behind its prefix: not compressed, the length.
GRPC_MESSAGE = b"\0" + (64).to_bytes(4, "big") + b"m" * 64


@dataclass
class Series:
    """The rounds of one proxy under one workload."""

    per_second: list = field(default_factory=list)
    cpu_us: list = field(default_factory=list)
    p50_us: list = field(default_factory=list)
    p99_us: list = field(default_factory=list)
    errors: int = 0


class Bench:
    """What all measurements of one run share."""

    def __init__(self, options, directory, origin, h2_origin):
        self.options = options
        self.directory = directory
        self.origins = {"h1": origin.port, "h2": h2_origin.port}
        self.proxy_core, self.load_core = cores()
        self.certificates = {kind: Certificate(directory, kind) for kind in ("rsa", "ecdsa")}
        self.openssl_conf = client_conf(directory)
        self.message = directory / "message"
        self.message.write_bytes(GRPC_MESSAGE)

    def run(self, workload):
        """{name of a proxy: its Series}."""
        setup = proxies.Setup(workload.downstream, workload.upstream,
                              self.certificates.get(workload.certificate), workload.message)
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(proxy.start(
                self.directory, self.origins[workload.upstream], self.proxy_core))
                for proxy in proxies.chosen(self.options, setup)]
            results = {proxy.name: Series() for proxy in running}
            for proxy in running:
                self.measure(proxy, workload, 1, Series())  # warm up
            for _ in range(self.options.rounds):
                for proxy in running:
                    self.measure(proxy, workload, self.options.duration, results[proxy.name])
        return results

    def measure(self, proxy, workload, seconds, series):
        before = cpu_seconds(proxy.process.pid)
        result = self.load(proxy, workload, seconds)
        spent = cpu_seconds(proxy.process.pid) - before
        if result.requests == 0:
            raise SystemExit(f"bench: {proxy.name} answered nothing in {workload.name}:\n"
                             f"{proxy.process.last_words()}")
        if spent == 0:
            raise SystemExit(f"bench: {proxy.name} used less than a clock tick in "
                             f"{workload.name}: measure for longer, or on a machine that is less "
                             "busy")
        series.per_second.append(result.per_second)
        series.cpu_us.append(spent * 1e6 / result.requests)
        series.p50_us.append(result.p50_us)
        series.p99_us.append(result.p99_us)
        series.errors += result.errors

    def load(self, proxy, workload, seconds):
        scheme = "https" if workload.certificate else "http"
        url = f"{scheme}://127.0.0.1:{proxy.port}{workload.path}"
        if not workload.streams:
            return wrk.run(url, workload.connections, seconds, self.load_core, workload.headers,
                           self.openssl_conf)
        load = h2load.Load(workload.connections, workload.streams, workload.headers,
                           self.message if workload.message else None)
        return h2load.run(url, load, seconds, self.load_core, self.directory / "h2load.log")


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
    report.print_table(["proxy", "requests/s", "CPU µs/request", "lowest to highest", "p50", "p99",
                        "errors", "CPU sluice/peer", "requests/s sluice/peer"], rows)


def print_targets(measured):
    rows = []
    for workload, peers, at_most in TARGETS:
        results = measured.get(workload, {})
        found = {peer: ratio(results, peer, "cpu_us") for peer in peers if peer in results}
        if "sluice" not in results or not found:
            continue
        best = max(found, key=found.get)
        rows.append([f"{workload}: CPU per request against {best}"
                     + (", the best" if len(peers) > 1 else ""), f"{at_most:.2f}",
                     f"{found[best]:.2f}", "reached" if found[best] <= at_most else "missed"])
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
                        help="default: 64, and 16 for downloads and HTTP/2")
    parser.add_argument("--workloads", default=",".join(w.name for w in WORKLOADS),
                        metavar="NAMES", type=lambda text: text.split(","),
                        help="default: %(default)s")
    parser.add_argument("--programs", default="build/release", type=pathlib.Path,
                        help="where the HTTP/2 origin is (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, help="write every round's numbers here too")
    return parser.parse_args()


def main():
    options = parse_arguments()
    workloads = [w for w in WORKLOADS if w.name in options.workloads]
    if options.connections:
        for workload in workloads:
            workload.connections = options.connections
    proxies.check_names(options)
    allow_open_files(8192)
    _, load_core = cores()
    report.print_machine(report.versions_of([*options.only, "wrk", "h2load", "openssl"],
                                            options.sluice))

    measured = {}
    with workspace() as (directory, files), Origin(directory, files, load_core) as origin, \
            H2Origin(options.programs / "sluice_h2_origin", directory, load_core) as h2_origin:
        bench = Bench(options, directory, origin, h2_origin)
        for workload in workloads:
            measured[workload.name] = bench.run(workload)
            print_workload(workload, measured[workload.name])
    print_targets(measured)
    if options.json:
        numbers = {workload: {name: vars(series) for name, series in results.items()}
                   for workload, results in measured.items()}
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    main()
