//! Distributions of spans of time: `{ model = "weibull", shape = 0.59, scale = "41.9min" }`.

use super::codes::Code;
use super::keys::Preset;
use super::problem::{Draft, Place};
use super::reader::{Reader, SPAN_MAX, Section};
use super::traces::Traces;
use super::tree::Value;
use crate::contract::SimSpan;
use crate::engine::{Distribution, PUBLISHED_NAMES, published};

const MODELS: &[&str] = &["exponential", "constant", "weibull", "lognormal", "pareto", "trace"];
/// Keys of every model, so that a stray one is told from an unknown one.
const KEYS: &[&str] = &["model", "value", "mean", "shape", "scale", "published", "median", "sigma", "file", "column"];
/// Shorter sessions than any network can notice.
const SPAN_MIN: SimSpan = SimSpan::from_millis(1);

/// The distribution `key` of `parent`, where it is written; in seconds.
pub(super) fn distribution(
    reader: &mut Reader,
    traces: &mut Traces,
    parent: &Section<'_>,
    key: &str,
) -> Option<Distribution> {
    let section = reader.section(parent, key, KEYS);
    if !section.is_table() {
        return None;
    }
    let Some(entry) = section.get("model") else {
        reader.lacks(section.at, format!("the {key} has no `model`"), "add model = \"exponential\"");
        return None;
    };
    reader.note_preset(&entry.value, Preset::Required);
    let model = MODELS[reader.choice(&entry.value, "a distribution", MODELS)?];
    let published = section.has("published");
    let own: &[&str] = match model {
        "constant" => &["value"],
        "weibull" if published => &["published"],
        "weibull" => &["shape", "scale", "published"],
        "lognormal" => &["median", "sigma"],
        "pareto" => &["shape", "scale"],
        "trace" => &["file", "column"],
        _ => &["mean"],
    };
    let before = reader.drafts.len();
    for key in KEYS.iter().filter(|key| **key != "model" && !own.contains(*key)) {
        if let Some(entry) = section.get(key) {
            let title = match (model, published) {
                ("weibull", true) => format!("`{key}` has no meaning beside `published`, which sets shape and scale"),
                _ => format!("`{key}` has no meaning for the {model} distribution"),
            };
            let draft = Draft::new(entry.key_at, title, "remove it").code(Code::Meaningless);
            reader.report(draft.help(format!("its keys are {}", own.join(", "))));
        }
    }
    let found = parameters(&mut Parameters { reader, traces, section, model, at: section.at }, published);
    found.filter(|_| reader.drafts.len() == before)
}

/// What reads the parameters of one distribution.
struct Parameters<'a, 't> {
    reader: &'a mut Reader,
    traces: &'a mut Traces,
    section: Section<'t>,
    model: &'static str,
    at: Option<Place>,
}

fn parameters(from: &mut Parameters<'_, '_>, published: bool) -> Option<Distribution> {
    match from.model {
        "constant" => Some(Distribution::Constant(from.seconds("value")?)),
        "weibull" if published => from.published(),
        "weibull" => {
            // A smaller shape has a mean that depends on sessions which nobody ever saw.
            let shape = from.number("shape", "a shape from 0.1 to 100", |shape| (0.1..=100.0).contains(&shape));
            let scale = from.seconds("scale");
            Some(Distribution::Weibull { shape: shape?, scale: scale? })
        }
        "lognormal" => {
            let median = from.seconds("median");
            let sigma = from.number("sigma", "a sigma above 0, up to 5", |sigma| sigma > 0.0 && sigma <= 5.0);
            Some(Distribution::Lognormal { median: median?, sigma: sigma? })
        }
        "pareto" => {
            let above_one = |shape: f64| shape > 1.0 && shape <= 100.0;
            let shape = from.number("shape", "a shape above 1 (else there is no mean), up to 100", above_one);
            let scale = from.seconds("scale");
            Some(Distribution::Pareto { shape: shape?, scale: scale? })
        }
        "trace" => from.trace(),
        _ => Some(Distribution::Exponential { mean: from.seconds("mean")? }),
    }
}

impl<'t> Parameters<'_, 't> {
    /// The value of `key`, which the model cannot do without; `example` is one.
    fn value(&mut self, key: &str, example: &str) -> Option<&'t Value> {
        if let Some(entry) = self.section.get(key) {
            self.reader.note_preset(&entry.value, Preset::Required);
            return Some(&entry.value);
        }
        let title = format!("the {} distribution needs a `{key}`", self.model);
        self.reader.lacks(self.at, title, format!("add {key} = {example}"));
        None
    }

    fn seconds(&mut self, key: &str) -> Option<f64> {
        let value = self.value(key, "\"10min\"")?;
        self.reader.span(value, SPAN_MIN, SPAN_MAX).map(SimSpan::as_secs_f64)
    }

    fn number(&mut self, key: &str, range: &str, accepts: impl Fn(f64) -> bool) -> Option<f64> {
        let value = self.value(key, "1.5")?;
        self.reader.number(value, range, accepts)
    }

    fn published(&mut self) -> Option<Distribution> {
        let value = self.value("published", "\"debian\"")?;
        let index = self.reader.choice(value, "a published distribution", &PUBLISHED_NAMES)?;
        published(PUBLISHED_NAMES[index])
    }

    fn trace(&mut self) -> Option<Distribution> {
        let file = self.value("file", "\"sessions.csv\"");
        let column = self.value("column", "\"session_s\"");
        let column = self.reader.text(column?, "the name of a column", "\"session_s\"")?;
        self.traces.read(self.reader, file?, column)
    }
}
