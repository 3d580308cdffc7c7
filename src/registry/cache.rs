//! What was read last, in memory: users by key, endorsements by who has them.
//!
//! Who is not registered is not remembered: the bloom filters of the tables say so without reading them.

use std::hash::Hash;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::{Cache, GuardResult};

use super::layout::Stored;
use super::record::{Endorsement, NAME_LEN_MAX, UserKey};

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSizes {
    /// Users; none are remembered at 0. Default: 100 000, as in the document.
    pub users: usize,
    /// Endorsements; none are remembered at 0. Default: 500 000, as in the document.
    pub endorsements: usize,
    /// Most bytes of both together: where they could take more, both remember fewer. Default: no bound but theirs.
    pub memory: Option<u64>,
}

impl Default for CacheSizes {
    fn default() -> Self {
        CacheSizes { users: 100_000, endorsements: 500_000, memory: None }
    }
}

/// Bytes that the cache, its index and the allocator add to an entry, at most.
const ENTRY_OVERHEAD: usize = 128;
/// Most bytes of a user whose endorsers are not listed in the record.
const USER_BYTES: usize = size_of::<UserKey>() + size_of::<Stored>() + NAME_LEN_MAX + ENTRY_OVERHEAD;
/// Most bytes of an endorsement, were each alone in its list.
const ENDORSEMENT_BYTES: usize = size_of::<UserKey>() + size_of::<Endorsement>() + ENTRY_OVERHEAD;

/// The first bytes of a key: what the cache of users is searched by, so that its index stays small enough for the
/// processor's own caches. Whoever makes two keys that start alike has only made them push each other out.
fn prefix(key: &UserKey) -> u64 {
    let mut start = [0; size_of::<u64>()];
    start.copy_from_slice(&key.bytes()[1..=size_of::<u64>()]);
    u64::from_le_bytes(start)
}

impl CacheSizes {
    /// Most bytes that a cache of these sizes takes.
    pub fn memory_max(&self) -> u64 {
        let wanted = self.users as u64 * USER_BYTES as u64 + self.endorsements as u64 * ENDORSEMENT_BYTES as u64;
        self.memory.map_or(wanted, |memory| memory.min(wanted))
    }

    /// Users and endorsements that fit into the memory.
    fn fitting(&self) -> (usize, usize) {
        let wanted = CacheSizes { memory: None, ..*self }.memory_max().max(1);
        let scale = |count: usize| (count as u128 * u128::from(self.memory_max()) / u128::from(wanted)) as usize;
        (scale(self.users), scale(self.endorsements))
    }
}

/// A list counts as many endorsements as it holds, and one if it is empty.
#[derive(Clone)]
struct ByLength;

impl Weighter<UserKey, Arc<[Endorsement]>> for ByLength {
    fn weight(&self, _: &UserKey, endorsements: &Arc<[Endorsement]>) -> u64 {
        endorsements.len().max(1) as u64
    }
}

/// A user counts once for every [`USER_BYTES`], which only lists of endorsers exceed.
#[derive(Clone)]
struct ByBytes;

impl Weighter<u64, Arc<Stored>> for ByBytes {
    fn weight(&self, _: &u64, stored: &Arc<Stored>) -> u64 {
        1 + (stored.endorsers.len() * size_of::<UserKey>() / USER_BYTES) as u64
    }
}

/// The caches of one database. A value is loaded by one reader while others wait, and is not kept if a writer came between.
pub(super) struct Caches {
    users: Option<Cache<u64, Arc<Stored>, ByBytes>>,
    endorsements: Option<Cache<UserKey, Arc<[Endorsement]>, ByLength>>,
}

impl Caches {
    pub(super) fn new(sizes: &CacheSizes) -> Self {
        let (users, endorsements) = sizes.fitting();
        let lists = (endorsements / 5).max(1);
        Caches {
            users: (users > 0).then(|| Cache::with_weighter(users, users as u64, ByBytes)),
            endorsements: (endorsements > 0).then(|| Cache::with_weighter(lists, endorsements as u64, ByLength)),
        }
    }

    /// The user with `key`, if remembered.
    pub(super) fn user(&self, key: &UserKey) -> Option<Arc<Stored>> {
        self.users.as_ref()?.get(&prefix(key)).filter(|stored| stored.user.key == *key)
    }

    /// The user with `key`, remembered or loaded.
    pub(super) fn user_or<E>(
        &self,
        key: &UserKey,
        load: impl FnOnce() -> Result<Option<Arc<Stored>>, E>,
    ) -> Result<Option<Arc<Stored>>, E> {
        load_through(self.users.as_ref(), &prefix(key), |stored| stored.user.key == *key, load)
    }

    /// The endorsements of the user with `key`, remembered or loaded.
    pub(super) fn endorsements_or<E>(
        &self,
        key: &UserKey,
        load: impl FnOnce() -> Result<Option<Arc<[Endorsement]>>, E>,
    ) -> Result<Option<Arc<[Endorsement]>>, E> {
        load_through(self.endorsements.as_ref(), key, |_| true, load)
    }

    /// Remembers what was written of a user; the writer still holds the lock of the key.
    pub(super) fn wrote_user(&self, stored: Arc<Stored>) {
        if let Some(users) = &self.users {
            users.insert(prefix(&stored.user.key), stored);
        }
    }

    /// Forgets the endorsements of a user, which have changed.
    pub(super) fn forget_endorsements(&self, key: &UserKey) {
        if let Some(endorsements) = &self.endorsements {
            endorsements.remove(key);
        }
    }

    /// Forgets a user.
    pub(super) fn forget_user(&self, key: &UserKey) {
        if let Some(users) = &self.users {
            users.remove(&prefix(key));
        }
        self.forget_endorsements(key);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        if let Some(users) = &self.users {
            users.clear();
        }
        if let Some(endorsements) = &self.endorsements {
            endorsements.clear();
        }
    }
}

/// What is remembered under `key`, if it is what was asked for; otherwise what `load` finds.
fn load_through<K: Clone + Eq + Hash, V: Clone, W: Weighter<K, V> + Clone, E>(
    cache: Option<&Cache<K, V, W>>,
    key: &K,
    is_meant: impl FnOnce(&V) -> bool,
    load: impl FnOnce() -> Result<Option<V>, E>,
) -> Result<Option<V>, E> {
    let Some(cache) = cache else { return load() };
    match cache.get_value_or_guard(key, None) {
        GuardResult::Value(value) if is_meant(&value) => Ok(Some(value)),
        GuardResult::Guard(guard) => {
            let loaded = load()?;
            if let Some(value) = &loaded {
                // It fails where a writer has come between, whose value is the newer one.
                let _ = guard.insert(value.clone());
            }
            Ok(loaded)
        }
        GuardResult::Value(_) | GuardResult::Timeout => load(),
    }
}
