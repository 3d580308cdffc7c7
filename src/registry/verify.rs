//! Checking a whole registry: every index against every record, every record against every index, and the counters.
//!
//! Records of users and endorsements are the truth, and what follows from them is repaired: places in indexes, how many
//! endorsements a user has, counters. A damaged record, and a key or a government id that two users have, are only told of:
//! nobody knows what should be there. Memory is bounded: entries are read in order, one at a time.

use std::fmt;

use super::access::{Access, DatabaseError, Outcome};
use super::cache::{CacheSizes, Caches};
use super::database::UserDatabase;
use super::layout::compact::{self, GroupMember, Record};
use super::layout::{BadRecord, Layout, Stored, UserId, documented};
use super::meta::{self, Counters};
use super::record::User;
use super::store::{Batch, Family, Store, Value};

/// Most findings that a report tells one by one.
pub const EXAMPLES_MAX: usize = 100;
/// Changes that a repair writes at once.
const BATCH: usize = 4096;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is no record.
    Damaged(BadRecord),
    /// The user is not found by an index.
    NotIn(&'static str),
    /// Another user has the same key or the same government id.
    Twice(&'static str),
    /// The index leads to nobody whom it should lead to.
    Stale,
    /// Endorsements of nobody.
    Orphan,
    /// Endorsements out of order, or by somebody who never was.
    Endorsements,
    /// The user has another number of endorsements.
    Miscounted {
        /// What the record says.
        said: u32,
        /// How many there are.
        found: u32,
    },
    /// The counters do not say how many there are.
    Counters {
        /// What they say.
        said: Counters,
        /// How many there are.
        found: Counters,
    },
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The family.
    pub family: Family,
    /// The key in the store.
    pub key: Vec<u8>,
    /// What.
    pub fault: Fault,
    /// Whether it is repaired.
    pub repaired: bool,
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What there is.
    pub counters: Counters,
    /// Entries that were read.
    pub entries: u64,
    /// Findings.
    pub faults: u64,
    /// Those among them that are repaired.
    pub repaired: u64,
    /// The first [`EXAMPLES_MAX`] findings.
    pub examples: Vec<Finding>,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Damaged(problem) => write!(out, "damaged: {problem}"),
            Fault::NotIn(index) => write!(out, "a user who is not found by {index}"),
            Fault::Twice(what) => write!(out, "a user whose {what} another user has, too"),
            Fault::Stale => out.write_str("an entry of an index that leads to nobody it should lead to"),
            Fault::Orphan => out.write_str("endorsements of nobody"),
            Fault::Endorsements => out.write_str("endorsements out of order, or by somebody who never was registered"),
            Fault::Miscounted { said, found } => write!(out, "a user said to have {said} endorsements who has {found}"),
            Fault::Counters { said, found } => write!(
                out,
                "counters that say {} users, {} verified, {} endorsements where there are {}, {} and {}",
                said.users, said.verified, said.endorsements, found.users, found.verified, found.endorsements
            ),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ", self.family.name())?;
        self.key.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
        write!(out, ": {}{}", self.fault, if self.repaired { " (repaired)" } else { "" })
    }
}

impl Report {
    /// Whether nothing is wrong any more.
    pub fn is_sound(&self) -> bool {
        self.faults == self.repaired
    }
}

impl<S: Store> UserDatabase<S> {
    /// Checks everything, and tells `progress` of every entry that is read. What others write meanwhile may be reported.
    ///
    /// # Errors
    ///
    /// If the store cannot be read; what is wrong with its contents is in the report.
    pub fn verify(&self, progress: impl FnMut(Family)) -> Outcome<Report, S> {
        Check::new(self, false, progress).run()
    }

    /// Checks everything and repairs what follows from records, on disk when it returns. A second check finds what is left.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or written.
    pub fn repair(&mut self, progress: impl FnMut(Family)) -> Outcome<Report, S> {
        let report = Check::new(self, true, progress).run()?;
        let counters = Counters { next_id: report.counters.next_id.max(self.counters().next_id), ..report.counters };
        self.set_counters(counters)?;
        Ok(report)
    }
}

