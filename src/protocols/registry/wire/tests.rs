//! Tests of the wire format.

use proptest::prelude::*;

use super::*;

/// A message of `kind` whose fields are cut to what they hold, and a payload of `items` if it has one.
fn any_message(kind: usize, numbers: [u32; FIELDS_MAX], items: &[u8]) -> Option<(RegistryMessage, Vec<u8>)> {
    let mut fields = [0; FIELDS_MAX];
    for (place, &len) in FIELDS[kind].iter().enumerate().take(FIELDS_MAX) {
        let bits = 8 * u32::from(len.min(4));
        fields[place] = if bits < 32 { numbers[place] % (1 << bits) } else { numbers[place] };
        // Few values are known of what has one byte, but for currencies.
        if len == 1 && kind != 4 {
            fields[place] = numbers[place] % if kind == 22 || kind == 24 { MEMBERS_MAX as u32 + 1 } else { 12 };
        }
    }
    let message = message(kind, &fields).ok()?;
    let payload = match item_len(&message) {
        Some([4, _]) => items[..items.len() / 4 * 4].to_vec(),
        Some(_) => {
            let known = items.chunks_exact(PACKED_LEN).map(|item| {
                let mut item = item.to_vec();
                item[4] %= CommandKind::ALL.len() as u8;
                item
            });
            known.flatten().collect()
        }
        None => Vec::new(),
    };
    Some((message, payload))
}

proptest! {
    #[test]
    fn every_message_survives_a_round_trip_in_the_length_that_is_counted(
        kind in 0..NAMES.len(),
        numbers in prop::array::uniform11(any::<u32>()),
        sender in any::<u32>(),
        items in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assume!(any_message(kind, numbers, &items).is_some());
        let (message, payload) = any_message(kind, numbers, &items).unwrap();
        prop_assert_eq!(super::kind(&message), kind);
        let wire = WireRegistry { sender, message, payload };
        let mut bytes = Vec::new();
        wire.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), wire_len(&message, wire.payload.len()));
        prop_assert_eq!(bytes[1], KINDS.start + kind as u8);
        prop_assert_eq!(WireRegistry::decode(&bytes), Ok(wire));
        bytes.push(0);
        let longer = WireRegistry::decode(&bytes);
        prop_assert!(longer.is_err(), "{:?}", longer);
        bytes.truncate(bytes.len() - 2);
        prop_assert!(WireRegistry::decode(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_decode_to_a_message_that_encodes_to_them_or_to_none(
        kind in 0u8..30,
        mut bytes in prop::collection::vec(prop_oneof![4 => Just(0u8), 1 => any::<u8>()], 0..300),
    ) {
        if bytes.len() > 2 {
            (bytes[0], bytes[1]) = (VERSION, KINDS.start + kind);
        }
        if let Ok(wire) = WireRegistry::decode(&bytes) {
            let mut again = Vec::new();
            wire.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn messages_that_differ_have_different_fingerprints(
        kind in 0..NAMES.len(),
        one in prop::array::uniform11(any::<u32>()),
        other in prop::array::uniform11(any::<u32>()),
    ) {
        let messages = [one, other].map(|numbers| any_message(kind, numbers, &[]).map(|(message, _)| message));
        if let [Some(one), Some(other)] = messages {
            prop_assert_eq!(one == other, fingerprint(&one) == fingerprint(&other));
        }
    }
}

#[test]
fn what_is_no_message_is_refused_with_its_reason() {
    let mut bytes = Vec::new();
    let message = RegistryMessage::Record { flow: 9, is_there: true };
    WireRegistry { sender: 3, message, payload: Vec::new() }.encode(&mut bytes);
    assert_eq!(bytes.len(), HEAD_LEN + 5 + USER_LEN);
    let change = |place: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = byte;
        WireRegistry::decode(&bytes)
    };
    assert_eq!(change(0, 2), Err(RegistryWireError::Version(2)));
    assert_eq!(change(1, 127), Err(RegistryWireError::Kind(127)));
    assert_eq!(change(1, 153), Err(RegistryWireError::Kind(153)));
    assert_eq!(change(20, 1), Err(RegistryWireError::Id));
    assert_eq!(change(38, 2), Err(RegistryWireError::Value(2)));
    assert_eq!(change(60, 1), Err(RegistryWireError::Contents));
    assert_eq!(WireRegistry::decode(&bytes[..50]), Err(RegistryWireError::Length { found: 50 }));
}

#[test]
fn all_messages_fit_a_datagram() {
    const DATAGRAM: usize = 65_507;
    let chunk = RegistryMessage::Chunk { shard: 0, term: 0, from: 0, users: CHUNK_MAX as u16, ids: 0 };
    assert!(wire_len(&chunk, 0) < DATAGRAM);
    let entries = RegistryMessage::Entries { shard: 0, term: 0, prev: 0, prev_term: 0, commit: 0, sent: 0 };
    assert!(wire_len(&entries, ENTRIES_MAX * PACKED_LEN) < DATAGRAM);
    let told = RegistryMessage::Told { number: 0, operation: Operation::Query, outcome: Outcome::Done };
    assert!(wire_len(&told, PAGE_MAX as usize * 4) < DATAGRAM);
}
