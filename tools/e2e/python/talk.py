"""What the clients and servers of this folder share: how they tell what was true.

In: words of the command line, the end of standard input. Out: lines of JSON on standard output, one
for each exchange as the library's caller saw it: `type`, `resource` and `code` as the request log
should have them, `us` as this process measured it. It never opens a connection.
"""

import json
import sys
import time

UPLOAD_BYTES = 400_000


def tell(kind, resource="", code=None, us=None, **more):
    """One exchange; `us` None: not measured, or nothing came back."""
    line = {"type": kind, "resource": resource, "code": code, "us": us, **more}
    print(json.dumps(line), flush=True)


class Watch:
    """`with Watch() as watch: …` measures what is done inside; `watch.us` is how long it took."""

    def __enter__(self):
        self.us = None
        self.begin_ns = time.perf_counter_ns()
        return self

    def stop(self):
        """Measures no longer than until now."""
        if self.us is None:
            # Rounded up: what is seen between may not be longer.
            self.us = -(-(time.perf_counter_ns() - self.begin_ns) // 1000)

    def __exit__(self, *_):
        self.stop()
        return False


def ready_until_end():
    """Says that the server is ready and waits until it may end."""
    print("ready", flush=True)
    sys.stdin.read()


def wanted(number, name):
    """Method, path and body of a request to the server of pages, one of every kind in turn."""
    kind = ["ok", "missing", "broken", "large", "ok", "text.txt", "up", "ok"][number % 8]
    if kind == "up":
        return "PUT", f"/up/{name}-{number}", b"u" * UPLOAD_BYTES
    return "GET", f"/{kind}?{name}={number}", None
