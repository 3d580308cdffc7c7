//! What is fuzzed of files: baselines, sheets, manifests of sweeps, traces, result folders, CSV inputs, users to import.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use qnetsim::check::Fingerprint;
use qnetsim::registry::import::files::Files;
use qnetsim::registry::import::source::Source;
use qnetsim::report::{Choice, Kind, METRICS_COLUMNS, RUN_COLUMNS, ResultFolder, TRACE_COLUMNS, pictures, report_html};
use qnetsim::results::{Manifest, TraceReader, read_metrics, read_sweep};
use qnetsim::scenario::{load, parse, parse_sweep};

/// The sheets of a result folder, and real ones to begin with.
const SHEETS: [(&str, &str); 5] = [
    ("messages.csv", include_str!("../../results/detection/messages.csv")),
    ("latency.csv", include_str!("../../results/detection/latency.csv")),
    ("bandwidth.csv", include_str!("../../results/detection/bandwidth.csv")),
    ("detection.csv", include_str!("../../results/detection/detection.csv")),
    ("drops.csv", include_str!("../../results/detection/drops.csv")),
];

/// The CSV files that a scenario may name, with lines that name them.
const INPUTS: [(&str, &str, &str); 3] = [
    (
        "delays.csv",
        "approaches = \"ping\"\n[network.latency]\nmodel = \"regions\"\nfile = \"delays.csv\"\nholds = \"rtt\"\n",
        include_str!("../generated/kept/delays.csv"),
    ),
    (
        "sessions.csv",
        "approaches = \"ping\"\n[faults.churn]\nsession = { model = \"trace\", file = \"sessions.csv\", column = \"session_s\" }\n\
         absence = { model = \"exponential\", mean = \"1s\" }\n",
        include_str!("../generated/kept/sessions.csv"),
    ),
    (
        "service-times.csv",
        "approaches = \"registry\"\n[approach.registry]\nservice_times = \"service-times.csv\"\n",
        include_str!("../generated/kept/service-times.csv"),
    ),
];

const USERS: &str = "key,government_id,identity_proof,birth_currency,country,name,registered_at\n";

/// Bytes to begin with. Where a target has several kinds of files, the first byte tells which.
pub(crate) fn seeds(name: &str) -> Vec<Vec<u8>> {
    let texts: Vec<String> = match name {
        "baseline" => vec![include_str!("../../scenarios/small/baselines/small-sharding.csv").to_owned()],
        "sheets" => vec![
            format!("0{}\nping,3,event,messages.sent,1,5\nping,3,event,delay.p99,s,0.25\n", METRICS_COLUMNS.join(",")),
            format!("1network.loss,{}\n0.1,ping,3,1,messages.sent,1,5\n", RUN_COLUMNS.join(",")),
        ],
        "manifest" => vec![String::from_utf8(MANIFEST.to_json()).expect("JSON is UTF-8")],
        "trace" => vec![
            format!(
                "0{}\nping,3,0,1,sent,hello,1,2,3,\nping,3,5,1,timer,,,,4,\nping,3,,,cut,,,,,9\n",
                TRACE_COLUMNS.join(",")
            ),
            "1{\"approach\":\"ping\",\"nodes\":3,\"time_ns\":0,\"node\":1,\"event\":\"timer\",\"kind\":null,\"sender\":null,\
             \"receiver\":null,\"sequence\":3,\"cut_records\":null}\n"
                .to_owned(),
        ],
        "folder" => {
            let sheet = |(index, (_, text)): (usize, &(&str, &str))| {
                let lines: Vec<&str> = text.lines().take(8).collect();
                format!("{index}{}\n", lines.join("\n"))
            };
            SHEETS.iter().enumerate().map(sheet).collect()
        }
        "inputs" => INPUTS.iter().enumerate().map(|(index, (.., text))| format!("{index}{text}")).collect(),
        "users" => vec![
            format!("0{USERS}{},{},{},USD,US,Ann,5\n", "1a".repeat(32), "2b".repeat(32), "3c".repeat(32)),
            "0endorsed,endorser,signature,signed_at\n".to_owned(),
            "1{\"key\":\"1a\",\"government_id\":\"2b\"}\n".to_owned(),
        ],
        _ => Vec::new(),
    };
    texts.into_iter().map(String::into_bytes).collect()
}

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let text = "name = \"a\"\nnodes = 10\napproaches = \"ping\"\n[thresholds]\n\"messages.sent\" = \"> 9\"\n[sweep]\nrepeat = 2\naxes.\"network.loss\" = [0, 0.1]\n";
    let sweep = parse_sweep("a.toml", text, &[]).expect("it is valid").expect("it is a sweep");
    let thresholds = parse("a.toml", text, &[]).expect("it is valid").thresholds;
    Manifest::of(&sweep, "qnetsim run a.toml", &thresholds)
});

/// A folder of this process for files that must be on disk.
fn folder() -> &'static PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder of targets is writable");
        folder
    });
    &FOLDER
}

