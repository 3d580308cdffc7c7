//! The registry on a PostgreSQL server: the suite that registries in memory and on disk pass, servers that are killed,
//! connections that break, imports, and the command line.
#![cfg(feature = "postgres")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use proptest::prelude::*;
use qnetsim::registry::server::{Form, ServerOptions, ServerRegistry};
use qnetsim::registry::{DatabaseError, Durability, Operations};

#[path = "registry_server/commands.rs"]
mod commands;
#[path = "registry_server/faults.rs"]
mod faults;
#[path = "registry_server/imports.rs"]
mod imports;
#[path = "registry_server/server.rs"]
mod server;
#[path = "../src/registry/tests/suite.rs"]
mod suite;

use server::Server;
use suite::{key, user};

/// The server that tests share which do not kill it. The last of those who run at the same time ends it.
fn shared() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::start());
        *shared = Arc::downgrade(&server);
        server
    })
}

/// A name that no other registry has.
fn schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A new registry with a server's default isolation, and one at each stricter level; in partitions, and plain.
fn each(test: impl Fn(ServerRegistry)) {
    let server = shared();
    for (form, level) in
        [(None, None), (Some(Form::Plain), Some("repeatable read")), (Some(Form::Partitioned), Some("serializable"))]
    {
        let mut options = ServerOptions { form, ..server.options(&schema()) };
        if let Some(level) = level {
            let level = level.replace(' ', "%5C%20");
            options.url += &format!("?options=-cdefault_transaction_isolation%3D{level}");
        }
        let registry = ServerRegistry::open(&options).expect("founds a registry");
        test(registry.with_endorsements_to_verify(suite::ENOUGH));
        ServerRegistry::remove(&options).expect("removes");
    }
}

/// Every behaviour of the suite.
macro_rules! everywhere {
    ($($behaviour:ident),*) => {
        $(
            #[test]
            fn $behaviour() {
                each(|registry| suite::$behaviour(&registry.with_durability(Durability::Buffered)));
            }
        )*
    };
}

suite::behaviours!(everywhere);

