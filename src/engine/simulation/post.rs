//! The way to other ranks: they agree on what is next, swap the messages that are due then, and rank 0 gathers the outcome.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::checkpoint::{Decoder, Encoder, Keeper};
use super::super::event::Windows;
use super::super::lane::Lane;
use super::super::network::Network;
use super::super::outbox::Trip;
use super::super::probe::Probe;
use super::super::ranks::{Ranks, Remote, SAME_PROGRAM};
use super::super::team::lock;
use super::windows::Crew;
use super::{Job, Outcome, Run, Survey};
use crate::contract::{Places, Population, Protocol, SimSpan};
use crate::metrics::{Judgement, LifeEvent, LinkDelays, Spread, StoredHistogram, Traffic};

/// The way of a run to other ranks.
pub(super) struct Post<'a> {
    ranks: &'a dyn Ranks,
    /// Whether rank 0 wants the states of all nodes.
    with_states: bool,
    pace: Pace,
    mail: RwLock<Mail>,
    bytes: AtomicU64,
    exchanges: AtomicU64,
    meetings: AtomicU64,
    /// The first window that ranks have to meet for.
    horizon: AtomicU64,
    /// The horizon at which the run was kept last.
    kept: AtomicU64,
}

/// When ranks meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Before every window with events.
    Windows,
    /// Once for so many blocks: what a rank sends to another in one stretch of them is due in a later one.
    Blocks(u64),
}

impl Pace {
    /// The pace of ranks between which a message takes at least `apart`, in windows of which a trip may have `blocks_max`
    /// blocks.
    pub(super) fn new(windows: Windows, apart: SimSpan, blocks_max: u64) -> Self {
        let blocks = ((apart.as_nanos() / windows.length()) >> windows.block_log2()).min(blocks_max);
        let is_longer = blocks > 1 || (blocks == 1 && windows.block_log2() > 0);
        if is_longer { Pace::Blocks(blocks) } else { Pace::Windows }
    }

    /// The time between two meetings.
    fn span(self, windows: Windows) -> SimSpan {
        SimSpan::from_nanos(match self {
            Pace::Windows => windows.length(),
            Pace::Blocks(blocks) => windows.length() * (blocks << windows.block_log2()),
        })
    }

    /// The number of the stretch that `window` is in.
    fn stretch(self, windows: Windows, window: u64) -> u64 {
        match self {
            Pace::Windows => window,
            Pace::Blocks(blocks) => windows.block(window) / blocks,
        }
    }
}

/// The time between two meetings of ranks, where messages take from `smallest` to `largest`, and at least `apart` from one
/// rank to another; in a run without boundaries of slices that are closer to each other.
pub fn meeting_span(smallest: SimSpan, largest: SimSpan, apart: SimSpan) -> SimSpan {
    let windows = Windows::for_delays(smallest.as_nanos(), largest.as_nanos());
    Pace::new(windows, apart, u64::MAX).span(windows)
}

/// What goes to each rank, and what came from each.
#[derive(Default)]
struct Mail {
    outgoing: Vec<Vec<u8>>,
    incoming: Vec<Vec<u8>>,
}

/// What a rank does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Handle this window.
    Window(u64),
    /// Keep the run as it stands: all ranks have handled all windows up to this one.
    Keep(u64),
}

