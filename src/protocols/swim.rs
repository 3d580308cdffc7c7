//! SWIM: every member probes a random other once a period, and what it finds spreads on the probes themselves.
//!
//! Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002,
//! with suspicion. Sizes and multipliers are those of memberlist, the implementation most in use.
//!
//! | when | what a member does |
//! |---|---|
//! | every period, at a phase of its own | pings a random member that it does not take for down |
//! | no ack after the probe timeout | asks `indirect_probes` random members to ping it instead, and to pass the ack on |
//! | no ack by the end of the period | suspects it |
//! | the suspicion is not refuted in time | takes it for down |
//! | it hears that it is suspected or down itself | raises its incarnation and says that it lives |
//! | it leaves | tells [`LEAVE_FANOUT`] random members |
//! | it comes back | raises its incarnation, and asks a random member for its view |
//!
//! Every message carries updates, those that were sent least first, as many as fit [`wire::MESSAGE_LEN_MAX`] bytes. What
//! is said first to a member that is suspected or down is just that, so that it can refute it (Lifeguard calls this the
//! buddy system; Dadgar, Phillips, Currey, DSN-W 2018).
//!
//! Left out: a member that is taken for down is not contacted again, as in the paper. So a network that was cut in two
//! stays in two parts once every member was told that those on the other side are down, but for what views forgot.

pub mod membership;
pub mod wire;

use serde::{Deserialize, Serialize};

use self::membership::{Standing, Status, Update, View, Waiting};
use crate::contract::{Effects, Here, NodeId, Nodes, Population, Protocol, SimSpan, Stream, Verdict, prefetch};

/// An update is sent this many times `ceil(log10(n + 1))` by every member: memberlist's `RetransmitMult`.
pub const RETRANSMIT_MULT: u32 = 4;

/// How many members are told by one that leaves: memberlist's `GossipNodes`.
pub const LEAVE_FANOUT: u32 = 3;

/// How many random members are tried before the next one is searched for that will do.
const TRIES_MAX: u32 = 16;

/// How often members are probed, and how long they are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwimTiming {
    /// Time between two probes of a member.
    pub period: SimSpan,
    /// Time after which an ack is late; at most a period.
    pub probe_timeout: SimSpan,
    /// Members that are asked to probe one whose ack is late.
    pub indirect_probes: u32,
    /// A suspicion lasts this many times `log10(max(n, 10))` periods: memberlist's formula, on this parameter of it.
    pub suspicion_mult: u32,
}

/// SWIM over a flat population. In the beginning every member knows all others.
#[derive(Clone, Debug)]
pub struct Swim {
    members: NodeId,
    timing: SwimTiming,
    suspicion: SimSpan,
    times_max: u8,
}

impl Swim {
    /// SWIM over all of `population`, whatever the types.
    ///
    /// # Panics
    /// If the period is zero, or the probe timeout exceeds it.
    pub fn new(population: Population, timing: SwimTiming) -> Self {
        let SwimTiming { period, probe_timeout, suspicion_mult, .. } = timing;
        assert!(SimSpan::ZERO < period && probe_timeout <= period, "a timeout of {probe_timeout} within {period}");
        let members = population.total();
        let periods = f64::from(suspicion_mult) * libm::log10(f64::from(members.max(10)));
        // ceil(log10(n + 1)) is the number of digits of n.
        let times_max = RETRANSMIT_MULT * (members.ilog10() + 1);
        Swim {
            members,
            timing,
            suspicion: SimSpan::from_nanos((periods * period.as_nanos() as f64) as u64),
            times_max: u8::try_from(times_max).unwrap_or(u8::MAX),
        }
    }

    /// How long a suspicion lasts that nobody refutes.
    pub fn suspicion(&self) -> SimSpan {
        self.suspicion
    }

    /// How often a member sends an update.
    pub fn times_max(&self) -> u8 {
        self.times_max
    }

    /// A random member other than `own` that `will_do`: uniform among them, unless they are so few that
    /// [`TRIES_MAX`] draws find none; then the next by number. As a view is bounded, the search is as well.
    fn pick(&self, own: NodeId, random: &mut Stream, will_do: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let others = u64::from(self.members - 1);
        let draw = |random: &mut Stream| {
            let other = random.below(others) as NodeId;
            other + NodeId::from(other >= own)
        };
        if others == 0 {
            return None;
        }
        let mut tried = draw(random);
        for _ in 1..TRIES_MAX {
            if will_do(tried) {
                return Some(tried);
            }
            tried = draw(random);
        }
        (tried..self.members).chain(0..tried).find(|&member| member != own && will_do(member))
    }

