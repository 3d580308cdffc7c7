//! Where users and endorsements come from when they come all at once.

use std::io;
use std::path::PathBuf;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use thiserror::Error;

use super::super::population::Population;
use super::super::record::{Endorsement, User};

/// Users of a batch of a generated population, whose endorsements are a batch as well.
const GENERATED_BATCH: u64 = 1 << 14;

/// Where something stands in a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The part, such as a file, from 0.
    pub part: u32,
    /// The line in it, from 1; or the user's number.
    pub line: u64,
}

/// Some of what a source holds, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T> {
    /// What could be read.
    pub items: Vec<(Place, T)>,
    /// What could not, and why.
    pub bad: Vec<(Place, String)>,
}

/// Why a source cannot be read on.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is of no known kind.
    #[error("{path}: {reason}", path = .path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What is expected of it.
        reason: String,
    },
    /// A registry cannot be read.
    #[error("cannot read the registry that is to be moved: {0}")]
    Registry(String),
}

/// Batches of a source, one after the other.
pub type Batches<'a, T> = Box<dyn Iterator<Item = Result<Batch<T>, SourceError>> + 'a>;

/// Users and endorsements, which can be read more than once and are the same each time.
pub trait Source: Sync {
    /// What tells this source from others, and from itself with other contents. An import that was cut off goes on only
    /// where this is the same.
    ///
    /// # Errors
    ///
    /// If the source is not there.
    fn identity(&self) -> Result<String, SourceError>;
    /// All users.
    fn users(&self) -> Batches<'_, User>;
    /// All endorsements but the first `skipped`.
    fn endorsements(&self, skipped: u64) -> Batches<'_, Endorsement>;
    /// A place in words, such as a file and a line.
    fn describe(&self, place: Place) -> String;
    /// How many users and endorsements there are, if that is known; for showing progress.
    fn size(&self) -> Option<(u64, u64)>;
}

impl Source for Population {
    fn identity(&self) -> Result<String, SourceError> {
        // Whatever the seed gives is told by the first key.
        Ok(format!("generated {} {} {}", self.users(), self.endorsements_per_user(), self.key(0)))
    }

    fn users(&self) -> Batches<'_, User> {
        Box::new(batches(0, Population::users(self)).map(|(from, to)| {
            let user = |number| (Place { part: 0, line: number }, self.user(number));
            Ok(Batch { items: (from..to).into_par_iter().map(user).collect(), bad: Vec::new() })
        }))
    }

    fn endorsements(&self, skipped: u64) -> Batches<'_, Endorsement> {
        let each = u64::from(self.endorsements_per_user()).max(1);
        let mut skip = (skipped % each) as usize;
        Box::new(batches(skipped / each, Population::users(self)).map(move |(from, to)| {
            let place = |number| Place { part: 0, line: number };
            let of = |number| self.endorsements_of(number).map(move |endorsement| (place(number), endorsement));
            let mut items: Vec<_> = (from..to).into_par_iter().flat_map_iter(of).collect();
            items.drain(..std::mem::take(&mut skip).min(items.len()));
            Ok(Batch { items, bad: Vec::new() })
        }))
    }

    fn describe(&self, place: Place) -> String {
        format!("generated user {}", place.line)
    }

    fn size(&self) -> Option<(u64, u64)> {
        Some((Population::users(self), Population::endorsements(self)))
    }
}

/// The bounds of batches of `from..to`.
fn batches(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let next = |&from: &u64| from.checked_add(GENERATED_BATCH);
    std::iter::successors(Some(from), next)
        .take_while(move |&from| from < to)
        .map(move |from| (from, (from + GENERATED_BATCH).min(to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_population_is_read_whole_and_from_any_endorsement_on() {
        let population = Population::new(1, 40_000, 3);
        let users: Vec<_> = Source::users(&population).flat_map(|batch| batch.unwrap().items).collect();
        assert_eq!(users.len(), 40_000);
        assert!(
            users
                .iter()
                .zip(0..)
                .all(|((place, user), number)| place.line == number && user.key == population.key(number))
        );
        let all = |skipped| -> Vec<_> {
            Source::endorsements(&population, skipped).flat_map(|batch| batch.unwrap().items).collect()
        };
        let whole = all(0);
        assert_eq!(whole.len(), 120_000);
        for skipped in [0, 1, 4, 60_000, 119_999, 120_000] {
            assert!(all(skipped as u64) == whole[skipped..], "{skipped}");
        }
    }
}
