"""What proxies are asked to do: the rows of the tables, and where their requests come from and go to."""

import contextlib
import dataclasses
import pathlib
from dataclasses import dataclass

from . import h2load, proxies, websocket_load, wrk
from .certificates import Certificate, client_conf
from .origin import H2Origin, Origin, StreamOrigin
from .process import cores


@dataclass
class Workload:
    name: str
    path: str
    connections: int
    streams: int = 0  # at a time on each connection, of HTTP/2; 0: HTTP/1.1
    headers: tuple = ()
    downstream: str = "h1"
    upstream: str = "h1"
    certificate: str = None  # of which kind
    message: bool = False  # a gRPC call with one
    echo_bytes: int = 0  # of each message over a WebSocket; 0: it is none

    @property
    def description(self):
        words = f"{self.connections} connections"
        if self.streams:
            words += f" x {self.streams} streams"
        if self.certificate:
            words += f", TLS 1.3, {self.certificate} key"
        if self.echo_bytes:
            words += f", an echo of {self.echo_bytes} bytes at a time on each"
        return words

    @property
    def unit(self):
        """What is counted."""
        return "message" if self.echo_bytes else "request"


CLOSE = ("Connection: close",)
GRPC = ("content-type: application/grpc", "te: trailers")

WORKLOADS = [
    Workload("ka-0B", "/0B", 64),
    Workload("ka-1KiB", "/1KiB", 64),
    Workload("ka-64KiB", "/64KiB", 64),
    Workload("new-conn-1KiB", "/1KiB", 64, headers=CLOSE),
    Workload("dl-10MiB", "/10MiB", 16),
    Workload("h2c-h1", "/1KiB", 16, 32, downstream="h2c"),
    Workload("h2tls-h1", "/1KiB", 16, 32, downstream="tls", certificate="rsa"),
    Workload("h2c-h2", "/1KiB", 16, 32, downstream="h2c", upstream="h2"),
    Workload("grpc-unary", "/bench.Echo/Unary", 16, 32, headers=GRPC, downstream="h2c",
             upstream="h2", message=True),
    Workload("h1tls-ka", "/1KiB", 64, downstream="tls", certificate="rsa"),
    Workload("handshake-rsa", "/0B", 64, headers=CLOSE, downstream="tls", certificate="rsa"),
    Workload("handshake-ecdsa", "/0B", 64, headers=CLOSE, downstream="tls", certificate="ecdsa"),
    Workload("websocket", "/websocket", 64, upstream="websocket", echo_bytes=125),
]

# A message of 64 bytes behind its prefix: not compressed, the length.
GRPC_MESSAGE = b"\0" + (64).to_bytes(4, "big") + b"m" * 64


class Scene:
    """Origins, certificates, and the core for everything that is not a proxy. To be used in a
    `with`."""

    def __init__(self, options, directory, files):
        self.options = options
        self.directory = directory
        self.files = files
        self.proxy_core, self.load_core = cores()
        self.certificates = {kind: Certificate(directory, kind) for kind in ("rsa", "ecdsa")}
        self.openssl_conf = client_conf(directory)
        self.message = directory / "message"
        self.message.write_bytes(GRPC_MESSAGE)
        self.origins = {}
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            h1 = stack.enter_context(Origin(self.directory, self.files, self.load_core))
            h2 = stack.enter_context(H2Origin(
                self.options.programs / "sluice_h2_origin", self.directory, self.load_core))
            streams = stack.enter_context(StreamOrigin(
                self.options.programs, self.directory, self.load_core))
            self.origins = {"h1": h1.port, "h2": h2.port, "websocket": streams.port}
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *unused):
        self.stack.close()

    @contextlib.contextmanager
    def proxies(self, workload, prefix=(), only=None):
        """Those asked for that can do this, running. `prefix`: words before their commands.
        `only`: names of some."""
        setup = proxies.Setup(workload.downstream, workload.upstream,
                              self.certificates.get(workload.certificate), workload.message)
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(proxy.start(
                self.directory, self.origins[workload.upstream], self.proxy_core, prefix))
                for proxy in proxies.chosen(self.options, setup)
                if only is None or proxy.name in only]

    def url(self, proxy, workload):
        scheme = "https" if workload.certificate else "http"
        return f"{scheme}://127.0.0.1:{proxy.port}{workload.path}"

    def h2load(self, workload):
        return h2load.Load(workload.connections, workload.streams, workload.headers,
                           self.message if workload.message else None)

    def load(self, proxy, workload, seconds):
        """Puts load on a proxy for a while; returns the Result."""
        if workload.echo_bytes:
            return websocket_load.run(self.options.programs, proxy.port, workload, seconds,
                                      self.load_core)
        url = self.url(proxy, workload)
        if workload.streams:
            return h2load.run(url, self.h2load(workload), seconds, self.load_core,
                              self.directory / "h2load.log")
        return wrk.run(url, workload.connections, seconds, self.load_core, workload.headers,
                       self.openssl_conf)


def add_arguments(parser, default=",".join(workload.name for workload in WORKLOADS)):
    """The arguments that every bench of workloads has."""
    parser.add_argument("--workloads", default=default, metavar="NAMES",
                        type=lambda text: text.split(","),
                        help="default: %(default)s")
    parser.add_argument("--programs", default="build/release", type=pathlib.Path,
                        help="where origins and load generators of our own are (default: %(default)s)")
    parser.add_argument("-c", "--connections", type=int,
                        help="default: 64, and 16 for downloads and HTTP/2")


def chosen(options):
    """The workloads asked for, by name."""
    found = [workload for workload in WORKLOADS if workload.name in options.workloads]
    unknown = set(options.workloads) - {workload.name for workload in found}
    if unknown:
        raise SystemExit(f"bench: no such workload: {', '.join(sorted(unknown))}; "
                         f"there are: {', '.join(workload.name for workload in WORKLOADS)}")
    if options.connections:
        found = [dataclasses.replace(w, connections=options.connections) for w in found]
    return found
