//! The registry over memory and disk side by side.

use std::path::Path;

use super::disk::{DiskOptions, DiskStore, Engine};
use super::memory::MemoryStore;
use super::record::User;
use super::store::Store;
use super::{Cursor, DatabaseError, Durability, Layout, Settings, UserDatabase, UserRegistryConsensus};
use suite::{endorsement, hashed, key, user};

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

/// Every behaviour of the suite in memory and on disk, in every layout and on every engine.
macro_rules! everywhere {
    ($($behaviour:ident),*) => {
        $(
            #[test]
            fn $behaviour() {
                for layout in LAYOUTS {
                    suite::$behaviour(&in_memory(layout).with_endorsements_to_verify(suite::ENOUGH));
                }
                each_on_disk(|folder, engine, layout| {
                    let registry = over(on_disk(folder, engine, layout), layout);
                    suite::$behaviour(&registry.with_endorsements_to_verify(suite::ENOUGH));
                });
            }
        )*
    };
}

suite::behaviours!(everywhere);

#[test]
fn verified_users_are_listed_alone() {
    for layout in LAYOUTS {
        let registry = in_memory(layout).with_endorsements_to_verify(1);
        (0..3).for_each(|number| registry.register_user(&user(number)).expect("registers"));
        registry.submit_endorsement(&endorsement(1, 2)).expect("counts");
        let verified = registry.verified_users(&Cursor::default()).map(|found| found.expect("reads").user.key);
        assert_eq!(verified.collect::<Vec<_>>(), [key(1)]);
    }
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
mod suite;
