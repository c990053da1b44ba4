"""AMQP 0-9-1 by pika: declarations, confirmed and plain publications, deliveries, errors.

In: `PORT ROUNDS`. Out: a line for each exchange, see `talk`.
"""

import sys

import pika

from talk import Watch, tell

ROUNDS_A_CONNECTION = 25
# With its frames in less than what is taken of one system call.
LARGE_BYTES = 60_000
EXCHANGE = "amq.direct"
NOT_FOUND = 404


def timed(call, *words, **more):
    """Calls; the answer and how long it took."""
    with Watch() as watch:
        answer = call(*words, **more)
    return answer, watch.us


def connect(port):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=0))
    tell("Connection.Open")
    return connection


def declare(connection, queue):
    """A channel with a queue that is bound by its own name."""
    channel, us = timed(connection.channel)
    tell("Channel.Open", us=us)
    _, us = timed(channel.queue_declare, queue)
    tell("Queue.Declare", queue, us=us)
    _, us = timed(channel.queue_bind, queue, EXCHANGE, queue)
    tell("Queue.Bind", f"{EXCHANGE}.{queue}", us=us)
    return channel


def publish(channel, queue, payload, is_confirmed):
    _, us = timed(channel.basic_publish, EXCHANGE, queue, payload)
    way = "both" if is_confirmed else "one"
    tell("Basic.Publish", f"{EXCHANGE}.{queue}", us=us if is_confirmed else None, way=way)


def get(channel, queue, is_there):
    (method, _, _), us = timed(channel.basic_get, queue)
    assert (method is not None) == is_there
    tell("Basic.Get", queue, us=us)
    if is_there:
        channel.basic_ack(method.delivery_tag)
        tell("Basic.Ack", way="one")


def consume(channel, queue, count):
    """Takes messages by a consumer and acknowledges each."""
    received = 0
    for method, _, _ in channel.consume(queue):
        channel.basic_ack(method.delivery_tag)
        received += 1
        tell("Basic.Deliver", f"{EXCHANGE}.{queue}", reversed=True)
        if received == count:
            break
    tell("Basic.Consume", queue)
    channel.cancel()
    tell("Basic.Cancel")


def fail(connection):
    """Asks for a queue that is not there, for which the server closes the channel."""
    channel = connection.channel()
    tell("Channel.Open")
    with Watch() as watch:
        try:
            channel.queue_declare("none", passive=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            assert error.reply_code == NOT_FOUND
            watch.stop()
    tell("Queue.Declare", "none", NOT_FOUND, watch.us)


def converse(connection, number):
    """A queue's whole life, on a channel of its own."""
    queue = f"orders-{number % 5}"
    channel = declare(connection, queue)
    is_confirmed = number % 2 == 1
    if is_confirmed:
        _, us = timed(channel.confirm_delivery)
        tell("Confirm.Select", us=us)
    payload = b"m" * (LARGE_BYTES if number % 10 == 9 else 100)
    for _ in range(4):
        publish(channel, queue, payload, is_confirmed)
    get(channel, queue, True)
    consume(channel, queue, 3)
    get(channel, queue, False)
    _, us = timed(channel.queue_delete, queue)
    tell("Queue.Delete", queue, us=us)
    _, us = timed(channel.close)
    tell("Channel.Close", us=us)
    if number % 5 == 0:
        fail(connection)


def talk(port, rounds):
    connection = None
    for number in range(rounds):
        if number % ROUNDS_A_CONNECTION == 0:
            if connection:
                connection.close()
                tell("Connection.Close")
            connection = connect(port)
        converse(connection, number)
    connection.close()
    tell("Connection.Close")


if __name__ == "__main__":
    talk(*map(int, sys.argv[1:]))
