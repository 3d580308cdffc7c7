//! A registry in memory alone: the design that a database replaces, the oracle of its tests, a source of migration.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use thiserror::Error;

use super::store::{Batch, BulkStore, Entries, Entry, Family, Store, Value};

/// Ordered maps behind one lock. Nothing survives the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    families: RwLock<[BTreeMap<Vec<u8>, Value>; Family::ALL.len()]>,
}

/// Why memory takes no entries in bulk.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MemoryError {
    /// Keys do not ascend.
    #[error("entries of the family {0} do not come in order of their keys")]
    Disorder(&'static str),
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, [BTreeMap<Vec<u8>, Value>; Family::ALL.len()]> {
        self.families.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A scan that takes the lock for some entries at a time.
struct Scan<'a> {
    store: &'a MemoryStore,
    family: Family,
    prefix: Vec<u8>,
    /// Where to go on; none at the end.
    next: Option<Bound<Vec<u8>>>,
    page: std::vec::IntoIter<Entry>,
}

impl Scan<'_> {
    /// Entries that are copied under one lock.
    const PAGE: usize = 256;

    fn turn(&mut self, from: Bound<Vec<u8>>) {
        let families = self.store.read();
        let entries = families[self.family as usize].range::<Vec<u8>, _>((from, Bound::Unbounded));
        let within = entries.take_while(|(key, _)| key.starts_with(&self.prefix));
        let page: Vec<Entry> = within.take(Self::PAGE).map(|(key, value)| (key.clone(), value.clone())).collect();
        self.next = (page.len() == Self::PAGE).then(|| Bound::Excluded(page[page.len() - 1].0.clone()));
        self.page = page.into_iter();
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Entry, MemoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            let from = self.next.take()?;
            self.turn(from);
        }
        self.page.next().map(Ok)
    }
}

impl Store for MemoryStore {
    type Error = MemoryError;

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Value>, MemoryError> {
        Ok(self.read()[family as usize].get(key).cloned())
    }

    fn contains(&self, family: Family, key: &[u8]) -> Result<bool, MemoryError> {
        Ok(self.read()[family as usize].contains_key(key))
    }

    fn scan<'a>(&'a self, family: Family, prefix: &[u8], from: &[u8]) -> Entries<'a, MemoryError> {
        let next = Some(Bound::Included(prefix.max(from).to_vec()));
        Box::new(Scan { store: self, family, prefix: prefix.to_vec(), next, page: Vec::new().into_iter() })
    }

    fn commit(&self, batch: Batch) -> Result<(), MemoryError> {
        let mut families = self.families.write().unwrap_or_else(PoisonError::into_inner);
        for (family, key, value) in batch.changes {
            match value {
                Some(value) => families[family as usize].insert(key, value),
                None => families[family as usize].remove(&key),
            };
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), MemoryError> {
        Ok(())
    }
}

impl BulkStore for MemoryStore {
    fn ingest<E: From<MemoryError>>(
        &self,
        family: Family,
        entries: impl Iterator<Item = Result<Entry, E>>,
    ) -> Result<u64, E> {
        let mut batch = Batch::default();
        for entry in entries {
            let (key, value) = entry?;
            if batch.changes.last().is_some_and(|(_, last, _)| *last >= key) {
                return Err(MemoryError::Disorder(family.name()).into());
            }
            batch.put(family, key, value);
        }
        let taken = batch.changes.len() as u64;
        self.commit(batch)?;
        Ok(taken)
    }
}
