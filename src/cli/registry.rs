//! `qnetsim registry`: a registry of users on disk or on a server, from the command line.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::{EXIT_CODES, Failure, print, write_out};
use crate::registry::disk::{DiskError, DiskOptions, DiskStore, Engine, open_registry};
use crate::registry::import::ImportError;
use crate::registry::import::source::SourceError;
use crate::registry::record::{Country, Digest, UserKey};
use crate::registry::rules::Refusal;
use crate::registry::{CacheSizes, DatabaseError, UserDatabase};
use crate::scenario;

pub(super) mod bench;
mod commands;
mod import;
mod place;

use place::{Keeper, Opened, Place};

/// The commands of `qnetsim registry`.
#[derive(Debug, Subcommand)]
pub(super) enum RegistryCommand {
    /// Make a registry of CSV files, of JSON lines, of another registry, or of generated users.
    ///
    /// An import makes a new registry: whole, or nothing. All lines are checked first; every bad one is told with its file,
    /// line and reason, and so are keys and government ids that are there twice and endorsements by nobody. It works in
    /// PATH.import; killed, it goes on from there when the same command is given again. To a server, it is one transaction.
    ///
    /// Files are named *.csv, with a header, or *.jsonl, with an object a line. Users have key, government_id,
    /// identity_proof, birth_currency, country, name, registered_at; endorsements have endorsed, endorser, signature,
    /// signed_at. `registry list` writes the same; how a user stands with endorsements is counted anew.
    #[command(after_help = format!("{IMPORT_EXAMPLES}\n\n{EXIT_CODES}"))]
    Import(import::ImportArgs),
    /// Show the user who has a key or a government id.
    #[command(after_help = format!("{GET_EXAMPLES}\n\n{EXIT_CODES}"))]
    Get(GetArgs),
    /// Register a user, durably. Key and government id are nobody's yet.
    #[command(after_help = format!("{REGISTER_EXAMPLES}\n\n{EXIT_CODES}"))]
    Register(RegisterArgs),
    /// Endorse a user, durably. Five endorsements by others verify a user.
    #[command(after_help = EXIT_CODES)]
    Endorse(EndorseArgs),
    /// List users, or endorsements, in a form that `registry import` reads.
    #[command(after_help = format!("{LIST_EXAMPLES}\n\n{EXIT_CODES}"))]
    List(ListArgs),
    /// Show how many users there are, and what they take on disk.
    #[command(after_help = EXIT_CODES)]
    Stats(StatsArgs),
    /// Check every index against every record, and repair on request what follows from records.
    #[command(after_help = EXIT_CODES)]
    Verify(VerifyArgs),
    /// Merge all tables, which gives back the room of what was replaced and deleted.
    #[command(after_help = EXIT_CODES)]
    Compact(DatabaseArgs),
    /// Measure a registry of generated users, and project larger ones, beside what the document claims.
    ///
    /// Registries are made in DIR and removed again. At each size: disk by family, memory, lookups with cache hits and
    /// misses, of absent users, on one and two threads, single and batched writes; and what is lost of acknowledged
    /// registrations when the process is killed. A model of the sizes projects to 100M, 1B and 8B users; memory only if four
    /// sizes fill the caches, so from --users 1M on. Every figure says whether it is `measured` or `projected`. Tables go
    /// to standard output; DIR gets registry-bench.csv, registry-bench.json, tables.txt and service-times.csv: what a
    /// lookup and a change take, as a scenario of the approach `registry` names it with `service_times`.
    ///
    /// On a server (--db postgres://...) registries are made in schemas of their own, which are removed again, and the
    /// results go to the folder that --out names.
    #[command(after_help = format!("{BENCH_EXAMPLES}\n\n{EXIT_CODES}"))]
    Bench(bench::BenchArgs),
}

const IMPORT_EXAMPLES: &str = "Examples:
  qnetsim registry import --db users --generate 1M
  qnetsim registry import --db users users.csv endorsements.csv more.jsonl
  qnetsim registry import --db copy --from users --layout documented";

const GET_EXAMPLES: &str = "Examples:
  PGPASSWORD=... qnetsim registry get --db postgres://ann@db.example/people 02e1...66 digits
  qnetsim registry get --db users 02e1...66 digits
  qnetsim registry get --db users --government-id 1518...64 digits --format json";

const REGISTER_EXAMPLES: &str = "Example (a new registry; keys have 66 hexadecimal digits, hashes 64):
  qnetsim registry register --db users --create --key KEY --government-id HASH --identity-proof HASH \\
      --currency EUR --country DE --name 'Ana Silva'";

