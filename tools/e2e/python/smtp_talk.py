"""SMTP by smtplib against aiosmtpd: mails, large ones, refusals, other commands, new connections.

In: `serve PORT`, or `ask PORT MAILS`. Out: a line for each command and each mail's content, see
`talk`; the greeting is not asked for, and no row has it.
"""

import smtplib
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from talk import Watch, ready_until_end, tell

HOST = "client.shop.test"
SENDER = "orders@shop.test"
MAILS_A_CONNECTION = 20
# With its end in what is taken of one system call.
LARGE_BYTES = 90_000


class Postbox:
    """Takes every mail that is for somebody."""

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("nobody@"):
            return "550 5.1.1 No such user"
        if address.startswith("full@"):
            return "452 4.2.2 Mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if b"X-Spam: yes" in envelope.content:
            return "554 5.7.1 Spam"
        return "250 2.0.0 Message accepted"


class Server(Controller):
    def factory(self):
        return SMTP(self.handler, hostname="mail.shop.test", ident="test")


def serve(port):
    server = Server(Postbox(), hostname="127.0.0.1", port=port)
    server.start()
    ready_until_end()
    server.stop()


def timed(kind, resource, wanted, call, *words):
    """Asks, and tells what came."""
    with Watch() as watch:
        code, _ = call(*words)
    assert code == wanted, (kind, resource, code)
    tell(kind, resource, code, watch.us)


def connect(port, number):
    """A connection, by the old greeting now and then."""
    client = smtplib.SMTP("127.0.0.1", port, local_hostname=HOST, timeout=20)
    client.sock.setsockopt(6, 1, 1)
    if number % 3 == 2:
        timed("HELO", HOST, 250, client.helo)
    else:
        timed("EHLO", HOST, 250, client.ehlo)
    return client


def content(client, identity, number):
    """A mail after its recipients: the command, then the lines. smtplib does both in one call."""
    is_spam = number % 7 == 6
    text = f"Message-ID: <{identity}>\r\nSubject: {number}\r\nX-Spam: {'yes' if is_spam else 'no'}"
    lines = ("." + "x" * 70 + "\r\n") * (LARGE_BYTES // 73 if number % 10 == 9 else 3)
    code, _ = client.data(f"{text}\r\n\r\n{lines}")
    wanted = 554 if is_spam else 250
    assert code == wanted
    tell("DATA", "", 354)
    tell("MESSAGE", identity, wanted)


def send(client, number):
    timed("MAIL", SENDER, 250, client.mail, SENDER)
    if number % 4 == 3:
        timed("RCPT", "nobody@shop.test", 550, client.rcpt, "nobody@shop.test")
        timed("RCPT", "full@shop.test", 452, client.rcpt, "full@shop.test")
    if number % 8 == 7:
        timed("RSET", "", 250, client.rset)
        timed("NOOP", "", 250, client.noop)
        timed("VRFY", "anna", 252, client.verify, "anna")
        timed("BREW", "", 500, client.docmd, "BREW", "tea")
        return
    timed("RCPT", "anna@shop.test", 250, client.rcpt, "anna@shop.test")
    content(client, f"{number}@shop.test", number)


def ask(port, mails):
    client = None
    for number in range(mails):
        if number % MAILS_A_CONNECTION == 0:
            if client:
                timed("QUIT", "", 221, client.quit)
            client = connect(port, number // MAILS_A_CONNECTION)
        send(client, number)
    timed("QUIT", "", 221, client.quit)


if __name__ == "__main__":
    words = sys.argv[1:]
    {"serve": serve, "ask": ask}[words[0]](*map(int, words[1:]))
