//! SWIM on the engine: what it sends, what it finds, and that threads and partitions cannot be seen.

use qnetsim::contract::{NodeId, Population, SimSpan, SimTime, Verdict};
use qnetsim::engine::faults::{Churn, NodeSet, Outage, Schedule};
use qnetsim::engine::{Distribution, Latency, Network, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::{Flow, Turn};
use qnetsim::protocols::swim::membership::Status;
use qnetsim::protocols::swim::{Swim, SwimTiming};

const TIMING: SwimTiming = SwimTiming {
    period: SimSpan::from_secs(1),
    probe_timeout: SimSpan::from_millis(500),
    indirect_probes: 3,
    suspicion_mult: 4,
};
const PING: usize = 0;
const PING_REQUEST: usize = 1;
const ACK: usize = 2;
const JOIN: usize = 3;
const VIEW: usize = 4;

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

fn network(loss: f64) -> NetworkModel {
    NetworkModel::new(Latency::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(100) }, loss)
}

fn settings(members: u32, secs: u64) -> Settings {
    let mut settings = Settings::new(Population::flat(members), 5, at(secs));
    settings.judgements = true;
    settings
}

/// About a hundredth of the nodes goes between 3 and 6 s.
fn outage(until: Option<u64>, graceful: bool) -> Schedule {
    let outage = Outage {
        nodes: NodeSet { share: 0.01, ..NodeSet::ALL },
        from: at(3),
        from_over: SimSpan::from_secs(3),
        until: until.map(at),
        until_over: SimSpan::from_secs(3),
        graceful,
    };
    Schedule { churns: Vec::new(), outages: vec![outage] }
}

/// Whom each living node knows anything unusual of, in what status and incarnation; the same for all that live.
#[track_caller]
fn common_view(outcome: &Outcome<Swim>, living: impl Fn(NodeId) -> bool) -> Vec<(NodeId, Status, u32)> {
    let mut views = outcome.states.iter().flat_map(|(nodes, state)| {
        assert_eq!(state.rejected(), 0);
        let living = nodes.iter().filter(|here| living(here.id));
        living.map(|here| {
            let known = state.view(here.index).exceptions().iter();
            // A node knows nothing of itself.
            (here.id, known.map(|u| (u.member, u.standing.status(), u.standing.incarnation())).collect::<Vec<_>>())
        })
    });
    let (_, first) = views.next().expect("somebody lives");
    for (id, view) in views {
        assert!(view.iter().chain(first.iter().filter(|known| known.0 == id)).count() == first.len(), "node {id}");
        assert!(view.iter().all(|known| first.contains(known)), "node {id}: {view:?} instead of {first:?}");
    }
    first
}

fn run(network: &impl Network, settings: &Settings) -> Outcome<Swim> {
    let swim = Swim::new(settings.population, TIMING);
    Simulation::new(&swim, network, settings.clone()).run().expect("nothing is lost or made up")
}

#[test]
fn where_nothing_fails_everyone_pings_once_a_period_and_nobody_is_suspected() {
    let mut settings = settings(1_000, 22);
    settings.boundaries = vec![at(1), at(21)];
    let outcome = run(&network(0.0), &settings);
    let sent = |kind| outcome.slices[1].kind_total(Flow::Sent, kind);
    assert_eq!((sent(PING).messages, sent(PING_REQUEST).messages), (20 * 1_000, 0));
    assert!(sent(ACK).messages.abs_diff(20 * 1_000) < 100, "but for those under way: {:?}", sent(ACK));
    assert_eq!(sent(PING).bytes, 38 * sent(PING).messages);
    assert_eq!(outcome.judgements, []);
}

#[test]
fn everyone_learns_who_crashed_and_nobody_takes_another_for_down() {
    let mut settings = settings(500, 50);
    settings.faults = outage(None, false);
    let outcome = run(&network(0.0), &settings);
    let mut crashed: Vec<NodeId> = outcome.lives.iter().map(|life| life.node).collect();
    crashed.sort_unstable();
    assert!((2..12).contains(&crashed.len()), "{crashed:?}");
    let expected: Vec<_> = crashed.iter().map(|&node| (node, Status::Down, 0)).collect();
    assert_eq!(common_view(&outcome, |node| !crashed.contains(&node)), expected);
    let by_living: Vec<_> =
        outcome.judgements.iter().filter(|judgement| !crashed.contains(&judgement.observer)).collect();
    let living = 500 - crashed.len();
    for life in &outcome.lives {
        assert_eq!(life.turn, Turn::Crashed);
        let times = |verdict| {
            let of = by_living.iter().filter(move |other| (other.subject, other.verdict) == (life.node, verdict));
            of.map(|judgement| judgement.time)
        };
        assert_eq!((times(Verdict::Suspected).count(), times(Verdict::Down).count()), (living, living), "each once");
        let (first, last) = (times(Verdict::Suspected).min().unwrap(), times(Verdict::Suspected).max().unwrap());
        // The first probe fails within some periods, and rumours take some more to reach everyone.
        assert!(first > life.time && first.since(life.time) < SimSpan::from_secs(12), "{first}");
        assert!(last.since(first) < SimSpan::from_secs(12), "{last}");
        // 4 log10(500) periods of suspicion.
        let suspicion = SimSpan::from_millis(10_795);
        let down = times(Verdict::Down).min().unwrap().since(first);
        assert!(down >= suspicion && down < suspicion + SimSpan::from_millis(1), "{down}");
    }
    assert_eq!(by_living.len(), 2 * crashed.len() * living, "and nobody else is judged");
}

