//! How far and how fast messages came: counters and histograms of fixed size.

use serde::{Deserialize, Serialize};

use crate::contract::{Counts, NodeType, SimSpan, exact};

/// Kinds of message: see [`Protocol::kinds`](crate::contract::Protocol::kinds) of [`Dissemination`](super::Dissemination).
pub const KINDS: usize = 7;

/// How many deliveries took so many hops; 63 and more count as the last.
pub type Hops = Counts<64>;

/// The hops within which the first `count` deliveries came; `None` if they are fewer.
fn hops_until(hops: &Hops, count: u64) -> Option<u64> {
    let mut before = 0;
    let place = hops.counts().iter().position(|&cell| {
        before += cell;
        before >= count
    })?;
    Some(place as u64)
}

/// Cells of a histogram of delays: 32 for each doubling.
const CELLS: usize = 22 * 32;
/// Base-2 logarithm of the width of the first cells, in nanoseconds: 33 us.
const STEP_LOG2: u32 = 15;

/// How long deliveries took since the publication, to within 1/32, or 33 us where that is more. Longer than 37 minutes
/// counts as that. Finer than [`Spans`](crate::contract::Spans), because the whole curve of coverage is read from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delays {
    #[serde(with = "exact::array")]
    cells: Box<[u64; CELLS]>,
    count: u64,
    sum: u128,
    longest: SimSpan,
}

impl Default for Delays {
    fn default() -> Self {
        Delays { cells: Box::new([0; CELLS]), count: 0, sum: 0, longest: SimSpan::ZERO }
    }
}

#[inline]
fn cell_of(delay: SimSpan) -> usize {
    let steps = delay.as_nanos() >> STEP_LOG2;
    let doublings = steps.max(32).ilog2() - 5;
    (doublings as usize * 32 + (steps >> doublings) as usize).min(CELLS - 1)
}

/// The first nanosecond after a cell.
fn end_of(cell: usize) -> u64 {
    let doublings = (cell / 32).saturating_sub(1);
    ((cell - doublings * 32 + 1) as u64) << (doublings + STEP_LOG2 as usize)
}

impl Delays {
    #[inline]
    fn add(&mut self, delay: SimSpan) {
        self.cells[cell_of(delay)] += 1;
        self.count += 1;
        self.sum += u128::from(delay.as_nanos());
        self.longest = self.longest.max(delay);
    }

    fn merge(&mut self, other: &Self) {
        self.cells.iter_mut().zip(other.cells.iter()).for_each(|(own, more)| *own += more);
        self.count += other.count;
        self.sum += other.sum;
        self.longest = self.longest.max(other.longest);
    }

    /// How many deliveries.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean delay, exactly; `None` if there was no delivery.
    pub fn mean(&self) -> Option<SimSpan> {
        self.sum.checked_div(u128::from(self.count)).map(|nanos| SimSpan::from_nanos(nanos as u64))
    }

    /// The longest delay, exactly.
    pub fn longest(&self) -> SimSpan {
        self.longest
    }

    /// The delay within which the first `count` deliveries came: the end of its cell, at most 1/32 too long, or 33 us; or
    /// the longest of all, exactly. `None` if there were fewer.
    pub fn until(&self, count: u64) -> Option<SimSpan> {
        if count >= self.count {
            return (count == self.count).then_some(self.longest);
        }
        let mut before = 0;
        let cell = self.cells.iter().position(|&cell| {
            before += cell;
            before >= count
        })?;
        Some(SimSpan::from_nanos(end_of(cell) - 1).min(self.longest))
    }

    /// The delay that `per_mille` of a thousand deliveries did not exceed, as [`Delays::until`] gives it. `None` if there
    /// was no delivery.
    pub fn quantile(&self, per_mille: u64) -> Option<SimSpan> {
        (self.count > 0).then(|| self.until(rank(self.count, per_mille))).flatten()
    }

    /// How many deliveries came within each of the delays that the histogram tells apart, ascending; up to the last one
    /// that anything came within. The last is the longest, exactly.
    pub fn curve(&self) -> impl Iterator<Item = (SimSpan, u64)> {
        let mut before = 0;
        let filled = self.cells.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(move |(cell, &count)| {
            before += count;
            (SimSpan::from_nanos(end_of(cell) - 1).min(self.longest), before)
        })
    }
}

/// The least number that is `per_mille` of a thousand of `count`, and at least one.
fn rank(count: u64, per_mille: u64) -> u64 {
    (u128::from(count) * u128::from(per_mille)).div_ceil(1_000).max(1) as u64
}

/// Where one message came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageFigures {
    /// When nodes first got it, the publisher included, who had it at once. Of nodes that have been there since its
    /// publication.
    pub delays: Delays,
    /// How many got it after so many hops.
    pub hops: Hops,
    /// Whether it was published: else its publisher was away.
    pub is_published: bool,
}

impl MessageFigures {
    fn merge(&mut self, other: &Self) {
        self.delays.merge(&other.delays);
        self.hops.merge(&other.hops);
        self.is_published |= other.is_published;
    }

