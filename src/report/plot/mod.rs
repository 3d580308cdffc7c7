//! Charts from result files: what kinds there are, and what each needs.
//!
//! A kind reads the files of a result folder, which it takes for hostile input (`folder`), and makes `chart`s or
//! `heat` maps of them, which become a `scene` in the colours of a `theme`, and that the bytes of an SVG or a PNG.

mod axis;
mod bandwidth;
mod battery;
mod chart;
mod coverage;
mod detection;
mod heat;
mod latency;
mod network_load;
mod registry;
mod scene;
mod sweep;
#[cfg(test)]
mod tests;
mod theme;

use std::collections::BTreeMap;

use super::folder::{ReadError, ResultFolder, Row, Sheet};
use super::number::size;
use chart::SERIES_MAX;

pub(super) use axis::Axis;
pub(super) use chart::{Chart, Point, Series};
pub(super) use heat::HeatMap;
pub use theme::Theme;

/// A kind of chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Message rate against the number of nodes, beside documented rates.
    NetworkLoad,
    /// Bandwidth by type of node, beside documented budgets.
    Bandwidth,
    /// How many nodes have a message, over time.
    Coverage,
    /// Delays of messages.
    Latency,
    /// How soon failures are noticed, against what that costs.
    Detection,
    /// How long batteries last.
    Battery,
    /// What registries take on disk.
    RegistryDisk,
    /// How long lookups in registries take.
    RegistryLookup,
    /// Metrics of a sweep over its axes.
    Sweep,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 9] = [
        Kind::NetworkLoad,
        Kind::Bandwidth,
        Kind::Coverage,
        Kind::Latency,
        Kind::Detection,
        Kind::Battery,
        Kind::RegistryDisk,
        Kind::RegistryLookup,
        Kind::Sweep,
    ];

    /// The name on the command line, and of the file.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::NetworkLoad => "network-load",
            Kind::Bandwidth => "bandwidth",
            Kind::Coverage => "coverage",
            Kind::Latency => "latency",
            Kind::Detection => "detection",
            Kind::Battery => "battery",
            Kind::RegistryDisk => "registry-disk",
            Kind::RegistryLookup => "registry-lookup",
            Kind::Sweep => "sweep",
        }
    }

    /// What it is drawn from, and a command that makes that.
    pub const fn needs(self) -> (&'static str, &'static str) {
        match self {
            Kind::NetworkLoad => ("messages.csv with two sizes or more", "qnetsim run scenarios/network-load.toml"),
            Kind::Bandwidth => ("bandwidth.csv", "qnetsim run scenarios/bandwidth.toml"),
            Kind::Coverage => ("curves.csv with coverage-over-time", "qnetsim run scenarios/dissemination.toml"),
            Kind::Latency => ("latency.csv with messages", "qnetsim run scenarios/quickstart.toml"),
            Kind::Detection => {
                ("detection.csv with failures that were noticed", "qnetsim run scenarios/detection.toml")
            }
            Kind::Battery => ("figures.csv with the topic battery", "qnetsim run scenarios/mobile.toml"),
            Kind::RegistryDisk | Kind::RegistryLookup => ("registry-bench.csv", "qnetsim registry bench --users 1M"),
            Kind::Sweep => ("sweep-means.csv", "qnetsim run with a scenario that has a table [sweep]"),
        }
    }
}

/// Which part of a sweep is drawn.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The one metric; all if not given.
    pub metric: Option<String>,
    /// Axes that stay at a value.
    pub fixed: Vec<(String, String)>,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// A file is refused.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was asked for is not in the files.
    #[error("{0}")]
    Choice(String),
}

/// A picture that can be drawn in either theme.
#[derive(Debug)]
pub struct Picture {
    name: String,
    drawing: Drawing,
}

#[derive(Debug)]
enum Drawing {
    Chart(Chart),
    Heat(HeatMap),
}

impl Picture {
    fn chart(kind: Kind, chart: Chart) -> Picture {
        Picture { name: kind.name().to_owned(), drawing: Drawing::Chart(chart) }
    }

    /// The name of its file in `theme`, without what follows the dot.
    pub fn file_name(&self, theme: Theme) -> String {
        format!("{}{}", self.name, theme.suffix())
    }

    /// What is shown.
    pub fn title(&self) -> &str {
        match &self.drawing {
            Drawing::Chart(chart) => &chart.title,
            Drawing::Heat(heat) => &heat.title,
        }
    }

    fn scene(&self, theme: Theme) -> scene::Scene {
        match &self.drawing {
            Drawing::Chart(chart) => chart.scene(theme.colours()),
            Drawing::Heat(heat) => heat.scene(theme.colours()),
        }
    }

    /// The picture as SVG with tooltips, the same bytes on every machine.
    pub fn svg(&self, theme: Theme) -> Vec<u8> {
        self.scene(theme).svg(theme.colours())
    }

