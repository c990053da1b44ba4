//! Properties of messages, and messages as a broker stores and delivers them.
//!
//! ```text
//! properties := (name 0x01 value 0x02)*
//! stored     := size: i32  magic: i32  crc: i32  queue: i32  flag: i32  offset: i64
//!               position: i64  sys_flag: i32  born: i64 host  stored: i64 host  times: i32
//!               transaction: i64  body_len: i32 body  topic_len topic  len: i16 properties
//! host       := 4 or, by sys_flag, 16 bytes of address, then port: i32
//! topic_len  := u8, or i16 by the magic
//! ```
//! org.apache.rocketmq.common.message.MessageDecoder.

use crate::bytes::Reader;

const MAGIC: u32 = 0xdaa3_20a7;
const MAGIC_V2: u32 = 0xdaa3_20ab;

/// The address of a producer has 16 bytes.
const BORN_V6: u32 = 1 << 4;

/// The address of a broker has 16 bytes.
const STORED_V6: u32 = 1 << 5;

/// Calls `take` with name and value of each property.
pub(crate) fn properties(all: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) {
    let mut rest = all;
    while let Some(end) = memchr::memchr(1, rest) {
        let (name, value) = (&rest[..end], &rest[end + 1..]);
        let end = memchr::memchr(2, value).unwrap_or(value.len());
        take(name, &value[..end]);
        rest = value.get(end + 1..).unwrap_or_default();
    }
}

/// Properties of the first message of a body that holds stored messages.
pub(crate) fn first_properties(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    reader.take(4)?;
    let magic = reader.u32_be()?;
    if magic != MAGIC && magic != MAGIC_V2 {
        return None;
    }
    reader.take(4 + 4 + 4 + 8 + 8)?;
    let sys_flag = reader.u32_be()?;
    let host_bytes = |flag: u32| if sys_flag & flag == 0 { 4 + 4 } else { 16 + 4 };
    reader.take(8 + host_bytes(BORN_V6) + 8 + host_bytes(STORED_V6) + 4 + 8)?;
    let body_bytes = reader.u32_be()?;
    reader.take(body_bytes as usize)?;
    let topic_bytes = match magic {
        MAGIC => usize::from(reader.u8()?),
        _ => usize::from(reader.u16_be()?),
    };
    reader.take(topic_bytes)?;
    let length = reader.u16_be()?;
    reader.take(usize::from(length))
}
