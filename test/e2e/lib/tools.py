"""Clients that others have written: their commands, and what they print."""

import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass

from .wait import BOUND

PRIOR_KNOWLEDGE = "--http2-prior-knowledge"

# Where only root's PATH looks.
NGHTTPD = shutil.which("nghttpd", path=os.environ["PATH"] + ":/usr/sbin")


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


def start_nghttpd(test, files, *arguments):
    """Serves a directory until the end of the test; `arguments` are options, key and certificate.
    Returns the address, where it will listen soon: it does not say when."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    options = [word for word in arguments if str(word).startswith("--")]
    child = subprocess.Popen([NGHTTPD, "-a", "127.0.0.1", "-d", files, *options, port,
                              *[word for word in arguments if word not in options]],
                             stdout=subprocess.DEVNULL)
    test.addCleanup(child.wait)
    test.addCleanup(child.kill)
    return f"127.0.0.1:{port}"


def nghttp_frames(text):
    """Of `nghttp -v`: (sent or received, type, stream) of every frame, in order."""
    frames = re.findall(rb"^\[ *[\d.]+\] (send|recv) (\w+) frame <.*stream_id=(\d+)>", text,
                        re.MULTILINE)
    return [(direction.decode(), kind.decode(), int(stream)) for direction, kind, stream in frames]
