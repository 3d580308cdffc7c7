//! Changes, each in one transaction: what it decides on is locked, or kept by a unique constraint.

use std::collections::BTreeMap;

use super::ServerRegistry;
use super::error::ServerError;
use super::rows;
use super::session::{Change, Halt};
use crate::registry::access::{BatchError, DatabaseError};
use crate::registry::database::check_name;
use crate::registry::operations::Answer;
use crate::registry::record::{Digest, Endorsement, User, UserKey};
use crate::registry::rules::{self, Records, Refusal, Standing};

/// Whoever inserts what is there already waits for the end of the transaction that did so, and inserts nothing if it was
/// committed.
const INSERT_USERS: &str = "INSERT INTO registry_users \
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
    $8::bigint[], $9::boolean[]) ON CONFLICT DO NOTHING";
const REPLACE_USERS: &str = "INSERT INTO registry_users \
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
    $8::bigint[], $9::boolean[]) ON CONFLICT (key) DO UPDATE SET government_id = excluded.government_id, \
    identity_proof = excluded.identity_proof, birth_currency = excluded.birth_currency, country = excluded.country, \
    name = excluded.name, registered_at = excluded.registered_at";
const INSERT_USER: &str =
    "INSERT INTO registry_users VALUES ($1, $2, $3, $4, $5, $6, $7, 0, FALSE) ON CONFLICT DO NOTHING";
const INSERT_GOVERNMENT_IDS: &str = "INSERT INTO registry_government_ids \
    SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING";
const INSERT_GOVERNMENT_ID: &str = "INSERT INTO registry_government_ids VALUES ($1, $2) ON CONFLICT DO NOTHING";
const DELETE_GOVERNMENT_ID: &str = "DELETE FROM registry_government_ids WHERE government_id = $1";
const DELETE_GOVERNMENT_IDS: &str = "DELETE FROM registry_government_ids WHERE government_id = ANY($1)";
/// Against deletion only: many may endorse others at the same time.
const KEEP_USER: &str = "SELECT endorsements, verified FROM registry_users WHERE key = $1 FOR KEY SHARE";
const HOLD_USER: &str = "SELECT endorsements, verified FROM registry_users WHERE key = $1 FOR NO KEY UPDATE";
const INSERT_ENDORSEMENT: &str = "INSERT INTO registry_endorsements VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const SET_STANDING: &str = "UPDATE registry_users SET endorsements = $2, verified = $3 WHERE key = $1";
const DELETE_ENDORSEMENTS: &str = "DELETE FROM registry_endorsements WHERE endorsed = $1";
const DELETE_USER: &str = "DELETE FROM registry_users WHERE key = $1";

fn refused<T>(refusal: Refusal<UserKey>) -> Result<T, Halt> {
    Err(Halt::Answer(DatabaseError::Refused(refusal)))
}

/// Registers `user` anew.
pub(super) fn register(registry: &ServerRegistry, user: &User) -> Answer<(), ServerError> {
    let User { key, government_id, identity_proof, birth_currency, country, name, registered_at, .. } = user;
    let (currency, country, at) = (birth_currency.to_string(), country.to_string(), *registered_at as i64);
    let (key, id, proof) = (&key.bytes()[..], &government_id.0[..], &identity_proof.0[..]);
    registry.pool.write(registry.durability(), |change| {
        if change.execute(INSERT_USER, &[&key, &id, &proof, &currency, &country, name, &at])? == 0 {
            return refused(Refusal::KeyTaken);
        }
        if change.execute(INSERT_GOVERNMENT_ID, &[&id, &key])? == 0 {
            return match change.query(rows::OWNER, &[&id])?.first() {
                Some(row) => refused(Refusal::GovernmentIdTaken { by: rows::key(row, 0)? }),
                None => Err(Halt::Again),
            };
        }
        check_name::<ServerError>(user)?;
        change.delta.users += 1;
        Ok(())
    })
}

/// Two users as a transaction holds them.
struct Held<'a> {
    endorser: (&'a UserKey, Option<Standing>),
    endorsed: Option<Standing>,
    endorsed_already: bool,
}

impl Records for Held<'_> {
    type Key = UserKey;
    type GovernmentId = Digest;
    type Error = DatabaseError<ServerError>;

    fn standing(&self, key: &UserKey) -> Answer<Option<Standing>, ServerError> {
        Ok(if key == self.endorser.0 { self.endorser.1 } else { self.endorsed })
    }

    fn owner(&self, _: &Digest) -> Answer<Option<UserKey>, ServerError> {
        Ok(None)
    }

    fn is_endorsed_by(&self, _: &UserKey, _: &UserKey) -> Answer<bool, ServerError> {
        Ok(self.endorsed_already)
    }
}

