//! The energy of an LTE radio, as a ledger that each transfer settles: exact, in integers, 24 bytes a node.
//!
//! The radio is a state machine. It is *idle* and wakes for a moment in each paging cycle. To send or receive it is
//! *promoted*; then it is *connected*: after the last byte it receives continuously for a while, then it sleeps between
//! the on-durations of a short cycle, then of a long one (DRX, discontinuous reception), and then it is idle again. Bytes
//! that flow before that begin the same tail anew, without a promotion.
//!
//! What a stretch of time takes is a product of milliwatts and nanoseconds, so a whole number of picojoules. With the
//! figures of [`RadioModel::LTE`] a wake between two idle stretches takes, besides the bytes,
//!
//! | state | time | power | energy |
//! |---|---|---|---|
//! | promotion | 0.26 s | 1.21 W | 0.3146 J |
//! | continuous reception | 0.1 s | 1.2 W | 0.1200 J |
//! | short DRX | 0.02 s | 1.06 W, and 1.68 W for 1 ms of each 20 ms | 0.0218 J |
//! | long DRX | 10 s | 1.06 W, and 1.68 W for 2 ms of each 40 ms | 10.9100 J |
//! | together | 10.38 s | | 11.3664 J |
//!
//! and idling takes 0.594 W for 43 ms of each 1.28 s, 19.955 mW on average. So a radio that wakes every `I` seconds for
//! next to no bytes, `I` being above 10.38 s, takes
//!
//! `P(I) = (11.3664 J + 0.019955 W * (I - 10.38 s)) / I`:
//!
//! 392, 206, 57.2, 38.6 and 32.4 mW for 30, 60, 300, 600 and 900 s.
//!
//! Sources: the states, and that the power of a transfer is `alpha_up * up + alpha_down * down + beta` with 438.39 and
//! 51.97 mW per Mbit/s, are those of Huang, Qian, Gerber, Mao, Sen and Spatscheck, "A close examination of performance
//! and power characteristics of 4G LTE networks", MobiSys 2012. The other figures are the LTE profile of AT&T's
//! Application Resource Optimizer, which rounds those of that paper and has a tail of 10 s where the paper measured
//! 11.6 s; the rates, which the profile does not fix, are the median throughputs of the paper.

use serde::{Deserialize, Serialize};

use crate::contract::{NodeId, SimSpan, SimTime, scale_word};

/// A stretch of time in which the radio takes constant power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steady {
    /// How long it lasts.
    pub span: SimSpan,
    /// In milliwatts.
    pub power_mw: u32,
}

/// Discontinuous reception: the radio listens at the beginning of every cycle, and sleeps for the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drx {
    /// From one on-duration to the next; above zero.
    pub cycle: SimSpan,
    /// How long it listens; not longer than the cycle.
    pub on: SimSpan,
    /// Power while it listens, in milliwatts; not below that of sleep.
    pub on_mw: u32,
    /// Power while it sleeps, in milliwatts.
    pub sleep_mw: u32,
}

impl Drx {
    /// The energy of the first `span` of cycles, in picojoules.
    const fn energy(&self, span: SimSpan) -> u64 {
        let (span, cycle, on) = (span.as_nanos(), self.cycle.as_nanos(), self.on.as_nanos());
        let (whole, part) = (span / cycle, span % cycle);
        let listening = whole * on + if part < on { part } else { on };
        let sleep = span.saturating_mul(self.sleep_mw as u64);
        sleep.saturating_add(listening.saturating_mul((self.on_mw - self.sleep_mw) as u64))
    }

    /// How long after `into` the cycles it listens again; zero if it does.
    const fn wait(&self, into: SimSpan) -> SimSpan {
        let part = into.as_nanos() % self.cycle.as_nanos();
        if part < self.on.as_nanos() { SimSpan::ZERO } else { SimSpan::from_nanos(self.cycle.as_nanos() - part) }
    }

