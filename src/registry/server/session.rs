//! Connections to a server, each with a row of counters of its own; and what is done when one breaks, or a change meets
//! another.
//!
//! A transaction that changes anything ends by adding to its writer's row and writing its number there. So a writer whose
//! connection broke during a commit asks that row, with a lock that waits for the end of a transaction that still runs,
//! whether its number is there. Nothing is repeated that was done, and nothing is called failed that was not.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use postgres::types::ToSql;
use postgres::{Client, Row, Statement, Transaction};

use super::endpoint::Endpoint;
use super::error::{Remedy, ServerError, is_undone, remedy};
use super::schema::SLOTS;
use crate::registry::access::DatabaseError;
use crate::registry::commit::Durability;
use crate::registry::draft::Delta;
use crate::registry::operations::Answer;

/// The first pause, which doubles each time ...
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// ... up to this.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Parameters of a statement.
pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Statements that a connection has prepared.
type Prepared = BTreeMap<&'static str, Statement>;

/// A connection that is used by one thread at a time, and made anew when it breaks.
#[derive(Default)]
struct Session {
    live: Option<(Client, Prepared)>,
    /// The row of counters that this writer has, and who the writer is there; until somebody else takes it.
    slot: Option<(i32, String)>,
    /// The number of the last transaction that was begun.
    last: i64,
    /// Whether the connection commits without waiting for the disk.
    buffered: bool,
}

/// Why a transaction ends without a commit.
pub(super) enum Halt {
    /// A statement failed.
    Failed(postgres::Error),
    /// That is the answer.
    Answer(DatabaseError<ServerError>),
    /// Others came between: once more.
    Again,
}

impl From<postgres::Error> for Halt {
    fn from(error: postgres::Error) -> Self {
        Halt::Failed(error)
    }
}

impl From<DatabaseError<ServerError>> for Halt {
    fn from(error: DatabaseError<ServerError>) -> Self {
        Halt::Answer(error)
    }
}

/// A transaction under way.
pub(super) struct Change<'a> {
    transaction: Transaction<'a>,
    prepared: &'a mut Prepared,
    /// What it changes of the counters.
    pub(super) delta: Delta,
}

impl Change<'_> {
    fn prepare(&mut self, sql: &'static str) -> Result<Statement, postgres::Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.transaction.prepare(sql)?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }

    /// The rows that `sql` gives.
    pub(super) fn query(&mut self, sql: &'static str, with: Parameters<'_>) -> Result<Vec<Row>, postgres::Error> {
        let statement = self.prepare(sql)?;
        self.transaction.query(&statement, with)
    }

    /// The number of rows that `sql` changes.
    pub(super) fn execute(&mut self, sql: &'static str, with: Parameters<'_>) -> Result<u64, postgres::Error> {
        let statement = self.prepare(sql)?;
        self.transaction.execute(&statement, with)
    }
}

/// What came of one try.
enum Tried<T> {
    Done(T),
    /// To be tried once more.
    Not(Option<postgres::Error>),
    /// The connection broke during the commit of the transaction with that number.
    Unknown(T, i64),
    Answer(DatabaseError<ServerError>),
}

impl Session {
    /// The connection, made if there is none.
    fn live(&mut self, endpoint: &Endpoint) -> Result<&mut (Client, Prepared), postgres::Error> {
        if self.live.as_ref().is_some_and(|(client, _)| client.is_closed()) {
            self.live = None;
        }
        if self.live.is_none() {
            let mut client = endpoint.connect()?;
            // Whoever is gone without a word holds nothing for longer than this.
            client.batch_execute("SET idle_in_transaction_session_timeout = '60s'")?;
            self.buffered = false;
            self.live = Some((client, Prepared::new()));
        }
        Ok(self.live.as_mut().expect("was made"))
    }

    /// Takes a row of counters, from whoever had it before: one of another process that is gone, nearly always. Else that
    /// one finds out and takes another.
    fn slot(&mut self, endpoint: &Endpoint) -> Result<(i32, String), postgres::Error> {
        if let Some(slot) = &self.slot {
            return Ok(slot.clone());
        }
        let (client, _) = self.live(endpoint)?;
        let number: i32 = client.query_one("SELECT floor(random() * $1::int)::int", &[&SLOTS])?.get(0);
        let take = "UPDATE registry_counters SET owner = md5(random()::text || clock_timestamp()::text), last = 0 \
                    WHERE slot = $1 RETURNING owner";
        let owner: String = client.query_one(take, &[&number])?.get(0);
        Ok(self.slot.insert((number, owner)).clone())
    }

