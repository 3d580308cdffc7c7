//! Writes, measured: single and in batches, sure of the disk or not, and service times for scenarios.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use hdrhistogram::Histogram;

use super::super::of_database;
use super::super::place::Keeper;
use super::Sheet;
use super::point::{clock, histogram, time};
use crate::cli::Failure;
use crate::registry::population::Population;
use crate::registry::record::{Endorsement, User};
use crate::registry::{Durability, Operations};

/// Writes that are timed one by one without waiting for the disk.
const BUFFERED: u64 = 20_000;
/// Writes that are timed one by one until the disk has them.
const DURABLE: u64 = 300;
/// Users of a batch, and batches.
const BATCH: (u64, u64) = (1_000, 20);
/// Threads that write at once, and what each writes.
const WRITERS: (u64, u64) = (8, 1_000);
/// A brief measurement makes so many times fewer durable writes.
const BRIEF: u64 = 5;

/// Bytes that a durable registration adds to the journal, nearly.
const JOURNALLED: usize = 512;

/// How long the disk under `path` takes for a write to the end of a file: what no durable write can be faster than.
fn waits(path: &Path) -> Result<Histogram<u64>, Failure> {
    let path = path.join("wait");
    let failed = |error: io::Error| Failure::of(Failure::INPUT_OUTPUT, &error);
    let mut file = File::create(&path).map_err(failed)?;
    let mut times = histogram();
    for _ in 0..DURABLE {
        let waited = time(&mut times, || file.write_all(&[0; JOURNALLED]).and_then(|()| file.sync_all()));
        waited.map_err(failed)?;
    }
    fs::remove_file(&path).map_err(failed)?;
    Ok(times)
}

/// Measures writes of users who come after those of `population`. `disk` is the folder in which the registry is, if it is
/// in one.
pub(super) fn measure<R: Operations<Error: Keeper>>(
    registry: R,
    disk: Option<&Path>,
    population: &Population,
    sheet: &mut Sheet,
    is_brief: bool,
) -> Result<(), Failure> {
    let registry = registry.with_durability(Durability::Buffered);
    // To a server each is several round trips.
    let buffered = if disk.is_some() { BUFFERED } else { BUFFERED / 10 };
    let fewer = if is_brief { BRIEF } else { 1 };
    let mut next = population.users();
    let mut newcomers = |count: u64| -> Vec<User> {
        next += count;
        (next - count..next).map(|number| population.user(number)).collect()
    };
    let start = clock();
    for _ in 0..BATCH.1 {
        registry.store_batch(&newcomers(BATCH.0)).map_err(|error| of_database(&error.cause))?;
    }
    let each = start.elapsed().as_nanos() as f64 / (BATCH.0 * BATCH.1) as f64;
    sheet.add("UR-18", "batched write", "mean", each, "ns");
    let mut times = histogram();
    for user in newcomers(buffered) {
        time(&mut times, || registry.register_user(&user)).map_err(|error| of_database(&error))?;
    }
    sheet.add_times("UR-17", "register, buffered", &times);
    let mut times = histogram();
    for number in 0..buffered.min(population.users()) {
        let endorsement = Endorsement {
            endorsed: population.key(number),
            endorser: population.key(population.users() + number),
            signature: [7; 64],
            signed_at: 1_800_000_000,
        };
        time(&mut times, || registry.submit_endorsement(&endorsement)).map_err(|error| of_database(&error))?;
    }
    sheet.add_times("", "endorse, buffered", &times);
    if let Some(path) = disk {
        sheet.add_times("", "wait for the disk", &waits(path)?);
    }
    let registry = registry.with_durability(Durability::Durable);
    let mut times = histogram();
    for user in newcomers(DURABLE / fewer) {
        time(&mut times, || registry.register_user(&user)).map_err(|error| of_database(&error))?;
    }
    sheet.add_times("UR-17", "register, durable", &times);
    let shares: Vec<Vec<User>> = (0..WRITERS.0).map(|_| newcomers(WRITERS.1 / fewer)).collect();
    let start = clock();
    let write = |users: Vec<User>| users.iter().try_for_each(|user| registry.register_user(user));
    let failed =
        || Failure { code: Failure::INTERNAL, message: "error: a thread of the measurement failed".to_owned() };
    std::thread::scope(|scope| {
        let running: Vec<_> = shares.into_iter().map(|users| scope.spawn(|| write(users))).collect();
        running.into_iter().try_for_each(|writer| match writer.join() {
            Ok(written) => written.map_err(|error| of_database(&error)),
            Err(_) => Err(failed()),
        })
    })?;
    let rate = (WRITERS.0 * (WRITERS.1 / fewer)) as f64 / start.elapsed().as_secs_f64();
    sheet.add("UR-19", "registrations, durable", &format!("{} writers", WRITERS.0), rate, "1/s");
    Ok(())
}
