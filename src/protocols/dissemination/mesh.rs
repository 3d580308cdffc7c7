//! The mesh: every node keeps links to a few of the nodes that it knows, and pushes messages along them.
//!
//! Vyzovitis et al., "GossipSub: Attack-Resilient Message Propagation in the Filecoin and ETH2.0 Networks", 2020, and the
//! specification of gossipsub v1.1.
//!
//! | when | what a node does |
//! |---|---|
//! | every heartbeat, at a phase of its own | as below, in this order |
//! | it has fewer than `low` links | grafts random contacts, until it has `degree` |
//! | there are not as many | makes a random node a contact, as from discovery, in place of one that may not be grafted now |
//! | it has more than `high` | prunes random ones, until it has `degree` |
//! | messages came in the last `gossip` heartbeats | announces them to `lazy` random contacts that it has no link to |
//! | it is grafted | takes the link, unless it has `high` already or one of the two pruned the other lately: then it prunes |
//! | it is a super or a full node | does so with `super_factor` or `full_factor` times as many links, up to its contacts less one |
//! | it is pruned | drops the link, and grafts that node no more for `backoff` heartbeats |
//! | it first gets a message | sends it along all links, but not back |
//! | a message is announced that it has not | asks for it |
//! | it is asked for messages that came in the last `history` heartbeats | sends them |
//!
//! What differs from gossipsub, and why:
//!
//! - Nodes know each other by address; there are no connections. What a connection tells (the other is gone, it did not
//!   get what was sent) takes renewals: every `renew` heartbeats a node grafts all its links again. A link that was not
//!   renewed for three times as long is given up, and a random node comes in place of that contact, as from discovery.
//! - Requests that are not answered in time go to the next who announced the message; gossipsub only keeps the score.
//! - No scores, no peer exchange in prunes, no flooding by the publisher, no fanout for topics that a node does not take
//!   part in, one topic.

use serde::{Deserialize, Serialize};

use super::{Dissemination, DisseminationMessage, DisseminationState, DisseminationTimer, Ids};
use crate::contract::{CoarseTime, Column, Domain, Effects, Here, NodeId, NodeType, Nodes, RandomKey, SimSpan, Stream};
use crate::topologies::Tier;

/// Most contacts of a node.
pub const CONTACTS_MAX: u8 = 64;

/// Heartbeats that a backoff, or three renewals, may take at most.
const HEARTBEATS_MAX: u8 = 127;

/// Links and heartbeats of a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeshOptions {
    /// Links that a node wants: D.
    pub degree: u8,
    /// With fewer it looks for more: D_low.
    pub low: u8,
    /// It never has more: D_high.
    pub high: u8,
    /// Contacts without a link to which recent messages are announced at a heartbeat: D_lazy.
    pub lazy: u8,
    /// Nodes that a node knows: more than `high`, at most [`CONTACTS_MAX`].
    pub contacts: u8,
    /// Time between two heartbeats.
    pub heartbeat: SimSpan,
    /// Heartbeats for which a message is announced.
    pub gossip: u8,
    /// Heartbeats for which a message is sent to who asks for it.
    pub history: u8,
    /// Heartbeats for which a node that pruned or was pruned is not grafted; at most 127.
    pub backoff: u8,
    /// Heartbeats after which links are renewed; at most 42.
    pub renew: u8,
    /// How many times as many links super nodes have as light and mobile ones, as far as they have contacts; at least 1.
    pub super_factor: u8,
    /// The same of full nodes.
    pub full_factor: u8,
}

/// How many links a node wants, with how few it looks for more, and how many it has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    degree: u32,
    low: u32,
    high: u32,
}

impl MeshOptions {
    /// As Ethereum runs gossipsub (consensus specifications, phase 0, p2p interface): D = 8, 6 to 12, 6 lazy, a heartbeat
    /// of 0.7 s, messages announced for 3 and kept for 6, a backoff of a minute. 24 contacts, renewed every 15 heartbeats.
    pub const ETHEREUM: MeshOptions = MeshOptions {
        degree: 8,
        low: 6,
        high: 12,
        lazy: 6,
        contacts: 24,
        heartbeat: SimSpan::from_millis(700),
        gossip: 3,
        history: 6,
        backoff: 86,
        renew: 15,
        super_factor: 1,
        full_factor: 1,
    };