#[test]
fn writers_at_the_same_time_keep_keys_and_government_ids_unique() {
    each(|registry| {
        suite::contend(&registry);
        suite::endorse_together(&registry);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_server_answers_as_the_model_before_and_after_it_is_opened_again(operations in suite::operations()) {
        let server = shared();
        let options = server.options(&schema());
        let open = || ServerRegistry::open(&options).expect("opens").with_endorsements_to_verify(suite::ENOUGH);
        let model = suite::agrees(&open().with_durability(Durability::Buffered), &operations);
        suite::compare(&open(), &model);
        ServerRegistry::remove(&options).expect("removes");
    }
}

#[test]
fn two_who_found_a_registry_at_the_same_time_found_one() {
    let server = shared();
    let options = server.options(&schema());
    std::thread::scope(|scope| {
        for number in 0..6 {
            let options = &options;
            scope.spawn(move || {
                let registry = ServerRegistry::open(options).expect("opens");
                registry.register_user(&user(number)).expect("registers");
            });
        }
    });
    let registry = ServerRegistry::open(&options).expect("opens");
    assert_eq!(registry.counters().expect("reads").users, 6);
    suite::is_sound(&registry);
}

#[test]
fn constraints_and_indexes_are_in_the_tables() {
    let (name, server) = (schema(), shared());
    let registry = ServerRegistry::open(&server.options(&name)).expect("founds");
    assert_eq!(registry.form(), Form::Partitioned);
    registry.register_user(&user(1)).expect("registers");
    let parts = |table: &str| {
        server.sql(&format!("SELECT count(*) FROM pg_partition_tree('{name}.{table}') WHERE isleaf AND level = 1"))
    };
    for table in ["registry_users", "registry_government_ids", "registry_endorsements"] {
        assert_eq!(parts(table), "16\n", "{table}");
    }
    let indexes = server.sql(&format!("SELECT indexname FROM pg_indexes WHERE schemaname = '{name}'"));
    for index in ["registry_users_pkey", "registry_government_ids_pkey", "registry_endorsements_pkey"] {
        assert!(indexes.lines().any(|line| line == index), "{index} is not in\n{indexes}");
    }
    for index in ["registry_users_by_currency", "registry_users_by_country"] {
        assert!(indexes.lines().any(|line| line == index), "{index} is not in\n{indexes}");
    }
}

#[test]
fn what_is_wrong_in_the_tables_is_found() {
    let (name, server) = (schema(), shared());
    let registry = ServerRegistry::open(&server.options(&name)).expect("founds").with_endorsements_to_verify(3);
    suite::enough_endorsements_verify_and_none_counts_twice(&registry);
    suite::is_sound(&registry);
    let change = |sql: &str| server.sql(&format!("SET search_path = {name}; {sql}"));
    for (break_it, mend, told) in [
        (
            "UPDATE registry_users SET endorsements = 81 WHERE endorsements = 80",
            "UPDATE registry_users SET endorsements = 80 WHERE endorsements = 81",
            "said to have 81 endorsements who has 80",
        ),
        (
            "UPDATE registry_counters SET users = users + 1 WHERE slot = 5",
            "UPDATE registry_counters SET users = users - 1 WHERE slot = 5",
            "counters that say 101 users",
        ),
        (
            "CREATE TABLE aside AS SELECT * FROM registry_government_ids LIMIT 1; \
             DELETE FROM registry_government_ids g USING aside a WHERE a.government_id = g.government_id",
            "INSERT INTO registry_government_ids SELECT * FROM aside; DROP TABLE aside",
            "not found by government id",
        ),
        (
            "INSERT INTO registry_government_ids SELECT '\\x0011223344556677001122334455667700112233445566770011223344556677', \
             key FROM registry_users LIMIT 1",
            "DELETE FROM registry_government_ids WHERE government_id = \
             '\\x0011223344556677001122334455667700112233445566770011223344556677'",
            "leads to nobody",
        ),
    ] {
        change(break_it);
        let report = registry.verify(&mut |_| ()).expect("reads");
        assert_eq!(report.faults, 1, "{:?}", report.examples);
        assert!(report.examples[0].to_string().contains(told), "{}", report.examples[0]);
        change(mend);
        suite::is_sound(&registry);
    }
}

#[test]
fn what_is_no_registry_or_a_later_one_is_refused() {
    let (name, server) = (schema(), shared());
    let options = server.options(&name);
    let missing =
        ServerRegistry::open(&ServerOptions { create: false, ..options.clone() }).err().expect("is not there");
    assert!(missing.to_string().contains("there is no registry in postgres://tester@"), "{missing}");
    ServerRegistry::open(&options).expect("founds").register_user(&user(0)).expect("registers");
    server.sql(&format!("UPDATE {name}.registry_meta SET value = '9' WHERE name = 'format'"));
    assert!(matches!(ServerRegistry::open(&options), Err(DatabaseError::Newer(9))));
    let wrong = ServerOptions { password: Some("wrong".to_owned()), ..options };
    let refused = ServerRegistry::open(&wrong).err().expect("is refused");
    let text = format!("{refused} {refused:?} {wrong:?}");
    assert!(text.contains("password authentication failed") && !text.contains("\"wrong\""), "{text}");
}

#[test]
fn a_connection_is_encrypted_and_the_server_proves_who_it_is_as_asked() {
    let (name, server) = (schema(), shared());
    let authority = server.certificate().to_str().expect("is text").to_owned();
    let open = |host: &str, parameters: &str| {
        let url = format!("{}?{parameters}&application_name={name}", server.url().replace("127.0.0.1", host));
        ServerRegistry::open(&ServerOptions { url, ..server.options(&name) }).map(|registry| {
            registry.get_user(&key(0)).expect("reads");
            server.sql(&format!(
                "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = '{name}'"
            ))
        })
    };
    assert_eq!(open("127.0.0.1", "sslmode=require").expect("opens"), "t\n");
    assert_eq!(open("localhost", &format!("sslmode=verify-full&sslrootcert={authority}")).expect("opens"), "t\n");
    assert_eq!(open("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={authority}")).expect("opens"), "t\n");
    let refused = |host: &str, parameters: &str| open(host, parameters).expect_err("is refused").to_string();
    assert!(refused("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={authority}")).contains("cannot reach"));
    assert!(refused("localhost", "sslmode=verify-full").contains("cannot reach"));
    assert!(!server.log().contains(server::PASSWORD));
}
