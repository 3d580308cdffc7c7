//! Failure detectors: how a node decides, from when it heard a peer, that the peer is down.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::contract::{CoarseTime, Column, SimSpan, SimTime};

/// Weight of the newest interval between two arrivals in the averages of [`Detector::Phi`].
const PHI_WEIGHT: f32 = 1.0 / 16.0;
/// Standard deviation that [`Detector::Phi`] starts from, as a share of the interval. The mean is the interval.
const PHI_DEVIATION_START: f32 = 0.25;
/// Smallest standard deviation that [`Detector::Phi`] reckons with, as a share of the interval.
const PHI_DEVIATION_MIN: f32 = 0.1;

/// How a node decides that a peer is down which should be heard once per interval.
///
/// It looks at its peers whenever its own heartbeat is due, so once per interval of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Detector {
    /// Down when several heartbeats in a row did not come.
    Timeout {
        /// How many. The peer is taken for down when it was not heard for longer than `missed + 1/2` of its intervals;
        /// the half is slack for delays.
        missed: u32,
    },
    /// Phi accrual (Hayashibara, Défago, Yared and Katayama, "The phi accrual failure detector", SRDS 2004): down when
    /// phi, which is minus the decimal logarithm of the chance that a heartbeat comes even later, exceeds a threshold.
    ///
    /// Intervals between arrivals are taken for normal. The paper takes their mean and variance over a window of the
    /// last arrivals; here they are averages in which the newest has a weight of 1/16, which takes eight bytes a peer.
    /// They start from the interval of the peer and a quarter of it (as in Akka's detector), and a tenth of it is the
    /// smallest standard deviation. An interval during which the peer was taken for down counts as long as it was when
    /// the verdict fell: so a false alarm makes the detector more patient, and a long failure does not spoil it.
    Phi {
        /// What phi must exceed, above zero. A chance of 1 in `10^threshold` that the verdict is wrong, if intervals are
        /// normal.
        threshold: f64,
    },
}

impl Detector {
    /// The detector for peers that send every `interval`.
    pub fn rule(&self, interval: SimSpan) -> Rule {
        match *self {
            Detector::Timeout { missed } => {
                let half = SimSpan::from_nanos(interval.as_nanos() / 2);
                Rule::Timeout { limit: interval * u64::from(missed) + half }
            }
            Detector::Phi { threshold } => {
                let ticks = interval.as_nanos() as f32 / CoarseTime::TICK.as_nanos() as f32;
                Rule::Phi { interval: ticks, z: normal_tail_quantile(threshold) as f32 }
            }
        }
    }

    /// How many intervals of a peer pass at most, rounded up, from its last heartbeat until a node that looks at that
    /// moment takes it for down. For [`Detector::Phi`], with the deviation that it starts from.
    pub fn intervals(&self) -> u32 {
        match *self {
            Detector::Timeout { missed } => missed.saturating_add(1),
            Detector::Phi { threshold } => {
                (1.0 + normal_tail_quantile(threshold) * f64::from(PHI_DEVIATION_START)).max(1.0).ceil() as u32
            }
        }
    }
}

/// A [`Detector`] for peers with a certain interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Down when not heard for longer than a limit.
    Timeout {
        /// The limit.
        limit: SimSpan,
    },
    /// Down when not heard for longer than the mean and `z` standard deviations.
    Phi {
        /// The interval in [`CoarseTime::TICK`].
        interval: f32,
        /// By how many standard deviations.
        z: f32,
    },
}

/// The intervals between the arrivals from one peer, in [`CoarseTime::TICK`]. All zero before the second arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Arrivals {
    mean: f32,
    variance: f32,
}

impl Arrivals {
    /// What is assumed before anything was heard.
    fn expected(interval: f32) -> Self {
        let deviation = interval * PHI_DEVIATION_START;
        Arrivals { mean: interval, variance: deviation * deviation }
    }

    /// These, or what is assumed instead.
    #[inline(always)]
    fn or_expected(self, interval: f32) -> Self {
        if self.mean == 0.0 { Arrivals::expected(interval) } else { self }
    }

    /// Takes an interval of `ticks` into the averages (West, "Updating mean and variance estimates", CACM 1979).
    #[inline(always)]
    fn add(&mut self, ticks: u32) {
        let off = ticks as f32 - self.mean;
        self.mean += PHI_WEIGHT * off;
        self.variance = (1.0 - PHI_WEIGHT) * (self.variance + PHI_WEIGHT * off * off);
    }

    /// After how many ticks of silence the peer is taken for down.
    #[inline(always)]
    fn limit(self, interval: f32, z: f32) -> f32 {
        let Arrivals { mean, variance } = self.or_expected(interval);
        mean + z * variance.sqrt().max(interval * PHI_DEVIATION_MIN)
    }
}

