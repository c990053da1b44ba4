//! Values in chunks: places keep their number, empty chunks are given back.

/// Values in a chunk.
pub(crate) const CHUNK: usize = 1024;

/// A growing and shrinking table of `T` by place.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    chunks: Vec<Chunk<T>>,
    len: usize,
    /// No chunk below this one has room.
    first_free: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    /// All of them, or none where the chunk was given back.
    values: Vec<T>,
    free: Vec<u16>,
}

impl<T: Default> Pool<T> {
    /// An empty pool.
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), len: 0, first_free: 0 }
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Places that there have been: every place is below.
    pub(crate) fn places(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Puts a value into the lowest chunk that has room.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let mut index = self.first_free;
        while self.chunks.get(index).is_some_and(Chunk::is_full) {
            index += 1;
        }
        self.first_free = index;
        if index == self.chunks.len() {
            self.chunks.push(Chunk { values: Vec::new(), free: Vec::new() });
        }
        let chunk = &mut self.chunks[index];
        if chunk.values.is_empty() {
            chunk.values.resize_with(CHUNK, T::default);
            chunk.free = (0..CHUNK as u16).rev().collect();
        }
        let place = chunk.free.pop().expect("the chunk was chosen for its room");
        chunk.values[usize::from(place)] = value;
        self.len += 1;
        (index * CHUNK) as u32 + u32::from(place)
    }

    /// Takes out the value of a place that is in use.
    pub(crate) fn remove(&mut self, place: u32) -> T {
        let (index, place) = split(place);
        let chunk = &mut self.chunks[index];
        chunk.free.push(place as u16);
        self.len -= 1;
        self.first_free = self.first_free.min(index);
        std::mem::take(&mut chunk.values[place])
    }

    /// The value at a place; a default where it is not in use.
    #[inline]
    pub(crate) fn get(&self, place: u32) -> Option<&T> {
        let (index, place) = split(place);
        self.chunks.get(index)?.values.get(place)
    }

    /// The value at a place; a default where it is not in use.
    #[inline]
    pub(crate) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let (index, place) = split(place);
        self.chunks.get_mut(index)?.values.get_mut(place)
    }

    /// Every value with its place, in order, defaults of places not in use included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.chunks.iter().enumerate().flat_map(|(index, chunk)| {
            let values = chunk.values.iter().enumerate();
            values.map(move |(place, value)| ((index * CHUNK + place) as u32, value))
        })
    }

    /// Gives empty chunks back, except one in reserve.
    pub(crate) fn shrink(&mut self) {
        let mut reserve = false;
        for chunk in &mut self.chunks {
            if chunk.free.len() == CHUNK && std::mem::replace(&mut reserve, true) {
                *chunk = Chunk { values: Vec::new(), free: Vec::new() };
            }
        }
        while self.chunks.last().is_some_and(|chunk| chunk.values.is_empty()) {
            self.chunks.pop();
        }
    }

    /// Chunks held, for tests of memory.
    #[cfg(test)]
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.iter().filter(|chunk| !chunk.values.is_empty()).count()
    }
}

impl<T> Chunk<T> {
    fn is_full(&self) -> bool {
        self.free.is_empty() && !self.values.is_empty()
    }
}

#[inline]
fn split(place: u32) -> (usize, usize) {
    (place as usize / CHUNK, place as usize % CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_stable_and_chunks_come_and_go() {
        let mut pool = Pool::new();
        let places: Vec<u32> = (0..5000).map(|value| pool.insert(Some(value))).collect();
        assert_eq!((pool.len(), pool.chunks()), (5000, 5));
        let holds = |(value, place): (usize, &u32)| pool.get(*place) == Some(&Some(value));
        assert!(places.iter().enumerate().all(holds));
        for place in &places[10..] {
            assert!(pool.remove(*place).is_some());
        }
        assert_eq!(pool.get(places[4999]), Some(&None));
        pool.shrink();
        assert_eq!((pool.len(), pool.chunks()), (10, 2));
        let used = |(place, value): (u32, &Option<usize>)| value.map(|_| place);
        assert_eq!(pool.iter().filter_map(used).collect::<Vec<_>>(), places[..10]);
        assert!(pool.insert(Some(7)) < 1024, "the lowest chunk with room");
    }
}
