//! Users for tests, and the registry over memory and disk side by side.

use std::path::Path;

use super::disk::{DiskOptions, DiskStore, Engine};
use super::memory::MemoryStore;
use super::record::{Country, Currency, Digest, Endorsement, User, UserKey};
use super::rules::{Refusal, Standing};
use super::store::Store;
use super::{BatchError, Cursor, DatabaseError, Durability, Layout, Settings, UserDatabase, UserRegistryConsensus};

pub(super) fn hashed(domain: &str, number: u64) -> [u8; 32] {
    *blake3::keyed_hash(&[7; 32], format!("{domain} {number}").as_bytes()).as_bytes()
}

pub(super) fn key(number: u64) -> UserKey {
    let mut bytes = [2 | (number % 2) as u8; 33];
    bytes[1..].copy_from_slice(&hashed("key", number));
    UserKey::new(bytes).expect("2 or 3 comes first")
}

pub(super) fn user(number: u64) -> User {
    let currencies: [&[u8; 3]; 3] = [b"EUR", b"USD", b"JPY"];
    let countries: [&[u8; 2]; 3] = [b"DE", b"FR", b"US"];
    User {
        key: key(number),
        government_id: Digest(hashed("government id", number)),
        identity_proof: Digest(hashed("proof", number)),
        birth_currency: Currency::new(currencies[number as usize % 3]).expect("three capitals"),
        country: Country::new(countries[number as usize / 3 % 3]).expect("two capitals"),
        name: format!("user {number}"),
        registered_at: 1_700_000_000 + number,
        endorsements: 0,
        verified: false,
    }
}

pub(super) fn endorsement(endorsed: u64, endorser: u64) -> Endorsement {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&hashed("r", endorsed << 32 | endorser));
    signature[32..].copy_from_slice(&hashed("s", endorsed << 32 | endorser));
    Endorsement { endorsed: key(endorsed), endorser: key(endorser), signature, signed_at: 1_710_000_000 + endorser }
}

pub(super) fn in_memory(layout: Layout) -> UserRegistryConsensus<MemoryStore> {
    over(MemoryStore::new(), layout)
}

pub(super) fn over<S: Store>(store: S, layout: Layout) -> UserRegistryConsensus<S> {
    let settings = Settings { layout: Some(layout), ..Settings::default() };
    let database = UserDatabase::open(store, &settings).expect("an empty store takes a registry");
    UserRegistryConsensus::new(database).with_durability(Durability::Buffered)
}

pub(super) fn options(engine: Engine) -> DiskOptions {
    DiskOptions { engine, ..DiskOptions::default() }
}

pub(super) fn on_disk(folder: &Path, engine: Engine, layout: Layout) -> DiskStore {
    let options = DiskOptions { layout: Some(layout), ..options(engine) };
    DiskStore::open(&folder.join("registry"), &options).expect("the folder takes a store, or has one")
}

pub(super) const LAYOUTS: [Layout; 2] = [Layout::Documented, Layout::Compact];

/// Every engine of this build in every layout, in a folder of its own.
pub(super) fn each_on_disk(test: impl Fn(&Path, Engine, Layout)) {
    for &engine in Engine::BUILT {
        for layout in LAYOUTS {
            let folder = tempfile::tempdir().expect("a temporary folder");
            test(folder.path(), engine, layout);
        }
    }
}

fn each(test: impl Fn(&dyn Fn(u64) -> User, Layout)) {
    for layout in LAYOUTS {
        test(&user, layout);
    }
}

#[test]
fn a_registered_user_is_found_by_every_index() {
    each(|user, layout| {
        let registry = in_memory(layout);
        for number in 0..50 {
            registry.register_user(&user(number)).expect("registers");
        }
        let database = registry.database();
        assert_eq!(database.total_users(), 50);
        let found = database.get_user(&key(7)).expect("reads").expect("is there");
        assert_eq!(found.user, user(7));
        assert_eq!(database.lookup_by_government_id(&user(7).government_id).expect("reads"), Some(key(7)));
        assert!(database.get_user(&key(50)).expect("reads").is_none());
        let euros = database.users_by_currency(user(0).birth_currency, &Cursor::default());
        let euros: Vec<UserKey> = euros.map(|found| found.expect("reads").user.key).collect();
        assert_eq!(euros.len(), 17);
        let germans = database.users_by_country(user(0).country, &Cursor::default());
        assert!(germans.map(|found| found.expect("reads").user).all(|user| user.country.code() == b"DE"));
    });
}

