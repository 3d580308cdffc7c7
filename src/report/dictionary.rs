//! What stands in every CSV file of a result, column by column: made from the headers that are written and from the meanings
//! here. `results/README.md` is the same text.

use super::{
    NOTES_COLUMNS, bandwidth, claims, detection, drops, figures, latency, links, messages, metrics, population,
    thresholds, trace,
};

/// A column that several sheets have with the same meaning: name, unit, meaning, when it is empty.
type Meaning = (&'static str, &'static str, &'static str, &'static str);

/// A file and what its rows are.
struct Sheet {
    file: &'static str,
    /// What a row is, and when there is none.
    about: &'static str,
    /// The header, as it is written.
    columns: &'static [&'static str],
    /// What its own columns mean, before the common ones.
    own: &'static [Meaning],
}

/// Columns of `registry-bench.csv`, which `qnetsim registry bench` writes.
const REGISTRY_BENCH_COLUMNS: [&str; 8] = ["claim", "users", "variant", "figure", "part", "value", "unit", "how"];

/// Columns of `service-times.csv`, likewise.
const SERVICE_TIMES_COLUMNS: [&str; 6] = ["operation", "least_ns", "p50_ns", "p90_ns", "p99_ns", "most_ns"];

const NEVER: &str = "never";

/// What columns of these names mean wherever they stand, unless a sheet says otherwise.
const COMMON: &[Meaning] = &[
    ("approach", "text", "the approach, as the scenario names it, with its variant if there are several", NEVER),
    ("nodes", "count", "nodes of the point, of all types", NEVER),
    ("protocol", "text", "the protocol that ran", NEVER),
    ("method", "text", "event: every message was an event; counted: broadcasts were counted as a whole", NEVER),
    ("kind", "text", "the kind of message, as its protocol names it", NEVER),
    ("node_type", "text", "super, full, light or mobile", NEVER),
    ("direction", "text", "sent, received, or lost", NEVER),
    ("messages", "count", "messages", NEVER),
    ("payload_bytes", "B", "bytes of these messages without IP and UDP headers", NEVER),
    ("wire_bytes", "B", "bytes of these messages with IP and UDP headers", NEVER),
    ("min_ms", "ms", "the smallest delay", "no message"),
    ("p50_ms", "ms", "half of the delays are no longer", "no message"),
    ("p90_ms", "ms", "nine in ten delays are no longer", "no message"),
    ("p99_ms", "ms", "99 in 100 delays are no longer", "no message"),
    ("p999_ms", "ms", "999 in 1000 delays are no longer", "no message"),
    ("max_ms", "ms", "the longest delay", "no message"),
    ("mean_ms", "ms", "the mean delay", "no message"),
    (
        "messages_per_node_per_s",
        "1/s",
        "messages sent or received in a second, divided by all nodes of the point",
        NEVER,
    ),
    ("topic", "text", "what the figure or the curve is about", NEVER),
    ("subject", "text", "which nodes or which part of the mechanism it is about", NEVER),
];

