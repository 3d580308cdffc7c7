//! Who a node is: its number, its 256-bit key, its type, and the population it belongs to.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The number of a node: `0..n`, handed out type by type (super, full, light, mobile).
pub type NodeId = u32;

/// A 256-bit identifier, as the documents use for node ids and addresses.
pub type Key256 = [u8; 32];

/// The four kinds of node that the documents distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeType {
    /// Core validator.
    SuperNode,
    /// Regular validator.
    FullNode,
    /// Client that is always on.
    LightNode,
    /// Client on battery.
    MobileNode,
}

impl NodeType {
    /// Every type, in the order in which node numbers are handed out.
    pub const ALL: [NodeType; 4] = [NodeType::SuperNode, NodeType::FullNode, NodeType::LightNode, NodeType::MobileNode];

    /// The name in scenario and result files.
    pub const fn name(self) -> &'static str {
        match self {
            NodeType::SuperNode => "super",
            NodeType::FullNode => "full",
            NodeType::LightNode => "light",
            NodeType::MobileNode => "mobile",
        }
    }
}

impl fmt::Display for NodeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many nodes of each type there are. Numbers are contiguous by type, in the order of [`NodeType::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// Number of the first node after each type, cumulative; the last is the total.
    ends: [NodeId; 4],
}

impl Population {
    /// A population of `counts` nodes by type, in the order of [`NodeType::ALL`].
    ///
    /// Returns `None` when the total is zero or exceeds `u32::MAX`.
    pub fn new(counts: [u64; 4]) -> Option<Self> {
        let mut ends = [0; 4];
        let mut total = 0u64;
        for (end, count) in ends.iter_mut().zip(counts) {
            total = total.checked_add(count)?;
            *end = NodeId::try_from(total).ok()?;
        }
        (total > 0).then_some(Population { ends })
    }

    /// `nodes` full nodes and no other type: the population of flat approaches.
    ///
    /// # Panics
    /// If `nodes` is zero.
    pub fn flat(nodes: NodeId) -> Self {
        Population::new([0, u64::from(nodes), 0, 0]).expect("a population has at least one node")
    }

    /// All nodes.
    pub fn total(&self) -> NodeId {
        self.ends[3]
    }

    /// How many nodes are of `node_type`.
    pub fn count(&self, node_type: NodeType) -> NodeId {
        let range = self.range(node_type);
        range.end - range.start
    }

    /// The numbers of the nodes of `node_type`.
    pub fn range(&self, node_type: NodeType) -> std::ops::Range<NodeId> {
        let index = node_type as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        start..self.ends[index]
    }

    /// The nodes of `node_type` and earlier types; later types have none.
    ///
    /// # Panics
    /// If there is none at all.
    pub fn up_to(&self, node_type: NodeType) -> Population {
        let last = self.range(node_type).end;
        assert!(last > 0, "a population has at least one node");
        Population { ends: self.ends.map(|end| end.min(last)) }
    }

    /// The type of node `id`; ids beyond the population count as the last type.
    pub fn type_of(&self, id: NodeId) -> NodeType {
        let index = usize::from(id >= self.ends[0]) + usize::from(id >= self.ends[1]) + usize::from(id >= self.ends[2]);
        NodeType::ALL[index]
    }
}

/// The nodes of one partition, in ascending order: every `2^n`-th, or those that [`Places`](super::Places) lists.
///
/// Partitions interleave so that the few busy nodes of the upper tiers, which have neighbouring numbers, are
/// spread evenly over them. `index` counts within the partition; `id` is the number in the whole run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    partition: u32,
    partitions_log2: u32,
    len: usize,
    population: Population,
    listed: Option<Listed>,
}

/// Numbers of nodes, ascending: at least those of the nodes that are meant, which come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<NodeId>", into = "Vec<NodeId>")]
struct Listed(Arc<[NodeId]>);

impl From<Vec<NodeId>> for Listed {
    fn from(ids: Vec<NodeId>) -> Self {
        Listed(ids.into())
    }
}

impl From<Listed> for Vec<NodeId> {
    fn from(Listed(ids): Listed) -> Self {
        ids.to_vec()
    }
}

impl Nodes {
    /// Partition `partition` of `2^partitions_log2` over `population`, where nodes are dealt out by number.
    pub fn partition(population: Population, partition: u32, partitions_log2: u32) -> Self {
        let total = u64::from(population.total());
        let len = (total.saturating_sub(u64::from(partition))).div_ceil(1 << partitions_log2);
        Nodes { partition, partitions_log2, len: len as usize, population, listed: None }
    }

    /// Partition `partition` of `2^partitions_log2` over `population`, whose nodes are `ids` in ascending order.
    pub(super) fn listed(population: Population, partition: u32, partitions_log2: u32, ids: Vec<NodeId>) -> Self {
        Nodes { partition, partitions_log2, len: ids.len(), population, listed: Some(ids.into()) }
    }

    /// The whole population as one partition.
    pub fn all(population: Population) -> Self {
        Nodes::partition(population, 0, 0)
    }

    /// The number of the partition.
    pub fn number(&self) -> u32 {
        self.partition
    }

    /// Base-2 logarithm of the number of partitions.
    pub fn partitions_log2(&self) -> u32 {
        self.partitions_log2
    }

    /// How many nodes these are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The population that these nodes are part of.
    pub fn population(&self) -> Population {
        self.population
    }

    /// The number of the node at `index`.
    #[inline(always)]
    pub fn id(&self, index: usize) -> NodeId {
        match &self.listed {
            None => self.partition + ((index as NodeId) << self.partitions_log2),
            Some(Listed(ids)) => ids[index],
        }
    }

    /// Whether nodes are dealt out by number, not listed.
    pub fn is_by_number(&self) -> bool {
        self.listed.is_none()
    }

    /// Where node `id` stands among these nodes, if it is one of them.
    pub fn index_of(&self, id: NodeId) -> Option<usize> {
        if let Some(Listed(ids)) = &self.listed {
            return ids[..self.len].binary_search(&id).ok();
        }
        let offset = id.checked_sub(self.partition)?;
        let index = (offset >> self.partitions_log2) as usize;
        (self.id(index) == id && index < self.len).then_some(index)
    }

    /// The nodes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Here> + use<'_> {
        (0..self.len).map(|index| self.here(index))
    }

    /// The node at `index`, with its number and type.
    pub fn here(&self, index: usize) -> Here {
        let id = self.id(index);
        Here { id, index, node_type: self.population.type_of(id) }
    }

    /// Those of these nodes that are of `node_type` or an earlier type; they come first, so they stand at the same index.
    ///
    /// # Panics
    /// As [`Population::up_to`].
    pub fn up_to(&self, node_type: NodeType) -> Nodes {
        Nodes { len: self.end_of(node_type), population: self.population.up_to(node_type), ..self.clone() }
    }

    /// The first index whose node is of a later type than `node_type`.
    pub fn end_of(&self, node_type: NodeType) -> usize {
        let end = self.population.range(node_type).end;
        if let Some(Listed(ids)) = &self.listed {
            return ids[..self.len].partition_point(|&id| id < end);
        }
        (end.saturating_sub(self.partition) as usize).div_ceil(1 << self.partitions_log2).min(self.len)
    }
}

/// Which partitions of a run a process holds: every `ranks`-th from number `rank` on. [`Places`](super::Places) tells which
/// nodes these have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    rank: u32,
    ranks: u32,
}

impl Share {
    /// All partitions, in one process.
    pub const WHOLE: Share = Share { rank: 0, ranks: 1 };

    /// The share of process `rank` of `ranks`.
    ///
    /// # Panics
    /// Unless `rank` is below `ranks`.
    pub fn new(rank: usize, ranks: usize) -> Self {
        assert!(rank < ranks, "rank {rank} of {ranks}");
        Share { rank: rank as u32, ranks: u32::try_from(ranks).expect("ranks have 32 bits") }
    }

    /// The number of the process.
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// How many processes there are.
    pub fn ranks(&self) -> usize {
        self.ranks as usize
    }

    /// Whether there is no other process.
    #[inline(always)]
    pub fn is_whole(&self) -> bool {
        self.ranks == 1
    }

    /// Whether `partition` is in the share.
    #[inline(always)]
    pub fn holds(&self, partition: u32) -> bool {
        self.is_whole() || partition % self.ranks == self.rank
    }

    /// The rank that holds `partition`.
    pub fn holder(&self, partition: u32) -> usize {
        (partition % self.ranks) as usize
    }

    /// The place of `partition` among those that its holder has.
    #[inline(always)]
    pub fn place(&self, partition: u32) -> usize {
        (if self.is_whole() { partition } else { partition / self.ranks }) as usize
    }

    /// The partitions of the share, of `2^partitions_log2`, in order.
    pub fn partitions(&self, partitions_log2: u32) -> impl ExactSizeIterator<Item = u32> + use<> {
        (self.rank..1 << partitions_log2).step_by(self.ranks as usize)
    }
}

/// The node that is being called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Here {
    /// Its number in the whole run.
    pub id: NodeId,
    /// Its place in the columns of its partition.
    pub index: usize,
    /// Its type.
    pub node_type: NodeType,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_contiguous_by_type() {
        let population = Population::new([2, 3, 4, 1]).unwrap();
        assert_eq!(population.total(), 10);
        assert_eq!(population.range(NodeType::LightNode), 5..9);
        let types: Vec<_> = (0..10).map(|id| population.type_of(id).name()).collect();
        assert_eq!(types[..5], ["super", "super", "full", "full", "full"]);
        assert_eq!(types[5..], ["light", "light", "light", "light", "mobile"]);
        assert_eq!(Population::new([0; 4]), None);
        assert_eq!(Population::new([u64::MAX, 1, 0, 0]), None);
    }

    #[test]
    fn partitions_cover_every_node_once_in_order() {
        let population = Population::new([1, 5, 30, 1]).unwrap();
        for log2 in 0..4 {
            let mut seen = vec![0; population.total() as usize];
            for partition in 0..1 << log2 {
                let nodes = Nodes::partition(population, partition, log2);
                for here in nodes.iter() {
                    seen[here.id as usize] += 1;
                    assert_eq!(nodes.index_of(here.id), Some(here.index));
                    assert_eq!(here.node_type, population.type_of(here.id));
                }
                for node_type in NodeType::ALL {
                    let later = |here: &Here| here.node_type > node_type;
                    let end = nodes.iter().position(|here| later(&here)).unwrap_or(nodes.len());
                    assert_eq!(nodes.end_of(node_type), end);
                    let first: Vec<_> = nodes.iter().take(end).collect();
                    assert_eq!(nodes.up_to(node_type).iter().collect::<Vec<_>>(), first);
                }
            }
            assert!(seen.iter().all(|&count| count == 1));
        }
    }

    #[test]
    fn every_partition_is_in_one_share() {
        for ranks in 1..6 {
            let mut held = [0; 16];
            for share in (0..ranks).map(|rank| Share::new(rank, ranks)) {
                for (place, partition) in share.partitions(4).enumerate() {
                    held[partition as usize] += 1;
                    assert_eq!((share.place(partition), share.holder(partition)), (place, share.rank()));
                }
                assert_eq!((0..16).filter(|&partition| share.holds(partition)).count(), share.partitions(4).len());
            }
            assert_eq!(held, [1; 16]);
        }
    }
}
