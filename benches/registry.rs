//! The registry's database: bytes a user takes by layout, lookups, writes.
//!
//! `cargo bench --bench registry` prints a table. Every figure is the median of some runs, with the least and the greatest
//! beside it. Databases lie in a temporary folder, below `--folder` if given, and are filled by sorted ingestion. Hashes,
//! keys and signatures are hashes, so they cannot be compressed, as real ones cannot. Reads come from the page cache as far
//! as it has room: this bench asks what the code takes, and `qnetsim registry bench` what a disk does.
//!
//! With `--features rocksdb` each group is measured with fjall and then with RocksDB, over the same data.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench measures wall time and prints it")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use qnetsim::registry::disk::{DiskError, DiskOptions, DiskStore, Engine, open_registry};
use qnetsim::registry::layout::bound::{Bound, FieldBits, bound};
use qnetsim::registry::memory::MemoryStore;
use qnetsim::registry::record::{Digest, Endorsement, User, UserKey};
use qnetsim::registry::store::{BulkStore, Entry, Family, Store};
use qnetsim::registry::{
    CacheSizes, Counters, DatabaseError, Durability, Layout, Settings, Stored, UserDatabase, UserRegistryConsensus,
};
use tempfile::TempDir;

/// Endorsements of each user, as the document has them.
const ENDORSEMENTS: u64 = 5;
/// Users that a batch stores.
const BATCH: u64 = 1000;