#[test]
fn who_leaves_in_good_order_is_missed_by_nobody() {
    let mut settings = settings(500, 40);
    settings.faults = outage(None, true);
    let outcome = run(&network(0.0), &settings);
    let mut gone: Vec<NodeId> = outcome.lives.iter().map(|life| life.node).collect();
    gone.sort_unstable();
    let expected: Vec<_> = gone.iter().map(|&node| (node, Status::Left, 0)).collect();
    assert_eq!(common_view(&outcome, |node| !gone.contains(&node)), expected);
    for life in &outcome.lives {
        let of = || outcome.judgements.iter().filter(|judgement| judgement.subject == life.node);
        let last = of().map(|judgement| judgement.time).max().unwrap();
        assert!(last.since(life.time) < SimSpan::from_secs(12), "the news reaches everyone in {last}");
        // Who probes it before the news comes suspects it, and a few others hear that first.
        let suspected = of().filter(|judgement| judgement.verdict == Verdict::Suspected).count();
        assert!(suspected < 125, "{suspected}");
    }
}

#[test]
fn who_comes_back_is_believed_by_all_and_knows_what_they_know() {
    for graceful in [false, true] {
        let mut settings = settings(500, 60);
        settings.faults = outage(Some(30), graceful);
        // These stay away.
        let for_good = Outage {
            nodes: NodeSet { share: 0.01, number: 7, ..NodeSet::ALL },
            until: None,
            ..settings.faults.outages[0].clone()
        };
        settings.faults.outages.push(for_good);
        let outcome = run(&network(0.0), &settings);
        let turns = |turn| {
            let mut nodes: Vec<_> =
                outcome.lives.iter().filter(|life| life.turn == turn).map(|life| life.node).collect();
            nodes.sort_unstable();
            nodes
        };
        let (back, all) = (turns(Turn::Joined), turns(if graceful { Turn::Left } else { Turn::Crashed }));
        assert!(back.len() > 1 && all.len() > back.len(), "{back:?} of {all:?}");
        let away = |node| all.contains(&node) && !back.contains(&node);
        let status = if graceful { Status::Left } else { Status::Down };
        let known = |&node: &NodeId| if away(node) { (node, status, 0) } else { (node, Status::Alive, 1) };
        let mut view = common_view(&outcome, |node| !away(node));
        // The node whose view it is may be one that came back.
        view.extend(back.iter().filter(|&&node| node == 0).map(|&node| (node, Status::Alive, 1)));
        view.sort_unstable();
        assert_eq!(view, all.iter().map(known).collect::<Vec<_>>());
        let sent = |kind| outcome.slices[0].kind_total(Flow::Sent, kind).messages;
        // A period may begin before the answer is there, and whoever is asked may be away.
        let (asked, answered, back) = (sent(JOIN), sent(VIEW), back.len() as u64);
        assert!(back <= answered && answered <= asked && asked <= 2 * back, "{answered} of {asked} for {back}");
    }
}

#[test]
fn suspicions_of_lost_messages_are_refuted() {
    let outcome = run(&network(0.1), &settings(300, 100));
    let count = |verdict| outcome.judgements.iter().filter(|judgement| judgement.verdict == verdict).count();
    let (suspected, down, up) = (count(Verdict::Suspected), count(Verdict::Down), count(Verdict::Up));
    // A ping or its ack is lost 0.19 of the time, and four messages of an indirect probe 0.344 of the time: 1 in 129
    // probes fails, which makes 230 in a hundred periods, and nearly everyone hears of each.
    assert!((200 * 200..300 * 300).contains(&suspected), "{suspected}");
    assert!(up > suspected * 8 / 10, "{up} of {suspected}");
    assert!(down * 1_000 < suspected, "{down} of {suspected}");
}

#[test]
fn threads_and_partitions_cannot_be_seen() {
    let mut settings = settings(400, 30);
    let seconds = |mean| Distribution::Exponential { mean };
    let churn = Churn {
        nodes: NodeSet { share: 0.1, ..NodeSet::ALL },
        session: seconds(20.0),
        absence: seconds(5.0),
        graceful: 0.5,
        steady: true,
    };
    settings.faults = Schedule { churns: vec![churn], outages: Vec::new() };
    settings.boundaries = vec![at(10)];
    settings.measured = at(10)..at(30);
    settings.meters = true;
    let expected = run(&network(0.05), &settings);
    assert!(expected.judgements.len() > 2_000);
    let layouts = [1, 2, 3].map(|threads| (threads, None)).into_iter().chain([0, 1, 4].map(|log2| (2, Some(log2))));
    for (threads, partitions_log2) in layouts {
        let settings = Settings { threads, partitions_log2, ..settings.clone() };
        let outcome = run(&network(0.05), &settings);
        let layout = format!("{threads} threads, {} partitions", outcome.partitions);
        assert_eq!(outcome.digest, expected.digest, "{layout}");
        assert_eq!(outcome.slices, expected.slices, "{layout}");
        assert_eq!(outcome.judgements, expected.judgements, "{layout}");
        assert_eq!(outcome.bandwidth, expected.bandwidth, "{layout}");
    }
}
