//! A protocol of one's own on the engine: nodes find out how many they are, though nobody counts them.
//!
//! Push-sum (Kempe, Dobra and Gehrke, "Gossip-based computation of aggregate information", FOCS 2003): every node
//! starts with weight 1, and node 0 with the sum 1, the others with 0. Once per interval a node sends half of its sum
//! and half of its weight to a random other node. Nothing is made or lost on the way, so the ratio of sum to weight
//! evens out at 1 / n everywhere, and every node can tell n.
//!
//! Run it with `cargo run --release --example custom_protocol`. It runs on one and on two threads, prints what happened
//! and what the nodes believe, and makes sure that the two runs are the same run, message by message.
#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use qnetsim::contract::{Column, Effects, Here, NodeId, Nodes, Population, Protocol, SimSpan, SimTime};
use qnetsim::engine::{Latency, NetworkModel, Outcome, Settings, Simulation, Violation};
use qnetsim::metrics::Flow;
use serde::{Deserialize, Serialize};

/// The parameters; what does not change during a run.
struct PushSum {
    nodes: NodeId,
    interval: SimSpan,
}

/// A message: half of what its sender had.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Half {
    sum: f64,
    weight: f64,
}

/// What the nodes of one partition remember: one column for each field, by the index of the node.
#[derive(Serialize, Deserialize)]
struct Shares {
    sums: Column<f64>,
    weights: Column<f64>,
}

impl Protocol for PushSum {
    type Message = Half;
    /// There is one timer, so it need not say anything.
    type Timer = ();
    type State = Shares;

    fn kinds(&self) -> &'static [&'static str] {
        &["half"]
    }

    /// Two numbers of eight bytes. The engine adds the headers.
    fn wire_len(&self, _: &Half, _: usize) -> u32 {
        16
    }

    /// Brings the contents into the digest, so that two runs that compute something else cannot look the same.
    fn fingerprint(&self, half: &Half) -> u64 {
        half.sum.to_bits() ^ half.weight.to_bits().rotate_left(32)
    }

    fn state(&self, nodes: Nodes) -> Shares {
        let first_sum = |here: Here| if here.id == 0 { 1.0 } else { 0.0 };
        Shares {
            sums: Column::collect(nodes.len(), nodes.iter().map(first_sum)),
            weights: Column::filled(nodes.len(), 1.0),
        }
    }

    fn state_bytes(&self, shares: &Shares) -> usize {
        shares.sums.bytes() + shares.weights.bytes()
    }

    /// Nodes do not act in step: each has its own phase.
    fn handle_start(&self, _: &mut Shares, _: Here, fx: &mut impl Effects<Self>) {
        let phase = fx.random().below(self.interval.as_nanos());
        fx.wake_after(SimSpan::from_nanos(phase), ());
    }

    fn handle_timer(&self, shares: &mut Shares, here: Here, (): (), fx: &mut impl Effects<Self>) {
        shares.sums[here.index] *= 0.5;
        shares.weights[here.index] *= 0.5;
        // Any node but this one.
        let other = fx.random().below(u64::from(self.nodes - 1)) as NodeId;
        let other = other + NodeId::from(other >= here.id);
        fx.send(other, Half { sum: shares.sums[here.index], weight: shares.weights[here.index] });
        fx.wake_after(self.interval, ());
    }

    fn handle_message(
        &self,
        shares: &mut Shares,
        here: Here,
        _: NodeId,
        half: Half,
        _: &[u8],
        _: &mut impl Effects<Self>,
    ) {
        shares.sums[here.index] += half.sum;
        shares.weights[here.index] += half.weight;
    }
}

/// Runs `nodes` nodes for a minute of simulated time.
fn run(nodes: NodeId, threads: usize) -> Result<Outcome<PushSum>, Violation> {
    let protocol = PushSum { nodes, interval: SimSpan::from_secs(1) };
    let delay = Latency::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(100) };
    let network = NetworkModel::new(delay, 0.0);
    let mut settings = Settings::new(Population::flat(nodes), 42, SimTime::ZERO + SimSpan::from_secs(60));
    settings.threads = threads;
    Simulation::new(&protocol, &network, settings).run()
}

/// What every node takes the number of nodes to be, in ascending order.
fn estimates(outcome: &Outcome<PushSum>) -> Vec<f64> {
    let shares = outcome.states.iter().flat_map(|(_, shares)| shares.weights.iter().zip(shares.sums.iter()));
    let mut estimates: Vec<f64> = shares.map(|(weight, sum)| weight / sum).collect();
    estimates.sort_by(f64::total_cmp);
    estimates
}

fn main() -> Result<(), Violation> {
    const NODES: NodeId = 10_000;
    let mut digests = Vec::new();
    for threads in [1, 2] {
        let outcome = run(NODES, threads)?;
        let messages: u64 = outcome.slices.iter().map(|slice| slice.total(Flow::Sent).messages).sum();
        let estimates = estimates(&outcome);
        let (least, median, most) = (estimates[0], estimates[estimates.len() / 2], estimates[estimates.len() - 1]);
        println!("{threads} thread(s): {} events, {messages} messages", outcome.events);
        println!("  {NODES} nodes believe to be {least:.3} to {most:.3}, in the median {median:.3}");
        println!("  digest {:016x}", outcome.digest);
        digests.push(outcome.digest);
    }
    assert_eq!(digests[0], digests[1], "threads cannot be seen in a result");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_learns_how_many_there_are_on_any_number_of_threads() {
        let outcomes = [1, 2].map(|threads| run(1_000, threads).unwrap());
        assert_eq!(outcomes[0].digest, outcomes[1].digest);
        let estimates = estimates(&outcomes[0]);
        assert_eq!(estimates.len(), 1_000);
        assert!(estimates.iter().all(|n| (n - 1_000.0).abs() < 1.0), "{} to {}", estimates[0], estimates[999]);
    }
}
