//! `deepflow-agent replay` of a capture that is made here: no kernel is asked, the program alone.
//!
//! In: one connection with one request, as frames. Out: whether the agent prints its one row, with
//! these values. Never: a capture of a real host.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::agent::AGENT;

const FILE: &str = "/tmp/replay.pcap";
const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 40_000);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 80);
const REQUEST: &[u8] = b"GET /replayed HTTP/1.1\r\nHost: capture\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
/// Seconds since 1970 of the first frame; they are a millisecond apart.
const BEGIN_S: u32 = 1_700_000_000;
const APART_US: u32 = 1000;
/// Flags of TCP (RFC 9293 §3.1).
const FIN: u8 = 1;
const SYN: u8 = 2;
const PUSH: u8 = 8;
const ACK: u8 = 16;

/// The row is there, once, and says what was sent and when.
pub fn run() -> Result<()> {
    std::fs::write(FILE, capture())?;
    let output = Command::new(AGENT).args(["replay", FILE]).output().context(AGENT)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "replay ended with {}: {}", output.status, said.trim());
    let text = String::from_utf8(output.stdout).context("not UTF-8")?;
    let rows: Vec<&str> = text.lines().collect();
    let [row] = rows.as_slice() else { anyhow::bail!("{} rows, not 1", rows.len()) };
    let row: Value = serde_json::from_str(row).context("a row is no JSON")?;
    let first_us = u64::from(BEGIN_S) * 1_000_000;
    for (column, wanted) in [
        ("l7_protocol", json!("HTTP")),
        ("request_type", json!("GET")),
        ("request_domain", json!("capture")),
        ("request_resource", json!("/replayed")),
        ("response_code", json!(404)),
        ("client_port", json!(CLIENT.1)),
        ("server_port", json!(SERVER.1)),
        ("ip4_0", json!("10.0.0.1")),
        // Request and response are the fourth and the fifth frame.
        ("start_time", json!(first_us + u64::from(3 * APART_US))),
        ("response_duration", json!(APART_US)),
    ] {
        ensure!(row[column] == wanted, "{column} is {}, not {wanted}", row[column]);
    }
    Ok(())
}

/// A file of libpcap with Ethernet frames: handshake, request, response, end.
fn capture() -> Vec<u8> {
    let (asked, told) = (101 + REQUEST.len() as u32, 501 + RESPONSE.len() as u32);
    let frames = [
        frame(CLIENT, SERVER, (100, 0), SYN, b""),
        frame(SERVER, CLIENT, (500, 101), SYN | ACK, b""),
        frame(CLIENT, SERVER, (101, 501), ACK, b""),
        frame(CLIENT, SERVER, (101, 501), PUSH | ACK, REQUEST),
        frame(SERVER, CLIENT, (501, asked), PUSH | ACK, RESPONSE),
        frame(CLIENT, SERVER, (asked, told), FIN | ACK, b""),
        frame(SERVER, CLIENT, (told, asked + 1), FIN | ACK, b""),
        frame(CLIENT, SERVER, (asked + 1, told + 1), ACK, b""),
    ];
    let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1_u32];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    for (at, frame) in (0..).zip(frames) {
        let bytes = frame.len() as u32;
        for word in [BEGIN_S, at * APART_US, bytes, bytes] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// An Ethernet frame with IPv4 and TCP.
fn frame(
    from: ([u8; 4], u16),
    to: ([u8; 4], u16),
    (sequence, acknowledged): (u32, u32),
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut tcp = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    tcp.extend([sequence.to_be_bytes(), acknowledged.to_be_bytes()].concat());
    tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(payload);
    let bytes = tcp.len() as u16;
    let above = [&from.0[..], &to.0, &[0, 6], &bytes.to_be_bytes()].concat();
    let sum = checksum(&[above, tcp.clone()].concat());
    tcp[16..18].copy_from_slice(&sum);
    let mut ip = vec![0x45, 0];
    ip.extend((20 + bytes).to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    ip.extend([from.0, to.0].concat());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let ends = [[2, 0, 0, 0, 0, to.0[3]], [2, 0, 0, 0, 0, from.0[3]]].concat();
    [ends, vec![8, 0], ip, tcp].concat()
}

/// The Internet's (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!sum as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_its_checksum_sums_to_zero() {
        let frame = frame(CLIENT, SERVER, (100, 0), SYN, b"");
        assert_eq!(checksum(&frame[14..34]), [0, 0]);
        assert_eq!(frame.len(), 54);
    }
}