    /// Sends `message` to `to` with the updates that are next, if any.
    #[inline]
    fn send(&self, state: &mut SwimState, here: Here, to: NodeId, message: SwimMessage, fx: &mut impl Effects<Self>) {
        let Member { view, waiting, .. } = &mut state.members[here.index];
        let known = view.standing(to);
        let is_accused = known.status() != Status::Alive;
        if waiting.is_empty() && !is_accused {
            fx.send(to, message);
            return;
        }
        let bytes = &mut state.scratch;
        bytes.clear();
        if is_accused {
            wire::encode_update(Update { member: to, standing: known }, bytes);
        }
        let room = wire::UPDATES_MAX - usize::from(is_accused);
        waiting.send(room, self.times_max, |update| {
            // An accusation stands at the front already.
            if !is_accused || update.member != to {
                wire::encode_update(update, bytes);
            }
        });
        fx.send_payload(to, message, bytes);
    }

    /// Takes an update in. With `spread`, what is new is passed on.
    fn learn(&self, member: &mut Member, here: Here, update: Update, spread: bool, fx: &mut impl Effects<Self>) {
        if update.member == here.id {
            member.answer(here.id, update.standing);
            return;
        }
        if update.member >= self.members {
            return;
        }
        let Some(learnt) = member.view.learn(update) else { return };
        if spread {
            member.waiting.add(update);
        }
        if update.standing.status() == Status::Suspected {
            let incarnation = update.standing.incarnation();
            fx.wake_after(self.suspicion, SwimTimer::Suspicion { member: update.member, incarnation });
        }
        if learnt.before.verdict() != update.standing.verdict() {
            fx.judge(update.member, update.standing.verdict());
        }
        if let Some(forgotten) = learnt.forgotten
            && forgotten.standing.verdict() != Verdict::Up
        {
            fx.judge(forgotten.member, Verdict::Up);
        }
    }

    /// The end of a period: judges the last probe, and begins the next.
    fn begin_period(&self, state: &mut SwimState, here: Here, fx: &mut impl Effects<Self>) {
        let member = &mut state.members[here.index];
        if !member.is_acked {
            let standing = member.view.standing(member.target);
            if standing.status() == Status::Alive {
                let standing = Standing::new(standing.incarnation(), Status::Suspected);
                self.learn(member, here, Update { member: member.target, standing }, true, fx);
            }
        }
        let mut random = fx.random();
        let asked = self.pick(here.id, &mut random, |other| member.view.standing(other).is_up());
        member.is_acked = true;
        if let Some(target) = asked {
            member.probe = member.probe.wrapping_add(1);
            (member.target, member.is_acked) = (target, false);
            let (probe, is_lost) = (member.probe, member.is_lost);
            self.send(state, here, target, SwimMessage::Ping { probe }, fx);
            if is_lost {
                self.ask_for_view(state, here, fx);
            }
        }
        fx.wake_after(self.timing.probe_timeout, SwimTimer::Timeout);
    }

    /// Asks others to probe the target of this period, if it has not answered yet.
    fn probe_indirectly(&self, state: &mut SwimState, here: Here, fx: &mut impl Effects<Self>) {
        let Member { is_acked, target, probe, .. } = state.members[here.index];
        if !is_acked {
            let mut random = fx.random();
            let view = &state.members[here.index].view;
            let mut helpers: Vec<NodeId> = Vec::new();
            for _ in 0..self.timing.indirect_probes {
                let is_new = |other| other != target && !helpers.contains(&other) && view.standing(other).is_up();
                let Some(helper) = self.pick(here.id, &mut random, is_new) else { break };
                helpers.push(helper);
            }
            for helper in helpers {
                self.send(state, here, helper, SwimMessage::PingRequest { probe, target }, fx);
            }
        }
        fx.wake_after(self.timing.period - self.timing.probe_timeout, SwimTimer::Period);
    }

    /// Asks a random member for its view.
    fn ask_for_view(&self, state: &mut SwimState, here: Here, fx: &mut impl Effects<Self>) {
        let view = &state.members[here.index].view;
        let asked = self.pick(here.id, &mut fx.random(), |other| view.standing(other).is_up());
        if let Some(asked) = asked {
            self.send(state, here, asked, SwimMessage::Join, fx);
        }
    }

    /// Sends all of this member's view to `to`.
    fn send_view(&self, state: &mut SwimState, here: Here, to: NodeId, fx: &mut impl Effects<Self>) {
        let bytes = &mut state.scratch;
        bytes.clear();
        let known = state.members[here.index].view.exceptions().iter();
        known.for_each(|&update| wire::encode_update(update, bytes));
        fx.send_payload(to, SwimMessage::View, bytes);
    }

    /// Whether a message can go from `own` to `other`.
    fn is_other(&self, own: NodeId, other: NodeId) -> bool {
        other != own && other < self.members
    }
}

