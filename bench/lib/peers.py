"""The configurations of the proxies that Sluice is measured beside.

They are set up as somebody would who wants them to win: connections to the origin are kept and
reused, nothing is logged, no body touches the disk. nginx's large buffers and HAProxy's splicing
were tried against the defaults and are faster. Sessions are not resumed, because what a TLS row
counts is a full handshake: no cache, no tickets (nghttpx cannot be told to issue none).
"""

from .nginx import nginx_parts

NGINX = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
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
  {connection}
  proxy_buffer_size 64k;
  proxy_buffers 4 64k;
  proxy_busy_buffers_size 128k;
  proxy_max_temp_file_size 0;
  {headers}
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 1024;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096 {listen};
    {tls}
    location / {{ {forward}; }}
  }}
}}
"""

NGINX_KEEP_ALIVE = 'proxy_set_header Connection "";'
NGINX_UPGRADE = """
  proxy_set_header Connection upgrade;
  proxy_set_header Upgrade $http_upgrade;
  proxy_read_timeout 3600s;
"""

NGINX_LISTEN = {"h1": "", "h2c": "http2", "tls": "ssl http2"}

NGINX_TLS = """
    ssl_certificate {certificate.certificate};
    ssl_certificate_key {certificate.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ecdh_curve X25519:prime256v1;
    ssl_session_cache off;
    ssl_session_tickets off;
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
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-bind-curves X25519:P-256
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout http-keep-alive 3600s
  http-reuse always
  option splice-auto
frontend in
  bind 127.0.0.1:{port} backlog 4096 {bind}
  {headers}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin} {server}
"""

HAPROXY_HEADERS = """
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  unique-id-format %{+X}o%ci%cp%Ts%rt
  unique-id-header X-Request-Id
  http-request set-header Via "1.1 haproxy"
"""

NGHTTPX = """
workers=1
single-process=yes
rlimit-nofile=20000
backlog=4096
frontend=127.0.0.1,{port}{frontend}
backend=127.0.0.1,{origin};/;proto={upstream}
backend-keep-alive-timeout=1h
backend-read-timeout=1h
frontend-keep-alive-timeout=1h
frontend-http2-read-timeout=1h
no-server-rewrite=yes
no-location-rewrite=yes
no-ocsp=yes
errorlog-file={directory}/nghttpx-{port}.log
{headers}
{tls}
"""

NGHTTPX_TLS = """
private-key-file={certificate.key}
certificate-file={certificate.certificate}
ecdh-curves=X25519:P-256
"""

NGHTTPX_HEADERS = "add-x-forwarded-for=yes"
NGHTTPX_NO_HEADERS = """
no-via=yes
no-add-x-forwarded-proto=yes
"""


def nginx(setup, directory, port, origin_port, same_headers):
    tls = NGINX_TLS.format(certificate=setup.certificate) if setup.certificate else ""
    forward = "grpc_pass grpc://origin" if setup.upstream == "h2" else "proxy_pass http://origin"
    return NGINX.format(
        directory=directory, port=port, origin=origin_port, tls=tls,
        listen=NGINX_LISTEN[setup.downstream], forward=forward,
        connection=NGINX_UPGRADE if setup.upstream == "websocket" else NGINX_KEEP_ALIVE,
        headers=NGINX_HEADERS if same_headers else "", **nginx_parts(directory, "nginx"))


def haproxy(setup, _directory, port, origin_port, same_headers):
    bind = {"h1": "", "h2c": "proto h2"}.get(setup.downstream)
    if setup.certificate:
        bind = f"ssl crt {setup.certificate.both} alpn h2,http/1.1"
    return HAPROXY.format(
        port=port, origin=origin_port, bind=bind,
        server="proto h2" if setup.upstream == "h2" else "",
        headers=HAPROXY_HEADERS if same_headers else "")


def nghttpx(setup, directory, port, origin_port, same_headers):
    tls = NGHTTPX_TLS.format(certificate=setup.certificate) if setup.certificate else ""
    return NGHTTPX.format(
        directory=directory, port=port, origin=origin_port, tls=tls,
        frontend="" if tls else ";no-tls", upstream="h2" if setup.upstream == "h2" else "http/1.1",
        headers=NGHTTPX_HEADERS if same_headers else NGHTTPX_NO_HEADERS)
