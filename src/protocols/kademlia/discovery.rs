//! Discovery of parents: light and mobile nodes find full nodes through the Kademlia network of those, and attach to them.
//!
//! | when | what a node does |
//! |---|---|
//! | light or mobile, at a random moment | looks for its own id, through a random node of the network |
//! | light or mobile, its lookup has ended | asks the closest of those who answered to be its parents |
//! | light or mobile, a parent has not confirmed in time, or nobody answered the lookup | looks for a random id |
//! | super or full | is a node of Kademlia, and confirms its children |
//!
//! Who only asks is never a contact, so tables hold nodes that stay, and the network does not grow with its clients.
//!
//! On the wire, an attach and its confirmation are 38 bytes: the head of [`wire`] with the kinds 9 and 10.

use serde::{Deserialize, Serialize};

use super::keys::id_of;
use super::lookup::{Late, Lookup, Purpose};
use super::steps::random_key;
use super::wire::{self, HEAD_LEN};
use super::{Bootstrap, Kademlia, KademliaMessage, KademliaOptions, KademliaState, KademliaTimer};
use crate::contract::{Counts, Effects, Here, NodeId, NodeType, Nodes, Population, Protocol, SimSpan, SimTime, Spans};
use crate::protocols::layer::{Contains, Layer};

/// Most parents of a node.
pub const PARENTS_MAX: usize = 8;
/// Most children of a node; who comes later is not confirmed and looks elsewhere.
pub const CHILDREN_MAX: usize = 1 << 20;
/// Doublings of the pause before a node tries again.
const DOUBLINGS_MAX: u32 = 3;

/// Super and full nodes as a Kademlia network, in which light and mobile nodes find parents.
#[derive(Debug)]
pub struct Discovery {
    kademlia: Kademlia,
    parents: usize,
    over: SimSpan,
    /// The first type of those who look.
    first: NodeType,
}

impl Discovery {
    /// Light and mobile nodes of `population` look for `parents` parents, each first at a random moment of the span
    /// `over`. `seed` is for ideal tables.
    ///
    /// # Panics
    /// If parents are none or more than [`PARENTS_MAX`], `over` is zero, or there are neither super nor full nodes.
    pub fn new(population: Population, options: KademliaOptions, parents: usize, over: SimSpan, seed: u64) -> Self {
        assert!((1..=PARENTS_MAX).contains(&parents) && over > SimSpan::ZERO, "{parents} parents over {over}");
        let members = population.range(NodeType::FullNode).end;
        let kademlia = Kademlia::new(Population::flat(members), options, Bootstrap::Ideal, seed);
        Discovery { kademlia, parents, over, first: NodeType::LightNode }
    }

    /// Only mobile nodes look for parents; light nodes take no part and no memory.
    #[must_use]
    pub fn for_mobile_nodes(self) -> Self {
        Discovery { first: NodeType::MobileNode, ..self }
    }

    /// Memory that all nodes share, in bytes.
    pub fn bytes(&self) -> usize {
        self.kademlia.bytes()
    }

    fn is_member(&self, node: NodeId) -> bool {
        node < self.kademlia.nodes()
    }
}

/// A message under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiscoveryMessage {
    /// A message of Kademlia.
    Kademlia(KademliaMessage),
    /// Be my parent.
    Attach {
        /// The sender's request.
        number: u32,
    },
    /// I am.
    Attached {
        /// The receiver's request.
        number: u32,
    },
}

/// What a timer of a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiscoveryTimer {
    /// A timer of Kademlia.
    Kademlia(KademliaTimer),
    /// It is time to look for parents.
    Look,
    /// An answer to a client is late, if it is not there.
    Answer {
        /// To which lookup.
        number: u32,
        /// Of whom.
        from: NodeId,
    },
    /// A parent's confirmation is late, if it is not there.
    Confirm {
        /// Of which request.
        number: u32,
    },
}

impl Contains<Kademlia> for Discovery {
    fn wrap_message(message: KademliaMessage) -> DiscoveryMessage {
        DiscoveryMessage::Kademlia(message)
    }

    fn wrap_timer(timer: KademliaTimer) -> DiscoveryTimer {
        DiscoveryTimer::Kademlia(timer)
    }
}

