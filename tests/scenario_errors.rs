//! What a scenario file may not say: every refusal stands at the right place and says what to write instead.

mod refusals;

use std::time::{Duration, Instant};

use qnetsim::scenario::{FILE_BYTES_MAX, ScenarioError, Table, parse};

use refusals::{HEAD, check, check_file, problems_with, said};

#[test]
fn a_wrong_type_is_refused_with_what_to_write() {
    check("warmup = 30", (1, 10), &["expected a duration such as \"30s\", found integer 30", "write \"30s\""]);
    check("measure = 1.5", (1, 11), &["found number 1.5", "write \"1.5s\""]);
    check("timeline = true", (1, 12), &["expected a duration", "found boolean true"]);
    check("timeline = []", (1, 12), &["found a list"]);
    check("timeline = 1979-05-27", (1, 12), &["found a date"]);
    check("heartbeat.size = 100", (1, 18), &["expected a size", "found integer 100", "write \"100 B\""]);
    check("network.header = 28.5", (1, 18), &["found number 28.5", "write \"28.5 B\""]);
    check("approach.gossip.fanout = 8.0", (1, 26), &["expected a whole count", "found number 8.0", "write 8"]);
    check("approach.gossip.fanout = [8]", (1, 26), &["expected a whole count", "found a list"]);
    check("network.loss = \"0.1\"", (1, 16), &["from 0 up to, not including, 1", "found string \"0.1\""]);
    check("seed = \"1\"", (1, 8), &["expected a whole number from 0 to 2^63 - 1", "write a number such as 1"]);
    check("description = 1", (1, 15), &["expected a text", "found integer 1"]);
    check("network = 1", (1, 11), &["expected `network` to be a table, found integer 1", "network = { ... }"]);
    check("[[heartbeat]]", (1, 1), &["expected `heartbeat` to be a table, found a list"]);
    check("tiers.full = true", (1, 14), &["expected a count such as \"10K\" or a share", "{ share = 0.01"]);
    check("network.latency.model = 3", (1, 25), &["expected a latency model", "write \"uniform\""]);
}

#[test]
fn a_quantity_is_refused_with_its_units() {
    check("warmup = \"5\"", (1, 10), &["needs a unit", "write \"5s\""]);
    check("warmup = \"5m\"", (1, 10), &["unknown unit `m`", "ns, us, ms, s, min, h, d"]);
    check("warmup = \"-5s\"", (1, 10), &["cannot be negative", "write \"30s\""]);
    check("warmup = \"3651d\"", (1, 10), &["found string \"3651d\"", "at most \"3650d\""]);
    check("timeline = \"0.5ms\"", (1, 12), &["at least \"1ms\""]);
    check("heartbeat.interval = \"999us\"", (1, 22), &["at least \"1ms\""]);
    check("heartbeat.size = \"47 B\"", (1, 18), &["at least \"48 B\""]);
    check("heartbeat.size = \"64 KiB\"", (1, 18), &["at most \"65507 B\""]);
    check("heartbeat.size = \"1 KB\"", (1, 18), &["unknown unit `KB`", "write \"1 kB\""]);
    check("network.header = \"1501 B\"", (1, 18), &["at most \"1500 B\""]);
}

#[test]
fn warmups_and_measurements_are_no_shorter_than_a_slice() {
    let text = |lines: &str| format!("{HEAD}timeline = \"1ms\"\n{lines}");
    for good in ["warmup = \"0s\"", "warmup = \"1ms\"\nmeasure = \"1ms\"", "approach.gossip.warmup = \"0ns\""] {
        parse("s.toml", &text(good), &[]).unwrap_or_else(|error| panic!("{error}"));
    }
    check("measure = \"0s\"", (1, 11), &["at least \"1ms\""]);
    check("measure = \"999us\"", (1, 11), &["at least \"1ms\""]);
    check("[approach.ping]\nmeasure = \"1ns\"", (2, 11), &["at least \"1ms\""]);
    let parts =
        |span: &str| [format!("a warm-up of {span} is too short"), "write \"0s\" or at least \"1ms\"".to_owned()];
    for (span, shown) in [("1ns", "1ns"), ("999us", "999us"), ("0.999ms", "999us")] {
        let parts = parts(shown);
        check(&format!("warmup = \"{span}\""), (1, 10), &parts.each_ref().map(String::as_str));
    }
    let parts = parts("500us");
    check("approach.hierarchical.warmup = \"0.5ms\"", (1, 32), &parts.each_ref().map(String::as_str));
}

