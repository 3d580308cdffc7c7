//! What the disks of all nodes hold when a run ends, against what devices were told: the experiment's, no node's.

use std::collections::BTreeMap;

use super::store::{CommandKind, Entry};
use super::wire::{ID_LEN, USER_LEN};
use super::{RegistryService, RegistryState, Replica};
use crate::contract::{NodeId, Nodes};

/// Bytes of an endorsement: two keys, signature, time.
const ENDORSEMENT_LEN: u64 = 33 + 33 + 64 + 8;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Registrations that devices were told of.
    pub acknowledged: u64,
    /// Those of them that no member of the shard has in its log.
    pub lost: u64,
    /// Those of them that fewer than a majority of the members have.
    pub thin: u64,
    /// Government ids that several users are registered with.
    pub ids_twice: u64,
    /// Users that are registered with several government ids.
    pub keys_twice: u64,
    /// Replicas whose committed entries are not those of another of the same shard.
    pub diverged: u64,
    /// Claims that are open, and fences that stand, where most is committed.
    pub open_claims: u64,
    /// As above.
    pub fences: u64,
    /// New users, by what is committed.
    pub created: u64,
    /// Full nodes, and those that keep anything.
    pub nodes: u64,
    /// As above.
    pub keepers: u64,
    /// Most and all bytes of records of a node, and of a shard once.
    pub node_bytes: [u64; 2],
    /// As above.
    pub shard_bytes: [u64; 2],
    /// Most and all changes of a shard, whatever their kind.
    pub shard_writes: [u64; 2],
    /// How many shards there are.
    pub shards: u64,
}

impl Audit {
    /// The most by the mean, of `[most, all]` among `count`; `None` if there is nothing.
    pub fn imbalance([most, all]: [u64; 2], count: u64) -> Option<f64> {
        (all > 0 && count > 0).then(|| most as f64 * count as f64 / all as f64)
    }
}

fn registered(entry: &Entry) -> Option<[u32; 2]> {
    let command = entry.command;
    matches!(command.kind, CommandKind::Create | CommandKind::Register).then_some([command.key, command.id])
}

/// Holds what the replicas of all partitions keep against what was `acknowledged`.
pub fn audit(service: &RegistryService, states: &[(Nodes, &RegistryState)], acknowledged: &[[u32; 2]]) -> Audit {
    let directory = service.directory();
    let mut by_shard: BTreeMap<u32, Vec<(NodeId, &Replica)>> = BTreeMap::new();
    let mut audit = Audit { acknowledged: acknowledged.len() as u64, ..Audit::default() };
    let add = |pair: &mut [u64; 2], bytes: u64| *pair = [pair[0].max(bytes), pair[1] + bytes];
    for (nodes, state) in states {
        for here in nodes.iter() {
            let replicas = state.replicas(here.index);
            let bytes: u64 = replicas.iter().map(|replica| record_bytes(service, replica)).sum();
            audit.keepers += u64::from(!replicas.is_empty());
            add(&mut audit.node_bytes, bytes);
            replicas.iter().for_each(|replica| by_shard.entry(replica.shard()).or_default().push((here.id, replica)));
        }
    }
    audit.nodes = service.fulls().len() as u64;
    audit.shards = u64::from(directory.shards.count());
    let mut told: Vec<(u32, [u32; 2])> =
        acknowledged.iter().map(|&pair| (directory.shards.of_key(directory.users, pair[0]), pair)).collect();
    told.sort_unstable();
    let mut pairs = Vec::new();
    for (&shard, replicas) in &by_shard {
        // The one that has committed most; of several the last node's, whatever the order of the partitions.
        let Some(&(_, first)) = replicas.iter().max_by_key(|(node, replica)| (replica.entries().1, *node)) else {
            continue;
        };
        let (log, commit) = first.entries();
        for (_, replica) in replicas {
            let (own, own_commit) = replica.entries();
            audit.diverged += u64::from(own[..own_commit as usize] != log[..own_commit as usize]);
            pairs.extend(replica.store().users().map(|(key, id)| [id, key]));
        }
        let [open, fences] = first.store().leftovers();
        audit.open_claims += open as u64;
        audit.fences += fences as u64;
        audit.created += first.store().users().count() as u64;
        add(&mut audit.shard_bytes, record_bytes(service, first));
        add(&mut audit.shard_writes, u64::from(commit));
        let members = first.members_at(directory, commit);
        let mut have: BTreeMap<[u32; 2], usize> = BTreeMap::new();
        for (_, replica) in replicas.iter().filter(|(node, _)| members.contains(node)) {
            replica.entries().0.iter().filter_map(registered).for_each(|pair| *have.entry(pair).or_default() += 1);
        }
        let start = told.partition_point(|&(other, _)| other < shard);
        let end = told.partition_point(|&(other, _)| other <= shard);
        for (_, pair) in &told[start..end] {
            let count = have.get(pair).copied().unwrap_or(0);
            audit.lost += u64::from(count == 0);
            audit.thin += u64::from(count < members.majority());
        }
    }
    audit.ids_twice = twice(&mut pairs, directory.users.at_start());
    pairs.iter_mut().for_each(|pair| pair.reverse());
    audit.keys_twice = twice(&mut pairs, directory.users.at_start());
    audit
}

/// How many first numbers of `pairs` stand with several second ones; those below `at_start` stand with themselves as well.
fn twice(pairs: &mut Vec<[u32; 2]>, at_start: u32) -> u64 {
    pairs.sort_unstable();
    pairs.dedup();
    let groups = pairs.chunk_by(|one, other| one[0] == other[0]);
    groups.filter(|group| group.len() > 1 || (group[0][0] < at_start && group[0][1] != group[0][0])).count() as u64
}

/// Bytes of the records that a replica keeps, as they are sent.
fn record_bytes(service: &RegistryService, replica: &Replica) -> u64 {
    let [users, ids] = service.directory().base.records(replica.shard()).map(u64::from);
    let held = u64::from(replica.held());
    let [new_users, new_ids, endorsements] = replica.store().records().map(|count| count as u64);
    let of_users = held.min(users) + new_users;
    let of_ids = held.saturating_sub(users).min(ids) + new_ids;
    of_users * USER_LEN as u64 + of_ids * ID_LEN as u64 + endorsements * ENDORSEMENT_LEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_is_found_and_what_is_repeated_is_not() {
        assert_eq!(twice(&mut vec![[7, 1], [8, 2], [7, 1]], 0), 0);
        assert_eq!(twice(&mut vec![[7, 1], [8, 2], [7, 3], [7, 4]], 0), 1);
        assert_eq!(twice(&mut vec![[7, 7], [8, 2]], 8), 0);
        assert_eq!(twice(&mut vec![[7, 2]], 8), 1, "seven exists at the start with seven");
    }
}
