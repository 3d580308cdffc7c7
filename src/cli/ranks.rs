//! `mpirun -n R qnetsim run` and `resume`: one simulation over several processes, the ranks.

mod company;
#[cfg(feature = "mpi")]
mod over;
#[cfg(feature = "mpi")]
mod world;

use std::env::var;

use super::{Command, Failure};
use crate::contract::Share;

pub(super) use company::Company;
#[cfg(feature = "mpi")]
pub(super) use over::{resume, run};

/// What launchers call the number of processes, and the number of this one: Open MPI, MPICH and its kin, and Slurm where it
/// speaks PMIx.
const LAUNCHERS: [(&str, &str); 3] =
    [("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK"), ("SLURM_STEP_NUM_TASKS", "PMIX_RANK")];

/// What a launcher of MPI says: which of how many processes this is.
fn launched() -> Share {
    let number = |name| var(name).ok()?.parse::<usize>().ok();
    let told = LAUNCHERS.iter().find_map(|&(size, rank)| Some((number(size)?, number(rank)?)));
    told.filter(|(size, rank)| rank < size).map_or(Share::WHOLE, |(size, rank)| Share::new(rank, size))
}

/// Whether this process is to do `command` together with others. The shards of a sweep run on their own, whoever launches
/// them.
pub(super) fn is_one_of_several(command: &Command) -> bool {
    let is_shared = match command {
        Command::Run(args) => args.shard.is_none(),
        Command::Resume(_) => true,
        _ => false,
    };
    is_shared && !launched().is_whole()
}

/// Whether another process tells what there is to tell of `command`.
pub(super) fn is_follower(command: &Command) -> bool {
    is_one_of_several(command) && launched().rank() > 0
}

/// What is told by another process, which may still be at it: so this one ends with 0, as who launched them ends all others
/// when one ends otherwise.
pub(super) fn told_elsewhere() -> Failure {
    Failure { code: 0, message: String::new() }
}

/// Refuses, because this build cannot do what it is asked for.
#[cfg(not(feature = "mpi"))]
pub(super) fn refuse() -> Result<(), Failure> {
    let share = launched();
    if share.rank() > 0 {
        return Err(told_elsewhere());
    }
    let message = format!(
        "error: this is one of {} processes that MPI has launched, and this build of qnetsim runs in one: each would run all of \
         it\n  build it with the feature: cargo build --release --features mpi\n  or run it without mpirun; a sweep is spread \
         with --shard I/N",
        share.ranks()
    );
    Err(Failure { code: Failure::BAD_SCENARIO, message })
}
