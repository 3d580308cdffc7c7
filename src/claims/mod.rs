//! What the two design documents claim, figure by figure, for the results to be held against.

pub mod evidence;
pub mod fit;
pub mod network;
pub mod registry;
pub mod runs;
pub mod search;
pub mod verdict;

use std::sync::LazyLock;

use serde::Deserialize;

use crate::contract::NodeType;

/// Every figure of the documents, in their order.
const DOCUMENTED: &str = include_str!("documented.csv");
/// What the documents say literally, and what explains each verdict.
const WORDS: &str = include_str!("words.csv");

static CLAIMS: LazyLock<Vec<Claim>> = LazyLock::new(|| {
    let rows = csv::Reader::from_reader(DOCUMENTED.as_bytes()).into_deserialize();
    rows.collect::<Result<_, _>>().expect("the built-in table of claims is well-formed")
});

/// One claim of a document.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Claim {
    /// Its name: `QN-20`, `UR-01`.
    pub id: String,
    /// The document that makes it.
    pub document: String,
    /// The section or table that makes it.
    #[serde(rename = "where")]
    pub place: String,
    /// The claim in words.
    pub claim: String,
    /// The figure as the document gives it, in `unit`; several are parted by `;`. `None` where it gives none.
    #[serde(rename = "documented")]
    pub figure: Option<String>,
    /// The unit of the figure; `None` where it has none or names it itself.
    pub unit: Option<String>,
    /// How it is measured.
    #[serde(rename = "how_to_measure")]
    pub how: String,
}

impl Claim {
    /// The figure as one number, in [`Claim::unit`]; `None` if there is no figure, several, or a range.
    pub fn number(&self) -> Option<f64> {
        self.figure.as_deref()?.parse().ok()
    }

    /// The figures of a claim that gives two numbers, in [`Claim::unit`].
    pub fn pair(&self) -> Option<[f64; 2]> {
        let (first, second) = self.figure.as_deref()?.split_once(';')?;
        Some([first.parse().ok()?, second.parse().ok()?])
    }
}

/// What is said of a claim in words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Words {
    /// Its id.
    pub id: String,
    /// What the document says literally; `…` where words are left out.
    pub quote: String,
    /// What explains the verdict, whichever it is.
    pub because: String,
}

static ALL_WORDS: LazyLock<Vec<Words>> = LazyLock::new(|| {
    let rows = csv::Reader::from_reader(WORDS.as_bytes()).into_deserialize();
    rows.collect::<Result<_, _>>().expect("the built-in words are well-formed")
});

/// How a claim is decided.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its id.
    pub id: &'static str,
    /// The runs and other sources that it needs.
    pub runs: &'static [&'static str],
    /// The numbers that decide, from what the runs gave.
    pub parts: Decide,
}

/// Makes the parts of the claim with this id.
pub type Decide = fn(&evidence::Evidence, &'static str) -> Parts;

/// The numbers that decide a claim, or what is missing.
pub type Parts = Result<Vec<verdict::Part>, evidence::Missing>;

impl Definition {
    const fn new(id: &'static str, runs: &'static [&'static str], parts: Decide) -> Self {
        Definition { id, runs, parts }
    }

    /// What is said of it in words.
    ///
    /// # Panics
    /// If there is no such row; a test sees to it that there is.
    pub fn words(&self) -> &'static Words {
        ALL_WORDS.iter().find(|words| words.id == self.id).expect("every definition has its words")
    }
}

/// Every definition, in the order of the documents.
pub fn definitions() -> impl Iterator<Item = &'static Definition> {
    network::DEFINITIONS.iter().chain(registry::DEFINITIONS)
}

/// The number that the claim `id` documents.
fn documented(id: &str) -> Option<f64> {
    claim(id)?.number()
}

/// Every claim, in the order of the documents.
pub fn claims() -> &'static [Claim] {
    &CLAIMS
}

/// How the claim named `id` is decided.
pub fn definition(id: &str) -> Option<&'static Definition> {
    definitions().find(|definition| definition.id == id)
}

/// The claim named `id`.
pub fn claim(id: &str) -> Option<&'static Claim> {
    CLAIMS.iter().find(|claim| claim.id == id)
}

/// The claim about the message rate, in messages per second, of `approach` at exactly `nodes` nodes.
///
/// Approaches carry the names that scenarios give them: `full-mesh`, `hierarchical` and `gossip` at 1K, 100K, 1M and
/// 10M nodes are the cells of the documents' table of network load, and `ping` at 1M is their ping storm.
pub fn network_load(approach: &str, nodes: u32) -> Option<&'static Claim> {
    if (approach, nodes) == ("ping", 1_000_000) {
        return claim("QN-01");
    }
    let row = ["full-mesh", "hierarchical", "gossip"].iter().position(|&name| name == approach)?;
    let column = [1_000, 100_000, 1_000_000, 10_000_000].iter().position(|&size| size == nodes)?;
    claim(&format!("QN-{}", 20 + 4 * row + column))
}

/// What the documents grant a node of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// The claim that says so.
    pub claim: &'static Claim,
    /// Upload, in Mbit/s.
    pub upload_mbps: f64,
    /// Download, in Mbit/s.
    pub download_mbps: f64,
}

