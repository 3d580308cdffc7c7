//! One size, measured: import, disk, memory, lookups.

use std::fs;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::super::import::StepBar;
use super::super::{of_database, of_disk, of_import};
use super::{BenchArgs, ENDORSEMENTS, Figure, Sheet, folder, writes};
use crate::cli::Failure;
use crate::contract::{Domain, RandomKey};
use crate::metrics::{peak_memory, resident_memory};
use crate::registry::disk::{DiskOptions, DiskStore, open_registry};
use crate::registry::import::{ImportError, ImportOptions, Imported, Step, import};
use crate::registry::memory::MemoryStore;
use crate::registry::population::Population;
use crate::registry::record::{ENDORSEMENTS_TO_VERIFY, User, UserKey};
use crate::registry::store::Family;
use crate::registry::{CacheSizes, Durability, Layout, Settings, Stored, UserDatabase, UserRegistryConsensus};

/// Users whom lookups with hits ask for.
const HOT: u64 = 50_000;
/// Lookups of a kind that are timed one by one.
const LOOKUPS: u64 = 200_000;
/// Lookups that are timed one by one where each may read from disk.
const COLD_LOOKUPS: u64 = 2_000;
/// How long lookups are counted.
pub(super) const SPAN: Duration = Duration::from_secs(2);
/// As long as a brief measurement counts them.
pub(super) const SPAN_BRIEF: Duration = Duration::from_millis(300);
const NO_CACHES: CacheSizes = CacheSizes { users: 0, endorsements: 0, memory: None };

/// Reads the clock.
#[allow(clippy::disallowed_methods, reason = "this measures how fast the machine is")]
pub(super) fn clock() -> Instant {
    Instant::now()
}

/// A histogram of nanoseconds up to a minute, to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

pub(super) fn time<R>(times: &mut Histogram<u64>, work: impl FnOnce() -> R) -> R {
    let start = clock();
    let result = work();
    times.saturating_record(start.elapsed().as_nanos() as u64);
    result
}

