//! The `[network.latency]` table: how long a message takes. All of its durations are one way.

use super::LatencySpec;
use super::codes::Code;
use super::problem::{Draft, Place};
use super::quantity::span_text;
use super::reader::{Field, Reader, Section};
use super::regions;
use super::tree::{Kind, Value};
use crate::contract::SimSpan;
use crate::engine::Jitter;

/// Latency models and the keys of each.
const MODELS: [(&str, &[&str]); 5] = [
    ("uniform", &["min", "max"]),
    ("constant", &["delay"]),
    ("lognormal", &["min", "median", "sigma"]),
    ("pareto", &["min", "shape"]),
    ("regions", &["table", "file", "holds", "same_region", "shares", "jitter"]),
];
/// Every key of every model, so that a stray one is told from an unknown one.
const KEYS: &[&str] = &[
    "model",
    "delay",
    "min",
    "max",
    "median",
    "sigma",
    "shape",
    "table",
    "file",
    "holds",
    "same_region",
    "shares",
    "jitter",
];
/// Models of jitter and the keys of each.
const JITTERS: [(&str, &[&str]); 3] =
    [("uniform", &["share"]), ("lognormal", &["median", "sigma"]), ("pareto", &["excess"])];
const JITTER_KEYS: &[&str] = &["model", "share", "median", "sigma", "excess"];

/// No link of any network is slower.
pub(super) const DELAY_MAX: SimSpan = SimSpan::from_secs(3_600);
/// The smallest delay of the lognormal model, unless the file has another.
const LOGNORMAL_MIN: SimSpan = SimSpan::from_millis(1);
/// Jitter stays below one so that it does not drown the table.
const JITTER_MAX: f64 = 0.9;
/// Largest median of a lognormal jitter, as a share of the delay.
const JITTER_MEDIAN_MAX: f64 = 10.0;
/// At 5 the mean of a lognormal variable is 270 000 times its median: no network is like that.
const SIGMA_MAX: f64 = 5.0;
/// Shapes of a Pareto distribution: with a mean, and not so steep that nothing varies.
const SHAPE: (f64, f64) = (1.01, 1_000.0);

/// How long a message takes; uniform from 10 to 100 ms if nothing is written.
pub(super) fn latency(reader: &mut Reader, network: &Section<'_>) -> Option<LatencySpec> {
    let section = reader.section(network, "latency", KEYS);
    let names = MODELS.map(|(name, _)| name);
    let model = reader.field(&section, "model", 0, |reader, value| reader.choice(value, "a latency model", &names));
    let (name, own) = *MODELS.get(model.value?)?;
    let own_at = model.at.or(section.at).unwrap_or_default();
    let spec = match name {
        "constant" => constant(reader, &section, own_at),
        "lognormal" => lognormal(reader, &section, own_at),
        "pareto" => pareto(reader, &section, own_at),
        "regions" => regions(reader, &section),
        _ => uniform(reader, &section),
    };
    refuse_stray(reader, &section, KEYS, own, &format!("the {name} latency model"));
    spec
}

/// Refuses keys of `all` that are written and not among `own`, the keys of `what`.
fn refuse_stray(reader: &mut Reader, section: &Section<'_>, all: &[&str], own: &[&str], what: &str) {
    for key in all.iter().filter(|key| **key != "model" && !own.contains(*key)) {
        if let Some(entry) = section.get(key) {
            let draft = Draft::new(entry.key_at, format!("`{key}` has no meaning for {what}"), "remove it")
                .code(Code::Meaningless);
            reader.report(draft.help(format!("its keys are {}", own.join(", "))));
        }
    }
}

/// The entry `key`, which `what` cannot do without; `example` is how it may be written. `at` is where it is missed.
fn needed<T>(
    reader: &mut Reader,
    section: &Section<'_>,
    (key, example): (&str, &str),
    (what, at): (&str, Place),
    read: impl FnOnce(&mut Reader, &Value) -> Option<T>,
) -> Field<T> {
    let field = reader.required(section, key, read);
    if field.at.is_some() {
        return field;
    }
    let article = if key.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    reader.report(
        Draft::new(at, format!("{what} needs {article} `{key}`"), format!("add {key} = {example} below"))
            .code(Code::Missing),
    );
    Field { value: None, at: None }
}

fn constant(reader: &mut Reader, section: &Section<'_>, at: Place) -> Option<LatencySpec> {
    let delay = needed(reader, section, ("delay", "\"50ms\""), ("the constant latency model", at), delay);
    let delay = refuse_zero(reader, delay)?;
    Some(LatencySpec::Constant { delay })
}

fn uniform(reader: &mut Reader, section: &Section<'_>) -> Option<LatencySpec> {
    let min = reader.field(section, "min", SimSpan::from_millis(10), delay);
    let max = reader.field(section, "max", SimSpan::from_millis(100), delay);
    let smallest = refuse_zero(reader, min);
    if let (Some(low), Some(high)) = (min.value, max.value)
        && low > high
    {
        let at = min.at.or(max.at).unwrap_or_default();
        let title = format!("the smallest delay {} exceeds the largest, {}", span_text(low), span_text(high));
        reader.report(Draft::new(at, title, "write min <= max"));
        return None;
    }
    Some(LatencySpec::Uniform { min: smallest?, max: max.value? })
}

