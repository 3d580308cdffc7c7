//! The driver: the first super node, which hears which full nodes live and names those that take the place of others.
//!
//! It decides nothing: a shard changes its members by its own log, or not at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::members::Replacing;
use super::shards::Members;
use super::{RegistryMessage, RegistryService, RegistryState, RegistryTimer};
use crate::contract::{Effects, NodeId, SimTime, Verdict, exact};

/// What the driver knows of a full node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Keeper {
    heard: SimTime,
    is_down: bool,
    leaves: bool,
    /// The shards that it keeps.
    #[serde(with = "exact")]
    shards: Vec<u32>,
}

/// What the driver remembers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Driver {
    first: NodeId,
    keepers: Vec<Keeper>,
    /// Members of shards that changed.
    changed: BTreeMap<u32, Members>,
    /// Of these shards, who was a member before; nobody becomes one twice.
    #[serde(with = "exact::values")]
    past: BTreeMap<u32, Vec<NodeId>>,
    /// Under way, by shard.
    jobs: BTreeMap<u32, Replacing>,
}

impl Driver {
    pub(super) fn new(service: &RegistryService) -> Self {
        let fulls = service.fulls();
        let mut keepers = vec![Keeper::default(); fulls.len()];
        for shard in 0..service.shards.count() {
            for member in service.shards.at_start(shard).iter() {
                keepers[(member - fulls.start) as usize].shards.push(shard);
            }
        }
        let (changed, past, jobs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Driver { first: fulls.start, keepers, changed, past, jobs }
    }

    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.keepers.iter().map(|keeper| keeper.shards.capacity() * 4).sum();
        let past: usize = self.past.values().map(|nodes| 28 + nodes.capacity() * 4).sum();
        self.keepers.len() * size_of::<Keeper>()
            + lists
            + past
            + self.changed.len() * (4 + size_of::<Members>())
            + self.jobs.len() * 12
    }

    fn keeper(&mut self, node: NodeId) -> Option<&mut Keeper> {
        self.keepers.get_mut(node.checked_sub(self.first)? as usize)
    }

    fn members(&self, service: &RegistryService, shard: u32) -> Members {
        self.changed.get(&shard).copied().unwrap_or_else(|| service.shards.at_start(shard))
    }

    /// Whether `node` may become a member of `shard`.
    fn may_keep(&self, members: &Members, shard: u32, node: NodeId) -> bool {
        let keeper = &self.keepers[(node - self.first) as usize];
        let was = self.past.get(&shard).is_some_and(|past| past.contains(&node));
        !keeper.is_down && !keeper.leaves && !was && !members.contains(&node)
    }

    /// Names somebody for the place of `old` in each of its shards.
    fn plan(&mut self, service: &RegistryService, old: NodeId) -> u64 {
        let mut planned = 0;
        let shards = self.keeper(old).map(|keeper| keeper.shards.clone()).unwrap_or_default();
        for shard in shards {
            let members = self.members(service, shard);
            let job = self.jobs.get(&shard).copied();
            let is_open = match job {
                None => true,
                Some(job) => job.old == old && self.keeper(job.new).is_some_and(|new| new.is_down || new.leaves),
            };
            let may = |node: NodeId| self.may_keep(&members, shard, node);
            if let Some(new) = service.shards.substitute(shard, may).filter(|_| is_open) {
                planned += u64::from(job.is_none());
                self.jobs.insert(shard, Replacing { old, new });
            }
        }
        planned
    }
}

impl RegistryService {
    pub(super) fn start_driver(&self, state: &mut RegistryState, fx: &mut impl Effects<Self>) {
        let now = fx.now();
        let Some(driver) = &mut state.driver else { return };
        driver.keepers.iter_mut().for_each(|keeper| keeper.heard = now);
        fx.wake_after(self.options.alive, RegistryTimer::Alive);
    }

    pub(super) fn driver_hears(
        &self,
        state: &mut RegistryState,
        from: NodeId,
        message: RegistryMessage,
        fx: &mut impl Effects<Self>,
    ) {
        let (now, count) = (fx.now(), self.shards.count());
        let is_full = |node: NodeId| self.fulls().contains(&node);
        let RegistryState { driver: Some(driver), figures, .. } = state else { return };
        let Some(keeper) = driver.keeper(from) else {
            figures.invalid += 1;
            return;
        };
        match message {
            RegistryMessage::Alive => {
                keeper.heard = now;
                if std::mem::replace(&mut keeper.is_down, false) {
                    fx.judge(from, Verdict::Up);
                }
            }
            RegistryMessage::Leave => keeper.leaves = true,
            RegistryMessage::Find { shard, flow } if shard < count => {
                let members = driver.members(self, shard);
                self.send(state, from, RegistryMessage::Found { shard, flow, members }, &[], fx);
            }
            RegistryMessage::Changed { shard, members }
                if shard < count && members.iter().all(|&node| is_full(node)) =>
            {
                let before = driver.members(self, shard);
                let removed = before.iter().filter(|node| !members.contains(node));
                for &node in removed {
                    driver.past.entry(shard).or_default().push(node);
                    if let Some(keeper) = driver.keeper(node) {
                        keeper.shards.retain(|&other| other != shard);
                        figures.drained += u64::from(keeper.leaves && keeper.shards.is_empty());
                    }
                }
                for &node in members.iter().filter(|node| !before.contains(node)) {
                    driver.keeper(node).into_iter().for_each(|keeper| keeper.shards.push(shard));
                }
                driver.changed.insert(shard, members);
                if driver.jobs.get(&shard).is_some_and(|job| !members.contains(&job.old)) {
                    driver.jobs.remove(&shard);
                    figures.replaced += 1;
                }
            }
            _ => figures.invalid += 1,
        }
    }

    /// Looks who is down, and repeats what is not done yet.
    pub(super) fn driver_wakes(&self, state: &mut RegistryState, fx: &mut impl Effects<Self>) {
        let now = fx.now();
        fx.wake_after(self.options.alive, RegistryTimer::Alive);
        let RegistryState { driver: Some(driver), figures, .. } = state else { return };
        for place in 0..driver.keepers.len() {
            let keeper = &mut driver.keepers[place];
            let node = driver.first + place as NodeId;
            if !keeper.is_down && now.since(keeper.heard) >= self.options.missing {
                keeper.is_down = true;
                fx.judge(node, Verdict::Down);
            }
            if (keeper.is_down || keeper.leaves) && !keeper.shards.is_empty() {
                figures.planned += driver.plan(self, node);
            }
        }
        // Who is back in time keeps its place.
        let keepers = &driver.keepers;
        let first = driver.first;
        driver.jobs.retain(|_, job| {
            let old = &keepers[(job.old - first) as usize];
            old.is_down || old.leaves
        });
        let jobs: Vec<(u32, Replacing)> = driver.jobs.iter().map(|(&shard, &job)| (shard, job)).collect();
        for (shard, Replacing { old, new }) in jobs {
            let Some(members) = state.driver.as_ref().map(|driver| driver.members(self, shard)) else { return };
            // The new one may be a member, and lead, before the driver is told.
            for &member in members.iter().filter(|&&member| member != new).chain([&new]) {
                self.send(state, member, RegistryMessage::Replace { shard, old, new }, &[], fx);
            }
        }
    }
}
