//! `qnetsim report`: results as one page for a browser.

use std::path::{Path, PathBuf};

use clap::Args;

use super::plot::refused;
use super::{Failure, print};
use crate::report::{RESULTS_MAX, ResultFolder, report_html, write_results};

pub(super) const REPORT_EXAMPLES: &str = "Examples:
  qnetsim report results/dissemination -o report.html
  qnetsim report results/network-load results/detection results/claims -o all.html";

/// Arguments of `qnetsim report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Folders of results, as `run`, `claims --out` or `registry bench` write them.
    #[arg(required = true, value_name = "DIR", num_args = 1..=RESULTS_MAX)]
    folders: Vec<PathBuf>,

    /// The page.
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
}

/// Writes the page about the folders of `args`, and says where it is.
pub(super) fn report(args: &ReportArgs) -> Result<(), Failure> {
    let folders = args.folders.iter().map(|folder| ResultFolder::open(folder)).collect::<Result<Vec<_>, _>>();
    let page = report_html(&folders.map_err(|error| refused(&error))?).map_err(|error| refused(&error))?;
    let Some(name) = args.out.file_name() else {
        let message = format!("error: {} does not name a file: write -o report.html", args.out.display());
        return Err(Failure { code: Failure::BAD_SCENARIO, message });
    };
    let folder = args.out.parent().unwrap_or(Path::new(""));
    write_results(folder, &[(name, page)]).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
    print(&format!("{}\n", args.out.display()))
}
