"""The proxies under test. Each writes its configuration, starts on one core with one worker, and
says when it is ready.

The peers are set up as somebody would who wants them to win: connections to the origin are kept and
reused, nothing is logged, no body touches the disk. nginx's large buffers and HAProxy's splicing
were tried against the defaults and are faster.
"""

from .origin import nginx_user
from .process import Process, free_port, wait_for_http

NGINX = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  client_body_temp_path {directory}/nginx-body;
  proxy_temp_path {directory}/nginx-proxy;
  fastcgi_temp_path {directory}/nginx-fastcgi;
  uwsgi_temp_path {directory}/nginx-uwsgi;
  scgi_temp_path {directory}/nginx-scgi;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_buffer_size 64k;
  proxy_buffers 4 64k;
  proxy_busy_buffers_size 128k;
  proxy_max_temp_file_size 0;
  {headers}
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://origin; }}
  }}
}}
"""

NGINX_HEADERS = """
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Request-Id $request_id;
  proxy_set_header Via "1.1 nginx";
"""

HAPROXY = """
global
  nbthread 1
  maxconn 7000
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout http-keep-alive 3600s
  http-reuse always
  option splice-auto
frontend in
  bind 127.0.0.1:{port} backlog 4096
  {headers}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""

HAPROXY_HEADERS = """
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  unique-id-format %{+X}o%ci%cp%Ts%rt
  unique-id-header X-Request-Id
  http-request set-header Via "1.1 haproxy"
"""

SLUICE = """
workers: 1
access_log: off
listeners:
  - address: 127.0.0.1:{port}
    cluster: origin
    timeouts: {{idle: 3600s}}
clusters:
  - name: origin
    endpoints: [127.0.0.1:{origin}]
    idle_timeout: 3600s
admin: {{address: 127.0.0.1:{admin}}}
drain: {{propagation_delay: 0s, jitter: 0s}}
"""


class Proxy:
    """Base of the three: `start` gives a running, ready proxy, to be used in a `with`."""

    name = ""

    def __init__(self, options):
        self.options = options
        self.port = free_port()
        self.process = None

    def start(self, directory, origin_port, core):
        config = directory / f"{self.name}-{self.port}.conf"
        config.write_text(self.config(directory, origin_port))
        log = directory / f"{self.name}-{self.port}.out"
        self.process = Process(self.command(directory, config), core, log)
        try:
            wait_for_http(self.process, *self.ready())
        except BaseException:
            self.process.stop()
            raise
        return self

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.stop()

    def ready(self):
        """Port and path that answer 200 once the proxy serves."""
        return self.port, "/0B"

    def config(self, directory, origin_port):
        raise NotImplementedError

    def command(self, directory, config):
        raise NotImplementedError


class Nginx(Proxy):
    name = "nginx"

    def config(self, directory, origin_port):
        return NGINX.format(
            user=nginx_user(), directory=directory, port=self.port, origin=origin_port,
            headers=NGINX_HEADERS if self.options.same_headers else "")

    def command(self, directory, config):
        return ["nginx", "-p", directory, "-c", config]


class Haproxy(Proxy):
    name = "haproxy"

    def config(self, directory, origin_port):
        return HAPROXY.format(port=self.port, origin=origin_port,
                              headers=HAPROXY_HEADERS if self.options.same_headers else "")

    def command(self, directory, config):
        return ["haproxy", "-db", "-f", config]


class Sluice(Proxy):
    name = "sluice"

    def __init__(self, options):
        super().__init__(options)
        self.admin = free_port()

    def ready(self):
        return self.admin, "/ready"

    def config(self, directory, origin_port):
        return SLUICE.format(port=self.port, admin=self.admin, origin=origin_port)

    def command(self, directory, config):
        return [self.options.sluice, "serve", "-c", config]


PROXIES = {proxy.name: proxy for proxy in (Sluice, Nginx, Haproxy)}


def add_arguments(parser):
    """The arguments that every bench of proxies has."""
    parser.add_argument("--sluice", default="build/release/sluice", help="default: %(default)s")
    parser.add_argument("--only", default=",".join(PROXIES), metavar="NAMES",
                        type=lambda text: text.split(","),
                        help="which of %(default)s to measure")
    parser.add_argument("--same-headers", action="store_true",
                        help="let the peers add X-Forwarded-*, X-Request-Id and Via as Sluice does")


def chosen(options):
    unknown = [name for name in options.only if name not in PROXIES]
    if unknown:
        raise SystemExit(f"bench: no such proxy: {', '.join(unknown)}; "
                         f"there are: {', '.join(PROXIES)}")
    return [PROXIES[name](options) for name in options.only]
