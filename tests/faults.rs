//! What a scenario file means by its faults and capacities: defaults, units, what they become, and the hash.

use std::fs;

use proptest::prelude::*;
use qnetsim::claims::bandwidth_budget;
use qnetsim::contract::{NodeType, SimSpan, SimTime};
use qnetsim::engine::faults::{Between, Churn, NodeSet, Outage};
use qnetsim::engine::{Capacity, Distribution};
use qnetsim::scenario::{DOCUMENTED_CAPACITY, FaultsSpec, Scenario, ScenarioError, load, parse, plan};

const HEAD: &str = "name = \"a\"\nnodes = \"10K\"\napproaches = [\"ping\", \"hierarchical\"]\nmeasure = \"10min\"\n\
                    tiers.mobile = 10\n";
const REGIONS: &str =
    "[network.latency]\nmodel = \"regions\"\nshares = { N_Virginia = 0.5, Tokyo = 0.25, Seoul = 0.25 }\n";
/// The bits of Tokyo and Seoul in the table of regions.
const TOKYO_SEOUL: u64 = 1 << 8 | 1 << 11;

#[track_caller]
fn read(lines: &str) -> Scenario {
    parse("test.toml", &format!("{HEAD}{lines}"), &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn secs(seconds: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(seconds)
}

fn types(names: &[NodeType]) -> [bool; 4] {
    NodeType::ALL.map(|node_type| names.contains(&node_type))
}

#[test]
fn without_faults_there_is_nothing_and_the_hash_stays() {
    let plain = read("");
    assert!(plain.faults.is_empty() && plain.network.capacity.is_none());
    assert_eq!(read("[faults]\n").hash, plain.hash);
    assert_eq!(read("[faults]\n").faults, FaultsSpec::default());
}

#[test]
fn churn_is_read_with_its_defaults() {
    let scenario = read(&format!(
        "{REGIONS}[[faults.churn]]\ntypes = [\"light\", \"mobile\"]\nregions = [\"Tokyo\", \"Seoul\"]\nshare = 0.5\n\
         session = {{ model = \"weibull\", shape = 0.59, scale = \"41.9min\" }}\n\
         absence = {{ model = \"exponential\", mean = \"10min\" }}\ngraceful = 0.5\nstart = \"up\"\n\
         [[faults.churn]]\nsession = {{ model = \"weibull\", published = \"debian\" }}\n\
         absence = {{ model = \"pareto\", shape = 2, scale = \"1.5s\" }}\n"
    ));
    let phones = NodeSet {
        types: types(&[NodeType::LightNode, NodeType::MobileNode]),
        regions: TOKYO_SEOUL,
        share: 0.5,
        number: 1,
    };
    assert_eq!(
        scenario.faults.schedule.churns,
        [
            Churn {
                nodes: phones,
                session: Distribution::Weibull { shape: 0.59, scale: 2_514.0 },
                absence: Distribution::Exponential { mean: 600.0 },
                graceful: 0.5,
                steady: false,
            },
            Churn {
                nodes: NodeSet { number: 2, ..NodeSet::ALL },
                session: Distribution::Weibull { shape: 0.38, scale: 2_544.0 },
                absence: Distribution::Pareto { shape: 2.0, scale: 1.5 },
                graceful: 0.0,
                steady: true,
            },
        ]
    );
    let single = read(
        "[faults.churn]\nsession = { model = \"lognormal\", median = \"90s\", sigma = 1.5 }\n\
         absence = { model = \"constant\", value = \"1ms\" }",
    );
    let churn = &single.faults.schedule.churns[0];
    assert_eq!(churn.session, Distribution::Lognormal { median: 90.0, sigma: 1.5 });
    assert_eq!(churn.absence, Distribution::Constant(0.001));
}

#[test]
fn a_trace_is_the_values_of_a_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(folder.path().join("t.csv"), "# seen\npeer, session_s, absence_s\na, 300.5, 10\nb, 20, 1e3\n").unwrap();
    let trace = |column: &str| format!("{{ model = \"trace\", file = \"t.csv\", column = \"{column}\" }}");
    let churn = format!("[faults.churn]\nsession = {}\nabsence = {}\n", trace("session_s"), trace("absence_s"));
    fs::write(&path, format!("{HEAD}{churn}")).unwrap();
    let read = || load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    let scenario = read();
    let Churn { session, absence, .. } = &scenario.faults.schedule.churns[0];
    assert_eq!(session, &Distribution::Observed(vec![20.0, 300.5].into()));
    assert_eq!(absence, &Distribution::Observed(vec![10.0, 1_000.0].into()));
    // The hash knows the values and nothing else of the file.
    fs::write(folder.path().join("t.csv"), "absence_s,session_s\n10,300.5\n1000,20\n").unwrap();
    assert_eq!(read().hash, scenario.hash);
    fs::write(folder.path().join("t.csv"), "absence_s,session_s\n10,300.5\n1000,21\n").unwrap();
    assert_ne!(read().hash, scenario.hash);
}

#[test]
fn crashes_are_outages() {
    let scenario = read(
        "[[faults.crash]]\nat = \"60s\"\n[[faults.crash]]\nat = \"90s\"\nover = \"5s\"\ntypes = \"super\"\nshare = 0.1\n\
         until = \"120s\"\nuntil_over = \"10s\"\ngraceful = true\n",
    );
    let all = Outage {
        nodes: NodeSet { number: 1, ..NodeSet::ALL },
        from: secs(60),
        from_over: SimSpan::ZERO,
        until: None,
        until_over: SimSpan::ZERO,
        graceful: false,
    };
    let some = Outage {
        nodes: NodeSet { types: types(&[NodeType::SuperNode]), share: 0.1, number: 2, ..NodeSet::ALL },
        from: secs(90),
        from_over: SimSpan::from_secs(5),
        until: Some(secs(120)),
        until_over: SimSpan::from_secs(10),
        graceful: true,
    };
    assert_eq!(scenario.faults.schedule.outages, [all, some]);
}

#[test]
fn a_crowd_is_away_until_it_comes_and_goes_again_if_it_does_not_stay() {
    let crowd = "[[faults.crowd]]\nat = \"60s\"\nover = \"10s\"\nshare = 0.5\ntypes = \"light\"\n";
    let nodes = NodeSet { types: types(&[NodeType::LightNode]), share: 0.5, number: 1, ..NodeSet::ALL };
    let away = Outage {
        nodes: nodes.clone(),
        from: SimTime::ZERO,
        from_over: SimSpan::ZERO,
        until: Some(secs(60)),
        until_over: SimSpan::from_secs(10),
        graceful: false,
    };
    assert_eq!(read(crowd).faults.schedule.outages, std::slice::from_ref(&away));
    let gone = |graceful| Outage {
        nodes: nodes.clone(),
        from: secs(360),
        from_over: SimSpan::from_secs(10),
        until: None,
        until_over: SimSpan::ZERO,
        graceful,
    };
    let visit = format!("{crowd}stay = \"5min\"\n");
    assert_eq!(read(&visit).faults.schedule.outages, [away.clone(), gone(true)]);
    assert_eq!(read(&format!("{visit}graceful = false")).faults.schedule.outages, [away, gone(false)]);
}

#[test]
fn losses_surges_and_partitions_are_read_with_their_defaults() {
    let scenario = read(&format!(
        "{REGIONS}[[faults.loss]]\nstart = \"60s\"\nend = \"90s\"\nloss = 0.2\nfrom = \"Tokyo\"\nto = [\"N_Virginia\"]\n\
         both_ways = false\n[[faults.surge]]\nstart = \"1s\"\nend = \"2s\"\nfactor = 3\n\
         [[faults.surge]]\nstart = \"2s\"\nend = \"3s\"\nextra = \"100ms\"\n\
         [[faults.partition]]\nstart = \"60s\"\nheal = \"120s\"\nregions = [\"Tokyo\", \"Seoul\"]\ntypes = \"light\"\nshare = 0.3\n"
    ));
    let disturbances = &scenario.faults.disturbances;
    let out = Between {
        during: secs(60)..secs(90),
        from: NodeSet { regions: 1 << 8, ..NodeSet::ALL },
        to: NodeSet { regions: 1, ..NodeSet::ALL },
        both_ways: false,
    };
    assert_eq!(disturbances.losses, [(out, 0.2)]);
    let all =
        |from, to| Between { during: secs(from)..secs(to), from: NodeSet::ALL, to: NodeSet::ALL, both_ways: true };
    assert_eq!(disturbances.surges, [(all(1, 2), 3.0, SimSpan::ZERO), (all(2, 3), 1.0, SimSpan::from_millis(100))]);
    let side = NodeSet { types: types(&[NodeType::LightNode]), regions: TOKYO_SEOUL, share: 0.3, number: 1 };
    assert_eq!(disturbances.partitions, [(secs(60)..secs(120), side)]);
}

#[test]
fn naming_every_region_or_type_is_naming_none() {
    let names =
        "N_Virginia Canada N_California London Oregon Ireland Frankfurt S_Paulo Tokyo Mumbai Sydney Seoul Singapore";
    let list = names.split(' ').map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let crash = format!("{REGIONS}[[faults.crash]]\nat = \"60s\"\n");
    let all =
        read(&format!("{crash}regions = [{list}]\ntypes = [\"mobile\", \"light\", \"full\", \"super\"]\nshare = 1"));
    assert_eq!(all.hash, read(&crash).hash);
    assert_eq!(all.faults, read(&crash).faults);
}

#[test]
fn capacities_default_to_the_documented_budgets() {
    let documented = DOCUMENTED_CAPACITY;
    for (index, node_type) in NodeType::ALL.into_iter().enumerate() {
        let budget = bandwidth_budget(node_type);
        assert_eq!(documented.upload[index] as f64, budget.upload_mbps * 1e6, "{node_type}");
        assert_eq!(documented.download[index] as f64, budget.download_mbps * 1e6, "{node_type}");
    }
    assert_eq!(read("[network.capacity]\n").network.capacity, Some(documented));
    let written = read(
        "[network.capacity]\nqueue = \"1 MiB\"\nsuper = \"2.5 Gbps\"\nfull = { upload = \"20 Mbps\", download = \"50 Mbps\" }\n\
         light = { upload = \"56 kbps\" }\n",
    );
    let expected = Capacity {
        upload: [2_500_000_000, 20_000_000, 56_000, 100_000],
        download: [2_500_000_000, 50_000_000, 1_000_000, 100_000],
        queue: 1 << 20,
    };
    assert_eq!(written.network.capacity, Some(expected));
}

#[test]
fn overrides_reach_faults_and_capacities() {
    let text = format!("{HEAD}{REGIONS}[faults.churn]\nsession = {{ model = \"constant\", value = \"1s\" }}\n");
    let sets = ["faults.churn.absence={ model = \"constant\", value = \"2s\" }", "network.capacity.mobile=1 Mbps"];
    let sets = sets.map(str::to_owned);
    let scenario = parse("s.toml", &text, &sets).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scenario.faults.schedule.churns[0].absence, Distribution::Constant(2.0));
    assert_eq!(scenario.network.capacity.unwrap().upload[3], 1_000_000);
}