    const fn is_valid(&self) -> bool {
        self.cycle.as_nanos() > 0 && self.on.as_nanos() <= self.cycle.as_nanos() && self.on_mw >= self.sleep_mw
    }
}

/// One direction of transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// What a bit takes besides the power of continuous reception, in picojoules. A thousandth of it is the coefficient
    /// of Huang and others in mW per Mbit/s.
    pub bit_pj: u32,
    /// Bits per second; above zero.
    pub rate: u64,
}

impl Direction {
    const fn span(&self, bytes: u32) -> SimSpan {
        // In two steps, for 64 bits: of whole seconds, and of the rest.
        let bits = bytes as u64 * 8;
        let rest = (bits % self.rate).saturating_mul(1_000_000_000) / self.rate;
        SimSpan::from_nanos((bits / self.rate).saturating_mul(1_000_000_000).saturating_add(rest))
    }

    const fn energy(&self, bytes: u32) -> u64 {
        bytes as u64 * 8 * self.bit_pj as u64
    }
}

/// What a radio takes in each state, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RadioModel {
    /// From idle to connected.
    pub promotion: Steady,
    /// Continuous reception: while bytes flow, and after the last of them.
    pub reception: Steady,
    /// The short cycle, and for how long.
    pub short: (Drx, SimSpan),
    /// The long cycle, and for how long.
    pub long: (Drx, SimSpan),
    /// Paging while idle. The cycle is below 4.29 s.
    pub paging: Drx,
    /// From the node.
    pub up: Direction,
    /// To the node.
    pub down: Direction,
}

/// What a radio does. A promotion is not seen, because the ledger learns of it when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioState {
    /// Nothing, but for paging.
    Idle,
    /// Bytes flow, or did so a moment ago.
    Reception,
    /// It sleeps between the on-durations of the short cycle.
    ShortDrx,
    /// It sleeps between the on-durations of the long cycle.
    LongDrx,
}

/// What the radio of one node has taken, and what it does. A new ledger is idle from the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadioLedger {
    /// When the last tail ends; until `activity_end` plus the tail the radio is connected. The stretch up to there is
    /// not in `energy` yet.
    idle_from: SimTime,
    /// In picojoules, of all that was settled.
    energy: u64,
    /// Promotions.
    wakes: u32,
    /// When the node is first paged, in nanoseconds after the start.
    paged: u32,
}

impl RadioLedger {
    /// How often the radio went from idle to connected.
    pub fn wakes(&self) -> u32 {
        self.wakes
    }
}

impl RadioModel {
    /// An LTE radio; see the module for the sources.
    pub const LTE: RadioModel = RadioModel {
        promotion: Steady { span: SimSpan::from_millis(260), power_mw: 1_210 },
        reception: Steady { span: SimSpan::from_millis(100), power_mw: 1_200 },
        short: (
            Drx { cycle: SimSpan::from_millis(20), on: SimSpan::from_millis(1), on_mw: 1_680, sleep_mw: 1_060 },
            SimSpan::from_millis(20),
        ),
        long: (
            Drx { cycle: SimSpan::from_millis(40), on: SimSpan::from_millis(2), on_mw: 1_680, sleep_mw: 1_060 },
            SimSpan::from_secs(10),
        ),
        paging: Drx { cycle: SimSpan::from_millis(1_280), on: SimSpan::from_millis(43), on_mw: 594, sleep_mw: 0 },
        up: Direction { bit_pj: 438_390, rate: 5_640_000 },
        down: Direction { bit_pj: 51_970, rate: 12_740_000 },
    };

    /// Whether the bounds that the fields state are kept, and the tail is shorter than a day.
    pub const fn is_valid(&self) -> bool {
        let cycles = self.short.0.is_valid() && self.long.0.is_valid() && self.paging.is_valid();
        let tail = self.tail().as_nanos() < 86_400_000_000_000 && self.promotion.span.as_nanos() < 86_400_000_000_000;
        cycles && tail && self.paging.cycle.as_nanos() <= u32::MAX as u64 && self.up.rate > 0 && self.down.rate > 0
    }

