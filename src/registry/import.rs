//! Bulk import: a registry made of all its users and endorsements at once, much faster than by registering them.
//!
//! It is made beside its place, in a folder `NAME.import`, and gets its name when it is complete: there is never half of
//! one. Steps:
//!
//! 1. Users are read, and numbered as they come. Keys and government ids are held as sorted hashes, 16 bytes a user each,
//!    among which those stand side by side that are there twice.
//! 2. Endorsements are read; both keys are looked up, and what is left is sorted on disk by who is endorsed.
//! 3. Users are read again, beside their endorsements. What comes in order of its family is written as it comes, the rest
//!    is sorted first. Tables are written in order, so nothing is merged later.
//! 4. The registry is read back, and compared by number and checksum of the entries of each family.
//!
//! An import that was killed goes on where the endorsements' runs end that are on disk; reading users and writing tables
//! begin anew. Whatever is wrong with the source is told by place and reason, and nothing is imported.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};
use thiserror::Error;

pub mod files;
mod index;
pub(super) mod leftover;
mod sorter;
pub mod source;
mod work;
mod write;

use index::Index;
use sorter::Sorter;
use source::{Place, Source, SourceError};
use work::{Progress, Work};

use super::access::DatabaseError;
use super::disk::{DiskError, DiskOptions};
use super::layout::Layout;
use super::record::{ENDORSEMENTS_TO_VERIFY, Endorsement, User, UserKey};
use super::store::Family;

/// The most problems that are told.
pub const PROBLEMS_MAX: usize = 100;

/// How a registry is made.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The layout. Default: compact.
    pub layout: Layout,
    /// Endorsements that make a user verified. Default: [`ENDORSEMENTS_TO_VERIFY`].
    pub enough: u32,
    /// Memory for hashes and for sorting, in bytes. Beside it an import takes what its threads hold of batches and what
    /// the engine takes, about 300 MB in all. Default: 1 GiB.
    pub memory: u64,
    /// How the store is created.
    pub store: DiskOptions,
}

impl Default for ImportOptions {
    fn default() -> Self {
        ImportOptions {
            layout: Layout::default(),
            enough: ENDORSEMENTS_TO_VERIFY,
            memory: 1 << 30,
            store: DiskOptions::default(),
        }
    }
}

/// What an import is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Reading users.
    Users,
    /// Reading and sorting endorsements.
    Endorsements,
    /// Writing users and endorsements.
    Records,
    /// Writing indexes.
    Indexes,
    /// Reading the registry back.
    Check,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Step; 5] = [Step::Users, Step::Endorsements, Step::Records, Step::Indexes, Step::Check];
}

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Users.
    pub users: u64,
    /// Verified users among them.
    pub verified: u64,
    /// Endorsements.
    pub endorsements: u64,
    /// Endorsements that an import which was cut off had sorted already.
    pub resumed: u64,
    /// What was written to each family and read back.
    pub families: Vec<(Family, Tally)>,
}

/// Entries of a family, however many, as a number and a sum that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub entries: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Sum of the entries' checksums.
    pub sum: u64,
}

