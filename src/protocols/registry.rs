//! The user registry, sharded and replicated over full nodes: devices register, endorse and look up by way of their parents.
//!
//! | when | what a node does |
//! |---|---|
//! | an operation is due | a light or mobile node asks a parent for it; if no answer comes, the next one, so often; it does one at a time |
//! | a device asks | the parent, as its gateway, asks the shards that it takes, and other members of them if answers do not come |
//! | a shard is asked to change | its leader decides by the rules of [`crate::registry::rules`], appends what may be done to its log, sends that to the other members, and answers when a majority has it |
//! | a shard is asked for a user | any member answers from what it knows to be committed |
//! | a leader is not heard of | a member asks to become leader; who has all that may have been acknowledged can |
//! | a full node is down, or wants to go | the driver, the first super node, names one that takes its place in each of its shards; the shard's leader teaches that one, adds it, and removes the other |
//!
//! **Replication.** Each shard is a Raft group of its own (`replica.rs`): majority quorums, terms, and a leader that
//! has all that was acknowledged, because it got the votes of a majority. A write survives if a majority of its shard's
//! disks does. Crashes take what waits and who leads, but no disk. The driver only proposes members: whatever it
//! takes for down, and whoever else takes itself for the driver, nothing acknowledged can get lost, because members change
//! one at a time through the log of the shard (`members.rs`). While it is away, members stay who they are.
//!
//! **Two shards.** A government id belongs to one shard and the user to another. The gateway claims the id (the claim is bound
//! to the user's key and has a token), creates the user, answers the device, and confirms the claim. Where the
//! user is refused, the claim is released. All of these may be repeated. Where one shard keeps both, one command does all.
//! A gateway that dies half-way leaves a claim that is not confirmed. The same user may claim again at once, which gives a
//! new token. For anybody else the claim is settled by the leader of its shard, when it is older than
//! [`RegistryOptions::settle`]: at the user's shard it puts up a *fence*, unless the user exists, so that what is still
//! under way with that token cannot create the user any more; then it releases the claim, or confirms it. What remains of
//! a registration that was given up is the fence: twelve bytes.
//!
//! **Reads.** Members other than the leader serve lookups from what they know to be committed: as old as the last word from
//! the leader. A leader that has been replaced without knowing it may serve old reads for two election timeouts, then it
//! steps down.
//!
//! What is served takes the node's time, one after the other, by given quantiles. What waits is bounded: a device does one
//! operation; a gateway [`RegistryOptions::flows_max`]; a node drops requests while [`RegistryOptions::queue_max`]
//! answers wait; a shard takes none while [`RegistryOptions::pipeline_max`] entries are not committed. Logs are kept for the whole
//! run: 20 bytes a change and member. A real node would replace what is old by records.

pub mod audit;
mod clients;
mod driver;
pub mod figures;
mod gateways;
mod members;
mod replica;
mod served;
pub mod shards;
mod state;
pub mod store;
pub mod users;
pub mod wire;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::figures::RegistryFigures;
pub use self::replica::{ENTRIES_MAX, Phase, Replica, Role};
pub use self::state::RegistryState;
pub use super::sharding::Departures;
use crate::contract::{
    CoarseTime, Domain, Effects, Here, NodeId, NodeType, Nodes, Population, Protocol, RandomKey, SimSpan, SimTime,
};
use crate::topologies::Graph;
use replica::Own;
use shards::{Members, Partitioning, Shards};
use store::{Command, CommandKind, Directory, Entry, Outcome};
use users::{Base, COUNTRIES, REGISTRATIONS_MAX, Users};

/// No node.
pub(crate) const NOBODY: NodeId = NodeId::MAX;
/// The super node that looks after members.
pub(crate) const DRIVER: NodeId = 0;
/// Shards of which a gateway remembers who keeps them.
pub const ROUTES_MAX: usize = 4_096;
/// Claims that a leader settles at a time.
pub const SETTLED_MAX: usize = 64;
/// Most users of a page.
pub const PAGE_MAX: u32 = 1_000;

/// A moment in steps of [`CoarseTime::TICK`], as members tell it each other; the last one is 52 days after the start.
pub(crate) fn ticks(time: SimTime) -> u32 {
    u32::try_from(time.as_nanos() / CoarseTime::TICK.as_nanos()).unwrap_or(u32::MAX)
}

