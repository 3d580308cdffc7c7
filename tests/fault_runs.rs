//! Faults and capacities of a scenario file reach the engine: what each does to a run.

use qnetsim::contract::SimSpan;
use qnetsim::engine::Progress;
use qnetsim::metrics::{Flow, PointResult};
use qnetsim::scenario::build::{Watch, run_point};
use qnetsim::scenario::parse;

/// Two thousand pings a second for 20 s, in buckets of a second.
const HEAD: &str = "name = \"a\"\nnodes = \"2K\"\napproaches = \"ping\"\nwarmup = \"0s\"\nmeasure = \"20s\"\n\
                    heartbeat.interval = \"1s\"\n";
const CONSTANT: &str = "[network]\nlatency = { model = \"constant\", delay = \"10ms\" }\n";
const REGIONS: &str = "[network]\nlatency = { model = \"regions\", shares = { Tokyo = 0.5, London = 0.5 } }\n";

fn run_on(threads: usize, lines: &str) -> PointResult {
    let scenario = parse("s.toml", &format!("{HEAD}{lines}"), &[]).unwrap_or_else(|error| panic!("{error}"));
    let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
    run_point(&scenario, &scenario.points[0], threads, &watch).unwrap()
}

fn run(lines: &str) -> PointResult {
    run_on(1, lines)
}

/// Messages of `flow` in each second of the run.
fn by_second(result: &PointResult, flow: Flow) -> Vec<u64> {
    result.timeline.iter().map(|bucket| bucket.traffic.total(flow).messages).collect()
}

/// The seconds in which there was any message of `flow`.
fn seconds_with(result: &PointResult, flow: Flow) -> Vec<usize> {
    let counts = by_second(result, flow).into_iter().enumerate();
    counts.filter(|(_, messages)| *messages > 0).map(|(second, _)| second).collect()
}

#[test]
fn a_run_without_faults_drops_nothing() {
    let result = run(CONSTANT);
    assert_eq!(result.measured.total(Flow::Sent).messages, 40_000);
    assert!(Flow::DROPS.iter().all(|&flow| result.measured.total(flow).messages == 0));
}

#[test]
fn a_partition_parts_its_nodes_from_the_others_until_it_heals() {
    let result = run(&format!("{CONSTANT}[[faults.partition]]\nstart = \"5s\"\nheal = \"10s\"\nshare = 0.3\n"));
    assert_eq!(seconds_with(&result, Flow::Partitioned), [5, 6, 7, 8, 9]);
    // 42 % of the links lead from one side to the other; five standard deviations of 2000 draws.
    let share = by_second(&result, Flow::Partitioned)[6] as f64 / 2_000.0;
    assert!((share - 0.42).abs() < 0.055, "{share}");
}

#[test]
fn nodes_that_crash_send_and_receive_nothing_until_they_come_back() {
    let crash = "[[faults.crash]]\nat = \"5s\"\nuntil = \"10s\"\nshare = 0.5\n";
    let result = run(&format!("{CONSTANT}{crash}"));
    let sent = by_second(&result, Flow::Sent);
    assert!(sent[..5].iter().all(|&messages| messages == 2_000), "{sent:?}");
    assert!(sent[5..10].iter().all(|&messages| (888..=1_112).contains(&messages)), "{sent:?}");
    assert!(sent[12..].iter().all(|&messages| messages == 2_000), "{sent:?}");
    assert_eq!(seconds_with(&result, Flow::ReceiverDown), [5, 6, 7, 8, 9]);
}

#[test]
fn a_crowd_comes_over_a_span_and_leaves_after_its_stay() {
    let crowd = "[[faults.crowd]]\nat = \"4s\"\nover = \"2s\"\nstay = \"8s\"\nshare = 0.5\n";
    let sent = by_second(&run(&format!("{CONSTANT}{crowd}")), Flow::Sent);
    let few = |messages: &u64| (888..=1_112).contains(messages);
    assert!(sent[..4].iter().all(few) && sent[15..].iter().all(few), "{sent:?}");
    assert!(sent[7..12].iter().all(|&messages| messages == 2_000), "{sent:?}");
}

#[test]
fn churn_keeps_the_share_of_nodes_up_that_its_means_say() {
    let churn = "[faults.churn]\nsession = { model = \"exponential\", mean = \"30s\" }\n\
                 absence = { model = \"exponential\", mean = \"10s\" }\n";
    let result = run(&format!("{CONSTANT}{churn}"));
    assert!(result.measured.total(Flow::ReceiverDown).messages > 0);
    // Three quarters are up. A node that comes back sends first within an interval, so a little fewer messages.
    let sent = result.measured.total(Flow::Sent).messages as f64 / 40_000.0;
    assert!((0.70..0.78).contains(&sent), "{sent}");
}

