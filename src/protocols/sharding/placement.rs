//! Which members keep a record: four ways to place records, each a function of hash and members alone.

use super::shard::{ShardedState, shard_of};
use super::view::View;
use crate::contract::{Column, Domain, NodeId, Placement, RandomKey};

/// Most replicas of a record.
pub const REPLICAS_MAX: usize = 8;
/// Most virtual nodes of a member.
pub const VIRTUAL_NODES_MAX: u32 = 1_024;
/// Candidates of a fixed shard that are found beforehand, beyond its replicas.
const SPARE_CANDIDATES: usize = 12;

/// How records are placed. Each record is kept by as many members as there are to be replicas, or by all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardPlacement {
    /// As the documents write it: there are as many shards as members, and a member keeps the shard that is its rank
    /// among them, and those of the members before it as a replica. Every change moves nearly all records.
    Modulo,
    /// The documents' formula with a number of shards that does not change. Each shard is kept by the members that are
    /// first for it by rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
    /// IEEE/ACM Transactions on Networking 1998).
    FixedShards {
        /// How many shards; several times as many as members, for balance.
        shards: u32,
    },
    /// Members stand on a ring at several places each; a record is kept by those that follow its hash (Karger and
    /// others, "Consistent hashing and random trees", STOC 1997).
    ConsistentHashing {
        /// Places of each member, from 1 to [`VIRTUAL_NODES_MAX`].
        virtual_nodes: u32,
    },
    /// As consistent hashing, but which of the members that follow keep a record depends on where they stand.
    ByRegion {
        /// As above.
        virtual_nodes: u32,
        /// Which of them.
        rule: RegionRule,
    },
}

/// Where the replicas of a record stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionRule {
    /// In regions that differ, as far as there are such: a region may fail.
    Spread,
    /// In the region of the first of them, as far as it has so many members: they are near each other.
    Together,
}

impl ShardPlacement {
    /// The name in scenario and result files.
    pub const fn name(&self) -> &'static str {
        match self {
            ShardPlacement::Modulo => "modulo",
            ShardPlacement::FixedShards { .. } => "fixed-shards",
            ShardPlacement::ConsistentHashing { .. } => "consistent-hashing",
            ShardPlacement::ByRegion { rule: RegionRule::Spread, .. } => "region-spread",
            ShardPlacement::ByRegion { rule: RegionRule::Together, .. } => "region-together",
        }
    }
}

/// Who keeps a record, the first one first; all differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    nodes: [NodeId; REPLICAS_MAX],
    len: u8,
}

impl Owners {
    /// Adds an owner unless it is one already or there are [`REPLICAS_MAX`].
    fn add(&mut self, node: NodeId) {
        if !self.contains(&node) && self.len() < REPLICAS_MAX {
            self.nodes[self.len()] = node;
            self.len += 1;
        }
    }
}

impl std::ops::Deref for Owners {
    type Target = [NodeId];
    #[inline(always)]
    fn deref(&self) -> &[NodeId] {
        &self.nodes[..usize::from(self.len)]
    }
}

/// Finds who keeps a record.
#[derive(Debug)]
pub struct Placer {
    placement: ShardPlacement,
    first: NodeId,
    count: u32,
    replicas: usize,
    ring: Ring,
    /// Of fixed shards: the full nodes that come first for each, members or not.
    candidates: Column<NodeId>,
    /// Where each full node stands; empty if that does not matter.
    regions: Column<u8>,
    /// How many full nodes stand in each region.
    region_counts: Box<[u32]>,
    /// By node and shard: how much the one is for the other in rendezvous hashing. The same in every run.
    weights: RandomKey,
}

