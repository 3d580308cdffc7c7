//! Approaches that measure one mechanism: their options, what they find, and that nothing depends on threads.

use qnetsim::engine::Progress;
use qnetsim::metrics::PointResult;
use qnetsim::scenario::build::{Watch, run_point};
use qnetsim::scenario::{Approach, Scenario, parse};

/// A network small and short enough for every mechanism.
const SMALL: &str =
    "name = \"a\"\nnodes = 400\nwarmup = \"5s\"\nmeasure = \"20s\"\ntiers = { super = 7, full = 40, mobile = 50 }\n";

#[track_caller]
fn read(approach: &str, more: &str) -> Scenario {
    let text = format!("{SMALL}approaches = \"{approach}\"\n{more}");
    parse("a.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refusal(approach: &str, options: &str) -> String {
    let text = format!("{SMALL}approaches = \"{approach}\"\n[approach.{approach}]\n{options}");
    parse("a.toml", &text, &[]).expect_err("it is refused").to_string()
}

fn run(scenario: &Scenario, threads: usize) -> Vec<PointResult> {
    let progress = Progress::default();
    let watch = Watch { progress: &progress, clock: &|| 0.0 };
    let run = |point| run_point(scenario, point, threads, &watch).expect("nothing is lost or made up");
    scenario.points.iter().map(run).collect()
}

/// The names of all mechanisms: those approaches that find figures of their own.
fn mechanisms() -> Vec<&'static str> {
    let is_mechanism = |name: &&str| matches!(read(name, "").points[0].approach, Approach::Mechanism(_));
    Approach::NAMES.into_iter().filter(is_mechanism).collect()
}

#[test]
fn every_mechanism_finds_figures_that_no_number_of_threads_can_move() {
    let mechanisms = mechanisms();
    assert!(mechanisms.len() >= 2);
    for name in mechanisms {
        let scenario = read(name, "");
        let [one, three] = [1, 3].map(|threads| run(&scenario, threads));
        for (one, three) in one.iter().zip(&three) {
            assert_eq!(one.digest, three.digest, "{name}");
            assert_eq!(one.figures, three.figures, "{name}");
            let rows: Vec<_> = one.figures.iter().flat_map(|figures| &figures.rows).collect();
            assert!(rows.iter().filter(|row| row.value.is_some()).count() > 3, "{name}: {rows:?}");
            let topics: Vec<_> = one.figures.iter().map(|figures| figures.topic).collect();
            for row in &rows {
                let value = row.value.unwrap_or(0.0);
                assert!(
                    value.is_finite() && (row.unit != "share" || (0.0..=1.0).contains(&value)),
                    "{topics:?} {row:?}"
                );
            }
        }
    }
}

