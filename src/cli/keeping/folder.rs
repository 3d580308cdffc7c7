//! The folder of a checkpoint: the run, the results of its finished points, and the state of the one under way.
//!
//! Of a state, every rank writes its shares, a file for each of its threads, all at the same time; then the first rank writes
//! the file of the state, which names them all. Until that has its name the state before stands, with its shares.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use serde::{Deserialize, Serialize};

use super::super::Failure;
use super::super::ranks::Company;
use super::super::steps::step;
use crate::engine::{Piece, Snapshot};
use crate::metrics::PointResult;
use crate::report::{WriteError, remove_files, temporary_files, write_streamed};
use crate::results::{CHECKPOINT_FOLDER, Label, Part, Seal, StoredPart, UnusableError};

/// The file of the run: a folder without it holds no checkpoint.
const RUN_FILE: &str = "run";
/// How the names of files end that have a share of a state.
const SHARE_END: &str = ".share";
/// Longest note of a run or of a state, and longest result of a point, in bytes.
const NOTE_BYTES_MAX: u64 = 16_000_000;
const RESULT_BYTES_MAX: u64 = 1 << 30;
/// Most points of a run that are looked for; scenarios have fewer.
const POINTS_MAX: u32 = 100_000;

/// A run, as its checkpoint has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct RunNote {
    /// The scenario file, beside which the files are that it names.
    pub(in crate::cli) file: String,
    /// The command, as results have it.
    pub(in crate::cli) command: String,
    /// The effective scenario.
    pub(in crate::cli) effective: String,
    /// How many points it has.
    pub(in crate::cli) points: u32,
    /// Threads, if they were given.
    pub(in crate::cli) threads: Option<u16>,
    /// Milliseconds between checkpoints, if they were asked for.
    pub(in crate::cli) every_ms: Option<u64>,
}

/// Which files the state of a point is in.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateNote {
    /// The simulated time at which it was written, in nanoseconds, which is part of their names.
    at_ns: u64,
    /// What each rank wrote, each piece a file.
    shares: Vec<Vec<Seal>>,
}

impl StateNote {
    /// The names of all files of the state of `point`, and what tells each from all others.
    fn files(&self, point: usize) -> Vec<(String, &Seal)> {
        let mut files = Vec::new();
        for (rank, seals) in self.shares.iter().enumerate() {
            for (piece, seal) in seals.iter().enumerate() {
                files.push((Folder::share_file(point, self.at_ns, rank, piece), seal));
            }
        }
        files
    }
}

/// The state of a point, of which all files are there.
pub(super) struct KeptState {
    shares: Vec<KeptShare>,
}

struct KeptShare {
    path: PathBuf,
    start: u64,
    bytes: u64,
}

impl KeptState {
    /// How many files it is in.
    pub(super) fn len(&self) -> usize {
        self.shares.len()
    }

    /// What is in the file with this number.
    pub(super) fn piece(&self, number: usize) -> io::Result<Piece> {
        let KeptShare { path, start, bytes } = &self.shares[number];
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(*start))?;
        Ok(Piece::new(file, *bytes))
    }
}

/// Where a run is kept.
#[derive(Debug)]
pub(in crate::cli) struct Folder {
    path: PathBuf,
    /// Hash and seed of the scenario.
    scenario: (String, u64),
    note: RunNote,
    /// Whether what is in the folder is of this run.
    is_begun: bool,
}

/// The hash of the program.
fn program_hash() -> io::Result<&'static str> {
    static HASH: OnceLock<String> = OnceLock::new();
    if let Some(hash) = HASH.get() {
        return Ok(hash);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(std::env::current_exe()?)?)?;
    Ok(HASH.get_or_init(|| hasher.finalize().to_hex().to_string()))
}

/// The label of a part of the run of the scenario with this hash and seed, of the run itself if `point` is zero.
fn label_of((scenario, seed): &(String, u64), part: Part, point: u32) -> Result<Label, Failure> {
    let program = program_hash().map_err(|error| Failure {
        code: Failure::INPUT_OUTPUT,
        message: format!("error: cannot read the program itself, which a checkpoint is tied to: {error}"),
    })?;
    Ok(Label {
        part,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        program: program.to_owned(),
        scenario: scenario.clone(),
        seed: *seed,
        point,
    })
}

fn unusable(path: &Path, error: &UnusableError) -> Failure {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Failure {
        code: Failure::INPUT_OUTPUT,
        message: format!("error: cannot go on from {}: {error}{source}", path.display()),
    }
}

fn unwritten(error: &WriteError) -> Failure {
    Failure::of(Failure::INPUT_OUTPUT, error)
}

