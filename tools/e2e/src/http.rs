//! The least of HTTP/1.1 that a test needs: one request, one whole response.
//!
//! In: address, path and body. Out: status and body. A connection is used once; nothing is kept.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A response, read to its end.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Body with any chunking taken off.
    pub body: String,
}

/// GET `path` at `address` (`host:port`).
pub fn get(address: &str, path: &str) -> Result<Response> {
    exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
    )
}

/// POST form fields to `path` at `address`.
pub fn post_form(address: &str, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
    let body: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
    let body = body.join("&");
    exchange(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

fn exchange(address: &str, request: &str) -> Result<Response> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).context("read the response")?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("no head in the response")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunked(body)? } else { body.to_owned() };
    Ok(Response { status: status.context("no status in the response")?, body })
}

fn unchunked(mut body: &str) -> Result<String> {
    let mut out = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n").context("a chunk without its size")?;
        let bytes = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        if bytes == 0 {
            return Ok(out);
        }
        ensure!(rest.is_char_boundary(bytes), "a chunk was cut off");
        out.push_str(&rest[..bytes]);
        body = rest.get(bytes + 2..).context("a chunk was cut off")?;
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        assert_eq!(unchunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").unwrap(), "abcde");
        assert!(unchunked("5\r\nabc").is_err());
    }

    #[test]
    fn form_values_are_encoded() {
        assert_eq!(percent_encoded("a = 'é'"), "a%20%3D%20%27%C3%A9%27");
    }
}
