"""HTTP/2 by httpx, without TLS: requests one after the other, then many at once on a connection.

In: `PORT REQUESTS`. Out: a line for each request, see `talk`; of those at once without a time, since
in it is that of the others.
"""

import asyncio
import sys

import httpx

from talk import Watch, tell, wanted

REQUESTS_A_CONNECTION = 40
AT_ONCE = 20


def one_by_one(origin, requests):
    client = None
    for number in range(requests):
        if number % REQUESTS_A_CONNECTION == 0:
            if client:
                client.close()
            client = httpx.Client(http1=False, http2=True, base_url=origin)
        method, path, body = wanted(number, "h2")
        with Watch() as watch:
            with client.stream(method, path, content=body) as response:
                watch.stop()
                response.read()
        tell(method, path, response.status_code, watch.us)
    client.close()


async def at_once(origin, requests):
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(
        http1=False, http2=True, base_url=origin, limits=limits, timeout=60
    ) as client:
        turn = asyncio.Semaphore(AT_ONCE)

        async def ask(number):
            async with turn:
                path = f"/ok?at_once={number}"
                response = await client.get(path)
                tell("GET", path, response.status_code)

        await asyncio.gather(*(ask(number) for number in range(requests)))


if __name__ == "__main__":
    port, requests = map(int, sys.argv[1:])
    origin = f"http://127.0.0.1:{port}"
    one_by_one(origin, requests)
    asyncio.run(at_once(origin, requests))
