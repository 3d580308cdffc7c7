//! The workloads on NeXosim: one model per node, on its single-threaded executor.
//!
//! A port of NeXosim delivers at once; time passes only in its scheduler. A message with a latency
//! can so be sent in two ways: through a port to a model that then delays it with its own context,
//! which takes two messages to a mailbox, or through the [`Scheduler`] straight to an input of the
//! receiver, which takes one. The second is used here: a node holds the scheduler's handle in its
//! environment and names the receiver's input by the `EventId` that was registered for it. On the
//! heartbeat workload at 100 000 nodes the first took 1.4 times as long and three times the memory,
//! and it has no natural form for gossip, whose targets are not known when ports are connected.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nexosim::model::{BuildContext, Context, Model, ProtoModel, schedulable};
use nexosim::ports::EventSource;
use nexosim::simulation::{EventId, Mailbox, Scheduler, SimInit, Simulation};
use nexosim::time::MonotonicTime;
use serde::{Deserialize, Serialize};

use crate::report::{Check, Outcome};
use crate::workload::{Edge, FANOUT, Overlay, PERIOD_NS, Random};

/// NeXosim shares out the work of one instant, and here hardly two events have one: with two threads
/// both workloads took about three times as long or more.
const THREADS: usize = 1;

/// Room in a mailbox. Events are processed as they fall due, so one slot is enough, and a sender
/// waits where two come at once. NeXosim's default of 16 took half as much memory again for no
/// more speed.
const MAILBOX_CAPACITY: usize = 1;

/// How to reach a node.
struct Directory<T> {
    scheduler: Scheduler,
    /// The input of each node.
    inboxes: Vec<EventId<T>>,
}

/// What all nodes share: how to reach a node, and the counts of the run.
struct Network<T> {
    /// Set once the simulation exists, before its first event.
    directory: OnceLock<Directory<T>>,
    /// Counts whose meaning is the workload's.
    counts: [Count; 3],
}

impl<T: Clone + Send + 'static> Network<T> {
    fn send(&self, target: u32, latency_ns: u64, message: T) {
        let Directory { scheduler, inboxes } = self.directory();
        scheduler
            .schedule_event(Duration::from_nanos(latency_ns), &inboxes[target as usize], message)
            .expect("a latency is never zero");
    }

    fn directory(&self) -> &Directory<T> {
        self.directory.get().expect("the directory is set before the first event")
    }
}

/// A counter that only the one simulation thread writes, and which therefore needs no locked add.
#[derive(Default)]
struct Count(AtomicU64);

