//! Imports to a server: everything by COPY, in one transaction where the server takes one of any length.

use postgres::Transaction;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};

use super::endpoint::Endpoint;
use super::error::{ServerError, is_undone};
use super::schema::{self, Form};
use super::session::pause;
use super::{ServerOptions, first_connection, found};
use crate::registry::access::DatabaseError;
use crate::registry::import::source::Source;
use crate::registry::import::{Endorsed, ImportError, ImportOptions, Imported, Step, stream};
use crate::registry::record::{Endorsement, User};

const COPY_USERS: &str = "COPY registry_users FROM STDIN BINARY";
const COPY_GOVERNMENT_IDS: &str = "COPY registry_government_ids FROM STDIN BINARY";
const COPY_ENDORSEMENTS: &str = "COPY registry_endorsements FROM STDIN BINARY";

/// Makes a registry on the server that `to` names, where none may be, of all that `source` holds: whole, or not at all.
/// `options` say how much memory is taken for checking and sorting, and how many endorsements verify a user.
///
/// # Errors
///
/// [`ImportError`]. There is no registry on the server then. A server that takes no transaction of any length may keep
/// tables of one that is not complete, which nobody opens, and which the next import removes.
pub fn import_to<S: Source>(
    to: &ServerOptions,
    source: &S,
    options: &ImportOptions,
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
) -> Result<Imported, ImportError> {
    let endpoint = to.endpoint()?;
    let refused = |source| ServerError::Refused { server: endpoint.to_string(), source };
    let mut client = first_connection(&endpoint)?;
    match found(&mut client, &endpoint) {
        Err(DatabaseError::Store(why)) => match &*why {
            ServerError::Missing(_) => {}
            ServerError::HalfImported(_) => client.batch_execute(&schema::removal()).map_err(refused)?,
            _ => return Err(unshared(why, &endpoint).into()),
        },
        _ => return Err(ServerError::Exists(endpoint.to_string()).into()),
    }
    let form = to.form.map_or_else(|| Form::of(&mut client), Ok).map_err(refused)?;
    // Between batches the source is read, which takes as long as it takes.
    client.batch_execute("SET idle_in_transaction_session_timeout = 0").map_err(refused)?;
    let token: String =
        client.query_one("SELECT md5(random()::text || clock_timestamp()::text)", &[]).map_err(refused)?.get(0);
    let imported = if form.is_transactional() {
        let mut whole = client.transaction().map_err(refused)?;
        whole.batch_execute(&(to.making_schema() + &schema::tables(form))).map_err(refused)?;
        let imported =
            stream(source, options, on_progress, &mut |users| Ok(copy(&mut whole, &users).map_err(refused)?))?;
        finish(whole, form, &token, &imported, (&endpoint, to.tries), on_progress)?;
        imported
    } else {
        client.batch_execute(&(to.making_schema() + &schema::tables(form))).map_err(refused)?;
        client.execute("INSERT INTO registry_meta VALUES ('importing', $1)", &[&token]).map_err(refused)?;
        let imported = stream(source, options, on_progress, &mut |users| {
            let mut some = client.transaction().map_err(refused)?;
            copy(&mut some, &users).and_then(|()| some.commit()).map_err(refused)?;
            Ok(())
        })?;
        finish(client.transaction().map_err(refused)?, form, &token, &imported, (&endpoint, to.tries), on_progress)?;
        imported
    };
    // What the server knows of its tables decides how it looks for users. If it is cut off, it learns that by itself later.
    let mut client = first_connection(&endpoint)?;
    let _ = client.batch_execute("ANALYZE");
    Ok(imported)
}

/// What is shared with nobody.
fn unshared(why: std::sync::Arc<ServerError>, endpoint: &Endpoint) -> ServerError {
    std::sync::Arc::into_inner(why).unwrap_or_else(|| ServerError::Missing(endpoint.to_string()))
}

/// Looks whether the import that is called `token` was committed, after the connection broke in the middle of that.
fn is_committed(endpoint: &Endpoint, tries: u32, token: &str) -> Result<(), ServerError> {
    let sql = "SELECT 1 FROM registry_meta WHERE name = 'imported' AND value = $1";
    for attempt in 0..tries {
        pause(attempt, 0);
        if let Ok(mut client) = first_connection(endpoint)
            && let Ok(Some(_)) = client.query_opt(sql, &[&token])
        {
            return Ok(());
        }
    }
    Err(ServerError::Unknown(endpoint.to_string()))
}

