//! The way to other ranks: they agree on the next window, swap messages at its beginning, and rank 0 gathers the outcome.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::super::checkpoint::{Decoder, Encoder};
use super::super::lane::Lane;
use super::super::network::Network;
use super::super::outbox::Due;
use super::super::probe::Probe;
use super::super::ranks::{Ranks, Remote, SAME_PROGRAM};
use super::super::team::lock;
use super::{Job, Outcome, Run, Survey};
use crate::contract::{Nodes, Population, Protocol};
use crate::metrics::{Judgement, LifeEvent, LinkDelays, Spread, StoredHistogram, Traffic};

/// The way of a run to other ranks.
pub(super) struct Post<'a> {
    ranks: &'a dyn Ranks,
    /// Whether rank 0 wants the states of all nodes.
    with_states: bool,
    mail: RwLock<Mail>,
    bytes: AtomicU64,
    exchanges: AtomicU64,
}

/// What goes to each rank, and what came from each.
struct Mail {
    outgoing: Vec<Vec<u8>>,
    incoming: Vec<Vec<u8>>,
}

/// What all ranks do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// The window; `None` if nothing is left to happen.
    pub(super) window: Option<u64>,
    /// Whether messages go from rank to rank before it.
    is_mailed: bool,
    /// Whether anybody wants the run to be kept as it stands.
    pub(super) is_kept: bool,
}

impl<P: Protocol, N: Network, O: Probe> Run<'_, P, N, O> {
    /// What is next in the whole run, of which `survey` tells the part of this rank, and `is_kept` whether it is to be kept.
    pub(super) fn agree(&self, survey: &Survey, is_kept: bool) -> Next {
        let Some(post) = &self.post else { return Next { window: survey.next, is_mailed: false, is_kept } };
        let share = self.settings.share;
        let is_mailed = |window| self.lanes.iter().any(|lane| lock(lane).core.outbox.has_foreign(window, share));
        // The largest of the first tells the first window, and whether anybody has mail for it.
        let first = survey.next.map_or(0, |window| (!window) << 1 | u64::from(is_mailed(window)));
        let mut agreed = [first, u64::from(is_kept)];
        post.ranks.max(&mut agreed);
        let [first, is_kept] = agreed;
        let window = (first > 1).then_some(!(first >> 1) & (u64::MAX >> 1));
        Next { window, is_mailed: first & 1 == 1, is_kept: is_kept > 0 }
    }

    /// Sends what is due to partitions of other ranks, and takes what they send, if anybody sends anything. `spread` does a
    /// job in all lanes.
    pub(super) fn ship(&self, due: Due, next: Next, spread: &dyn Fn(Job)) {
        let Some(post) = self.post.as_ref().filter(|_| next.is_mailed) else { return };
        spread(Job::Pack(due));
        {
            let Mail { outgoing, incoming } = &mut *post.mail.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            outgoing.iter_mut().for_each(Vec::clear);
            for lane in &self.lanes {
                for (all, packed) in outgoing.iter_mut().zip(&mut lock(lane).packed) {
                    match all.is_empty() {
                        true => std::mem::swap(all, packed),
                        false => all.extend_from_slice(packed),
                    }
                    packed.clear();
                }
            }
            post.ranks.swap(outgoing, incoming);
            post.bytes.fetch_add(outgoing.iter().map(|bytes| bytes.len() as u64).sum(), Ordering::Relaxed);
            post.exchanges.fetch_add(1, Ordering::Relaxed);
        }
        spread(Job::Unpack);
    }

    /// Takes what came for `lane`, which has this `number`.
    pub(super) fn unpack_into(&self, lane: &mut Lane<P, O>, number: usize) {
        let Some(post) = &self.post else { return };
        let (share, lanes) = (self.settings.share, self.lanes.len());
        let place = |partition| {
            let place = share.place(partition);
            (place % lanes == number).then_some(place / lanes)
        };
        let mail = post.mail.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        lane.unpack(&mail.incoming, place);
    }
}

/// What rank 0 adds up of the outcomes of others.
#[derive(Serialize, Deserialize)]
struct Part {
    slices: Vec<Traffic>,
    delays: Vec<StoredHistogram>,
    links: Vec<LinkDelays>,
    digest: u64,
    events: u64,
    in_flight: u64,
    bytes: usize,
    state_bytes: u64,
    lives: Vec<LifeEvent>,
    judgements: Vec<Judgement>,
}

impl<'a> Post<'a> {
    pub(super) fn new(ranks: &'a dyn Ranks, with_states: bool) -> Self {
        let boxes = || vec![Vec::new(); ranks.share().ranks()];
        Post {
            ranks,
            with_states,
            mail: RwLock::new(Mail { outgoing: boxes(), incoming: boxes() }),
            bytes: AtomicU64::new(0),
            exchanges: AtomicU64::new(0),
        }
    }

    /// The sum of `own` over all ranks.
    pub(super) fn sum(&self, own: u64) -> u64 {
        let mut sum = [own];
        self.ranks.sum(&mut sum);
        sum[0]
    }

    /// What went from rank to rank in all, `lanes` being those of this rank.
    ///
    /// # Panics
    /// If not all of it arrived.
    pub(super) fn remote<P: Protocol, O>(&self, lanes: &[Lane<P, O>]) -> Remote {
        let of = |count: fn(&Lane<P, O>) -> u64| lanes.iter().map(count).sum::<u64>();
        let bytes = self.bytes.load(Ordering::Relaxed);
        let mut sums = [of(|lane| lane.shipped), of(|lane| lane.landed), bytes];
        self.ranks.sum(&mut sums);
        let [messages, landed, bytes] = sums;
        assert_eq!(messages, landed, "messages that went to another rank, and that came from one");
        Remote { messages, bytes, exchanges: self.exchanges.load(Ordering::Relaxed) }
    }

