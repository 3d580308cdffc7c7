//! The timers of a partition: a hierarchical timing wheel (Varghese and Lauck, SOSP 1987) over windows.

use std::io;

use super::checkpoint::{CheckpointError, Decoder, Encoder};
use super::event::{Alarm, Windows};
use super::stream::{Pool, Stream};
use crate::contract::Column;

const LEVELS: usize = 4;
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;

/// Timers by window. A slot of level `l` is `256^l` windows long; timers move down a level when their slot begins,
/// so each is moved at most [`LEVELS`] times. Timers further away than `256^4` windows wait in a list.
#[derive(Debug)]
pub(super) struct TimerWheel<T: Copy> {
    /// The window that was last taken out.
    current: u64,
    levels: Vec<Level<T>>,
    far: Vec<Alarm<T>>,
    /// Reused memory.
    chunks: Vec<Column<Alarm<T>>>,
}

#[derive(Debug)]
struct Level<T: Copy> {
    slots: Vec<Stream<Alarm<T>>>,
    occupied: [u64; SLOTS / 64],
}

impl<T: Copy> Level<T> {
    fn new() -> Self {
        Level { slots: Vec::new(), occupied: [0; SLOTS / 64] }
    }

    fn push(&mut self, slot: usize, alarm: Alarm<T>, pool: &mut Pool<Alarm<T>>) {
        if self.slots.is_empty() {
            // A level that is never used takes no memory.
            self.slots.resize_with(SLOTS, Stream::new);
        }
        self.slots[slot].push(alarm, pool);
        self.occupied[slot / 64] |= 1 << (slot % 64);
    }

    fn take(&mut self, slot: usize, chunks: &mut Vec<Column<Alarm<T>>>) {
        if self.occupied[slot / 64] & 1 << (slot % 64) != 0 {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            self.slots[slot].drain_into(chunks);
        }
    }

    /// The first occupied slot after `slot`.
    fn after(&self, slot: usize) -> Option<usize> {
        let mut word = slot / 64;
        let mut bits = self.occupied[word] & (!0 << (slot % 64)) & !(1 << (slot % 64));
        while bits == 0 {
            word += 1;
            bits = *self.occupied.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }
}

impl<T: Copy> TimerWheel<T> {
    pub(super) fn new() -> Self {
        TimerWheel {
            current: 0,
            levels: (0..LEVELS).map(|_| Level::new()).collect(),
            far: Vec::new(),
            chunks: Vec::new(),
        }
    }

    /// Sets `alarm`, which must lie in a window after the current one.
    #[inline]
    pub(super) fn insert(&mut self, alarm: Alarm<T>, windows: Windows, pool: &mut Pool<Alarm<T>>) {
        let window = windows.of(alarm.time);
        debug_assert!(window > self.current, "a timer in the past");
        self.file(alarm, window, pool);
    }

    /// The level is that of the highest digit, to base 256, in which the window differs from the current one.
    #[inline]
    fn file(&mut self, alarm: Alarm<T>, window: u64, pool: &mut Pool<Alarm<T>>) {
        let level = ((window ^ self.current) | 1).ilog2() / SLOT_BITS;
        match self.levels.get_mut(level as usize) {
            Some(slots) => slots.push(digit(window, level), alarm, pool),
            None => self.far.push(alarm),
        }
    }

    /// Goes on to `window` and hands the timers that fall in it to `due`, in no order.
    ///
    /// No timer may lie between the current window and `window`: go where [`TimerWheel::next`] points, or nearer.
    pub(super) fn advance(
        &mut self,
        window: u64,
        windows: Windows,
        pool: &mut Pool<Alarm<T>>,
        mut due: impl FnMut(&Alarm<T>),
    ) {
        let from = std::mem::replace(&mut self.current, window);
        if from >> SLOT_BITS != window >> SLOT_BITS {
            self.cascade(from, window, windows, pool);
        }
        let mut chunks = std::mem::take(&mut self.chunks);
        self.levels[0].take(digit(window, 0), &mut chunks);
        for chunk in chunks.drain(..) {
            for alarm in chunk.iter() {
                due(alarm);
            }
            pool.give(chunk);
        }
        self.chunks = chunks;
    }

    /// Moves the timers of every slot that begins with `window` down to where they now belong.
    #[cold]
    fn cascade(&mut self, from: u64, window: u64, windows: Windows, pool: &mut Pool<Alarm<T>>) {
        if from >> (SLOT_BITS * LEVELS as u32) != window >> (SLOT_BITS * LEVELS as u32) {
            for alarm in std::mem::take(&mut self.far) {
                self.file(alarm, windows.of(alarm.time), pool);
            }
        }
        for level in (1..LEVELS as u32).rev() {
            if from >> (SLOT_BITS * level) != window >> (SLOT_BITS * level) {
                let mut chunks = Vec::new();
                self.levels[level as usize].take(digit(window, level), &mut chunks);
                for chunk in chunks {
                    for &alarm in chunk.iter() {
                        self.file(alarm, windows.of(alarm.time), pool);
                    }
                    pool.give(chunk);
                }
            }
        }
    }

    /// Timers that are due in `window`, if they are few and known without a search; else none.
    pub(super) fn upcoming(&self, window: u64) -> impl Iterator<Item = &Alarm<T>> {
        let is_filed = self.current >> SLOT_BITS == window >> SLOT_BITS;
        let stream = self.levels[0].slots.get(digit(window, 0)).filter(|_| is_filed);
        stream.and_then(Stream::only_chunk).unwrap_or_default().iter()
    }

