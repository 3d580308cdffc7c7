//! Stores that are locked, damaged, of a later version, or no registries; and what a check finds and repairs.

use std::path::PathBuf;

use super::*;
use crate::registry::fjall::{FjallError, open_registry};
use crate::registry::layout::compact;
use crate::registry::store::{Batch, BulkStore, Family};
use crate::registry::{CacheSizes, layout::BadRecord};

fn options(layout: Layout) -> FjallOptions {
    FjallOptions { layout: Some(layout), ..FjallOptions::default() }
}

fn refused(path: &Path, options: &FjallOptions) -> DatabaseError<FjallError> {
    open_registry(path, options, CacheSizes::default()).map(|_| ()).expect_err("is refused")
}

fn cause(error: &DatabaseError<FjallError>) -> &FjallError {
    match error {
        DatabaseError::Store(cause) => cause,
        other => panic!("is no error of the store: {other}"),
    }
}

/// A closed registry of some users, written to tables.
fn closed(folder: &Path, layout: Layout) -> PathBuf {
    let registry = over(on_disk(folder, layout), layout).with_durability(Durability::Durable);
    (0..60).for_each(|number| registry.register_user(&user(number)).expect("registers"));
    for number in 1..20 {
        registry.submit_endorsement(&endorsement(0, number)).expect("counts");
    }
    registry.database().store().compact().expect("compacts");
    registry.register_user(&user(60)).expect("registers");
    folder.join("registry")
}

#[test]
fn what_is_no_registry_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("somewhere");
    let existing = FjallOptions { create: false, ..FjallOptions::default() };
    assert!(matches!(cause(&refused(&path, &existing)), FjallError::Missing(_)));
    assert!(!path.exists());
    std::fs::create_dir(&path).expect("a folder");
    std::fs::write(path.join("letters.txt"), "dear").expect("a file");
    assert!(matches!(cause(&refused(&path, &FjallOptions::default())), FjallError::NotARegistry(..)));
    assert_eq!(path.read_dir().expect("reads").count(), 1);
    let file = path.join("letters.txt");
    assert!(matches!(cause(&refused(&file, &FjallOptions::default())), FjallError::NotARegistry(..)));
}

#[test]
fn another_application_of_the_engine_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("other");
    {
        let other = fjall::Database::builder(&path).open().expect("opens");
        other.keyspace("letters", fjall::KeyspaceCreateOptions::default).expect("a keyspace");
    }
    assert!(matches!(cause(&refused(&path, &FjallOptions::default())), FjallError::NotARegistry(..)));
    let store = on_disk(folder.path(), Layout::Compact);
    let mut batch = Batch::default();
    batch.put(Family::User, *b"somebody", *b"else's");
    store.commit(batch).expect("commits");
    drop(store);
    let error = refused(&folder.path().join("registry"), &FjallOptions::default());
    assert!(matches!(error, DatabaseError::NotARegistry));
}

#[test]
fn a_registry_that_is_open_is_locked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let _open = over(on_disk(folder.path(), Layout::Compact), Layout::Compact);
    let error = refused(&folder.path().join("registry"), &FjallOptions::default());
    assert!(matches!(cause(&error), FjallError::Locked(_)), "{error}");
}

#[test]
fn later_versions_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = closed(folder.path(), Layout::Compact);
    let marker = path.join("version");
    let engine = std::fs::read(&marker).expect("reads");
    std::fs::write(&marker, b"FJL\x09").expect("writes");
    assert!(matches!(cause(&refused(&path, &FjallOptions::default())), FjallError::Newer(_, 9)));
    std::fs::write(&marker, engine).expect("writes");

    let store = on_disk(folder.path(), Layout::Compact);
    let mut format = super::super::meta::write_format(Layout::Compact);
    let version = format.iter().position(|&byte| byte == super::super::meta::FORMAT).expect("is there");
    format[version] = 7;
    let mut batch = Batch::default();
    batch.put(Family::Meta, super::super::meta::FORMAT_KEY, format);
    store.commit(batch).expect("commits");
    drop(store);
    assert!(matches!(refused(&path, &FjallOptions::default()), DatabaseError::Newer(7)));
}

#[test]
fn another_layout_than_asked_for_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = closed(folder.path(), Layout::Compact);
    let error = refused(&path, &options(Layout::Documented));
    assert!(matches!(error, DatabaseError::OtherLayout { found: Layout::Compact, wanted: Layout::Documented }));
}

