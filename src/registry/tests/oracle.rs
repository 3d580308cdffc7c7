//! Random operations on both layouts, in memory and on disk, against a registry of a few maps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::registry::CacheSizes;
use crate::registry::record::UserKey;

/// Users and government ids that operations are about: few, so that they meet.
const NUMBERS: u64 = 8;

#[derive(Clone, Debug)]
enum Operation {
    Register(u64, u64),
    Store(u64, u64, u64),
    Batch(Vec<(u64, u64, u64)>),
    Index(u64, u64),
    Delete(u64),
    Endorse(u64, u64),
    Get(u64),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
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
struct Model {
    users: BTreeMap<UserKey, User>,
    endorsers: BTreeMap<UserKey, BTreeSet<UserKey>>,
}

const ENOUGH: u32 = 3;

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

fn apply<S: Store>(registry: &UserRegistryConsensus<S>, operation: &Operation) -> Result<String, String> {
    let database = registry.database();
    let nothing = |()| String::new();
    match *operation {
        Operation::Register(number, id) => told(registry.register_user(&with(number, id, number)), nothing),
        Operation::Store(number, id, place) => {
            told(database.store_user(&with(number, id, place), Durability::Buffered), nothing)
        }
        Operation::Batch(ref users) => {
            let users: Vec<User> = users.iter().map(|&(number, id, place)| with(number, id, place)).collect();
            told(database.store_batch(&users, Durability::Buffered), nothing)
        }
        Operation::Index(id, number) => {
            told(database.index_government_id(&user(id).government_id, &key(number), Durability::Buffered), nothing)
        }
        Operation::Delete(number) => {
            told(database.delete_user(&key(number), Durability::Buffered), |deleted| deleted.to_string())
        }
        Operation::Endorse(endorsed, endorser) => {
            told(registry.submit_endorsement(&endorsement(endorsed, endorser)), |standing| {
                format!("{} {}", standing.endorsements, standing.verified)
            })
        }
        Operation::Get(number) => {
            // Endorsements are asked for, too, so that their cache has something to be wrong about.
            let endorsements = database.endorsements_of(&key(number)).expect("reads").len();
            let found = database.get_user(&key(number)).expect("reads").map(|stored| stored.user.clone());
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
fn compare<S: Store>(registry: &UserRegistryConsensus<S>, model: &Model) {
    let database = registry.database();
    let start = Cursor::default();
    let all: BTreeMap<UserKey, User> =
        database.users(&start).map(|found| found.expect("reads").user).map(|user| (user.key, user)).collect();
    assert_eq!(all, model.users);
    for number in 0..NUMBERS {
        let (key, sample) = (key(number), user(number));
        assert_eq!(
            database.lookup_by_government_id(&sample.government_id).expect("reads"),
            model.owner(&sample.government_id)
        );
        let endorsements = database.endorsements_of(&key).expect("reads");
        let expected = model.endorsers.get(&key).cloned().unwrap_or_default();
        assert_eq!(sorted(endorsements.iter().map(|endorsement| endorsement.endorser)), sorted(expected));
    }
    for place in 0..3 {
        let (currency, country) = (user(place).birth_currency, user(place * 3).country);
        let by_currency = database.users_by_currency(currency, &start).map(|found| found.expect("reads").user.key);
        let expected = model.users.values().filter(|user| user.birth_currency == currency).map(|user| user.key);
        assert_eq!(sorted(by_currency), sorted(expected));
        let by_country = database.users_by_country(country, &start).map(|found| found.expect("reads").user.key);
        let expected = model.users.values().filter(|user| user.country == country).map(|user| user.key);
        assert_eq!(sorted(by_country), sorted(expected));
    }
    let verified = registry.verified_users(&start).map(|found| found.expect("reads").user.key);
    assert_eq!(sorted(verified), sorted(model.users.values().filter(|user| user.verified).map(|user| user.key)));
    let counters = database.counters();
    assert_eq!(counters.users, model.users.len() as u64);
    assert_eq!(counters.verified, model.users.values().filter(|user| user.verified).count() as u64);
    assert_eq!(counters.endorsements, model.users.values().map(|user| u64::from(user.endorsements)).sum::<u64>());
    let report = database.verify(|_| ()).expect("reads");
    assert!(report.is_sound(), "{:?}", report.examples);
}

fn agrees<S: Store>(registry: &UserRegistryConsensus<S>, operations: &[Operation]) -> Model {
    let mut model = Model::default();
    for operation in operations {
        assert_eq!(apply(registry, operation), model.apply(operation), "{operation:?}");
    }
    compare(registry, &model);
    model
}

proptest! {
    #[test]
    fn memory_answers_as_the_model(operations in operations(), cached: bool) {
        for layout in LAYOUTS {
            let caches = if cached { CacheSizes::default() } else { CacheSizes { users: 0, endorsements: 0, memory: None } };
            let database = UserDatabase::open(MemoryStore::new(), &Settings { layout: Some(layout), caches });
            let registry = UserRegistryConsensus::new(database.expect("opens"))
                .with_durability(Durability::Buffered)
                .with_endorsements_to_verify(ENOUGH);
            agrees(&registry, &operations);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_disk_answers_as_the_model_before_and_after_it_is_opened_again(operations in operations()) {
        each_on_disk(|folder, engine, layout| {
            let open = || over(on_disk(folder, engine, layout), layout).with_endorsements_to_verify(ENOUGH);
            let model = agrees(&open(), &operations);
            compare(&open(), &model);
        });
    }
}
