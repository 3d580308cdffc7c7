//! `qnetsim report`, as it is called: what its page says of results, and that it asks for nothing.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

fn qnetsim(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("qnetsim").unwrap();
    command.current_dir(folder).args(arguments);
    command
}

const SCENARIO: &str = "name = \"told\"\ndescription = \"Pings <b>of</b> \\\"few\\\" & fewer\"\nnodes = [120, 200]\n\
    approaches = [\"ping\", \"hierarchical\"]\nmeasure = \"10s\"\nheartbeat.interval = \"5s\"\n\
    [thresholds]\n\"messages.lost\" = \"== 0\"\n\"messages.sent\" = \"< 1\"\n";

fn page(folder: &Path, results: &[&str]) -> String {
    qnetsim(folder, &[&["report", "-o", "a.html"], results].concat()).assert().success();
    qnetsim(folder, &[&["report", "-o", "b.html"], results].concat()).assert().success();
    let page = fs::read_to_string(folder.join("a.html")).unwrap();
    assert!(page == fs::read_to_string(folder.join("b.html")).unwrap(), "the same results give the same page");
    page
}

#[test]
fn a_page_has_all_that_makes_a_result() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("told.toml"), SCENARIO).unwrap();
    qnetsim(folder.path(), &["run", "told.toml", "--set", "network.loss=0", "--seed", "7", "--quiet"])
        .assert()
        .success();
    let kept = fs::read_to_string(folder.path().join("results/told/scenario.toml")).unwrap();
    assert!(kept.contains("\nseed = 7\n") && kept.contains("[network]\nloss = 0\n"), "{kept}");
    let thresholds = fs::read_to_string(folder.path().join("results/told/thresholds.csv")).unwrap();
    assert!(thresholds.contains("messages.lost == 0,ping,120,messages.lost,0,pass\n"), "{thresholds}");

    let page = page(folder.path(), &["results/told"]);
    let command = "qnetsim run told.toml --set network.loss=0 --set seed=7";
    let version = format!("qnetsim {}", env!("CARGO_PKG_VERSION"));
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("results/told/summary.json")).unwrap()).unwrap();
    let hash = summary["deterministic"]["scenario_hash"].as_str().unwrap();
    for text in [
        "Pings &#60;b&#62;of&#60;/b&#62; &#34;few&#34; &#38; fewer",
        command,
        &version,
        hash,
        "<dt>seed</dt><dd>7</dd>",
        "Thresholds: 4 of 8 failed.",
        "<td class=\"pass\">pass</td>",
        "<td class=\"fail\">fail</td>",
        "Messages sent a second, by network size (told)",
        "[heartbeat]\ninterval = &#34;5s&#34;\n",
    ] {
        assert!(page.contains(text), "{text} is missing from {page}");
    }
    assert!(!page.contains("<b>of"));

    // What the effective scenario says, runs as the same again.
    qnetsim(folder.path(), &["run", "results/told/scenario.toml", "--out", "again", "--quiet"]).assert().success();
    for file in ["messages.csv", "latency.csv", "thresholds.csv"] {
        let [one, other] =
            ["results/told", "again/told"].map(|of| fs::read(folder.path().join(of).join(file)).unwrap());
        assert!(one == other, "{file} differs");
    }
}

#[test]
fn a_page_of_older_results_says_what_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let results = ["network-load", "detection"].map(|name| fs::canonicalize(format!("results/{name}")).unwrap());
    let page = page(folder.path(), &[results[0].to_str().unwrap(), results[1].to_str().unwrap()]);
    assert!(page.contains("<h1>2 results</h1>") && page.contains("<a href=\"#r2\">detection</a>"));
    assert!(page.contains("qnetsim run scenarios/detection.toml"), "the command is that of tables.txt");
    assert!(page.matches("<figure>").count() >= 5);
    assert!(page.contains("of failures were never noticed"));
}

#[test]
fn folders_that_are_no_results_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    qnetsim(folder.path(), &["report", "nowhere"]).assert().code(4);
    qnetsim(folder.path(), &["report"]).assert().code(2);
    fs::create_dir(folder.path().join("x")).unwrap();
    fs::write(folder.path().join("x/detection.csv"), "a,b\n1\n").unwrap();
    let output = qnetsim(folder.path(), &["report", "x"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("x/detection.csv, line 2: 1 cells under 2 columns"), "{said}");
    assert!(!folder.path().join("report.html").exists());
}