#[test]
fn tables_are_checked() {
    check("tables = \"bandwith\"", (1, 10), &["unknown table `bandwith`", "write \"bandwidth\""]);
    check("tables = [\"bandwidth\", \"network_load\"]", (1, 24), &["`network_load`", "write \"network-load\""]);
    check("tables = [\"prices\"]", (1, 11), &["write one of \"network-load\", \"bandwidth\""]);
    let parts = ["the table bandwidth stands in the list for the second time", "remove it"];
    check("tables = [\"bandwidth\", \"bandwidth\"]", (1, 24), &parts);
    check("tables = []", (1, 10), &["the list of tables is empty"]);
    check("tables = 2", (1, 10), &["expected table such as \"network-load\"", "found integer 2"]);
    let count = Table::ALL.len();
    let many = format!("tables = [{}]", "\"bandwidth\", ".repeat(count + 1));
    check(&many, (1, 10), &[&format!("{} tables are too many", count + 1), &format!("at most {count}")]);
}

#[test]
fn node_numbers_are_checked() {
    let check = |nodes: &str, column, parts: &[&str]| {
        check_file(&format!("name = \"a\"\napproaches = \"ping\"\nnodes = {nodes}"), (3, column), parts);
    };
    check("\"1k\"", 9, &["unknown unit `k`", "write \"1K\""]);
    check("[\"1K\", \"1Q\"]", 16, &["unknown unit `Q`", "K, M, G"]);
    check("\"1.5\"", 9, &["not a whole number"]);
    check("-5", 9, &["cannot be negative"]);
    check("1", 9, &["from 2 to \"4G\"", "at least 2"]);
    check("[1000, 4_000_000_001]", 16, &["at most \"4G\""]);
    check("99999999999999999999999999999999999", 9, &["expected a whole count"]);
    check("[\"1K\", 2, 1_000]", 19, &["1K nodes stand in the list for the second time", "remove it"]);
    check("[]", 9, &["the list of sizes is empty", "at least one"]);
    check(&format!("[{}]", "5, ".repeat(65)), 9, &["65 sizes are too many", "at most 64"]);
}

#[test]
fn approaches_are_checked() {
    let check = |approaches: &str, column, parts: &[&str]| {
        check_file(&format!("name = \"a\"\nnodes = \"1K\"\napproaches = {approaches}"), (3, column), parts);
    };
    check("\"pingg\"", 14, &["unknown approach `pingg`", "write \"ping\""]);
    check("[\"ping\", \"fullmesh\"]", 23, &["unknown approach `fullmesh`", "write \"full-mesh\""]);
    check(
        "\"telepathy\"",
        14,
        &["write one of \"full-mesh\", \"hierarchical\", \"gossip\", \"flat-gossip\", \"ping\", \"sampled\", \"swim\""],
    );
    check("[\"ping\", \"ping\"]", 23, &["ping stands in the list for the second time"]);
    check("[]", 14, &["the list of approaches is empty"]);
    check("7", 14, &["expected an approach", "found integer 7"]);
}

#[test]
fn what_every_scenario_needs_is_asked_for() {
    let problems = problems_with("# nothing yet\n", &[]);
    let titles: Vec<_> = problems.list().iter().map(|problem| problem.title.as_str()).collect();
    let expected = ["the scenario has no `approaches`", "the scenario has no `name`", "the scenario has no `nodes`"];
    assert_eq!(titles, expected);
    assert!(problems.list().iter().all(|problem| (problem.line, problem.column) == (1, 1)));
    check_file("nodes = 5\napproaches = \"ping\"", (1, 1), &["add name = \"my-scenario\""]);
}

#[test]
fn a_name_must_be_safe_as_a_file_name() {
    for name in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(65)] {
        let text = format!("nodes = 5\napproaches = \"ping\"\nname = \"{name}\"");
        check_file(&text, (3, 8), &["cannot name the files of the results", "A-Z a-z 0-9 . _ -"]);
    }
    check("description = \"\\u001b[31m\"", (1, 15), &["control characters"]);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_or_all_known() {
    check("mesure = \"60s\"", (1, 1), &["unknown key `mesure` in the file", "write `measure`"]);
    check("colour = 1", (1, 1), &["unknown key `colour`", "known keys are name, description, seed, nodes"]);
    check("[netwrok]\nloss = 0", (1, 2), &["write `network`"]);
    check("[network]\nlos = 0", (2, 1), &["unknown key `los` in `network`", "write `loss`"]);
    check("[tiers]\nligth = 0", (2, 1), &["write `light`"]);
    check("tiers.full = { share = 0.1, maximum = 3 }", (1, 29), &["known keys are share, min, max"]);
    check("[approach.full_mesh]", (1, 11), &["write `full-mesh`"]);
    check("[approach.ping]\nfanout = 8", (2, 1), &["unknown key `fanout` in `ping`", "known keys are warmup, measure"]);
    check("[network.latency]\nmodel = \"uniform\"\nmx = \"1s\"", (3, 1), &["write `max`"]);
}

#[test]
fn a_delay_of_zero_is_refused_with_the_reason() {
    let parts = ["must be above zero", "\"1ms\"", "windows as long as the smallest delay"];
    check("[network.latency]\nmodel = \"constant\"\ndelay = \"0s\"", (3, 9), &parts);
    check("[network.latency]\nmin = \"0ms\"", (2, 7), &parts);
}

