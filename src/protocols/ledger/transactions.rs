//! Transactions as they are carried: who submitted which and when, or in blocks on their way down who and which alone.

use serde::{Deserialize, Serialize};

use crate::contract::{NodeId, SimTime};

/// Length of the record of a transaction, in bytes: the submitter (4), its number (2), the time of submission (8,
/// nanoseconds), little endian. What else a transaction holds is padding, which is not carried in memory.
pub const RECORD_LEN: usize = 14;

/// Length of what tells a transaction from others, in bytes: the submitter (4) and its number (2), little endian.
pub const KEY_LEN: usize = 6;

/// A transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Transaction {
    /// Who submitted it.
    pub submitter: NodeId,
    /// Which of its transactions, modulo 2^16.
    pub number: u16,
    /// When it was submitted first.
    pub submitted: SimTime,
}

impl Transaction {
    /// By which transactions are told apart: they are the same only if submitter and number are.
    #[inline]
    pub(super) fn key(&self) -> u64 {
        u64::from(self.submitter) << 16 | u64::from(self.number)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.submitter.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.submitted.as_nanos().to_le_bytes());
    }

    fn decode(record: &[u8; RECORD_LEN]) -> Self {
        let [a, b, c, d, e, f, time @ ..] = *record;
        Transaction {
            submitter: u32::from_le_bytes([a, b, c, d]),
            number: u16::from_le_bytes([e, f]),
            submitted: SimTime::from_nanos(u64::from_le_bytes(time)),
        }
    }
}

/// A list of transactions as it is carried, in the order of their keys, each once.
#[derive(Clone, Copy, Debug)]
pub struct Transactions<'a> {
    records: &'a [[u8; RECORD_LEN]],
}

impl<'a> Transactions<'a> {
    /// The list in `bytes`; `None` if they are not records in order, if one was submitted after `now` or by a node beyond
    /// the first `nodes`, or if there are more than `most`.
    pub fn decode(bytes: &'a [u8], nodes: NodeId, now: SimTime, most: usize) -> Option<Self> {
        let (records, rest) = bytes.as_chunks::<RECORD_LEN>();
        let list = Transactions { records };
        let is_possible = |transaction: Transaction| transaction.submitter < nodes && transaction.submitted <= now;
        let is_valid = rest.is_empty()
            && records.len() <= most
            && list.iter().is_sorted_by(|one, other| one.key() < other.key())
            && list.iter().all(is_possible);
        is_valid.then_some(list)
    }

    /// The list in `bytes`, which have been looked at before; what is no record is left out.
    pub(super) fn known(bytes: &'a [u8]) -> Self {
        Transactions { records: bytes.as_chunks().0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Transaction> + use<'a> {
        self.records.iter().map(Transaction::decode)
    }

    /// Whether that with `key` is one of them.
    pub(super) fn contains(&self, key: u64) -> bool {
        self.records.binary_search_by_key(&key, |record| Transaction::decode(record).key()).is_ok()
    }
}

/// The transactions of a block on its way down, of which only what tells them apart is carried: ascending, each once.
#[derive(Clone, Copy, Debug)]
pub struct BlockKeys<'a> {
    keys: &'a [[u8; KEY_LEN]],
}