impl Placer {
    /// Places records on those of the full nodes `first..first + count` that are members, `replicas` of each. `regions`
    /// says where nodes stand, for [`ShardPlacement::ByRegion`].
    ///
    /// Takes 16 bytes for each place on the ring, or 4 for each candidate of a shard; shards take `O(shards * count)`
    /// time here.
    ///
    /// # Panics
    /// If `replicas` is zero or above [`REPLICAS_MAX`], if numbers are outside of the bounds that the placement states,
    /// or if it asks for regions and there are none.
    pub fn new(
        placement: ShardPlacement,
        first: NodeId,
        count: u32,
        replicas: usize,
        regions: Option<&Placement>,
    ) -> Self {
        assert!((1..=REPLICAS_MAX).contains(&replicas), "{replicas} replicas");
        let mut placer = Placer {
            placement,
            first,
            count,
            replicas,
            ring: Ring::default(),
            candidates: Column::default(),
            regions: Column::default(),
            region_counts: Box::default(),
            weights: RandomKey::new(0, Domain::Placement),
        };
        match placement {
            ShardPlacement::Modulo => {}
            ShardPlacement::FixedShards { shards } => {
                assert!(shards > 0, "there is at least one shard");
                placer.candidates = placer.find_candidates(shards);
            }
            ShardPlacement::ConsistentHashing { virtual_nodes } => placer.ring = Ring::new(first, count, virtual_nodes),
            ShardPlacement::ByRegion { virtual_nodes, .. } => {
                placer.ring = Ring::new(first, count, virtual_nodes);
                let regions = regions.expect("placement by region needs regions");
                let nodes = first..first + count;
                placer.regions = Column::collect(count as usize, nodes.map(|node| regions.region_of(node) as u8));
                placer.region_counts = vec![0; regions.regions()].into();
                placer.regions.iter().for_each(|&region| placer.region_counts[usize::from(region)] += 1);
            }
        }
        placer
    }

    /// How records are placed.
    pub fn placement(&self) -> ShardPlacement {
        self.placement
    }

    /// How many replicas there are to be.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// Memory that all nodes share, in bytes. A real node would hold it as well.
    pub fn bytes(&self) -> usize {
        self.ring.bytes() + self.candidates.bytes() + self.regions.bytes()
    }

    /// Who of the members of `view` keeps the record with this hash. None if there are no members.
    pub fn owners(&self, hash: u64, view: &View) -> Owners {
        let wanted = self.replicas.min(view.members().len());
        let mut owners = Owners::default();
        if wanted == 0 {
            return owners;
        }
        match self.placement {
            ShardPlacement::Modulo => {
                let members = view.members();
                let shard = shard_of(hash, members.len() as u32) as usize;
                (0..wanted).for_each(|next| owners.add(members[(shard + next) % members.len()]));
            }
            ShardPlacement::FixedShards { shards } => {
                self.shard_owners(shard_of(hash, shards), view, wanted, &mut owners)
            }
            ShardPlacement::ConsistentHashing { .. } => {
                let mut members = self.ring.from(hash).filter(|&node| view.contains(node));
                while owners.len() < wanted {
                    let Some(node) = members.next() else { break };
                    owners.add(node);
                }
            }
            ShardPlacement::ByRegion { rule, .. } => self.region_owners(hash, view, wanted, rule, &mut owners),
        }
        owners
    }

    /// The shard that a member keeps as the first of its owners, as the documents have it; `None` if it is no member, or
    /// records are placed otherwise.
    pub fn shard_of_member(&self, node: NodeId, view: &View) -> Option<ShardedState> {
        let rank = view.members().binary_search(&node).ok()?;
        let is_modulo = self.placement == ShardPlacement::Modulo;
        ShardedState::new(rank as u32, view.members().len() as u32).filter(|_| is_modulo)
    }

    fn shard_owners(&self, shard: u32, view: &View, wanted: usize, owners: &mut Owners) {
        let row = self.candidates_of_shard();
        let start = shard as usize * row;
        let candidates = &self.candidates[start..start + row];
        candidates.iter().filter(|&&node| view.contains(node)).take(wanted).for_each(|&node| owners.add(node));
        if owners.len() < wanted {
            // So many candidates have gone that the others must be asked as well.
            let mut best = Best::new(wanted);
            view.members().iter().for_each(|&node| best.add(self.weights.word(node, shard), node));
            *owners = Owners::default();
            best.nodes().for_each(|node| owners.add(node));
        }
    }

    fn candidates_of_shard(&self) -> usize {
        (self.replicas + SPARE_CANDIDATES).min(self.count as usize)
    }

    fn find_candidates(&self, shards: u32) -> Column<NodeId> {
        let row = self.candidates_of_shard();
        let mut candidates = Column::with_capacity(row * shards as usize);
        for shard in 0..shards {
            let mut best = Best::new(row);
            (self.first..self.first + self.count).for_each(|node| best.add(self.weights.word(node, shard), node));
            best.nodes().for_each(|node| candidates.push(node));
        }
        candidates
    }

