//! The registry as a database: users, their indexes and counters, which always change together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::access::{Access, BatchError, DatabaseError, Outcome, damaged};
use super::cache::{CacheSizes, Caches};
use super::commit::{Committer, Durability};
use super::layout::compact::{self, Record};
use super::layout::{BadRecord, Layout, Stored, UserId, documented};
use super::locks::{Held, Stripes};
use super::meta::{self, Counters};
use super::record::{Country, Currency, Digest, Endorsement, NAME_LEN_MAX, User, UserKey};
use super::rules;
use super::store::{Batch, Entries, Family, Store};

/// How a registry is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The layout. `None` takes what the registry has, or the default for a new one.
    pub layout: Option<Layout>,
    /// What is remembered in memory.
    pub caches: CacheSizes,
}

/// Users in a store, by key, government id, currency and country.
///
/// Operations may run on any number of threads. Each is atomic: record, indexes and counters change in one batch, and the
/// rules hold whoever writes at the same time.
pub struct UserDatabase<S: Store> {
    store: S,
    layout: Layout,
    committer: Committer<S::Error>,
    stripes: Stripes,
    next_id: AtomicU64,
    caches: Caches,
}

impl<S: Store> UserDatabase<S> {
    /// Opens the registry in `store`, or founds one if the store is empty.
    ///
    /// # Errors
    ///
    /// If the store holds something else, or a registry of a later version or of another layout than `settings` ask for.
    pub fn open(store: S, settings: &Settings) -> Outcome<Self, S> {
        let layout = match store.get(Family::Meta, meta::FORMAT_KEY)? {
            Some(value) => meta::read_format(&value).map_err(|problem| match problem {
                BadRecord::Version(version) => DatabaseError::Newer(version),
                problem => damaged(Family::Meta, meta::FORMAT_KEY, problem),
            })?,
            None => Self::found(&store, settings.layout.unwrap_or_default())?,
        };
        if let Some(wanted) = settings.layout.filter(|&wanted| wanted != layout) {
            return Err(DatabaseError::OtherLayout { found: layout, wanted });
        }
        let damaged_counters = |problem| damaged(Family::Meta, meta::COUNTERS_KEY, problem);
        let value = store.get(Family::Meta, meta::COUNTERS_KEY)?.ok_or(damaged_counters(BadRecord::Short))?;
        let counters = meta::read_counters(&value).map_err(damaged_counters)?;
        Ok(UserDatabase {
            store,
            layout,
            committer: Committer::new(counters),
            stripes: Stripes::new(),
            next_id: AtomicU64::new(counters.next_id),
            caches: Caches::new(&settings.caches),
        })
    }

    fn found(store: &S, layout: Layout) -> Outcome<Layout, S> {
        for family in Family::ALL {
            if store.scan(family, &[], &[]).next().transpose()?.is_some() {
                return Err(DatabaseError::NotARegistry);
            }
        }
        let mut batch = Batch::default();
        batch.put(Family::Meta, meta::FORMAT_KEY, meta::write_format(layout));
        meta::put_counters(&Counters::default(), &mut batch);
        store.commit(batch)?;
        store.sync()?;
        Ok(layout)
    }

    /// The store below. Whoever writes to it directly keeps records, indexes and counters in step.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// All counters.
    pub fn counters(&self) -> Counters {
        self.committer.counters()
    }

    /// Registered users.
    pub fn total_users(&self) -> u64 {
        self.counters().users
    }

    /// Verified users.
    pub fn verified_users(&self) -> u64 {
        self.counters().verified
    }

