//! What is fuzzed: every decoder of bytes that come from others, the reader of scenarios, and those of other files.
//!
//! A target is given bytes. It never panics, whatever they are; what it understands encodes to the same bytes; and it
//! returns in a few words what became of them, so that whoever makes the bytes knows what is new.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use qnetsim::contract::Population;
use qnetsim::protocols::consensus::wire::{self as consensus_wire, WireConsensus};
use qnetsim::protocols::consensus::{Consensus, ConsensusOptions, MessageKind, Pattern};
use qnetsim::protocols::dissemination::wire as dissemination_wire;
use qnetsim::protocols::kademlia::keys::Keys;
use qnetsim::protocols::kademlia::wire::{self as kademlia_wire, WireKademlia};
use qnetsim::protocols::ledger::wire::{self as ledger_wire, WireLedger};
use qnetsim::protocols::ledger::{Ledger, LedgerOptions};
use qnetsim::protocols::mobile::wire::{self as mobile_wire, WireMobile};
use qnetsim::protocols::registry::wire::{self as registry_wire, WireRegistry};
use qnetsim::protocols::router::wire::{self as router_wire, WireRouter};
use qnetsim::protocols::sharding::wire::{self as sharding_wire, WireSharding};
use qnetsim::protocols::swim::wire::{self as swim_wire, WireSwim};
use qnetsim::protocols::wire::{self as heartbeat_wire, WireMessage};
use qnetsim::topologies::TierDegrees;

use super::{checkpoints, files};

/// Takes bytes, and returns what became of them.
pub(crate) type Target = fn(&[u8]) -> String;

/// All targets, by name.
pub(crate) const TARGETS: [(&str, Target); 20] = [
    ("heartbeats", heartbeats),
    ("kademlia", kademlia),
    ("pbft", pbft),
    ("linear", linear),
    ("swim", swim),
    ("router", router),
    ("sharding", sharding),
    ("dissemination", dissemination),
    ("ledger", ledger),
    ("registry", registry),
    ("mobile", mobile),
    ("scenario", scenario),
    ("baseline", files::baseline),
    ("sheets", files::sheets),
    ("manifest", files::manifest),
    ("trace", files::trace),
    ("folder", files::result_folder),
    ("inputs", files::inputs),
    ("users", files::users),
    ("checkpoint", checkpoints::checkpoint),
];

/// Bytes to begin with: of formats, empty messages of each kind in several lengths.
pub(crate) fn seeds(name: &str) -> Vec<Vec<u8>> {
    const SCENARIOS: [&str; 4] = [
        include_str!("../../scenarios/quickstart.toml"),
        include_str!("../../scenarios/churn.toml"),
        include_str!("../../scenarios/geo.toml"),
        include_str!("../../scenarios/recommended-architecture.toml"),
    ];
    let kinds: Vec<Range<u8>> = match name {
        "heartbeats" => vec![heartbeat_wire::KINDS],
        "kademlia" => vec![kademlia_wire::KINDS],
        "pbft" | "linear" => vec![consensus_wire::KINDS],
        "swim" => vec![swim_wire::KINDS],
        "router" => vec![router_wire::KINDS],
        "sharding" => vec![sharding_wire::KINDS],
        "dissemination" => vec![dissemination_wire::KINDS],
        "ledger" => vec![consensus_wire::KINDS, ledger_wire::KINDS],
        "registry" => vec![registry_wire::KINDS],
        "mobile" => vec![mobile_wire::KINDS],
        "scenario" => return SCENARIOS.map(|text| text.as_bytes().to_vec()).into(),
        "checkpoint" => return checkpoints::seeds(),
        file => return files::seeds(file),
    };
    let message = |kind: u8, len: usize| [&[1, kind][..], &vec![0; len - 2]].concat();
    let lens = [2, 3, 24, 34, 36, 38, 48, 70, 76, 120, 150, 300];
    kinds.into_iter().flatten().flat_map(|kind| lens.map(|len| message(kind, len))).collect()
}

