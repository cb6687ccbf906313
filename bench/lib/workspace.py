"""A directory for one run of a bench, gone afterwards, however the bench ends."""

import contextlib
import pathlib
import resource
import shutil
import signal
import sys
import tempfile


@contextlib.contextmanager
def workspace():
    """Gives a directory for configuration and logs, and one in memory for bodies to serve."""
    # Ended from outside, a bench must still stop what it started.
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))
    shared = pathlib.Path("/dev/shm")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    files = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-",
                                          dir=shared if shared.is_dir() else None))
    try:
        yield directory, files
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(files, ignore_errors=True)


def allow_open_files(count):
    """Raises the limit for this process and what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"bench: needs {count} open files, the hard limit is {hard} (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
