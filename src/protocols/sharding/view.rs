//! Who is a member, as a node sees it.

use serde::{Deserialize, Serialize};

use crate::contract::NodeId;

/// The members among the full nodes `first..first + count`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    first: NodeId,
    count: u32,
    /// A bit for each full node, lowest first; unused bits are zero.
    bits: Vec<u64>,
    /// The members, ascending.
    members: Vec<NodeId>,
}

impl View {
    /// All of the full nodes `first..first + count`.
    pub fn all(first: NodeId, count: u32) -> Self {
        View::of(first, count, |_| true)
    }

    /// Those of the full nodes `first..first + count` that `is_member` says.
    pub fn of(first: NodeId, count: u32, is_member: impl Fn(NodeId) -> bool) -> Self {
        let mut bits = vec![0; count.div_ceil(64) as usize];
        let members: Vec<NodeId> = (first..first + count).filter(|&node| is_member(node)).collect();
        for member in &members {
            let place = (member - first) as usize;
            bits[place / 64] |= 1 << (place % 64);
        }
        View { first, count, bits, members }
    }

    /// The view that `bytes` encode as [`View::encode`] does; `None` if they are none.
    pub fn decode(first: NodeId, count: u32, bytes: &[u8]) -> Option<Self> {
        let bit = |place: usize| bytes[place / 8] >> (place % 8) & 1 == 1;
        if bytes.len() != count.div_ceil(8) as usize || (count as usize..bytes.len() * 8).any(bit) {
            return None;
        }
        Some(View::of(first, count, |node| bit((node - first) as usize)))
    }

    /// Appends a bitmap of the members to `out`, lowest bit first: an eighth of a byte for each full node, rounded up.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let bytes = self.bits.iter().flat_map(|word| word.to_le_bytes());
        out.extend(bytes.take(self.count.div_ceil(8) as usize));
    }

    /// Whether `node` is a member.
    #[inline(always)]
    pub fn contains(&self, node: NodeId) -> bool {
        let place = node.wrapping_sub(self.first) as usize;
        self.bits.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// The members, ascending.
    pub fn members(&self) -> &[NodeId] {
        &self.members
    }

    /// The view with one more member, or one fewer. What is no full node is left out.
    #[must_use]
    pub fn with(&self, changes: impl Iterator<Item = (NodeId, bool)>) -> Self {
        let mut bits = self.bits.clone();
        for (node, is_member) in changes {
            let place = node.wrapping_sub(self.first);
            if place < self.count {
                let (word, bit) = (&mut bits[place as usize / 64], 1 << (place % 64));
                *word = if is_member { *word | bit } else { *word & !bit };
            }
        }
        let is_member = |node: NodeId| bits[(node - self.first) as usize / 64] >> ((node - self.first) % 64) & 1 == 1;
        View::of(self.first, self.count, is_member)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_view_survives_a_round_trip(first in 0u32..100, members in prop::collection::vec(any::<bool>(), 0..300)) {
            let count = members.len() as u32;
            let view = View::of(first, count, |node| members[(node - first) as usize]);
            let mut bytes = Vec::new();
            view.encode(&mut bytes);
            prop_assert_eq!(View::decode(first, count, &bytes), Some(view.clone()));
            for node in 0..first + count + 70 {
                let place = node.checked_sub(first).map(|place| place as usize);
                let expected = place.and_then(|place| members.get(place)).copied().unwrap_or(false);
                prop_assert_eq!(view.contains(node), expected);
                prop_assert_eq!(view.members().contains(&node), expected);
            }
            bytes.push(0);
            prop_assert_eq!(View::decode(first, count, &bytes), None);
        }

        #[test]
        fn arbitrary_bytes_decode_to_a_view_that_encodes_to_them_or_to_none(
            bytes in prop::collection::vec(any::<u8>(), 0..8), count in 0u32..70,
        ) {
            if let Some(view) = View::decode(9, count, &bytes) {
                let mut again = Vec::new();
                view.encode(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn changes_are_made_in_order_and_strangers_left_out() {
        let view = View::all(10, 5);
        assert_eq!(view.members(), [10, 11, 12, 13, 14]);
        let changed = view.with([(12, false), (9, false), (15, true), (14, false), (14, true)].into_iter());
        assert_eq!(changed.members(), [10, 11, 13, 14]);
        assert_eq!(changed.with([(12, true)].into_iter()), view);
    }
}
