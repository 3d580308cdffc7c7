//! Kill -9: a process that registers users is killed in the middle of it, and what it had acknowledged is looked for.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use super::super::of_database;
use super::super::place::{Opened, Place, with_registry};
use super::{BenchArgs, Figure, Sheet, child_command, folder};
use crate::cli::Failure;
use crate::registry::memory::MemoryStore;
use crate::registry::population::Population;
use crate::registry::record::User;
use crate::registry::{Durability, Operations, Settings, UserDatabase, UserRegistryConsensus};

/// Acknowledged registrations after which a process is killed: so many, and a few more each time.
const ACKNOWLEDGED: u64 = 40;
const MORE: u64 = 7;
/// Kills of a brief measurement, and of another.
const KILLS: [u64; 2] = [30, 5];
/// Numbers of users that a process may register.
const SHARE: u64 = 100_000;
const DISK: &str = "crash";
const MEMORY: &str = "crash-memory";
#[cfg(feature = "postgres")]
const SERVER: &str = "crash-server";

pub(super) fn is_variant(variant: &str) -> bool {
    variant.starts_with(DISK)
}

/// Registers users one after the other, durably, and writes the number of each that was acknowledged to standard output;
/// ends when it is killed, or nobody reads any more.
pub(super) fn register_until_killed(args: &BenchArgs, variant: &str) -> Result<(), Failure> {
    let from = args.users[0];
    let population = Population::new(args.seed, from + SHARE, 0);
    let mut out = std::io::stdout().lock();
    let mut say = |number: u64| writeln!(out, "{number}").and_then(|()| out.flush()).is_ok();
    let mut register = |registry: &dyn Fn(&User) -> Result<(), Failure>| -> Result<(), Failure> {
        for number in from..from + SHARE {
            registry(&population.user(number))?;
            if !say(number) {
                break;
            }
        }
        Ok(())
    };
    if variant == MEMORY {
        let settings = Settings::default();
        let failed = |error: &dyn std::error::Error| Failure::of(Failure::INTERNAL, error);
        let database = UserDatabase::open(MemoryStore::new(), &settings).map_err(|error| failed(&error))?;
        let registry = UserRegistryConsensus::new(database).with_durability(Durability::Durable);
        return register(&|user| registry.register_user(user).map_err(|error| failed(&error)));
    }
    with_registry!(open_kept(args)?, registry => {
        register(&|user| registry.register_user(user).map_err(|error| of_database(&error)))
    })
}

/// The registry to which processes write that are killed: in a folder, or on the server.
fn open_kept(args: &BenchArgs) -> Result<Opened, Failure> {
    match Place::of(&args.db) {
        #[cfg(feature = "postgres")]
        Place::Server(_) => Ok(Opened::Server(super::server::open(args, DISK)?)),
        _ => Place::Folder(&folder(&args.db, 0, DISK)).open(args.engine.engine, true),
    }
}

/// Kills processes on disk and in memory, and counts what is lost of what they had acknowledged.
pub(super) fn measure(args: &BenchArgs) -> Result<Vec<Figure>, Failure> {
    #[cfg(feature = "postgres")]
    if args.is_on_server() {
        super::server::remove(args, DISK)?;
        let measured = killed(args, SERVER);
        return measured.and_then(|figures| super::server::remove(args, DISK).map(|()| figures));
    }
    let path = folder(&args.db, 0, DISK);
    // What an earlier measurement may have left.
    let _ = std::fs::remove_dir_all(&path);
    let measured = [DISK, MEMORY].into_iter().map(|variant| killed(args, variant)).collect::<Result<Vec<_>, _>>();
    let _ = std::fs::remove_dir_all(&path);
    measured.map(|sheets| sheets.into_iter().flatten().collect())
}

fn killed(args: &BenchArgs, variant: &str) -> Result<Vec<Figure>, Failure> {
    let kills = KILLS[usize::from(args.brief)];
    let mut acknowledged = Vec::new();
    for kill in 0..kills {
        acknowledged.extend(acknowledged_until_killed(args, variant, kill)?);
    }
    let population = Population::new(args.seed, (kills + 1) * SHARE, 0);
    let keys = acknowledged.iter().map(|&number| population.key(number));
    let mut lost = 0u64;
    if variant != MEMORY {
        with_registry!(open_kept(args)?, registry => {
            for key in keys {
                lost += u64::from(Operations::get_user(&registry, &key).map_err(|error| of_database(&error))?.is_none());
            }
        });
    } else {
        // All that a new process has of what was in the memory of another.
        let database = UserDatabase::open(MemoryStore::new(), &Settings::default())
            .map_err(|error| Failure::of(Failure::INTERNAL, &error))?;
        for key in keys {
            let found = database.get_user(&key).map_err(|error| Failure::of(Failure::INTERNAL, &error))?;
            lost += u64::from(found.is_none());
        }
    }
    let mut sheet = Sheet { users: acknowledged.len() as u64, variant: variant.to_owned(), figures: Vec::new() };
    sheet.add("UR-25", "restarts", "lost", lost as f64, "records");
    sheet.add("UR-25", "restarts", "acknowledged", acknowledged.len() as f64, "records");
    sheet.add("UR-25", "restarts", "kills", kills as f64, "");
    Ok(sheet.figures)
}

/// Numbers of the users whose registration a process acknowledged until it was killed.
fn acknowledged_until_killed(args: &BenchArgs, variant: &str, kill: u64) -> Result<Vec<u64>, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::of(Failure::INPUT_OUTPUT, error);
    let from = (kill + 1) * SHARE;
    let mut command = child_command(args, from, variant)?;
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
    let enough = ACKNOWLEDGED + kill * MORE;
    let mut acknowledged = Vec::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let next = from + acknowledged.len() as u64;
            // The last line may have been cut off.
            if line.map_err(|error| failed(&error))? != next.to_string() {
                break;
            }
            acknowledged.push(next);
            if acknowledged.len() as u64 == enough {
                // On Unix this is SIGKILL. What was written before is read on until the end.
                child.kill().map_err(|error| failed(&error))?;
            }
        }
    }
    let status = child.wait().map_err(|error| failed(&error))?;
    if (acknowledged.len() as u64) < enough {
        let message = format!("error: the process that was to be killed ended by itself: {status}");
        return Err(Failure { code: Failure::INTERNAL, message });
    }
    Ok(acknowledged)
}