    pub(super) fn check(&self) {
        let MeshOptions { degree, low, high, contacts, heartbeat, backoff, renew, .. } = *self;
        assert!(0 < low && low <= degree && degree <= high, "a degree of {degree} within {low} and {high}");
        assert!(high < contacts && contacts <= CONTACTS_MAX, "{contacts} contacts for {high} links");
        assert!(heartbeat > SimSpan::ZERO, "a heartbeat takes time");
        assert!(backoff <= HEARTBEATS_MAX, "a backoff of {backoff} heartbeats");
        assert!((1..=HEARTBEATS_MAX / 3).contains(&renew), "renewed every {renew} heartbeats");
        assert!(self.super_factor > 0 && self.full_factor > 0, "every node has links");
    }

    /// The links of a node of `node_type`. A contact is left over, so that one can always make place.
    fn limits(&self, node_type: NodeType) -> Limits {
        let factor = match node_type {
            NodeType::SuperNode => self.super_factor,
            NodeType::FullNode => self.full_factor,
            NodeType::LightNode | NodeType::MobileNode => 1,
        };
        let links = |count: u8| (u32::from(count) * u32::from(factor)).min(u32::from(self.contacts) - 1);
        Limits { degree: links(self.degree), low: links(self.low), high: links(self.high) }
    }

    /// How long a message is sent to who asks for it.
    pub(super) fn kept(&self) -> SimSpan {
        self.heartbeat * u64::from(self.history)
    }
}

/// Nobody.
const NOBODY: NodeId = NodeId::MAX;

/// The bit of a standing that says that there is a link. The other bits are the heartbeats since it was renewed, or else
/// those until the contact may be grafted.
const LINKED: u8 = 128;

/// Whom some nodes know, and with whom they have links: five bytes a contact.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Contacts {
    /// `[node][place]`, flattened.
    peers: Column<NodeId>,
    standings: Column<u8>,
    width: usize,
}

impl Contacts {
    /// Contacts of those of `nodes` that stand in `tier`. Each node chooses a bit less than half of the contacts that it
    /// has room for, and whoever is chosen knows who chose, as long as there is room. Goes over all of the tier.
    pub(super) fn new(nodes: &Nodes, first: usize, members: usize, width: u8, tier: &Tier, seed: u64) -> Self {
        let (len, width) = (members * usize::from(width), usize::from(width));
        let mut contacts = Contacts { peers: Column::filled(len, NOBODY), standings: Column::filled(len, 0), width };
        let key = RandomKey::new(seed, Domain::Topology);
        let mut chosen = Vec::new();
        for own in tier.range() {
            chosen.clear();
            tier.distinct_peers(contacts.chosen() as u32, own, &mut key.stream(own, 0), &mut chosen);
            for &peer in &chosen {
                for (node, other) in [(own, peer), (peer, own)] {
                    if let Some(index) = nodes.index_of(node) {
                        contacts.meet(index - first, other);
                    }
                }
            }
        }
        contacts
    }

    /// How many contacts a node chooses itself: few enough that there is room for most who choose it.
    fn chosen(&self) -> usize {
        (self.width * 5 / 12).max(1)
    }

    fn range(&self, node: usize) -> std::ops::Range<usize> {
        node * self.width..(node + 1) * self.width
    }

    fn place_of(&self, node: usize, peer: NodeId) -> Option<usize> {
        self.peers[self.range(node)].iter().position(|&other| other == peer)
    }

    /// Takes `peer` for a contact if there is room.
    fn meet(&mut self, node: usize, peer: NodeId) {
        if self.place_of(node, peer).is_none()
            && let Some(place) = self.place_of(node, NOBODY)
        {
            let start = self.range(node).start;
            self.peers[start + place] = peer;
        }
    }

    /// The places of the contacts whose standing is so, as bits.
    #[inline]
    fn places(&self, node: usize, is_so: impl Fn(u8) -> bool) -> u64 {
        let range = self.range(node);
        let row = self.peers[range.clone()].iter().zip(&self.standings[range]);
        row.enumerate()
            .fold(0, |bits, (place, (&peer, &standing))| bits | u64::from(peer != NOBODY && is_so(standing)) << place)
    }

    #[inline]
    fn links(&self, node: usize) -> u64 {
        self.places(node, |standing| standing & LINKED != 0)
    }

    /// How many links a node has.
    pub(super) fn degree(&self, node: usize) -> u32 {
        self.links(node).count_ones()
    }

    /// Whom a node has links to.
    pub(super) fn linked(&self, node: usize) -> impl Iterator<Item = NodeId> {
        self.at(node, self.links(node))
    }

    /// The contacts at these places.
    #[inline]
    fn at(&self, node: usize, places: u64) -> impl Iterator<Item = NodeId> {
        let row = &self.peers[self.range(node)];
        bits(places).map(|place| row[place])
    }

