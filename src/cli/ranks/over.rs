//! A run over ranks: every rank loads the scenario and simulates its part; rank 0 alone writes and prints.

use super::super::resume::{ResumeArgs, find, go_on};
use super::super::run::{Session, begun, check_disk, check_memory_by, command, largest_point_by, load_all, overrides};
use super::super::watch::metrics;
use super::super::{Failure, RunArgs};
use super::Company;
use super::world::World;
use crate::engine::Ranks;
use crate::report::check_writable;
use crate::scenario::{Scenario, plan};

/// Runs all the scenarios of `args` together with the other ranks. Nothing is simulated before all ranks have found all of
/// them valid.
pub(in crate::cli) fn run(args: &RunArgs) -> Result<(), Failure> {
    let world = World::join()?;
    let abandon: &(dyn Fn(&Failure) + Sync) = &|failure| world.abandon(failure);
    let company = Company::of(&world, abandon);
    let scenarios = company.agree(prepared(args, &world))?;
    check_same(&company, scenarios.iter())?;
    let threads = most(&world, args.threads);
    scenarios.iter().for_each(metrics::expect);
    for (scenario, file) in scenarios.iter().zip(&args.files) {
        let session = Session {
            scenario,
            command: &command(file, &overrides(args)),
            folder: args.out.join(&scenario.name),
            layout: threads.into(),
            every: args.checkpoint_every.map(|every| every.0),
            quiet: args.quiet || !company.is_first(),
            format: args.format,
        };
        session.run(&mut begun(args, &session, file), &company)?;
    }
    Ok(())
}

/// Goes on with the run that `args` name together with the other ranks. It may have been of any number of ranks.
pub(in crate::cli) fn resume(args: &ResumeArgs) -> Result<(), Failure> {
    let world = World::join()?;
    let abandon: &(dyn Fn(&Failure) + Sync) = &|failure| world.abandon(failure);
    let company = Company::of(&world, abandon);
    let kept = company.agree(find(args))?;
    check_same(&company, std::iter::once(&kept.scenario))?;
    let threads = most(&world, args.threads.or(kept.threads));
    go_on(args, kept, threads, &company)
}

/// The threads of each rank, of which this one was told to have `own`.
fn most(world: &World, own: Option<u16>) -> usize {
    // Partitions follow from it, so it must be the same everywhere.
    let mut threads = [u64::from(own.unwrap_or(1))];
    world.max(&mut threads);
    threads[0] as usize
}

/// The scenarios, if this rank can run its part of them. Rank 0 makes sure that results can be written.
fn prepared(args: &RunArgs, world: &World) -> Result<Vec<Scenario>, Failure> {
    let bad = |message: String| Err(Failure { code: Failure::BAD_SCENARIO, message: format!("error: {message}") });
    if args.trace.is_wanted() {
        return bad("a run over ranks cannot be traced: leave out --trace, or run it without mpirun".to_owned());
    }
    if args.partitions_log2.is_some() {
        return bad("the partitions of a run over ranks follow from their threads: leave out --partitions".to_owned());
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
        }
    }
    Ok(scenarios)
}

/// Refuses scenarios that are not the same on all ranks.
fn check_same<'s>(company: &Company<'_>, scenarios: impl Iterator<Item = &'s Scenario>) -> Result<(), Failure> {
    let Some(ranks) = company.ranks() else { return Ok(()) };
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    scenarios.for_each(|scenario| {
        hasher.update(scenario.hash.as_bytes());
    });
    let hash = u64::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"));
    // The largest hash, and what is left to the smallest.
    let mut ends = [hash, !hash];
    ranks.max(&mut ends);
    let is_same = ends[0] == !ends[1];
    let message =
        "error: the ranks have read different scenarios, or are different versions: give all machines the same files"
            .to_owned();
    company.agree(if is_same { Ok(()) } else { Err(Failure { code: Failure::BAD_SCENARIO, message }) })
}
