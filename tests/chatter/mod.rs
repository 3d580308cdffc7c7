//! Chatter: a protocol whose nodes do random things, for comparing engines, and a probe that keeps the whole trace.
#![allow(dead_code, unreachable_pub, reason = "shared by several test programs, of which none uses all")]

pub mod case;
pub mod faulty;

use qnetsim::contract::{Effects, Here, NodeId, Nodes, Protocol, SimSpan, SimTime, Stream};
use qnetsim::engine::{Cause, Probe};
use serde::{Deserialize, Serialize};

/// Longest payload that is sent, in bytes.
const PAYLOAD_MAX: u64 = 300;

/// Nodes that answer every event with random effects, until the energy that they started with is spent.
///
/// Energy bounds a run: an event of energy `e` passes on at most `e - 1`, so a starter causes at most `energy` events.
#[derive(Clone, Debug)]
pub struct Chatter {
    /// Nodes below this number start to chat by themselves.
    pub starters: NodeId,
    /// Most events that one starter causes, directly or through others.
    pub energy: u32,
    /// Most effects of one event, where a broadcast and a pair of equal timers count as one.
    pub fanout: u32,
    /// Chance of a timer, in sixteenths.
    pub timers: u64,
    /// What timers are scaled to, in nanoseconds: about a window, so that many fall inside one.
    pub span: u64,
    /// Whether all messages are of one kind, which engines may treat apart.
    pub one_kind: bool,
}

const KINDS: &[&str] = &["word", "letter", "shout"];

/// What nodes send, with or without a payload.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Word {
    kind: usize,
    energy: u32,
    /// Random, so that every message of a run is told by it and its receiver.
    salt: u64,
}

/// A timer that passes energy on to the node's own future.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Echo {
    energy: u32,
    salt: u64,
}

/// A message as it was sent; whether it arrived is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Departure {
    pub time: u64,
    pub from: NodeId,
    pub to: NodeId,
    pub kind: usize,
    pub bytes: u64,
    /// As a probe sees them at the receiver.
    pub contents: u64,
}

/// What the nodes of one partition remember.
#[derive(Debug, Serialize, Deserialize)]
pub struct Minds {
    nodes: Nodes,
    /// By node, a hash of all that it saw, which any change of order changes.
    pub seen: Vec<u64>,
    /// Everything that the nodes sent.
    pub sent: Vec<Departure>,
}

impl Minds {
    fn see(&mut self, here: Here, sight: [u64; 3]) {
        let seen = &mut self.seen[here.index];
        for part in sight {
            *seen = (*seen ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }
}

/// The first eight bytes of the hash of a payload; zero for none.
fn hash_payload(payload: &[u8]) -> u64 {
    let hash = blake3::hash(payload);
    if payload.is_empty() { 0 } else { u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()) }
}

impl Chatter {
    /// Spends `energy` on random effects of the current event.
    fn act(&self, minds: &mut Minds, here: Here, energy: u32, fx: &mut impl Effects<Self>) {
        if energy == 0 {
            return;
        }
        let mut random = fx.random();
        let acts = 1 + random.below(u64::from(self.fanout.min(energy))) as u32;
        let others = minds.nodes.population().total() - 1;
        let mut peer = self.peer(here, others, &mut random);
        for _ in 0..acts {
            let share = energy / acts;
            if others == 0 || random.below(16) < self.timers {
                self.wake(share, &mut random, fx);
                continue;
            }
            // Often the same peer again, so that messages meet at one node.
            if random.below(3) == 0 {
                peer = self.peer(here, others, &mut random);
            }
            let mut word = Word { kind: 0, energy: share, salt: random.word() };
            match random.below(8) {
                0 if share >= others => {
                    word = Word { kind: 2, energy: share / others, ..word };
                    for to in (0..=others).filter(|&to| to != here.id) {
                        self.note(minds, here, to, word, &[], fx.now());
                    }
                    fx.broadcast(word);
                }
                0..=2 => {
                    word.kind = 1;
                    let payload: Vec<u8> = (0..random.below(PAYLOAD_MAX + 1)).map(|_| random.word() as u8).collect();
                    self.note(minds, here, peer, word, &payload, fx.now());
                    fx.send_payload(peer, word, &payload);
                }
                _ => {
                    self.note(minds, here, peer, word, &[], fx.now());
                    fx.send(peer, word);
                }
            }
        }
    }

