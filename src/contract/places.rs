//! Which partition each node is in: by its number, or by a table where that keeps messages within a rank.

use std::sync::Arc;

use super::{NodeId, Nodes, Population};

/// Which of `2^partitions_log2` partitions each node of a run is in, and where it stands there. Cannot be seen in a result.
///
/// A *place* is a number of 32 bits: the index of the node in its partition, above the number of the partition. Where nodes
/// are dealt out by number, a node is its own place, and nothing is kept; elsewhere a table takes four bytes a node.
#[derive(Clone, Debug)]
pub struct Places {
    partitions_log2: u32,
    table: Option<Arc<[u32]>>,
}

impl From<u32> for Places {
    /// Nodes dealt out by number to `2^partitions_log2` partitions.
    fn from(partitions_log2: u32) -> Self {
        Places { partitions_log2, table: None }
    }
}

impl Places {
    /// Each node of `population` in the partition that `partition_of` tells; it is asked in ascending order.
    ///
    /// # Panics
    /// If it tells a partition that there is not, or if the places of a partition do not fit 32 bits.
    pub fn new(population: Population, partitions_log2: u32, mut partition_of: impl FnMut(NodeId) -> u32) -> Self {
        let mut filled = vec![0u32; 1 << partitions_log2];
        let place = |node| {
            let partition = partition_of(node);
            let index = &mut filled[partition as usize];
            let place = u64::from(*index) << partitions_log2 | u64::from(partition);
            *index += 1;
            u32::try_from(place).expect("partitions are nearly even, so places fit 32 bits")
        };
        Places { partitions_log2, table: Some((0..population.total()).map(place).collect()) }
    }

    /// Base-2 logarithm of the number of partitions.
    pub fn partitions_log2(&self) -> u32 {
        self.partitions_log2
    }

    /// Whether nodes are dealt out by number, so that each is its own place.
    #[inline(always)]
    pub fn is_by_number(&self) -> bool {
        self.table.is_none()
    }

    /// The place of `node`.
    #[inline(always)]
    pub fn of(&self, node: NodeId) -> u32 {
        self.table.as_ref().map_or(node, |table| table[node as usize])
    }

    /// The partition of `node`.
    #[inline(always)]
    pub fn partition_of(&self, node: NodeId) -> u32 {
        self.of(node) & ((1 << self.partitions_log2) - 1)
    }

    /// The index of `node` in its partition.
    #[inline(always)]
    pub fn index_of(&self, node: NodeId) -> usize {
        (self.of(node) >> self.partitions_log2) as usize
    }

    /// The nodes of `population` in `partition`. Goes over all nodes where there is a table.
    pub fn nodes(&self, population: Population, partition: u32) -> Nodes {
        if self.is_by_number() {
            return Nodes::partition(population, partition, self.partitions_log2);
        }
        let ids = (0..population.total()).filter(|&node| self.partition_of(node) == partition).collect();
        Nodes::listed(population, partition, self.partitions_log2, ids)
    }

    /// Whether `nodes` are one of the partitions, as far as that shows at once.
    pub fn holds(&self, nodes: &Nodes) -> bool {
        nodes.partitions_log2() == self.partitions_log2 && nodes.is_by_number() == self.is_by_number()
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.table.as_ref().map_or(0, |table| table.len() * size_of::<u32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::NodeType;

    #[test]
    fn a_table_has_every_node_once_in_order() {
        let population = Population::new([2, 5, 30, 3]).unwrap();
        let places = Places::new(population, 2, |node| node * 7 % 5 % 4);
        let mut seen = vec![0; 40];
        for partition in 0..4 {
            let nodes = places.nodes(population, partition);
            assert!(nodes.iter().is_sorted_by_key(|here| here.id) && places.holds(&nodes));
            for here in nodes.iter() {
                seen[here.id as usize] += 1;
                assert_eq!((places.partition_of(here.id), places.index_of(here.id)), (partition, here.index));
                assert_eq!((nodes.index_of(here.id), here.node_type), (Some(here.index), population.type_of(here.id)));
            }
            for node_type in NodeType::ALL {
                let end = nodes.iter().take_while(|here| here.node_type <= node_type).count();
                assert_eq!((nodes.end_of(node_type), nodes.up_to(node_type).len()), (end, end));
                let upper = places.nodes(population.up_to(node_type), partition);
                assert_eq!(upper.iter().collect::<Vec<_>>(), nodes.up_to(node_type).iter().collect::<Vec<_>>());
            }
            assert_eq!(nodes.index_of((0..40).find(|&node| places.partition_of(node) != partition).unwrap()), None);
        }
        assert_eq!((seen, places.bytes()), (vec![1; 40], 160));
    }

    #[test]
    fn by_number_a_node_is_its_own_place() {
        let (population, places) = (Population::flat(100), Places::from(3));
        assert!((0..100).all(|node| places.of(node) == node && places.partition_of(node) == node % 8));
        assert_eq!(places.nodes(population, 5), Nodes::partition(population, 5, 3));
        assert_eq!(places.bytes(), 0);
    }
}