/// What to measure.
#[derive(Debug, Parser)]
struct Args {
    /// Users of the databases that are read.
    #[arg(long, default_value_t = 200_000)]
    users: u64,
    /// Runs of each measurement, of which the median is shown.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Groups of measurements: bytes, reads, writes.
    #[arg(long, value_delimiter = ',', default_value = "bytes,reads,writes")]
    groups: Vec<String>,
    /// What keeps the databases: fjall, and in a build with that feature rocksdb. All of this build if none is given.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<Engine>,
    /// Where the databases are to lie.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Everything once with 2,000 users: shows that the benchmark works.
    #[arg(long)]
    smoke: bool,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn hashed(domain: u8, number: u64) -> [u8; 32] {
    let mut input = [domain; 9];
    input[1..].copy_from_slice(&number.to_le_bytes());
    *blake3::hash(&input).as_bytes()
}

fn key(number: u64) -> UserKey {
    let mut bytes = [2; 33];
    bytes[1..].copy_from_slice(&hashed(0, number));
    UserKey::new(bytes).expect("2 comes first")
}

fn user(number: u64) -> User {
    const CURRENCIES: [&str; 8] = ["EUR", "USD", "JPY", "INR", "CNY", "BRL", "NGN", "IDR"];
    const COUNTRIES: [&str; 8] = ["DE", "US", "JP", "IN", "CN", "BR", "NG", "ID"];
    let draw = hashed(1, number);
    User {
        key: key(number),
        government_id: Digest(hashed(2, number)),
        identity_proof: Digest(hashed(3, number)),
        birth_currency: CURRENCIES[usize::from(draw[0]) % 8].parse().expect("three capitals"),
        country: COUNTRIES[usize::from(draw[1]) % 8].parse().expect("two capitals"),
        name: format!("user {number}"),
        registered_at: 1_600_000_000 + u64::from(u32::from_le_bytes([draw[2], draw[3], draw[4], 0])) * 8,
        endorsements: 0,
        verified: false,
    }
}

fn endorsement(endorsed: u64, endorser: u64) -> Endorsement {
    let (r, s) = (hashed(4, endorsed * 1000 + endorser % 1000), hashed(5, endorsed * 1000 + endorser % 1000));
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(&s);
    let draw = u32::from_le_bytes([s[0], s[1], s[2], 0]);
    Endorsement {
        endorsed: key(endorsed),
        endorser: key(endorser),
        signature,
        signed_at: 1_600_000_000 + u64::from(draw) * 8,
    }
}

/// Who endorses a user: the next ones in a fixed shuffle of all, so that they are anywhere.
fn endorsers(number: u64, users: u64) -> impl Iterator<Item = u64> {
    (1..=ENDORSEMENTS).map(move |which| (number + which * which * 7919 * 31) % users).filter(move |&by| by != number)
}

/// All entries of some users in a layout, sorted, by family.
fn entries(layout: Layout, users: u64) -> (Vec<Vec<Entry>>, Counters) {
    let mut families: Vec<Vec<Entry>> = vec![Vec::new(); Family::ALL.len()];
    let mut counters = Counters { users, verified: users, endorsements: 0, next_id: users };
    for number in 0..users {
        let mut given: Vec<(u64, Endorsement)> =
            endorsers(number, users).map(|by| (by, endorsement(number, by))).collect();
        let count = given.len() as u32;
        counters.endorsements += u64::from(count);
        let listed = if layout == Layout::Documented {
            given.iter().map(|(_, given)| given.endorser).collect()
        } else {
            Vec::new()
        };
        let user = User { endorsements: count, verified: true, ..user(number) };
        let mut put = |family: Family, key, value| families[family as usize].push((key, value));
        layout.put_user(&Stored { id: number, user, endorsers: listed }, &mut put);
        layout.put_endorsements(number, &mut given, &mut put);
    }
    for family in Family::ALL {
        let entries = &mut families[family as usize];
        entries.sort_unstable();
        entries.dedup_by(|later, earlier| {
            let joined = later.0 == earlier.0;
            if joined {
                earlier.1 = layout.join(family, &earlier.1, &later.1).expect("an index").expect("by fingerprints");
            }
            joined
        });
    }
    (families, counters)
}

/// A database of some users in a folder of its own.
fn filled(args: &Args, options: &DiskOptions, caches: CacheSizes) -> (TempDir, UserDatabase<DiskStore>) {
    let folder = folder(args);
    let (families, counters) = entries(options.layout.unwrap_or_default(), args.users);
    let database = open_registry(&folder.path().join("registry"), options, caches).expect("opens");
    for (family, entries) in Family::ALL.into_iter().zip(families) {
        let entries = entries.into_iter().map(Ok::<_, DiskError>);
        database.store().ingest(family, entries).expect("ingests");
    }
    database.set_counters(counters).expect("sets");
    (folder, database)
}

fn folder(args: &Args) -> TempDir {
    let within: &Path = args.folder.as_deref().unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix("registry-bench").tempdir_in(within).expect("a temporary folder")
}

/// The default options of `engine`.
fn with(engine: Engine) -> DiskOptions {
    DiskOptions { engine, ..DiskOptions::default() }
}

/// Runs `measure`, which returns operations and their unit, and prints the median.
fn report(args: &Args, name: &str, unit: &str, mut measure: impl FnMut(usize) -> f64) {
    let mut figures: Vec<f64> = (0..args.runs).map(&mut measure).collect();
    figures.sort_by(f64::total_cmp);
    let (least, most) = (figures[0], figures[figures.len() - 1]);
    println!("{name:<58} {:>12.3} {unit:<6} [{least:.3} .. {most:.3}]", figures[figures.len() / 2]);
}

fn micros(started: Instant, operations: u64) -> f64 {
    started.elapsed().as_secs_f64() * 1e6 / operations as f64
}

fn bytes(args: &Args, engine: Engine) {
    for (layout, compressed, bloom_filters) in [
        (Layout::Documented, true, true),
        (Layout::Documented, false, true),
        (Layout::Compact, true, true),
        (Layout::Compact, false, true),
        (Layout::Compact, true, false),
    ] {
        let options = DiskOptions { layout: Some(layout), compressed, bloom_filters, ..with(engine) };
        let (_folder, database) = filled(args, &options, CacheSizes::default());
        let per_user = |family| database.store().table_bytes(family).expect("reads") as f64 / args.users as f64;
        let total: f64 = Family::ALL.into_iter().map(per_user).sum();
        let parts: Vec<String> =
            Family::ALL.into_iter().map(|family| format!("{} {:.1}", family.name(), per_user(family))).collect();
        let how =
            format!("{}{}", if compressed { "LZ4" } else { "raw" }, if bloom_filters { "" } else { ", no filters" });
        println!("{:<58} {total:>12.1} B/user {}", format!("{layout} layout, {how}"), parts.join(", "));
    }
}

/// A sequence of numbers that hits everywhere, another one in each run.
fn scattered(run: usize, step: u64, below: u64) -> u64 {
    (step + run as u64 * 1_000_003).wrapping_mul(0x9e37_79b9_7f4a_7c15) % below
}

fn reads(args: &Args, engine: Engine) {
    const LOOKUPS: u64 = 200_000;
    let keys: Vec<UserKey> = (0..args.users).map(key).collect();
    let absent: Vec<UserKey> = (args.users..2 * args.users).map(key).collect();
    let none = CacheSizes { users: 0, endorsements: 0, memory: None };
    let cached = DiskOptions { block_cache: 64 << 20, ..with(engine) };
    let (_folder, uncached) = filled(args, &cached, none);
    report(args, "get_user, not in the cache of users", "us", |run| {
        let started = Instant::now();
        for step in 0..LOOKUPS {
            black_box(uncached.get_user(&keys[scattered(run, step, args.users) as usize]).expect("reads"));
        }
        micros(started, LOOKUPS)
    });
    report(args, "endorsements_of, not in a cache", "us", |run| {
        let started = Instant::now();
        for step in 0..LOOKUPS / 10 {
            black_box(uncached.endorsements_of(&keys[scattered(run, step, args.users) as usize]).expect("reads"));
        }
        micros(started, LOOKUPS / 10)
    });
    report(args, "lookup_by_government_id", "us", |run| {
        let ids: Vec<Digest> =
            (0..LOOKUPS / 10).map(|step| Digest(hashed(2, scattered(run, step, args.users)))).collect();
        let started = Instant::now();
        for id in &ids {
            black_box(uncached.lookup_by_government_id(id).expect("reads"));
        }
        micros(started, LOOKUPS / 10)
    });
    let (_other, unfiltered) = filled(args, &DiskOptions { bloom_filters: false, ..cached.clone() }, none);
    for (database, how) in [(&uncached, "bloom filters"), (&unfiltered, "no bloom filters")] {
        report(args, &format!("get_user of nobody, {how}"), "us", |run| {
            let started = Instant::now();
            for step in 0..LOOKUPS {
                black_box(database.get_user(&absent[scattered(run, step, args.users) as usize]).expect("reads"));
            }
            micros(started, LOOKUPS)
        });
    }
    drop((uncached, unfiltered));
    cached_reads(args, &cached, &keys);
}

fn cached_reads(args: &Args, options: &DiskOptions, keys: &[UserKey]) {
    const LOOKUPS: u64 = 1_000_000;
    let (_folder, database) = filled(args, options, CacheSizes::default());
    let hot = args.users.min(50_000);
    (0..hot).for_each(|number| drop(database.get_user(&keys[number as usize]).expect("reads")));
    report(args, "get_user, in the cache", "us", |run| {
        let started = Instant::now();
        for step in 0..LOOKUPS {
            black_box(database.get_user(&keys[scattered(run, step, hot) as usize]).expect("reads"));
        }
        micros(started, LOOKUPS)
    });
    for threads in [1, 2] {
        let (mut hits, mut asked) = (0, 0);
        report(args, &format!("get_user at 90 % hits, {threads} threads"), "M/s", |run| {
            let missed = AtomicU64::new(0);
            let started = Instant::now();
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let (database, missed) = (&database, &missed);
                    scope.spawn(move || {
                        let mut misses = 0;
                        for step in 0..LOOKUPS / 4 {
                            let draw = scattered(run * 2 + thread, step, 1 << 40);
                            let anywhere = draw.is_multiple_of(10);
                            let number = draw / 10 % if anywhere { args.users } else { hot };
                            misses += u64::from(anywhere && number >= hot);
                            black_box(database.get_user(&keys[number as usize]).expect("reads"));
                        }
                        missed.fetch_add(misses, Ordering::Relaxed);
                    });
                }
            });
            asked += threads as u64 * (LOOKUPS / 4);
            hits += threads as u64 * (LOOKUPS / 4) - missed.into_inner();
            1.0 / micros(started, threads as u64 * (LOOKUPS / 4))
        });
        println!(
            "{:<58} {:>12.3} %",
            "  of which were among the hot half of the cache",
            hits as f64 * 100.0 / asked as f64
        );
    }
}

