#!/usr/bin/env python3
"""An upstream as a process of its own, that can be killed, stopped and restarted.

    upstream_server.py PORT NAME JOURNAL

Answers every request 200 with its name. A POST is carried out by writing its body, an identity, as a
line to JOURNAL: what is there twice was carried out twice. On SIGTERM it takes no new connection,
answers what comes on those it has with Connection: close, and ends when they are gone.
"""

import asyncio
import os
import signal
import sys


class Server:
    def __init__(self, name, journal):
        self.name = name.encode()
        self.journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.leaving = False
        self.idle = set()
        self.open = 0

    async def serve(self, reader, writer):
        self.open += 1
        try:
            while await self.exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def exchange(self, reader, writer):
        self.idle.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        finally:
            self.idle.discard(writer)
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        body = await reader.readexactly(length)
        if head.startswith(b"POST"):
            os.write(self.journal, body + b"\n")
        close = b"Connection: close\r\n" if self.leaving else b""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Upstream: %s\r\n%s\r\n%s"
                     % (len(self.name), self.name, close, self.name))
        await writer.drain()
        return not self.leaving

    async def run(self, port):
        listener = await asyncio.start_server(self.serve, "127.0.0.1", port, backlog=1024)
        print(listener.sockets[0].getsockname()[1], flush=True)
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        await told.wait()
        self.leaving = True
        listener.close()
        for writer in list(self.idle):
            writer.close()
        while self.open > 0:
            await asyncio.sleep(0.005)


def main():
    asyncio.run(Server(sys.argv[2], sys.argv[3]).run(int(sys.argv[1])))


if __name__ == "__main__":
    main()
