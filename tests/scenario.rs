//! What a scenario file means: defaults, units, tiers, overrides, and the hash that names a configuration.

use proptest::prelude::*;
use qnetsim::contract::{NodeType, Population, SimSpan};
use qnetsim::engine::Jitter;
use qnetsim::protocols::detector::Detector;
use qnetsim::protocols::swim::SwimTiming;
use qnetsim::scenario::{
    Approach, DetectionSpec, FILE_BYTES_MAX, LatencySpec, Point, SampleRates, Scenario, ScenarioError, Table,
    TierLinks, load, parse,
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
    // Mechanisms come last, and need networks that fit them: see tests/mechanisms.rs.
    let all = Approach::NAMES.into_iter().take_while(|name| *name != "kademlia");
    let all = all.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
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
            Approach::Swim(SwimTiming {
                period: SimSpan::from_secs(1),
                probe_timeout: SimSpan::from_millis(500),
                indirect_probes: 3,
                suspicion_mult: 4,
            }),
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
        approaches = ["gossip", "flat-gossip", "full-mesh", "sampled", "swim"]
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
        swim = { period = "200ms", probe_timeout = "200ms", indirect_probes = 0, suspicion_mult = 6 }
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
    let span = SimSpan::from_millis(200);
    let swim = Approach::Swim(SwimTiming { period: span, probe_timeout: span, indirect_probes: 0, suspicion_mult: 6 });
    assert_eq!((scenario.points[4].approach, scenario.points[4].population), (swim, Population::flat(1_000)));
    assert_eq!((scenario.heartbeat.interval, scenario.heartbeat.size), (SimSpan::from_millis(1_500), 1_024));
    assert_eq!((scenario.network.loss, scenario.network.header), (0.001, 48));
    let LatencySpec::Regions { table, shares, jitter } = &scenario.network.latency else { panic!("{scenario:?}") };
    assert_eq!((table.name.as_str(), *jitter, shares.len()), ("aws-13", Jitter::Uniform { share: 0.1 }, 13));
    assert_eq!((shares[0], shares[8], shares.iter().sum::<f64>()), (0.25, 0.75, 1.0));
}

fn latency(keys: &str) -> LatencySpec {
    read(&format!("{SMALLEST}network.latency = {{ {keys} }}")).network.latency
}

#[test]
fn distributions_of_latency_are_read() {
    let (min, median) = (SimSpan::from_millis(1), SimSpan::from_millis(50));
    let lognormal = LatencySpec::Lognormal { min, median, sigma: 0.5 };
    assert_eq!(latency("model = \"lognormal\", median = \"50ms\", sigma = 0.5"), lognormal);
    assert_eq!(latency("model = \"lognormal\", median = \"50ms\", sigma = 0.5, min = \"1ms\""), lognormal);
    let min = SimSpan::from_millis(40);
    assert_eq!(latency("model = \"pareto\", min = \"40ms\", shape = 3"), LatencySpec::Pareto { min, shape: 3.0 });
    let jitter = |written: &str| match latency(&format!("model = \"regions\", table = \"p2p-6\", jitter = {written}")) {
        LatencySpec::Regions { jitter, .. } => jitter,
        other => panic!("{other:?}"),
    };
    assert_eq!(jitter("0"), Jitter::None);
    assert_eq!(jitter("0.25"), Jitter::Uniform { share: 0.25 });
    assert_eq!(jitter("{ model = \"uniform\", share = 0.25 }"), Jitter::Uniform { share: 0.25 });
    let lognormal = Jitter::Lognormal { median: 0.05, sigma: 0.5 };
    assert_eq!(jitter("{ model = \"lognormal\", median = 0.05, sigma = 0.5 }"), lognormal);
    assert_eq!(jitter("{ model = \"pareto\", excess = \"5ms\" }"), Jitter::Pareto { excess: SimSpan::from_millis(5) });
}

#[test]
fn a_table_of_round_trips_is_halved_and_what_is_within_a_region_is_one_way() {
    let between = |keys: &str| match latency(&format!("model = \"regions\", {keys}")) {
        LatencySpec::Regions { table, .. } => (table.one_way(0, 1), table.one_way(0, 0)),
        other => panic!("{other:?}"),
    };
    let us = SimSpan::from_micros;
    assert_eq!(between("table = \"p2p-6\""), (us(62_000), us(16_000)));
    assert_eq!(between("table = \"p2p-6\", holds = \"one-way\""), (us(124_000), us(32_000)));
    assert_eq!(between("table = \"aws-13\", holds = \"rtt\""), (us(3_500), us(200)));
    assert_eq!(between("table = \"aws-6\", same_region = \"1ms\""), (us(5_700), us(1_000)));
}

