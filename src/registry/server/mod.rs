//! A registry on a server that speaks the PostgreSQL protocol: many processes, on many machines, write to it at once.
//!
//! What the rules decide is decided within a transaction, over rows that it has locked; unique constraints keep keys and
//! government ids unique against whoever registers at the same moment. That holds at every isolation level of the server:
//! at those above `read committed`, whoever comes too late is undone by the server and tries again.
//!
//! Nothing is remembered in this process, as others write to the same registry.

mod check;
mod endpoint;
mod error;
mod load;
mod rows;
mod schema;
mod session;
mod write;

use postgres::Client;
use postgres::error::SqlState;

pub use error::ServerError;
pub use load::import_to;
pub use schema::Form;

use super::access::{BatchError, DatabaseError};
use super::commit::Durability;
use super::database::Cursor;
use super::meta::Counters;
use super::operations::{Answer, Listing, Operations};
use super::record::{Digest, ENDORSEMENTS_TO_VERIFY, Endorsement, User, UserKey};
use super::rules::Standing;
use super::store::Family;
use super::verify::Report;
use endpoint::Endpoint;
use session::Pool;

/// How a registry on a server is opened.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. After a question mark come parameters, parted by `&`: `sslmode` and
    /// `sslrootcert` as in PostgreSQL's own client, `connect_timeout`, `options` and others of the crate `postgres`. The
    /// tables are those of the first schema that the connection searches, so `options=-csearch_path%3DNAME` names another.
    pub url: String,
    /// The password, if the URL has none.
    pub password: Option<String>,
    /// The schema of the tables, made if it is not there when a registry is founded. `None` is what the connection
    /// searches first. Default: `None`.
    pub schema: Option<String>,
    /// Whether to found a registry where there is none. Default: no.
    pub create: bool,
    /// Most connections. Whoever finds all at work waits for one. Default: 16.
    pub connections: usize,
    /// Times that a change is tried that met others or lost its connection. The pauses between them double up to a second,
    /// so that the default is half a minute: a server that was killed has recovered by then, or another has taken its
    /// place, unless there was much to do. Default: 48.
    pub tries: u32,
    /// The form of the tables of a registry that is founded. `None` is that of the server. Default: `None`.
    pub form: Option<Form>,
}

impl ServerOptions {
    /// For the registry at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        ServerOptions {
            url: url.into(),
            password: None,
            schema: None,
            create: false,
            connections: 16,
            tries: 48,
            form: None,
        }
    }

    fn endpoint(&self) -> Result<Endpoint, ServerError> {
        let mut endpoint = Endpoint::parse(&self.url, self.password.as_deref())?;
        if let Some(schema) = &self.schema {
            endpoint.search(schema)?;
        }
        Ok(endpoint)
    }

    /// Statements that make the schema; none if there is none to make.
    fn making_schema(&self) -> String {
        self.schema.as_ref().map_or_else(String::new, |schema| format!("CREATE SCHEMA IF NOT EXISTS {schema};\n"))
    }
}

/// Without URL and password.
impl std::fmt::Debug for ServerOptions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ServerOptions { create, connections, tries, form, .. } = self;
        write!(
            out,
            "ServerOptions {{ create: {create}, connections: {connections}, tries: {tries}, form: {form:?}, .. }}"
        )
    }
}

/// The rules of the registry over the tables of a server. What it acknowledges is committed there, as safely as the server
/// says of its commits, unless [`Durability::Buffered`] lets it not wait for its disk.
pub struct ServerRegistry {
    pool: Pool,
    form: Form,
    enough: u32,
    durability: Durability,
}

impl ServerRegistry {
    /// Opens the registry at a URL.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or refuses, or has no registry and none is to be founded, or one of a later version.
    pub fn open(options: &ServerOptions) -> Answer<Self, ServerError> {
        let pool = Pool::new(options.endpoint()?, options.connections, options.tries);
        let mut client = first_connection(&pool.endpoint)?;
        let refused = |source| ServerError::Refused { server: pool.endpoint.to_string(), source };
        let found = match found(&mut client, &pool.endpoint) {
            Err(DatabaseError::Store(why)) if options.create && matches!(*why, ServerError::Missing(_)) => {
                let form = options.form.map_or_else(|| Form::of(&mut client), Ok).map_err(refused)?;
                found_new(&mut client, &options.making_schema(), form).map_err(refused)?;
                found(&mut client, &pool.endpoint)
            }
            found => found,
        };
        let form = found?;
        pool.add(client);
        Ok(ServerRegistry { pool, form, enough: ENDORSEMENTS_TO_VERIFY, durability: Durability::Durable })
    }

    /// With `enough` endorsements to be verified.
    #[must_use]
    pub fn with_endorsements_to_verify(self, enough: u32) -> Self {
        ServerRegistry { enough, ..self }
    }

    /// The server and the database, without a password.
    pub fn server(&self) -> String {
        self.pool.endpoint.to_string()
    }

    /// How its tables are spread.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What is asked of the server at each commit.
    fn durability(&self) -> Option<Durability> {
        self.form.has_synchronous_commit().then_some(self.durability)
    }

