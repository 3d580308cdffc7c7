//! What a registry does wherever it is kept: behaviours that every kind has to show, and random operations against a
//! registry of a few maps. Tests of the library and of servers both hold it against theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use qnetsim::registry::record::{Country, Currency, Digest, Endorsement, User, UserKey};
use qnetsim::registry::rules::{Refusal, Standing};
use qnetsim::registry::{BatchError, Cursor, DatabaseError, Listing, Operations};

/// Hands the names of all behaviours that take a registry to the macro `$with`.
macro_rules! behaviours {
    ($with:ident) => {
        $with!(
            a_registered_user_is_found_by_every_index,
            pages_follow_each_other_without_gap_or_repetition,
            keys_and_government_ids_are_unique,
            enough_endorsements_verify_and_none_counts_twice
        );
    };
}
pub(super) use behaviours;

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

/// All of a list, by key.
fn keys_of<R: Operations>(registry: &R, of: Listing) -> Vec<UserKey> {
    sorted(registry.list(of).map(|found| found.expect("reads").key))
}

pub(super) fn a_registered_user_is_found_by_every_index<R: Operations>(registry: &R) {
    for number in 0..50 {
        registry.register_user(&user(number)).expect("registers");
    }
    assert_eq!(registry.counters().expect("reads").users, 50);
    let found = registry.get_user(&key(7)).expect("reads").expect("is there");
    assert_eq!(found, user(7));
    assert_eq!(registry.lookup_by_government_id(&user(7).government_id).expect("reads"), Some(key(7)));
    assert!(registry.get_user(&key(50)).expect("reads").is_none());
    assert_eq!(keys_of(registry, Listing::Currency(user(0).birth_currency)).len(), 17);
    let germans = registry.list(Listing::Country(user(0).country)).map(|found| found.expect("reads"));
    assert!(germans.map(|user| user.country).all(|country| country.code() == b"DE"));
}

pub(super) fn pages_follow_each_other_without_gap_or_repetition<R: Operations>(registry: &R) {
    let users: Vec<User> = (0..40).map(user).collect();
    registry.store_batch(&users).expect("stores");
    let mut cursor = Cursor::default();
    let mut seen = Vec::new();
    loop {
        let of = Listing::Currency(users[0].birth_currency);
        let (page, behind) = registry.page(of, &cursor, 5).expect("reads");
        let is_last = page.len() < 5;
        seen.extend(page.into_iter().map(|user| user.name));
        cursor = behind;
        if is_last {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 14);
}

pub(super) fn keys_and_government_ids_are_unique<R: Operations>(registry: &R) {
    registry.register_user(&user(1)).expect("registers");
    let twice = registry.register_user(&user(1)).expect_err("is taken");
    assert!(matches!(twice, DatabaseError::Refused(Refusal::KeyTaken)));
    let same_id = User { government_id: user(1).government_id, ..user(2) };
    let taken = registry.register_user(&same_id).expect_err("is taken");
    assert!(matches!(taken, DatabaseError::Refused(Refusal::GovernmentIdTaken { by }) if by == key(1)));
    assert!(taken.to_string().contains(&key(1).to_string()));
    let batch = [user(3), User { key: key(4), ..user(3) }];
    let stored = registry.store_batch(&batch).expect_err("is taken");
    assert!(matches!(stored, BatchError { index: Some(1), .. }));
    let long = registry.register_user(&User { name: "x".repeat(65), ..user(5) }).expect_err("is too long");
    assert!(matches!(long, DatabaseError::LongName(65)));
    assert_eq!(registry.counters().expect("reads").users, 1);
}

/// Three endorsements verify a user of `registry`.
pub(super) fn enough_endorsements_verify_and_none_counts_twice<R: Operations>(registry: &R) {
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
    let is =
        |outcome: Result<Standing, _>, refusal| matches!(outcome, Err(DatabaseError::Refused(why)) if why == refusal);
    assert!(is(refused(0, 0), Refusal::SelfEndorsement));
    assert!(is(refused(0, 500), Refusal::UnknownEndorser));
    assert!(is(refused(500, 0), Refusal::UnknownUser));
    let mut endorsements = registry.endorsements_of(&key(0)).expect("reads");
    endorsements.sort_by_key(|endorsement| endorsement.signed_at);
    let expected: Vec<Endorsement> = (1..=80).map(|endorser| endorsement(0, endorser)).collect();
    assert_eq!(endorsements, expected);
    let counters = registry.counters().expect("reads");
    assert_eq!((counters.verified, counters.endorsements), (1, 80));
}

/// Users and government ids that operations are about: few, so that they meet.
const NUMBERS: u64 = 8;

/// Something that is done to a registry.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Register(u64, u64),
    Store(u64, u64, u64),
    Batch(Vec<(u64, u64, u64)>),
    Index(u64, u64),
    Delete(u64),
    Endorse(u64, u64),
    Get(u64),
}

