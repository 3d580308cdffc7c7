//! Our layout: whatever cannot be compressed once, and as little besides as the engine permits.
//!
//! Users have numbers ([`UserId`]), and whatever names a user names the number: 3 bytes among a million users, 5 among
//! eight billion. All numbers are written so that their bytes are in their order, in 1 to 9 bytes.
//!
//! | family | key | value |
//! |---|---|---|
//! | user | number | record |
//! | key | 5 bytes of the hash of the key | numbers of the users whose keys hash so, nearly always one |
//! | govid | 5 bytes of the hash of the government id | numbers, likewise |
//! | endorse | number of the endorsed, bound | up to [`GROUP_MAX`] endorsements by users up to the bound |
//! | currency | 3 letters, number | nothing |
//! | country | 2 letters, number | nothing |
//!
//! **A user's record**: first byte (format version in the low 4 bits, flags in the high 4: 1 = the time takes 8 bytes, 2 =
//! the user was deleted), 4 bytes of codes (from the lowest bit: currency in 15 bits, country in 10, the odd bit of the
//! key, verified), the key's other 32 bytes, the government id's 32, the proof's 32, the time in 4 or 8, the number of
//! endorsements, the name; then a CRC-32C of the store's key and all of that. Of a deleted user the key alone is left (first byte, 33
//! bytes, checksum), so that endorsements by that user can still be told.
//!
//! **Endorsements** are kept endorsed first, endorser second, so that a scan of one prefix gives all that a user has. Some
//! are kept together, because an entry of its own costs the engine and the format some 12 bytes beside 71 of contents: first byte
//! (version, flag 1), then for each, in order of endorsers, the endorser's number, the time in 4 or 8 bytes, the signature
//! in 64; then the checksum. The *open* group, whose key is the endorsed number alone, holds those above all bounds. A
//! group that would grow beyond [`GROUP_MAX`] is halved: the lower half gets its last endorser as its bound.
//!
//! **Indexes** hold no record, so they have no version and no checksum of their own: the user they lead to is compared with
//! what was asked for. A hash that nobody can steer (BLAKE3) keeps its 5 bytes from being made to collide.

use super::codec::{self, BadRecord, Reader, number_bytes, put_number};
use super::{Stored, UserId};
use crate::registry::record::{Country, Currency, Digest, Endorsement, NAME_LEN_MAX, User, UserKey};
use crate::registry::store::{Family, Value};

/// The version of the record formats that is written.
pub const VERSION: u8 = 1;
/// Most endorsements that lie together, in about 2.3 KiB.
pub const GROUP_MAX: usize = 32;
/// Bytes of a fingerprint: of 10 million users, one in 100 000 shares its own with another; of 8 billion, one in 140.
pub const FINGERPRINT_LEN: usize = 5;

const WIDE_TIME: u8 = 0x10;
const DELETED: u8 = 0x20;

/// The start of a hash.
pub type Fingerprint = [u8; FINGERPRINT_LEN];

/// What is at the number of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A registered user.
    User(User),
    /// The key of one who was.
    Deleted(UserKey),
}

/// One endorsement of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Who vouches.
    pub endorser: UserId,
    /// When it was signed, in seconds since 1970-01-01 UTC.
    pub signed_at: u64,
    /// The endorser's signature.
    pub signature: [u8; 64],
}

fn fingerprint(domain: &[u8], bytes: &[u8]) -> Fingerprint {
    let mut input = [0; 40];
    let len = domain.len() + bytes.len();
    input[..domain.len()].copy_from_slice(domain);
    input[domain.len()..len].copy_from_slice(bytes);
    let hash = blake3::hash(&input[..len]);
    let mut start = [0; FINGERPRINT_LEN];
    start.copy_from_slice(&hash.as_bytes()[..FINGERPRINT_LEN]);
    start
}

/// Where the numbers of those whose key hashes like `key` are.
pub fn key_fingerprint(key: &UserKey) -> Fingerprint {
    fingerprint(b"key", key.bytes())
}

/// Where the numbers of those whose government id hashes like this are.
pub fn government_fingerprint(government_id: &Digest) -> Fingerprint {
    fingerprint(b"gov", &government_id.0)
}

/// Where the record of the user with number `id` is.
pub fn user_key(id: UserId) -> Vec<u8> {
    number_bytes(id)
}

/// Where the user with number `id` stands among those with `currency`.
pub fn currency_key(currency: Currency, id: UserId) -> Vec<u8> {
    let mut key = currency.code().to_vec();
    put_number(id, &mut key);
    key
}

/// Where the user with number `id` stands among those in `country`.
pub fn country_key(country: Country, id: UserId) -> Vec<u8> {
    let mut key = country.code().to_vec();
    put_number(id, &mut key);
    key
}

/// Where the group of endorsements of `endorsed` up to `bound` is; without bound, the open group.
pub fn group_key(endorsed: UserId, bound: Option<UserId>) -> Vec<u8> {
    let mut key = number_bytes(endorsed);
    if let Some(bound) = bound {
        put_number(bound, &mut key);
    }
    key
}