    /// From the last byte until the radio is idle.
    pub const fn tail(&self) -> SimSpan {
        let nanos = self.reception.span.as_nanos().saturating_add(self.short.1.as_nanos());
        SimSpan::from_nanos(nanos.saturating_add(self.long.1.as_nanos()))
    }

    /// The ledger of `node` at the start of the run. When a node is paged follows from its number, as in LTE it follows
    /// from the number of the subscriber (3GPP TS 36.304, section 7.1).
    pub fn ledger(&self, node: NodeId) -> RadioLedger {
        // Multiples of the golden ratio fill the cycle evenly (Knuth, "The art of computer programming", section 6.4).
        let word = u64::from(node).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        RadioLedger { paged: scale_word(word, self.paging.cycle.as_nanos()) as u32, ..RadioLedger::default() }
    }

    /// At `now` the node begins to send `up` bytes and to receive `down` bytes.
    ///
    /// If the radio was idle it wakes, and the promotion lies before `now`: who cannot know beforehand that there will
    /// be something to send must wait for [`RadioModel::wait_to_send`] first. Calls may lie no further back than the
    /// last one; bytes that begin to flow while others do are taken as if they followed them.
    #[inline]
    pub fn activity(&self, ledger: &mut RadioLedger, now: SimTime, up: u32, down: u32) {
        let tail = self.tail();
        let since = if now >= ledger.idle_from {
            let settled = self.idling(ledger, ledger.idle_from, self.before_promotion(ledger, now));
            let energy = self.tail_energy_of(ledger, tail).saturating_add(settled);
            let promotion = self.promotion.span.as_nanos().saturating_mul(u64::from(self.promotion.power_mw));
            ledger.energy = ledger.energy.saturating_add(energy).saturating_add(promotion);
            ledger.wakes = ledger.wakes.saturating_add(1);
            now
        } else {
            let last = self.last_byte(ledger);
            ledger.energy = ledger.energy.saturating_add(self.tail_energy(now.since(last)));
            last.max(now)
        };
        let transfer = self.up.span(up) + self.down.span(down);
        let flowing = transfer.as_nanos().saturating_mul(u64::from(self.reception.power_mw));
        let bits = self.up.energy(up).saturating_add(self.down.energy(down));
        ledger.energy = ledger.energy.saturating_add(flowing).saturating_add(bits);
        ledger.idle_from = since + transfer + tail;
    }

    /// What the radio has taken until `until`, in picojoules; `until` may lie no further back than the last call of
    /// [`RadioModel::activity`]. Saturates at 18 MJ, which is 340 phone batteries.
    pub fn energy(&self, ledger: &RadioLedger, until: SimTime) -> u64 {
        let connected = self.tail_energy_of(ledger, self.tail());
        if until >= ledger.idle_from {
            let idle = self.idling(ledger, ledger.idle_from, until);
            return ledger.energy.saturating_add(connected).saturating_add(idle);
        }
        ledger.energy.saturating_add(self.tail_energy(until.since(self.last_byte(ledger))))
    }

    /// What the radio does at `now`.
    pub fn state(&self, ledger: &RadioLedger, now: SimTime) -> RadioState {
        if now >= ledger.idle_from {
            return RadioState::Idle;
        }
        let into = now.since(self.last_byte(ledger));
        match self.drx_at(into) {
            None => RadioState::Reception,
            Some((_, false)) => RadioState::ShortDrx,
            Some((_, true)) => RadioState::LongDrx,
        }
    }

    /// How long a node that wants to send at `now` must wait.
    pub fn wait_to_send(&self, ledger: &RadioLedger, now: SimTime) -> SimSpan {
        if now >= ledger.idle_from { self.promotion.span } else { SimSpan::ZERO }
    }

