//! The tables of a registry that is imported: users beside their endorsements, then the indexes, then all read back.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::super::cache::CacheSizes;
use super::super::disk::{DiskError, DiskOptions, DiskStore, open_registry};
use super::super::layout::{Layout, Stored, UserId};
use super::super::meta::Counters;
use super::super::record::{Endorsement, User, UserKey};
use super::super::store::{BulkStore, Entry, Family, Store, Value};
use super::sorter::{Merge, Sorter};
use super::source::Source;
use super::work::Work;
use super::{ImportError, ImportOptions, Imported, PROBLEMS_MAX, RAW_LEN, RAW_LEN_MAX, Step, Tally};

/// Why tables were not written.
pub(super) enum WriteError {
    Import(ImportError),
    /// These users were endorsed more than once by these others.
    Twice(Vec<(UserId, UserId)>),
}

impl<E: Into<ImportError>> From<E> for WriteError {
    fn from(error: E) -> Self {
        WriteError::Import(error.into())
    }
}

/// Families of users, whose entries an import makes.
const FAMILIES: [Family; 6] =
    [Family::User, Family::Key, Family::GovernmentId, Family::Endorsement, Family::Currency, Family::Country];
/// Batches that wait for a family that is written as it comes.
const QUEUE: usize = 2;

/// Whether entries of `family` come in order of their keys if users come in order of their numbers.
fn comes_in_order(layout: Layout, family: Family) -> bool {
    layout == Layout::Compact && matches!(family, Family::User | Family::Endorsement)
}

impl Tally {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries += 1;
        self.bytes += (key.len() + value.len()) as u64;
        // Not the records' own checksum: over a record that ends with it, that is always the same.
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
        let mut hash = [0; 8];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        self.sum = self.sum.wrapping_add(u64::from_le_bytes(hash));
    }
}

/// Sorted endorsements, by who is endorsed.
struct Endorsements {
    sorted: Merge,
    next: Option<Entry>,
    last: Option<(UserId, UserId)>,
    twice: Vec<(UserId, UserId)>,
}

