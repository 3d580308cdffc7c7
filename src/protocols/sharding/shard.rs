//! Which shard an address belongs to, as the documents write it.

use crate::contract::Key256;
use crate::protocols::wire::key_of;

/// A shard of the state of the network: the addresses whose BLAKE3 hash, its first four bytes taken as a little-endian
/// number, leaves the remainder `shard_id` when divided by `shard_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardedState {
    shard_id: u32,
    shard_count: u32,
}

impl ShardedState {
    /// Shard `shard_id` of `shard_count`; `None` unless it is below that.
    pub const fn new(shard_id: u32, shard_count: u32) -> Option<Self> {
        if shard_id < shard_count { Some(ShardedState { shard_id, shard_count }) } else { None }
    }

    /// Whether `address` belongs to the shard.
    pub fn is_responsible_for(&self, address: &[u8; 32]) -> bool {
        self.is_responsible_for_hash(hash_of(address))
    }

    /// Whether the address with this hash, as [`hash_of`] gives it, belongs to the shard.
    #[inline]
    pub fn is_responsible_for_hash(&self, hash: u64) -> bool {
        shard_of(hash, self.shard_count) == self.shard_id
    }

    /// Which shard it is.
    pub const fn shard_id(&self) -> u32 {
        self.shard_id
    }

    /// Of how many.
    pub const fn shard_count(&self) -> u32 {
        self.shard_count
    }
}

/// The first eight bytes of the BLAKE3 hash of `address`, little-endian. The documents' formula takes the lower half.
pub fn hash_of(address: &Key256) -> u64 {
    let hash = blake3::hash(address);
    u64::from_le_bytes(std::array::from_fn(|place| hash.as_bytes()[place]))
}

/// The shard of `shard_count`, which is not zero, that the address with this hash belongs to.
#[inline]
pub const fn shard_of(hash: u64, shard_count: u32) -> u32 {
    hash as u32 % shard_count
}

/// The address of a simulated record: its number in the first four bytes, then zeros.
pub fn address_of(record: u32) -> Key256 {
    key_of(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_those_of_the_documents() {
        // Computed by the Python package blake3: the number that the first four bytes are, and the first eight bytes.
        let ascending: Key256 = std::array::from_fn(|place| place as u8);
        let mut last = [0xab; 32];
        last[31] = 1;
        let cases = [
            ([0; 32], 3_246_643_754, 0x7253_9a81_c183_da2a),
            (ascending, 1_474_898_149, 0xf47d_0398_57e9_28e5),
            ([0xff; 32], 1_626_354_843, 0xaaf0_c0fb_60f0_349b),
            (address_of(1), 169_795_982, 0xdd89_1aca_0a1e_e18e),
            (address_of(999_999), 1_279_654_575, 0xb9b5_0d84_4c45_faaf),
            (last, 1_496_338_308, 0xb87d_dd7e_5930_4f84),
        ];
        let remainders_of_7 = [4, 4, 1, 6, 3, 3];
        for ((address, number, head), seventh) in cases.into_iter().zip(remainders_of_7) {
            assert_eq!(hash_of(&address), head);
            for (count, id) in [(1, 0), (7, seventh), (10_000, number % 10_000), (u32::MAX, number)] {
                for other in [0, id, id / 2, count - 1] {
                    let shard = ShardedState::new(other, count).unwrap();
                    assert_eq!(shard.is_responsible_for(&address), other == id, "{other} of {count}");
                    assert_eq!((shard.shard_id(), shard.shard_count()), (other, count));
                }
            }
        }
    }

    #[test]
    fn a_shard_is_one_of_its_count() {
        assert_eq!(ShardedState::new(0, 0), None);
        assert_eq!(ShardedState::new(5, 5), None);
        assert!(ShardedState::new(4, 5).is_some());
    }
}
