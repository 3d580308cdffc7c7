//! A generated population: users and endorsements that are functions of a seed and a number, so that nobody holds them.
//!
//! Keys, hashes and signatures are uniformly random, as real ones look to whoever has no secret, and compress as little.
//! Signatures are random bytes rather than signatures: the registry keeps them and leaves the check to who reads them.
//! Names and places repeat as they do among people.

use std::collections::BTreeMap;

use super::record::{Country, Currency, Digest, Endorsement, User, UserKey};
use crate::contract::{Domain, RandomKey, Stream};

mod tables;

pub use tables::COUNTRIES;
use tables::{FAMILY_NAMES, GIVEN_NAMES};

/// Endorsements that each user has, unless a population is told otherwise.
pub const ENDORSEMENTS_PER_USER: u32 = 5;
/// The most endorsements that a generated user may have.
pub const ENDORSEMENTS_MAX: u32 = 256;
/// Users register from 2024-01-01 on ...
const FIRST_REGISTRATION: u64 = 1_704_067_200;
/// ... for two years, as long as it takes one in a row to follow the other, ...
const REGISTRATION_SPAN: u64 = 2 * 365 * 86_400;
/// ... and are endorsed within the three months after that.
const ENDORSEMENT_SPAN: u64 = 90 * 86_400;
/// Of 1000 people, how many live in another country than that of their birth: 3.6 % of all in 2020 (United Nations,
/// International Migration 2020 Highlights).
const MIGRANTS_PER_MILLE: u64 = 36;

/// What the words of a stream are for.
#[derive(Clone, Copy)]
enum Part {
    Key = 1,
    Person = 2,
    Endorsers = 3,
    /// One for each endorsement from here on.
    Signature = 1 << 8,
}

/// A population of which every user and endorsement can be had at once.
#[derive(Clone, Debug)]
pub struct Population {
    key: RandomKey,
    users: u64,
    endorsements: u32,
    /// For each country, how many of `people` live in it and in those before it.
    countries: Vec<u64>,
    given_names: Vec<u64>,
    family_names: Vec<u64>,
}

impl Population {
    /// `users` users from `seed`, each endorsed by `endorsements` others: by fewer where there are not so many, and never
    /// by more than [`ENDORSEMENTS_MAX`]. At most 2^48 users.
    pub fn new(seed: u64, users: u64, endorsements: u32) -> Self {
        let users = users.min(1 << 48);
        let others = u32::try_from(users.saturating_sub(1)).unwrap_or(u32::MAX);
        // The share of a name falls with its rank as 1 / (rank + 9): a power law with a flat head (Zanette and Manrubia,
        // "Vertical transmission of culture and the distribution of family names", Physica A 295, 2001).
        let by_rank = |names: &[&str]| sums((0..names.len() as u64).map(|rank| 1_000_000 / (rank + 10)));
        Population {
            key: RandomKey::new(seed, Domain::Population),
            users,
            endorsements: endorsements.min(others).min(ENDORSEMENTS_MAX),
            countries: sums(COUNTRIES.iter().map(|&(_, _, people)| people.into())),
            given_names: by_rank(GIVEN_NAMES),
            family_names: by_rank(FAMILY_NAMES),
        }
    }

    /// How many users there are.
    pub fn users(&self) -> u64 {
        self.users
    }

    /// How many endorsements each user has.
    pub fn endorsements_per_user(&self) -> u32 {
        self.endorsements
    }

    /// How many endorsements there are.
    pub fn endorsements(&self) -> u64 {
        self.users * u64::from(self.endorsements)
    }

    /// The words for a `part` of user `number`.
    fn stream(&self, number: u64, part: u32) -> Stream {
        // Numbers have 48 bits: 32 name the entity, 16 stand above the part.
        self.key.stream(number as u32, ((number >> 32) as u32) << 16 | part)
    }

    /// The key of user `number`, of any number: those from [`Population::users`] on are keys of nobody.
    pub fn key(&self, number: u64) -> UserKey {
        let mut stream = self.stream(number, Part::Key as u32);
        let mut bytes = [0; 33];
        bytes[0] = 2 | (stream.word() & 1) as u8;
        fill(&mut stream, &mut bytes[1..]);
        UserKey::new(bytes).expect("the first byte is 2 or 3")
    }

    /// User `number` as they register, without endorsements.
    pub fn user(&self, number: u64) -> User {
        let mut stream = self.stream(number, Part::Person as u32);
        let (mut government_id, mut identity_proof) = ([0; 32], [0; 32]);
        fill(&mut stream, &mut government_id);
        fill(&mut stream, &mut identity_proof);
        let birth = draw(&self.countries, &mut stream);
        let moved = stream.below(1_000) < MIGRANTS_PER_MILLE;
        let residence = if moved { draw(&self.countries, &mut stream) } else { birth };
        let given = GIVEN_NAMES[draw(&self.given_names, &mut stream)];
        let family = FAMILY_NAMES[draw(&self.family_names, &mut stream)];
        User {
            key: self.key(number),
            government_id: Digest(government_id),
            identity_proof: Digest(identity_proof),
            birth_currency: Currency::new(COUNTRIES[birth].1.as_bytes()).expect("the table has three capital letters"),
            country: Country::new(COUNTRIES[residence].0.as_bytes()).expect("the table has two capital letters"),
            name: [given, " ", family].concat(),
            registered_at: self.registered_at(number),
            endorsements: 0,
            verified: false,
        }
    }

