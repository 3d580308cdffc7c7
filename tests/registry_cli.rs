//! `qnetsim registry` as users meet it: every command, every error, and what is left after a kill or a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use qnetsim::registry::CacheSizes;
use qnetsim::registry::disk::{DiskOptions, open_registry};
use qnetsim::registry::population::Population;
use qnetsim::registry::record::{Endorsement, User};

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Desk(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qnetsim"));
        command.current_dir(self.0.path()).arg("registry").args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What the command prints; it ends well.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the command complains of, with this exit code.
    #[track_caller]
    fn fails(&self, code: i32, args: &[&str], parts: &[&str]) {
        let output = self.run(args);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} are not all in\n{said}");
    }

    fn register(&self, user: &User, more: &[&str]) -> Output {
        let (key, id, proof) = (user.key.to_string(), user.government_id.to_string(), user.identity_proof.to_string());
        let (currency, country) = (user.birth_currency.to_string(), user.country.to_string());
        let mut args = vec!["register", "--db", "r", "--key", &key, "--government-id", &id, "--identity-proof", &proof];
        args.extend(["--currency", &currency, "--country", &country, "--name", &user.name, "--at", "1700000000"]);
        args.extend(more);
        self.run(&args)
    }

    fn endorse(&self, endorsement: &Endorsement) -> Output {
        let Endorsement { endorsed, endorser, signature, .. } = endorsement;
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        self.run(&[
            "endorse",
            "--db",
            "r",
            "--user",
            &endorsed.to_string(),
            "--by",
            &endorser.to_string(),
            "--signature",
            &signature,
        ])
    }
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[track_caller]
fn refused(output: &Output, part: &str) {
    assert_eq!(output.status.code(), Some(2), "{}", said(output));
    assert!(said(output).contains(part), "{part:?} is not in {}", said(output));
}

