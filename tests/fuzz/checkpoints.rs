//! What is fuzzed of checkpoints: their files, the state of a run in them, and the results of finished points.
//!
//! Nobody finds a checksum by chance, so files get theirs put right: what reads on from there trusts nothing either.

use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use qnetsim::contract::{Population, Share, SimSpan, SimTime};
use qnetsim::engine::faults::{Churn, NodeSet, Schedule};
use qnetsim::engine::{
    Capacity, Checkpoint, Distribution, Keeper, Latency, NetworkModel, Piece, Progress, Settings, Simulation, Snapshot,
};
use qnetsim::metrics::PointResult;
use qnetsim::protocols::swim::{Swim, SwimTiming};
use qnetsim::results::{Label, Part, StoredPart};
use qnetsim::scenario::build::{Watch, run_point};
use qnetsim::scenario::parse;

use super::files::{chosen, words};
use super::hub::each_rank;

/// Of the end of a file.
const HASH_BYTES: usize = 32;

fn label() -> Label {
    Label {
        part: Part::State,
        version: "1".to_owned(),
        program: "ab".to_owned(),
        scenario: "cd".to_owned(),
        seed: 7,
        point: 2,
    }
}

/// A run with state of all kinds: queues, timers, lives, links, meters, histograms, judgements, lists within nodes.
struct Kept {
    protocol: Swim,
    network: NetworkModel,
    settings: Settings,
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let population = Population::flat(8);
    let timing = SwimTiming {
        period: SimSpan::from_secs(1),
        probe_timeout: SimSpan::from_millis(500),
        indirect_probes: 2,
        suspicion_mult: 4,
    };
    let latency = Latency::Uniform { min: SimSpan::from_millis(20), max: SimSpan::from_millis(200) };
    let at = |secs| SimTime::ZERO + SimSpan::from_secs(secs);
    let mut settings = Settings::new(population, 5, at(30));
    (settings.boundaries, settings.measured) = (vec![at(1), at(9), at(20)], at(1)..at(30));
    (settings.meters, settings.delays, settings.judgements) = (true, true, true);
    let churn = Churn {
        nodes: NodeSet::ALL,
        session: Distribution::Exponential { mean: 10.0 },
        absence: Distribution::Exponential { mean: 4.0 },
        graceful: 0.5,
        steady: true,
    };
    settings.faults = Schedule { churns: vec![churn], outages: Vec::new() };
    settings.capacity = Some(Capacity { upload: [20_000; 4], download: [10_000; 4], queue: 2_000 });
    Kept { protocol: Swim::new(population, timing), network: NetworkModel::new(latency, 0.1), settings }
});

impl Kept {
    fn simulation(&self, share: Share) -> Simulation<'_, Swim, NetworkModel> {
        // As many partitions as ranks at most, so that a piece fits every reader.
        let settings = Settings { share, partitions_log2: Some(1), ..self.settings.clone() };
        Simulation::new(&self.protocol, &self.network, settings)
    }

    /// What each of so many ranks has of the run as it stands after so many windows.
    fn after(&self, windows: u32, ranks: usize) -> Vec<Vec<u8>> {
        struct After(AtomicU32, Vec<u8>);
        impl Keeper for After {
            fn is_wanted(&self) -> bool {
                self.0.fetch_sub(1, Ordering::Relaxed) == 1
            }
            fn keep(&mut self, snapshot: &Snapshot<'_>) -> ControlFlow<()> {
                snapshot.write_piece(0, &mut self.1).expect("memory takes it");
                ControlFlow::Break(())
            }
        }
        each_rank(ranks, |ranks| {
            let mut after = After(windows.into(), Vec::new());
            let simulation = self.simulation(ranks.share()).over(ranks, false);
            simulation.run_kept(&Progress::default(), Some(&mut after)).expect("nothing is lost or made up");
            assert!(!after.1.is_empty(), "the run has more than {windows} windows");
            after.1
        })
    }
}

/// Two pieces as one input: the length of the first, and both.
fn joined(pieces: &[Vec<u8>]) -> Vec<u8> {
    [&(pieces[0].len() as u32).to_le_bytes()[..], &pieces.concat()].concat()
}

