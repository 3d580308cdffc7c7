//! What a node's access link carries: bits per second up and down, and a bounded queue for each direction.

use serde::{Deserialize, Serialize};

/// Capacities by node type, in the order of [`NodeType::ALL`](crate::contract::NodeType::ALL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Bits per second from the node; above zero.
    pub upload: [u64; 4],
    /// Bits per second to the node; above zero.
    pub download: [u64; 4],
    /// Bytes that a direction of a link still has to send when it takes one more message, that on its way included. A
    /// message that finds more is dropped; one that finds the link idle never is.
    pub queue: u64,
}

/// One direction of the link of one node: when it has sent all that it was given, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Wire {
    free: u64,
}

impl Wire {
    /// Gives the link a message of `bytes` at `now`: when its last bit is through, at `rate` bits per second, or `None` if
    /// the queue, which holds `queue` bytes, is full. First in, first out.
    #[inline]
    pub(super) fn transmit(&mut self, now: u64, bytes: u64, rate: u64, queue: u64) -> Option<u64> {
        let wait = self.free.saturating_sub(now);
        // What waits, in bits times 10^9, against what may: wait * rate is the bits that are still to be sent.
        if u128::from(wait) * u128::from(rate) > u128::from(queue) * 8_000_000_000 {
            return None;
        }
        let takes = (u128::from(bytes) * 8_000_000_000).div_ceil(u128::from(rate.max(1)));
        let takes = u64::try_from(takes).unwrap_or(u64::MAX).max(1);
        self.free = self.free.max(now).saturating_add(takes);
        Some(self.free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_follow_each_other_at_the_rate_of_the_link() {
        let mut wire = Wire::default();
        // 128 bytes at a megabit per second take 1.024 ms.
        assert_eq!(wire.transmit(5_000, 128, 1_000_000, 1_000), Some(1_029_000));
        assert_eq!(wire.transmit(6_000, 128, 1_000_000, 1_000), Some(2_053_000));
        assert_eq!(wire.transmit(9_000_000, 128, 1_000_000, 1_000), Some(10_024_000), "it was idle");
    }

    #[test]
    fn a_queue_takes_no_more_than_it_holds() {
        let mut wire = Wire::default();
        let sent = (0..20).filter(|_| wire.transmit(0, 100, 8_000, 500).is_some()).count();
        assert_eq!(sent, 6, "one is on its way and five wait");
        assert_eq!(wire.free, 600_000_000);
        assert!(wire.transmit(99_999_999, 100, 8_000, 500).is_none(), "500 bytes and a bit are left");
        assert!(wire.transmit(100_000_000, 100, 8_000, 500).is_some());
        assert_eq!(Wire::default().transmit(0, 65_507, 8_000, 0), Some(65_507_000_000), "an idle link takes anything");
    }

    #[test]
    fn nothing_takes_no_time_and_nothing_overflows() {
        let mut wire = Wire::default();
        assert_eq!(wire.transmit(7, 0, u64::MAX, 0), Some(8));
        assert_eq!(wire.transmit(u64::MAX, u64::MAX, 1, u64::MAX), Some(u64::MAX));
        assert_eq!(wire.transmit(0, 1, u64::MAX, 1_000), None);
    }
}
