"""Runs h2load and reads what it prints, and its log for what it does not print: percentiles."""

import re
import subprocess
from dataclasses import dataclass

from .load import Result

# What it offers in a TLS handshake; it takes the server's certificate unseen.
TLS = ("--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519")

# Of h2load's log: start of the request, status (-1: none), microseconds until its end.
DURATION_COLUMN = 2


@dataclass
class Load:
    """HTTP/2 by ALPN or prior knowledge, `streams` at a time on each of `connections`; HTTP/1.1,
    if that is 0."""

    connections: int
    streams: int
    headers: tuple = ()
    data: str = None  # a file to be sent as the body of every request

    def command(self, *arguments):
        command = ["h2load", "-t1", f"-c{self.connections}", *TLS,
                   *([f"-m{self.streams}"] if self.streams else ["--h1"])]
        for header in self.headers:
            command += ["-H", header]
        if self.data:
            command.append(f"--data={self.data}")
        return [*command, *arguments]


@dataclass
class Counts:
    """How many requests h2load says became what."""

    done: int  # a whole response came
    succeeded: int  # and its status was 2xx or 3xx
    failed: int
    statuses: dict  # {"5xx": how many}


def run(url, load, seconds, core, log):
    """`log`: a file to be made and removed."""
    command = ["taskset", "-c", str(core),
               *load.command(f"-D{seconds}s", f"--log-file={log}", url)]
    try:
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        durations = read_durations(log)
    finally:
        log.unlink(missing_ok=True)
    counts = parse(output)
    if not durations:
        durations = [0]
    # Requests that were under way when the time was over are neither done nor failed.
    return Result(counts.done, seconds, percentile(durations, 50), percentile(durations, 99),
                  counts.done - counts.succeeded + counts.failed)


def parse(output):
    found = re.search(r"^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed", output,
                      re.MULTILINE)
    if not found:
        raise SystemExit(f"bench: h2load says:\n{output}")
    statuses = {name: int(count) for count, name in re.findall(r"(\d+) (\dxx)", output)}
    return Counts(*map(int, found.groups()), statuses)


def read_durations(log):
    with open(log, encoding="utf-8") as lines:
        return sorted(int(line.split("\t")[DURATION_COLUMN]) for line in lines)


def percentile(ascending, percent):
    return ascending[min(len(ascending) * percent // 100, len(ascending) - 1)]
