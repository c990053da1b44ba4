"""memcached by two libraries: in text by one, in binary form by the other.

In: `text PORT REQUESTS`, `binary PORT REQUESTS`, or `counters PORT`. Out: a line for each request,
see `talk`; for `counters` what the server says that it was asked, as one line.
"""

import json
import sys

import bmemcached
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheClientError

from talk import Watch, tell

LARGE_BYTES = 300_000
REQUESTS_A_CONNECTION = 100


def text_request(client, number):
    """One request; its command and key."""
    key = f"goods:{number % 50}"
    kind = number % 10
    if kind == 0:
        client.set(key, b"a" * 20, noreply=False)
        return f"set {key} 0 0 20"
    if kind == 1:
        client.set("large", b"b" * LARGE_BYTES, noreply=False)
        return f"set large 0 0 {LARGE_BYTES}"
    if kind == 2:
        assert len(client.get("large")) == LARGE_BYTES
        return "get large"
    if kind == 3:
        client.get_many([key, "none", "large"])
        return f"get {key} none large"
    if kind == 4:
        client.set("number", b"7", noreply=False)
        return "set number 0 0 1"
    if kind == 5:
        client.incr("number", 3)
        return "incr number 3"
    if kind == 6:
        client.delete(key, noreply=False)
        return f"delete {key}"
    if kind == 7:
        client.gets("number")
        return "gets number"
    if kind == 8:
        client.touch("number", 100, noreply=False)
        return "touch number 100"
    try:
        # No number stands there.
        client.incr("large", 1)
    except MemcacheClientError:
        pass
    return "incr large 1"


def text(port, requests):
    client = None
    for number in range(requests):
        if number % REQUESTS_A_CONNECTION == 0:
            if client:
                client.close()
            client = Client(("127.0.0.1", port), no_delay=True)
        with Watch() as watch:
            resource = text_request(client, number)
        # The library connects with the first request.
        is_first = number % REQUESTS_A_CONNECTION == 0
        tell(resource.split()[0], resource, None, None if is_first else watch.us)
    client.close()


def binary_request(client, number):
    """One request; its operation, key and status."""
    kind = number % 5
    # What the first of five sets, the last deletes.
    key = f"goods:{(number - kind) % 50}"
    if kind == 0:
        assert client.set(key, "a" * 20)
        return "set", key, 0
    if kind == 1:
        return "get", "nothing", 0 if client.get("nothing") else 1
    if kind == 2:
        client.incr("counter", 2)
        return "incr", "counter", 0
    if kind == 3:
        return "get", "counter", 0 if client.get("counter") else 1
    assert client.delete(key)
    return "delete", key, 0


def binary(port, requests):
    client = bmemcached.Client([f"127.0.0.1:{port}"], compression=None)
    for number in range(requests):
        with Watch() as watch:
            kind, key, code = binary_request(client, number)
        tell(kind, f"{kind} {key}", code, watch.us if number else None)
    client.disconnect_all()


def counters(port):
    client = Client(("127.0.0.1", port))
    stats = client.stats()
    print(json.dumps({name.decode(): value for name, value in stats.items() if isinstance(value, int)}))
    client.close()


if __name__ == "__main__":
    words = sys.argv[1:]
    {"text": text, "binary": binary, "counters": counters}[words[0]](*map(int, words[1:]))