#[test]
fn pages_follow_each_other_without_gap_or_repetition() {
    each(|user, layout| {
        let registry = in_memory(layout);
        let users: Vec<User> = (0..40).map(user).collect();
        registry.database().store_batch(&users, Durability::Buffered).expect("stores");
        let mut cursor = Cursor::default();
        let mut seen = Vec::new();
        loop {
            let mut page = registry.database().users_by_currency(users[0].birth_currency, &cursor);
            let before = seen.len();
            seen.extend(page.by_ref().take(5).map(|found| found.expect("reads").user.name));
            cursor = page.cursor();
            if seen.len() == before {
                break;
            }
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 14);
    });
}

#[test]
fn keys_and_government_ids_are_unique() {
    each(|user, layout| {
        let registry = in_memory(layout);
        registry.register_user(&user(1)).expect("registers");
        let twice = registry.register_user(&user(1)).expect_err("is taken");
        assert!(matches!(twice, DatabaseError::Refused(Refusal::KeyTaken)));
        let same_id = User { government_id: user(1).government_id, ..user(2) };
        let taken = registry.register_user(&same_id).expect_err("is taken");
        assert!(matches!(taken, DatabaseError::Refused(Refusal::GovernmentIdTaken { by }) if by == key(1)));
        assert!(taken.to_string().contains(&key(1).to_string()));
        let batch = [user(3), User { key: key(4), ..user(3) }];
        let stored = registry.database().store_batch(&batch, Durability::Buffered).expect_err("is taken");
        assert!(matches!(stored, BatchError { index: Some(1), .. }));
        assert_eq!(registry.database().total_users(), 1);
    });
}

#[test]
fn enough_endorsements_verify_and_none_counts_twice() {
    each(|user, layout| {
        let registry = in_memory(layout).with_endorsements_to_verify(3);
        (0..100).for_each(|number| registry.register_user(&user(number)).expect("registers"));
        for endorser in 1..=80 {
            // 37 is coprime with 81, so endorsers come in a mixed order, each once.
            let endorser = endorser * 37 % 81;
            let standing = registry.submit_endorsement(&endorsement(0, endorser)).expect("counts");
            assert_eq!(standing.verified, standing.endorsements >= 3);
            let again = registry.submit_endorsement(&endorsement(0, endorser)).expect_err("counts once");
            assert!(matches!(again, DatabaseError::Refused(Refusal::EndorsedAlready)));
        }
        let refused = |endorsed, endorser| registry.submit_endorsement(&endorsement(endorsed, endorser));
        let is = |outcome: Result<Standing, _>, refusal| matches!(outcome, Err(DatabaseError::Refused(why)) if why == refusal);
        assert!(is(refused(0, 0), Refusal::SelfEndorsement));
        assert!(is(refused(0, 500), Refusal::UnknownEndorser));
        assert!(is(refused(500, 0), Refusal::UnknownUser));
        let mut endorsements = registry.database().endorsements_of(&key(0)).expect("reads").to_vec();
        endorsements.sort_by_key(|endorsement| endorsement.signed_at);
        let expected: Vec<Endorsement> = (1..=80).map(|endorser| endorsement(0, endorser)).collect();
        assert_eq!(endorsements, expected);
        let counters = registry.database().counters();
        assert_eq!((counters.verified, counters.endorsements), (1, 80));
        let verified: Vec<_> =
            registry.verified_users(&Cursor::default()).map(|found| found.expect("reads").user.key).collect();
        assert_eq!(verified, [key(0)]);
    });
}

#[test]
fn a_registry_on_disk_is_there_when_opened_again() {
    each_on_disk(|folder, engine, layout| {
        {
            let registry = over(on_disk(folder, engine, layout), layout).with_durability(Durability::Durable);
            (0..20).for_each(|number| registry.register_user(&user(number)).expect("registers"));
            registry.submit_endorsement(&endorsement(3, 4)).expect("counts");
        }
        let registry = over(on_disk(folder, engine, layout), layout);
        assert_eq!(registry.database().total_users(), 20);
        assert_eq!(registry.database().endorsements_of(&key(3)).expect("reads")[..], [endorsement(3, 4)]);
        registry.register_user(&user(20)).expect("registers");
        assert!(registry.database().get_user(&key(20)).expect("reads").is_some());
    });
}

mod damage;
mod durability;
mod oracle;
