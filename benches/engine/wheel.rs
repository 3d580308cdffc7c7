//! A single-purpose timing wheel for each workload: what a careful author would write for just this experiment.
//!
//! One ring of slots, each sorted by time when its turn comes, because a discrete-event simulator delivers in the order
//! of time; events of just the bytes needed, state in plain arrays; no protocol trait, no keyed randomness, no
//! accounting, no digest, no partitions.

use std::time::Instant;

use crate::{DELAY_MAX, DELAY_MIN, FANOUT, Figures, HEARTBEAT_END, INTERVAL};

/// One slot is 2^20 ns, the fastest of 2^14 to 2^20; the ring spans more than the longest delay.
const SLOT_LOG2: u32 = 20;
const RING: usize = 128;

/// SplitMix64.
struct Random(u64);

impl Random {
    #[inline(always)]
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[inline(always)]
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    #[inline(always)]
    fn delay(&mut self) -> u64 {
        DELAY_MIN.as_nanos() + self.below(DELAY_MAX.as_nanos() - DELAY_MIN.as_nanos() + 1)
    }
}

pub(crate) fn gossip(nodes: u32) -> Figures {
    let mut random = Random(1);
    let mut heard = vec![false; nodes as usize];
    // An event is its time and its receiver.
    let mut ring: Vec<Vec<(u64, u32)>> = vec![Vec::new(); RING];
    let (mut events, mut reached, mut waiting) = (0u64, 1u64, 0u64);
    let clock = Instant::now();
    heard[0] = true;
    let mut slot = 0u64;
    let mut due = Vec::new();
    let mut spread = |own: u32, now: u64, ring: &mut Vec<Vec<(u64, u32)>>, waiting: &mut u64| {
        for _ in 0..FANOUT {
            let other = random.below(u64::from(nodes) - 1) as u32;
            let time = now + random.delay();
            ring[(time >> SLOT_LOG2) as usize % RING].push((time, other + u32::from(other >= own)));
        }
        *waiting += u64::from(FANOUT);
    };
    spread(0, 0, &mut ring, &mut waiting);
    while waiting > 0 {
        std::mem::swap(&mut due, &mut ring[slot as usize % RING]);
        due.sort_unstable();
        events += due.len() as u64;
        waiting -= due.len() as u64;
        for &(time, node) in &due {
            if !std::mem::replace(&mut heard[node as usize], true) {
                reached += 1;
                spread(node, time, &mut ring, &mut waiting);
            }
        }
        due.clear();
        slot += 1;
    }
    Figures { events, seconds: clock.elapsed().as_secs_f64(), digest: 0, check: reached }
}

pub(crate) fn heartbeat(nodes: u32) -> Figures {
    let mut random = Random(1);
    let links = nodes as usize * FANOUT as usize;
    // Sender's view: the slot of each link at its receiver. Receiver's view: when each slot was last heard.
    let peers: Vec<u32> = (0..links)
        .map(|link| {
            let own = (link / FANOUT as usize) as u32;
            let other = random.below(u64::from(nodes) - 1) as u32;
            other + u32::from(other >= own)
        })
        .collect();
    let mut next = vec![0u32; nodes as usize + 1];
    peers.iter().for_each(|&peer| next[peer as usize + 1] += 1);
    for node in 0..nodes as usize {
        next[node + 1] += next[node];
    }
    let slots: Vec<u32> = peers
        .iter()
        .map(|&peer| {
            next[peer as usize] += 1;
            next[peer as usize] - 1
        })
        .collect();
    // In ticks of a slot, as the engine's protocol keeps it.
    let mut last_heard = vec![0u32; links];
    let mut ring: Vec<Vec<(u64, u32)>> = vec![Vec::new(); RING];
    // Timers fire in the order of their phases, interval after interval: a sorted list is all the queue they need.
    let mut timers: Vec<(u64, u32)> = (0..nodes).map(|node| (random.below(INTERVAL.as_nanos()), node)).collect();
    timers.sort_unstable();
    let (mut events, mut timer, mut round) = (0u64, 0, 0u64);
    let clock = Instant::now();
    let mut due = Vec::new();
    for slot in 0..HEARTBEAT_END.as_nanos() >> SLOT_LOG2 {
        let end = (slot + 1) << SLOT_LOG2;
        std::mem::swap(&mut due, &mut ring[slot as usize % RING]);
        due.sort_unstable();
        events += due.len() as u64;
        for &(time, slot) in &due {
            last_heard[slot as usize] = (time >> SLOT_LOG2) as u32;
        }
        due.clear();
        while timers[timer].0 + round * INTERVAL.as_nanos() < end {
            let now = timers[timer].0 + round * INTERVAL.as_nanos();
            let first = timers[timer].1 as usize * FANOUT as usize;
            for &slot in &slots[first..first + FANOUT as usize] {
                let time = now + random.delay();
                ring[(time >> SLOT_LOG2) as usize % RING].push((time, slot));
            }
            events += 1;
            timer += 1;
            if timer == timers.len() {
                (timer, round) = (0, round + 1);
            }
        }
    }
    let heard = last_heard.iter().filter(|&&time| time > 0).count() as u64;
    Figures { events, seconds: clock.elapsed().as_secs_f64(), digest: 0, check: heard }
}