/// The quantiles of a service time as scenarios take them.
pub(super) const QUANTILES: [(&str, f64); 5] =
    [("least", 0.0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("most", 1.0)];

impl Sheet {
    pub(super) fn add_times(&mut self, claim: &str, figure: &str, times: &Histogram<u64>) {
        for (name, quantile) in QUANTILES {
            self.add(claim, figure, name, times.value_at_quantile(quantile) as f64, "ns");
        }
        self.add(claim, figure, "mean", times.mean(), "ns");
    }
}

/// Measures the one size of `args` in the way that `variant` names.
pub(super) fn measure(args: &BenchArgs, variant: &str) -> Result<Vec<Figure>, Failure> {
    #[cfg(feature = "postgres")]
    if variant == super::SERVER {
        return super::server::point(args);
    }
    let users = args.users[0];
    let population = Population::new(args.seed, users, ENDORSEMENTS);
    let mut sheet = Sheet { users, variant: variant.to_owned(), figures: Vec::new() };
    if variant == "memory" {
        in_memory(&population, &mut sheet)?;
        return Ok(sheet.figures);
    }
    let path = folder(&args.db, users, variant);
    // What an earlier measurement may have left.
    let _ = fs::remove_dir_all(&path);
    let measured = on_disk(args, &population, &path, &mut sheet);
    let _ = fs::remove_dir_all(&path);
    measured.map(|()| sheet.figures)
}

fn on_disk(
    args: &BenchArgs,
    population: &Population,
    path: &std::path::Path,
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let variant = sheet.variant.clone();
    let layout = if variant.starts_with("documented") { Layout::Documented } else { Layout::Compact };
    let store = DiskOptions {
        engine: args.engine.engine,
        compressed: !variant.ends_with("uncompressed"),
        bloom_filters: variant != "no-bloom",
        ..DiskOptions::default()
    };
    let options = ImportOptions { layout, store: store.clone(), ..ImportOptions::default() };
    timed_import(population, sheet, |on_progress| import(path, population, &options, on_progress))?;
    let open = |caches| open_registry(path, &store, caches).map_err(|error| of_database(&error));
    let registry = UserRegistryConsensus::new(open(NO_CACHES)?);
    disk(registry.database(), population, sheet)?;
    uncached(args, &registry, population, sheet)?;
    drop(registry);
    if variant == "compact" {
        let registry = UserRegistryConsensus::new(open(CacheSizes::default())?);
        let span = if args.brief { SPAN_BRIEF } else { SPAN };
        cached(&registry, population, sheet, span)?;
        writes::measure(registry, Some(path), population, sheet, args.brief)?;
    }
    Ok(())
}

/// Bytes on disk, and how many of them no compression could leave out.
fn disk(database: &UserDatabase<DiskStore>, population: &Population, sheet: &mut Sheet) -> Result<(), Failure> {
    let claims = [
        (Family::User, "UR-07"),
        (Family::Key, ""),
        (Family::GovernmentId, "UR-08"),
        (Family::Endorsement, "UR-09"),
        (Family::Currency, "UR-10"),
        (Family::Country, ""),
    ];
    for (family, claim) in claims {
        let bytes = database.store().table_bytes(family).map_err(|error| of_disk(&error))?;
        sheet.add(claim, "disk", family.name(), bytes as f64, "bytes");
    }
    let all = database.store().disk_bytes().map_err(|error| of_disk(&error))? as f64;
    sheet.add("UR-11", "disk", "all", all, "bytes");
    sheet.add("UR-01", "record", "user", mean_record(database.layout(), population), "bytes");
    let (user, endorsement) = population.entropy_bits();
    let entropy = (population.users() as f64 * user + population.endorsements() as f64 * endorsement) / 8.0;
    sheet.add("", "entropy", "all", entropy, "bytes");
    sheet.add("", "entropy", "share of the disk", entropy / all, "");
    Ok(())
}

/// Imports `population` by `import`, and adds what that took.
pub(super) fn timed_import(
    population: &Population,
    sheet: &mut Sheet,
    import: impl FnOnce(&mut dyn FnMut(Step, u64, Option<u64>)) -> Result<Imported, ImportError>,
) -> Result<(), Failure> {
    let start = clock();
    let mut bar = StepBar::new(false);
    import(&mut |step, done, of| bar.show(step, done, of)).map_err(|error| of_import(&error))?;
    drop(bar);
    let records = (population.users() + population.endorsements()) as f64;
    sheet.add("", "import", "per record", start.elapsed().as_secs_f64() * 1e6 / records, "us");
    sheet.add("", "import", "all", start.elapsed().as_secs_f64(), "s");
    sheet.add("", "import", "peak memory", peak_memory() as f64, "bytes");
    Ok(())
}

/// Mean bytes of a user's record in `layout`, with all endorsers.
fn mean_record(layout: Layout, population: &Population) -> f64 {
    let (sample, mut bytes) = (population.users().min(1_000), 0);
    for id in 0..sample {
        let endorsers: Vec<UserKey> = population.endorsers(id).map(|number| population.key(number)).collect();
        let user = User { endorsements: endorsers.len() as u32, ..population.user(id) };
        let count = |family: Family, _, value: Vec<u8>| bytes += if family == Family::User { value.len() } else { 0 };
        layout.put_user(&Stored { id, user, endorsers }, count);
    }
    bytes as f64 / sample.max(1) as f64
}

pub(super) fn look_up<L: LookUp>(registry: &L, keys: &[UserKey], there: bool) -> Result<Histogram<u64>, Failure> {
    let mut times = histogram();
    for key in keys {
        if time(&mut times, || registry.find(key))? != there {
            let message = format!("error: the key {key} {} found", if there { "was not" } else { "was" });
            return Err(Failure { code: Failure::INTERNAL, message });
        }
    }
    Ok(times)
}

/// Looking for users as somebody does who uses the registry directly.
pub(super) trait LookUp: Sync {
    /// Whether the user with `key` is there.
    fn find(&self, key: &UserKey) -> Result<bool, Failure>;
}

impl LookUp for UserRegistryConsensus<DiskStore> {
    fn find(&self, key: &UserKey) -> Result<bool, Failure> {
        let found = self.database().get_user(key).map_err(|error| of_database(&error))?;
        Ok(std::hint::black_box(found).is_some())
    }
}

#[cfg(feature = "postgres")]
impl LookUp for crate::registry::server::ServerRegistry {
    fn find(&self, key: &UserKey) -> Result<bool, Failure> {
        let found = crate::registry::Operations::get_user(self, key).map_err(|error| of_database(&error))?;
        Ok(std::hint::black_box(found).is_some())
    }
}

/// Keys of random users of `from..to`.
pub(super) fn keys(population: &Population, count: u64, (from, to): (u64, u64), entity: u32) -> Vec<UserKey> {
    let mut random = RandomKey::new(1, Domain::Population).stream(entity, u32::MAX);
    (0..count).map(|_| population.key(from + random.below((to - from).max(1)))).collect()
}

/// Lookups without caches of users: each reads tables, from the blocks that the engine or the system remembers.
fn uncached(
    args: &BenchArgs,
    registry: &UserRegistryConsensus<DiskStore>,
    population: &Population,
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let users = population.users();
    let all = keys(population, LOOKUPS.min(users), (0, users), 1);
    look_up(registry, &all, true)?;
    sheet.add_times("UR-14", "miss", &look_up(registry, &all, true)?);
    let absent = keys(population, LOOKUPS.min(users), (users, users * 2), 2);
    sheet.add_times("UR-26", "absent", &look_up(registry, &absent, false)?);
    if args.drop_caches {
        registry.database().sync().map_err(|error| of_database(&error))?;
        fs::write("/proc/sys/vm/drop_caches", "1").map_err(|error| Failure {
            code: Failure::INPUT_OUTPUT,
            message: format!("error: cannot empty the page cache by /proc/sys/vm/drop_caches: {error}"),
        })?;
        let cold = keys(population, COLD_LOOKUPS.min(users), (0, users), 3);
        sheet.add_times("UR-14", "cold miss", &look_up(registry, &cold, true)?);
    }
    Ok(())
}

/// Lookups with the documented caches.
fn cached(
    registry: &UserRegistryConsensus<DiskStore>,
    population: &Population,
    sheet: &mut Sheet,
    span: Duration,
) -> Result<(), Failure> {
    let (users, database) = (population.users(), registry.database());
    sheet.add("UR-12", "memory", "opened", resident_memory() as f64, "bytes");
    let hot = HOT.min(users);
    for number in 0..users.min(100_000) {
        database.get_user(&population.key(number)).map_err(|error| of_database(&error))?;
    }
    sheet.add("UR-12", "memory", "with users cached", resident_memory() as f64, "bytes");
    for number in 0..users.min(100_000) {
        database.endorsements_of(&population.key(number)).map_err(|error| of_database(&error))?;
    }
    sheet.add("UR-12", "memory", "with endorsements cached", resident_memory() as f64, "bytes");
    sheet.add("UR-12", "memory", "block cache", database.store().cached_bytes() as f64, "bytes");
    let hits = keys(population, LOOKUPS, (0, hot), 4);
    look_up(registry, &hits, true)?;
    sheet.add_times("UR-13", "hit", &look_up(registry, &hits, true)?);
    for threads in [1, 2] {
        let rate = mixed(registry, population, hot, threads, span)?;
        sheet.add("UR-16", "lookups at 90 % hits", &format!("{threads} threads"), rate, "1/s");
        if threads == 1 {
            sheet.add("UR-15", "lookup at 90 % hits", "mean", 1e9 / rate, "ns");
        }
    }
    sheet.add("UR-12", "memory", "after lookups", resident_memory() as f64, "bytes");
    Ok(())
}

/// Lookups a second on so many threads: nine of ten of hot users, one of any of the others.
pub(super) fn mixed<L: LookUp>(
    registry: &L,
    population: &Population,
    hot: u64,
    threads: u32,
    span: Duration,
) -> Result<f64, Failure> {
    let work = |thread: u32| -> Result<f64, Failure> {
        let warm = keys(population, 1 << 16, (0, hot), 10 + thread);
        let others = keys(population, 1 << 16, (hot.min(population.users() - 1), population.users()), 20 + thread);
        let (start, mut done) = (clock(), 0usize);
        while start.elapsed() < span {
            for _ in 0..1_000 {
                let key = if done.is_multiple_of(10) { others[(done / 10) & 0xffff] } else { warm[done & 0xffff] };
                registry.find(&key)?;
                done += 1;
            }
        }
        Ok(done as f64 / start.elapsed().as_secs_f64())
    };
    let failed =
        || Failure { code: Failure::INTERNAL, message: "error: a thread of the measurement failed".to_owned() };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(failed()))).sum()
    })
}