#[test]
fn every_value_of_a_fault_moves_the_hash() {
    let base = format!(
        "{REGIONS}[network.capacity]\nqueue = \"8 KiB\"\nfull = {{ upload = \"3 Mbps\", download = \"4 Mbps\" }}\n\
         [[faults.churn]]\ntypes = \"light\"\nregions = \"Tokyo\"\nshare = 0.25\ngraceful = 0.125\nstart = \"up\"\n\
         session = {{ model = \"weibull\", shape = 0.75, scale = \"31s\" }}\n\
         absence = {{ model = \"lognormal\", median = \"32s\", sigma = 1.25 }}\n\
         [[faults.crash]]\nat = \"33s\"\nover = \"34s\"\nuntil = \"135s\"\nuntil_over = \"36s\"\ngraceful = true\n\
         [[faults.crowd]]\nat = \"37s\"\nover = \"38s\"\nstay = \"139s\"\n\
         [[faults.loss]]\nstart = \"40s\"\nend = \"41s\"\nloss = 0.5\nfrom = \"Seoul\"\nto = \"Tokyo\"\nboth_ways = false\n\
         [[faults.surge]]\nstart = \"42s\"\nend = \"43s\"\nfactor = 2.5\nextra = \"44ms\"\n\
         [[faults.partition]]\nstart = \"45s\"\nheal = \"46s\"\nshare = 0.625\n"
    );
    let swaps = [
        ("8 KiB", "9 KiB"),
        ("\"3 Mbps\"", "\"30 Mbps\""),
        ("\"4 Mbps\"", "\"40 Mbps\""),
        ("types = \"light\"", "types = \"full\""),
        ("regions = \"Tokyo\"", "regions = \"Seoul\""),
        ("0.25\n", "0.26\n"),
        ("0.125", "0.126"),
        ("start = \"up\"", "start = \"steady\""),
        ("shape = 0.75", "shape = 0.76"),
        ("31s", "31.5s"),
        ("32s", "32.5s"),
        ("1.25", "1.26"),
        ("\"33s\"", "\"33.5s\""),
        ("\"34s\"", "\"34.5s\""),
        ("\"135s\"", "\"135.5s\""),
        ("\"36s\"", "\"36.5s\""),
        ("graceful = true", "graceful = false"),
        ("\"37s\"", "\"37.5s\""),
        ("\"38s\"", "\"38.5s\""),
        ("\"139s\"", "\"139.5s\""),
        ("\"40s\"", "\"40.5s\""),
        ("\"41s\"", "\"41.5s\""),
        ("loss = 0.5", "loss = 0.6"),
        ("from = \"Seoul\"", "from = \"Tokyo\""),
        ("to = \"Tokyo\"", "to = \"Seoul\""),
        ("both_ways = false", "both_ways = true"),
        ("\"42s\"", "\"42.5s\""),
        ("\"43s\"", "\"43.5s\""),
        ("factor = 2.5", "factor = 2.6"),
        ("44ms", "45ms"),
        ("\"45s\"", "\"45.5s\""),
        ("\"46s\"", "\"46.5s\""),
        ("0.625", "0.626"),
    ];
    let mut hashes = vec![read(&base).hash];
    for (from, to) in swaps {
        assert_eq!(base.matches(from).count(), 1, "{from}");
        hashes.push(read(&base.replace(from, to)).hash);
    }
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), swaps.len() + 1);
}

