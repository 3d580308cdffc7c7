//! A run over ranks: every rank loads the scenario and simulates its part; rank 0 alone writes and prints.

use super::super::keeping::is_kept;
use super::super::run::{
    Session, check_disk, check_memory_by, command, largest_point_by, load_all, overrides, simulate_by,
};
use super::super::{Failure, RunArgs};
use super::told_elsewhere;
use super::world::World;
use crate::engine::Ranks;
use crate::metrics::PointResult;
use crate::report::check_writable;
use crate::scenario::build::run_over;
use crate::scenario::{Scenario, plan};

/// Runs all the scenarios of `args` together with the other ranks. Nothing is simulated before all ranks have found all of
/// them valid.
pub(in crate::cli) fn run(args: &RunArgs) -> Result<(), Failure> {
    let world = World::join()?;
    let scenarios = agreed(&world, prepared(args, &world))?;
    check_same(&world, &scenarios)?;
    let mut threads = [u64::from(args.threads.unwrap_or(1))];
    // Partitions follow from it, so it must be the same everywhere.
    world.max(&mut threads);
    for (scenario, file) in scenarios.iter().zip(&args.files) {
        let session = Session {
            scenario,
            command: &command(file, &overrides(args)),
            folder: args.out.join(&scenario.name),
            threads: threads[0] as usize,
            every: None,
            quiet: args.quiet,
            format: args.format,
        };
        if let Err(failure) = run_one(&session, &world) {
            // The others wait for this one, or will.
            world.abandon(&failure);
        }
    }
    Ok(())
}

/// Runs a scenario; rank 0 writes its results.
fn run_one(session: &Session<'_>, world: &World) -> Result<(), Failure> {
    let (scenario, is_first) = (session.scenario, world.share().rank() == 0);
    let points = simulate_by(scenario, session.quiet || !is_first, |point, watch| {
        run_over(scenario, point, session.threads, watch, world)
    })?;
    match is_first {
        true => session.finish(&points, |points| Ok(told(points))),
        false => Ok(()),
    }
}

/// What there is to tell of the ranks, for people.
fn told(points: &[PointResult]) -> String {
    let ranks = points.iter().filter_map(|point| point.engine.ranks);
    let Some((ranks, messages, bytes)) = ranks.fold(None, |sum: Option<(usize, u64, u64)>, ranks| {
        let (_, messages, bytes) = sum.unwrap_or_default();
        Some((ranks.ranks, messages + ranks.remote_messages, bytes + ranks.remote_bytes))
    }) else {
        return String::new();
    };
    let each = if messages > 0 { format!(", {:.1} bytes each", bytes as f64 / messages as f64) } else { String::new() };
    format!("{ranks} ranks sent each other {messages} messages{each}\n")
}

/// The scenarios, if this rank can run its part of them. Rank 0 makes sure that results can be written.
fn prepared(args: &RunArgs, world: &World) -> Result<Vec<Scenario>, Failure> {
    let bad = |message: String| Err(Failure { code: Failure::BAD_SCENARIO, message: format!("error: {message}") });
    if args.trace.is_wanted() {
        return bad("a run over ranks cannot be traced: leave out --trace, or run it without mpirun".to_owned());
    }
    if args.checkpoint_every.is_some() {
        return bad(
            "a run over ranks takes no checkpoints: leave out --checkpoint-every, or run it without mpirun".to_owned()
        );
    }
    if args.list {
        return bad("--list runs nothing: call it without mpirun".to_owned());
    }
    let overrides = overrides(args);
    let scenarios = load_all(&args.files, &overrides)?;
    let (threads, ranks, beside) = (usize::from(args.threads.unwrap_or(1)), world.share().ranks(), world.beside());
    for (file, scenario) in args.files.iter().zip(&scenarios) {
        if scenario.is_swept {
            return bad(format!(
                "{} has a sweep, whose runs need nothing of each other: spread them with --shard I/N",
                file.display()
            ));
        }
        // All ranks of a machine share its memory.
        check_memory_by(file, &overrides, scenario, &|scenario| {
            largest_point_by(scenario, |point| {
                plan::memory_of_rank(scenario, point, threads, ranks).saturating_mul(beside)
            })
        })?;
    }
    if world.share().rank() == 0 {
        check_disk(&scenarios, &args.out)?;
        for scenario in &scenarios {
            let folder = args.out.join(&scenario.name);
            check_writable(&folder).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
            if is_kept(&folder) {
                let folder = folder.display();
                return bad(format!(
                    "{folder} has the checkpoint of a run that was interrupted\n  qnetsim resume {folder}   goes on with it, \
                     without mpirun; or choose another folder with --out"
                ));
            }
        }
    }
    Ok(scenarios)
}

/// What this rank has prepared, if all ranks have. Else the first of those that failed says why.
fn agreed<T>(world: &World, prepared: Result<T, Failure>) -> Result<T, Failure> {
    let share = world.share();
    // The first rank that failed has the largest number.
    let own = prepared.as_ref().err().map_or(0, |_| (share.ranks() - share.rank()) as u64);
    let mut first = [own];
    world.max(&mut first);
    match prepared {
        Ok(prepared) if first[0] == 0 => Ok(prepared),
        Err(failure) if first[0] == own => Err(failure),
        _ => Err(told_elsewhere()),
    }
}

/// Refuses scenarios that are not the same on all ranks.
fn check_same(world: &World, scenarios: &[Scenario]) -> Result<(), Failure> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    scenarios.iter().for_each(|scenario| {
        hasher.update(scenario.hash.as_bytes());
    });
    let hash = u64::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"));
    // The largest hash, and what is left to the smallest.
    let mut ends = [hash, !hash];
    world.max(&mut ends);
    if ends[0] == !ends[1] {
        return Ok(());
    }
    if world.share().rank() > 0 {
        return Err(told_elsewhere());
    }
    let message =
        "error: the ranks have read different scenarios, or are different versions: give all machines the same files"
            .to_owned();
    Err(Failure { code: Failure::BAD_SCENARIO, message })
}
