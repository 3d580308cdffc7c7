//! Which nodes of a partition are up, and who comes or goes next.

use std::io;

use super::checkpoint::{CheckpointError, Decoder, Encoder};
use super::context::WindowPlan;
use super::event::{Alarm, Windows};
use super::lives::{Life, Lives};
use super::side::{Pending, Side, SideQueue};
use super::stream::Pool;
use super::wheel::TimerWheel;
use crate::contract::{Column, Here, NodeId, Nodes, SimTime, prefetch};
use crate::metrics::{LifeEvent, Turn};

/// What stands for "down" in [`Living::born`]; no node has so many effects.
const DOWN: u32 = u32::MAX;
/// Turns come after everything else that happens to their node at the same time.
const LAST: u64 = u64::MAX;

/// A partition whose nodes come and go: four bytes and a bit a node, and an alarm for every node that has a turn ahead.
#[derive(Debug)]
pub(super) struct Living {
    /// The sequence number at which each node joined last: timers with smaller ones are of an earlier life. [`DOWN`] for
    /// a node that is down.
    born: Column<u32>,
    /// Whether each node is up, a bit a node, where messages look.
    up: Vec<u64>,
    turns: TimerWheel<(Turn, Life)>,
    alarms: Pool<Alarm<(Turn, Life)>>,
    /// The turns of the current window.
    due: Vec<(Turn, Life)>,
    log: Vec<LifeEvent>,
}

impl Living {
    /// All of `nodes` are up.
    pub(super) fn new(nodes: &Nodes) -> Self {
        Living {
            born: Column::filled(nodes.len(), 0),
            up: vec![u64::MAX; nodes.len().div_ceil(64)],
            turns: TimerWheel::new(),
            alarms: Pool::new(),
            due: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Begins the life of the node `here`. Returns whether it is up.
    pub(super) fn start(&mut self, lives: &Lives, here: Here, windows: Windows) -> bool {
        let life = lives.start(here.id);
        if !life.up {
            self.take_down(here.index);
            self.log.push(LifeEvent { time: SimTime::ZERO, node: here.id, turn: Turn::Left });
        }
        if let Some((time, turn, life)) = lives.next(here.id, life, SimTime::ZERO) {
            let alarm = Alarm { time: time.as_nanos(), index: here.index as u32, sequence: 0, timer: (turn, life) };
            self.turns.insert(alarm, windows, &mut self.alarms);
        }
        life.up
    }

    /// Goes on to the window of `plan` and adds its turns to `side`.
    pub(super) fn advance<M: Copy, T: Copy>(&mut self, plan: WindowPlan, windows: Windows, side: &mut SideQueue<M, T>) {
        self.due.clear();
        let due = &mut self.due;
        self.turns.advance(plan.window, windows, &mut self.alarms, |alarm| {
            let offset = windows.offset(alarm.time);
            if offset < plan.end_offset {
                side.add(alarm.index, offset, LAST, Side::Turn(due.len() as u32));
                due.push(alarm.timer);
            }
        });
    }

    /// The first window after the current one in which a node may come or go.
    pub(super) fn next(&self, windows: Windows) -> Option<u64> {
        self.turns.next(windows)
    }

    /// Turn number `number` of the window.
    pub(super) fn turn(&self, number: u32) -> Turn {
        self.due[number as usize].0
    }

    /// Whether the node with `index` is up.
    #[inline(always)]
    pub(super) fn is_up(&self, index: usize) -> bool {
        self.up[index / 64] >> (index % 64) & 1 == 1
    }

    /// Whether a timer that the node with `index` set with `sequence` still counts.
    #[inline(always)]
    pub(super) fn is_current(&self, index: usize, sequence: u32) -> bool {
        // No sequence number is as large as the one that stands for "down".
        self.born[index] <= sequence
    }

    /// Brings the node with `index` up; its effects from `sequence` on are of its new life.
    pub(super) fn bring_up(&mut self, index: usize, sequence: u32) {
        self.born[index] = sequence;
        self.up[index / 64] |= 1 << (index % 64);
    }

    /// Takes the node with `index` down.
    pub(super) fn take_down(&mut self, index: usize) {
        self.born[index] = DOWN;
        self.up[index / 64] &= !(1 << (index % 64));
    }

    /// Notes that turn `number` of the window has happened to the node `here` at `now`, and looks for its next one.
    #[expect(clippy::too_many_arguments, reason = "what happened, to whom, and what is next")]
    pub(super) fn go_on<M: Copy, T: Copy>(
        &mut self,
        lives: &Lives,
        here: Here,
        now: u64,
        number: u32,
        plan: WindowPlan,
        windows: Windows,
        side: &mut SideQueue<M, T>,
    ) {
        let (turn, life) = self.due[number as usize];
        let now = SimTime::from_nanos(now);
        self.log.push(LifeEvent { time: now, node: here.id, turn });
        let Some((time, turn, life)) = lives.next(here.id, life, now) else { return };
        let time = time.as_nanos();
        if windows.of(time) > plan.window {
            let alarm = Alarm { time, index: here.index as u32, sequence: 0, timer: (turn, life) };
            self.turns.insert(alarm, windows, &mut self.alarms);
        } else {
            let what = Side::Turn(self.due.len() as u32);
            self.due.push((turn, life));
            side.push_pending(Pending { offset: windows.offset(time), tie: LAST, what });
        }
    }

    /// Starts loading what tells whether the node with `index` is up.
    #[inline(always)]
    pub(super) fn prefetch_up(&self, index: usize) {
        prefetch(&self.up, index / 64);
    }

    /// Starts loading what tells whether a timer of the node with `index` still counts.
    #[inline(always)]
    pub(super) fn prefetch(&self, index: usize) {
        self.born.prefetch(index);
    }

    /// Writes all of it, between two windows.
    pub(super) fn save(&self, to: &mut Encoder<'_>) -> io::Result<()> {
        to.put(&self.born)?;
        to.put(&self.log)?;
        self.turns.save(to, |to, turn| to.put(turn))
    }

    /// What was written of so many `nodes`, when `window` was the current one.
    pub(super) fn load(
        from: &mut Decoder<'_>,
        nodes: &Nodes,
        window: u64,
        windows: Windows,
    ) -> Result<Self, CheckpointError> {
        let mut living = Living::new(nodes);
        living.born = from.get()?;
        if living.born.len() != nodes.len() {
            return Err(CheckpointError::damaged("it has the lives of another number of nodes"));
        }
        for index in (0..nodes.len()).filter(|&index| living.born[index] == DOWN) {
            living.up[index / 64] &= !(1 << (index % 64));
        }
        living.log = from.get()?;
        living.turns = TimerWheel::load(from, (window, windows), nodes.len(), &mut living.alarms, |from| from.get())?;
        Ok(living)
    }

    /// What happened, node by node in the order of time.
    pub(super) fn into_log(self) -> Vec<LifeEvent> {
        self.log
    }

    pub(super) fn bytes(&self) -> usize {
        let flags = self.born.bytes() + self.up.capacity() * 8;
        flags + self.turns.bytes() + self.alarms.bytes() + self.log.capacity() * size_of::<LifeEvent>()
    }
}

/// The sender and the sequence number that a probe sees of a turn.
pub(super) const NOBODY: (NodeId, u32) = (NodeId::MAX, u32::MAX);