    /// How many nodes got it.
    pub fn reached(&self) -> u64 {
        self.delays.count
    }
}

/// How messages came to cover a share of all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Messages that covered that share.
    pub messages: u64,
    /// In what time, or hops: summed over these messages.
    pub sum: u128,
    /// The longest that it took one of them.
    pub longest: u64,
}

impl Coverage {
    fn of(lengths: impl Iterator<Item = u64>) -> Self {
        lengths.fold(Coverage::default(), |all, length| Coverage {
            messages: all.messages + 1,
            sum: all.sum + u128::from(length),
            longest: all.longest.max(length),
        })
    }

    /// The mean over the messages that covered it, rounded down; `None` if there is none.
    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(u128::from(self.messages)).map(|mean| mean as u64)
    }
}

/// What was delivered and what it took, of all nodes of a partition, or of several partitions together.
///
/// A delivery is the first receipt of a message by a node that has been there since its publication; the publisher's own
/// is the first. Traffic counts from the moment of the first publication on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisseminationFigures {
    /// Nodes that take part, by type.
    nodes: [u64; 4],
    /// By number; as many as the run publishes.
    messages: Vec<Option<Box<MessageFigures>>>,
    /// Delays by type of node, over all messages.
    delays: [Delays; 4],
    /// Deliveries by type of node and hops.
    hops: [Hops; 4],
    /// Messages sent, by kind.
    pub sent: [u64; KINDS],
    /// Their length as encoded, in bytes, by kind, without headers of the transport.
    pub bytes: [u64; KINDS],
    /// Messages that came to who had them already.
    pub duplicates: u64,
    /// First receipts by nodes that joined after the publication.
    pub caught_up: u64,
    /// Messages that came after their lifetime; they were ignored.
    pub late: u64,
    /// What made no sense, such as messages that nobody has published; it was ignored.
    pub rejected: u64,
    /// Requests for a message that were not answered in time.
    pub timeouts: u64,
    /// Messages that were given up, because nobody else was known to have them; until they were announced again.
    pub given_up: u64,
    /// Announcements that were ignored because the node waited for as many messages as it can.
    pub overflows: u64,
    /// Mesh links that were given up because the other had fallen silent.
    pub silent: u64,
}

impl DisseminationFigures {
    pub(super) fn new(nodes: [u64; 4], messages: u32) -> Self {
        DisseminationFigures { nodes, messages: vec![None; messages as usize], ..DisseminationFigures::default() }
    }

    fn message_mut(&mut self, number: u32) -> &mut MessageFigures {
        self.messages[number as usize].get_or_insert_default()
    }

    pub(super) fn publish(&mut self, number: u32) {
        self.message_mut(number).is_published = true;
    }

    #[inline]
    pub(super) fn deliver(&mut self, number: u32, node_type: NodeType, hops: u8, delay: SimSpan) {
        let message = self.message_mut(number);
        message.delays.add(delay);
        message.hops.add(u64::from(hops));
        self.delays[node_type as usize].add(delay);
        self.hops[node_type as usize].add(u64::from(hops));
    }

    /// Adds what others delivered.
    pub fn merge(&mut self, other: &Self) {
        self.nodes.iter_mut().zip(other.nodes).for_each(|(own, more)| *own += more);
        if self.messages.len() < other.messages.len() {
            self.messages.resize(other.messages.len(), None);
        }
        for (own, more) in self.messages.iter_mut().zip(&other.messages) {
            if let Some(more) = more {
                own.get_or_insert_default().merge(more);
            }
        }
        self.delays.iter_mut().zip(&other.delays).for_each(|(own, more)| own.merge(more));
        self.hops.iter_mut().zip(&other.hops).for_each(|(own, more)| own.merge(more));
        self.sent.iter_mut().zip(other.sent).for_each(|(own, more)| *own += more);
        self.bytes.iter_mut().zip(other.bytes).for_each(|(own, more)| *own += more);
        self.duplicates += other.duplicates;
        self.caught_up += other.caught_up;
        self.late += other.late;
        self.rejected += other.rejected;
        self.timeouts += other.timeouts;
        self.given_up += other.given_up;
        self.overflows += other.overflows;
        self.silent += other.silent;
    }

    /// The messages that were published, with their numbers.
    pub fn published(&self) -> impl Iterator<Item = (u32, &MessageFigures)> {
        let known = self.messages.iter().zip(0..).filter_map(|(message, number)| Some((number, message.as_deref()?)));
        known.filter(|(_, message)| message.is_published)
    }

    /// Nodes that take part, by type.
    pub fn nodes(&self) -> [u64; 4] {
        self.nodes
    }

    /// Delays of the deliveries to nodes of a type, over all messages.
    pub fn delays(&self, node_type: NodeType) -> &Delays {
        &self.delays[node_type as usize]
    }

    /// Deliveries to nodes of a type by hops, over all messages.
    pub fn hops(&self, node_type: NodeType) -> &Hops {
        &self.hops[node_type as usize]
    }

    /// Deliveries of all messages to all nodes.
    pub fn deliveries(&self) -> u64 {
        self.delays.iter().map(Delays::count).sum()
    }

