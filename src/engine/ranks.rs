//! Ranks: processes that share one simulation, what they ask of each other, and messages as they travel between them.

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::inbox::Inbox;
use super::outbox::{Outbox, Trip};
use crate::contract::{Protocol, Share, SimSpan};

/// One of the processes that share a simulation, with its ways to the others.
///
/// All ranks make the same calls in the same order, so that each call meets those of the others. A way that breaks ends
/// the process: no rank can go on without the others.
pub trait Ranks: Sync {
    /// Which of the ranks this is.
    fn share(&self) -> Share;

    /// Makes of every value the largest that any rank has in its place.
    fn max(&self, values: &mut [u64]);

    /// Makes of every value the sum over all ranks, modulo 2^64.
    fn sum(&self, values: &mut [u64]);

    /// Sends `outgoing[r]` to rank `r`, and puts what rank `r` sent here into `incoming[r]`, over what was there. Both have
    /// as many elements as there are ranks; those of this rank itself stay as they are.
    fn swap(&self, outgoing: &[Vec<u8>], incoming: &mut [Vec<u8>]);
}

/// Messages that went from rank to rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Messages.
    pub messages: u64,
    /// What they took, in bytes.
    pub bytes: u64,
    /// Times at which there were any.
    pub exchanges: u64,
    /// Times at which ranks agreed on what is next.
    pub meetings: u64,
    /// The stretch of time that ranks handle between two meetings.
    pub lookahead: SimSpan,
}

/// What stands before the messages to one partition in one window or block: its number, how many there are without payload
/// and with, how many bytes follow, and which stop of the trip it is.
const HEAD_BYTES: usize = 24;
/// Of a message: its offset, the receiver's place, the sender and its sequence number.
const EVENT_BYTES: usize = 16;

pub(super) const SAME_PROGRAM: &str = "ranks run the same program, so each can read what another sends";

/// Takes the bytes of a message.
struct Tail<'a>(&'a mut Vec<u8>);

impl Flavor for Tail<'_> {
    type Output = ();

    #[inline(always)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline(always)]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[inline(always)]
fn pack_event<M: Serialize>(event: &Event<M>, to: &mut Vec<u8>) {
    let mut head = [0; EVENT_BYTES];
    for (place, part) in head.chunks_exact_mut(4).zip([event.offset, event.index, event.from, event.sequence]) {
        place.copy_from_slice(&part.to_le_bytes());
    }
    to.extend_from_slice(&head);
    let packed = event.message.serialize(&mut postcard::Serializer { output: Tail(to) });
    packed.expect("a message has no part of unknown length");
}

/// Appends the messages of `inbox`, which are for `partition` at a `stop` of the trip, to `to`. Returns their number.
pub(super) fn pack<M: Copy + Serialize>(stop: u32, partition: u32, inbox: &Inbox<M>, to: &mut Vec<u8>) -> u64 {
    let start = to.len();
    to.extend_from_slice(&[0; HEAD_BYTES]);
    for event in inbox.chunks.iter().flat_map(|chunk| chunk.iter()) {
        pack_event(event, to);
    }
    for parcels in &inbox.parcels {
        for parcel in &parcels.events {
            pack_event(&parcel.event, to);
            to.extend_from_slice(&parcel.len.to_le_bytes());
            to.extend_from_slice(parcels.payload(parcel.start, parcel.len));
        }
    }
    let parcels: usize = inbox.parcels.iter().map(|parcels| parcels.events.len()).sum();
    let events = inbox.len() - parcels;
    let bytes = (to.len() - start - HEAD_BYTES) as u64;
    let head = &mut to[start..];
    head[..4].copy_from_slice(&partition.to_le_bytes());
    head[4..8].copy_from_slice(&u32::try_from(events).expect("a window has fewer than 2^32 events").to_le_bytes());
    head[8..12].copy_from_slice(&u32::try_from(parcels).expect("a window has fewer than 2^32 events").to_le_bytes());
    head[12..20].copy_from_slice(&bytes.to_le_bytes());
    head[20..HEAD_BYTES].copy_from_slice(&stop.to_le_bytes());
    (events + parcels) as u64
}

/// The next `N` bytes of `from`.
#[inline(always)]
fn take<const N: usize>(from: &mut &[u8]) -> [u8; N] {
    let (taken, rest) = from.split_first_chunk().expect(SAME_PROGRAM);
    *from = rest;
    *taken
}

#[inline(always)]
fn unpack_event<P: Protocol>(from: &mut &[u8]) -> Event<P::Message> {
    let [offset, index, sender, sequence] = [0, 1, 2, 3].map(|_| u32::from_le_bytes(take(from)));
    let (message, rest) = postcard::take_from_bytes(from).expect(SAME_PROGRAM);
    *from = rest;
    Event { offset, index, from: sender, sequence, message }
}

/// Reads all of `packed`, which another rank sent on `trip`, and files the messages to the partitions that `is_own` tells in
/// `outbox`. Returns how many these were.
pub(super) fn unpack<P: Protocol>(
    mut packed: &[u8],
    trip: Trip,
    is_own: impl Fn(u32) -> bool,
    outbox: &mut Outbox<P::Message>,
) -> u64 {
    let mut messages = 0;
    while !packed.is_empty() {
        let [partition, events, parcels] = [0, 1, 2].map(|_| u32::from_le_bytes(take(&mut packed)));
        let bytes = u64::from_le_bytes(take(&mut packed)) as usize;
        let stop = u32::from_le_bytes(take(&mut packed));
        let (mut body, rest) = packed.split_at(bytes);
        packed = rest;
        if !is_own(partition) {
            continue;
        }
        let slot = outbox.landing(trip, stop, partition);
        for _ in 0..events {
            outbox.land(slot, unpack_event::<P>(&mut body), None);
        }
        for _ in 0..parcels {
            let event = unpack_event::<P>(&mut body);
            let len = u32::from_le_bytes(take(&mut body));
            let (payload, rest) = body.split_at(len as usize);
            body = rest;
            outbox.land(slot, event, Some(payload));
        }
        assert!(body.is_empty(), "{SAME_PROGRAM}");
        messages += u64::from(events) + u64::from(parcels);
    }
    messages
}