/// What became of `bytes` that were decoded to `result`.
fn outcome<T, E: Debug>(bytes: &[u8], result: &Result<T, E>) -> String {
    let kind = bytes.get(1);
    match result {
        Ok(_) => format!("kind {kind:?} of 2^{} bytes", bytes.len().max(1).ilog2()),
        Err(error) => {
            let name: String = format!("{error:?}").chars().filter(char::is_ascii_alphabetic).take(24).collect();
            format!("{kind:?} {name}")
        }
    }
}

/// Checks that `again`, to which what `bytes` hold was encoded, are the same, but for zeros after it if it may be padded.
fn check_same(bytes: &[u8], again: &[u8], is_padded: bool) {
    let Some(rest) = bytes.strip_prefix(again) else { panic!("{bytes:?} became {again:?}") };
    assert!(rest.is_empty() || is_padded && rest.iter().all(|&byte| byte == 0), "{bytes:?} became {again:?}");
}

fn heartbeats(bytes: &[u8]) -> String {
    let decoded = WireMessage::decode(bytes);
    if let Ok(message) = &decoded {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(again.len(), message.encoded_len());
        check_same(bytes, &again, true);
    }
    outcome(bytes, &decoded)
}

fn kademlia(bytes: &[u8]) -> String {
    static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(300));
    let (keys, sender) = (&*KEYS, u32::from(bytes.get(2).copied().unwrap_or(0)));
    // Nobody finds the hash of an address by chance: ids of the sender and of every second contact are put right.
    let mut bytes = bytes.to_vec();
    if let Some(id) = bytes.get_mut(6..38) {
        id.copy_from_slice(&keys.id(sender));
    }
    let contacts = bytes.get_mut(38..).unwrap_or_default().chunks_exact_mut(kademlia_wire::CONTACT_LEN);
    for contact in contacts.filter(|contact| contact[37] % 2 == 0) {
        let node = u32::from(contact[32]);
        contact[..32].copy_from_slice(&keys.id(node));
        contact[32..36].copy_from_slice(&node.to_le_bytes());
        contact[36..].copy_from_slice(&kademlia_wire::PORT.to_le_bytes());
    }
    let decoded = WireKademlia::decode(keys, sender, 20, &bytes);
    if let Ok(message) = &decoded {
        let mut again = Vec::new();
        message.encode(keys, &mut again);
        check_same(&bytes, &again, false);
    }
    outcome(&bytes, &decoded)
}

/// Puts the digest of a block and the signature of a message of consensus right, which nobody finds by chance, unless the
/// first byte of either is odd.
fn repair(consensus: &Consensus, bytes: &mut [u8]) {
    let Some((head, payload)) = bytes.split_at_mut_checked(consensus_wire::HEAD_LEN) else { return };
    let kind = head[1].checked_sub(consensus_wire::KINDS.start).map(usize::from);
    let Some(&kind) = kind.and_then(|kind| MessageKind::ALL.get(kind)) else { return };
    if let Some(before) = consensus_wire::block_in(consensus, kind, payload.len())
        && head[40] % 2 == 0
    {
        let hash = blake3::Hasher::new().update(&head[34..38]).update(&payload[before..]).finalize();
        head[40..48].copy_from_slice(&hash.as_bytes()[..8]);
    }
    if head[72] % 2 == 0 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head[..72]).update(payload).finalize_xof().fill(&mut head[72..]);
    }
}

fn consensus(consensus: &Consensus, bytes: &[u8]) -> String {
    let mut repaired = bytes.to_vec();
    repair(consensus, &mut repaired);
    let decoded = [bytes, &repaired[..]].map(|bytes| {
        let decoded = WireConsensus::decode(consensus, bytes);
        if let Ok(message) = &decoded {
            let mut again = Vec::new();
            message.encode(consensus, &mut again);
            check_same(bytes, &again, false);
        }
        decoded
    });
    outcome(bytes, &decoded[1])
}

fn replicas(pattern: Pattern) -> Consensus {
    let population = Population::new([7, 0, 0, 0]).expect("seven nodes are few");
    Consensus::new(population, ConsensusOptions { pattern, ..ConsensusOptions::DEFAULT })
}

fn pbft(bytes: &[u8]) -> String {
    static PBFT: LazyLock<Consensus> = LazyLock::new(|| replicas(Pattern::Pbft));
    consensus(&PBFT, bytes)
}

