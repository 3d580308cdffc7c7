//! The commands that read and change a registry: one user at a time, or all of it.

use std::collections::BTreeMap;

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::place::{Keeper, Opened, with_registry};
use super::{
    DatabaseArgs, EndorseArgs, GetArgs, ListArgs, RegisterArgs, RowFormat, Rows, StatsArgs, VerifyArgs, of_database,
    of_disk, print, refused,
};
use crate::cli::Failure;
use crate::registry::record::{Endorsement, User};
use crate::registry::store::Family;
use crate::registry::text::{ENDORSEMENT_COLUMNS, Line, USER_COLUMNS};
use crate::registry::{DatabaseError, Listing, Operations, Report};

/// Seconds since 1970-01-01 UTC, for what is registered now.
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "people register at a date, which is told to the library"
)]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A line as CSV or JSON, with its end.
fn row(line: &Line<'_>, format: RowFormat) -> Vec<u8> {
    const IN_MEMORY: &str = "a line is written to memory";
    match format {
        RowFormat::Json => {
            let mut row = serde_json::to_vec(line).expect(IN_MEMORY);
            row.push(b'\n');
            row
        }
        _ => {
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
            writer.serialize(line).expect(IN_MEMORY);
            writer.into_inner().expect(IN_MEMORY)
        }
    }
}

fn user_row(user: &User, format: RowFormat) -> Vec<u8> {
    if format != RowFormat::Human {
        return row(&Line::from(user), format);
    }
    let verified = if user.verified { "verified" } else { "not verified" };
    format!(
        "{}  {} {}  {} endorsements, {verified}  {}\n",
        user.key, user.birth_currency, user.country, user.endorsements, user.name
    )
    .into_bytes()
}

fn endorsement_row(endorsement: &Endorsement, format: RowFormat) -> Vec<u8> {
    if format != RowFormat::Human {
        return row(&Line::from(endorsement), format);
    }
    let Endorsement { endorsed, endorser, signed_at, .. } = endorsement;
    format!("{endorsed}  endorsed by {endorser}  at {signed_at}\n").into_bytes()
}

/// The header of what a command writes; nothing but in CSV.
fn header(endorsements: bool, format: RowFormat) -> String {
    let columns = if endorsements { ENDORSEMENT_COLUMNS.join(",") } else { USER_COLUMNS.join(",") };
    if format == RowFormat::Csv { columns + "\n" } else { String::new() }
}

/// All of a user, for people.
fn described(user: &User) -> String {
    format!(
        "key             {}\ngovernment id   {}\nidentity proof  {}\nname            {}\ncurrency        {}\n\
         country         {}\nregistered      {} (seconds since 1970)\nendorsements    {}\nverified        {}\n",
        user.key,
        user.government_id,
        user.identity_proof,
        user.name,
        user.birth_currency,
        user.country,
        user.registered_at,
        user.endorsements,
        if user.verified { "yes" } else { "no" }
    )
}

pub(super) fn get(args: &GetArgs) -> Result<(), Failure> {
    with_registry!(args.database.open(false)?, registry => get_of(&registry, args))
}

fn get_of<R: Operations<Error: Keeper>>(registry: &R, args: &GetArgs) -> Result<(), Failure> {
    let nobody = |what: String| Failure {
        code: Failure::BAD_SCENARIO,
        message: format!("error: nobody is registered with the {what}"),
    };
    let key = match (&args.key, &args.government_id) {
        (Some(key), _) => *key,
        (None, Some(id)) => registry
            .lookup_by_government_id(id)
            .map_err(|error| of_database(&error))?
            .ok_or_else(|| nobody(format!("government id {id}")))?,
        (None, None) => return Err(nobody("key that was not given".to_owned())),
    };
    let found = registry.get_user(&key).map_err(|error| of_database(&error))?;
    let user = &found.ok_or_else(|| nobody(format!("key {key}")))?;
    let mut text = header(args.endorsements, args.format).into_bytes();
    if args.endorsements {
        let endorsements = registry.endorsements_of(&key).map_err(|error| of_database(&error))?;
        endorsements.iter().for_each(|endorsement| text.extend(endorsement_row(endorsement, args.format)));
    } else if args.format == RowFormat::Human {
        text.extend_from_slice(described(user).as_bytes());
    } else {
        text.extend(user_row(user, args.format));
    }
    print(&String::from_utf8_lossy(&text))
}