fn lognormal(reader: &mut Reader, section: &Section<'_>, at: Place) -> Option<LatencySpec> {
    let what = ("the lognormal latency model", at);
    let min = reader.field(section, "min", LOGNORMAL_MIN, delay);
    let median = needed(reader, section, ("median", "\"50ms\""), what, delay);
    let sigma = needed(reader, section, ("sigma", "0.5"), what, sigma);
    let smallest = refuse_zero(reader, min);
    if let (Some(low), Some(middle)) = (min.value, median.value)
        && low >= middle
    {
        let at = median.at.or(min.at).unwrap_or_default();
        let title = format!("the median {} is not above the smallest delay, {}", span_text(middle), span_text(low));
        let draft = Draft::new(at, title, "write min < median");
        reader.report(draft.help(format!("min is \"{}\" if it is not written", span_text(LOGNORMAL_MIN))));
        return None;
    }
    Some(LatencySpec::Lognormal { min: smallest?, median: median.value?, sigma: sigma.value? })
}

fn pareto(reader: &mut Reader, section: &Section<'_>, at: Place) -> Option<LatencySpec> {
    let what = ("the pareto latency model", at);
    let min = needed(reader, section, ("min", "\"40ms\""), what, delay);
    let shape = needed(reader, section, ("shape", "3"), what, |reader, value| {
        let (low, high) = SHAPE;
        let accepts = |shape| (low..=high).contains(&shape);
        reader.number(value, &format!("a shape from {low} to {high}"), accepts)
    });
    let smallest = refuse_zero(reader, min);
    Some(LatencySpec::Pareto { min: smallest?, shape: shape.value? })
}

fn delay(reader: &mut Reader, value: &Value) -> Option<SimSpan> {
    reader.span(value, SimSpan::ZERO, DELAY_MAX)
}

fn sigma(reader: &mut Reader, value: &Value) -> Option<f64> {
    let range = format!("a number from 0 to {SIGMA_MAX}");
    reader.number(value, &range, |sigma| (0.0..=SIGMA_MAX).contains(&sigma))
}

/// The smallest delay of the network, unless it is zero.
pub(super) fn refuse_zero(reader: &mut Reader, delay: Field<SimSpan>) -> Option<SimSpan> {
    let nonzero = delay.value.filter(|delay| *delay > SimSpan::ZERO);
    if let (Some(_), None, Some(at)) = (delay.value, nonzero, delay.at) {
        let draft = Draft::new(at, "the smallest delay between nodes must be above zero", "write for example \"1ms\"");
        reader.report(draft.help(ZERO_HELP));
    }
    nonzero
}

/// Why no delay is zero.
pub(super) const ZERO_HELP: &str = "nodes are simulated side by side in windows as long as the smallest delay; \
    a delay of zero between nodes leaves no such window";

fn regions(reader: &mut Reader, section: &Section<'_>) -> Option<LatencySpec> {
    let table = regions::table(reader, section);
    let jitter = reader.field(section, "jitter", Jitter::None, jitter);
    let table = table?;
    let shares = regions::shares(reader, section, &table);
    if let Some(Jitter::Pareto { excess }) = jitter.value
        && excess >= table.smallest()
    {
        let smallest = span_text(table.smallest());
        let title = format!("an excess of {} is not below the smallest delay, {smallest}", span_text(excess));
        let draft = Draft::new(jitter.at.unwrap_or_default(), title, format!("write less than \"{smallest}\""));
        reader.report(draft.help("the table holds means; pareto delays begin at the mean less the excess"));
        return None;
    }
    Some(LatencySpec::Regions { table, shares: shares?, jitter: jitter.value? })
}

/// A number is the share of a uniform jitter; a table names its model.
fn jitter(reader: &mut Reader, value: &Value) -> Option<Jitter> {
    if !matches!(value.kind, Kind::Table(_)) {
        return uniform_share(reader, value);
    }
    let section = reader.section_of(value, "jitter", JITTER_KEYS);
    let names = JITTERS.map(|(name, _)| name);
    let what = ("a jitter of its own", value.at);
    let model = needed(reader, &section, ("model", "\"lognormal\""), what, |reader, value| {
        reader.choice(value, "a jitter model", &names)
    });
    let (name, own) = *JITTERS.get(model.value?)?;
    let (name_text, at) = (format!("the {name} jitter"), model.at.unwrap_or(value.at));
    let what = (name_text.as_str(), at);
    let found = match name {
        "lognormal" => {
            let range = format!("a share above 0, up to {JITTER_MEDIAN_MAX}");
            let median = needed(reader, &section, ("median", "0.05"), what, |reader, value| {
                reader.number(value, &range, |median| median > 0.0 && median <= JITTER_MEDIAN_MAX)
            });
            let sigma = needed(reader, &section, ("sigma", "0.5"), what, sigma);
            median.value.zip(sigma.value).map(|(median, sigma)| Jitter::Lognormal { median, sigma })
        }
        "pareto" => {
            let excess = needed(reader, &section, ("excess", "\"5ms\""), what, |reader, value| {
                reader.span(value, SimSpan::from_nanos(1), DELAY_MAX)
            });
            excess.value.map(|excess| Jitter::Pareto { excess })
        }
        _ => needed(reader, &section, ("share", "0.1"), what, |reader, value| uniform_share(reader, value).map(Some))
            .value
            .flatten(),
    };
    refuse_stray(reader, &section, JITTER_KEYS, own, &name_text);
    found
}

fn uniform_share(reader: &mut Reader, value: &Value) -> Option<Jitter> {
    let range = format!("a number from 0 to {JITTER_MAX}");
    let share = reader.number(value, &range, |jitter| (0.0..=JITTER_MAX).contains(&jitter))?;
    Some(if share > 0.0 { Jitter::Uniform { share } } else { Jitter::None })
}
