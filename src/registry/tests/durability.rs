//! Writers on many threads, and writers who are killed: what was acknowledged is there, and nothing by halves.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::suite::{contend, endorse_together};
use super::*;
use crate::registry::CacheSizes;
use crate::registry::disk::open_registry;

const WRITERS: u64 = 4;
const FOLDER: &str = "QNETSIM_TEST_REGISTRY";
const FIRST: &str = "QNETSIM_TEST_FIRST";
const ENGINE: &str = "QNETSIM_TEST_ENGINE";

/// Small memtables, so that tables are written and merged while writers are killed.
fn open(folder: &Path, engine: Engine, layout: Layout) -> UserRegistryConsensus<DiskStore> {
    let options = DiskOptions { layout: Some(layout), memtable: 128 << 10, ..options(engine) };
    let database = open_registry(&folder.join(layout.name()), &options, CacheSizes::default());
    UserRegistryConsensus::new(database.expect("opens"))
}

/// Registers and endorses for ever, and says so after each acknowledgement.
fn write_for_ever(registry: &UserRegistryConsensus<DiskStore>, first: u64, writer: u64) {
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).expect("somebody listens");
    };
    for round in 0.. {
        let number = first + round * WRITERS + writer;
        registry.register_user(&user(number)).expect("registers");
        say(format!("\nregistered {number}\n"));
        for before in (1..=3).filter(|&before| before <= round) {
            let endorser = number - before * WRITERS;
            registry.submit_endorsement(&endorsement(number, endorser)).expect("counts");
            say(format!("\nendorsed {number} {endorser}\n"));
        }
    }
}

#[test]
#[ignore = "the process that the tests below start and kill; alone it does nothing"]
fn the_writing_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let first: u64 = std::env::var(FIRST).expect("is given").parse().expect("a number");
    let layout = if (first / PER_KILL).is_multiple_of(2) { Layout::Compact } else { Layout::Documented };
    let engine: Engine = std::env::var(ENGINE).expect("is given").parse().expect("an engine");
    let registry = open(Path::new(&folder), engine, layout);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let registry = &registry;
            scope.spawn(move || write_for_ever(registry, first, writer));
        }
    });
}

/// More users than a writer registers before it is killed.
const PER_KILL: u64 = 1 << 20;

/// Starts a writer, kills it after some acknowledgements and some time, and returns what was acknowledged.
fn kill_a_writer(folder: &Path, engine: Engine, kill: u64) -> Vec<String> {
    let draw = u64::from_le_bytes(hashed("kill", kill)[..8].try_into().expect("8 bytes"));
    let mut child = Command::new(std::env::current_exe().expect("has a path"))
        .args(["registry::tests::durability::the_writing_child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(ENGINE, engine.name())
        .env(FIRST, (kill * PER_KILL).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines().map_while(Result::ok);
    let is_said = |line: &String| line.starts_with("registered ") || line.starts_with("endorsed ");
    let wait_for = 1 + draw as usize % 400;
    let mut said: Vec<String> = lines.by_ref().filter(is_said).take(wait_for).collect();
    assert_eq!(said.len(), wait_for, "the writer ended by itself");
    std::thread::sleep(Duration::from_micros(draw >> 32 & 0xfff));
    child.kill().expect("is running");
    // What it had said by then is still in the pipe; the last line may be torn.
    said.extend(lines.filter(is_said));
    child.wait().expect("ends");
    said
}

fn survives_kills(engine: Engine, kills: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for kill in 0..kills {
        let layout = if kill.is_multiple_of(2) { Layout::Compact } else { Layout::Documented };
        let mut said = kill_a_writer(folder.path(), engine, kill);
        said.pop();
        let registry = open(folder.path(), engine, layout);
        let database = registry.database();
        for line in &said {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |place: usize| words[place].parse::<u64>().expect("a number");
            let found =
                database.get_user(&key(number(1))).expect("reads").unwrap_or_else(|| panic!("kill {kill}: {line}"));
            assert_eq!(found.user.government_id, user(number(1)).government_id);
            if words[0] == "endorsed" {
                let endorsements = database.endorsements_of(&key(number(1))).expect("reads");
                assert!(endorsements.contains(&endorsement(number(1), number(2))), "kill {kill}: {line}");
            }
        }
        if kill + 10 >= kills || kill.is_multiple_of(10) {
            let report = database.verify(|_| ()).expect("reads");
            assert!(report.is_sound(), "kill {kill}: {:?}", report.examples);
        }
    }
}

#[test]
fn acknowledged_writes_survive_a_killed_process_and_none_is_there_by_halves() {
    Engine::BUILT.iter().for_each(|&engine| survives_kills(engine, 6));
}

#[test]
#[ignore = "takes minutes: cargo test --lib registry::tests::durability -- --ignored --nocapture two_hundred"]
fn acknowledged_writes_survive_two_hundred_kills() {
    Engine::BUILT.iter().for_each(|&engine| survives_kills(engine, 200));
}

#[test]
fn writers_at_the_same_time_keep_keys_and_government_ids_unique() {
    for layout in LAYOUTS {
        contend(&in_memory(layout));
        endorse_together(&in_memory(layout));
    }
    each_on_disk(|folder, engine, layout| {
        let registry = open(folder, engine, layout);
        contend(&registry);
        endorse_together(&registry);
    });
}