pub(super) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let number = || 0..NUMBERS;
    let operation = prop_oneof![
        4 => (number(), number()).prop_map(|(key, id)| Operation::Register(key, id)),
        2 => (number(), number(), 0..3u64).prop_map(|(key, id, place)| Operation::Store(key, id, place)),
        1 => prop::collection::vec((number(), number(), 0..3u64), 0..4).prop_map(Operation::Batch),
        1 => (number(), number()).prop_map(|(id, key)| Operation::Index(id, key)),
        1 => number().prop_map(Operation::Delete),
        6 => (number(), number()).prop_map(|(endorsed, endorser)| Operation::Endorse(endorsed, endorser)),
        3 => number().prop_map(Operation::Get),
    ];
    prop::collection::vec(operation, 1..60)
}

/// User `number` with the government id of user `id`, who lives where user `place` lives.
fn with(number: u64, id: u64, place: u64) -> User {
    User {
        government_id: user(id).government_id,
        birth_currency: user(place).birth_currency,
        country: user(place * 3).country,
        ..user(number)
    }
}

/// The registry as anybody would write it down.
#[derive(Clone, Default)]
pub(super) struct Model {
    users: BTreeMap<UserKey, User>,
    endorsers: BTreeMap<UserKey, BTreeSet<UserKey>>,
}

pub(super) const ENOUGH: u32 = 3;

impl Model {
    fn owner(&self, id: &Digest) -> Option<UserKey> {
        self.users.values().find(|user| user.government_id == *id).map(|user| user.key)
    }

    fn store(&mut self, user: User) -> Result<(), String> {
        if let Some(by) = self.owner(&user.government_id).filter(|by| *by != user.key) {
            return Err(Refusal::GovernmentIdTaken { by }.to_string());
        }
        let standing = self.users.get(&user.key).map_or((0, false), |old| (old.endorsements, old.verified));
        self.users.insert(user.key, User { endorsements: standing.0, verified: standing.1, ..user });
        Ok(())
    }

    fn apply(&mut self, operation: &Operation) -> Result<String, String> {
        match *operation {
            Operation::Register(number, _) if self.users.contains_key(&key(number)) => {
                Err(Refusal::<UserKey>::KeyTaken.to_string())
            }
            Operation::Register(number, id) => self.store(with(number, id, number)).map(|()| String::new()),
            Operation::Store(number, id, place) => self.store(with(number, id, place)).map(|()| String::new()),
            Operation::Batch(ref users) => {
                let mut after = self.clone();
                for (index, &(number, id, place)) in users.iter().enumerate() {
                    after
                        .store(with(number, id, place))
                        .map_err(|why| format!("user {} of the batch: {why}", index + 1))?;
                }
                *self = after;
                Ok(String::new())
            }
            Operation::Index(id, number) => match self.users.get(&key(number)).cloned() {
                Some(old) => self.store(User { government_id: user(id).government_id, ..old }).map(|()| String::new()),
                None => Err(format!("nobody is registered with the key {}", key(number))),
            },
            Operation::Delete(number) => {
                self.endorsers.remove(&key(number));
                Ok(self.users.remove(&key(number)).is_some().to_string())
            }
            Operation::Endorse(endorsed, endorser) => self.endorse(key(endorsed), key(endorser)),
            Operation::Get(number) => Ok(format!("{:?}", self.users.get(&key(number)))),
        }
    }

    fn endorse(&mut self, endorsed: UserKey, endorser: UserKey) -> Result<String, String> {
        let refused = |refusal: Refusal<UserKey>| Err(refusal.to_string());
        if endorsed == endorser {
            return refused(Refusal::SelfEndorsement);
        }
        if !self.users.contains_key(&endorser) {
            return refused(Refusal::UnknownEndorser);
        }
        let Some(user) = self.users.get_mut(&endorsed) else { return refused(Refusal::UnknownUser) };
        if !self.endorsers.entry(endorsed).or_default().insert(endorser) {
            return refused(Refusal::EndorsedAlready);
        }
        user.endorsements += 1;
        user.verified |= user.endorsements >= ENOUGH;
        Ok(format!("{} {}", user.endorsements, user.verified))
    }
}

fn told<T, E: std::error::Error>(outcome: Result<T, E>, tell: impl FnOnce(T) -> String) -> Result<String, String> {
    outcome.map(tell).map_err(|error| error.to_string())
}

