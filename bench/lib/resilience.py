"""The proxies of `script/bench resilience`, before two upstreams, each set up as somebody would who
wants its clients to notice nothing when those are restarted; and the upstreams.

All of them: connections to the upstreams are kept and reused; an attempt to connect has the same
time, and a request the same number of attempts; what may be sent twice goes to the other upstream when
one fails; no POST that was sent does.

HAProxy: a retry goes to the other server (option redispatch 1), and after an empty or broken response
too, but for POST (disable-l7-retry); checks find a dead server within a quarter of a second, and errors
of real traffic count (observe layer4). After a refused connection it waits for `timeout connect`, and a
second at most: the time to connect is short for everyone, or that wait would be all there is to see.

nginx: proxy_next_upstream is what it is by default, and 502 and 503; a failed server is asked again at
once (max_fails=0), because with a time of rest both are resting when the second fails soon after the
first, and clients get 502: hundreds of them. The open source version has no active checks.
"""

import os
import signal
import time

from .nginx import nginx_parts
from .process import Process, accepts, free_port, tree, wait_for_http, wait_for_port

UPSTREAM = """
daemon off;
{user}
worker_processes 1;
pid {directory}/upstream-{port}.pid;
error_log /dev/null crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  {temp_paths}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 "{name}"; }}
  }}
}}
"""

SLUICE = """
workers: 1
access_log: off
listeners:
  - address: 127.0.0.1:{port}
    timeouts: {{idle: 3600s}}
    routes: [{{cluster: app, retries: {{attempts: {retries}}}}}]
clusters:
  - name: app
    endpoints: [127.0.0.1:{a}, 127.0.0.1:{b}]
    connect_timeout: {connect_ms}ms
    idle_timeout: 3600s
    health_check: {{path: /, interval: 1s, unhealthy_interval: 100ms, unhealthy_threshold: 2,
                   healthy_threshold: 1}}
    outlier_detection: {{base_ejection: 1s}}
    circuit_breaker: {{min_retries: 64}}
admin: {{address: 127.0.0.1:{admin}}}
drain: {{propagation_delay: 0s, jitter: 0s}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout client 3600s
  timeout connect {connect_ms}ms
  timeout server 15s
  timeout http-keep-alive 3600s
  option http-keep-alive
  http-reuse always
  retries {retries}
  option redispatch 1
  retry-on conn-failure empty-response response-timeout 0rtt-rejected
frontend in
  bind 127.0.0.1:{port} backlog 4096
  default_backend app
backend app
  balance roundrobin
  http-request disable-l7-retry if METH_POST
  option httpchk GET /
  default-server check inter 1s fastinter 100ms downinter 100ms fall 2 rise 1 observe layer4 error-limit 3 on-error mark-down pool-purge-delay 3600s
  server a 127.0.0.1:{a}
  server b 127.0.0.1:{b}
"""

NGINX = """
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx-{port}.pid;
error_log /dev/null crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  {temp_paths}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_connect_timeout {connect_ms}ms;
  proxy_next_upstream error timeout http_502 http_503;
  proxy_next_upstream_tries {tries};
  upstream app {{
    server 127.0.0.1:{a} max_fails=0;
    server 127.0.0.1:{b} max_fails=0;
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://app; }}
  }}
}}
"""

RETRIES, CONNECT_MS = 3, 100

CONFIGS = {"sluice": SLUICE, "haproxy": HAPROXY, "nginx": NGINX}


def commands(name, sluice, directory, config):
    return {"sluice": [sluice, "serve", "-c", config],
            "haproxy": ["haproxy", "-db", "-f", config],
            "nginx": ["nginx", "-p", directory, "-c", config]}[name]


class Upstream:
    """An nginx that answers at once, and can be restarted on its port."""

    def __init__(self, name, directory, core):
        self.port = free_port()
        self.directory, self.core = directory, core
        self.config = directory / f"upstream-{name}.conf"
        self.config.write_text(UPSTREAM.format(directory=directory, port=self.port, name=name,
                                               **nginx_parts(directory, f"upstream-{name}")))
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.process.stop()

    def start(self):
        self.process = Process(["nginx", "-p", self.directory, "-c", self.config], self.core,
                               self.directory / "upstream.out")
        wait_for_http(self.process, self.port, "/")

    def restart(self, how, gap):
        """`how`: "quit" lets it finish what it has, "kill" does not. It is away for `gap` seconds."""
        if how == "quit":
            self.process.signal(signal.SIGQUIT)
        else:
            for pid in tree(self.process.pid):  # the master first: it would replace its worker
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        self.process.stop()
        deadline = time.monotonic() + 10
        while accepts(self.port) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(gap)
        self.start()


class Proxy:
    def __init__(self, name, options, directory, core, upstreams):
        self.port = free_port()
        admin = free_port()
        a, b = (upstream.port for upstream in upstreams)
        config = directory / f"{name}-{self.port}.conf"
        config.write_text(CONFIGS[name].format(directory=directory, a=a, b=b, port=self.port,
                                                    admin=admin, retries=RETRIES,
                                                    tries=RETRIES + 1,
                                                    connect_ms=CONNECT_MS,
                                                    **nginx_parts(directory, "nginx")))
        self.process = Process(commands(name, options.sluice, directory, config), core,
                               directory / f"{name}-{self.port}.out")
        wait_for_port(self.process, self.port)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.stop()
