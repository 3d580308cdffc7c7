//! What may stand in the tables of a generated scenario: every key, with values that go together, the plainest first.

/// A key with the values that it may have, as TOML. A value may bring lines along that it cannot do without.
pub(crate) type Rows = &'static [(&'static str, &'static [&'static str])];

/// An approach: its name, whether its network has tiers, and its options.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) is_tiered: bool,
    pub(crate) rows: Rows,
}

const fn flat(name: &'static str, rows: Rows) -> Kind {
    Kind { name, is_tiered: false, rows }
}

const fn tiered(name: &'static str, rows: Rows) -> Kind {
    Kind { name, is_tiered: true, rows }
}

/// Ways of keeping a network alive. Numbers of links and peers depend on the size, so they are not here.
pub(crate) const LIVENESS: &[Kind] = &[
    flat("ping", &[]),
    flat("flat-gossip", &[]),
    flat("full-mesh", &[]),
    tiered("hierarchical", &[("full_peers", &["32", "1", "3"])]),
    tiered(
        "gossip",
        &[("full_peers", &["32", "2"]), ("seen", &["1_024", "8", "\"4K\""]), ("hops_max", &["32", "1", "3"])],
    ),
    tiered("sampled", &[("rates", &["0.5", "1", "[0.1, 0.9]", "[0.001, 0.01, 0.3]"])]),
    flat(
        "swim",
        &[
            ("period", &["\"1s\"", "\"500ms\"\nprobe_timeout = \"200ms\"", "\"2s\"\nprobe_timeout = \"1s\""]),
            ("indirect_probes", &["3", "0", "1", "16"]),
            ("suspicion_mult", &["4", "1", "9"]),
        ],
    ),
];

/// Single mechanisms, and all of them together.
pub(crate) const MECHANISMS: &[Kind] = &[
    flat("kademlia", KADEMLIA),
    tiered("discovery", DISCOVERY),
    tiered("routing", ROUTING),
    tiered("dissemination", DISSEMINATION),
    flat("consensus", CONSENSUS),
    tiered("ledger", LEDGER),
    tiered("mobile", MOBILE),
    tiered("sharding", SHARDING),
    tiered("registry", REGISTRY),
    tiered("recommended", &[("full_peers", &["32", "1", "5"])]),
];

/// The layers of the approach `recommended`, each in one way.
pub(crate) const LAYERS: &[(&str, Rows)] = &[
    ("routing", ROUTING),
    ("ledger", LEDGER),
    ("discovery", DISCOVERY),
    ("mobile", MOBILE),
    ("dissemination", DISSEMINATION),
    ("sharding", SHARDING),
];

const KADEMLIA: Rows = &[
    ("k", &["20", "8", "1", "[3, 16]"]),
    ("alpha", &["3", "1", "16"]),
    ("timeout", &["\"2s\"", "\"20ms\""]),
    ("refresh", &["\"1h\"", "\"3s\""]),
    ("bootstrap", &["\"ideal\"", "\"joins\"\njoin_over = \"2s\"", "\"joins\"\njoin_over = \"1s\""]),
    ("lookups", &["\"60s\"", "\"2s\""]),
    ("values", &["10", "0", "1"]),
    ("value_size", &["\"100 B\"", "\"1 B\"", "\"1 KiB\""]),
    ("publish_over", &["\"10s\"", "\"1s\""]),
    ("republish", &["\"1h\"", "\"5s\""]),
    ("value_lookups", &["\"60s\"", "\"3s\""]),
    ("kept_max", &["1_000", "1"]),
];

const DISCOVERY: Rows = &[
    ("k", &["20", "3", "[4, 16]"]),
    ("alpha", &["3", "1", "5"]),
    ("timeout", &["\"2s\"", "\"20ms\""]),
    ("refresh", &["\"1h\"", "\"4s\""]),
    ("over", &["\"30s\"", "\"1s\""]),
];