const LIST_EXAMPLES: &str = "Examples:
  qnetsim registry list --db users --currency EUR --limit 10
  qnetsim registry list --db users --format csv > users.csv
  qnetsim registry list --db users --endorsements --format json > endorsements.jsonl";

const BENCH_EXAMPLES: &str = "Examples:
  qnetsim registry bench
  qnetsim registry bench --users 1M,10M --db /data/bench --drop-caches
  qnetsim registry bench --engine rocksdb --db /data/bench-rocksdb
  qnetsim registry bench --users 100K --db postgres://ann@db.example/people --out bench-server";

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RowFormat {
    /// For people.
    Human,
    /// Comma-separated values under a header.
    Csv,
    /// One JSON object a line.
    Json,
}

/// Which registry.
#[derive(Debug, Args)]
pub(super) struct DatabaseArgs {
    /// Folder of the registry, or the URL of a server in a build with the feature `postgres`:
    /// postgres://USER@HOST/DATABASE, with the password in PGPASSWORD.
    #[arg(long, value_name = "PATH")]
    db: PathBuf,
    #[command(flatten)]
    engine: EngineArgs,
}

impl DatabaseArgs {
    fn place(&self) -> Place<'_> {
        Place::of(&self.db)
    }

    /// Opens the registry, which exists unless `create`.
    fn open(&self, create: bool) -> Result<Opened, Failure> {
        self.place().open(self.engine.engine, create)
    }

    /// Opens the registry, which exists, if it is in a folder; else says that `what` is not for others, and what is there
    /// `instead`.
    fn open_folder(&self, what: &str, instead: &str) -> Result<UserDatabase<DiskStore>, Failure> {
        open(self.place().folder(what, instead)?, self.engine.engine, false)
    }
}

/// What keeps a registry.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct EngineArgs {
    /// The engine that keeps the registry: fjall, or rocksdb in a build with that feature.
    #[arg(long, value_name = "ENGINE", default_value_t = Engine::default(), value_parser = built)]
    engine: Engine,
}

/// The engine called `text`, if this program has it.
fn built(text: &str) -> Result<Engine, String> {
    let engine: Engine = text.parse()?;
    if Engine::BUILT.contains(&engine) { Ok(engine) } else { Err(DiskError::NotBuilt(engine).to_string()) }
}

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The user's key: 66 hexadecimal digits.
    #[arg(required_unless_present = "government_id", conflicts_with = "government_id")]
    key: Option<UserKey>,
    /// The hash of the user's government id instead: 64 hexadecimal digits.
    #[arg(long, value_name = "HASH")]
    government_id: Option<Digest>,
    /// Show the endorsements that the user has instead.
    #[arg(long)]
    endorsements: bool,
    /// How to write.
    #[arg(long, value_enum, default_value_t = RowFormat::Human)]
    format: RowFormat,
}

#[derive(Debug, Args)]
pub(super) struct RegisterArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Found a registry where there is none.
    #[arg(long)]
    create: bool,
    /// The user's key: 66 hexadecimal digits.
    #[arg(long)]
    key: UserKey,
    /// Hash of the government id: 64 hexadecimal digits.
    #[arg(long, value_name = "HASH")]
    government_id: Digest,
    /// Hash of the proof of identity: 64 hexadecimal digits.
    #[arg(long, value_name = "HASH")]
    identity_proof: Digest,
    /// Currency of the country of birth (ISO 4217).
    #[arg(long, value_name = "CODE", value_parser = crate::registry::text::currency)]
    currency: crate::registry::record::Currency,
    /// Country of residence (ISO 3166-1).
    #[arg(long, value_name = "CODE")]
    country: Country,
    /// A name to show, of at most 64 bytes.
    #[arg(long, default_value = "", value_parser = crate::registry::text::name)]
    name: String,
    /// When the user registers, in seconds since 1970-01-01 UTC; now if not given.
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct EndorseArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The key of who is endorsed.
    #[arg(long, value_name = "KEY")]
    user: UserKey,
    /// The key of who endorses.
    #[arg(long, value_name = "KEY")]
    by: UserKey,
    /// The signature: 128 hexadecimal digits. It is kept, not checked.
    #[arg(long, value_parser = crate::registry::text::signature)]
    signature: Signature,
    /// When it is signed, in seconds since 1970-01-01 UTC; now if not given.
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,
}

