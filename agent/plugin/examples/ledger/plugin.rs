//! A plug-in for an imaginary protocol, to start one's own from: docs/plugins.md.
//!
//! ```text
//! message  := "LDG1" kind: u8  id: u16 be  length: u16 be  body: length
//! kind     := 1 request | 2 response | 3 notice, which has no response
//! body     := of a request: verb SP account [SP traceparent]      of a notice: account
//!             of a response: code: u16 be  text
//! ```
//! In: bytes that the agent puts into `BUFFER`. Out: messages, by calls of `deepflow`. Never: an
//! allocation, a panic, a loop without an end: the agent would count a fault.

#![no_std]
#![cfg(target_arch = "wasm32")]

use core::ptr::addr_of_mut;

// Functions of the agent.
#[link(wasm_import_module = "deepflow")]
unsafe extern "C" {
    safe fn message(kind: i32, key: i64) -> i32;
    safe fn text(column: i32, at: *const u8, length: usize) -> i32;
    safe fn number(column: i32, value: i64) -> i32;
    safe fn attribute(name: *const u8, name_length: usize, at: *const u8, length: usize) -> i32;
}

const MAGIC: &[u8] = b"LDG1";
const HEADER_BYTES: usize = 9;
const BUFFER_BYTES: usize = 64 << 10;

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const NOTICE: u8 = 3;

/// Columns, by the numbers of docs/plugins.md.
mod column {
    pub const REQUEST_TYPE: i32 = 1;
    pub const REQUEST_RESOURCE: i32 = 3;
    pub const ENDPOINT: i32 = 4;
    pub const EXCEPTION: i32 = 6;
    pub const TRACE_ID: i32 = 8;
    pub const REQUEST_ID: i32 = 1;
    pub const RESPONSE_CODE: i32 = 2;
    pub const STATUS: i32 = 3;
    pub const BYTES: i32 = 4;
}

const OK: i64 = 0;
const SERVER_ERROR: i64 = 3;
const CLIENT_ERROR: i64 = 4;

static NAME: &[u8] = b"Ledger";
static mut BUFFER: [u8; BUFFER_BYTES] = [0; BUFFER_BYTES];

/// Version of the interface.
#[unsafe(no_mangle)]
pub extern "C" fn deepflow_abi_version() -> i32 {
    1
}

/// What the protocol is called: address and length.
#[unsafe(no_mangle)]
pub extern "C" fn deepflow_name() -> i64 {
    (NAME.as_ptr() as i64) << 32 | NAME.len() as i64
}

/// Where the agent is to put bytes: it never asks for more than it is configured to show.
#[unsafe(no_mangle)]
pub extern "C" fn deepflow_buffer(_length: i32) -> *mut u8 {
    addr_of_mut!(BUFFER).cast()
}

/// Whether the first bytes of a direction are this protocol: 0 no, 1 certainly, 3 too short.
#[unsafe(no_mangle)]
pub extern "C" fn deepflow_probe(
    _direction: i32,
    _transport: i32,
    _port: i32,
    at: *const u8,
    length: usize,
) -> i32 {
    let first = shown(at, length);
    let common = first.len().min(MAGIC.len());
    if first[..common] != MAGIC[..common] {
        return 0;
    }
    match first.get(4) {
        None => 3,
        Some(&(REQUEST | RESPONSE | NOTICE)) => 1,
        Some(_) => 0,
    }
}

/// Reads one message: its length; below 0, how many bytes are needed; 0 if it is none.
#[unsafe(no_mangle)]
pub extern "C" fn deepflow_parse(
    _conversation: i64,
    _direction: i32,
    at: *const u8,
    length: usize,
    flags: i32,
) -> i64 {
    let bytes = shown(at, length);
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return -(HEADER_BYTES as i64);
    };
    if header[..4] != *MAGIC {
        return 0;
    }
    let id = i64::from(u16::from_be_bytes([header[5], header[6]]));
    let body_bytes = usize::from(u16::from_be_bytes([header[7], header[8]]));
    let total = HEADER_BYTES + body_bytes;
    let is_cut = flags & 1 != 0;
    if bytes.len() < total && !is_cut {
        return -(total as i64);
    }
    let body = &rest[..rest.len().min(body_bytes)];
    match header[4] {
        REQUEST => request(id, body, total),
        RESPONSE => response(id, body, total),
        NOTICE => {
            message(2, -1);
            set(column::REQUEST_TYPE, b"notice");
            set(column::REQUEST_RESOURCE, body);
            number(column::BYTES, total as i64);
        }
        _ => return 0,
    }
    total as i64
}

fn request(id: i64, body: &[u8], total: usize) {
    let mut words = body.split(|byte| *byte == b' ');
    message(0, id);
    number(column::REQUEST_ID, id);
    number(column::BYTES, total as i64);
    set(column::REQUEST_TYPE, words.next().unwrap_or_default());
    let account = words.next().unwrap_or_default();
    set(column::REQUEST_RESOURCE, account);
    // `EUR.1234`: the currency does not vary.
    set(column::ENDPOINT, account.split(|byte| *byte == b'.').next().unwrap_or_default());
    // `00-` trace id `-` span id `-` flags.
    if let Some(trace) = words.next().and_then(|parent| parent.get(3..35)) {
        set(column::TRACE_ID, trace);
    }
    attribute(b"ledger.version".as_ptr(), 14, b"1".as_ptr(), 1);
}

fn response(id: i64, body: &[u8], total: usize) {
    message(1, id);
    number(column::BYTES, total as i64);
    let Some((code, text)) = body.split_first_chunk::<2>() else { return };
    let code = u16::from_be_bytes(*code);
    number(column::RESPONSE_CODE, code.into());
    let status = match code {
        0 => OK,
        1..500 => CLIENT_ERROR,
        _ => SERVER_ERROR,
    };
    number(column::STATUS, status);
    if code != 0 {
        set(column::EXCEPTION, text);
    }
}

fn set(column: i32, value: &[u8]) {
    text(column, value.as_ptr(), value.len());
}

/// The bytes that the agent put into `BUFFER`.
fn shown<'a>(at: *const u8, length: usize) -> &'a [u8] {
    // SAFETY: the agent wrote `length` bytes at `at`, which `deepflow_buffer` gave it, and writes
    // no others before this call returns.
    unsafe { core::slice::from_raw_parts(at, length.min(BUFFER_BYTES)) }
}

/// Nothing here panics; the compiler wants to know what would happen.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