/// What a light or mobile node remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Client {
    lookup: Option<Box<Lookup>>,
    began: SimTime,
    /// Of the last lookup or request.
    number: u32,
    tries: u32,
    /// Those that have confirmed.
    parents: [NodeId; PARENTS_MAX],
    confirmed: u8,
    /// How many of the last request have not confirmed yet.
    waiting: u8,
}

/// What became of those who looked for parents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveryFigures {
    /// Lookups and requests together, from the first to the last confirmation.
    pub delay: Spans,
    /// Hops to the closest who answered, of all lookups that ended.
    pub hops: Counts<32>,
    /// Requests of a lookup.
    pub requests: Counts<256>,
    /// Times that a node had to look anew.
    pub retries: u64,
    /// Messages that could not be understood, or that nobody waited for.
    pub rejected: u64,
}

impl DiscoveryFigures {
    /// Adds what became of others.
    pub fn merge(&mut self, other: &Self) {
        self.delay.merge(&other.delay);
        self.hops.merge(&other.hops);
        self.requests.merge(&other.requests);
        self.retries += other.retries;
        self.rejected += other.rejected;
    }
}

/// What the nodes of a partition remember.
#[derive(Debug, Serialize, Deserialize)]
pub struct DiscoveryState {
    kademlia: KademliaState,
    /// The children of each super and full node, in ascending order.
    children: Vec<Vec<NodeId>>,
    /// Where those who look begin.
    first: usize,
    clients: Vec<Client>,
    told: Vec<NodeId>,
    figures: DiscoveryFigures,
}

impl DiscoveryState {
    /// What became of those who looked for parents.
    pub fn figures(&self) -> &DiscoveryFigures {
        &self.figures
    }

    /// The numbers of children of super and full nodes, in the order of the nodes.
    pub fn children(&self) -> impl Iterator<Item = usize> {
        self.children.iter().map(Vec::len)
    }

    /// The parents of each node that looks for them, in the order of the nodes.
    pub fn parents(&self) -> impl Iterator<Item = &[NodeId]> {
        self.clients.iter().map(|client| &client.parents[..usize::from(client.confirmed)])
    }

    /// The Kademlia network of super and full nodes.
    pub fn kademlia(&self) -> &KademliaState {
        &self.kademlia
    }

    fn client(&mut self, here: Here) -> &mut Client {
        &mut self.clients[here.index - self.first]
    }
}

impl Discovery {
    /// Looks for parents: first for those close to the node's own id, then anywhere.
    fn look(&self, state: &mut DiscoveryState, here: Here, fx: &mut impl Effects<Self>) {
        let mut random = fx.random();
        let contact = random.below(u64::from(self.kademlia.nodes())) as NodeId;
        let client = state.client(here);
        let target = if client.tries == 0 { id_of(here.id) } else { random_key(&mut random) };
        client.number = client.number.wrapping_add(1);
        let mut lookup = Lookup::new(client.number, Purpose::Join, target, fx.now());
        lookup.learn(self.kademlia.keys(), self.kademlia.k(), contact, 1);
        client.lookup = Some(Box::new(lookup));
        self.go_on(state, here, fx);
    }

    /// Asks whoever is to be asked next, or ends the lookup.
    fn go_on(&self, state: &mut DiscoveryState, here: Here, fx: &mut impl Effects<Self>) {
        let KademliaOptions { alpha, .. } = self.kademlia.options;
        let k = self.kademlia.k();
        let client = state.client(here);
        let Some(lookup) = &mut client.lookup else { return };
        while let Some(to) = lookup.next(k, usize::from(alpha)) {
            self.ask(lookup, to, fx);
        }
        if lookup.is_done(k) {
            self.attach(state, here, fx);
        }
    }

    /// Asks `to` for the first or the second time.
    fn ask(&self, lookup: &Lookup, to: NodeId, fx: &mut impl Effects<Self>) {
        let number = lookup.number;
        fx.send_payload(to, DiscoveryMessage::Kademlia(KademliaMessage::FindNode { number }), &lookup.target);
        fx.wake_after(self.kademlia.patience(), DiscoveryTimer::Answer { number, from: to });
    }