fn ids(key: &[u8]) -> (UserId, UserId) {
    let number = |at: usize| key[at..at + 8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    (number(0), number(8))
}

impl Endorsements {
    fn new(sorter: Sorter) -> std::io::Result<Self> {
        let mut sorted = sorter.merge()?;
        let next = sorted.next().transpose()?;
        Ok(Endorsements { sorted, next, last: None, twice: Vec::new() })
    }

    /// Those of user `id`, who is called `key`. Users are asked for in order.
    fn of(&mut self, id: UserId, key: &UserKey) -> std::io::Result<Vec<(UserId, Endorsement)>> {
        let mut found = Vec::new();
        while let Some((pair, value)) = self.next.take_if(|(pair, _)| ids(pair).0 == id) {
            self.next = self.sorted.next().transpose()?;
            let pair = ids(&pair);
            if self.last.replace(pair) == Some(pair) {
                if self.twice.len() <= PROBLEMS_MAX && self.twice.last() != Some(&pair) {
                    self.twice.push(pair);
                }
                continue;
            }
            found.push((pair.1, endorsement(key, &value)));
        }
        Ok(found)
    }
}

/// The endorsement of `endorsed` that was sorted as `value`. The compact layout names the endorser by number, and no key of
/// an endorser is sorted for it; then that of the endorsed stands there, which nobody reads.
fn endorsement(endorsed: &UserKey, value: &[u8]) -> Endorsement {
    let mut signature = [0; 64];
    signature.copy_from_slice(&value[8..RAW_LEN]);
    let signed_at = value[..8].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let endorser = match value.len() {
        RAW_LEN_MAX => {
            let mut bytes = [0; 33];
            bytes.copy_from_slice(&value[RAW_LEN + 33..]);
            UserKey::new(bytes).unwrap_or(*endorsed)
        }
        _ => *endorsed,
    };
    Endorsement { endorsed: *endorsed, endorser, signature, signed_at }
}

/// Entries by family, in the order of [`Family::ALL`].
type Sheaf = [Vec<Entry>; Family::ALL.len()];

/// All entries of some users, each family in the order in which they come.
fn entries(layout: Layout, users: Vec<(Stored, Vec<(UserId, Endorsement)>)>) -> Sheaf {
    let mut sheaf = Sheaf::default();
    for (stored, mut endorsements) in users {
        let mut put = |family: Family, key: Vec<u8>, value: Value| sheaf[family as usize].push((key, value));
        layout.put_user(&stored, &mut put);
        layout.put_endorsements(stored.id, &mut endorsements, &mut put);
    }
    sheaf
}

/// Where the entries of one family go: to a thread that writes them as they come, or to be sorted first.
enum Way<'scope> {
    Straight(SyncSender<Option<Vec<Entry>>>, thread::ScopedJoinHandle<'scope, Result<Tally, ImportError>>),
    Sorted(Sorter),
    None,
}

/// Entries from the other end of `queue` until it says that those were all; an error if it just ends.
fn from_queue(queue: Receiver<Option<Vec<Entry>>>) -> impl Iterator<Item = Result<Entry, ImportError>> {
    let mut ended = false;
    let batches = std::iter::from_fn(move || match queue.recv() {
        _ if ended => None,
        Ok(batch) => batch.map(|batch| batch.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(_) => {
            ended = true;
            Some(vec![Err(ImportError::Thread)])
        }
    });
    batches.flatten()
}

/// Writes `entries` to `family`, and counts them.
fn ingest(
    store: &DiskStore,
    family: Family,
    entries: impl Iterator<Item = Result<Entry, ImportError>>,
) -> Result<Tally, ImportError> {
    let mut tally = Tally::default();
    let counted = entries.inspect(|entry| {
        if let Ok((key, value)) = entry {
            tally.add(key, value);
        }
    });
    store.ingest(family, counted)?;
    Ok(tally)
}

/// Writes the registry of `users` users and the endorsements in `sorter`, and reads it back.
pub(super) fn write<S: Source>(
    work: &Work,
    source: &S,
    options: &ImportOptions,
    (users, sorter): (u64, Sorter),
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
) -> Result<Imported, WriteError> {
    let layout = options.layout;
    let tuned = DiskOptions { create: true, layout: Some(layout), ..options.store.clone() };
    let database = open_registry(&work.database(), &tuned, CacheSizes { users: 0, endorsements: 0, memory: None })?;
    let store = database.store();
    let (mut tallies, sorters, counters) = thread::scope(|scope| {
        let mut ways: Vec<Way<'_>> = Family::ALL.iter().map(|_| Way::None).collect();
        for family in FAMILIES {
            ways[family as usize] = if comes_in_order(layout, family) {
                let (sender, queue) = sync_channel(QUEUE);
                Way::Straight(sender, scope.spawn(move || ingest(store, family, from_queue(queue))))
            } else {
                Way::Sorted(Sorter::new(work.folder(), family.name(), family_memory(options.memory, layout, family)))
            };
        }
        let sent = send_all(work, source, options, (users, sorter), &mut ways, on_progress);
        settle(ways, sent)
    })?;
    on_progress(Step::Indexes, 0, Some(sorters.len() as u64));
    let sorted = sorters.len() as u64;
    tallies.extend(write_sorted(work, store, layout, sorters)?);
    on_progress(Step::Indexes, sorted, Some(sorted));
    tallies.sort_by_key(|&(family, _)| family);
    database.set_counters(counters)?;
    check(store, &tallies, on_progress)?;
    let Counters { users, verified, endorsements, .. } = counters;
    Ok(Imported { users, verified, endorsements, resumed: 0, families: tallies })
}

/// Memory for sorting the entries of a family, when no endorsements are sorted any more.
fn family_memory(memory: u64, layout: Layout, family: Family) -> usize {
    let share = match (layout, family) {
        (Layout::Documented, Family::User | Family::Endorsement) => 4,
        _ => 16,
    };
    (memory / share / 2).max(1 << 20) as usize
}

/// A user with the number that an import has given, and the endorsements that the user has, each with the number of who
/// endorses.
pub(super) type Numbered = (UserId, User, Vec<(UserId, Endorsement)>);

/// Reads all users and gives them to `take`, batch by batch, beside their endorsements in `sorter`. Returns how many there
/// were.
pub(super) fn beside_each_other<S: Source>(
    work: &Work,
    source: &S,
    enough: u32,
    (expected, sorter): (u64, Sorter),
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
    take: &mut dyn FnMut(Vec<Numbered>) -> Result<(), WriteError>,
) -> Result<Counters, WriteError> {
    let mut endorsements = Endorsements::new(sorter).map_err(|error| work.failed(error))?;
    let mut counters = Counters::default();
    for batch in source.users() {
        let mut users = Vec::new();
        for (_, user) in batch?.items {
            let id = counters.users;
            let given = endorsements.of(id, &user.key).map_err(|error| work.failed(error))?;
            let count = given.len() as u32;
            let verified = count >= enough;
            counters.users += 1;
            counters.endorsements += u64::from(count);
            counters.verified += u64::from(verified);
            users.push((id, User { endorsements: count, verified, ..user }, given));
        }
        take(users)?;
        on_progress(Step::Records, counters.users, Some(expected));
    }
    if !endorsements.twice.is_empty() {
        return Err(WriteError::Twice(endorsements.twice));
    }
    if counters.users != expected || endorsements.next.is_some() {
        return Err(work.failed(std::io::Error::other("the source changed while it was read")).into());
    }
    Ok(counters)
}

/// Reads all users and sends what they and their endorsements put to where it goes.
fn send_all<S: Source>(
    work: &Work,
    source: &S,
    options: &ImportOptions,
    users: (u64, Sorter),
    ways: &mut [Way<'_>],
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
) -> Result<Counters, WriteError> {
    let layout = options.layout;
    let stored = |(id, user, given): Numbered| {
        let (id, endorsers) = match layout {
            Layout::Compact => (id, Vec::new()),
            Layout::Documented => (0, given.iter().map(|(_, endorsement)| endorsement.endorser).collect()),
        };
        (Stored { id, user, endorsers }, given)
    };
    let mut send_each = |users: Vec<Numbered>| {
        let mut users: Vec<_> = users.into_iter().map(stored).collect();
        let mut parts = Vec::new();
        while !users.is_empty() {
            let rest = users.split_off(users.len().min(1 << 10));
            parts.push(std::mem::replace(&mut users, rest));
        }
        let sheaves: Vec<Sheaf> = parts.into_par_iter().map(|part| entries(layout, part)).collect();
        sheaves.into_iter().try_for_each(|sheaf| send(work, sheaf, ways))
    };
    let mut counters = beside_each_other(work, source, options.enough, users, on_progress, &mut send_each)?;
    if layout == Layout::Compact {
        counters.next_id = counters.users;
    }
    Ok(counters)
}

fn send(work: &Work, sheaf: Sheaf, ways: &mut [Way<'_>]) -> Result<(), WriteError> {
    for (way, mut entries) in ways.iter_mut().zip(sheaf) {
        match way {
            Way::Straight(queue, _) => {
                // The groups of one user need not come in order of their keys.
                entries.sort_unstable();
                // Why nobody takes it is told by whoever should have.
                queue.send(Some(entries)).map_err(|_| ImportError::Thread)?;
            }
            Way::Sorted(sorter) => {
                entries.iter().for_each(|(key, value)| sorter.push(key, value));
                if sorter.is_full() {
                    sorter.spill().map_err(|error| work.failed(error))?;
                }
            }
            Way::None => {}
        }
    }
    Ok(())
}

type Settled = (Vec<(Family, Tally)>, Vec<(Family, Sorter)>, Counters);

/// Waits for the families that are written as they come. Their errors come first: they are why nothing could be sent.
fn settle(ways: Vec<Way<'_>>, sent: Result<Counters, WriteError>) -> Result<Settled, WriteError> {
    let (mut tallies, mut sorters, mut failed) = (Vec::new(), Vec::new(), None);
    for (family, way) in Family::ALL.into_iter().zip(ways) {
        match way {
            Way::Straight(queue, writer) => {
                if sent.is_ok() {
                    let _ = queue.send(None);
                }
                drop(queue);
                match writer.join().unwrap_or(Err(ImportError::Thread)) {
                    Ok(tally) => tallies.push((family, tally)),
                    // It was told to end because nothing more could be sent.
                    Err(ImportError::Thread) if sent.is_err() => {}
                    Err(error) => failed = Some(error),
                }
            }
            Way::Sorted(sorter) => sorters.push((family, sorter)),
            Way::None => {}
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok((tallies, sorters, sent?)),
    }
}

/// Writes the families that had to be sorted, two at a time.
fn write_sorted(
    work: &Work,
    store: &DiskStore,
    layout: Layout,
    sorters: Vec<(Family, Sorter)>,
) -> Result<Vec<(Family, Tally)>, ImportError> {
    let write = |(family, sorter): (Family, Sorter)| -> Result<(Family, Tally), ImportError> {
        let sorted = sorter.merge().map_err(|error| work.failed(error))?;
        let entries = sorted.map(|entry| entry.map_err(|error| work.failed(error)));
        Ok((family, ingest(store, family, joined(layout, family, entries))?))
    };
    on_threads(sorters, write)
}

/// Calls `work` on each of `tasks`, two at a time, and returns what comes of them in their order.
fn on_threads<T: Send, R: Send>(
    tasks: Vec<T>,
    work: impl Fn(T) -> Result<R, ImportError> + Sync,
) -> Result<Vec<R>, ImportError> {
    let (mut tasks, mut done) = (tasks.into_iter(), Vec::new());
    while let Some(first) = tasks.next() {
        let second = tasks.next();
        let results = thread::scope(|scope| {
            let beside = second.map(|second| scope.spawn(|| work(second)));
            let first = work(first);
            (first, beside.map(|beside| beside.join().unwrap_or(Err(ImportError::Thread))))
        });
        done.push(results.0?);
        done.extend(results.1.transpose()?);
    }
    Ok(done)
}

/// `entries` with those of one key made one, as the layout says.
fn joined(
    layout: Layout,
    family: Family,
    entries: impl Iterator<Item = Result<Entry, ImportError>>,
) -> impl Iterator<Item = Result<Entry, ImportError>> {
    let mut entries = entries.peekable();
    std::iter::from_fn(move || {
        let (key, mut value) = match entries.next()? {
            Ok(entry) => entry,
            error => return Some(error),
        };
        while let Some(Ok((_, other))) = entries.next_if(|next| next.as_ref().is_ok_and(|(next, _)| *next == key)) {
            match layout.join(family, &value, &other) {
                Ok(Some(both)) => value = both,
                _ => return Some(Err(DiskError::Disorder(family.name()).into())),
            }
        }
        Some(Ok((key, value)))
    })
}

/// Reads every family of `store` and compares it with what was written.
fn check(
    store: &DiskStore,
    tallies: &[(Family, Tally)],
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
) -> Result<(), ImportError> {
    let all: u64 = tallies.iter().map(|(_, tally)| tally.entries).sum();
    on_progress(Step::Check, 0, Some(all));
    on_threads(tallies.to_vec(), |(family, written)| {
        let mut read = Tally::default();
        for entry in store.scan(family, &[], &[]) {
            let (key, value) = entry?;
            read.add(&key, &value);
        }
        if read == written { Ok(()) } else { Err(ImportError::Differs { family: family.name(), written, read }) }
    })?;
    on_progress(Step::Check, all, Some(all));
    Ok(())
}
