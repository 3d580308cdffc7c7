//! One rumour in synchronous rounds: pushed, pulled, or both.

use crate::contract::{Column, Effects, Here, NodeId, Nodes, Population, Protocol, SimSpan, SimTime, Stream};

/// Who tells whom in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Nodes that know the rumour tell the node that they contact.
    Push,
    /// Nodes that do not know it ask the node that they contact.
    Pull,
    /// Both.
    PushPull,
}

/// In each round, every node contacts one uniformly random other, and the rumour passes as [`Exchange`] says. It starts
/// at node 0 and never stops.
///
/// Rounds are synchronous, as in the literature: what a node hears in a round it tells from the next round on, also when
/// it is asked. (Demers et al., "Epidemic algorithms for replicated database maintenance", PODC 1987.) Contacts of which
/// nothing can come are left out: a node that does not know the rumour has nothing to push, and one that does has
/// nothing to pull.
#[derive(Clone, Debug)]
pub struct Spreading {
    exchange: Exchange,
    round: SimSpan,
}

impl Spreading {
    /// Rounds of length `round`, which must be longer than a question and its answer take together.
    ///
    /// # Panics
    /// If that is zero.
    pub fn new(exchange: Exchange, round: SimSpan) -> Self {
        assert!(round > SimSpan::ZERO, "a round takes time");
        Spreading { exchange, round }
    }

    /// The number of the round at `now`; the first is 1 and starts a round's length after the start.
    fn round_at(&self, now: SimTime) -> u32 {
        (now.since(SimTime::ZERO) / self.round) as u32
    }

    /// Has the node woken when the next round starts.
    fn wait(&self, fx: &mut impl Effects<Self>) {
        let next = self.round * (u64::from(self.round_at(fx.now())) + 1);
        fx.wake_after((SimTime::ZERO + next).since(fx.now()), ());
    }

    /// The node hears the rumour, perhaps not for the first time.
    fn hear(&self, state: &mut Rounds, here: Here, fx: &mut impl Effects<Self>) {
        if state.heard[here.index] == UNHEARD {
            state.heard[here.index] = self.round_at(fx.now());
            // With the other exchanges it waits for the next round already.
            if self.exchange == Exchange::Push {
                self.wait(fx);
            }
        }
    }
}

/// No round.
const UNHEARD: u32 = u32::MAX;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpreadingMessage {
    /// The rumour.
    Rumour,
    /// Is there a rumour?
    Question,
}

/// In which round each node of a partition heard the rumour.
#[derive(Debug)]
pub struct Rounds {
    heard: Column<u32>,
    population: Population,
}

impl Rounds {
    /// The round in which each node heard the rumour, by index: 0 for node 0, `None` if it has not.
    pub fn heard(&self) -> impl Iterator<Item = Option<u32>> {
        self.heard.iter().map(|&round| (round != UNHEARD).then_some(round))
    }

    fn other(&self, own: NodeId, random: &mut Stream) -> NodeId {
        let other = random.below(u64::from(self.population.total() - 1)) as NodeId;
        other + NodeId::from(other >= own)
    }
}

impl Protocol for Spreading {
    type Message = SpreadingMessage;
    type Timer = ();
    type State = Rounds;

