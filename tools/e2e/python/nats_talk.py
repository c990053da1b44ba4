"""NATS by its own library: publications, requests with answers, subscriptions, reconnects.

In: `PORT ROUNDS`. Out: a line for each exchange, see `talk`.
"""

import asyncio
import sys

import nats

from talk import Watch, tell

ROUNDS_A_CONNECTION = 20
# Two of them fit into what is taken of one system call.
LARGE_BYTES = 40_000
HOST = "127.0.0.1"


async def connect(port):
    """A connection; the library waits for its first PONG."""
    client = await nats.connect(f"nats://{HOST}:{port}")
    tell("INFO", f"{HOST}:{port}", reversed=True)
    tell("CONNECT")
    tell("PING")
    return client


async def flush(client):
    with Watch() as watch:
        await client.flush()
    tell("PING", us=watch.us)


async def subscribe(client, subject, call):
    await client.subscribe(subject, cb=call)
    tell("SUB", subject, way="one")


async def answer(message):
    """What the service does with a request."""
    await asyncio.sleep(0.002)
    await message.respond(b"done")


async def ignore(_message):
    pass


async def serve(port):
    """A service that answers requests and takes what is published."""
    service = await connect(port)
    await subscribe(service, "shop.order", answer)
    await subscribe(service, "shop.news.>", ignore)
    await flush(service)
    return service


async def ask(client, payload):
    with Watch() as watch:
        reply = await client.request("shop.order", payload, timeout=10)
    assert reply.data == b"done"
    tell("PUB", "shop.order", us=watch.us)
    # The same as the service sees it.
    tell("MSG", "shop.order", reversed=True)


async def publish(client, subject, payload, headers=None):
    await client.publish(subject, payload, headers=headers)
    sent, received = ("HPUB", "HMSG") if headers else ("PUB", "MSG")
    tell(sent, subject, way="one")
    tell(received, subject, way="one", reversed=True)


async def talk(port, rounds):
    service = await serve(port)
    client = None
    for number in range(rounds):
        if number % ROUNDS_A_CONNECTION == 0:
            if client:
                await client.close()
            client = await connect(port)
        payload = b"n" * (LARGE_BYTES if number % 10 == 9 else 20)
        await ask(client, payload)
        if number % ROUNDS_A_CONNECTION == 0:
            # For the replies to its requests the library subscribed to a name that it made up.
            tell("SUB", f"{client._resp_sub_prefix.decode()}*", way="one")
        await publish(client, f"shop.news.{number % 3}", payload)
        await publish(client, "shop.news.headed", payload, {"origin": "e2e"})
        await flush(client)
    await client.close()
    await flush(service)
    await service.close()


if __name__ == "__main__":
    asyncio.run(talk(*map(int, sys.argv[1:])))
