"""Conformance cases: small functions in tables, one connection each.

    case = Cases()

    @case("RFC 9113 6.7")
    def ping_on_a_stream(h2):
        h2.send(frame(Kind.PING, 0, 1, bytes(8)))
        h2.expect_connection_error(Code.PROTOCOL_ERROR)

A function that takes a second argument is given the origin too. Each section becomes one test, in
front of a process of its own; a failure names the section and the case.
"""

import inspect
import re
import time

from .case import SluiceTest
from .h2wire import H2Connection
from .wait import wait_until


class Cases:
    def __init__(self):
        self.sections = {}  # name -> [(function, arguments of H2Connection)]

    def __call__(self, section, **connection):
        def add(function):
            self.sections.setdefault(section, []).append((function, connection))
            return function
        return add

    def each(self, section, table, **connection):
        """One case for each entry of a table {name: value}: the function takes the value last."""
        def add(function):
            for name, value in table.items():
                self.sections.setdefault(section, []).append(
                    (_Entry(function, name, value), connection))
            return function
        return add


class _Entry:
    def __init__(self, function, name, value):
        self.function, self.value = function, value
        self.__name__ = f"{function.__name__}: {name}"
        takes = list(inspect.signature(function).parameters)[:-1]
        self.takes = len(takes)

    def __call__(self, *arguments):
        self.function(*arguments, self.value)


def _arguments(function):
    if isinstance(function, _Entry):
        return function.takes
    return len(inspect.signature(function).parameters)


class ConformanceTest(SluiceTest):
    """A file derives from it and sets `cases`."""

    cases = Cases()

    def __init_subclass__(cls):
        for section, cases in cls.cases.sections.items():
            def test(self, section=section, cases=cases):
                self.run_section(section, cases)
            name = "test_" + re.sub(r"\W+", "_", section).lower()
            setattr(cls, name, test)

    def run_section(self, section, cases):
        self.app = self.origin()
        self.process = self.sluice(self.app, listener=self.listener())
        for function, connection in cases:
            name = function.__name__.replace("_", " ")
            with self.subTest(f"{section}: {name}"):
                self.app.requests.clear()
                h2 = self.connection(**connection)
                try:
                    function(*(h2, self.app)[:_arguments(function)])
                    self.judge(h2)
                finally:
                    h2.close()
                self.settle()
        with self.connection() as other:
            other.get(1)
        for gauge in ("sluice_requests_in_flight", "sluice_connections_open"):
            wait_until(lambda gauge=gauge: self.process.metric(gauge, listener="in") == 0,
                       f"{gauge} is 0: nothing has leaked")

    def settle(self):
        """Lets what a case has left behind reach the origin, where the next case would find it. A
        case may leave something that stays, so this is no condition."""
        metric, end = self.process.metric, time.monotonic() + 1
        while time.monotonic() < end and not (
                metric("sluice_upstream_connections_total") == self.app.connections and
                metric("sluice_upstream_connections_open") == self.app.open_connections()):
            time.sleep(0.01)

    # ---- what a file may change

    def listener(self):
        """Laid over the configuration of the listener."""
        return {}

    def connection(self, **more):
        return H2Connection(self.process.address(), **more)

    def judge(self, h2):
        """What holds after each case."""


# ---- what cases about requests have in common


def only(h2, app, sent, stream=1):
    """The request as the origin received it; it is answered, and is the only one."""
    h2.open(stream, sent)
    h2.expect_response(stream)
    assert len(app.requests) == 1, app.requests
    return app.last()


def malformed(h2, app, sent, stream=1):
    h2.open(stream, sent)
    h2.expect_refused(stream)
    h2.get(stream + 2, "/after")
    assert [x.target for x in app.requests] == ["/after"], app.requests
