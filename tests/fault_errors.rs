//! What a scenario may not say of faults and capacities: every refusal stands at the right place and says what to write
//! instead.

mod refusals;

use std::fs;

use qnetsim::scenario::{ScenarioError, load, parse};

use refusals::{HEAD, check, check_file, problems_with, said};

const REGIONS: &str = "network.latency = { model = \"regions\", shares = { Tokyo = 0.5, London = 0.5 } }\n";

/// As [`check`], for lines that follow a network with regions.
#[track_caller]
fn check_regions(lines: &str, (line, column): (usize, usize), parts: &[&str]) {
    check(&format!("{REGIONS}{lines}"), (line + 1, column), parts);
}

/// Checks a refusal of the session distribution `{ inner }`; `column` counts from its brace, which is column 1.
#[track_caller]
fn check_session(inner: &str, column: usize, parts: &[&str]) {
    let lines =
        format!("[faults.churn]\nabsence = {{ model = \"constant\", value = \"1s\" }}\nsession = {{ {inner} }}");
    check(&lines, (3, 10 + column), parts);
}

#[test]
fn what_is_no_fault_is_refused() {
    check("faults = 1", (1, 10), &["expected `faults` to be a table, found integer 1"]);
    check("[faults.chrun]", (1, 9), &["unknown key `chrun` in `faults`", "write `churn`"]);
    check("[[faults.weather]]", (1, 10), &["known keys are churn, crash, crowd, loss, surge, partition"]);
    check("faults.crash = 3", (1, 16), &["expected `crash` to be a table, found integer 3"]);
    check("faults.crash = []", (1, 16), &["the list of crashes is empty"]);
    check("faults.crash = [{ at = \"1s\" }, 7]", (1, 32), &["expected `crash` to be a table, found integer 7"]);
    check("[[faults.crash]]\nat = \"1s\"\nshares = 1", (3, 1), &["unknown key `shares` in `crash`", "write `share`"]);
    let many = "[[faults.crash]]\nat = \"1s\"\n".repeat(65);
    check(&many, (1, 1), &["65 crashes are too many for one scenario", "at most 64"]);
    check("[[faults.crash]]", (1, 1), &["the crash has no `at`", "add at = \"60s\""]);
    check("[[faults.crowd]]", (1, 1), &["the crowd has no `at`"]);
    check("[[faults.loss]]\nend = \"9s\"\nloss = 1", (1, 1), &["the loss has no `start`"]);
    check("[[faults.surge]]\nstart = \"9s\"\nfactor = 2", (1, 1), &["the surge has no `end`"]);
    check("[[faults.partition]]\nstart = \"9s\"\nshare = 0.5", (1, 1), &["the partition has no `heal`"]);
}

#[test]
fn nodes_are_named_by_types_regions_and_share() {
    let check = |lines: &str, column, parts: &[&str]| {
        check_regions(&format!("[[faults.crash]]\nat = \"1s\"\n{lines}"), (3, column), parts);
    };
    check("types = \"ligth\"", 9, &["unknown node type `ligth`", "write \"light\""]);
    check("types = []", 9, &["the list of node types is empty"]);
    check("types = [\"full\", \"full\"]", 18, &["full stands in the list for the second time", "remove it"]);
    check("types = 1", 9, &["expected a node type such as \"super\", found integer 1"]);
    check("regions = \"Tokio\"", 11, &["unknown region `Tokio`", "write \"Tokyo\""]);
    check("regions = [\"London\", \"Moon\"]", 22, &["unknown region `Moon`", "the regions are N_Virginia, Canada"]);
    check("regions = [\"London\", \"London\"]", 22, &["London stands in the list for the second time"]);
    check("regions = [\"Sydney\", \"Seoul\"]", 11, &["no node stands in any of these regions", "share is above 0"]);
    for share in ["0", "0.0", "-0.1", "1.01", "nan", "\"1\""] {
        check(&format!("share = {share}"), 9, &["expected a share above 0, up to 1"]);
    }
}

