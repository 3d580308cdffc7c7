//! The document's layout: keys in full with the name of their family before them, hashes in hexadecimal digits, and the
//! endorsers once more in the user.
//!
//! | family | key | value |
//! |---|---|---|
//! | user | `user:` + key (33 bytes) | 434 bytes with five endorsers, 33 more or fewer with each |
//! | govid | `govid:` + government id (64 digits) | key (33 bytes) |
//! | endorse | `endorse:` + identity of the endorsement (32 bytes) | 200 bytes |
//! | currency | `currency:` + code + `:` + key | 1 byte |
//! | country | `country:` + code + `:` + key | 1 byte |
//!
//! Of a **user**'s 434 bytes the document names key 33, government id 64, birth currency 8, proof 64, five endorsers 165,
//! and "other fields" of about 100, which are here: format version 1 (first of all), country 2, time 8, endorsements 4,
//! verified 1, length of the name 1, name 64, spare 15, CRC-32C 4. Of an **endorsement**'s 200 the document names none: format
//! version 1, endorsed 33, endorser 33, signature 64, time 8, spare 57, CRC-32C 4. Spare bytes are zero.
//! An endorsement's identity is the BLAKE3 hash of who is endorsed and who endorses.

use super::Stored;
use super::codec::{self, BadRecord, Reader};
use crate::registry::record::{Country, Currency, Digest, Endorsement, NAME_LEN_MAX, User, UserKey};
use crate::registry::store::{Family, Value};

/// The version of the record formats that is written.
pub const VERSION: u8 = 1;
/// Bytes of a user without endorsers.
pub const USER_LEN: usize = 269;
/// Bytes of an endorsement.
pub const ENDORSEMENT_LEN: usize = 200;

const CURRENCY_LEN: usize = 8;
const USER_SPARE: usize = 15;
const ENDORSEMENT_SPARE: usize = 57;
/// What marks that a user is in an index.
const HERE: [u8; 1] = [1];

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn hex(digest: &Digest) -> [u8; 64] {
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(digest.0) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    digits
}

fn unhex(digits: [u8; 64]) -> Result<Digest, BadRecord> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(BadRecord::Field("hash")),
    };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Ok(Digest(bytes))
}

/// Where the user with `key` is.
pub fn user_key(key: &UserKey) -> Vec<u8> {
    joined(&[b"user:", key.bytes()])
}

/// Where the key of who has `government_id` is.
pub fn government_key(government_id: &Digest) -> Vec<u8> {
    joined(&[b"govid:", &hex(government_id)])
}

/// Where the endorsement of `endorsed` by `endorser` is.
pub fn endorsement_key(endorsed: &UserKey, endorser: &UserKey) -> Vec<u8> {
    let identity = blake3::hash(&joined(&[endorsed.bytes(), endorser.bytes()]));
    joined(&[b"endorse:", identity.as_bytes()])
}

/// What the keys of users with `currency` begin with.
pub fn currency_prefix(currency: Currency) -> Vec<u8> {
    joined(&[b"currency:", currency.code(), b":"])
}

/// Length of what [`currency_prefix`] gives.
pub const CURRENCY_PREFIX_LEN: usize = b"currency:".len() + 3 + 1;
/// Length of what [`country_prefix`] gives.
pub const COUNTRY_PREFIX_LEN: usize = b"country:".len() + 2 + 1;

/// What the keys of users in `country` begin with.
pub fn country_prefix(country: Country) -> Vec<u8> {
    joined(&[b"country:", country.code(), b":"])
}

/// The user at the end of a key of an index, `prefix_len` bytes from its start.
pub fn read_indexed_key(key: &[u8], prefix_len: usize) -> Result<UserKey, BadRecord> {
    let mut reader = Reader(key);
    reader.take(prefix_len)?;
    let user = read_key(&mut reader)?;
    reader.end()?;
    Ok(user)
}

/// The user who has a government id.
pub fn read_owner(value: &[u8]) -> Result<UserKey, BadRecord> {
    read_indexed_key(value, 0)
}

fn read_key(reader: &mut Reader<'_>) -> Result<UserKey, BadRecord> {
    UserKey::new(reader.array()?).ok_or(BadRecord::Field("key"))
}

fn read_version(reader: &mut Reader<'_>) -> Result<(), BadRecord> {
    match reader.byte()? {
        VERSION => Ok(()),
        version => Err(BadRecord::Version(version)),
    }
}

fn read_zeros(reader: &mut Reader<'_>, len: usize) -> Result<(), BadRecord> {
    let zeros = reader.take(len)?.iter().all(|&byte| byte == 0);
    if zeros { Ok(()) } else { Err(BadRecord::Field("spare byte")) }
}