    /// Users register one after the other.
    fn registered_at(&self, number: u64) -> u64 {
        let since = u128::from(number) * u128::from(REGISTRATION_SPAN) / u128::from(self.users.max(1));
        FIRST_REGISTRATION + since as u64
    }

    /// Who endorses user `number`, by their numbers: all different, and others than the user.
    pub fn endorsers(&self, number: u64) -> impl Iterator<Item = u64> + use<> {
        let mut stream = self.stream(number, Part::Endorsers as u32);
        let others = self.users.saturating_sub(1);
        let mut chosen: Vec<u64> = Vec::with_capacity(self.endorsements as usize);
        // Floyd's sampling without replacement (Bentley and Floyd, "A sample of brilliance", 1987).
        for last in others - u64::from(self.endorsements)..others {
            let drawn = stream.below(last + 1);
            chosen.push(if chosen.contains(&drawn) { last } else { drawn });
        }
        chosen.into_iter().map(move |other| other + u64::from(other >= number))
    }

    /// The endorsements of user `number`.
    pub fn endorsements_of(&self, number: u64) -> impl Iterator<Item = Endorsement> + '_ {
        let endorsed = self.key(number);
        self.endorsers(number).zip(0u32..).map(move |(endorser, index)| {
            let mut stream = self.stream(number, Part::Signature as u32 + index);
            let mut signature = [0; 64];
            fill(&mut stream, &mut signature);
            let both = self.registered_at(number).max(self.registered_at(endorser));
            Endorsement {
                endorsed,
                endorser: self.key(endorser),
                signature,
                signed_at: both + stream.below(ENDORSEMENT_SPAN),
            }
        })
    }

    /// Bits of entropy of a user and of an endorsement, that no lossless compression can leave out: keys, hashes and
    /// signatures in full, and what is drawn with other chances by Shannon's formula. An endorsement is counted where it
    /// is known whom it endorses; its endorser costs the logarithm of the number of users.
    pub fn entropy_bits(&self) -> (f64, f64) {
        let users = libm::log2(self.users.max(2) as f64);
        let names = [&self.given_names, &self.family_names].into_iter().map(|sums| entropy(shares(sums))).sum::<f64>();
        // A user's number, and with it the time of registration, follows from no other field.
        let user =
            257.0 + 256.0 + 256.0 + self.place_entropy() + names + users.min(libm::log2(REGISTRATION_SPAN as f64));
        (user, users + 512.0 + libm::log2(ENDORSEMENT_SPAN as f64))
    }

    /// Entropy of the currency of birth and the country of residence together, in bits.
    fn place_entropy(&self) -> f64 {
        let moved = MIGRANTS_PER_MILLE as f64 / 1_000.0;
        let mut currencies: BTreeMap<&str, f64> = BTreeMap::new();
        for ((_, currency, _), share) in COUNTRIES.iter().zip(shares(&self.countries)) {
            *currencies.entry(currency).or_default() += share;
        }
        let pairs = COUNTRIES.iter().zip(shares(&self.countries)).flat_map(|((_, own, _), residence)| {
            currencies.iter().map(move |(currency, share)| {
                residence * (moved * share + if currency == own { 1.0 - moved } else { 0.0 })
            })
        });
        entropy(pairs)
    }
}

/// Shannon's entropy of chances that are above zero, in bits.
fn entropy(chances: impl Iterator<Item = f64>) -> f64 {
    chances.map(|chance| -chance * libm::log2(chance)).sum()
}

/// The chances that [`draw`] gives each index.
fn shares(sums: &[u64]) -> impl Iterator<Item = f64> + '_ {
    let all = sums.last().copied().unwrap_or(1) as f64;
    let before = std::iter::once(0).chain(sums.iter().copied());
    sums.iter().zip(before).map(move |(&sum, before)| (sum - before) as f64 / all)
}

fn sums(weights: impl Iterator<Item = u64>) -> Vec<u64> {
    weights
        .scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

/// An index, drawn with the weights that `sums` sum up.
fn draw(sums: &[u64], stream: &mut Stream) -> usize {
    let all = sums.last().copied().unwrap_or(0);
    let drawn = stream.below(all);
    sums.partition_point(|&sum| sum <= drawn)
}

fn fill(stream: &mut Stream, bytes: &mut [u8]) {
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&stream.word().to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