#[test]
fn latencies_are_checked() {
    check("network.latency.max = \"61min\"", (1, 23), &["at most \"1h\""]);
    check(
        "[network.latency]\nmin = \"20ms\"\nmax = \"10ms\"",
        (2, 7),
        &["20ms exceeds the largest, 10ms", "min <= max"],
    );
    check("network.latency.max = \"5ms\"", (1, 23), &["10ms exceeds the largest, 5ms"]);
    check("network.latency.model = \"constant\"", (1, 25), &["needs a `delay`", "add delay = \"50ms\""]);
    check("network.latency.model = \"unifrom\"", (1, 25), &["unknown latency model `unifrom`", "write \"uniform\""]);
    check("[network.latency]\nmodel = \"uniform\"\njitter = 0.1", (3, 1), &["no meaning for the uniform", "min, max"]);
    check("network.latency = { model = \"regions\", jitter = 1 }", (1, 49), &["from 0 to 0.9"]);
    check("network.latency = { model = \"regions\", table = \"aws\" }", (1, 48), &["latency table `aws`", "\"aws-6\""]);
}

#[test]
fn distributions_of_latency_are_checked() {
    let lognormal = |keys: &str| format!("network.latency = {{ model = \"lognormal\", {keys} }}");
    let text = lognormal("median = \"50ms\"");
    check(&text, (1, 29), &["the lognormal latency model needs a `sigma`", "add sigma = 0.5 below"]);
    check(&lognormal("sigma = 1"), (1, 29), &["needs a `median`", "add median = \"50ms\""]);
    let parts = ["the median 1ms is not above the smallest delay, 1ms", "write min < median", "min is \"1ms\""];
    check(&lognormal("sigma = 1, median = \"1ms\""), (1, 62), &parts);
    check(&lognormal("sigma = -0.1, median = \"5ms\""), (1, 50), &["a number from 0 to 5, found number -0.1"]);
    check(&lognormal("sigma = nan, median = \"5ms\""), (1, 50), &["a number from 0 to 5"]);
    let text = lognormal("sigma = 1, median = \"5ms\", min = \"0s\"");
    check(&text, (1, 75), &["must be above zero", "windows as long as the smallest delay"]);
    check(&lognormal("sigma = 1, median = \"5h\""), (1, 62), &["at most \"1h\""]);
    let pareto = |keys: &str| format!("network.latency = {{ model = \"pareto\", {keys} }}");
    check(&pareto("min = \"40ms\""), (1, 29), &["the pareto latency model needs a `shape`", "add shape = 3"]);
    check(&pareto("shape = 3"), (1, 29), &["needs a `min`", "add min = \"40ms\""]);
    check(&pareto("min = \"40ms\", shape = 1"), (1, 61), &["a shape from 1.01 to 1000, found integer 1"]);
    check(&pareto("min = \"40ms\", shape = inf"), (1, 61), &["a shape from 1.01 to 1000"]);
    check(
        &pareto("min = \"40ms\", shape = 3, sigma = 1"),
        (1, 64),
        &["no meaning for the pareto", "its keys are min, shape"],
    );
}

#[test]
fn jitters_are_checked() {
    let check = |jitter: &str, column, parts: &[&str]| {
        check(&format!("[network.latency]\nmodel = \"regions\"\njitter = {jitter}"), (3, column), parts);
    };
    check("0.95", 10, &["a number from 0 to 0.9, found number 0.95"]);
    check("\"10%\"", 10, &["a number from 0 to 0.9, found string"]);
    check("{ share = 0.1 }", 10, &["a jitter of its own needs a `model`", "add model = \"lognormal\""]);
    check("{ model = \"normal\" }", 20, &["unknown jitter model `normal`", "write \"lognormal\""]);
    check("{ model = \"uniform\" }", 20, &["the uniform jitter needs a `share`", "add share = 0.1"]);
    check("{ model = \"uniform\", share = 1 }", 39, &["a number from 0 to 0.9, found integer 1"]);
    check("{ model = \"lognormal\", sigma = 0.5 }", 20, &["the lognormal jitter needs a `median`"]);
    check("{ model = \"lognormal\", median = 0, sigma = 1 }", 42, &["a share above 0, up to 10, found integer 0"]);
    check("{ model = \"lognormal\", median = 1, sigma = 6 }", 53, &["a number from 0 to 5"]);
    check("{ model = \"pareto\" }", 20, &["the pareto jitter needs an `excess`"]);
    check("{ model = \"pareto\", excess = 5 }", 39, &["expected a duration", "write \"5s\""]);
    check("{ model = \"pareto\", excess = \"0s\" }", 39, &["at least \"1ns\""]);
    let parts =
        ["an excess of 200us is not below the smallest delay, 200us", "write less than \"200us\"", "holds means"];
    check("{ model = \"pareto\", excess = \"200us\" }", 10, &parts);
    check("{ model = \"uniform\", share = 0.1, excess = \"5ms\" }", 44, &["no meaning for the uniform jitter"]);
    check(
        "{ model = \"uniform\", share = 0.1, shares = 0 }",
        44,
        &["unknown key `shares` in `jitter`", "write `share`"],
    );
}