/// The span of `ticks` steps as [`ticks`] makes them.
pub(crate) fn span_of(ticks: u32) -> SimSpan {
    CoarseTime::TICK * u64::from(ticks)
}

/// When a change is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// When a majority of the shard's members has it.
    Majority,
    /// When the leader has it: faster, and lost when the leader is replaced before the others have it. For comparison.
    Leader,
}

/// How long something takes a node: quantiles, between which it is interpolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceTime {
    /// The least, the median, 90 and 99 per cent, and the most; ascending.
    pub quantiles: [SimSpan; 5],
}

impl ServiceTime {
    /// Always the same.
    pub const fn constant(span: SimSpan) -> Self {
        ServiceTime { quantiles: [span; 5] }
    }

    /// The span at the place of a uniform `word`.
    pub fn at(&self, word: u64) -> SimSpan {
        const SHARES: [u64; 5] = [0, 50, 90, 99, 100];
        let place = ((u128::from(word) * 100_000_000) >> 64) as u64;
        let above = SHARES.iter().position(|&share| place < share * 1_000_000).unwrap_or(4).max(1);
        let [low, high] = [above - 1, above].map(|index| self.quantiles[index].as_nanos());
        let (from, width) = (SHARES[above - 1] * 1_000_000, (SHARES[above] - SHARES[above - 1]) * 1_000_000);
        let part = u128::from(high.saturating_sub(low)) * u128::from(place - from) / u128::from(width);
        SimSpan::from_nanos(low + part as u64)
    }
}

/// What devices do. Spans are the means between two operations of a device, at random as in a Poisson process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Of registrations, endorsements, lookups and queries by currency; never if `None`.
    pub every: [Option<SimSpan>; 4],
    /// Share of registrations for a government id that the next device uses as well.
    pub contested: f64,
    /// Share of registrations for the government id of somebody who exists at the start.
    pub fraudulent: f64,
    /// Share of lookups and endorsements that mean a user that the device registered itself, if it did.
    pub own: f64,
}

/// How the registry is kept and used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegistryOptions {
    /// How users are parted into shards.
    pub partitioning: Partitioning,
    /// Replicas of a shard, from 1 to [`shards::REPLICAS_MAX`].
    pub replicas: usize,
    /// Users that exist at the start.
    pub users: u32,
    /// Endorsements that make a user verified.
    pub enough: u32,
    /// When a change is acknowledged.
    pub acknowledge: Acknowledge,
    /// Whether members other than the leader serve lookups.
    pub read_replicas: bool,
    /// What devices do.
    pub load: Load,
    /// Users of a page.
    pub page: u32,
    /// Shards that are asked for a page at once.
    pub scatter: u32,
    /// What a lookup takes a node, and a change.
    pub read: ServiceTime,
    /// As above.
    pub write: ServiceTime,
    /// After which an answer is late.
    pub patience: SimSpan,
    /// How often a device asks, and a gateway a shard.
    pub attempts: u8,
    /// How often a leader says that it leads.
    pub heartbeat: SimSpan,
    /// How long a member waits for its leader at least; at most twice as long.
    pub election: SimSpan,
    /// How old a claim is that is settled.
    pub settle: SimSpan,
    /// How often full nodes say to the driver that they live, and it looks who does not.
    pub alive: SimSpan,
    /// How long the driver waits for a full node.
    pub missing: SimSpan,
    /// Operations under way at a gateway.
    pub flows_max: u32,
    /// Answers that wait at a node.
    pub queue_max: u32,
    /// Entries of a shard that are not committed.
    pub pipeline_max: u32,
    /// Who leaves in good order.
    pub departures: Option<Departures>,
    /// Width of the slices of time in which operations are counted.
    pub slice: SimSpan,
}