impl Count {
    fn increment(&self) {
        self.0.store(self.get() + 1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A model together with its environment, which NeXosim keeps apart from the serializable state.
struct Proto<M, T> {
    model: M,
    network: Arc<Network<T>>,
}

impl<M, T> ProtoModel for Proto<M, T>
where
    M: Model<Env = Arc<Network<T>>>,
    T: Send + 'static,
{
    type Model = M;

    fn build(self, _: &mut BuildContext<'_, Self>) -> (M, M::Env) {
        (self.model, self.network)
    }
}

#[derive(Serialize, Deserialize)]
struct GossipNode {
    node: u32,
    nodes: u32,
    informed: bool,
}

const REACHED: usize = 0;
const DUPLICATES: usize = 1;

// The rumour has no content. NeXosim boxes what it schedules, so this spares it an allocation.
#[Model(type Env = Arc<Network<()>>)]
impl GossipNode {
    fn rumour(&mut self, (): (), _: &Context<Self>, network: &mut Arc<Network<()>>) {
        if self.informed {
            network.counts[DUPLICATES].increment();
            return;
        }
        self.informed = true;
        network.counts[REACHED].increment();
        let mut random = Random::gossip(self.node);
        for _ in 0..FANOUT {
            let target = random.other_node(self.node, self.nodes);
            network.send(target, random.latency_ns(), ());
        }
    }
}

/// Runs push gossip to the end.
pub(crate) fn gossip(nodes: u32) -> Outcome {
    let (mut simulation, network) = assemble(
        nodes,
        |node| GossipNode { node, nodes, informed: false },
        |inbox, mailbox| inbox.connect(GossipNode::rumour, mailbox),
    );

    let start = Instant::now();
    simulation.process_event(&network.directory().inboxes[0], ()).expect("node 0 takes the rumour");
    simulation.run().expect("gossip runs to its end");
    let elapsed = start.elapsed();

    let reached = network.counts[REACHED].get();
    let check =
        Check::Gossip { reached, missed: u64::from(nodes) - reached, duplicates: network.counts[DUPLICATES].get() };
    Outcome { elapsed, check }
}

#[derive(Serialize, Deserialize)]
struct HeartbeatNode {
    random: Random,
    edges: [Edge; FANOUT],
    /// When each in-neighbour was last heard, in simulated nanoseconds; zero for never.
    last_heard_ns: Box<[u64]>,
}

const FIRED: usize = 0;
const DELIVERED: usize = 1;
const EDGES_HEARD: usize = 2;

#[Model(type Env = Arc<Network<u32>>)]
impl HeartbeatNode {
    #[nexosim(init)]
    async fn start(&mut self, cx: &Context<Self>) {
        // A periodic event goes back into the queue as it is, without a new allocation.
        let phase = Duration::from_nanos(self.random.phase_ns());
        cx.schedule_periodic_event(phase, Duration::from_nanos(PERIOD_NS), schedulable!(Self::beat), ())
            .expect("the phase and the period are positive");
    }

    #[nexosim(schedulable)]
    fn beat(&mut self, (): (), _: &Context<Self>, network: &mut Arc<Network<u32>>) {
        network.counts[FIRED].increment();
        for Edge { target, slot } in self.edges {
            network.send(target, self.random.latency_ns(), slot);
        }
    }

    fn heartbeat(&mut self, slot: u32, cx: &Context<Self>, network: &mut Arc<Network<u32>>) {
        network.counts[DELIVERED].increment();
        let heard = &mut self.last_heard_ns[slot as usize];
        if *heard == 0 {
            network.counts[EDGES_HEARD].increment();
        }
        let now = cx.time();
        *heard = now.as_secs() as u64 * 1_000_000_000 + u64::from(now.subsec_nanos());
    }
}

/// Runs heartbeats for `simulated_s` seconds of simulated time.
pub(crate) fn heartbeat(nodes: u32, simulated_s: u32) -> Outcome {
    let mut overlay = Overlay::new(nodes);
    let build = |node| HeartbeatNode {
        random: Random::heartbeat(node),
        edges: overlay.connect(node),
        last_heard_ns: vec![0; overlay.in_degree(node)].into(),
    };
    let (mut simulation, network) =
        assemble(nodes, build, |inbox, mailbox| inbox.connect(HeartbeatNode::heartbeat, mailbox));

    let start = Instant::now();
    simulation.step_until(Duration::from_secs(simulated_s.into())).expect("heartbeats run to the deadline");
    let elapsed = start.elapsed();

    let check = Check::Heartbeat {
        fired: network.counts[FIRED].get(),
        delivered: network.counts[DELIVERED].get(),
        edges_heard: network.counts[EDGES_HEARD].get(),
    };
    Outcome { elapsed, check }
}

/// Builds the simulation with one model and one input for each node.
fn assemble<M, T>(
    nodes: u32,
    mut build: impl FnMut(u32) -> M,
    connect: impl Fn(EventSource<T>, &Mailbox<M>) -> EventSource<T>,
) -> (Simulation, Arc<Network<T>>)
where
    M: Model<Env = Arc<Network<T>>>,
    T: Serialize + for<'de> Deserialize<'de> + Clone + Send + 'static,
{
    let network = Arc::new(Network { directory: OnceLock::new(), counts: Default::default() });
    let mut bench = SimInit::with_num_threads(THREADS);
    let mut inboxes = Vec::with_capacity(nodes as usize);
    // All parts of one node are allocated together, which gained 8 % over one loop for each part.
    for node in 0..nodes {
        let mailbox = Mailbox::with_capacity(MAILBOX_CAPACITY);
        inboxes.push(connect(EventSource::new(), &mailbox).register(&mut bench));
        let proto = Proto { model: build(node), network: Arc::clone(&network) };
        bench = bench.add_model(proto, mailbox, &node.to_string());
    }
    let simulation = bench.init(MonotonicTime::EPOCH).expect("the models start");
    let directory = Directory { scheduler: simulation.scheduler(), inboxes };
    assert!(network.directory.set(directory).is_ok(), "the directory is set only here");
    (simulation, network)
}