#[test]
fn tables_of_delays_are_checked() {
    let check = |keys: &str, column, parts: &[&str]| {
        check(&format!("network.latency = {{ model = \"regions\", {keys} }}"), (1, column), parts);
    };
    let parts = ["from a `table` or from a `file`, not from both", "remove one of them"];
    check("table = \"aws-6\", file = \"a.csv\", holds = \"rtt\"", 57, &parts);
    check("holds = \"two-way\"", 48, &["unknown what the table holds `two-way`", "write \"one-way\""]);
    check("same_region = \"0s\"", 54, &["must be above zero"]);
    check("same_region = 5", 54, &["expected a duration"]);
    check("table = \"p2p-6\", shares = { Europe = 1 }", 68, &["unknown region `Europe` in table p2p-6", "NA, EU, SA"]);
    check("file = 3, holds = \"rtt\"", 47, &["expected the name of a file such as \"table.csv\", found integer 3"]);
    let parts = ["`../a.csv` does not name a file in the folder of the scenario", "without `..`"];
    check("file = \"../a.csv\", holds = \"rtt\"", 47, &parts);
    check("file = \"/etc/passwd\", holds = \"rtt\"", 47, &["does not name a file in the folder"]);
    let parts = ["cannot read the file `no-such.csv`", "write the name of a file beside the scenario"];
    check("file = \"no-such.csv\", holds = \"rtt\"", 47, &parts);
}

/// Checks that the matrix `csv`, which `holds` one-way delays or round trips, has one problem for each of `expected`:
/// line, column, and what is said of it.
#[track_caller]
fn check_matrix(holds: &str, csv: &str, expected: &[((usize, usize), &str)]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.csv"), csv).unwrap();
    let file_name = folder.path().join("s.toml").display().to_string();
    let text = format!("{HEAD}network.latency = {{ model = \"regions\", file = \"m.csv\", {holds} }}");
    let result = parse(&file_name, &text, &["seed=3".to_owned()]);
    let Err(ScenarioError::Invalid(problems)) = result else { panic!("{result:?}") };
    let shown = problems.render(false);
    assert_eq!(problems.list().len(), expected.len(), "{shown}");
    for (problem, (place, part)) in problems.list().iter().zip(expected) {
        assert_eq!((problem.source.as_str(), (problem.line, problem.column)), ("m.csv", *place), "{shown}");
        assert!(said(problem).contains(part), "`{part}` is not said: {shown}");
    }
}

#[test]
fn a_matrix_is_refused_with_the_row_and_the_column() {
    let check = |csv: &str, expected: &[((usize, usize), &str)]| check_matrix("holds = \"one-way\"", csv, expected);
    check("from,a,b\na,0,1\n", &[((2, 1), "not square: 2 regions and 1 rows: add a row for b below")]);
    check("from,a\na,1\nb,1\n", &[((3, 1), "not square: 1 regions and 2 rows: end with the row of a")]);
    check("from,a,b\na,0\nb,1,0\n", &[((2, 1), "the row of `a` has 1 delays for 2 regions: write 2 delays")]);
    check("from,a,b\na,0,1,2\nb,1,0\n", &[((2, 1), "the row of `a` has 3 delays for 2 regions")]);
    check("from,a,b\nb,0,1\na,1,0\n", &[((2, 1), "expected the row of region `a`, found `b`"), ((3, 1), "write b")]);
    check("from,a,a\na,0,1\na,1,0\n", &[((1, 8), "the region `a` (column 3) stands here for the second time")]);
    check("from,a,b c\na,0,1\nb c,1,0\n", &[((1, 8), "`b c` (column 3) cannot name a region")]);
    check("from\n", &[((1, 1), "expected 1 to 64 regions, found 0")]);
    let many = (0..65).fold("from".to_owned(), |line, region| format!("{line},r{region}"));
    check(&many, &[((1, 1), "expected 1 to 64 regions, found 65")]);
    check(
        "# mine\nfrom,a,b\n a,0, -1\nb,x,nan",
        &[
            ((3, 7), "the delay from a to b (column 3) is negative: -1"),
            ((4, 3), "the delay from b to a (column 2) is no number: `x`: write milliseconds, such as 12.5"),
            ((4, 5), "the delay from b to b (column 3) is no number: `nan`"),
        ],
    );
    check("from,a,b\na,0,0\nb,1,0\n", &[((2, 5), "from a to b (column 3) is zero: write for example 0.5 (nodes are")]);
    check("from,a\na,3600000.1\n", &[((2, 3), "is longer than 1h one way")]);
    check("from,a\na,0.0000001\n", &[((2, 3), "no whole number of nanoseconds one way")]);
    check("from,a\na,1e99\n", &[((2, 3), "is no number")]);
    check_matrix("holds = \"rtt\"", "from,a\na,0.000001\n", &[((2, 3), "no whole number of nanoseconds one way")]);
}

