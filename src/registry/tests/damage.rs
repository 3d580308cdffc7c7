//! Stores that are locked, damaged, of a later version, or no registries; and what a check finds and repairs.

use std::path::PathBuf;

use super::*;
use crate::registry::disk::{DiskError, open_registry};
use crate::registry::layout::compact;
use crate::registry::store::{Batch, BulkStore, Family};
use crate::registry::{CacheSizes, layout::BadRecord};

fn refused(path: &Path, options: &DiskOptions) -> DatabaseError<DiskError> {
    open_registry(path, options, CacheSizes::default()).map(|_| ()).expect_err("is refused")
}

fn cause(error: &DatabaseError<DiskError>) -> &DiskError {
    match error {
        DatabaseError::Store(cause) => cause,
        other => panic!("is no error of the store: {other}"),
    }
}

/// A closed registry of some users, written to tables.
fn closed(folder: &Path, engine: Engine, layout: Layout) -> PathBuf {
    let registry = over(on_disk(folder, engine, layout), layout).with_durability(Durability::Durable);
    (0..60).for_each(|number| registry.register_user(&user(number)).expect("registers"));
    for number in 1..20 {
        registry.submit_endorsement(&endorsement(0, number)).expect("counts");
    }
    registry.database().store().compact().expect("compacts");
    registry.register_user(&user(60)).expect("registers");
    folder.join("registry")
}

/// Every engine of this build, with a folder of its own.
fn each_engine(test: impl Fn(&Path, Engine)) {
    for &engine in Engine::BUILT {
        test(tempfile::tempdir().expect("a temporary folder").path(), engine);
    }
}

#[test]
fn what_is_no_registry_is_left_alone() {
    each_engine(|folder, engine| {
        let path = folder.join("somewhere");
        let existing = DiskOptions { create: false, ..options(engine) };
        assert!(matches!(cause(&refused(&path, &existing)), DiskError::Missing(_)));
        assert!(!path.exists());
        std::fs::create_dir(&path).expect("a folder");
        std::fs::write(path.join("letters.txt"), "dear").expect("a file");
        assert!(matches!(cause(&refused(&path, &options(engine))), DiskError::NotARegistry(..)));
        assert_eq!(path.read_dir().expect("reads").count(), 1);
        let file = path.join("letters.txt");
        assert!(matches!(cause(&refused(&file, &options(engine))), DiskError::NotARegistry(..)));
    });
}

#[test]
fn a_store_of_another_engine_is_refused_and_left_as_it_is() {
    each_engine(|folder, engine| {
        let path = closed(folder, engine, Layout::Compact);
        let other = Engine::ALL.into_iter().find(|&other| other != engine).expect("there are two");
        let before = files(&path);
        match cause(&refused(&path, &options(other))) {
            DiskError::OtherEngine { found, wanted, .. } => assert_eq!((*found, *wanted), (engine, other)),
            DiskError::NotBuilt(missing) => assert!(*missing == other && !Engine::BUILT.contains(&other)),
            error => panic!("{error}"),
        }
        assert_eq!(files(&path), before);
        assert_eq!(Engine::at(&path).expect("reads"), Some(engine));
        assert_eq!(read_all(&path, engine), Ok(61));
    });
}

#[test]
fn a_folder_that_looks_like_another_engines_is_refused_even_where_that_engine_is_not_built() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("CURRENT"), "MANIFEST-000005\n").expect("a file");
    let error = refused(folder.path(), &options(Engine::Fjall));
    let DiskError::OtherEngine { found: Engine::RocksDb, .. } = cause(&error) else { panic!("{error}") };
    assert!(error.to_string().contains("kept by the engine rocksdb, not by fjall"), "{error}");
}

