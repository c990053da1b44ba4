//! What is known of the network around the agent, renewed while it runs.
//!
//! In: addresses of the host and of its namespaces, as they are found. Out: the same, to every
//! thread, at the cost of a number compared. Never: a wait in the packet path.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use flow::LocalAddresses;
use metadata::{Netns, Places};

/// Addresses as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// For owners of sockets.
    pub places: Places,
    /// For observation points.
    pub local: LocalAddresses,
    /// Namespaces that were looked into.
    pub spaces: BTreeSet<Netns>,
}

/// The last of them, shared by all threads.
#[derive(Debug, Default)]
pub struct Surroundings {
    known: RwLock<Arc<Known>>,
    version: AtomicU64,
    asked: AtomicBool,
}

impl Surroundings {
    /// What is known now, and the number of this state.
    pub fn get(&self) -> (u64, Arc<Known>) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        (self.version(), Arc::clone(&known))
    }

    /// A number that changes with what is known.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Replaces what is known; whether that is another state.
    pub fn set(&self, new: Known) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if **known == new {
            return false;
        }
        *known = Arc::new(new);
        self.version.fetch_add(1, Ordering::Release);
        true
    }

    /// Asks for another look: something came from a namespace that is not known.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether one was asked for since the last call.
    pub fn take_asked(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_state_has_another_number() {
        let surroundings = Surroundings::default();
        let (first, _) = surroundings.get();
        assert!(!surroundings.set(Known::default()));
        assert_eq!(surroundings.version(), first);
        let spaces = BTreeSet::from([7]);
        assert!(surroundings.set(Known { spaces, ..Known::default() }));
        let (second, known) = surroundings.get();
        assert!(second != first && known.spaces.contains(&7));
        surroundings.ask();
        assert!(surroundings.take_asked() && !surroundings.take_asked());
    }
}
