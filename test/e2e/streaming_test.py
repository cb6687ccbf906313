#!/usr/bin/env python3
"""Large bodies pass in bounded memory, whichever side is slow."""

import re
import socket
import threading

from lib import BOUND, SANITIZED, SluiceTest, main, pattern, wait_until

MIB = 1 << 20
# Enough to show that nothing is kept: many times what the process may use.
LARGE = (64 if SANITIZED else 1024) * MIB
UPLOAD = LARGE // 2
MOST_RSS = 64 * MIB


class StreamingTest(SluiceTest):
    def assert_small(self, process):
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:
            peak = 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])
        if not SANITIZED:  # its shadow memory is large
            self.assertLess(peak, MOST_RSS, f"peak of the resident memory: {peak / MIB:.1f} MiB")
        return peak

    @staticmethod
    def wait_stuck(process):
        """Until nothing moves any more: every buffer on the way is full."""
        def stuck():
            seen, same = None, 0
            while same < 20:
                document = process.admin_json("/connections")
                now = [(stream["bytes_in"], stream["bytes_out"])
                       for connection in document["connections"]
                       for stream in connection["in_flight"]]
                same = same + 1 if now == seen else 0
                seen = now
            return True
        wait_until(stuck, "the buffers are full")

    def read_body(self, client, count):
        """Reads and compares `count` bytes of the pattern."""
        expected = pattern(2 * MIB + 64)
        buffer = memoryview(bytearray(2 * MIB))
        buffer[:len(client.buffer)] = client.buffer
        got, taken = len(client.buffer), 0
        client.buffer.clear()
        while True:
            if buffer[:got].tobytes() != expected[taken % 64:taken % 64 + got]:
                self.fail(f"a wrong body, between byte {taken} and {taken + got}")
            taken += got
            if taken == count:
                return
            got = client.socket.recv_into(buffer, min(len(buffer), count - taken))
            self.assertGreater(got, 0, f"it ended after {taken} bytes")

    def test_a_large_download_with_a_client_that_pauses(self):
        def large(x):
            x.send(f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")
            block = pattern(2 * MIB)
            for _ in range(LARGE // len(block)):
                x.send(block)
        app = self.origin()
        app.on("/large", large)
        process = self.sluice(app, workers=1,
                              listener={"routes": [{"cluster": "app", "timeout": "0s"}]})
        client = self.connect(process)
        client.request("GET", "/large")
        client.read_head()
        self.wait_stuck(process)
        self.assert_small(process)
        self.read_body(client, LARGE)
        peak = self.assert_small(process)
        print(f"{LARGE / MIB:.0f} MiB down: peak of the resident memory {peak / MIB:.1f} MiB")
        self.assertEqual(b"ok", client.ask().body)

    def test_many_clients_that_do_not_read(self):
        process = self.embedded("--workers", "1")
        clients = [self.connect(process, receive_buffer=16384) for _ in range(40)]
        for client in clients:
            client.request("GET", f"/bytes/{LARGE}")
        self.wait_stuck(process)
        self.assert_small(process)

    def upload(self, client, count, chunked):
        """Sends a request with a body of `count` bytes; what was sent is in self.sent."""
        self.sent = 0
        block = b"u" * MIB
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {count}"
        client.send(f"PUT /sink HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")
        while self.sent < count:
            if chunked:
                client.send(b"%x\r\n" % len(block) + block + b"\r\n")
            else:
                client.send(block)
            self.sent += len(block)
        if chunked:
            client.send("0\r\n\r\n")

    def large_upload(self, chunked):
        app = self.origin()
        hold = app.hold("/sink", lambda x: self.sink(x, chunked))
        process = self.sluice(app, workers=1, listener={"timeouts": {"body": "60s"}})
        client = self.connect(process, timeout=3 * BOUND)
        thread = threading.Thread(target=self.upload, args=(client, UPLOAD, chunked), daemon=True)
        thread.start()
        hold.wait_arrived()
        self.wait_stuck(process)
        self.assertLess(self.sent, 40 * MIB, "the client is held back")
        self.assert_small(process)
        hold.release()
        self.assertEqual(200, client.read_response().status)
        thread.join(BOUND)
        self.assertEqual(UPLOAD, self.sunk)
        peak = self.assert_small(process)
        print(f"{UPLOAD / MIB:.0f} MiB up: peak of the resident memory {peak / MIB:.1f} MiB")

    def sink(self, exchange, chunked):
        """Takes the body without keeping it."""
        exchange.body = b""
        peer = exchange.connection
        self.sunk = 0
        if chunked:
            while size := int(peer.read_line(), 16):
                self.take(peer, size)
                peer.read_line()
            peer.read_line()
        else:
            self.take(peer, UPLOAD)
        exchange.reply()

    def take(self, peer, count):
        kept = min(count, len(peer.buffer))
        del peer.buffer[:kept]
        self.sunk += kept
        left = count - kept
        buffer = memoryview(bytearray(min(left, MIB)))
        while left > 0:
            got = peer.socket.recv_into(buffer, min(left, MIB), socket.MSG_WAITALL)
            if got == 0:
                raise AssertionError(f"the upload ended, {left} bytes were missing")
            left -= got
            self.sunk += got

    def test_a_large_upload_to_an_origin_that_pauses(self):
        self.large_upload(chunked=False)

    def test_a_large_chunked_upload_to_an_origin_that_pauses(self):
        self.large_upload(chunked=True)

    def test_an_echo_that_nobody_reads(self):
        process = self.embedded("--workers", "1")
        client = self.connect(process, receive_buffer=16384, timeout=0.5)
        client.send(f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n")
        sent = 0
        try:
            while sent < LARGE:
                sent += client.socket.send(b"e" * MIB)
        except TimeoutError:
            pass  # every buffer on the way there and back is full
        self.assertLess(sent, 60 * MIB, "the client is held back")
        self.assert_small(process)

    def test_a_tunnel_that_nobody_reads(self):
        def tunnel(x):
            x.send("HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            x.connection.socket.settimeout(BOUND)
            try:
                while True:
                    x.send(b"t" * MIB)
            except OSError:
                x.close()
        app = self.origin()
        app.on("/tunnel", tunnel)
        process = self.sluice(app, workers=1)
        client = self.connect(process, receive_buffer=16384)
        client.request("GET", "/tunnel", {"Connection": "upgrade", "Upgrade": "echo"})
        self.assertEqual(101, client.read_head().status)
        self.wait_stuck(process)
        self.assert_small(process)

    def test_small_pieces_are_not_held_back(self):
        process = self.embedded()
        client = self.connect(process)
        client.request("GET", "/stream/1000?interval=60000")
        client.read_head()
        # The next comes in a minute: if this one waits for company, the bound is over first.
        self.assertEqual(b"chunk 1\n", client.read_exactly(int(client.read_line(), 16)))


if __name__ == "__main__":
    main()
