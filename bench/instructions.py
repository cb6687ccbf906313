#!/usr/bin/env python3
"""Counts the instructions that a proxy spends on a request, by callgrind: on a busy machine as on an
idle one, and so what a change of code is judged by.

The proxy runs under valgrind; some requests warm it up, then its counters are set to zero, a number
of requests are answered, and the counters are read. What the kernel does is not counted. The
profiles can be kept (--keep) for callgrind_annotate.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import h2load, proxies, report, workloads
from lib.workspace import allow_open_files, workspace

# nginx is not among them: its worker is a process of its own.
COUNTABLE = ("sluice", "haproxy", "nghttpx")
DUMP_SECONDS = 60


def count(scene, workload, options):
    """{name of a proxy: instructions for each request}."""
    counts = {}
    for name in options.only:
        profile = scene.directory / f"{workload.name}-{name}.callgrind"
        callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"]
        with scene.proxies(workload, callgrind, [name]) as running:
            for proxy in running:
                ask(scene, proxy, workload, options.warm_up)
                control(proxy, "--zero")
                ask(scene, proxy, workload, options.requests)
                control(proxy, "--dump")
                dump = pathlib.Path(f"{profile}.1")
                counts[name] = instructions(dump) / options.requests
                if options.keep:
                    shutil.copy(dump, options.keep / profile.name)
    return counts


def ask(scene, proxy, workload, requests):
    """Makes so many requests, and no other number."""
    command = scene.h2load(workload).command(f"-n{requests}", scene.url(proxy, workload))
    run = subprocess.run(["taskset", "-c", str(scene.load_core), *command], check=True,
                         capture_output=True, text=True)
    counts = h2load.parse(run.stdout)
    if counts.succeeded != requests:
        raise SystemExit(f"bench: {proxy.name} did not answer {requests} requests well:\n"
                         f"{run.stdout}")


def control(proxy, what):
    subprocess.run(["callgrind_control", what, str(proxy.process.pid)], check=True,
                   capture_output=True)


def instructions(dump):
    """The total of a profile."""
    deadline = time.monotonic() + DUMP_SECONDS
    while time.monotonic() < deadline:
        found = dump.exists() and re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)
        if found:
            return int(found.group(1))
        time.sleep(0.1)
    raise SystemExit(f"bench: callgrind wrote no {dump}")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench instructions", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    proxies.add_arguments(parser, default=COUNTABLE)
    workloads.add_arguments(parser, "h2c-h1,h2c-h2,h2tls-h1,grpc-unary,h1tls-ka,ka-1KiB")
    parser.add_argument("--warm-up", type=int, default=2000, metavar="REQUESTS",
                        help="default: %(default)s")
    parser.add_argument("--requests", type=int, default=10000, help="default: %(default)s")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIRECTORY",
                        help="put the profiles here")
    return parser.parse_args()


def main():
    options = parse_arguments()
    proxies.check_names(options, COUNTABLE)
    chosen = workloads.chosen(options)
    if any(workload.echo_bytes for workload in chosen):
        raise SystemExit("bench: instructions are counted for requests, not for WebSockets")
    allow_open_files(8192)
    report.print_machine(report.versions_of([*options.only, "h2load", "valgrind"], options.sluice))
    rows = []
    with workspace() as (directory, files), workloads.Scene(options, directory, files) as scene:
        for workload in chosen:
            counts = count(scene, workload, options)
            rows.append([workload.name, *(f"{counts[name]:,.0f}" if name in counts else "-"
                                          for name in options.only)])
    report.print_table(["instructions/request", *options.only], rows)


if __name__ == "__main__":
    main()
