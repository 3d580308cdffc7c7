//! Counts of messages and bytes by flow, message kind and node type, in fixed slots.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::contract::NodeType;

/// Messages and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many messages.
    pub messages: u64,
    /// Their length as the protocol encodes them, in bytes, without IP and UDP headers.
    pub bytes: u64,
}

impl Count {
    /// Bytes on the wire when every message also carries `header` bytes.
    pub fn wire_bytes(&self, header: u32) -> u64 {
        self.bytes + self.messages * u64::from(header)
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// What became of a message, seen from one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Handed to the network; attributed to the sender's type and the time of sending.
    Sent,
    /// Handed to the receiver; attributed to the receiver's type and the time of arrival.
    Received,
    /// Dropped by the network at random; attributed to the sender's type and the time of sending.
    Lost,
    /// Dropped between two parts of a divided network; attributed as [`Flow::Lost`].
    Partitioned,
    /// Dropped because the queue of the sender's uplink was full; attributed as [`Flow::Lost`].
    UplinkFull,
    /// Dropped because the queue of the receiver's downlink was full; attributed to the receiver's type and the time of
    /// arrival.
    DownlinkFull,
    /// Dropped because the receiver was down when the message arrived; attributed to the receiver's type and the time of
    /// arrival.
    ReceiverDown,
}

impl Flow {
    /// Every flow.
    pub const ALL: [Flow; 7] = [
        Flow::Sent,
        Flow::Received,
        Flow::Lost,
        Flow::Partitioned,
        Flow::UplinkFull,
        Flow::DownlinkFull,
        Flow::ReceiverDown,
    ];
    /// The causes for which messages are dropped.
    pub const DROPS: [Flow; 5] =
        [Flow::Lost, Flow::Partitioned, Flow::UplinkFull, Flow::DownlinkFull, Flow::ReceiverDown];

    /// The name in result files.
    pub const fn name(self) -> &'static str {
        match self {
            Flow::Sent => "sent",
            Flow::Received => "received",
            Flow::Lost => "lost",
            Flow::Partitioned => "partitioned",
            Flow::UplinkFull => "uplink-full",
            Flow::DownlinkFull => "downlink-full",
            Flow::ReceiverDown => "receiver-down",
        }
    }
}

const TYPES: usize = NodeType::ALL.len();

/// Counts by flow, message kind and node type over some span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    kinds: usize,
    /// `[flow][kind][type]`, flattened.
    slots: Vec<Count>,
}

impl Traffic {
    /// No traffic of `kinds` kinds.
    pub fn new(kinds: usize) -> Self {
        Traffic { kinds, slots: vec![Count::default(); Flow::ALL.len() * kinds * TYPES] }
    }

    /// Whether it is of `kinds` kinds, and has all of their slots.
    pub(crate) fn is_of_kinds(&self, kinds: usize) -> bool {
        self.kinds == kinds && self.slots.len() == Flow::ALL.len() * kinds * TYPES
    }

    /// Number of message kinds.
    pub fn kinds(&self) -> usize {
        self.kinds
    }

    /// One slot.
    pub fn get(&self, flow: Flow, kind: usize, node_type: NodeType) -> Count {
        self.slots[self.slot(flow, kind, node_type)]
    }

    /// Adds to one slot.
    pub fn add(&mut self, flow: Flow, kind: usize, node_type: NodeType, count: Count) {
        let slot = self.slot(flow, kind, node_type);
        self.slots[slot] += count;
    }

    /// One kind over all node types.
    pub fn kind_total(&self, flow: Flow, kind: usize) -> Count {
        let mut total = Count::default();
        for node_type in NodeType::ALL {
            total += self.get(flow, kind, node_type);
        }
        total
    }

    /// What `pick` takes of every cause for which messages are dropped, added up.
    pub fn dropped(&self, pick: impl Fn(&Traffic, Flow) -> Count) -> Count {
        let mut total = Count::default();
        Flow::DROPS.into_iter().for_each(|cause| total += pick(self, cause));
        total
    }

    /// What `pick` takes of what was sent, received and, for whatever cause, lost.
    pub fn directions(&self, pick: impl Fn(&Traffic, Flow) -> Count) -> [(&'static str, Count); 3] {
        [
            (Flow::Sent.name(), pick(self, Flow::Sent)),
            (Flow::Received.name(), pick(self, Flow::Received)),
            (Flow::Lost.name(), self.dropped(pick)),
        ]
    }

    /// One flow over all kinds and node types.
    pub fn total(&self, flow: Flow) -> Count {
        let mut total = Count::default();
        for kind in 0..self.kinds {
            total += self.kind_total(flow, kind);
        }
        total
    }

    fn slot(&self, flow: Flow, kind: usize, node_type: NodeType) -> usize {
        (flow as usize * self.kinds + kind) * TYPES + node_type as usize
    }
}

impl AddAssign<&Traffic> for Traffic {
    /// # Panics
    /// If the two have different numbers of kinds.
    fn add_assign(&mut self, other: &Traffic) {
        assert_eq!(self.kinds, other.kinds, "traffic of different protocols cannot be added");
        for (slot, more) in self.slots.iter_mut().zip(&other.slots) {
            *slot += *more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_its_own_and_totals_add_them_up() {
        let mut traffic = Traffic::new(2);
        let mut expected = 0;
        for flow in Flow::ALL {
            for kind in 0..2 {
                for node_type in NodeType::ALL {
                    let messages = 1 << (flow as u64 * 8 + kind * 4 + node_type as u64);
                    traffic.add(flow, kind as usize, node_type, Count { messages, bytes: 10 * messages });
                    expected += messages * u64::from(flow == Flow::Received);
                }
            }
        }
        assert_eq!(traffic.get(Flow::Sent, 1, NodeType::FullNode), Count { messages: 1 << 5, bytes: 10 << 5 });
        assert_eq!(traffic.total(Flow::Received), Count { messages: expected, bytes: 10 * expected });
        let twice = {
            let mut sum = traffic.clone();
            sum += &traffic;
            sum
        };
        assert_eq!(twice.total(Flow::Lost).messages, 2 * traffic.total(Flow::Lost).messages);
        assert_eq!(Count { messages: 2, bytes: 200 }.wire_bytes(28), 256);
    }
}
