//! A run between two windows as a checkpoint has it: written by each thread of each rank, and read by each rank into a run that
//! has just been built.

use std::io::{self, Write};

use super::super::access::Access;
use super::super::checkpoint::{Checkpoint, CheckpointError, Decoder, Encoder, Opened, Sections, Shape, Standing};
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

/// Longest payload of a message.
const DATAGRAM_MAX: usize = 65_507;

impl<P: Protocol, N: Network, O: Probe> Simulation<'_, P, N, O> {
    /// Goes on from `checkpoint` instead of the start. The run must be that of the checkpoint, with as many partitions;
    /// threads and ranks may differ. Where there are ranks, all go on from the same checkpoint, and each reads of it what its
    /// share needs. Probes see what comes, not what was before.
    ///
    /// # Errors
    /// If the checkpoint is damaged or of another run.
    pub fn restore(mut self, checkpoint: &Checkpoint<'_>) -> Result<Self, CheckpointError> {
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
            dealt_to: settings.dealt_to as u64,
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

    /// Writes what the lane with this `number` has of the run as it stands after a window.
    pub(super) fn save(&self, number: usize, standing: Standing, out: &mut dyn Write) -> io::Result<()> {
        let partitions_log2 = self.shared.places.partitions_log2();
        let lane = &*lock(&self.lanes[number]);
        let mut to = Encoder::new(out);
        to.put(&self.shape())?;
        to.put(&standing)?;
        let held = self.settings.share.partitions(partitions_log2).skip(number).step_by(self.lanes.len());
        let mut sections = Sections::begin(&to, held);
        lane.core.tally.save(&mut to)?;
        to.put(&lane.core.digest.value())?;
        lane.core.judgements.iter().try_for_each(|judgement| to.put(judgement))?;
        sections.end(&to);
        for partition in &lane.partitions {
            save_partition(partition, &mut to)?;
            sections.end(&to);
        }
        for partition in 0..1 << partitions_log2 {
            lane.core.outbox.each(standing.window, partition, |window, to_node, event, payload| {
                let Event { offset, from, sequence, message, .. } = event;
                to.put(&(window, to_node, offset, from, sequence))?;
                to.put(&(message, payload))
            })?;
            sections.end(&to);
        }
        sections.finish(to)
    }

    /// Reads of all pieces of `checkpoint` what the share of this process needs.
    fn load(&mut self, checkpoint: &Checkpoint<'_>) -> Result<(), CheckpointError> {
        let (share, partitions_log2) = (self.settings.share, self.shared.places.partitions_log2());
        let mut found = vec![false; 1 << partitions_log2];
        let mut agreed: Option<Standing> = None;
        for number in 0..checkpoint.pieces {
            let mut piece = (checkpoint.open)(number).map_err(CheckpointError::Read)?;
            let mut piece = Opened::begin(&mut piece)?;
            self.shape().check(&piece.shape)?;
            let standing = piece.standing;
            self.check_standing(&standing, &agreed)?;
            let handled = agreed.map_or(0, |agreed| agreed.handled).max(standing.handled);
            agreed = Some(Standing { handled, ..standing });
            for lane in &self.lanes {
                lock(lane).core.outbox.stand_at(standing.opened, standing.index_max);
            }
            // What was counted need only be in the sums of all ranks.
            if number % share.ranks() == share.rank() {
                self.load_counts(&standing, piece.counts()?)?;
            }
            self.load_partitions(&standing, &mut piece, &mut found)?;
            for partition in share.partitions(partitions_log2) {
                self.load_messages(standing.window, partition, piece.messages(partition)?)?;
            }
        }
        let standing = agreed.filter(|_| found.iter().all(|&is_found| is_found));
        let Some(standing) = standing else {
            return Err(CheckpointError::damaged("it has not all partitions"));
        };
        for lane in &self.lanes {
            let lane = &mut *lock(lane);
            for _ in lane.core.tally.closed_slices()..standing.passed {
                lane.core.tally.close_slice();
            }
            lane.find_next(self.shared.windows, standing.window);
        }
        self.restored = Some(standing);
        Ok(())
    }

    /// Whether this run can stand at `standing`, and `agreed`, where another piece stands, is the same place.
    fn check_standing(&self, standing: &Standing, agreed: &Option<Standing>) -> Result<(), CheckpointError> {
        let windows = self.shared.windows;
        let is_at_home = standing.passed <= self.settings.boundaries.len()
            && windows.start(standing.window) < self.settings.end.as_nanos()
            && standing.opened == if windows.block_log2() == 0 { 0 } else { windows.block(standing.window) };
        if !is_at_home {
            return Err(CheckpointError::damaged("it stands where no run stands"));
        }
        match agreed.is_none_or(|agreed| agreed.is_at(standing)) {
            true => Ok(()),
            false => Err(CheckpointError::damaged("its pieces were written at different times")),
        }
    }

    /// Adds what a lane counted to what the first one did.
    fn load_counts(&self, standing: &Standing, mut from: Decoder<'_>) -> Result<(), CheckpointError> {
        let first = &mut lock(&self.lanes[0]).core;
        let mut tally = self.tally();
        tally.load(&mut from, standing.passed)?;
        first.tally.absorb(&tally);
        first.digest = Digest::at(first.digest.value().wrapping_add(from.get()?));
        while !from.is_at_end() {
            first.judgements.push(from.get()?);
        }
        Ok(())
    }

    /// Reads those partitions of `piece` that this process holds, and notes all that it has as `found`.
    fn load_partitions(
        &self,
        standing: &Standing,
        piece: &mut Opened<'_>,
        found: &mut [bool],
    ) -> Result<(), CheckpointError> {
        let (lanes, share) = (self.lanes.len(), self.settings.share);
        let held = piece.held().to_vec();
        for (place, &partition) in held.iter().enumerate() {
            if std::mem::replace(&mut found[partition as usize], true) {
                return Err(CheckpointError::damaged("it has a partition twice"));
            }
            if share.holds(partition) {
                let number = share.place(partition);
                let Lane { partitions, core, .. } = &mut *lock(&self.lanes[number % lanes]);
                let (own, alarms) = (&mut partitions[number / lanes], &mut core.alarms);
                let mut from = piece.partition(place)?;
                load_partition(&self.shared, own, alarms, standing.window, &mut from)?;
                check_end(&from)?;
            }
        }
        Ok(())
    }

    /// Reads the messages to `partition` that are under way after `window` into its lane.
    fn load_messages(&self, window: u64, partition: u32, mut from: Decoder<'_>) -> Result<(), CheckpointError> {
        let Shared { windows, population, places, .. } = &self.shared;
        let (place, partitions_log2) = (self.settings.share.place(partition), places.partitions_log2());
        let Lane { partitions, core, .. } = &mut *lock(&self.lanes[place % self.lanes.len()]);
        let nodes = partitions[place / self.lanes.len()].nodes.len();
        while !from.is_at_end() {
            let (due, to, offset, sender, sequence): (u64, u32, u32, NodeId, u32) = from.get()?;
            let (message, payload): (P::Message, Vec<u8>) = from.get()?;
            let is_sound = due > window
                && sender < population.total()
                && to & ((1 << partitions_log2) - 1) == partition
                && ((to >> partitions_log2) as usize) < nodes
                && u64::from(offset) < windows.length()
                && payload.len() <= DATAGRAM_MAX;
            if !is_sound {
                return Err(CheckpointError::damaged("a message is of the past, of nobody, or too long"));
            }
            let event = Event { offset, index: to >> partitions_log2, from: sender, sequence, message };
            match payload.is_empty() {
                true => core.outbox.push(window, due, to, event),
                false => core.outbox.push_parcel(window, due, to, event, &payload),
            }
        }
        Ok(())
    }
}

fn check_end(from: &Decoder<'_>) -> Result<(), CheckpointError> {
    match from.is_at_end() {
        true => Ok(()),
        false => Err(CheckpointError::damaged("a section has more than its partition")),
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
