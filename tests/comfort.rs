//! What helps people to write scenarios: the schema, explanations, starters, completions, the manual page, colours.

#[path = "cli/bench.rs"]
#[allow(dead_code, reason = "shared by tests of which none uses all")]
mod bench;

use std::fs;
use std::path::{Path, PathBuf};

use bench::{Bench, said};
use qnetsim::scenario::codes;
use qnetsim::scenario::keys::keys;
use qnetsim::scenario::schema::{schema, schema_text};
use serde_json::Value;

/// The committed scenarios.
fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = [folder.clone(), folder.join("small")].into_iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() > 20, "{files:?}");
    files
}

fn json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
}

#[test]
fn the_committed_schema_is_what_the_command_prints() {
    let text = Bench::new().printed(&["schema"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/schema.json");
    let committed = fs::read_to_string(path).unwrap();
    assert!(text == committed, "renew it: cargo run -- schema > scenarios/schema.json");
    assert_eq!(text, schema_text());
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn every_scenario_names_the_schema_and_keeps_to_it() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for path in scenarios() {
        let text = fs::read_to_string(&path).unwrap();
        let name = text.lines().next().unwrap().strip_prefix("#:schema ").expect("a line for editors");
        assert!(
            path.parent().unwrap().join(name).ends_with("schema.json") && path.parent().unwrap().join(name).is_file()
        );
        let instance = json(&text);
        let errors: Vec<String> =
            validator.iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

#[test]
fn the_schema_refuses_what_people_get_wrong() {
    const HEAD: &str = "name = \"a\"\nnodes = \"1K\"\napproaches = [\"ping\"]\n";
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let good = ["", "warmup = \"1.5 s\"", "network.loss = 0.5", "tiers.full = { share = 0.1, min = 2 }"];
    for line in good {
        assert!(validator.is_valid(&json(&format!("{HEAD}{line}"))), "{line}");
    }
    let bad = [
        "mesure = \"1s\"",
        "warmup = 5",
        "warmup = \"5\"",
        "warmup = \"5m\"",
        "warmup = \"-5s\"",
        "seed = -1",
        "network.loss = 1.0",
        "network.loss = -0.1",
        "network.header = 28",
        "network.latency.model = \"normal\"",
        "network.latency.jitter = 2",
        "heartbeat.size = \"100\"",
        "tables = [\"figure\"]",
        "tables = []",
        "approach.gossip.fanout = 0",
        "approach.gossip.fanout = 8.5",
        "approach.gosip.fanout = 8",
        "approach.recommended.ledger.warmup = \"1s\"",
        "faults.crash = { at = \"1s\", share = 2 }",
        "faults.crash = [{ at = \"1s\", node = 2 }]",
        "detection = \"phi\"",
    ];
    for line in bad {
        assert!(!validator.is_valid(&json(&format!("{HEAD}{line}"))), "{line}");
    }
    for text in ["name = \"a\"", "nodes = 5\napproaches = \"ping\"", "name = \"a\"\nnodes = 1\napproaches = \"ping\""] {
        assert!(!validator.is_valid(&json(text)), "{text}");
    }
    assert!(validator.is_valid(&json("extends = \"base.toml\"")), "the base may have the rest");
}

#[test]
fn every_code_and_every_key_is_explained() {
    let bench = Bench::new();
    let all = bench.printed(&["explain"]);
    for explanation in codes::all() {
        assert!(all.contains(explanation.code), "{explanation:?}");
        let text = bench.printed(&["explain", &explanation.code.to_lowercase()]);
        assert!(text.starts_with(&format!("{}: {}", explanation.code, explanation.title)), "{text}");
    }
    for path in keys().keys().filter(|path| !path.is_empty()) {
        assert!(all.contains(&format!("  {path}\n")), "{path}");
    }
    let loss = bench.printed(&["explain", "network.loss"]);
    let parts =
        ["network.loss\n  Share of the messages that are lost.", "from 0 up to, not including, 1", "Default: 0"];
    assert!(parts.iter().all(|part| loss.contains(part)), "{loss}");
    let fanouts = bench.printed(&["explain", "fanout"]);
    assert!(fanouts.contains("approach.gossip.fanout\n") && fanouts.contains("approach.flat-gossip.fanout\n"));
    assert!(all.lines().chain(fanouts.lines()).all(|line| line.chars().count() <= 100));
}

#[test]
fn what_cannot_be_explained_gets_a_suggestion() {
    let bench = Bench::new();
    for (what, advice) in [("network.los", "did you mean network.loss?"), ("qqqqqqqq", "lists all codes and keys")] {
        let output = bench.command(&["explain", what]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        assert!(said(&output).starts_with("error[Q0200]: ") && said(&output).contains(advice), "{}", said(&output));
    }
}

#[test]
fn errors_tell_a_code_that_can_be_explained() {
    let bench = Bench::new();
    bench.write("bad.toml", "name = \"a\"\nnodes = 1\nspeed = 2\napproaches = [\"pingg\"]\nwarmup = \"1\"\n");
    let errors = said(&bench.run(&["bad.toml"]));
    for code in ["error[Q0110]: unknown key", "error[Q0121]: ", "error[Q0122]: ", "error[Q0123]: "] {
        assert!(errors.contains(code), "{code} is not in\n{errors}");
    }
    for (args, code) in [(&["run", "none.toml"][..], "Q0001"), (&["check", "none"], "Q0400")] {
        let errors = said(&bench.command(args));
        assert!(errors.starts_with(&format!("error[{code}]: ")), "{errors}");
    }
}

/// The topics that the command lists.
fn topics(bench: &Bench) -> Vec<String> {
    let list = bench.printed(&["new"]);
    let lines = list.lines().filter_map(|line| line.strip_prefix("  "));
    let topics: Vec<_> = lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(topics.len() >= 10, "{list}");
    topics
}

#[test]
fn every_topic_has_a_scenario_that_keeps_to_the_schema_and_runs() {
    let bench = Bench::new();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for topic in topics(&bench) {
        let text = bench.printed(&["new", &topic, "-o", "-"]);
        assert!(text.lines().filter(|line| line.contains('#')).count() >= 4, "{topic} has comments");
        assert!(validator.is_valid(&json(&text)), "{topic}");
        bench.printed(&["new", &topic]);
        let file = format!("{topic}.toml");
        assert_eq!(bench.text(&file), text);
        // Fewer nodes and less time, where that is still the scenario: tests run it, people wait for it.
        let mut args = vec!["run", file.as_str(), "--quiet"];
        if ["liveness", "regions", "bandwidth", "dissemination", "faults", "detection"].contains(&topic.as_str()) {
            args.extend(["--set", "nodes=300"]);
        }
        if ["mobile", "kademlia", "recommended", "ledger"].contains(&topic.as_str()) {
            args.extend(["--set", "measure=30s", "--set", "timeline=10s"]);
        }
        let output = bench.command(&args);
        assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""), "{topic}");
        let result = if topic == "sweep" { "sweep.csv" } else { "summary.json" };
        assert!(bench.exists(&format!("results/{topic}/{result}")));
    }
}

#[test]
fn a_new_scenario_replaces_nothing() {
    let bench = Bench::new();
    bench.write("liveness.toml", "mine");
    for args in [&["new", "liveness"][..], &["new", "faults", "-o", "liveness.toml"]] {
        let output = bench.command(args);
        assert_eq!(output.status.code(), Some(4));
        assert!(said(&output).starts_with("error[Q0400]: liveness.toml is there already"), "{}", said(&output));
    }
    assert_eq!(bench.text("liveness.toml"), "mine");
    assert_eq!(bench.names("."), ["liveness.toml", "small.toml"], "nothing else is left");
    let output = bench.command(&["new", "livness"]);
    assert!(output.status.code() == Some(2) && said(&output).contains("liveness"), "{}", said(&output));
    assert_eq!(bench.command(&["new", "faults", "-o", "none/a.toml"]).status.code(), Some(4));
}

#[test]
fn completions_are_there_for_every_shell_and_name_the_commands() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bench.printed(&["completions", shell]);
        for part in ["qnetsim", "explain", "registry", "completions", "threads"] {
            assert!(script.contains(part), "{part} is not in the completions for {shell}");
        }
    }
    assert_eq!(bench.command(&["completions", "tcsh"]).status.code(), Some(2));
    let script = bench.printed(&["completions", "bash"]);
    bench.write("qnetsim.bash", &script);
    let output = bench.shell("command -v bash > /dev/null || exit 0; bash -n qnetsim.bash");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_manual_page_tells_of_every_command() {
    let page = Bench::new().printed(&["man"]);
    assert!(page.contains(".TH qnetsim 1"), "{page}");
    for command in [
        "RUN",
        "MERGE",
        "COMPARE",
        "CHECK",
        "ACCEPT",
        "REGISTRY",
        "REGISTRY IMPORT",
        "NEW",
        "EXPLAIN",
        "SCHEMA",
        "COMPLETIONS",
        "MAN",
    ] {
        assert!(page.contains(&format!(".SH \"QNETSIM {command}\"")), "{command}");
    }
    assert!(page.contains("\\-\\-threads") && page.contains("Exit codes"));
}

#[test]
fn no_argument_tells_what_to_try_first() {
    let bench = Bench::new();
    let output = bench.command(&[]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let text = said(&output);
    assert!(text.lines().count() <= 10 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let tried: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  qnetsim ")).collect();
    assert_eq!(tried.len(), 5);
    for line in tried {
        let command = line.split("   ").next().unwrap();
        let output = bench.shell(&format!("\"$QNETSIM\" {command} > out.txt"));
        assert!(output.status.success(), "{command}: {}", said(&output));
    }
    assert!(bench.exists("results/liveness/tables.txt"));
}

#[test]
fn colour_is_shown_where_it_is_asked_for_and_nowhere_else() {
    let bench = Bench::new();
    bench.write("bad.toml", "speed = 1\n");
    let coloured = |line: &str| said(&bench.shell(&format!("{line}; true"))).contains('\u{1b}');
    assert!(!coloured("\"$QNETSIM\" run bad.toml"), "no terminal, no colour");
    assert!(coloured("\"$QNETSIM\" run bad.toml --color always"));
    assert!(coloured("\"$QNETSIM\" --color=always fly"), "errors of arguments, too");
    assert!(!coloured("\"$QNETSIM\" run bad.toml --color never"));
    assert!(coloured("NO_COLOR=1 \"$QNETSIM\" run bad.toml --color always"), "what is said last counts");
    // `script` gives the command a terminal; where there is none of it, the rest holds anyway.
    let on_terminal = |line: &str| {
        let line = format!("command -v script > /dev/null || exit 0; script -qec '{line}' /dev/null; true");
        String::from_utf8(bench.shell(&line).stdout).unwrap()
    };
    let shown = on_terminal("\"$QNETSIM\" run bad.toml");
    assert!(shown.is_empty() || shown.contains("\u{1b}[1m"), "{shown}");
    assert!(!on_terminal("NO_COLOR=1 \"$QNETSIM\" run bad.toml").contains('\u{1b}'));
    assert!(!on_terminal("\"$QNETSIM\" run bad.toml --color never").contains('\u{1b}'));
}

#[test]
fn what_commands_print_fits_a_hundred_columns_and_narrow_terminals() {
    let bench = Bench::new();
    let lines = |args: &[&str], widest: usize| {
        let output = bench.command(args);
        for line in String::from_utf8_lossy(&output.stdout).lines().chain(said(&output).lines()) {
            assert!(line.chars().count() <= widest, "{args:?}: {line}");
        }
    };
    bench.write("bad.toml", &format!("{}speed = \"{}\"\n", bench::SMALL, "x".repeat(500)));
    let commands: [&[&str]; 14] = [
        &["merge", "--help"],
        &["compare", "--help"],
        &["run", "small.toml"],
        &["run", "bad.toml"],
        &["accept", "small.toml", "--yes"],
        &["check", "small.toml"],
        &["new"],
        &["explain"],
        &["explain", "approach.registry"],
        &["--help"],
        &["run", "--help"],
        &["registry", "--help"],
        &["registry", "import", "--db", "r", "--generate", "1K"],
        &["registry", "stats", "--db", "r"],
    ];
    for command in commands {
        lines(command, 100);
    }
    let narrow = bench.shell("COLUMNS=60 \"$QNETSIM\" explain approach.registry");
    assert!(String::from_utf8_lossy(&narrow.stdout).lines().all(|line| line.chars().count() <= 60));
}

/// Commands of the README on lines that begin with `qnetsim`, in blocks of shell, one after the other in one folder.
#[test]
fn the_commands_of_the_readme_on_scenarios_run() {
    let readme = include_str!("../README.md");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let bench = Bench::new();
    let lines: Vec<&str> = blocks.flat_map(str::lines).filter(|line| line.starts_with("qnetsim ")).collect();
    assert!(lines.len() >= 20, "{lines:?}");
    for line in lines {
        let line = line.replacen("qnetsim", "\"$QNETSIM\"", 1);
        let output = bench.shell(&line);
        assert!(output.status.success(), "{line}: {}", said(&output));
    }
}
