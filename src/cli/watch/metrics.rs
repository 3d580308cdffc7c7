//! `--metrics-file`: how far a command is, as lines of JSON.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::Serialize;

use super::super::Failure;
use super::failed;
use crate::contract::SimSpan;
use crate::engine::Progress;
use crate::metrics::{EngineFigures, PointResult, resident_memory};
use crate::scenario::{Point, Scenario, plan};

/// Lines are at least this far apart, but for the last one.
const APART_MIN: Duration = Duration::from_secs(1);
/// Lines are at most this far apart, so that who watches can tell a command that hangs.
const APART_MAX: Duration = Duration::from_secs(60);
/// Lines come this often in the time so far, so that the file of a long command stays short.
const LINES_IN_TIME: u32 = 100;

/// A point that is simulated.
struct Active {
    id: u64,
    scenario: String,
    approach: String,
    nodes: u32,
    seed: u64,
    span: SimSpan,
    weight: f64,
    progress: Arc<Progress>,
}

impl Active {
    /// How much of its time was simulated, from 0 to 1.
    fn share(&self) -> f64 {
        (self.progress.now().as_nanos() as f64 / self.span.as_nanos().max(1) as f64).min(1.0)
    }
}

/// How far the command is.
struct State {
    command: String,
    /// How many points there are, and the events they are predicted to have; `None` where nobody can tell.
    expected: Option<(usize, f64)>,
    points_done: usize,
    /// Predicted events of points that are done.
    weight_done: f64,
    /// Events of points that are done.
    events_done: u64,
    active: Vec<Active>,
    id_next: u64,
    exit_code: Option<u8>,
    error: Option<io::Error>,
}

/// A stream of lines, and the thread that writes it.
struct Stream {
    path: PathBuf,
    state: Mutex<State>,
    is_over: Condvar,
    writer: Mutex<Option<JoinHandle<()>>>,
}

static STREAM: OnceLock<Arc<Stream>> = OnceLock::new();

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    unix_s: f64,
    elapsed_s: f64,
    command: &'a str,
    points: Option<usize>,
    points_done: usize,
    events: u64,
    events_per_s: u64,
    memory_bytes: u64,
    left_s: Option<f64>,
    running: Vec<Running<'a>>,
    exit_code: Option<u8>,
}

/// A point of a line.
#[derive(Serialize)]
struct Running<'a> {
    scenario: &'a str,
    approach: &'a str,
    nodes: u32,
    seed: u64,
    simulated_s: f64,
    span_s: f64,
    events: u64,
}

/// Whole milliseconds of `seconds`, in seconds.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

impl State {
    fn events(&self) -> u64 {
        self.events_done + self.active.iter().map(|point| point.progress.events()).sum::<u64>()
    }

    /// What is left of `elapsed` at the speed so far, by predicted events.
    fn left(&self, elapsed: Duration) -> Option<f64> {
        let (_, all) = self.expected?;
        let done = self.weight_done + self.active.iter().map(|point| point.weight * point.share()).sum::<f64>();
        (done > 0.0).then(|| rounded((all / done - 1.0).max(0.0) * elapsed.as_secs_f64()))
    }