    /// The picture as PNG.
    pub fn png(&self, theme: Theme) -> Vec<u8> {
        self.scene(theme).png(theme.colours())
    }
}

/// The pictures of `kind` that `folder` has data for.
///
/// # Errors
/// If a file of the folder is refused, or `choice` names what is not there.
pub fn pictures(folder: &ResultFolder<'_>, kind: Kind, choice: &Choice) -> Result<Vec<Picture>, PlotError> {
    let chart = match kind {
        Kind::NetworkLoad => network_load::chart(folder)?,
        Kind::Bandwidth => bandwidth::chart(folder)?,
        Kind::Coverage => coverage::chart(folder)?,
        Kind::Latency => latency::chart(folder)?,
        Kind::Detection => detection::chart(folder)?,
        Kind::Battery => battery::chart(folder)?,
        Kind::RegistryDisk => registry::disk(folder)?,
        Kind::RegistryLookup => registry::lookup(folder)?,
        Kind::Sweep => return sweep::pictures(folder, choice),
    };
    Ok(chart.map(|chart| Picture::chart(kind, chart)).into_iter().collect())
}

/// CSS that turns inline SVGs of the light theme into the dark one.
pub(super) fn dark_css(selector: &str) -> String {
    let hex = |(red, green, blue): theme::Rgb| format!("#{red:02X}{green:02X}{blue:02X}");
    let (light, dark) = (Theme::Light.colours(), Theme::Dark.colours());
    let mut pairs = vec![(light.paper, dark.paper), (light.ink, dark.ink), (light.grid, dark.grid)];
    pairs.extend(light.series.into_iter().zip(dark.series));
    let rule = |(from, to): (theme::Rgb, theme::Rgb)| {
        let (from, to) = (hex(from), hex(to));
        format!("{selector} [fill=\"{from}\"]{{fill:{to}}}{selector} [stroke=\"{from}\"]{{stroke:{to}}}\n")
    };
    pairs.into_iter().map(rule).collect()
}

/// An approach at a size, as rows of results name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PointKey<'f> {
    approach: &'f str,
    nodes: u32,
}

impl<'f> PointKey<'f> {
    fn of(row: Row<'f>) -> Result<Self, ReadError> {
        Ok(PointKey { approach: row.text("approach"), nodes: row.nodes()? })
    }

    /// The approach at its size.
    fn name(self) -> String {
        format!("{} at {}", self.approach, size(self.nodes))
    }
}

/// The most rows that one chart is made of: some steps look through all groups for each row.
const CHART_ROWS_MAX: usize = 50_000;

/// The sheet `file` with `columns`, for a chart; `None` if there is none.
fn sheet(folder: &ResultFolder<'_>, file: &str, columns: &[&str]) -> Result<Option<Sheet>, ReadError> {
    let Some(sheet) = folder.sheet(file)? else { return Ok(None) };
    sheet.require(columns)?;
    if let Some(row) = sheet.rows().nth(CHART_ROWS_MAX) {
        return Err(row.refuse(format!("more than {CHART_ROWS_MAX} rows for one chart")));
    }
    Ok(Some(sheet))
}

/// Puts `value` to those of `key`, which keep the order in which they came.
fn group<K: PartialEq, V>(groups: &mut Vec<(K, Vec<V>)>, key: K, value: V) {
    match groups.iter_mut().rev().find(|(other, _)| *other == key) {
        Some((_, values)) => values.push(value),
        None => groups.push((key, vec![value])),
    }
}

/// Keeps of every approach the largest size alone. Returns what is to be said of that.
fn keep_largest<V>(groups: &mut Vec<(PointKey<'_>, V)>) -> Option<String> {
    let all = groups.len();
    let mut largest: BTreeMap<String, u32> = BTreeMap::new();
    for (key, _) in groups.iter() {
        let most = largest.entry(key.approach.to_owned()).or_default();
        *most = key.nodes.max(*most);
    }
    groups.retain(|(key, _)| largest.get(key.approach) == Some(&key.nodes));
    (groups.len() < all).then(|| "Of each approach, its largest size.".to_owned())
}

/// Keeps the first series of too many. Returns what is to be said of that.
fn keep_first<T>(series: &mut Vec<T>, what: &str) -> Option<String> {
    let all = series.len();
    series.truncate(SERIES_MAX);
    (all > SERIES_MAX).then(|| format!("The first {SERIES_MAX} of {all} {what}."))
}

/// What is said of where all points of a chart are: `, 100K nodes`; nothing where sizes differ.
fn common_size<'k>(mut keys: impl Iterator<Item = PointKey<'k>>) -> String {
    match keys.next() {
        Some(first) if keys.all(|key| key.nodes == first.nodes) => format!(", {} nodes", size(first.nodes)),
        _ => String::new(),
    }
}