/// The user and the bound that [`group_key`] wrote.
pub fn read_group_key(key: &[u8]) -> Result<(UserId, Option<UserId>), BadRecord> {
    let mut reader = Reader(key);
    let endorsed = reader.number()?;
    let bound = if reader.0.is_empty() { None } else { Some(reader.number()?) };
    reader.end()?;
    Ok((endorsed, bound))
}

/// The number at the end of a key that begins with `prefix_len` other bytes.
pub fn read_id(key: &[u8], prefix_len: usize) -> Result<UserId, BadRecord> {
    let mut reader = Reader(key);
    reader.take(prefix_len)?;
    let id = reader.number()?;
    reader.end()?;
    Ok(id)
}

/// The value that leads to `ids`, which ascend.
pub fn write_ids(ids: &[UserId]) -> Value {
    let mut value = Value::new();
    for &id in ids {
        put_number(id, &mut value);
    }
    value
}

/// The numbers that [`write_ids`] wrote.
pub fn read_ids(value: &[u8]) -> Result<Vec<UserId>, BadRecord> {
    let mut reader = Reader(value);
    let mut ids = vec![reader.number()?];
    while !reader.0.is_empty() {
        let id = reader.number()?;
        if ids.last().is_some_and(|&last| last >= id) {
            return Err(BadRecord::Field("list of users out of order"));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// The numbers of two values of an index together.
pub fn join_ids(first: &[u8], second: &[u8]) -> Result<Value, BadRecord> {
    let mut ids = read_ids(first)?;
    ids.extend(read_ids(second)?);
    ids.sort_unstable();
    ids.dedup();
    Ok(write_ids(&ids))
}

const LETTERS: u32 = 26;

fn letters(code: &[u8]) -> u32 {
    code.iter().fold(0, |value, &letter| value * LETTERS + u32::from(letter - b'A'))
}

fn to_letters<const N: usize>(mut value: u32) -> Option<[u8; N]> {
    let mut code = [0; N];
    for letter in code.iter_mut().rev() {
        *letter = b'A' + (value % LETTERS) as u8;
        value /= LETTERS;
    }
    (value == 0).then_some(code)
}

fn put_time(time: u64, wide: bool, out: &mut Vec<u8>) {
    if wide {
        out.extend_from_slice(&time.to_le_bytes());
    } else {
        out.extend_from_slice(&(time as u32).to_le_bytes());
    }
}

fn read_time(reader: &mut Reader<'_>, wide: bool) -> Result<u64, BadRecord> {
    if wide { Ok(u64::from_le_bytes(reader.array()?)) } else { Ok(u32::from_le_bytes(reader.array()?).into()) }
}

fn is_wide(time: u64) -> bool {
    time > u64::from(u32::MAX)
}

/// The flags of a record, if its version is known and it has none but `known` flags.
fn read_first(reader: &mut Reader<'_>, known: u8) -> Result<u8, BadRecord> {
    let first = reader.byte()?;
    match first & 0x0f {
        VERSION if first & 0xf0 & !known == 0 => Ok(first & 0xf0),
        VERSION => Err(BadRecord::Field("flag")),
        version => Err(BadRecord::Version(version)),
    }
}

/// The version is looked at before the checksum: a later format may seal its records otherwise.
fn check_version(record: &[u8]) -> Result<(), BadRecord> {
    match record.first().ok_or(BadRecord::Short)? & 0x0f {
        VERSION => Ok(()),
        version => Err(BadRecord::Version(version)),
    }
}

/// The record of `user`, to be put at `key`. A name beyond [`NAME_LEN_MAX`] is for the caller to refuse.
pub fn write_user(key: &[u8], user: &User) -> Value {
    let wide = is_wide(user.registered_at);
    let mut out = Value::with_capacity(118 + user.name.len());
    out.push(VERSION | if wide { WIDE_TIME } else { 0 });
    let [parity, point @ ..] = user.key.bytes();
    let codes = letters(user.birth_currency.code())
        | letters(user.country.code()) << 15
        | u32::from(parity & 1) << 25
        | u32::from(user.verified) << 26;
    out.extend_from_slice(&codes.to_le_bytes());
    out.extend_from_slice(point);
    out.extend_from_slice(&user.government_id.0);
    out.extend_from_slice(&user.identity_proof.0);
    put_time(user.registered_at, wide, &mut out);
    put_number(user.endorsements.into(), &mut out);
    out.extend_from_slice(user.name.as_bytes());
    codec::seal(key, &mut out);
    out
}

/// The record, to be put at `key`, that is left of a deleted user.
pub fn write_deleted(key: &[u8], user: &UserKey) -> Value {
    let mut out = vec![VERSION | DELETED];
    out.extend_from_slice(user.bytes());
    codec::seal(key, &mut out);
    out
}

/// The record at `key`.
pub fn read_record(key: &[u8], value: &[u8]) -> Result<Record, BadRecord> {
    check_version(value)?;
    let mut reader = Reader(codec::unseal(key, value)?);
    let flags = read_first(&mut reader, WIDE_TIME | DELETED)?;
    if flags & DELETED != 0 {
        let user = UserKey::new(reader.array()?).ok_or(BadRecord::Field("key"))?;
        reader.end()?;
        return Ok(Record::Deleted(user));
    }
    let codes = u32::from_le_bytes(reader.array()?);
    if codes >> 27 != 0 {
        return Err(BadRecord::Field("code"));
    }
    let currency = to_letters(codes & 0x7fff).and_then(|code: [u8; 3]| Currency::new(&code));
    let country = to_letters(codes >> 15 & 0x3ff).and_then(|code: [u8; 2]| Country::new(&code));
    let mut point = [0; 33];
    point[0] = 2 | (codes >> 25 & 1) as u8;
    point[1..].copy_from_slice(reader.take(32)?);
    let government_id = Digest(reader.array()?);
    let identity_proof = Digest(reader.array()?);
    let registered_at = read_time(&mut reader, flags & WIDE_TIME != 0)?;
    let endorsements = u32::try_from(reader.number()?).map_err(|_| BadRecord::Field("number of endorsements"))?;
    let name = std::str::from_utf8(reader.0).ok().filter(|name| name.len() <= NAME_LEN_MAX);
    Ok(Record::User(User {
        key: UserKey::new(point).ok_or(BadRecord::Field("key"))?,
        government_id,
        identity_proof,
        birth_currency: currency.ok_or(BadRecord::Field("currency"))?,
        country: country.ok_or(BadRecord::Field("country"))?,
        name: name.ok_or(BadRecord::Field("name"))?.to_owned(),
        registered_at,
        endorsements,
        verified: codes >> 26 & 1 == 1,
    }))
}

/// The group of endorsements, in order of endorsers, to be put at `key`.
pub fn write_group(key: &[u8], members: &[GroupMember]) -> Value {
    let wide = members.iter().any(|member| is_wide(member.signed_at));
    let mut out = Value::with_capacity(5 + members.len() * (64 + 8 + codec::NUMBER_LEN_MAX));
    out.push(VERSION | if wide { WIDE_TIME } else { 0 });
    for member in members {
        put_number(member.endorser, &mut out);
        put_time(member.signed_at, wide, &mut out);
        out.extend_from_slice(&member.signature);
    }
    codec::seal(key, &mut out);
    out
}

/// The group of endorsements at `key`.
pub fn read_group(key: &[u8], value: &[u8]) -> Result<Vec<GroupMember>, BadRecord> {
    check_version(value)?;
    let mut reader = Reader(codec::unseal(key, value)?);
    let wide = read_first(&mut reader, WIDE_TIME)? & WIDE_TIME != 0;
    let mut members: Vec<GroupMember> = Vec::new();
    while !reader.0.is_empty() {
        let endorser = reader.number()?;
        let signed_at = read_time(&mut reader, wide)?;
        if members.last().is_some_and(|last| last.endorser >= endorser) || members.len() == GROUP_MAX {
            return Err(BadRecord::Field("list of endorsements"));
        }
        members.push(GroupMember { endorser, signed_at, signature: reader.array()? });
    }
    if members.is_empty() { Err(BadRecord::Short) } else { Ok(members) }
}

/// The entries of `user`.
pub(super) fn put_user(user: &Stored, put: &mut impl FnMut(Family, Vec<u8>, Value)) {
    let (id, user) = (user.id, &user.user);
    let key = user_key(id);
    let record = write_user(&key, user);
    put(Family::User, key, record);
    put(Family::Key, key_fingerprint(&user.key).to_vec(), write_ids(&[id]));
    put(Family::GovernmentId, government_fingerprint(&user.government_id).to_vec(), write_ids(&[id]));
    put(Family::Currency, currency_key(user.birth_currency, id), Value::new());
    put(Family::Country, country_key(user.country, id), Value::new());
}

/// The groups of all endorsements that `endorsed` has.
pub(super) fn put_endorsements(
    endorsed: UserId,
    endorsements: &mut [(UserId, Endorsement)],
    put: &mut impl FnMut(Family, Vec<u8>, Value),
) {
    endorsements.sort_unstable_by_key(|&(endorser, _)| endorser);
    let member = |(endorser, endorsement): &(UserId, Endorsement)| GroupMember {
        endorser: *endorser,
        signed_at: endorsement.signed_at,
        signature: endorsement.signature,
    };
    let members: Vec<GroupMember> = endorsements.iter().map(member).collect();
    let mut rest = members.as_slice();
    while !rest.is_empty() {
        let open = rest.len() <= GROUP_MAX;
        let (group, after) = rest.split_at(rest.len().min(GROUP_MAX));
        let key = group_key(endorsed, if open { None } else { group.last().map(|last| last.endorser) });
        let value = write_group(&key, group);
        put(Family::Endorsement, key, value);
        rest = after;
    }
}
