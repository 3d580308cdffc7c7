//! What a scenario file means: defaults, units, tiers, overrides, and the hash that names a configuration.

use proptest::prelude::*;
use qnetsim::contract::{NodeType, Population, SimSpan};
use qnetsim::protocols::detector::Detector;
use qnetsim::scenario::{
    Approach, DetectionSpec, FILE_BYTES_MAX, LatencySpec, SampleRates, Scenario, ScenarioError, Table, TierLinks, load,
    parse,
};

const SMALLEST: &str = "name = \"a\"\nnodes = \"10K\"\napproaches = \"ping\"\n";

#[track_caller]
fn read_with(text: &str, overrides: &[&str]) -> Scenario {
    let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
    parse("test.toml", text, &overrides).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn read(text: &str) -> Scenario {
    read_with(text, &[])
}

const LINKS: TierLinks = TierLinks { full_peers: 32, super_parents: 2, light_parents: 4 };

#[test]
fn an_almost_empty_file_gives_the_defaults() {
    let all = Approach::NAMES.map(|name| format!("{name:?}")).join(", ");
    let scenario = read(&format!("name = \"a\"\nnodes = 10_000\napproaches = [{all}]"));
    assert_eq!((scenario.name.as_str(), scenario.description.as_str(), scenario.seed), ("a", "", 1));
    assert_eq!(scenario.timeline, SimSpan::from_secs(1));
    assert_eq!((scenario.heartbeat.interval, scenario.heartbeat.size), (SimSpan::from_secs(30), 100));
    assert_eq!((scenario.network.loss, scenario.network.header), (0.0, 28));
    let latency = LatencySpec::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(100) };
    assert_eq!(scenario.network.latency, latency);
    let approaches: Vec<_> = scenario.points.iter().map(|point| point.approach).collect();
    assert_eq!(
        approaches,
        [
            Approach::FullMesh { event_nodes_max: 1_000 },
            Approach::Hierarchical(LINKS),
            Approach::Gossip { links: LINKS, fanout: 8, seen: 1_024, hops_max: 32, track: 1.0 },
            Approach::FlatGossip { fanout: 8 },
            Approach::Ping,
            Approach::Sampled { trackers: 3, rates: SampleRates::default(), missed: 3 },
        ]
    );
    for point in &scenario.points {
        assert_eq!((point.warmup, point.measure), (SimSpan::from_secs(5), SimSpan::from_secs(60)));
        let tiered = Population::new([10, 100, 9_890, 0]).unwrap();
        let flat = Population::flat(10_000);
        let is_tiered = ["hierarchical", "gossip", "sampled"].contains(&point.approach.name());
        assert_eq!(point.population, if is_tiered { tiered } else { flat });
    }
}

#[test]
fn points_are_every_approach_at_every_size_in_the_order_given() {
    let scenario = read("name = \"a\"\nnodes = [\"100K\", 1_000]\napproaches = [\"ping\", \"full-mesh\"]");
    let points: Vec<_> = scenario.points.iter().map(|p| (p.approach.name(), p.population.total())).collect();
    assert_eq!(points, [("ping", 100_000), ("ping", 1_000), ("full-mesh", 100_000), ("full-mesh", 1_000)]);
}