    /// Replaces the counters, after entries were put into the store directly. Nobody else may write meanwhile. It also forgets
    /// what was remembered of users.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn set_counters(&self, counters: Counters) -> Outcome<(), S> {
        let mut batch = Batch::default();
        meta::put_counters(&counters, &mut batch);
        self.store.commit(batch)?;
        self.store.sync()?;
        self.committer.set_counters(counters);
        self.caches.clear();
        self.next_id.store(counters.next_id, Ordering::Relaxed);
        Ok(())
    }

    /// Returns when all that was written before is on disk.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn sync(&self) -> Outcome<(), S> {
        Ok(self.store.sync()?)
    }

    pub(super) fn access(&self) -> Access<'_, S> {
        Access::new(&self.store, self.layout, &self.caches)
    }

    /// Holds what concerns these keys and government ids against other writers.
    pub(super) fn hold<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k UserKey>,
        government_ids: impl IntoIterator<Item = &'k Digest>,
    ) -> Held<'_> {
        let hash = |bytes: compact::Fingerprint| bytes.iter().fold(0, |hash: u64, &byte| hash << 8 | u64::from(byte));
        let keys = keys.into_iter().map(|key| hash(compact::key_fingerprint(key)));
        let ids = government_ids.into_iter().map(|id| hash(compact::government_fingerprint(id)));
        self.stripes.hold(keys.chain(ids))
    }

    /// A number for a user to be registered with `key`: a new one, or the one that a deleted user with that key had.
    fn number_for(&self, access: &Access<'_, S>, key: &UserKey) -> Outcome<UserId, S> {
        match self.layout {
            Layout::Documented => Ok(0),
            Layout::Compact => Ok(match access.numbered(key)? {
                Some((id, _)) => id,
                None => self.next_id.fetch_add(1, Ordering::Relaxed),
            }),
        }
    }

    /// Writes what `access` has drafted, under the locks of what is written. `remember` brings the caches up to date, also
    /// where it is not known how much was written.
    pub(super) fn commit(
        &self,
        access: Access<'_, S>,
        durability: Durability,
        remember: impl FnOnce(&Caches),
    ) -> Outcome<(), S> {
        let (batch, delta) = access.draft.into_batch();
        let next_id = || self.next_id.load(Ordering::Relaxed);
        let written = self.committer.commit(&self.store, batch, delta, durability, next_id);
        match &written {
            Ok(()) => remember(&self.caches),
            Err(_) => self.caches.clear(),
        }
        written.map_err(DatabaseError::Store)
    }

    /// The user with `key`.
    ///
    /// # Errors
    ///
    /// If the store fails or holds a damaged record.
    pub fn get_user(&self, key: &UserKey) -> Outcome<Option<Arc<Stored>>, S> {
        self.caches.user_or(key, || self.access().load(key))
    }

    /// Who has `government_id`.
    ///
    /// # Errors
    ///
    /// If the store fails or holds a damaged record.
    pub fn lookup_by_government_id(&self, government_id: &Digest) -> Outcome<Option<UserKey>, S> {
        self.access().owner_of(government_id)
    }

    /// All endorsements of the user with `key`; none if nobody has that key.
    ///
    /// # Errors
    ///
    /// If the store fails or holds a damaged record.
    pub fn endorsements_of(&self, key: &UserKey) -> Outcome<Arc<[Endorsement]>, S> {
        Ok(self.caches.endorsements_or(key, || self.load_endorsements(key))?.unwrap_or_default())
    }

    fn load_endorsements(&self, key: &UserKey) -> Outcome<Option<Arc<[Endorsement]>>, S> {
        let access = self.access();
        let Some(stored) = access.load(key)? else { return Ok(None) };
        Ok(Some(access.endorsements(&stored)?.into()))
    }

    /// Adds a user to a draft, under locks for the key and the government id: registered anew.
    pub(super) fn draft_new(&self, access: &mut Access<'_, S>, user: &User) -> Outcome<Arc<Stored>, S> {
        check_name(user)?;
        let user = User { endorsements: 0, verified: false, ..user.clone() };
        let stored = Stored { id: self.number_for(access, &user.key)?, user, endorsers: Vec::new() };
        access.put_user(&stored)?;
        access.draft.delta.users += 1;
        Ok(Arc::new(stored))
    }

    /// Stores `user` in a draft, under locks for the key and for the old and the new government id.
    fn draft_user(&self, access: &mut Access<'_, S>, user: &User) -> Outcome<Arc<Stored>, S> {
        rules::claim(access, &user.government_id, &user.key)?.map_err(DatabaseError::Refused)?;
        let Some(old) = access.find(&user.key)? else { return self.draft_new(access, user) };
        check_name(user)?;
        let User { endorsements, verified, .. } = old.user;
        let user = User { endorsements, verified, ..user.clone() };
        let new = Stored { id: old.id, user, endorsers: old.endorsers.clone() };
        access.replace(&old, &new)?;
        Ok(Arc::new(new))
    }

    /// Holds the keys of `users` and their government ids, those that they have and those that they are to have; with what
    /// was read under these locks.
    fn hold_for(&self, users: &[User]) -> Outcome<(Held<'_>, Access<'_, S>), S> {
        loop {
            let old = government_ids(&self.access(), users)?;
            let keys = users.iter().map(|user| &user.key);
            let held = self.hold(keys, users.iter().map(|user| &user.government_id).chain(&old));
            // Another writer may have changed one before it was held.
            let access = self.access();
            if government_ids(&access, users)? == old {
                return Ok((held, access));
            }
        }
    }

    /// Stores `user`: registers the key, or replaces what is known of it. How the user stands with endorsements is the
    /// registry's own: what `user` says of that is not looked at.
    ///
    /// # Errors
    ///
    /// If another user has the government id, or the name is too long, or the store fails.
    pub fn store_user(&self, user: &User, durability: Durability) -> Outcome<(), S> {
        let users = std::slice::from_ref(user);
        let (_held, mut access) = self.hold_for(users)?;
        let stored = self.draft_user(&mut access, user)?;
        self.commit(access, durability, |caches| caches.wrote_user(stored))
    }

    /// Stores all of `users` in one batch, as [`UserDatabase::store_user`] stores one, or none.
    ///
    /// # Errors
    ///
    /// Those of [`UserDatabase::store_user`], with the place of the user whom they concern.
    pub fn store_batch(&self, users: &[User], durability: Durability) -> Result<(), BatchError<S::Error>> {
        let (_held, mut access) = self.hold_for(users)?;
        let mut written = Vec::with_capacity(users.len());
        for (index, user) in users.iter().enumerate() {
            let stored = self.draft_user(&mut access, user);
            written.push(stored.map_err(|cause| BatchError { index: Some(index), cause })?);
        }
        let remember = |caches: &Caches| written.into_iter().for_each(|stored| caches.wrote_user(stored));
        Ok(self.commit(access, durability, remember)?)
    }

    /// Gives `government_id` to the user with `key`, instead of the one that the user had.
    ///
    /// # Errors
    ///
    /// If nobody has that key or another user has that government id, or the store fails.
    pub fn index_government_id(&self, government_id: &Digest, key: &UserKey, durability: Durability) -> Outcome<(), S> {
        let Some(stored) = self.access().find(key)? else { return Err(DatabaseError::UnknownKey(*key)) };
        let wanted = [User { government_id: *government_id, ..stored.user.clone() }];
        let (_held, mut access) = self.hold_for(&wanted)?;
        let Some(old) = access.find(key)? else { return Err(DatabaseError::UnknownKey(*key)) };
        let now = self.draft_user(&mut access, &User { government_id: *government_id, ..old.user.clone() })?;
        self.commit(access, durability, |caches| caches.wrote_user(now))
    }

    /// Deletes the user with `key` and the endorsements that the user has; returns whether there was one. Endorsements that
    /// the user gave stay, and so does the key as their endorser.
    ///
    /// # Errors
    ///
    /// If the store fails or holds a damaged record.
    pub fn delete_user(&self, key: &UserKey, durability: Durability) -> Outcome<bool, S> {
        let Some(stored) = self.access().find(key)? else { return Ok(false) };
        let (_held, mut access) = self.hold_for(std::slice::from_ref(&stored.user))?;
        let Some(stored) = access.find(key)? else { return Ok(false) };
        access.remove(&stored)?;
        self.commit(access, durability, |caches| caches.forget_user(key))?;
        Ok(true)
    }

    /// The users born with `currency`, one after the other, from where a cursor stands.
    pub fn users_by_currency(&self, currency: Currency, from: &Cursor) -> Users<'_, S> {
        let prefix = match self.layout {
            Layout::Documented => documented::currency_prefix(currency),
            Layout::Compact => currency.code().to_vec(),
        };
        self.users_in(Family::Currency, &prefix, from)
    }

    /// The users who live in `country`, one after the other, from where a cursor stands.
    pub fn users_by_country(&self, country: Country, from: &Cursor) -> Users<'_, S> {
        let prefix = match self.layout {
            Layout::Documented => documented::country_prefix(country),
            Layout::Compact => country.code().to_vec(),
        };
        self.users_in(Family::Country, &prefix, from)
    }

    /// All users, one after the other, from where a cursor stands.
    pub fn users(&self, from: &Cursor) -> Users<'_, S> {
        self.users_in(Family::User, &[], from)
    }

    fn users_in(&self, family: Family, prefix: &[u8], from: &Cursor) -> Users<'_, S> {
        let entries = self.store.scan(family, prefix, &from.0);
        Users { access: self.access(), entries, family, prefix_len: prefix.len(), cursor: from.clone() }
    }
}