    /// How long the network must wait at `now` until it can send to the node: until the node listens, and if it is idle
    /// until it is promoted besides.
    pub fn wait_to_receive(&self, ledger: &RadioLedger, now: SimTime) -> SimSpan {
        if now >= ledger.idle_from {
            return self.paging.wait(self.since_paging_began(ledger, now)) + self.promotion.span;
        }
        let into = now.since(self.last_byte(ledger));
        let Some((drx, is_long)) = self.drx_at(into) else { return SimSpan::ZERO };
        let before = self.reception.span + if is_long { self.short.1 } else { SimSpan::ZERO };
        // The network need not know that the radio goes idle meanwhile; it pages then, which is left out.
        drx.wait(into - before)
    }

    /// The energy of a wake that transfers nothing, in picojoules, without idling.
    pub const fn wake_energy(&self) -> u64 {
        self.promotion.span.as_nanos() * self.promotion.power_mw as u64 + self.tail_energy(self.tail())
    }

    /// The average power in milliwatts of a radio that wakes every `interval` and transfers nothing, after the formula
    /// of the module. `interval` must exceed the promotion and the tail.
    pub fn average_mw(&self, interval: SimSpan) -> f64 {
        let Drx { cycle, on, on_mw, sleep_mw } = self.paging;
        let listening = f64::from(on_mw - sleep_mw) * on.as_secs_f64() / cycle.as_secs_f64();
        let idle = (interval - self.tail() - self.promotion.span).as_secs_f64();
        (self.wake_energy() as f64 / 1e9 + (f64::from(sleep_mw) + listening) * idle) / interval.as_secs_f64()
    }

    /// When the last byte flowed; meaningless before the first wake.
    fn last_byte(&self, ledger: &RadioLedger) -> SimTime {
        SimTime::from_nanos(ledger.idle_from.as_nanos().saturating_sub(self.tail().as_nanos()))
    }

    /// When a promotion begins that ends at `now`, but not before the radio was idle.
    fn before_promotion(&self, ledger: &RadioLedger, now: SimTime) -> SimTime {
        SimTime::from_nanos(now.as_nanos().saturating_sub(self.promotion.span.as_nanos())).max(ledger.idle_from)
    }

    /// The energy of the first `span` after the last byte; nothing if there was none.
    fn tail_energy_of(&self, ledger: &RadioLedger, span: SimSpan) -> u64 {
        if ledger.wakes == 0 { 0 } else { self.tail_energy(span) }
    }

    const fn tail_energy(&self, span: SimSpan) -> u64 {
        let nanos = span.as_nanos();
        let reception = min(nanos, self.reception.span.as_nanos());
        let short = min(nanos - reception, self.short.1.as_nanos());
        let long = min(nanos - reception - short, self.long.1.as_nanos());
        let steady = reception.saturating_mul(self.reception.power_mw as u64);
        let short = self.short.0.energy(SimSpan::from_nanos(short));
        steady.saturating_add(short).saturating_add(self.long.0.energy(SimSpan::from_nanos(long)))
    }

    /// The cycle in which the radio is so long after the last byte, and whether it is the long one.
    fn drx_at(&self, into: SimSpan) -> Option<(&Drx, bool)> {
        if into < self.reception.span {
            return None;
        }
        let is_long = into >= self.reception.span + self.short.1;
        Some((if is_long { &self.long.0 } else { &self.short.0 }, is_long))
    }

    /// How far into its paging cycles, counted from one before the run began, a node is at `now`.
    fn since_paging_began(&self, ledger: &RadioLedger, now: SimTime) -> SimSpan {
        let ahead = self.paging.cycle.as_nanos() - u64::from(ledger.paged);
        SimSpan::from_nanos(now.as_nanos().saturating_add(ahead))
    }

    /// The energy of idling from `from` to `to`.
    fn idling(&self, ledger: &RadioLedger, from: SimTime, to: SimTime) -> u64 {
        let until = |time| self.paging.energy(self.since_paging_began(ledger, time));
        until(to) - until(from)
    }
}

const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests;
