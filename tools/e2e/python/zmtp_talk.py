"""ZeroMQ by pyzmq: requests with replies, and publications to a subscriber.

In: `serve PORT`, or `ask PORT REQUESTS`. Out: a line for each exchange, see `talk`. The server
replies and publishes each request's number again, on the port after its own.
"""

import sys
import threading
import time

import zmq

from talk import Watch, ready_until_end, tell

LARGE_BYTES = 100_000


def serve(port):
    context = zmq.Context()
    replies, news = context.socket(zmq.REP), context.socket(zmq.PUB)
    replies.bind(f"tcp://127.0.0.1:{port}")
    news.bind(f"tcp://127.0.0.1:{port + 1}")

    def reply():
        while True:
            number, *_ = replies.recv_multipart()
            time.sleep(0.002)
            news.send_multipart([b"news." + number, b"published"])
            replies.send(b"replied")

    threading.Thread(target=reply, daemon=True).start()
    ready_until_end()
    context.destroy(linger=0)


def ask(port, requests):
    context = zmq.Context()
    subscriber = context.socket(zmq.SUB)
    subscriber.setsockopt(zmq.SUBSCRIBE, b"news.")
    subscriber.connect(f"tcp://127.0.0.1:{port + 1}")
    asking = context.socket(zmq.REQ)
    asking.connect(f"tcp://127.0.0.1:{port}")
    # The subscription is under way; what is published before it came is not sent.
    time.sleep(1)
    for number in range(requests):
        payload = b"z" * (LARGE_BYTES if number % 10 == 9 else 20)
        with Watch() as watch:
            asking.send_multipart([b"%d" % number, payload])
            assert asking.recv() == b"replied"
        tell("MESSAGE", us=watch.us)
        topic, _ = subscriber.recv_multipart()
        tell("MESSAGE", topic.decode(), way="one", reversed=True)
    context.destroy(linger=0)


if __name__ == "__main__":
    words = sys.argv[1:]
    {"serve": serve, "ask": ask}[words[0]](*map(int, words[1:]))
