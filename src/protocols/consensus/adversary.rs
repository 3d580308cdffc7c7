//! Pbft against an adversary: up to f replicas that lie as they like, and a network that loses, repeats, delays and cuts.
//!
//! The adversary sees every message as it is sent. It cannot do what signatures prevent in a real network: speak in the
//! name of another, report a view change that nobody sent, or show a quorum of votes that were not cast. Simulated
//! messages carry no such proof, so the replicas rely on it; what they check themselves is all that they are attacked on.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::state::Certificate;
use super::wire::{self, Report};
use super::*;
use crate::contract::{Domain, RandomKey, SimTime, Stream};
use crate::protocols::recorder::Recorder;

/// Blocks that replicas agree on.
const HEIGHTS: u32 = 4;
const TIMEOUT: SimSpan = SimSpan::from_millis(1_000);
/// Until then the adversary does what it likes.
const ATTACK: SimTime = SimTime::from_nanos(40_000_000_000);
/// Messages that the adversary sends, at most.
const FORGED_MAX: u32 = 3_000;
/// Events of a case, at most: what goes on for longer would go on for ever.
const EVENTS_MAX: u32 = 2_000_000;

/// How hard the adversary tries.
#[derive(Clone, Debug)]
struct Attack {
    replicas: u32,
    liars: u32,
    rotates: bool,
    seed: u64,
    /// In 256ths: how often it lies when it hears something; how many messages are lost, come twice, come late.
    lies: u64,
    lost: u64,
    doubled: u64,
    late: u64,
    /// Crashes of honest replicas.
    crashes: u32,
    /// Whether the network is cut in two now and then.
    cuts: bool,
    /// Whether liars together tell one half one thing and the other half another, besides anything to anybody.
    divides: bool,
    /// Whether nearly all that commits a block is lost but for what goes to one replica, another at each height.
    starves: bool,
}

#[derive(Clone, Debug)]
enum Event {
    Start(NodeId),
    Message { to: NodeId, from: NodeId, message: ConsensusMessage, payload: Vec<u8> },
    Timer { to: NodeId, life: u32, timer: ConsensusTimer },
    Crash(NodeId),
    Return(NodeId),
}

/// Replicas, their network, and what the adversary knows.
struct World {
    attack: Attack,
    consensus: Consensus,
    nodes: Nodes,
    state: ConsensusState,
    random: Stream,
    now: SimTime,
    queue: BTreeMap<(SimTime, u64), Event>,
    number: u64,
    /// Of each replica, how often it has crashed, and whether it is up.
    lives: Vec<(u32, bool)>,
    liars: BTreeSet<NodeId>,
    /// Which of the honest prepared or committed what, by kind, height, view and digest.
    votes: BTreeMap<(usize, u32, u16, u64), ReplicaSet>,
    /// What the honest reported when they changed views, by height and view.
    reports: BTreeMap<(u32, u16), BTreeMap<NodeId, Report>>,
    /// All blocks, by height and digest.
    blocks: BTreeMap<(u32, u64), Vec<u8>>,
    forged: u32,
}

impl World {
    fn new(attack: Attack) -> Self {
        let population = Population::new([u64::from(attack.replicas), 0, 0, 0]).unwrap();
        let options = ConsensusOptions {
            rotates: attack.rotates,
            timeout: TIMEOUT,
            interval: SimSpan::from_millis(100),
            heights: Some(HEIGHTS),
            records_max: HEIGHTS,
            ..ConsensusOptions::DEFAULT
        };
        let (consensus, nodes) = (Consensus::new(population, options), Nodes::all(population));
        let mut random = RandomKey::new(attack.seed, Domain::Protocol).stream(0, 0);
        let mut liars = BTreeSet::new();
        while (liars.len() as u32) < attack.liars {
            liars.insert(random.below(u64::from(attack.replicas)) as NodeId);
        }
        let mut world = World {
            state: consensus.state(nodes.clone()),
            lives: vec![(0, true); attack.replicas as usize],
            attack,
            consensus,
            nodes,
            random,
            liars,
            now: SimTime::ZERO,
            queue: BTreeMap::new(),
            number: 0,
            votes: BTreeMap::new(),
            reports: BTreeMap::new(),
            blocks: BTreeMap::new(),
            forged: 0,
        };
        for id in world.honest() {
            world.push(SimSpan::ZERO, Event::Start(id));
        }
        for _ in 0..world.attack.crashes {
            let id = world.pick(&world.honest());
            let (from, length) = (world.below(ATTACK.as_nanos() / 2), world.below(ATTACK.as_nanos() / 4));
            world.push(SimSpan::from_nanos(from), Event::Crash(id));
            world.push(SimSpan::from_nanos(from + length), Event::Return(id));
        }
        world
    }