#[test]
fn a_file_of_delays_must_say_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.csv"), "from,a\na,1\n").unwrap();
    let file_name = folder.path().join("s.toml").display().to_string();
    let text = format!("{HEAD}network.latency = {{ model = \"regions\", file = \"m.csv\" }}");
    let Err(ScenarioError::Invalid(problems)) = parse(&file_name, &text, &[]) else { panic!("it is taken") };
    let [problem] = problems.list() else { panic!("{problems}") };
    assert_eq!((problem.line, problem.column), (4, 47));
    assert!(said(problem).contains("add holds = \"one-way\" or holds = \"rtt\""), "{problems}");
}

#[test]
fn losses_are_shares_below_one() {
    for loss in ["1", "1.0", "-0.1", "nan", "-nan", "inf", "1e400", "true"] {
        check(&format!("network.loss = {loss}"), (1, 16), &["from 0 up to, not including, 1"]);
    }
}

#[test]
fn shares_of_regions_are_checked() {
    let check = |shares: &str, column, parts: &[&str]| {
        check(&format!("[network.latency]\nmodel = \"regions\"\nshares = {shares}"), (3, column), parts);
    };
    check("{ Tokio = 1 }", 12, &["unknown region `Tokio` in table aws-13", "write Tokyo"]);
    check("{ Moon = 1.0, Tokyo = 1 }", 12, &["unknown region `Moon`", "its regions are N_Virginia, Canada"]);
    check("{ Tokyo = 0.5, London = 0.4 }", 10, &["add up to 0.9", "make them add up to 1"]);
    check("{ Tokyo = 0.5, London = 0.500000002 }", 10, &["add up to 1.000000002"]);
    check("{ Tokyo = -0.5, London = 1 }", 20, &["a share from 0 to 1, found number -0.5"]);
}

#[test]
fn links_nearby_need_regions_and_shares() {
    let parts = ["`nearby` needs a latency model with regions", "write network.latency = { model = \"regions\" }"];
    check("topology.nearby = 0.8", (1, 19), &parts);
    check("network.latency.model = \"uniform\"\n[topology]\nnearby = [0, 1]", (3, 10), &parts);
    let check = |nearby: &str, column, parts: &[&str]| {
        check(&format!("network.latency.model = \"regions\"\n[topology]\nnearby = {nearby}"), (3, column), parts);
    };
    for share in ["-0.1", "1.01", "nan", "\"half\"", "true"] {
        check(share, 10, &["expected a share of links from 0 to 1"]);
    }
    check("[0.5, 2, 0.7]", 16, &["from 0 to 1, found integer 2"]);
    check("[0.5, 0.50]", 16, &["nearby = 0.5 stands in the list for the second time"]);
    check("[]", 10, &["the list of shares is empty"]);
    let many = (0..17).map(|share| format!("{}", f64::from(share) / 16.0)).collect::<Vec<_>>().join(", ");
    check(&format!("[{many}]"), 10, &["17 shares are too many", "at most 16"]);
    let problems = problems_with(&format!("{HEAD}[topology]\nnearbye = 1"), &[]);
    assert!(problems.to_string().contains("write `nearby`"), "{problems}");
}

#[test]
fn tiers_must_fit_the_nodes() {
    let check = |approach: &str, lines: &str, at, parts: &[&str]| {
        let text = format!("name = \"a\"\nnodes = [\"10K\", 50]\napproaches = \"{approach}\"\n{lines}");
        check_file(&text, at, parts);
    };
    let default =
        ["for 50 nodes the tiers add up to 110: 10 super + 100 full + 0 mobile + 0 light", "at most 50 nodes"];
    check("hierarchical", "", (2, 17), &default);
    check("gossip", "tiers.full = 45", (4, 14), &["for 50 nodes the tiers add up to 55: 10 super + 45 full"]);
    let lines = "[tiers]\nsuper = 2\nfull = 8\nlight = 40";
    check(
        "gossip",
        lines,
        (7, 9),
        &["for 10K nodes the tiers add up to 50: 2 super + 8 full + 0 mobile + 40 light", "write 9_990"],
    );
    check("hierarchical", "[tiers]\nsuper = 0\nfull = 8", (5, 9), &["there is no super node", "super = 1 or more"]);
}

#[test]
fn tier_sizes_are_checked() {
    check("tiers.super = { min = 1 }", (1, 15), &["the tier `super` has no share", "add share = 0.01"]);
    check("tiers.super = { share = 0.1, min = 5, max = 4 }", (1, 36), &["min 5 exceeds max 4", "min <= max"]);
    check("tiers.super = { share = 1.1 }", (1, 25), &["a share from 0 to 1, found number 1.1"]);
    check("tiers.super = { share = nan }", (1, 25), &["a share from 0 to 1"]);
    check("tiers.mobile = \"5G\"", (1, 16), &["at most \"4G\""]);
}

