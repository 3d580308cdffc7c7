//! What the registry offers: registering, endorsing, and who is verified.

use std::sync::Arc;

use super::access::{DatabaseError, Outcome};
use super::commit::Durability;
use super::database::{Cursor, UserDatabase};
use super::layout::Stored;
use super::record::{ENDORSEMENTS_TO_VERIFY, Endorsement, User};
use super::rules::{self, Standing};
use super::store::Store;

/// The registry's rules over a database. What it acknowledges is on disk, unless it is told that the system's word is enough.
pub struct UserRegistryConsensus<S: Store> {
    database: UserDatabase<S>,
    enough: u32,
    durability: Durability,
}

impl<S: Store> UserRegistryConsensus<S> {
    /// Over `database`, with [`ENDORSEMENTS_TO_VERIFY`] endorsements to be verified and durable writes.
    pub fn new(database: UserDatabase<S>) -> Self {
        UserRegistryConsensus { database, enough: ENDORSEMENTS_TO_VERIFY, durability: Durability::Durable }
    }

    /// With `enough` endorsements to be verified.
    #[must_use]
    pub fn with_endorsements_to_verify(self, enough: u32) -> Self {
        UserRegistryConsensus { enough, ..self }
    }

    /// With writes acknowledged when `durability` says.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        UserRegistryConsensus { durability, ..self }
    }

    /// The database.
    pub fn database(&self) -> &UserDatabase<S> {
        &self.database
    }

    /// When writes are acknowledged.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Registers `user`, whose key and government id nobody has, without endorsements.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Refused`] if the key or the government id is taken, and by whom; if the name is too long; or if the
    /// store fails.
    pub fn register_user(&self, user: &User) -> Outcome<(), S> {
        let _held = self.database.hold([&user.key], [&user.government_id]);
        let mut access = self.database.access();
        rules::register(&access, &user.key, &user.government_id)?.map_err(DatabaseError::Refused)?;
        let stored = self.database.draft_new(&mut access, user)?;
        self.database.commit(access, self.durability, |caches| caches.wrote_user(stored))
    }

    /// Counts `endorsement`, and returns where the endorsed user stands then. The signature is kept, not checked.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Refused`] if one of the two is unknown, if they are the same, or if it is not the first time; or if
    /// the store fails.
    pub fn submit_endorsement(&self, endorsement: &Endorsement) -> Outcome<Standing, S> {
        let Endorsement { endorsed, endorser, .. } = endorsement;
        let _held = self.database.hold([endorsed, endorser], []);
        // The rules and the write look at both several times: from the cache, if there is one.
        let (found, by) = (self.database.get_user(endorsed)?, self.database.get_user(endorser)?);
        let mut access = self.database.access();
        let ruling = rules::endorse(&access, endorsed, endorser, self.enough)?;
        let standing = ruling.map_err(DatabaseError::Refused)?;
        let found = found.ok_or(DatabaseError::UnknownKey(*endorsed))?;
        let by = by.ok_or(DatabaseError::UnknownKey(*endorser))?.id;
        let now = Arc::new(access.endorse(&found, by, endorsement, standing)?);
        self.database.commit(access, self.durability, |caches| {
            caches.forget_endorsements(endorsed);
            caches.wrote_user(now);
        })?;
        Ok(standing)
    }

    /// The verified users, one after the other, from where a cursor stands. [`UserDatabase::verified_users`] counts them.
    pub fn verified_users(&self, from: &Cursor) -> impl Iterator<Item = Outcome<Stored, S>> + '_ {
        self.database.users(from).filter(|found| found.as_ref().map_or(true, |stored| stored.user.verified))
    }
}
