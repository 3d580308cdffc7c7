//! Moving a registry: another one, in memory, on disk or on a server, as the source of an import.
//!
//! So a registry in memory becomes one on disk, and one on disk gets another layout, by the steps of an import: in batches,
//! compared by number and checksum, going on after a kill, and never half done.

use super::import::source::{Batch, Batches, Place, Source, SourceError};
use super::operations::{Listing, Operations};
use super::record::{Endorsement, User};

/// Users of a batch.
const BATCH: usize = 1 << 12;

/// A registry that is read to be imported elsewhere. Nobody writes to it meanwhile. Endorsements given by users who were
/// deleted since name a key that nobody has any more, so that an import of them is refused.
pub struct Registry<'a, R> {
    registry: &'a R,
}

impl<'a, R: Operations> Registry<'a, R> {
    /// All of `registry`.
    pub fn new(registry: &'a R) -> Self {
        Registry { registry }
    }

    /// All users with their numbers from 0, some at a time.
    fn pages(&self) -> impl Iterator<Item = Result<Vec<(Place, User)>, SourceError>> + '_ {
        let mut users = self.registry.list(Listing::All);
        let mut number = 0;
        std::iter::from_fn(move || {
            let mut page = Vec::new();
            for found in users.by_ref().take(BATCH) {
                match found {
                    Ok(user) => page.push((Place { part: 0, line: number }, user)),
                    Err(error) => return Some(Err(SourceError::Registry(error.to_string()))),
                }
                number += 1;
            }
            (!page.is_empty()).then_some(Ok(page))
        })
    }
}

impl<R: Operations> Source for Registry<'_, R> {
    fn identity(&self) -> Result<String, SourceError> {
        let failed = |error: super::DatabaseError<R::Error>| SourceError::Registry(error.to_string());
        let counters = self.registry.counters().map_err(failed)?;
        let first = self.registry.list(Listing::All).next().transpose().map_err(failed)?.map(|user| user.key);
        Ok(format!("registry {} {counters:?} {first:?}", self.registry.layout_name()))
    }

    fn users(&self) -> Batches<'_, User> {
        Box::new(self.pages().map(|page| Ok(Batch { items: page?, bad: Vec::new() })))
    }

    fn endorsements(&self, skipped: u64) -> Batches<'_, Endorsement> {
        let mut left = skipped;
        Box::new(self.pages().map(move |page| {
            let mut items = Vec::new();
            for (place, user) in page? {
                // Those that are skipped need not be read: each user knows how many there are.
                let count = u64::from(user.endorsements);
                if left >= count {
                    left -= count;
                    continue;
                }
                let found = self.registry.endorsements_of(&user.key);
                let found = found.map_err(|error| SourceError::Registry(error.to_string()))?;
                let rest = found.iter().skip(std::mem::take(&mut left) as usize);
                items.extend(rest.map(|endorsement| (place, endorsement.clone())));
            }
            Ok(Batch { items, bad: Vec::new() })
        }))
    }

    fn describe(&self, place: Place) -> String {
        format!("user {} of the registry", place.line)
    }

    fn size(&self) -> Option<(u64, u64)> {
        let counters = self.registry.counters().ok()?;
        Some((counters.users, counters.endorsements))
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache::CacheSizes;
    use super::super::disk::{DiskOptions, open_registry};
    use super::super::import::{ImportOptions, import};
    use super::super::layout::Layout;
    use super::super::memory::MemoryStore;
    use super::super::population::Population;
    use super::super::{Settings, UserDatabase, UserRegistryConsensus};
    use super::*;

    fn in_memory(population: &Population) -> UserRegistryConsensus<MemoryStore> {
        let registry = UserDatabase::open(MemoryStore::new(), &Settings::default()).unwrap();
        let registry = UserRegistryConsensus::new(registry);
        (0..population.users()).for_each(|number| registry.register_user(&population.user(number)).unwrap());
        for endorsement in (0..population.users()).flat_map(|number| population.endorsements_of(number)) {
            registry.submit_endorsement(&endorsement).unwrap();
        }
        registry
    }

    #[test]
    fn a_registry_in_memory_moves_to_disk_and_to_another_layout_and_back() {
        let population = Population::new(1, 500, 5);
        let registry = in_memory(&population);
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let options = DiskOptions { create: false, ..DiskOptions::default() };
            UserRegistryConsensus::new(
                open_registry(&folder.path().join(name), &options, CacheSizes::default()).unwrap(),
            )
        };
        let to = |name: &str, source: &dyn Fn(&std::path::Path, &ImportOptions), layout| {
            source(&folder.path().join(name), &ImportOptions { layout, ..ImportOptions::default() });
        };
        to(
            "a",
            &|path, how| drop(import(path, &Registry::new(&registry), how, &mut |_, _, _| {}).unwrap()),
            Layout::Compact,
        );
        let compact = open("a");
        to(
            "b",
            &|path, how| drop(import(path, &Registry::new(&compact), how, &mut |_, _, _| {}).unwrap()),
            Layout::Documented,
        );
        let documented = open("b");
        to(
            "c",
            &|path, how| drop(import(path, &Registry::new(&documented), how, &mut |_, _, _| {}).unwrap()),
            Layout::Compact,
        );
        let back = open("c");
        for number in 0..500 {
            let key = population.key(number);
            let expected = registry.database().get_user(&key).unwrap().unwrap().user.clone();
            let sorted = |endorsements: &[Endorsement]| {
                let mut endorsements = endorsements.to_vec();
                endorsements.sort_by_key(|endorsement| endorsement.endorser);
                endorsements
            };
            let given = sorted(&registry.database().endorsements_of(&key).unwrap());
            for moved in [&compact, &documented, &back] {
                assert_eq!(moved.database().get_user(&key).unwrap().unwrap().user, expected);
                assert_eq!(sorted(&moved.database().endorsements_of(&key).unwrap()), given);
            }
        }
    }

    #[test]
    fn endorsements_are_read_from_any_of_them_on() {
        let registry = in_memory(&Population::new(3, 40, 3));
        let source = Registry::new(&registry);
        let all = |skipped| source.endorsements(skipped).flat_map(|batch| batch.unwrap().items).collect::<Vec<_>>();
        let whole = all(0);
        assert_eq!(whole.len(), 120);
        for skipped in [1, 3, 50, 119, 120] {
            assert_eq!(all(skipped as u64), whole[skipped..]);
        }
    }
}