#[test]
fn another_application_of_the_engine_is_left_alone() {
    each_engine(|folder, engine| {
        let path = folder.join("other");
        match engine {
            Engine::Fjall => {
                let other = fjall::Database::builder(&path).open().expect("opens");
                other.keyspace("letters", fjall::KeyspaceCreateOptions::default).expect("a keyspace");
            }
            #[cfg(feature = "rocksdb")]
            Engine::RocksDb => {
                let other = rocksdb::DB::open_default(&path).expect("opens");
                other.put("a", "letter").expect("puts");
            }
            #[cfg(not(feature = "rocksdb"))]
            Engine::RocksDb => unreachable!("is not built"),
        }
        assert!(matches!(cause(&refused(&path, &options(engine))), DiskError::NotARegistry(..)));
        let store = on_disk(folder, engine, Layout::Compact);
        let mut batch = Batch::default();
        batch.put(Family::User, *b"somebody", *b"else's");
        store.commit(batch).expect("commits");
        drop(store);
        let error = refused(&folder.join("registry"), &options(engine));
        assert!(matches!(error, DatabaseError::NotARegistry));
    });
}

#[test]
fn a_registry_that_is_open_is_locked() {
    each_engine(|folder, engine| {
        let _open = over(on_disk(folder, engine, Layout::Compact), Layout::Compact);
        let error = refused(&folder.join("registry"), &options(engine));
        assert!(matches!(cause(&error), DiskError::Locked(_)), "{:?}", cause(&error));
    });
}

#[test]
fn later_versions_of_the_engine_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = closed(folder.path(), Engine::Fjall, Layout::Compact);
    std::fs::write(path.join("version"), b"FJL\x09").expect("writes");
    assert!(matches!(cause(&refused(&path, &options(Engine::Fjall))), DiskError::Newer(_, 9)));
}

#[test]
fn later_versions_are_refused() {
    each_engine(|folder, engine| {
        let path = closed(folder, engine, Layout::Compact);
        let store = on_disk(folder, engine, Layout::Compact);
        let mut format = super::super::meta::write_format(Layout::Compact);
        let version = format.iter().position(|&byte| byte == super::super::meta::FORMAT).expect("is there");
        format[version] = 7;
        let mut batch = Batch::default();
        batch.put(Family::Meta, super::super::meta::FORMAT_KEY, format);
        store.commit(batch).expect("commits");
        drop(store);
        assert!(matches!(refused(&path, &options(engine)), DatabaseError::Newer(7)));
    });
}

#[test]
fn another_layout_than_asked_for_is_refused() {
    each_engine(|folder, engine| {
        let path = closed(folder, engine, Layout::Compact);
        let error = refused(&path, &DiskOptions { layout: Some(Layout::Documented), ..options(engine) });
        assert!(matches!(error, DatabaseError::OtherLayout { found: Layout::Compact, wanted: Layout::Documented }));
    });
}

#[test]
fn an_interrupted_foundation_is_begun_again() {
    each_engine(|folder, engine| {
        let path = folder.join("registry");
        std::fs::create_dir_all(&path).expect("a folder");
        match engine {
            Engine::Fjall => {
                std::fs::create_dir(path.join("keyspaces")).expect("a folder");
                std::fs::write(path.join("lock"), "").expect("a file");
                std::fs::write(path.join("0.jnl"), [0; 100]).expect("a file");
            }
            Engine::RocksDb => {
                std::fs::write(path.join("LOCK"), "").expect("a file");
                std::fs::write(path.join("MANIFEST-000001"), [0; 100]).expect("a file");
            }
        }
        let existing = DiskOptions { create: false, ..options(engine) };
        assert!(matches!(cause(&refused(&path, &existing)), DiskError::Missing(_)));
        let database = open_registry(&path, &options(engine), CacheSizes::default()).expect("opens");
        assert_eq!(database.total_users(), 0);
    });
}

/// Files below `folder`, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().expect("reads") {
        let path = entry.expect("reads").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Reads all that there is. Whatever it comes to, it is an answer and no panic.
fn read_all(path: &Path, engine: Engine) -> Result<u64, String> {
    let database = open_registry(path, &options(engine), CacheSizes::default()).map_err(|error| error.to_string())?;
    for number in 0..61 {
        if let Some(found) = database.get_user(&key(number)).map_err(|error| error.to_string())? {
            assert_eq!((found.user.key, found.user.government_id), (user(number).key, user(number).government_id));
        }
    }
    let report = database.verify(|_| ()).map_err(|error| error.to_string())?;
    if report.is_sound() { Ok(report.counters.users) } else { Err(report.examples[0].to_string()) }
}