const ROUTING: Rows = &[
    ("parents", &["4", "1", "5", "[2, 3]"]),
    ("super_parents", &["3", "1", "5"]),
    ("candidates", &["8", "1", "64"]),
    ("missed", &["3", "1"]),
    ("repeat", &["\"5s\"", "\"50ms\""]),
    ("locations", &["2", "1"]),
    ("homes", &["1", "3"]),
    ("rebalancing", &["true", "false", "[false, true]"]),
    ("high_percent", &["110", "100", "300"]),
    ("moves_max", &["16", "1"]),
    ("messages", &["\"300s\"", "\"2s\""]),
    ("message_size", &["\"200 B\"", "\"1 B\"", "\"1300 B\""]),
    ("answer", &["\"2s\"", "\"200ms\""]),
    ("attempts", &["4", "1"]),
];

const DISSEMINATION: Rows = &[
    ("spread", &["\"mesh\"", "\"push\"", "\"lazy-push\"", "\"pull\"", "\"push-pull\"", "[\"push\", \"mesh\"]"]),
    ("message_size", &["\"1 KiB\"", "\"1 B\"", "\"40 kB\""]),
    ("every", &["\"1s\"", "\"500ms\"\nlifetime = \"10s\"", "\"100ms\"\nlifetime = \"2s\""]),
    ("sources", &["100", "1", "3"]),
    ("fanout", &["8", "1", "64"]),
    ("timeout", &["\"1s\"", "\"30ms\""]),
    ("period", &["\"1s\"", "\"200ms\""]),
    ("repair", &["\"10s\"", "\"500ms\""]),
    ("degree", &["8", "3\nlow = 2\nhigh = 4\ncontacts = 9", "1\nlow = 1\nhigh = 1\ncontacts = 2"]),
    ("lazy", &["6", "0"]),
    ("heartbeat", &["\"1s\"", "\"300ms\""]),
    ("gossip", &["3", "1"]),
    ("history", &["6", "1"]),
    ("backoff", &["10", "0", "127"]),
    ("renew", &["10", "1", "42"]),
    ("super_factor", &["3", "1", "8"]),
    ("full_factor", &["2", "1"]),
];

const CONSENSUS: Rows = &[
    ("pattern", &["\"pbft\"", "\"linear\"", "[\"pbft\", \"linear\"]"]),
    ("rotates", &["false", "true"]),
    ("interval", &["\"1s\"", "\"50ms\""]),
    ("timeout", &["\"5s\"", "\"300ms\""]),
    ("processing", &["\"0s\"", "\"1ms\""]),
    ("block_size", &["\"0 B\"", "\"10 kB\"", "\"200 kB\""]),
    ("rounds", &["10", "1", "3"]),
];

const LEDGER: Rows = &[
    ("pattern", &["\"pbft\"", "\"linear\""]),
    ("rotates", &["false", "true"]),
    ("interval", &["\"10s\"", "\"1s\""]),
    ("timeout", &["\"5s\"", "\"500ms\""]),
    ("processing", &["\"0s\"", "\"100us\""]),
    ("super_parents", &["3", "1", "64"]),
    ("light_parents", &["4", "1"]),
    ("transactions", &["\"10min\"", "\"3s\""]),
    ("arrivals", &["\"poisson\"", "\"regular\""]),
    ("transaction_size", &["\"250 B\"", "\"1 B\""]),
    ("validation", &["\"1ms\"", "\"0s\"", "\"2s\""]),
    ("batch", &["\"100ms\"", "\"1ms\""]),
    ("share", &["\"1s\"", "\"5ms\""]),
    ("patience", &["\"30s\"", "\"1s\""]),
    ("attempts", &["3", "1"]),
    ("queue_max", &["1_000", "1"]),
    ("mempool_max", &["10_000", "1"]),
    ("block_max", &["3_000", "1"]),
    ("header_size", &["\"200 B\"", "\"1 B\""]),
    ("check", &["\"60s\"", "\"2s\""]),
];