fn apply<R: Operations>(registry: &R, operation: &Operation) -> Result<String, String> {
    let nothing = |()| String::new();
    match *operation {
        Operation::Register(number, id) => told(registry.register_user(&with(number, id, number)), nothing),
        Operation::Store(number, id, place) => told(registry.store_user(&with(number, id, place)), nothing),
        Operation::Batch(ref users) => {
            let users: Vec<User> = users.iter().map(|&(number, id, place)| with(number, id, place)).collect();
            told(registry.store_batch(&users), nothing)
        }
        Operation::Index(id, number) => {
            told(registry.index_government_id(&user(id).government_id, &key(number)), nothing)
        }
        Operation::Delete(number) => told(registry.delete_user(&key(number)), |deleted| deleted.to_string()),
        Operation::Endorse(endorsed, endorser) => {
            told(registry.submit_endorsement(&endorsement(endorsed, endorser)), |standing| {
                format!("{} {}", standing.endorsements, standing.verified)
            })
        }
        Operation::Get(number) => {
            // Endorsements are asked for, too, so that their cache has something to be wrong about.
            let endorsements = registry.endorsements_of(&key(number)).expect("reads").len();
            let found = registry.get_user(&key(number)).expect("reads");
            assert_eq!(endorsements as u32, found.as_ref().map_or(0, |user| user.endorsements));
            Ok(format!("{found:?}"))
        }
    }
}

fn sorted<T: Ord + Debug>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

/// Everything that can be asked gives what the model gives.
pub(super) fn compare<R: Operations>(registry: &R, model: &Model) {
    let all: BTreeMap<UserKey, User> =
        registry.list(Listing::All).map(|found| found.expect("reads")).map(|user| (user.key, user)).collect();
    assert_eq!(all, model.users);
    for number in 0..NUMBERS {
        let (key, sample) = (key(number), user(number));
        assert_eq!(
            registry.lookup_by_government_id(&sample.government_id).expect("reads"),
            model.owner(&sample.government_id)
        );
        let endorsements = registry.endorsements_of(&key).expect("reads");
        let expected = model.endorsers.get(&key).cloned().unwrap_or_default();
        assert_eq!(sorted(endorsements.iter().map(|endorsement| endorsement.endorser)), sorted(expected));
    }
    for place in 0..3 {
        let (currency, country) = (user(place).birth_currency, user(place * 3).country);
        let expected = model.users.values().filter(|user| user.birth_currency == currency).map(|user| user.key);
        assert_eq!(keys_of(registry, Listing::Currency(currency)), sorted(expected));
        let expected = model.users.values().filter(|user| user.country == country).map(|user| user.key);
        assert_eq!(keys_of(registry, Listing::Country(country)), sorted(expected));
    }
    let counters = registry.counters().expect("reads");
    assert_eq!(counters.users, model.users.len() as u64);
    assert_eq!(counters.verified, model.users.values().filter(|user| user.verified).count() as u64);
    assert_eq!(counters.endorsements, model.users.values().map(|user| u64::from(user.endorsements)).sum::<u64>());
    is_sound(registry);
}

/// Nothing is wrong with the registry.
#[track_caller]
pub(super) fn is_sound<R: Operations>(registry: &R) {
    let report = registry.verify(&mut |_| ()).expect("reads");
    assert!(report.is_sound(), "{:?}", report.examples);
}

/// Operations on an empty registry, where [`ENOUGH`] endorsements verify a user, give what they give on the model, which is
/// returned.
pub(super) fn agrees<R: Operations>(registry: &R, operations: &[Operation]) -> Model {
    let mut model = Model::default();
    for operation in operations {
        assert_eq!(apply(registry, operation), model.apply(operation), "{operation:?}");
    }
    compare(registry, &model);
    model
}

/// Everybody registers the same users, in different orders; of each two neighbours, one takes the other's government id.
pub(super) fn contend<R: Operations>(registry: &R) {
    const USERS: u64 = 96;
    let won = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let won = &won;
            scope.spawn(move || {
                for step in 0..USERS {
                    let number = (step * 35 + writer * 7) % USERS;
                    let wanted = User { government_id: user(number / 2).government_id, ..user(number) };
                    match registry.register_user(&wanted) {
                        Ok(()) => drop(won.fetch_add(1, Ordering::Relaxed)),
                        Err(DatabaseError::Refused(Refusal::KeyTaken | Refusal::GovernmentIdTaken { .. })) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(won.into_inner(), USERS / 2);
    assert_eq!(registry.counters().expect("reads").users, USERS / 2);
    is_sound(registry);
}

/// Everybody endorses the same user, who is asked for meanwhile.
pub(super) fn endorse_together<R: Operations>(registry: &R) {
    (500..600).for_each(|number| registry.register_user(&user(number)).expect("registers"));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            scope.spawn(move || {
                for step in 0..100 {
                    let endorser = 501 + (step * 7 + writer * 13) % 99;
                    match registry.submit_endorsement(&endorsement(500, endorser)) {
                        Ok(_) | Err(DatabaseError::Refused(Refusal::EndorsedAlready)) => {}
                        Err(error) => panic!("{error}"),
                    }
                    // Nobody sees less than what they have written.
                    let endorsements = registry.endorsements_of(&key(500)).expect("reads");
                    assert!(endorsements.iter().any(|seen| seen.endorser == key(endorser)));
                }
            });
        }
    });
    let found = registry.get_user(&key(500)).expect("reads").expect("is there");
    assert_eq!((found.endorsements, found.verified), (99, true));
    is_sound(registry);
}