/// The bytes of a signature.
type Signature = [u8; 64];

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Only users born with this currency (ISO 4217).
    #[arg(long, value_name = "CODE", conflicts_with = "country", value_parser = crate::registry::text::currency)]
    currency: Option<crate::registry::record::Currency>,
    /// Only users who live in this country (ISO 3166-1).
    #[arg(long, value_name = "CODE")]
    country: Option<Country>,
    /// Only verified users.
    #[arg(long)]
    verified: bool,
    /// The endorsements of those users instead of the users.
    #[arg(long)]
    endorsements: bool,
    /// At most so many users.
    #[arg(long, value_name = "N", value_parser = scenario::count)]
    limit: Option<u64>,
    /// How to write.
    #[arg(long, value_enum, default_value_t = RowFormat::Human)]
    format: RowFormat,
}

#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// How to write.
    #[arg(long, value_enum, default_value_t = RowFormat::Human)]
    format: RowFormat,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Repair indexes, numbers of endorsements and counters.
    #[arg(long)]
    repair: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs a command.
pub(super) fn run(command: &RegistryCommand) -> Result<(), Failure> {
    match command {
        RegistryCommand::Import(args) => import::import(args),
        RegistryCommand::Get(args) => commands::get(args),
        RegistryCommand::Register(args) => commands::register(args),
        RegistryCommand::Endorse(args) => commands::endorse(args),
        RegistryCommand::List(args) => commands::list(args),
        RegistryCommand::Stats(args) => commands::stats(args),
        RegistryCommand::Verify(args) => commands::verify(args),
        RegistryCommand::Compact(args) => commands::compact(args),
        RegistryCommand::Bench(args) => bench::bench(args),
    }
}

/// Opens the registry at `path`, kept by `engine`, which exists unless `create`.
fn open(path: &Path, engine: Engine, create: bool) -> Result<UserDatabase<DiskStore>, Failure> {
    let options = DiskOptions { engine, create, ..DiskOptions::default() };
    open_registry(path, &options, CacheSizes::default()).map_err(|error| of_database(&error))
}

fn of_database<E: Keeper>(error: &DatabaseError<E>) -> Failure {
    let code = match error {
        DatabaseError::Refused(_) | DatabaseError::UnknownKey(_) | DatabaseError::LongName(_) => Failure::BAD_SCENARIO,
        DatabaseError::OtherLayout { .. } => Failure::BAD_SCENARIO,
        DatabaseError::Store(cause) if cause.is_of_request() => Failure::BAD_SCENARIO,
        _ => Failure::INPUT_OUTPUT,
    };
    Failure::of(code, error)
}

fn of_disk(error: &DiskError) -> Failure {
    Failure::of(Failure::INPUT_OUTPUT, error)
}

fn of_import(error: &ImportError) -> Failure {
    let code = match error {
        ImportError::Refused(_) | ImportError::Exists(_) | ImportError::Source(SourceError::Kind { .. }) => {
            Failure::BAD_SCENARIO
        }
        #[cfg(feature = "postgres")]
        ImportError::Server(error) if error.is_of_request() => Failure::BAD_SCENARIO,
        ImportError::Memory { .. } => Failure::WILL_NOT_FIT,
        ImportError::Thread => Failure::INTERNAL,
        _ => Failure::INPUT_OUTPUT,
    };
    let advice = if matches!(error, ImportError::Memory { .. }) { "; give it more with --memory" } else { "" };
    let Failure { code, message } = Failure::of(code, error);
    Failure { code, message: message + advice }
}

/// A refusal in words that name whom it concerns.
fn refused(refusal: &Refusal<UserKey>, key: &UserKey, other: Option<&UserKey>) -> Failure {
    let other = other.map(UserKey::to_string).unwrap_or_default();
    let message = match refusal {
        Refusal::KeyTaken => format!("error: the key {key} is registered already"),
        Refusal::GovernmentIdTaken { by } => format!("error: the government id is registered already, by the key {by}"),
        Refusal::UnknownUser => format!("error: nobody is registered with the key {key}, who is to be endorsed"),
        Refusal::UnknownEndorser => format!("error: nobody is registered with the key {other}, who endorses"),
        Refusal::SelfEndorsement => "error: nobody endorses themselves".to_owned(),
        Refusal::EndorsedAlready => format!("error: {other} has endorsed {key} already"),
    };
    Failure { code: Failure::BAD_SCENARIO, message }
}

/// Where rows go: standard output, in pieces; a reader that has gone away ends it.
struct Rows {
    buffer: Vec<u8>,
}

impl Rows {
    fn new() -> Self {
        Rows { buffer: Vec::new() }
    }

    /// Takes a row. False if nobody reads any more.
    fn push(&mut self, row: &[u8]) -> Result<bool, Failure> {
        self.buffer.extend_from_slice(row);
        if self.buffer.len() < 1 << 16 { Ok(true) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<bool, Failure> {
        let is_read = write_out(&self.buffer)?;
        self.buffer.clear();
        Ok(is_read)
    }
}