const SHEETS: &[Sheet] = &[
    Sheet {
        file: "messages.csv",
        about: "Messages of the measured span, a row for each kind, type of node and direction, zeros included; `lost` only \
                where a point lost any.",
        columns: &messages::MESSAGE_COLUMNS,
        own: &[
            ("node_type", "text", "type of the sender for `sent` and `lost`, of the receiver for `received`", NEVER),
            ("messages_per_s", "1/s", "messages in a second of simulated time", NEVER),
            ("wire_bytes_per_s", "B/s", "bytes with headers in a second of simulated time", NEVER),
        ],
    },
    Sheet {
        file: "bandwidth.csv",
        about: "What nodes move on the wire in the measured span, headers included, a row for each type that has nodes and \
                each direction.",
        columns: &bandwidth::COLUMNS,
        own: &[
            ("nodes_of_type", "count", "nodes of this type", NEVER),
            ("direction", "text", "upload or download", NEVER),
            ("mean_mbps", "Mbit/s", "mean over the nodes of the type", NEVER),
            ("p99_mbps", "Mbit/s", "99 in 100 nodes of the type move no more", NEVER),
            ("max_mbps", "Mbit/s", "the most that a node of the type moves", NEVER),
            ("monthly_gb", "GB", "the mean kept up for 30 days, in decimal gigabytes, in this direction alone", NEVER),
            ("documented_mbps", "Mbit/s", "the documents' budget", NEVER),
            ("documented_monthly_gb", "GB", "the documents' monthly data, both directions together", NEVER),
            ("share_of_budget", "ratio", "mean_mbps by documented_mbps", NEVER),
        ],
    },
    Sheet {
        file: "timeline.csv",
        about: "Messages over time, all types of nodes together: a row for each bucket, kind and direction, zeros included.",
        columns: &messages::TIMELINE_COLUMNS,
        own: &[
            ("start_s", "s", "where the bucket starts, in simulated time; it ends where the next one starts", NEVER),
            ("phase", "text", "warmup or measured", NEVER),
        ],
    },
    Sheet {
        file: "latency.csv",
        about: "One-way delays of the messages that were sent in the measured span, a row for each kind that was; none where \
                messages were counted.",
        columns: &latency::COLUMNS,
        own: &[("count", "count", "messages whose delay was recorded", NEVER)],
    },
    Sheet {
        file: "links.csv",
        about: "The same delays by region of sender and receiver; only with a latency model that has regions.",
        columns: &links::COLUMNS,
        own: &[
            ("from_region", "text", "region of the sender", NEVER),
            ("to_region", "text", "region of the receiver", NEVER),
            ("table_ms", "ms", "what the table of the model says", NEVER),
        ],
    },
    Sheet {
        file: "detection.csv",
        about: "How failures in the measured span were noticed; no rows for a point without a detector. Rows of `first` are \
                over failures, those of `each` over pairs of a failure and an observer who noticed it.",
        columns: &detection::COLUMNS,
        own: &[
            ("detector", "text", "how it was decided that a node is down", NEVER),
            ("node_type", "text", "type of the nodes that failed, or `all`", NEVER),
            ("failure", "text", "crash, leave, or `all`", NEVER),
            ("stage", "text", "how sure the observer was: suspected or down; up for returns", NEVER),
            ("observers", "text", "first: the first who noticed; each: everybody who did", NEVER),
            ("failures", "count", "failures, or returns", NEVER),
            ("noticed", "count", "of these noticed; of `each`, pairs", NEVER),
            ("never_noticed", "count", "noticed by nobody, though there was time", "rows of `each`"),
            ("undecided", "count", "the run ended before anybody could be expected to have noticed", "rows of `each`"),
            ("share_never_noticed", "ratio", "of those that are not undecided", "rows of `each`; no such failure"),
            ("p50_s", "s", "half were noticed no later after the failure", "none noticed"),
            ("p90_s", "s", "nine in ten were", "none noticed"),
            ("p99_s", "s", "99 in 100 were", "none noticed"),
            ("max_s", "s", "all were", "none noticed"),
            ("mean_s", "s", "mean time until it was noticed", "none noticed"),
            (
                "false_positives",
                "count",
                "verdicts that a node is down that was up",
                "rows of one kind of failure, or not `down`",
            ),
            ("node_hours", "h", "hours that nodes of the type were up in the measured span", "as false_positives"),
            ("false_positives_per_node_hour", "1/h", "their ratio", "as false_positives; no such hours"),
            (
                "messages_per_node_per_s",
                "1/s",
                "what the approach sends, on all nodes; the same in all rows of a point",
                NEVER,
            ),
            ("wire_bytes_per_node_per_s", "B/s", "likewise in bytes with headers", NEVER),
            ("state_bytes_per_node", "B", "memory of the protocol on a node when the run ended", NEVER),
        ],
    },
    Sheet {
        file: "population.csv",
        about: "Nodes that were up over time. A row without `rate` is the truth at the start of a bucket; one with it is the \
                mean over trackers of the last count of each in the bucket, beside the truth at those moments. No rows where all \
                nodes were up all the time and nobody counted.",
        columns: &population::COLUMNS,
        own: &[
            ("time_s", "s", "simulated time", NEVER),
            ("live", "count", "nodes that were up", NEVER),
            ("live_super", "count", "of these super nodes", NEVER),
            ("live_full", "count", "full nodes", NEVER),
            ("live_light", "count", "light nodes", NEVER),
            ("live_mobile", "count", "mobile nodes", NEVER),
            ("rate", "ratio", "share of the nodes that report", "rows of the truth"),
            ("tracked_alive", "count", "nodes that trackers took for up, mean over trackers", "rows of the truth"),
            ("estimate", "count", "tracked_alive by rate", "rows of the truth"),
            ("standard_error", "count", "that of the estimate, by the sampling alone", "rows of the truth"),
            (
                "z",
                "ratio",
                "by how many standard errors the estimate is above the truth",
                "rows of the truth; no error",
            ),
        ],
    },
    Sheet {
        file: "drops.csv",
        about: "Messages that were dropped in the measured span, a row for each kind, type of node and cause that has any, and \
                one over `all` for each cause.",
        columns: &drops::COLUMNS,
        own: &[
            ("kind", "text", "the kind of message, or `all`", NEVER),
            (
                "node_type",
                "text",
                "of the sender for lost, partitioned, uplink-full; of the receiver for downlink-full, \
                receiver-down; or `all`",
                NEVER,
            ),
            ("cause", "text", "lost, partitioned, uplink-full, downlink-full or receiver-down", NEVER),
            ("share_of_sent", "ratio", "of all messages of the kind that were sent in the span", NEVER),
        ],
    },
    Sheet {
        file: "figures.csv",
        about: "What a mechanism found of its own, a row a figure, over the whole run unless its name says otherwise. Only for \
                approaches that have figures.",
        columns: &figures::COLUMNS,
        own: &[
            ("obtained", "text", "event or counted, as `method` elsewhere", NEVER),
            ("figure", "text", "its name", NEVER),
            ("unit", "text", "the unit of `value` and `documented`; 1 is a count or a plain number", NEVER),
            ("value", "see unit", "the figure", "it does not exist: nothing to divide by, or nothing happened"),
            ("claim", "text", "id of the documents' claim about it", "there is none"),
            ("documented", "see unit", "what the claim says", "no claim, or not one number"),
        ],
    },
    Sheet {
        file: "curves.csv",
        about: "Curves of the mechanisms, a row a point of a curve. Only where there are any.",
        columns: &figures::CURVE_COLUMNS,
        own: &[
            ("curve", "text", "its name", NEVER),
            ("x_unit", "text", "the unit of x", NEVER),
            ("x", "see x_unit", "where", NEVER),
            ("y_unit", "text", "the unit of y", NEVER),
            ("y", "see y_unit", "how much", NEVER),
        ],
    },
    Sheet {
        file: "metrics.csv",
        about: "Every metric and figure by the name that thresholds, `qnetsim compare` and sweeps use, a row for each that was \
                measured.",
        columns: &metrics::METRICS_COLUMNS,
        own: &[
            ("metric", "text", "its name", NEVER),
            ("unit", "text", "the unit of `value`", NEVER),
            ("value", "see unit", "the metric", NEVER),
        ],
    },
    Sheet {
        file: "thresholds.csv",
        about: "What the scenario asks of its metrics, a row for each threshold and point; only where it asks anything.",
        columns: &thresholds::COLUMNS,
        own: &[
            ("threshold", "text", "as the scenario writes it", NEVER),
            ("metric", "text", "the name of the metric", NEVER),
            ("measured", "unit of the metric", "what it was", "nothing was measured, which fails"),
            ("verdict", "text", "pass or fail", NEVER),
        ],
    },
    Sheet {
        file: "notes.csv",
        about: "Sentences about documented figures that follow from something else than what was measured.",
        columns: &NOTES_COLUMNS,
        own: &[("note", "text", "the sentence", NEVER)],
    },
    Sheet {
        file: "sweep.csv",
        about: "Every metric of every run of a sweep. Before these columns stands one for each axis, by the name of its key, \
                with its unit.",
        columns: &metrics::RUN_COLUMNS,
        own: &[
            ("seed", "number", "the seed of the run", NEVER),
            ("metric", "text", "its name, as in metrics.csv", NEVER),
            ("unit", "text", "the unit of `value`", NEVER),
            ("value", "see unit", "the metric", NEVER),
        ],
    },
    Sheet {
        file: "sweep-means.csv",
        about: "The same over seeds, behind the same columns of axes.",
        columns: &metrics::MEAN_COLUMNS,
        own: &[
            ("metric", "text", "its name, as in metrics.csv", NEVER),
            ("unit", "text", "the unit of the metric", NEVER),
            ("mean", "see unit", "the mean over seeds", NEVER),
            ("standard_deviation", "see unit", "of the sample", "one seed"),
            ("n", "count", "seeds that measured it", NEVER),
            (
                "ci95_low",
                "see unit",
                "lower end of the 95 % confidence interval of the mean, by Student's t",
                "one seed",
            ),
            ("ci95_high", "see unit", "its upper end", "one seed"),
        ],
    },
    Sheet {
        file: "sweep-thresholds.csv",
        about: "What the scenario of a sweep asks of its metrics, a row for each threshold and run, behind the same columns of \
                axes; only where it asks anything.",
        columns: &thresholds::SWEPT_THRESHOLD_COLUMNS,
        own: &[
            ("seed", "number", "the seed of the run", NEVER),
            ("threshold", "text", "as the scenario writes it", NEVER),
            ("metric", "text", "the name of the metric", NEVER),
            ("measured", "unit of the metric", "what it was", "nothing was measured, which fails"),
            ("verdict", "text", "pass or fail", NEVER),
        ],
    },
    Sheet {
        file: "trace.csv",
        about: "Events of a run, one by one: what `qnetsim run --trace FILE` writes, wherever FILE is; as JSON lines with the \
                same names if FILE ends in .jsonl. Sampled by --trace-sample and bounded by --trace-max; where the bound cut \
                it, a last row `cut` of the point says so. Points in the order of the run, sorted by time, node, sender and sequence.",
        columns: &trace::TRACE_COLUMNS,
        own: &[
            ("time_ns", "ns", "simulated time of the event", "rows of what was cut"),
            ("node", "number", "where it happened: at the sender for what is sent or dropped on its way", "likewise"),
            (
                "event",
                "text",
                "sent; received; why it was dropped, as `cause` in drops.csv; timer; joined, left, crashed; cut",
                NEVER,
            ),
            ("kind", "text", "the kind of the message", "no message"),
            ("sender", "number", "who sent the message", "no message"),
            ("receiver", "number", "who gets it", "no message"),
            (
                "sequence",
                "number",
                "the sender's number of the message, which all its rows have, or the node's of its timer",
                "others",
            ),
            ("cut_records", "count", "events that the bound left out", "all other rows"),
        ],
    },
    Sheet {
        file: "registry-bench.csv",
        about: "Registries of several sizes, measured on one machine by `qnetsim registry bench`, and larger ones, projected: a \
                row a figure.",
        columns: &REGISTRY_BENCH_COLUMNS,
        own: &[
            ("claim", "text", "id of the claim that it is about", "none"),
            ("users", "count", "users of the registry", NEVER),
            (
                "variant",
                "text",
                "the layout and what is different in it; memory, a map in memory; crash, killed again and again",
                NEVER,
            ),
            ("figure", "text", "what is measured", NEVER),
            ("part", "text", "which part or quantile of it", NEVER),
            ("value", "see unit", "how much", NEVER),
            ("unit", "text", "its unit", NEVER),
            ("how", "text", "measured or projected", NEVER),
        ],
    },
    Sheet {
        file: "service-times.csv",
        about: "What a lookup and a change of a registry take, as `qnetsim registry bench` measures it and \
                `approach.registry.service_times` takes it. Lines that begin with # are remarks.",
        columns: &SERVICE_TIMES_COLUMNS,
        own: &[
            ("operation", "text", "read or write", NEVER),
            ("least_ns", "ns", "the shortest time", NEVER),
            ("p50_ns", "ns", "half of the times are no longer", NEVER),
            ("p90_ns", "ns", "nine in ten times are no longer", NEVER),
            ("p99_ns", "ns", "99 in 100 times are no longer", NEVER),
            ("most_ns", "ns", "the longest time", NEVER),
        ],
    },
    Sheet {
        file: "claims.csv",
        about: "The documents' claims and their evidence, as `qnetsim claims` writes it to results/claims: a row for each part \
                of a claim. Columns that begin with `simulated` are the same on every machine, those with `machine` are not.",
        columns: &claims::COLUMNS,
        own: &[
            ("id", "text", "id of the claim", NEVER),
            ("document", "text", "where it stands", NEVER),
            ("quote", "text", "what it says, literally", NEVER),
            ("claim", "text", "the same in short", NEVER),
            ("claim_documented", "text", "the documented figure", NEVER),
            ("claim_unit", "text", "its unit", NEVER),
            ("part", "text", "which part of the claim the row is about", "no part was evaluated"),
            ("unit", "text", "unit of the numbers of the row", "no numbers"),
            ("documented", "see unit", "the documented number of this part", "none is documented"),
            ("implied", "see unit", "the number that the document's own parameters give", "none follows"),
            ("obtained", "text", "event, counted, measured or projected", "no evidence"),
            ("rule", "text", "what decides", "no evidence"),
            ("simulated", "see unit", "the simulated number", "not simulated"),
            ("simulated_is_lower_bound", "true/false", "whether it is at least that", "not simulated"),
            ("simulated_half_width", "see unit", "half of the 95 % confidence interval over seeds", "one seed"),
            ("simulated_seeds", "count", "how many seeds", "not simulated"),
            ("simulated_ratio", "ratio", "simulated by documented", "no number on one side"),
            ("simulated_law", "text", "the law of growth that fits best", "no fit"),
            ("simulated_part_verdict", "text", "verdict on the part", "not simulated"),
            ("simulated_verdict", "text", "verdict on the whole claim by what is simulated", "not simulated"),
            ("machine", "see unit", "what this machine gave", "not of the machine"),
            ("machine_ratio", "ratio", "machine by documented", "as machine"),
            ("machine_part_verdict", "text", "verdict on the part", "as machine"),
            ("machine_verdict", "text", "verdict on the whole claim with what this machine gave", "as machine"),
            ("missing", "text", "why there is no evidence", "there is"),
            ("because", "text", "the sentence that explains the verdict", "no verdict"),
            ("run", "text", "commands that repeat the runs", "no run"),
        ],
    },
];

