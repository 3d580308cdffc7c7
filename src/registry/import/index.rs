//! Which user has which key, in 16 bytes a user: a sorted list of hashes with the numbers of those whom they name.

use rayon::slice::ParallelSliceMut;

/// Bits of a user's number; the other 88 are of the hash. Among ten thousand million users two share 88 bits with a
/// chance of one in six million, and nobody can look for a second key to a given hash of that length.
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u128 = (1 << NUMBER_BITS) - 1;
/// The most users of an index.
pub(super) const USERS_MAX: u64 = 1 << NUMBER_BITS;
/// Users for each entry of the table, on average.
const BUCKET_BITS: u32 = 3;

/// The place in the order of hashes of `bytes`, with the user's number below it.
pub(super) fn entry(bytes: &[u8], number: u64) -> u128 {
    hash(bytes) & !NUMBER_MASK | u128::from(number) & NUMBER_MASK
}

fn hash(bytes: &[u8]) -> u128 {
    let mut start = [0; 16];
    start.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    u128::from_be_bytes(start)
}

/// Sorts `entries` and returns the pairs of numbers whose hashes are equal, up to `bound` of them, each with the lowest
/// number of its hash first.
pub(super) fn sort(entries: &mut [u128], bound: usize) -> Vec<(u64, u64)> {
    entries.par_sort_unstable();
    let number = |entry: u128| (entry & NUMBER_MASK) as u64;
    let same = |one: &u128, other: &u128| one >> NUMBER_BITS == other >> NUMBER_BITS;
    let groups = entries.chunk_by(same).filter(|group| group.len() > 1);
    groups.flat_map(|group| group[1..].iter().map(|&entry| (number(group[0]), number(entry)))).take(bound).collect()
}

/// Finds numbers by hashes.
pub(super) struct Index {
    entries: Vec<u128>,
    /// For each start of a hash, where those that begin so begin.
    table: Vec<u64>,
    shift: u32,
}

impl Index {
    /// An index over sorted entries.
    pub(super) fn new(entries: Vec<u128>) -> Self {
        let bits = (entries.len().max(1).ilog2()).saturating_sub(BUCKET_BITS).max(1);
        let shift = u128::BITS - bits;
        let mut table = Vec::with_capacity((1 << bits) + 1);
        for (place, entry) in entries.iter().enumerate() {
            while table.len() as u128 <= entry >> shift {
                table.push(place as u64);
            }
        }
        table.resize((1 << bits) + 1, entries.len() as u64);
        Index { entries, table, shift }
    }

    /// The number of who has `bytes`.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<u64> {
        let wanted = hash(bytes) >> NUMBER_BITS;
        let start = (wanted << NUMBER_BITS >> self.shift) as usize;
        let bucket = &self.entries[self.table[start] as usize..self.table[start + 1] as usize];
        let found = bucket.iter().find(|&&entry| entry >> NUMBER_BITS == wanted)?;
        Some((found & NUMBER_MASK) as u64)
    }

    /// Bytes in memory for `users` users.
    pub(super) fn bytes_for(users: u64) -> u64 {
        users * 16 + (users >> BUCKET_BITS) * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_found_by_its_bytes_and_no_other() {
        for count in [0u64, 1, 2, 7, 100, 10_000] {
            let mut entries: Vec<_> = (0..count).map(|number| entry(&number.to_le_bytes(), number)).collect();
            assert_eq!(sort(&mut entries, 10), []);
            let index = Index::new(entries);
            for number in 0..count {
                assert_eq!(index.find(&number.to_le_bytes()), Some(number), "of {count}");
            }
            assert!((count..count + 1_000).all(|number| index.find(&number.to_le_bytes()).is_none()));
        }
    }

    #[test]
    fn who_has_the_same_bytes_is_told_with_the_first_who_has_them() {
        let texts: [&[u8]; 6] = [b"a", b"b", b"a", b"c", b"b", b"a"];
        let entries = || texts.iter().zip(0..).map(|(text, number)| entry(text, number)).collect::<Vec<_>>();
        let mut pairs = sort(&mut entries(), 10);
        pairs.sort_unstable();
        assert_eq!(pairs, [(0, 2), (0, 5), (1, 4)]);
        assert_eq!(sort(&mut entries(), 1).len(), 1);
    }
}