    fn peer(&self, here: Here, others: u32, random: &mut Stream) -> NodeId {
        let other = random.below(u64::from(others)) as NodeId;
        other + NodeId::from(other >= here.id)
    }

    fn note(&self, minds: &mut Minds, here: Here, to: NodeId, word: Word, payload: &[u8], now: SimTime) {
        minds.sent.push(Departure {
            time: now.as_nanos(),
            from: here.id,
            to,
            kind: self.kind(&word),
            bytes: u64::from(self.wire_len(&word, payload.len())),
            contents: self.fingerprint(&word) ^ hash_payload(payload),
        });
    }

    /// Sets a timer, or two for the same moment.
    fn wake(&self, energy: u32, random: &mut Stream, fx: &mut impl Effects<Self>) {
        const SECOND: u64 = 1_000_000_000;
        let span = match random.below(12) {
            0 => 0,
            1 => 1,
            2..=4 => random.below(self.span),
            5 => self.span,
            6 => random.below(16 * self.span),
            7 => random.below(5_000 * self.span),
            8 => random.below(3_000),
            9 => random.below(60 * SECOND),
            10 => random.below(3_600 * SECOND),
            _ if random.below(8) > 0 => random.below(30 * 86_400 * SECOND),
            // Never, and just before never: nothing that is sent then can arrive.
            _ => u64::MAX - random.below(3),
        };
        let twins = if energy >= 2 && random.below(4) == 0 { 2 } else { 1 };
        for _ in 0..twins {
            fx.wake_after(SimSpan::from_nanos(span), Echo { energy: energy / twins, salt: random.word() });
        }
    }
}

impl Protocol for Chatter {
    type Message = Word;
    type Timer = Echo;
    type State = Minds;

    fn kinds(&self) -> &'static [&'static str] {
        if self.one_kind { &KINDS[..1] } else { KINDS }
    }

    fn kind(&self, word: &Word) -> usize {
        if self.one_kind { 0 } else { word.kind }
    }

    fn wire_len(&self, word: &Word, payload: usize) -> u32 {
        20 + 7 * word.kind as u32 + payload as u32
    }

    fn fingerprint(&self, word: &Word) -> u64 {
        word.salt ^ u64::from(word.energy)
    }

    fn state(&self, nodes: Nodes) -> Minds {
        Minds { seen: vec![0; nodes.len()], nodes, sent: Vec::new() }
    }

    fn handle_start(&self, minds: &mut Minds, here: Here, fx: &mut impl Effects<Self>) {
        if here.id < self.starters {
            self.act(minds, here, self.energy, fx);
        }
    }

    fn handle_message(
        &self,
        minds: &mut Minds,
        here: Here,
        from: NodeId,
        word: Word,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        minds.see(here, [fx.now().as_nanos(), u64::from(from), word.salt ^ hash_payload(payload)]);
        self.act(minds, here, word.energy.saturating_sub(1), fx);
    }

    fn handle_leave(&self, minds: &mut Minds, here: Here, fx: &mut impl Effects<Self>) {
        minds.see(here, [fx.now().as_nanos(), u64::MAX, 1]);
        self.act(minds, here, self.energy.min(3), fx);
    }

    fn handle_join(&self, minds: &mut Minds, here: Here, fx: &mut impl Effects<Self>) {
        minds.see(here, [fx.now().as_nanos(), u64::MAX, 2]);
        self.act(minds, here, self.energy.min(9), fx);
    }

    fn handle_timer(&self, minds: &mut Minds, here: Here, echo: Echo, fx: &mut impl Effects<Self>) {
        minds.see(here, [fx.now().as_nanos(), u64::MAX, echo.salt]);
        self.act(minds, here, echo.energy.saturating_sub(1), fx);
    }
}

/// One event of a trace. The order of the fields makes the derived order the total order of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub time: u64,
    pub to: NodeId,
    pub from: NodeId,
    pub sequence: u32,
    pub cause: Cause,
    pub contents: u64,
}

/// Keeps every event that its lane handled, as it went.
#[derive(Debug, Default)]
pub struct Trace {
    pub entries: Vec<Entry>,
}

impl Probe for Trace {
    fn on_event(&mut self, time: SimTime, to: NodeId, from: NodeId, sequence: u32, cause: Cause, contents: u64) {
        self.entries.push(Entry { time: time.as_nanos(), to, from, sequence, cause, contents });
    }
}
