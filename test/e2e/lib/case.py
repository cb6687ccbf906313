"""The base of every test: things that are closed again, and failures that show the log."""

import copy
import faulthandler
import json
import pathlib
import sys
import tempfile
import unittest

from .client import Client
from .origin import Origin
from .process import Sluice
from .wait import wait_until

# A test that hangs in spite of its bounds says where.
_HANGS_AFTER_SECONDS = 150


def merged(base, changes):
    """`base` with `changes` laid over it, section by section."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


class SluiceTest(unittest.TestCase):
    def setUp(self):
        self.processes = []
        faulthandler.dump_traceback_later(_HANGS_AFTER_SECONDS, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        temporary = tempfile.TemporaryDirectory(prefix="sluice-e2e-")
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)

    def origin(self, address="127.0.0.1:0"):
        origin = Origin(address)
        self.addCleanup(lambda: self.assertEqual([], origin.errors, "raised in the origin"))
        self.addCleanup(origin.close)
        return origin

    def config(self, *origins, listener=None, cluster=None, drain=None, **rest):
        """A configuration in front of `origins`, as a dictionary. `listener`, `cluster`, `drain`
        and `rest` are laid over one that drains at once and listens on free ports."""
        base = {
            "workers": 2,
            "listeners": [{"name": "in", "address": "127.0.0.1:0"}],
            "clusters": [{"name": "app", "endpoints": [origin.address for origin in origins]}],
            "drain": {"propagation_delay": "0s", "jitter": "0s", "deadline": "10s",
                      "idle_grace": "50ms", "linger": "200ms"},
            "admin": "127.0.0.1:0",
            "access_log": str(self.directory / "access.log"),
        }
        config = merged(base, {"drain": drain or {}} | rest)
        if "listeners" not in rest:
            config["listeners"][0] |= listener or {}
            if not {"routes", "virtual_hosts", "cluster"} & set(config["listeners"][0]):
                config["listeners"][0]["cluster"] = "app"
        if "clusters" not in rest:
            config["clusters"][0] |= cluster or {}
        return config

    def start(self, config, *arguments, **more):
        """A process with this configuration, ready."""
        path = self.directory / f"sluice{len(self.processes)}.yaml"
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML
        return self.spawn("-c", path, *arguments, **more).wait_ready()

    def sluice(self, *origins, **config):
        """A process in front of `origins`, ready; see config()."""
        return self.start(self.config(*origins, **config))

    def embedded(self, *arguments, **more):
        """A process in front of the origin inside of it, ready, which drains at once."""
        settings = ("drain.propagation_delay=0s", "drain.idle_grace=50ms", "drain.linger=200ms",
                    "access_log=off")
        words = [word for setting in settings for word in ("--set", setting)]
        return self.spawn("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *words, *arguments,
                          **more).wait_ready()

    def spawn(self, *arguments, **more):
        """`sluice serve ARGUMENTS`, ended with the test, and well."""
        process = Sluice(*arguments, **more)
        self.processes.append(process)
        self.addCleanup(self._end, process)
        return process

    def _end(self, process):
        self.assertIsNone(process.close())

    def connect(self, address, **more):
        """A connection that is closed with the test."""
        if isinstance(address, Sluice):
            address = address.address()
        client = Client(address, **more)
        self.addCleanup(client.close)
        return client

    def log_lines(self, count, **fields):
        """The lines of the access log that have these values, once there are as many as `count`."""
        path = self.directory / "access.log"

        def find():
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            return [line for line in map(json.loads, lines) if fields.items() <= line.items()]
        wait_until(lambda: len(find()) >= count,
                   lambda: f"{count} lines with {fields} in the access log, but {find()}")
        return find()

    def last_words(self):
        return "\n\n" + "\n".join(process.last_words() for process in self.processes)


class _Result(unittest.TextTestResult):
    """Adds to each failure what the processes of the test have said."""

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._explain(self.failures, test)

    def addError(self, test, err):
        super().addError(test, err)
        self._explain(self.errors, test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            self._explain(self.failures if failed else self.errors, test)

    @staticmethod
    def _explain(those, test):
        if hasattr(test, "last_words"):
            those[-1] = (those[-1][0], those[-1][1] + test.last_words())


def main():
    """Runs the tests of the calling file. A file without any has lost them: that fails."""
    runner = unittest.TextTestRunner(resultclass=_Result, verbosity=2)
    result = unittest.main(module="__main__", testRunner=runner, exit=False).result
    if result.testsRun == 0:
        sys.exit("no test was run")
    sys.exit(not result.wasSuccessful())
