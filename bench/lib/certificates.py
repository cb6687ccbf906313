"""Certificates for the proxies, made anew for each run of a bench."""

import subprocess

KEYS = {
    "rsa": ["-newkey", "rsa:2048"],
    "ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
}


class Certificate:
    """A self-signed certificate and its key, as files."""

    def __init__(self, directory, kind):
        self.certificate = directory / f"{kind}.crt"
        self.key = directory / f"{kind}.key"
        self.both = directory / f"{kind}.pem"  # HAProxy wants them in one file
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", *KEYS[kind],
             "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True)
        self.both.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())


CLIENT_CONF = """
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = client
[client]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
"""


def client_conf(directory):
    """For OPENSSL_CONF: a client that leaves the server no choice of version, cipher and curve."""
    path = directory / "client.cnf"
    path.write_text(CLIENT_CONF)
    return path
