"""grpc_service.py as a child process, and channels to it."""

import json
import os
import pathlib
import subprocess
import sys
import threading

# Before grpc is loaded: its handlers for fork(2) hang when a test starts a process.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
import grpc  # pylint: disable=wrong-import-position

from .wait import BOUND, patience  # pylint: disable=wrong-import-position

_SERVICE = pathlib.Path(__file__).with_name("grpc_service.py")

# A channel that gives up connecting at once, as a test wants it, and shares no connection with
# another channel to the same address.
_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class GrpcOrigin:
    def __init__(self, *cert_and_key):
        self._changed = threading.Condition()
        self._events = []
        self._closed = False
        self.child = subprocess.Popen([sys.executable, _SERVICE, *cert_and_key], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self.wait_for("listening")["address"]

    def _read(self):
        for line in self.child.stdout:
            with self._changed:
                self._events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_for(self, event, **fields):
        """Waits for such an event and returns it; each is given out once."""
        left = patience(BOUND)
        wanted = {"event": event} | fields
        with self._changed:
            while True:
                for at, one in enumerate(self._events):
                    if wanted.items() <= one.items():
                        return self._events.pop(at)
                if self._closed or left() == 0.0:
                    raise AssertionError(f"no {wanted} from the gRPC server: {self._events}")
                self._changed.wait(left())

    def told(self, event, **fields):
        """How many such events came that wait_for has not given out."""
        wanted = {"event": event} | fields
        with self._changed:
            return sum(wanted.items() <= one.items() for one in self._events)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def close(self):
        self.child.stdin.close()
        try:
            self.child.wait(BOUND)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(BOUND)
        self.child.stdout.close()


class Calls:
    """The methods of grpc_service.py over one channel, with a bound on each call."""

    def __init__(self, channel):
        self.channel = channel

    @classmethod
    def to(cls, address, credentials=None, options=()):
        options = [*_CHANNEL_OPTIONS, *options]
        if credentials is None:
            return cls(grpc.insecure_channel(address, options))
        return cls(grpc.secure_channel(address, credentials, options))

    def close(self):
        self.channel.close()

    def unary(self, method, request=b"", **more):
        """(response, call)"""
        more.setdefault("timeout", BOUND)
        return self.channel.unary_unary(f"/test.Test/{method}").with_call(request, **more)

    def unary_future(self, method, request=b"", **more):
        more.setdefault("timeout", BOUND)
        return self.channel.unary_unary(f"/test.Test/{method}").future(request, **more)

    def collect(self, requests, **more):
        more.setdefault("timeout", BOUND)
        return self.channel.stream_unary("/test.Test/Collect")(requests, **more)

    def count(self, **wanted):
        """A stream of responses. `timeout` is the call's; None: no deadline."""
        timeout = wanted.pop("timeout", BOUND)
        request = json.dumps(wanted).encode()
        return self.channel.unary_stream("/test.Test/Count")(request, timeout=timeout)

    def chat(self, requests, **more):
        more.setdefault("timeout", BOUND)
        return self.channel.stream_stream("/test.Test/Chat")(requests, **more)