/// A message under way. Updates are its payload, as [`wire`] encodes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwimMessage {
    /// Are you there?
    Ping {
        /// The sender's probe, modulo 2^16.
        probe: u16,
    },
    /// Are you there? Another wants to know.
    PingFor {
        /// That member's probe.
        probe: u16,
        /// That member.
        origin: NodeId,
    },
    /// Ping a member for me.
    PingRequest {
        /// The sender's probe.
        probe: u16,
        /// Who is to be pinged.
        target: NodeId,
    },
    /// I am there, or who you asked for is.
    Ack {
        /// The receiver's probe.
        probe: u16,
    },
    /// I am there; tell who wanted to know.
    AckFor {
        /// That member's probe.
        probe: u16,
        /// That member.
        origin: NodeId,
    },
    /// I am here again: tell me what you know.
    Join,
    /// What I know: an update for every exception of my view.
    View,
    /// I leave, as the first update says.
    Leave,
}

/// What a timer of a member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwimTimer {
    /// A period begins.
    Period,
    /// The ack of this period's probe is late, if it is not there.
    Timeout,
    /// A suspicion has lasted long enough.
    Suspicion {
        /// Of whom.
        member: NodeId,
        /// In which incarnation.
        incarnation: u32,
    },
}

/// What one member remembers: a cache line, and what its view and its waiting updates take.
#[derive(Debug, Default, Serialize, Deserialize)]
#[repr(align(64))]
struct Member {
    view: View,
    waiting: Waiting,
    /// Survives a crash: a real member keeps it on disk, because others would not believe a lower one.
    incarnation: u32,
    /// Whom this period's probe is for.
    target: NodeId,
    /// Number of this period's probe, modulo 2^16; survives as well, so that no old ack fits a new probe.
    probe: u16,
    /// Whether the target has answered, or there is none.
    is_acked: bool,
    /// Whether it came back and was not sent a view yet.
    is_lost: bool,
}

const _: () = assert!(size_of::<Member>() == 64, "a member is a cache line");

impl Member {
    /// Answers what is said of this member itself, whose number is `own`.
    fn answer(&mut self, own: NodeId, said: Standing) {
        if said.status() == Status::Alive {
            // Only a member that lost its incarnation can hear of a higher one.
            self.incarnation = self.incarnation.max(said.incarnation());
            return;
        }
        if said.incarnation() >= self.incarnation {
            self.incarnation = (said.incarnation() + 1).min(Standing::INCARNATION_MAX);
        }
        // What is said of an earlier incarnation was refuted already, but not everybody knows.
        self.announce(own, Status::Alive);
    }

    /// Has others told what this member, whose number is `own`, is to be taken for.
    fn announce(&mut self, own: NodeId, status: Status) {
        self.waiting.add(Update { member: own, standing: Standing::new(self.incarnation, status) });
    }
}

/// What the members of a partition remember.
#[derive(Debug, Serialize, Deserialize)]
pub struct SwimState {
    members: Vec<Member>,
    scratch: Vec<u8>,
    rejected: u64,
}

impl SwimState {
    /// What the member at `index` knows of the others.
    pub fn view(&self, index: usize) -> &View {
        &self.members[index].view
    }

    /// The incarnation of the member at `index`.
    pub fn incarnation(&self, index: usize) -> u32 {
        self.members[index].incarnation
    }

    /// Messages whose updates could not be understood; they were ignored as a whole.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }
}

impl Protocol for Swim {
    type Message = SwimMessage;
    type Timer = SwimTimer;
    type State = SwimState;

