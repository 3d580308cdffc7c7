//! The workloads on SimCore: one component per node, callbacks, events through `emit`.
//!
//! SimCore's documentation puts its asynchronous mode 10 to 50 % behind callbacks, so that mode
//! stays off. SimCore boxes every payload; one without a field, as the rumour and the timer here,
//! costs no allocation.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use serde::Serialize;
use simcore::{Event, EventHandler, Id, Simulation, SimulationContext, cast};

use crate::report::{Check, Outcome};
use crate::workload::{Edge, FANOUT, Overlay, PERIOD_NS, Random};

/// SimCore's own generator is not used; its seed has no effect.
const UNUSED_SEED: u64 = 0;

/// SimCore's clock counts seconds in an `f64`.
fn seconds(ns: u64) -> f64 {
    ns as f64 * 1e-9
}

#[derive(Clone, Serialize)]
struct Rumour {}

struct GossipNode {
    ctx: SimulationContext,
    nodes: u32,
    receipts: u32,
}

impl EventHandler for GossipNode {
    fn on(&mut self, event: Event) {
        cast!(match event.data {
            Rumour {} => {
                self.on_rumour();
            }
        })
    }
}

impl GossipNode {
    fn on_rumour(&mut self) {
        self.receipts += 1;
        if self.receipts > 1 {
            return;
        }
        let node = self.ctx.id();
        let mut random = Random::gossip(node);
        for _ in 0..FANOUT {
            let target = random.other_node(node, self.nodes);
            self.ctx.emit(Rumour {}, target, seconds(random.latency_ns()));
        }
    }
}

/// Runs push gossip to the end.
pub(crate) fn gossip(nodes: u32) -> Outcome {
    let mut simulation = Simulation::new(UNUSED_SEED);
    let components: Vec<_> = (0..nodes)
        .map(|node| add_component(&mut simulation, node, |ctx| GossipNode { ctx, nodes, receipts: 0 }))
        .collect();
    components[0].borrow().ctx.emit_self_now(Rumour {});

    let start = Instant::now();
    simulation.step_until_no_events();
    let elapsed = start.elapsed();

    let receipts = || components.iter().map(|component| u64::from(component.borrow().receipts));
    let reached = receipts().filter(|&receipts| receipts > 0).count() as u64;
    let check =
        Check::Gossip { reached, missed: u64::from(nodes) - reached, duplicates: receipts().sum::<u64>() - reached };
    Outcome { elapsed, check }
}

#[derive(Clone, Serialize)]
struct Beat {}

/// The slot costs an allocation, but saves more than that: finding the sender in a list of
/// in-neighbours instead took 1.2 times as long.
#[derive(Clone, Serialize)]
struct Heartbeat {
    slot: u32,
}

struct HeartbeatNode {
    ctx: SimulationContext,
    random: Random,
    edges: [Edge; FANOUT],
    /// When each in-neighbour was last heard, in simulated seconds; negative for never.
    last_heard_s: Box<[f64]>,
    fired: u32,
    delivered: u32,
}

impl EventHandler for HeartbeatNode {
    fn on(&mut self, event: Event) {
        let now = event.time;
        cast!(match event.data {
            Heartbeat { slot } => {
                self.delivered += 1;
                self.last_heard_s[slot as usize] = now;
            }
            Beat {} => {
                self.on_beat();
            }
        })
    }
}

impl HeartbeatNode {
    fn on_beat(&mut self) {
        self.fired += 1;
        for Edge { target, slot } in self.edges {
            self.ctx.emit(Heartbeat { slot }, target, seconds(self.random.latency_ns()));
        }
        // All timers share one period, so they are re-armed in the order in which they fire, and
        // SimCore's ordered queue spares them the heap. This is the larger part of its speed here.
        self.ctx.emit_ordered_self(Beat {}, seconds(PERIOD_NS));
    }
}

/// Runs heartbeats for `simulated_s` seconds of simulated time.
pub(crate) fn heartbeat(nodes: u32, simulated_s: u32) -> Outcome {
    let mut simulation = Simulation::new(UNUSED_SEED);
    let mut overlay = Overlay::new(nodes);
    let mut phases = Vec::with_capacity(nodes as usize);
    let components: Vec<_> = (0..nodes)
        .map(|node| {
            let mut random = Random::heartbeat(node);
            phases.push((random.phase_ns(), node));
            let edges = overlay.connect(node);
            let last_heard_s = vec![-1.0; overlay.in_degree(node)].into_boxed_slice();
            add_component(&mut simulation, node, |ctx| HeartbeatNode {
                ctx,
                random,
                edges,
                last_heard_s,
                fired: 0,
                delivered: 0,
            })
        })
        .collect();
    drop(overlay);
    phases.sort_unstable();
    for (phase_ns, node) in phases {
        components[node as usize].borrow().ctx.emit_ordered_self(Beat {}, seconds(phase_ns));
    }

    let start = Instant::now();
    simulation.step_until_time(f64::from(simulated_s));
    let elapsed = start.elapsed();

    let mut check = (0, 0, 0);
    for component in &components {
        let component = component.borrow();
        check.0 += u64::from(component.fired);
        check.1 += u64::from(component.delivered);
        check.2 += component.last_heard_s.iter().filter(|&&time| time >= 0.0).count() as u64;
    }
    let (fired, delivered, edges_heard) = check;
    Outcome { elapsed, check: Check::Heartbeat { fired, delivered, edges_heard } }
}

/// Adds the component of one node. SimCore numbers components from zero as they are named, so the
/// component's identifier is the node's number and no table has to translate.
fn add_component<C: EventHandler + 'static>(
    simulation: &mut Simulation,
    node: u32,
    build: impl FnOnce(SimulationContext) -> C,
) -> Rc<RefCell<C>> {
    let name = node.to_string();
    let component = Rc::new(RefCell::new(build(simulation.create_context(&name))));
    let id: Id = simulation.add_handler(&name, component.clone());
    assert_eq!(id, node, "SimCore numbers components in the order of their creation");
    component
}
