//! What waits in the queue: messages under way and timers that are set.

use super::sorter::Keyed;
use crate::contract::NodeId;

/// A message under way to a node of one partition, due in one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<M> {
    /// Nanoseconds from the start of the window to the arrival; of the block, while the message is filed by block.
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
///
/// Where many windows pass while a message is under way, there are few events in each. Then every window counts: they are
/// as long as the lookahead. And they form blocks of a power of two: block `b` holds the windows
/// `[b * size, (b + 1) * size)`. Messages are filed by block until it begins, so that a message that is sent goes to one
/// of few places, which stay in the cache. Elsewhere every window is a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    length: u64,
    /// 2^64 divided by the length, rounded down; zero where the length is a power of two.
    inverse: u64,
    /// Bits that an offset takes.
    offset_bits: u32,
    block_log2: u32,
}

/// Blocks that pass, about, while the slowest message is under way, where windows form blocks.
const BLOCKS_AHEAD: u64 = 32;
const BLOCK_LOG2_MAX: u32 = 4;

impl Windows {
    /// Windows for a lookahead of `nanos`, which must not be zero.
    pub(super) fn new(nanos: u64) -> Self {
        let length_log2 = nanos.ilog2().min(31);
        Windows { length: 1 << length_log2, inverse: 0, offset_bits: length_log2, block_log2: 0 }
    }

    /// Windows for a lookahead of `nanos` and for messages that are under way for up to `longest` nanoseconds.
    pub(super) fn for_delays(nanos: u64, longest: u64) -> Self {
        let block_log2 = (longest / nanos / BLOCKS_AHEAD).max(1).ilog2().min(BLOCK_LOG2_MAX);
        if block_log2 == 0 || nanos.is_power_of_two() || nanos > 1 << (31 - BLOCK_LOG2_MAX) {
            let windows = Windows::new(nanos);
            return Windows { block_log2: block_log2.min(31 - windows.offset_bits), ..windows };
        }
        let inverse = ((1u128 << 64) / u128::from(nanos)) as u64;
        Windows { length: nanos, inverse, offset_bits: nanos.ilog2() + 1, block_log2 }
    }

    /// Base-2 logarithm of the number of windows in a block.
    #[inline(always)]
    pub(super) fn block_log2(self) -> u32 {
        self.block_log2
    }

    /// The block of `window`.
    #[inline(always)]
    pub(super) fn block(self, window: u64) -> u64 {
        window >> self.block_log2
    }

    /// The first window of `block`.
    pub(super) fn first_of(self, block: u64) -> u64 {
        block << self.block_log2
    }

    /// The place of `window` in its block.
    #[inline(always)]
    pub(super) fn place(self, window: u64) -> usize {
        window as usize & ((1 << self.block_log2) - 1)
    }

    /// An offset into `window` as one into its block.
    #[inline(always)]
    pub(super) fn to_block_offset(self, window: u64, offset: u32) -> u32 {
        (self.place(window) << self.offset_bits) as u32 | offset
    }

    /// The place in its block of the window that an offset into the block falls in, and the offset into that window.
    #[inline(always)]
    pub(super) fn split_block_offset(self, offset: u32) -> (usize, u32) {
        ((offset >> self.offset_bits) as usize, offset & ((1 << self.offset_bits) - 1))
    }

    /// The window in which `time` falls, and the nanoseconds from its start to `time`.
    #[inline(always)]
    pub(super) fn split(self, time: u64) -> (u64, u32) {
        if self.inverse == 0 {
            return ((time >> self.offset_bits) + 1, (time & ((1 << self.offset_bits) - 1)) as u32);
        }
        // The inverse is too small by less than one, so the product is by less than `time / 2^64`: by none or one.
        let before = ((u128::from(time) * u128::from(self.inverse)) >> 64) as u64;
        let offset = time - before * self.length;
        if offset < self.length { (before + 1, offset as u32) } else { (before + 2, (offset - self.length) as u32) }
    }

    /// The window in which `time` falls.
    #[inline(always)]
    pub(super) fn of(self, time: u64) -> u64 {
        self.split(time).0
    }

    /// Nanoseconds from the start of its window to `time`.
    #[inline(always)]
    pub(super) fn offset(self, time: u64) -> u32 {
        self.split(time).1
    }

    /// Where `window` starts, in nanoseconds. Window 0 has no length and starts at zero as well.
    #[inline(always)]
    pub(super) fn start(self, window: u64) -> u64 {
        window.saturating_sub(1).saturating_mul(self.length)
    }

    /// Bits of an offset.
    pub(super) fn offset_bits(self) -> u32 {
        self.offset_bits
    }

    /// Nanoseconds in a window.
    pub(super) fn length(self) -> u64 {
        self.length
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
        for lookahead in [1, 2, 3, 7, 200_000, 10_000_000, 33_554_431, 999_999_937, 1 << 40] {
            for windows in [Windows::new(lookahead), Windows::for_delays(lookahead, u64::MAX)] {
                let length = windows.length();
                assert!(length <= lookahead && length <= 1 << 31);
                let around = |time: u64| [time.saturating_sub(1), time, time.saturating_add(1)];
                let ends = [0, length, 5 * length, 12_345_678_901, u64::MAX >> 1, u64::MAX - 1 - length];
                for time in ends.into_iter().flat_map(around) {
                    let (window, offset) = windows.split(time);
                    assert_eq!(window, time / length + 1, "{time} by {lookahead}");
                    assert_eq!(windows.start(window) + u64::from(offset), time);
                    assert!(time >= u64::MAX - lookahead || windows.of(time + lookahead) > window);
                    assert!(u64::from(offset) < 1 << windows.offset_bits());
                }
            }
        }
    }

    #[test]
    fn an_offset_into_a_block_tells_window_and_offset() {
        for (lookahead, longest) in [(200_000, 400_000_000), (1, u64::MAX), (3, 300), (1 << 30, 1 << 40), (10, 10)] {
            let windows = Windows::for_delays(lookahead, longest);
            let size = 1 << windows.block_log2();
            assert!(u64::from(u32::MAX >> 1) >= (size << windows.offset_bits()) - 1, "an offset fits 31 bits");
            for window in [0, 1, 5, size - 1, size, 12_345] {
                let block = windows.block(window);
                assert_eq!(windows.first_of(block) + windows.place(window) as u64, window);
                for offset in [0, (windows.length() - 1) as u32] {
                    let in_block = windows.to_block_offset(window, offset);
                    assert_eq!(windows.split_block_offset(in_block), (windows.place(window), offset));
                }
            }
        }
    }

    #[test]
    fn short_windows_form_blocks_and_are_as_long_as_the_lookahead() {
        let of = |lookahead, longest| {
            let windows = Windows::for_delays(lookahead, longest);
            (windows.length(), windows.block_log2())
        };
        assert_eq!(of(10_000_000, 100_000_000), (8_388_608, 0));
        assert_eq!(of(200_000, 400_000_000), (200_000, 4));
        assert_eq!(of(200_000, u64::MAX), (200_000, 4));
        assert_eq!(of(200_000, 20_000_000), (200_000, 1));
        assert_eq!(of(1 << 31, u64::MAX), (1 << 31, 0));
    }
}