#[test]
fn users_are_registered_endorsed_found_listed_and_counted() {
    let (desk, people) = (Desk::new(), Population::new(1, 6, 5));
    for number in 0..6 {
        let output = desk.register(&people.user(number), if number == 0 { &["--create"] } else { &[] });
        assert!(said(&output).contains(&format!("{} users", number + 1)), "{}", said(&output));
    }
    for (count, endorsement) in people.endorsements_of(2).enumerate() {
        let verified = if count == 4 { "is verified" } else { "is not yet verified" };
        let output = desk.endorse(&endorsement);
        assert!(said(&output).contains(verified), "{}", said(&output));
    }
    let user = people.user(2);
    let human = desk.ok(&["get", "--db", "r", &user.key.to_string()]);
    assert!(human.contains(&user.name) && human.contains("verified        yes"), "{human}");
    let json = desk.ok(&["get", "--db", "r", "--government-id", &user.government_id.to_string(), "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["key"].as_str(), json["endorsements"].as_u64()), (Some(&*user.key.to_string()), Some(5)));
    assert_eq!(desk.ok(&["get", "--db", "r", &user.key.to_string(), "--endorsements"]).lines().count(), 5);
    assert_eq!(desk.ok(&["list", "--db", "r"]).lines().count(), 6);
    assert_eq!(desk.ok(&["list", "--db", "r", "--limit", "4", "--format", "csv"]).lines().count(), 5);
    assert_eq!(desk.ok(&["list", "--db", "r", "--verified", "--format", "json"]).lines().count(), 1);
    let currency = user.birth_currency.to_string();
    assert!(desk.ok(&["list", "--db", "r", "--currency", &currency]).contains(&user.key.to_string()));
    assert!(desk.ok(&["list", "--db", "r", "--country", &user.country.to_string()]).contains(&user.key.to_string()));
    assert_eq!(desk.ok(&["list", "--db", "r", "--country", "AQ"]), "");
    let stats: serde_json::Value = serde_json::from_str(&desk.ok(&["stats", "--db", "r", "--format", "json"])).unwrap();
    assert_eq!([&stats["users"], &stats["verified"], &stats["endorsements"]], [6, 1, 5]);
    assert!(
        desk.ok(&["stats", "--db", "r"]).contains("compact")
            && desk.ok(&["stats", "--db", "r", "--format", "csv"]).contains("users,6\n")
    );
    assert!(desk.ok(&["compact", "--db", "r"]).contains("bytes on disk before"));
    assert!(desk.ok(&["verify", "--db", "r"]).contains("6 users, 1 verified, 5 endorsements; 0 faults"));
    assert!(desk.ok(&["verify", "--db", "r", "--repair", "--quiet"]).contains("0 faults, 0 repaired"));
}

#[test]
fn what_the_rules_forbid_is_refused_and_says_whom_it_concerns() {
    let (desk, people) = (Desk::new(), Population::new(1, 6, 5));
    let (one, two, nobody) = (people.user(0), people.user(1), people.key(7));
    desk.register(&one, &["--create"]);
    desk.register(&two, &[]);
    refused(&desk.register(&one, &[]), &format!("the key {} is registered already", one.key));
    let thief = User { government_id: one.government_id, ..people.user(2) };
    refused(&desk.register(&thief, &[]), &format!("registered already, by the key {}", one.key));
    let endorsement = Endorsement { endorsed: one.key, endorser: two.key, signature: [9; 64], signed_at: 0 };
    assert_eq!(desk.endorse(&endorsement).status.code(), Some(0));
    refused(&desk.endorse(&endorsement), &format!("{} has endorsed {} already", two.key, one.key));
    refused(&desk.endorse(&Endorsement { endorser: one.key, ..endorsement.clone() }), "nobody endorses themselves");
    refused(
        &desk.endorse(&Endorsement { endorser: nobody, ..endorsement.clone() }),
        &format!("{nobody}, who endorses"),
    );
    refused(
        &desk.endorse(&Endorsement { endorsed: nobody, ..endorsement }),
        &format!("{nobody}, who is to be endorsed"),
    );
    desk.fails(2, &["get", "--db", "r", &nobody.to_string()], &["nobody is registered with the key"]);
    let id = people.user(5).government_id.to_string();
    desk.fails(2, &["get", "--db", "r", "--government-id", &id], &["nobody is registered with the government id", &id]);
}

#[test]
fn malformed_arguments_are_refused_with_what_was_expected() {
    let desk = Desk::new();
    let short = "02ff";
    desk.fails(2, &["get", "--db", "r", short], &["66 hexadecimal digits", "02ff"]);
    desk.fails(2, &["get", "--db", "r", "--government-id", "xyz"], &["64 hexadecimal digits"]);
    desk.fails(2, &["list", "--db", "r", "--currency", "EUS"], &["no currency in use", "did you mean EUR?"]);
    desk.fails(2, &["list", "--db", "r", "--country", "Germany"], &["two capital letters"]);
    desk.fails(2, &["list", "--db", "r", "--limit", "many"], &["a whole count such as"]);
    desk.fails(2, &["import", "--db", "r"], &["FILE"]);
    desk.fails(2, &["import", "--db", "r", "--generate", "10", "--layout", "wide"], &["`documented` or `compact`"]);
    desk.fails(2, &["bench", "--users", "10"], &["1000 users at least"]);
    desk.fails(3, &["import", "--db", "r", "--generate", "100K", "--memory", "1MiB"], &["need", "--memory"]);
    assert!(!desk.path("r").exists());
    for command in ["import", "get", "register", "endorse", "list", "stats", "verify", "compact", "bench"] {
        let help = desk.ok(&[command, "--help"]);
        assert!(help.contains("Exit codes:") && help.contains("--db"), "{help}");
    }
}

#[test]
fn registries_that_are_missing_locked_newer_or_damaged_are_told_apart() {
    let desk = Desk::new();
    for command in ["stats", "list", "verify", "compact"] {
        desk.fails(4, &[command, "--db", "none"], &["there is no registry at none"]);
    }
    assert!(!desk.path("none").exists(), "reading creates nothing");
    fs::write(desk.path("file"), "text").unwrap();
    desk.fails(4, &["stats", "--db", "file"], &["file holds something that is not a registry"]);
    desk.ok(&["import", "--db", "r", "--generate", "100"]);
    let held = open_registry(&desk.path("r"), &DiskOptions::default(), CacheSizes::default()).unwrap();
    desk.fails(4, &["stats", "--db", "r"], &["in use by another process"]);
    drop(held);
    desk.ok(&["stats", "--db", "r"]);
    let marker = desk.path("r").join("version");
    let bytes = fs::read(&marker).unwrap();
    fs::write(&marker, [b'F', b'J', b'L', 99]).unwrap();
    desk.fails(4, &["stats", "--db", "r"], &["later version"]);
    fs::write(&marker, "garbage").unwrap();
    desk.fails(4, &["stats", "--db", "r"], &["damaged"]);
    fs::write(&marker, bytes).unwrap();
    desk.ok(&["verify", "--db", "r"]);
}

#[test]
fn what_is_listed_is_imported_again_in_both_formats_and_layouts() {
    let desk = Desk::new();
    let imported = desk.ok(&["import", "--db", "a", "--generate", "3K", "--endorsements", "3", "--seed", "5"]);
    assert!(imported.contains("Imported 3000 users") && imported.contains("9000 endorsements"), "{imported}");
    let list = |db: &str, format: &str| {
        let sorted = |text: String| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines.join("\n") + "\n"
        };
        let endorsements = desk.ok(&["list", "--db", db, "--endorsements", "--format", format]);
        (sorted(desk.ok(&["list", "--db", db, "--format", format])), sorted(endorsements))
    };
    let json = list("a", "json");
    let (users, endorsements) = (
        desk.ok(&["list", "--db", "a", "--format", "csv"]),
        desk.ok(&["list", "--db", "a", "--endorsements", "--format", "csv"]),
    );
    fs::write(desk.path("u.csv"), users).unwrap();
    fs::write(desk.path("e.csv"), endorsements).unwrap();
    fs::write(desk.path("all.jsonl"), json.1.clone() + &json.0).unwrap();
    desk.ok(&["import", "--db", "b", "e.csv", "u.csv"]);
    desk.ok(&["import", "--db", "c", "--layout", "documented", "all.jsonl", "--quiet"]);
    desk.ok(&["import", "--db", "d", "--from", "c"]);
    for db in ["b", "c", "d"] {
        assert!(list(db, "json") == json, "{db}");
        assert!(desk.ok(&["verify", "--db", db]).contains("; 0 faults"));
    }
    desk.fails(2, &["import", "--db", "b", "u.csv"], &["b exists already"]);
    assert!(list("b", "json") == json);
}

#[test]
fn bad_files_are_told_by_file_and_line_and_nothing_is_imported() {
    let desk = Desk::new();
    desk.ok(&["import", "--db", "a", "--generate", "20"]);
    let lines = desk.ok(&["list", "--db", "a", "--format", "json"]);
    let mut lines: Vec<&str> = lines.lines().collect();
    let twice = lines[3];
    lines.push(twice);
    fs::write(desk.path("twice.jsonl"), lines.join("\n")).unwrap();
    desk.fails(
        2,
        &["import", "--db", "b", "twice.jsonl"],
        &["twice.jsonl:21: the key", "is also that of twice.jsonl:4"],
    );
    fs::write(desk.path("bad.jsonl"), "{\"key\": 7}\nnonsense\n").unwrap();
    desk.fails(2, &["import", "--db", "b", "bad.jsonl"], &["2 problems", "bad.jsonl:1: ", "bad.jsonl:2: "]);
    fs::write(desk.path("bad.csv"), "key,age\n").unwrap();
    desk.fails(2, &["import", "--db", "b", "bad.csv"], &["bad.csv: unknown column \"age\""]);
    desk.fails(2, &["import", "--db", "b", "none.txt"], &["none.txt", "*.csv or *.jsonl"]);
    desk.fails(4, &["import", "--db", "b", "none.csv"], &["cannot read none.csv"]);
    assert!(!desk.path("b").exists() && !desk.path("b.import").exists());
}

/// Runs a command, and kills it when it was waited for so many milliseconds; how long it was waited for, and whether it
/// was killed.
#[cfg(unix)]
fn run_for(command: &mut Command, millis: u32) -> (u32, bool) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for waited in 0..millis {
        if child.try_wait().unwrap().is_some() {
            return (waited, false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    (millis, !child.wait().unwrap().success())
}

#[cfg(unix)]
#[test]
fn an_import_that_is_killed_over_and_over_ends_with_the_same_content() {
    let desk = Desk::new();
    let args =
        |db: &'static str| ["import", "--db", db, "--generate", "40K", "--endorsements", "2", "--memory", "4MiB"];
    let (whole, killed) = run_for(&mut desk.command(&args("whole")), u32::MAX);
    assert!(!killed);
    let expected = desk.ok(&["list", "--db", "whole", "--format", "json"]);
    let mut kills = 0;
    for step in 1..=8 {
        kills += u32::from(run_for(&mut desk.command(&args("cut")), whole * step / 9).1);
        // A process that was killed after it gave the registry its name was killed too late.
        if desk.path("cut").exists() {
            break;
        }
    }
    if !desk.path("cut").exists() {
        desk.ok(&args("cut"));
        assert!(!desk.path("cut.import").exists());
    }
    assert!(kills >= 3, "{kills} were killed");
    assert!(desk.ok(&["list", "--db", "cut", "--format", "json"]) == expected);
    assert!(desk.ok(&["verify", "--db", "cut"]).contains("40000 users, 0 verified, 80000 endorsements; 0 faults"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_takes_no_more_is_an_error_and_the_import_goes_on_when_it_does() {
    let desk = Desk::new();
    // A bound on the length of files stands for a full disk: writing fails in the same places.
    let bounded = |blocks: u32, db: &str| {
        let script = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec '{}' registry import --db {db} --generate 30K --memory 4MiB",
            env!("CARGO_BIN_EXE_qnetsim")
        );
        Command::new("sh").args(["-c", &script]).current_dir(desk.0.path()).output().unwrap()
    };
    for blocks in [1, 1_500] {
        let output = bounded(blocks, "r");
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).starts_with("error[Q0400]: "), "{}", said(&output));
        assert!(!desk.path("r").exists());
    }
    desk.ok(&["import", "--db", "r", "--generate", "30K", "--memory", "4MiB"]);
    assert!(desk.ok(&["verify", "--db", "r"]).contains("30000 users, 30000 verified, 150000 endorsements; 0 faults"));
}

#[test]
#[ignore = "measures for about three minutes: cargo test --release --test registry_cli -- --ignored"]
fn a_bench_measures_and_projects_and_leaves_its_files_only() {
    let desk = Desk::new();
    let table = desk.ok(&["bench", "--users", "8K", "--db", "bench"]);
    for part in ["Users", "Disk", "RAM", "Lookup time", "UR-24", "projected", "measured", "5.6TB", "read_time"] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let files = ["registry-bench.csv", "registry-bench.json", "service-times.csv", "tables.txt"];
    assert_eq!(names(&desk.path("bench")), files);
    // A scenario takes the file of service times as it is.
    let scenario = "name = \"s\"\nnodes = 400\ntiers = { super = 7, full = 40, mobile = 50 }\n\
                    approaches = \"registry\"\napproach.registry.service_times = \"service-times.csv\"\n";
    fs::write(desk.path("bench/s.toml"), scenario).unwrap();
    qnetsim::scenario::load(&desk.path("bench/s.toml"), &[]).unwrap_or_else(|error| panic!("{error}"));
    let figures: Vec<serde_json::Value> =
        serde_json::from_slice(&fs::read(desk.path("bench/registry-bench.json")).unwrap()).unwrap();
    for claim in [
        "UR-02", "UR-07", "UR-08", "UR-09", "UR-10", "UR-11", "UR-12", "UR-13", "UR-14", "UR-15", "UR-16", "UR-17",
        "UR-18", "UR-19", "UR-25", "UR-26",
    ] {
        assert!(
            figures.iter().any(|figure| figure["claim"] == claim && figure["value"].as_f64().unwrap() > 0.0),
            "{claim}"
        );
    }
}

#[test]
#[cfg(not(feature = "rocksdb"))]
fn an_engine_that_was_not_built_is_refused_with_how_to_build_it() {
    let desk = Desk::new();
    for command in ["stats", "list", "verify", "compact"] {
        let how = ["built without the engine rocksdb", "cargo build --release --features rocksdb", "ROCKSDB_LIB_DIR"];
        desk.fails(2, &[command, "--db", "r", "--engine", "rocksdb"], &how);
    }
    desk.fails(2, &["import", "--db", "r", "--generate", "10", "--engine", "rocksdb"], &["built without"]);
    desk.fails(
        2,
        &["stats", "--db", "r", "--engine", "oracle"],
        &["\"oracle\" is no engine; there are fjall and rocksdb"],
    );
    assert!(!desk.path("r").exists());
}

#[test]
#[cfg(not(feature = "postgres"))]
fn a_server_that_was_not_built_in_is_refused_with_how_to_build_it_and_without_its_password() {
    let desk = Desk::new();
    let url = "postgres://ann:s3cret@db.example/people";
    let key = Population::new(1, 1, 0).key(0).to_string();
    for args in [
        &["stats", "--db", url][..],
        &["list", "--db", url],
        &["verify", "--db", url],
        &["get", "--db", url, &key],
        &["import", "--db", url, "--generate", "10"],
        &["import", "--db", "r", "--from", url],
        &["bench", "--db", url],
    ] {
        desk.fails(2, args, &["built without registries on servers", "cargo build --release --features postgres"]);
        assert!(!said(&desk.run(args)).contains("s3cret"), "{args:?}");
    }
    desk.fails(2, &["compact", "--db", url], &["compact is for registries in a folder"]);
    assert!(fs::read_dir(desk.0.path()).unwrap().next().is_none(), "nothing is made");
}

#[test]
#[cfg(feature = "rocksdb")]
fn a_registry_moves_from_one_engine_to_the_other_and_back() {
    let desk = Desk::new();
    let rocks = ["--engine", "rocksdb"];
    let with = |args: &[&'static str]| desk.ok(&[args, &rocks[..]].concat());
    with(&["import", "--db", "r", "--generate", "300"]);
    desk.fails(2, &["stats", "--db", "r"], &["is kept by the engine rocksdb, not by fjall: open it with rocksdb"]);
    let listed = with(&["list", "--db", "r", "--format", "json"]);
    assert_eq!(listed.lines().count(), 300);
    assert!(with(&["verify", "--db", "r"]).contains("300 users, 300 verified, 1500 endorsements; 0 faults"));
    with(&["compact", "--db", "r"]);
    assert!(with(&["stats", "--db", "r"]).contains("bytes_on_disk"));
    desk.ok(&["import", "--db", "f", "--from", "r"]);
    desk.fails(2, &[&["stats", "--db", "f"][..], &rocks].concat(), &["kept by the engine fjall, not by rocksdb"]);
    with(&["import", "--db", "back", "--from", "f"]);
    assert_eq!(with(&["list", "--db", "back", "--format", "json"]), listed);
}
