"""HTTP/1.1 over TLS by http.client (one connection for many requests) and by httpx.

In: `PORT REQUESTS WAIT`: seconds to wait once the TLS library is loaded. Out: a line for each
request, see `talk`, without times.
"""

import http.client
import ssl
import sys
import time

import httpx

from talk import tell, wanted

REQUESTS_A_CONNECTION = 15


def by_standard_library(port, numbers):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = None
    for number in numbers:
        if number % REQUESTS_A_CONNECTION == 0:
            if connection:
                connection.close()
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        method, path, body = wanted(number, "tls")
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        tell(method, path, answer.status)
    connection.close()


def by_httpx(port, numbers):
    with httpx.Client(verify=False, base_url=f"https://127.0.0.1:{port}") as client:
        for number in numbers:
            method, path, body = wanted(number, "tls")
            answer = client.request(method, path, content=body)
            tell(method, path, answer.status_code)


if __name__ == "__main__":
    port, requests, wait = map(int, sys.argv[1:])
    time.sleep(wait)
    by_standard_library(port, range(requests))
    by_httpx(port, range(requests, 2 * requests))
