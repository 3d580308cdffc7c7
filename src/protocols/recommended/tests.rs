//! Tests of the layers together, without an engine.

use std::sync::Arc;

use super::*;
use crate::contract::Population;
use crate::protocols::adaptive::AdaptiveHeartbeat;
use crate::protocols::dissemination::{DisseminationOptions, Publishing, Spread};
use crate::protocols::kademlia::KademliaOptions;
use crate::protocols::ledger::{LedgerOptions, LedgerTimer};
use crate::protocols::mobile::policy::WakePolicy;
use crate::protocols::mobile::{MobileMessage, MobileOptions};
use crate::protocols::recorder::Recorder;
use crate::protocols::router::RouterOptions;
use crate::protocols::router::candidates::DrawnCandidates;
use crate::protocols::sharding::ShardingOptions;
use crate::protocols::sharding::placement::ShardPlacement;
use crate::topologies::{Tier, TierDegrees};

const PARENTS: u32 = 3;

fn population() -> Population {
    Population::new([4, 20, 100, 10]).unwrap()
}

fn recommended() -> Recommended {
    let population = population();
    let (upper, without_mobile) = (population.up_to(NodeType::FullNode), population.up_to(NodeType::LightNode));
    let heartbeat = AdaptiveHeartbeat { base_interval: SimSpan::from_secs(30) };
    let degrees = TierDegrees { full_peers: 5, super_parents: 2, light_parents: PARENTS, mesh: false };
    let meshed = TierDegrees { super_parents: 0, mesh: true, ..degrees };
    let publishing = Publishing {
        messages: 5,
        size: 100,
        first: SimTime::ZERO + SimSpan::from_secs(1),
        every: SimSpan::from_secs(1),
        sources: 3,
    };
    let spread = DisseminationOptions {
        spread: Spread::Push { fanout: 3 },
        publishing,
        lifetime: SimSpan::from_secs(5),
        seen: 16,
        kept: 8,
        wanted: 1,
        timeout: SimSpan::from_secs(1),
        repair: None,
    };
    let policy = WakePolicy::Piggyback { silence: SimSpan::from_secs(600) };
    let options = KademliaOptions { refresh: None, ..KademliaOptions::PAPER };
    let discovery = Discovery::new(population, options, 3, SimSpan::from_secs(10), 1);
    Recommended {
        tiers: Hierarchy::new(meshed.graph(upper, 0, 1), heartbeat, 100).with_leaves(),
        router: HierarchicalRouter::new(
            without_mobile,
            RouterOptions::for_population(without_mobile),
            Box::new(DrawnCandidates::new(without_mobile, 8, None, 1)),
        ),
        ledger: Ledger::new(Arc::new(degrees.graph(population, 0, 1)), LedgerOptions::DEFAULT),
        discovery: discovery.for_mobile_nodes(),
        mobile: Mobile::new(
            degrees.children_graph(population, 0, 1, None, NodeType::MobileNode),
            MobileOptions { transactions: None, news: None, ..MobileOptions::new(policy) },
        ),
        gossip: Dissemination::new(Tier::new(0..24, None), spread, 1),
        sharding: Sharding::new(
            upper,
            ShardingOptions { records: 100, ..ShardingOptions::new(ShardPlacement::Modulo) },
            None,
        ),
    }
}

#[test]
fn the_kinds_are_those_of_the_layers_one_after_the_other() {
    let layers = recommended();
    let named: Vec<String> = layers
        .layer_kinds()
        .into_iter()
        .flat_map(|(layer, kinds)| kinds.iter().map(move |kind| format!("{layer}-{kind}")))
        .collect();
    assert_eq!(layers.kinds(), named);
    let messages = [
        (RecommendedMessage::Ledger(LedgerMessage::Share), "ledger-share"),
        (RecommendedMessage::Mobile(MobileMessage::Check), "mobile-check"),
    ];
    for (message, name) in messages {
        assert_eq!(layers.kinds()[layers.kind(&message)], name);
    }
}

#[test]
fn every_type_of_node_starts_the_layers_that_it_takes_part_in() {
    let (layers, nodes) = (recommended(), Nodes::all(population()));
    let mut state = layers.state(nodes.clone());
    let mut timers_of = |id: usize| {
        let here = nodes.here(id);
        let mut fx = Recorder::<Recommended>::new(here, SimTime::ZERO);
        layers.handle_start(&mut state, here, &mut fx);
        fx.timers.into_iter().map(|(_, timer)| timer).collect::<Vec<_>>()
    };
    let has = |timers: &[RecommendedTimer], place: fn(&RecommendedTimer) -> bool| timers.iter().any(place);
    let (is_tiers, is_router) = (
        (|timer: &RecommendedTimer| matches!(timer, RecommendedTimer::Tiers(_))) as fn(&RecommendedTimer) -> bool,
        (|timer: &RecommendedTimer| matches!(timer, RecommendedTimer::Router(_))) as fn(&RecommendedTimer) -> bool,
    );
    let [full, light, mobile] = [10, 50, 130].map(&mut timers_of);
    assert!(has(&full, is_tiers) && has(&full, is_router));
    assert!(!has(&light, is_tiers) && has(&light, is_router));
    assert!(!has(&mobile, is_tiers) && !has(&mobile, is_router));
    assert!(has(&mobile, |timer| matches!(timer, RecommendedTimer::Discovery(_))));
    assert!(has(&mobile, |timer| matches!(timer, RecommendedTimer::Mobile(_))));
    assert!(!has(&light, |timer| matches!(timer, RecommendedTimer::Discovery(_) | RecommendedTimer::Mobile(_))));
}

#[test]
fn a_transaction_of_a_mobile_node_wakes_its_radio_and_carries_its_heartbeats() {
    let (layers, nodes) = (recommended(), Nodes::all(population()));
    let mut state = layers.state(nodes.clone());
    let here = nodes.here(130);
    let end = SimTime::ZERO + SimSpan::from_secs(100);
    let spent = |state: &RecommendedState| layers.mobile.figures(&state.mobile, end);
    let before = spent(&state);
    let mut fx = Recorder::<Recommended>::new(here, SimTime::ZERO + SimSpan::from_secs(20));
    layers.handle_timer(&mut state, here, RecommendedTimer::Ledger(LedgerTimer::Submit), &mut fx);
    let submitted = fx
        .sent
        .iter()
        .filter(|(_, message, _)| matches!(message, RecommendedMessage::Ledger(LedgerMessage::Submit { .. })));
    let heartbeats = fx
        .sent
        .iter()
        .filter(|(_, message, _)| matches!(message, RecommendedMessage::Mobile(MobileMessage::Heartbeat { .. })));
    assert_eq!((submitted.count(), heartbeats.count()), (1, PARENTS as usize));
    let after = spent(&state);
    assert_eq!((before.wakes, after.wakes), (0, 1));
    assert!(after.energy_pj - before.energy_pj > 11_000_000_000_000, "a wake takes 11.4 J");
    // What comes while the radio is connected makes its tail longer; what comes later wakes it.
    let included = LedgerMessage::Accepted { number: 1 };
    for (second, wakes) in [(25, 1), (60, 2)] {
        let mut fx = Recorder::<Recommended>::new(here, SimTime::ZERO + SimSpan::from_secs(second));
        layers.handle_message(&mut state, here, 4, RecommendedMessage::Ledger(included), &[], &mut fx);
        assert_eq!(spent(&state).wakes, wakes, "at {second} s");
    }
}
