//! What events touch in the columns of a partition, to load it ahead of them.

use super::context::Meter;
use super::living::Living;
use crate::contract::{Protocol, prefetch};

/// What an event of a partition touches.
pub(super) struct Cells<'a, P: Protocol> {
    pub(super) protocol: &'a P,
    pub(super) state: &'a P::State,
    pub(super) sequences: &'a [u32],
    pub(super) meters: &'a [Meter],
    pub(super) living: Option<&'a Living>,
}

impl<P: Protocol> Cells<'_, P> {
    /// Starts loading what `timer` of the node at `index` will touch.
    #[inline(always)]
    pub(super) fn prefetch_timer(&self, index: usize, timer: &P::Timer) {
        prefetch(self.sequences, index);
        prefetch(self.meters, index);
        if let Some(living) = self.living {
            living.prefetch(index);
        }
        self.protocol.prefetch_timer(self.state, index, timer);
    }

    /// Starts loading what `message` to the node at `index` will touch.
    #[inline(always)]
    pub(super) fn prefetch_message(&self, index: usize, message: &P::Message) {
        if !self.meters.is_empty() {
            prefetch(self.meters, index);
        }
        if P::ANSWERS {
            prefetch(self.sequences, index);
        }
        if let Some(living) = self.living {
            living.prefetch_up(index);
        }
        self.protocol.prefetch_message(self.state, index, message);
    }
}
