//! Checking a whole registry on a server: what constraints and transactions keep, held against the rows themselves.

use postgres::{IsolationLevel, Row, Transaction};

use super::error::ServerError;
use super::{ServerRegistry, first_connection};
use crate::registry::meta::Counters;
use crate::registry::operations::Answer;
use crate::registry::store::Family;
use crate::registry::verify::{EXAMPLES_MAX, Fault, Finding, Report};

/// What is wrong, where each finding is shown, and rows with a key, how many there are in all, and numbers that say more.
struct Question {
    family: Family,
    sql: &'static str,
    fault: fn(&Row) -> Fault,
}

const QUESTIONS: [Question; 4] = [
    Question {
        family: Family::User,
        sql: "SELECT u.key, count(*) OVER () FROM registry_users u LEFT JOIN registry_government_ids g \
              ON g.government_id = u.government_id AND g.key = u.key WHERE g.key IS NULL LIMIT $1",
        fault: |_| Fault::NotIn("government id"),
    },
    Question {
        family: Family::GovernmentId,
        sql: "SELECT g.government_id, count(*) OVER () FROM registry_government_ids g LEFT JOIN registry_users u \
              ON u.key = g.key AND u.government_id = g.government_id WHERE u.key IS NULL LIMIT $1",
        fault: |_| Fault::Stale,
    },
    Question {
        family: Family::Endorsement,
        sql: "SELECT e.endorsed, count(*) OVER () FROM registry_endorsements e LEFT JOIN registry_users u \
              ON u.key = e.endorsed WHERE u.key IS NULL LIMIT $1",
        fault: |_| Fault::Orphan,
    },
    Question {
        family: Family::User,
        sql: "SELECT u.key, count(*) OVER (), u.endorsements, COALESCE(e.found, 0) FROM registry_users u LEFT JOIN \
              (SELECT endorsed, count(*) AS found FROM registry_endorsements GROUP BY endorsed) e ON e.endorsed = u.key \
              WHERE u.endorsements <> COALESCE(e.found, 0) LIMIT $1",
        fault: |row| {
            let number = |column| row.get::<_, i64>(column).try_into().unwrap_or(u32::MAX);
            Fault::Miscounted { said: number(2), found: number(3) }
        },
    },
];

const FOUND: &str = "SELECT count(*), count(*) FILTER (WHERE verified) FROM registry_users";
const FOUND_ELSE: &str =
    "SELECT (SELECT count(*) FROM registry_endorsements), (SELECT count(*) FROM registry_government_ids)";
const SAID: &str = "SELECT sum(users)::bigint, sum(verified)::bigint, sum(endorsements)::bigint FROM registry_counters";

/// Checks all tables as they are at one moment, whoever writes meanwhile.
pub(super) fn verify(registry: &ServerRegistry, progress: &mut dyn FnMut(Family)) -> Answer<Report, ServerError> {
    let endpoint = &registry.pool.endpoint;
    let mut client = first_connection(endpoint)?;
    let level = IsolationLevel::RepeatableRead;
    let read = client
        .build_transaction()
        .isolation_level(level)
        .read_only(true)
        .start()
        .and_then(|mut moment| all(&mut moment, progress));
    Ok(read.map_err(|source| ServerError::Refused { server: endpoint.to_string(), source })?)
}

fn all(moment: &mut Transaction<'_>, progress: &mut dyn FnMut(Family)) -> Result<Report, postgres::Error> {
    let mut report = Report::default();
    for Question { family, sql, fault } in &QUESTIONS {
        progress(*family);
        let rows = moment.query(*sql, &[&(EXAMPLES_MAX as i64)])?;
        report.faults += rows.first().map_or(0, |row| row.get::<_, i64>(1) as u64);
        for row in rows.iter().take(EXAMPLES_MAX - report.examples.len()) {
            let finding = Finding { family: *family, key: row.get(0), fault: fault(row), repaired: false };
            report.examples.push(finding);
        }
    }
    progress(Family::Meta);
    let (users, others) = (moment.query_one(FOUND, &[])?, moment.query_one(FOUND_ELSE, &[])?);
    let count = |row: &Row, column| row.get::<_, Option<i64>>(column).unwrap_or_default() as u64;
    let counted = |users, verified, endorsements| Counters { users, verified, endorsements, next_id: 0 };
    let found = counted(count(&users, 0), count(&users, 1), count(&others, 0));
    report.entries = found.users + found.endorsements + count(&others, 1);
    let said = moment.query_one(SAID, &[])?;
    let said = counted(count(&said, 0), count(&said, 1), count(&said, 2));
    if said != found {
        report.faults += 1;
        if report.examples.len() < EXAMPLES_MAX {
            let (key, fault) = (b"counters".to_vec(), Fault::Counters { said, found });
            report.examples.push(Finding { family: Family::Meta, key, fault, repaired: false });
        }
    }
    report.counters = found;
    Ok(report)
}
