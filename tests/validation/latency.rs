//! Delays between regions, as a run finds them, against the published tables.

use qnetsim::engine::Progress;
use qnetsim::metrics::Links;
use qnetsim::scenario::{build, parse};

use crate::statistics::SIGMAS;

/// What messages take between the regions of `latency` in a run of gossip among 20 000 nodes.
fn links(latency: &str, seed: u64, threads: usize) -> Links {
    let text = format!(
        "name = \"links\"\nnodes = \"20K\"\napproaches = \"flat-gossip\"\nseed = {seed}\nwarmup = \"0s\"\n\
         measure = \"20s\"\nheartbeat.interval = \"5s\"\nnetwork.latency = {{ model = \"regions\", {latency} }}\n"
    );
    let scenario = parse("links.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    let watch = build::Watch { progress: &Progress::default(), clock: &|| 0.0 };
    build::run_point(&scenario, &scenario.points[0], threads, &watch).unwrap().links.expect("there are regions")
}

/// A table as its source prints it: the delays of a row after a name, separated by blanks.
fn printed(rows: &str) -> Vec<Vec<f64>> {
    let row = |row: &str| row.split_whitespace().skip(1).map(|cell| cell.parse().unwrap()).collect();
    rows.trim().lines().map(row).collect()
}

/// Checks that without jitter every message took exactly `one_way(from, to)` milliseconds, for each pair of regions.
#[track_caller]
fn check_exact(latency: &str, one_way: impl Fn(usize, usize) -> f64) {
    let links = links(latency, 5, 2);
    let regions = links.regions.len();
    for (pair, delays) in links.delays.iter().enumerate() {
        let (from, to) = (pair / regions, pair % regions);
        // To the nanosecond: all published figures are whole microseconds.
        let expected = (one_way(from, to) * 1e3).round() as u64 * 1_000;
        let found = [delays.min().expect("every pair has messages"), delays.max(), delays.percentile(0.5)];
        let place = format!("{} to {}", links.regions[from], links.regions[to]);
        assert_eq!(found.map(|span| span.as_nanos()), [expected; 3], "{place}");
        assert_eq!(delays.mean(), expected as f64, "{place}");
        assert_eq!(links.table[pair].as_nanos(), expected, "{place}");
    }
}

/// Source: cometbft v1.x, `test/e2e/pkg/files/aws-latencies.csv`: one-way delays in milliseconds. Where it has zeros, a
/// delay within a region, 200 us, stands in.
#[test]
fn thirteen_aws_regions_are_recovered_exactly() {
    let table = printed(
        "
        N_Virginia 0 7 30 38 39 33 44 58 73 93 98 87 105
        Canada 7 0 38 39 29 35 46 63 70 94 97 85 103
        N_California 30 39 0 68 10 68 75 88 54 116 69 67 86
        London 38 39 68 0 63 5 8 94 104 56 131 118 82
        Oregon 39 29 10 63 0 59 68 88 49 109 69 63 84
        Ireland 33 35 68 5 59 0 13 88 100 61 127 114 90
        Frankfurt 44 46 75 8 68 13 0 101 111 60 143 109 77
        S_Paulo 58 63 88 94 88 89 101 0 128 151 155 142 161
        Tokyo 73 70 54 104 49 100 111 128 0 60 57 16 39
        Mumbai 93 94 116 56 109 61 60 151 60 0 76 57 27
        Sydney 98 97 69 131 69 127 143 155 57 76 0 69 45
        Seoul 87 84 67 118 63 114 109 142 17 57 69 0 36
        Singapore 105 103 86 82 81 90 77 161 39 27 45 36 0
        ",
    );
    check_exact("table = \"aws-13\"", |from, to| if from == to { 0.2 } else { table[from][to] });
}

/// Source: github.com/asonnino/mysticeti, issue 277: RTTs in milliseconds, of which half is one way. Here is the upper
/// triangle that it prints, and the diagonal.
#[test]
fn six_aws_regions_are_recovered_exactly() {
    let triangle = printed(
        "
        use1 11.4 90.6 75.3 82.2 146.4
        use2 95.6 86.1 90.7 134.8
        euc1 12.0 8.2 238.3
        euw2 7.4 212.2
        euw3 219.2
        ",
    );
    let diagonal = [0.2, 0.6, 0.4, 0.2, 0.1, 0.2];
    check_exact("table = \"aws-6\"", |from, to| {
        let (low, high) = (from.min(to), from.max(to));
        if low == high { diagonal[low] / 2.0 } else { triangle[low][high - low - 1] / 2.0 }
    });
}

/// SimBlock's delays between six parts of the world, in milliseconds.
fn simblock() -> Vec<Vec<f64>> {
    printed(
        "
        NA 32 124 184 198 151 189
        EU 124 11 227 237 252 294
        SA 184 227 88 325 301 322
        AsiaPac 198 237 325 85 58 198
        Japan 151 252 301 58 12 126
        Aus 189 294 322 198 126 16
        ",
    )
}

/// Even shares, so that there are messages between all regions.
const EVEN: &str = "shares = { NA = 0.2, EU = 0.2, SA = 0.15, AsiaPac = 0.15, Japan = 0.15, Aus = 0.15 }";

/// Source: SimBlock, `NetworkConfiguration` (2019). Its figures have the size of RTTs, so half of them is one way; taken
/// for one-way delays, as SimBlock does, they are used as they are.
#[test]
fn six_parts_of_the_world_are_recovered_exactly() {
    let table = simblock();
    check_exact(&format!("table = \"p2p-6\", {EVEN}"), |from, to| table[from][to] / 2.0);
    check_exact(&format!("table = \"p2p-6\", holds = \"one-way\", {EVEN}"), |from, to| table[from][to]);
}

/// Source: SimBlock, as above: delays follow a Pareto distribution with shape 0.2 m and scale m - 5, whose mean is the
/// table's m, in milliseconds. Three seeds, 4.9 sigmas for each pair of regions whose shape is above 4, so that the mean
/// of a few thousand messages is nearly normal.
#[test]
fn jitter_as_in_simblock_keeps_the_means_of_the_table() {
    let table = simblock();
    for seed in 1..=3 {
        let jitter = "jitter = { model = \"pareto\", excess = \"5ms\" }";
        let links = links(&format!("table = \"p2p-6\", holds = \"one-way\", {EVEN}, {jitter}"), seed, 2);
        for (pair, delays) in links.delays.iter().enumerate() {
            let mean = table[pair / 6][pair % 6];
            let (shape, scale) = (0.2 * mean, mean - 5.0);
            let smallest = delays.min().unwrap().as_nanos() as f64 / 1e6;
            assert!(smallest >= scale && smallest < scale * 1.01, "{smallest} ms, not above {scale} ms");
            if shape > 4.0 {
                let deviation = scale / (shape - 1.0) * (shape / (shape - 2.0)).sqrt();
                let off = (delays.mean() / 1e6 - mean) / (deviation / (delays.messages() as f64).sqrt());
                assert!(off.abs() < SIGMAS, "seed {seed}, mean {mean} ms: {off:.1} sigmas off");
            }
        }
    }
}

/// Source: SimBlock, as above: shares of Bitcoin nodes by region in 2019. Five seeds, 100 000 nodes, 4.9 sigmas of the
/// binomial distribution for each region.
#[test]
fn nodes_stand_in_regions_by_their_published_shares() {
    let shares = [0.3316, 0.4998, 0.0090, 0.1177, 0.0224, 0.0195];
    let text = "name = \"a\"\nnodes = 10\napproaches = \"ping\"\n\
                network.latency = { model = \"regions\", table = \"p2p-6\" }";
    let scenario = parse("a.toml", text, &[]).unwrap();
    const NODES: u32 = 100_000;
    for seed in 1..=5 {
        let network = build::network(&scenario.network, seed);
        let placement = qnetsim::engine::Network::placement(&network).expect("there are regions");
        let mut counts = [0u32; 6];
        (0..NODES).for_each(|node| counts[placement.region_of(node)] += 1);
        for (count, share) in counts.into_iter().zip(shares) {
            let expected = share * f64::from(NODES);
            let off = (f64::from(count) - expected) / (expected * (1.0 - share)).sqrt();
            assert!(off.abs() < SIGMAS, "seed {seed}, share {share}: {count} nodes, {off:.1} sigmas off");
        }
    }
}

/// Not a published result, but a condition of all of the above: figures by region do not depend on threads.
#[test]
fn links_are_the_same_on_one_thread_and_on_three() {
    let latency = "jitter = { model = \"lognormal\", median = 0.05, sigma = 0.5 }";
    assert_eq!(links(latency, 9, 1), links(latency, 9, 3));
}
