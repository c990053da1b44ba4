//! Flows by slot: a pool in which a slot without a flow is told from one with a flow.

use crate::pool::Pool;

/// A growing and shrinking table of `T` by slot number.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pool: Pool<Option<T>>,
}

impl<T> Slab<T> {
    /// An empty slab.
    pub(crate) fn new() -> Self {
        Self { pool: Pool::new() }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.pool.len()
    }

    /// Every slot that has been used is below.
    pub(crate) fn places(&self) -> usize {
        self.pool.places()
    }

    /// Puts a value into the lowest chunk that has room.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.pool.insert(Some(value))
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        self.get(slot)?;
        self.pool.remove(slot)
    }

    /// The value in a slot.
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.pool.get(slot)?.as_ref()
    }

    /// The value in a slot.
    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.pool.get_mut(slot)?.as_mut()
    }

    /// Values with their slots, in order of these.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.pool.iter().filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)))
    }

    /// Gives memory back that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.pool.shrink();
    }
}
