//! The digest of a run: a hash of everything that was delivered, order-independent across nodes, ordered within one.

/// Sums one hash per event, so partitions can hash apart and add up.
///
/// The hash of an event covers its time, receiver, sender, sequence number and contents, and the hash of the event
/// that its node handled before it in the same window. So a run in which one node handles two events in another order
/// has another digest, while the order in which different nodes are walked leaves no trace.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Digest {
    sum: u64,
    /// Hash of the previous event, and the index of its node.
    chain: u64,
    chain_index: u64,
}

const NO_NODE: u64 = u64::MAX;
/// Odd numbers from the fractional digits of pi, as Blowfish uses them.
const PI: [u64; 4] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// The two halves of the 128-bit product, xored: one multiplication that mixes all bits of both.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ (product >> 64) as u64
}

impl Digest {
    /// Call before the first event of a partition's window.
    #[inline(always)]
    pub(super) fn start_window(&mut self) {
        self.chain_index = NO_NODE;
    }

    /// Adds an event at the node with `index` in its partition and number `to` in the run.
    #[inline(always)]
    pub(super) fn add(&mut self, index: u32, to: u32, time: u64, from: u32, sequence: u32, contents: u64) {
        let before = if self.chain_index == u64::from(index) { self.chain } else { 0 };
        let ends = u64::from(to) << 32 | u64::from(from);
        // Multiples of odd constants, so that no small change of one makes up for a small change of another.
        let rest =
            time.wrapping_add(u64::from(sequence).wrapping_mul(PI[2])).wrapping_add(contents.wrapping_mul(PI[3]));
        let hash = fold(ends ^ PI[0] ^ before, rest ^ PI[1]);
        self.sum = self.sum.wrapping_add(hash);
        self.chain = hash;
        self.chain_index = u64::from(index);
    }

    /// The digest that stood at `sum` between two windows.
    pub(super) fn at(sum: u64) -> Self {
        Digest { sum, ..Digest::default() }
    }

    /// The digest of all that was added.
    pub(super) fn value(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(events: &[(u32, u64, u32)]) -> u64 {
        let mut digest = Digest::default();
        digest.start_window();
        for &(to, time, from) in events {
            digest.add(to, to, time, from, 1, 0);
        }
        digest.value()
    }

    #[test]
    fn the_order_of_nodes_leaves_no_trace_but_the_order_within_a_node_does() {
        let (a, b, c) = ((1, 10, 7), (1, 20, 8), (2, 15, 9));
        assert_eq!(digest(&[a, b, c]), digest(&[c, a, b]));
        assert_ne!(digest(&[a, b, c]), digest(&[b, a, c]));
        assert_ne!(digest(&[a, b, c]), digest(&[a, b]));
        assert_ne!(digest(&[a, b, c]), digest(&[a, b, (2, 15, 10)]));
        assert_ne!(digest(&[]), digest(&[(0, 0, 0)]));
    }
}