    /// Lets commits wait for the disk, or not.
    fn set_durability(&mut self, endpoint: &Endpoint, durability: Durability) -> Result<(), postgres::Error> {
        let buffered = durability == Durability::Buffered;
        if self.buffered != buffered {
            let (client, _) = self.live(endpoint)?;
            client.batch_execute(if buffered { "SET synchronous_commit = off" } else { "RESET synchronous_commit" })?;
            self.buffered = buffered;
        }
        Ok(())
    }

    fn try_read<T>(
        &mut self,
        endpoint: &Endpoint,
        sql: &'static str,
        with: Parameters<'_>,
        read: &mut impl FnMut(Vec<Row>) -> Answer<T, ServerError>,
    ) -> Tried<T> {
        let ask = |session: &mut Self| {
            let (client, prepared) = session.live(endpoint)?;
            let statement = match prepared.get(sql) {
                Some(statement) => statement.clone(),
                None => client.prepare(sql).inspect(|statement| drop(prepared.insert(sql, statement.clone())))?,
            };
            client.query(&statement, with)
        };
        match ask(self) {
            Ok(rows) => match read(rows) {
                Ok(answer) => Tried::Done(answer),
                Err(error) => Tried::Answer(error),
            },
            Err(error) => self.tried(endpoint, Halt::Failed(error)),
        }
    }

    fn try_write<T>(
        &mut self,
        endpoint: &Endpoint,
        durability: Option<Durability>,
        change: &mut impl FnMut(&mut Change<'_>) -> Result<T, Halt>,
    ) -> Tried<T> {
        let begun = (|| {
            self.live(endpoint)?;
            if let Some(durability) = durability {
                self.set_durability(endpoint, durability)?;
            }
            self.slot(endpoint)
        })();
        let (slot, owner) = match begun {
            Ok(slot) => slot,
            Err(error) => return self.tried(endpoint, Halt::Failed(error)),
        };
        self.last += 1;
        let number = self.last;
        let (client, prepared) = self.live.as_mut().expect("is there, as it took a row");
        match transact(client, prepared, (slot, &owner, number), change) {
            Ok(Ended::Committed(answer)) => Tried::Done(answer),
            Ok(Ended::Undone(error)) => Tried::Not(Some(error)),
            Ok(Ended::Dispossessed) => {
                self.slot = None;
                Tried::Not(None)
            }
            Ok(Ended::Unknown(answer)) => {
                self.live = None;
                Tried::Unknown(answer, number)
            }
            Err(halt) => self.tried(endpoint, halt),
        }
    }

    /// What `halt` means for another try.
    fn tried<T>(&mut self, endpoint: &Endpoint, halt: Halt) -> Tried<T> {
        match halt {
            Halt::Answer(error) => Tried::Answer(error),
            Halt::Again => Tried::Not(None),
            Halt::Failed(error) => match remedy(&error) {
                Remedy::Again => Tried::Not(Some(error)),
                Remedy::Reconnect => {
                    self.live = None;
                    Tried::Not(Some(error))
                }
                Remedy::Give => {
                    Tried::Answer(ServerError::Refused { server: endpoint.to_string(), source: error }.into())
                }
            },
        }
    }

    /// Whether the transaction `number` was committed, of which the connection broke; an error if nobody knows.
    fn is_committed(&mut self, endpoint: &Endpoint, tries: u32, number: i64) -> Result<bool, ServerError> {
        let unknown = || ServerError::Unknown(endpoint.to_string());
        let (slot, owner) = self.slot.clone().ok_or_else(unknown)?;
        for attempt in 0..tries {
            pause(attempt, slot);
            let asked = self.live(endpoint).and_then(|(client, _)| {
                // The lock is that of the transaction: it is granted when that one has ended.
                client.query_one("SELECT owner, last FROM registry_counters WHERE slot = $1 FOR UPDATE", &[&slot])
            });
            match asked {
                Ok(row) if row.get::<_, &str>(0) == owner => return Ok(row.get::<_, i64>(1) == number),
                Ok(_) => {
                    self.slot = None;
                    return Err(unknown());
                }
                Err(error) if remedy(&error) == Remedy::Give => break,
                Err(error) if remedy(&error) == Remedy::Again => {}
                Err(_) => self.live = None,
            }
        }
        Err(unknown())
    }
}

/// How a transaction has ended that came to its end.
enum Ended<T> {
    Committed(T),
    /// By the server, at the commit.
    Undone(postgres::Error),
    /// Undone, because another writer has taken the row.
    Dispossessed,
    /// The commit has no answer.
    Unknown(T),
}

/// Makes `change` in a transaction with a number, of a writer who has a row of counters.
fn transact<T>(
    client: &mut Client,
    prepared: &mut Prepared,
    (slot, owner, number): (i32, &str, i64),
    change: &mut impl FnMut(&mut Change<'_>) -> Result<T, Halt>,
) -> Result<Ended<T>, Halt> {
    const COUNT: &str = "UPDATE registry_counters SET users = users + $1, verified = verified + $2, \
        endorsements = endorsements + $3, last = $4 WHERE slot = $5 AND owner = $6";
    let mut under_way = Change { transaction: client.transaction()?, prepared, delta: Delta::default() };
    let answer = change(&mut under_way)?;
    let Delta { users, verified, endorsements } = under_way.delta;
    if under_way.execute(COUNT, &[&users, &verified, &endorsements, &number, &slot, &owner])? == 0 {
        return Ok(Ended::Dispossessed);
    }
    Ok(match under_way.transaction.commit() {
        Ok(()) => Ended::Committed(answer),
        Err(error) if is_undone(&error) => Ended::Undone(error),
        Err(_) => Ended::Unknown(answer),
    })
}

/// Waits before the try `attempt`, not at all before the first; writers who met do not wait equally long.
pub(super) fn pause(attempt: u32, slot: i32) {
    if attempt > 0 {
        let longest = PAUSE_MIN.saturating_mul(1 << (attempt - 1).min(16)).min(PAUSE_MAX);
        let share = (slot.unsigned_abs().wrapping_add(attempt)).wrapping_mul(0x9e37_79b9) >> 24;
        std::thread::sleep(longest / 2 + longest * share / 512);
    }
}

/// Sessions that threads share: as many as work at once, up to a bound. Each is checked before it is used.
pub(super) struct Pool {
    pub(super) endpoint: Endpoint,
    /// Times that something is tried.
    tries: u32,
    idle: Mutex<Vec<Session>>,
    returned: Condvar,
}

/// A session that is taken from a pool, to which it goes back.
struct Lease<'a> {
    pool: &'a Pool,
    session: Session,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.session));
        self.pool.returned.notify_one();
    }
}