    /// Asks the closest of those who answered to be parents, as many as are missing.
    fn attach(&self, state: &mut DiscoveryState, here: Here, fx: &mut impl Effects<Self>) {
        let client = state.client(here);
        let Some(lookup) = client.lookup.take() else { return };
        let known = &client.parents[..usize::from(client.confirmed)];
        let missing = self.parents - known.len();
        let chosen = lookup.answered().map(|(node, _)| node).filter(|node| !known.contains(node)).take(missing);
        let number = client.number;
        let mut asked = 0;
        for parent in chosen {
            fx.send(parent, DiscoveryMessage::Attach { number });
            asked += 1;
        }
        client.waiting = asked;
        if usize::from(asked) < missing {
            self.try_again(client, fx);
        } else {
            fx.wake_after(self.kademlia.options.timeout, DiscoveryTimer::Confirm { number });
        }
        if let Some((_, hops)) = lookup.answered().next() {
            state.figures.hops.add(u64::from(hops));
        }
        state.figures.requests.add(u64::from(lookup.requests));
        state.figures.retries += u64::from(usize::from(asked) < missing);
    }

    /// Looks anew after a pause that doubles each time.
    fn try_again(&self, client: &mut Client, fx: &mut impl Effects<Self>) {
        let pause = self.kademlia.options.timeout * (1 << client.tries.min(DOUBLINGS_MAX));
        client.tries = client.tries.saturating_add(1);
        fx.wake_after(pause, DiscoveryTimer::Look);
    }

    /// A message to a light or mobile node. Whatever does not belong to what it waits for is left aside.
    fn take_answer(
        &self,
        state: &mut DiscoveryState,
        here: Here,
        from: NodeId,
        message: DiscoveryMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) -> Option<()> {
        let k = self.kademlia.k();
        match message {
            DiscoveryMessage::Kademlia(KademliaMessage::Nodes { number }) => {
                let mut told = std::mem::take(&mut state.told);
                told.clear();
                let is_read = wire::decode_contacts(self.kademlia.keys(), k, payload, &mut told).is_ok();
                let lookup = state.client(here).lookup.as_mut().filter(|lookup| is_read && lookup.number == number);
                let own = (k, here.id);
                let is_taken = lookup.is_some_and(|lookup| lookup.answer(self.kademlia.keys(), own, from, &told));
                state.told = told;
                is_taken.then(|| self.go_on(state, here, fx))
            }
            DiscoveryMessage::Attached { number } => {
                let client = state.client(here);
                let confirmed = usize::from(client.confirmed);
                let is_new = !client.parents[..confirmed].contains(&from);
                if client.number != number || client.waiting == 0 || !is_new || !self.is_member(from) {
                    return None;
                }
                client.parents[confirmed] = from;
                client.confirmed += 1;
                client.waiting -= 1;
                if usize::from(client.confirmed) == self.parents {
                    let delay = fx.now().since(client.began);
                    state.figures.delay.add(delay);
                }
                Some(())
            }
            _ => None,
        }
    }
}

impl Protocol for Discovery {
    type Message = DiscoveryMessage;
    type Timer = DiscoveryTimer;
    type State = DiscoveryState;

