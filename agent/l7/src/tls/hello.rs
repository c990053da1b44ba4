//! ClientHello and ServerHello (RFC 8446 section 4.1): who is asked for, what is offered and what
//! was chosen.
//!
//! In: bodies of these messages, perhaps cut off. Out: a request's record, a response's fields.

use schema::Text;

use crate::bytes::{self, Reader};
use crate::record::Record;
use crate::session::Response;
use crate::tls::cipher;

pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;
pub(crate) const CERTIFICATE: u8 = 11;

pub(crate) const TLS_13: u16 = 0x0304;

mod extension {
    pub const SERVER_NAME: u16 = 0;
    pub const ALPN: u16 = 16;
    pub const PRE_SHARED_KEY: u16 = 41;
    pub const SUPPORTED_VERSIONS: u16 = 43;
}

/// Random of a ServerHello that asks for another ClientHello (RFC 8446 section 4.1.3).
const RETRY_RANDOM_START: [u8; 8] = [0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11];

/// Name of a version.
pub(crate) fn version_name(version: u16) -> Option<&'static str> {
    Some(match version {
        0x0300 => "SSL 3.0",
        0x0301 => "1.0",
        0x0302 => "1.1",
        0x0303 => "1.2",
        TLS_13 => "1.3",
        _ => return None,
    })
}

/// Extensions in their order, as far as there are bytes.
struct Extensions<'a> {
    rest: Reader<'a>,
}

impl<'a> Extensions<'a> {
    /// After their length, which may be missing where there are none.
    fn read(mut reader: Reader<'a>) -> Self {
        let length = usize::from(reader.u16_be().unwrap_or(0));
        Self { rest: Reader::new(reader.take_up_to(length)) }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u16, Reader<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.rest.u16_be()?;
        let length = usize::from(self.rest.u16_be()?);
        Some((kind, Reader::new(self.rest.take_up_to(length))))
    }
}

/// Writes a ClientHello of `length` bytes, of which `body` is there, into a request's record.
pub(crate) fn request(body: &[u8], length: usize, mut record: Box<Record>) -> Box<Record> {
    record.request_type = Text::const_new("ClientHello");
    record.request_bytes = Some(length as i64);
    // Of one that was cut off less is known.
    let _read = describe_request(body, &mut record);
    record
}

fn describe_request(body: &[u8], record: &mut Record) -> Option<()> {
    let mut reader = Reader::new(body);
    let version = reader.u16_be()?;
    let _random = reader.take(32)?;
    let session_bytes = reader.u8()?;
    reader.take(usize::from(session_bytes))?;
    let ciphers_bytes = reader.u16_be()?;
    reader.take(usize::from(ciphers_bytes))?;
    let methods = reader.u8()?;
    reader.take(usize::from(methods))?;
    let mut offered = version_name(version).map(Text::const_new).unwrap_or_default();
    let mut protocols = Text::default();
    for (kind, content) in Extensions::read(reader) {
        match kind {
            extension::SERVER_NAME => {
                record.request_domain = server_name(content).unwrap_or_default();
                record.request_resource = record.request_domain.clone();
            }
            extension::ALPN => protocols = alpn(content),
            extension::SUPPORTED_VERSIONS => offered = versions(content).unwrap_or(offered),
            _ => {}
        }
    }
    record.attributes.push((Text::const_new("client_versions"), offered));
    if !protocols.is_empty() {
        record.attributes.push((Text::const_new("client_alpn"), protocols));
    }
    Some(())
}

/// `list_length: u16  *(kind: u8  length: u16  name)`: the first host name.
fn server_name(mut content: Reader<'_>) -> Option<Text> {
    let _list_bytes = content.u16_be()?;
    loop {
        let (kind, length) = (content.u8()?, content.u16_be()?);
        let name = content.take(usize::from(length))?;
        if kind == 0 {
            return Some(bytes::text(name, 255));
        }
    }
}

/// `list_length: u16  *(length: u8  name)`, joined by commas.
fn alpn(mut content: Reader<'_>) -> Text {
    let mut names = Text::default();
    let list_bytes = usize::from(content.u16_be().unwrap_or(0));
    let mut list = Reader::new(content.take_up_to(list_bytes));
    while let Some(name) = list.u8().and_then(|length| list.take(usize::from(length)))
        && names.len() < 256
    {
        if !names.is_empty() {
            names.push(',');
        }
        // A value of no meaning (RFC 8701), or one that is no text.
        match name.iter().all(u8::is_ascii_graphic) {
            true => names.push_str(&bytes::text(name, 64)),
            false => names.push('?'),
        }
    }
    names
}

/// `list_length: u8  *version: u16`, joined by commas; values of no meaning are left out.
fn versions(mut content: Reader<'_>) -> Option<Text> {
    let length = content.u8()?;
    let mut list = Reader::new(content.take_up_to(usize::from(length)));
    let mut names = Text::default();
    while let Some(version) = list.u16_be() {
        let Some(name) = version_name(version) else { continue };
        if !names.is_empty() {
            names.push(',');
        }
        names.push_str(name);
    }
    (!names.is_empty()).then_some(names)
}

/// What a server chose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerHello<'a> {
    pub version: u16,
    random: &'a [u8],
    cipher: u16,
    /// The protocol inside; of 1.3 it is encrypted.
    alpn: Option<&'a [u8]>,
    resumed: bool,
}

impl<'a> ServerHello<'a> {
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16_be()?;
        let random = reader.take(32)?;
        let session_bytes = reader.u8()?;
        reader.take(usize::from(session_bytes))?;
        let cipher = reader.u16_be()?;
        let _method = reader.u8()?;
        let mut hello = Self { version, random, cipher, alpn: None, resumed: false };
        for (kind, mut content) in Extensions::read(reader) {
            match kind {
                extension::SUPPORTED_VERSIONS => {
                    hello.version = content.u16_be().unwrap_or(version);
                }
                extension::PRE_SHARED_KEY => hello.resumed = true,
                extension::ALPN => {
                    let _list_bytes = content.u16_be();
                    hello.alpn = content.u8().and_then(|length| content.take(usize::from(length)));
                }
                _ => {}
            }
        }
        Some(hello)
    }

    /// Whether the client is asked to start anew.
    pub fn is_retry(&self) -> bool {
        self.random.starts_with(&RETRY_RANDOM_START)
    }

    /// Writes what was chosen into a response.
    pub fn describe(&self, response: &mut Response) {
        if let Some(name) = version_name(self.version) {
            response.version = Text::const_new(name);
        }
        let attributes = &mut response.attributes;
        attributes.push((Text::const_new("cipher_suite"), cipher::name(self.cipher)));
        if let Some(alpn) = self.alpn {
            attributes.push((Text::const_new("alpn"), bytes::text(alpn, 64)));
        }
        if self.resumed {
            note_resumption(response);
        }
    }
}

/// The session goes on from an earlier one, without certificates.
pub(crate) fn note_resumption(response: &mut Response) {
    let resumed = (Text::const_new("session_resumed"), Text::const_new("true"));
    response.attributes.push(resumed);
}
