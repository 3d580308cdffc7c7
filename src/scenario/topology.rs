//! The `[topology]` table: how near the nodes are that others are linked to.

use super::LatencySpec;
use super::codes::Code;
use super::problem::Draft;
use super::reader::{Reader, Section};

const TOPOLOGY_KEYS: &[&str] = &["nearby"];
/// Shares of one scenario; every approach and size is run with each.
const SHARES_MAX: usize = 16;

/// Which shares of the links are chosen nearby, one after the other; empty if all nodes are alike.
pub(super) fn nearby(reader: &mut Reader, root: &Section<'_>, latency: Option<&LatencySpec>) -> Vec<f64> {
    let section = reader.section(root, "topology", TOPOLOGY_KEYS);
    let mut shares: Vec<f64> = Vec::new();
    let Some(entry) = section.get("nearby") else { return shares };
    if latency.is_some_and(|latency| !matches!(latency, LatencySpec::Regions { .. })) {
        let title = "`nearby` needs a latency model with regions, for no other says where nodes stand";
        let label = "write network.latency = { model = \"regions\" }, or remove it";
        reader.report(Draft::new(entry.value.at, title, label));
    }
    for value in reader.items(&entry.value, "shares", SHARES_MAX) {
        let read = reader.number(value, "a share of links from 0 to 1", |share| (0.0..=1.0).contains(&share));
        let Some(share) = read else { continue };
        if shares.contains(&share) {
            let title = format!("nearby = {share} stands in the list for the second time");
            reader.report(Draft::new(value.at, title, "remove it").code(Code::Twice));
            continue;
        }
        shares.push(share);
    }
    shares
}
