#!/usr/bin/env python3
"""Measures the memory of an idle keep-alive connection, in cleartext and over TLS, beside nginx,
HAProxy and nghttpx.

Opens many connections, makes one request on each, leaves them open, and reads what the proxy's
memory has grown by (/proc/<pid>/smaps_rollup, over all processes of the proxy). Some connections
are open already before the first look, so that what a proxy allocates only once is not counted; they
stay open, because the memory of closed ones would be used again. The kernel's own memory for a
socket is not part of any of these figures.
"""

import argparse
import contextlib
import pathlib
import socket
import ssl
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import proxies, report
from lib.certificates import Certificate
from lib.origin import Origin
from lib.process import cores, memory_bytes
from lib.workspace import allow_open_files, workspace

REQUEST = b"GET /1KiB HTTP/1.1\r\nHost: localhost\r\n\r\n"
WARM_UP_CONNECTIONS = 500

KINDS = {"plain": "h1", "tls": "tls"}

# What Sluice sets out to reach: memory per connection of this kind, against whom, at most this ratio.
TARGETS = [("tls", "nginx", 1.0)]


def client_context():
    """TLS 1.3 with whoever it is: this is not about trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


CONTEXT = client_context()


def open_connection(proxy):
    """One connection that has made one request, and read the whole response."""
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    if proxy.setup.certificate:
        connection = CONTEXT.wrap_socket(connection)
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


def measure(proxy, count, settle):
    """Bytes per connection: {"Rss": .., "Pss": ..}."""
    with contextlib.ExitStack() as stack:
        def open_more(number):
            for _ in range(number):
                stack.enter_context(open_connection(proxy))
            time.sleep(settle)
            return memory_bytes(proxy.process.pid)

        before = open_more(WARM_UP_CONNECTIONS)
        after = open_more(count)
    return {"before": before["Rss"], "after": after["Rss"],
            **{kind: (after[kind] - before[kind]) / count for kind in before}}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench idle", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    proxies.add_arguments(parser)
    parser.add_argument("--connections", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--kinds", default=",".join(KINDS), metavar="NAMES",
                        type=lambda text: text.split(","), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3,
                        help="fresh starts of each proxy (default: %(default)s)")
    parser.add_argument("--settle", type=float, default=1.0, metavar="SECONDS",
                        help="idle time before memory is read (default: %(default)s)")
    return parser.parse_args()


def print_kind(kind, count, found):
    def median(name, key):
        return statistics.median(result[key] for result in found[name])

    over = " over TLS 1.3" if kind == "tls" else ""
    print(f"{count:,} idle keep-alive connections{over}, one request made on each")
    report.print_table(
        ["proxy", "Rss before", "Rss with them", "Rss per connection", "lowest to highest",
         "Pss per connection"],
        [[name,
          f"{median(name, 'before') / 2**20:.1f} MiB",
          f"{median(name, 'after') / 2**20:.1f} MiB",
          kib(median(name, "Rss")),
          f"{kib(min(r['Rss'] for r in results))} to {kib(max(r['Rss'] for r in results))}",
          kib(median(name, "Pss"))] for name, results in found.items()])
    for target, peer, at_most in TARGETS:
        if target == kind and {"sluice", peer} <= found.keys():
            ratio = median("sluice", "Rss") / median(peer, "Rss")
            print(f"target: memory per {kind} connection at most {at_most:.2f} of {peer}'s: "
                  f"{ratio:.2f}, {'reached' if ratio <= at_most else 'missed'}\n")


def kib(size):
    return f"{size / 2**10:.2f} KiB"


def main():
    options = parse_arguments()
    proxies.check_names(options)
    # HAProxy wants two for each connection it could have.
    allow_open_files((options.connections + WARM_UP_CONNECTIONS) * 2 + 4096)
    proxy_core, load_core = cores()
    report.print_machine(report.versions_of(options.only, options.sluice))
    with workspace() as (directory, files), Origin(directory, files, load_core) as origin:
        certificate = Certificate(directory, "rsa")
        for kind in options.kinds:
            setup = proxies.Setup(KINDS[kind], certificate=certificate if kind == "tls" else None)
            found = {proxy.name: [] for proxy in proxies.chosen(options, setup)}
            for _ in range(options.rounds):
                for proxy in proxies.chosen(options, setup):
                    with proxy.start(directory, origin.port, proxy_core):
                        found[proxy.name].append(
                            measure(proxy, options.connections, options.settle))
            print_kind(kind, options.connections, found)


if __name__ == "__main__":
    main()