/// A finished point of a small scenario.
fn result() -> Vec<u8> {
    let text = "name = \"a\"\nnodes = 12\nwarmup = \"1s\"\nmeasure = \"9s\"\napproaches = \"swim\"\n\
        network.latency = { model = \"regions\", shares = { Tokyo = 0.5, London = 0.5 } }\n\
        [[faults.crash]]\nat = \"2s\"\nuntil = \"7s\"\nshare = 0.3\n";
    let scenario = parse("a.toml", text, &[]).expect("it is valid");
    let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
    let result = run_point(&scenario, &scenario.points[0], 1, &watch).expect("nothing is lost or made up");
    postcard::to_stdvec(&result).expect("memory takes it")
}

/// Bytes to begin with; the first tells of what.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut file = Vec::new();
    label().write(&mut file, &mut |out| out.write_all(b"contents")).expect("memory takes it");
    let of = |kind: u8, bytes: &[u8]| [&[kind][..], bytes].concat();
    let states = [3, 60, 300].map(|windows| of(b'1', &KEPT.after(windows, 1)[0]));
    let pieces = [60, 300].map(|windows| of(b'3', &joined(&KEPT.after(windows, 2))));
    [of(b'0', &file), of(b'2', &result())].into_iter().chain(states).chain(pieces).collect()
}

pub(crate) fn checkpoint(bytes: &[u8]) -> String {
    match chosen(bytes, 4) {
        (0, bytes) => {
            let mut repaired = bytes.to_vec();
            if let Some((body, hash)) = repaired.split_last_chunk_mut::<HASH_BYTES>() {
                *hash = *blake3::hash(body).as_bytes();
            }
            format!("file {} {}", file(bytes), file(&repaired))
        }
        (1, bytes) => format!("state {}", state(&[bytes], Share::WHOLE)),
        (3, bytes) => {
            let (len, bytes) = bytes.split_first_chunk().unwrap_or((&[0; 4], bytes));
            let (one, other) = bytes.split_at(bytes.len().min(u32::from_le_bytes(*len) as usize));
            let shares = [Share::WHOLE, Share::new(0, 2), Share::new(1, 2)];
            format!("pieces {}", shares.map(|share| state(&[one, other], share)).join(" "))
        }
        (_, bytes) => match postcard::from_bytes::<PointResult>(bytes) {
            Ok(result) => {
                format!("result of 2^{} nodes, {} figures", result.nodes().max(1).ilog2(), result.figures.len())
            }
            Err(error) => format!("result {}", words(&error.to_string())),
        },
    }
}

fn file(bytes: &[u8]) -> String {
    match StoredPart::open(Cursor::new(bytes)) {
        Ok(mut stored) => {
            let mut contents = Vec::new();
            let read = stored.file.by_ref().take(stored.bytes).read_to_end(&mut contents);
            assert_eq!(read.expect("memory gives it") as u64, stored.bytes);
            match label().check(&stored.label) {
                Ok(()) => format!("2^{}", stored.bytes.max(1).ilog2()),
                Err(error) => words(&error.to_string()),
            }
        }
        Err(error) => words(&error.to_string()),
    }
}

/// Counts what is read.
struct Counted {
    bytes: Cursor<Vec<u8>>,
    read: Rc<Cell<usize>>,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(to)?;
        self.read.set(self.read.get() + read);
        Ok(read)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

fn state(pieces: &[&[u8]], share: Share) -> String {
    let read = Rc::new(Cell::new(0));
    let open = |number: usize| {
        let bytes = pieces[number].to_vec();
        let len = bytes.len() as u64;
        Ok(Piece::new(Counted { bytes: Cursor::new(bytes), read: Rc::clone(&read) }, len))
    };
    let restored = Checkpoint::open(pieces.len(), &open)
        .and_then(|checkpoint| KEPT.simulation(share).restore(&checkpoint).map(drop));
    let all: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert!(read.get() <= 10 * all, "{} bytes are read of {all}", read.get());
    match restored {
        Ok(()) => format!("of 2^{} bytes", all.ilog2()),
        // How much was read tells how far it came.
        Err(error) => format!("{} {}", words(&error.to_string()), read.get().max(1).ilog2()),
    }
}