/// Makes the indexes, counts what is there, says that it is a registry, and commits that.
fn finish(
    mut transaction: Transaction<'_>,
    form: Form,
    token: &str,
    imported: &Imported,
    (endpoint, tries): (&Endpoint, u32),
    on_progress: &mut dyn FnMut(Step, u64, Option<u64>),
) -> Result<(), ServerError> {
    let server = || endpoint.to_string();
    let refused = |source| ServerError::Refused { server: server(), source };
    let Imported { users, verified, endorsements, .. } = *imported;
    on_progress(Step::Indexes, 0, None);
    transaction.batch_execute(&schema::indexes(form)).map_err(refused)?;
    let tables = [
        ("registry_users", "SELECT count(*) FROM registry_users", users),
        ("registry_government_ids", "SELECT count(*) FROM registry_government_ids", users),
        ("registry_endorsements", "SELECT count(*) FROM registry_endorsements", endorsements),
    ];
    for (number, (table, sql, given)) in tables.into_iter().enumerate() {
        on_progress(Step::Check, number as u64, Some(tables.len() as u64));
        let counted = transaction.query_one(sql, &[]).map_err(refused)?.get::<_, i64>(0) as u64;
        if counted != given {
            return Err(ServerError::Differs { server: server(), table, given, counted });
        }
    }
    let contents = schema::contents(form, (users, verified, endorsements));
    transaction.batch_execute(&contents).map_err(refused)?;
    transaction.execute("INSERT INTO registry_meta VALUES ('imported', $1)", &[&token]).map_err(refused)?;
    transaction.execute("DELETE FROM registry_meta WHERE name = 'importing'", &[]).map_err(refused)?;
    match transaction.commit() {
        Err(error) if !is_undone(&error) => is_committed(endpoint, tries, token),
        committed => committed.map_err(refused),
    }
}

/// Copies `users` to the tables.
fn copy(transaction: &mut Transaction<'_>, users: &[Endorsed]) -> Result<(), postgres::Error> {
    let (bytes, text, number) = (Type::BYTEA, Type::TEXT, Type::INT8);
    let columns = [&bytes, &bytes, &bytes, &text, &text, &text, &number, &number, &Type::BOOL].map(Clone::clone);
    copy_rows(transaction, COPY_USERS, &columns, |writer| {
        users.iter().try_for_each(|(user, _)| {
            let User { key, government_id, identity_proof, birth_currency, country, name, registered_at, .. } = user;
            writer.write(&[
                &&key.bytes()[..],
                &&government_id.0[..],
                &&identity_proof.0[..],
                &birth_currency.to_string(),
                &country.to_string(),
                name,
                &(*registered_at as i64),
                &i64::from(user.endorsements),
                &user.verified,
            ])
        })
    })?;
    let columns = [&bytes, &bytes].map(Clone::clone);
    copy_rows(transaction, COPY_GOVERNMENT_IDS, &columns, |writer| {
        users.iter().try_for_each(|(user, _)| writer.write(&[&&user.government_id.0[..], &&user.key.bytes()[..]]))
    })?;
    let columns = [&bytes, &bytes, &bytes, &number].map(Clone::clone);
    copy_rows(transaction, COPY_ENDORSEMENTS, &columns, |writer| {
        users.iter().flat_map(|(_, endorsements)| endorsements).try_for_each(|endorsement| {
            let Endorsement { endorsed, endorser, signature, signed_at } = endorsement;
            let row: [&(dyn ToSql + Sync); 4] =
                [&&endorsed.bytes()[..], &&endorser.bytes()[..], &&signature[..], &(*signed_at as i64)];
            writer.write(&row)
        })
    })
}

fn copy_rows(
    transaction: &mut Transaction<'_>,
    sql: &str,
    columns: &[Type],
    write: impl FnOnce(&mut BinaryCopyInWriter<'_>) -> Result<(), postgres::Error>,
) -> Result<(), postgres::Error> {
    let mut writer = BinaryCopyInWriter::new(transaction.copy_in(sql)?, columns);
    write(&mut writer)?;
    writer.finish().map(drop)
}