#[test]
fn every_option_of_a_mechanism_is_part_of_what_names_the_configuration() {
    for (name, option) in [
        ("kademlia", "k = 19"),
        ("kademlia", "alpha = 2"),
        ("kademlia", "timeout = \"2s\""),
        ("kademlia", "refresh = \"2h\""),
        ("kademlia", "bootstrap = \"joins\""),
        ("kademlia", "lookups = \"7s\""),
        ("kademlia", "values = 1"),
        ("routing", "parents = 3"),
        ("routing", "super_parents = 2"),
        ("routing", "candidates = 7"),
        ("routing", "missed = 2"),
        ("routing", "repeat = \"7s\""),
        ("routing", "locations = 1"),
        ("routing", "homes = 2"),
        ("routing", "rebalancing = false"),
        ("routing", "high_percent = 120"),
        ("routing", "moves_max = 9"),
        ("routing", "messages = \"7s\""),
        ("routing", "message_size = \"9 B\""),
        ("routing", "answer = \"1s\""),
        ("routing", "attempts = 2"),
        ("discovery", "parents = 3"),
        ("discovery", "over = \"7s\""),
        ("discovery", "k = 19"),
        ("recommended", "full_peers = 7"),
        ("recommended", "routing = { parents = 2 }"),
        ("recommended", "ledger = { transactions = \"7s\" }"),
        ("recommended", "discovery = { parents = 2 }"),
        ("recommended", "mobile = { policy = \"push\" }"),
        ("recommended", "dissemination = { every = \"7s\" }"),
        ("recommended", "sharding = { records = 7 }"),
        ("consensus", "pattern = \"linear\""),
        ("consensus", "rotates = true"),
        ("consensus", "interval = \"7s\""),
        ("consensus", "timeout = \"7s\""),
        ("consensus", "processing = \"7us\""),
        ("consensus", "block_size = \"7 B\""),
        ("consensus", "rounds = 7"),
        ("ledger", "pattern = \"linear\""),
        ("ledger", "rotates = true"),
        ("ledger", "interval = \"7s\""),
        ("ledger", "timeout = \"7s\""),
        ("ledger", "processing = \"7us\""),
        ("ledger", "super_parents = 7"),
        ("ledger", "light_parents = 7"),
        ("ledger", "transactions = \"7s\""),
        ("ledger", "arrivals = \"regular\""),
        ("ledger", "transaction_size = \"7 B\""),
        ("ledger", "validation = \"7us\""),
        ("ledger", "batch = \"7s\""),
        ("ledger", "share = \"7s\""),
        ("ledger", "patience = \"7s\""),
        ("ledger", "attempts = 7"),
        ("ledger", "queue_max = 7"),
        ("ledger", "mempool_max = 7"),
        ("ledger", "block_max = 7"),
        ("ledger", "header_size = \"7 B\""),
        ("ledger", "check = \"7s\""),
        ("mobile", "policy = \"ping\""),
        ("mobile", "ping = \"7s\""),
        ("mobile", "silence = \"7s\""),
        ("mobile", "check = \"77s\""),
        ("mobile", "parents = 3"),
        ("mobile", "look = \"7s\""),
        ("mobile", "missed = 7"),
        ("mobile", "transactions = \"7s\""),
        ("mobile", "transaction_size = \"7 B\""),
        ("mobile", "news = \"7s\""),
        ("mobile", "news_size = \"7 B\""),
        ("mobile", "battery_wh = 7"),
        ("mobile", "baseline_mw = 7"),
        ("sharding", "placement = \"modulo\""),
        ("sharding", "replicas = 2"),
        ("sharding", "records = 7"),
        ("sharding", "value_size = \"7 B\""),
        ("sharding", "virtual_nodes = 7"),
        ("sharding", "alive = \"7s\""),
        ("sharding", "missed = 7"),
        ("sharding", "tick = \"7s\""),
        ("sharding", "batch = 7"),
        ("sharding", "pace = \"7s\""),
        ("sharding", "retry = \"7s\""),
        ("sharding", "settle = \"7s\""),
        ("sharding", "repair = \"7s\""),
        ("sharding", "depart = 0.5"),
        ("sharding", "depart_over = \"7s\""),
        ("registry", "partitioning = \"country\""),
        ("registry", "replicas = 2"),
        ("registry", "acknowledge = \"leader\""),
        ("registry", "read_replicas = false"),
        ("registry", "users = 7"),
        ("registry", "verified_at = 7"),
        ("registry", "register = \"7s\""),
        ("registry", "endorse = \"7s\""),
        ("registry", "lookup = \"7s\""),
        ("registry", "query = \"7s\""),
        ("registry", "contested = 0.5"),
        ("registry", "fraudulent = 0.5"),
        ("registry", "own = 0.5"),
        ("registry", "page = 7"),
        ("registry", "scatter = 7"),
        ("registry", "read_time = \"7us\""),
        ("registry", "write_time = \"7us\""),
        ("registry", "light_parents = 7"),
        ("registry", "patience = \"7s\""),
        ("registry", "attempts = 7"),
        ("registry", "heartbeat = \"1s\""),
        ("registry", "election = \"7s\""),
        ("registry", "settle = \"7s\""),
        ("registry", "alive = \"7s\""),
        ("registry", "missing = \"77s\""),
        ("registry", "flows_max = 7"),
        ("registry", "queue_max = 7"),
        ("registry", "pipeline_max = 7"),
        ("registry", "depart = 0.5"),
        ("registry", "depart_over = \"7s\""),
    ] {
        let changed = read(name, &format!("[approach.{name}]\n{option}"));
        assert_ne!(read(name, "").hash, changed.hash, "{name} {option}");
    }
    let fixed =
        |more: &str| read("sharding", &format!("[approach.sharding]\nplacement = \"fixed-shards\"\n{more}")).hash;
    assert_ne!(fixed(""), fixed("shards = 7"));
    let ring = |more: &str| {
        read("registry", &format!("[approach.registry]\npartitioning = \"consistent-hashing\"\n{more}")).hash
    };
    for option in ["shards = 7", "virtual_nodes = 7"] {
        assert_ne!(ring(""), ring(option), "{option}");
    }
    let with = |more: &str| read("kademlia", &format!("[approach.kademlia]\nvalues = 9\n{more}")).hash;
    for option in [
        "value_size = \"9 B\"",
        "publish_over = \"9s\"",
        "republish = \"9s\"",
        "value_lookups = \"9s\"",
        "kept_max = 9",
    ] {
        assert_ne!(with(""), with(option), "{option}");
    }
    for option in [
        "spread = \"push\"",
        "spread = \"pull\"",
        "message_size = \"9 B\"",
        "every = \"2s\"",
        "sources = 7",
        "lifetime = \"7s\"",
        "timeout = \"2s\"",
        "repair = \"7s\"",
        "degree = 7",
        "low = 5",
        "high = 11",
        "lazy = 5",
        "contacts = 30",
        "heartbeat = \"1s\"",
        "gossip = 2",
        "history = 5",
        "backoff = 50",
        "renew = 10",
    ] {
        let changed = read("dissemination", &format!("[approach.dissemination]\n{option}"));
        assert_ne!(read("dissemination", "").hash, changed.hash, "dissemination {option}");
    }
    let spread = |spread: &str, more: &str| {
        read("dissemination", &format!("[approach.dissemination]\nspread = \"{spread}\"\n{more}")).hash
    };
    for (kind, option) in [("push", "fanout = 9"), ("lazy-push", "fanout = 9"), ("push-pull", "period = \"9s\"")] {
        assert_ne!(spread(kind, ""), spread(kind, option), "{kind} {option}");
    }
    let joins = |more: &str| read("kademlia", &format!("[approach.kademlia]\nbootstrap = \"joins\"\n{more}")).hash;
    assert_ne!(joins(""), joins("join_over = \"9s\""));
}

