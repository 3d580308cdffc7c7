//! What a registry says of itself: its format and its counters.

use super::draft::Delta;
use super::layout::{BadRecord, Layout, UserId, codec};
use super::store::{Batch, Family, Value};

/// The version of the whole: families, keys and layouts. A store with a higher one is refused.
pub const FORMAT: u8 = 1;
/// Where the format stands, in [`Family::Meta`].
pub const FORMAT_KEY: &[u8] = b"format";
/// Where the counters stand, in [`Family::Meta`].
pub const COUNTERS_KEY: &[u8] = b"counters";

const MAGIC: &[u8] = b"qnetsim registry";

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Registered users.
    pub users: u64,
    /// Verified users among them.
    pub verified: u64,
    /// Endorsements of registered users.
    pub endorsements: u64,
    /// The least number that no user has got.
    pub next_id: UserId,
}

impl Counters {
    pub(super) fn after(self, delta: Delta, next_id: UserId) -> Self {
        Counters {
            users: self.users.saturating_add_signed(delta.users),
            verified: self.verified.saturating_add_signed(delta.verified),
            endorsements: self.endorsements.saturating_add_signed(delta.endorsements),
            next_id: self.next_id.max(next_id),
        }
    }
}

/// Puts `counters` to where they stand: format version, four numbers of 8 bytes, CRC-32C.
pub fn put_counters(counters: &Counters, batch: &mut Batch) {
    let mut value = vec![FORMAT];
    for number in [counters.users, counters.verified, counters.endorsements, counters.next_id] {
        value.extend_from_slice(&number.to_le_bytes());
    }
    codec::seal(COUNTERS_KEY, &mut value);
    batch.put(Family::Meta, COUNTERS_KEY, value);
}

/// The counters that [`put_counters`] put.
pub fn read_counters(value: &[u8]) -> Result<Counters, BadRecord> {
    let mut reader = codec::Reader(codec::unseal(COUNTERS_KEY, value)?);
    match reader.byte()? {
        FORMAT => {}
        version => return Err(BadRecord::Version(version)),
    }
    let mut number = || reader.array().map(u64::from_le_bytes);
    let counters = Counters { users: number()?, verified: number()?, endorsements: number()?, next_id: number()? };
    reader.end()?;
    Ok(counters)
}

/// The format of a registry in `layout`: magic, version, name of the layout, CRC-32C.
pub fn write_format(layout: Layout) -> Value {
    let mut value = MAGIC.to_vec();
    value.push(FORMAT);
    value.extend_from_slice(layout.name().as_bytes());
    codec::seal(FORMAT_KEY, &mut value);
    value
}

/// The layout of a registry whose format [`write_format`] wrote.
pub fn read_format(value: &[u8]) -> Result<Layout, BadRecord> {
    let (magic, rest) = value.split_at_checked(MAGIC.len()).ok_or(BadRecord::Short)?;
    if magic != MAGIC {
        return Err(BadRecord::Field("name of its kind"));
    }
    match rest.first() {
        Some(&FORMAT) => {}
        Some(&version) => return Err(BadRecord::Version(version)),
        None => return Err(BadRecord::Short),
    }
    let record = codec::unseal(FORMAT_KEY, value)?;
    let name = std::str::from_utf8(&record[MAGIC.len() + 1..]).map_err(|_| BadRecord::Field("layout"))?;
    name.parse().map_err(|_| BadRecord::Field("layout"))
}