impl<P: Protocol, N: Network, O: Probe> Run<'_, P, N, O> {
    /// What this rank does next, of which `survey` tells; `None` if nothing is left to happen anywhere. Where ranks have to
    /// meet for it, they agree on what is next, and send each other what is due until they meet again.
    ///
    /// The run is kept if the `keeper` of a rank wants it to be, now that all have handled everything up to the same window: the
    /// window `after`, or, where ranks meet only now and then, the one before they meet.
    pub(super) fn agree(
        &self,
        survey: &Survey,
        after: Option<u64>,
        keeper: Option<&dyn Keeper>,
        crew: &Crew<'_>,
    ) -> Option<Next> {
        let is_wanted = || keeper.is_some_and(|keeper| keeper.is_wanted());
        let Some(post) = &self.post else {
            return after.filter(|_| is_wanted()).map(Next::Keep).or(survey.next.map(Next::Window));
        };
        let (windows, end) = (self.shared.windows, self.settings.end.as_nanos());
        // No rank leaves before all have come to the end.
        let mut own = survey.next.filter(|&window| windows.start(window) < end);
        loop {
            let horizon = post.horizon.load(Ordering::Relaxed);
            if let Some(window) = own.filter(|&window| window < horizon) {
                return Some(Next::Window(window));
            }
            let handled = match post.pace {
                Pace::Windows => after,
                // Once is enough.
                Pace::Blocks(_) if post.kept.load(Ordering::Relaxed) == horizon => None,
                Pace::Blocks(_) => horizon.checked_sub(1),
            };
            let is_mailed = |window| {
                let trip = self.trip(post.pace, window);
                self.lanes.iter().any(|lane| lock(lane).core.outbox.has_foreign(trip, self.settings.share))
            };
            let stretch = |window| post.pace.stretch(windows, window);
            // The largest of the first tells the first stretch, and whether anybody has mail for it.
            let first = own.map_or(0, |window| (!stretch(window)) << 1 | u64::from(is_mailed(window)));
            let mut agreed = [first, u64::from(handled.is_some() && is_wanted())];
            post.ranks.max(&mut agreed);
            post.meetings.fetch_add(1, Ordering::Relaxed);
            let [first, is_kept] = agreed;
            if first <= 1 {
                return None;
            }
            if let Some(handled) = handled.filter(|_| is_kept > 0) {
                post.kept.store(horizon, Ordering::Relaxed);
                return Some(Next::Keep(handled));
            }
            let (stretch, is_mailed) = (!(first >> 1) & (u64::MAX >> 1), first & 1 == 1);
            let first = match post.pace {
                Pace::Windows => stretch,
                Pace::Blocks(blocks) => windows.first_of(stretch * blocks),
            };
            if is_mailed {
                self.ship(self.trip(post.pace, first), crew);
            }
            match post.pace {
                Pace::Windows => return Some(Next::Window(first)),
                Pace::Blocks(blocks) => post.horizon.store(windows.first_of((stretch + 1) * blocks), Ordering::Relaxed),
            }
            let next = self.lanes.iter().filter_map(|lane| lock(lane).next).min();
            own = next.filter(|&window| windows.start(window) < end);
        }
    }

    /// What is sent for the stretch that `window` is in.
    fn trip(&self, pace: Pace, window: u64) -> Trip {
        match pace {
            Pace::Windows => lock(&self.lanes[0]).core.outbox.trip_of(window),
            Pace::Blocks(count) => Trip::Blocks { first: self.shared.windows.block(window) / count * count, count },
        }
    }

    /// Sends what goes to partitions of other ranks on `trip`, and takes what they send.
    fn ship(&self, trip: Trip, crew: &Crew<'_>) {
        let Some(post) = &self.post else { return };
        crew.spread(0, Job::Pack(trip));
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
        crew.spread(0, Job::Unpack(trip));
    }

    /// Takes what came for `lane`, which has this `number`, on `trip`.
    pub(super) fn unpack_into(&self, lane: &mut Lane<P, O>, number: usize, trip: Trip) {
        let Some(post) = &self.post else { return };
        let (share, lanes) = (self.settings.share, self.lanes.len());
        let mail = post.mail.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        lane.unpack(trip, &mail.incoming, self.shared.windows, |partition| share.place(partition) % lanes == number);
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
    pub(super) fn new(ranks: &'a dyn Ranks, with_states: bool, pace: Pace) -> Self {
        let boxes = || vec![Vec::new(); ranks.share().ranks()];
        Post {
            ranks,
            with_states,
            pace,
            mail: RwLock::new(Mail { outgoing: boxes(), incoming: boxes() }),
            bytes: AtomicU64::new(0),
            exchanges: AtomicU64::new(0),
            meetings: AtomicU64::new(0),
            horizon: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        }
    }

    /// Goes on where everything before `window` was handled, and every rank has the messages to its nodes: until the end of
    /// the stretch that `window` is in, none can come from another rank.
    pub(super) fn go_on(&self, windows: Windows, window: u64) {
        if let Pace::Blocks(blocks) = self.pace {
            let stretch = self.pace.stretch(windows, window);
            self.horizon.store(windows.first_of((stretch + 1) * blocks), Ordering::Relaxed);
        }
    }

    /// The sum of `own` over all ranks.
    pub(super) fn sum(&self, own: u64) -> u64 {
        let mut sum = [own];
        self.ranks.sum(&mut sum);
        sum[0]
    }

    /// The most windows that any rank handled, this one having handled `own`.
    pub(super) fn windows(&self, own: u64) -> u64 {
        let mut most = [own];
        self.ranks.max(&mut most);
        most[0]
    }

    /// What went from rank to rank in all, `lanes` being those of this rank.
    ///
    /// # Panics
    /// If not all of it arrived.
    pub(super) fn remote<P: Protocol, O>(&self, lanes: &[Lane<P, O>], windows: Windows) -> Remote {
        let of = |count: fn(&Lane<P, O>) -> u64| lanes.iter().map(count).sum::<u64>();
        let bytes = self.bytes.load(Ordering::Relaxed);
        let mut sums = [of(|lane| lane.shipped), of(|lane| lane.landed), bytes];
        self.ranks.sum(&mut sums);
        let [messages, landed, bytes] = sums;
        assert_eq!(messages, landed, "messages that went to another rank, and that came from one");
        Remote {
            messages,
            bytes,
            exchanges: self.exchanges.load(Ordering::Relaxed),
            meetings: self.meetings.load(Ordering::Relaxed),
            lookahead: self.pace.span(windows),
        }
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
    pub(super) fn gather<P: Protocol, O>(&self, outcome: &mut Outcome<P, O>, population: Population, places: &Places) {
        // Nothing is on its way any more.
        *self.mail.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Mail::default();
        let is_first = self.ranks.share().rank() == 0;
        let own = (!is_first).then(|| Part {
            slices: std::mem::take(&mut outcome.slices),
            delays: outcome.delays.iter().map(StoredHistogram::of).collect(),
            links: std::mem::take(&mut outcome.links),
            digest: outcome.digest,
            events: outcome.events,
            in_flight: outcome.in_flight,
            bytes: outcome.bytes,
            state_bytes: outcome.state_bytes,
            // Each rank knows how its own nodes fared.
            lives: outcome.lives.clone(),
            judgements: std::mem::take(&mut outcome.judgements),
        });
        gather(self.ranks, own.as_ref()).for_each(|part| outcome.absorb(part));
        // Nobody asks for the states of a run that was broken off.
        if self.with_states && outcome.stopped.is_none() {
            self.gather_states(outcome, population, places);
        }
    }

    /// Brings the states of all partitions to rank 0, one by one.
    fn gather_states<P: Protocol, O>(&self, outcome: &mut Outcome<P, O>, population: Population, places: &Places) {
        let share = self.ranks.share();
        let ranks = share.ranks();
        let mut own = std::mem::take(&mut outcome.states).into_iter();
        let (mut outgoing, mut incoming) = (vec![Vec::new(); ranks], vec![Vec::new(); ranks]);
        for partition in 0..1 << places.partitions_log2() {
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
                    let nodes = places.nodes(population, partition);
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

/// Brings what the other ranks have to rank 0, which gets it in the order of their numbers; those get nothing. All ranks must
/// call this; rank 0 need not have anything.
pub fn gather<T: Serialize + DeserializeOwned>(ranks: &dyn Ranks, own: Option<&T>) -> impl Iterator<Item = T> + use<T> {
    let share = ranks.share();
    let (mut outgoing, mut incoming) = (vec![Vec::new(); share.ranks()], vec![Vec::new(); share.ranks()]);
    if share.rank() > 0 {
        outgoing[0] = own.map_or_else(Vec::new, encoded);
    }
    ranks.swap(&outgoing, &mut incoming);
    let others = if share.rank() == 0 { incoming.split_off(1) } else { Vec::new() };
    others.into_iter().map(|bytes| decoded(&bytes))
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes);
    encoder.put(value).and_then(|()| encoder.finish()).expect("memory takes all that is written");
    bytes
}

fn decoded<T: DeserializeOwned>(mut bytes: &[u8]) -> T {
    let len = bytes.len() as u64;
    Decoder::new(&mut bytes, len).get().expect(SAME_PROGRAM)
}