impl<'a> BlockKeys<'a> {
    /// The list in `bytes`; `None` if they are not keys in order, of nodes below `nodes`, or more than `most`.
    pub fn decode(bytes: &'a [u8], nodes: NodeId, most: usize) -> Option<Self> {
        let (keys, rest) = bytes.as_chunks();
        let end = u64::from(nodes) << 16;
        let is_valid = rest.is_empty()
            && keys.len() <= most
            && keys.iter().map(key_in).is_sorted_by(|one, other| one < other)
            && keys.last().is_none_or(|last| key_in(last) < end);
        is_valid.then_some(BlockKeys { keys })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether that with `key` is one of them.
    pub(super) fn contains(&self, key: u64) -> bool {
        self.keys.binary_search_by_key(&key, key_in).is_ok()
    }
}

/// [`Transaction::key`] of what is carried.
#[inline(always)]
fn key_in(bytes: &[u8; KEY_LEN]) -> u64 {
    let [a, b, c, d, e, f] = *bytes;
    u64::from(u32::from_le_bytes([a, b, c, d])) << 16 | u64::from(u16::from_le_bytes([e, f]))
}

/// Appends what tells the transactions of `list` apart.
pub(super) fn encode_keys(list: Transactions<'_>, out: &mut Vec<u8>) {
    list.records.iter().for_each(|record| out.extend_from_slice(&record[..KEY_LEN]));
}

/// Sorts `list`, drops what is in it twice, and appends it to `out`.
pub(super) fn encode_all(list: &mut Vec<Transaction>, out: &mut Vec<u8>) {
    list.sort_unstable();
    list.dedup_by_key(|transaction| transaction.key());
    list.iter().for_each(|transaction| transaction.encode(out));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn transaction(submitter: NodeId, number: u16, submitted: u64) -> Transaction {
        Transaction { submitter, number, submitted: SimTime::from_nanos(submitted) }
    }

    proptest! {
        #[test]
        fn lists_survive_a_round_trip(list in prop::collection::vec((0u32..50, 0u16..9, 0u64..100), 0..60)) {
            let mut list: Vec<_> = list.into_iter().map(|(a, b, c)| transaction(a, b, c)).collect();
            let mut bytes = Vec::new();
            encode_all(&mut list, &mut bytes);
            let decoded = Transactions::decode(&bytes, 50, SimTime::from_nanos(99), 60).expect("it is in order");
            prop_assert!(decoded.iter().eq(list.iter().copied()));
            prop_assert!(list.iter().all(|transaction| decoded.contains(transaction.key())));
            prop_assert!(!decoded.contains(transaction(50, 0, 0).key()));
            prop_assert_eq!(decoded.len() * RECORD_LEN, bytes.len());
            let mut keys = Vec::new();
            encode_keys(decoded, &mut keys);
            let keys = BlockKeys::decode(&keys, 50, 60).expect("they are in order");
            prop_assert_eq!((keys.len(), keys.is_empty()), (list.len(), list.is_empty()));
            prop_assert!(list.iter().all(|transaction| keys.contains(transaction.key())));
            prop_assert!(!keys.contains(transaction(50, 0, 0).key()));
        }

        #[test]
        fn any_bytes_are_a_list_or_not(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(list) = Transactions::decode(&bytes, NodeId::MAX, SimTime::MAX, 100) {
                let mut again = Vec::new();
                list.iter().for_each(|transaction| transaction.encode(&mut again));
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn what_cannot_be_a_list_is_refused() {
        let bytes = |list: &[Transaction]| {
            let mut bytes = Vec::new();
            list.iter().for_each(|transaction| transaction.encode(&mut bytes));
            bytes
        };
        let decode = |bytes: &[u8]| Transactions::decode(bytes, 10, SimTime::from_nanos(7), 2).is_some();
        let good = [transaction(3, 1, 7), transaction(9, 0, 1)];
        assert!(decode(&bytes(&good)) && decode(&[]));
        assert!(!decode(&bytes(&[good[1], good[0]])) && !decode(&bytes(&[good[0], good[0]])), "order");
        assert!(!decode(&bytes(&[transaction(10, 0, 0)])) && !decode(&bytes(&[transaction(0, 0, 8)])));
        let keys = |list: &[Transaction]| {
            let mut bytes = Vec::new();
            list.iter().for_each(|transaction| transaction.encode(&mut bytes));
            let mut keys = Vec::new();
            encode_keys(Transactions::known(&bytes), &mut keys);
            keys
        };
        let decode_keys = |bytes: &[u8]| BlockKeys::decode(bytes, 10, 2).is_some();
        assert!(decode_keys(&keys(&good)) && decode_keys(&[]) && !decode_keys(&keys(&good)[1..]));
        assert!(!decode_keys(&keys(&[good[1], good[0]])) && !decode_keys(&keys(&[good[0], good[0]])));
        assert!(!decode_keys(&keys(&[transaction(10, 0, 0)])) && !decode_keys(&[0; 3 * KEY_LEN]));
        assert!(!decode(&bytes(&good)[1..]) && !decode(&bytes(&[good[0], good[1], transaction(9, 1, 1)])));
    }
}