/// What does not depend on an engine: the bound of the bytes, and a registry in memory.
fn baselines(args: &Args) {
    // Eight currencies and countries alike, names that count, times over 2^27 seconds.
    let name = (args.users as f64).log2();
    let bits = FieldBits { currency: 3.0, country: 3.0, name, registered_at: 24.0, signed_at: 24.0 };
    let Bound { fields, indexes } = bound(args.users, ENDORSEMENTS as u32, &bits);
    println!(
        "{:<58} {:>12.1} B/user fields {fields:.1}, indexes {indexes:.1}",
        "the least that entropy allows",
        fields + indexes
    );
    let (families, _) = entries(Layout::Compact, args.users);
    let raw: usize = families.iter().flatten().map(|(key, value)| key.len() + value.len()).sum();
    println!("{:<58} {:>12.1} B/user", "keys and values of the compact layout", raw as f64 / args.users as f64);
    let keys: Vec<UserKey> = (0..args.users).map(key).collect();
    memory_reads(args, &keys);
}

fn memory_reads(args: &Args, keys: &[UserKey]) {
    let caches = CacheSizes { users: 0, endorsements: 0, memory: None };
    let database = UserDatabase::open(MemoryStore::new(), &Settings { layout: None, caches }).expect("opens");
    let (families, counters) = entries(Layout::Compact, args.users);
    for (family, entries) in Family::ALL.into_iter().zip(families) {
        let entries = entries.into_iter().map(Ok::<_, <MemoryStore as Store>::Error>);
        database.store().ingest(family, entries).expect("ingests");
    }
    database.set_counters(counters).expect("sets");
    report(args, "get_user, registry in memory alone", "us", |run| {
        let started = Instant::now();
        for step in 0..args.users {
            black_box(database.get_user(&keys[scattered(run, step, args.users) as usize]).expect("reads"));
        }
        micros(started, args.users)
    });
}

