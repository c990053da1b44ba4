"""LDAP by ldap3: binds, searches, changes, errors, many entries, new connections.

In: `PORT ROUNDS PASSWORD`. Out: a line for each exchange, see `talk`. The directory has the suffix
`dc=shop,dc=test`, whose administrator is `cn=admin,dc=shop,dc=test`.
"""

import sys

from ldap3 import MODIFY_REPLACE, NONE, SUBTREE, Connection, Server
from ldap3.core.exceptions import LDAPException

from talk import Watch, tell

SUFFIX = "dc=shop,dc=test"
ADMIN = f"cn=admin,{SUFFIX}"
ROUNDS_A_CONNECTION = 10
PEOPLE = 200
LARGE_BYTES = 50_000
SUCCESS, COMPARE_FALSE, COMPARE_TRUE, NO_SUCH_OBJECT = 0, 5, 6, 32
INVALID_CREDENTIALS, ENTRY_EXISTS = 49, 68


def timed(kind, resource, wanted, connection, call, *words, **more):
    """Asks, and tells what came."""
    with Watch() as watch:
        call(*words, **more)
    code = connection.result["result"]
    assert code == wanted, (kind, resource, connection.result)
    tell(kind, resource, code, watch.us)


def connect(port, password, wanted):
    server = Server("127.0.0.1", port=port, get_info=NONE)
    connection = Connection(server, ADMIN, password, auto_referrals=False, check_names=False)
    connection.open(read_server_info=False)
    timed("BIND", ADMIN, wanted, connection, connection.bind, read_server_info=False)
    return connection


def close(connection):
    connection.unbind()
    tell("UNBIND", way="one")


def search(connection, base, condition, wanted, entries):
    timed("SEARCH", f"{base} sub {condition}", wanted, connection, connection.search, base,
          condition, SUBTREE, attributes=["sn"])
    assert len(connection.response) == entries


def fill(connection):
    """The suffix and enough people that a search for all takes many segments."""
    more = {"attributes": {"o": "shop", "dc": "shop"}}
    kinds = ["dcObject", "organization"]
    timed("ADD", SUFFIX, SUCCESS, connection, connection.add, SUFFIX, kinds, **more)
    for number in range(PEOPLE):
        add(connection, f"cn=person {number},{SUFFIX}", SUCCESS)


def add(connection, name, wanted, description="a person"):
    attributes = {"sn": "Person", "description": description}
    timed("ADD", name, wanted, connection, connection.add, name, "person", attributes)


def converse(connection, number):
    """An entry's whole life."""
    name, other = f"cn=guest {number},{SUFFIX}", f"cn=friend {number},{SUFFIX}"
    add(connection, name, SUCCESS, "x" * (LARGE_BYTES if number % 10 == 9 else 10))
    add(connection, name, ENTRY_EXISTS)
    search(connection, SUFFIX, f"(&(objectClass=person)(cn=guest {number}))", SUCCESS, 1)
    search(connection, SUFFIX, "(cn=nobody*)", SUCCESS, 0)
    search(connection, f"ou=none,{SUFFIX}", "(cn=nobody)", NO_SUCH_OBJECT, 0)
    for value, wanted in [("Person", COMPARE_TRUE), ("Other", COMPARE_FALSE)]:
        timed("COMPARE", name, wanted, connection, connection.compare, name, "sn", value)
    change = {"sn": [(MODIFY_REPLACE, ["Guest"])]}
    timed("MODIFY", name, SUCCESS, connection, connection.modify, name, change)
    relative = other.partition(",")[0]
    timed("MODIFY_DN", name, SUCCESS, connection, connection.modify_dn, name, relative)
    timed("DELETE", other, SUCCESS, connection, connection.delete, other)
    timed("DELETE", other, NO_SUCH_OBJECT, connection, connection.delete, other)
    if number % 5 == 0:
        search(connection, SUFFIX, "(objectClass=person)", SUCCESS, PEOPLE)
        timed("EXTENDED", "WhoAmI", SUCCESS, connection, connection.extend.standard.who_am_i)


def refused(port):
    """A bind with another password."""
    try:
        connection = connect(port, "none of theirs", INVALID_CREDENTIALS)
    except LDAPException as error:
        raise SystemExit(f"a bind that should be answered: {error}") from error
    close(connection)


def talk(port, rounds, password):
    connection = connect(port, password, SUCCESS)
    fill(connection)
    for number in range(rounds):
        if number and number % ROUNDS_A_CONNECTION == 0:
            close(connection)
            refused(port)
            connection = connect(port, password, SUCCESS)
        converse(connection, number)
    close(connection)


if __name__ == "__main__":
    talk(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