    /// Deliveries that never were, out of as many as all nodes and published messages make, for nodes of a type. Nodes
    /// that were away count as those that were not reached.
    pub fn missed(&self, node_type: NodeType) -> (u64, u64) {
        let all = self.nodes[node_type as usize] * self.published().count() as u64;
        (all - self.delays[node_type as usize].count, all)
    }

    /// Nanoseconds from the publication until `per_mille` of a thousand of all nodes had got the message, over the
    /// messages that came so far. Each is exact to within 1/32, as in [`Delays::until`]; 1000 is exact.
    pub fn coverage_time(&self, per_mille: u64) -> Coverage {
        let goal = rank(self.nodes.iter().sum(), per_mille);
        Coverage::of(self.published().filter_map(|(_, message)| Some(message.delays.until(goal)?.as_nanos())))
    }

    /// Hops within which `per_mille` of a thousand of all nodes got the message, over the messages that came so far.
    pub fn coverage_hops(&self, per_mille: u64) -> Coverage {
        let goal = rank(self.nodes.iter().sum(), per_mille);
        Coverage::of(self.published().filter_map(|(_, message)| hops_until(&message.hops, goal)))
    }

    /// The delays of the deliveries to all nodes.
    pub fn all_delays(&self) -> Delays {
        let mut all = Delays::default();
        self.delays.iter().for_each(|delays| all.merge(delays));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_one_in_thirty_two_too_long() {
        let step = 1 << STEP_LOG2;
        for nanos in [0, 1, step - 1, step, 33 * step, 50_000_000, 123_456_789, 2_000_000_000_000] {
            let mut delays = Delays::default();
            assert_eq!(delays.quantile(500), None);
            delays.add(SimSpan::from_nanos(nanos));
            delays.add(SimSpan::from_nanos(2_200_000_000_000));
            let found = delays.quantile(500).unwrap().as_nanos();
            assert!(found >= nanos && found - nanos <= (nanos / 32).max(step), "{found} for {nanos}");
        }
        let mut delays = Delays::default();
        (1..=1_000).rev().for_each(|millis| delays.add(SimSpan::from_millis(millis)));
        for per_mille in [1, 500, 900, 999, 1_000] {
            let (found, exact) = (delays.quantile(per_mille).unwrap(), SimSpan::from_millis(per_mille));
            assert!(found >= exact && found.as_nanos() <= exact.as_nanos() * 33 / 32 + step, "{found} for {exact}");
        }
        assert_eq!((delays.longest(), delays.mean()), (SimSpan::from_secs(1), Some(SimSpan::from_micros(500_500))));
        assert_eq!((delays.until(1_000), delays.until(1_001)), (Some(SimSpan::from_secs(1)), None));
        assert_eq!(delays.curve().last(), Some((SimSpan::from_secs(1), 1_000)));
        assert!(delays.curve().is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
        delays.add(SimSpan::from_nanos(u64::MAX));
        assert_eq!(delays.quantile(1_000), Some(SimSpan::from_nanos(u64::MAX)), "longer than all cells");
    }

    #[test]
    fn cells_follow_each_other_without_gaps() {
        assert_eq!(cell_of(SimSpan::ZERO), 0);
        for cell in 0..CELLS - 1 {
            let end = end_of(cell);
            assert_eq!((cell_of(SimSpan::from_nanos(end - 1)), cell_of(SimSpan::from_nanos(end))), (cell, cell + 1));
        }
    }

    #[test]
    fn coverage_is_told_of_the_messages_that_came_so_far_and_parts_add_up() {
        let (mut some, mut others) =
            (DisseminationFigures::new([0, 6, 0, 0], 3), DisseminationFigures::new([0, 0, 4, 0], 3));
        some.publish(0);
        some.publish(1);
        for millis in 0..6 {
            some.deliver(0, NodeType::FullNode, millis as u8, SimSpan::from_millis(millis));
            some.deliver(1, NodeType::FullNode, 1, SimSpan::from_millis(10 * millis));
        }
        for millis in 6..10 {
            others.deliver(0, NodeType::LightNode, 200, SimSpan::from_millis(millis));
        }
        some.merge(&others);
        assert_eq!((some.deliveries(), some.published().count()), (16, 2));
        assert_eq!((some.missed(NodeType::FullNode), some.missed(NodeType::LightNode)), ((0, 12), (4, 8)));
        let millis = |per_mille| {
            let coverage = some.coverage_time(per_mille);
            (coverage.messages, coverage.mean().map(|nanos| nanos / 1_000_000), coverage.longest / 1_000_000)
        };
        assert_eq!([500, 1_000].map(millis), [(2, Some((4 + 40) / 2), 40), (1, Some(9), 9)]);
        assert_eq!(some.coverage_hops(500), Coverage { messages: 2, sum: 5, longest: 4 });
        assert_eq!(some.coverage_hops(1_000), Coverage { messages: 1, sum: 63, longest: 63 });
        assert_eq!((some.hops(NodeType::FullNode).counts()[1], some.hops(NodeType::LightNode).counts()[63]), (7, 4));
        assert_eq!(some.all_delays().count(), 16);
    }
}
