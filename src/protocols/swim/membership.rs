//! What a member knows of the others: incarnations, their precedence, and a view that holds only what is not usual.

use serde::{Deserialize, Serialize};

use crate::contract::{NodeId, Verdict, exact};

/// What a member is taken for, in the order of precedence within an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It lives.
    Alive = 0,
    /// A probe of it failed.
    Suspected = 1,
    /// A suspicion of it was not refuted in time.
    Down = 2,
    /// It said that it leaves.
    Left = 3,
}

impl Status {
    /// The status with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Status::Alive),
            1 => Some(Status::Suspected),
            2 => Some(Status::Down),
            3 => Some(Status::Left),
            _ => None,
        }
    }
}

/// What is known of a member: its incarnation and its status in it.
///
/// The larger standing overrides the smaller. That is the precedence of the paper (alive overrides what is said of an
/// earlier incarnation, suspected also alive of the same one, down both), except that down and left hold for their
/// incarnation instead of for ever, so that a member can come back with a higher one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Standing(u32);

impl Standing {
    /// The highest incarnation; a member that reached it can refute nothing any more.
    pub const INCARNATION_MAX: u32 = (1 << 30) - 1;

    /// What a member is taken for that nothing is known of: alive in its first incarnation.
    pub const USUAL: Standing = Standing(0);

    /// `status` in `incarnation`, which is clamped to [`Standing::INCARNATION_MAX`].
    pub fn new(incarnation: u32, status: Status) -> Self {
        Standing(incarnation.min(Self::INCARNATION_MAX) << 2 | status as u32)
    }

    /// How often the member refuted a suspicion or came back.
    pub fn incarnation(self) -> u32 {
        self.0 >> 2
    }

    /// What the member is taken for in that incarnation.
    pub fn status(self) -> Status {
        match self.0 & 3 {
            0 => Status::Alive,
            1 => Status::Suspected,
            2 => Status::Down,
            _ => Status::Left,
        }
    }

    /// Whether the member may be probed and asked to probe others.
    pub fn is_up(self) -> bool {
        self.status() <= Status::Suspected
    }

    /// The same as a verdict: who left is down.
    pub fn verdict(self) -> Verdict {
        match self.status() {
            Status::Alive => Verdict::Up,
            Status::Suspected => Verdict::Suspected,
            Status::Down | Status::Left => Verdict::Down,
        }
    }
}

/// News of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Of whom.
    pub member: NodeId,
    /// What it is to be taken for.
    pub standing: Standing,
}

/// What [`View::learn`] changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// What the member was taken for before.
    pub before: Standing,
    /// Another member, of which what was known had to be forgotten: it is taken for usual again.
    pub forgotten: Option<Update>,
}

/// Everybody as one member sees them: all are alive in their first incarnation, but for a sorted list of exceptions.
///
/// So a view takes no memory until something happens, then eight bytes for every member that was ever suspected, down
/// or gone. It is bounded: when [`View::EXCEPTIONS_MAX`] are known and another comes, one is forgotten, rather one that
/// is alive again than one that is down, and rather that than one that is suspected; of equals the next by number. A
/// member that is forgotten while it is down is probed and found again.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct View {
    /// In the order of the members; no standing is usual.
    #[serde(with = "exact")]
    exceptions: Vec<Update>,
}

impl View {
    /// Most exceptions of a view; they take 12 KiB, and fit one datagram.
    pub const EXCEPTIONS_MAX: usize = 1_536;

    fn place(&self, member: NodeId) -> Result<usize, usize> {
        self.exceptions.binary_search_by_key(&member, |update| update.member)
    }

    /// What `member` is taken for.
    #[inline]
    pub fn standing(&self, member: NodeId) -> Standing {
        if self.exceptions.is_empty() {
            return Standing::USUAL;
        }
        self.place(member).map_or(Standing::USUAL, |place| self.exceptions[place].standing)
    }

    /// The members whose standing is not usual, in ascending order.
    pub fn exceptions(&self) -> &[Update] {
        &self.exceptions
    }

    /// Takes `update` in, unless as much is known already.
    pub fn learn(&mut self, update: Update) -> Option<Learnt> {
        match self.place(update.member) {
            Ok(place) => {
                let standing = &mut self.exceptions[place].standing;
                let before = *standing;
                *standing = before.max(update.standing);
                (update.standing > before).then_some(Learnt { before, forgotten: None })
            }
            Err(_) if update.standing <= Standing::USUAL => None,
            Err(place) => {
                let forgotten = (self.exceptions.len() == Self::EXCEPTIONS_MAX).then(|| self.forget_near(place));
                if self.exceptions.len() == self.exceptions.capacity() {
                    // By a quarter, not twofold: there are as many views as nodes.
                    self.exceptions.reserve_exact(self.exceptions.len() / 4 + 4);
                }
                let place = place - usize::from(forgotten.is_some_and(|other: Update| other.member < update.member));
                self.exceptions.insert(place, update);
                Some(Learnt { before: Standing::USUAL, forgotten })
            }
        }
    }

