"""MQTT by Eclipse Paho, in versions 3.1.1 and 5: a publisher and a subscriber in one process.

In: `311 PORT MESSAGES` or `5 PORT MESSAGES`. Out: a line for each exchange, see `talk`. The
publisher's and the subscriber's names are `publisher-V` and `subscriber-V`.
"""

import sys
import threading
from socket import IPPROTO_TCP, TCP_NODELAY

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from talk import Watch, tell

WAIT_S = 20
LARGE_BYTES = 200_000
VERSIONS = {"311": mqtt.MQTTv311, "5": mqtt.MQTTv5}


def no_delay(socket):
    """Otherwise a message waits until the one before it is acknowledged: after 40 ms."""
    socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)


class Peer:
    """A client whose calls wait for their answers."""

    def __init__(self, name, version, port):
        self.answered = threading.Event()
        self.code = None
        self.received = threading.Semaphore(0)
        self.is_5 = version == "5"
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=VERSIONS[version]
        )
        self.client.on_connect = lambda _c, _d, _flags, reason, _p: self.answer(reason)
        self.client.on_publish = lambda _c, _d, _id, reason, _p: self.answer(reason)
        self.client.on_subscribe = lambda _c, _d, _id, reasons, _p: self.answer(reasons[0])
        self.client.on_unsubscribe = lambda _c, _d, _id, reasons, _p: self.answer(None)
        self.client.on_message = lambda _c, _d, _message: self.received.release()
        self.client.on_socket_open = lambda _c, _d, socket: no_delay(socket)
        self.connect(port)

    def answer(self, reason):
        self.code = None if reason is None else reason.value
        self.answered.set()

    def wait(self, request):
        """Makes a request; how long its answer took."""
        self.answered.clear()
        with Watch() as watch:
            request()
            assert self.answered.wait(WAIT_S)
        return watch.us

    def connect(self, port):
        def request():
            self.client.connect("127.0.0.1", port, keepalive=600)
            self.client.loop_start()

        us = self.wait(request)
        tell("CONNECT", "", self.code, us)

    def subscribe(self, topic, quality):
        us = self.wait(lambda: self.client.subscribe(topic, quality))
        tell("SUBSCRIBE", topic, self.code, us)

    def unsubscribe(self, topic):
        us = self.wait(lambda: self.client.unsubscribe(topic))
        tell("UNSUBSCRIBE", topic, 0 if self.is_5 else None, us)

    def publish(self, topic, quality, payload):
        """Tells of the exchanges of this end."""
        properties = None
        if self.is_5:
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = ("origin", "e2e")
        us = self.wait(lambda: self.client.publish(topic, payload, quality, properties=properties))
        code = self.code if self.is_5 else None
        if quality == 0:
            tell("PUBLISH", topic, None, None, way="one")
        elif quality == 1:
            tell("PUBLISH", topic, code, us)
        else:
            tell("PUBLISH", topic, code, None)
            tell("PUBREL", topic, code, None)

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()
        tell("DISCONNECT", way="one")


def talk(version, port, messages):
    subscriber = Peer(f"subscriber-{version}", version, port)
    subscriber.subscribe(f"shop/{version}/#", 2)
    publisher = Peer(f"publisher-{version}", version, port)
    for number in range(messages):
        quality = number % 3
        topic = f"shop/{version}/{number % 4}"
        payload = b"p" * (LARGE_BYTES if number % 10 == 9 else 30)
        publisher.publish(topic, quality, payload)
        assert subscriber.received.acquire(timeout=WAIT_S)
        # What the broker sends to the subscriber, and how that answers.
        code = 0 if subscriber.is_5 and quality else None
        way = "both" if quality else "one"
        tell("PUBLISH", topic, code, None, way=way, reversed=True)
        if quality == 2:
            tell("PUBREL", topic, code, None, reversed=True)
    publisher.leave()
    subscriber.unsubscribe(f"shop/{version}/#")
    subscriber.leave()


if __name__ == "__main__":
    talk(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
