//! The access links of a partition's nodes, and the messages that wait in their downlinks.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::capacity::Wire;
use super::checkpoint::{CheckpointError, Decoder, Encoder};
use super::context::WindowPlan;
use super::event::{Alarm, Windows};
use super::side::{Pending, Side, SideQueue};
use super::stream::Pool;
use super::wheel::TimerWheel;
use crate::contract::{Column, NodeId};

/// No payload.
const NO_PAYLOAD: u32 = u32::MAX;

/// Both directions of every node's link: 16 bytes a node, and what waits in downlinks.
#[derive(Debug)]
pub(super) struct Access<M: Copy> {
    pub(super) uplinks: Column<Wire>,
    pub(super) downlinks: Column<Wire>,
    parked: TimerWheel<Parked<M>>,
    alarms: Pool<Alarm<Parked<M>>>,
    payloads: Vec<Box<[u8]>>,
    /// Places of `payloads` that are free.
    free: Vec<u32>,
}

/// A message in a downlink.
#[derive(Clone, Copy, Debug)]
struct Parked<M> {
    from: NodeId,
    message: M,
    payload: u32,
}

impl<M: Copy> Access<M> {
    /// Idle links of `nodes` nodes.
    pub(super) fn new(nodes: usize) -> Self {
        Access {
            uplinks: Column::filled(nodes, Wire::default()),
            downlinks: Column::filled(nodes, Wire::default()),
            parked: TimerWheel::new(),
            alarms: Pool::new(),
            payloads: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Keeps a message of `from` to the node with `index`, until its last bit is through at `time`.
    #[expect(clippy::too_many_arguments, reason = "a message, where it is, and where it goes")]
    pub(super) fn park<T: Copy>(
        &mut self,
        (from, sequence): (NodeId, u32),
        index: u32,
        time: u64,
        message: M,
        payload: &[u8],
        plan: WindowPlan,
        windows: Windows,
        side: &mut SideQueue<M, T>,
    ) {
        let later = windows.of(time) > plan.window;
        if time == u64::MAX || (!later && windows.offset(time) >= plan.end_offset) {
            // The run ends before: the message stays under way.
            return;
        }
        let payload = self.store(payload);
        if later {
            let timer = Parked { from, message, payload };
            self.parked.insert(Alarm { time, index, sequence, timer }, windows, &mut self.alarms);
        } else {
            let tie = u64::from(from) << 32 | u64::from(sequence);
            let what = Side::Parked { message, payload };
            side.push_pending(Pending { offset: windows.offset(time), tie, what });
        }
    }

    /// Goes on to the window of `plan` and adds what comes through in it to `side`.
    pub(super) fn advance<T: Copy>(&mut self, plan: WindowPlan, windows: Windows, side: &mut SideQueue<M, T>) {
        self.parked.advance(plan.window, windows, &mut self.alarms, |alarm| {
            let offset = windows.offset(alarm.time);
            if offset < plan.end_offset {
                let Parked { from, message, payload } = alarm.timer;
                let tie = u64::from(from) << 32 | u64::from(alarm.sequence);
                side.add(alarm.index, offset, tie, Side::Parked { message, payload });
            }
        });
    }

    /// The first window after the current one in which a message may come through.
    pub(super) fn next(&self, windows: Windows) -> Option<u64> {
        self.parked.next(windows)
    }

    fn store(&mut self, payload: &[u8]) -> u32 {
        if payload.is_empty() {
            return NO_PAYLOAD;
        }
        if let Some(place) = self.free.pop() {
            self.payloads[place as usize] = payload.into();
            return place;
        }
        self.payloads.push(payload.into());
        (self.payloads.len() - 1) as u32
    }

    /// Takes out the payload that was stored as `number`.
    pub(super) fn take_payload(&mut self, number: u32) -> Box<[u8]> {
        if number == NO_PAYLOAD {
            return Box::default();
        }
        self.free.push(number);
        std::mem::take(&mut self.payloads[number as usize])
    }

    /// Writes all of it, between two windows.
    pub(super) fn save(&self, to: &mut Encoder<'_>) -> io::Result<()>
    where
        M: Serialize,
    {
        to.put(&self.uplinks)?;
        to.put(&self.downlinks)?;
        self.parked.save(to, |to, parked| {
            let payload = if parked.payload == NO_PAYLOAD { &[] } else { &*self.payloads[parked.payload as usize] };
            to.put(&(parked.from, parked.message, payload))
        })
    }

    /// What was written of so many `nodes`, when `window` was the current one.
    pub(super) fn load(
        from: &mut Decoder<'_>,
        nodes: usize,
        window: u64,
        windows: Windows,
    ) -> Result<Self, CheckpointError>
    where
        M: DeserializeOwned,
    {
        let mut access = Access::new(0);
        (access.uplinks, access.downlinks) = (from.get()?, from.get()?);
        if access.uplinks.len() != nodes || access.downlinks.len() != nodes {
            return Err(CheckpointError::damaged("it has the links of another number of nodes"));
        }
        let mut alarms = Pool::new();
        access.parked = TimerWheel::load(from, (window, windows), nodes, &mut alarms, |from| {
            let (from, message, payload): (NodeId, M, Vec<u8>) = from.get()?;
            Ok(Parked { from, message, payload: access.store(&payload) })
        })?;
        access.alarms = alarms;
        Ok(access)
    }

    pub(super) fn bytes(&self) -> usize {
        let payloads: usize = self.payloads.iter().map(|payload| payload.len() + size_of::<Box<[u8]>>()).sum();
        self.uplinks.bytes() + self.downlinks.bytes() + self.parked.bytes() + self.alarms.bytes() + payloads
    }
}
