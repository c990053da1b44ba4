"""gRPC by its own library: a server with every kind of call, and a client that calls them in turn.

In: `serve PORT`, or `ask PORT CALLS`. Out: a line for each call, see `talk`. Messages are bytes: no
description of a service is needed, and what is on the wire is the same.
"""

import sys
import time
from concurrent import futures

import grpc

from talk import Watch, ready_until_end, tell

SERVICE = "shop.Orders"
# Codes of errors that are asked for in turn: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED,
# RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE.
ERRORS = [3, 5, 7, 8, 12, 13, 14]
STATUS = {code.value[0]: code for code in grpc.StatusCode}
MESSAGES = 5
LARGE_BYTES = 100_000
# Calls on one connection, then a new one.
CALLS_A_CONNECTION = 35


def think():
    """Long enough to be told from what the library itself takes."""
    time.sleep(0.003)


def get(request, context):
    think()
    word, _, number = request[:20].partition(b" ")
    if word == b"fail":
        context.abort(STATUS[int(number)], f"asked for {number.decode()}")
    return request


def upload(requests, context):
    count = sum(1 for _ in requests)
    think()
    return str(count).encode()


def download(request, context):
    think()
    for number in range(MESSAGES):
        yield b"%d" % number


def chat(requests, context):
    for request in requests:
        think()
        yield request


def serve(port):
    handlers = {
        "Get": grpc.unary_unary_rpc_method_handler(get),
        "Upload": grpc.stream_unary_rpc_method_handler(upload),
        "Download": grpc.unary_stream_rpc_method_handler(download),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server = grpc.server(futures.ThreadPoolExecutor(4))
    handler = grpc.method_handlers_generic_handler(SERVICE, handlers)
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    ready_until_end()
    server.stop(1).wait()


def stream(answers, watch):
    """All of a stream; the time is that of its first message."""
    next(answers)
    watch.stop()
    assert sum(1 for _ in answers) == MESSAGES - 1


def call(channel, number, watch):
    """One call; its path and its status."""
    kind = ["Get", "Upload", "Download", "Chat", "Get", "Fail", "Missing"][number % 7]
    path = f"/{SERVICE}/{'Get' if kind == 'Fail' else kind}"
    messages = (b"message" for _ in range(MESSAGES))
    try:
        if kind == "Upload":
            channel.stream_unary(path)(messages)
        elif kind == "Download":
            stream(channel.unary_stream(path)(b"all"), watch)
        elif kind == "Chat":
            stream(channel.stream_stream(path)(messages), watch)
        elif kind == "Fail":
            channel.unary_unary(path)(b"fail %d" % ERRORS[number // 7 % len(ERRORS)])
        else:
            large = number % 7 == 4
            channel.unary_unary(path)(b"x" * (LARGE_BYTES if large else 10))
    except grpc.RpcError as error:
        return path, error.code().value[0]
    return path, 0


def ask(port, calls):
    channel = None
    for number in range(calls):
        if number % CALLS_A_CONNECTION == 0:
            if channel:
                channel.close()
            # Without this the library would go on with the connection that it has.
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
            grpc.channel_ready_future(channel).result(20)
        with Watch() as watch:
            path, code = call(channel, number, watch)
        tell("POST", path, code, watch.us)
    channel.close()


if __name__ == "__main__":
    words = sys.argv[1:]
    {"serve": serve, "ask": ask}[words[0]](*map(int, words[1:]))
