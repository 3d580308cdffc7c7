//! Random operations on both layouts, in memory and on disk, against the model of the suite.

use proptest::prelude::*;

use super::suite::{ENOUGH, agrees, compare, operations};
use super::*;
use crate::registry::CacheSizes;

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
