#!/usr/bin/env python3
"""Live connections across hot restarts: what can move notices nothing, what cannot is drained."""

import asyncio

import websockets

from lib import BOUND, SANITIZED, main, wait_until
from lib.restart_case import RestartTest
from lib.websocket_origin import WebSocketOrigin

RESTARTS = 2 if SANITIZED else 4
CLIENTS = 30


class KeepAliveTest(RestartTest):
    def test_idle_connections_move(self):
        process = self.serve()
        clients = [self.connect(process) for _ in range(CLIENTS)]
        fresh = clients[1:10]  # that have not asked for anything yet
        for client in clients[10:]:
            self.assertEqual(200, client.ask().status)
        begun = b"GET /begun HTTP/1.1\r\nHost: a\r\n"
        clients[0].send(begun)
        for _ in range(RESTARTS):
            self.restart(process)
        clients[0].send(b"\r\n")
        self.assertEqual(200, clients[0].read_response().status)
        for client in fresh + clients:
            answer = client.ask()
            self.assertEqual(200, answer.status)
            self.assertIsNone(answer.get("connection"))
        self.assertEqual(RESTARTS * CLIENTS, process.metric(
            "sluice_connections_moved_total", kind="http1", result="adopted"))

    def test_busy_ones_move_when_they_are_idle(self):
        hold = self.app.hold("/slow")
        process = self.serve()
        clients = [self.connect(process) for _ in range(5)]
        for client in clients:
            client.request(target="/slow")
        hold.wait_arrived(len(clients))
        self.restart(process)
        hold.release()
        for client in clients:
            answer = client.read_response()
            self.assertEqual((200, None), (answer.status, answer.get("connection")))
        self.assertEqual(0, process.child.wait(BOUND), "the old process is done when they are gone")
        for client in clients:
            self.assertEqual(200, client.ask().status)

    def test_it_can_be_turned_off(self):
        process = self.serve(restart={"move_connections": False})
        client = self.connect(process)
        self.assertEqual(200, client.ask().status)
        self.restart(process)
        self.assertTrue(client.ended(), "it is drained: an idle one is closed")
        self.assertEqual(200, self.connect(process).ask().status)


class WebSocketTest(RestartTest):
    def setUp(self):
        super().setUp()
        self.origin_of_websockets = WebSocketOrigin()
        self.addCleanup(self.origin_of_websockets.close)

    def serve_websockets(self, **more):
        return self.serve(cluster={"endpoints": [self.origin_of_websockets.address]}, **more)

    def test_open_ones_move(self):
        process = self.serve_websockets()
        asyncio.run(asyncio.wait_for(self.talk_through(process), 6 * BOUND))
        self.assertEqual(CLIENTS, len(self.origin_of_websockets.requests), "nobody came again")
        wait_until(lambda: len(self.origin_of_websockets.closes) == CLIENTS, "every Close")
        self.assertEqual({1000}, set(self.origin_of_websockets.closes))

    async def talk_through(self, process):
        address = process.address()
        # permessage-deflate for half of them: a frame in the wrong place would break its state.
        sockets = [await websockets.connect(f"ws://{address}/{i}", compression="deflate" if i % 2
                                            else None, max_size=None) for i in range(CLIENTS)]
        over = asyncio.Event()
        talks = [asyncio.ensure_future(self.talk(socket, over)) for socket in sockets]
        for _ in range(RESTARTS):
            await asyncio.to_thread(self.restart, process)
        over.set()
        said = await asyncio.gather(*talks)
        self.assertTrue(all(count > RESTARTS for count in said), said)
        for socket in sockets:
            await socket.close()

    async def talk(self, socket, over):
        count = 0
        while not over.is_set():
            message = f"{count} " + "x" * (count * 397 % 70_000)
            await socket.send(message)
            self.assertEqual(message, await socket.recv())
            count += 1
            await asyncio.sleep(0.001)
        return count

    def test_without_moving_they_are_told(self):
        process = self.serve_websockets(restart={"move_connections": False})
        asyncio.run(asyncio.wait_for(self.be_told(process), 3 * BOUND))

    async def be_told(self, process):
        async with websockets.connect(f"ws://{process.address()}/") as socket:
            await socket.send("hello")
            self.assertEqual("hello", await socket.recv())
            await asyncio.to_thread(self.restart, process)
            with self.assertRaises(websockets.ConnectionClosed):
                await socket.recv()
            self.assertEqual(1001, socket.close_code)


if __name__ == "__main__":
    main()