#[test]
fn everything_that_can_be_written_is_read() {
    let scenario = read(
        r#"
        name = "all-of-it"
        description = "two\nlines"
        seed = 0xff
        nodes = 1_000
        approaches = ["gossip", "flat-gossip", "full-mesh", "sampled"]
        warmup = "0s"
        timeline = "100ms"
        tiers = { super = 5, full = { share = 0.1, max = 50 }, mobile = "0.1K", light = 845 }
        heartbeat = { interval = "1.5s", size = "1 KiB" }
        [network]
        loss = 1e-3
        header = "48 B"
        latency = { model = "regions", table = "aws-13", jitter = 0.1, shares = { N_Virginia = 0.25, Tokyo = 0.75 } }
        [approach]
        gossip = { measure = "2min", full_peers = 8, super_parents = 5, light_parents = 5, fanout = 3, seen = 8, hops_max = 9, track = 0.25 }
        flat-gossip.fanout = 64
        full-mesh.event_nodes_max = "1K"
        sampled = { trackers = 2, rates = [0.5, 1e-3], warmup = "1s" }
        [detection]
        detector = "phi"
        threshold = 5
        patience = "90s"
        "#,
    );
    assert_eq!(
        (scenario.name.as_str(), scenario.description.as_str(), scenario.seed),
        ("all-of-it", "two\nlines", 255)
    );
    let gossip = &scenario.points[0];
    let links = TierLinks { full_peers: 8, super_parents: 5, light_parents: 5 };
    assert_eq!(gossip.approach, Approach::Gossip { links, fanout: 3, seen: 8, hops_max: 9, track: 0.25 });
    assert_eq!(NodeType::ALL.map(|node_type| gossip.population.count(node_type)), [5, 50, 845, 100]);
    assert_eq!((gossip.warmup, gossip.measure), (SimSpan::ZERO, SimSpan::from_secs(120)));
    assert_eq!(scenario.points[1].approach, Approach::FlatGossip { fanout: 64 });
    assert_eq!(scenario.points[1].measure, SimSpan::from_secs(60));
    assert_eq!(scenario.points[2].approach, Approach::FullMesh { event_nodes_max: 1_000 });
    let rates = SampleRates::new(&[0.001, 0.5]).unwrap();
    assert_eq!(scenario.points[3].approach, Approach::Sampled { trackers: 2, rates, missed: 3 });
    assert_eq!((scenario.points[3].population, scenario.points[3].warmup), (gossip.population, SimSpan::from_secs(1)));
    let detector = Detector::Phi { threshold: 5.0 };
    assert_eq!(scenario.detection, Some(DetectionSpec { detector, patience: Some(SimSpan::from_secs(90)) }));
    assert_eq!((scenario.heartbeat.interval, scenario.heartbeat.size), (SimSpan::from_millis(1_500), 1_024));
    assert_eq!((scenario.network.loss, scenario.network.header), (0.001, 48));
    let LatencySpec::Regions { table, shares, jitter } = &scenario.network.latency else { panic!("{scenario:?}") };
    assert_eq!((table.name, *jitter, shares.len()), ("aws-13", 0.1, 13));
    assert_eq!((shares[0], shares[8], shares.iter().sum::<f64>()), (0.25, 0.75, 1.0));
}

#[test]
fn the_table_of_detection_turns_it_on() {
    let detector = |lines: &str| read(&format!("{SMALLEST}{lines}")).detection;
    let timeout = |missed| Some(DetectionSpec { detector: Detector::Timeout { missed }, patience: None });
    assert_eq!(detector(""), None);
    assert_eq!(detector("[detection]"), timeout(3));
    assert_eq!(detector("detection.missed = 100"), timeout(100));
    let phi = DetectionSpec { detector: Detector::Phi { threshold: 8.0 }, patience: None };
    assert_eq!(detector("detection.detector = \"phi\""), Some(phi));
}

#[test]
fn regions_share_the_nodes_evenly_unless_told_otherwise() {
    let scenario = read(&format!("{SMALLEST}network.latency.model = \"regions\""));
    let LatencySpec::Regions { table, shares, .. } = scenario.network.latency else { panic!("{scenario:?}") };
    assert!(shares.iter().all(|share| *share == 1.0 / table.regions.len() as f64));
}

#[test]
fn tiers_follow_the_number_of_nodes_within_their_bounds() {
    let scenario = read("name = \"a\"\nnodes = [\"1K\", \"100K\", \"1M\", \"10M\"]\napproaches = \"hierarchical\"");
    let counts = |index: usize| NodeType::ALL.map(|node_type| scenario.points[index].population.count(node_type));
    assert_eq!(counts(0), [10, 100, 890, 0]);
    assert_eq!(counts(1), [10, 1_000, 98_990, 0]);
    assert_eq!(counts(2), [100, 10_000, 989_900, 0]);
    assert_eq!(counts(3), [100, 10_000, 9_989_900, 0]);
}

#[test]
fn a_full_tier_smaller_than_its_peers_is_no_problem() {
    let text = "name = \"a\"\nnodes = 100\napproaches = \"hierarchical\"\ntiers = { super = 2, full = 4 }";
    assert_eq!(read(text).points[0].approach, Approach::Hierarchical(LINKS));
}

#[test]
fn options_of_approaches_that_are_not_used_are_allowed() {
    read(&format!("{SMALLEST}[approach.gossip]\nfanout = 3\nmeasure = \"300s\""));
}

