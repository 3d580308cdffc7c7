//! Going from window to window: what is done in each, and by how many threads; that nothing is lost; and keeping the run.

use std::io::Write;
use std::sync::atomic::Ordering;

use super::super::checkpoint::{Keeper, Snapshot, Standing};
use super::super::inbox::Inbox;
use super::super::lane::Lane;
use super::super::network::Network;
use super::super::outbox::Due;
use super::super::probe::Probe;
use super::super::tally::KindTotals;
use super::super::team::{Team, lock};
use super::post::Next;
use super::slices::Slices;
use super::{Ended, Job, Progress, Run, Survey, Violation};
use crate::contract::{Protocol, SimTime};

/// Windows with fewer events per thread than this, on average, are handled by one thread: handing them out would take
/// longer.
const PARALLEL_EVENTS_MIN: u64 = 16;
/// The average goes over about so many windows. What changed threads from one window to the next would find nothing in
/// its cache.
const WINDOWS_AVERAGED: u64 = 64;
/// A window with so many times as many messages as that is handed out whatever came before it.
const PARALLEL_AT_ONCE: u64 = 8;

/// Does jobs in all lanes: each in its thread, or, where that would take longer, one after the other in this one.
pub(super) struct Crew<'a> {
    all_lanes: &'a dyn Fn(Job),
    one_lane: &'a dyn Fn(usize, Job),
    lanes: usize,
    /// Events of a window for which it pays to hand them out.
    threshold: u64,
    /// Events of the last windows, on average, times their number.
    recent: u64,
}

impl<'a> Crew<'a> {
    /// `all_lanes` does a job in all of so many lanes, each in its thread; `one_lane` does it in one of them, in this thread.
    fn new(lanes: usize, all_lanes: &'a dyn Fn(Job), one_lane: &'a dyn Fn(usize, Job)) -> Self {
        let threshold = PARALLEL_EVENTS_MIN * lanes as u64;
        Crew { all_lanes, one_lane, lanes, threshold, recent: threshold * WINDOWS_AVERAGED }
    }

    /// Does `job`, with so many `messages`.
    pub(super) fn spread(&self, messages: u64, job: Job) {
        if self.recent / WINDOWS_AVERAGED >= self.threshold || messages >= PARALLEL_AT_ONCE * self.threshold {
            (self.all_lanes)(job);
        } else {
            (0..self.lanes).for_each(|lane| (self.one_lane)(lane, job));
        }
    }

    /// A window had so many events.
    fn note(&mut self, events: u64) {
        self.recent = self.recent - self.recent / WINDOWS_AVERAGED + events;
    }
}

