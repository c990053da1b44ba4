"""Thrift by thriftpy2: results, exceptions of the interface and of the library, one-way calls.

In: `serve PORT`, or `ask PORT FORM CALLS`. Out: a line for each call, see `talk`. The port speaks
binary in frames (form 0), the next compact (1), the one after that binary without frames (2).
"""

import sys
import tempfile
import threading

import thriftpy2
from thriftpy2.protocol import TBinaryProtocolFactory, TCompactProtocolFactory
from thriftpy2.rpc import make_server
from thriftpy2.thrift import TApplicationException, TClient
from thriftpy2.transport import TBufferedTransportFactory, TFramedTransportFactory, TSocket

from talk import Watch, ready_until_end, tell

INTERFACE = """
exception Refused { 1: i32 code, 2: string reason }
service Shop {
  string get(1: string name),
  string large(1: string text),
  i32 divide(1: i32 number, 2: i32 by) throws (1: Refused refused),
  void clear(),
  oneway void note(1: string text),
}
service Wider {
  string unknown(1: string name),
}
"""
CALLS_A_CONNECTION = 50
LARGE_BYTES = 50_000
UNKNOWN_METHOD = 1
FORMS = [
    (TBinaryProtocolFactory, TFramedTransportFactory),
    (TCompactProtocolFactory, TFramedTransportFactory),
    (TBinaryProtocolFactory, TBufferedTransportFactory),
]


def load():
    with tempfile.NamedTemporaryFile("w", suffix=".thrift") as file:
        file.write(INTERFACE)
        file.flush()
        return thriftpy2.load(file.name, module_name="shop_thrift")


shop = load()


class Shop:
    def get(self, name):
        return f"goods {name}"

    def large(self, text):
        return text

    def divide(self, number, by):
        if by == 0:
            raise shop.Refused(code=7, reason="no zero")
        return number // by

    def clear(self):
        pass

    def note(self, text):
        pass


def serve(port):
    for number, (protocol, transport) in enumerate(FORMS):
        server = make_server(shop.Shop, Shop(), "127.0.0.1", port + number,
                             proto_factory=protocol(), trans_factory=transport())
        server.trans.client_timeout = None
        server.daemon = True
        threading.Thread(target=server.serve, daemon=True).start()
    ready_until_end()


def call(client, wide, number):
    """One call: its name, its code, and whether nobody answers."""
    kind = number % 6
    if kind == 0:
        client.get(f"{number}")
        return "get", None, "both"
    if kind == 1:
        client.divide(number, 3)
        return "divide", None, "both"
    if kind == 2:
        try:
            client.divide(number, 0)
        except shop.Refused as error:
            assert error.code == 7
        return "divide", None, "both"
    if kind == 3:
        client.note("a note")
        return "note", None, "one"
    if kind == 4:
        try:
            wide.unknown("x")
        except TApplicationException as error:
            assert error.type == UNKNOWN_METHOD
        return "unknown", UNKNOWN_METHOD, "both"
    if number % 12 == 5:
        client.large("l" * LARGE_BYTES)
        return "large", None, "both"
    client.clear()
    return "clear", None, "both"


def connect(port, form):
    """Two services on one connection: one has a method that the server does not know."""
    protocol, transport = FORMS[form]
    carrier = transport().get_transport(TSocket("127.0.0.1", port))
    carrier.open()
    spoken = protocol().get_protocol(carrier)
    return carrier, TClient(shop.Shop, spoken), TClient(shop.Wider, spoken)


def ask(port, form, calls):
    carrier = None
    for number in range(calls):
        if number % CALLS_A_CONNECTION == 0:
            if carrier:
                carrier.close()
            carrier, client, wide = connect(port, form)
        with Watch() as watch:
            name, code, way = call(client, wide, number)
        tell(name, name, code, watch.us if way == "both" else None, way=way)
    carrier.close()


if __name__ == "__main__":
    words = sys.argv[1:]
    {"serve": serve, "ask": ask}[words[0]](*map(int, words[1:]))