    /// The line after `elapsed`, which comes `since` after a line with `events_before` events.
    fn line(&self, elapsed: Duration, since: Duration, events_before: u64) -> Vec<u8> {
        let seconds = |nanos: u64| rounded(nanos as f64 / 1e9);
        let running = self.active.iter().map(|point| Running {
            scenario: &point.scenario,
            approach: &point.approach,
            nodes: point.nodes,
            seed: point.seed,
            simulated_s: seconds(point.progress.now().as_nanos()),
            span_s: seconds(point.span.as_nanos()),
            events: point.progress.events(),
        });
        // Who watches several machines wants to know when it was; a clock before 1970 is none.
        let unix = UNIX_EPOCH.elapsed().unwrap_or_default();
        let events = self.events();
        let line = Line {
            unix_s: rounded(unix.as_secs_f64()),
            elapsed_s: rounded(elapsed.as_secs_f64()),
            command: &self.command,
            points: self.expected.map(|(points, _)| points),
            points_done: self.points_done,
            events,
            events_per_s: (events.saturating_sub(events_before) as f64 / since.as_secs_f64().max(1e-3)) as u64,
            memory_bytes: resident_memory(),
            left_s: self.left(elapsed),
            running: running.collect(),
            exit_code: self.exit_code,
        };
        // Numbers, strings and lists of them can be written.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

impl Stream {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until the command is over or the file takes no more.
    fn write(&self, mut file: File) {
        let start = now();
        let (mut elapsed, mut events) = (Duration::ZERO, 0);
        let mut state = self.state();
        loop {
            let apart = (elapsed / LINES_IN_TIME).clamp(APART_MIN, APART_MAX);
            let is_running = |state: &mut State| state.exit_code.is_none();
            let (guard, _) =
                self.is_over.wait_timeout_while(state, apart, is_running).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            let before = std::mem::replace(&mut elapsed, start.elapsed());
            let line = state.line(elapsed, elapsed - before, events);
            events = state.events();
            let is_last = state.exit_code.is_some();
            // The simulation need not wait for the disk.
            drop(state);
            let written = file.write_all(&line).and_then(|()| file.flush());
            state = self.state();
            match written {
                // A reader that has gone away is no error.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
                Err(error) => {
                    state.error = Some(error);
                    return;
                }
                Ok(()) if is_last => return,
                Ok(()) => {}
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a run takes is told beside its results, never in them")]
fn now() -> Instant {
    Instant::now()
}

/// Begins to append lines about `command` to the file `path`.
pub(super) fn start(path: &Path, command: &str) -> Result<(), Failure> {
    let file = open(path).map_err(|error| failed(path, &error))?;
    let state = State {
        command: command.to_owned(),
        expected: None,
        points_done: 0,
        weight_done: 0.0,
        events_done: 0,
        active: Vec::new(),
        id_next: 0,
        exit_code: None,
        error: None,
    };
    let stream =
        Stream { path: path.to_owned(), state: Mutex::new(state), is_over: Condvar::new(), writer: Mutex::default() };
    let stream = Arc::clone(STREAM.get_or_init(|| Arc::new(stream)));
    let shared = Arc::clone(&stream);
    let writer = std::thread::Builder::new().name("metrics".to_owned()).spawn(move || shared.write(file));
    *stream.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer.map_err(|error| failed(path, &error))?);
    Ok(())
}

/// Opens `path` to append to it. A line that an earlier command could not end is ended.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::options().create(true).append(true).open(path)?;
    if file.metadata()?.is_file() && file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        let mut before = File::open(path)?;
        before.seek(SeekFrom::End(-1))?;
        before.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// Writes the last line, and returns what went wrong with the file, if anything did.
pub(super) fn finish(code: u8) -> Option<Failure> {
    let stream = STREAM.get()?;
    stream.state().exit_code = Some(code);
    stream.is_over.notify_all();
    let writer = stream.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    // The writer keeps its errors in the state.
    writer.map(JoinHandle::join);
    let error = stream.state().error.take()?;
    Some(failed(&stream.path, &error))
}

/// Makes known that all points of `scenario` will be simulated.
pub(in crate::cli) fn expect(scenario: &Scenario) {
    if STREAM.get().is_some() {
        scenario.points.iter().for_each(|point| expect_events(plan::forecast(scenario, point, 1).events));
    }
}

/// Makes known that a point will be simulated that is predicted to have so many `events`.
pub(in crate::cli) fn expect_events(events: u64) {
    if let Some(stream) = STREAM.get() {
        let mut state = stream.state();
        let (points, all) = state.expected.get_or_insert_default();
        (*points, *all) = (*points + 1, *all + events.max(1) as f64);
    }
}

/// Makes known that `count` points are there and need not be simulated.
pub(in crate::cli) fn keep(count: usize) {
    if let Some(stream) = STREAM.get() {
        let mut state = stream.state();
        state.expected.get_or_insert_default().0 += count;
        state.points_done += count;
    }
}

/// A point that is simulated, until it is dropped.
pub(in crate::cli) struct Watched {
    id: Option<u64>,
    is_done: bool,
}

/// Watches `progress` of `point`.
pub(in crate::cli) fn begin(scenario: &Scenario, point: &Point, progress: &Arc<Progress>) -> Watched {
    let (approach, nodes, seed) = (&*point.label, point.population.total(), scenario.seed);
    tracing::info!(scenario = scenario.name, approach, nodes, seed, "a point begins");
    let Some(stream) = STREAM.get() else { return Watched { id: None, is_done: false } };
    let weight = plan::forecast(scenario, point, 1).events.max(1) as f64;
    let mut state = stream.state();
    let id = state.id_next;
    state.id_next += 1;
    state.active.push(Active {
        id,
        scenario: scenario.name.clone(),
        approach: approach.to_owned(),
        nodes,
        seed,
        span: point.warmup + point.measure,
        weight,
        progress: Arc::clone(progress),
    });
    Watched { id: Some(id), is_done: false }
}

impl Watched {
    /// The point has its result.
    pub(in crate::cli) fn done(mut self, result: &PointResult) {
        let EngineFigures { events, seconds, peak_memory, .. } = result.engine;
        let (approach, nodes, seed) = (&*result.approach, result.population.total(), result.seed);
        tracing::info!(approach, nodes, seed, events, seconds, peak_memory, "a point ends");
        self.is_done = true;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let (Some(stream), Some(id)) = (STREAM.get(), self.id) else { return };
        let mut state = stream.state();
        let Some(place) = state.active.iter().position(|point| point.id == id) else { return };
        let point = state.active.remove(place);
        state.events_done += point.progress.events();
        if self.is_done {
            state.points_done += 1;
            state.weight_done += point.weight;
        }
    }
}
