//! Files as users bring them: both formats, and whatever can be wrong with a line.

use std::fs;

use super::super::super::population::Population;
use super::super::super::text::{ENDORSEMENT_COLUMNS, USER_COLUMNS};
use super::*;

fn files(contents: &[(&str, &str)]) -> (tempfile::TempDir, Result<Files, SourceError>) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = contents.iter().map(|(name, _)| folder.path().join(name)).collect();
    contents.iter().zip(&paths).for_each(|((_, text), path)| fs::write(path, text).unwrap());
    let files = Files::open(&paths);
    (folder, files)
}

fn csv_of(columns: &[&str], lines: &[Line<'_>]) -> String {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(columns).unwrap();
    lines.iter().for_each(|line| writer.serialize(line).unwrap());
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

fn json_of(lines: &[Line<'_>]) -> String {
    lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect()
}

fn bad(text: &str) -> Vec<(u64, String)> {
    let (_folder, files) = files(&[("lines.jsonl", text)]);
    let files = files.unwrap();
    let users = files.users().flat_map(|batch| batch.unwrap().bad);
    let endorsements = files.endorsements(0).flat_map(|batch| batch.unwrap().bad);
    users.chain(endorsements).map(|(place, reason)| (place.line, reason)).collect()
}

#[test]
fn what_is_written_as_csv_and_as_json_is_read_again() {
    let population = Population::new(1, 3_000, 2);
    let users: Vec<_> = (0..3_000).map(|number| population.user(number)).collect();
    let endorsements: Vec<_> = (0..3_000).flat_map(|number| population.endorsements_of(number)).collect();
    let user_lines: Vec<Line<'_>> = users.iter().map(Line::from).collect();
    let endorsement_lines: Vec<Line<'_>> = endorsements.iter().map(Line::from).collect();
    let (csv_users, csv_endorsements) =
        (csv_of(&USER_COLUMNS, &user_lines), csv_of(&ENDORSEMENT_COLUMNS, &endorsement_lines));
    let json = json_of(&endorsement_lines) + "\n" + &json_of(&user_lines);
    for contents in [&[("e.csv", &*csv_endorsements), ("u.csv", &*csv_users)][..], &[("all.jsonl", &*json)]] {
        let (_folder, files) = files(contents);
        let files = files.unwrap();
        let read: Vec<_> = files.users().flat_map(|batch| batch.unwrap().items).map(|(_, user)| user).collect();
        assert!(read == users);
        for skipped in [0, 1, 5_000, 6_000] {
            let read = files.endorsements(skipped as u64).flat_map(|batch| batch.unwrap().items);
            assert!(read.map(|(_, endorsement)| endorsement).eq(endorsements[skipped..].iter().cloned()));
        }
        let (first, _) = files.users().next().unwrap().unwrap().items[0];
        assert!(files.describe(first).ends_with(if contents.len() == 2 { "u.csv:2" } else { "all.jsonl:6002" }));
    }
}

#[test]
fn every_bad_line_is_told_with_its_number_and_reason() {
    let good = serde_json::to_string(&Line::from(&Population::new(1, 10, 0).user(0))).unwrap();
    let changed = |field: &str, value: &str| {
        let mut object: serde_json::Value = serde_json::from_str(&good).unwrap();
        object[field] = serde_json::from_str(value).unwrap();
        object.to_string()
    };
    let cases = [
        (changed("key", "\"04ff\""), "key: a user's key is 66"),
        (changed("government_id", "\"xyz\""), "government_id: a hash is 64"),
        (changed("birth_currency", "\"EUS\""), "EUS is no currency in use (ISO 4217); did you mean EUR?"),
        (changed("birth_currency", "\"euro\""), "did you mean EUR?"),
        (changed("country", "\"Germany\""), "country: a country is two capital letters"),
        (changed("name", &format!("{:?}", "x".repeat(65))), "name: a name has at most 64 bytes, not 65"),
        (changed("name", "\"a\\nb\""), "control characters"),
        (changed("registered_at", "-1"), "integer `-1`, expected u64"),
        (changed("age", "7"), "unknown field `age`"),
        (changed("signed_at", "7"), "a user or an endorsement, not both"),
        ("{\"key\": 1".to_owned(), "at column"),
        ("[]".to_owned(), "a line is a JSON object"),
        ("{\"endorsed\": \"02\"}".to_owned(), "endorsed: a user's key"),
        ("x".repeat(LINE_LEN_MAX + 1), "longer than 4096"),
        ("\u{0}\u{0}".to_owned(), "a line is a JSON object"),
    ];
    for (line, reason) in &cases {
        let found = bad(&format!("{good}\n{line}\n{good}"));
        let [(2, told)] = found.as_slice() else { panic!("{line}: {found:?}") };
        assert!(told.contains(reason), "{told}");
    }
    let all: String = cases.iter().map(|(line, _)| format!("{line}\n")).collect();
    assert_eq!(bad(&all).len(), cases.len());
}

#[test]
fn bad_headers_and_fields_of_csv_are_told() {
    let header = USER_COLUMNS[..7].join(",");
    for (text, reason) in [
        ("", "is empty"),
        ("key,name\n", "the column government_id is missing"),
        ("key,nickname\n", "unknown column \"nickname\""),
        (&*format!("{header},key\n"), "twice"),
        ("endorsed,endorser,signature\n", "the column signed_at is missing"),
    ] {
        let (_folder, files) = files(&[("users.csv", text)]);
        let Err(error) = files else { panic!("{text:?} was taken") };
        let error = error.to_string();
        assert!(error.contains(reason), "{error}");
    }
    let (_folder, files) = files(&[("users.csv", &format!("{header}\r\n\r\n1,2\r\n\"a,b,c,d,e,f,g\n1,2,3\n"))]);
    let found: Vec<_> = files.unwrap().users().flat_map(|batch| batch.unwrap().bad).collect();
    assert_eq!(found[0].0.line, 3, "after the header and an empty line");
    assert!(found[0].1.contains("2 fields under 7 columns") && found.len() >= 2, "{found:?}");
}

#[test]
fn files_of_other_kinds_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, reason) in
        [("users.txt", "*.csv or *.jsonl"), ("missing.csv", "cannot read"), ("folder.jsonl", "regular")]
    {
        let path = folder.path().join(name);
        if name.starts_with("folder") {
            fs::create_dir(&path).unwrap();
        } else if name.ends_with("txt") {
            fs::write(&path, "").unwrap();
        }
        let Err(error) = Files::open(&[path]) else { panic!("{name} was taken") };
        let error = error.to_string();
        assert!(error.contains(reason) && error.contains(name), "{error}");
    }
}