const MOBILE: Rows = &[
    ("policy", &["\"ping\"", "\"adaptive\"", "\"piggyback\"", "\"push\"", "[\"ping\", \"push\"]"]),
    ("ping", &["\"30s\"", "\"1s\""]),
    ("silence", &["\"1h\"", "\"5s\""]),
    ("check", &["\"1h\"", "\"60s\""]),
    ("parents", &["1", "3"]),
    ("look", &["\"30s\"", "\"3s\""]),
    ("missed", &["2", "1"]),
    ("transactions", &["\"4h\"", "\"10s\""]),
    ("transaction_size", &["\"250 B\"", "\"1 B\""]),
    ("news", &["\"4h\"", "\"10s\""]),
    ("news_size", &["\"100 B\"", "\"2 kB\""]),
    ("battery_wh", &["15", "1"]),
    ("baseline_mw", &["269", "0"]),
];

const SHARDING: Rows = &[
    (
        "placement",
        &[
            "\"consistent-hashing\"",
            "\"modulo\"",
            "\"fixed-shards\"",
            "\"region-spread\"",
            "\"region-together\"",
            "[\"modulo\", \"fixed-shards\"]",
        ],
    ),
    ("replicas", &["3", "1", "2"]),
    ("records", &["200", "1", "17"]),
    ("value_size", &["\"100 B\"", "\"0 B\"", "\"1 KiB\""]),
    ("virtual_nodes", &["64", "1"]),
    ("shards", &["64", "1", "16_384"]),
    ("alive", &["\"10s\"", "\"1s\""]),
    ("missed", &["2", "1"]),
    ("tick", &["\"1s\"", "\"100ms\""]),
    ("batch", &["32", "1"]),
    ("pace", &["\"10ms\"", "\"1ms\""]),
    ("retry", &["\"2s\"", "\"100ms\""]),
    ("settle", &["\"1s\"", "\"10s\""]),
    ("repair", &["\"10min\"", "\"3s\""]),
    ("depart", &["0", "0.3", "1"]),
    ("depart_over", &["\"10min\"", "\"2s\""]),
];

const REGISTRY: Rows = &[
    ("partitioning", &["\"hash\"", "\"consistent-hashing\"", "\"country\"", "[\"hash\", \"country\"]"]),
    ("acknowledge", &["\"majority\"", "\"leader\"", "[\"majority\", \"leader\"]"]),
    ("shards", &["16", "1", "128"]),
    ("virtual_nodes", &["64", "1"]),
    ("replicas", &["3", "1", "5"]),
    ("read_replicas", &["true", "false"]),
    ("users", &["1_000", "0", "7"]),
    ("verified_at", &["3", "1"]),
    ("light_parents", &["3", "1"]),
    ("register", &["\"5min\"", "\"2s\""]),
    ("endorse", &["\"5min\"", "\"2s\""]),
    ("lookup", &["\"2min\"", "\"2s\""]),
    ("query", &["\"1h\"", "\"5s\""]),
    ("contested", &["0", "0.5", "1"]),
    ("fraudulent", &["0", "0.5"]),
    ("own", &["0.1", "1", "0"]),
    ("page", &["50", "1", "1_000"]),
    ("scatter", &["16", "1"]),
    ("read_time", &["\"1ms\"", "[\"1us\", \"10us\", \"1ms\", \"20ms\", \"1s\"]\nwrite_time = \"0s\"", "\"50ms\""]),
    ("patience", &["\"5s\"", "\"300ms\""]),
    ("attempts", &["4", "1"]),
    ("heartbeat", &["\"2s\"\nelection = \"6s\"", "\"200ms\"\nelection = \"500ms\""]),
    ("alive", &["\"10s\"\nmissing = \"35s\"", "\"1s\"\nmissing = \"2s\""]),
    ("settle", &["\"1min\"", "\"500ms\""]),
    ("flows_max", &["1_000", "1"]),
    ("queue_max", &["1_000", "1"]),
    ("pipeline_max", &["64", "1"]),
    ("depart", &["0", "0.4"]),
    ("depart_over", &["\"10min\"", "\"2s\""]),
];

