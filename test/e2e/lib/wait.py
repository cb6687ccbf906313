"""Waiting for a condition with a bound: no test sleeps and hopes."""

import time

# Everything that has to happen happens within this many seconds, or the test fails. Far more than
# it takes: machines that run tests are busy.
BOUND = 20.0

_PAUSE = 0.002


def patience(seconds):
    """A clock that has run down after `seconds`: call it for what is left."""
    end = time.monotonic() + seconds
    return lambda: max(0.0, end - time.monotonic())


def wait_until(condition, what, seconds=BOUND):
    """Calls `condition` until it is true and returns its value. Fails saying what was waited for;
    `what` may be a function, called then."""
    left = patience(seconds)
    while True:
        value = condition()
        if value:
            return value
        if left() == 0.0:
            raise AssertionError(
                f"after {seconds} s still not: {what() if callable(what) else what}")
        time.sleep(_PAUSE)
