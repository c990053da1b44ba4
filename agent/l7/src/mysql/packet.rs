//! Packets, and the two packets of a login.
//!
//! In: bytes from the start of a packet. Out: as much of its body as a record needs.

use schema::Text;

use crate::bytes::{self, Reader};
use crate::protocol::{Input, Step};

/// Header: length and number.
pub(crate) const HEADER_BYTES: usize = 4;

/// A packet of this length goes on in the next.
pub(crate) const PACKET_BYTES_MAX: usize = 0xff_ffff;

pub(crate) const CLIENT_CONNECT_WITH_DB: u32 = 1 << 3;
pub(crate) const CLIENT_COMPRESS: u32 = 1 << 5;
pub(crate) const CLIENT_PROTOCOL_41: u32 = 1 << 9;
pub(crate) const CLIENT_SSL: u32 = 1 << 11;
pub(crate) const CLIENT_SECURE_CONNECTION: u32 = 1 << 15;
pub(crate) const CLIENT_PLUGIN_AUTH_LENENC: u32 = 1 << 21;
pub(crate) const CLIENT_ZSTD: u32 = 1 << 26;

/// A packet of which the first bytes of the body are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub seq: u8,
    /// As much as a record needs, or as was captured.
    pub body: &'a [u8],
    /// Its whole length.
    pub body_bytes: usize,
}

impl Packet<'_> {
    /// Whether all of the body is there.
    pub fn is_whole(&self) -> bool {
        self.body.len() == self.body_bytes
    }

    /// `EOF_Packet` of the protocol without CLIENT_DEPRECATE_EOF.
    pub fn is_eof(&self) -> bool {
        self.body_bytes == 5 && self.body.first() == Some(&0xfe)
    }
}

/// Length and number of the packet that starts here.
pub(crate) fn header(bytes: &[u8]) -> Option<(usize, u8)> {
    let mut reader = Reader::new(bytes);
    Some((reader.u24_le()? as usize, reader.u8()?))
}

/// Cuts a packet; of a long one, the start.
pub(crate) fn cut(input: Input<'_>) -> Step<Packet<'_>> {
    let Some((body_bytes, seq)) = header(input.bytes) else { return Step::Need(HEADER_BYTES) };
    let body = &input.bytes[HEADER_BYTES..];
    let wanted = body_bytes.min(input.text_bytes + 512);
    if body.len() < wanted && !input.cut {
        return Step::Need(HEADER_BYTES + wanted);
    }
    if body.is_empty() && body_bytes > 0 {
        return Step::Need(HEADER_BYTES + 1);
    }
    let body = &body[..wanted.min(body.len())];
    let frame = Packet { seq, body, body_bytes };
    Step::Frame { frame, used: (HEADER_BYTES + body_bytes) as u64 }
}

/// An integer of length-encoded form; `None` also for NULL (0xfb).
pub(crate) fn length_encoded(reader: &mut Reader<'_>) -> Option<u64> {
    match reader.u8()? {
        byte @ ..=0xfa => Some(u64::from(byte)),
        0xfc => reader.u16_le().map(u64::from),
        0xfd => reader.u24_le().map(u64::from),
        0xfe => reader.u64_le(),
        _ => None,
    }
}

/// The server's version in a greeting (`HandshakeV10`).
pub(crate) fn greeting_version(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    if reader.u8()? != 10 {
        return None;
    }
    let version = reader.until_nul()?;
    let is_text = version.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    let _thread = reader.u32_le()?;
    let _scramble = reader.take(8)?;
    (is_text && !version.is_empty() && reader.u8()? == 0).then_some(version)
}

/// The capabilities in a client's answer (`HandshakeResponse41`, `SSLRequest`).
pub(crate) fn capabilities(body: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(body);
    let capabilities = reader.u32_le()?;
    let _packet_bytes = reader.u32_le()?;
    let _charset = reader.u8()?;
    // MariaDB puts further capabilities into the last four of these.
    let filler = reader.take(23)?;
    let is_filler = filler[..19].iter().all(|byte| *byte == 0);
    (is_filler && capabilities & CLIENT_PROTOCOL_41 != 0).then_some(capabilities)
}

/// Who logs in where.
pub(crate) fn login_text(body: &[u8], capabilities: u32) -> Text {
    let mut reader = Reader::new(body.get(32..).unwrap_or(&[]));
    let mut text = Text::const_new("Login username: ");
    let Some(user) = reader.until_nul() else { return text };
    text.push_str(&bytes::text(user, 256));
    let secret = if capabilities & CLIENT_PLUGIN_AUTH_LENENC != 0 {
        length_encoded(&mut reader).and_then(|bytes| reader.take(bytes as usize))
    } else if capabilities & CLIENT_SECURE_CONNECTION != 0 {
        reader.u8().and_then(|bytes| reader.take(usize::from(bytes)))
    } else {
        reader.until_nul()
    };
    if secret.is_some()
        && capabilities & CLIENT_CONNECT_WITH_DB != 0
        && let Some(database) = reader.until_nul().filter(|name| !name.is_empty())
    {
        text.push_str(" db: ");
        text.push_str(&bytes::text(database, 256));
    }
    text
}