fn writes(args: &Args, engine: Engine) {
    let folder = folder(args);
    let path = folder.path().join("registry");
    let next = AtomicU64::new(1 << 40);
    let fresh = |count: u64| {
        let first = next.fetch_add(count, Ordering::Relaxed);
        (first..first + count).map(user).collect::<Vec<User>>()
    };
    let count = args.users.min(20_000);
    let open = || open_registry(&path, &with(engine), CacheSizes::default()).expect("opens");
    let database = open();
    report(args, "store_user, one by one, buffered", "us", |_| {
        let users = fresh(count);
        let started = Instant::now();
        users.iter().for_each(|user| database.store_user(user, Durability::Buffered).expect("stores"));
        micros(started, count)
    });
    report(args, "store_batch of 1000, buffered, a user", "us", |_| {
        let users = fresh(count);
        let started = Instant::now();
        for batch in users.chunks(BATCH as usize) {
            database.store_batch(batch, Durability::Buffered).expect("stores");
        }
        micros(started, count)
    });
    report(args, "store_batch of 1000, durable, a user", "us", |_| {
        let users = fresh(count);
        let started = Instant::now();
        for batch in users.chunks(BATCH as usize) {
            database.store_batch(batch, Durability::Durable).expect("stores");
        }
        micros(started, count)
    });
    let registry = UserRegistryConsensus::new(database);
    for writers in [1, 2, 4, 8, 16] {
        report(args, &format!("register_user, durable, {writers} writers"), "1/s", |_| {
            let shares: Vec<Vec<User>> = (0..writers).map(|_| fresh(count / 2 / writers)).collect();
            let started = Instant::now();
            in_parallel(&shares, |user| registry.register_user(user));
            1e6 / micros(started, count / 2 / writers * writers)
        });
    }
    report(args, "submit_endorsement, durable, 8 writers", "1/s", |_| {
        let users = fresh(count / 2);
        registry.database().store_batch(&users, Durability::Durable).expect("stores");
        let given: Vec<Endorsement> = (1..users.len())
            .map(|place| Endorsement {
                endorsed: users[place].key,
                endorser: users[place - 1].key,
                ..endorsement(1, place as u64)
            })
            .collect();
        let shares: Vec<Vec<Endorsement>> = given.chunks(given.len().div_ceil(8)).map(<[_]>::to_vec).collect();
        let started = Instant::now();
        in_parallel(&shares, |endorsement| registry.submit_endorsement(endorsement).map(|_| ()));
        1e6 / micros(started, given.len() as u64)
    });
}

/// Each share by a thread of its own.
fn in_parallel<T: Sync>(shares: &[Vec<T>], write: impl Fn(&T) -> Result<(), DatabaseError<DiskError>> + Sync) {
    std::thread::scope(|scope| {
        for share in shares {
            let write = &write;
            scope.spawn(move || share.iter().for_each(|item| write(item).expect("writes")));
        }
    });
}

fn main() {
    let mut args = Args::parse();
    if args.smoke {
        (args.users, args.runs) = (2_000, 1);
    }
    println!("{:<58} {:>12} {:<6} [least .. greatest of {} runs]; {} users", "", "median", "", args.runs, args.users);
    if args.engines.is_empty() {
        args.engines = Engine::BUILT.to_vec();
    }
    baselines(&args);
    for (name, group) in [("bytes", bytes as fn(&Args, Engine)), ("reads", reads), ("writes", writes)] {
        for &engine in args.engines.iter().filter(|_| args.groups.iter().any(|wanted| wanted == name)) {
            println!("{engine}, {name}");
            group(&args, engine);
        }
    }
}
