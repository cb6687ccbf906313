"""The proxies under test. Each writes its configuration, starts on one core with one worker, and
says when it is ready."""

from dataclasses import dataclass

from . import peers
from .certificates import Certificate
from .process import Process, free_port, wait_for_http, wait_for_port


@dataclass(frozen=True)
class Setup:
    """What a proxy is to do in a row of a table."""

    downstream: str = "h1"  # or h2c, or tls: h2 and http/1.1 by ALPN
    upstream: str = "h1"  # or h2, without TLS, or websocket, which begins as HTTP/1.1
    certificate: Certificate = None  # for tls
    grpc: bool = False  # all that is asked is gRPC


SLUICE = """
workers: 1
access_log: off
listeners:
  - address: 127.0.0.1:{port}
    cluster: origin
    timeouts: {{idle: 3600s}}{tls}
clusters:
  - name: origin
    endpoints: [127.0.0.1:{origin}]
    idle_timeout: 3600s
    max_idle: 1024{protocol}
admin: {{address: 127.0.0.1:{admin}}}
drain: {{propagation_delay: 0s, jitter: 0s}}
"""

SLUICE_TLS = """
    tls:
      certificates: [{{cert: {certificate.certificate}, key: {certificate.key}}}]
      session_tickets: off"""


class Proxy:
    """Base of them all: `start` gives a running, ready proxy, to be used in a `with`."""

    name = ""

    def __init__(self, options, setup=Setup()):
        self.options = options
        self.setup = setup
        self.port = free_port()
        self.process = None

    @staticmethod
    def can(_setup):
        """Whether it is in the field with this setup."""
        return True

    def start(self, directory, origin_port, core, prefix=()):
        """`prefix`: words before its command."""
        config = directory / f"{self.name}-{self.port}.conf"
        config.write_text(self.config(directory, origin_port))
        log = directory / f"{self.name}-{self.port}.out"
        self.process = Process([*prefix, *self.command(directory, config)], core, log)
        try:
            self.wait_until_ready()
        except BaseException:
            self.process.stop()
            raise
        return self

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.stop()

    def wait_until_ready(self):
        wait_for_port(self.process, self.port)

    def config(self, directory, origin_port):
        raise NotImplementedError

    def command(self, directory, config):
        raise NotImplementedError


class Nginx(Proxy):
    name = "nginx"

    @staticmethod
    def can(setup):
        # It speaks HTTP/2 to an origin only as gRPC.
        return setup.grpc or setup.upstream != "h2"

    def config(self, directory, origin_port):
        return peers.nginx(self.setup, directory, self.port, origin_port,
                           self.options.same_headers)

    def command(self, directory, config):
        return ["nginx", "-p", directory, "-c", config]


class Haproxy(Proxy):
    name = "haproxy"

    def config(self, directory, origin_port):
        return peers.haproxy(self.setup, directory, self.port, origin_port,
                             self.options.same_headers)

    def command(self, directory, config):
        return ["haproxy", "-db", "-f", config]


class Nghttpx(Proxy):
    name = "nghttpx"

    @staticmethod
    def can(setup):
        # Requests in cleartext HTTP/1.1 on both sides are not what it is for.
        return setup.downstream != "h1" or setup.upstream == "websocket"

    def config(self, directory, origin_port):
        return peers.nghttpx(self.setup, directory, self.port, origin_port,
                             self.options.same_headers)

    def command(self, directory, config):
        return ["nghttpx", f"--conf={config}"]


class Sluice(Proxy):
    name = "sluice"

    def __init__(self, options, setup=Setup()):
        super().__init__(options, setup)
        self.admin = free_port()

    def wait_until_ready(self):
        wait_for_http(self.process, self.admin, "/ready")

    def config(self, directory, origin_port):
        certificate = self.setup.certificate
        return SLUICE.format(
            port=self.port, admin=self.admin, origin=origin_port,
            tls=SLUICE_TLS.format(certificate=certificate) if certificate else "",
            protocol="\n    protocol: http2" if self.setup.upstream == "h2" else "")

    def command(self, directory, config):
        return [self.options.sluice, "serve", "-c", config]


PROXIES = {proxy.name: proxy for proxy in (Sluice, Nginx, Haproxy, Nghttpx)}


def add_arguments(parser, default=tuple(PROXIES)):
    """The arguments that every bench of proxies has."""
    parser.add_argument("--sluice", default="build/release/sluice", help="default: %(default)s")
    parser.add_argument("--only", default=",".join(default), metavar="NAMES",
                        type=lambda text: text.split(","),
                        help="which of %(default)s to measure")
    parser.add_argument("--same-headers", action="store_true",
                        help="let the peers add X-Forwarded-*, X-Request-Id and Via as Sluice does, "
                             "as far as they can")


def check_names(options, possible=tuple(PROXIES)):
    unknown = [name for name in options.only if name not in possible]
    if unknown:
        raise SystemExit(f"bench: no such proxy: {', '.join(unknown)}; "
                         f"there are: {', '.join(possible)}")


def chosen(options, setup=Setup()):
    """Those asked for that can do what is asked, not started."""
    kinds = [PROXIES[name] for name in options.only]
    return [kind(options, setup) for kind in kinds if kind.can(setup)]