impl RegistryOptions {
    /// Three replicas; a device registers a user every four hours, endorses every two, looks up every ten minutes and
    /// queries once a day.
    pub const fn new(partitioning: Partitioning) -> Self {
        let secs = SimSpan::from_secs;
        let micros = SimSpan::from_micros;
        RegistryOptions {
            partitioning,
            replicas: 3,
            users: 100_000,
            enough: crate::registry::record::ENDORSEMENTS_TO_VERIFY,
            acknowledge: Acknowledge::Majority,
            read_replicas: true,
            load: Load {
                every: [Some(secs(14_400)), Some(secs(7_200)), Some(secs(600)), Some(secs(86_400))],
                contested: 0.01,
                fraudulent: 0.01,
                own: 0.2,
            },
            page: 50,
            scatter: 16,
            read: ServiceTime { quantiles: [micros(1), micros(5), micros(10), micros(50), micros(500)] },
            write: ServiceTime { quantiles: [micros(10), micros(50), micros(100), micros(500), micros(5_000)] },
            patience: secs(2),
            attempts: 6,
            heartbeat: secs(2),
            election: secs(6),
            settle: secs(60),
            alive: secs(10),
            missing: secs(35),
            flows_max: 4_096,
            queue_max: 1_024,
            pipeline_max: 256,
            departures: None,
            slice: secs(10),
        }
    }
}

/// The user registry over the full nodes of a network.
#[derive(Debug)]
pub struct RegistryService {
    graph: Arc<Graph>,
    options: RegistryOptions,
    users: Users,
    shards: Shards,
    base: Base,
    patience: RandomKey,
}

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Operation {
    /// It registers a user.
    Register,
    /// A user endorses another.
    Endorse,
    /// It asks for a user.
    Lookup,
    /// It asks for users with a currency.
    Query,
    /// A leader settles an old claim; no device asks for it.
    Settle,
    /// Whatever else is sent; no operation.
    Upkeep,
}

impl Operation {
    /// How many there are.
    pub const COUNT: usize = 6;
    /// All of them, in the order of their numbers.
    pub const ALL: [Operation; Operation::COUNT] = [
        Operation::Register,
        Operation::Endorse,
        Operation::Lookup,
        Operation::Query,
        Operation::Settle,
        Operation::Upkeep,
    ];

    /// The name in result files.
    pub const fn name(self) -> &'static str {
        ["register", "endorse", "lookup", "query", "settle", "upkeep"][self as usize]
    }

    /// What a command serves.
    const fn of(kind: CommandKind) -> Operation {
        match kind {
            CommandKind::Begin | CommandKind::Add | CommandKind::Remove => Operation::Upkeep,
            CommandKind::Endorse | CommandKind::Standing => Operation::Endorse,
            CommandKind::Fence => Operation::Settle,
            _ => Operation::Register,
        }
    }

    /// What the flow of this number is about.
    fn of_flow(flow: u32) -> Operation {
        Operation::ALL[(flow as usize & 7).min(Operation::COUNT - 1)]
    }
}

impl RegistryService {
    /// A registry on the full nodes of `graph`, which links light and mobile nodes to them. Takes four bytes for each user
    /// that exists at the start.
    ///
    /// # Panics
    /// If there is no super or no full node, if options are outside of their bounds, or if users have no numbers left.
    pub fn new(graph: Arc<Graph>, options: RegistryOptions, seed: u64) -> Self {
        let population = graph.population();
        let fulls = population.range(NodeType::FullNode);
        assert!(population.count(NodeType::SuperNode) > 0, "the first super node is the driver");
        let devices = u64::from(population.total() - fulls.end);
        let numbers = u64::from(options.users) + devices * u64::from(REGISTRATIONS_MAX);
        assert!(numbers < u64::from(u32::MAX), "{numbers} users");
        let spans =
            [options.patience, options.heartbeat, options.election, options.settle, options.alive, options.slice];
        assert!(spans.iter().all(|&span| span > SimSpan::ZERO), "spans are above zero");
        assert!(options.replicas > 0 && options.attempts > 0 && options.scatter > 0, "there is one at least");
        assert!(options.page <= PAGE_MAX, "a page of {} users", options.page);
        let users = Users::new(options.users, options.enough, seed);
        let shards = Shards::new(options.partitioning, fulls.start, fulls.len() as u32, options.replicas);
        let place = |number| [shards.of_key(&users, number), shards.of_id(&users, number)];
        let base = Base::new(&users, shards.count(), place);
        RegistryService { graph, options, users, shards, base, patience: RandomKey::new(!seed, Domain::Protocol) }
    }

    /// How it is kept and used.
    pub fn options(&self) -> &RegistryOptions {
        &self.options
    }

