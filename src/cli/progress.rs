//! Progress of a run on standard error: simulated time, events per second, time left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::{WIDTH, width};
use super::watch::log;
use crate::contract::SimSpan;
use crate::engine::Progress;
use crate::scenario::Scenario;

const REDRAW: Duration = Duration::from_millis(100);
/// Steps of the bar.
const STEPS: u64 = 1_000;

/// Where lines are drawn: nowhere if `quiet`, or among the lines of a log.
fn target(quiet: bool) -> ProgressDrawTarget {
    if quiet || log::is_on_stderr() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() }
}

/// A line that follows a run from a thread of its own. Shown only on a terminal.
pub(super) struct ProgressLine {
    bar: ProgressBar,
    done: Arc<AtomicBool>,
    drawer: Option<JoinHandle<()>>,
}

impl ProgressLine {
    /// Follows `progress` of point number `number` of `scenario`; draws nothing if `quiet`.
    pub(super) fn start(scenario: &Scenario, number: usize, progress: &Arc<Progress>, quiet: bool) -> Self {
        let (point, points) = (&scenario.points[number], scenario.points.len());
        let (approach, nodes, span) = (&point.label, point.population.total(), point.warmup + point.measure);
        let title = format!("{} {}/{points} {approach} {nodes}", scenario.name, number + 1);
        let bar = ProgressBar::with_draw_target(Some(STEPS), target(quiet));
        if bar.is_hidden() {
            return ProgressLine { bar, done: Arc::default(), drawer: None };
        }
        // On a narrow terminal what does not fit is cut off, instead of going on in the next line.
        let template = match width() < WIDTH {
            true => "{prefix} {wide_msg}",
            false => "{prefix} [{bar:20}] {msg} {elapsed}, {eta} left",
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.expect("the template is well-formed").progress_chars("=> "));
        bar.set_prefix(title);
        let done = Arc::new(AtomicBool::new(false));
        let (seen, shown, progress) = (Arc::clone(&done), bar.clone(), Arc::clone(progress));
        let drawer = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                let (now, events) = (progress.now().as_nanos(), progress.events());
                let share = u128::from(now) * u128::from(STEPS) / u128::from(span.as_nanos().max(1));
                shown.set_position(share as u64);
                let rate = events as f64 / shown.elapsed().as_secs_f64().max(1e-3) / 1e6;
                shown.set_message(format!(
                    "{} of {span} simulated, {rate:.1}M events/s",
                    SimSpan::from_secs(now / 1_000_000_000)
                ));
                std::thread::sleep(REDRAW);
            }
        });
        ProgressLine { bar, done, drawer: Some(drawer) }
    }
}

/// A line that counts the runs of a sweep that are done. Shown only on a terminal.
pub(super) struct RunsLine(ProgressBar);

impl RunsLine {
    /// A line for `count` runs of what `title` names; draws nothing if `quiet`.
    pub(super) fn start(title: &str, count: usize, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(count as u64), target(quiet));
        let template = match width() < WIDTH {
            true => "{prefix} {pos} of {len} runs",
            false => "{prefix} [{bar:20}] {pos} of {len} runs, {elapsed}, {eta} left",
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.expect("the template is well-formed").progress_chars("=> "));
        bar.set_prefix(title.to_owned());
        if !bar.is_hidden() {
            bar.enable_steady_tick(REDRAW * 5);
        }
        RunsLine(bar)
    }

    /// One more is done.
    pub(super) fn done(&self) {
        self.0.inc(1);
    }
}

impl Drop for RunsLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(drawer) = self.drawer.take() {
            // The drawer has nothing to say but its drawing.
            let _ = drawer.join();
        }
        self.bar.finish_and_clear();
    }
}