#[test]
fn overrides_replace_and_add_values() {
    let overrides = [
        "nodes=1K",
        "approaches=[\"ping\", \"hierarchical\"]",
        "network.loss=0.01",
        "approach.ping.measure = 90s",
        "tiers.full=500",
        "tiers.super={ share = 0.01, min = 1 }",
        "seed=7",
        "seed=8",
    ];
    let scenario = read_with(&format!("{SMALLEST}[network]\nloss = 0.5\n"), &overrides);
    assert_eq!((scenario.seed, scenario.network.loss), (8, 0.01));
    assert_eq!(scenario.points.len(), 2);
    assert_eq!(scenario.points[0].measure, SimSpan::from_secs(90));
    assert_eq!(scenario.points[1].measure, SimSpan::from_secs(60));
    let counts = NodeType::ALL.map(|node_type| scenario.points[1].population.count(node_type));
    assert_eq!(counts, [10, 500, 490, 0]);
}

#[test]
fn overrides_alone_make_a_scenario() {
    let scenario = read_with("", &["name=x-1", "nodes=[1000, \"2K\"]", "approaches=flat-gossip"]);
    assert_eq!((scenario.name.as_str(), scenario.points.len()), ("x-1", 2));
}

#[test]
fn the_hash_names_the_configuration_and_not_its_spelling() {
    let hash = read(SMALLEST).hash;
    assert_eq!(hash.len(), 64);
    for same in [
        "# a comment\napproaches = [\"ping\"]\nnodes = [10_000]\nname = 'a'",
        "name = \"a\"\nnodes = \"0.01M\"\napproaches = \"ping\"\nwarmup = \"5000ms\"\n[network]\nloss = -0.0\nheader = \"0.028 kB\"",
        "name = \"b\"\ndescription = \"d\"\nseed = 9\nnodes = 0x2710\napproaches = \"ping\"\n[approach.gossip]\nfanout = 2",
    ] {
        assert_eq!(read(same).hash, hash, "{same}");
    }
    assert_eq!(
        read_with("name = \"a\"\nnodes = 5\napproaches = \"gossip\"", &["nodes=10K", "approaches=ping"]).hash,
        hash
    );
}

#[test]
fn every_value_that_matters_moves_the_hash() {
    let base = "name = \"a\"\nnodes = \"10K\"\napproaches = [\"full-mesh\", \"gossip\"]";
    let overrides = [
        "seed=1",
        "nodes=20K",
        "nodes=[\"10K\", \"20K\"]",
        "approaches=[\"gossip\", \"full-mesh\"]",
        "warmup=6s",
        "measure=61s",
        "timeline=2s",
        "tiers.super=11",
        "tiers.full=101",
        "tiers.mobile=1",
        "network.header='29 B'",
        "network.latency.min=11ms",
        "network.latency.max=101ms",
        "network.latency={ model = 'constant', delay = '10ms' }",
        "network.latency={ model = 'regions' }",
        "network.latency={ model = 'regions', jitter = 0.1 }",
        "network.latency={ model = 'regions', shares = { Tokyo = 1 } }",
        "heartbeat.interval=31s",
        "heartbeat.size='101 B'",
        "approach.full-mesh.event_nodes_max=1001",
        "approach.full-mesh.measure=61s",
        "approach.gossip.full_peers=33",
        "approach.gossip.super_parents=3",
        "approach.gossip.light_parents=5",
        "approach.gossip.fanout=9",
        "approach.gossip.seen=1025",
        "approach.gossip.hops_max=33",
        "detection={}",
        "detection.missed=4",
        "detection.patience=1h",
        "detection={ detector = 'phi' }",
        "detection={ detector = 'phi', threshold = 9 }",
        "detection={ }\napproach.gossip.track=0.5",
        "approaches=sampled",
        "approaches=sampled\napproach.sampled.trackers=4",
        "approaches=sampled\napproach.sampled.rates=0.1",
        "approaches=sampled\napproach.sampled.missed=4",
        "approaches=sampled\ndetection={}",
    ];
    let mut hashes: Vec<_> =
        overrides.iter().map(|text| read_with(base, &text.split('\n').collect::<Vec<_>>()).hash).collect();
    hashes.push(read_with(base, &["network.loss=0.1", "approach.full-mesh.event_nodes_max=10K"]).hash);
    hashes.push(read_with(base, &["network.loss=0.2", "approach.full-mesh.event_nodes_max=10K"]).hash);
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn tables_are_shown_as_listed_and_are_no_part_of_the_configuration() {
    let all = read(SMALLEST);
    assert_eq!(all.tables, [Table::NetworkLoad, Table::Bandwidth]);
    let cases: [(&str, &[Table]); 4] = [
        ("\"bandwidth\"", &[Table::Bandwidth]),
        ("[\"bandwidth\"]", &[Table::Bandwidth]),
        ("[\"bandwidth\", \"network-load\"]", &[Table::Bandwidth, Table::NetworkLoad]),
        ("[\"network-load\", \"bandwidth\"]", &Table::ALL),
    ];
    for (written, tables) in cases {
        let scenario = read(&format!("{SMALLEST}tables = {written}"));
        assert_eq!(scenario.tables, tables, "{written}");
        assert_eq!(scenario.hash, all.hash, "{written}");
    }
    assert_eq!(read_with(SMALLEST, &["tables=bandwidth"]).tables, [Table::Bandwidth]);
}

#[test]
fn every_scenario_of_the_package_is_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario = load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Some(scenario.name.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
        assert!(!scenario.points.is_empty() && !scenario.description.is_empty(), "{}", path.display());
        names.push(scenario.name);
    }
    names.sort();
    assert!(["bandwidth", "network-load", "quickstart", "tiers-1m"].iter().all(|name| names.iter().any(|n| n == name)));
}