/// Counts `endorsement`.
pub(super) fn endorse(registry: &ServerRegistry, endorsement: &Endorsement) -> Answer<Standing, ServerError> {
    let Endorsement { endorsed, endorser, signature, signed_at } = endorsement;
    if endorsed == endorser {
        return Err(DatabaseError::Refused(Refusal::SelfEndorsement));
    }
    let (to, by, signed_at) = (&endorsed.bytes()[..], &endorser.bytes()[..], *signed_at as i64);
    let standing = |change: &mut Change<'_>, sql, key: &[u8]| -> Result<Option<Standing>, Halt> {
        let rows = change.query(sql, &[&key])?;
        let read = |row: &postgres::Row| Standing { endorsements: row.get::<_, i64>(0) as u32, verified: row.get(1) };
        Ok(rows.first().map(read))
    };
    registry.pool.write(registry.durability(), |change| {
        let mut held = Held { endorser: (endorser, None), endorsed: None, endorsed_already: false };
        held.endorser.1 = standing(change, KEEP_USER, by)?;
        held.endorsed = standing(change, HOLD_USER, to)?;
        if held.endorser.1.is_some() && held.endorsed.is_some() {
            let inserted = change.execute(INSERT_ENDORSEMENT, &[&to, &by, &&signature[..], &signed_at])?;
            held.endorsed_already = inserted == 0;
        }
        let now = match rules::endorse(&held, endorsed, endorser, registry.enough)? {
            Ok(now) => now,
            Err(refusal) => return refused(refusal),
        };
        change.execute(SET_STANDING, &[&to, &i64::from(now.endorsements), &now.verified])?;
        change.delta.endorsements += 1;
        let verified_before = held.endorsed.is_some_and(|before| before.verified);
        change.delta.verified += i64::from(now.verified) - i64::from(verified_before);
        Ok(now)
    })
}

/// Deletes the user with `key`, and the endorsements that the user has.
pub(super) fn delete(registry: &ServerRegistry, key: &UserKey) -> Answer<bool, ServerError> {
    let of = &key.bytes()[..];
    registry.pool.write(registry.durability(), |change| {
        let Some(user) = change.query(rows::USER_LOCKED, &[&of])?.first().map(rows::user).transpose()? else {
            return Ok(false);
        };
        change.execute(DELETE_GOVERNMENT_ID, &[&&user.government_id.0[..]])?;
        let endorsements = change.execute(DELETE_ENDORSEMENTS, &[&of])?;
        change.execute(DELETE_USER, &[&of])?;
        change.delta.users -= 1;
        change.delta.verified -= i64::from(user.verified);
        change.delta.endorsements -= endorsements as i64;
        Ok(true)
    })
}

/// Stores all of `users`, or none.
pub(super) fn store(registry: &ServerRegistry, users: &[User]) -> Result<(), BatchError<ServerError>> {
    let mut at = None;
    let stored = registry.pool.write(registry.durability(), |change| store_in(registry, change, users, &mut at));
    stored.map_err(|cause| {
        let is_of_one = matches!(cause, DatabaseError::Refused(_) | DatabaseError::LongName(_));
        BatchError { index: at.filter(|_| is_of_one), cause }
    })
}

/// Gives `government_id` to the user with `key`.
pub(super) fn give_government_id(
    registry: &ServerRegistry,
    government_id: &Digest,
    key: &UserKey,
) -> Answer<(), ServerError> {
    registry.pool.write(registry.durability(), |change| {
        let found = locked(registry, change, &[key])?.remove(key);
        let old = found.ok_or(DatabaseError::<ServerError>::UnknownKey(*key))?;
        store_in(registry, change, &[User { government_id: *government_id, ..old }], &mut None)
    })
}

/// Those of `keys` who are registered, locked, by key.
fn locked(
    registry: &ServerRegistry,
    change: &mut Change<'_>,
    keys: &[&UserKey],
) -> Result<BTreeMap<UserKey, User>, Halt> {
    let mut found = Vec::new();
    if keys.len() > 1 && registry.form.locks_together() {
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key.bytes()[..]).collect();
        found = change.query(rows::USERS_LOCKED, &[&keys])?;
    } else {
        for key in keys {
            found.extend(change.query(rows::USER_LOCKED, &[&&key.bytes()[..]])?);
        }
    }
    let mut users = BTreeMap::new();
    for row in &found {
        let user = rows::user(row)?;
        users.insert(user.key, user);
    }
    Ok(users)
}