/// The documented bandwidth of a node of `node_type`.
pub fn bandwidth_budget(node_type: NodeType) -> Budget {
    let claim = by_type(40, node_type);
    let [upload_mbps, download_mbps] = claim.pair().expect("a bandwidth claim gives upload and download");
    Budget { claim, upload_mbps, download_mbps }
}

/// The documented data volume of a node of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MonthlyData {
    /// The claim that says so.
    pub claim: &'static Claim,
    /// Volume a month, in decimal gigabytes.
    pub gigabytes: f64,
}

/// The documented monthly data of a node of `node_type`.
pub fn monthly_data(node_type: NodeType) -> MonthlyData {
    let claim = by_type(44, node_type);
    let factor = if claim.unit.as_deref() == Some("TB") { 1_000.0 } else { 1.0 };
    MonthlyData { claim, gigabytes: factor * claim.number().expect("a volume claim gives one number") }
}

/// One of four claims that stand in the order of the node types.
fn by_type(first: usize, node_type: NodeType) -> &'static Claim {
    claim(&format!("QN-{}", first + node_type as usize)).expect("the documents have a claim for every node type")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_is_a_claim_with_a_name_of_its_own() {
        let ids: BTreeSet<_> = claims().iter().map(|claim| claim.id.as_str()).collect();
        assert_eq!(ids.len(), claims().len());
        assert_eq!(claims().len(), DOCUMENTED.lines().count() - 1);
        assert!(claims().iter().all(|claim| claim.id.starts_with("QN-") || claim.id.starts_with("UR-")));
        assert_eq!(claim("QN-99"), None);
    }

    #[test]
    fn every_claim_has_a_definition_and_words_and_there_are_no_others() {
        let claimed: Vec<_> = claims().iter().map(|claim| claim.id.as_str()).collect();
        assert_eq!(definitions().map(|definition| definition.id).collect::<Vec<_>>(), claimed);
        assert_eq!(ALL_WORDS.iter().map(|words| words.id.as_str()).collect::<Vec<_>>(), claimed);
        assert!(definitions().all(|definition| !definition.words().quote.is_empty()));
        assert!(definitions().all(|definition| definition.words().because.len() > 20));
    }

    #[test]
    fn a_claim_carries_its_row() {
        let ping = claim("QN-01").unwrap();
        assert_eq!((ping.document.as_str(), ping.place.as_str()), ("qnet-scalability", "Current Issues"));
        assert_eq!((ping.number(), ping.unit.as_deref()), (Some(33_333.0), Some("msg/s")));
        assert!(ping.claim.starts_with("ping rate of 1M nodes") && ping.how.starts_with("message rate"));
    }

    #[test]
    fn missing_several_and_ranged_figures_are_not_numbers() {
        assert_eq!(claim("QN-03").unwrap().figure, None);
        for id in ["QN-03", "QN-12", "UR-06", "UR-20"] {
            assert_eq!(claim(id).unwrap().number(), None, "{id}");
        }
        assert_eq!(claim("UR-07").unwrap().pair(), Some([3.7, 1.5]));
        assert_eq!(claim("QN-12").unwrap().pair(), None);
    }

    #[test]
    fn network_load_is_the_documents_table() {
        let sizes = [1_000, 100_000, 1_000_000, 10_000_000];
        let rows = [
            ("full-mesh", "Full Mesh", [1e6, 1e10, 1e12, 1e14]),
            ("hierarchical", "Hierarchical", [1e4, 2e5, 1e6, 5e6]),
            ("gossip", "With Gossip", [8e3, 1e5, 5e5, 2e6]),
        ];
        for (approach, words, figures) in rows {
            for ((nodes, size), figure) in sizes.into_iter().zip(["1K", "100K", "1M", "10M"]).zip(figures) {
                let claim = network_load(approach, nodes).unwrap();
                assert_eq!(claim.claim, format!("{words} at {size} nodes"));
                assert_eq!((claim.number(), claim.unit.as_deref()), (Some(figure), Some("msg/s")));
            }
        }
        assert_eq!(network_load("ping", 1_000_000).unwrap().id, "QN-01");
        for (approach, nodes) in [("ping", 1_000), ("full-mesh", 1_001), ("Full Mesh", 1_000), ("", 1_000)] {
            assert_eq!(network_load(approach, nodes), None, "{approach} at {nodes}");
        }
    }

    #[test]
    fn budgets_and_volumes_are_the_documents_table() {
        let rows = [
            (NodeType::SuperNode, "Super", 100.0, 30_000.0),
            (NodeType::FullNode, "Full", 10.0, 3_000.0),
            (NodeType::LightNode, "Light", 1.0, 300.0),
            (NodeType::MobileNode, "Mobile", 0.1, 30.0),
        ];
        for (node_type, word, mbps, gigabytes) in rows {
            let (budget, volume) = (bandwidth_budget(node_type), monthly_data(node_type));
            assert_eq!((budget.upload_mbps, budget.download_mbps, volume.gigabytes), (mbps, mbps, gigabytes));
            assert_eq!(budget.claim.claim, format!("{word} Node upload / download"));
            assert_eq!(volume.claim.claim, format!("{word} Node monthly data"));
        }
    }
}
