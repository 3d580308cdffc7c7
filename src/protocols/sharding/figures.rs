//! How records are spread, what moving them took, and what was missing when.

use serde::{Deserialize, Serialize};

use super::{Sharding, ShardingState};
use crate::contract::{NodeId, Nodes, SimTime};

/// What was sent and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardingCounts {
    /// Changes that the registrar announced: nodes that went down, that became members, and that leave.
    pub changes: [u64; 3],
    /// How often it did.
    pub epochs: u64,
    /// Views that the registrar sent to nodes that had an old one.
    pub views: u64,
    /// Records in batches, each time that they were sent.
    pub sent: u64,
    /// Records that a node did not have and now keeps.
    pub stored: u64,
    /// Records that a node was sent and had already.
    pub repeated: u64,
    /// Records that nodes have given to others and keep no more.
    pub dropped: u64,
    /// Records in batches that were given up because nobody confirmed them.
    pub abandoned: u64,
    /// Records in offers.
    pub offered: u64,
    /// Records that were asked for because an offer showed that they were missing.
    pub asked: u64,
    /// Nodes that left when they had handed over all.
    pub drained: u64,
    /// Messages that could not be understood, or that came from somebody who does not send such.
    pub rejected: u64,
}

impl ShardingCounts {
    fn merge(&mut self, other: &Self) {
        self.changes.iter_mut().zip(other.changes).for_each(|(own, more)| *own += more);
        self.epochs += other.epochs;
        self.views += other.views;
        self.sent += other.sent;
        self.stored += other.stored;
        self.repeated += other.repeated;
        self.dropped += other.dropped;
        self.abandoned += other.abandoned;
        self.offered += other.offered;
        self.asked += other.asked;
        self.drained += other.drained;
        self.rejected += other.rejected;
    }
}

/// How records are spread over nodes, of a partition or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardingFigures {
    /// Full nodes that are up and stay.
    pub nodes: u64,
    /// Bytes of a record, its address included.
    pub record_bytes: u64,
    /// Replicas that there are to be of each record.
    pub wanted: u64,
    /// Replicas on nodes that are up.
    pub replicas: u64,
    /// Of these, those on nodes that stay.
    pub load: u64,
    /// Most and fewest records of a node.
    pub most: u64,
    /// As above.
    pub fewest: u64,
    /// The squares of the nodes' numbers of records, added up.
    squares: u128,
    /// How many replicas each record has.
    by_record: Vec<u8>,
    /// What was sent.
    pub counts: ShardingCounts,
}

impl ShardingFigures {
    /// Adds those of another partition of the same run.
    pub fn merge(&mut self, other: &Self) {
        self.fewest = match (self.nodes, other.nodes) {
            (0, _) => other.fewest,
            (_, 0) => self.fewest,
            _ => self.fewest.min(other.fewest),
        };
        self.most = self.most.max(other.most);
        self.nodes += other.nodes;
        self.record_bytes = self.record_bytes.max(other.record_bytes);
        self.wanted = self.wanted.max(other.wanted);
        self.replicas += other.replicas;
        self.load += other.load;
        self.squares += other.squares;
        self.by_record.resize(self.by_record.len().max(other.by_record.len()), 0);
        let pairs = self.by_record.iter_mut().zip(&other.by_record);
        pairs.for_each(|(own, more)| *own = own.saturating_add(*more));
        self.counts.merge(&other.counts);
    }

    /// Mean records of a node; zero without nodes.
    pub fn mean(&self) -> f64 {
        if self.nodes > 0 { self.load as f64 / self.nodes as f64 } else { 0.0 }
    }

    /// Standard deviation of the records of a node; zero without nodes.
    pub fn deviation(&self) -> f64 {
        // Exact up to the root: n * squares - sum^2 is an integer and not negative.
        let (nodes, sum) = (u128::from(self.nodes), u128::from(self.load));
        let spread = (nodes * self.squares).saturating_sub(sum * sum);
        if nodes > 0 { (spread as f64).sqrt() / self.nodes as f64 } else { 0.0 }
    }