    /// Forgets the exception that will be missed least, the next from `place` on among equals.
    fn forget_near(&mut self, place: usize) -> Update {
        let worth = |update: &Update| match update.standing.status() {
            Status::Alive => 0,
            Status::Down | Status::Left => 1,
            Status::Suspected => 2,
        };
        let count = self.exceptions.len();
        let places = (place..count).chain(0..place);
        let least = places.min_by_key(|&place| worth(&self.exceptions[place])).expect("a full view is not empty");
        self.exceptions.remove(least)
    }

    /// Forgets everything, and gives the memory back.
    pub fn clear(&mut self) {
        self.exceptions = Vec::new();
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.exceptions.capacity() * size_of::<Update>()
    }
}

/// Updates that a member still has to pass on, each with how often it was sent.
///
/// Those sent least come first, and of those never sent the newest. It is bounded: beyond [`Waiting::UPDATES_MAX`],
/// what was sent most is not sent any more.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Waiting {
    /// In the order in which they are sent.
    #[serde(with = "exact")]
    updates: Vec<Sent>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sent {
    update: Update,
    times: u8,
}

impl Waiting {
    /// Most updates that wait; they take 1.5 KiB.
    pub const UPDATES_MAX: usize = 128;

    /// Most memory of them, in bytes.
    pub const BYTES_MAX: usize = Self::UPDATES_MAX * size_of::<Sent>();

