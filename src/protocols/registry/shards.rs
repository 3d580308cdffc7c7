//! Which shard a user or a government id belongs to, and which full nodes keep a shard.

use serde::{Deserialize, Serialize};

use super::users::{COUNTRIES, Users};
use crate::contract::{NodeId, scale_word};
use crate::protocols::sharding::placement::{Placer, ShardPlacement};
use crate::protocols::sharding::shard::{address_of, hash_of, shard_of};
use crate::protocols::sharding::view::View;

/// Most replicas of a shard.
pub const REPLICAS_MAX: usize = 7;
/// Most members of a shard: there is one more while one is replaced.
pub const MEMBERS_MAX: usize = REPLICAS_MAX + 1;

/// How users and government ids are parted into shards, and shards given to full nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// As the documents' `ShardedState` has it: as many shards as full nodes, the hash modulo their number; a node keeps
    /// the shard that is its rank and those of the nodes before it.
    Hash,
    /// Equal ranges of hashes, kept by the nodes that follow on a ring.
    ConsistentHashing {
        /// How many ranges.
        shards: u32,
        /// Places of a node on the ring.
        virtual_nodes: u32,
    },
    /// A shard for each country, for its users and the government ids that it issued, kept by nodes that follow its hash
    /// on a ring. Who asks knows the country.
    Country {
        /// Places of a node on the ring.
        virtual_nodes: u32,
    },
}

impl Partitioning {
    /// The name in scenario and result files.
    pub const fn name(&self) -> &'static str {
        match self {
            Partitioning::Hash => "hash",
            Partitioning::ConsistentHashing { .. } => "consistent-hashing",
            Partitioning::Country { .. } => "country",
        }
    }

    /// How many shards `fulls` full nodes keep.
    pub const fn shards(&self, fulls: u32) -> u32 {
        match *self {
            Partitioning::Hash => fulls,
            Partitioning::ConsistentHashing { shards, .. } => shards,
            Partitioning::Country { .. } => COUNTRIES.len() as u32,
        }
    }
}

/// The members of a shard: its replicas, all different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    nodes: [NodeId; MEMBERS_MAX],
    len: u8,
}

impl Members {
    /// The members that `nodes` names; what is named twice, or beyond [`MEMBERS_MAX`], is left out.
    pub fn of(nodes: &[NodeId]) -> Self {
        let mut members = Members::default();
        nodes.iter().for_each(|&node| members.add(node));
        members
    }

    /// Adds `node`, unless it is a member or there are [`MEMBERS_MAX`].
    pub fn add(&mut self, node: NodeId) {
        if !self.contains(&node) && self.len() < MEMBERS_MAX {
            self.nodes[self.len()] = node;
            self.len += 1;
        }
    }

    /// Removes `node`, if it is a member; the order of the others stays.
    pub fn remove(&mut self, node: NodeId) {
        let kept: Vec<NodeId> = self.iter().copied().filter(|&other| other != node).collect();
        *self = Members::of(&kept);
    }

    /// How many of them are a majority.
    pub fn majority(&self) -> usize {
        self.len() / 2 + 1
    }
}

impl std::ops::Deref for Members {
    type Target = [NodeId];
    #[inline(always)]
    fn deref(&self) -> &[NodeId] {
        &self.nodes[..usize::from(self.len)]
    }
}

/// Finds shards and who keeps them.
#[derive(Debug)]
pub struct Shards {
    partitioning: Partitioning,
    count: u32,
    first: NodeId,
    fulls: u32,
    placer: Placer,
    everyone: View,
}

impl Shards {
    /// Shards on the full nodes `first..first + fulls`, `replicas` of each.
    ///
    /// # Panics
    /// If there are no full nodes, or as [`Placer::new`].
    pub fn new(partitioning: Partitioning, first: NodeId, fulls: u32, replicas: usize) -> Self {
        assert!(fulls > 0 && replicas <= REPLICAS_MAX, "{replicas} replicas on {fulls} full nodes");
        let placement = match partitioning {
            Partitioning::Hash => ShardPlacement::Modulo,
            Partitioning::ConsistentHashing { virtual_nodes, .. } | Partitioning::Country { virtual_nodes } => {
                ShardPlacement::ConsistentHashing { virtual_nodes }
            }
        };
        Shards {
            partitioning,
            count: partitioning.shards(fulls),
            first,
            fulls,
            placer: Placer::new(placement, first, fulls, replicas, None),
            everyone: View::all(first, fulls),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many replicas each has.
    pub fn replicas(&self) -> usize {
        self.placer.replicas().min(self.fulls as usize)
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.placer.bytes()
    }

    /// The shard of a user.
    #[inline]
    pub fn of_key(&self, users: &Users, number: u32) -> u32 {
        match self.partitioning {
            Partitioning::Hash => shard_of(Users::key_hash(number), self.count),
            Partitioning::ConsistentHashing { .. } => scale_word(Users::key_hash(number), u64::from(self.count)) as u32,
            Partitioning::Country { .. } => users.country(number) as u32,
        }
    }

    /// The shard of a government id.
    #[inline]
    pub fn of_id(&self, users: &Users, number: u32) -> u32 {
        match self.partitioning {
            Partitioning::Hash => shard_of(Users::id_hash(number), self.count),
            Partitioning::ConsistentHashing { .. } => scale_word(Users::id_hash(number), u64::from(self.count)) as u32,
            Partitioning::Country { .. } => users.country(number) as u32,
        }
    }

    /// The shards of the users with `currency`, if they are not all of them: its countries.
    pub fn of_currency(&self, currency: u8) -> Option<Vec<u32>> {
        let Partitioning::Country { .. } = self.partitioning else { return None };
        let code = COUNTRIES[usize::from(currency)].1;
        Some((0..self.count).filter(|&shard| COUNTRIES[shard as usize].1 == code).collect())
    }

    /// Where a shard stands among hashes.
    fn position(&self, shard: u32) -> u64 {
        match self.partitioning {
            Partitioning::Hash => u64::from(shard),
            Partitioning::ConsistentHashing { .. } => ((u128::from(shard) << 64) / u128::from(self.count)) as u64,
            Partitioning::Country { .. } => {
                let mut address = address_of(shard);
                address[31] = 2;
                hash_of(&address)
            }
        }
    }

    /// Who keeps `shard` at the start; the first one leads it then.
    pub fn at_start(&self, shard: u32) -> Members {
        Members::of(&self.placer.owners(self.position(shard), &self.everyone))
    }

    /// Who takes the place of a member of `shard`: the next one that `may`.
    pub fn substitute(&self, shard: u32, may: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        match self.partitioning {
            Partitioning::Hash => {
                let ranks = (0..self.fulls).map(|next| (shard + next) % self.fulls);
                ranks.map(|rank| self.first + rank).find(|&node| may(node))
            }
            _ => self.placer.owners(self.position(shard), &View::of(self.first, self.fulls, may)).first().copied(),
        }
    }
}