    /// Bytes of the tables and indexes of `family`, where the server tells them as PostgreSQL does.
    ///
    /// # Errors
    ///
    /// If the server fails, or does not tell.
    pub fn table_bytes(&self, family: Family) -> Answer<u64, ServerError> {
        rows::table_bytes(&self.pool, family)
    }

    /// Removes the registry that `options` name with all that is in it, if there is one; and its schema, if they name one.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or refuses.
    pub fn remove(options: &ServerOptions) -> Answer<(), ServerError> {
        let endpoint = options.endpoint()?;
        let drop_schema = options.schema.as_ref().map(|schema| format!("DROP SCHEMA IF EXISTS {schema};\n"));
        let sql = schema::removal() + &drop_schema.unwrap_or_default();
        let removed = first_connection(&endpoint)?.batch_execute(&sql);
        Ok(removed.map_err(|source| ServerError::Refused { server: endpoint.to_string(), source })?)
    }
}

/// A connection, without trying again: whoever gives a wrong address is told at once.
fn first_connection(endpoint: &Endpoint) -> Result<Client, ServerError> {
    let unreachable = |source| ServerError::Unreachable { server: endpoint.to_string(), source };
    let mut client = endpoint.connect().map_err(unreachable)?;
    client.batch_execute("SET idle_in_transaction_session_timeout = '60s'").map_err(unreachable)?;
    Ok(client)
}

/// The form of the registry that is there.
fn found(client: &mut Client, endpoint: &Endpoint) -> Answer<Form, ServerError> {
    let refused = |source| ServerError::Refused { server: endpoint.to_string(), source };
    if client.query_opt(schema::ARE_THERE, &[]).map_err(refused)?.is_none() {
        return Err(ServerError::Missing(endpoint.to_string()).into());
    }
    let meta = client.query("SELECT name, value FROM registry_meta", &[]).map_err(refused)?;
    let value = |name: &str| meta.iter().find(|row| row.get::<_, &str>(0) == name).map(|row| row.get::<_, &str>(1));
    let Some(format) = value("format") else {
        let importing = value("importing").is_some();
        let server = endpoint.to_string();
        return Err(if importing { ServerError::HalfImported(server) } else { ServerError::Missing(server) }.into());
    };
    match format.parse::<u8>() {
        Ok(schema::FORMAT) => value("form").and_then(Form::named).ok_or(DatabaseError::NotARegistry),
        Ok(later) => Err(DatabaseError::Newer(later)),
        Err(_) => Err(DatabaseError::NotARegistry),
    }
}

/// Makes the tables of an empty registry; not if somebody else does at the same time.
fn found_new(client: &mut Client, before: &str, form: Form) -> Result<(), postgres::Error> {
    let sql = before.to_owned() + &schema::tables(form) + &schema::indexes(form) + &schema::contents(form, (0, 0, 0));
    let mut transaction = client.transaction()?;
    let founded = transaction.batch_execute(&sql).and_then(|()| transaction.commit());
    match founded {
        Err(error) if matches!(error.code(), Some(&SqlState::DUPLICATE_TABLE | &SqlState::UNIQUE_VIOLATION)) => Ok(()),
        founded => founded,
    }
}

impl Operations for ServerRegistry {
    type Error = ServerError;

    fn with_durability(self, durability: Durability) -> Self {
        ServerRegistry { durability, ..self }
    }

    fn layout_name(&self) -> &'static str {
        self.form.name()
    }

    fn register_user(&self, user: &User) -> Answer<(), ServerError> {
        write::register(self, user)
    }

    fn submit_endorsement(&self, endorsement: &Endorsement) -> Answer<Standing, ServerError> {
        write::endorse(self, endorsement)
    }

    fn store_batch(&self, users: &[User]) -> Result<(), BatchError<ServerError>> {
        write::store(self, users)
    }

    fn index_government_id(&self, government_id: &Digest, key: &UserKey) -> Answer<(), ServerError> {
        write::give_government_id(self, government_id, key)
    }

    fn delete_user(&self, key: &UserKey) -> Answer<bool, ServerError> {
        write::delete(self, key)
    }

    fn get_user(&self, key: &UserKey) -> Answer<Option<User>, ServerError> {
        self.pool.read(rows::USER, &[&&key.bytes()[..]], |rows| rows.first().map(rows::user).transpose())
    }

    fn lookup_by_government_id(&self, government_id: &Digest) -> Answer<Option<UserKey>, ServerError> {
        self.pool
            .read(rows::OWNER, &[&&government_id.0[..]], |rows| rows.first().map(|row| rows::key(row, 0)).transpose())
    }

    fn endorsements_of(&self, key: &UserKey) -> Answer<Vec<Endorsement>, ServerError> {
        self.pool.read(rows::ENDORSEMENTS, &[&&key.bytes()[..]], |rows| rows.iter().map(rows::endorsement).collect())
    }

    fn page(&self, of: Listing, from: &Cursor, at_most: usize) -> Answer<(Vec<User>, Cursor), ServerError> {
        rows::page(&self.pool, of, from, at_most)
    }

    fn counters(&self) -> Answer<Counters, ServerError> {
        rows::counters(&self.pool)
    }

    fn verify(&self, progress: &mut dyn FnMut(Family)) -> Answer<Report, ServerError> {
        check::verify(self, progress)
    }
}