    fn kinds(&self) -> &'static [&'static str] {
        &["ping", "ping-request", "ack", "join", "view", "leave"]
    }

    #[inline(always)]
    fn kind(&self, message: &SwimMessage) -> usize {
        match message {
            SwimMessage::Ping { .. } | SwimMessage::PingFor { .. } => 0,
            SwimMessage::PingRequest { .. } => 1,
            SwimMessage::Ack { .. } | SwimMessage::AckFor { .. } => 2,
            SwimMessage::Join => 3,
            SwimMessage::View => 4,
            SwimMessage::Leave => 5,
        }
    }

    #[inline(always)]
    fn wire_len(&self, message: &SwimMessage, payload: usize) -> u32 {
        (wire::head_len(message) + payload) as u32
    }

    #[inline(always)]
    fn fingerprint(&self, message: &SwimMessage) -> u64 {
        let (form, probe, other) = match *message {
            SwimMessage::Ping { probe } => (0, probe, 0),
            SwimMessage::PingFor { probe, origin } => (1, probe, origin),
            SwimMessage::PingRequest { probe, target } => (2, probe, target),
            SwimMessage::Ack { probe } => (3, probe, 0),
            SwimMessage::AckFor { probe, origin } => (4, probe, origin),
            SwimMessage::Join => (5, 0, 0),
            SwimMessage::View => (6, 0, 0),
            SwimMessage::Leave => (7, 0, 0),
        };
        u64::from(other) << 32 | u64::from(probe) << 16 | form
    }

    fn state(&self, nodes: Nodes) -> SwimState {
        let member = || Member { is_acked: true, ..Member::default() };
        let members = std::iter::repeat_with(member).take(nodes.len()).collect();
        SwimState { members, scratch: Vec::new(), rejected: 0 }
    }

    fn state_bytes(&self, state: &SwimState) -> usize {
        let lists: usize = state.members.iter().map(|member| member.view.bytes() + member.waiting.bytes()).sum();
        // Not the scratch: no member remembers it, and it differs with the partitions.
        state.members.len() * size_of::<Member>() + lists
    }

    fn handle_start(&self, _: &mut SwimState, _: Here, fx: &mut impl Effects<Self>) {
        let phase = fx.random().below(self.timing.period.as_nanos());
        fx.wake_after(SimSpan::from_nanos(phase), SwimTimer::Period);
    }

    fn handle_message(
        &self,
        state: &mut SwimState,
        here: Here,
        from: NodeId,
        message: SwimMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if !payload.is_empty() {
            let Ok(updates) = wire::decode_updates(payload) else {
                state.rejected += 1;
                return;
            };
            let member = &mut state.members[here.index];
            // Whoever sends a view has passed on what is in it.
            let spread = message != SwimMessage::View;
            updates.for_each(|update| self.learn(member, here, update, spread, fx));
        }
        match message {
            SwimMessage::Ping { probe } => self.send(state, here, from, SwimMessage::Ack { probe }, fx),
            SwimMessage::PingFor { probe, origin } => {
                self.send(state, here, from, SwimMessage::AckFor { probe, origin }, fx);
            }
            SwimMessage::PingRequest { probe, target } if self.is_other(here.id, target) => {
                self.send(state, here, target, SwimMessage::PingFor { probe, origin: from }, fx);
            }
            SwimMessage::AckFor { probe, origin } if self.is_other(here.id, origin) => {
                self.send(state, here, origin, SwimMessage::Ack { probe }, fx);
            }
            SwimMessage::Ack { probe } => {
                let member = &mut state.members[here.index];
                member.is_acked |= probe == member.probe;
            }
            SwimMessage::Join => self.send_view(state, here, from, fx),
            SwimMessage::View => state.members[here.index].is_lost = false,
            SwimMessage::PingRequest { .. } | SwimMessage::AckFor { .. } | SwimMessage::Leave => {}
        }
    }

    fn handle_timer(&self, state: &mut SwimState, here: Here, timer: SwimTimer, fx: &mut impl Effects<Self>) {
        match timer {
            SwimTimer::Period => self.begin_period(state, here, fx),
            SwimTimer::Timeout => self.probe_indirectly(state, here, fx),
            SwimTimer::Suspicion { member: suspect, incarnation } => {
                let member = &mut state.members[here.index];
                if member.view.standing(suspect) == Standing::new(incarnation, Status::Suspected) {
                    let standing = Standing::new(incarnation, Status::Down);
                    self.learn(member, here, Update { member: suspect, standing }, true, fx);
                }
            }
        }
    }

    fn handle_leave(&self, state: &mut SwimState, here: Here, fx: &mut impl Effects<Self>) {
        state.members[here.index].announce(here.id, Status::Left);
        let mut random = fx.random();
        let mut told: Vec<NodeId> = Vec::new();
        for _ in 0..LEAVE_FANOUT {
            let view = &state.members[here.index].view;
            let is_new = |other| !told.contains(&other) && view.standing(other).is_up();
            let Some(other) = self.pick(here.id, &mut random, is_new) else { break };
            told.push(other);
            self.send(state, here, other, SwimMessage::Leave, fx);
        }
    }

    /// What is left of a member that was away is its incarnation. It forgets what it knew, whom it took for down
    /// included, and asks for a view.
    fn handle_join(&self, state: &mut SwimState, here: Here, fx: &mut impl Effects<Self>) {
        let member = &mut state.members[here.index];
        member.view.clear();
        member.waiting.clear();
        member.incarnation = (member.incarnation + 1).min(Standing::INCARNATION_MAX);
        (member.is_acked, member.is_lost) = (true, true);
        member.announce(here.id, Status::Alive);
        self.ask_for_view(state, here, fx);
        self.handle_start(state, here, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &SwimState, index: usize, _: &SwimMessage) {
        prefetch(&state.members, index);
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &SwimState, index: usize, _: &SwimTimer) {
        prefetch(&state.members, index);
    }
}

#[cfg(test)]
mod tests;
