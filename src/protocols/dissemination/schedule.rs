//! Who publishes what, and when.

use crate::contract::{Domain, NodeId, RandomKey, SimSpan, SimTime};
use crate::topologies::Tier;

/// Most messages of a run. Each takes about six kilobytes of results in every partition.
pub const MESSAGES_MAX: u32 = 1 << 16;

/// The messages that are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publishing {
    /// How many; at least one and at most [`MESSAGES_MAX`].
    pub messages: u32,
    /// Length of the contents of each, in bytes.
    pub size: u32,
    /// When the first is published.
    pub first: SimTime,
    /// Time from one to the next.
    pub every: SimSpan,
    /// How many nodes publish: so many are drawn, and each message is that of a random one of them. All if there are no
    /// more.
    pub sources: u32,
}

/// Who publishes which message.
#[derive(Debug)]
pub(super) struct Schedule {
    publishing: Publishing,
    lifetime: SimSpan,
    /// Publisher and message, ordered.
    turns: Vec<(NodeId, u32)>,
}

impl Schedule {
    pub(super) fn new(publishing: Publishing, lifetime: SimSpan, tier: &Tier, seed: u64) -> Self {
        let Publishing { messages, every, sources, .. } = publishing;
        assert!((1..=MESSAGES_MAX).contains(&messages), "{messages} messages");
        assert!(every > SimSpan::ZERO && sources > 0, "every {every} by {sources} sources");
        let range = tier.range();
        let mut random = RandomKey::new(seed, Domain::Topology).stream(range.start, u32::MAX);
        // More sources than messages would not all get a turn.
        let mut drawn = Vec::new();
        if sources < range.len() as u32 {
            Tier::Uniform(range).distinct_peers(sources.min(messages), NodeId::MAX, &mut random, &mut drawn);
        } else {
            drawn.extend(range);
        }
        let mut turns: Vec<_> =
            (0..messages).map(|number| (drawn[random.below(drawn.len() as u64) as usize], number)).collect();
        turns.sort_unstable();
        Schedule { publishing, lifetime, turns }
    }

    /// When a message is published.
    #[inline(always)]
    pub(super) fn time_of(&self, number: u32) -> SimTime {
        self.publishing.first + self.publishing.every * u64::from(number)
    }

    /// How long after its publication it is, if there is such a message by now.
    #[inline(always)]
    pub(super) fn age(&self, number: u32, now: SimTime) -> Option<SimSpan> {
        let published = self.time_of(number);
        (number < self.publishing.messages && published <= now).then(|| now.since(published))
    }

    /// The numbers of the messages that are published and not too old to be passed on.
    #[inline]
    pub(super) fn live(&self, now: SimTime) -> std::ops::Range<u32> {
        let Publishing { messages, first, every, .. } = self.publishing;
        if now < first {
            return 0..0;
        }
        let before = |span: SimSpan| u64::from(messages).min(span / every) as u32;
        let end = (before(now.since(first)) + 1).min(messages);
        let past = (now.since(first) - self.lifetime).as_nanos();
        let oldest = u64::from(end).min(past.div_ceil(every.as_nanos())) as u32;
        oldest..end
    }

    /// What `node` publishes from `now` on, and in what time.
    pub(super) fn turns_of(&self, node: NodeId, now: SimTime) -> impl Iterator<Item = (u32, SimSpan)> {
        let start = self.turns.partition_point(|&(publisher, _)| publisher < node);
        let own = self.turns[start..].iter().take_while(move |&&(publisher, _)| publisher == node);
        own.map(|&(_, number)| (number, self.time_of(number)))
            .filter(move |&(_, time)| time >= now)
            .map(move |(number, time)| (number, time.since(now)))
    }

    pub(super) fn bytes(&self) -> usize {
        self.turns.len() * size_of::<(NodeId, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SimTime {
        SimTime::ZERO + SimSpan::from_millis(millis)
    }

    fn schedule(messages: u32, sources: u32) -> Schedule {
        let publishing =
            Publishing { messages, size: 100, first: at(1_000), every: SimSpan::from_millis(500), sources };
        Schedule::new(publishing, SimSpan::from_secs(2), &Tier::Uniform(10..110), 3)
    }

    #[test]
    fn every_message_has_one_publisher_of_the_sources() {
        for (sources, most, least) in [(1, 1, 1), (7, 7, 7), (100, 100, 60), (5_000, 100, 60)] {
            let schedule = schedule(300, sources);
            let mut numbers: Vec<u32> = Vec::new();
            let mut publishers = 0;
            for node in 0..200 {
                let before = numbers.len();
                numbers.extend(schedule.turns_of(node, SimTime::ZERO).map(|(number, _)| number));
                publishers += usize::from(numbers.len() > before);
                assert!(numbers.len() == before || (10..110).contains(&node), "node {node}");
            }
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..300));
            assert!((least..=most).contains(&publishers), "{publishers} of {sources}");
        }
    }

    #[test]
    fn a_node_that_comes_later_publishes_what_is_left_at_its_time() {
        let schedule = schedule(4, 1);
        let node = (10..110).find(|&node| schedule.turns_of(node, SimTime::ZERO).count() == 4).unwrap();
        let turns: Vec<_> = schedule.turns_of(node, at(1_700)).collect();
        assert_eq!(turns, [(2, SimSpan::from_millis(300)), (3, SimSpan::from_millis(800))]);
        assert_eq!(schedule.turns_of(node, at(2_501)).count(), 0);
    }

    #[test]
    fn messages_live_from_their_publication_until_the_end_of_their_lifetime() {
        let schedule = schedule(10, 3);
        for millis in 0..10_000 {
            let now = at(millis);
            let is_live = |&number: &u32| {
                let age = schedule.age(number, now);
                age.is_some_and(|age| age <= SimSpan::from_secs(2))
            };
            let live: Vec<u32> = (0..20).filter(is_live).collect();
            assert!(schedule.live(now).eq(live), "at {millis} ms");
        }
    }
}