/// Latency models, each with two regions in which nodes stand, if there are any.
pub(crate) const LATENCIES: &[(&str, &[&str])] = &[
    ("", &[]),
    ("model = \"constant\"\ndelay = \"50ms\"\n", &[]),
    ("model = \"constant\"\ndelay = \"1ms\"\n", &[]),
    ("model = \"constant\"\ndelay = \"3s\"\n", &[]),
    ("min = \"1ms\"\nmax = \"1ms\"\n", &[]),
    ("model = \"uniform\"\nmin = \"50us\"\nmax = \"3ms\"\n", &[]),
    ("model = \"lognormal\"\nmedian = \"50ms\"\nsigma = 0.5\n", &[]),
    ("model = \"lognormal\"\nmin = \"4ms\"\nmedian = \"20ms\"\nsigma = 2\n", &[]),
    ("model = \"pareto\"\nmin = \"10ms\"\nshape = 1.5\n", &[]),
    ("model = \"pareto\"\nmin = \"7ms\"\nshape = 100\n", &[]),
    ("model = \"regions\"\n", &["N_Virginia", "Tokyo"]),
    ("model = \"regions\"\ntable = \"aws-6\"\njitter = 0.1\n", &["use1", "apne1"]),
    ("model = \"regions\"\ntable = \"p2p-6\"\njitter = { model = \"pareto\", excess = \"5ms\" }\n", &["NA", "EU"]),
    (
        "model = \"regions\"\nshares = { Tokyo = 0.25, Seoul = 0.75 }\nsame_region = \"3ms\"\n\
         jitter = { model = \"lognormal\", median = 0.2, sigma = 0.7 }\n",
        &["Tokyo", "Seoul"],
    ),
    (
        "model = \"regions\"\nfile = \"delays.csv\"\nholds = \"rtt\"\njitter = { model = \"uniform\", share = 0.3 }\n",
        &["here", "there"],
    ),
];

/// How long nodes stay, or stay away.
pub(crate) const SPANS: &[&str] = &[
    "{ model = \"exponential\", mean = \"20s\" }",
    "{ model = \"exponential\", mean = \"700ms\" }",
    "{ model = \"constant\", value = \"5s\" }",
    "{ model = \"weibull\", shape = 0.5, scale = \"10s\" }",
    "{ model = \"weibull\", published = \"flatout\" }",
    "{ model = \"lognormal\", median = \"8s\", sigma = 1.5 }",
    "{ model = \"pareto\", shape = 1.5, scale = \"2s\" }",
    "{ model = \"trace\", file = \"sessions.csv\", column = \"session_s\" }",
];

/// What nodes can send and receive.
pub(crate) const CAPACITIES: &[&str] = &[
    "[network.capacity]\n",
    "[network.capacity]\nqueue = \"1 KiB\"\nfull = \"20 kbps\"\n",
    "[network.capacity]\nsuper = { upload = \"1 Mbps\", download = \"100 kbps\" }\nlight = { upload = \"1 kbps\", download = \"9 kbps\" }\n\
     mobile = { upload = \"1 kbps\", download = \"5 kbps\" }\n",
    "[network.capacity]\nqueue = \"1 MiB\"\nfull = { upload = \"50 kbps\", download = \"3 kbps\" }\n",
];

/// How nodes decide that others are down.
pub(crate) const DETECTIONS: &[&str] = &[
    "[detection]\n",
    "[detection]\ndetector = \"timeout\"\nmissed = 1\n",
    "[detection]\ndetector = \"phi\"\nthreshold = 8\n",
    "[detection]\ndetector = \"phi\"\nthreshold = 0.1\npatience = \"7s\"\n",
];

/// What changes nothing in a run.
pub(crate) const BYSTANDERS: Rows = &[
    ("description", &["\"Made up.\""]),
    ("timeline", &["\"1s\"", "\"100ms\"", "\"7s\""]),
    ("tables", &["[\"drops\"]", "[\"figures\", \"detection\"]"]),
    ("tolerance", &["{ \"payload.sent\" = \"0.5%\" }"]),
    ("thresholds", &["{ \"messages.sent\" = \">= 0\" }"]),
];
