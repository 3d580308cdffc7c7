//! One rumour, pushed: each node sends it to a few random others when it first hears it, and never again.

use serde::{Deserialize, Serialize};

use crate::contract::{Column, Effects, Here, NodeId, Nodes, Population, Protocol};

/// Infect-and-die push gossip of one rumour that starts at node 0: a byte a node, so that a run measures the engine. For
/// messages with ids, see [`dissemination`](super::dissemination).
#[derive(Clone, Debug)]
pub struct PushGossip {
    fanout: u32,
}

impl PushGossip {
    /// Every node sends to `fanout` uniformly random others, which may coincide.
    pub fn new(fanout: u32) -> Self {
        PushGossip { fanout }
    }

    fn spread(&self, here: Here, population: Population, fx: &mut impl Effects<Self>) {
        let others = u64::from(population.total() - 1);
        let mut random = fx.random();
        fx.send_each((0..self.fanout).map(|_| {
            let other = random.below(others) as NodeId;
            (other + NodeId::from(other >= here.id), ())
        }));
    }
}

/// Who has heard the rumour.
#[derive(Debug, Serialize, Deserialize)]
pub struct Heard {
    heard: Column<bool>,
    population: Population,
    /// Deliveries to nodes that had heard it before.
    pub duplicates: u64,
}

impl Heard {
    /// How many of these nodes have heard the rumour.
    pub fn reached(&self) -> usize {
        self.heard.iter().filter(|&&heard| heard).count()
    }
}

impl Protocol for PushGossip {
    type Message = ();
    type Timer = ();
    type State = Heard;

    fn kinds(&self) -> &'static [&'static str] {
        &["rumour"]
    }

    fn wire_len(&self, _: &(), _: usize) -> u32 {
        100
    }

    fn state(&self, nodes: Nodes) -> Heard {
        Heard { heard: Column::filled(nodes.len(), false), population: nodes.population(), duplicates: 0 }
    }

    fn state_bytes(&self, state: &Heard) -> usize {
        state.heard.bytes()
    }

    fn handle_start(&self, state: &mut Heard, here: Here, fx: &mut impl Effects<Self>) {
        if here.id == 0 && state.population.total() > 1 {
            state.heard[here.index] = true;
            self.spread(here, state.population, fx);
        }
    }

    #[inline(always)]
    fn handle_message(&self, state: &mut Heard, here: Here, _: NodeId, _: (), _: &[u8], fx: &mut impl Effects<Self>) {
        if std::mem::replace(&mut state.heard[here.index], true) {
            state.duplicates += 1;
        } else {
            self.spread(here, state.population, fx);
        }
    }

    fn handle_timer(&self, _: &mut Heard, _: Here, (): (), _: &mut impl Effects<Self>) {}

    #[inline(always)]
    fn prefetch_message(&self, state: &Heard, index: usize, _: &()) {
        state.heard.prefetch(index);
    }
}