pub(super) fn register(args: &RegisterArgs) -> Result<(), Failure> {
    with_registry!(args.database.open(args.create)?, registry => register_in(&registry, args))
}

fn register_in<R: Operations<Error: Keeper>>(registry: &R, args: &RegisterArgs) -> Result<(), Failure> {
    let user = User {
        key: args.key,
        government_id: args.government_id,
        identity_proof: args.identity_proof,
        birth_currency: args.currency,
        country: args.country,
        name: args.name.clone(),
        registered_at: args.at.unwrap_or_else(now),
        endorsements: 0,
        verified: false,
    };
    registry.register_user(&user).map_err(|error| match &error {
        DatabaseError::Refused(refusal) => refused(refusal, &user.key, None),
        error => of_database(error),
    })?;
    let users = registry.counters().map_err(|error| of_database(&error))?.users;
    print(&format!("Registered {}; {users} users.\n", user.key))
}

pub(super) fn endorse(args: &EndorseArgs) -> Result<(), Failure> {
    with_registry!(args.database.open(false)?, registry => endorse_in(&registry, args))
}

fn endorse_in<R: Operations<Error: Keeper>>(registry: &R, args: &EndorseArgs) -> Result<(), Failure> {
    let endorsement = Endorsement {
        endorsed: args.user,
        endorser: args.by,
        signature: args.signature,
        signed_at: args.at.unwrap_or_else(now),
    };
    let standing = registry.submit_endorsement(&endorsement).map_err(|error| match &error {
        DatabaseError::Refused(refusal) => refused(refusal, &args.user, Some(&args.by)),
        error => of_database(error),
    })?;
    let verified = if standing.verified { "verified" } else { "not yet verified" };
    print(&format!("{} has {} endorsements and is {verified}.\n", args.user, standing.endorsements))
}

pub(super) fn list(args: &ListArgs) -> Result<(), Failure> {
    with_registry!(args.database.open(false)?, registry => list_of(&registry, args))
}

fn list_of<R: Operations<Error: Keeper>>(registry: &R, args: &ListArgs) -> Result<(), Failure> {
    let users = registry.list(match (args.currency, args.country) {
        (Some(currency), _) => Listing::Currency(currency),
        (None, Some(country)) => Listing::Country(country),
        (None, None) => Listing::All,
    });
    let wanted = users.filter(|found| found.as_ref().map_or(true, |user| user.verified || !args.verified));
    let mut rows = Rows::new();
    rows.push(header(args.endorsements, args.format).as_bytes())?;
    for found in wanted.take(args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))) {
        let user = found.map_err(|error| of_database(&error))?;
        let row = if args.endorsements {
            let endorsements = registry.endorsements_of(&user.key).map_err(|error| of_database(&error))?;
            endorsements.iter().flat_map(|endorsement| endorsement_row(endorsement, args.format)).collect()
        } else {
            user_row(&user, args.format)
        };
        if !rows.push(&row)? {
            return Ok(());
        }
    }
    rows.flush().map(drop)
}

