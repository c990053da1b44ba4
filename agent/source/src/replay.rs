//! Capture files: pcap (µs and ns) and pcapng, in both byte orders.
//!
//! In: any byte stream. Out: one borrowed frame after the other, with the clock of the capture;
//! after damage the frames before it have come out, then the error that says where and what.
//! Never: more memory than one record, trust in a length, a look into the frames.

mod pcap;
mod pcapng;
mod reader;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use thiserror::Error;

use self::pcap::{Dialect, Pcap};
use self::pcapng::Pcapng;
use self::reader::Reader;

/// Bytes of a record above which a file is called damaged. The largest packets of Linux (BIG TCP)
/// have 512 KiB.
pub const MAX_RECORD_BYTES: u32 = 1 << 20;

/// Link types that the caller can read: number in capture files and name.
pub type LinkTypes = &'static [(u32, &'static str)];

/// Why a capture file ended before its end.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file could not be read.
    #[error("reading the capture at byte {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file has no bytes.
    #[error("the capture is empty: not even a header")]
    Empty,
    /// Not a capture file.
    #[error("not a pcap or pcapng capture: it starts with {magic:02x?}{hint}")]
    Foreign {
        /// The first bytes, up to four.
        magic: [u8; 4],
        /// What it may be.
        hint: &'static str,
    },
    /// The file ends inside a record or header.
    #[error("the capture is cut off at byte {offset}, inside {what}")]
    Truncated {
        /// Length of what there is.
        offset: u64,
        /// What was begun.
        what: &'static str,
    },
    /// A length or number that cannot be.
    #[error("the capture is damaged at byte {offset}: {what} is {value}")]
    Damaged {
        /// Where the record begins.
        offset: u64,
        /// Which field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// The frames are of a kind that is not read.
    #[error("link type {number} cannot be read; those that can: {}", names(readable))]
    LinkType {
        /// LINKTYPE_ value.
        number: u32,
        /// What can be read.
        readable: LinkTypes,
    },
}

/// One captured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapturedFrame<'a> {
    /// When it was captured. unit ns since the Unix epoch, clock: the capture's
    pub time_ns: u64,
    /// Interface of the capture, from 0; pcap has only one.
    pub interface: u32,
    /// LINKTYPE_ value; one of those given to [`Capture::new`].
    pub link_type: u32,
    /// Length on the wire, at least `bytes.len()`.
    pub wire_bytes: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
}

/// A capture file being read.
#[derive(Debug)]
pub struct Capture<R> {
    reader: Reader<R>,
    format: Format,
    links: LinkTypes,
}

#[derive(Debug)]
enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl Capture<File> {
    /// Opens a file and reads its header.
    pub fn open(path: &Path, links: LinkTypes) -> Result<Self, ReplayError> {
        let file = File::open(path).map_err(|source| ReplayError::Io { offset: 0, source })?;
        Self::new(file, links)
    }
}

impl<R: Read> Capture<R> {
    /// Reads the header of a capture; no buffering of the caller's is needed.
    pub fn new(input: R, links: LinkTypes) -> Result<Self, ReplayError> {
        let mut reader = Reader::new(input);
        let magic = reader.magic()?;
        let format = match magic {
            pcapng::MAGIC => Format::Pcapng(Pcapng::open(&mut reader)?),
            _ => match Dialect::of(magic) {
                Some(dialect) => Format::Pcap(Pcap::open(&mut reader, dialect, links)?),
                None => return Err(ReplayError::Foreign { magic, hint: hint(magic) }),
            },
        };
        Ok(Self { reader, format, links })
    }

    /// The next frame, `None` at the end. After an error there is nothing more.
    #[expect(clippy::should_implement_trait, reason = "the frame borrows the capture")]
    pub fn next(&mut self) -> Result<Option<CapturedFrame<'_>>, ReplayError> {
        match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.reader),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.reader, self.links),
        }
    }
}

/// Whether `number` is readable.
fn check_link(number: u32, links: LinkTypes) -> Result<(), ReplayError> {
    if links.iter().any(|(readable, _)| *readable == number) {
        Ok(())
    } else {
        Err(ReplayError::LinkType { number, readable: links })
    }
}

fn names(links: LinkTypes) -> String {
    links.iter().map(|(number, name)| format!("{name} ({number})")).collect::<Vec<_>>().join(", ")
}

fn hint(magic: [u8; 4]) -> &'static str {
    match magic {
        [0x1f, 0x8b, ..] => " (gzip: unpack it first)",
        [0x28, 0xb5, 0x2f, 0xfd] => " (zstd: unpack it first)",
        [b's', b'n', b'o', b'o'] => " (a snoop capture: convert it with editcap)",
        _ => "",
    }
}
