"""The origins behind the proxies: one nginx worker that serves bodies from memory, and programs of our
own for HTTP/2 and gRPC, and for long-lived streams."""

import json
import re
import subprocess

from .nginx import nginx_parts
from .process import Process, free_port, http_body, wait_for_http, wait_for_port

KIB = 1024
FILES = {"64KiB": 64 * KIB, "10MiB": 10 * KIB * KIB}

CONFIG = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 16384;
pid {directory}/origin.pid;
error_log {directory}/origin.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  sendfile_max_chunk 1m;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  open_file_cache max=16 inactive=1h;
  open_file_cache_valid 1h;
  {temp_paths}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /0B {{ return 200; }}
    location = /status {{ stub_status; }}
    location = /1KiB {{ return 200 "{body}"; }}
    location / {{ root {files}; }}
  }}
}}
"""


class Origin:
    def __init__(self, directory, files, core):
        """`directory` is for configuration, `files` (best on tmpfs) for the larger bodies."""
        self.port = free_port()
        for name, size in FILES.items():
            (files / name).write_bytes(b"s" * size)
        config = directory / "origin.conf"
        config.write_text(CONFIG.format(
            directory=directory, files=files, port=self.port, body="s" * KIB,
            **nginx_parts(directory, "origin")))
        self.process = Process(["nginx", "-p", directory, "-c", config], core,
                               directory / "origin.out")

    def __enter__(self):
        try:
            wait_for_http(self.process, self.port, "/0B")
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(self, *unused):
        self.process.stop()

    def requests(self):
        """How many requests it has had, this question counted."""
        status = http_body(self.port, "/status").decode()
        # Of connections: accepted, handled; and the requests on them, this one too.
        return int(re.search(r"^ *\d+ \d+ (\d+)", status, re.MULTILINE).group(1))


class H2Origin(Process):
    """bench/h2_origin.cc."""

    def __init__(self, program, directory, core):
        self.port = free_port()
        super().__init__([program, self.port], core, directory / "h2_origin.out")

    def __enter__(self):
        try:
            wait_for_port(self, self.port)
        except BaseException:
            self.stop()
            raise
        return self

    def requests(self):
        """How many requests it has had, these questions not counted."""
        return int(subprocess.run(["nghttp", f"http://127.0.0.1:{self.port}/requests"], check=True,
                                  capture_output=True, text=True).stdout)


class StreamOrigin(Process):
    """bench/stream_origin.cc."""

    def __init__(self, programs, directory, core):
        self.port, self.h2_port = free_port(), free_port()
        super().__init__([programs / "sluice_stream_origin", self.port, self.h2_port], core,
                         directory / "stream_origin.out")

    def __enter__(self):
        try:
            wait_for_http(self, self.port, "/counts")
        except BaseException:
            self.stop()
            raise
        return self

    def counts(self):
        """{"websockets": how many there were, "closed": on how many the client said Close}."""
        return json.loads(http_body(self.port, "/counts"))
