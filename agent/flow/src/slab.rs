//! Flows in chunks: slots keep their number, empty chunks are given back.

/// Flows in a chunk.
const CHUNK: usize = 1024;

/// A growing and shrinking table of `T` by slot number.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Option<Chunk<T>>>,
    len: usize,
    /// No chunk below this one has a free slot.
    first_free: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    entries: Vec<Option<T>>,
    free: Vec<u16>,
}

impl<T> Chunk<T> {
    fn new() -> Self {
        Self {
            entries: std::iter::repeat_with(|| None).take(CHUNK).collect(),
            free: (0..CHUNK as u16).rev().collect(),
        }
    }
}

impl<T> Slab<T> {
    /// An empty slab.
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), len: 0, first_free: 0 }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts a value into the lowest chunk that has room.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let mut index = self.first_free;
        while let Some(Some(chunk)) = self.chunks.get(index)
            && chunk.free.is_empty()
        {
            index += 1;
        }
        self.first_free = index;
        if index == self.chunks.len() {
            self.chunks.push(None);
        }
        let chunk = self.chunks[index].get_or_insert_with(Chunk::new);
        let place = chunk.free.pop().expect("the chunk was chosen for its room");
        chunk.entries[usize::from(place)] = Some(value);
        self.len += 1;
        (index * CHUNK) as u32 + u32::from(place)
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let (index, place) = split(slot);
        let chunk = self.chunks.get_mut(index)?.as_mut()?;
        let value = chunk.entries[place].take()?;
        chunk.free.push(place as u16);
        self.len -= 1;
        self.first_free = self.first_free.min(index);
        Some(value)
    }

    /// The value in a slot.
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        let (index, place) = split(slot);
        self.chunks.get(index)?.as_ref()?.entries[place].as_ref()
    }

    /// The value in a slot.
    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (index, place) = split(slot);
        self.chunks.get_mut(index)?.as_mut()?.entries[place].as_mut()
    }

    /// Slots in use, in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.chunks.iter().enumerate().flat_map(|(index, chunk)| {
            let entries = chunk.iter().flat_map(|chunk| chunk.entries.iter().enumerate());
            entries
                .filter(|(_, entry)| entry.is_some())
                .map(move |(place, _)| (index * CHUNK + place) as u32)
        })
    }

    /// Gives empty chunks back, except one in reserve.
    pub(crate) fn shrink(&mut self) {
        let mut reserve = false;
        for chunk in &mut self.chunks {
            if chunk.as_ref().is_some_and(|chunk| chunk.free.len() == CHUNK) {
                if reserve {
                    *chunk = None;
                }
                reserve = true;
            }
        }
        while let Some(None) = self.chunks.last() {
            self.chunks.pop();
        }
    }

    /// Chunks held, for tests of memory.
    #[cfg(test)]
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.iter().flatten().count()
    }
}

#[inline]
fn split(slot: u32) -> (usize, usize) {
    (slot as usize / CHUNK, slot as usize % CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_stable_and_chunks_come_and_go() {
        let mut slab = Slab::new();
        let slots: Vec<u32> = (0..5000).map(|value| slab.insert(value)).collect();
        assert_eq!((slab.len(), slab.chunks()), (5000, 5));
        assert!(slots.iter().enumerate().all(|(value, slot)| slab.get(*slot) == Some(&value)));
        for slot in &slots[10..] {
            assert!(slab.remove(*slot).is_some());
        }
        assert_eq!(slab.remove(slots[4999]), None);
        slab.shrink();
        assert_eq!((slab.len(), slab.chunks()), (10, 2));
        assert_eq!(slab.slots().collect::<Vec<_>>(), slots[..10]);
        assert!(slab.insert(7) < 1024, "the lowest chunk with room");
    }
}