/// The journals of a closed registry, in order; the tables of its users.
fn journals(path: &Path, engine: Engine) -> Vec<PathBuf> {
    let end = if engine == Engine::Fjall { "jnl" } else { "log" };
    files(path).into_iter().filter(|file| file.extension().is_some_and(|found| found == end)).collect()
}

fn tables(path: &Path, engine: Engine) -> Vec<PathBuf> {
    let is_table = |file: &PathBuf| match engine {
        // The keyspace 0 is the engine's own.
        Engine::Fjall => {
            file.parent().is_some_and(|parent| parent.ends_with("tables"))
                && !file.starts_with(path.join("keyspaces/0"))
        }
        Engine::RocksDb => file.extension().is_some_and(|end| end == "sst"),
    };
    files(path).into_iter().filter(is_table).collect()
}

#[test]
fn a_torn_journal_loses_its_last_batch_alone() {
    each_on_disk(|folder, engine, layout| {
        let path = closed(folder, engine, layout);
        let journals = journals(&path, engine);
        let journal = journals.last().expect("is there");
        let bytes = std::fs::read(journal).expect("reads");
        let end = bytes.iter().rposition(|&byte| byte != 0).expect("has something") + 1;
        std::fs::write(journal, &bytes[..end - 30]).expect("writes");
        assert_eq!(read_all(&path, engine), Ok(60), "{engine}, {layout}");
    });
}

#[test]
fn a_damaged_table_is_an_error_and_no_answer() {
    each_engine(|folder, engine| {
        let path = closed(folder, engine, Layout::Compact);
        let tables = tables(&path, engine);
        assert!(tables.len() >= 6, "{tables:?}");
        let mut told = 0;
        for table in &tables {
            let sound = std::fs::read(table).expect("reads");
            for place in [sound.len() / 7, sound.len() / 3] {
                let copy = folder.join("copy");
                copy_folder(&path, &copy);
                let mut bytes = sound.clone();
                bytes[place] ^= 0x40;
                std::fs::write(copy.join(table.strip_prefix(&path).expect("is within")), &bytes).expect("writes");
                told += u32::from(read_all(&copy, engine).is_err());
                std::fs::remove_dir_all(&copy).expect("removes");
            }
        }
        assert!(told as usize >= tables.len(), "{engine}: {told} of {} changes were told of", 2 * tables.len());
        assert_eq!(read_all(&path, engine), Ok(61));
    });
}

/// Copies all files: an engine may write where it finds damage.
fn copy_folder(from: &Path, to: &Path) {
    for file in files(from) {
        let copy = to.join(file.strip_prefix(from).expect("is within"));
        std::fs::create_dir_all(copy.parent().expect("is in a folder")).expect("a folder");
        std::fs::copy(file, copy).expect("copies");
    }
}

#[test]
fn a_lost_table_is_an_error() {
    each_engine(|folder, engine| {
        let path = closed(folder, engine, Layout::Compact);
        let table = tables(&path, engine).pop().expect("is there");
        std::fs::remove_file(table).expect("removes");
        assert!(read_all(&path, engine).is_err());
    });
}

#[test]
fn what_is_ingested_in_disorder_is_refused_and_leaves_nothing() {
    each_engine(|folder, engine| {
        let store = on_disk(folder, engine, Layout::Compact);
        let entry = |key: u8| Ok::<_, DiskError>((vec![key], vec![key]));
        assert_eq!(store.ingest(Family::Currency, [entry(1), entry(2)].into_iter()).expect("ingests"), 2);
        assert_eq!(store.ingest(Family::Currency, std::iter::empty::<Result<_, DiskError>>()).expect("ingests"), 0);
        let twice = store.ingest(Family::Country, [entry(2), entry(2)].into_iter()).expect_err("is refused");
        assert!(matches!(twice, DiskError::Disorder("country")));
        let failed = [entry(3), Err(DiskError::Disorder("source"))].into_iter();
        assert!(store.ingest(Family::Country, failed).is_err());
        drop(store);
        let store = on_disk(folder, engine, Layout::Compact);
        assert_eq!(store.scan(Family::Country, &[], &[]).count(), 0);
        let all: Vec<_> = store.scan(Family::Currency, &[], &[]).map(|entry| entry.expect("reads").0).collect();
        assert_eq!(all, [[1], [2]]);
        let is_left = |file: &PathBuf| file.to_string_lossy().contains("ingestion-");
        assert!(!files(folder).iter().any(is_left));
    });
}

