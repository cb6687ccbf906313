"""Runs bench/websocket_load.cc and reads what it prints."""

import json
import subprocess

from .load import Result


def run(programs, port, workload, seconds, core):
    command = ["taskset", "-c", core, programs / "sluice_websocket_load", port,
               workload.connections, seconds, workload.echo_bytes, workload.path]
    output = subprocess.run([str(word) for word in command], check=True, capture_output=True,
                            text=True).stdout
    found = json.loads(output)
    return Result(found["messages"], found["seconds"], found["p50_us"], found["p99_us"],
                  found["errors"])