fn linear(bytes: &[u8]) -> String {
    static LINEAR: LazyLock<Consensus> = LazyLock::new(|| replicas(Pattern::Linear));
    consensus(&LINEAR, bytes)
}

fn swim(bytes: &[u8]) -> String {
    let decoded = WireSwim::decode(bytes);
    if let Ok(message) = &decoded {
        let mut again = Vec::new();
        message.encode(&mut again);
        check_same(bytes, &again, false);
    }
    let updates = swim_wire::decode_updates(bytes).map(Iterator::count);
    if let Ok(count) = updates {
        assert_eq!(count * swim_wire::UPDATE_LEN, bytes.len());
    }
    outcome(bytes, &decoded)
}

fn router(bytes: &[u8]) -> String {
    let decoded = WireRouter::decode(bytes);
    if let Ok(message) = &decoded {
        let mut again = Vec::new();
        message.encode(&mut again);
        check_same(bytes, &again, false);
    }
    outcome(bytes, &decoded)
}

fn sharding(bytes: &[u8]) -> String {
    const VALUE_LEN: u32 = 5;
    let decoded = WireSharding::decode(VALUE_LEN, bytes);
    if let Ok(message) = &decoded {
        let mut again = Vec::new();
        message.encode(VALUE_LEN, &mut again);
        check_same(bytes, &again, false);
    }
    outcome(bytes, &decoded)
}

fn dissemination(bytes: &[u8]) -> String {
    let decoded = dissemination_wire::decode(bytes);
    if let Ok((message, contents)) = &decoded {
        let mut again = Vec::new();
        dissemination_wire::encode(message, contents, &mut again);
        check_same(bytes, &again, false);
    }
    outcome(bytes, &decoded)
}

fn ledger(bytes: &[u8]) -> String {
    static LEDGERS: LazyLock<[Ledger; 2]> = LazyLock::new(|| {
        let population = Population::new([4, 6, 20, 5]).expect("35 nodes are few");
        let degrees = TierDegrees { full_peers: 2, super_parents: 2, light_parents: 3, mesh: true };
        let graph = Arc::new(degrees.graph(population, 0, 1));
        // With transactions that are as long as their records, and with longer ones.
        [0, 30].map(|transaction| {
            let options = LedgerOptions { transaction, header: 60, ..LedgerOptions::DEFAULT };
            Ledger::new(Arc::clone(&graph), options)
        })
    });
    let mut repaired = bytes.to_vec();
    repair(LEDGERS[0].consensus(), &mut repaired);
    let decoded = [(bytes, 0), (bytes, 1), (&repaired[..], 0)].map(|(bytes, ledger)| {
        let ledger = &LEDGERS[ledger];
        let decoded = WireLedger::decode(ledger, bytes);
        if let Ok(message) = &decoded {
            let mut again = Vec::new();
            message.encode(ledger, &mut again);
            check_same(bytes, &again, false);
        }
        decoded
    });
    format!("{} {}", outcome(bytes, &decoded[1]), outcome(bytes, &decoded[2]))
}

fn registry(bytes: &[u8]) -> String {
    let decoded = WireRegistry::decode(bytes);
    if let Ok(message) = &decoded {
        let mut again = Vec::new();
        message.encode(&mut again);
        check_same(bytes, &again, false);
    }
    outcome(bytes, &decoded)
}

fn mobile(bytes: &[u8]) -> String {
    let decoded = WireMobile::decode(bytes);
    if let Ok(message) = &decoded {
        let mut again = Vec::new();
        message.encode(&mut again);
        check_same(bytes, &again, true);
    }
    outcome(bytes, &decoded)
}

/// The first line may be an override, if it begins with `!`.
fn scenario(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (overrides, text) = match text.strip_prefix('!').and_then(|rest| rest.split_once('\n')) {
        Some((first, rest)) => (vec![first.to_owned()], rest),
        None => (Vec::new(), &*text),
    };
    match qnetsim::scenario::parse("fuzz.toml", text, &overrides) {
        Ok(scenario) => format!("{} points", scenario.points.len()),
        Err(error) => {
            // What is wrong, without what the file says.
            files::words(&error.to_string())
        }
    }
}
