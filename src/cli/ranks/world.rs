//! The ways between ranks, over MPI.

use std::io::Write;

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Equivalence, Source};

use super::super::{Failure, with_code};
use crate::contract::Share;
use crate::engine::Ranks;

/// Bytes that are sent in one piece at most: MPI counts them in 31 bits.
const PIECE_BYTES: usize = 1 << 30;

/// This process among the ranks. Dropped, it waits for the others to be done as well.
pub(super) struct World {
    share: Share,
    /// Ranks on this machine, this one included.
    beside: u64,
    _universe: Universe,
}

impl World {
    /// Meets the other ranks.
    ///
    /// # Errors
    /// If this build and its launcher do not understand each other.
    pub(super) fn join() -> Result<Self, Failure> {
        let refuse = |message: String| Failure { code: Failure::INPUT_OUTPUT, message };
        let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Serialized) else {
            return Err(refuse("error: MPI has been started in this process already".to_owned()));
        };
        let world = universe.world();
        let share = Share::new(world.rank() as usize, world.size() as usize);
        let launched = super::launched();
        if share.ranks() != launched.ranks() {
            return Err(refuse(format!(
                "error: the launcher has started {} processes, of which this one finds {}: it belongs to another MPI than the \
                 one that qnetsim is built with",
                launched.ranks(),
                share.ranks()
            )));
        }
        if threading < Threading::Serialized {
            return Err(refuse("error: this MPI cannot be called from threads: use one that can".to_owned()));
        }
        let beside = world.split_shared(world.rank()).size() as u64;
        Ok(World { share, beside, _universe: universe })
    }

    /// How many ranks are on this machine.
    pub(super) fn beside(&self) -> u64 {
        self.beside
    }

    /// Says why this rank cannot go on, and ends all of them.
    pub(super) fn abandon(&self, failure: &Failure) -> ! {
        // Nothing is left to be done if standard error is gone.
        let _ = writeln!(std::io::stderr(), "{}\nrank {} ends all ranks", with_code(failure), self.share.rank());
        comm().abort(i32::from(failure.code))
    }

    fn reduce(&self, values: &mut [u64], operation: SystemOperation) {
        let own = values.to_vec();
        comm().all_reduce_into(&own[..], values, operation);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The others would wait for ever.
            comm().abort(i32::from(Failure::INTERNAL));
        }
    }
}

fn comm() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// An error of MPI itself ends all ranks, with what it says.
impl Ranks for World {
    fn share(&self) -> Share {
        self.share
    }

    fn max(&self, values: &mut [u64]) {
        self.reduce(values, SystemOperation::max());
    }

    fn sum(&self, values: &mut [u64]) {
        self.reduce(values, SystemOperation::sum());
    }

    fn swap(&self, outgoing: &[Vec<u8>], incoming: &mut [Vec<u8>]) {
        let (world, own) = (comm(), self.share.rank());
        mpi::request::scope(|scope| {
            let mut sends = Vec::new();
            for (rank, bytes) in outgoing.iter().enumerate().filter(|(rank, _)| *rank != own) {
                let to = world.process_at_rank(rank as i32);
                sends.extend(pieces(bytes).map(|piece| to.immediate_send(scope, piece)));
            }
            for (rank, bytes) in incoming.iter_mut().enumerate().filter(|(rank, _)| *rank != own) {
                bytes.clear();
                loop {
                    // Tells the length, for which ranks need not meet once more.
                    let (message, status) = world.process_at_rank(rank as i32).matched_probe();
                    let (start, count) = (bytes.len(), status.count(u8::equivalent_datatype()) as usize);
                    bytes.resize(start + count, 0);
                    message.matched_receive_into(&mut bytes[start..]);
                    if count < PIECE_BYTES {
                        break;
                    }
                }
            }
            sends.into_iter().for_each(|request| request.wait_without_status());
        });
    }
}

/// The pieces in which `bytes` are sent: the last, and only the last, is shorter than the others, and may be empty.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..=bytes.len() / PIECE_BYTES).map(|piece| {
        let start = piece * PIECE_BYTES;
        &bytes[start..bytes.len().min(start + PIECE_BYTES)]
    })
}