impl<P: Protocol, N: Network, O: Probe> Run<'_, P, N, O> {
    /// Runs to the end with a thread for each lane.
    pub(super) fn run_windows(
        &mut self,
        progress: &Progress,
        keeper: Option<&mut dyn Keeper>,
    ) -> Result<Ended, Violation> {
        let run = &*self;
        let work = |number: usize, job: Job| {
            let mut lane = lock(&run.lanes[number]);
            match job {
                Job::Start(plan) => lane.start(&run.shared, plan),
                Job::Open(block) => lane.open_block(&run.shared, block),
                Job::Run(plan) => lane.run(&run.shared, plan),
                Job::Pack(trip) => lane.pack(trip, run.settings.share),
                Job::Unpack(trip) => run.unpack_into(&mut lane, number, trip),
            }
        };
        Team::gather(self.lanes.len(), work, |all_lanes| {
            run.go_through_windows(progress, keeper, Crew::new(self.lanes.len(), all_lanes, &work))
        })
    }

    fn go_through_windows(
        &self,
        progress: &Progress,
        mut keeper: Option<&mut dyn Keeper>,
        mut crew: Crew<'_>,
    ) -> Result<Ended, Violation> {
        let (windows, end) = (self.shared.windows, self.settings.end.as_nanos());
        let mut slices = Slices::new(&self.settings);
        let Standing { mut handled, mut opened, .. } = match self.restored {
            Some(standing) => {
                slices.pass_first(standing.passed);
                if let Some(post) = &self.post {
                    post.go_on(windows, standing.window + 1);
                }
                standing
            }
            None => {
                (crew.all_lanes)(Job::Start(slices.plan(0, &windows, end, 0)));
                Standing::default()
            }
        };
        let (mut survey, mut next) = self.look_round(SimTime::ZERO, None, keeper.as_deref(), &crew)?;
        while let Some(step) = next {
            let window = match step {
                Next::Window(window) => window,
                Next::Keep(after) => {
                    if let Some(keeper) = keeper.as_deref_mut()
                        && let Some(ended) = self.keep(after, handled, &mut slices, &survey, keeper)
                    {
                        return Ok(ended);
                    }
                    next = self.agree(&survey, None, keeper.as_deref(), &crew);
                    continue;
                }
            };
            let (start, block) = (windows.start(window), windows.block(window));
            if start >= end {
                break;
            }
            let time = SimTime::from_nanos(start);
            if windows.block_log2() > 0 && block > opened {
                opened = block;
                self.exchange(Due::Block(block));
                crew.spread(0, Job::Open(block));
                // Only now is the first window of the block known that has anything to do.
                (survey, next) = self.look_round(time, None, keeper.as_deref(), &crew)?;
                continue;
            }
            self.close_slices(slices.pass(start));
            let messages = self.exchange(Due::Window(window));
            let plan = slices.plan(window, &windows, end, self.index_max(&survey));
            crew.spread(messages, Job::Run(plan));
            handled += 1;
            let events_before = survey.events;
            (survey, next) = self.look_round(time, Some(window), keeper.as_deref(), &crew)?;
            crew.note(survey.events - events_before);
            progress.now.store(start, Ordering::Relaxed);
            progress.events.store(survey.events, Ordering::Relaxed);
        }
        self.close_slices(slices.pass(u64::MAX));
        Ok(Ended { windows: handled, stopped: None })
    }

    /// Hands the run to `keeper` as it stands on all ranks, every window up to `window` being handled. Returns where it ends,
    /// if it is broken off here.
    fn keep(
        &self,
        window: u64,
        handled: u64,
        slices: &mut Slices,
        survey: &Survey,
        keeper: &mut dyn Keeper,
    ) -> Option<Ended> {
        let windows = self.shared.windows;
        let start = windows.start(window);
        // The last windows may have had nothing to do on this rank.
        self.close_slices(slices.pass(start));
        let opened = if windows.block_log2() == 0 { 0 } else { windows.block(window) };
        let standing = Standing { window, handled, opened, passed: slices.passed(), index_max: survey.index_max };
        let write = |piece: usize, out: &mut dyn Write| self.save(piece, standing, out);
        let (time, pieces) = (SimTime::from_nanos(start), self.lanes.len());
        let snapshot = Snapshot { time, events: survey.events, pieces, write: &write };
        let until = windows.start(window.saturating_add(1));
        let is_broken = keeper.keep(&snapshot).is_break() && until < self.settings.end.as_nanos();
        is_broken.then_some(Ended { windows: handled, stopped: Some(SimTime::from_nanos(until)) })
    }

    /// Passes so many boundaries between slices.
    fn close_slices(&self, passed: usize) {
        for lane in &self.lanes {
            (0..passed).for_each(|_| lock(lane).core.tally.close_slice());
        }
    }

    /// The largest index that a message was ever sent to, when messages of other ranks have come after `survey`.
    fn index_max(&self, survey: &Survey) -> u32 {
        if self.post.is_none() {
            return survey.index_max;
        }
        self.lanes.iter().map(|lane| lock(lane).core.outbox.index_max()).max().unwrap_or(0)
    }

    /// Looks at all lanes after a window that began at `time`, and finds what to do next, of which other ranks may have to be
    /// asked: see [`Run::agree`].
    ///
    /// # Errors
    /// As [`Run::survey`].
    fn look_round(
        &self,
        time: SimTime,
        after: Option<u64>,
        keeper: Option<&dyn Keeper>,
        crew: &Crew<'_>,
    ) -> Result<(Survey, Option<Next>), Violation> {
        let survey = self.survey(time)?;
        let next = self.agree(&survey, after, keeper, crew);
        Ok((survey, next))
    }

    /// Swaps messages that are due: from the lanes that sent them to the partitions of this rank that they are for. Returns
    /// how many there are now.
    fn exchange(&self, due: Due) -> u64 {
        let (lanes, share) = (self.lanes.len(), self.settings.share);
        let mut messages = 0;
        for sender in 0..lanes {
            let Lane { inboxes, core, .. } = &mut *lock(&self.lanes[sender]);
            let mut repaid = Inbox::new();
            core.outbox.take(due, |partition, from| {
                assert!(
                    share.holds(partition as u32),
                    "messages to partition {partition} have not been sent to its rank"
                );
                messages += from.len() as u64;
                let partition = share.place(partition as u32);
                if partition % lanes == sender {
                    inboxes[partition / lanes].append(from);
                } else {
                    let receiver = &mut *lock(&self.lanes[partition % lanes]);
                    receiver.core.outbox.repay(from, &mut repaid);
                    receiver.inboxes[partition / lanes].append(from);
                }
            });
            core.outbox.take_over(&mut repaid);
        }
        messages
    }

    /// Looks at all lanes after a window that began at `time`.
    ///
    /// # Errors
    /// Unless sent = received + dropped + in flight, for every kind.
    fn survey(&self, time: SimTime) -> Result<Survey, Violation> {
        /// Most protocols have fewer, and what they have not is not to be cleared at every window.
        const KINDS_AT_ONCE: usize = 16;
        let mut survey = Survey { next: None, events: 0, index_max: 0 };
        for (part, kinds) in self.shared.protocol.kinds().chunks(KINDS_AT_ONCE).enumerate() {
            let first = part * KINDS_AT_ONCE;
            let (mut totals, mut in_flight) = ([KindTotals::default(); KINDS_AT_ONCE], [0; KINDS_AT_ONCE]);
            survey = Survey { next: None, events: 0, index_max: 0 };
            for lane in &self.lanes {
                let lane = lock(lane);
                survey.next = survey.next.into_iter().chain(lane.next).min();
                survey.events += lane.core.tally.events;
                survey.index_max = survey.index_max.max(lane.core.outbox.index_max());
                for (kind, sum) in totals.iter_mut().enumerate().take(kinds.len()) {
                    *sum += lane.core.tally.totals(first + kind);
                    in_flight[kind] += lane.core.tally.queued[first + kind];
                }
            }
            for ((&kind, totals), in_flight) in kinds.iter().zip(totals).zip(in_flight) {
                let KindTotals { sent, received, dropped } = totals;
                if i128::from(sent) != i128::from(received) + i128::from(dropped) + i128::from(in_flight) {
                    return Err(Violation { kind, time, sent, received, dropped, in_flight, seed: self.settings.seed });
                }
            }
        }
        Ok(survey)
    }
}
