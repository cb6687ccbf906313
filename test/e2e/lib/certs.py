"""Certificates for tests, made by openssl."""

import os
from dataclasses import dataclass
from pathlib import Path

from .tools import run


@dataclass
class Pair:
    cert: Path
    key: Path

    def config(self, **more):
        return {"cert": str(self.cert), "key": str(self.key)} | more


class Authority:
    """A CA of its own, in files below `directory`."""

    def __init__(self, directory, name="ca"):
        self.directory = directory
        self.pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
        self._request(self.pair, f"/CN={name}", "-addext", "keyUsage=keyCertSign")

    @property
    def cert(self):
        return self.pair.cert

    def issue(self, name, *alternative_names):
        """NAME.pem and NAME.key for the subject CN=NAME; names are "DNS:a.test", "URI:...". What
        was there is replaced, each file at once."""
        pair = Pair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        fresh = Pair(pair.cert.with_suffix(".new"), pair.key.with_suffix(".newkey"))
        names = ",".join(alternative_names or (f"DNS:{name}.test",))
        self._request(fresh, f"/CN={name}", "-CA", self.pair.cert, "-CAkey", self.pair.key,
                      "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=CA:FALSE")
        os.replace(fresh.key, pair.key)
        os.replace(fresh.cert, pair.cert)
        return pair

    def _request(self, pair, subject, *more):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "30", "-keyout", pair.key, "-out", pair.cert, "-subj", subject,
            *more)