#[test]
fn an_interrupted_foundation_is_begun_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("registry");
    std::fs::create_dir_all(path.join("keyspaces")).expect("folders");
    std::fs::write(path.join("lock"), "").expect("a file");
    std::fs::write(path.join("0.jnl"), [0; 100]).expect("a file");
    let database = open_registry(&path, &FjallOptions::default(), CacheSizes::default()).expect("opens");
    assert_eq!(database.total_users(), 0);
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
fn read_all(path: &Path) -> Result<u64, String> {
    let database =
        open_registry(path, &FjallOptions::default(), CacheSizes::default()).map_err(|error| error.to_string())?;
    for number in 0..61 {
        if let Some(found) = database.get_user(&key(number)).map_err(|error| error.to_string())? {
            assert_eq!((found.user.key, found.user.government_id), (user(number).key, user(number).government_id));
        }
    }
    let report = database.verify(|_| ()).map_err(|error| error.to_string())?;
    if report.is_sound() { Ok(report.counters.users) } else { Err(report.examples[0].to_string()) }
}

#[test]
fn a_torn_journal_loses_its_last_batch_alone() {
    for layout in LAYOUTS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = closed(folder.path(), layout);
        let journals: Vec<PathBuf> =
            files(&path).into_iter().filter(|file| file.extension().is_some_and(|end| end == "jnl")).collect();
        let journal = journals.last().expect("is there");
        let bytes = std::fs::read(journal).expect("reads");
        let end = bytes.iter().rposition(|&byte| byte != 0).expect("has something") + 1;
        std::fs::write(journal, &bytes[..end - 30]).expect("writes");
        assert_eq!(read_all(&path), Ok(60), "{layout}");
    }
}

#[test]
fn a_damaged_table_is_an_error_and_no_answer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = closed(folder.path(), Layout::Compact);
    let tables: Vec<PathBuf> = files(&path)
        .into_iter()
        .filter(|file| file.parent().is_some_and(|parent| parent.ends_with("tables")))
        .filter(|file| !file.starts_with(path.join("keyspaces").join("0")))
        .collect();
    assert!(tables.len() >= 6);
    let mut told = 0;
    for table in &tables {
        let sound = std::fs::read(table).expect("reads");
        for place in [sound.len() / 7, sound.len() / 3] {
            let mut bytes = sound.clone();
            bytes[place] ^= 0x40;
            std::fs::write(table, &bytes).expect("writes");
            told += u32::from(read_all(&path).is_err());
        }
        std::fs::write(table, &sound).expect("writes");
    }
    assert!(told as usize >= tables.len(), "{told} of {} changes were told of", 2 * tables.len());
    assert_eq!(read_all(&path), Ok(61));
}

#[test]
fn a_lost_table_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = closed(folder.path(), Layout::Compact);
    let table = files(&path).into_iter().rfind(|file| file.parent().is_some_and(|parent| parent.ends_with("tables")));
    std::fs::remove_file(table.expect("is there")).expect("removes");
    assert!(read_all(&path).is_err());
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
    let folder = tempfile::tempdir_in(folder).expect("a temporary folder");
    let path = folder.path().join("registry");
    let open =
        || open_registry(&path, &FjallOptions { memtable: 1 << 20, ..FjallOptions::default() }, CacheSizes::default());
    let database = open().expect("opens");
    let mut stored = 0;
    let error = loop {
        let batch: Vec<User> = (stored..stored + 100).map(user).collect();
        match database.store_batch(&batch, Durability::Durable) {
            Ok(()) => stored += 100,
            Err(error) => break error.cause,
        }
    };
    assert!(matches!(cause(&error), FjallError::DiskFull(..) | FjallError::Poisoned(_)), "{error}");
    drop(database);
    // With room again, all that was acknowledged is there; the batch that failed is there as a whole or not at all.
    let after = || -> Result<u64, DatabaseError<FjallError>> {
        let database = open()?;
        let report = database.verify(|_| ())?;
        assert!(report.is_sound(), "{:?}", report.examples);
        (0..stored).for_each(|number| assert!(database.get_user(&key(number)).expect("reads").is_some()));
        Ok(report.counters.users)
    };
    let users = after().expect("opens again");
    assert!(users == stored || users == stored + 100, "{users} of {stored}");
}
