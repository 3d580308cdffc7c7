//! The tables of a registry on a server, in the forms that servers differ in.
//!
//! A unique constraint of a partitioned table must contain what it is partitioned by. So government ids have a table of
//! their own, partitioned by themselves, and a user is found by one key in each: nothing is unique that one partition
//! alone cannot tell. Counters are rows of which every writer has one of its own (see [`super::session`]).

use std::fmt::Write;

use postgres::Client;

/// The version of the tables. A registry with a higher one is refused.
pub(super) const FORMAT: u8 = 1;
/// Rows of counters, and so writers that write without waiting for each other's.
pub(super) const SLOTS: i32 = 1024;
/// Partitions of each table, where the server has them.
const PARTITIONS: u32 = 16;

/// How tables are spread by a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Partitions by hash: PostgreSQL.
    Partitioned,
    /// Tables as they are, spread by the server itself: CockroachDB, YugabyteDB. PostgreSQL takes it as well.
    Plain,
    /// Tables that are told what to be spread by: PostgreSQL with Citus.
    Citus,
}

impl Form {
    /// Its name, as a registry keeps it.
    pub fn name(self) -> &'static str {
        match self {
            Form::Partitioned => "partitioned",
            Form::Plain => "plain",
            Form::Citus => "citus",
        }
    }

    /// The form called `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Form::Partitioned, Form::Plain, Form::Citus].into_iter().find(|form| form.name() == name)
    }

    /// The form for the server of `client`.
    pub(super) fn of(client: &mut Client) -> Result<Self, postgres::Error> {
        let version: String = client.query_one("SELECT version()", &[])?.get(0);
        if version.contains("CockroachDB") || version.contains("-YB-") {
            return Ok(Form::Plain);
        }
        let citus = client.query_opt("SELECT 1 FROM pg_extension WHERE extname = 'citus'", &[])?;
        Ok(if citus.is_some() { Form::Citus } else { Form::Partitioned })
    }

    /// Whether tables are created, filled and indexed in one transaction, of any length.
    pub(super) fn is_transactional(self) -> bool {
        self == Form::Partitioned
    }

    /// Whether rows of several keys can be locked by one statement: Citus locks those of one only.
    pub(super) fn locks_together(self) -> bool {
        self != Form::Citus
    }

    /// Whether `synchronous_commit` says when a commit is acknowledged.
    pub(super) fn has_synchronous_commit(self) -> bool {
        self != Form::Plain
    }
}

/// A table.
struct Table {
    name: &'static str,
    columns: &'static str,
    key: &'static str,
    /// The column that it is spread by.
    by: &'static str,
}

const TABLES: [Table; 3] = [
    Table {
        name: "registry_users",
        columns: "key bytea NOT NULL CHECK (octet_length(key) = 33), \
                  government_id bytea NOT NULL CHECK (octet_length(government_id) = 32), \
                  identity_proof bytea NOT NULL CHECK (octet_length(identity_proof) = 32), \
                  birth_currency text NOT NULL CHECK (octet_length(birth_currency) = 3), \
                  country text NOT NULL CHECK (octet_length(country) = 2), \
                  name text NOT NULL, \
                  registered_at bigint NOT NULL, \
                  endorsements bigint NOT NULL CHECK (endorsements >= 0), \
                  verified boolean NOT NULL",
        key: "key",
        by: "key",
    },
    Table {
        name: "registry_government_ids",
        columns: "government_id bytea NOT NULL CHECK (octet_length(government_id) = 32), \
                  key bytea NOT NULL CHECK (octet_length(key) = 33)",
        key: "government_id",
        by: "government_id",
    },
    Table {
        name: "registry_endorsements",
        columns: "endorsed bytea NOT NULL CHECK (octet_length(endorsed) = 33), \
                  endorser bytea NOT NULL CHECK (octet_length(endorser) = 33), \
                  signature bytea NOT NULL CHECK (octet_length(signature) = 64), \
                  signed_at bigint NOT NULL",
        key: "endorsed, endorser",
        by: "endorsed",
    },
];

/// Statements that make the tables. Where that is done in one transaction, their keys come after they are filled.
pub(super) fn tables(form: Form) -> String {
    let mut sql = String::new();
    for Table { name, columns, key, by } in &TABLES {
        let _ = match form {
            Form::Partitioned => writeln!(sql, "CREATE TABLE {name} ({columns}) PARTITION BY HASH ({by});"),
            Form::Plain => writeln!(sql, "CREATE TABLE IF NOT EXISTS {name} ({columns}, PRIMARY KEY ({key}));"),
            Form::Citus => writeln!(
                sql,
                "CREATE TABLE IF NOT EXISTS {name} ({columns}, PRIMARY KEY ({key}));\n\
                 SELECT create_distributed_table('{name}', '{by}');"
            ),
        };
        for part in (0..PARTITIONS).filter(|_| form == Form::Partitioned) {
            let _ = writeln!(
                sql,
                "CREATE TABLE {name}_{part} PARTITION OF {name} FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part});"
            );
        }
    }
    // A row that is changed in place needs no change of an index, where there is room beside it.
    let room = if form == Form::Partitioned { " WITH (fillfactor = 20)" } else { "" };
    let _ = writeln!(
        sql,
        "CREATE TABLE IF NOT EXISTS registry_counters (slot integer PRIMARY KEY, owner text NOT NULL, last bigint NOT NULL, \
         users bigint NOT NULL, verified bigint NOT NULL, endorsements bigint NOT NULL){room};\n\
         CREATE TABLE IF NOT EXISTS registry_meta (name text PRIMARY KEY, value text NOT NULL);"
    );
    if form == Form::Citus {
        sql += "SELECT create_distributed_table('registry_counters', 'slot');\n\
                SELECT create_reference_table('registry_meta');\n";
    }
    sql
}

/// Statements that make what finds rows and keeps them unique, as far as [`tables`] did not.
pub(super) fn indexes(form: Form) -> String {
    let mut sql = String::new();
    if form == Form::Partitioned {
        for Table { name, key, .. } in &TABLES {
            let _ = writeln!(sql, "ALTER TABLE {name} ADD PRIMARY KEY ({key});");
        }
    }
    sql += "CREATE INDEX IF NOT EXISTS registry_users_by_currency ON registry_users (birth_currency, key);\n\
            CREATE INDEX IF NOT EXISTS registry_users_by_country ON registry_users (country, key);\n";
    sql
}

/// Statements that make the counters, those of `users` users, `verified` of them verified, and their `endorsements`; and
/// that say last that there is a registry.
pub(super) fn contents(form: Form, (users, verified, endorsements): (u64, u64, u64)) -> String {
    let name = form.name();
    let slots = SLOTS - 1;
    format!(
        "INSERT INTO registry_counters SELECT slot, '', 0, 0, 0, 0 FROM generate_series(1, {slots}) AS slot;\n\
         INSERT INTO registry_counters VALUES (0, '', 0, {users}, {verified}, {endorsements});\n\
         INSERT INTO registry_meta VALUES ('form', '{name}'), ('format', '{FORMAT}');\n"
    )
}

/// Statements that remove all tables.
pub(super) fn removal() -> String {
    let names = TABLES.iter().map(|table| table.name).chain(["registry_counters", "registry_meta"]);
    names.map(|name| format!("DROP TABLE IF EXISTS {name};\n")).collect()
}

/// Whether the tables are there: those of this schema or of another that is searched.
pub(super) const ARE_THERE: &str = "SELECT 1 FROM information_schema.tables \
    WHERE table_name = 'registry_meta' AND table_schema = ANY (current_schemas(false))";