#[test]
fn a_list_of_options_makes_a_run_of_each() {
    let scenario = read("kademlia", "[approach.kademlia]\nk = [20, 8]");
    let labels: Vec<_> = scenario.points.iter().map(|point| point.label.as_str()).collect();
    assert_eq!(labels, ["kademlia k 20", "kademlia k 8"]);
    assert_eq!(read("kademlia", "[approach.kademlia]\nk = [8]").points[0].label, "kademlia");
    let scenario = read("routing", "[approach.routing]\nparents = [1, 4]\nrebalancing = [false, true]");
    let labels: Vec<_> = scenario.points.iter().map(|point| point.label.as_str()).collect();
    assert_eq!(labels, ["routing p 1", "routing p 1 rebalanced", "routing p 4", "routing p 4 rebalanced"]);
    let scenario = read("dissemination", "[approach.dissemination]\nspread = [\"mesh\", \"push\"]");
    assert!(scenario.points.iter().map(|point| &*point.label).eq(["dissemination mesh", "dissemination push"]));
    let labels = |scenario: Scenario| scenario.points.iter().map(|point| point.label.clone()).collect::<Vec<_>>();
    let all = ["mobile ping", "mobile adaptive", "mobile piggyback", "mobile push"];
    assert_eq!(labels(read("mobile", "")), all);
    assert_eq!(labels(read("mobile", "[approach.mobile]\npolicy = \"push\"")), ["mobile"]);
    let scenario = read("sharding", "[approach.sharding]\nplacement = [\"modulo\", \"region-spread\"]");
    assert_eq!(labels(scenario), ["sharding modulo", "sharding region-spread"]);
    let scenario = read(
        "registry",
        "[approach.registry]\npartitioning = [\"hash\", \"country\"]\nacknowledge = [\"leader\", \"majority\"]",
    );
    let all =
        ["registry hash leader", "registry hash majority", "registry country leader", "registry country majority"];
    assert_eq!(labels(scenario), all);
}