/// The file `path`, if it is there.
fn opened(path: &Path) -> Result<Option<File>, Failure> {
    let refused = |error: UnusableError| unusable(path, &error);
    match fs::metadata(path) {
        // Before it is opened: a pipe would keep the program waiting for ever.
        Ok(metadata) if !metadata.is_file() => return Err(refused(UnusableError::NoCheckpoint)),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error.into())),
    }
    File::open(path).map(Some).map_err(|error| refused(error.into()))
}

/// The part in the file `path`, if that is there.
fn part(path: &Path) -> Result<Option<StoredPart<File>>, Failure> {
    let Some(file) = opened(path)? else { return Ok(None) };
    StoredPart::open(file).map(Some).map_err(|error| unusable(path, &error))
}

/// All contents of `stored`, at most `bytes_max`.
fn contents(path: &Path, stored: StoredPart<File>, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let too_long = || UnusableError::Damaged(format!("it has more than {bytes_max} bytes"));
    if stored.bytes > bytes_max {
        return Err(unusable(path, &too_long()));
    }
    let mut bytes = Vec::new();
    let read = stored.file.take(stored.bytes).read_to_end(&mut bytes);
    read.map_err(|error| unusable(path, &error.into()))?;
    Ok(bytes)
}

/// The names in `folder`; none if it cannot be read.
fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// Whether the folder `results` of a scenario's results has a checkpoint.
pub(in crate::cli) fn is_kept(results: &Path) -> bool {
    results.join(CHECKPOINT_FOLDER).join(RUN_FILE).exists()
}

impl Folder {
    /// Where the run of `note`, of the scenario with this hash and seed, will be kept in its folder of `results`.
    /// Nothing is written yet.
    pub(in crate::cli) fn new(results: &Path, note: RunNote, scenario: &str, seed: u64) -> Self {
        Folder { path: results.join(CHECKPOINT_FOLDER), scenario: (scenario.to_owned(), seed), note, is_begun: false }
    }

    /// The run that is kept in its folder of `results`, if one is.
    pub(in crate::cli) fn open(results: &Path) -> Result<Option<Self>, Failure> {
        let path = results.join(CHECKPOINT_FOLDER);
        let file = path.join(RUN_FILE);
        let Some(stored) = part(&file)? else { return Ok(None) };
        let label = stored.label.clone();
        let scenario = (label.scenario.clone(), label.seed);
        label_of(&scenario, Part::Run, 0)?.check(&label).map_err(|error| unusable(&file, &error))?;
        let note: RunNote = serde_json::from_slice(&contents(&file, stored, NOTE_BYTES_MAX)?)
            .map_err(|error| unusable(&file, &UnusableError::Damaged(error.to_string())))?;
        if note.points > POINTS_MAX {
            return Err(unusable(&file, &UnusableError::Damaged("it has more points than any scenario".to_owned())));
        }
        Ok(Some(Folder { path, scenario, note, is_begun: true }))
    }

    pub(in crate::cli) fn note(&self) -> &RunNote {
        &self.note
    }

    /// Refuses a scenario that is not the one that is kept.
    pub(in crate::cli) fn check_scenario(&self, hash: &str, seed: u64, points: usize) -> Result<(), Failure> {
        let (own_hash, own_seed) = &self.scenario;
        if (own_hash.as_str(), *own_seed, self.note.points as usize) == (hash, seed, points) {
            return Ok(());
        }
        let reason = "files that its scenario names have changed since".to_owned();
        Err(unusable(&self.path.join(RUN_FILE), &UnusableError::Foreign(reason)))
    }

    fn label(&self, part: Part, point: usize) -> Result<Label, Failure> {
        label_of(&self.scenario, part, point as u32 + 1)
    }

    fn state_file(point: usize) -> String {
        format!("point-{}.state", point + 1)
    }

    /// The file of a piece of what rank `rank` has of the state of a point at a time. There is one checkpoint at a time, so what
    /// another checkpoint names is never written over.
    fn share_file(point: usize, at_ns: u64, rank: usize, piece: usize) -> String {
        format!("point-{}-{at_ns}-{rank}-{piece}{SHARE_END}", point + 1)
    }

    fn result_file(point: usize) -> String {
        format!("point-{}.result", point + 1)
    }