    fn kinds(&self) -> &'static [&'static str] {
        &["rumour", "question"]
    }

    #[inline(always)]
    fn kind(&self, message: &SpreadingMessage) -> usize {
        *message as usize
    }

    fn wire_len(&self, _: &SpreadingMessage, _: usize) -> u32 {
        100
    }

    fn state(&self, nodes: Nodes) -> Rounds {
        Rounds { heard: Column::filled(nodes.len(), UNHEARD), population: nodes.population() }
    }

    fn state_bytes(&self, state: &Rounds) -> usize {
        state.heard.bytes()
    }

    fn handle_start(&self, state: &mut Rounds, here: Here, fx: &mut impl Effects<Self>) {
        if state.population.total() < 2 {
            return;
        }
        if here.id == 0 {
            self.hear(state, here, fx);
        }
        if self.exchange != Exchange::Push {
            self.wait(fx);
        }
    }

    #[inline(always)]
    fn handle_message(
        &self,
        state: &mut Rounds,
        here: Here,
        from: NodeId,
        message: SpreadingMessage,
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        match message {
            SpreadingMessage::Rumour => self.hear(state, here, fx),
            SpreadingMessage::Question => {
                if state.heard[here.index] < self.round_at(fx.now()) {
                    fx.send(from, SpreadingMessage::Rumour);
                }
            }
        }
    }

    fn handle_timer(&self, state: &mut Rounds, here: Here, (): (), fx: &mut impl Effects<Self>) {
        let knows = state.heard[here.index] != UNHEARD;
        let message = if knows { SpreadingMessage::Rumour } else { SpreadingMessage::Question };
        let is_idle = knows && self.exchange == Exchange::Pull;
        if !is_idle {
            let other = state.other(here.id, &mut fx.random());
            fx.send(other, message);
            self.wait(fx);
        }
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &Rounds, index: usize, _: &SpreadingMessage) {
        state.heard.prefetch(index);
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &Rounds, index: usize, (): &()) {
        state.heard.prefetch(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::recorder::Recorder;

    const ROUND: SimSpan = SimSpan::from_secs(1);

    /// Node `id` among a thousand, at `millis` after the start.
    fn turn(id: NodeId, millis: u64) -> (Here, Recorder<Spreading>) {
        let here = Nodes::all(Population::flat(1_000)).here(id as usize);
        (here, Recorder::new(here, SimTime::ZERO + SimSpan::from_millis(millis)))
    }

    fn said(fx: &Recorder<Spreading>) -> Vec<SpreadingMessage> {
        fx.sent.iter().map(|&(_, message, _)| message).collect()
    }

    #[test]
    fn whoever_knows_pushes_and_whoever_does_not_pulls() {
        use SpreadingMessage::{Question, Rumour};
        for (exchange, knows, does_not) in [
            (Exchange::Push, Some(Rumour), None),
            (Exchange::Pull, None, Some(Question)),
            (Exchange::PushPull, Some(Rumour), Some(Question)),
        ] {
            let protocol = Spreading::new(exchange, ROUND);
            let mut state = protocol.state(Nodes::all(Population::flat(1_000)));
            for (id, expected) in [(0, knows), (7, does_not)] {
                let (here, mut fx) = turn(id, 0);
                protocol.handle_start(&mut state, here, &mut fx);
                let woken = fx.timers.len();
                assert!(woken == 1 || expected.is_none() && woken == 0, "{exchange:?} {id}");
                if woken > 0 {
                    assert_eq!(fx.timers, [(ROUND, ())]);
                    let (here, mut fx) = turn(id, 1_000);
                    protocol.handle_timer(&mut state, here, (), &mut fx);
                    assert_eq!(said(&fx), Vec::from_iter(expected), "{exchange:?} {id}");
                    assert_eq!(fx.timers.len(), fx.sent.len(), "it goes on only while it has something to say");
                }
            }
        }
    }

    #[test]
    fn what_is_heard_in_a_round_is_told_from_the_next_on() {
        for exchange in [Exchange::Push, Exchange::Pull, Exchange::PushPull] {
            let protocol = Spreading::new(exchange, ROUND);
            let mut state = protocol.state(Nodes::all(Population::flat(1_000)));
            for (millis, message, answers) in [
                (3_100, SpreadingMessage::Question, 0),
                (3_200, SpreadingMessage::Rumour, 0),
                (3_300, SpreadingMessage::Question, 0),
                (3_400, SpreadingMessage::Rumour, 0),
                (4_000, SpreadingMessage::Question, 1),
            ] {
                let (here, mut fx) = turn(5, millis);
                protocol.handle_message(&mut state, here, 6, message, &[], &mut fx);
                assert_eq!(said(&fx), vec![SpreadingMessage::Rumour; answers], "{exchange:?} at {millis} ms");
                let wakes = exchange == Exchange::Push && millis == 3_200;
                let timers = [(SimSpan::from_millis(800), ())];
                assert_eq!(fx.timers, timers[..usize::from(wakes)], "{exchange:?} at {millis} ms");
            }
            assert_eq!(state.heard().nth(5), Some(Some(3)));
            assert_eq!(state.heard().flatten().count(), 1);
        }
    }
}