#[test]
fn the_hash_of_a_scenario_stays_the_same_over_versions() {
    assert_eq!(read(SMALLEST).hash, PINNED, "results of earlier versions are looked up by this hash");
}

const PINNED: &str = "6a29356b7e0c82c66c9b27518124eac636ffccd3bac1b1aea488647c91eab66c";

#[test]
fn a_file_is_read_with_its_name_in_every_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    std::fs::write(&path, SMALLEST).unwrap();
    assert_eq!(load(&path, &[]).unwrap(), read(SMALLEST));
    std::fs::write(&path, "name = 1").unwrap();
    let error = load(&path, &[]).unwrap_err();
    assert!(!error.is_io());
    assert!(error.to_string().contains(&format!("{}:1:8", path.display())), "{error}");
}

#[test]
fn failing_to_read_is_told_from_a_bad_scenario() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing.toml")] {
        let error = load(&path, &[]).unwrap_err();
        assert!(error.is_io(), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        assert!(error.to_string().contains(&path.display().to_string()));
    }
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"a = 1\nb = \"\xe4\"").unwrap();
    let error = load(&path, &[]).unwrap_err();
    assert!(!error.is_io());
    assert!(error.to_string().contains("line 2, column 6"), "{error}");
}

#[test]
fn four_megabytes_are_read_and_not_a_byte_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.toml");
    let largest = format!("{SMALLEST}#{}", "x".repeat(FILE_BYTES_MAX - SMALLEST.len() - 1));
    std::fs::write(&path, &largest).unwrap();
    assert_eq!(load(&path, &[]).unwrap(), read(SMALLEST));
    std::fs::write(&path, format!("{largest}x")).unwrap();
    let error = load(&path, &[]).unwrap_err();
    assert!(matches!(error, ScenarioError::TooLarge { limit: FILE_BYTES_MAX, .. }), "{error}");
    assert!(matches!(parse("", &format!("{largest}x"), &[]), Err(ScenarioError::TooLarge { .. })));
    // A file without end must not be read to its end.
    #[cfg(unix)]
    assert!(matches!(load(std::path::Path::new("/dev/zero"), &[]), Err(ScenarioError::TooLarge { .. })));
}

/// Pieces that scenarios are made of, so that random texts come close to valid ones.
fn piece() -> impl Strategy<Value = String> {
    let words = "name nodes approaches seed tiers super full light share min max network latency model uniform regions \
                 shares Tokyo loss approach gossip ping fanout \"1K\" \"5s\" \"100 B\" \"0ms\" \"a\" 1 0.5 -1 1e99 nan \
                 0x10 true 1979-05-27 = = = . [ ] [[ ]] { } , # \" ''' \"\"\" \\u0000 \n \n \n";
    let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
    prop_oneof![9 => proptest::sample::select(words), 1 => "\\PC{0,8}"]
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}", set in ".{0,40}") {
        if let Err(error) = parse("a.toml", &text, &[set]) {
            prop_assert!(!error.to_string().is_empty() && !error.render(true).is_empty());
        }
    }

    #[test]
    fn no_text_like_a_scenario_makes_the_reader_panic(pieces in prop::collection::vec(piece(), 0..60), set in piece()) {
        let overrides = [set.clone(), format!("network.latency={set}"), format!("tiers.super={{share={set}}}")];
        for overrides in [&overrides[..0], &overrides] {
            for text in [pieces.concat(), format!("{SMALLEST}{}", pieces.join(" "))] {
                if let Err(error) = parse("a.toml", &text, overrides) {
                    let ScenarioError::Invalid(problems) = &error else { panic!("{error}") };
                    prop_assert!(problems.total() > 0 && !error.to_string().is_empty());
                }
            }
        }
    }
}
