//! A latency model of one's own: nodes on a sphere, and light in a fibre between them.
//!
//! The engine asks a [`Network`] for the delay of each message, and for the smallest that there is: that is its lookahead,
//! from which the length of its windows follows, so it must never be undercut (the engine stops if it is). Everything that
//! a network answers must be a function of what it is asked, because threads ask in any order.
//!
//! Run it with `cargo run --example custom_latency`.
#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use qnetsim::contract::{Domain, NodeId, Population, RandomKey, SimSpan, SimTime};
use qnetsim::engine::{Network, Outcome, Settings, Simulation, Violation};
use qnetsim::protocols::rumour::PushGossip;

/// Earth's radius, and how far light comes in a fibre in a second: two thirds of its speed in the void.
const RADIUS_KM: f64 = 6_371.0;
const FIBRE_KM_PER_S: f64 = 200_000.0;
/// What switches and the last mile add to every message.
const LEAST: SimSpan = SimSpan::from_millis(5);

/// Where nodes stand, as unit vectors.
struct Sphere {
    places: Vec<[f64; 3]>,
}

impl Sphere {
    /// Nodes anywhere on the sphere, uniformly: heights are uniform (Archimedes), and longitudes are.
    fn new(nodes: u32, seed: u64) -> Self {
        let key = RandomKey::new(seed, Domain::Placement);
        let place = |node: NodeId| {
            let mut random = key.stream(node, 0);
            let mut unit = || random.below(1 << 52) as f64 / (1u64 << 52) as f64;
            let (height, longitude) = (2.0 * unit() - 1.0, 2.0 * std::f64::consts::PI * unit());
            let radius = (1.0 - height * height).sqrt();
            // Not those of the standard library, whose last digits depend on the platform.
            [radius * libm::cos(longitude), radius * libm::sin(longitude), height]
        };
        Sphere { places: (0..nodes).map(place).collect() }
    }
}

impl Network for Sphere {
    fn smallest_delay(&self) -> SimSpan {
        LEAST
    }

    /// Half way around the world.
    fn largest_delay(&self) -> Option<SimSpan> {
        Some(LEAST + SimSpan::from_nanos((std::f64::consts::PI * RADIUS_KM / FIBRE_KM_PER_S * 1e9) as u64))
    }

    /// Along the great circle. `word` has 64 random bits for whoever wants jitter.
    fn delay(&self, from: NodeId, to: NodeId, _now: SimTime, _word: u64) -> SimSpan {
        let [a, b] = [from, to].map(|node| self.places[node as usize]);
        let cosine: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        let angle = libm::acos(cosine.clamp(-1.0, 1.0));
        LEAST + SimSpan::from_nanos((angle * RADIUS_KM / FIBRE_KM_PER_S * 1e9) as u64)
    }
}

/// A rumour among `nodes` nodes that each tell eight others.
fn run(nodes: u32, threads: usize) -> Result<Outcome<PushGossip>, Violation> {
    let mut settings = Settings::new(Population::flat(nodes), 1, SimTime::MAX);
    settings.threads = threads;
    settings.delays = true;
    settings.measured = SimTime::ZERO..SimTime::MAX;
    Simulation::new(&PushGossip::new(8), &Sphere::new(nodes, 1), settings).run()
}

fn main() -> Result<(), Violation> {
    let outcome = run(10_000, 2)?;
    let delays = &outcome.delays[0];
    let millis = |percent: f64| delays.value_at_quantile(percent) as f64 / 1e6;
    println!("{} messages in {} windows of up to {LEAST}", delays.len(), outcome.windows);
    println!("delays: {:.1} ms in the median, {:.1} ms at the most", millis(0.5), millis(1.0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_those_of_the_sphere_and_threads_cannot_be_seen() {
        let outcomes = [1, 2].map(|threads| run(2_000, threads).unwrap());
        assert_eq!(outcomes[0].digest, outcomes[1].digest);
        let delays = &outcomes[0].delays[0];
        // Two random places are a quarter of the way around apart, on average: 50 ms, and 5.
        let mean = delays.mean() / 1e6;
        assert!((54.0..56.0).contains(&mean), "{mean} ms");
        assert!(delays.min() >= LEAST.as_nanos() && delays.max() <= 106_000_000, "{}", delays.max());
    }
}