/// When nodes last heard each of their peers, and what they take them for.
///
/// A cell stands for a peer of one node; who that is, its owner knows. A cell takes four bytes, with [`Detector::Phi`]
/// twelve: that a peer is taken for down is told by [`CoarseTime::NEVER`] in place of the time, which is not needed
/// then. Times are kept to within a millisecond, so intervals should be ten times as long or more.
#[derive(Debug, Serialize, Deserialize)]
pub struct Watch {
    heard: Column<CoarseTime>,
    /// As many as times with [`Detector::Phi`], otherwise none.
    arrivals: Column<Arrivals>,
}

impl Watch {
    /// So many cells, none of them heard yet. With a detector, silence counts from the start of the run.
    pub fn new(cells: usize, detector: Option<&Detector>) -> Self {
        let start = if detector.is_some() { SimTime::ZERO.into() } else { CoarseTime::NEVER };
        let arrivals = if let Some(Detector::Phi { .. }) = detector { cells } else { 0 };
        Watch { heard: Column::filled(cells, start), arrivals: Column::filled(arrivals, Arrivals::default()) }
    }

    /// The times by cell. [`CoarseTime::NEVER`] where nothing was heard, or, with a detector, where the peer is taken
    /// for down.
    pub fn heard(&self) -> &[CoarseTime] {
        &self.heard
    }

    /// Notes an arrival, without a detector.
    #[inline(always)]
    pub fn note(&mut self, cell: usize, now: SimTime) {
        self.heard[cell] = now.into();
    }

    /// Notes an arrival. `rule` is that of the peer. Returns whether the peer was taken for down until now.
    #[inline(always)]
    pub fn hear(&mut self, cell: usize, rule: &Rule, now: SimTime) -> bool {
        let now = CoarseTime::from(now);
        let before = std::mem::replace(&mut self.heard[cell], now);
        if before == CoarseTime::NEVER {
            return true;
        }
        if let Rule::Phi { interval, .. } = *rule {
            let arrivals = &mut self.arrivals[cell];
            if arrivals.mean == 0.0 {
                // Silence since one's own start is no interval between arrivals.
                *arrivals = Arrivals::expected(interval);
            } else {
                arrivals.add(now.ticks_since(before));
            }
        }
        false
    }

    /// Takes a peer that says that it leaves for down. Returns whether it was taken for up until now.
    pub fn leave(&mut self, cell: usize) -> bool {
        std::mem::replace(&mut self.heard[cell], CoarseTime::NEVER) != CoarseTime::NEVER
    }

    /// Looks at the peers of `cells`, all of which follow `rule`, and calls `on_down` with the cell of each that is taken
    /// for down from now on.
    #[inline(always)]
    pub fn look(&mut self, cells: Range<usize>, rule: &Rule, now: SimTime, mut on_down: impl FnMut(usize)) {
        match *rule {
            Rule::Timeout { limit } => {
                let since = SimTime::from_nanos(now.as_nanos().saturating_sub(limit.as_nanos())).into();
                for (heard, cell) in self.heard[cells.clone()].iter_mut().zip(cells) {
                    if *heard < since && *heard != CoarseTime::NEVER {
                        *heard = CoarseTime::NEVER;
                        on_down(cell);
                    }
                }
            }
            Rule::Phi { interval, z } => {
                let now = CoarseTime::from(now);
                let peers = self.heard[cells.clone()].iter_mut().zip(&mut self.arrivals[cells.clone()]);
                for ((heard, arrivals), cell) in peers.zip(cells) {
                    let silent = now.ticks_since(*heard);
                    if silent as f32 > arrivals.limit(interval, z) && *heard != CoarseTime::NEVER {
                        *heard = CoarseTime::NEVER;
                        if arrivals.mean != 0.0 {
                            arrivals.add(silent);
                        }
                        on_down(cell);
                    }
                }
            }
        }
    }

    /// The node to which `cells` belong starts anew: with a detector, silence counts from `now`, otherwise nothing was
    /// heard.
    pub fn forget(&mut self, cells: Range<usize>, detector: Option<&Detector>, now: SimTime) {
        let start = if detector.is_some() { now.into() } else { CoarseTime::NEVER };
        self.heard[cells.clone()].fill(start);
        if !self.arrivals.is_empty() {
            self.arrivals[cells].fill(Arrivals::default());
        }
    }

    /// Starts loading what [`Watch::hear`] will touch, and the first of what [`Watch::look`] will.
    #[inline(always)]
    pub fn prefetch(&self, cell: usize) {
        self.heard.prefetch(cell);
        if !self.arrivals.is_empty() {
            self.arrivals.prefetch(cell);
        }
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.heard.bytes() + self.arrivals.bytes()
    }
}