impl Pool {
    /// Up to `most` connections, of which none is made yet. Everything is tried up to `tries` times.
    pub(super) fn new(endpoint: Endpoint, most: usize, tries: u32) -> Self {
        let idle = (0..most.max(1)).map(|_| Session::default()).collect();
        Pool { endpoint, tries: tries.max(1), idle: Mutex::new(idle), returned: Condvar::new() }
    }

    /// The session that was used last, which is most likely to be connected.
    fn lease(&self) -> Lease<'_> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle = self.returned.wait_while(idle, |idle| idle.is_empty()).unwrap_or_else(PoisonError::into_inner);
        Lease { pool: self, session: idle.pop().expect("one is idle") }
    }

    /// Puts a connection into the pool that was made already.
    pub(super) fn add(&self, client: Client) {
        self.lease().session.live = Some((client, Prepared::new()));
    }

    /// What `read` makes of the rows that `sql` gives.
    pub(super) fn read<T>(
        &self,
        sql: &'static str,
        with: Parameters<'_>,
        mut read: impl FnMut(Vec<Row>) -> Answer<T, ServerError>,
    ) -> Answer<T, ServerError> {
        let mut lease = self.lease();
        let mut last = None;
        for attempt in 0..self.tries {
            pause(attempt, self.salt(&lease));
            match lease.session.try_read(&self.endpoint, sql, with, &mut read) {
                Tried::Done(answer) | Tried::Unknown(answer, _) => return Ok(answer),
                Tried::Answer(error) => return Err(error),
                Tried::Not(error) => last = error,
            }
        }
        Err(self.given_up(last).into())
    }

    /// Makes `change` in a transaction, over again where others came between or the connection broke, and returns what it
    /// returned when it was committed. `durability` is left to the server if it is none.
    pub(super) fn write<T>(
        &self,
        durability: Option<Durability>,
        mut change: impl FnMut(&mut Change<'_>) -> Result<T, Halt>,
    ) -> Answer<T, ServerError> {
        let mut lease = self.lease();
        let mut last = None;
        for attempt in 0..self.tries {
            pause(attempt, self.salt(&lease));
            match lease.session.try_write(&self.endpoint, durability, &mut change) {
                Tried::Done(answer) => return Ok(answer),
                Tried::Answer(error) => return Err(error),
                Tried::Not(error) => last = error,
                Tried::Unknown(answer, number) => {
                    if lease.session.is_committed(&self.endpoint, self.tries, number)? {
                        return Ok(answer);
                    }
                }
            }
        }
        Err(self.given_up(last).into())
    }

    fn salt(&self, lease: &Lease<'_>) -> i32 {
        lease.session.slot.as_ref().map_or(0, |slot| slot.0)
    }

    /// Why there are no more tries.
    fn given_up(&self, last: Option<postgres::Error>) -> ServerError {
        let server = self.endpoint.to_string();
        match last {
            Some(source) if remedy(&source) == Remedy::Reconnect => ServerError::Unreachable { server, source },
            _ => ServerError::Busy(server, self.tries),
        }
    }
}
