//! How users and endorsements lie in a store: the document's layout, and ours, which is half as long.

pub mod bound;
pub(super) mod codec;
pub mod compact;
pub mod documented;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use codec::BadRecord;

use super::record::{Endorsement, User, UserKey};
use super::store::{Family, Value};

/// A user's number within one registry: 8 bytes, given in order of registration and never again.
pub type UserId = u64;

/// How users and endorsements are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As the document writes them: hashes in hexadecimal digits, keys in full, endorsers in the user. See [`documented`].
    Documented,
    /// Hashes as bytes, users by their [`UserId`]. See [`compact`].
    #[default]
    Compact,
}

/// A user as found in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The number; 0 in the documented layout, which has none.
    pub id: UserId,
    /// Who.
    pub user: User,
    /// Who has endorsed the user, in the documented layout; the compact one keeps no list of them.
    pub endorsers: Vec<UserKey>,
}

impl Layout {
    /// The name by which a store says how it is laid out.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Documented => "documented",
            Layout::Compact => "compact",
        }
    }

    /// Puts all entries of `user`: the record and its places in the indexes. Where `put` already has something at one of
    /// these keys, [`Layout::join`] says what belongs there.
    pub fn put_user(self, user: &Stored, mut put: impl FnMut(Family, Vec<u8>, Value)) {
        match self {
            Layout::Documented => documented::put_user(user, &mut put),
            Layout::Compact => compact::put_user(user, &mut put),
        }
    }

    /// Puts all entries of the endorsements that the user `endorsed` has, each with the number of who endorses (0 in the
    /// documented layout). They are brought in the order in which they are kept.
    pub fn put_endorsements(
        self,
        endorsed: UserId,
        endorsements: &mut [(UserId, Endorsement)],
        mut put: impl FnMut(Family, Vec<u8>, Value),
    ) {
        match self {
            Layout::Documented => documented::put_endorsements(endorsements, &mut put),
            Layout::Compact => compact::put_endorsements(endorsed, endorsements, &mut put),
        }
    }

    /// What belongs at a key of `family` where two users put something: both, in an index by fingerprints; `None` where
    /// there is but one user to a key, who is then there twice.
    ///
    /// # Errors
    ///
    /// If one of them is no entry of that index.
    pub fn join(self, family: Family, first: &[u8], second: &[u8]) -> Result<Option<Value>, BadRecord> {
        match (self, family) {
            (Layout::Compact, Family::Key | Family::GovernmentId) => compact::join_ids(first, second).map(Some),
            _ => Ok(None),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Layout::Documented, Layout::Compact]
            .into_iter()
            .find(|layout| layout.name() == name)
            .ok_or_else(|| format!("a layout is `documented` or `compact`, not {name:?}"))
    }
}
