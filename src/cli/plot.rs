//! `qnetsim plot`: charts from the files of a result.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Failure, print};
use crate::report::{
    Choice, Kind, Picture, PlotError, ReadError, ResultFolder, Theme, check_writable, pictures, write_results,
};

pub(super) const PLOT_EXAMPLES: &str = "Examples:
  qnetsim plot results/network-load
  qnetsim plot results/detection --kind detection --theme dark -o pictures
  qnetsim plot results/mobile --kind battery --format png -o pictures
  qnetsim plot results/my-sweep --kind sweep --metric detection.p99 --where network.loss=0.01";

/// Arguments of `qnetsim plot`.
#[derive(Debug, Args)]
pub(super) struct PlotArgs {
    /// Folder of a result, as `run` or `registry bench` writes it.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// What to draw; all that the folder has data for if not given. May be repeated.
    #[arg(long = "kind", value_enum, value_name = "KIND")]
    kinds: Vec<KindName>,

    /// For which paper.
    #[arg(long, value_enum, default_value_t = ThemeName::Light)]
    theme: ThemeName,

    /// SVG has tooltips and is the same on every machine.
    #[arg(long, value_enum, default_value_t = Format::Svg)]
    format: Format,

    /// Folder for the pictures; that of the result if not given.
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Of a sweep, the one metric to draw; each if not given.
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,

    /// Of a sweep, an axis that stays at a value. May be repeated.
    #[arg(long = "where", value_name = "AXIS=VALUE", value_parser = axis_value)]
    fixed: Vec<(String, String)>,
}

fn axis_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((axis, value)) if !axis.is_empty() => Ok((axis.to_owned(), value.to_owned())),
        _ => Err("write AXIS=VALUE, for example network.loss=0.01".to_owned()),
    }
}

/// A kind of chart, by its name.
#[derive(Clone, Copy, Debug)]
struct KindName(Kind);

impl ValueEnum for KindName {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: [KindName; Kind::ALL.len()] = {
            let mut all = [KindName(Kind::NetworkLoad); Kind::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = KindName(Kind::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let help = match self.0 {
            Kind::NetworkLoad => "Message rate by number of nodes, beside documented rates",
            Kind::Bandwidth => "Bandwidth by type of node, beside documented budgets",
            Kind::Coverage => "Share of nodes that have a message, over time",
            Kind::Latency => "Delays of messages, as far as percentiles tell",
            Kind::Detection => "How soon failures are noticed, against what that costs",
            Kind::Battery => "Battery life of mobile nodes",
            Kind::RegistryDisk => "Registries on disk, by users",
            Kind::RegistryLookup => "Lookups in registries, by users",
            Kind::Sweep => "Metrics of a sweep: lines over one axis, heat maps over two",
        };
        Some(clap::builder::PossibleValue::new(self.0.name()).help(help))
    }
}

/// A theme, by its name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ThemeName {
    /// White paper.
    Light,
    /// A dark screen; the names of files end in -dark.
    Dark,
}

impl From<ThemeName> for Theme {
    fn from(name: ThemeName) -> Theme {
        match name {
            ThemeName::Light => Theme::Light,
            ThemeName::Dark => Theme::Dark,
        }
    }
}

/// What pictures are written as.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines and letters.
    Svg,
    /// Pixels, 1280 across.
    Png,
}

/// Draws what `args` ask for, and says which files were written.
pub(super) fn plot(args: &PlotArgs) -> Result<(), Failure> {
    let folder = ResultFolder::open(&args.folder).map_err(|error| refused(&error))?;
    let choice = Choice { metric: args.metric.clone(), fixed: args.fixed.clone() };
    let drawn = drawn(&folder, args, &choice)?;
    let out = args.out.as_deref().unwrap_or(&args.folder);
    check_writable(out).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
    let theme = args.theme.into();
    let files: Vec<(String, Vec<u8>)> = drawn
        .iter()
        .map(|picture| match args.format {
            Format::Svg => (format!("{}.svg", picture.file_name(theme)), picture.svg(theme)),
            Format::Png => (format!("{}.png", picture.file_name(theme)), picture.png(theme)),
        })
        .collect();
    let by_name: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    write_results(out, &by_name).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
    let lines: String = files.iter().map(|(name, _)| format!("{}\n", out.join(name).display())).collect();
    print(&lines)
}

/// The pictures of the kinds that `args` name, or of all that there are data for.
fn drawn(folder: &ResultFolder<'_>, args: &PlotArgs, choice: &Choice) -> Result<Vec<Picture>, Failure> {
    let mut drawn = Vec::new();
    for KindName(kind) in &args.kinds {
        let some = pictures(folder, *kind, choice).map_err(|error| not_drawn(&error))?;
        if some.is_empty() {
            let (needs, made_by) = kind.needs();
            let message = format!(
                "error: {} has nothing for the chart {}: it needs {needs}\n  make it with `{made_by}`",
                args.folder.display(),
                kind.name()
            );
            return Err(Failure { code: Failure::INPUT_OUTPUT, message });
        }
        drawn.extend(some);
    }
    if args.kinds.is_empty() {
        for kind in Kind::ALL {
            drawn.extend(pictures(folder, kind, choice).map_err(|error| not_drawn(&error))?);
        }
        if drawn.is_empty() {
            return Err(nothing(&args.folder));
        }
    }
    Ok(drawn)
}

/// What a folder without data is missing.
fn nothing(folder: &Path) -> Failure {
    let mut message = format!("error: {} has nothing to draw; charts need one of\n", folder.display());
    for kind in Kind::ALL {
        let (needs, made_by) = kind.needs();
        message += &format!("  {}: {needs} (`{made_by}`)\n", kind.name());
    }
    Failure { code: Failure::INPUT_OUTPUT, message }
}

fn not_drawn(error: &PlotError) -> Failure {
    match error {
        PlotError::Read(error) => refused(error),
        PlotError::Choice(message) => Failure { code: Failure::BAD_SCENARIO, message: format!("error: {message}") },
    }
}

/// The failure of a folder whose files are refused.
pub(super) fn refused(error: &ReadError) -> Failure {
    let code = match error {
        ReadError::Io { .. } | ReadError::Newer { .. } => Failure::INPUT_OUTPUT,
        ReadError::Malformed { .. } => Failure::BAD_SCENARIO,
    };
    Failure::of(code, error)
}
