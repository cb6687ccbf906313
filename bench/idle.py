#!/usr/bin/env python3
"""Measures the memory of an idle keep-alive connection, beside nginx and HAProxy.

Opens many connections, makes one request on each, leaves them open, and reads what the proxy's
memory has grown by (/proc/<pid>/smaps_rollup, over all processes of the proxy). Some connections
are opened and closed beforehand, so that what a proxy allocates only once is not counted. The
kernel's own memory for a socket is not part of any of these figures.
"""

import argparse
import contextlib
import pathlib
import socket
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import proxies, report
from lib.origin import Origin
from lib.process import cores, memory_bytes, open_files
from lib.workspace import allow_open_files, workspace

REQUEST = b"GET /1KiB HTTP/1.1\r\nHost: localhost\r\n\r\n"
WARM_UP_CONNECTIONS = 500
CLOSE_SECONDS = 10


def open_connection(port):
    """One connection that has made one request, and read the whole response."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(REQUEST)
    received = b""
    while b"\r\n\r\n" not in received:
        received += receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"bench: the proxy answered {head.splitlines()[0]!r}")
    while len(body) < 1024:
        body += receive(connection)
    return connection


def receive(connection):
    data = connection.recv(65536)
    if not data:
        raise SystemExit("bench: the proxy closed a connection that should stay open")
    return data


def warm_up(proxy):
    """Opens and closes; comes back when the proxy has let go of the connections."""
    pid = proxy.process.pid
    before = open_files(pid)
    connections = [open_connection(proxy.port) for _ in range(WARM_UP_CONNECTIONS)]
    for connection in connections:
        connection.close()
    deadline = time.monotonic() + CLOSE_SECONDS
    # A few more than before may stay: the connections to the origin are kept.
    while open_files(pid) > before + WARM_UP_CONNECTIONS // 10:
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: {proxy.name} does not close what its clients closed")
        time.sleep(0.05)


def measure(proxy, count, settle):
    """Bytes per connection: {"Rss": .., "Pss": ..}."""
    warm_up(proxy)
    before = memory_bytes(proxy.process.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(open_connection(proxy.port))
        time.sleep(settle)
        after = memory_bytes(proxy.process.pid)
    return {"before": before["Rss"], "after": after["Rss"],
            **{kind: (after[kind] - before[kind]) / count for kind in before}}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench idle", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    proxies.add_arguments(parser)
    parser.add_argument("--connections", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3,
                        help="fresh starts of each proxy (default: %(default)s)")
    parser.add_argument("--settle", type=float, default=1.0, metavar="SECONDS",
                        help="idle time before memory is read (default: %(default)s)")
    return parser.parse_args()


def main():
    options = parse_arguments()
    # HAProxy wants two for each connection it could have.
    allow_open_files(options.connections * 2 + 4096)
    proxy_core, load_core = cores()
    found = {proxy.name: [] for proxy in proxies.chosen(options)}
    report.print_machine(report.versions_of(found, options.sluice))
    with workspace() as (directory, files), Origin(directory, files, load_core) as origin:
        for _ in range(options.rounds):
            for proxy in proxies.chosen(options):
                with proxy.start(directory, origin.port, proxy_core):
                    found[proxy.name].append(measure(proxy, options.connections, options.settle))

    def median(name, key):
        return statistics.median(result[key] for result in found[name])

    print(f"{options.connections:,} idle keep-alive connections, one request made on each")
    report.print_table(
        ["proxy", "Rss before", "Rss with them", "Rss per connection", "Pss per connection"],
        [[name,
          f"{median(name, 'before') / 2**20:.1f} MiB",
          f"{median(name, 'after') / 2**20:.1f} MiB",
          f"{median(name, 'Rss') / 2**10:.2f} KiB",
          f"{median(name, 'Pss') / 2**10:.2f} KiB"] for name in found])


if __name__ == "__main__":
    main()
