//! A run between two windows as a checkpoint has it: written, and read into a run that has just been built.

use std::io::{self, Write};

use super::super::access::Access;
use super::super::checkpoint::{Checkpoint, CheckpointError, Decoder, Encoder, Shape, Standing};
use super::super::context::Shared;
use super::super::digest::Digest;
use super::super::event::{Alarm, Event};
use super::super::lane::Lane;
use super::super::living::Living;
use super::super::network::Network;
use super::super::partition::Partition;
use super::super::probe::Probe;
use super::super::stream::Pool;
use super::super::tally::Tally;
use super::super::team::lock;
use super::super::wheel::TimerWheel;
use super::{Run, Simulation};
use crate::contract::{NodeId, Placement, Protocol};
use crate::metrics::Judgement;

/// Stands at the end of what is written.
const END: u64 = 0x7171_6e65_7473_696d;
/// Longest payload of a message.
const DATAGRAM_MAX: usize = 65_507;

impl<P: Protocol, N: Network, O: Probe> Simulation<'_, P, N, O> {
    /// Goes on from `checkpoint` instead of the start. The run must be that of the checkpoint, with as many partitions;
    /// threads may differ. Probes see what comes, not what was before.
    ///
    /// # Errors
    /// If the checkpoint is damaged or of another run.
    ///
    /// # Panics
    /// If the run has other ranks: they take no checkpoints.
    pub fn restore(mut self, checkpoint: Checkpoint<'_>) -> Result<Self, CheckpointError> {
        assert!(self.run.settings.share.is_whole(), "ranks take no checkpoints");
        self.run.load(checkpoint)?;
        Ok(self)
    }
}