/// A check under way.
struct Check<'a, S: Store, P> {
    database: &'a UserDatabase<S>,
    caches: Caches,
    repairs: bool,
    batch: Batch,
    report: Report,
    progress: P,
}

impl<'a, S: Store, P: FnMut(Family)> Check<'a, S, P> {
    fn new(database: &'a UserDatabase<S>, repairs: bool, progress: P) -> Self {
        let caches = Caches::new(&CacheSizes { users: 0, endorsements: 0, memory: None });
        Check { database, caches, repairs, batch: Batch::default(), report: Report::default(), progress }
    }

    fn run(mut self) -> Outcome<Report, S> {
        for family in Family::ALL {
            for entry in self.database.store().scan(family, &[], &[]) {
                let (key, value) = entry?;
                self.report.entries += 1;
                (self.progress)(family);
                match self.database.layout() {
                    Layout::Compact => self.check_compact(family, &key, &value)?,
                    Layout::Documented => self.check_documented(family, &key, &value)?,
                }
                self.write(BATCH)?;
            }
        }
        let said = self.database.counters();
        let found = self.report.counters;
        if (said.users, said.verified, said.endorsements) != (found.users, found.verified, found.endorsements)
            || said.next_id < found.next_id
        {
            self.tell(Family::Meta, meta::COUNTERS_KEY, Fault::Counters { said, found }, true);
        }
        self.write(1)?;
        Ok(self.report)
    }

    /// Writes what is to be repaired, if it is `least` changes or more.
    fn write(&mut self, least: usize) -> Outcome<(), S> {
        if self.batch.changes.len() >= least {
            self.database.store().commit(std::mem::take(&mut self.batch))?;
        }
        Ok(())
    }

    fn tell(&mut self, family: Family, key: &[u8], fault: Fault, repairable: bool) {
        let repaired = self.repairs && repairable;
        self.report.faults += 1;
        self.report.repaired += u64::from(repaired);
        if self.report.examples.len() < EXAMPLES_MAX {
            self.report.examples.push(Finding { family, key: key.to_vec(), fault, repaired });
        }
    }

    /// Tells of an entry that should not be there, and removes it.
    fn discard(&mut self, family: Family, key: &[u8], fault: Fault) {
        self.tell(family, key, fault, true);
        if self.repairs {
            self.batch.remove(family, key);
        }
    }