#[test]
fn what_cannot_be_is_refused_with_what_to_write() {
    for (name, options, expected) in [
        ("kademlia", "k = 65", "write at most 64"),
        ("kademlia", "k = [8, 8]", "integer 8 stands in the list `k` for the second time"),
        ("kademlia", "k = []", "write at least one"),
        ("kademlia", "bootstrap = \"idea\"", "write \"ideal\""),
        ("kademlia", "fanout = 3", "unknown key `fanout`"),
        (
            "dissemination",
            "spread = [\"push\", \"push\"]",
            "string \"push\" stands in the list `spread` for the second time",
        ),
        ("dissemination", "spread = \"mash\"", "write \"mesh\""),
        ("dissemination", "low = 9", "write low <= degree <= high < contacts"),
        ("dissemination", "contacts = 12", "a mesh of degree 8 between 6 and 12 among 12 contacts is none"),
        ("dissemination", "every = \"100ms\"", "201 messages live at a time"),
        ("discovery", "parents = 9", "write at most 8"),
        ("recommended", "mobile = { policy = [\"ping\", \"push\"] }", "several ways of `mobile` in one network"),
        ("recommended", "ledger = { warmup = \"1s\" }", "unknown key `warmup` in `ledger`"),
        ("routing", "parents = 6", "write at most 5"),
        ("routing", "parents = [2, 2]", "integer 2 stands in the list `parents` for the second time"),
        ("routing", "rebalancing = 1", "write true or false"),
        ("routing", "rebalancing = [true, true]", "boolean true stands in the list `rebalancing` for the second time"),
        ("routing", "answer = \"16s\"", "write at most \"15s\""),
        ("routing", "homes = 4", "write at most 3"),
        ("discovery", "k = 3\nparents = 4", "write at most 3"),
        ("consensus", "pattern = \"pbtf\"", "write \"pbft\""),
        (
            "consensus",
            "pattern = [\"pbft\", \"pbft\"]",
            "string \"pbft\" stands in the list `pattern` for the second time",
        ),
        ("consensus", "processing = \"2s\"", "write at most \"1s\""),
        ("ledger", "block_max = \"5K\"", "write at most 4_642"),
        ("ledger", "arrivals = \"random\"", "write"),
        ("mobile", "policy = \"pnig\"", "write \"ping\""),
        ("mobile", "policy = [\"push\", \"push\"]", "string \"push\" stands in the list `policy` for the second time"),
        ("mobile", "parents = 17", "write at most 16"),
        ("mobile", "look = \"1h\"\ncheck = \"1min\"", "write look <= check"),
        ("sharding", "placement = []", "write at least one"),
        ("sharding", "replicas = 9", "write at most 8"),
        ("sharding", "value_size = \"2 kB\"", "write batch = 29 or less"),
        ("sharding", "depart = 1.5", "from 0 to 1"),
        ("registry", "partitioning = \"hashed\"", "write \"hash\""),
        ("registry", "replicas = 8", "write at most 7"),
        ("registry", "read_time = [\"1us\", \"2us\"]", "write one span, or five"),
        ("registry", "write_time = [\"5us\", \"4us\", \"6us\", \"7us\", \"8us\"]", "they do not ascend"),
        ("registry", "election = \"3s\"", "write election = \"4000000000ns\" or more"),
        ("registry", "users = \"1B\"\npage = 0", "write at least 1"),
    ] {
        let refusal = refusal(name, options);
        assert!(refusal.contains(expected), "{name} {options}: {refusal}");
    }
    let text =
        SMALL.replace("full = 40", "full = 1").replace("super = 7", "super = 1") + "approaches = \"discovery\"\n";
    let refused = parse("a.toml", &text, &[]).expect_err("nobody can be a parent").to_string();
    assert!(refused.contains("too few for 4 parents"), "{refused}");
    let text = SMALL.replace("mobile = 50", "mobile = 0") + "approaches = \"mobile\"\n";
    let refused = parse("a.toml", &text, &[]).expect_err("there are no mobile nodes").to_string();
    assert!(refused.contains("there are 0 mobile nodes"), "{refused}");
}