fn spoiled(layout: Layout) -> UserDatabase<MemoryStore> {
    let registry = in_memory(layout);
    (0..40).for_each(|number| registry.register_user(&user(number)).expect("registers"));
    for number in 1..6 {
        registry.submit_endorsement(&endorsement(0, number)).expect("counts");
    }
    let store = registry.database().store();
    let mut batch = Batch::default();
    for family in [Family::GovernmentId, Family::Currency, Family::Country] {
        let entries: Vec<_> = store.scan(family, &[], &[]).map(|entry| entry.expect("reads")).take(3).collect();
        // One is lost, and one stands where it should not: under another hash or code.
        batch.remove(family, entries[0].0.clone());
        let (mut elsewhere, value) = entries[1].clone();
        let place = if layout == Layout::Compact { 0 } else { family.name().len() + 1 };
        elsewhere[place] ^= 1;
        batch.put(family, elsewhere, value);
    }
    let mut counters = registry.database().counters();
    counters.users += 1;
    super::super::meta::put_counters(&counters, &mut batch);
    store.commit(batch).expect("commits");
    let copy = MemoryStore::new();
    for family in Family::ALL {
        let entries = registry.database().store().scan(family, &[], &[]);
        copy.ingest(family, entries).expect("copies");
    }
    UserDatabase::open(copy, &Settings::default()).expect("opens")
}

#[test]
fn a_check_finds_what_indexes_lack_and_repairs_it() {
    for layout in LAYOUTS {
        let mut database = spoiled(layout);
        let found = database.verify(|_| ()).expect("reads");
        assert!(!found.is_sound() && found.repaired == 0);
        assert!(found.faults >= 7, "{layout}: {:?}", found.examples);
        assert_eq!(found.counters.users, 40);
        let repaired = database.repair(|_| ()).expect("repairs");
        assert_eq!((repaired.faults, repaired.is_sound()), (found.faults, true), "{:?}", repaired.examples);
        let after = database.verify(|_| ()).expect("reads");
        assert_eq!(after.faults, 0, "{:?}", after.examples);
        assert_eq!(database.total_users(), 40);
        for number in 0..40 {
            assert_eq!(
                database.lookup_by_government_id(&user(number).government_id).expect("reads"),
                Some(key(number))
            );
        }
    }
}

#[test]
fn a_changed_record_is_told_of_and_not_returned() {
    for layout in LAYOUTS {
        let registry = in_memory(layout);
        (0..10).for_each(|number| registry.register_user(&user(number)).expect("registers"));
        let store = registry.database().store();
        let (place, mut record) = store.scan(Family::User, &[], &[]).next().expect("is there").expect("reads");
        record[40] ^= 1;
        let mut batch = Batch::default();
        batch.put(Family::User, place.clone(), record);
        store.commit(batch).expect("commits");
        let mut copy =
            UserDatabase::open(MemoryStore::new(), &Settings { layout: Some(layout), ..Settings::default() })
                .expect("opens");
        for family in Family::ALL {
            copy.store().ingest(family, store.scan(family, &[], &[])).expect("copies");
        }
        copy.set_counters(registry.database().counters()).expect("sets");
        let damaged = (0..10).filter(|&number| {
            matches!(copy.get_user(&key(number)), Err(DatabaseError::Damaged { problem: BadRecord::Checksum, .. }))
        });
        assert_eq!(damaged.count(), 1);
        let report = copy.repair(|_| ()).expect("reads");
        assert!(!report.is_sound());
        assert!(report.examples.iter().any(|finding| finding.key == place && !finding.repaired));
    }
}

/// Bytes that this thread has read so far, from files or from what the system remembers of them.
#[cfg(target_os = "linux")]
fn bytes_read() -> u64 {
    let counters = std::fs::read_to_string("/proc/thread-self/io").expect("the system counts them");
    let read = counters.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("it counts these");
    read.parse().expect("a number")
}