    fn access(&self) -> Access<'_, S> {
        Access::new(self.database.store(), self.database.layout(), &self.caches)
    }

    /// What was read, or none where it is damaged: that is told of where the damaged entry itself is checked.
    fn readable<T>(outcome: Outcome<Option<T>, S>) -> Outcome<Option<T>, S> {
        match outcome {
            Err(DatabaseError::Damaged { .. }) => Ok(None),
            outcome => outcome,
        }
    }

    fn check_compact(&mut self, family: Family, key: &[u8], value: &[u8]) -> Outcome<(), S> {
        let checked = match family {
            Family::User => self.check_record(key, value)?,
            Family::Key | Family::GovernmentId => self.check_ids(family, key, value)?,
            Family::Currency => {
                self.check_place(family, key, 3, |user, id| compact::currency_key(user.birth_currency, id))?
            }
            Family::Country => self.check_place(family, key, 2, |user, id| compact::country_key(user.country, id))?,
            Family::Endorsement => self.check_group(key, value)?,
            Family::Meta => Ok(()),
        };
        if let Err(problem) = checked {
            // An index is made anew from the records; what was lost from elsewhere is not.
            match family {
                Family::User | Family::Endorsement | Family::Meta => {
                    self.tell(family, key, Fault::Damaged(problem), false);
                }
                _ => self.discard(family, key, Fault::Damaged(problem)),
            }
        }
        Ok(())
    }

    fn check_record(&mut self, key: &[u8], value: &[u8]) -> Outcome<Result<(), BadRecord>, S> {
        let read = compact::read_id(key, 0).and_then(|id| Ok((id, compact::read_record(key, value)?)));
        let (id, record) = match read {
            Ok(read) => read,
            Err(problem) => return Ok(Err(problem)),
        };
        self.report.counters.next_id = self.report.counters.next_id.max(id + 1);
        match record {
            Record::Deleted(user) => self.check_index(key, id, Family::Key, &compact::key_fingerprint(&user))?,
            Record::User(user) => {
                let found = self.count_endorsements(id)?;
                let stored = Stored { id, user, endorsers: Vec::new() };
                self.check_user(key, &stored, found, found)?;
                self.check_index(key, id, Family::Key, &compact::key_fingerprint(&stored.user.key))?;
                let fingerprint = compact::government_fingerprint(&stored.user.government_id);
                self.check_index(key, id, Family::GovernmentId, &fingerprint)?;
                self.check_twice(key, &stored)?;
            }
        }
        Ok(Ok(()))
    }

    /// Whether an index by fingerprints leads to the user `id`.
    fn check_index(&mut self, key: &[u8], id: UserId, family: Family, fingerprint: &[u8]) -> Outcome<(), S> {
        self.write(1)?;
        let value = self.database.store().get(family, fingerprint)?;
        let mut ids = value.as_deref().map_or(Vec::new(), |value| compact::read_ids(value).unwrap_or_default());
        if let Err(place) = ids.binary_search(&id) {
            self.tell(Family::User, key, Fault::NotIn(family.name()), true);
            if self.repairs {
                ids.insert(place, id);
                self.batch.put(family, fingerprint, compact::write_ids(&ids));
            }
        }
        Ok(())
    }

    /// Whether another user has the key or the government id of `stored`.
    fn check_twice(&mut self, key: &[u8], stored: &Stored) -> Outcome<(), S> {
        let by_key = Self::readable(self.access().numbered(&stored.user.key))?;
        if by_key.is_some_and(|(id, _)| id != stored.id) {
            self.tell(Family::User, key, Fault::Twice("key"), false);
        }
        let owner = Self::readable(self.access().owner_of(&stored.user.government_id))?;
        if owner.is_some_and(|owner| owner != stored.user.key) {
            self.tell(Family::User, key, Fault::Twice("government id"), false);
        }
        Ok(())
    }

    /// Endorsements of the user `id` that can be read.
    fn count_endorsements(&self, id: UserId) -> Outcome<u32, S> {
        let prefix = compact::group_key(id, None);
        let mut found = 0;
        for entry in self.database.store().scan(Family::Endorsement, &prefix, &prefix) {
            let (key, value) = entry?;
            found += compact::read_group(&key, &value).map_or(0, |group| group.len() as u32);
        }
        Ok(found)
    }

    /// What both layouts have in common: number of endorsements (`lists` if the record lists their givers), places in the
    /// indexes that hold no list, counters.
    fn check_user(&mut self, key: &[u8], stored: &Stored, lists: u32, found: u32) -> Outcome<(), S> {
        let said = stored.user.endorsements;
        self.report.counters.users += 1;
        self.report.counters.verified += u64::from(stored.user.verified);
        self.report.counters.endorsements += u64::from(found);
        let layout = self.database.layout();
        let mut entries: Vec<(Family, Vec<u8>, Value)> = Vec::with_capacity(5);
        layout.put_user(stored, |family, key, value| entries.push((family, key, value)));
        for (family, place, value) in entries {
            if matches!(family, Family::User | Family::Key | Family::GovernmentId) {
                continue;
            }
            if !self.database.store().contains(family, &place)? {
                self.tell(Family::User, key, Fault::NotIn(family.name()), true);
                if self.repairs {
                    self.batch.put(family, place, value);
                }
            }
        }
        if said != found || lists != found {
            self.tell(Family::User, key, Fault::Miscounted { said, found }, true);
            if self.repairs {
                let user = User { endorsements: found, ..stored.user.clone() };
                let now = Stored { user, ..stored.clone() };
                let batch = &mut self.batch;
                layout.put_user(&now, |family, key, value| {
                    if family == Family::User {
                        batch.put(family, key, value);
                    }
                });
            }
        }
        Ok(())
    }

    /// Whether all users that an entry of an index by fingerprints leads to have that fingerprint.
    fn check_ids(&mut self, family: Family, key: &[u8], value: &[u8]) -> Outcome<Result<(), BadRecord>, S> {
        let ids = match compact::read_ids(value) {
            Ok(ids) => ids,
            Err(problem) => return Ok(Err(problem)),
        };
        let mut fitting = Vec::with_capacity(ids.len());
        for &id in &ids {
            // A record that is damaged now may be restored; its places in the indexes are kept for it.
            let fits = match (self.access().record(id), family) {
                (Err(DatabaseError::Damaged { .. }), _) => true,
                (Err(error), _) => return Err(error),
                (Ok(Some(Record::User(user))), Family::Key) => compact::key_fingerprint(&user.key) == key,
                (Ok(Some(Record::Deleted(user))), Family::Key) => compact::key_fingerprint(&user) == key,
                (Ok(Some(Record::User(user))), _) => compact::government_fingerprint(&user.government_id) == key,
                _ => false,
            };
            fitting.extend(fits.then_some(id));
        }
        if fitting.len() < ids.len() {
            self.tell(family, key, Fault::Stale, true);
            if self.repairs && fitting.is_empty() {
                self.batch.remove(family, key);
            } else if self.repairs {
                self.batch.put(family, key, compact::write_ids(&fitting));
            }
        }
        Ok(Ok(()))
    }

    /// Whether the user at the end of the key of an index stands there rightly.
    fn check_place(
        &mut self,
        family: Family,
        key: &[u8],
        prefix_len: usize,
        place: impl Fn(&User, UserId) -> Vec<u8>,
    ) -> Outcome<Result<(), BadRecord>, S> {
        let id = match compact::read_id(key, prefix_len) {
            Ok(id) => id,
            Err(problem) => return Ok(Err(problem)),
        };
        let stands = match self.access().record(id) {
            Err(DatabaseError::Damaged { .. }) => true,
            Err(error) => return Err(error),
            Ok(Some(Record::User(user))) => place(&user, id) == key,
            Ok(_) => false,
        };
        if !stands {
            self.discard(family, key, Fault::Stale);
        }
        Ok(Ok(()))
    }

    /// Whether a group of endorsements is somebody's, within its bounds and by people who are or were there.
    fn check_group(&mut self, key: &[u8], value: &[u8]) -> Outcome<Result<(), BadRecord>, S> {
        let read = compact::read_group_key(key).and_then(|key_read| Ok((key_read, compact::read_group(key, value)?)));
        let ((endorsed, bound), group) = match read {
            Ok(read) => read,
            Err(problem) => return Ok(Err(problem)),
        };
        match self.access().record(endorsed) {
            Ok(Some(Record::User(_))) | Err(DatabaseError::Damaged { .. }) => {}
            Ok(_) => {
                self.discard(Family::Endorsement, key, Fault::Orphan);
                return Ok(Ok(()));
            }
            Err(error) => return Err(error),
        }
        let in_bounds = self.is_in_bounds(endorsed, bound, &group)?;
        let mut known = true;
        for member in &group {
            let endorser = self.access().record(member.endorser);
            known &= matches!(endorser, Ok(Some(_)) | Err(DatabaseError::Damaged { .. }));
            if let Err(error @ DatabaseError::Store(_)) = endorser {
                return Err(error);
            }
        }
        if !in_bounds || !known {
            self.tell(Family::Endorsement, key, Fault::Endorsements, false);
        }
        Ok(Ok(()))
    }

    /// Whether a search for each member of a group leads to this group.
    fn is_in_bounds(&self, endorsed: UserId, bound: Option<UserId>, group: &[GroupMember]) -> Outcome<bool, S> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(false) };
        let prefix = compact::group_key(endorsed, None);
        let from = compact::group_key(endorsed, Some(first.endorser));
        let leads_to = self.database.store().scan(Family::Endorsement, &prefix, &from).next().transpose()?;
        Ok(match bound {
            Some(bound) => {
                last.endorser <= bound
                    && leads_to.is_some_and(|(key, _)| key == compact::group_key(endorsed, Some(bound)))
            }
            None => leads_to.is_none(),
        })
    }

    fn check_documented(&mut self, family: Family, key: &[u8], value: &[u8]) -> Outcome<(), S> {
        let checked = match family {
            Family::User => self.check_documented_user(key, value)?,
            Family::GovernmentId => match documented::read_owner(value) {
                Ok(owner) => self.check_documented_place(family, key, self.access().load(&owner), |user| {
                    documented::government_key(&user.government_id)
                })?,
                Err(problem) => Err(problem),
            },
            Family::Currency => self.check_indexed(family, key, documented::CURRENCY_PREFIX_LEN)?,
            Family::Country => self.check_indexed(family, key, documented::COUNTRY_PREFIX_LEN)?,
            Family::Endorsement => self.check_documented_endorsement(key, value)?,
            Family::Key | Family::Meta => Ok(()),
        };
        if let Err(problem) = checked {
            let lost = matches!(family, Family::User | Family::Endorsement);
            self.tell(family, key, Fault::Damaged(problem), !lost);
            if self.repairs && !lost {
                self.batch.remove(family, key);
            }
        }
        Ok(())
    }

    fn check_documented_user(&mut self, key: &[u8], value: &[u8]) -> Outcome<Result<(), BadRecord>, S> {
        let stored = match documented::read_user(key, value) {
            Ok(stored) => stored,
            Err(problem) => return Ok(Err(problem)),
        };
        let mut there = Vec::with_capacity(stored.endorsers.len());
        for endorser in &stored.endorsers {
            let endorsement = documented::endorsement_key(&stored.user.key, endorser);
            if self.database.store().contains(Family::Endorsement, &endorsement)? {
                there.push(*endorser);
            }
        }
        let found = there.len() as u32;
        let lists = stored.endorsers.len() as u32;
        self.check_user(key, &Stored { endorsers: there, ..stored.clone() }, lists, found)?;
        let government_id = documented::government_key(&stored.user.government_id);
        match self.database.store().get(Family::GovernmentId, &government_id)? {
            Some(owner) if owner == stored.user.key.bytes() => {}
            Some(owner) if documented::read_owner(&owner).is_ok() => {
                self.tell(Family::User, key, Fault::Twice("government id"), false);
            }
            _ => {
                self.tell(Family::User, key, Fault::NotIn(Family::GovernmentId.name()), true);
                if self.repairs {
                    self.batch.put(Family::GovernmentId, government_id, stored.user.key.bytes().as_slice());
                }
            }
        }
        Ok(Ok(()))
    }

    fn check_indexed(&mut self, family: Family, key: &[u8], prefix_len: usize) -> Outcome<Result<(), BadRecord>, S> {
        let user = match documented::read_indexed_key(key, prefix_len) {
            Ok(user) => user,
            Err(problem) => return Ok(Err(problem)),
        };
        let prefix = |user: &User| match family {
            Family::Currency => documented::currency_prefix(user.birth_currency),
            _ => documented::country_prefix(user.country),
        };
        let place = |user: &User| [&prefix(user)[..], user.key.bytes()].concat();
        self.check_documented_place(family, key, self.access().load(&user), place)
    }

    fn check_documented_place(
        &mut self,
        family: Family,
        key: &[u8],
        found: Outcome<Option<std::sync::Arc<Stored>>, S>,
        place: impl Fn(&User) -> Vec<u8>,
    ) -> Outcome<Result<(), BadRecord>, S> {
        let stands = match found {
            Err(DatabaseError::Damaged { .. }) => true,
            Err(error) => return Err(error),
            Ok(found) => found.is_some_and(|stored| place(&stored.user) == key),
        };
        if !stands {
            self.discard(family, key, Fault::Stale);
        }
        Ok(Ok(()))
    }

    fn check_documented_endorsement(&mut self, key: &[u8], value: &[u8]) -> Outcome<Result<(), BadRecord>, S> {
        let endorsement = match documented::read_endorsement(key, value) {
            Ok(endorsement) => endorsement,
            Err(problem) => return Ok(Err(problem)),
        };
        let endorsed = match self.access().load(&endorsement.endorsed) {
            Err(DatabaseError::Damaged { .. }) => return Ok(Ok(())),
            endorsed => endorsed?,
        };
        if !endorsed.is_some_and(|endorsed| endorsed.endorsers.contains(&endorsement.endorser)) {
            self.discard(Family::Endorsement, key, Fault::Orphan);
        }
        Ok(Ok(()))
    }
}
