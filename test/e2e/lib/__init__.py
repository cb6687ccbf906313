"""What the end-to-end tests share: the real binary, real sockets, a scriptable origin."""

from .case import SluiceTest, main
from .client import Client
from .load import Load, pattern
from .origin import Origin
from .process import BINARY, SANITIZED, SOURCE_DIR, Sluice, run_sluice
from .wait import BOUND, patience, wait_until
from .wire import Broken

__all__ = [
    "BINARY", "BOUND", "Broken", "Client", "Load", "Origin", "SANITIZED", "SOURCE_DIR", "Sluice",
    "SluiceTest", "main", "patience", "pattern", "run_sluice", "wait_until",
]