#[test]
fn the_tables_of_kademlia_hold_what_its_lookups_need() {
    let scenario = read("kademlia", "[approach.kademlia]\nlookups = \"5s\"\nvalues = 50\nvalue_lookups = \"5s\"");
    let point = &run(&scenario, 1)[0];
    let [lookups, tables] = &point.figures[..] else { panic!("{:?}", point.figures) };
    assert_eq!((lookups.topic, tables.topic), ("lookups", "routing tables"));
    assert_eq!(lookups.get("node", "found"), Some(1.0));
    let hops = lookups.get("node", "hops-mean").unwrap();
    assert!((1.0..2.5).contains(&hops), "{hops}");
    assert!(lookups.get("value", "requests-mean") < lookups.get("node", "requests-mean"));
    assert_eq!(tables.get("all", "nodes-joined"), Some(400.0));
    let curve = lookups.curves.iter().find(|curve| curve.subject == "node").unwrap();
    let sum: f64 = curve.points.iter().map(|[_, share]| share).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
}

#[test]
fn messages_find_their_way_through_the_tiers_and_every_child_has_its_parents() {
    let more = "heartbeat.interval = \"1s\"\n[approach.routing]\nwarmup = \"40s\"\nmessages = \"5s\"";
    let point = &run(&read("routing", more), 1)[0];
    let [attachment, routing, children] = &point.figures[..] else { panic!("{:?}", point.figures) };
    assert_eq!((attachment.topic, routing.topic, children.topic), ("attachment", "routing", "children"));
    for subject in ["full", "light", "mobile"] {
        assert_eq!(attachment.get(subject, "orphaned-at-end"), Some(0.0), "{subject}");
    }
    assert_eq!((routing.get("light", "confirmed"), routing.get("light", "hops-max")), (Some(1.0), Some(4.0)));
    assert!(routing.get("light", "sent").unwrap() > 500.0);
    // 303 light nodes and 50 mobile ones, with four parents each of forty.
    assert_eq!(children.get("full", "children-mean"), Some(353.0 * 4.0 / 40.0));
    assert_eq!(children.get("super", "locations-mean"), Some(353.0 / 7.0));
    let curve = children.curves.iter().find(|curve| curve.name == "children-mean-over-time").unwrap();
    // In a span some full nodes send one digest more than others.
    assert!((curve.points.last().unwrap()[1] - 353.0 * 4.0 / 40.0).abs() < 1.0, "{:?}", curve.points);
}

#[test]
fn every_way_to_spread_reaches_all_and_costs_what_it_sends() {
    let spreads = "[\"push\", \"lazy-push\", \"pull\", \"push-pull\", \"mesh\"]";
    let options = format!("spread = {spreads}\nlifetime = \"10s\"\nrepair = \"2s\"");
    let scenario = read("dissemination", &format!("[approach.dissemination]\n{options}"));
    for point in run(&scenario, 1) {
        let name = &point.approach;
        let [coverage, types, cost] = &point.figures[..3] else { panic!("{:?}", point.figures) };
        let topics = [coverage.topic, types.topic, cost.topic];
        assert_eq!(topics, ["coverage", "delivery by node type", "cost of a delivery"]);
        assert_eq!(coverage.get("all", "messages-published"), Some(11.0), "{name}");
        assert_eq!(coverage.get("all", "never-reached"), Some(0.0), "{name}");
        assert_eq!(coverage.get("all", "coverage-100-messages"), Some(1.0), "{name}");
        let times = ["coverage-50-time", "coverage-90-time", "coverage-99-time", "coverage-100-time"];
        let times = times.map(|time| coverage.get("all", time).unwrap());
        assert!(times.is_sorted() && times[0] > 0.0, "{name}: {times:?}");
        for node_type in ["super", "full", "light", "mobile"] {
            assert!(types.get(node_type, "delay-p50") <= types.get(node_type, "delay-p99"), "{name} {node_type}");
        }
        for curve in &coverage.curves {
            let last = curve.points.last().unwrap();
            assert!(curve.points.is_sorted_by(|a, b| a[0] < b[0] && a[1] <= b[1]) && last[1] == 1.0, "{name}");
        }
        // A delivery takes one message and those that were in vain; none is lost here, few are still under way.
        let (messages, duplicates) = (cost.get("message", "messages").unwrap(), cost.get("all", "duplicates").unwrap());
        assert!((messages - duplicates - 1.0).abs() < 0.01, "{name}: {messages}, {duplicates}");
        assert!(cost.get("message", "bytes").unwrap() >= messages * 1_051.0 - 1e-6, "contents, format and headers");
        assert_eq!(point.figures.len(), if name.ends_with("mesh") { 4 } else { 3 }, "{name}");
        if let Some(mesh) = point.figures.get(3) {
            let links = ["links-min", "links-max"].map(|links| mesh.get("all", links).unwrap());
            assert!(6.0 <= links[0] && links[1] <= 12.0, "{links:?}");
        }
    }
}

