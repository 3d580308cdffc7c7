//! What a node has asked another for, and whom it could ask instead: so many messages and no more.

use serde::{Deserialize, Serialize};

use crate::contract::{Column, NodeId};

/// Nodes that one message can be asked of, the one that is asked included.
pub(super) const SOURCES_MAX: usize = 3;

/// Most requests for a message, until it is announced anew.
pub(super) const REQUESTS_MAX: u32 = 6;

/// Nobody.
const NOBODY: NodeId = NodeId::MAX;

/// A message that was asked for: 16 bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Wanted {
    /// The number plus one, which has 24 bits, and the requests so far, eight. Zero where there is none.
    packed: u32,
    /// Who was asked, and who else has it, in the order in which they said so.
    sources: [NodeId; SOURCES_MAX],
}

const NONE: Wanted = Wanted { packed: 0, sources: [NOBODY; SOURCES_MAX] };

/// What came of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// The message is to be asked for.
    Ask,
    /// It was asked for already.
    Noted,
    /// There is no room to wait for another message.
    Full,
}

/// What some nodes have asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WantedMessages {
    /// `[node][place]`, flattened, in no order.
    wanted: Column<Wanted>,
    capacity: usize,
}

impl WantedMessages {
    /// Room for `capacity` messages of each of `nodes` nodes.
    pub(super) fn new(nodes: usize, capacity: u8) -> Self {
        let capacity = usize::from(capacity);
        WantedMessages { wanted: Column::filled(nodes * capacity, NONE), capacity }
    }

    #[inline(always)]
    fn row(&mut self, node: usize) -> &mut [Wanted] {
        &mut self.wanted[node * self.capacity..][..self.capacity]
    }

    #[inline(always)]
    fn find(&mut self, node: usize, number: u32) -> Option<&mut Wanted> {
        self.row(node).iter_mut().find(|wanted| wanted.packed >> 8 == number + 1)
    }

    /// `source` says that it has a message that the node has not.
    #[inline]
    pub(super) fn announce(&mut self, node: usize, number: u32, source: NodeId) -> Announced {
        if let Some(wanted) = self.find(node, number) {
            if !wanted.sources.contains(&source)
                && let Some(free) = wanted.sources.iter_mut().find(|other| **other == NOBODY)
            {
                *free = source;
            }
            return Announced::Noted;
        }
        let Some(free) = self.row(node).iter_mut().find(|wanted| wanted.packed == 0) else { return Announced::Full };
        *free = Wanted { packed: (number + 1) << 8 | 1, sources: [source, NOBODY, NOBODY] };
        Announced::Ask
    }

    /// Whoever was asked has not answered: the next to be asked, in turn, perhaps the same again. Nobody after
    /// [`REQUESTS_MAX`] requests: then the message is given up until somebody announces it again. `None` if the message was
    /// not waited for.
    pub(super) fn next(&mut self, node: usize, number: u32) -> Option<Option<NodeId>> {
        let wanted = self.find(node, number)?;
        if wanted.packed & 255 >= REQUESTS_MAX {
            *wanted = NONE;
            return Some(None);
        }
        wanted.packed += 1;
        let known = wanted.sources.iter().take_while(|&&source| source != NOBODY).count();
        wanted.sources[..known].rotate_left(1);
        Some(Some(wanted.sources[0]))
    }

    /// The node has the message, or need not have it any more.
    #[inline]
    pub(super) fn settle(&mut self, node: usize, number: u32) {
        if let Some(wanted) = self.find(node, number) {
            *wanted = NONE;
        }
    }

    /// Forgets all that a node waits for.
    pub(super) fn forget(&mut self, node: usize) {
        self.row(node).fill(NONE);
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, node: usize) {
        self.wanted.prefetch(node * self.capacity);
    }

    pub(super) fn bytes(&self) -> usize {
        self.wanted.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_asked_in_turn_and_then_the_message_is_given_up() {
        let mut wanted = WantedMessages::new(2, 2);
        let said = [7, 8, 7].map(|source| wanted.announce(1, 0, source));
        assert_eq!(said, [Announced::Ask, Announced::Noted, Announced::Noted]);
        assert_eq!([(); 2].map(|()| wanted.next(1, 0)), [Some(Some(8)), Some(Some(7))]);
        // One more finds a place; another does not.
        assert_eq!([9, 10].map(|source| wanted.announce(1, 0, source)), [Announced::Noted; 2]);
        assert_eq!([(); 3].map(|()| wanted.next(1, 0)), [Some(Some(8)), Some(Some(9)), Some(Some(7))]);
        assert_eq!([(); 2].map(|()| wanted.next(1, 0)), [Some(None), None], "that were six requests");
        assert_eq!(wanted.announce(1, 0, 7), Announced::Ask, "it can be announced again");
        assert_eq!(wanted.next(1, 0), Some(Some(7)), "and the only one be asked again");
    }

    #[test]
    fn no_more_messages_are_waited_for_than_there_is_room() {
        let mut wanted = WantedMessages::new(2, 2);
        assert_eq!(
            [3, 4, 5].map(|number| wanted.announce(0, number, 1)),
            [Announced::Ask, Announced::Ask, Announced::Full]
        );
        assert_eq!(wanted.announce(1, 5, 1), Announced::Ask, "others have room of their own");
        wanted.settle(0, 3);
        wanted.settle(0, 77);
        assert_eq!((wanted.next(0, 3), wanted.announce(0, 5, 1)), (None, Announced::Ask));
        wanted.forget(0);
        assert_eq!([wanted.next(0, 4), wanted.next(0, 5), wanted.next(1, 5)], [None, None, Some(Some(1))]);
        assert_eq!((wanted.bytes(), WantedMessages::new(5, 0).announce(4, 1, 1)), (2 * 2 * 16, Announced::Full));
    }
}
