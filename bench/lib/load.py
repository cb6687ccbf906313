"""What a load generator found."""

from dataclasses import dataclass


@dataclass
class Result:
    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int

    @property
    def per_second(self):
        return self.requests / self.seconds
