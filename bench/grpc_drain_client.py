"""A gRPC load client for `script/bench drain`: unary calls, by gRPC's own library, retries off.

    grpc_drain_client.py SECONDS MARK PORT:CALLERS:PATH...

Each caller makes one call after the other. Prints "mark" when MARK calls were answered, and at the
end one line of JSON with the counts. A caller stops when the port is gone.

What is counted: a call is `sent` when the library took it, and `answered` when it ended with status
OK and the echo was right. A call that never left this process is `unsent`: the library had picked a
connection for it, and heard a GOAWAY there before it could send (with retries on it would silently
take another). Every other end is a failure, named by its status.
"""

import collections
import json
import os
import sys
import threading
import time

import grpc

MESSAGE = b"m" * 64
CALL_SECONDS = 30
OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
]
# What gRPC says of a call that it failed before a byte of it was written.
PORT_GONE = ("failed to connect to all addresses", "Connection refused")
LEAVING = "GOAWAY received"


class Client:
    def __init__(self, seconds, mark):
        self.end = time.monotonic() + seconds
        self.mark = mark
        self.counts = collections.Counter(sent=0, answered=0)
        self.details = collections.Counter()
        self.lock = threading.Lock()

    def count(self, *names):
        with self.lock:
            for name in names:
                self.counts[name] += 1
            if "answered" in names and self.counts["answered"] == self.mark:
                print("mark", flush=True)

    def caller(self, channel, path):
        call = channel.unary_unary(path)
        while time.monotonic() < self.end:
            try:
                right = call(MESSAGE, timeout=CALL_SECONDS) == MESSAGE
                self.count("sent", "answered", *([] if right else ["not_ok"]))
            except grpc.RpcError as error:
                details = f"{error.code().name}: {error.details()}"
                if any(words in details for words in PORT_GONE):
                    self.count("connect_refused")
                    return
                with self.lock:
                    self.details[details] += 1
                if error.details() == LEAVING:
                    self.count("unsent")
                else:
                    self.count("sent", f"failed_{error.code().name.lower()}")


def run(groups, client):
    channels, threads = [], []
    for group in groups:
        port, callers, path = group.split(":", 2)
        # Four callers share a channel: their calls are streams of one connection.
        for number in range(int(callers)):
            if number % 4 == 0:
                channels.append(grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS))
            threads.append(threading.Thread(target=client.caller, args=(channels[-1], path)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    client = Client(int(sys.argv[1]), int(sys.argv[2]))
    run(sys.argv[3:], client)
    for details, count in client.details.items():
        if LEAVING not in details:
            print(f"{count} x {details}", file=sys.stderr)
    print(json.dumps(client.counts), flush=True)
    # gRPC's own threads have nothing to add, and may take their time.
    os._exit(0)


if __name__ == "__main__":
    main()