/// The example of the README, which begins with a table of faults or capacities.
#[test]
fn the_example_of_the_readme_is_a_scenario() {
    let readme = include_str!("../README.md");
    let examples = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let example =
        examples.into_iter().find(|text| text.contains("[[faults.partition]]")).expect("an example of faults");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, format!("{HEAD}{example}")).unwrap();
    let scenario = load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    let FaultsSpec { schedule, disturbances } = &scenario.faults;
    assert!(!schedule.churns.is_empty() && schedule.outages.len() >= 2 && scenario.network.capacity.is_some());
    assert!([disturbances.losses.len(), disturbances.surges.len(), disturbances.partitions.len()] == [1; 3]);
}

/// One fault in the file: a kind, and some of its keys with values that are good more often than not.
fn fault() -> impl Strategy<Value = String> {
    let keys = "types regions share session absence graceful start at over until until_over stay end loss from to \
                both_ways factor extra heal";
    let keys: Vec<_> = keys.split(' ').collect();
    let values = [
        "\"10s\"",
        "\"20s\"",
        "\"30s\"",
        "\"0s\"",
        "\"9d\"",
        "0.5",
        "0",
        "1.5",
        "true",
        "false",
        "\"light\"",
        "[\"full\", \"super\"]",
        "\"Tokyo\"",
        "[\"Seoul\", \"N_Virginia\"]",
        "{ model = \"constant\", value = \"9s\" }",
        "{ model = \"weibull\", published = \"debian\" }",
        "{ model = \"pareto\", shape = 1.5, scale = \"1ms\" }",
        "[]",
        "nan",
    ];
    // What a kind cannot do without, so that whole faults come about.
    let kinds = [
        (
            "churn",
            "session = { model = \"exponential\", mean = \"9s\" }\nabsence = { model = \"constant\", value = \"1s\" }",
        ),
        ("crash", "at = \"15s\""),
        ("crowd", "at = \"5s\""),
        ("loss", "start = \"15s\"\nend = \"25s\"\nloss = 0.5"),
        ("surge", "start = \"15s\"\nend = \"25s\"\nfactor = 1.5"),
        ("partition", "start = \"15s\"\nheal = \"25s\"\nregions = \"Tokyo\""),
    ];
    let extra = (proptest::sample::select(keys), proptest::sample::select(values.to_vec()));
    (proptest::sample::select(kinds.to_vec()), prop::collection::vec(extra, 0..3)).prop_map(
        |((kind, needed), extra)| {
            let extra: String = extra.into_iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            format!("[[faults.{kind}]]\n{needed}\n{extra}")
        },
    )
}