    /// Users, shards, and who belongs where.
    pub fn directory(&self) -> Directory<'_> {
        Directory { users: &self.users, shards: &self.shards, base: &self.base }
    }

    /// Memory of what all partitions share, in bytes.
    pub fn bytes(&self) -> usize {
        self.graph.bytes() + self.base.bytes() + self.shards.bytes()
    }

    /// Whom it is made for.
    pub fn population(&self) -> Population {
        self.graph.population()
    }

    fn fulls(&self) -> std::ops::Range<NodeId> {
        self.population().range(NodeType::FullNode)
    }

    fn own(&self, node: NodeId, now: SimTime) -> Own<'_> {
        Own { directory: self.directory(), options: &self.options, patience: self.patience, node, now }
    }

    /// What a message serves.
    fn operation_of(&self, message: &RegistryMessage) -> Operation {
        match *message {
            RegistryMessage::Ask { operation, .. } | RegistryMessage::Told { operation, .. } => operation,
            RegistryMessage::Request { flow, .. }
            | RegistryMessage::Read { flow, .. }
            | RegistryMessage::Scan { flow, .. }
            | RegistryMessage::Answer { flow, .. }
            | RegistryMessage::Record { flow, .. }
            | RegistryMessage::Page { flow }
            | RegistryMessage::Elsewhere { flow, .. }
            | RegistryMessage::Find { flow, .. }
            | RegistryMessage::Found { flow, .. } => Operation::of_flow(flow),
            RegistryMessage::Append { entry, .. } => Operation::of(entry.command.kind),
            _ => Operation::Upkeep,
        }
    }

    /// A random part of `span`.
    fn phase(span: SimSpan, fx: &mut impl Effects<Self>) -> SimSpan {
        SimSpan::from_nanos(fx.random().below(span.as_nanos()))
    }

    fn start_full(&self, fx: &mut impl Effects<Self>) {
        let wait = Self::phase(self.options.heartbeat, fx);
        fx.wake_after(wait, RegistryTimer::Tick);
        let wait = Self::phase(self.options.alive, fx);
        fx.wake_after(wait, RegistryTimer::Alive);
    }
}

/// A message under way. `[term, prev, prev_term, commit, sent]` of a leader are as Raft has them; `sent` is when, in
/// steps of 2^20 ns. Pages and entries are payloads, as [`wire`] encodes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "fields are those of the wire format")]
pub enum RegistryMessage {
    /// A device asks for an operation.
    Ask { number: u16, operation: Operation, key: u32, id: u32 },
    /// It is done, or refused.
    Told { number: u16, operation: Operation, outcome: Outcome },
    /// A gateway asks the leader of a shard.
    Request { shard: u32, flow: u32, command: Command },
    /// A gateway asks a member for a user.
    Read { shard: u32, flow: u32, key: u32 },
    /// A gateway asks a member for users with a currency.
    Scan { shard: u32, flow: u32, currency: u8, most: u16 },
    /// What became of a request.
    Answer { flow: u32, outcome: Outcome, value: u32 },
    /// Here is the user, if there is one.
    Record { flow: u32, is_there: bool },
    /// Here are users.
    Page { flow: u32 },
    /// Ask that one, or anybody else.
    Elsewhere { flow: u32, leader: NodeId },
    /// A leader sends an entry.
    Append { shard: u32, term: u32, prev: u32, prev_term: u32, commit: u32, sent: u32, entry: Entry },
    /// A leader leads.
    Beat { shard: u32, term: u32, prev: u32, prev_term: u32, commit: u32, sent: u32 },
    /// A leader sends entries.
    Entries { shard: u32, term: u32, prev: u32, prev_term: u32, commit: u32, sent: u32 },
    /// Up to where the log is the leader's, or at most may be.
    Appended { shard: u32, term: u32, matched: u32, ok: bool },
    /// A member asks for a vote.
    Vote { shard: u32, term: u32, last: u32, last_term: u32, phase: Phase },
    /// Whether it gets it.
    Voted { shard: u32, term: u32, granted: bool, before: bool },
    /// The leader wants the receiver to lead.
    Elect { shard: u32, term: u32 },
    /// Records at the start, for who is to become a member.
    Chunk { shard: u32, term: u32, from: u32, users: u16, ids: u16 },
    /// How many of them are there.
    ChunkTaken { shard: u32, held: u32 },
    /// The receiver is no member any more.
    Gone { shard: u32, leader: NodeId },
    /// A full node lives.
    Alive,
    /// A full node wants to go.
    Leave,
    /// A full node shall take the place of another.
    Replace { shard: u32, old: NodeId, new: NodeId },
    /// Who the members are now.
    Changed { shard: u32, members: Members },
    /// Who are the members?
    Find { shard: u32, flow: u32 },
    /// These.
    Found { shard: u32, flow: u32, members: Members },
}