    /// Whether there is nothing to pass on.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty()
    }

    /// Passes `update` on from now on, and nothing older of the same member.
    pub fn add(&mut self, update: Update) {
        let older = self.updates.iter().position(|sent| sent.update.member == update.member);
        older.map(|place| self.updates.remove(place));
        self.updates.truncate(Self::UPDATES_MAX - 1);
        self.updates.insert(0, Sent { update, times: 0 });
    }

    /// Hands the next `count` updates, or all if there are no more, to `send`. What has been sent `times_max` times then
    /// is not sent any more.
    pub fn send(&mut self, count: usize, times_max: u8, send: impl FnMut(Update)) {
        let count = count.min(self.updates.len());
        let (taken, rest) = self.updates.split_at_mut(count);
        taken.iter().map(|sent| sent.update).for_each(send);
        taken.iter_mut().for_each(|sent| sent.times += 1);
        let (last, next) = (taken.last().map(|sent| sent.times), rest.first().map(|sent| sent.times));
        if last.is_some_and(|last| last >= times_max) {
            self.updates.retain(|sent| sent.times < times_max);
        }
        if next < last {
            // Two runs in order, which the library's stable sort merges.
            self.updates.sort_by_key(|sent| sent.times);
        }
    }

    /// Forgets everything, and gives the memory back.
    pub fn clear(&mut self) {
        self.updates = Vec::new();
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.updates.capacity() * size_of::<Sent>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::contract::{Domain, RandomKey};

    const STATUSES: [Status; 4] = [Status::Alive, Status::Suspected, Status::Down, Status::Left];

    fn update(member: NodeId, incarnation: u32, status: Status) -> Update {
        Update { member, standing: Standing::new(incarnation, status) }
    }

    /// The rules of section 4.2 of the paper, one by one, with down and left for one incarnation.
    fn overrides((new, new_status): (u32, Status), (old, old_status): (u32, Status)) -> bool {
        match (new_status, old_status) {
            (Status::Alive, _) => new > old,
            (Status::Suspected, Status::Alive) => new >= old,
            (Status::Suspected, _) => new > old,
            (Status::Down, Status::Alive | Status::Suspected) => new >= old,
            (Status::Down, _) => new > old,
            (Status::Left, Status::Left) => new > old,
            (Status::Left, _) => new >= old,
        }
    }

    #[test]
    fn the_order_of_standings_is_the_precedence_of_the_paper() {
        let all: Vec<_> = (0..3).flat_map(|number| STATUSES.map(|status| (number, status))).collect();
        for &new in &all {
            for &old in &all {
                let larger = Standing::new(new.0, new.1) > Standing::new(old.0, old.1);
                assert_eq!(larger, overrides(new, old), "{new:?} over {old:?}");
            }
        }
        let highest = Standing::new(u32::MAX, Status::Left);
        assert_eq!((highest.incarnation(), highest.status()), (Standing::INCARNATION_MAX, Status::Left));
        assert_eq!(STATUSES.map(|status| Status::from_number(status as u8)), STATUSES.map(Some));
        assert_eq!(Status::from_number(4), None);
    }

    #[test]
    fn a_view_keeps_the_highest_standing_of_everyone_whatever_the_order() {
        let mut random = RandomKey::new(1, Domain::Protocol).stream(0, 0);
        let (mut view, mut model) = (View::default(), BTreeMap::new());
        for _ in 0..20_000 {
            let status = STATUSES[random.below(4) as usize];
            let update = update(random.below(500) as NodeId, random.below(6) as u32, status);
            let known = model.entry(update.member).or_insert(Standing::USUAL);
            let learnt = view.learn(update);
            let news = (update.standing > *known).then_some(Learnt { before: *known, forgotten: None });
            assert_eq!(learnt, news);
            *known = update.standing.max(*known);
        }
        let unusual: Vec<_> = model.iter().filter(|(_, standing)| **standing > Standing::USUAL).collect();
        assert!(view.exceptions().iter().map(|update| (&update.member, &update.standing)).eq(unusual));
        assert!(model.iter().all(|(&member, &standing)| view.standing(member) == standing));
        assert_eq!(view.standing(1_000), Standing::USUAL);
        view.clear();
        assert_eq!((view.bytes(), view.standing(3)), (0, Standing::USUAL));
    }

    #[test]
    fn a_full_view_forgets_whom_it_will_miss_least() {
        let mut view = View::default();
        let full = View::EXCEPTIONS_MAX as NodeId;
        for member in 1..=full {
            let status = if member % 3 == 0 { Status::Suspected } else { Status::Down };
            assert_eq!(view.learn(update(10 * member, 0, status)).unwrap().forgotten, None);
        }
        view.learn(update(10, 1, Status::Alive)).unwrap();
        let forgotten = |view: &mut View, member| view.learn(update(member, 0, Status::Down)).unwrap().forgotten;
        assert_eq!(forgotten(&mut view, 55), Some(update(10, 1, Status::Alive)), "it lives");
        assert_eq!(forgotten(&mut view, 56), Some(update(70, 0, Status::Down)), "60 is suspected, 70 is down");
        assert_eq!(forgotten(&mut view, 10 * full + 5), Some(update(20, 0, Status::Down)), "the next, in a circle");
        assert_eq!(view.exceptions().len(), View::EXCEPTIONS_MAX);
        assert!(view.exceptions().is_sorted_by(|a, b| a.member < b.member));
        assert!([55, 56, 60, 10 * full + 5].iter().all(|&member| view.standing(member) > Standing::USUAL));
        assert!([10, 20, 70].iter().all(|&member| view.standing(member) == Standing::USUAL));
        assert!(view.bytes() <= View::EXCEPTIONS_MAX * 10);
    }

    fn taken(waiting: &mut Waiting, count: usize, times_max: u8) -> Vec<NodeId> {
        let mut members = Vec::new();
        waiting.send(count, times_max, |update| members.push(update.member));
        members
    }

    #[test]
    fn what_was_sent_least_comes_first_and_of_what_was_not_the_newest() {
        let mut waiting = Waiting::default();
        (1..=3).for_each(|member| waiting.add(update(member, 0, Status::Suspected)));
        assert_eq!(taken(&mut waiting, 2, 3), [3, 2]);
        assert_eq!(taken(&mut waiting, 2, 3), [1, 3]);
        waiting.add(update(4, 0, Status::Down));
        waiting.add(update(3, 1, Status::Alive));
        assert_eq!(taken(&mut waiting, 5, 3), [3, 4, 1, 2], "news of 3 takes the place of what was said of it");
        assert_eq!(taken(&mut waiting, 5, 3), [3, 4, 1, 2]);
        assert_eq!(taken(&mut waiting, 5, 3), [3, 4], "the others were sent three times");
        assert!(waiting.is_empty());
        assert_eq!(taken(&mut waiting, 5, 3), [0; 0]);
    }

    #[test]
    fn every_update_is_sent_as_often_as_it_may_and_too_many_drop_the_one_sent_most() {
        let mut waiting = Waiting::default();
        let mut counts = [0u32; 40];
        (0..40).for_each(|member| waiting.add(update(member, 0, Status::Down)));
        while !waiting.is_empty() {
            taken(&mut waiting, 7, 24).into_iter().for_each(|member| counts[member as usize] += 1);
        }
        assert_eq!(counts, [24; 40]);
        waiting.add(update(1_000, 0, Status::Down));
        taken(&mut waiting, 1, 24);
        (0..Waiting::UPDATES_MAX as NodeId).for_each(|member| waiting.add(update(member, 0, Status::Down)));
        let left = taken(&mut waiting, usize::MAX, 24);
        assert_eq!(left.len(), Waiting::UPDATES_MAX);
        assert!(!left.contains(&1_000));
    }
}
