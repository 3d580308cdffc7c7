//! What the nodes of a partition remember: 24 bytes a device; a full node its replicas and what is under way.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::driver::Driver;
use super::figures::RegistryFigures;
use super::gateways::{Flow, Route};
use super::replica::{Replica, Sendings};
use super::{DRIVER, RegistryMessage, RegistryService};
use crate::contract::{Column, Here, NodeId, NodeType, Nodes, SimTime, exact};

/// What a device remembers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Client {
    /// When its last operation was due.
    pub(super) started: SimTime,
    /// Which of the users that it registered it knows to be registered.
    pub(super) known: u64,
    /// Of its last operation.
    pub(super) number: u16,
    /// How often it asked; 0 if nothing is under way.
    pub(super) attempts: u8,
    /// How many users it has begun to register.
    pub(super) registered: u8,
    /// What it does, as a number.
    pub(super) operation: u8,
    /// Which parent it asks first.
    pub(super) parent: u8,
}

impl Client {
    /// What a crash takes.
    pub(super) fn forget(&mut self) {
        self.attempts = 0;
        self.number = self.number.wrapping_add(1);
    }
}

/// A message that waits until the node has time to send it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) due: SimTime,
    pub(super) to: NodeId,
    pub(super) message: RegistryMessage,
    pub(super) payload: Vec<u8>,
}

/// What a full node remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Full {
    /// By shard.
    pub(super) replicas: Vec<Replica>,
    /// Shards that it kept, and who led them when it was dismissed.
    pub(super) former: BTreeMap<u32, NodeId>,
    pub(super) flows: BTreeMap<u32, Flow>,
    pub(super) next_flow: u32,
    /// Shards that others keep than at the start, or that others lead.
    pub(super) routes: BTreeMap<u32, Route>,
    /// Until when it is busy.
    pub(super) busy: SimTime,
    #[serde(with = "exact")]
    pub(super) outbox: VecDeque<Item>,
    /// Whether a timer runs for it.
    pub(super) is_timed: bool,
    pub(super) leaves: bool,
}

impl Full {
    /// What a crash takes: all but its disk.
    pub(super) fn restart(&mut self, now: SimTime) {
        self.replicas.iter_mut().for_each(|replica| replica.restart(now));
        self.flows.clear();
        self.routes.clear();
        self.outbox.clear();
        (self.busy, self.is_timed) = (now, false);
    }

    /// Where the replica of `shard` stands, or would.
    pub(super) fn place(&self, shard: u32) -> Result<usize, usize> {
        self.replicas.binary_search_by_key(&shard, |replica| replica.shard)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.replicas.iter().map(Replica::bytes).sum::<usize>()
            + self.former.len() * 8
            + self.flows.len() * (4 + size_of::<Flow>())
            + self.routes.len() * (4 + size_of::<Route>())
            + self.outbox.capacity() * size_of::<Item>()
    }
}

/// What the nodes of a partition remember, and what they found.
#[derive(Debug, Serialize, Deserialize)]
pub struct RegistryState {
    /// Where the full nodes begin, and the devices.
    pub(super) starts: [usize; 2],
    pub(super) fulls: Vec<Full>,
    pub(super) clients: Column<Client>,
    pub(super) driver: Option<Box<Driver>>,
    pub(super) figures: RegistryFigures,
    /// What is about to be sent.
    pub(super) out: Sendings,
    /// The payload that is being made.
    pub(super) payload: Vec<u8>,
}

impl RegistryState {
    pub(super) fn new(service: &RegistryService, nodes: &Nodes) -> Self {
        let starts = [nodes.end_of(NodeType::SuperNode), nodes.end_of(NodeType::FullNode)];
        let mut fulls: Vec<Full> = (starts[0]..starts[1]).map(|_| Full::default()).collect();
        let directory = service.directory();
        for shard in 0..directory.shards.count() {
            let members = directory.shards.at_start(shard);
            let held = directory.base.records(shard).iter().sum();
            for (node, index) in members.iter().filter_map(|&node| Some((node, nodes.index_of(node)?))) {
                fulls[index - starts[0]].replicas.push(Replica::new(shard, members, node, held));
            }
        }
        fulls.iter_mut().for_each(|full| full.replicas.shrink_to_fit());
        RegistryState {
            starts,
            fulls,
            clients: Column::filled(nodes.len() - starts[1], Client::default()),
            driver: nodes.index_of(DRIVER).map(|_| Box::new(Driver::new(service))),
            figures: RegistryFigures::default(),
            out: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// What was found.
    pub fn figures(&self) -> &RegistryFigures {
        &self.figures
    }

    /// The replicas of the full node at `index` of the partition, by shard; none of other nodes.
    pub fn replicas(&self, index: usize) -> &[Replica] {
        index.checked_sub(self.starts[0]).and_then(|place| self.fulls.get(place)).map_or(&[], |full| &full.replicas)
    }

    pub(super) fn full(&mut self, here: Here) -> &mut Full {
        &mut self.fulls[here.index - self.starts[0]]
    }

    pub(super) fn client(&mut self, here: Here) -> &mut Client {
        &mut self.clients[here.index - self.starts[1]]
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, index: usize) {
        match index.checked_sub(self.starts[1]) {
            Some(place) => self.clients.prefetch(place),
            None => crate::contract::prefetch(&self.fulls, index.saturating_sub(self.starts[0])),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let fulls: usize = self.fulls.iter().map(Full::bytes).sum();
        fulls + self.clients.bytes() + self.driver.as_ref().map_or(0, |driver| driver.bytes())
    }
}