fn check_set(set: &NodeSet) -> Result<(), TestCaseError> {
    prop_assert!(set.share > 0.0 && set.share <= 1.0 && set.regions != 0 && set.types.contains(&true), "{set:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn what_is_accepted_can_be_run_and_what_is_not_is_told(faults in prop::collection::vec(fault(), 0..5)) {
        let text = format!("{HEAD}{REGIONS}{}", faults.concat());
        let scenario = match parse("s.toml", &text, &[]) {
            Ok(scenario) => scenario,
            Err(ScenarioError::Invalid(problems)) => {
                prop_assert!(problems.list().iter().all(|problem| problem.line > 5), "{problems}");
                return Ok(());
            }
            Err(error) => panic!("{error}"),
        };
        let FaultsSpec { schedule, disturbances } = &scenario.faults;
        for Churn { nodes, session, absence, graceful, .. } in &schedule.churns {
            check_set(nodes)?;
            prop_assert!(session.mean() > 0.0 && absence.mean().is_finite() && (0.0..=1.0).contains(graceful));
        }
        for outage in &schedule.outages {
            check_set(&outage.nodes)?;
            let gone = outage.from + outage.from_over;
            prop_assert!(outage.until.is_none_or(|until| until > outage.from && until >= gone), "{outage:?}");
        }
        let betweens = disturbances.losses.iter().map(|(between, _)| between);
        for between in betweens.chain(disturbances.surges.iter().map(|(between, ..)| between)) {
            check_set(&between.from)?;
            check_set(&between.to)?;
            prop_assert!(between.during.start < between.during.end);
        }
        for (during, nodes) in &disturbances.partitions {
            check_set(nodes)?;
            prop_assert!(during.start < during.end);
        }
        for point in &scenario.points {
            prop_assert!(plan::memory(&scenario, point, 2) < u64::MAX);
        }
    }
}