    /// The spread of the values of all ranks, of which these are the ones of this rank; `None` if there are none. Finds the
    /// percentile byte by byte, so that no rank needs the values of others.
    pub(super) fn spread(&self, values: &[u64]) -> Option<Spread> {
        let (low, high) =
            values.iter().fold((0, 0), |(low, high), value| (low + (value & 0xffff_ffff), high + (value >> 32)));
        let mut sums = [values.len() as u64, low, high];
        self.ranks.sum(&mut sums);
        let [count, low, high] = sums;
        if count == 0 {
            return None;
        }
        let mut max = [values.iter().copied().max().unwrap_or(0)];
        self.ranks.max(&mut max);
        let (mut p99, mut rank) = (0u64, (count * 99).div_ceil(100) - 1);
        for shift in (0..u64::BITS).step_by(8).rev() {
            let mut counts = [0u64; 256];
            // Those that begin with what is known of the percentile.
            let known = |value: u64| value.checked_shr(shift + 8).unwrap_or(0);
            for value in values.iter().filter(|&&value| known(value) == known(p99)) {
                counts[(value >> shift & 0xff) as usize] += 1;
            }
            self.ranks.sum(&mut counts);
            let mut byte = 0;
            while rank >= counts[byte] {
                rank -= counts[byte];
                byte += 1;
            }
            p99 |= (byte as u64) << shift;
        }
        let sum = (u128::from(high) << 32) + u128::from(low);
        Some(Spread { mean: sum as f64 / count as f64, p99, max: max[0] })
    }

    /// Adds the parts of all ranks to the outcome of rank 0, which takes them out of those of the others.
    pub(super) fn gather<P: Protocol, O>(
        &self,
        outcome: &mut Outcome<P, O>,
        population: Population,
        partitions_log2: u32,
    ) {
        let mut mail = self.mail.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Mail { outgoing, incoming } = &mut *mail;
        *outgoing = vec![Vec::new(); outgoing.len()];
        let is_first = self.ranks.share().rank() == 0;
        if !is_first {
            outgoing[0] = encoded(&Part {
                slices: std::mem::take(&mut outcome.slices),
                delays: outcome.delays.iter().map(StoredHistogram::of).collect(),
                links: std::mem::take(&mut outcome.links),
                digest: outcome.digest,
                events: outcome.events,
                in_flight: outcome.in_flight,
                bytes: outcome.bytes,
                state_bytes: outcome.state_bytes,
                lives: std::mem::take(&mut outcome.lives),
                judgements: std::mem::take(&mut outcome.judgements),
            });
        }
        self.ranks.swap(outgoing, incoming);
        if is_first {
            incoming.iter().skip(1).for_each(|part| outcome.absorb(decoded(part)));
        }
        // Nobody asks for the states of a run that was broken off.
        if self.with_states && outcome.stopped.is_none() {
            self.gather_states(outcome, mail.outgoing.len(), population, partitions_log2);
        }
    }

    /// Brings the states of all partitions to rank 0, one by one.
    fn gather_states<P: Protocol, O>(
        &self,
        outcome: &mut Outcome<P, O>,
        ranks: usize,
        population: Population,
        partitions_log2: u32,
    ) {
        let share = self.ranks.share();
        let mut own = std::mem::take(&mut outcome.states).into_iter();
        let (mut outgoing, mut incoming) = (vec![Vec::new(); ranks], vec![Vec::new(); ranks]);
        for partition in 0..1 << partitions_log2 {
            let holder = share.holder(partition);
            if holder == 0 && share.rank() == 0 {
                outcome.states.extend(own.next());
            } else if holder != 0 {
                outgoing[0] = if share.holds(partition) {
                    own.next().map_or_else(Vec::new, |(_, state)| encoded(&state))
                } else {
                    Vec::new()
                };
                self.ranks.swap(&outgoing, &mut incoming);
                if share.rank() == 0 {
                    let nodes = Nodes::partition(population, partition, partitions_log2);
                    outcome.states.push((nodes, decoded(&incoming[holder])));
                }
            }
        }
    }
}

impl<P: Protocol, O> Outcome<P, O> {
    /// Adds what another rank counted.
    fn absorb(&mut self, part: Part) {
        self.slices.iter_mut().zip(&part.slices).for_each(|(sum, more)| *sum += more);
        for (sum, more) in self.delays.iter_mut().zip(&part.delays) {
            let more = more.histogram().expect(SAME_PROGRAM);
            sum.add(more).expect("histograms that grow can be added");
        }
        self.links.iter_mut().zip(&part.links).for_each(|(sum, more)| sum.add(more));
        self.digest = self.digest.wrapping_add(part.digest);
        self.events += part.events;
        // A rank that got more messages than it sent has fewer than none.
        self.in_flight = self.in_flight.wrapping_add(part.in_flight);
        self.bytes += part.bytes;
        self.state_bytes += part.state_bytes;
        self.lives.extend(part.lives);
        self.judgements.extend(part.judgements);
    }
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes);
    encoder.put(value).and_then(|()| encoder.finish()).expect("memory takes all that is written");
    bytes
}

fn decoded<T: serde::de::DeserializeOwned>(mut bytes: &[u8]) -> T {
    let len = bytes.len() as u64;
    Decoder::new(&mut bytes, len).get().expect(SAME_PROGRAM)
}
