//! What waits in the queue: messages under way and timers that are set.

use super::sorter::Keyed;
use crate::contract::NodeId;

/// A message under way to a node of one partition, due in one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<M> {
    /// Nanoseconds from the start of the window to the arrival.
    pub(super) offset: u32,
    /// The receiver's place in its partition.
    pub(super) index: u32,
    /// The sender.
    pub(super) from: NodeId,
    /// The sender's sequence number of this message.
    pub(super) sequence: u32,
    pub(super) message: M,
}

impl<M: Copy> Keyed for Event<M> {
    #[inline(always)]
    fn key(&self) -> u64 {
        u64::from(self.index) << 32 | u64::from(self.offset)
    }

    #[inline(always)]
    fn tie(&self) -> u64 {
        u64::from(self.from) << 32 | u64::from(self.sequence)
    }

    #[inline(always)]
    fn index(&self) -> u32 {
        self.index
    }
}

/// A timer that is set at a node of one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alarm<T> {
    /// When it fires, in nanoseconds.
    pub(super) time: u64,
    /// The node's place in its partition.
    pub(super) index: u32,
    /// The node's sequence number of this timer.
    pub(super) sequence: u32,
    pub(super) timer: T,
}

/// The windows of a run: window 0 is the start, window `w` covers `[(w - 1) * length, w * length)`.
///
/// The length is the largest power of two nanoseconds that does not exceed the lookahead, so finding the window of a
/// time takes a shift, not a division; and at most 2^31, so that an offset fits in 32 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    length_log2: u32,
    /// Length less one: the bits of a time within its window.
    offset_mask: u32,
}

impl Windows {
    /// Windows for a lookahead of `nanos`, which must not be zero.
    pub(super) fn new(nanos: u64) -> Self {
        let length_log2 = nanos.ilog2().min(31);
        Windows { length_log2, offset_mask: ((1u64 << length_log2) - 1) as u32 }
    }

    /// The window in which `time` falls.
    #[inline(always)]
    pub(super) fn of(self, time: u64) -> u64 {
        (time >> self.length_log2) + 1
    }

    /// Nanoseconds from the start of its window to `time`.
    #[inline(always)]
    pub(super) fn offset(self, time: u64) -> u32 {
        time as u32 & self.offset_mask
    }

    /// Where `window` starts, in nanoseconds. Window 0 has no length and starts at zero as well.
    #[inline(always)]
    pub(super) fn start(self, window: u64) -> u64 {
        window.saturating_sub(1) << self.length_log2
    }

    /// Bits of an offset.
    pub(super) fn offset_bits(self) -> u32 {
        self.length_log2
    }

    /// Nanoseconds in a window.
    pub(super) fn length(self) -> u64 {
        1 << self.length_log2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_contents_takes_sixteen_bytes() {
        assert_eq!(size_of::<Event<()>>(), 16);
        assert_eq!(size_of::<Event<u32>>(), 20);
        assert_eq!(size_of::<Alarm<()>>(), 16);
    }

    #[test]
    fn windows_are_never_longer_than_the_lookahead() {
        for lookahead in [1, 2, 3, 10_000_000, 200_000, 1 << 40] {
            let windows = Windows::new(lookahead);
            assert!(windows.length() <= lookahead && windows.length() <= 1 << 31);
            for time in [0, 1, 12_345_678_901, u64::MAX >> 1] {
                let window = windows.of(time);
                assert_eq!(windows.start(window) + u64::from(windows.offset(time)), time);
                assert!(windows.of(time + lookahead) > window);
            }
        }
    }
}