/// The government ids that those of `users` have who are registered.
fn government_ids<S: Store>(access: &Access<'_, S>, users: &[User]) -> Outcome<Vec<Digest>, S> {
    let mut found = Vec::new();
    for user in users {
        found.extend(access.find(&user.key)?.map(|stored| stored.user.government_id));
    }
    Ok(found)
}

pub(super) fn check_name<E: std::error::Error>(user: &User) -> Result<(), DatabaseError<E>> {
    if user.name.len() > NAME_LEN_MAX { Err(DatabaseError::LongName(user.name.len())) } else { Ok(()) }
}

/// A place in a list of users, from which it can be gone on with. The default is the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

#[cfg(feature = "postgres")]
impl Cursor {
    /// The place behind `key`, in a list in order of keys.
    pub(super) fn after(key: &[u8]) -> Self {
        Cursor(key.to_vec())
    }

    /// The key behind which the place is; none at the start.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Users of a list, read as they are asked for: for pages, `take` some and go on from the cursor. A user who is deleted
/// meanwhile is left out.
pub struct Users<'a, S: Store> {
    access: Access<'a, S>,
    entries: Entries<'a, S::Error>,
    family: Family,
    prefix_len: usize,
    cursor: Cursor,
}

impl<S: Store> Users<'_, S> {
    /// The place behind the last user that was returned.
    pub fn cursor(&self) -> Cursor {
        self.cursor.clone()
    }

    fn read(&self, key: &[u8], value: &[u8]) -> Outcome<Option<Stored>, S> {
        let bad = |problem| damaged(self.family, key, problem);
        match (self.access.layout, self.family) {
            (Layout::Compact, Family::User) => {
                let id = compact::read_id(key, 0).map_err(bad)?;
                Ok(stored(id, Some(compact::read_record(key, value).map_err(bad)?)))
            }
            (Layout::Compact, _) => {
                let id = compact::read_id(key, self.prefix_len).map_err(bad)?;
                Ok(stored(id, self.access.record(id)?))
            }
            (Layout::Documented, Family::User) => documented::read_user(key, value).map(Some).map_err(bad),
            (Layout::Documented, _) => {
                let found = self.access.find(&documented::read_indexed_key(key, self.prefix_len).map_err(bad)?)?;
                Ok(found.map(|stored| Stored::clone(&stored)))
            }
        }
    }
}

fn stored(id: UserId, record: Option<Record>) -> Option<Stored> {
    match record? {
        Record::User(user) => Some(Stored { id, user, endorsers: Vec::new() }),
        Record::Deleted(_) => None,
    }
}

impl<S: Store> Iterator for Users<'_, S> {
    type Item = Outcome<Stored, S>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (mut key, value) = match self.entries.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error.into())),
            };
            let found = self.read(&key, &value).transpose();
            key.push(0);
            self.cursor = Cursor(key);
            if found.is_some() {
                return found;
            }
        }
    }
}
