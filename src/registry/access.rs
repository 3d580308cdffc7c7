//! Finding and changing users and endorsements, by either layout.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::cache::Caches;
use super::draft::Draft;
use super::layout::compact::{self, GroupMember, Record};
use super::layout::{BadRecord, Layout, Stored, UserId, documented};
use super::meta;
use super::record::{Digest, Endorsement, NAME_LEN_MAX, User, UserKey};
use super::rules::{self, Refusal, Standing};
use super::store::{Family, Store, Value};

/// Why a registry was not read or changed.
#[derive(Debug, Error)]
pub enum DatabaseError<E: std::error::Error + 'static> {
    /// The store below failed. Writers whose changes went into one batch share the cause.
    #[error("{0}")]
    Store(#[source] Arc<E>),
    /// Something in the store is no record.
    #[error("the entry {key} of the family {family} is damaged: {problem}")]
    Damaged {
        /// The family.
        family: &'static str,
        /// The key, in hexadecimal digits.
        key: String,
        /// What is wrong with it.
        problem: BadRecord,
    },
    /// The store holds something else.
    #[error("the store holds something that is not a registry")]
    NotARegistry,
    /// A later version wrote the registry.
    #[error("the registry has format {0}, of a later version; known here up to {known}", known = meta::FORMAT)]
    Newer(u8),
    /// The registry is laid out otherwise than asked for.
    #[error("the registry has the layout `{found}`, not `{wanted}`")]
    OtherLayout {
        /// The layout it has.
        found: Layout,
        /// The layout that was asked for.
        wanted: Layout,
    },
    /// The rules do not allow it.
    #[error("{0}")]
    Refused(Refusal<UserKey>),
    /// Nobody is registered with that key.
    #[error("nobody is registered with the key {0}")]
    UnknownKey(UserKey),
    /// A name is too long.
    #[error("a name has at most {NAME_LEN_MAX} bytes, not {0}")]
    LongName(usize),
}

/// Why none of a batch was stored.
#[derive(Debug)]
pub struct BatchError<E: std::error::Error + 'static> {
    /// The user whom it concerns, from 0; none if it concerns the batch as a whole.
    pub index: Option<usize>,
    /// Why.
    pub cause: DatabaseError<E>,
}

impl<E: std::error::Error + 'static> fmt::Display for BatchError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(out, "user {} of the batch: {}", index + 1, self.cause),
            None => self.cause.fmt(out),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for BatchError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

impl<E: std::error::Error + 'static> From<DatabaseError<E>> for BatchError<E> {
    fn from(cause: DatabaseError<E>) -> Self {
        BatchError { index: None, cause }
    }
}

impl<E: std::error::Error + 'static> From<E> for DatabaseError<E> {
    fn from(error: E) -> Self {
        DatabaseError::Store(Arc::new(error))
    }
}

/// What comes of reading or changing a registry over `S`.
pub type Outcome<T, S> = Result<T, DatabaseError<<S as Store>::Error>>;

/// An entry that is no record.
pub(super) fn damaged<E: std::error::Error>(family: Family, key: &[u8], problem: BadRecord) -> DatabaseError<E> {
    let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
    DatabaseError::Damaged { family: family.name(), key, problem }
}

/// A registry as a draft shows it.
pub(super) struct Access<'a, S> {
    pub(super) draft: Draft<'a, S>,
    pub(super) layout: Layout,
    caches: &'a Caches,
}

impl<'a, S: Store> Access<'a, S> {
    pub(super) fn new(store: &'a S, layout: Layout, caches: &'a Caches) -> Self {
        Access { draft: Draft::new(store), layout, caches }
    }

    /// What is at the number `id` (compact).
    pub(super) fn record(&self, id: UserId) -> Outcome<Option<Record>, S> {
        let key = compact::user_key(id);
        let Some(value) = self.draft.get(Family::User, &key)? else { return Ok(None) };
        compact::read_record(&key, &value).map(Some).map_err(|problem| damaged(Family::User, &key, problem))
    }

    fn ids(&self, family: Family, fingerprint: &[u8]) -> Outcome<Vec<UserId>, S> {
        let Some(value) = self.draft.get(family, fingerprint)? else { return Ok(Vec::new()) };
        compact::read_ids(&value).map_err(|problem| damaged(family, fingerprint, problem))
    }

