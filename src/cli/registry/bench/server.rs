//! One size on a server, measured: import, disk, lookups and writes over the protocol.

use super::super::of_database;
use super::super::place::{Place, server_options};
use super::point::{SPAN, SPAN_BRIEF, keys, look_up, mixed, timed_import};
use super::{BenchArgs, ENDORSEMENTS, Figure, SERVER, Sheet, writes};
use crate::cli::Failure;
use crate::metrics::resident_memory;
use crate::registry::import::ImportOptions;
use crate::registry::population::Population;
use crate::registry::server::{ServerOptions, ServerRegistry, import_to};
use crate::registry::store::Family;

/// Users whom nine of ten lookups ask for.
const HOT: u64 = 50_000;
/// Lookups of a kind that are timed one by one.
const LOOKUPS: u64 = 20_000;

/// The registry of `name`, in a schema of its own on the server of `args`.
pub(super) fn options(args: &BenchArgs, name: &str) -> Result<ServerOptions, Failure> {
    let Place::Server(url) = Place::of(&args.db) else {
        return Err(Failure { code: Failure::INTERNAL, message: "error: there is no server to measure".to_owned() });
    };
    let schema = Some(format!("qnetsim_bench_{}", name.replace('-', "_")));
    Ok(ServerOptions { schema, create: true, ..server_options(url, args.engine.engine)? })
}

/// Opens the registry of `name`, or founds it.
pub(super) fn open(args: &BenchArgs, name: &str) -> Result<ServerRegistry, Failure> {
    ServerRegistry::open(&options(args, name)?).map_err(|error| of_database(&error))
}

/// Removes the registry of `name` with its schema.
pub(super) fn remove(args: &BenchArgs, name: &str) -> Result<(), Failure> {
    ServerRegistry::remove(&options(args, name)?).map_err(|error| of_database(&error))
}

/// Measures the one size of `args`.
pub(super) fn measure(args: &BenchArgs, population: &Population, sheet: &mut Sheet) -> Result<(), Failure> {
    let name = sheet.users.to_string();
    // What an earlier measurement may have left.
    remove(args, &name)?;
    let measured = all(args, population, &name, sheet);
    let removed = remove(args, &name);
    measured.and(removed)
}

fn all(args: &BenchArgs, population: &Population, name: &str, sheet: &mut Sheet) -> Result<(), Failure> {
    let to = options(args, name)?;
    timed_import(population, sheet, |on_progress| import_to(&to, population, &ImportOptions::default(), on_progress))?;
    let registry = open(args, name)?;
    disk(&registry, sheet)?;
    lookups(args, &registry, population, sheet)?;
    writes::measure(registry, None, population, sheet, args.brief)
}

/// Bytes of tables and indexes.
fn disk(registry: &ServerRegistry, sheet: &mut Sheet) -> Result<(), Failure> {
    let mut all = 0;
    for family in Family::ALL {
        let bytes = registry.table_bytes(family).map_err(|error| of_database(&error))?;
        all += bytes;
        if family != Family::Meta {
            sheet.add("", "disk", family.name(), bytes as f64, "bytes");
        }
    }
    sheet.add("", "disk", "all", all as f64, "bytes");
    Ok(())
}

/// Lookups, each of which asks the server: this process remembers nothing.
fn lookups(
    args: &BenchArgs,
    registry: &ServerRegistry,
    population: &Population,
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let users = population.users();
    let hot = HOT.min(users);
    for (figure, range, there, entity) in
        [("miss", (0, users), true, 1), ("absent", (users, users * 2), false, 2), ("hit", (0, hot), true, 4)]
    {
        let asked = keys(population, LOOKUPS.min(users), range, entity);
        look_up(registry, &asked, there)?;
        sheet.add_times("", figure, &look_up(registry, &asked, there)?);
    }
    // The column of the table; there is nothing of the registry in it.
    sheet.add("", "memory", "with endorsements cached", resident_memory() as f64, "bytes");
    let span = if args.brief { SPAN_BRIEF } else { SPAN };
    for threads in [1, 2, 8] {
        let rate = mixed(registry, population, hot, threads, span)?;
        sheet.add("", "lookups at 90 % hits", &format!("{threads} threads"), rate, "1/s");
        if threads == 1 {
            sheet.add("", "lookup at 90 % hits", "mean", 1e9 / rate, "ns");
        }
    }
    Ok(())
}

/// Measures one size in the process of its own that [`super::child`] starts.
pub(super) fn point(args: &BenchArgs) -> Result<Vec<Figure>, Failure> {
    let users = args.users[0];
    let population = Population::new(args.seed, users, ENDORSEMENTS);
    let mut sheet = Sheet { users, variant: SERVER.to_owned(), figures: Vec::new() };
    measure(args, &population, &mut sheet)?;
    Ok(sheet.figures)
}