    fn region_of(&self, node: NodeId) -> u8 {
        self.regions[(node - self.first) as usize]
    }

    fn region_owners(&self, hash: u64, view: &View, wanted: usize, rule: RegionRule, owners: &mut Owners) {
        let mut members = self.ring.from(hash).filter(|&node| view.contains(node));
        let Some(home) = members.next() else { return };
        owners.add(home);
        let mut used = 1u64 << self.region_of(home);
        // As many as the rule can give; who is no member counts here, so a walk may go around in vain.
        let possible = match rule {
            RegionRule::Spread => self.region_counts.iter().filter(|&&count| count > 0).count(),
            RegionRule::Together => self.region_counts[usize::from(self.region_of(home))] as usize,
        };
        while owners.len() < wanted.min(possible) {
            let Some(node) = members.next() else { break };
            let region = 1 << self.region_of(node);
            if (used & region == 0) == (rule == RegionRule::Spread) {
                owners.add(node);
                used |= region;
            }
        }
        // There are not as many regions, or not as many members in the region.
        let rest = self.ring.from(hash).filter(|&node| view.contains(node));
        for node in rest {
            if owners.len() == wanted {
                return;
            }
            owners.add(node);
        }
    }
}

/// The nodes of the largest weights.
struct Best {
    /// Descending.
    entries: Vec<(u64, NodeId)>,
    most: usize,
}

impl Best {
    fn new(most: usize) -> Self {
        Best { entries: Vec::with_capacity(most + 1), most }
    }

    fn add(&mut self, weight: u64, node: NodeId) {
        if self.entries.len() == self.most && self.entries.last().is_some_and(|&(least, _)| weight <= least) {
            return;
        }
        let place = self.entries.partition_point(|&(other, _)| other >= weight);
        self.entries.insert(place, (weight, node));
        self.entries.truncate(self.most);
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.entries.iter().map(|&(_, node)| node)
    }
}

/// The places of all full nodes on a ring, whether they are members or not.
#[derive(Debug, Default)]
struct Ring {
    /// Ascending.
    places: Column<u64>,
    nodes: Column<NodeId>,
    /// By the highest bits of a hash: the first place that can follow it.
    guide: Column<u32>,
    guide_bits: u32,
}

impl Ring {
    fn new(first: NodeId, count: u32, virtual_nodes: u32) -> Self {
        assert!((1..=VIRTUAL_NODES_MAX).contains(&virtual_nodes), "{virtual_nodes} virtual nodes");
        let len = count as usize * virtual_nodes as usize;
        let places =
            (first..first + count).flat_map(|node| (0..virtual_nodes).map(move |turn| (place_of(node, turn), node)));
        let mut points: Vec<(u64, NodeId)> = places.collect();
        points.sort_unstable();
        let guide_bits = (len.max(4) / 4).ilog2().max(1);
        let places = Column::collect(len, points.iter().map(|&(place, _)| place));
        let start = |high: u64| places.partition_point(|&place| place < high << (64 - guide_bits)) as u32;
        Ring {
            guide: Column::collect(1 << guide_bits, (0..1u64 << guide_bits).map(start)),
            nodes: Column::collect(len, points.iter().map(|&(_, node)| node)),
            places,
            guide_bits,
        }
    }

    /// The nodes from `hash` on, once around; each as often as it has places.
    fn from(&self, hash: u64) -> impl Iterator<Item = NodeId> {
        let mut start =
            self.guide.get((hash >> (64 - self.guide_bits.max(1))) as usize).map_or(0, |&start| start as usize);
        while self.places.get(start).is_some_and(|&place| place < hash) {
            start += 1;
        }
        let (before, after) = self.nodes.split_at(start.min(self.nodes.len()));
        after.iter().chain(before).copied()
    }

    fn bytes(&self) -> usize {
        self.places.bytes() + self.nodes.bytes() + self.guide.bytes()
    }
}

/// The place of a node's virtual node: the first eight bytes of the BLAKE3 hash of both numbers, little-endian.
fn place_of(node: NodeId, turn: u32) -> u64 {
    let hash = blake3::hash(&(u64::from(turn) << 32 | u64::from(node)).to_le_bytes());
    u64::from_le_bytes(std::array::from_fn(|place| hash.as_bytes()[place]))
}

#[cfg(test)]
mod tests;