    fn honest(&self) -> Vec<NodeId> {
        (0..self.attack.replicas).filter(|id| !self.liars.contains(id)).collect()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.below(of.len() as u64) as usize]
    }

    fn push(&mut self, after: SimSpan, event: Event) {
        self.number += 1;
        self.queue.insert((self.now + after, self.number), event);
    }

    /// Which half `id` is in.
    fn half(&self, id: NodeId) -> u64 {
        (u64::from(id) ^ self.attack.seed) % 2
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        let is_time = self.now.as_nanos() / 3_000_000_000 % 2 == 1;
        self.attack.cuts && is_time && !self.liars.contains(&from) && self.half(from) != self.half(to)
    }

    fn is_starved(&self, to: NodeId, message: &ConsensusMessage) -> bool {
        let is_fed = (u64::from(message.height) + self.attack.seed) % u64::from(self.attack.replicas) == u64::from(to);
        self.attack.starves && !is_fed && matches!(message.kind, MessageKind::Commit | MessageKind::Block)
    }

    fn transmit(&mut self, from: NodeId, to: NodeId, message: ConsensusMessage, payload: &[u8]) {
        let delay = SimSpan::from_nanos(5_000_000 + self.below(95_000_000));
        let mut arrivals = vec![delay];
        if self.now < ATTACK {
            let Attack { lost, doubled, late, .. } = self.attack;
            if self.below(256) < lost || self.is_cut(from, to) || self.is_starved(to, &message) && self.below(16) > 0 {
                return;
            }
            if self.below(256) < late {
                arrivals[0] = SimSpan::from_nanos(self.below(6_000_000_000));
            }
            if self.below(256) < doubled {
                arrivals.push(SimSpan::from_nanos(self.below(3_000_000_000)));
            }
        }
        for delay in arrivals {
            self.push(delay, Event::Message { to, from, message, payload: payload.to_vec() });
        }
    }

    /// What the adversary learns from a message of an honest replica.
    fn observe(&mut self, from: NodeId, message: ConsensusMessage, payload: &[u8]) {
        let ConsensusMessage { kind, view, height, digest } = message;
        match kind {
            MessageKind::PrePrepare => drop(self.blocks.insert((height, digest), payload.to_vec())),
            MessageKind::Prepare | MessageKind::Commit => {
                self.votes.entry((kind as usize, height, view, digest)).or_default().insert(from);
            }
            MessageKind::ViewChange => {
                let change =
                    wire::decode_change(&self.consensus, &message, payload).expect("the honest say what can be");
                let prepared = change.prepared.map_or(0, |certificate| certificate.view + 1);
                let report = Report { replica: from as u16, prepared, digest };
                let before = self.reports.entry((height, view)).or_default().insert(from, report);
                assert!(before.is_none_or(|before| before == report), "{from} reports {before:?}, and then {report:?}");
            }
            MessageKind::NewView | MessageKind::Fetch | MessageKind::Block => {}
        }
    }

    fn act(&mut self, id: NodeId, act: impl FnOnce(&Consensus, &mut ConsensusState, Here, &mut Recorder<Consensus>)) {
        let here = self.nodes.here(id as usize);
        self.number += 1;
        let mut fx = Recorder::new(here, self.now).with_draws(self.number as u32);
        act(&self.consensus, &mut self.state, here, &mut fx);
        for (to, message, payload) in fx.sent {
            self.observe(id, message, &payload);
            self.transmit(id, to, message, &payload);
        }
        for (after, timer) in fx.timers {
            let life = self.lives[id as usize].0;
            self.push(after, Event::Timer { to: id, life, timer });
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Start(id) => self.act(id, |consensus, state, here, fx| consensus.handle_start(state, here, fx)),
            Event::Message { to, from, message, payload } => {
                if self.liars.contains(&to) {
                    let has_time = self.now < ATTACK && self.forged < FORGED_MAX;
                    if has_time && self.below(256) < self.attack.lies {
                        self.lie();
                    }
                } else if self.lives[to as usize].1 {
                    self.act(to, |consensus, state, here, fx| {
                        consensus.handle_message(state, here, from, message, &payload, fx);
                    });
                }
            }
            Event::Timer { to, life, timer } => {
                if self.lives[to as usize] == (life, true) {
                    self.act(to, |consensus, state, here, fx| consensus.handle_timer(state, here, timer, fx));
                }
            }
            Event::Crash(id) => self.lives[id as usize] = (self.lives[id as usize].0 + 1, false),
            Event::Return(id) => {
                if !self.lives[id as usize].1 {
                    self.lives[id as usize].1 = true;
                    self.act(id, |consensus, state, here, fx| consensus.handle_join(state, here, fx));
                }
            }
        }
    }

    fn forge(&mut self, from: NodeId, to: NodeId, message: ConsensusMessage, payload: &[u8]) {
        if !self.liars.contains(&to) {
            self.forged += 1;
            self.transmit(from, to, message, payload);
        }
    }

    /// Sends a lie to all, to one half, or to anybody.
    fn spread(&mut self, from: NodeId, message: ConsensusMessage, payload: &[u8]) {
        let way = self.below(4);
        for to in 0..self.attack.replicas {
            if way == 0 || way == 1 + self.half(to) || way == 3 && self.below(2) == 0 {
                self.forge(from, to, message, payload);
            }
        }
    }

    /// One lie, about the height and the view that some honest replica is in.
    fn lie(&mut self) {
        let (about, from) = (self.pick(&self.honest()), self.pick(&Vec::from_iter(self.liars.clone())));
        let height = self.state.height(about as usize).min(HEIGHTS);
        let now = self.state.replicas[about as usize].instances.front().map_or(0, |instance| instance.view);
        let view = now.saturating_add(self.below(3) as u16);
        let leader = self.consensus.leader(&self.state, about as usize, view);
        let is_led = self.liars.contains(&leader);
        match self.below(if is_led { 10 } else { 6 }) {
            0 | 1 => self.lie_vote(from, height, view),
            2 | 3 => self.lie_change(from, height, view + 1),
            4 => self.lie_block(from, height),
            5 => {
                let kind = MessageKind::ALL[self.below(KINDS as u64) as usize];
                let digest = self.known_digest(height).unwrap_or(7);
                self.spread(from, ConsensusMessage { kind, view, height, digest }, &[]);
            }
            6 if view > 0 => self.lie_new_view(leader, height, view),
            _ if self.attack.divides => self.divide(leader, height, view),
            _ => {
                let block = self.some_block(leader, height);
                let digest = digest_of(height, &block);
                self.spread(leader, ConsensusMessage { kind: MessageKind::PrePrepare, view, height, digest }, &block);
            }
        }
    }

    fn known_digest(&mut self, height: u32) -> Option<u64> {
        let known: Vec<u64> =
            self.blocks.range((height, 0)..=(height, u64::MAX)).map(|((_, digest), _)| *digest).collect();
        (!known.is_empty()).then(|| self.pick(&known))
    }

    /// A new block of `leader`, or one that there is.
    fn some_block(&mut self, leader: NodeId, height: u32) -> Vec<u8> {
        if let Some(digest) = self.known_digest(height).filter(|_| !self.attack.seed.is_multiple_of(3))
            && self.below(2) == 0
        {
            return self.blocks[&(height, digest)].clone();
        }
        let body = [self.below(4) as u8];
        let block = Block::new(leader, SimTime::from_nanos(self.now.as_nanos() / 2), &body).as_bytes().to_vec();
        self.blocks.insert((height, digest_of(height, &block)), block.clone());
        block
    }

    /// A vote for a block that there is, or for one that there is not.
    fn lie_vote(&mut self, from: NodeId, height: u32, view: u16) {
        let kind = if self.below(2) == 0 { MessageKind::Prepare } else { MessageKind::Commit };
        let digest = self.known_digest(height).filter(|_| !self.attack.seed.is_multiple_of(5));
        let digest = digest.unwrap_or_else(|| self.random.word() | 1);
        self.spread(from, ConsensusMessage { kind, view, height, digest }, &[]);
    }

    /// Adds the votes of all liars.
    fn vouch(&self, voters: &mut ReplicaSet) {
        for &liar in &self.liars {
            voters.insert(liar);
        }
    }

    /// A certificate that `kind` of a block below `view` of `height` has a quorum, if the votes for one were cast.
    fn certificate(&mut self, kind: MessageKind, height: u32, view: u16) -> Option<Certificate> {
        let range = (kind as usize, height, 0, 0)..(kind as usize, height, view, 0);
        let known: Vec<Certificate> = self
            .votes
            .range(range)
            .map(|(&(_, _, view, digest), honest)| {
                let mut voters = *honest;
                self.vouch(&mut voters);
                Certificate { view, digest, voters }
            })
            .filter(|certificate| certificate.voters.len() >= self.consensus.quorum())
            .collect();
        (!known.is_empty()).then(|| self.pick(&known))
    }

    /// A view change that hides what was prepared, or tells of something older or other that was.
    fn lie_change(&mut self, from: NodeId, height: u32, view: u16) {
        let prepared =
            self.certificate(MessageKind::Prepare, height, view).filter(|_| self.attack.seed.is_multiple_of(2));
        let (mut payload, digest) = (Vec::new(), prepared.map_or(0, |prepared| prepared.digest));
        if let Some(prepared) = prepared {
            wire::encode_prepared(&self.consensus, &prepared, &mut payload);
            payload.extend(self.blocks.get(&(height, digest)).into_iter().flatten());
        }
        self.spread(from, ConsensusMessage { kind: MessageKind::ViewChange, view, height, digest }, &payload);
    }

    /// A block that was committed, with the claim to have many more.
    fn lie_block(&mut self, from: NodeId, height: u32) {
        let Some(certificate) = self.certificate(MessageKind::Commit, height, u16::MAX) else { return };
        let Certificate { view, digest, .. } = certificate;
        let Some(block) = self.blocks.get(&(height, digest)).map(|block| Block::from_bytes(block)) else { return };
        let mut payload = Vec::new();
        wire::encode_block(&self.consensus, u32::MAX, &certificate, &block, &mut payload);
        self.spread(from, ConsensusMessage { kind: MessageKind::Block, view, height, digest }, &payload);
    }

    /// The beginning of `view`, with as few of the reports of the honest as can be, chosen at will.
    fn lie_new_view(&mut self, leader: NodeId, height: u32, view: u16) {
        let honest = self.reports.get(&(height, view)).cloned().unwrap_or_default();
        let mut reports: Vec<Report> = honest.into_values().collect();
        let needed = (self.consensus.quorum() as usize).saturating_sub(self.liars.len());
        while reports.len() > needed {
            let dropped = self.below(reports.len() as u64) as usize;
            reports.swap_remove(dropped);
        }
        for liar in self.liars.clone() {
            let prepared =
                self.certificate(MessageKind::Prepare, height, view).filter(|_| self.attack.seed.is_multiple_of(2));
            let digest = prepared.map_or(0, |prepared| prepared.digest);
            reports.push(Report { replica: liar as u16, prepared: prepared.map_or(0, |known| known.view + 1), digest });
        }
        let chosen = views::choose(&reports);
        let certificate = chosen.and_then(|(view, digest)| {
            let mut voters = self.votes.get(&(MessageKind::Prepare as usize, height, view, digest)).copied()?;
            self.vouch(&mut voters);
            Some(Certificate { view, digest, voters })
        });
        let (mut payload, digest) = (Vec::new(), chosen.map_or(0, |(_, digest)| digest));
        wire::encode_new_view(&self.consensus, &reports, certificate.as_ref(), &mut payload);
        self.spread(leader, ConsensusMessage { kind: MessageKind::NewView, view, height, digest }, &payload);
    }

    /// The leader tells each half another block, and all liars vote for each where it was told.
    fn divide(&mut self, leader: NodeId, height: u32, view: u16) {
        if view > 0 {
            self.lie_new_view(leader, height, view);
        }
        let blocks = [(); 2].map(|()| self.some_block(leader, height));
        for to in 0..self.attack.replicas {
            let block = blocks[self.half(to) as usize].clone();
            let digest = digest_of(height, &block);
            let message = |kind| ConsensusMessage { kind, view, height, digest };
            self.forge(leader, to, message(MessageKind::PrePrepare), &block);
            for liar in self.liars.clone() {
                self.forge(liar, to, message(MessageKind::Prepare), &[]);
                self.forge(liar, to, message(MessageKind::Commit), &[]);
            }
        }
    }

    /// Checks that no two honest replicas committed different blocks.
    fn check_safe(&self) -> Result<(), TestCaseError> {
        let mut records = self.state.records().to_vec();
        by_height(&mut records, self.consensus.quorum())
            .map(drop)
            .map_err(|fork| TestCaseError::fail(format!("{fork}, {:?}", self.attack)))
    }
}