    /// Makes the folder that of this run, unless it is.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        if self.is_begun {
            return Ok(());
        }
        self.clear()?;
        let note = serde_json::to_vec(&self.note).expect("texts and numbers are JSON");
        let label = label_of(&self.scenario, Part::Run, 0)?;
        let write = &mut |out: &mut dyn Write| label.write(out, &mut |out| out.write_all(&note)).map(drop);
        write_streamed(&self.path, RUN_FILE, write).map_err(|error| unwritten(&error))?;
        self.is_begun = true;
        step("run-noted");
        Ok(())
    }

    /// Keeps the state of a point that is under way, of which every process of `company` has a share. If one of them cannot
    /// write, all of them fail, and the state before stands.
    pub(super) fn keep_state(
        &mut self,
        point: usize,
        snapshot: &Snapshot<'_>,
        company: &Company<'_>,
    ) -> Result<(), Failure> {
        company.first(|| self.begin())?;
        let at_ns = snapshot.time.as_nanos();
        let own = self.keep_shares(point, company.share().rank(), snapshot);
        // Of a rank that failed comes nothing.
        let sent =
            own.as_ref().map_or_else(|_| Vec::new(), |seals| postcard::to_stdvec(seals).expect("memory takes it"));
        let seals: Option<Vec<Vec<Seal>>> =
            company.gather(sent).iter().map(|seals| postcard::from_bytes(seals).ok()).collect();
        let noted = match seals {
            Some(shares) if company.is_first() => self.note_state(point, &StateNote { at_ns, shares }),
            _ => Ok(()),
        };
        company.agree(own.and(noted))
    }

    /// Writes what this process has of the state of a point, as rank `rank`: all pieces at the same time, since it is encoding
    /// that takes long.
    fn keep_shares(&self, point: usize, rank: usize, snapshot: &Snapshot<'_>) -> Result<Vec<Seal>, Failure> {
        let at_ns = snapshot.time.as_nanos();
        let keep = |piece| self.keep_share(&Folder::share_file(point, at_ns, rank, piece), point, snapshot, piece);
        thread::scope(|scope| {
            // The first in this thread.
            let others: Vec<_> = (1..snapshot.pieces).map(|piece| scope.spawn(move || keep(piece))).collect();
            let first = std::iter::once(keep(0));
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            first.chain(others).collect()
        })
    }

    /// Writes a piece of what this process has of the state of a point.
    fn keep_share(&self, name: &str, point: usize, snapshot: &Snapshot<'_>, piece: usize) -> Result<Seal, Failure> {
        let label = self.label(Part::Share, point)?;
        let mut seal = None;
        let write = &mut |out: &mut dyn Write| {
            step("state-begun");
            let sealed =
                label.write(&mut Halves { out, is_half: false }, &mut |out| snapshot.write_piece(piece, out))?;
            step("state-written");
            seal = Some(sealed);
            Ok(())
        };
        write_streamed(&self.path, name, write).map_err(|error| unwritten(&error))?;
        step("share-kept");
        Ok(seal.expect("what is written is sealed"))
    }

    /// Makes what `note` says the state of a point, and removes what was its state before.
    fn note_state(&self, point: usize, note: &StateNote) -> Result<(), Failure> {
        for (name, seal) in note.files(point) {
            let path = self.path.join(name);
            if fs::metadata(&path).map(|metadata| metadata.len()).ok() != Some(seal.bytes) {
                let message = format!(
                    "error: {}, which another rank has written, is not there\n  all ranks must write into the same folder: \
                     choose one with --out that their machines share",
                    path.display()
                );
                return Err(Failure { code: Failure::INPUT_OUTPUT, message });
            }
        }
        let label = self.label(Part::State, point)?;
        let contents = serde_json::to_vec(note).expect("texts and numbers are JSON");
        let write = &mut |out: &mut dyn Write| label.write(out, &mut |out| out.write_all(&contents)).map(drop);
        write_streamed(&self.path, &Folder::state_file(point), write).map_err(|error| unwritten(&error))?;
        step("state-kept");
        self.remove_shares(point, Some(note))?;
        step("shares-removed");
        Ok(())
    }

    /// Removes all shares of the state of a point but those that `note` names.
    fn remove_shares(&self, point: usize, note: Option<&StateNote>) -> Result<(), Failure> {
        let prefix = format!("point-{}-", point + 1);
        // A rank that has many threads has as many files.
        let named: BTreeSet<String> =
            note.into_iter().flat_map(|note| note.files(point)).map(|(name, _)| name).collect();
        let is_gone = |name: &String| name.starts_with(&prefix) && name.ends_with(SHARE_END) && !named.contains(name);
        let gone: Vec<String> = names(&self.path).filter(is_gone).collect();
        remove_files(&self.path, &gone).map_err(|error| unwritten(&error))
    }

    /// Keeps the result of a finished point, in place of its state.
    pub(super) fn keep_result(&mut self, point: usize, result: &PointResult) -> Result<(), Failure> {
        self.begin()?;
        let label = self.label(Part::Result, point)?;
        let bytes = postcard::to_stdvec(result).expect("memory takes a result");
        let write = &mut |out: &mut dyn Write| label.write(out, &mut |out| out.write_all(&bytes)).map(drop);
        write_streamed(&self.path, &Folder::result_file(point), write).map_err(|error| unwritten(&error))?;
        step("result-kept");
        // First the file without which the shares are none.
        remove_files(&self.path, &[Folder::state_file(point)]).map_err(|error| unwritten(&error))?;
        self.remove_shares(point, None)
    }

    /// Whether the result of a finished point is kept.
    pub(super) fn has_result(&self, point: usize) -> bool {
        self.is_begun && self.path.join(Folder::result_file(point)).exists()
    }

    /// The result of a finished point, if it is kept.
    pub(super) fn result(&self, point: usize) -> Result<Option<PointResult>, Failure> {
        let path = self.path.join(Folder::result_file(point));
        let Some(stored) = self.own(&path, Part::Result, point)? else { return Ok(None) };
        let bytes = contents(&path, stored, RESULT_BYTES_MAX)?;
        let result = postcard::from_bytes(&bytes);
        result.map(Some).map_err(|error| unusable(&path, &UnusableError::Damaged(error.to_string())))
    }

    /// The state of a point that is under way, if it is kept. The processes of `company` share the work of finding out whether
    /// all of it is whole; if it is not, it is refused by all.
    pub(super) fn state(&self, point: usize, company: &Company<'_>) -> Result<Option<KeptState>, Failure> {
        let path = self.state_path(point);
        let note = self.own(&path, Part::State, point).and_then(|stored| {
            let Some(stored) = stored else { return Ok(None) };
            let bytes = contents(&path, stored, NOTE_BYTES_MAX)?;
            let note = serde_json::from_slice::<StateNote>(&bytes);
            note.map(Some).map_err(|error| unusable(&path, &UnusableError::Damaged(error.to_string())))
        });
        let Some(note) = company.agree(note)? else { return Ok(None) };
        let shares = note.files(point).into_iter().enumerate().map(|(number, (name, seal))| {
            let is_checked = number % company.share().ranks() == company.share().rank();
            self.share(self.path.join(name), point, seal, is_checked)
        });
        let shares = company.agree(shares.collect())?;
        // What was never named, or is no longer.
        company.first(|| self.remove_shares(point, Some(&note)))?;
        Ok(Some(KeptState { shares }))
    }

    /// The share in the file `path`, which must have this `seal`; all of it is read if `is_checked`.
    fn share(&self, path: PathBuf, point: usize, seal: &Seal, is_checked: bool) -> Result<KeptShare, Failure> {
        let refused = |error: UnusableError| unusable(&path, &error);
        let Some(file) = opened(&path)? else {
            return Err(refused(UnusableError::Damaged("a part of it is missing".to_owned())));
        };
        let mut stored = StoredPart::begin(file).map_err(refused)?;
        if is_checked {
            stored.check_hash().map_err(refused)?;
        }
        self.label(Part::Share, point)?.check(&stored.label).map_err(refused)?;
        if stored.seal != *seal {
            return Err(refused(UnusableError::Damaged("it is not what the checkpoint has there".to_owned())));
        }
        let StoredPart { start, bytes, .. } = stored;
        Ok(KeptShare { path, start, bytes })
    }

    /// The file of the state of a point.
    pub(super) fn state_path(&self, point: usize) -> PathBuf {
        self.path.join(Folder::state_file(point))
    }

    fn own(&self, path: &Path, of: Part, point: usize) -> Result<Option<StoredPart<File>>, Failure> {
        let Some(stored) = self.is_begun.then(|| part(path)).transpose()?.flatten() else { return Ok(None) };
        self.label(of, point)?.check(&stored.label).map_err(|error| unusable(path, &error))?;
        Ok(Some(stored))
    }

    /// Removes what was kept, when the run has ended well.
    pub(in crate::cli) fn forget(&mut self) -> Result<(), Failure> {
        self.clear()?;
        self.is_begun = false;
        step("checkpoint-removed");
        Ok(())
    }

    /// Removes all files that a checkpoint may have: first the one without which it is none.
    fn clear(&self) -> Result<(), Failure> {
        remove_files(&self.path, &[RUN_FILE.to_owned()]).map_err(|error| unwritten(&error))?;
        step("run-forgotten");
        let ends = [".state", ".result", SHARE_END];
        let is_part = |name: &String| name.starts_with("point-") && ends.iter().any(|end| name.ends_with(end));
        let mut parts: Vec<String> = names(&self.path).filter(is_part).collect();
        parts.extend(temporary_files(&self.path));
        remove_files(&self.path, &parts).map_err(|error| unwritten(&error))
    }
}

/// Passes on what is written, and takes a step before the second piece.
struct Halves<'w> {
    out: &'w mut dyn Write,
    is_half: bool,
}

impl Write for Halves<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_half && bytes.len() > 1_000 {
            self.is_half = true;
            let half = self.out.write(&bytes[..bytes.len() / 2])?;
            step("state-half-written");
            return Ok(half);
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