/// What a timer of a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegistryTimer {
    /// An operation of a device is due.
    Due,
    /// A device should have an answer by now.
    Unanswered {
        /// To which operation.
        number: u16,
        /// After how many attempts.
        attempt: u8,
    },
    /// A gateway should have an answer by now.
    Late {
        /// In which flow.
        flow: u32,
        /// After how many requests.
        turn: u16,
    },
    /// What waits to be sent is due.
    Served,
    /// A full node looks after its replicas.
    Tick,
    /// A full node says that it lives; the driver looks who does.
    Alive,
    /// A full node leaves.
    Depart,
}

impl Protocol for RegistryService {
    type Message = RegistryMessage;
    type Timer = RegistryTimer;
    type State = RegistryState;

    fn kinds(&self) -> &'static [&'static str] {
        &wire::NAMES
    }

    #[inline(always)]
    fn kind(&self, message: &RegistryMessage) -> usize {
        wire::kind(message)
    }

    #[inline]
    fn wire_len(&self, message: &RegistryMessage, payload: usize) -> u32 {
        wire::wire_len(message, payload) as u32
    }

    fn fingerprint(&self, message: &RegistryMessage) -> u64 {
        wire::fingerprint(message)
    }

    fn state(&self, nodes: Nodes) -> RegistryState {
        RegistryState::new(self, &nodes)
    }

    fn state_bytes(&self, state: &RegistryState) -> usize {
        state.bytes()
    }

    fn handle_start(&self, state: &mut RegistryState, here: Here, fx: &mut impl Effects<Self>) {
        match here.node_type {
            NodeType::SuperNode if here.id == DRIVER => self.start_driver(state, fx),
            NodeType::SuperNode => {}
            NodeType::FullNode => {
                self.start_full(fx);
                if let Some(departures) = self.options.departures {
                    let departs = fx.random().unit() < departures.share;
                    let wait = departures.from.since(fx.now()) + Self::phase(departures.over, fx);
                    if departs {
                        fx.wake_after(wait, RegistryTimer::Depart);
                    }
                }
            }
            NodeType::LightNode | NodeType::MobileNode => self.start_client(fx),
        }
    }

    fn handle_message(
        &self,
        state: &mut RegistryState,
        here: Here,
        from: NodeId,
        message: RegistryMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        match here.node_type {
            NodeType::SuperNode if here.id == DRIVER => self.driver_hears(state, from, message, fx),
            NodeType::SuperNode => state.figures.invalid += 1,
            NodeType::FullNode => self.full_hears(state, here, from, message, payload, fx),
            NodeType::LightNode | NodeType::MobileNode => self.client_hears(state, here, from, message, payload, fx),
        }
    }

    fn handle_timer(&self, state: &mut RegistryState, here: Here, timer: RegistryTimer, fx: &mut impl Effects<Self>) {
        match here.node_type {
            NodeType::SuperNode => self.driver_wakes(state, fx),
            NodeType::FullNode => self.full_wakes(state, here, timer, fx),
            NodeType::LightNode | NodeType::MobileNode => self.client_wakes(state, here, timer, fx),
        }
    }

    /// What waited is gone; what is on disk is not.
    fn handle_join(&self, state: &mut RegistryState, here: Here, fx: &mut impl Effects<Self>) {
        match here.node_type {
            NodeType::SuperNode if here.id == DRIVER => self.start_driver(state, fx),
            NodeType::SuperNode => {}
            NodeType::FullNode => {
                state.full(here).restart(fx.now());
                self.start_full(fx);
            }
            NodeType::LightNode | NodeType::MobileNode => {
                state.client(here).forget();
                self.start_client(fx);
            }
        }
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &RegistryState, index: usize, _: &RegistryMessage) {
        state.prefetch(index);
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &RegistryState, index: usize, _: &RegistryTimer) {
        state.prefetch(index);
    }
}

const _: () = assert!(COUNTRIES.len() <= crate::contract::Placement::REGIONS_MAX);

#[cfg(test)]
mod tests;