#[test]
fn a_matrix_is_read_from_a_file_beside_the_scenario_and_hashed_by_its_values() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let with = |csv: &str, keys: &str| {
        std::fs::write(folder.path().join("data/m.csv"), csv).unwrap();
        let name = folder.path().join("s.toml");
        let latency = format!("network.latency = {{ model = \"regions\", file = \"data/m.csv\", {keys} }}");
        parse(name.to_str().unwrap(), &format!("{SMALLEST}{latency}"), &[]).unwrap_or_else(|error| panic!("{error}"))
    };
    let plain = with("from,here,there\nhere,0,12.5\nthere,13,0.4\n", "holds = \"one-way\"");
    let LatencySpec::Regions { table, shares, .. } = &plain.network.latency else { panic!("{plain:?}") };
    assert_eq!(
        (table.name.as_str(), &table.regions[..], &shares[..]),
        ("data/m.csv", &["here".to_owned(), "there".to_owned()][..], &[0.5, 0.5][..])
    );
    assert_eq!(table.delays(), [200, 12_500, 13_000, 400].map(SimSpan::from_micros));
    assert_eq!(plain.network.latency.regions(), ["here", "there"]);
    let spelled = with("# RTT\r\nx, here ,\"there\"\r\nhere,0.4,2.5e1\r\nthere,26,0.8", "holds = \"rtt\"");
    assert_eq!(plain.hash, spelled.hash);
    assert_ne!(plain.hash, with("a,here,there\nhere,0,12.5\nthere,13,0.5\n", "holds = \"one-way\"").hash);
    let shares = "shares = { here = 1, there = 0 }";
    let moved = with("a,here,there\nhere,0,12.5\nthere,13,0.4\n", &format!("holds = \"one-way\", {shares}"));
    assert_ne!(plain.hash, moved.hash);
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
    let base = "name = \"a\"\nnodes = \"10K\"\napproaches = [\"full-mesh\", \"gossip\", \"swim\"]";
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
        "network.latency={ model = 'regions', holds = 'rtt' }",
        "network.latency={ model = 'regions', same_region = '201us' }",
        "network.latency={ model = 'regions', table = 'aws-6' }",
        "network.latency={ model = 'regions', jitter = { model = 'lognormal', median = 0.1, sigma = 0.1 } }",
        "network.latency={ model = 'regions', jitter = { model = 'lognormal', median = 0.1, sigma = 0.2 } }",
        "network.latency={ model = 'regions', jitter = { model = 'pareto', excess = '100us' } }",
        "network.latency={ model = 'lognormal', median = '50ms', sigma = 0.5 }",
        "network.latency={ model = 'lognormal', median = '50ms', sigma = 0.6 }",
        "network.latency={ model = 'lognormal', median = '50ms', sigma = 0.5, min = '2ms' }",
        "network.latency={ model = 'pareto', min = '40ms', shape = 3 }",
        "network.latency={ model = 'pareto', min = '40ms', shape = 4 }",
        "heartbeat.interval=31s",
        "heartbeat.size='101 B'",
        "network.latency={ model = 'regions', table = 'aws-13', shares = { London = 1 } }",
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
        "approach.swim.period=2s",
        "approach.swim.probe_timeout=400ms",
        "approach.swim.indirect_probes=2",
        "approach.swim.suspicion_mult=5",
    ];
    let lines = |text: &str| read_with(base, &text.split('\n').collect::<Vec<_>>()).hash;
    let mut hashes: Vec<_> = overrides.iter().map(|text| lines(text)).collect();
    for nearby in ["0", "0.5", "[0.5, 1]"] {
        let sets = ["network.latency={ model = 'regions' }", &format!("topology.nearby={nearby}")];
        hashes.push(read_with(base, &sets).hash);
    }
    hashes.push(read_with(base, &["network.loss=0.1", "approach.full-mesh.event_nodes_max=10K"]).hash);
    hashes.push(read_with(base, &["network.loss=0.2", "approach.full-mesh.event_nodes_max=10K"]).hash);
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn every_share_of_links_nearby_is_a_run_of_its_own() {
    let text = "name = \"a\"\nnodes = [\"1K\", \"2K\"]\napproaches = [\"full-mesh\", \"ping\"]\n\
                network.latency.model = \"regions\"\napproach.full-mesh.event_nodes_max = \"2K\"\n";
    let points = |nearby: &str| {
        let scenario = read(&format!("{text}{nearby}"));
        let point = |p: &Point| (p.label.clone(), p.nearby, p.population.total());
        scenario.points.iter().map(point).collect::<Vec<_>>()
    };
    let point = |label: &str, nearby, nodes| (label.to_owned(), nearby, nodes);
    let mesh = [point("full-mesh", None, 1_000), point("full-mesh", None, 2_000)];
    assert_eq!(points("")[..2], mesh);
    assert_eq!(points("")[2..], [point("ping", None, 1_000), point("ping", None, 2_000)]);
    for one in ["topology.nearby = 0.8", "[topology]\nnearby = [0.80]"] {
        assert_eq!(points(one)[2..], [point("ping", Some(0.8), 1_000), point("ping", Some(0.8), 2_000)]);
    }
    let several = points("topology.nearby = [1, 0.25]");
    assert_eq!(several[..2], mesh, "nobody is chosen in a full mesh, so it runs once");
    let expected = [("ping nearby 1", 1.0), ("ping nearby 0.25", 0.25)];
    let expected = expected.map(|(label, share)| [1_000, 2_000].map(|nodes| point(label, Some(share), nodes)));
    assert_eq!(several[2..], expected.concat());
}

#[test]
fn tables_are_shown_as_listed_and_are_no_part_of_the_configuration() {
    let all = read(SMALLEST);
    assert_eq!(all.tables, Table::ALL);
    let cases: [(&str, &[Table]); 4] = [
        ("\"bandwidth\"", &[Table::Bandwidth]),
        ("[\"bandwidth\"]", &[Table::Bandwidth]),
        ("[\"bandwidth\", \"network-load\"]", &[Table::Bandwidth, Table::NetworkLoad]),
        ("[\"drops\", \"detection\", \"population\"]", &[Table::Drops, Table::Detection, Table::Population]),
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
    let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for (folder, prefix) in [("scenarios", ""), ("scenarios/small", "small-")] {
        for entry in std::fs::read_dir(package.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let scenario = load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap()));
            assert!(!scenario.points.is_empty() && !scenario.description.is_empty(), "{}", path.display());
            names.push(scenario.name);
        }
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
