"""An origin that takes its time, so that a drain finds requests in flight.

    slow_origin.py PORT

/wait?ms=N answers after N milliseconds; /trickle?ms=N sends its body in ten chunks over that time.
"""

import asyncio
import re
import sys

CHUNKS = 10


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path, seconds = parse(head.split(b" ", 2)[1].decode())
            if path == "/trickle":
                await trickle(writer, seconds)
            else:
                await asyncio.sleep(seconds)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslow\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def parse(target):
    """/wait?ms=300 -> ("/wait", 0.3)."""
    path, _, query = target.partition("?")
    found = re.fullmatch(r"ms=(\d+)", query)
    return path, int(found.group(1)) / 1000 if found else 0


async def trickle(writer, seconds):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(CHUNKS):
        await asyncio.sleep(seconds / CHUNKS)
        writer.write(b"5\r\nslow\n\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