/// Why nothing was imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Something is there.
    #[error("{path} exists already: an import makes a new registry", path = .0.display())]
    Exists(PathBuf),
    /// Another process imports to the same place.
    #[error("another process is importing to {path}", path = .0.display())]
    Busy(PathBuf),
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Something in the source is not allowed.
    #[error("{0}")]
    Refused(Problems),
    /// The hashes of all users do not fit in the memory allowed.
    #[error("{users} users need {needed} bytes of memory for their hashes, and an import may take {allowed}")]
    Memory {
        /// The users read until then.
        users: u64,
        /// What they need.
        needed: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// The work folder cannot be read or written.
    #[error("cannot read or write {path}; what was sorted is kept for another try", path = .path.display())]
    Work {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The registry cannot be written.
    #[error(transparent)]
    Store(#[from] DiskError),
    /// The registry cannot be founded or read.
    #[error(transparent)]
    Database(#[from] DatabaseError<DiskError>),
    /// What was read back is not what was written.
    #[error("the family {family} was written with {written:?} and is read with {read:?}: the disk or the engine fails")]
    Differs {
        /// The family.
        family: &'static str,
        /// What was written.
        written: Tally,
        /// What was read.
        read: Tally,
    },
    /// The server to which it goes fails.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Server(#[from] super::server::ServerError),
    /// A thread of the import ended without a result.
    #[error("a thread of the import failed")]
    Thread,
}

/// What is wrong with a source, by place.
#[derive(Debug, Default)]
pub struct Problems {
    /// Up to [`PROBLEMS_MAX`] places with what is wrong there.
    pub lines: Vec<String>,
    /// Whether there are more.
    pub more: bool,
}

impl Problems {
    fn add(&mut self, line: String) {
        if self.lines.len() < PROBLEMS_MAX { self.lines.push(line) } else { self.more = true }
    }

    fn refuse(self) -> Result<(), ImportError> {
        if self.lines.is_empty() { Ok(()) } else { Err(ImportError::Refused(self)) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "nothing was imported, because of {}{} problems:",
            self.lines.len(),
            if self.more { " and more" } else { "" }
        )?;
        self.lines.iter().try_for_each(|line| write!(out, "\n  {line}"))
    }
}

/// Makes a registry at `path`, where none may be, of all that `source` holds. Calls `on_progress` with what was done of a
/// step and of how much, now and then and from one thread at a time.
///
/// # Errors
///
/// [`ImportError`]. At `path` there is nothing then. What was sorted is kept in `PATH.import`, from where the same import
/// goes on; after a refusal it is removed.
pub fn import<S: Source>(
    path: &Path,
    source: &S,
    options: &ImportOptions,
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
) -> Result<Imported, ImportError> {
    leftover::clean(path);
    let work = Work::open(path)?;
    let imported = run(&work, source, options, on_progress);
    match imported {
        Ok(imported) => {
            leftover::mark(work.folder()).map_err(|error| work.failed(error))?;
            work.finish()?;
            Ok(imported)
        }
        Err(refused @ ImportError::Refused(_)) => {
            work.discard();
            Err(refused)
        }
        Err(error) => Err(error),
    }
}

fn run<S: Source>(
    work: &Work,
    source: &S,
    options: &ImportOptions,
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
) -> Result<Imported, ImportError> {
    sorted(work, source, options, on_progress, |sorted, on_progress| {
        write::write(work, source, options, sorted, on_progress)
    })
}

/// Sorts the endorsements of `source`, lets `write` write them beside its users, of whom it is told how many there are, and
/// returns what it returns.
fn sorted<S: Source>(
    work: &Work,
    source: &S,
    options: &ImportOptions,
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
    write: impl FnOnce((u64, Sorter), &mut dyn FnMut(Step, u64, Option<u64>)) -> Result<Imported, write::WriteError>,
) -> Result<Imported, ImportError> {
    let identity = format!("{} {} {}", source.identity()?, options.layout, options.memory);
    let mut progress = work.resume(identity)?;
    let (index, users) = read_users(source, options.memory, on_progress)?;
    let resumed = progress.endorsements;
    let mut sorter = Sorter::new(work.folder(), "endorsements", sorting_memory(options.memory, users));
    sorter = sorter.resume(progress.runs);
    read_endorsements(work, source, &index, options.layout, (&mut sorter, &mut progress), on_progress)?;
    let mut imported = write((users, sorter), on_progress).map_err(|error| match error {
        write::WriteError::Import(error) => error,
        write::WriteError::Twice(pairs) => tell_twice(source, &index, &pairs),
    })?;
    imported.resumed = resumed;
    Ok(imported)
}

/// A user with the endorsements that the user has.
#[cfg(feature = "postgres")]
pub(super) type Endorsed = (User, Vec<Endorsement>);

/// Gives all that `source` holds to `take`: users in its order, each with the endorsements that the user has, batch by
/// batch, after all of it was found to be in order but that nobody endorses a user twice; that is told at the end.
/// Returns how many there were. What is sorted on disk is in a temporary folder.
///
/// # Errors
///
/// [`ImportError`], and those of `take`.
#[cfg(feature = "postgres")]
pub(super) fn stream<S: Source>(
    source: &S,
    options: &ImportOptions,
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
    take: &mut dyn FnMut(Vec<Endorsed>) -> Result<(), ImportError>,
) -> Result<Imported, ImportError> {
    let folder = tempfile::tempdir().map_err(|source| ImportError::Work { path: std::env::temp_dir(), source })?;
    let work = Work::open(&folder.path().join("registry"))?;
    // The layout in which endorsements are sorted with the keys of those who gave them.
    let options = ImportOptions { layout: Layout::Documented, ..options.clone() };
    sorted(&work, source, &options, on_progress, |sorted, on_progress| {
        let of = |given: Vec<(u64, Endorsement)>| -> Vec<Endorsement> {
            given.into_iter().map(|(_, endorsement)| endorsement).collect()
        };
        let mut take_each = |users: Vec<write::Numbered>| -> Result<(), write::WriteError> {
            Ok(take(users.into_iter().map(|(_, user, given)| (user, of(given))).collect())?)
        };
        let enough = options.enough;
        let counters = write::beside_each_other(&work, source, enough, sorted, on_progress, &mut take_each)?;
        let super::meta::Counters { users, verified, endorsements, .. } = counters;
        Ok(Imported { users, verified, endorsements, resumed: 0, families: Vec::new() })
    })
}

/// What is left for sorting beside the hashes of `users` keys.
fn sorting_memory(memory: u64, users: u64) -> usize {
    (memory.saturating_sub(Index::bytes_for(users)) / 2).max(1 << 20) as usize
}

/// Reads all users: which key has which number, and how many there are.
fn read_users<S: Source>(
    source: &S,
    memory: u64,
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
) -> Result<(Index, u64), ImportError> {
    let (mut keys, mut government_ids, mut problems) = (Vec::new(), Vec::new(), Problems::default());
    let total = source.size().map(|(users, _)| users);
    let mut users = 0u64;
    for batch in source.users() {
        let batch = batch?;
        batch.bad.into_iter().for_each(|(place, reason)| problems.add(format!("{}: {reason}", source.describe(place))));
        let first = users;
        users += batch.items.len() as u64;
        let needed = 2 * Index::bytes_for(users);
        if needed > memory || users > index::USERS_MAX {
            return Err(ImportError::Memory { users, needed, allowed: memory });
        }
        let numbered: Vec<(u64, &User)> = (first..).zip(batch.items.iter().map(|(_, user)| user)).collect();
        let hashes = |&(number, user): &(u64, &User)| {
            (index::entry(user.key.bytes(), number), index::entry(&user.government_id.0, number))
        };
        let hashes: Vec<(u128, u128)> = numbered.par_iter().map(hashes).collect();
        keys.extend(hashes.iter().map(|hashes| hashes.0));
        government_ids.extend(hashes.iter().map(|hashes| hashes.1));
        on_progress(Step::Users, users, total);
    }
    if !problems.lines.is_empty() {
        // Keys that are missing because their lines are bad would be told again as unknown.
        for batch in source.endorsements(0) {
            let bad = batch?.bad.into_iter();
            bad.for_each(|(place, reason)| problems.add(format!("{}: {reason}", source.describe(place))));
        }
        problems.refuse()?;
    }
    let same_keys = index::sort(&mut keys, PROBLEMS_MAX + 1);
    let same_ids = index::sort(&mut government_ids, PROBLEMS_MAX + 1);
    drop(government_ids);
    if !(same_keys.is_empty() && same_ids.is_empty()) {
        tell_same(source, &same_keys, &same_ids)?.refuse()?;
    }
    Ok((Index::new(keys), users))
}

/// Finds where users stand that share a key or a government id, by reading again.
fn tell_same<S: Source>(
    source: &S,
    same_keys: &[(u64, u64)],
    same_ids: &[(u64, u64)],
) -> Result<Problems, ImportError> {
    let pairs = || same_keys.iter().chain(same_ids);
    let mut wanted: Vec<u64> = pairs().flat_map(|&(first, second)| [first, second]).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let (mut found, mut number): (Vec<(Place, User)>, u64) = (Vec::new(), 0);
    for batch in source.users() {
        for (place, user) in batch?.items {
            if wanted.get(found.len()) == Some(&number) {
                found.push((place, user));
            }
            number += 1;
        }
    }
    let get = |number: u64| wanted.binary_search(&number).ok().and_then(|index| found.get(index));
    let mut told: Vec<(Place, String)> = Vec::new();
    for (pairs, of_keys) in [(same_keys, true), (same_ids, false)] {
        for &(first, second) in pairs {
            let (Some((first, one)), Some((second, other))) = (get(first), get(second)) else { continue };
            let first = source.describe(*first);
            let what = match of_keys {
                true if one.key == other.key => format!("the key {} is also that of {first}", other.key),
                false if one.government_id == other.government_id => {
                    format!("the government id {} is also that of {first} (key {})", other.government_id, one.key)
                }
                _ => format!("{} and {} of {first} hash alike and cannot be imported together", other.key, one.key),
            };
            told.push((*second, what));
        }
    }
    told.sort();
    let mut problems = Problems::default();
    told.into_iter().for_each(|(place, what)| problems.add(format!("{}: {what}", source.describe(place))));
    Ok(problems)
}

/// An endorsement on its way to be sorted: who is endorsed and by whom, then the time, the signature and, where the
/// layout wants them, both keys.
struct Raw {
    key: [u8; 16],
    value: [u8; RAW_LEN_MAX],
}

const RAW_LEN: usize = 8 + 64;
const RAW_LEN_MAX: usize = RAW_LEN + 2 * 33;

/// Bytes of [`Raw::value`] that are used in `layout`.
fn raw_len(layout: Layout) -> usize {
    match layout {
        Layout::Compact => RAW_LEN,
        Layout::Documented => RAW_LEN_MAX,
    }
}

/// What becomes of `endorsement`. `last` is who was endorsed last: a user's endorsements often come one after the other, and
/// finding a key costs a hash and two misses of the processor's caches.
fn raw(index: &Index, last: &mut Option<(UserKey, u64)>, endorsement: &Endorsement) -> Result<Raw, String> {
    let Endorsement { endorsed, endorser, signature, signed_at } = endorsement;
    if endorsed == endorser {
        return Err(format!("{endorsed} endorses itself"));
    }
    let find =
        |key: &UserKey, what| index.find(key.bytes()).ok_or_else(|| format!("the {what} {key} is not among the users"));
    let endorsed_id = match last {
        Some((key, id)) if key == endorsed => *id,
        _ => find(endorsed, "endorsed user")?,
    };
    *last = Some((*endorsed, endorsed_id));
    let endorser_id = find(endorser, "endorser")?;
    let mut raw = Raw { key: [0; 16], value: [0; RAW_LEN_MAX] };
    raw.key[..8].copy_from_slice(&endorsed_id.to_be_bytes());
    raw.key[8..].copy_from_slice(&endorser_id.to_be_bytes());
    raw.value[..8].copy_from_slice(&signed_at.to_le_bytes());
    raw.value[8..RAW_LEN].copy_from_slice(signature);
    raw.value[RAW_LEN..RAW_LEN + 33].copy_from_slice(endorsed.bytes());
    raw.value[RAW_LEN + 33..].copy_from_slice(endorser.bytes());
    Ok(raw)
}

/// Reads the endorsements that are not yet sorted, and sorts them.
fn read_endorsements<S: Source>(
    work: &Work,
    source: &S,
    index: &Index,
    layout: Layout,
    (sorter, progress): (&mut Sorter, &mut Progress),
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
) -> Result<(), ImportError> {
    let total = source.size().map(|(_, endorsements)| endorsements);
    let (mut done, mut problems) = (progress.endorsements, Problems::default());
    // What is in the run that is being written: it counts when the next one begins.
    let mut spilling = done;
    for batch in source.endorsements(done) {
        let batch = batch?;
        batch.bad.into_iter().for_each(|(place, reason)| problems.add(format!("{}: {reason}", source.describe(place))));
        done += batch.items.len() as u64;
        let resolve =
            |last: &mut _, (place, item): (Place, Endorsement)| raw(index, last, &item).map_err(|why| (place, why));
        let resolved = batch.items.into_par_iter().map_init(|| None, resolve);
        for item in resolved.collect::<Vec<_>>() {
            match item {
                Ok(raw) => sorter.push(&raw.key, &raw.value[..raw_len(layout)]),
                Err((place, why)) => problems.add(format!("{}: {why}", source.describe(place))),
            }
        }
        if sorter.is_full() && problems.lines.is_empty() {
            let runs = sorter.settle().map_err(|error| work.failed(error))?;
            (progress.runs, progress.endorsements) = (runs, spilling);
            work.save(progress)?;
            sorter.spill().map_err(|error| work.failed(error))?;
            spilling = done;
        }
        on_progress(Step::Endorsements, done, total);
    }
    problems.refuse()?;
    // What fits into memory is read again as quickly as from disk.
    if sorter.settle().map_err(|error| work.failed(error))? > 0 {
        let all = sorter.spill().and_then(|()| sorter.settle());
        (progress.runs, progress.endorsements) = (all.map_err(|error| work.failed(error))?, done);
        work.save(progress)?;
    }
    Ok(())
}

/// Finds where endorsements stand that are there twice, by reading again. `pairs` are in order.
fn tell_twice<S: Source>(source: &S, index: &Index, pairs: &[(u64, u64)]) -> ImportError {
    let mut first: Vec<Option<Place>> = vec![None; pairs.len()];
    let mut problems = Problems::default();
    for batch in source.endorsements(0) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return error.into(),
        };
        for (place, Endorsement { endorsed, endorser, .. }) in batch.items {
            let pair = index.find(endorsed.bytes()).zip(index.find(endorser.bytes()));
            let Some(found) = pair.and_then(|pair| pairs.binary_search(&pair).ok()) else { continue };
            match first[found] {
                None => first[found] = Some(place),
                Some(other) => problems.add(format!(
                    "{}: {endorser} endorses {endorsed} also in {}",
                    source.describe(place),
                    source.describe(other)
                )),
            }
        }
    }
    ImportError::Refused(problems)
}

#[cfg(test)]
mod tests;