/// Which of `count` kinds the bytes are of, and the rest of them.
pub(crate) fn chosen(bytes: &[u8], count: usize) -> (usize, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (usize::from(first.wrapping_sub(b'0')) % count, rest))
}

/// The words of `said` that are the program's and not the file's: in small letters alone.
pub(crate) fn words(said: &str) -> String {
    let words = said.split_whitespace().filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase()));
    words.take(6).collect::<Vec<_>>().join(" ")
}

pub(crate) fn baseline(bytes: &[u8]) -> String {
    match Fingerprint::from_csv(bytes) {
        Ok(read) => {
            let again = Fingerprint::from_csv(&read.to_csv()).expect("what was read can be written and read");
            assert_eq!(format!("{again:?}"), format!("{read:?}"));
            format!(
                "{} points, {} buckets",
                read.points.len(),
                read.points.values().map(|p| p.timeline.len()).sum::<usize>()
            )
        }
        Err(error) => words(&error.to_string()),
    }
}

pub(crate) fn sheets(bytes: &[u8]) -> String {
    let (kind, bytes) = chosen(bytes, 2);
    let read = if kind == 0 { read_metrics(bytes) } else { read_sweep(bytes) };
    match read {
        Ok(results) => format!("{kind} {} figures", format!("{results:?}").len().ilog2()),
        Err(error) => format!("{kind} {}", words(&error.to_string())),
    }
}

pub(crate) fn manifest(bytes: &[u8]) -> String {
    match Manifest::from_json(bytes) {
        Ok(manifest) => {
            let again = Manifest::from_json(&manifest.to_json()).expect("what was read can be written and read");
            assert!(again.is_same_sweep(&manifest) && manifest.runs().count() == again.runs().count());
            format!("{} runs, the same {}", manifest.runs().count(), manifest.is_same_sweep(&MANIFEST))
        }
        Err(error) => words(&error.to_string()),
    }
}

pub(crate) fn trace(bytes: &[u8]) -> String {
    let (kind, bytes) = chosen(bytes, 2);
    let name = ["a.csv", "a.jsonl"][kind];
    let events = TraceReader::new(bytes, name.as_ref()).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match events {
        Ok(events) => {
            let kinds: std::collections::BTreeSet<_> = events.iter().map(|event| event.event.as_str()).collect();
            format!("{kind} {} {kinds:?}", events.len())
        }
        Err(error) => format!("{kind} {}", words(&error.to_string())),
    }
}

pub(crate) fn result_folder(bytes: &[u8]) -> String {
    let (kind, bytes) = chosen(bytes, SHEETS.len());
    let mut files: Vec<(&'static str, Vec<u8>)> =
        SHEETS.iter().map(|&(name, text)| (name, text.as_bytes().to_vec())).collect();
    files[kind].1 = bytes.to_vec();
    let folder = ResultFolder::in_memory("a", &files);
    let page = report_html(&[ResultFolder::in_memory("a", &files)]);
    let drawn = [Kind::NetworkLoad, Kind::Bandwidth, Kind::Latency, Kind::Detection].map(|kind| {
        match pictures(&folder, kind, &Choice::default()) {
            Ok(pictures) => pictures.len().to_string(),
            Err(error) => words(&error.to_string()),
        }
    });
    let page = page.map_or_else(|error| words(&error.to_string()), |page| format!("{}", page.len().ilog2()));
    format!("{kind} {page} {drawn:?}")
}

pub(crate) fn inputs(bytes: &[u8]) -> String {
    let (kind, bytes) = chosen(bytes, INPUTS.len());
    let (name, lines, _) = INPUTS[kind];
    // Tests may run side by side; a kind is of one target only.
    fs::write(folder().join(name), bytes).expect("the folder is writable");
    let scenario = folder().join(format!("{name}.toml"));
    fs::write(&scenario, format!("name = \"a\"\nnodes = 1000\n{lines}")).expect("the folder is writable");
    match load(&scenario, &[]) {
        Ok(scenario) => format!("{kind} {} {}", scenario.network.latency.regions().len(), scenario.points.len()),
        Err(error) => format!("{kind} {}", words(&error.to_string())),
    }
}

pub(crate) fn users(bytes: &[u8]) -> String {
    let (kind, bytes) = chosen(bytes, 2);
    let path = folder().join(["users.csv", "users.jsonl"][kind]);
    fs::write(&path, bytes).expect("the folder is writable");
    let files = match Files::open(&[path]) {
        Ok(files) => files,
        Err(error) => return format!("{kind} {}", words(&error.to_string())),
    };
    let mut said = format!("{kind}");
    for batch in files.users() {
        match batch {
            Ok(batch) => {
                said +=
                    &format!(" {} users, {:?}", batch.items.len(), batch.bad.iter().map(|(_, why)| words(why)).next())
            }
            Err(error) => said += &words(&error.to_string()),
        }
    }
    for batch in files.endorsements(0).flatten() {
        said += &format!(" {} endorsements, {} bad", batch.items.len(), batch.bad.len());
    }
    said
}