    /// The number that `key` has or had, and what is there (compact).
    pub(super) fn numbered(&self, key: &UserKey) -> Outcome<Option<(UserId, Record)>, S> {
        for id in self.ids(Family::Key, &compact::key_fingerprint(key))? {
            match self.record(id)? {
                Some(Record::User(user)) if user.key == *key => return Ok(Some((id, Record::User(user)))),
                Some(Record::Deleted(deleted)) if deleted == *key => return Ok(Some((id, Record::Deleted(deleted)))),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The user with `key`, from the cache if there and the draft has changed nothing.
    pub(super) fn find(&self, key: &UserKey) -> Outcome<Option<Arc<Stored>>, S> {
        if self.draft.is_clean()
            && let Some(stored) = self.caches.user(key)
        {
            return Ok(Some(stored));
        }
        self.load(key)
    }

    /// The user with `key`, not from the cache.
    pub(super) fn load(&self, key: &UserKey) -> Outcome<Option<Arc<Stored>>, S> {
        match self.layout {
            Layout::Compact => Ok(match self.numbered(key)? {
                Some((id, Record::User(user))) => Some(Arc::new(Stored { id, user, endorsers: Vec::new() })),
                _ => None,
            }),
            Layout::Documented => {
                let key = documented::user_key(key);
                let Some(value) = self.draft.get(Family::User, &key)? else { return Ok(None) };
                let stored = documented::read_user(&key, &value);
                stored.map(|stored| Some(Arc::new(stored))).map_err(|problem| damaged(Family::User, &key, problem))
            }
        }
    }

    /// Who has `government_id`.
    pub(super) fn owner_of(&self, government_id: &Digest) -> Outcome<Option<UserKey>, S> {
        match self.layout {
            Layout::Compact => {
                for id in self.ids(Family::GovernmentId, &compact::government_fingerprint(government_id))? {
                    if let Some(Record::User(user)) = self.record(id)?
                        && user.government_id == *government_id
                    {
                        return Ok(Some(user.key));
                    }
                }
                Ok(None)
            }
            Layout::Documented => {
                let key = documented::government_key(government_id);
                let Some(value) = self.draft.get(Family::GovernmentId, &key)? else { return Ok(None) };
                let owner = documented::read_owner(&value);
                owner.map(Some).map_err(|problem| damaged(Family::GovernmentId, &key, problem))
            }
        }
    }

    /// The key of the group in which the endorsement of `endorsed` by `endorser` is or would be (compact). As long as all
    /// fit into one group, it is the open one.
    fn group_of(&self, endorsed: &Stored, endorser: UserId) -> Outcome<Vec<u8>, S> {
        if endorsed.user.endorsements as usize > compact::GROUP_MAX {
            let prefix = compact::group_key(endorsed.id, None);
            let from = compact::group_key(endorsed.id, Some(endorser));
            if let Some(entry) = self.draft.below().scan(Family::Endorsement, &prefix, &from).next() {
                return Ok(entry?.0);
            }
        }
        Ok(compact::group_key(endorsed.id, None))
    }

    fn group(&self, key: &[u8]) -> Outcome<Vec<GroupMember>, S> {
        let Some(value) = self.draft.get(Family::Endorsement, key)? else { return Ok(Vec::new()) };
        compact::read_group(key, &value).map_err(|problem| damaged(Family::Endorsement, key, problem))
    }

    /// The endorsement of `endorsed` by the user with the key and number `endorser`, if there is one.
    pub(super) fn has_endorsement(&self, endorsed: &Stored, endorser: (&UserKey, UserId)) -> Outcome<bool, S> {
        match self.layout {
            _ if endorsed.user.endorsements == 0 => Ok(false),
            Layout::Compact => {
                let group = self.group(&self.group_of(endorsed, endorser.1)?)?;
                Ok(group.binary_search_by_key(&endorser.1, |member| member.endorser).is_ok())
            }
            Layout::Documented => Ok(endorsed.endorsers.contains(endorser.0)),
        }
    }

    /// All endorsements that `endorsed` has.
    pub(super) fn endorsements(&self, endorsed: &Stored) -> Outcome<Vec<Endorsement>, S> {
        let mut found = Vec::with_capacity(endorsed.user.endorsements as usize);
        match self.layout {
            Layout::Compact => {
                let prefix = compact::group_key(endorsed.id, None);
                for entry in self.draft.below().scan(Family::Endorsement, &prefix, &prefix) {
                    let (key, value) = entry?;
                    let group = compact::read_group(&key, &value)
                        .map_err(|problem| damaged(Family::Endorsement, &key, problem))?;
                    for member in group {
                        found.push(self.resolve(&endorsed.user.key, &key, &member)?);
                    }
                }
            }
            Layout::Documented => {
                for endorser in &endorsed.endorsers {
                    let key = documented::endorsement_key(&endorsed.user.key, endorser);
                    let missing = || damaged(Family::User, &documented::user_key(&endorsed.user.key), ENDORSER);
                    let value = self.draft.get(Family::Endorsement, &key)?.ok_or_else(missing)?;
                    let endorsement = documented::read_endorsement(&key, &value)
                        .map_err(|problem| damaged(Family::Endorsement, &key, problem))?;
                    found.push(endorsement);
                }
            }
        }
        Ok(found)
    }

    fn resolve(&self, endorsed: &UserKey, group: &[u8], member: &GroupMember) -> Outcome<Endorsement, S> {
        let endorser = match self.record(member.endorser)? {
            Some(Record::User(user)) => user.key,
            Some(Record::Deleted(key)) => key,
            None => return Err(damaged(Family::Endorsement, group, ENDORSER)),
        };
        let GroupMember { signed_at, signature, .. } = *member;
        Ok(Endorsement { endorsed: *endorsed, endorser, signature, signed_at })
    }

    /// Puts the record of `stored`, and nothing else.
    fn put_record(&mut self, stored: &Stored) {
        let (key, record) = match self.layout {
            Layout::Compact => {
                let key = compact::user_key(stored.id);
                let record = compact::write_user(&key, &stored.user);
                (key, record)
            }
            Layout::Documented => {
                let key = documented::user_key(&stored.user.key);
                let record = documented::write_user(&key, &stored.user, &stored.endorsers);
                (key, record)
            }
        };
        self.draft.put(Family::User, key, record);
    }

    /// Puts the record of `stored` and its places in all indexes.
    pub(super) fn put_user(&mut self, stored: &Stored) -> Outcome<(), S> {
        let mut entries: Vec<(Family, Vec<u8>, Value)> = Vec::with_capacity(5);
        self.layout.put_user(stored, |family, key, value| entries.push((family, key, value)));
        for (family, key, value) in entries {
            let shared = self.layout == Layout::Compact && matches!(family, Family::Key | Family::GovernmentId);
            let there = if shared { self.draft.get(family, &key)? } else { None };
            let joined = there.map_or(Ok(None), |there| self.layout.join(family, &there, &value));
            let value = joined.map_err(|problem| damaged(family, &key, problem))?.unwrap_or(value);
            self.draft.put(family, key, value);
        }
        Ok(())
    }

    /// Takes `stored` out of the indexes that follow from the record: government id, currency, country.
    fn remove_from_indexes(&mut self, stored: &Stored) -> Outcome<(), S> {
        let mut entries: Vec<(Family, Vec<u8>)> = Vec::with_capacity(5);
        self.layout.put_user(stored, |family, key, _| entries.push((family, key)));
        for (family, key) in entries {
            match (self.layout, family) {
                (_, Family::User | Family::Key) => {}
                (Layout::Compact, Family::GovernmentId) => {
                    let mut ids = self.ids(family, &key)?;
                    ids.retain(|&id| id != stored.id);
                    if ids.is_empty() {
                        self.draft.remove(family, key);
                    } else {
                        self.draft.put(family, key, compact::write_ids(&ids));
                    }
                }
                _ => self.draft.remove(family, key),
            }
        }
        Ok(())
    }

    /// Replaces what `old` says by what `new` says of the same user.
    pub(super) fn replace(&mut self, old: &Stored, new: &Stored) -> Outcome<(), S> {
        let indexed = |user: &User| (user.government_id, user.birth_currency, user.country);
        if indexed(&old.user) == indexed(&new.user) {
            self.put_record(new);
            return Ok(());
        }
        self.remove_from_indexes(old)?;
        self.put_user(new)
    }

    /// Removes a user, and the endorsements that the user has. Those that the user gave stay.
    pub(super) fn remove(&mut self, stored: &Stored) -> Outcome<(), S> {
        self.remove_from_indexes(stored)?;
        match self.layout {
            Layout::Compact => {
                let prefix = compact::group_key(stored.id, None);
                for entry in self.draft.below().scan(Family::Endorsement, &prefix, &prefix) {
                    self.draft.remove(Family::Endorsement, entry?.0);
                }
                let key = compact::user_key(stored.id);
                let record = compact::write_deleted(&key, &stored.user.key);
                self.draft.put(Family::User, key, record);
            }
            Layout::Documented => {
                for endorser in &stored.endorsers {
                    let key = documented::endorsement_key(&stored.user.key, endorser);
                    self.draft.remove(Family::Endorsement, key);
                }
                self.draft.remove(Family::User, documented::user_key(&stored.user.key));
            }
        }
        self.draft.delta.users -= 1;
        self.draft.delta.verified -= i64::from(stored.user.verified);
        self.draft.delta.endorsements -= i64::from(stored.user.endorsements);
        Ok(())
    }

    /// Adds an endorsement that the rules allow, after which `endorsed` stands at `standing`. Returns the endorsed user then.
    pub(super) fn endorse(
        &mut self,
        endorsed: &Stored,
        endorser: UserId,
        endorsement: &Endorsement,
        standing: Standing,
    ) -> Outcome<Stored, S> {
        let mut now = endorsed.clone();
        now.user.endorsements = standing.endorsements;
        now.user.verified = standing.verified;
        match self.layout {
            Layout::Compact => self.put_into_group(endorsed, endorser, endorsement)?,
            Layout::Documented => {
                now.endorsers.push(endorsement.endorser);
                let key = documented::endorsement_key(&endorsement.endorsed, &endorsement.endorser);
                let record = documented::write_endorsement(&key, endorsement);
                self.draft.put(Family::Endorsement, key, record);
            }
        }
        self.put_record(&now);
        self.draft.delta.endorsements += 1;
        self.draft.delta.verified += i64::from(standing.verified) - i64::from(endorsed.user.verified);
        Ok(now)
    }

    fn put_into_group(&mut self, endorsed: &Stored, endorser: UserId, endorsement: &Endorsement) -> Outcome<(), S> {
        let key = self.group_of(endorsed, endorser)?;
        let mut group = self.group(&key)?;
        let Endorsement { signed_at, signature, .. } = *endorsement;
        let place = group.partition_point(|member| member.endorser < endorser);
        group.insert(place, GroupMember { endorser, signed_at, signature });
        if group.len() > compact::GROUP_MAX {
            let upper = group.split_off(group.len() / 2);
            let bound = group.last().map(|last| last.endorser);
            let lower_key = compact::group_key(endorsed.id, bound);
            let lower = compact::write_group(&lower_key, &group);
            self.draft.put(Family::Endorsement, lower_key, lower);
            group = upper;
        }
        let value = compact::write_group(&key, &group);
        self.draft.put(Family::Endorsement, key, value);
        Ok(())
    }
}

const ENDORSER: BadRecord = BadRecord::Field("endorser who is not there");

impl<S: Store> rules::Records for Access<'_, S> {
    type Key = UserKey;
    type GovernmentId = Digest;
    type Error = DatabaseError<S::Error>;

    fn standing(&self, key: &UserKey) -> Outcome<Option<Standing>, S> {
        let found = self.find(key)?;
        Ok(found.map(|stored| Standing { endorsements: stored.user.endorsements, verified: stored.user.verified }))
    }

    fn owner(&self, government_id: &Digest) -> Outcome<Option<UserKey>, S> {
        self.owner_of(government_id)
    }

    fn is_endorsed_by(&self, endorsed: &UserKey, endorser: &UserKey) -> Outcome<bool, S> {
        let Some(endorsed) = self.find(endorsed)? else { return Ok(false) };
        let id = match (self.layout, self.find(endorser)?) {
            (_, Some(endorser)) => endorser.id,
            (Layout::Documented, None) => 0,
            // Whoever is deleted, or registered elsewhere, may have endorsed before.
            (Layout::Compact, None) => match self.numbered(endorser)? {
                Some((id, _)) => id,
                None => return Ok(false),
            },
        };
        self.has_endorsement(&endorsed, (endorser, id))
    }
}