    fn kinds(&self) -> &'static [&'static str] {
        const KINDS: [&str; 10] =
            ["ping", "pong", "find-node", "nodes", "store", "stored", "find-value", "value", "attach", "attached"];
        &KINDS
    }

    #[inline(always)]
    fn kind(&self, message: &DiscoveryMessage) -> usize {
        match message {
            DiscoveryMessage::Kademlia(message) => self.kademlia.kind(message),
            DiscoveryMessage::Attach { .. } => 8,
            DiscoveryMessage::Attached { .. } => 9,
        }
    }

    #[inline(always)]
    fn wire_len(&self, message: &DiscoveryMessage, payload: usize) -> u32 {
        match message {
            DiscoveryMessage::Kademlia(message) => self.kademlia.wire_len(message, payload),
            DiscoveryMessage::Attach { .. } | DiscoveryMessage::Attached { .. } => HEAD_LEN as u32,
        }
    }

    #[inline(always)]
    fn fingerprint(&self, message: &DiscoveryMessage) -> u64 {
        match message {
            DiscoveryMessage::Kademlia(message) => self.kademlia.fingerprint(message),
            DiscoveryMessage::Attach { number } | DiscoveryMessage::Attached { number } => {
                u64::from(*number) << 8 | self.kind(message) as u64
            }
        }
    }

    fn state(&self, nodes: Nodes) -> DiscoveryState {
        let members = nodes.up_to(NodeType::FullNode);
        let first = match self.first {
            NodeType::MobileNode => nodes.end_of(NodeType::LightNode),
            _ => members.len(),
        };
        DiscoveryState {
            first,
            children: vec![Vec::new(); members.len()],
            kademlia: self.kademlia.state(members),
            clients: std::iter::repeat_with(Client::default).take(nodes.len() - first).collect(),
            told: Vec::new(),
            figures: DiscoveryFigures::default(),
        }
    }

    fn state_bytes(&self, state: &DiscoveryState) -> usize {
        let lookups = state.clients.iter().filter_map(|client| client.lookup.as_ref());
        let lookups: usize = lookups.map(|lookup| size_of::<Lookup>() + lookup.bytes()).sum();
        let children: usize = state.children().map(|children| children * size_of::<NodeId>()).sum();
        let lists = state.children.len() * size_of::<Vec<NodeId>>();
        self.kademlia.state_bytes(&state.kademlia)
            + state.clients.len() * size_of::<Client>()
            + lookups
            + children
            + lists
    }

    fn handle_start(&self, state: &mut DiscoveryState, here: Here, fx: &mut impl Effects<Self>) {
        if self.is_member(here.id) {
            self.kademlia.handle_start(&mut state.kademlia, here, &mut Layer::new(fx));
            return;
        }
        if here.node_type < self.first {
            return;
        }
        let wait = SimSpan::from_nanos(fx.random().below(self.over.as_nanos()));
        state.client(here).began = fx.now() + wait;
        fx.wake_after(wait, DiscoveryTimer::Look);
    }

    fn handle_message(
        &self,
        state: &mut DiscoveryState,
        here: Here,
        from: NodeId,
        message: DiscoveryMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_member(here.id) {
            let looks = here.node_type >= self.first;
            let taken = looks.then(|| self.take_answer(state, here, from, message, payload, fx)).flatten();
            state.figures.rejected += u64::from(taken.is_none());
            return;
        }
        match message {
            DiscoveryMessage::Kademlia(message) => {
                self.kademlia.handle_message(&mut state.kademlia, here, from, message, payload, &mut Layer::new(fx));
            }
            DiscoveryMessage::Attach { number } => {
                let children = &mut state.children[here.index];
                match children.binary_search(&from) {
                    Err(place) if children.len() < CHILDREN_MAX => children.insert(place, from),
                    Err(_) => return,
                    Ok(_) => {}
                }
                fx.send(from, DiscoveryMessage::Attached { number });
            }
            DiscoveryMessage::Attached { .. } => state.figures.rejected += 1,
        }
    }

    fn handle_timer(&self, state: &mut DiscoveryState, here: Here, timer: DiscoveryTimer, fx: &mut impl Effects<Self>) {
        match timer {
            DiscoveryTimer::Kademlia(timer) => {
                self.kademlia.handle_timer(&mut state.kademlia, here, timer, &mut Layer::new(fx));
            }
            DiscoveryTimer::Look => self.look(state, here, fx),
            DiscoveryTimer::Answer { number, from } => {
                let lookup = state.client(here).lookup.as_mut().filter(|lookup| lookup.number == number);
                let Some(lookup) = lookup else { return };
                match lookup.miss(self.kademlia.keys(), from) {
                    Late::No => {}
                    Late::AskAgain => self.ask(lookup, from, fx),
                    Late::GivenUp => self.go_on(state, here, fx),
                }
            }
            DiscoveryTimer::Confirm { number } => {
                let client = state.client(here);
                if client.number == number && client.waiting > 0 {
                    client.waiting = 0;
                    self.try_again(client, fx);
                    state.figures.retries += 1;
                }
            }
        }
    }

    /// A member has forgotten its children as well as its contacts; a light or mobile node looks for parents at once.
    fn handle_join(&self, state: &mut DiscoveryState, here: Here, fx: &mut impl Effects<Self>) {
        if self.is_member(here.id) {
            state.children[here.index] = Vec::new();
            self.kademlia.handle_join(&mut state.kademlia, here, &mut Layer::new(fx));
            return;
        }
        if here.node_type < self.first {
            return;
        }
        let client = state.client(here);
        *client = Client { number: client.number, began: fx.now(), ..Client::default() };
        self.look(state, here, fx);
    }
}