/// By how many standard deviations a normal quantity exceeds its mean with a chance of `10^-threshold`. To within 1e-9
/// up to a threshold of 300.
fn normal_tail_quantile(threshold: f64) -> f64 {
    // Phi grows with z, so halving an interval that holds the value always works.
    let (mut low, mut high) = (-38.0, 38.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if phi(middle) < threshold {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Minus the decimal logarithm of the chance that a normal quantity exceeds its mean by more than `z` standard
/// deviations.
fn phi(z: f64) -> f64 {
    -libm::log10(libm::erfc(z / std::f64::consts::SQRT_2) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: SimSpan = SimSpan::from_secs(10);
    const MILLI: u64 = 1_000_000;

    fn at(millis: u64) -> SimTime {
        SimTime::from_nanos(millis * MILLI)
    }

    /// The cells of the watch that are newly taken for down at `millis`.
    fn downs(watch: &mut Watch, rule: &Rule, millis: u64) -> Vec<usize> {
        let mut downs = Vec::new();
        let cells = watch.heard.len();
        watch.look(0..cells, rule, at(millis), |cell| downs.push(cell));
        downs
    }

    #[test]
    fn a_timeout_waits_for_so_many_intervals_and_a_half() {
        for missed in [1, 3, 100] {
            let detector = Detector::Timeout { missed };
            let rule = detector.rule(INTERVAL);
            let limit = u64::from(missed) * 10_000 + 5_000;
            let mut watch = Watch::new(3, Some(&detector));
            // Cell 0 is never heard, so its silence counts from the start; cell 2 is heard last.
            assert!(!watch.hear(1, &rule, at(4_000)) && !watch.hear(2, &rule, at(8_000)));
            assert!(downs(&mut watch, &rule, limit).is_empty());
            assert_eq!(downs(&mut watch, &rule, limit + 2), [0]);
            assert_eq!(downs(&mut watch, &rule, limit + 4_002), [1]);
            assert!(downs(&mut watch, &rule, limit + 4_002).is_empty(), "a verdict falls once");
            assert_eq!(watch.heard()[..2], [CoarseTime::NEVER; 2]);
            // It is up again when it is heard, and silence counts anew.
            let back = limit + 5_000;
            assert!(watch.hear(1, &rule, at(back)) && !watch.hear(1, &rule, at(back)));
            assert_eq!(downs(&mut watch, &rule, back + limit), [2]);
            assert_eq!(downs(&mut watch, &rule, back + limit + 2), [1]);
            assert_eq!(detector.intervals(), missed + 1);
        }
    }

    #[test]
    fn who_leaves_is_down_at_once_and_for_once() {
        for detector in [Detector::Timeout { missed: 2 }, Detector::Phi { threshold: 8.0 }] {
            let rule = detector.rule(INTERVAL);
            let mut watch = Watch::new(2, Some(&detector));
            assert!(watch.leave(0) && !watch.leave(0));
            assert_eq!(downs(&mut watch, &rule, 900_000), [1]);
            assert!(!watch.leave(1), "it was taken for down already");
            assert!(watch.hear(0, &rule, at(900_001)));
        }
    }

    #[test]
    fn who_starts_anew_has_forgotten_what_it_took_others_for() {
        for (detector, before, after) in
            [(Detector::Timeout { missed: 2 }, 24_900, 25_100), (Detector::Phi { threshold: 8.0 }, 24_000, 24_100)]
        {
            let rule = detector.rule(INTERVAL);
            let mut watch = Watch::new(4, Some(&detector));
            for beat in 1..20 {
                watch.hear(1, &rule, at(beat * 5_000));
            }
            assert_eq!(downs(&mut watch, &rule, 800_000), [0, 1, 2, 3]);
            watch.forget(1..3, Some(&detector), at(900_000));
            assert!(downs(&mut watch, &rule, 900_000 + before).is_empty());
            assert_eq!(downs(&mut watch, &rule, 900_000 + after), [1, 2]);
        }
        let mut watch = Watch::new(2, None);
        watch.note(1, at(5));
        watch.forget(0..2, None, at(9));
        assert_eq!(watch.heard(), [CoarseTime::NEVER; 2]);
    }

    #[test]
    fn the_quantile_of_the_normal_tail_is_that_of_tables() {
        // One-sided quantiles of the normal distribution: 0.5, 0.1, 0.01, 0.001, 1e-6, 1e-8, 1e-12, 1e-30.
        let table = [
            (std::f64::consts::LOG10_2, 0.0),
            (1.0, 1.281_551_565_545),
            (2.0, 2.326_347_874_041),
            (3.0, 3.090_232_306_168),
            (6.0, 4.753_424_308_823),
            (8.0, 5.612_001_244_175),
            (12.0, 7.034_483_825_301),
            (30.0, 11.464_024_688_444),
        ];
        for (threshold, z) in table {
            let found = normal_tail_quantile(threshold);
            assert!((found - z).abs() < 1e-9, "{threshold}: {found}, expected {z}");
        }
        for tenths in 1..=300 {
            let threshold = f64::from(tenths) / 10.0;
            let back = phi(normal_tail_quantile(threshold));
            assert!((back - threshold).abs() < 1e-9 * threshold.max(1.0), "{threshold}: {back}");
        }
    }

    /// Phi as the paper defines it, of silence in ticks against the averages that the first `arrivals` of the times
    /// give, in double precision and without shortcuts.
    fn direct_phi(arrivals: &[u64], now: u64, interval: f64) -> f64 {
        let tick = CoarseTime::TICK.as_nanos() as f64;
        let interval = interval * 1e9 / tick;
        let ticks = |millis: u64| ((millis * MILLI) as f64 / tick).floor();
        let (mut mean, mut variance) = (interval, (interval / 4.0) * (interval / 4.0));
        for pair in arrivals.windows(2) {
            let off = ticks(pair[1]) - ticks(pair[0]) - mean;
            mean += off / 16.0;
            variance = (variance + off * off / 16.0) * 15.0 / 16.0;
        }
        let deviation = variance.sqrt().max(interval / 10.0);
        phi((ticks(now) - ticks(arrivals[arrivals.len() - 1]) - mean) / deviation)
    }

    #[test]
    fn a_peer_is_down_when_its_phi_exceeds_the_threshold() {
        for (seed, jitter) in [(1u64, 0), (2, 300), (3, 4_000)] {
            let mut arrivals = Vec::new();
            for beat in 1..60u64 {
                arrivals.push(beat * 10_000 + (beat * 7_919 * seed) % (jitter + 1));
                for threshold in [0.2, 1.0, 8.0, 20.0] {
                    let detector = Detector::Phi { threshold };
                    let rule = detector.rule(INTERVAL);
                    for silence in [3_000, 9_000, 10_500, 11_000, 15_000, 15_700, 18_000, 25_000, 60_000] {
                        let mut watch = Watch::new(1, Some(&detector));
                        for &time in &arrivals {
                            watch.hear(0, &rule, at(time));
                        }
                        let now = arrivals[arrivals.len() - 1] + silence;
                        let phi = direct_phi(&arrivals, now, 10.0);
                        if (phi - threshold).abs() > 1e-3 {
                            let expected: &[usize] = if phi > threshold { &[0] } else { &[] };
                            assert_eq!(downs(&mut watch, &rule, now), expected, "phi {phi}, threshold {threshold}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_false_alarm_makes_phi_more_patient_and_a_long_failure_does_not_spoil_it() {
        let detector = Detector::Phi { threshold: 8.0 };
        let rule = detector.rule(INTERVAL);
        let mut watch = Watch::new(1, Some(&detector));
        for beat in 1..=200 {
            watch.hear(0, &rule, at(beat * 10_000));
        }
        let limit = |watch: &Watch| {
            let Rule::Phi { interval, z } = rule else { panic!("{rule:?}") };
            watch.arrivals[0].limit(interval, z) * CoarseTime::TICK.as_nanos() as f32 / 1e9
        };
        let steady = limit(&watch);
        assert!((steady - 15.612).abs() < 0.01, "{steady} s: a tenth of the interval is the smallest deviation");
        assert_eq!(downs(&mut watch, &rule, 2_018_000), [0]);
        assert!(watch.hear(0, &rule, at(2_020_000)));
        let patient = limit(&watch);
        assert!(patient > steady + 2.0, "{patient} s");
        // Two hours of silence count as the 25 seconds after which they were noticed.
        assert_eq!(downs(&mut watch, &rule, 2_045_000), [0]);
        assert!(watch.hear(0, &rule, at(9_000_000)));
        assert!(limit(&watch) < 40.0, "{} s", limit(&watch));
        assert_eq!((detector.intervals(), Detector::Phi { threshold: 0.1 }.intervals()), (3, 1));
    }

    #[test]
    fn what_is_off_takes_no_memory() {
        let bytes = |detector| Watch::new(100, detector).bytes();
        assert_eq!(bytes(None), 400);
        assert_eq!(bytes(Some(&Detector::Timeout { missed: 3 })), 400);
        assert_eq!(bytes(Some(&Detector::Phi { threshold: 8.0 })), 1_200);
    }
}
