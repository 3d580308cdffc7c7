//! Changes under way: read over the store, written all at once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::store::{Batch, Family, Store, Value};

/// What a write is going to change, seen as if it were changed.
pub(super) struct Draft<'a, S> {
    store: &'a S,
    changes: [BTreeMap<Vec<u8>, Option<Value>>; Family::ALL.len()],
    /// What was read of the indexes by hash, which one write asks for several times: only the first time below.
    read: RefCell<[BTreeMap<Vec<u8>, Option<Value>>; 2]>,
    /// What becomes of the counters.
    pub(super) delta: Delta,
}

/// By how much a write changes the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) users: i64,
    pub(super) verified: i64,
    pub(super) endorsements: i64,
}

impl Delta {
    pub(super) fn add(&mut self, other: Delta) {
        self.users += other.users;
        self.verified += other.verified;
        self.endorsements += other.endorsements;
    }
}

impl<'a, S: Store> Draft<'a, S> {
    pub(super) fn new(store: &'a S) -> Self {
        Draft { store, changes: Default::default(), read: RefCell::default(), delta: Delta::default() }
    }

    pub(super) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Value>, S::Error> {
        if let Some(change) = self.changes[family as usize].get(key) {
            return Ok(change.clone());
        }
        let index = match family {
            Family::Key => 0,
            Family::GovernmentId => 1,
            _ => return self.store.get(family, key),
        };
        if let Some(value) = self.read.borrow()[index].get(key) {
            return Ok(value.clone());
        }
        let value = self.store.get(family, key)?;
        self.read.borrow_mut()[index].insert(key.to_vec(), value.clone());
        Ok(value)
    }

    /// Whether nothing is changed.
    pub(super) fn is_clean(&self) -> bool {
        self.changes.iter().all(BTreeMap::is_empty)
    }

    /// The store below, for scans: they see no change of this draft.
    pub(super) fn below(&self) -> &'a S {
        self.store
    }

    pub(super) fn put(&mut self, family: Family, key: impl Into<Vec<u8>>, value: impl Into<Value>) {
        self.changes[family as usize].insert(key.into(), Some(value.into()));
    }

    pub(super) fn remove(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        self.changes[family as usize].insert(key.into(), None);
    }

    /// All changes.
    pub(super) fn into_batch(self) -> (Batch, Delta) {
        let families = Family::ALL.into_iter().zip(self.changes);
        let changes = families
            .flat_map(|(family, changes)| changes.into_iter().map(move |(key, value)| (family, key, value)))
            .collect();
        (Batch { changes }, self.delta)
    }
}
