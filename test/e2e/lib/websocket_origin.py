"""An origin of WebSockets over HTTP/1.1, by python3-websockets."""

import asyncio
import http
import threading

import websockets

from .wait import BOUND


class WebSocketOrigin:
    """Echoes each message. `/forbidden` is refused. It agrees to the subprotocol "echo"."""

    def __init__(self):
        self.requests = []  # (path, headers) of each handshake
        self.closes = []  # codes of the Closes that ended them
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._listening.wait(BOUND):
            raise AssertionError("the WebSocket origin does not listen")

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self):
        self._over = asyncio.Event()
        async with websockets.serve(self._echo, "127.0.0.1", 0, subprotocols=["echo"],
                                    process_request=self._judge, max_size=None) as server:
            host, port = server.sockets[0].getsockname()
            self.address = f"{host}:{port}"
            self._listening.set()
            await self._over.wait()

    async def _judge(self, path, fields):
        self.requests.append((path, fields))
        if path == "/forbidden":
            return http.HTTPStatus.FORBIDDEN, [], b"not for you\n"
        return None

    async def _echo(self, websocket):
        try:
            async for message in websocket:
                await websocket.send(message)
        except websockets.ConnectionClosed:
            pass
        self.closes.append(websocket.close_code)

    def close(self):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(BOUND)