#[test]
#[cfg(target_os = "linux")]
fn a_lookup_reads_a_block_and_no_filter_or_index_of_a_whole_table() {
    const KEYS: u64 = 100_000;
    each_engine(|folder, engine| {
        let path = folder.join("registry");
        // A filter of this table takes 125 KB, a block 8 KiB, and nothing fits into the cache of blocks.
        let options = DiskOptions { block_cache: 0, ..options(engine) };
        let entries = (0..KEYS).map(|number| Ok::<_, DiskError>((number.to_be_bytes().to_vec(), vec![7; 4])));
        let store = DiskStore::open(&path, &options).expect("opens");
        assert_eq!(store.ingest(Family::GovernmentId, entries).expect("takes them"), KEYS);
        drop(store);
        let store = DiskStore::open(&path, &options).expect("opens again");
        let look = |number: u64| store.get(Family::GovernmentId, &number.to_be_bytes()).expect("reads").is_some();
        assert!(look(0));
        let before = bytes_read();
        assert!((0..100).all(|number| look(number * 999)));
        let each = (bytes_read() - before) / 100;
        assert!(each < 40 << 10, "{engine}: {each} bytes for a lookup");
    });
}

#[test]
fn two_users_whose_keys_share_a_fingerprint_are_both_found() {
    let registry = in_memory(Layout::Compact);
    (0..3).for_each(|number| registry.register_user(&user(number)).expect("registers"));
    // As if users 0 and 1 had hashed alike: both places lead to both.
    let store = registry.database().store();
    let mut batch = Batch::default();
    for number in 0..2 {
        let both = Layout::Compact.join(Family::Key, &compact::write_ids(&[1]), &compact::write_ids(&[0]));
        let both = both.expect("joins").expect("is an index by fingerprints");
        batch.put(Family::Key, compact::key_fingerprint(&key(number)), both.clone());
        batch.put(Family::GovernmentId, compact::government_fingerprint(&user(number).government_id), both);
    }
    store.commit(batch).expect("commits");
    for number in 0..2 {
        let id = user(number).government_id;
        assert_eq!(registry.database().lookup_by_government_id(&id).expect("reads"), Some(key(number)));
        assert_eq!(
            registry.database().access().load(&key(number)).expect("reads").expect("is there").user,
            user(number)
        );
    }
    assert!(registry.database().delete_user(&key(0), Durability::Buffered).expect("deletes"));
    let other = registry.database().lookup_by_government_id(&user(1).government_id).expect("reads");
    assert_eq!(other, Some(key(1)));
}

#[test]
#[ignore = "needs a small file system: mount -t tmpfs -o size=48m tmpfs DIR; QNETSIM_TEST_SMALL_DISK=DIR cargo test --lib a_full_disk -- --ignored"]
fn a_full_disk_is_told_of_and_what_was_acknowledged_is_there() {
    let Ok(folder) = std::env::var("QNETSIM_TEST_SMALL_DISK") else { return };
    Engine::BUILT.iter().for_each(|&engine| fill(Path::new(&folder), engine));
}

fn fill(disk: &Path, engine: Engine) {
    let folder = tempfile::tempdir_in(disk).expect("a temporary folder");
    let path = folder.path().join("registry");
    let open = || open_registry(&path, &DiskOptions { memtable: 1 << 20, ..options(engine) }, CacheSizes::default());
    let database = open().expect("opens");
    let mut stored = 0;
    let error = loop {
        let batch: Vec<User> = (stored..stored + 100).map(user).collect();
        match database.store_batch(&batch, Durability::Durable) {
            Ok(()) => stored += 100,
            Err(error) => break error.cause,
        }
    };
    assert!(matches!(cause(&error), DiskError::DiskFull(..) | DiskError::Poisoned(_)), "{error}");
    drop(database);
    // With room again, all that was acknowledged is there; the batch that failed is there as a whole or not at all.
    let after = || -> Result<u64, DatabaseError<DiskError>> {
        let database = open()?;
        let report = database.verify(|_| ())?;
        assert!(report.is_sound(), "{:?}", report.examples);
        (0..stored).for_each(|number| assert!(database.get_user(&key(number)).expect("reads").is_some()));
        Ok(report.counters.users)
    };
    let users = after().expect("opens again");
    assert!(users == stored || users == stored + 100, "{users} of {stored}");
}
