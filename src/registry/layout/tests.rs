//! Every record comes back as it was written, and no bytes are taken for one that they are not.

use proptest::prelude::*;

use super::compact::{self, GroupMember, Record};
use super::*;
use crate::registry::record::{Country, Currency, Digest};

fn user_key() -> impl Strategy<Value = UserKey> {
    (any::<bool>(), any::<[u8; 32]>()).prop_map(|(odd, point)| {
        let mut bytes = [2 + u8::from(odd); 33];
        bytes[1..].copy_from_slice(&point);
        UserKey::new(bytes).expect("2 or 3 comes first")
    })
}

fn user() -> impl Strategy<Value = User> {
    let hashes = (user_key(), any::<[u8; 32]>(), any::<[u8; 32]>());
    let codes = ("[A-Z]{3}", "[A-Z]{2}", ".{0,16}");
    (hashes, codes, any::<u64>(), 0..40u32, any::<u32>(), any::<bool>()).prop_map(
        |((key, government_id, proof), (currency, country, name), time, shift, endorsements, verified)| User {
            key,
            government_id: Digest(government_id),
            identity_proof: Digest(proof),
            birth_currency: Currency::new(currency.as_bytes()).expect("three capitals"),
            country: Country::new(country.as_bytes()).expect("two capitals"),
            name,
            registered_at: time >> shift,
            endorsements: endorsements >> (shift / 2),
            verified,
        },
    )
}

fn member() -> impl Strategy<Value = (u64, u64, [u8; 64])> {
    (any::<u64>(), any::<u64>(), any::<[u8; 32]>(), 0..64u32).prop_map(|(endorser, time, half, shift)| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&half);
        (endorser >> shift, time >> (shift / 2), signature)
    })
}

proptest! {
    #[test]
    fn users_come_back(user in user(), id: u64, endorsers in prop::collection::vec(user_key(), 0..8)) {
        let key = compact::user_key(id);
        let record = compact::write_user(&key, &user);
        prop_assert_eq!(compact::read_record(&key, &record), Ok(Record::User(user.clone())));
        let key = documented::user_key(&user.key);
        let record = documented::write_user(&key, &user, &endorsers);
        prop_assert_eq!(record.len(), documented::USER_LEN + 33 * endorsers.len());
        prop_assert_eq!(documented::read_user(&key, &record), Ok(Stored { id: 0, user, endorsers }));
    }

    #[test]
    fn deleted_users_come_back(user in user_key(), id: u64) {
        let key = compact::user_key(id);
        prop_assert_eq!(compact::read_record(&key, &compact::write_deleted(&key, &user)), Ok(Record::Deleted(user)));
    }

    #[test]
    fn endorsements_come_back(endorsed in user_key(), endorser in user_key(), (id, signed_at, signature) in member()) {
        let endorsement = Endorsement { endorsed, endorser, signature, signed_at };
        let key = documented::endorsement_key(&endorsed, &endorser);
        let record = documented::write_endorsement(&key, &endorsement);
        prop_assert_eq!(record.len(), documented::ENDORSEMENT_LEN);
        prop_assert_eq!(documented::read_endorsement(&key, &record), Ok(endorsement));
        prop_assert_eq!(compact::read_group_key(&compact::group_key(id, Some(signed_at))), Ok((id, Some(signed_at))));
        prop_assert_eq!(compact::read_group_key(&compact::group_key(id, None)), Ok((id, None)));
    }

    #[test]
    fn groups_come_back_in_order_and_none_is_too_long(
        members in prop::collection::btree_map(any::<u64>(), member(), 1..100),
        endorsed: u64,
        who in user_key(),
    ) {
        let expected: Vec<GroupMember> = members
            .into_iter()
            .map(|(endorser, (_, signed_at, signature))| GroupMember { endorser, signed_at, signature })
            .collect();
        let mut endorsements: Vec<(UserId, Endorsement)> = expected
            .iter()
            .rev()
            .map(|member| {
                let GroupMember { endorser, signed_at, signature } = *member;
                (endorser, Endorsement { endorsed: who, endorser: who, signature, signed_at })
            })
            .collect();
        let mut found = Vec::new();
        let mut bounds = Vec::new();
        Layout::Compact.put_endorsements(endorsed, &mut endorsements, |family, key, value| {
            assert_eq!(family, Family::Endorsement);
            let group = compact::read_group(&key, &value).expect("is a group");
            bounds.push(compact::read_group_key(&key).expect("is a key").1);
            found.extend(group);
        });
        prop_assert_eq!(found, expected);
        prop_assert_eq!(bounds.pop(), Some(None), "the last group is open");
        prop_assert!(bounds.iter().all(Option::is_some));
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), seal: bool, first in 0..4u8) {
        let key = b"somewhere";
        let mut bytes = bytes;
        if let Some(byte) = bytes.first_mut() {
            *byte = if first == 0 { *byte } else { first };
        }
        if seal {
            codec::seal(key, &mut bytes);
        }
        // Whatever is taken for a record is one: written again, it gives the same bytes.
        if let Ok(Record::User(user)) = compact::read_record(key, &bytes) {
            let wide = bytes[0] & 0x10 != 0 && u32::try_from(user.registered_at).is_ok();
            prop_assert!(wide || compact::write_user(key, &user) == bytes);
        }
        if let Ok(group) = compact::read_group(key, &bytes) {
            prop_assert!(bytes[0] & 0x10 != 0 || compact::write_group(key, &group) == bytes);
        }
        if let Ok(ids) = compact::read_ids(&bytes) {
            prop_assert_eq!(compact::write_ids(&ids), bytes.clone());
        }
        if let Ok(stored) = documented::read_user(key, &bytes) {
            prop_assert_eq!(documented::write_user(key, &stored.user, &stored.endorsers), bytes.clone());
        }
        if let Ok(endorsement) = documented::read_endorsement(key, &bytes) {
            prop_assert_eq!(documented::write_endorsement(key, &endorsement), bytes);
        }
    }

    #[test]
    fn every_change_of_a_byte_is_noticed(user in user(), place: prop::sample::Index, change in 1..=255u8) {
        let key = compact::user_key(7);
        let mut record = compact::write_user(&key, &user);
        let place = place.index(record.len());
        record[place] ^= change;
        prop_assert!(compact::read_record(&key, &record).is_err());
        prop_assert!(compact::read_record(&compact::user_key(8), &compact::write_user(&key, &user)).is_err());
    }
}

#[test]
fn the_document_counts_434_bytes_with_five_endorsers_and_200_an_endorsement() {
    assert_eq!(documented::USER_LEN + 5 * 33, 434);
    assert_eq!(documented::ENDORSEMENT_LEN, 200);
}

#[test]
fn a_later_version_is_told_from_damage() {
    for first in [0x02, 0x0f] {
        let mut record = vec![first; 150];
        codec::seal(b"key", &mut record);
        assert_eq!(compact::read_record(b"key", &record), Err(BadRecord::Version(first)));
        assert_eq!(documented::read_user(b"key", &record), Err(BadRecord::Version(first)));
    }
}