#[test]
fn links_must_fit_the_tiers() {
    let text = |lines: &str| format!("name = \"a\"\nnodes = \"1K\"\napproaches = [\"hierarchical\"]\n{lines}");
    let few = "tiers = { super = 3, full = 3 }\n";
    let parts = ["for 1K nodes there are 3 full nodes, fewer than light_parents = 4", "light_parents = 3 or less"];
    check_file(&text(few), (2, 9), &parts);
    check_file(&text(&format!("{few}approach.hierarchical.light_parents = 4")), (5, 39), &parts);
    let parts = ["for 1K nodes there are 3 super nodes, fewer than super_parents = 5"];
    let lines = "tiers = { super = 3, full = 30 }\napproach.hierarchical.super_parents = 5";
    check_file(&text(lines), (5, 39), &parts);
    check_file(&text("approach.hierarchical.full_peers = 0"), (4, 36), &["at least 1"]);
    check_file(&text("approach.gossip.light_parents = 65"), (4, 33), &["at most 64"]);
}

#[test]
fn a_fanout_needs_that_many_other_nodes() {
    let text = "name = \"a\"\nnodes = [9, 8]\napproaches = \"flat-gossip\"\n";
    let parts =
        ["flat-gossip with fanout 8 needs more than 8 nodes", "write fanout = 7 or less under [approach.flat-gossip]"];
    check_file(text, (2, 13), &parts);
    check_file(&format!("{text}approach.flat-gossip.fanout = 8"), (4, 31), &parts);
    check("approach.gossip.seen = 7", (1, 24), &["at least 8"]);
    check("approach.gossip.hops_max = 256", (1, 28), &["at most 255"]);
}

#[test]
fn detectors_are_checked() {
    check("detection = \"timeout\"", (1, 13), &["expected `detection` to be a table", "found string"]);
    check("[detection]\nmised = 3", (2, 1), &["unknown key `mised` in `detection`", "write `missed`"]);
    check("detection.detector = \"swim\"", (1, 22), &["unknown detector `swim`", "\"timeout\", \"phi\""]);
    check("detection.detector = \"fi\"", (1, 22), &["unknown detector `fi`", "write"]);
    check("detection.missed = 0", (1, 20), &["from 1 to 100, found integer 0", "at least 1"]);
    check("detection.missed = 101", (1, 20), &["at most 100"]);
    check("[detection]\ndetector = \"phi\"\nthreshold = 0.09", (3, 13), &["a number from 0.1 to 30"]);
    check("[detection]\ndetector = \"phi\"\nthreshold = inf", (3, 13), &["a number from 0.1 to 30"]);
    check("detection.patience = 30", (1, 22), &["expected a duration", "write \"30s\""]);
    check("detection.patience = \"0s\"", (1, 22), &["at least \"1ms\""]);
    let parts = ["`threshold` has no meaning for the timeout detector", "detector = \"phi\"", "a threshold is for phi"];
    check("[detection]\nthreshold = 8", (2, 1), &parts);
    let parts = ["`missed` has no meaning for the phi detector", "detector = \"timeout\"", "does not count missed"];
    check("[detection]\ndetector = \"phi\"\nmissed = 3", (3, 1), &parts);
}

#[test]
fn what_a_detector_gives_a_meaning_or_takes_it_is_checked() {
    let parts = ["`track` has no meaning without a detector", "add [detection]", "of which nodes rumours are tracked"];
    check("approach.gossip.track = 0.5", (1, 25), &parts);
    check("detection = {}\napproach.gossip.track = 1.5", (2, 25), &["a share from 0 to 1"]);
    let parts = ["`missed` has no meaning beside [detection]", "remove it", "judge by it as all others"];
    check("detection = {}\napproach.sampled.missed = 2", (2, 27), &parts);
    let parts = ["heartbeats every 9ms are too fast", "heartbeat.interval = \"10ms\" or more", "a millisecond"];
    check("detection = {}\nheartbeat.interval = \"9ms\"", (0, 14), &parts);
    let sampled = "name = \"a\"\nnodes = \"1K\"\napproaches = [\"ping\", \"sampled\"]\n";
    check_file(&format!("{sampled}heartbeat.interval = \"1ms\""), (3, 23), &parts[1..]);
    let long = "timeline = \"1h\"\nmeasure = \"53d\"";
    check(
        &format!("detection = {{}}\n{long}"),
        (3, 11),
        &["ping runs for longer than nodes can keep times", "at most 52d"],
    );
    check_file(&format!("{sampled}{long}"), (5, 11), &["sampled runs for longer than nodes can keep times"]);
}

