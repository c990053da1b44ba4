//! Sums of one kind of document: by second, and from those by minute.
//!
//! In: values with their time. Out: the finished periods, in order of period and key. What comes
//! after its period was given out opens that period again: rows of the store add up, so nothing
//! is lost by being late.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::Hash;

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

const SECONDS_A_MINUTE: u64 = 60;

/// A sum that can be joined with another.
pub trait Sum: Clone + Default {
    /// Adds what `other` holds.
    fn join(&mut self, other: &Self);
}

/// A finished period of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<K, S> {
    /// Start of the period. unit s since the Unix epoch
    pub start_s: u64,
    /// Whose it is.
    pub key: K,
    /// What was measured.
    pub sum: S,
}

/// Open seconds and minutes.
#[derive(Debug)]
pub struct Windows<K, S> {
    seconds: BTreeMap<u64, HashMap<K, S>>,
    minutes: BTreeMap<u64, HashMap<K, S>>,
    open: usize,
}

impl<K, S> Default for Windows<K, S> {
    fn default() -> Self {
        Self { seconds: BTreeMap::new(), minutes: BTreeMap::new(), open: 0 }
    }
}

impl<K: Clone + Eq + Hash + Ord, S: Sum> Windows<K, S> {
    /// The sum of `key` in `second`, to be added to.
    pub fn sum<Q>(&mut self, second: u64, key: &Q) -> &mut S
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Eq + Hash,
    {
        match self.seconds.entry(second).or_default().entry_ref(key) {
            EntryRef::Occupied(entry) => entry.into_mut(),
            EntryRef::Vacant(entry) => {
                self.open += 1;
                entry.insert_with_key(K::from(key), S::default())
            }
        }
    }

    /// Number of documents that are open.
    pub fn len(&self) -> usize {
        self.open
    }

    /// Finishes every second before `second`, and joins them into their minutes.
    pub fn finish_seconds(&mut self, second: u64) -> Vec<Document<K, S>> {
        let open = self.seconds.split_off(&second);
        let finished = std::mem::replace(&mut self.seconds, open);
        for (start_s, sums) in &finished {
            self.open -= sums.len();
            let minute = start_s - start_s % SECONDS_A_MINUTE;
            let minute = self.minutes.entry(minute).or_default();
            for (key, sum) in sums {
                match minute.get_mut(key) {
                    Some(joined) => joined.join(sum),
                    None => {
                        self.open += 1;
                        minute.insert(key.clone(), sum.clone());
                    }
                }
            }
        }
        documents(finished)
    }

    /// Finishes every minute that ended at or before `second`.
    pub fn finish_minutes(&mut self, second: u64) -> Vec<Document<K, S>> {
        let first_open = (second + 1).saturating_sub(SECONDS_A_MINUTE);
        let open = self.minutes.split_off(&first_open);
        let finished = std::mem::replace(&mut self.minutes, open);
        self.open -= finished.values().map(HashMap::len).sum::<usize>();
        documents(finished)
    }
}

fn documents<K: Ord, S>(periods: BTreeMap<u64, HashMap<K, S>>) -> Vec<Document<K, S>> {
    let mut out = Vec::new();
    for (start_s, sums) in periods {
        let from = out.len();
        out.extend(sums.into_iter().map(|(key, sum)| Document { start_s, key, sum }));
        out[from..].sort_unstable_by(|a: &Document<K, S>, b| a.key.cmp(&b.key));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Count(u64);

    #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    struct Name(&'static str);

    impl From<&Name> for Name {
        fn from(name: &Name) -> Self {
            name.clone()
        }
    }

    impl Sum for Count {
        fn join(&mut self, other: &Self) {
            self.0 += other.0;
        }
    }

    fn flat(documents: Vec<Document<Name, Count>>) -> Vec<(u64, &'static str, u64)> {
        documents.into_iter().map(|d| (d.start_s, d.key.0, d.sum.0)).collect()
    }

    #[test]
    fn seconds_end_first_and_add_up_to_their_minute() {
        let mut windows: Windows<Name, Count> = Windows::default();
        for second in [118, 119, 120, 121] {
            windows.sum(second, &Name("b")).0 += 1;
            windows.sum(second, &Name("a")).0 += 10;
        }
        let seconds = flat(windows.finish_seconds(121));
        assert_eq!(seconds[..3], [(118, "a", 10), (118, "b", 1), (119, "a", 10)]);
        assert_eq!(seconds.len(), 6);
        assert!(windows.finish_minutes(119).is_empty());
        assert_eq!(flat(windows.finish_minutes(120)), [(60, "a", 20), (60, "b", 2)]);
        assert_eq!(flat(windows.finish_seconds(u64::MAX)), [(121, "a", 10), (121, "b", 1)]);
        assert_eq!(flat(windows.finish_minutes(u64::MAX - 1)), [(120, "a", 20), (120, "b", 2)]);
        assert_eq!(windows.len(), 0);
    }

    #[test]
    fn a_late_value_opens_its_second_again() {
        let mut windows: Windows<Name, Count> = Windows::default();
        windows.sum(10, &Name("a")).0 += 1;
        assert_eq!(flat(windows.finish_seconds(12)), [(10, "a", 1)]);
        windows.sum(10, &Name("a")).0 += 1;
        assert_eq!(flat(windows.finish_seconds(13)), [(10, "a", 1)]);
        assert_eq!(flat(windows.finish_minutes(60)), [(0, "a", 2)]);
    }
}
