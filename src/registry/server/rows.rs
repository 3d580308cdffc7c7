//! What is read of the tables: users, endorsements, pages of lists, sums.

use postgres::Row;

use super::error::ServerError;
use super::session::Pool;
use crate::registry::access::{DatabaseError, damaged};
use crate::registry::database::Cursor;
use crate::registry::layout::BadRecord;
use crate::registry::meta::Counters;
use crate::registry::operations::{Answer, Listing};
use crate::registry::record::{Country, Currency, Digest, Endorsement, User, UserKey};
use crate::registry::store::Family;

/// The columns of a user, in the order in which [`user`] reads them.
macro_rules! user_columns {
    () => {
        "key, government_id, identity_proof, birth_currency, country, name, registered_at, endorsements, verified"
    };
}

pub(super) const USER: &str = concat!("SELECT ", user_columns!(), " FROM registry_users WHERE key = $1");
pub(super) const USER_LOCKED: &str =
    concat!("SELECT ", user_columns!(), " FROM registry_users WHERE key = $1 FOR UPDATE");
/// In order of their keys, so that two batches lock them in the same order.
pub(super) const USERS_LOCKED: &str =
    concat!("SELECT ", user_columns!(), " FROM registry_users WHERE key = ANY($1) ORDER BY key FOR UPDATE");
pub(super) const OWNER: &str = "SELECT key FROM registry_government_ids WHERE government_id = $1";
pub(super) const OWNERS: &str = "SELECT government_id, key FROM registry_government_ids WHERE government_id = ANY($1)";
pub(super) const ENDORSEMENTS: &str =
    "SELECT endorsed, endorser, signature, signed_at FROM registry_endorsements WHERE endorsed = $1";
const ALL: &str = concat!("SELECT ", user_columns!(), " FROM registry_users WHERE key > $1 ORDER BY key LIMIT $2");
const BY_CURRENCY: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM registry_users WHERE birth_currency = $3 AND key > $1 ORDER BY key LIMIT $2"
);
const BY_COUNTRY: &str =
    concat!("SELECT ", user_columns!(), " FROM registry_users WHERE country = $3 AND key > $1 ORDER BY key LIMIT $2");
const COUNTERS: &str =
    "SELECT sum(users)::bigint, sum(verified)::bigint, sum(endorsements)::bigint FROM registry_counters";
/// Of a table or an index and of all its partitions.
const BYTES: &str = "SELECT (pg_table_size($1::text::regclass) + COALESCE((SELECT sum(pg_table_size(relid)) \
    FROM pg_partition_tree($1::text::regclass) WHERE relid <> $1::text::regclass), 0))::bigint";

/// The bytes of a column, as many as there have to be.
fn bytes<const N: usize>(row: &Row, column: usize) -> Answer<[u8; N], ServerError> {
    let found: &[u8] = row.get(column);
    found.try_into().map_err(|_| bad(row, BadRecord::Field("column of bytes of another length")))
}

/// What is wrong with `row`, which its first column names.
fn bad(row: &Row, problem: BadRecord) -> DatabaseError<ServerError> {
    damaged(Family::User, row.get(0), problem)
}

/// The key in a column.
pub(super) fn key(row: &Row, column: usize) -> Answer<UserKey, ServerError> {
    UserKey::new(bytes(row, column)?).ok_or_else(|| bad(row, BadRecord::Field("key")))
}

/// The hash in a column.
pub(super) fn digest(row: &Row, column: usize) -> Answer<Digest, ServerError> {
    Ok(Digest(bytes(row, column)?))
}

/// The user of a row of all columns.
pub(super) fn user(row: &Row) -> Answer<User, ServerError> {
    let currency = Currency::new(row.get::<_, &str>(3).as_bytes());
    let country = Country::new(row.get::<_, &str>(4).as_bytes());
    let endorsements = row.get::<_, i64>(7);
    Ok(User {
        key: key(row, 0)?,
        government_id: digest(row, 1)?,
        identity_proof: digest(row, 2)?,
        birth_currency: currency.ok_or_else(|| bad(row, BadRecord::Field("currency")))?,
        country: country.ok_or_else(|| bad(row, BadRecord::Field("country")))?,
        name: row.get(5),
        registered_at: row.get::<_, i64>(6) as u64,
        endorsements: endorsements.try_into().map_err(|_| bad(row, BadRecord::Field("number of endorsements")))?,
        verified: row.get(8),
    })
}

/// The endorsement of a row of all columns.
pub(super) fn endorsement(row: &Row) -> Answer<Endorsement, ServerError> {
    Ok(Endorsement {
        endorsed: key(row, 0)?,
        endorser: key(row, 1)?,
        signature: bytes(row, 2)?,
        signed_at: row.get::<_, i64>(3) as u64,
    })
}

/// Some users of a list, in order of their keys, and the place behind them.
pub(super) fn page(
    pool: &Pool,
    of: Listing,
    from: &Cursor,
    at_most: usize,
) -> Answer<(Vec<User>, Cursor), ServerError> {
    let (after, limit) = (from.bytes(), i64::try_from(at_most).unwrap_or(i64::MAX));
    let read = |rows: Vec<Row>| rows.iter().map(user).collect::<Answer<Vec<User>, ServerError>>();
    let users = match of {
        Listing::All => pool.read(ALL, &[&after, &limit], read),
        Listing::Currency(currency) => pool.read(BY_CURRENCY, &[&after, &limit, &currency.to_string()], read),
        Listing::Country(country) => pool.read(BY_COUNTRY, &[&after, &limit, &country.to_string()], read),
    }?;
    let behind = users.last().map_or_else(|| from.clone(), |last| Cursor::after(last.key.bytes()));
    Ok((users, behind))
}

/// The sums over the rows of all writers.
pub(super) fn counters(pool: &Pool) -> Answer<Counters, ServerError> {
    pool.read(COUNTERS, &[], |rows| {
        let sum =
            |column| rows.first().and_then(|row| row.get::<_, Option<i64>>(column)).unwrap_or_default().max(0) as u64;
        Ok(Counters { users: sum(0), verified: sum(1), endorsements: sum(2), next_id: 0 })
    })
}

/// Bytes of what keeps `family`.
pub(super) fn table_bytes(pool: &Pool, family: Family) -> Answer<u64, ServerError> {
    let names: &[&str] = match family {
        Family::User => &["registry_users"],
        Family::Key => &["registry_users_pkey"],
        Family::GovernmentId => &["registry_government_ids", "registry_government_ids_pkey"],
        Family::Endorsement => &["registry_endorsements", "registry_endorsements_pkey"],
        Family::Currency => &["registry_users_by_currency"],
        Family::Country => &["registry_users_by_country"],
        Family::Meta => &["registry_counters", "registry_counters_pkey", "registry_meta", "registry_meta_pkey"],
    };
    let size = |name: &&str| {
        pool.read(BYTES, &[name], |rows| Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).max(0) as u64)))
    };
    names.iter().map(size).sum()
}
