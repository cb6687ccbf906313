"""Clients that others have written: their commands, and what they print."""

import re
import subprocess
from dataclasses import dataclass

from .wait import BOUND

PRIOR_KNOWLEDGE = "--http2-prior-knowledge"


def run(*command, data=None, seconds=3 * BOUND):
    """What a command prints on stdout, as bytes. It has to end well."""
    done = subprocess.run([str(word) for word in command], input=data, capture_output=True,
                          timeout=seconds, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n"
                             f"{(done.stdout[-2000:] + done.stderr[-2000:]).decode('latin-1')}")
    return done.stdout


@dataclass
class Loaded:
    """What h2load says became of its requests. One that was never sent counts as failed: h2load
    does not connect again, and gives up all that are left when its connection ends."""

    total: int
    succeeded: int  # a whole response came, with a status of 2xx or 3xx
    failed: int
    other: int  # responses of 3xx, 4xx, 5xx


_REQUESTS = re.compile(rb"^requests: (\d+) total, .* (\d+) succeeded, (\d+) failed", re.MULTILINE)
_STATUSES = re.compile(rb"^status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", re.MULTILINE)


def loaded(text):
    """Reads what h2load has printed."""
    requests, statuses = _REQUESTS.search(text), _STATUSES.search(text)
    if requests is None or statuses is None:
        raise AssertionError(f"h2load did not come to its end:\n{text.decode('latin-1')}")
    return Loaded(*map(int, requests.groups()), sum(map(int, statuses.groups())))


def h2load(*arguments):
    return loaded(run("h2load", "-t1", *arguments, seconds=10 * BOUND))


def nghttp_frames(text):
    """Of `nghttp -v`: (sent or received, type, stream) of every frame, in order."""
    frames = re.findall(rb"^\[ *[\d.]+\] (send|recv) (\w+) frame <.*stream_id=(\d+)>", text,
                        re.MULTILINE)
    return [(direction.decode(), kind.decode(), int(stream)) for direction, kind, stream in frames]
