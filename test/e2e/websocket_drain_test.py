#!/usr/bin/env python3
"""The drain as real WebSocket clients see it (python3-websockets, with permessage-deflate)."""

import asyncio
import random

import websockets

from lib import BOUND, SluiceTest, main

CLIENTS = 40


class App:
    """A server that says every message back, and says something of its own now and then."""

    def __init__(self):
        self.heard = {}  # by path, in order
        self.closes = {}
        self.address = None
        self._server = None

    async def __aenter__(self):
        self._server = await websockets.serve(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, socket):
        heard = self.heard[socket.path] = []
        talk = asyncio.ensure_future(self._talk(socket))
        try:
            async for message in socket:
                heard.append(message)
                await socket.send("echo " + message)
        except websockets.ConnectionClosed:
            pass
        talk.cancel()
        self.closes[socket.path] = socket.close_code

    @staticmethod
    async def _talk(socket):
        for number in range(1000000):
            await socket.send([f"own {number} ", "in ", "fragments " * random.randrange(200)])
            await asyncio.sleep(0.001 * random.randrange(20))


class Visitor:
    """Talks until the other side says Close."""

    def __init__(self, address, name, deflate=True):
        self.path = f"/{name}"
        self.said = []
        self.echoes = []
        self.own = []  # messages that the server sent of its own
        self.socket = None
        self._connecting = websockets.connect(f"ws://{address}{self.path}", close_timeout=BOUND,
                                              compression="deflate" if deflate else None)

    async def open(self):
        self.socket = await self._connecting
        return self

    async def visit(self):
        listening = asyncio.ensure_future(self._listen())
        try:
            while True:
                message = f"{len(self.said)} " + "x" * random.randrange(3000)
                await self.socket.send(message)
                self.said.append(message)
                await asyncio.sleep(0.001 * random.randrange(20))
        except websockets.ConnectionClosed:
            pass
        await listening
        return self

    async def _listen(self):
        try:
            async for message in self.socket:
                (self.echoes if message.startswith("echo ") else self.own).append(message)
        except websockets.ConnectionClosed:
            pass


class WebSocketDrainTest(SluiceTest):
    def drained(self, **config):
        """Visitors that were talking when the process got SIGTERM, and its exit code."""
        return asyncio.run(self._drained(config))

    async def _drained(self, config):
        async with App() as app:
            self.app = app
            self.process = self.start(self.config(app, **config))
            visitors = await asyncio.gather(
                *(Visitor(self.process.address(), i, deflate=i % 2 == 0).open()
                  for i in range(CLIENTS)))
            visits = asyncio.gather(*(visitor.visit() for visitor in visitors))
            while not all(len(visitor.echoes) > 5 for visitor in visitors):
                await asyncio.sleep(0.01)
            self.process.signal()
            await asyncio.wait_for(visits, BOUND)
            loop = asyncio.get_running_loop()
            code = await loop.run_in_executor(None, self.process.wait_exit)
        return visitors, code

    def test_every_client_sees_a_clean_end_and_nothing_is_lost(self):
        visitors, code = self.drained(drain={"spread": "500ms"})
        self.assertEqual(0, code)
        for visitor in visitors:
            socket = visitor.socket
            self.assertEqual((1001, "going away"), (socket.close_code, socket.close_reason))
            self.assertTrue(socket.close_rcvd_then_sent, "it was the proxy that began")
            # What send() took before the Close came has to arrive.
            self.assertEqual(visitor.said, self.app.heard[visitor.path])
            echoes = ["echo " + message for message in visitor.said]
            self.assertEqual(echoes[:len(visitor.echoes)], visitor.echoes)
            for number, message in enumerate(visitor.own):
                self.assertTrue(message.startswith(f"own {number} in "), message[:30])
            self.assertEqual(1001, self.app.closes[visitor.path], "the client's, passed on")
        report = self.process.report()
        self.assertEqual(0, report["cut"]["total"])
        self.assertEqual({"told": CLIENTS, "left": 0, "lost": 0}, report["long_lived"])

    def test_extensions_pass_through(self):
        visitors, _ = self.drained()
        for number, visitor in enumerate(visitors):
            self.assertEqual(number % 2 == 0, bool(visitor.socket.extensions))


if __name__ == "__main__":
    main()