#[test]
fn samples_are_checked() {
    check("approach.sampled.trackers = 0", (1, 29), &["at least 1"]);
    check("approach.sampled.trackers = 65", (1, 29), &["at most 64"]);
    check("approach.sampled.rates = []", (1, 26), &["the list of rates is empty"]);
    check("approach.sampled.rates = 0", (1, 26), &["a rate from 0.000000001 to 1, found integer 0"]);
    check("approach.sampled.rates = [0.1, 1.1]", (1, 32), &["found number 1.1"]);
    check("approach.sampled.rates = [0.1, 1e-1]", (1, 32), &["for the second time", "remove it"]);
    let many = format!("approach.sampled.rates = [{}]", "0.1, ".repeat(9));
    check(&many, (1, 26), &["9 rates are too many", "at most 8"]);
    let text = "name = \"a\"\nnodes = \"1K\"\napproaches = \"sampled\"\ntiers.super = 2\n";
    let parts = ["for 1K nodes there are 2 super nodes, fewer than trackers = 3", "write trackers = 2 or less"];
    check_file(text, (2, 9), &parts);
    check_file(&format!("{text}approach.sampled.trackers = 4"), (5, 29), &["fewer than trackers = 4"]);
}

#[test]
fn probes_of_swim_fit_their_period() {
    let text = "name = \"a\"\nnodes = [\"1K\", \"10K\"]\napproaches = \"swim\"\n[approach.swim]\n";
    let check = |lines: &str, place, parts: &[&str]| check_file(&format!("{text}{lines}"), place, parts);
    let parts = [
        "a probe timeout of 600ms does not fit a period of 1s with indirect probes after it",
        "write probe_timeout = \"500ms\" or less, or period = \"1.2s\" or more",
        "indirect_probes = 0 does without",
    ];
    check("probe_timeout = \"600ms\"", (5, 17), &parts);
    check("period = \"900ms\"", (5, 10), &["of 500ms does not fit a period of 900ms", "\"450ms\" or less"]);
    let parts = ["of 2s does not fit a period of 1s: write probe_timeout = \"1s\" or less, or period = \"2s\" or more"];
    check("indirect_probes = 0\nprobe_timeout = \"2s\"", (6, 17), &parts);
    check("period = 1", (5, 10), &["write \"1s\""]);
    check("period = \"1ms\"", (5, 10), &["at least \"10ms\""]);
    check("period = \"2d\"", (5, 10), &["at most \"1d\""]);
    check("probe_timeout = \"0s\"", (5, 17), &["at least \"1ms\""]);
    check("indirect_probes = 17", (5, 19), &["at most 16"]);
    check("suspicion_mult = 0", (5, 18), &["at least 1"]);
    check("suspicion_mult = \"1K\"", (5, 18), &["at most 100"]);
    check("fanout = 3", (5, 1), &["unknown key `fanout` in `swim`", "known keys are warmup, measure, period"]);
}

#[test]
fn a_counted_mesh_cannot_lose_messages() {
    let text = "name = \"a\"\nnodes = [\"1K\", \"10K\", \"1M\"]\napproaches = \"full-mesh\"\nnetwork.loss = 0.01";
    let parts = [
        "a full mesh of 10K nodes cannot lose messages",
        "counted cannot draw n(n-1) losses",
        "set network.loss = 0, or raise event_nodes_max",
    ];
    check_file(text, (4, 16), &parts);
    check_file(&format!("{text}\napproach.full-mesh.event_nodes_max = \"10K\""), (4, 16), &["a full mesh of 1M nodes"]);
}

#[test]
fn a_point_has_a_bounded_timeline() {
    let parts = ["ping of 100005s make 100_005 timeline buckets of 1s", "write timeline = \"1.001s\"", "may have 100K"];
    check("measure = \"100_000s\"", (1, 11), &parts);
    check("[approach.ping]\nmeasure = \"2d\"", (2, 11), &["timeline buckets of 1s"]);
    check("timeline = \"1ms\"\nwarmup = \"1h\"", (2, 10), &["timeline buckets of 1ms"]);
}

#[test]
fn six_mistakes_are_six_problems_in_the_order_of_the_file() {
    let text = "name = \"a/b\"\nnodes = [\"1K\", \"1Q\"]\napproaches = \"pong\"\nwarmup = 30\n\
                [network]\nloss = 1.5\nlatancy = 3\n";
    let problems = problems_with(text, &[]);
    let places: Vec<_> = problems.list().iter().map(|problem| (problem.line, problem.column)).collect();
    assert_eq!(places, [(1, 8), (2, 16), (3, 14), (4, 10), (6, 8), (7, 1)]);
    assert_eq!(problems.total(), 6);
}

#[test]
fn syntax_errors_come_together_with_the_other_problems() {
    let text = format!("{HEAD}warmup = 5s\nmeasure = \nseed = -1\nseed = 2\n[network\nloss = 2\n");
    let problems = problems_with(&text, &[]);
    let found: Vec<_> = problems.list().iter().map(|problem| (problem.line, problem.title.as_str())).collect();
    assert_eq!(
        found[..4],
        [
            (4, "a text needs quotes"),
            (5, "expected a value"),
            (6, "expected a whole number from 0 to 2^63 - 1, found integer -1"),
            (7, "`seed` stands here for the second time"),
        ]
    );
    assert_eq!((found[4].0, problems.total() >= 5), (8, true), "{problems}");
    check("warmup = 5s", (1, 10), &["a text needs quotes", "write \"5s\""]);
    check_file("name = \"a", (1, 10), &["invalid basic string", "expected `\"`"]);
}

