//! What is said in each case, byte by byte, both ways.
//!
//! In: a name. Out: its exchanges, from the protocols' documents (RFC 9112, RESP2, the MySQL
//! client/server protocol, RFC 1035). Never: state.

use anyhow::{Result, bail};

/// A request and its response; either may be empty.
pub struct Exchange {
    /// What the client sends.
    pub request: Vec<u8>,
    /// What the server then sends.
    pub response: Vec<u8>,
}

/// Bytes of the body of the conversation `http-big`.
pub const BIG_BYTES: usize = 100_000;
/// Requests of the conversation `http-many`.
pub const MANY: usize = 200;

/// The conversation of that name.
pub fn find(name: &str) -> Result<Vec<Exchange>> {
    Ok(match name {
        "http" => vec![http("/hello", 200, "hello"), http("/missing", 404, "no")],
        // The empty line before a request that RFC 9112, 2.2 allows: a server that waits in a system
        // call when the agent comes gets it by that call, which the agent cannot see.
        "http-early" => {
            vec![exchange(b"\r\n", b""), http("/hello", 200, "hello"), http("/missing", 404, "no")]
        }
        "http-pipelined" => {
            let (first, second) = (http("/first", 200, "1"), http("/second", 404, "2"));
            vec![Exchange {
                request: [first.request, second.request].concat(),
                response: [first.response, second.response].concat(),
            }]
        }
        "http-big" => vec![http("/big", 200, &"x".repeat(BIG_BYTES))],
        "http-sendfile" => {
            vec![http("/big", 200, &"x".repeat(BIG_BYTES)), http("/after", 404, "not here")]
        }
        "http-many" => (0..MANY).map(|n| http(&format!("/many/{n}"), 200, "many")).collect(),
        "redis" => vec![
            exchange(b"*3\r\n$3\r\nSET\r\n$5\r\ncolor\r\n$4\r\nblue\r\n", b"+OK\r\n"),
            exchange(b"*2\r\n$3\r\nGET\r\n$5\r\ncolor\r\n", b"$4\r\nblue\r\n"),
            exchange(b"*2\r\n$4\r\nLPOP\r\n$5\r\ncolor\r\n", b"-WRONGTYPE not a list\r\n"),
        ],
        "mysql" => mysql(),
        "dns" => vec![dns()],
        _ => bail!("no such conversation: {name}"),
    })
}

fn exchange(request: &[u8], response: &[u8]) -> Exchange {
    Exchange { request: request.to_vec(), response: response.to_vec() }
}

fn http(path: &str, code: u16, body: &str) -> Exchange {
    let bytes = body.len();
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: vm\r\n\r\n");
    let response = format!("HTTP/1.1 {code} Said\r\nContent-Length: {bytes}\r\n\r\n{body}");
    exchange(request.as_bytes(), response.as_bytes())
}

/// A packet of MySQL: length, sequence number, payload.
fn mysql_packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    [&length[..3], &[sequence], payload].concat()
}

/// Greeting, login, a query with one row.
fn mysql() -> Vec<Exchange> {
    let greeting = [
        b"\x0a8.0.36\0".as_slice(),
        &7u32.to_le_bytes(),
        b"abcdefgh\0",
        &0xa285u16.to_le_bytes(),
        &[33],
        &2u16.to_le_bytes(),
        &0x000fu16.to_le_bytes(),
        &[21],
        &[0; 10],
        b"ijklmnopqrst\0mysql_native_password\0",
    ]
    .concat();
    let login = [
        &0x000f_a285u32.to_le_bytes()[..],
        &(1u32 << 24).to_le_bytes(),
        &[33],
        &[0; 23],
        b"shop\0\x00",
        b"mysql_native_password\0",
    ]
    .concat();
    let ok = [0, 0, 0, 2, 0, 0, 0];
    let query = b"\x03SELECT name FROM goods WHERE id = 5";
    let column =
        b"\x03def\x04shop\x05goods\x05goods\x04name\x04name\x0c\x21\0\x40\0\0\0\xfd\0\0\0\0\0";
    let end = b"\xfe\0\0\x02\0";
    let rows = [
        mysql_packet(1, &[1]),
        mysql_packet(2, column),
        mysql_packet(3, end),
        mysql_packet(4, b"\x05apple"),
        mysql_packet(5, end),
    ]
    .concat();
    vec![
        Exchange { request: Vec::new(), response: mysql_packet(0, &greeting) },
        Exchange { request: mysql_packet(1, &login), response: mysql_packet(2, &ok) },
        Exchange { request: mysql_packet(0, query), response: rows },
    ]
}

/// The address of `shop.test`.
fn dns() -> Exchange {
    let question = b"\x04shop\x04test\0\0\x01\0\x01";
    let request = [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".as_slice(), question].concat();
    let answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x01\x02\x03";
    let response = [b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0".as_slice(), question, answer].concat();
    Exchange { request, response }
}