#[test]
fn regions_need_a_model_that_has_them() {
    let parts = ["the nodes of this network stand in no regions", "remove `regions`", "model = \"regions\""];
    check("[[faults.crash]]\nat = \"1s\"\nregions = \"Tokyo\"", (3, 1), &parts);
    let loss = "[[faults.loss]]\nstart = \"1s\"\nend = \"2s\"\nloss = 0.1\nto = \"Tokyo\"";
    check(loss, (5, 1), &["remove `to`"]);
}

#[test]
fn types_that_no_point_has_are_refused() {
    let crash = |types: &str| format!("[[faults.crash]]\nat = \"1s\"\ntypes = {types}");
    let parts = ["no network of the scenario has a light or mobile node", "all nodes of the other approaches are full"];
    check(&crash("[\"light\", \"mobile\"]"), (3, 9), &parts);
    let tiered = "name = \"a\"\nnodes = \"10K\"\napproaches = [\"ping\", \"gossip\"]\n";
    check_file(&format!("{tiered}{}", crash("\"mobile\"")), (6, 9), &["has a mobile node"]);
    for good in ["[\"light\", \"mobile\"]", "\"full\"", "\"super\""] {
        parse("s.toml", &format!("{tiered}{}", crash(good)), &[]).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn distributions_with_impossible_parameters_are_refused() {
    check(
        "[faults.churn]\nabsence = { model = \"constant\", value = \"1s\" }",
        (1, 1),
        &["the churn has no `session`"],
    );
    check_session("mean = \"1s\"", 1, &["the session has no `model`", "add model = \"exponential\""]);
    check_session("model = \"wiebull\", shape = 1", 11, &["unknown distribution `wiebull`", "write \"weibull\""]);
    check_session("model = \"exponential\"", 1, &["the exponential distribution needs a `mean`"]);
    let exponential = "model = \"exponential\", mean = ";
    check_session(&format!("{exponential}\"0s\""), 33, &["from \"1ms\" to \"3650d\"", "at least \"1ms\""]);
    check_session(&format!("{exponential}\"3651d\""), 33, &["at most \"3650d\""]);
    check_session(&format!("{exponential}60"), 33, &["write \"60s\""]);
    for shape in ["0", "-1", "0.09", "100.1", "inf"] {
        let inner = format!("model = \"weibull\", scale = \"1s\", shape = {shape}");
        check_session(&inner, 44, &["a shape from 0.1 to 100"]);
    }
    for sigma in ["-1", "0", "5.1"] {
        let inner = format!("model = \"lognormal\", median = \"1s\", sigma = {sigma}");
        check_session(&inner, 47, &["a sigma above 0, up to 5"]);
    }
    for shape in ["1", "0.5", "101"] {
        let inner = format!("model = \"pareto\", scale = \"1s\", shape = {shape}");
        check_session(&inner, 43, &["a shape above 1 (else there is no mean), up to 100"]);
    }
    check_session("model = \"weibull\", published = \"debain\"", 34, &["`debain`", "write \"debian\""]);
    let both = "model = \"weibull\", published = \"debian\", shape = 1";
    check_session(both, 44, &["`shape` has no meaning beside `published`", "its keys are published"]);
    let stray = "model = \"constant\", value = \"1s\", mean = \"2s\"";
    check_session(stray, 37, &["`mean` has no meaning for the constant distribution", "its keys are value"]);
    check_session("model = \"constant\", value = \"1s\", valu = 1", 37, &["unknown key `valu` in `session`"]);
}

#[test]
fn churn_is_checked() {
    let spans =
        "session = { model = \"constant\", value = \"1s\" }\nabsence = { model = \"constant\", value = \"1s\" }\n";
    let one = |lines: &str| format!("[[faults.churn]]\n{spans}{lines}");
    check(&one("graceful = 1.5"), (4, 12), &["expected a share of departures from 0 to 1"]);
    check(&one("graceful = true"), (4, 12), &["expected a share of departures", "found boolean true"]);
    check(&one("start = \"down\""), (4, 9), &["unknown start `down`", "\"steady\", \"up\""]);
    let parts = ["no node is left for this churn: churn number 1", "the first churn that names it"];
    check(&format!("{}{}", one("\n"), one("types = \"full\"")), (5, 1), &parts);
    check_regions(
        &format!("{}{}", one("types = \"full\"\n"), one("types = \"full\"\nregions = \"Tokyo\"")),
        (5, 1),
        &parts,
    );
    for good in [["share = 0.5\n", ""], ["types = \"full\"\n", ""], ["regions = \"Tokyo\"\n", "regions = \"London\""]] {
        let text = format!("{HEAD}{REGIONS}{}{}", one(good[0]), one(good[1]));
        parse("s.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn crashes_and_crowds_are_checked() {
    let crash = |lines: &str| format!("[[faults.crash]]\nat = \"10s\"\n{lines}");
    check(&crash("graceful = 0.5"), (3, 12), &["expected true or false, found number 0.5"]);
    check(&crash("until = \"10s\""), (3, 9), &["come back from 10s on, but they go from 10s to 10s", "after 10s"]);
    check(&crash("over = \"5s\"\nuntil = \"14s\""), (4, 9), &["they go from 10s to 15s", "a moment after 15s"]);
    check(&crash("until_over = \"1s\""), (3, 1), &["`until_over` has no meaning without `until`"]);
    check("[[faults.crash]]\nat = 10", (2, 6), &["write \"10s\""]);
    check("[[faults.crash]]\nat = \"-1s\"", (2, 6), &["cannot be negative"]);
    let crowd = |lines: &str| format!("[[faults.crowd]]\nat = \"10s\"\n{lines}");
    check("[[faults.crowd]]\nat = \"0s\"", (2, 6), &["a crowd comes after the start of the run"]);
    check(&crowd("graceful = true"), (3, 1), &["no meaning for a crowd that stays", "add stay = \"5min\""]);
    check(&crowd("stay = \"0s\""), (3, 8), &["a `stay` above 0s"]);
    check(
        &crowd("over = \"5s\"\nstay = \"4s\""),
        (4, 8),
        &["comes over 5s cannot stay for 4s", "not shorter than `over`"],
    );
}

#[test]
fn spans_must_lie_in_the_run() {
    let ended = |kind: &str| [format!("this {kind} begins at 65s, when every run has ended"), "before 65s".to_owned()];
    let check_ended = |lines: &str, kind: &str| {
        let parts = ended(kind);
        check(lines, (2, lines.split('\n').nth(1).unwrap().find('"').unwrap() + 1), &[&parts[0], &parts[1]]);
    };
    check_ended("[[faults.crash]]\nat = \"65s\"", "crash");
    check_ended("[[faults.crowd]]\nat = \"65s\"", "crowd");
    check_ended("[[faults.loss]]\nstart = \"65s\"\nend = \"70s\"\nloss = 1", "loss");
    check_ended("[[faults.surge]]\nstart = \"65s\"\nend = \"70s\"\nfactor = 2", "surge");
    check_ended("[[faults.partition]]\nstart = \"65s\"\nheal = \"70s\"\nshare = 0.5", "partition");
    for good in
        ["[[faults.crash]]\nat = \"64.999s\"", "[[faults.crash]]\nat = \"65s\"\n[approach.ping]\nmeasure = \"61s\""]
    {
        parse("s.toml", &format!("{HEAD}{good}"), &[]).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn losses_surges_and_partitions_are_checked() {
    let loss = |lines: &str| format!("[[faults.loss]]\nstart = \"10s\"\n{lines}");
    check(&loss("end = \"10s\"\nloss = 1"), (3, 7), &["the loss begins at 10s and ends at 10s", "after 10s"]);
    check(&loss("end = \"20s\""), (1, 1), &["the loss has no `loss`", "add loss = 0.2"]);
    for bad in ["0", "-0.1", "1.1", "nan"] {
        check(&loss(&format!("end = \"20s\"\nloss = {bad}")), (4, 8), &["a share of messages above 0, up to 1"]);
    }
    let parts = ["a loss of 0.1 changes nothing: the network always loses 0.2", "write more than 0.2"];
    check(&format!("network.loss = 0.2\n{}", loss("end = \"20s\"\nloss = 0.1")), (5, 8), &parts);
    check(&loss("end = \"20s\"\nloss = 1\nboth_ways = 1"), (5, 13), &["expected true or false"]);
    let surge = |lines: &str| format!("[[faults.surge]]\nstart = \"10s\"\nend = \"20s\"\n{lines}");
    check(&surge(""), (1, 1), &["this surge delays nothing", "add factor = 3.0"]);
    check(&surge("factor = 1"), (4, 10), &["this surge delays nothing"]);
    check(&surge("extra = \"0s\""), (4, 9), &["this surge delays nothing"]);
    check(&surge("factor = 0.9"), (4, 10), &["a factor from 1 to 1000"]);
    check(&surge("factor = 1e4"), (4, 10), &["a factor from 1 to 1000"]);
    check(&surge("extra = \"2h\""), (4, 9), &["at most \"1h\""]);
    let partition = |lines: &str| format!("[[faults.partition]]\nstart = \"10s\"\n{lines}");
    check(&partition("heal = \"9s\"\nshare = 0.5"), (3, 8), &["the partition begins at 10s and ends at 9s"]);
    let whole = ["this side of the partition is the whole network", "types = [...] or share = 0.5"];
    check(&partition("heal = \"20s\""), (1, 1), &whole);
    let all = "heal = \"20s\"\nshare = 1.0\ntypes = [\"super\", \"full\", \"light\", \"mobile\"]";
    check(&partition(all), (1, 1), &whole);
}

/// Two faults of one kind, with `ends` as the key that ends them: whether the second is refused, and as what.
#[track_caller]
fn check_pair(kind: &str, rest: [&str; 2], spans: [(u32, u32); 2], overlap: bool) {
    let end = if kind == "partition" { "heal" } else { "end" };
    let one = |(from, to): (u32, u32), rest: &str| {
        format!("[[faults.{kind}]]\nstart = \"{from}s\"\n{end} = \"{to}s\"\n{rest}\n")
    };
    let text = format!("{HEAD}{REGIONS}{}{}", one(spans[0], rest[0]), one(spans[1], rest[1]));
    if !overlap {
        parse("s.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
        return;
    }
    let problems = problems_with(&text, &[]);
    let [problem] = problems.list() else { panic!("{problems}") };
    let (from, to) = spans[0];
    let expected = format!("this {kind} overlaps {kind} number 1, which lasts from {from}s to {to}s: begin at {to}s");
    assert!(said(problem).starts_with(&expected), "{problems}");
    assert!(problem.line > 8, "it stands at the second: {problems}");
}

#[test]
fn faults_of_a_kind_that_overlap_are_refused() {
    let (meeting, apart) = ([(10, 20), (19, 30)], [(10, 20), (20, 30)]);
    for (kind, rest) in [("loss", "loss = 0.5"), ("surge", "factor = 2"), ("partition", "share = 0.5")] {
        check_pair(kind, [rest, rest], meeting, true);
        check_pair(kind, [rest, rest], [(10, 20), (5, 50)], true);
        check_pair(kind, [rest, rest], [(10, 20), (1, 10)], false);
        check_pair(kind, [rest, rest], apart, false);
    }
    let [out, home] =
        ["loss = 0.5\nfrom = \"Tokyo\"\nto = \"London\"", "loss = 0.5\nto = \"Tokyo\"\nfrom = \"London\""];
    let within = "loss = 0.5\nfrom = \"Tokyo\"\nto = \"Tokyo\"";
    let one_way = format!("{out}\nboth_ways = false");
    check_pair("loss", [out, home], meeting, true);
    check_pair("loss", [&one_way, home], meeting, true);
    check_pair("loss", [&one_way, &format!("{home}\nboth_ways = false")], meeting, false);
    check_pair("loss", [out, within], meeting, false);
    check_pair("loss", ["loss = 0.5", within], meeting, true);
    check_pair("partition", ["regions = \"Tokyo\"", "regions = \"London\""], meeting, false);
    check_pair("partition", ["regions = \"Tokyo\"", "regions = \"Tokyo\"\nshare = 0.1"], meeting, true);
    check_pair("partition", ["regions = \"Tokyo\"", "types = \"full\""], meeting, true);
}

#[test]
fn capacities_are_checked() {
    check("network.capacity = true", (1, 20), &["expected `capacity` to be a table"]);
    let check = |line: &str, column, parts: &[&str]| check(&format!("[network.capacity]\n{line}"), (2, column), parts);
    check("queue = \"1 B\"", 9, &["at least \"1024 B\""]);
    check("queue = \"2 GiB\"", 9, &["at most \"1073741824 B\""]);
    check("full = 10", 8, &["expected a data rate", "write \"10 Mbps\""]);
    check("full = \"10 MB\"", 8, &["unknown unit `MB`: a data rate is in bps, Kbps, kbps, Mbps, Gbps"]);
    check("full = \"999 bps\"", 8, &["at least \"1 kbps\""]);
    check("full = \"1001 Gbps\"", 8, &["at most \"1000 Gbps\""]);
    check("full = { upload = \"1 Mbps\", downlaod = \"2 Mbps\" }", 29, &["unknown key `downlaod`", "write `download`"]);
    check("full = { upload = 1 }", 19, &["write \"1 Mbps\""]);
    check("fulls = \"1 Mbps\"", 1, &["unknown key `fulls` in `capacity`", "write `full`"]);
}

#[test]
fn a_counted_mesh_has_no_faults_and_no_capacities() {
    let text = "name = \"a\"\nnodes = [\"1K\", \"10K\"]\napproaches = \"full-mesh\"\n";
    let capacity =
        ["a full mesh of 10K nodes cannot have capacities", "remove network.capacity, or raise event_nodes_max"];
    check_file(&format!("{text}[network.capacity]\n"), (4, 1), &capacity);
    let faults = ["a full mesh of 10K nodes cannot have faults", "remove the faults, or raise event_nodes_max"];
    let crash = "[[faults.crash]]\nat = \"1s\"\n";
    check_file(&format!("{text}{crash}{crash}"), (4, 1), &faults);
    let all = format!("{text}network = {{ loss = 0.1, capacity = {{}} }}\n{crash}");
    assert_eq!(problems_with(&all, &[]).total(), 3);
    for good in ["approach.full-mesh.event_nodes_max = \"10K\"\n", "[approach.full-mesh]\nevent_nodes_max = \"1M\"\n"] {
        let text = format!("{text}{good}[network.capacity]\n{crash}");
        parse("s.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn mistakes_in_all_kinds_are_told_at_once() {
    let text = format!(
        "{HEAD}[network.capacity]\nfull = 1\n[faults.churn]\nshare = 2\n[[faults.crash]]\nat = 1\n[[faults.loss]]\n\
         loss = 2\n[[faults.partition]]\nregions = \"Tokyo\"\n"
    );
    let problems = problems_with(&text, &[]);
    let lines: Vec<_> = problems.list().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [5, 6, 6, 7, 9, 10, 10, 11, 12, 12, 13], "{problems}");
    for override_ in ["faults.churn.share=0", "faults.crash=[]", "network.capacity.queue=1"] {
        let problems = problems_with(HEAD, &[override_]);
        assert!(problems.list().iter().any(|problem| problem.source.starts_with("--set")), "{problems}");
    }
    // Keys that a broken file hides are not asked for.
    let problems = problems_with(&format!("{HEAD}[[faults.crash]]\nat\n"), &[]);
    assert_eq!(problems.total(), 1, "{problems}");
}

/// What reading a scenario says whose sessions are the column `session_s` of the trace `csv`.
#[track_caller]
fn check_trace(csv: &str, (line, column): (usize, usize), parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(folder.path().join("t.csv"), csv).unwrap();
    let trace = "{ model = \"trace\", file = \"t.csv\", column = \"session_s\" }";
    fs::write(&path, format!("{HEAD}[faults.churn]\nsession = {trace}\nabsence = {trace}\n")).unwrap();
    let Err(ScenarioError::Invalid(problems)) = load(&path, &[]) else { panic!("{csv}: accepted") };
    let [problem] = problems.list() else { panic!("{problems}") };
    assert_eq!((problem.source.as_str(), problem.line, problem.column), ("t.csv", line, column), "{problems}");
    for part in parts {
        assert!(said(problem).contains(part), "`{part}` is not said: {problems}");
    }
}

#[test]
fn a_trace_with_a_bad_row_is_refused_at_its_row_and_column() {
    let range = "write seconds from 0.001 to 315360000";
    check_trace("peer,session_s\na,5\nb,-1\n", (3, 3), &["`-1` in the column `session_s` is out of range", range]);
    for bad in ["0", "0.0009", "1e9", "inf", "nan", "-0"] {
        check_trace(&format!("session_s\n{bad}\n1\n"), (2, 1), &["out of range"]);
    }
    check_trace("peer,session_s\na, soon\n", (2, 4), &["`soon` in the column `session_s` is no number", range]);
    check_trace("session_s,peer\n,b\n", (2, 1), &["is no number"]);
    check_trace("peer,session_s\na,1\nb\n", (3, 1), &["no cell in the column `session_s`", "as many cells"]);
    check_trace("peer,session\na,1\n", (1, 1), &["no column `session_s`", "its columns are `peer`, `session`"]);
    check_trace("# seconds\npeer,session_s\n", (2, 1), &["there is no row below the header"]);
    let long = format!("session_s\n{}", "1\n".repeat(1_000_001));
    check_trace(&long, (1_000_002, 1), &["more than 1M rows below the header"]);
}

#[test]
fn traces_are_files_beside_the_scenario() {
    let trace = "model = \"trace\", file = ";
    check_session(&format!("{trace}\"t.csv\""), 1, &["needs a `column`", "add column = \"session_s\""]);
    check_session("model = \"trace\", column = \"a\"", 1, &["needs a `file`", "add file = \"sessions.csv\""]);
    check_session(&format!("{trace}\"../t.csv\", column = \"a\""), 27, &["in the folder of the scenario"]);
    check_session(&format!("{trace}\"no.csv\", column = \"a\""), 27, &["cannot read the file `no.csv`"]);
    check_session(&format!("{trace}\"no.csv\", column = 1"), 46, &["expected the name of a column", "integer 1"]);
    check_session(&format!("{trace}1, column = \"a\""), 27, &["expected the name of a file", "integer 1"]);
}

#[test]
fn many_bad_rows_and_many_traces_are_told_in_short() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(folder.path().join("t.csv"), format!("a,b,c,d,e,f,g,h,i\n{}", "1,1,1,1,1,1,1,1,0\n".repeat(500)))
        .unwrap();
    let churn = |columns: [char; 2]| {
        let [session, absence] =
            columns.map(|c| format!("{{ model = \"trace\", file = \"t.csv\", column = \"{c}\" }}"));
        format!("[[faults.churn]]\nshare = 0.1\nsession = {session}\nabsence = {absence}\n")
    };
    fs::write(&path, format!("{HEAD}{}", churn(['a', 'i']))).unwrap();
    let Err(ScenarioError::Invalid(problems)) = load(&path, &[]) else { panic!("accepted") };
    assert_eq!(problems.total(), 11);
    assert!(problems.to_string().contains("490 more rows of the file are bad in the column `i`"), "{problems}");
    let pairs = [['a', 'b'], ['c', 'd'], ['e', 'f'], ['g', 'h']];
    let eight: String = pairs.into_iter().chain([['h', 'a']]).map(churn).collect();
    fs::write(&path, format!("{HEAD}{eight}")).unwrap();
    load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    fs::write(&path, format!("{HEAD}{eight}{}", churn(['a', 'i']))).unwrap();
    let Err(ScenarioError::Invalid(problems)) = load(&path, &[]) else { panic!("accepted") };
    assert_eq!(problems.total(), 1, "{problems}");
    assert!(problems.to_string().contains("more than 8 different traces"), "{problems}");
}