/// Runs an attack to its end: nobody forks, and when it is over all the honest agree on all heights. Returns how many
/// lies there were.
fn withstand(attack: Attack) -> Result<u32, TestCaseError> {
    let mut world = World::new(attack);
    let mut events = 0;
    while let Some(((time, _), event)) = world.queue.pop_first() {
        (world.now, events) = (time, events + 1);
        prop_assert!(events < EVENTS_MAX, "it goes on for ever: {:?}", world.attack);
        world.step(event);
    }
    world.check_safe()?;
    for id in world.honest() {
        let tip = world.state.height(id as usize) - 1;
        prop_assert_eq!(tip, HEIGHTS, "replica {} after {}, {:?}", id, world.now, &world.attack);
    }
    Ok(world.forged)
}

fn any_attack() -> impl Strategy<Value = Attack> {
    let often = || prop_oneof![Just(0u64), 0u64..100];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (4u32..=16, any::<u32>(), any::<u64>(), 4u64..=256, [often(), often(), often()], 0u32..6, flags).prop_map(
        |(replicas, liars, seed, lies, [lost, doubled, late], crashes, (rotates, cuts, divides, starves))| {
            // Rather as many as there may be, and never none.
            let most = faults_max(replicas);
            let liars = if liars % 2 == 0 { most } else { 1 + liars / 2 % most };
            Attack { replicas, liars, rotates, seed, lies, lost, doubled, late, crashes, cuts, divides, starves }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn liars_divide_nobody_and_stop_nobody_for_good(attack in any_attack()) {
        withstand(attack)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    #[ignore = "takes ten seconds: cargo test --lib consensus::adversary -- --ignored"]
    fn liars_divide_nobody_and_stop_nobody_for_good_in_thousands_of_attacks(attack in any_attack()) {
        withstand(attack)?;
    }
}

#[test]
fn an_attack_is_one() {
    let attack = Attack {
        replicas: 7,
        liars: 2,
        rotates: true,
        seed: 4,
        lies: 200,
        lost: 10,
        doubled: 10,
        late: 10,
        crashes: 2,
        cuts: true,
        divides: true,
        starves: false,
    };
    let lies = withstand(attack).expect("it fails");
    assert!(lies > 500, "{lies} lies");
}
