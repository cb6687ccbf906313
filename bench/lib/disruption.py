"""Proxies that are reloaded and replaced while they work, each in its own way.

Every disruption brings a new configuration, which says its number at /version: it has happened once a
new connection is told that number.
"""

import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from .family import Family
from .nginx import nginx_parts
from .process import free_port, http_body

READY_SECONDS = 15

SLUICE = """
workers: 1
access_log: off
listeners:
  - name: h1
    address: 127.0.0.1:{port}
    timeouts: {{idle: 3600s}}
    routes: &routes
      - {{match: {{path: /version}}, direct_response: {{body: "{version}"}}}}
      - {{match: {{prefix: /websocket}}, cluster: websocket, timeout: 0s}}
      - {{cluster: http}}
  - name: h2
    address: 127.0.0.1:{h2_port}
    timeouts: {{idle: 3600s}}
    routes: *routes
clusters:
  - {{name: http, endpoints: ["127.0.0.1:{http}"], idle_timeout: 3600s, max_idle: 1024}}
  - {{name: websocket, endpoints: ["127.0.0.1:{websocket}"]}}
admin: {{address: "127.0.0.1:{admin}"}}
drain: {{propagation_delay: 0s, jitter: 0s, spread: 5s, deadline: {deadline}s}}
"""

NGINX = """
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
worker_shutdown_timeout {deadline}s;
pid {directory}/nginx-{port}.pid;
error_log {directory}/nginx-{port}.log;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  {temp_paths}
  proxy_http_version 1.1;
  proxy_read_timeout 3600s;
  upstream http {{
    server 127.0.0.1:{http};
    keepalive 1024;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{h2_port} http2 backlog=4096;
    location = /version {{ return 200 "{version}"; }}
    location /websocket {{
      proxy_set_header Connection upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_pass http://127.0.0.1:{websocket};
    }}
    location / {{
      proxy_set_header Connection "";
      proxy_pass http://http;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 7000
  hard-stop-after {deadline}s
  stats socket {directory}/haproxy-{port}.sock mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout tunnel 3600s
  timeout http-keep-alive 3600s
  http-reuse always
frontend in
  bind 127.0.0.1:{port} backlog 4096
  bind 127.0.0.1:{h2_port} proto h2 backlog 4096
  http-request return status 200 content-type text/plain string "{version}" if {{ path /version }}
  use_backend websocket if {{ path_beg /websocket }}
  default_backend http
backend http
  server origin 127.0.0.1:{http}
backend websocket
  server origin 127.0.0.1:{websocket}
"""


