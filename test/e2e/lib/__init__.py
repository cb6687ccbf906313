"""What the end-to-end tests share: the real binary, real sockets, a scriptable origin."""

from .case import SluiceTest, main
from .client import Client
from .origin import Origin
from .process import BINARY, SANITIZED, SOURCE_DIR, Sluice, run_sluice
from .wait import BOUND, patience, wait_until
from .wire import Broken

__all__ = [
    "BINARY", "BOUND", "Broken", "Client", "Origin", "SANITIZED", "SOURCE_DIR", "Sluice",
    "SluiceTest", "main", "patience", "run_sluice", "wait_until",
]