const HEAD: &str = "\
# Results: what stands in the files

Written by `qnetsim dictionary` from the code that writes the files; a test holds it against them.

Every run writes a folder of the scenario's name, with CSV files, `summary.json`, `tables.txt` and charts. CSV files are
tidy: one header, one row an observation, `,` between cells, `\\n` at the end of a line, text in quotes where it has a
comma. An empty cell is a value that does not exist, which is never written as zero. Numbers have a point and up to
twelve significant digits. Times are simulated, except in the part `engine` of `summary.json`. Units stand in the names of
columns (`_s`, `_ms`, `_ns`, `_bytes`, `_mbps`, `_gb`, `_per_s`); without one, a column is a count, a ratio or a text, as said
below. The same scenario and seed give the same bytes on every machine.
";

/// The dictionary of all sheets, as Markdown.
pub fn dictionary() -> String {
    let mut text = HEAD.to_owned();
    for sheet in SHEETS {
        text += &format!(
            "\n## {}\n\n{}\n\n| column | unit | meaning | empty |\n|---|---|---|---|\n",
            sheet.file, sheet.about
        );
        for column in sheet.columns {
            let (_, unit, meaning, empty) = meaning(sheet, column).unwrap_or(&("", "", "", ""));
            text += &format!("| `{column}` | {unit} | {meaning} | {empty} |\n");
        }
    }
    text
}