    /// A window after the current one before which no timer lies; `None` if no timer is set.
    ///
    /// Exact if the timer is less than 256 windows away, else the start of its slot.
    pub(super) fn next(&self, windows: Windows) -> Option<u64> {
        for (level, slots) in self.levels.iter().enumerate() {
            let shift = SLOT_BITS * level as u32;
            if let Some(slot) = slots.after(digit(self.current, level as u32)) {
                let block = self.current >> shift >> SLOT_BITS << SLOT_BITS;
                return Some((block | slot as u64) << shift);
            }
        }
        self.far.iter().map(|alarm| windows.of(alarm.time) >> (SLOT_BITS * LEVELS as u32)).min().map(|block| {
            // The block of the far timer begins after the current one, which holds all the levels.
            block << (SLOT_BITS * LEVELS as u32)
        })
    }

    /// All timers that are set, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Alarm<T>> {
        self.levels.iter().flat_map(|level| &level.slots).flat_map(Stream::iter).chain(&self.far)
    }

    /// Writes all timers; `put` writes what they say.
    pub(super) fn save(
        &self,
        to: &mut Encoder<'_>,
        mut put: impl FnMut(&mut Encoder<'_>, &T) -> io::Result<()>,
    ) -> io::Result<()> {
        to.put(&self.all().count())?;
        for Alarm { time, index, sequence, timer } in self.all() {
            to.put(&(time, index, sequence))?;
            put(to, timer)?;
        }
        Ok(())
    }

    /// The wheel that was written, when `window` was the current one, for a partition of so many `nodes`; `get` reads what
    /// a timer says.
    pub(super) fn load(
        from: &mut Decoder<'_>,
        (window, windows): (u64, Windows),
        nodes: usize,
        pool: &mut Pool<Alarm<T>>,
        mut get: impl FnMut(&mut Decoder<'_>) -> Result<T, CheckpointError>,
    ) -> Result<Self, CheckpointError> {
        let mut wheel = TimerWheel { current: window, ..TimerWheel::new() };
        for _ in 0..from.get::<usize>()? {
            let (time, index, sequence) = from.get()?;
            if windows.of(time) <= window || index as usize >= nodes {
                return Err(CheckpointError::damaged("a timer is of the past, or of nobody"));
            }
            wheel.insert(Alarm { time, index, sequence, timer: get(from)? }, windows, pool);
        }
        Ok(wheel)
    }

    /// Bytes of the wheel itself, without the chunks of its slots.
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self.levels.iter().map(|level| level.slots.capacity()).sum();
        slots * size_of::<Stream<Alarm<T>>>() + self.far.capacity() * size_of::<Alarm<T>>()
    }
}

/// Digit `level` of `window` to base 256.
fn digit(window: u64, level: u32) -> usize {
    (window >> (SLOT_BITS * level)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    /// Sets timers at `times` with windows of 16 ns and takes them all out, window by window as `next` says.
    fn check(times: &[u64]) {
        let (windows, mut wheel, mut pool) = (Windows::new(16), TimerWheel::new(), Pool::new());
        for (index, &time) in times.iter().enumerate() {
            wheel.insert(Alarm { time, index: index as u32, sequence: 0, timer: () }, windows, &mut pool);
        }
        let (mut taken, mut due, mut window) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = wheel.next(windows) {
            assert!(next > window, "time goes forward");
            window = next;
            wheel.advance(window, windows, &mut pool, |alarm| due.push(*alarm));
            for alarm in due.drain(..) {
                assert_eq!(windows.of(alarm.time), window);
                taken.push(alarm.time);
            }
        }
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        taken.sort_unstable();
        assert_eq!(taken, sorted);
    }

    #[test]
    fn every_timer_comes_out_in_its_window() {
        check(&[]);
        check(&[0]);
        check(&[0, 15, 16, 17, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, 1 << 35, 1 << 36, 1 << 37, (1 << 50) + 3]);
        let mut random = RandomKey::new(1, Domain::Protocol).stream(0, 0);
        for bits in [8, 16, 24, 40] {
            let times: Vec<u64> = (0..2_000).map(|_| random.below(1 << bits)).collect();
            check(&times);
        }
    }

    #[test]
    fn timers_set_while_others_fire_come_out_too() {
        let (windows, mut wheel, mut pool) = (Windows::new(1), TimerWheel::new(), Pool::new());
        let mut random = RandomKey::new(2, Domain::Protocol).stream(0, 0);
        let mut due = vec![Alarm { time: 0, index: 0, sequence: 0, timer: () }];
        let mut fired = 0;
        loop {
            for alarm in std::mem::take(&mut due) {
                fired += 1;
                if fired < 5_000 {
                    for _ in 0..2 {
                        let reach = 1 << random.below(30);
                        let time = alarm.time + 1 + random.below(reach);
                        wheel.insert(Alarm { time, ..alarm }, windows, &mut pool);
                    }
                }
            }
            let Some(next) = wheel.next(windows) else { break };
            wheel.advance(next, windows, &mut pool, |alarm| due.push(*alarm));
        }
        assert_eq!(fired, 2 * 4_999 + 1);
    }
}