    /// Forgets all contacts, and draws new ones.
    pub(super) fn renew(&mut self, node: usize, own: NodeId, tier: &Tier, random: &mut Stream) {
        let range = self.range(node);
        self.peers[range.clone()].fill(NOBODY);
        self.standings[range].fill(0);
        let mut chosen = Vec::new();
        tier.distinct_peers(self.chosen() as u32, own, random, &mut chosen);
        chosen.into_iter().for_each(|peer| self.meet(node, peer));
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, node: usize) {
        self.peers.prefetch(node * self.width);
        self.peers.prefetch(node * self.width + 15);
        self.standings.prefetch(node * self.width);
    }

    pub(super) fn bytes(&self) -> usize {
        self.peers.bytes() + self.standings.bytes()
    }
}

/// The places of the bits that are set.
#[inline]
fn bits(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(place as usize)
    })
}

/// `count` of the bits of `from`, uniformly drawn; all if there are no more.
fn draw(mut from: u64, count: u32, random: &mut Stream) -> u64 {
    let mut drawn = 0;
    for _ in 0..count.min(from.count_ones()) {
        let skipped = random.below(u64::from(from.count_ones())) as usize;
        let place = bits(from).nth(skipped).unwrap_or(0);
        drawn |= 1 << place;
        from &= !(1 << place);
    }
    drawn
}

impl Dissemination {
    /// Sends a message that is new to the node along its links, but not back to `from`.
    #[inline]
    pub(super) fn push_along_links(
        &self,
        state: &mut DisseminationState,
        here: Here,
        from: Option<NodeId>,
        message: DisseminationMessage,
        fx: &mut impl Effects<Self>,
    ) {
        let linked = state.contacts.linked(here.index - state.first);
        let mut sent = 0;
        let others = linked.filter(|&peer| Some(peer) != from).inspect(|_| sent += 1);
        fx.send_each(others.map(|peer| (peer, message)));
        self.count(&mut state.figures, sent, &message, fx.now());
    }

    /// Sends `message` to the contacts at these places.
    fn send_to_places(
        &self,
        state: &mut DisseminationState,
        here: Here,
        places: u64,
        message: DisseminationMessage,
        fx: &mut impl Effects<Self>,
    ) {
        fx.send_each(state.contacts.at(here.index - state.first, places).map(|peer| (peer, message)));
        self.count(&mut state.figures, places.count_ones(), &message, fx.now());
    }

    /// Everything that is due at a heartbeat.
    pub(super) fn beat(
        &self,
        mesh: &MeshOptions,
        state: &mut DisseminationState,
        here: Here,
        fx: &mut impl Effects<Self>,
    ) {
        let mut random = fx.random();
        self.age_contacts(mesh, state, here, fx);
        let node = here.index - state.first;
        let links = state.contacts.links(node);
        let degree = links.count_ones();
        let row = state.contacts.range(node);
        let limits = mesh.limits(here.node_type);
        if degree < limits.low {
            let free = state.contacts.places(node, |standing| standing == 0);
            let grafted = draw(free, limits.degree - degree, &mut random);
            bits(grafted).for_each(|place| state.contacts.standings[row.start + place] = LINKED);
            self.send_to_places(state, here, grafted, DisseminationMessage::Graft, fx);
            if degree + grafted.count_ones() < limits.low {
                self.discover(state, here, &mut random, fx);
            }
        } else if degree > limits.high {
            let pruned = draw(links, degree - limits.degree, &mut random);
            bits(pruned).for_each(|place| state.contacts.standings[row.start + place] = mesh.backoff);
            self.send_to_places(state, here, pruned, DisseminationMessage::Prune, fx);
        }
        // Nodes renew at different heartbeats.
        let number = (fx.now().as_nanos() / mesh.heartbeat.as_nanos()).wrapping_add(u64::from(here.id));
        if number.is_multiple_of(u64::from(mesh.renew)) {
            let kept = links & state.contacts.links(node);
            self.send_to_places(state, here, kept, DisseminationMessage::Graft, fx);
        }
        self.announce_recent(mesh, state, here, &mut random, fx);
        fx.wake_after(mesh.heartbeat, DisseminationTimer::Heartbeat);
    }

    /// A heartbeat has passed for all contacts. Those that have fallen silent make place for others.
    fn age_contacts(
        &self,
        mesh: &MeshOptions,
        state: &mut DisseminationState,
        here: Here,
        fx: &mut impl Effects<Self>,
    ) {
        let node = here.index - state.first;
        let silence_max = LINKED | (3 * mesh.renew);
        let mut silent = 0;
        for (place, standing) in
            (0u64..).zip(&mut state.contacts.standings[node * state.contacts.width..][..state.contacts.width])
        {
            if *standing >= silence_max {
                silent |= 1 << place;
            } else if *standing & LINKED != 0 {
                *standing += 1;
            } else {
                *standing = standing.saturating_sub(1);
            }
        }
        for place in bits(silent) {
            state.figures.silent += 1;
            let start = state.contacts.range(node).start;
            state.contacts.standings[start + place] = 0;
            state.contacts.peers[start + place] = NOBODY;
            if let Some(other) = self.any_other(here.id, fx.random()) {
                state.contacts.meet(node, other);
            }
        }
    }