/// The document's present design: all in memory.
fn in_memory(population: &Population, sheet: &mut Sheet) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::of(Failure::INTERNAL, error);
    let before = resident_memory();
    let settings = Settings { layout: Some(Layout::Documented), caches: NO_CACHES };
    let database = UserDatabase::open(MemoryStore::new(), &settings).map_err(|error| failed(&error))?;
    let registry = UserRegistryConsensus::new(database).with_durability(Durability::Buffered);
    let start = clock();
    for number in 0..population.users() {
        registry.register_user(&population.user(number)).map_err(|error| failed(&error))?;
    }
    sheet.add("", "register", "mean", start.elapsed().as_nanos() as f64 / population.users() as f64, "ns");
    let users = resident_memory();
    for number in 0..population.users() {
        for endorsement in population.endorsements_of(number) {
            registry.submit_endorsement(&endorsement).map_err(|error| failed(&error))?;
        }
    }
    let all = resident_memory();
    if registry.database().verified_users() != population.users() && ENDORSEMENTS >= ENDORSEMENTS_TO_VERIFY {
        return Err(Failure { code: Failure::INTERNAL, message: "error: not all users are verified".to_owned() });
    }
    sheet.add("UR-02", "memory", "users", users.saturating_sub(before) as f64, "bytes");
    sheet.add("UR-03", "memory", "endorsements", all.saturating_sub(users) as f64, "bytes");
    sheet.add("UR-04", "memory", "all", all.saturating_sub(before) as f64, "bytes");
    let mut times = histogram();
    for key in keys(population, LOOKUPS.min(population.users()), (0, population.users()), 1) {
        time(&mut times, || registry.database().get_user(&key)).map_err(|error| failed(&error))?;
    }
    sheet.add_times("", "lookup", &times);
    Ok(())
}
