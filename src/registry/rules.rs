//! What may be registered and endorsed: the rules, apart from how records are kept.
//!
//! The same rules run over a database on one machine, where all of a registration is decided and written at once, and
//! over a registry that is sharded over many nodes, where the government id is claimed at one shard and the user created
//! at another. So they are generic in what names a user and a government id.

use std::fmt;

/// What the rules have to know of records that somebody keeps.
pub trait Records {
    /// What names a user.
    type Key: Copy + Eq;
    /// What names a government id.
    type GovernmentId: Copy + Eq;
    /// Why records cannot be read.
    type Error;

    /// Where the user `key` stands with endorsements; `None` if nobody has that key.
    fn standing(&self, key: &Self::Key) -> Result<Option<Standing>, Self::Error>;
    /// Who has `government_id`.
    fn owner(&self, government_id: &Self::GovernmentId) -> Result<Option<Self::Key>, Self::Error>;
    /// Whether `endorser` has endorsed `endorsed`.
    fn is_endorsed_by(&self, endorsed: &Self::Key, endorser: &Self::Key) -> Result<bool, Self::Error>;
}

/// Where a user stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many have endorsed the user.
    pub endorsements: u32,
    /// Whether there were enough.
    pub verified: bool,
}

/// Why something may not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<K> {
    /// Somebody is registered with that key.
    KeyTaken,
    /// Somebody is registered with that government id.
    GovernmentIdTaken {
        /// Who.
        by: K,
    },
    /// Who is to be endorsed is not registered.
    UnknownUser,
    /// Who endorses is not registered.
    UnknownEndorser,
    /// Nobody endorses themselves.
    SelfEndorsement,
    /// Nobody endorses twice.
    EndorsedAlready,
}

impl<K: fmt::Display> fmt::Display for Refusal<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::KeyTaken => out.write_str("somebody is registered with that key"),
            Refusal::GovernmentIdTaken { by } => write!(out, "that government id is registered, by {by}"),
            Refusal::UnknownUser => out.write_str("who is to be endorsed is not registered"),
            Refusal::UnknownEndorser => out.write_str("who endorses is not registered"),
            Refusal::SelfEndorsement => out.write_str("nobody endorses themselves"),
            Refusal::EndorsedAlready => out.write_str("nobody endorses a user twice"),
        }
    }
}

/// What the rules say of something: that it may be done, with what follows, or why not. What cannot be read is an error
/// besides.
pub type Ruling<T, R> = Result<Result<T, Refusal<<R as Records>::Key>>, <R as Records>::Error>;

/// Whether `key` may have `government_id`. Where it has it already, this is a repeated request: it may.
pub fn claim<R: Records>(records: &R, government_id: &R::GovernmentId, key: &R::Key) -> Ruling<(), R> {
    Ok(match records.owner(government_id)? {
        Some(by) if by != *key => Err(Refusal::GovernmentIdTaken { by }),
        _ => Ok(()),
    })
}

/// Whether a user may be created with `key`.
pub fn create<R: Records>(records: &R, key: &R::Key) -> Ruling<(), R> {
    Ok(match records.standing(key)? {
        Some(_) => Err(Refusal::KeyTaken),
        None => Ok(()),
    })
}

/// Whether somebody may be registered with `key` and `government_id`: [`create`] and [`claim`] where one place keeps both.
pub fn register<R: Records>(records: &R, key: &R::Key, government_id: &R::GovernmentId) -> Ruling<(), R> {
    match create(records, key)? {
        Ok(()) => claim(records, government_id, key),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Whether a user may endorse another: both are registered, they are two, and it is the first time. Returns where the
/// endorsed user stands then, verified with `enough` endorsements or more.
pub fn endorse<R: Records>(records: &R, endorsed: &R::Key, endorser: &R::Key, enough: u32) -> Ruling<Standing, R> {
    if endorsed == endorser {
        return Ok(Err(Refusal::SelfEndorsement));
    }
    if records.standing(endorser)?.is_none() {
        return Ok(Err(Refusal::UnknownEndorser));
    }
    receive(records, endorsed, endorser, enough)
}

/// As [`endorse`], where who endorses was found to be registered elsewhere.
pub fn receive<R: Records>(records: &R, endorsed: &R::Key, endorser: &R::Key, enough: u32) -> Ruling<Standing, R> {
    if endorsed == endorser {
        return Ok(Err(Refusal::SelfEndorsement));
    }
    let Some(standing) = records.standing(endorsed)? else {
        return Ok(Err(Refusal::UnknownUser));
    };
    if records.is_endorsed_by(endorsed, endorser)? {
        return Ok(Err(Refusal::EndorsedAlready));
    }
    Ok(Ok(standing.endorsed_once_more(enough)))
}

impl Standing {
    /// Where a user stands with one endorsement more: verified with `enough`, and for good.
    #[must_use]
    pub fn endorsed_once_more(self, enough: u32) -> Self {
        let endorsements = self.endorsements.saturating_add(1);
        Standing { endorsements, verified: self.verified || endorsements >= enough }
    }
}
