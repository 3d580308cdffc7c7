//! `qnetsim registry` with the URL of a server instead of a folder.

use std::fs;
use std::process::{Command, Output};

use qnetsim::registry::population::Population;

use crate::schema;
use crate::server::{PASSWORD, Server};
use crate::shared;

struct Desk<'a> {
    server: &'a Server,
    folder: tempfile::TempDir,
    url: String,
}

impl<'a> Desk<'a> {
    fn new(server: &'a Server) -> Self {
        let name = schema();
        server.sql(&format!("CREATE SCHEMA {name}"));
        let url = format!("{}?options=-csearch_path%3D{name}", server.url());
        Desk { server, folder: tempfile::tempdir().expect("a temporary folder"), url }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qnetsim"));
        command.current_dir(self.folder.path()).env("PGPASSWORD", PASSWORD).arg("registry").args(args);
        let output = command.output().expect("runs");
        let told = [&output.stdout[..], &output.stderr].concat();
        assert!(!String::from_utf8_lossy(&told).contains(PASSWORD), "the password is told");
        output
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("is text")
    }

    #[track_caller]
    fn fails(&self, code: i32, args: &[&str], parts: &[&str]) {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} are not all in\n{said}");
    }
}

#[test]
fn commands_take_the_url_of_a_server_where_they_take_a_folder() {
    let server = shared();
    let desk = Desk::new(&server);
    let (db, people) = (desk.url.as_str(), Population::new(1, 200, 5));
    let imported = desk.ok(&["import", "--db", db, "--generate", "200"]);
    assert!(
        imported.contains("Imported 200 users, 200 of them verified, and 1000 endorsements to the server"),
        "{imported}"
    );
    desk.fails(
        2,
        &["import", "--db", db, "--generate", "200"],
        &["there is a registry in postgres://tester@127.0.0.1"],
    );
    let new = Population::new(2, 1, 0).user(0);
    let (key, id, proof) = (new.key.to_string(), new.government_id.to_string(), new.identity_proof.to_string());
    let register =
        ["register", "--db", db, "--key", &key, "--government-id", &id, "--identity-proof", &proof, "--currency"];
    let register = [&register[..], &["EUR", "--country", "AQ", "--name", "Ana 'Ň' Silva; --"]].concat();
    assert!(desk.ok(&register).contains("; 201 users."));
    desk.fails(2, &register, &["is registered already"]);
    let by = people.key(7).to_string();
    let endorse = ["endorse", "--db", db, "--user", &key, "--by", &by, "--signature", &"ab".repeat(64)];
    assert!(desk.ok(&endorse).contains("has 1 endorsements and is not yet verified"));
    desk.fails(2, &endorse, &["has endorsed"]);
    assert!(desk.ok(&["get", "--db", db, "--government-id", &id]).contains("Ana 'Ň' Silva; --"));
    assert_eq!(desk.ok(&["get", "--db", db, &key, "--endorsements"]).lines().count(), 1);
    assert_eq!(desk.ok(&["list", "--db", db]).lines().count(), 201);
    assert_eq!(desk.ok(&["list", "--db", db, "--country", "AQ", "--format", "json"]).lines().count(), 1);
    assert_eq!(desk.ok(&["list", "--db", db, "--verified", "--limit", "150"]).lines().count(), 150);
    let stats: serde_json::Value =
        serde_json::from_str(&desk.ok(&["stats", "--db", db, "--format", "json"])).expect("is JSON");
    assert_eq!([&stats["users"], &stats["verified"], &stats["endorsements"]], [201, 200, 1001]);
    assert!(stats["layout"] == "partitioned" && stats["bytes_govid"].as_u64() > Some(8_192), "{stats}");
    assert!(desk.ok(&["verify", "--db", db]).contains("201 users, 200 verified, 1001 endorsements; 0 faults"));
    desk.fails(2, &["verify", "--db", db, "--repair"], &["--repair is for registries in a folder", "backup"]);
    desk.fails(2, &["compact", "--db", db], &["compact is for registries in a folder"]);
    desk.ok(&["import", "--db", "copy", "--from", db]);
    assert!(desk.ok(&["verify", "--db", "copy"]).contains("201 users, 200 verified, 1001 endorsements; 0 faults"));
}

#[test]
fn what_is_wrong_with_a_url_is_told_and_its_password_is_not() {
    let server = shared();
    let desk = Desk::new(&server);
    let with = |url: &str| url.replace("tester@", &format!("tester:{PASSWORD}@"));
    desk.ok(&["register", "--help"]);
    desk.fails(4, &["stats", "--db", &with(&desk.url)], &["there is no registry in postgres://tester@127.0.0.1"]);
    desk.fails(4, &["stats", "--db", &with("postgres://tester@127.0.0.1:1/postgres")], &["cannot reach", "refused"]);
    desk.fails(4, &["stats", "--db", &with(&server.url().replace("/postgres", "/nothing"))], &["does not exist"]);
    desk.fails(2, &["stats", "--db", &with("postgres://tester@host:port/d")], &["the URL of a server is"]);
    desk.fails(2, &["stats", "--db", &(with(&server.url()) + "?sslmode=maybe")], &["verify-full"]);
    desk.fails(
        4,
        &["stats", "--db", &(with(&server.url()) + "?sslmode=verify-full")],
        &["cannot reach", "certificate"],
    );
}

#[test]
fn a_server_is_measured_as_a_folder_is_and_left_as_it_was() {
    let server = shared();
    let desk = Desk::new(&server);
    let schemas =
        || server.sql("SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE 'qnetsim_bench%'");
    let told = desk.ok(&["bench", "--db", &desk.url, "--users", "2K", "--brief", "--out", "figures"]);
    for part in ["a server", "2.00K", "measured", "projected", "RAM", "Lookup time", "8 writers", "read_time = ["] {
        assert!(told.contains(part), "{part}:\n{told}");
    }
    let figures = fs::read_to_string(desk.folder.path().join("figures/registry-bench.csv")).expect("is written");
    let lost = figures.lines().find(|line| line.contains("restarts,lost")).expect("is measured");
    assert!(lost.contains("crash-server") && lost.contains(",0.0,"), "{lost}");
    let written = fs::read_to_string(desk.folder.path().join("figures/tables.txt")).expect("is written");
    assert!(written.starts_with("$ qnetsim registry bench --users 2000 --db postgres://...\n"), "{written}");
    assert_eq!(schemas(), "0\n");
    assert!(!desk.server.log().contains(PASSWORD));
}
