#!/usr/bin/env python3
"""Constant load for `script/bench resilience`: clients that send one request after the other over
HTTP/1.1, with a pause between them, and count what became of each.

    resilience_client.py PORT CONNECTIONS_OF_GET CONNECTIONS_OF_POST PAUSE_MS

Prints "open" when every client was answered, and one line of JSON when its input ends: by method, how
many were sent, how many were answered 200, the others by kind, and latencies in microseconds. A
connection that the server ends between two requests is no failure; one that ends under a request is,
whether a request was sent or not, unless that is a GET on a connection that was used before: such a
client sends it again itself (RFC 9112 9.3.1), once.
"""

import asyncio
import collections
import json
import sys
import time

TIMEOUT = 10


class Client:
    def __init__(self, port, method, pause):
        self.port, self.method, self.pause = port, method, pause
        self.reader = self.writer = None
        self.fresh = True
        body = b"" if method == "GET" else b"x" * 100
        self.request = (f"{method} / HTTP/1.1\r\nHost: bench\r\n"
                        + (f"Content-Length: {len(body)}\r\n" if body else "")
                        + "\r\n").encode() + body

    async def run(self, results, stop, opened):
        while not stop.is_set():
            began = time.perf_counter()
            try:
                outcome = await asyncio.wait_for(self.ask(), TIMEOUT)
            except (asyncio.TimeoutError, TimeoutError):
                outcome = "timeout"
                self.drop()
            results.add(outcome, time.perf_counter() - began)
            opened()
            await asyncio.sleep(self.pause)
        self.drop()

    async def ask(self):
        for attempt in (1, 2):
            try:
                if self.writer is None:
                    self.reader, self.writer = await asyncio.open_connection(
                        "127.0.0.1", self.port)
                    self.fresh = True
            except OSError:
                return "not connected"
            try:
                return await self.exchange()
            except (asyncio.IncompleteReadError, ConnectionError):
                again = not self.fresh and self.method == "GET" and attempt == 1
                self.drop()
                if not again:
                    return "broken off"
        return "broken off"

    async def exchange(self):
        self.writer.write(self.request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            while True:
                size = int(await self.reader.readline(), 16)
                await self.reader.readexactly(size + 2)
                if size == 0:
                    break
        else:
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            await self.reader.readexactly(length)
        self.fresh = False
        if b"connection: close" in head:
            self.drop()
        status = int(head.split(b" ", 2)[1])
        return "ok" if status == 200 else f"status {status}"

    def drop(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class Results:
    def __init__(self):
        self.outcomes = collections.Counter()
        self.latencies = []

    def add(self, outcome, seconds):
        self.outcomes[outcome] += 1
        self.latencies.append(seconds)

    def summary(self):
        ordered = sorted(self.latencies) or [0]
        outcomes = dict(self.outcomes)

        def quantile(share):
            return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e6)
        return {"sent": sum(outcomes.values()), "ok": outcomes.pop("ok", 0), "failed": outcomes,
                "p50_us": quantile(0.5), "p99_us": quantile(0.99), "p999_us": quantile(0.999),
                "worst_us": round(ordered[-1] * 1e6)}


async def load(port, counts, pause):
    stop = asyncio.Event()
    results = {method: Results() for method in counts}
    missing = sum(counts.values())

    def opened():
        nonlocal missing
        missing -= 1
        if missing == 0:
            print("open", flush=True)
            for result in results.values():
                result.__init__()
    tasks = [asyncio.create_task(Client(port, method, pause).run(results[method], stop, opened))
             for method, count in counts.items() for _ in range(count)]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    stop.set()
    await asyncio.gather(*tasks)
    print(json.dumps({method: result.summary() for method, result in results.items()}), flush=True)


def main():
    port, gets, posts, pause = map(int, sys.argv[1:])
    asyncio.run(load(port, {"GET": gets, "POST": posts}, pause / 1000))


if __name__ == "__main__":
    main()
