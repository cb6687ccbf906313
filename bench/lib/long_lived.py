"""Long-lived streams through a proxy that is to be drained: the proxies, set up so that nothing but
the drain ends a stream, and the client that says how every stream ended."""

import signal

from . import proxies
from .drain_loads import Client
from .nginx import nginx_parts
from .process import free_port

# How long everything may take before the bench gives up.
SECONDS = 180

# How long each proxy lets streams end by themselves before it cuts them.
DEADLINE_SECONDS = 20

SLUICE = """
workers: 1
access_log: off
listeners:
  - {{name: h1, address: "127.0.0.1:{port}", routes: [{{cluster: h1, timeout: 0s}}]}}
  - {{name: h2, address: "127.0.0.1:{h2_port}", routes: [{{cluster: h2, timeout: 0s, on_drain: end_early}}]}}
clusters:
  - {{name: h1, endpoints: ["127.0.0.1:{origin.port}"], connect_timeout: 30s}}
  - {{name: h2, endpoints: ["127.0.0.1:{origin.h2_port}"], connect_timeout: 30s, protocol: http2}}
admin: {{address: "127.0.0.1:{admin}"}}
drain:
  propagation_delay: 0s
  jitter: 0s
  spread: {spread}s
  deadline: {deadline}s
  report_file: {report}
"""

NGINX = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {descriptors};
worker_shutdown_timeout {deadline}s;
pid {directory}/nginx-{port}.pid;
error_log {directory}/nginx-{port}.log;
# So many that it never makes room by closing a connection that has not asked for anything yet.
events {{ worker_connections 65536; }}
http {{
  access_log off;
  tcp_nodelay on;
  proxy_http_version 1.1;
  proxy_buffering off;
  proxy_read_timeout 3600s;
  grpc_read_timeout 3600s;
  {temp_paths}
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://127.0.0.1:{origin.port}; }}
  }}
  server {{
    listen 127.0.0.1:{h2_port} http2 backlog=4096;
    location / {{ grpc_pass grpc://127.0.0.1:{origin.h2_port}; }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn {connections}
  hard-stop-after {deadline}s
defaults
  mode http
  timeout connect 30s
  timeout client 3600s
  timeout server 3600s
  timeout tunnel 3600s
frontend h1
  bind 127.0.0.1:{port} backlog 4096
  default_backend h1
backend h1
  server origin 127.0.0.1:{origin.port}
frontend h2
  bind 127.0.0.1:{h2_port} proto h2 backlog 4096
  default_backend h2
backend h2
  server origin 127.0.0.1:{origin.h2_port} proto h2
"""


class StreamClient(Client):
    """bench/stream_client.cc: opens streams, and reads them until their end."""

    name = "long-lived streams"
    mark = b"open\n"

    def __init__(self, programs, core, groups):
        """`groups`: KIND:PORT:CONNECTIONS:STREAMS:PATH."""
        super().__init__([programs / "sluice_stream_client", SECONDS, *groups], core)


class TwoPorts:
    """Mixed into the proxies of lib/proxies.py: they have a port for HTTP/1.1 and one for HTTP/2, and
    a StreamOrigin in the place of its port."""

    drain_signal = signal.SIGTERM

    def __init__(self, options):
        super().__init__(options)
        self.h2_port = free_port()


class Sluice(TwoPorts, proxies.Sluice):
    report = None  # where it writes its drain report

    def config(self, directory, origin):
        self.report = directory / f"report-{self.port}.json"
        return SLUICE.format(
            port=self.port, h2_port=self.h2_port, admin=self.admin, origin=origin,
            spread=self.options.spread, deadline=DEADLINE_SECONDS, report=self.report)


class Nginx(TwoPorts, proxies.Nginx):
    drain_signal = signal.SIGQUIT

    def config(self, directory, origin):
        return NGINX.format(
            directory=directory, port=self.port, h2_port=self.h2_port, origin=origin,
            descriptors=self.options.descriptors, deadline=DEADLINE_SECONDS,
            **nginx_parts(directory, "nginx"))


class Haproxy(TwoPorts, proxies.Haproxy):
    drain_signal = signal.SIGUSR1

    def config(self, directory, origin):
        return HAPROXY.format(
            port=self.port, h2_port=self.h2_port, origin=origin,
            # It takes this many twice for the sockets that it may have, those to origins too.
            connections=(self.options.descriptors - 100) // 2, deadline=DEADLINE_SECONDS)


PROXIES = {proxy.name: proxy for proxy in (Sluice, Nginx, Haproxy)}