/// What a registry is and takes, by name.
fn figures(opened: &Opened) -> Result<Vec<(String, String)>, Failure> {
    let counters = with_registry!(opened, registry => registry.counters().map_err(|error| of_database(&error)))?;
    let layout = with_registry!(opened, registry => registry.layout_name());
    let number = |name: &str, value: u64| (name.to_owned(), value.to_string());
    let mut figures = vec![
        ("layout".to_owned(), layout.to_owned()),
        number("users", counters.users),
        number("verified", counters.verified),
        number("endorsements", counters.endorsements),
    ];
    let mut tables = Vec::new();
    for family in Family::ALL {
        let bytes = match opened {
            Opened::Disk(registry) => {
                registry.database().store().table_bytes(family).map_err(|error| of_disk(&error))?
            }
            #[cfg(feature = "postgres")]
            Opened::Server(registry) => registry.table_bytes(family).map_err(|error| of_database(&error))?,
        };
        tables.push(bytes);
        figures.push(number(&format!("bytes_{}", family.name()), bytes));
    }
    let on_disk = match opened {
        Opened::Disk(registry) => registry.database().store().disk_bytes().map_err(|error| of_disk(&error))?,
        #[cfg(feature = "postgres")]
        Opened::Server(_) => tables.iter().sum(),
    };
    figures.push(number("bytes_on_disk", on_disk));
    Ok(figures)
}

pub(super) fn stats(args: &StatsArgs) -> Result<(), Failure> {
    let figures = figures(&args.database.open(false)?)?;
    print(&match args.format {
        RowFormat::Human => figures.iter().map(|(name, value)| format!("{name:<16} {value:>16}\n")).collect(),
        RowFormat::Csv => {
            "figure,value\n".to_owned()
                + &figures.iter().map(|(name, value)| format!("{name},{value}\n")).collect::<String>()
        }
        RowFormat::Json => {
            let number = |text: &str| text.parse::<u64>().map_or_else(|_| text.into(), serde_json::Value::from);
            let object: BTreeMap<_, _> = figures.iter().map(|(name, value)| (name, number(value))).collect();
            serde_json::to_string(&object).expect("names and numbers are JSON") + "\n"
        }
    })
}

pub(super) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let target = if args.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    let mut read = 0u64;
    let progress = |family: Family| {
        read += 1;
        if read.is_multiple_of(4096) {
            bar.set_message(format!("reading {}", family.name()));
            bar.set_position(read);
        }
    };
    let report = checked(args, progress);
    bar.finish_and_clear();
    let report = report?;
    let findings: String = report.examples.iter().map(|finding| format!("{finding}\n")).collect();
    let counters = report.counters;
    let repaired = if args.repair { format!(", {} repaired", report.repaired) } else { String::new() };
    print(&format!(
        "{findings}{} entries read: {} users, {} verified, {} endorsements; {} faults{repaired}.\n",
        report.entries, counters.users, counters.verified, counters.endorsements, report.faults
    ))?;
    if report.is_sound() {
        return Ok(());
    }
    let advice = if args.repair {
        "what is left cannot be repaired"
    } else {
        "--repair repairs what follows from records, in a folder"
    };
    let message = format!("error: the registry at {} has faults; {advice}", args.database.place().name());
    Err(Failure { code: Failure::INPUT_OUTPUT, message })
}

/// Checks the registry, or repairs it.
fn checked(args: &VerifyArgs, mut progress: impl FnMut(Family)) -> Result<Report, Failure> {
    if args.repair {
        let instead = "constraints and transactions keep those on servers sound: restore one from a backup";
        let mut database = args.database.open_folder("--repair", instead)?;
        return database.repair(progress).map_err(|error| of_database(&error));
    }
    let opened = args.database.open(false)?;
    with_registry!(opened, registry => registry.verify(&mut progress).map_err(|error| of_database(&error)))
}

pub(super) fn compact(args: &DatabaseArgs) -> Result<(), Failure> {
    let database = args.open_folder("compact", "a server gives back room by itself (VACUUM)")?;
    let size = || database.store().disk_bytes().map_err(|error| of_disk(&error));
    let before = size()?;
    database.store().compact().map_err(|error| of_disk(&error))?;
    let after = size()?;
    print(&format!("{before} bytes on disk before, {after} after.\n"))
}