#[test]
fn consensus_takes_the_messages_of_its_pattern() {
    let text = "name = \"a\"\nnodes = [4, 50]\nwarmup = \"0s\"\nmeasure = \"20s\"\napproaches = \"consensus\"\n\
                approach.consensus.pattern = [\"pbft\", \"linear\"]\n";
    let points = run(&parse("a.toml", text, &[]).unwrap_or_else(|error| panic!("{error}")), 2);
    for (point, expected) in points.iter().zip([27.0, 2.0 * 50.0 * 49.0 + 49.0, 9.0, 147.0]) {
        let [figures] = &point.figures[..] else { panic!("{:?}", point.figures) };
        assert_eq!(figures.get("super", "messages-per-round"), Some(expected));
        assert_eq!((figures.get("super", "rounds"), figures.get("super", "forks")), (Some(10.0), Some(0.0)));
        let [mean, max] = ["quorum-commit-mean", "last-commit-max"].map(|name| figures.get("super", name).unwrap());
        assert!(mean > 0.01 && mean < max && max < 0.5, "{mean} {max}");
        assert_eq!(figures.curves[0].points.len(), 10);
    }
    let text = text.replace("[4, 50]", "1025");
    let refused = parse("a.toml", &text, &[]).expect_err("too many").to_string();
    assert!(refused.contains("write nodes of at most 1024"), "{refused}");
}

#[test]
fn the_ledger_tells_when_whom_a_block_reached() {
    let options = "[approach.ledger]\ninterval = \"2s\"\ntransactions = \"10s\"\n";
    let point = &run(&read("ledger", options), 2)[0];
    let [transactions, held, rounds] = &point.figures[..] else { panic!("{:?}", point.figures) };
    assert!(rounds.get("super", "rounds").unwrap() > 9.0);
    assert!(transactions.get("all", "committed-share").unwrap() > 0.7, "{transactions:?}");
    assert!(transactions.get("all", "seen-p50") >= transactions.get("all", "commit-p50"));
    for subject in ["full", "light", "mobile"] {
        assert!(held.get(subject, "held").unwrap() > 0.85, "{held:?}");
        let [p50, p99] = ["since-commit-p50", "since-proposal-p99"].map(|name| held.get(subject, name).unwrap());
        assert!(p50 > 0.02 && p50 < p99 && p99 < 2.0, "{p50} {p99}");
    }
}

