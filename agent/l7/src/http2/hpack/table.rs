//! The dynamic table of one direction (RFC 7541 §2.3.2, §4).
//!
//! In: fields to remember. Out: fields by index, the newest first. The bytes of all entries lie
//! in one run that is moved to its front now and then. A table whose start was not seen, or of
//! which entries were missed, holds those that came since: what lies beyond them is not known.
//! Never: more than 64 KiB of entries, an allocation for each of them.

use std::collections::VecDeque;

/// Entries of one direction.
#[derive(Debug)]
pub(crate) struct Table {
    /// Names and values of the entries, after some bytes of entries that are gone.
    bytes: Vec<u8>,
    /// Position of `bytes[0]` among all bytes that ever were in it.
    base: u32,
    /// The newest first.
    entries: VecDeque<Entry>,
    /// As RFC 7541 §4.1 counts. unit byte
    size: usize,
    /// Most of it. unit byte
    limit: usize,
    /// Every entry of the encoder is here.
    is_complete: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Position among all bytes that ever were.
    at: u32,
    name_bytes: u32,
    value_bytes: u32,
}

/// What is remembered of a field: each part may lie in the table already.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    /// Given with the field.
    Text(&'a [u8]),
    /// That of the entry with this place, 0 being the newest.
    Entry(usize),
}

/// Most that a table holds, whatever its ends agree on. unit byte
pub(crate) const TABLE_BYTES: usize = 64 << 10;

/// Limit at the start of a connection (RFC 9113 §6.5.2). unit byte
const FIRST_LIMIT: usize = 4096;

/// What an entry counts beside its texts (RFC 7541 §4.1). unit byte
const ENTRY_BYTES: usize = 32;

impl Default for Table {
    /// A table of which nothing is known.
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            base: 0,
            entries: VecDeque::new(),
            size: 0,
            limit: TABLE_BYTES,
            is_complete: false,
        }
    }
}

impl Table {
    /// The connection starts here, with an empty table.
    pub fn start(&mut self) {
        *self = Self { limit: FIRST_LIMIT, is_complete: true, ..Self::default() };
    }

    /// Fields were missed: those that came before are at places that nobody knows.
    pub fn forget(&mut self) {
        self.clear();
        self.is_complete = false;
    }

    /// Name and value at a place, 0 being the newest; an empty name is one that is not known.
    pub fn get(&self, place: usize) -> Option<(&[u8], &[u8])> {
        let entry = self.entries.get(place)?;
        let start = entry.at.wrapping_sub(self.base) as usize;
        let value = start + entry.name_bytes as usize;
        let name = self.bytes.get(start..value)?;
        Some((name, self.bytes.get(value..value + entry.value_bytes as usize)?))
    }

    /// Whether an entry at a place that `get` does not know may exist.
    pub fn may_have(&self, place: usize) -> bool {
        !self.is_complete && place < TABLE_BYTES / ENTRY_BYTES
    }

    /// Adds a field; the oldest ones go.
    pub fn insert(&mut self, name: Name<'_>, value: &[u8]) {
        let at = self.base.wrapping_add(self.bytes.len() as u32);
        let name_bytes = match name {
            Name::Text(text) => {
                self.bytes.extend_from_slice(text);
                text.len()
            }
            Name::Entry(place) => match self.entries.get(place).copied() {
                Some(entry) => {
                    let start = entry.at.wrapping_sub(self.base) as usize;
                    self.bytes.extend_from_within(start..start + entry.name_bytes as usize);
                    entry.name_bytes as usize
                }
                None => 0,
            },
        };
        self.bytes.extend_from_slice(value);
        self.size += name_bytes + value.len() + ENTRY_BYTES;
        let (name_bytes, value_bytes) = (name_bytes as u32, value.len() as u32);
        self.entries.push_front(Entry { at, name_bytes, value_bytes });
        self.evict();
    }

    /// The encoder announced another limit (§6.3).
    pub fn resize(&mut self, bytes: u64) {
        self.limit = usize::try_from(bytes).unwrap_or(TABLE_BYTES).min(TABLE_BYTES);
        if bytes == 0 {
            self.is_complete = true;
        } else if bytes > TABLE_BYTES as u64 {
            // The encoder keeps entries that are let go here.
            self.is_complete = false;
        }
        self.evict();
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn evict(&mut self) {
        while self.size > self.limit {
            let Some(entry) = self.entries.pop_back() else { break };
            self.size -= (entry.name_bytes + entry.value_bytes) as usize + ENTRY_BYTES;
        }
        let Some(oldest) = self.entries.back() else {
            self.clear();
            return;
        };
        let gone = oldest.at.wrapping_sub(self.base) as usize;
        if gone > 512 && gone * 2 > self.bytes.len() {
            self.bytes.drain(..gone);
            self.base = self.base.wrapping_add(gone as u32);
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.bytes.shrink_to(FIRST_LIMIT);
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(table: &Table) -> Vec<String> {
        let mut names = Vec::new();
        while let Some((name, value)) = table.get(names.len()) {
            names.push(String::from_utf8_lossy(&[name, b"=", value].concat()).into_owned());
        }
        names
    }

    #[test]
    fn the_oldest_go_and_names_are_shared() {
        let mut table = Table::default();
        table.start();
        table.resize(3 * (ENTRY_BYTES as u64 + 2));
        for value in [b"1", b"2", b"3", b"4"] {
            table.insert(Name::Text(b"a"), value);
        }
        assert_eq!(names(&table), ["a=4", "a=3", "a=2"]);
        // The name of an entry that goes with this very insertion.
        table.insert(Name::Entry(2), b"5");
        assert_eq!(names(&table), ["a=5", "a=4", "a=3"]);
        table.insert(Name::Text(&[b'x'; 200]), b"");
        assert_eq!(names(&table), Vec::<String>::new(), "larger than the table");
        assert!(!table.may_have(0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut table = Table::default();
        table.resize(1 << 40);
        for round in 0..100_000u32 {
            table.insert(Name::Text(b"name"), &round.to_be_bytes().repeat(20));
        }
        assert!(table.size <= TABLE_BYTES && table.held_bytes() < 6 * TABLE_BYTES);
        assert_eq!(table.get(0), Some((&b"name"[..], &99_999u32.to_be_bytes().repeat(20)[..])));
        assert!(table.may_have(1_000) && !table.may_have(1 << 20));
    }
}
