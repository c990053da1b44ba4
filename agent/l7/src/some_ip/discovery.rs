//! Entries of SOME/IP service discovery.
//!
//! ```text
//! payload := flags: u8  reserved: u24  entries_bytes: u32  *entry  options_bytes: u32  *option
//! entry   := kind: u8  index: 2 × u8  counts: u8  service: u16  instance: u16
//!            major: u8  ttl: u24  minor: u32 | (counter: u16  eventgroup: u16)
//! ```

use schema::Text;

use crate::bytes::Reader;

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub kind: EntryKind,
    pub service: u16,
    pub instance: u16,
    /// Of subscriptions and their acknowledgements.
    pub eventgroup: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Find,
    Offer,
    StopOffer,
    Subscribe,
    StopSubscribe,
    Acknowledge,
    Refuse,
}

impl EntryKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Find => "FindService",
            Self::Offer => "OfferService",
            Self::StopOffer => "StopOfferService",
            Self::Subscribe => "SubscribeEventgroup",
            Self::StopSubscribe => "StopSubscribeEventgroup",
            Self::Acknowledge => "SubscribeEventgroupAck",
            Self::Refuse => "SubscribeEventgroupNack",
        }
    }
}

const ENTRY_BYTES: usize = 16;

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8()?;
        reader.take(3)?;
        let (service, instance) = (reader.u16_be()?, reader.u16_be()?);
        let is_stop = reader.u32_be()? & 0xff_ffff == 0;
        reader.take(2)?;
        let eventgroup = reader.u16_be()?;
        let kind = match (kind, is_stop) {
            (0, _) => EntryKind::Find,
            (1, false) => EntryKind::Offer,
            (1, true) => EntryKind::StopOffer,
            (6, false) => EntryKind::Subscribe,
            (6, true) => EntryKind::StopSubscribe,
            (7, false) => EntryKind::Acknowledge,
            (7, true) => EntryKind::Refuse,
            _ => return None,
        };
        Some(Self { kind, service, instance, eventgroup })
    }

    /// Of what a subscription and its acknowledgement are paired by. Service 0xffff offers
    /// nothing, so that no call has such a key.
    pub fn key(&self) -> u64 {
        let lower = u64::from(self.service) << 32
            | u64::from(self.instance) << 16
            | u64::from(self.eventgroup);
        0xffff << 48 | lower
    }

    /// Adds it to a list, unless that is longer than `limit`.
    pub fn show(&self, list: &mut Text, limit: usize) {
        if list.len() > limit {
            return;
        }
        if !list.is_empty() {
            list.push(' ');
        }
        let (kind, service, instance) = (self.kind.name(), self.service, self.instance);
        list.push_str(&compact_str::format_compact!("{kind}:{service}.{instance}"));
    }
}

/// Entries of a payload, as far as they were captured.
pub(crate) fn entries(payload: &[u8]) -> impl Iterator<Item = Entry> + use<'_> {
    let mut reader = Reader::new(payload);
    let bytes = reader.take(4).and_then(|_| reader.u32_be()).unwrap_or(0);
    let bytes = reader.take_up_to(bytes as usize);
    bytes.chunks_exact(ENTRY_BYTES).filter_map(Entry::read)
}
