//! What the registry keeps: users and endorsements, by keys and hashes.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Endorsements that make a user verified, unless a registry is told otherwise.
pub const ENDORSEMENTS_TO_VERIFY: u32 = 5;
/// Longest name of a user, in bytes of UTF-8.
pub const NAME_LEN_MAX: usize = 64;

/// A public key: 33 bytes, a compressed point of secp256k1 (SEC 1, section 2.3.3), of which the first is 2 or 3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey([u8; 33]);

/// A hash of 256 bits: of a government id, of a proof of identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// A currency by its code of three capital letters (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A country by its code of two capital letters (ISO 3166-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// Someone who is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The key that signs for the user; unique.
    pub key: UserKey,
    /// Hash of the government id; unique.
    pub government_id: Digest,
    /// Hash of the proof of identity.
    pub identity_proof: Digest,
    /// The currency of the country of birth.
    pub birth_currency: Currency,
    /// The country of residence.
    pub country: Country,
    /// A name to show, of at most [`NAME_LEN_MAX`] bytes.
    pub name: String,
    /// When the user registered, in seconds since 1970-01-01 UTC.
    pub registered_at: u64,
    /// How many have endorsed the user.
    pub endorsements: u32,
    /// Whether there were enough.
    pub verified: bool,
}

/// That one user vouches for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorsement {
    /// Who is vouched for.
    pub endorsed: UserKey,
    /// Who vouches.
    pub endorser: UserKey,
    /// The endorser's signature (compact ECDSA, r and s).
    pub signature: [u8; 64],
    /// When it was signed, in seconds since 1970-01-01 UTC.
    pub signed_at: u64,
}

/// Why a text is no key, hash or code.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadField {
    /// A key is written otherwise.
    #[error("a user's key is 66 hexadecimal digits that begin with 02 or 03, not {0:?}")]
    UserKey(String),
    /// A hash is written otherwise.
    #[error("a hash is 64 hexadecimal digits, not {0:?}")]
    Digest(String),
    /// A currency is written otherwise.
    #[error("a currency is three capital letters such as EUR (ISO 4217), not {0:?}")]
    Currency(String),
    /// A country is written otherwise.
    #[error("a country is two capital letters such as DE (ISO 3166-1), not {0:?}")]
    Country(String),
}

/// As much of a text as an error quotes.
fn quoted(text: &str) -> String {
    const QUOTED_MAX: usize = 80;
    text.chars().take(QUOTED_MAX).collect()
}

/// The bytes that hexadecimal digits stand for; `None` if there are not as many or others among them.
pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

/// Hexadecimal digits for `bytes`.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

fn write_hex(bytes: &[u8], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

fn from_capitals<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let code: [u8; N] = bytes.try_into().ok()?;
    code.iter().all(u8::is_ascii_uppercase).then_some(code)
}

fn write_ascii(code: &[u8], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    code.iter().try_for_each(|&letter| write!(out, "{}", letter as char))
}

impl UserKey {
    /// The key of `bytes`; `None` if they do not begin as a compressed point does.
    pub fn new(bytes: [u8; 33]) -> Option<Self> {
        matches!(bytes[0], 2 | 3).then_some(UserKey(bytes))
    }

    /// The 33 bytes.
    pub fn bytes(&self) -> &[u8; 33] {
        &self.0
    }
}

impl Currency {
    /// The currency of a code; `None` if it is not three capital letters.
    pub fn new(code: &[u8]) -> Option<Self> {
        from_capitals(code).map(Currency)
    }

    /// The three letters.
    pub fn code(&self) -> &[u8; 3] {
        &self.0
    }
}

impl Country {
    /// The country of a code; `None` if it is not two capital letters.
    pub fn new(code: &[u8]) -> Option<Self> {
        from_capitals(code).map(Country)
    }

    /// The two letters.
    pub fn code(&self) -> &[u8; 2] {
        &self.0
    }
}

/// Written as people write it, and read as it was written.
macro_rules! text {
    ($type:ident, $write:ident, $read:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                $write(&self.0, out)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                $write(&self.0, out)
            }
        }

        impl FromStr for $type {
            type Err = BadField;

            fn from_str(text: &str) -> Result<Self, BadField> {
                let read: fn(&str) -> Option<$type> = $read;
                read(text).ok_or_else(|| BadField::$type(quoted(text)))
            }
        }
    };
}

text!(Digest, write_hex, |text| from_hex(text).map(Digest));
text!(Currency, write_ascii, |text| Currency::new(text.as_bytes()));
text!(Country, write_ascii, |text| Country::new(text.as_bytes()));
text!(UserKey, write_hex, |text| from_hex(text).and_then(UserKey::new));
