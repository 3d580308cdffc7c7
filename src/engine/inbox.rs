//! What the lanes sent to one partition for one window, or one block of windows.

use super::event::Event;
use super::side::Parcels;
use crate::contract::Column;

/// Messages for one partition, as the lanes sent them: in no order.
#[derive(Debug)]
pub(super) struct Inbox<M: Copy> {
    pub(super) chunks: Vec<Column<Event<M>>>,
    pub(super) parcels: Vec<Parcels<M>>,
}

impl<M: Copy> Inbox<M> {
    pub(super) fn new() -> Self {
        Inbox { chunks: Vec::new(), parcels: Vec::new() }
    }

    /// Takes over all of `other`.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.chunks.append(&mut other.chunks);
        self.parcels.append(&mut other.parcels);
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        let parcels = self.parcels.iter().map(|parcels| parcels.events.len());
        self.chunks.iter().map(|chunk| chunk.len()).chain(parcels).sum()
    }

    /// Takes out what is due at `end_offset` or later, when the run ends there: it stays under way for ever.
    pub(super) fn cut(&mut self, end_offset: u32) {
        self.chunks.iter_mut().for_each(|chunk| chunk.retain(|event| event.offset < end_offset));
        self.parcels.iter_mut().for_each(|parcels| parcels.events.retain(|parcel| parcel.event.offset < end_offset));
    }
}