    /// Most records of a node by the mean; 1 is perfect balance. Zero without records.
    pub fn imbalance(&self) -> f64 {
        if self.load > 0 { self.most as f64 / self.mean() } else { 0.0 }
    }

    /// How many records have `0..=9` replicas; those with more count as 9.
    pub fn by_replicas(&self) -> [u64; 10] {
        let mut counts = [0; 10];
        self.by_record.iter().for_each(|&replicas| counts[usize::from(replicas.min(9))] += 1);
        counts
    }

    /// Records without a replica.
    pub fn lost(&self) -> u64 {
        self.by_replicas()[0]
    }

    /// Records that have a replica, but fewer than there are to be.
    pub fn under_replicated(&self) -> u64 {
        let wanted = self.wanted.min(u64::from(u8::MAX)) as u8;
        self.by_record.iter().filter(|&&replicas| replicas > 0 && replicas < wanted).count() as u64
    }

    /// Changes of membership that were announced.
    pub fn changes(&self) -> u64 {
        self.counts.changes.iter().sum()
    }

    /// Records that moved for each change of membership; zero without changes.
    pub fn moved_per_change(&self) -> f64 {
        let changes = self.changes();
        if changes > 0 { self.counts.stored as f64 / changes as f64 } else { 0.0 }
    }

    /// Records that must move for each change: the share of one among `members`. Nothing can do with less, because as
    /// many replicas go with who leaves, and who joins is to have as many as others.
    pub fn least_per_change(&self, members: u64) -> f64 {
        let replicas = self.by_record.len() as f64 * self.wanted as f64;
        if members > 0 { replicas / members as f64 } else { 0.0 }
    }
}

/// A replica that a node has stored or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TraceEntry {
    /// When.
    pub time: SimTime,
    /// Who.
    pub node: NodeId,
    /// Which record, and in the highest bit whether it was dropped.
    record: u32,
}

const DROPPED: u32 = 1 << 31;

impl TraceEntry {
    pub(super) const fn stored(time: SimTime, node: NodeId, record: u32) -> Self {
        TraceEntry { time, node, record }
    }

    pub(super) const fn dropped(time: SimTime, node: NodeId, record: u32) -> Self {
        TraceEntry { time, node, record: record | DROPPED }
    }
}

/// How many records were missing replicas at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The moment.
    pub time: SimTime,
    /// Records with fewer replicas on nodes that are up than there are to be, but one at least.
    pub under_replicated: u64,
    /// Records without any.
    pub lost: u64,
}

/// What records missed over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// At the times that were asked for.
    pub at: Vec<Missing>,
    /// Most records at once that had fewer replicas than there are to be, and when.
    pub worst: Missing,
    /// Since when no record but those that are lost missed a replica; `None` if some did to the end.
    pub full_since: Option<SimTime>,
}

/// Goes through what was stored and dropped, and counts replicas on nodes that are up.
struct Replay {
    held: Vec<Vec<u32>>,
    replicas: Vec<u8>,
    first: NodeId,
    wanted: u8,
    under: u64,
    lost: u64,
}

impl Replay {
    fn add(&mut self, record: u32, is_more: bool) {
        let replicas = &mut self.replicas[record as usize];
        let class = |replicas: u8| (u64::from(replicas > 0 && replicas < self.wanted), u64::from(replicas == 0));
        let before = class(*replicas);
        *replicas = if is_more { replicas.saturating_add(1) } else { replicas.saturating_sub(1) };
        let after = class(*replicas);
        self.under = self.under + after.0 - before.0;
        self.lost = self.lost + after.1 - before.1;
    }

    fn step(&mut self, entry: &TraceEntry) {
        let (record, is_dropped) = (entry.record & !DROPPED, entry.record & DROPPED != 0);
        let held = &mut self.held[(entry.node - self.first) as usize];
        if is_dropped {
            let Some(place) = held.iter().position(|&other| other == record) else { return };
            held.swap_remove(place);
        } else {
            held.push(record);
        }
        self.add(record, !is_dropped);
    }

