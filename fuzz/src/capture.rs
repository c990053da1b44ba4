//! Capture files and records of the BPF ring.
//!
//! In: bytes of a file, or of a record. Properties: frames lie within what the file claims and
//! has, reading in small pieces gives the same frames as reading at once, an error is the end.

use std::io::Read;

use source::bpf::event::Event;
use source::replay::Capture;
use wire::LinkType;

/// A frame as the reader gave it.
#[derive(Debug, PartialEq)]
struct Frame {
    time_ns: u64,
    interface: u32,
    link_type: u32,
    wire_bytes: u32,
    bytes: Vec<u8>,
}

/// Gives so many bytes at a time.
struct Dribble<'a> {
    rest: &'a [u8],
    bytes: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.min(buffer.len()).min(self.rest.len());
        let (head, tail) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(head);
        self.rest = tail;
        Ok(count)
    }
}

/// A whole capture file.
pub(crate) fn run(data: &[u8]) {
    let (frames, error) = read(data);
    let captured: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
    assert!(captured <= data.len(), "more was captured than there is");
    for frame in &frames {
        assert!(frame.wire_bytes as usize >= frame.bytes.len());
        assert!(LinkType::from_pcap(frame.link_type).is_some(), "a link type nobody asked for");
    }
    let bytes = 1 + data.first().map_or(0, |first| usize::from(*first) % 61);
    let (again, same_error) = read(Dribble { rest: data, bytes });
    assert_eq!((frames, error), (again, same_error), "in pieces of {bytes} bytes");
}

fn read(input: impl Read) -> (Vec<Frame>, Option<String>) {
    let mut frames = Vec::new();
    let mut capture = match Capture::new(input, LinkType::PCAP) {
        Ok(capture) => capture,
        Err(error) => return (frames, Some(error.to_string())),
    };
    loop {
        match capture.next() {
            Ok(Some(frame)) => frames.push(Frame {
                time_ns: frame.time_ns,
                interface: frame.interface,
                link_type: frame.link_type,
                wire_bytes: frame.wire_bytes,
                bytes: frame.bytes.to_vec(),
            }),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error.to_string())),
        }
    }
}

/// A record of the BPF ring.
pub(crate) fn run_event(data: &[u8]) {
    let stamp_ns = Event::mono_ns(data);
    let Some(event) = Event::decode(data, -5) else { return };
    let caller = event.caller();
    assert_eq!(stamp_ns, Some(caller.mono_ns));
    assert!(caller.comm.as_str().len() <= caller.comm.as_bytes().len().max(48));
    if let Event::Data(data_event) = event {
        assert!(data_event.payload.len() <= data.len());
        assert!(data_event.wire_bytes() as usize >= data_event.payload.len());
    }
}