impl<P: Protocol, N: Network, O: Probe> Run<'_, P, N, O> {
    fn shape(&self) -> Shape {
        let settings = &self.settings;
        let regions = self.shared.network.placement().map_or(0, Placement::regions);
        let parts = [settings.meters, settings.delays, settings.judgements, self.shared.lives.is_some()];
        Shape {
            partitions_log2: self.shared.places.partitions_log2(),
            population: settings.population,
            seed: settings.seed,
            end: settings.end,
            boundaries: settings.boundaries.clone(),
            measured: [settings.measured.start, settings.measured.end],
            windows: (self.shared.windows.length(), self.shared.windows.block_log2()),
            links: (regions * regions) as u32,
            parts: [parts[0], parts[1], parts[2], parts[3], self.shared.capacity.is_some()],
            protocol: std::any::type_name::<P>().to_owned(),
            kinds: self.shared.protocol.kinds().iter().map(|&kind| kind.to_owned()).collect(),
        }
    }

    fn tally(&self) -> Tally {
        let regions = self.shared.network.placement().map_or(0, Placement::regions);
        Tally::new(self.shared.protocol.kinds().len(), self.settings.delays, regions)
    }

    /// Writes the run as it stands after a window. What is written does not depend on threads but for the order of
    /// messages and judgements, which nothing depends on.
    pub(super) fn save(&self, standing: Standing, out: &mut dyn Write) -> io::Result<()> {
        let mut to = Encoder::new(out);
        to.put(&self.shape())?;
        to.put(&standing)?;
        let lanes = self.lanes.len();
        for number in 0..self.partitions {
            save_partition(&lock(&self.lanes[number % lanes]).partitions[number / lanes], &mut to)?;
        }
        let (mut tally, mut digest) = (self.tally(), 0u64);
        for lane in &self.lanes {
            let core = &lock(lane).core;
            core.outbox.each(standing.window, |window, to_node, event, payload| {
                let Event { offset, from, sequence, message, .. } = event;
                to.put(&Some((window, to_node, offset, from, sequence)))?;
                to.put(&(message, payload))
            })?;
            tally.absorb(&core.tally);
            digest = digest.wrapping_add(core.digest.value());
        }
        to.put(&None::<()>)?;
        tally.save(&mut to)?;
        to.put(&digest)?;
        for lane in &self.lanes {
            lock(lane).core.judgements.iter().try_for_each(|judgement| to.put(&Some(judgement)))?;
        }
        to.put(&None::<()>)?;
        to.put(&END)?;
        to.finish()
    }

    fn load(&mut self, checkpoint: Checkpoint<'_>) -> Result<(), CheckpointError> {
        let Checkpoint { shape, mut decoder } = checkpoint;
        self.shape().check(&shape)?;
        let from = &mut decoder;
        let standing: Standing = from.get()?;
        let windows = self.shared.windows;
        let is_at_home = standing.passed <= self.settings.boundaries.len()
            && windows.start(standing.window) < self.settings.end.as_nanos()
            && standing.opened == if windows.block_log2() == 0 { 0 } else { windows.block(standing.window) };
        if !is_at_home {
            return Err(CheckpointError::damaged("it stands where no run stands"));
        }
        let lanes = self.lanes.len();
        for number in 0..self.partitions {
            let Lane { partitions, core, .. } = &mut *lock(&self.lanes[number % lanes]);
            load_partition(&self.shared, &mut partitions[number / lanes], &mut core.alarms, standing.window, from)?;
        }
        for lane in &self.lanes {
            lock(lane).core.outbox.stand_at(standing.opened, standing.index_max);
        }
        self.load_messages(standing.window, from)?;
        {
            let first = &mut lock(&self.lanes[0]).core;
            first.tally.load(from, standing.passed)?;
            first.digest = Digest::at(from.get()?);
            while let Some(judgement) = from.get::<Option<Judgement>>()? {
                first.judgements.push(judgement);
            }
        }
        for lane in &self.lanes {
            let lane = &mut *lock(lane);
            for _ in lane.core.tally.closed_slices()..standing.passed {
                lane.core.tally.close_slice();
            }
            lane.find_next(windows, standing.window);
        }
        if from.get::<u64>()? != END || !from.is_at_end() {
            return Err(CheckpointError::damaged("it does not end where it should"));
        }
        self.restored = Some(standing);
        Ok(())
    }

    /// Reads the messages under way after `window`, each into the lane of its receiver.
    fn load_messages(&self, window: u64, from: &mut Decoder<'_>) -> Result<(), CheckpointError> {
        let Shared { windows, population, places, .. } = &self.shared;
        let partition_mask = self.partitions - 1;
        while let Some((due, to, offset, sender, sequence)) = from.get::<Option<(u64, NodeId, u32, NodeId, u32)>>()? {
            let (message, payload): (P::Message, Vec<u8>) = from.get()?;
            let is_sound = due > window
                && to.max(sender) < population.total()
                && u64::from(offset) < windows.length()
                && payload.len() <= DATAGRAM_MAX;
            if !is_sound {
                return Err(CheckpointError::damaged("a message is of the past, of nobody, or too long"));
            }
            let event = Event { offset, index: to >> places.partitions_log2(), from: sender, sequence, message };
            let lane = (to as usize & partition_mask) % self.lanes.len();
            let outbox = &mut lock(&self.lanes[lane]).core.outbox;
            match payload.is_empty() {
                true => outbox.push(window, due, to, event),
                false => outbox.push_parcel(window, due, to, event, &payload),
            }
        }
        Ok(())
    }
}

fn save_partition<P: Protocol>(partition: &Partition<P>, to: &mut Encoder<'_>) -> io::Result<()> {
    let Partition { state, sequences, wheel, meters, living, access, .. } = partition;
    to.put(state)?;
    to.put(sequences)?;
    to.put(meters)?;
    wheel.save(to, |to, timer| to.put(timer))?;
    living.as_ref().map_or(Ok(()), |living| living.save(to))?;
    access.as_ref().map_or(Ok(()), |access| access.save(to))
}

/// Reads what was written of `partition`, which has just been built, when `window` was the current one.
fn load_partition<P: Protocol, N>(
    shared: &Shared<'_, P, N>,
    partition: &mut Partition<P>,
    alarms: &mut Pool<Alarm<P::Timer>>,
    window: u64,
    from: &mut Decoder<'_>,
) -> Result<(), CheckpointError> {
    let (nodes, meters, windows) = (&partition.nodes, partition.meters.len(), shared.windows);
    partition.state = from.get()?;
    (partition.sequences, partition.meters) = (from.get()?, from.get()?);
    if partition.sequences.len() != nodes.len() || partition.meters.len() != meters {
        return Err(CheckpointError::damaged("it has the columns of another number of nodes"));
    }
    partition.wheel = TimerWheel::load(from, (window, windows), nodes.len(), alarms, |from| from.get())?;
    if let Some(living) = &mut partition.living {
        **living = Living::load(from, nodes, window, windows)?;
    }
    if let Some(access) = &mut partition.access {
        **access = Access::load(from, nodes.len(), window, windows)?;
    }
    Ok(())
}