/// What `column` of `sheet` means.
fn meaning(sheet: &Sheet, column: &str) -> Option<&'static Meaning> {
    sheet.own.iter().chain(COMMON).find(|(name, ..)| *name == column)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_column_has_a_meaning_and_every_meaning_a_column() {
        for sheet in SHEETS {
            for column in sheet.columns {
                assert!(meaning(sheet, column).is_some(), "{}: {column} is not explained", sheet.file);
            }
            for (name, ..) in sheet.own {
                assert!(sheet.columns.contains(name), "{}: there is no column {name}", sheet.file);
            }
        }
        for (name, ..) in COMMON {
            assert!(SHEETS.iter().any(|sheet| sheet.columns.contains(name)), "no sheet has a column {name}");
        }
    }

    #[test]
    fn the_committed_dictionary_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/README.md");
        let committed = fs::read_to_string(path).unwrap_or_default();
        assert_eq!(committed, dictionary(), "renew it: cargo run -- dictionary > results/README.md");
    }

    #[test]
    fn every_column_of_every_committed_sheet_is_in_it() {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        let folders = fs::read_dir(results).unwrap().map(|entry| entry.unwrap().path());
        let mut sheets = 0;
        for folder in folders.filter(|path| path.is_dir()) {
            for file in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                if file.extension().is_some_and(|extension| extension == "csv") {
                    let name = file.file_name().unwrap().to_str().unwrap();
                    let sheet = SHEETS.iter().find(|sheet| sheet.file == name);
                    let sheet = sheet.unwrap_or_else(|| panic!("{} is not explained", file.display()));
                    let header = csv::ReaderBuilder::new()
                        .comment(Some(b'#'))
                        .from_path(&file)
                        .unwrap()
                        .headers()
                        .unwrap()
                        .clone();
                    assert!(header.iter().eq(sheet.columns.iter().copied()), "{}: {header:?}", file.display());
                    sheets += 1;
                }
            }
        }
        assert!(sheets > 50, "{sheets} sheets");
    }
}
