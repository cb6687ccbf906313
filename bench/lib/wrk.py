"""Runs wrk and reads what it prints."""

import os
import re
import subprocess

from .load import Result

MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


def run(url, connections, seconds, core, headers=(), openssl_conf=None):
    """`openssl_conf` says what wrk, which has no options for that, offers in a TLS handshake."""
    command = ["taskset", "-c", str(core), "wrk", "--latency", "-t1", f"-c{connections}",
               f"-d{seconds}s", "--timeout", "10s"]
    for header in headers:
        command += ["-H", header]
    environment = {**os.environ, "OPENSSL_CONF": str(openssl_conf)} if openssl_conf else None
    output = subprocess.run([*command, url], check=True, capture_output=True, text=True,
                            env=environment).stdout
    return parse(output)


def parse(output):
    requests, duration, unit = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", output).groups()
    errors = sum(map(int, re.findall(
        r"(?:connect|read|write|timeout|Non-2xx or 3xx responses:) (\d+)", output)))
    return Result(int(requests), float(duration) * MICROSECONDS[unit] / 1e6,
                  percentile(output, 50), percentile(output, 99), errors)


def percentile(output, percent):
    value, unit = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)", output, re.MULTILINE).groups()
    return float(value) * MICROSECONDS[unit]