/// Loss between the regions leaves delays within regions only: faults and delays place nodes alike.
#[test]
fn losses_hit_the_regions_that_they_name() {
    let loss = "[[faults.loss]]\nstart = \"0s\"\nend = \"1h\"\nloss = 1\nfrom = \"Tokyo\"\nto = \"London\"\n";
    let both = run(&format!("{REGIONS}{loss}"));
    let [sent, lost] = [Flow::Sent, Flow::Lost].map(|flow| both.measured.total(flow).messages);
    assert!((0.44..0.56).contains(&(lost as f64 / sent as f64)), "{lost} of {sent}");
    let micros = |result: &PointResult| [result.delays[0].min(), result.delays[0].max()].map(|delay| delay / 1_000);
    assert!(micros(&both).iter().all(|delay| (199..=201).contains(delay)), "{:?}", micros(&both));
    let one_way = run(&format!("{REGIONS}{loss}both_ways = false\n"));
    let lost = one_way.measured.total(Flow::Lost).messages;
    assert!((0.19..0.31).contains(&(lost as f64 / sent as f64)), "{lost} of {sent}");
    assert!(micros(&one_way)[1] >= 100_000, "from London to Tokyo they pass");
}

#[test]
fn a_surge_multiplies_and_adds() {
    let result =
        run(&format!("{CONSTANT}[[faults.surge]]\nstart = \"5s\"\nend = \"9s\"\nfactor = 3\nextra = \"7ms\"\n"));
    let delays = &result.delays[0];
    let millis = |quantile| SimSpan::from_nanos(delays.value_at_quantile(quantile)).as_secs_f64() * 1e3;
    assert!((millis(0.5) - 10.0).abs() < 0.1 && (millis(0.9) - 37.0).abs() < 0.1, "{} {}", millis(0.5), millis(0.9));
    let slow = delays.count_between(30_000_000, 40_000_000);
    assert_eq!(slow, 8_000, "those of four seconds");
}

#[test]
fn capacities_delay_messages_and_drop_what_finds_the_queue_full() {
    // 128 bytes at 100 kbps take 10.24 ms; the delay of a message ends where its receiver's link begins.
    let slow = run(&format!("{CONSTANT}[network.capacity]\nfull = \"100 kbps\"\n"));
    assert!((20_200_000..20_240_000).contains(&slow.delays[0].min()), "{}", slow.delays[0].min());
    assert_eq!(slow.measured.total(Flow::UplinkFull).messages, 0);
    let mesh = "approaches = \"full-mesh\"\nnodes = 100\n";
    let head = HEAD.replace("approaches = \"ping\"\n", "").replace("nodes = \"2K\"\n", mesh);
    let full = |rates: &str| {
        let lines = format!("{head}{CONSTANT}[network.capacity]\nqueue = \"1 KiB\"\nfull = {{ {rates} }}\n");
        let scenario = parse("s.toml", &lines, &[]).unwrap_or_else(|error| panic!("{error}"));
        let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
        let result = run_point(&scenario, &scenario.points[0], 1, &watch).unwrap();
        [Flow::Sent, Flow::UplinkFull, Flow::DownlinkFull].map(|flow| result.measured.total(flow).messages)
    };
    // Of 99 messages at once, eight fill the queue to its 1024 bytes, and the one that finds no more than that is taken.
    let [sent, up, down] = full("upload = \"100 kbps\", download = \"1 Gbps\"");
    assert_eq!((up * 99, down), (sent * 90, 0), "{up} of {sent}");
    // The first nine nodes get all that leaves the others: 101 kbps each.
    let [_, up, down] = full("upload = \"1 Gbps\", download = \"100 kbps\"");
    assert!(up > 0 && down > 0, "{up} {down}");
}

#[test]
fn threads_do_not_change_a_run_with_all_faults() {
    let lines = format!(
        "{REGIONS}loss = 0.01\n[network.capacity]\nfull = \"50 kbps\"\n\
         [faults.churn]\nshare = 0.5\nsession = {{ model = \"weibull\", shape = 0.6, scale = \"5s\" }}\n\
         absence = {{ model = \"lognormal\", median = \"2s\", sigma = 1 }}\ngraceful = 0.3\n\
         [[faults.crash]]\nat = \"5s\"\nover = \"1s\"\nshare = 0.1\nuntil = \"9s\"\n\
         [[faults.crowd]]\nat = \"8s\"\nover = \"1s\"\nshare = 0.1\n\
         [[faults.loss]]\nstart = \"3s\"\nend = \"6s\"\nloss = 0.5\nfrom = \"Tokyo\"\n\
         [[faults.surge]]\nstart = \"5s\"\nend = \"8s\"\nfactor = 2.5\n\
         [[faults.partition]]\nstart = \"10s\"\nheal = \"12s\"\nregions = \"London\"\n"
    );
    let [one, three] = [1, 3].map(|threads| run_on(threads, &lines));
    assert_eq!((one.digest, one.in_flight), (three.digest, three.in_flight));
    assert_eq!(one.measured, three.measured);
    for flow in [Flow::Received, Flow::Lost, Flow::Partitioned, Flow::ReceiverDown] {
        assert!(one.measured.total(flow).messages > 100, "{}", flow.name());
    }
}