/// The record of `user` with `endorsers`, to be put at `key`. A name beyond [`NAME_LEN_MAX`] is for the caller to refuse.
pub fn write_user(key: &[u8], user: &User, endorsers: &[UserKey]) -> Value {
    let mut out = Value::with_capacity(USER_LEN + 33 * endorsers.len());
    out.push(VERSION);
    out.extend_from_slice(user.key.bytes());
    out.extend_from_slice(&hex(&user.government_id));
    let mut currency = [0; CURRENCY_LEN];
    currency[..3].copy_from_slice(user.birth_currency.code());
    out.extend_from_slice(&currency);
    out.extend_from_slice(&hex(&user.identity_proof));
    out.extend_from_slice(user.country.code());
    out.extend_from_slice(&user.registered_at.to_le_bytes());
    out.extend_from_slice(&user.endorsements.to_le_bytes());
    out.push(user.verified.into());
    let mut name = [0; NAME_LEN_MAX];
    let len = user.name.len().min(NAME_LEN_MAX);
    name[..len].copy_from_slice(&user.name.as_bytes()[..len]);
    out.push(len as u8);
    out.extend_from_slice(&name);
    out.extend_from_slice(&[0; USER_SPARE]);
    for endorser in endorsers {
        out.extend_from_slice(endorser.bytes());
    }
    codec::seal(key, &mut out);
    out
}

/// The user at `key`.
pub fn read_user(key: &[u8], value: &[u8]) -> Result<Stored, BadRecord> {
    read_version(&mut Reader(value))?;
    let mut reader = Reader(codec::unseal(key, value)?);
    read_version(&mut reader)?;
    let user_key = read_key(&mut reader)?;
    let government_id = unhex(reader.array()?)?;
    let currency = Currency::new(reader.take(3)?).ok_or(BadRecord::Field("currency"))?;
    read_zeros(&mut reader, CURRENCY_LEN - 3)?;
    let identity_proof = unhex(reader.array()?)?;
    let country = Country::new(reader.take(2)?).ok_or(BadRecord::Field("country"))?;
    let registered_at = u64::from_le_bytes(reader.array()?);
    let endorsements = u32::from_le_bytes(reader.array()?);
    let verified = match reader.byte()? {
        0 => false,
        1 => true,
        _ => return Err(BadRecord::Field("mark of verification")),
    };
    let len = usize::from(reader.byte()?);
    let name = reader.take(len.min(NAME_LEN_MAX))?;
    read_zeros(&mut reader, NAME_LEN_MAX - name.len() + USER_SPARE)?;
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() == len);
    let mut endorsers = Vec::with_capacity(reader.0.len() / 33);
    while !reader.0.is_empty() {
        endorsers.push(read_key(&mut reader)?);
    }
    let user = User {
        key: user_key,
        government_id,
        identity_proof,
        birth_currency: currency,
        country,
        name: name.ok_or(BadRecord::Field("name"))?.to_owned(),
        registered_at,
        endorsements,
        verified,
    };
    Ok(Stored { id: 0, user, endorsers })
}

/// The record of `endorsement`, to be put at `key`.
pub fn write_endorsement(key: &[u8], endorsement: &Endorsement) -> Value {
    let mut out = Value::with_capacity(ENDORSEMENT_LEN);
    out.push(VERSION);
    out.extend_from_slice(endorsement.endorsed.bytes());
    out.extend_from_slice(endorsement.endorser.bytes());
    out.extend_from_slice(&endorsement.signature);
    out.extend_from_slice(&endorsement.signed_at.to_le_bytes());
    out.extend_from_slice(&[0; ENDORSEMENT_SPARE]);
    codec::seal(key, &mut out);
    out
}

/// The endorsement at `key`.
pub fn read_endorsement(key: &[u8], value: &[u8]) -> Result<Endorsement, BadRecord> {
    read_version(&mut Reader(value))?;
    let mut reader = Reader(codec::unseal(key, value)?);
    read_version(&mut reader)?;
    let endorsed = read_key(&mut reader)?;
    let endorser = read_key(&mut reader)?;
    let signature = reader.array()?;
    let signed_at = u64::from_le_bytes(reader.array()?);
    read_zeros(&mut reader, ENDORSEMENT_SPARE)?;
    reader.end()?;
    Ok(Endorsement { endorsed, endorser, signature, signed_at })
}

/// The entries of `user`.
pub(super) fn put_user(stored: &Stored, put: &mut impl FnMut(Family, Vec<u8>, Value)) {
    let user = &stored.user;
    let key = user_key(&user.key);
    let record = write_user(&key, user, &stored.endorsers);
    put(Family::User, key, record);
    put(Family::GovernmentId, government_key(&user.government_id), user.key.bytes().to_vec());
    put(Family::Currency, joined(&[&currency_prefix(user.birth_currency), user.key.bytes()]), HERE.to_vec());
    put(Family::Country, joined(&[&country_prefix(user.country), user.key.bytes()]), HERE.to_vec());
}

/// The entries of `endorsements`.
pub(super) fn put_endorsements<N>(endorsements: &[(N, Endorsement)], put: &mut impl FnMut(Family, Vec<u8>, Value)) {
    for (_, endorsement) in endorsements {
        let key = endorsement_key(&endorsement.endorsed, &endorsement.endorser);
        let record = write_endorsement(&key, endorsement);
        put(Family::Endorsement, key, record);
    }
}
