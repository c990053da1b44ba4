//! From a key's hash to the slot of its flow.
//!
//! Each entry has the hash beside the slot, so that neither a search that goes wrong nor a larger
//! table touches the flows.

use hashbrown::HashTable;

/// Entries up to which a nearly empty index stays as large as it is.
const RESERVE: usize = 4096;

/// Slots by hash.
#[derive(Debug)]
pub(super) struct Index {
    table: HashTable<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    slot: u32,
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        Self { table: HashTable::new() }
    }

    /// The slot with this hash for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let is_it = |entry: &Entry| entry.hash == hash && is_it(entry.slot);
        self.table.find(spread(hash), is_it).map(|entry| entry.slot)
    }

    /// Adds a slot that is not there.
    pub fn insert(&mut self, hash: u32, slot: u32) {
        self.table.insert_unique(spread(hash), Entry { hash, slot }, |entry| spread(entry.hash));
    }

    /// Takes a slot out.
    pub fn remove(&mut self, hash: u32, slot: u32) {
        if let Ok(entry) = self.table.find_entry(spread(hash), |entry| entry.slot == slot) {
            entry.remove();
        }
    }

    /// Gives memory back that is not needed.
    pub fn shrink(&mut self) {
        let len = self.table.len();
        if self.table.capacity() > RESERVE.max(len * 8) {
            self.table.shrink_to(len * 2, |entry| spread(entry.hash));
        }
    }
}

/// The table takes the place of an entry from the lowest bits and its tag from the highest.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