    fn crash(&mut self, node: NodeId) {
        for record in std::mem::take(&mut self.held[(node - self.first) as usize]) {
            self.add(record, false);
        }
    }
}

impl Sharding {
    /// How the records of a partition are spread at the end of the run, over the nodes that `is_up` says.
    pub fn figures(&self, nodes: &Nodes, state: &ShardingState, is_up: impl Fn(NodeId) -> bool) -> ShardingFigures {
        let mut figures = ShardingFigures {
            record_bytes: u64::from(self.options.value_len) + 32,
            wanted: self.options.replicas as u64,
            by_record: vec![0; self.options.records as usize],
            counts: state.counts.clone(),
            ..ShardingFigures::default()
        };
        for (place, keeper) in state.keepers.iter().enumerate() {
            if !is_up(nodes.id(state.first + place)) {
                continue;
            }
            for &record in &keeper.held {
                let replicas = &mut figures.by_record[record as usize];
                *replicas = replicas.saturating_add(1);
            }
            let held = keeper.held.len() as u64;
            figures.replicas += held;
            // Who leaves is no longer among those that share the load.
            if !keeper.leaves {
                figures.load += held;
                figures.squares += u128::from(held) * u128::from(held);
                figures.most = figures.most.max(held);
                figures.fewest = if figures.nodes == 0 { held } else { figures.fewest.min(held) };
                figures.nodes += 1;
            }
        }
        figures
    }

    /// What records missed over time: from the traces of all partitions, and from who went down when. `at` ascends.
    /// Takes four bytes a replica, and for each drop a search among what the node holds.
    pub fn replication<'a>(
        &self,
        traces: impl Iterator<Item = &'a [TraceEntry]>,
        downs: &[(SimTime, NodeId)],
        at: &[SimTime],
    ) -> Replication {
        let fulls = self.fulls();
        let mut held = vec![Vec::new(); fulls.len()];
        for (record, owners) in self.start_owners() {
            owners.iter().for_each(|&owner| held[(owner - fulls.start) as usize].push(record));
        }
        let wanted = self.placer.replicas().min(fulls.len()) as u8;
        let replicas = vec![wanted; self.options.records as usize];
        let mut replay = Replay { held, replicas, first: fulls.start, wanted, under: 0, lost: 0 };
        let mut entries: Vec<TraceEntry> = traces.flatten().copied().collect();
        // A node's entries are in order already, and this keeps them so.
        entries.sort_by_key(|entry| entry.time);
        let mut downs = downs.iter().filter(|(_, node)| fulls.contains(node)).copied().peekable();
        let (mut at, mut points) = (at.iter().copied().peekable(), Vec::new());
        let mut worst = Missing { time: SimTime::ZERO, under_replicated: 0, lost: 0 };
        let mut full_since = Some(SimTime::ZERO);
        let mut entries = entries.iter().peekable();
        loop {
            // What a node does at the very moment of its crash, it did before.
            let (entry, down) = (entries.peek().map(|entry| entry.time), downs.peek().map(|&(time, _)| time));
            let next = entry.into_iter().chain(down).min();
            while let Some(time) = at.next_if(|&time| next.is_none_or(|next| time < next)) {
                points.push(Missing { time, under_replicated: replay.under, lost: replay.lost });
            }
            let Some(time) = next else { break };
            // All of a moment at once: what several nodes do then has no order that means anything.
            while let Some(entry) = entries.next_if(|entry| entry.time == time) {
                replay.step(entry);
            }
            while let Some((_, node)) = downs.next_if(|&(down, _)| down == time) {
                replay.crash(node);
            }
            if replay.under > worst.under_replicated {
                worst = Missing { time, under_replicated: replay.under, lost: replay.lost };
            }
            full_since = if replay.under > 0 { None } else { full_since.or(Some(time)) };
        }
        Replication { at: points, worst, full_since }
    }
}
