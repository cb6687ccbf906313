"""Runs wrk and reads what it prints."""

import re
import subprocess
from dataclasses import dataclass

MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


@dataclass
class Result:
    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int

    @property
    def per_second(self):
        return self.requests / self.seconds


def run(url, connections, seconds, core, headers=()):
    command = ["taskset", "-c", str(core), "wrk", "--latency", "-t1", f"-c{connections}",
               f"-d{seconds}s", "--timeout", "10s"]
    for header in headers:
        command += ["-H", header]
    output = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
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
