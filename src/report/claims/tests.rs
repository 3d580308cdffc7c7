//! The formats of claims, from parts made by hand.

use super::*;
use crate::claims::fit::Law;
use crate::claims::verdict::{Means, Rule};
use crate::claims::{claim, definition};

fn answer(id: &str, parts: Result<Vec<Part>, String>) -> Answer {
    let commands = vec!["qnetsim run x.toml".to_owned()];
    Answer { claim: claim(id).unwrap(), definition: definition(id).unwrap(), parts, commands }
}

fn ran() -> Ran {
    Ran {
        command: "qnetsim claims".to_owned(),
        version: "qnetsim 1.2.3".to_owned(),
        machine: "2 cores".to_owned(),
        seeds: "1 to 3".to_owned(),
        scale: "quick",
    }
}

/// One of each: simulated, of this machine, fitted, open, missing.
fn answers() -> Vec<Answer> {
    let rate = Part::new("", "msg/s", Some(33_333.0), vec![33_000.0, 33_600.0], Means::Event, Rule::Near(0.05));
    let growth =
        Part::new("messages of all nodes", "exponent", Some(2.0), vec![2.0], Means::Counted, Rule::Exponent(0.05));
    let growth =
        Part { law: Some(Law::Quadratic), half_width: Some(0.01), points: vec![(1e3, 1e6), (1e4, 1e8)], ..growth };
    let hit = Part::new("p50", "ns", Some(100.0), vec![312.0], Means::Measured, Rule::UpTo(0.25));
    let open = Part::new("hierarchical | x", "nodes", None, vec![1e5], Means::Event, Rule::Shown);
    vec![
        answer("QN-01", Ok(vec![Part { implied: Some(1e6 / 30.0), ..rate }])),
        answer("QN-04", Ok(vec![growth])),
        answer("QN-55", Ok(vec![Part { is_lower_bound: true, ..open }])),
        answer("UR-13", Ok(vec![Part { is_of_machine: true, ..hit }])),
        answer("UR-01", Err("the run registry-bench failed: no room".to_owned())),
    ]
}

#[test]
fn people_get_a_table_of_a_hundred_columns_and_a_sentence_for_each_claim() {
    let text = claims_human(&ran(), &answers());
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    for part in
        ["33.3K", "n^2.00", "O(n^2)", ">100K", "off by 3.12", "UR-01 no evidence: the run registry-bench failed"]
    {
        assert!(text.contains(part), "{part} is missing from\n{text}");
    }
    assert!(
        text.ends_with("5 claims: 2 holds, 1 not a measurable claim, 1 off by a factor, 1 no evidence\n"),
        "{text}"
    );
}

#[test]
fn markdown_keeps_its_cells_apart_and_states_growth_rules_and_runs() {
    let text = claims_markdown(&ran(), &answers());
    let table: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
    for row in table.iter().take(7) {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 10, "{row}");
    }
    assert!(
        text.contains("| QN-04 | messages of all nodes | 1000, 10.0K | 2.000 | 1.990 to 2.010 | O(n^2) |"),
        "{text}"
    );
    assert!(text.contains("- QN-01: within 5 % of the number\n  - `qnetsim run x.toml`"), "{text}");
    assert!(text.contains("- version: qnetsim 1.2.3"));
}

#[test]
fn what_is_of_this_machine_stands_in_columns_of_its_own() {
    let csv = claims_csv(&answers());
    let mut reader = csv::Reader::from_reader(&csv[..]);
    let header = reader.headers().unwrap().clone();
    let cell =
        |row: &csv::StringRecord, name: &str| row[header.iter().position(|column| column == name).unwrap()].to_owned();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!((cell(&rows[0], "simulated"), cell(&rows[0], "machine")), ("33300".to_owned(), String::new()));
    assert_eq!(
        (cell(&rows[0], "simulated_verdict"), cell(&rows[0], "simulated_seeds")),
        ("holds".to_owned(), "2".to_owned())
    );
    assert_eq!(cell(&rows[1], "simulated_law"), "O(n^2)");
    assert_eq!(cell(&rows[2], "simulated_is_lower_bound"), "true");
    assert_eq!((cell(&rows[3], "simulated"), cell(&rows[3], "machine")), (String::new(), "312".to_owned()));
    assert_eq!(
        (cell(&rows[3], "simulated_verdict"), cell(&rows[3], "machine_verdict")),
        (String::new(), "off by 3.12".to_owned())
    );
    assert!(cell(&rows[4], "missing").contains("no room"));
    let mut other = answers();
    if let Ok(parts) = &mut other[3].parts {
        parts[0].values = vec![100.0];
    }
    let simulated = |csv: &[u8]| -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_reader(csv);
        let kept: Vec<_> =
            header.iter().enumerate().filter(|(_, name)| !name.starts_with("machine")).map(|(at, _)| at).collect();
        let row = |row: csv::StringRecord| kept.iter().map(|&at| row[at].to_owned()).collect();
        reader.records().map(|record| row(record.unwrap())).collect()
    };
    assert_ne!(csv, claims_csv(&other));
    assert_eq!(simulated(&csv), simulated(&claims_csv(&other)), "another machine moves no other column");
}

#[test]
fn json_has_every_part_with_its_rule_and_values() {
    let json: serde_json::Value = serde_json::from_str(&claims_json(&ran(), &answers())).unwrap();
    assert_eq!((&json["machine"], &json["scale"]), (&"2 cores".into(), &"quick".into()));
    let first = &json["claims"][0];
    assert_eq!((&first["id"], &first["verdict"]), (&"QN-01".into(), &"holds".into()));
    assert_eq!(first["parts"][0]["values"], serde_json::json!([33_000.0, 33_600.0]));
    assert_eq!(first["parts"][0]["rule"], "within 5 % of the number");
    assert_eq!(json["claims"][4]["missing"], "the run registry-bench failed: no room");
}

#[test]
fn charts_show_what_was_fitted_and_a_row_for_each_claim() {
    let text = |svg: Option<Vec<u8>>| String::from_utf8(svg.unwrap()).unwrap();
    let growth = text(growth_svg(&answers()));
    assert!(growth.contains("QN-04 O(n^2)") && growth.ends_with("</svg>\n"));
    let verdicts = text(verdicts_svg(&answers()));
    for id in ["QN-01", "QN-55", "UR-13", "UR-01"] {
        assert!(verdicts.contains(&format!("{id}  ")), "{id}");
    }
    assert!(growth_svg(&answers()[..1]).is_none() && verdicts_svg(&[]).is_none());
}