#[test]
fn all_mechanisms_together_do_what_each_does_alone() {
    // Nodes begin to look for parents within half a minute.
    let text = SMALL.replace("warmup = \"5s\"", "warmup = \"35s\"")
        + "approaches = \"recommended\"\n[approach.recommended]\nrouting = { messages = \"5s\" }\n\
           ledger = { interval = \"2s\", transactions = \"5s\" }\ndiscovery = { over = \"5s\" }\n\
           dissemination = { lifetime = \"5s\" }\nsharding = { records = \"1K\" }\n";
    let scenario = parse("a.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    let point = &run(&scenario, 1)[0];
    let get = |topic: &str, subject: &str, name: &str| {
        let figures = point.figures.iter().find(|figures| figures.topic == topic).unwrap_or_else(|| panic!("{topic}"));
        figures.get(subject, name).unwrap_or_else(|| panic!("{topic} {subject} {name}: {figures:?}"))
    };
    assert_eq!(get("attachment", "light", "orphaned-at-end"), 0.0);
    assert!(get("routing", "light", "sent") > 500.0 && get("routing", "light", "confirmed") > 0.99);
    assert!(get("transactions", "all", "committed") > 500.0);
    assert!(get("consensus", "super", "rounds") >= 8.0 && get("consensus", "super", "forks") == 0.0);
    assert_eq!(get("discovery of parents", "clients", "attached"), 1.0);
    assert_eq!(get("coverage", "all", "coverage-100-messages"), 1.0);
    assert_eq!(get("storage", "full", "nodes"), 40.0);
    assert_eq!(get("replication", "records", "lost"), 0.0);
    // Its radio sleeps between transactions.
    assert!((1.0..86_400.0).contains(&get("battery", "mobile", "wakes-a-day")));
    assert!(point.bandwidth.iter().all(Option::is_some));
}

#[test]
fn mobile_nodes_spend_what_their_policy_wakes_them_for() {
    let text = "name = \"a\"\nnodes = 221\nwarmup = \"0s\"\nmeasure = \"12h\"\ntimeline = \"1h\"\n\
                approaches = \"mobile\"\ntiers = { super = 1, full = 20, mobile = 200 }\n";
    let points = run(&parse("a.toml", text, &[]).unwrap_or_else(|error| panic!("{error}")), 2);
    let get = |name: &str| points.iter().map(|point| point.figures[0].get("mobile", name).unwrap()).collect::<Vec<_>>();
    let (wakes, power) = (get("wakes-a-day"), get("radio-power-mean"));
    assert!(wakes.is_sorted_by(|more, less| more > less) || wakes[2] < wakes[1], "{wakes:?}");
    assert!((power[0] / 392.0 - 1.0).abs() < 0.02 && power[1] < 42.0 && power[2] < 25.0, "{power:?}");
    let (radio, phone) = (get("life-of-radio-by-pinging"), get("life-of-phone-by-pinging"));
    assert!(radio[1] > 9.0 && phone[1] < 2.5 && phone[3] < 2.5, "{radio:?} {phone:?}");
    for point in &points {
        let news = &point.figures[1];
        assert!(news.get("mobile", "news").unwrap() > 400.0);
        assert_eq!(news.get("mobile", "messages-rejected"), Some(0.0));
        assert!(point.detection.is_some());
    }
    assert_eq!(points[0].figures[0].rows.iter().filter(|row| row.claim == Some("QN-52")).count(), 2);
}

#[test]
fn shards_move_as_much_as_their_placement_makes_them() {
    let text = "name = \"a\"\nnodes = 102\nwarmup = \"10s\"\nmeasure = \"15min\"\napproaches = \"sharding\"\n\
                tiers = { super = 2, full = 100, mobile = 0 }\n[approach.sharding]\nrecords = \"3K\"\n\
                placement = [\"modulo\", \"fixed-shards\", \"consistent-hashing\", \"region-spread\"]\n\
                depart = 0.02\ndepart_over = \"2min\"\n";
    for point in run(&parse("a.toml", text, &[]).unwrap_or_else(|error| panic!("{error}")), 2) {
        let name = &point.approach;
        let [storage, moved, missing] = &point.figures[..] else { panic!("{:?}", point.figures) };
        let left = moved.get("full", "nodes-left").unwrap();
        assert_eq!(
            (moved.get("full", "nodes-drained"), storage.get("full", "nodes")),
            (Some(left), Some(100.0 - left))
        );
        let ratio = moved.get("full", "moved-by-least").unwrap();
        assert!(if name.ends_with("modulo") { ratio > 50.0 } else { ratio < 3.0 }, "{name}: {ratio}");
        assert!((1.0..3.0).contains(&storage.get("full", "imbalance").unwrap()), "{name}");
        for figure in ["lost", "under-replicated-at-end", "waiting-at-end"] {
            assert_eq!(missing.get("records", figure), Some(0.0), "{name}: {figure}");
        }
        assert_eq!(missing.curves[0].points.len(), 911, "{name}: every second, and the end");
    }
}