/// Stores all of `users` in one transaction, one after the other as far as anybody can tell. `at` is whom it came to.
fn store_in(
    registry: &ServerRegistry,
    change: &mut Change<'_>,
    users: &[User],
    at: &mut Option<usize>,
) -> Result<(), Halt> {
    let mut keys: Vec<&UserKey> = users.iter().map(|user| &user.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let before = locked(registry, change, &keys)?;
    let ids: Vec<&[u8]> = users.iter().map(|user| &user.government_id.0[..]).collect();
    let mut owners = BTreeMap::new();
    for row in change.query(rows::OWNERS, &[&ids])? {
        owners.insert(rows::digest(&row, 0)?, rows::key(&row, 1)?);
    }
    let mut after = before.clone();
    for (index, user) in users.iter().enumerate() {
        *at = Some(index);
        if let Some(&by) = owners.get(&user.government_id).filter(|&by| *by != user.key) {
            return refused(Refusal::GovernmentIdTaken { by });
        }
        check_name::<ServerError>(user)?;
        let old = after.get(&user.key);
        let (endorsements, verified) = old.map_or((0, false), |old| (old.endorsements, old.verified));
        if let Some(old) = old {
            owners.remove(&old.government_id);
        }
        owners.insert(user.government_id, user.key);
        after.insert(user.key, User { endorsements, verified, ..user.clone() });
    }
    let (old, new): (Vec<&User>, Vec<&User>) = after.values().partition(|user| before.contains_key(&user.key));
    let moved = |user: &&User| before.get(&user.key).map(|old| old.government_id) != Some(user.government_id);
    let given_up: Vec<&[u8]> =
        old.iter().copied().filter(moved).map(|user| &before[&user.key].government_id.0[..]).collect();
    if !given_up.is_empty() {
        change.execute(DELETE_GOVERNMENT_IDS, &[&given_up])?;
    }
    let changed: Vec<&User> = old.into_iter().filter(|user| before[&user.key] != **user).collect();
    if !changed.is_empty() {
        put_users(change, REPLACE_USERS, &changed)?;
    }
    // Whoever has registered one of these since it was looked for has done so before this transaction.
    if !new.is_empty() && put_users(change, INSERT_USERS, &new)? < new.len() as u64 {
        return Err(Halt::Again);
    }
    change.delta.users += new.len() as i64;
    let mut taken: Vec<&User> = after.values().filter(moved).collect();
    taken.sort_unstable_by_key(|user| user.government_id);
    let ids: Vec<&[u8]> = taken.iter().map(|user| &user.government_id.0[..]).collect();
    let keys: Vec<&[u8]> = taken.iter().map(|user| &user.key.bytes()[..]).collect();
    if !taken.is_empty() && change.execute(INSERT_GOVERNMENT_IDS, &[&ids, &keys])? < taken.len() as u64 {
        return Err(Halt::Again);
    }
    Ok(())
}

/// The number of `users` that `sql` puts.
fn put_users(change: &mut Change<'_>, sql: &'static str, users: &[&User]) -> Result<u64, postgres::Error> {
    let keys: Vec<&[u8]> = users.iter().map(|user| &user.key.bytes()[..]).collect();
    let ids: Vec<&[u8]> = users.iter().map(|user| &user.government_id.0[..]).collect();
    let proofs: Vec<&[u8]> = users.iter().map(|user| &user.identity_proof.0[..]).collect();
    let currencies: Vec<String> = users.iter().map(|user| user.birth_currency.to_string()).collect();
    let countries: Vec<String> = users.iter().map(|user| user.country.to_string()).collect();
    let names: Vec<&str> = users.iter().map(|user| &*user.name).collect();
    let registered: Vec<i64> = users.iter().map(|user| user.registered_at as i64).collect();
    let endorsements: Vec<i64> = users.iter().map(|user| user.endorsements.into()).collect();
    let verified: Vec<bool> = users.iter().map(|user| user.verified).collect();
    let columns: [&(dyn postgres::types::ToSql + Sync); 9] =
        [&keys, &ids, &proofs, &currencies, &countries, &names, &registered, &endorsements, &verified];
    change.execute(sql, &columns)
}