#[test]
fn a_problem_of_an_override_is_shown_in_the_override() {
    let check = |set: &str, column, parts: &[&str]| {
        let problems = problems_with(HEAD, &["seed=3", set]);
        let [problem] = problems.list() else { panic!("{problems}") };
        assert_eq!(problem.source, format!("--set {set}"));
        assert_eq!((problem.line, problem.column), (1, column), "{problems}");
        for part in parts {
            assert!(said(problem).contains(part), "{problems}");
        }
    };
    check("nodes=1Q", 7, &["unknown unit `Q`"]);
    check("nodes", 1, &["needs a `=`", "nodes=1K"]);
    check("network.los=0", 9, &["unknown key `los`", "write `loss`"]);
    check("colour.x=1", 1, &["unknown key `colour`"]);
    check("network.loss = 2", 16, &["not including, 1"]);
    check("nodes.x=2", 1, &["`nodes` is a list", "write nodes=..."]);
    check("approach.ping.measure=30", 23, &["write \"30s\""]);
    check("tiers.super={ share = 7 }", 23, &["a share from 0 to 1"]);
    check("approaches=[\"ping\", \"hierarchicl\"]", 21, &["write \"hierarchical\""]);
}

#[test]
fn a_user_sees_the_place_and_what_to_write() {
    let text = "name = \"a\"\nnodes = \"1K\"\napproaches = \"ping\"\nwarmup = 30\n[network]\nspeed = 1\n";
    let problems = problems_with(text, &["nodes=1Q"]);
    let expected = r#"error[Q0120]: expected a duration such as "30s", found integer 30
 --> s.toml:4:10
  |
4 | warmup = 30
  |          ^^ write "30s"

error[Q0110]: unknown key `speed` in `network`
 --> s.toml:6:1
  |
6 | speed = 1
  | ^^^^^ remove it
  |
  = help: known keys are latency, loss, header, capacity

error[Q0123]: unknown unit `Q`: a whole count is in K, M, G
 --> --set nodes=1Q:1:7
  |
1 | nodes=1Q
  |       ^^ write a whole count such as "10K"

scenario `s.toml` refused: 3 problems"#;
    assert_eq!(problems.render(false), expected);
    assert_eq!(problems.to_string(), expected);
    assert!(problems.render(true).contains("\u{1b}["));
}

#[test]
fn what_is_shown_cannot_drive_a_terminal() {
    let text = format!("{HEAD}\"\\u001b[2J\" = 1\n\"x\\u001b\" = \"\\u001b[31m\"\nmeasure = \"\\u001b[31m\"\n# \n");
    let shown = problems_with(&text, &["x\u{1b}[2J=1"]).render(false);
    assert!(shown.chars().all(|c| !c.is_control() || c == '\n'), "{shown:?}");
}

/// Files made to take long must not: the limit is a hundred times what a fast machine needs.
#[test]
#[allow(clippy::disallowed_methods, reason = "bounds the wall time that a hostile file can cost")]
fn hostile_files_are_refused_at_once() {
    let path = vec!["a"; 79].join(".");
    let mut files: Vec<String> = ["[", "=\n", "a=1\n", "{", "a=[", "\"\n", "a.", "#\n", "k\u{7}", "=", "a=1K,"]
        .iter()
        .map(|unit| unit.repeat(FILE_BYTES_MAX / unit.len()))
        .collect();
    files.push(format!("nodes = [{}]", "1,".repeat(40_000)));
    files.push((0..20_000).map(|key| format!("key_{key} = 1\n")).collect());
    files.push(format!("x = {{{}}}", (0..16_000).map(|key| format!("k{key}=1,")).collect::<String>()));
    files.push(format!("{} x{}", "=".repeat(90_000), "y".repeat(1_500_000)));
    files.push(format!("{}{}", format!("{path} = {{").repeat(25), "x".repeat(1_500_000)));
    files.push(format!("{} = 1", "x".repeat(1_900_000)));
    files.push(format!("name = \"{}\"", "x".repeat(1_900_000)));
    files.push(format!("seed = {}", "9".repeat(1_900_000)));
    files.push(format!("network.loss = 0.{}", "9".repeat(1_900_000)));
    files.push(format!("tiers.full.share = 0.{}", "1_".repeat(900_000)));
    for file in files {
        let start = Instant::now();
        let shown = problems_with(&file, &[]).render(true);
        assert!(start.elapsed() < Duration::from_secs(10), "{}...", &file[..20]);
        assert!(shown.len() < 100_000, "{} bytes are shown for {}...", shown.len(), &file[..20]);
    }
}
