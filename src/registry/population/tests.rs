//! What generated users are like: the same in any order, all different, and spread as people are.

use std::collections::{BTreeMap, BTreeSet};

use super::super::currencies;
use super::super::record::NAME_LEN_MAX;
use super::*;

#[test]
fn a_user_is_a_function_of_the_seed_and_a_number() {
    let (one, same, other) = (Population::new(7, 1_000, 5), Population::new(7, 1_000, 5), Population::new(8, 1_000, 5));
    let forwards: Vec<_> = (0..100).map(|number| one.user(number)).collect();
    let backwards: Vec<_> = (0..100).rev().map(|number| same.user(number)).collect();
    assert!(forwards.iter().eq(backwards.iter().rev()));
    assert!(
        (0..100).all(|number| one.key(number) == forwards[number as usize].key && one.key(number) != other.key(number))
    );
    assert_eq!(line(&forwards[0]), PINNED, "a change here changes every generated registry");
}

const PINNED: &str = "021aeef6467d1c4e48e1fbcf1145c012fc702cab5945efe129e59da6ddef49d9c8 \
    23486a24561de9392cc3774396d3f5252c2dfa39ff34a7dc064ef2af52341d9f MAD MA Suresh Miller";

fn line(user: &User) -> String {
    format!("{} {} {} {} {}", user.key, user.government_id, user.birth_currency, user.country, user.name)
}

#[test]
fn keys_and_hashes_are_all_different_also_beyond_32_bits() {
    let population = Population::new(1, 1 << 40, 5);
    let (mut keys, mut hashes) = (BTreeSet::new(), BTreeSet::new());
    let numbers = (0..20_000).chain((1 << 32)..(1 << 32) + 20_000);
    for user in numbers.map(|number| population.user(number)) {
        assert!(keys.insert(user.key), "{}", user.key);
        assert!(hashes.insert(user.government_id) && hashes.insert(user.identity_proof));
        assert!(user.name.len() <= NAME_LEN_MAX && currencies::is_known(user.birth_currency));
        assert!(!user.verified && user.endorsements == 0);
    }
}

#[test]
fn every_user_has_the_endorsements_asked_for_by_others_who_registered_before() {
    for (users, asked, expected) in [(1, 5, 0), (2, 5, 1), (4, 5, 3), (6, 5, 5), (1_000, 5, 5), (1_000, 0, 0)] {
        let population = Population::new(3, users, asked);
        assert_eq!(population.endorsements(), users * expected);
        for number in 0..users {
            let endorsers: BTreeSet<_> = population.endorsers(number).collect();
            assert_eq!(endorsers.len() as u64, expected, "{users} users");
            assert!(endorsers.iter().all(|&endorser| endorser < users && endorser != number));
            let user = population.user(number);
            for (endorsement, endorser) in population.endorsements_of(number).zip(population.endorsers(number)) {
                let endorser = population.user(endorser);
                assert_eq!((endorsement.endorsed, endorsement.endorser), (user.key, endorser.key));
                assert!(endorsement.signed_at >= user.registered_at.max(endorser.registered_at));
            }
        }
    }
}

#[test]
fn all_are_equally_likely_to_endorse() {
    let population = Population::new(5, 50, 5);
    let mut counts = [0u32; 50];
    (0..50).flat_map(|number| population.endorsers(number)).for_each(|endorser| counts[endorser as usize] += 1);
    assert_eq!(counts.iter().sum::<u32>(), 250);
    assert!(counts.iter().all(|&count| count <= 15), "{counts:?}");
    assert!(counts.iter().filter(|&&count| count > 0).count() > 45, "{counts:?}");
}

#[test]
fn countries_and_currencies_are_as_skewed_as_the_tables() {
    let population = Population::new(2, 100_000, 5);
    let (mut countries, mut currencies) = (BTreeMap::new(), BTreeMap::new());
    for user in (0..100_000).map(|number| population.user(number)) {
        *countries.entry(user.country.to_string()).or_insert(0u64) += 1;
        *currencies.entry(user.birth_currency.to_string()).or_insert(0u64) += 1;
    }
    let all: u32 = COUNTRIES.iter().map(|country| country.2).sum();
    assert_eq!(countries.len(), COUNTRIES.len());
    for &(country, _, people) in &COUNTRIES {
        let (drawn, expected) = (countries[country] as f64, f64::from(people) * 1e5 / f64::from(all));
        assert!((drawn - expected).abs() < 5.0 * expected.sqrt(), "{country}: {drawn} of {expected}");
    }
    let euro: u32 = COUNTRIES.iter().filter(|country| country.1 == "EUR").map(|country| country.2).sum();
    let (drawn, expected) = (currencies["EUR"] as f64, f64::from(euro) * 1e5 / f64::from(all));
    assert!((drawn - expected).abs() < 5.0 * expected.sqrt(), "euro: {drawn} of {expected}");
}

#[test]
fn nine_tenths_of_the_world_are_in_the_table() {
    let all: u32 = COUNTRIES.iter().map(|country| country.2).sum();
    // 8162 million people in mid-2024, by the same source.
    assert!((0.90..0.95).contains(&(f64::from(all) / 8_162.0)), "{all}");
    assert!(COUNTRIES.is_sorted_by(|a, b| a.2 >= b.2));
    let codes: BTreeSet<_> = COUNTRIES.iter().map(|country| country.0).collect();
    assert_eq!(codes.len(), COUNTRIES.len());
}

#[test]
fn entropy_is_mostly_that_of_keys_hashes_and_signatures() {
    let (user, endorsement) = Population::new(2, 1 << 20, 5).entropy_bits();
    // 769 bits of key and hashes, 20 of time, and 15 to 25 of names and places.
    assert!((804.0..814.0).contains(&user), "{user}");
    // 512 of signature, 20 of the endorser, 23 of time.
    assert!((554.0..556.0).contains(&endorsement), "{endorsement}");
}