class Proxy:
    """Base of them all. Its `with` gives one that runs and is ready, and ends all of it."""

    name = ""
    template = ""

    def __init__(self, bench, action):
        self.bench = bench
        self.action = action
        self.port, self.h2_port, self.admin = free_port(), free_port(), free_port()
        self.directory = bench.directory
        self.config = self.directory / f"{self.name}-{self.port}.conf"
        self.log = self.directory / f"{self.name}-{self.port}.out"
        self.version = 0
        self.family = Family()

    def __enter__(self):
        try:
            self.write_config()
            self.begin()
            self.wait_for_version()
        except BaseException:
            self.family.stop()
            raise
        return self

    def __exit__(self, *unused):
        self.family.stop()

    def disrupt(self):
        """Reloads or replaces it, and returns after how many seconds a new connection has seen the
        new configuration; None if none does."""
        self.version += 1
        self.write_config()
        asked = time.monotonic()
        if self.action == "reload":
            self.reload()
        else:
            self.restart()
        return time.monotonic() - asked if self.wait_for_version() else None

    def may_go_on(self):
        """Whether it can be disrupted again already."""
        return True

    def begin(self):
        raise NotImplementedError

    def reload(self):
        raise NotImplementedError

    def restart(self):
        raise NotImplementedError

    def write_config(self):
        text = self.template.format(
            directory=self.directory, port=self.port, h2_port=self.h2_port,
            admin=self.admin, http=self.bench.origin.port,
            websocket=self.bench.stream_origin.port,
            deadline=self.bench.options.deadline, version=self.version,
            **nginx_parts(self.directory, "nginx"))
        # As a rename: nobody reads half of it.
        fresh = self.config.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.config)

    def spawn(self, *command):
        """Starts a program of the proxy on its core."""
        with open(self.log, "ab") as output:
            child = subprocess.Popen(
                ["taskset", "-c", str(self.bench.proxy_core), *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.family.add(child.pid)
        return child

    def wait_for_version(self):
        return self.wait_until(self.shows_version)

    def wait_until(self, holds):
        deadline = time.monotonic() + READY_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                if self.version == 0:
                    raise SystemExit(f"bench: {self.name} is not ready:\n{self.last_words()}")
                return False
            time.sleep(0.005)
        return True

    def shows_version(self):
        try:
            return http_body(self.port, "/version").decode() == str(self.version)
        except (OSError, http.client.HTTPException):
            return False

    def last_words(self):
        return self.log.read_bytes()[-2000:].decode(errors="replace")


class Sluice(Proxy):
    name = "sluice"
    template = SLUICE

    def begin(self):
        self.spawn(self.bench.options.sluice, "serve", "-c", self.config)

    def reload(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=READY_SECONDS)
        with contextlib.closing(connection):
            connection.request("POST", "/reload")
            response = connection.getresponse()
            self.complain_unless(response.status == 200, response.read().decode())

    def restart(self):
        run = subprocess.run(
            [self.bench.options.sluice, "restart", "--admin", f"127.0.0.1:{self.admin}"],
            capture_output=True, text=True, check=False)
        self.complain_unless(run.returncode == 0, run.stdout + run.stderr)
        if named := re.search(r"process (\d+) has taken over", run.stdout):
            self.family.add(int(named.group(1)))

    def complain_unless(self, done, answer):
        if not done:
            print(f"sluice: {self.action} {self.version}: {answer.strip()}", flush=True)


class Nginx(Proxy):
    """As its manual says under "Controlling nginx". A master that is a child of the one before it does
    not take USR2: the next restart has to wait until that one's last worker has ended."""

    name = "nginx"
    template = NGINX
    master = 0
    leaving = 0  # the master before

    def begin(self):
        # It starts its successor by this name, without looking in PATH.
        self.spawn(shutil.which("nginx"), "-p", self.directory, "-c", self.config).wait()
        self.wait_until(self.has_new_master)

    def reload(self):
        os.kill(self.master, signal.SIGHUP)

    def restart(self):
        self.leaving = self.master
        os.kill(self.leaving, signal.SIGUSR2)
        if self.wait_until(self.has_new_master):
            os.kill(self.leaving, signal.SIGQUIT)
        else:
            self.leaving = 0

    def has_new_master(self):
        """Takes note of it, once it has a worker."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.directory / f"nginx-{self.port}.pid").read_text())
            self.family.add(pid)
            before = self.master
            if pid != before and self.shows_version():
                self.master = pid
        self.family.look()
        return self.master != self.leaving

    def may_go_on(self):
        return self.leaving not in self.family.look()


class Haproxy(Proxy):
    """A reload is that of its master-worker mode; a restart is a new process that takes the sockets (-x)
    and tells the old one to finish (-sf). The master replaces itself, too, and until that is done the
    next signal is lost."""

    name = "haproxy"
    template = HAPROXY
    newest = None

    def begin(self):
        mode = ["-W", "-db"] if self.action == "reload" else ["-db"]
        self.newest = self.spawn("haproxy", *mode, "-f", self.config)

    def reload(self):
        os.kill(self.newest.pid, signal.SIGUSR2)

    def may_go_on(self):
        return self.action == "restart" or listens_to(self.newest.pid, signal.SIGUSR2)

    def restart(self):
        self.newest = self.spawn(
            "haproxy", "-db", "-f", self.config, "-x", self.directory / f"haproxy-{self.port}.sock",
            "-sf", self.newest.pid)


def listens_to(pid, number):
    """Whether a process catches a signal now, and does not hold it back."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    masks = dict(line.split(":", 1) for line in status.splitlines())
    bit = 1 << (number - 1)
    return bool(int(masks["SigCgt"], 16) & bit) and not int(masks["SigBlk"], 16) & bit


PROXIES = {proxy.name: proxy for proxy in (Sluice, Nginx, Haproxy)}
