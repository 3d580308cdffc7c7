//! Every decoder of bytes from others, and the readers of scenarios, of result files, of checkpoints and of other inputs,
//! under changed and arbitrary bytes.
//!
//! What is new in what became of them is kept and changed further. Without more, a run is short, and always the same. For
//! an hour, with changes that another seed makes:
//!
//! ```text
//! cargo test --test fuzz
//! QNETSIM_FUZZ_RUNS=50000000 cargo test --release --test fuzz pbft -- --nocapture
//! QNETSIM_FUZZ_SECONDS=400 QNETSIM_FUZZ_SEED=2 cargo test --release --test fuzz -- --nocapture --test-threads 2
//! ```
//!
//! Bytes on which a target panics are written to a file. Once it is mended, they belong into `corpus/TARGET/`, whose files
//! are among what every run begins with. With `QNETSIM_FUZZ_KEEP=8`, a run adds eight inputs to it, short ones and long ones,
//! of those that did something new.

mod checkpoints;
mod files;
mod targets;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use qnetsim::contract::{Domain, RandomKey, Stream};
use targets::{TARGETS, Target, seeds};

/// Inputs of a target, without `QNETSIM_FUZZ_RUNS`.
const RUNS: u64 = 20_000;
/// Scenarios, and what is read from the disk or drawn, take longer.
const SLOW_RUNS: u64 = 2_000;
const SLOW: [&str; 6] = ["scenario", "manifest", "folder", "inputs", "users", "checkpoint"];
/// Inputs that are kept to be changed further, and their longest.
const KEPT_MAX: usize = 2_000;
const LEN_MAX: usize = 2_000;
/// Bytes of an input of the corpus, which is in version control.
const KEPT_BYTES_MAX: usize = 1_500;

/// One to four small changes of `bytes`, or parts of `other`.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Stream) {
    const TELLING: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xff, b'"', b'['];
    for _ in 0..1 + random.below(4) {
        let len = bytes.len() as u64;
        let place = random.below(len.max(1)) as usize;
        let byte = random.word() as u8;
        match random.below(9) {
            _ if bytes.is_empty() => bytes.push(byte),
            0 => bytes[place] ^= 1 << (byte % 8),
            1 => bytes[place] = byte,
            2 => bytes[place] = TELLING[usize::from(byte) % TELLING.len()],
            3 => bytes[place] = bytes[place].wrapping_add(if byte.is_multiple_of(2) { 1 } else { 255 }),
            4 => bytes.truncate(place),
            5 => bytes.extend((0..byte).map(|_| 0)),
            6 => bytes.insert(place, byte),
            7 => {
                bytes.remove(place);
            }
            _ => {
                // The rest of another, from about the same place.
                let from = random.below(other.len().max(1) as u64) as usize;
                bytes.truncate(place);
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
            }
        }
    }
    // Scenarios may be longer than messages.
    bytes.truncate(LEN_MAX.max(other.len() * 2));
}

/// The number in the variable `name`, if it is set.
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no whole number")))
}

/// The files of `corpus/NAME/`, by name.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Writes `count` of `found` to `corpus/NAME/`, from the shortest to the longest, but none that is very long.
fn keep(name: &str, mut found: Vec<Vec<u8>>, count: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    found.retain(|bytes| bytes.len() <= KEPT_BYTES_MAX);
    found.sort_by_key(Vec::len);
    // The shortest are too short to do much.
    for bytes in (1..=count).filter_map(|part| found.get((found.len() * part / count).saturating_sub(1))) {
        std::fs::write(folder.join(&blake3::hash(bytes).to_hex()[..8]), bytes).unwrap();
    }
}

/// What `target` makes of `bytes`. If it panics, they are written to a file.
#[expect(clippy::print_stderr, reason = "where a finding is must be told")]
fn outcome(name: &str, target: Target, bytes: &[u8]) -> String {
    let result = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    result.unwrap_or_else(|panic| {
        let hash = blake3::hash(bytes).to_hex();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", &hash[..8]));
        std::fs::write(&path, bytes).unwrap();
        eprintln!("the input is in {}: keep it in tests/fuzz/corpus/{name}/", path.display());
        resume_unwind(panic)
    })
}

#[expect(clippy::print_stdout, reason = "shown when a test is asked to tell what it did")]
#[expect(clippy::disallowed_methods, reason = "how long to go on is asked for in seconds")]
fn fuzz(name: &str) {
    let number = TARGETS.iter().position(|(other, _)| *other == name).expect("it is a target");
    let target: Target = TARGETS[number].1;
    let few = if SLOW.contains(&name) { SLOW_RUNS } else { RUNS };
    let until = variable("QNETSIM_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let most = variable("QNETSIM_FUZZ_RUNS").unwrap_or(if until.is_some() { u64::MAX } else { few });
    let (mut kept, mut outcomes) = (seeds(name), BTreeSet::new());
    kept.extend(corpus(name));
    let known = kept.len();
    outcomes.extend(kept.iter().map(|seed| outcome(name, target, seed)));
    let key = RandomKey::new(variable("QNETSIM_FUZZ_SEED").unwrap_or(1), Domain::Protocol);
    let mut runs = 0;
    while runs < most && until.is_none_or(|until| !runs.is_multiple_of(64) || Instant::now() < until) {
        let mut random = key.stream(number as u32, runs as u32);
        let [mut bytes, other] = [(); 2].map(|()| kept[random.below(kept.len() as u64) as usize].clone());
        change(&mut bytes, &other, &mut random);
        let outcome = outcome(name, target, &bytes);
        if !outcomes.contains(&outcome) && kept.len() < KEPT_MAX {
            outcomes.insert(outcome);
            kept.push(bytes);
        }
        runs += 1;
    }
    if let Some(count) = variable("QNETSIM_FUZZ_KEEP") {
        keep(name, kept.split_off(known), count as usize);
    }
    println!("{name}: {runs} inputs, {} outcomes", outcomes.len());
    assert!(outcomes.len() > 10, "changes lead nowhere: {outcomes:?}");
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })*

        #[test]
        fn every_target_is_run() {
            assert_eq!([$(stringify!($name)),*], TARGETS.map(|(name, _)| name));
        }
    };
}

targets!(
    heartbeats kademlia pbft linear swim router sharding dissemination ledger registry mobile scenario
    baseline sheets manifest trace folder inputs users checkpoint
);
