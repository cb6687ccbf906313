"""A gRPC server for the end-to-end tests, run as a process of its own by grpc_origin.py.

Given the files of a certificate and its key it speaks TLS. Its methods take and give bytes, so no
code is generated from anything:

    /test.Test/Echo      unary          the request comes back; with its metadata "x-..." as trailers
    /test.Test/Metadata  unary          what the client sent, as JSON
    /test.Test/Fail      unary          a JSON request {"code": 5, "details": "..."}
    /test.Test/Collect   client stream  the number of bytes in all
    /test.Test/Count     server stream  a JSON request {"count": 3, "bytes": 10, "hold": false}; with
                                        "hold" it is silent after these until the client cancels
    /test.Test/Chat      both           each message comes back
    /test.Test/Hang      unary          no answer; ends with the call
    /test.Test/Slow      unary          the request comes back after a moment

Standard output: {"event": "listening", "address": ...}, then {"event": "begun" or "over", "method":
..., "cancelled": true or false} for each call of Count, Chat and Hang, and "begun" for Slow.
"""

import json
import os
import pathlib
import sys
import threading
import time
from concurrent import futures

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
import grpc  # pylint: disable=wrong-import-position

# pylint: disable=missing-function-docstring

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]
_SLOW_SECONDS = 0.05
_print_lock = threading.Lock()


def tell(event, **fields):
    with _print_lock:
        print(json.dumps({"event": event} | fields), flush=True)


def follow(context, method):
    """Tells of the call's beginning and end; returns an event that is set at its end."""
    over = threading.Event()
    done = []

    def on_end():
        tell("over", method=method, cancelled=not done)
        over.set()

    context.add_callback(on_end)
    tell("begun", method=method)
    return over, done


def echo(request, context):
    context.set_trailing_metadata(tuple(
        (key, value) for key, value in context.invocation_metadata() if key.startswith("x-")))
    return request


def metadata(_, context):
    return json.dumps([[key, value if isinstance(value, str) else value.hex()]
                       for key, value in context.invocation_metadata()]).encode()


def fail(request, context):
    wanted = json.loads(request)
    code = next(one for one in grpc.StatusCode if one.value[0] == wanted["code"])
    context.abort(code, wanted["details"])


def collect(requests, _):
    return str(sum(len(request) for request in requests)).encode()


def count(request, context):
    wanted = json.loads(request)
    over, done = follow(context, "Count")
    for number in range(wanted["count"]):
        yield (f"{number} ".encode() * wanted.get("bytes", 2))[:wanted.get("bytes", 2)]
    if wanted.get("hold"):
        over.wait()
    done.append(True)


def chat(requests, context):
    _, done = follow(context, "Chat")
    yield from requests
    done.append(True)


def hang(_, context):
    over, _ = follow(context, "Hang")
    over.wait()
    return b""


def slow(request, _):
    tell("begun", method="Slow")
    time.sleep(_SLOW_SECONDS)
    return request


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Metadata": grpc.unary_unary_rpc_method_handler(metadata),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Hang": grpc.unary_unary_rpc_method_handler(hang),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
}


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=_OPTIONS)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Test", HANDLERS),))
    if len(sys.argv) == 3:
        cert, key = (pathlib.Path(name).read_bytes() for name in sys.argv[1:])
        credentials = grpc.ssl_server_credentials([(key, cert)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    tell("listening", address=f"127.0.0.1:{port}")
    sys.stdin.read()  # until the test is over, whatever becomes of it
    server.stop(None)


if __name__ == "__main__":
    main()