    /// A random node becomes a contact, in place of one without a link if there is no room.
    fn discover(&self, state: &mut DisseminationState, here: Here, random: &mut Stream, fx: &mut impl Effects<Self>) {
        let (node, contacts) = (here.index - state.first, &mut state.contacts);
        let Some(other) = self.any_other(here.id, fx.random()) else { return };
        if contacts.place_of(node, other).is_none() {
            let others = contacts.places(node, |standing| standing & LINKED == 0);
            let place = contacts.place_of(node, NOBODY).or_else(|| bits(draw(others, 1, random)).next());
            if let Some(place) = place {
                let start = contacts.range(node).start;
                contacts.peers[start + place] = other;
                contacts.standings[start + place] = 0;
            }
        }
    }

    /// Tells some contacts which messages came lately.
    fn announce_recent(
        &self,
        mesh: &MeshOptions,
        state: &mut DisseminationState,
        here: Here,
        random: &mut Stream,
        fx: &mut impl Effects<Self>,
    ) {
        let node = here.index - state.first;
        let live = self.schedule.live(fx.now());
        let now = CoarseTime::from(fx.now());
        let ticks = ticks_of(mesh.heartbeat * u64::from(mesh.gossip));
        let recent = state.store.of(node).take_while(|kept| now.ticks_since(kept.arrived) <= ticks);
        let recent = recent.map(|kept| kept.number()).filter(|number| live.contains(number));
        let Some(ids) = newest_of(recent) else { return };
        let others = state.contacts.places(node, |standing| standing & LINKED == 0);
        let told = draw(others, u32::from(mesh.lazy), random);
        self.send_to_places(state, here, told, DisseminationMessage::Have(ids), fx);
    }

    /// `from` wants a link, or renews it.
    pub(super) fn take_graft(
        &self,
        mesh: &MeshOptions,
        state: &mut DisseminationState,
        here: Here,
        from: NodeId,
        fx: &mut impl Effects<Self>,
    ) {
        let node = here.index - state.first;
        let contacts = &mut state.contacts;
        let start = contacts.range(node).start;
        let known = contacts.place_of(node, from);
        let standing = known.map_or(0, |place| contacts.standings[start + place]);
        let is_linked = standing & LINKED != 0;
        if !is_linked && (standing > 0 || contacts.degree(node) >= mesh.limits(here.node_type).high) {
            self.send(state, from, DisseminationMessage::Prune, fx);
            return;
        }
        // There are more contacts than links may be, so one can make place.
        let place = known.or_else(|| contacts.place_of(node, NOBODY)).or_else(|| {
            let others = contacts.places(node, |standing| standing & LINKED == 0);
            bits(draw(others, 1, &mut fx.random())).next()
        });
        if let Some(place) = place {
            contacts.peers[start + place] = from;
            contacts.standings[start + place] = LINKED;
        }
    }

    /// `from` wants no link.
    pub(super) fn take_prune(&self, mesh: &MeshOptions, state: &mut DisseminationState, here: Here, from: NodeId) {
        let node = here.index - state.first;
        if let Some(place) = state.contacts.place_of(node, from) {
            let start = state.contacts.range(node).start;
            state.contacts.standings[start + place] = mesh.backoff;
        }
    }

    /// Prunes all links, because the node leaves.
    pub(super) fn leave_mesh(&self, state: &mut DisseminationState, here: Here, fx: &mut impl Effects<Self>) {
        let links = state.contacts.links(here.index - state.first);
        self.send_to_places(state, here, links, DisseminationMessage::Prune, fx);
    }
}

/// A span in steps of [`CoarseTime::TICK`], rounded up: two moments that are so far apart may be as many steps apart.
pub(super) fn ticks_of(span: SimSpan) -> u32 {
    span.as_nanos().div_ceil(CoarseTime::TICK.as_nanos()).min(u64::from(u32::MAX)) as u32
}

/// The numbers, those left out that are too far from the largest; `None` if there are none.
pub(super) fn newest_of(numbers: impl Iterator<Item = u32> + Clone) -> Option<Ids> {
    let newest = numbers.clone().max()?;
    let mut ids = Ids::none((newest + 1).saturating_sub(Ids::SPAN));
    numbers.for_each(|number| {
        ids.insert(number);
    });
    Some(ids.from_smallest())
}
