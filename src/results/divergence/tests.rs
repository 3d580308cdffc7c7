//! Tests of where traces part, and of chains of causes, on small traces.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::report::TRACE_COLUMNS;

/// A timer of node 1 at 5 ns makes it send to node 2, which sends on at 20 ns, which is lost.
const ROWS: [&str; 7] = [
    "ping,3,0,1,sent,hello,1,2,3,",
    "ping,3,5,1,timer,,,,4,",
    "ping,3,5,1,sent,hello,1,2,5,",
    "ping,3,20,2,received,hello,1,2,5,",
    "ping,3,20,2,sent,hello,2,0,9,",
    "ping,3,20,2,lost,hello,2,0,9,",
    "ping,3,30,2,crashed,,,,,",
];

fn csv(rows: &[&str]) -> String {
    format!("{}\n{}\n", TRACE_COLUMNS.join(","), rows.join("\n"))
}

/// Files with `texts`, and the folder that they are in.
fn files<const N: usize>(texts: [&str; N]) -> (tempfile::TempDir, [PathBuf; N]) {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    let paths = texts.map(|text| {
        number += 1;
        let path = folder.path().join(format!("{number}.{}", if text.starts_with('{') { "jsonl" } else { "csv" }));
        fs::write(&path, text).unwrap();
        path
    });
    (folder, paths)
}

fn compare(a: &str, b: &str) -> Result<Divergence, TraceError> {
    let (_folder, paths) = files([a, b]);
    diverge([&paths[0], &paths[1]])
}

#[test]
fn equal_traces_are_equal_and_the_first_difference_is_told() {
    let whole = csv(&ROWS);
    assert_eq!(compare(&whole, &whole).unwrap(), Divergence::None { events: 7, cut: 0 });
    let cut = csv(&[&ROWS[..], &["ping,3,,,cut,,,,,90"]].concat());
    assert_eq!(compare(&cut, &cut).unwrap(), Divergence::None { events: 7, cut: 90 });
    let mut other = ROWS;
    other[4] = "ping,3,20,2,sent,hello,2,1,9,";
    let Divergence::At { same: 4, events: [Some(a), Some(b)] } = compare(&whole, &csv(&other)).unwrap() else {
        panic!()
    };
    assert_eq!((a.receiver, b.receiver, a.order()), (Some(0), Some(1), b.order()));
    let Divergence::At { same: 6, events: [Some(_), None] } = compare(&whole, &csv(&ROWS[..6])).unwrap() else {
        panic!()
    };
    let Divergence::At { same: 7, events: [None, Some(cut)] } = compare(&whole, &cut).unwrap() else { panic!() };
    assert_eq!(cut.to_string(), "90 more events, which were not traced");
}

#[test]
fn lines_of_json_are_the_same_as_rows_of_csv() {
    let json = r#"{"approach":"ping","nodes":3,"time_ns":0,"node":1,"event":"sent","kind":"hello","sender":1,"receiver":2,"sequence":3,"cut_records":null}"#;
    let found = compare(&format!("{json}\n"), &csv(&ROWS[..1])).unwrap();
    assert_eq!(found, Divergence::None { events: 1, cut: 0 });
}

#[test]
fn causes_go_back_to_the_start() {
    let (_folder, [path]) = files([&csv(&ROWS)]);
    let events: Vec<_> = TraceReader::open(&path).unwrap().map(Result::unwrap).collect();
    let chain = causes(&path, &events[5], 10).unwrap();
    let expected = [
        Step::Event(events[4].clone()),
        Step::Event(events[3].clone()),
        Step::Event(events[2].clone()),
        Step::Event(events[1].clone()),
        Step::Origin("the run began, or the node came, and set a timer"),
    ];
    assert_eq!(chain, expected);
    assert_eq!(causes(&path, &events[5], 2).unwrap(), expected[..2]);
    assert!(matches!(causes(&path, &events[6], 9).unwrap()[..], [Step::Origin(_)]));
    // Without what a message was sent for, the chain ends.
    let (_folder, [path]) = files([&csv(&ROWS[3..])]);
    assert!(matches!(causes(&path, &events[3], 9).unwrap()[..], [Step::Untraced(_)]));
}

#[test]
fn who_set_a_timer_is_told_by_the_messages_before_and_after() {
    let rows = [
        "ping,3,7,1,received,hello,2,1,1,",
        "ping,3,7,1,sent,hello,1,2,4,",
        "ping,3,9,1,received,hello,2,1,2,",
        "ping,3,9,1,sent,hello,1,2,6,",
        "ping,3,50,1,timer,,,,5,",
        "ping,3,60,1,timer,,,,7,",
    ];
    let (_folder, [path]) = files([&csv(&rows)]);
    let events: Vec<_> = TraceReader::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(causes(&path, &events[4], 1).unwrap(), [Step::Probably(events[0].clone(), [7, 9])]);
    assert_eq!(causes(&path, &events[5], 1).unwrap(), [Step::Probably(events[2].clone(), [9, 60])]);
}

#[test]
fn what_is_no_trace_is_refused_with_its_line() {
    let whole = csv(&ROWS);
    let refused = |text: &str| compare(&whole, text).unwrap_err().to_string();
    assert!(refused("a,b\n").contains("has not the columns of a trace"));
    assert!(refused("").contains("has not the columns"));
    assert!(refused(&csv(&["ping,3,0,1,sent,hello,1,2,3"])).contains("line 2: it has not the cells of an event"));
    assert!(refused(&csv(&[ROWS[0], "ping,3,-1,1,sent,hello,1,2,3,"])).contains("line 3: it has not the cells"));
    assert!(refused(&csv(&["ping,3,0,1,eaten,hello,1,2,3,"])).contains("line 2: the event is none that traces have"));
    assert!(refused(&csv(&["ping,3,0,1,timer,,,,,"])).contains("line 2: it has no sequence"));
    assert!(refused(&csv(&["ping,3,,1,timer,,,,2,"])).contains("line 2: it has no time or no node"));
    assert!(refused(&csv(&["ping,3,,,cut,,,,,"])).contains("it does not say how many"));
    assert!(refused(whole.trim_end()).contains("line 8: the line has no end"));
    assert!(refused(&csv(&[&"x".repeat(5_000)])).contains("line 2: the line is longer than any that is written"));
    assert!(refused("{\"approach\":1}\n").contains("it is no JSON of an event"));
    let (_folder, [path]) = files([&whole]);
    let none = diverge([&path, &path.with_file_name("none.csv")]).unwrap_err();
    assert!(none.to_string().contains("cannot read"), "{none}");
    let text = path.with_file_name("a.txt");
    fs::write(&text, &whole).unwrap();
    assert!(diverge([&path, &text]).unwrap_err().to_string().contains("neither in .csv nor in .jsonl"));
}
