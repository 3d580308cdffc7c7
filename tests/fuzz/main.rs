//! Every decoder of bytes from others, and the reader of scenarios, under changed and arbitrary bytes.
//!
//! What is new in what became of them is kept and changed further. Without more, a run is short, and always the same:
//!
//! ```text
//! cargo test --test fuzz
//! QNETSIM_FUZZ_RUNS=50000000 cargo test --release --test fuzz pbft -- --nocapture
//! ```

mod targets;

use std::collections::BTreeSet;

use qnetsim::contract::{Domain, RandomKey, Stream};
use targets::{TARGETS, Target, seeds};

/// Inputs of a target, without `QNETSIM_FUZZ_RUNS`.
const RUNS: u64 = 20_000;
/// Scenarios take longer.
const SCENARIO_RUNS: u64 = 2_000;
/// Inputs that are kept to be changed further, and their longest.
const KEPT_MAX: usize = 2_000;
const LEN_MAX: usize = 2_000;

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

#[expect(clippy::print_stdout, reason = "shown when a test is asked to tell what it did")]
fn fuzz(name: &str) {
    let number = TARGETS.iter().position(|(other, _)| *other == name).expect("it is a target");
    let target: Target = TARGETS[number].1;
    let few = if name == "scenario" { SCENARIO_RUNS } else { RUNS };
    let runs = std::env::var("QNETSIM_FUZZ_RUNS").map_or(few, |runs| runs.parse().expect("a number of runs"));
    let (mut kept, mut outcomes) = (seeds(name), BTreeSet::new());
    outcomes.extend(kept.iter().map(|seed| target(seed)));
    let key = RandomKey::new(1, Domain::Protocol);
    for run in 0..runs {
        let mut random = key.stream(number as u32, run as u32);
        let [mut bytes, other] = [(); 2].map(|()| kept[random.below(kept.len() as u64) as usize].clone());
        change(&mut bytes, &other, &mut random);
        let outcome = target(&bytes);
        if !outcomes.contains(&outcome) && kept.len() < KEPT_MAX {
            outcomes.insert(outcome);
            kept.push(bytes);
        }
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

targets!(heartbeats kademlia pbft linear swim router sharding dissemination ledger registry mobile scenario);
