//! Who is registered at the start and who may be later: countries, currencies, endorsements, as functions of the seed.

use crate::contract::{Column, Domain, NodeId, Placement, RandomKey, scale_word};
use crate::protocols::sharding::shard::{address_of, hash_of};
use crate::registry::population;

/// Most users that a device registers in a run.
pub const REGISTRATIONS_MAX: u32 = 64;

/// The 50 most populous countries: code, currency, and inhabitants in millions. Six in seven people live there.
pub const COUNTRIES: [(&str, &str, u32); 50] =
    *population::COUNTRIES.first_chunk().expect("the table has more countries, the most populous first");

/// The users of a run. A user, and a government id, is a number, which stands for a key of 33 bytes and a hash of 32.
///
/// Those below [`Users::at_start`] are registered when the run starts, each with the government id of the same number.
/// Those above it belong to devices, [`REGISTRATIONS_MAX`] to each.
#[derive(Debug)]
pub struct Users {
    at_start: u32,
    countries: Placement,
    /// By country, the first one with the same currency.
    currencies: [u8; COUNTRIES.len()],
    key: RandomKey,
    /// Endorsements that make a user verified.
    enough: u32,
}

impl Users {
    /// `at_start` users that exist at the start; users are verified with `enough` endorsements.
    pub fn new(at_start: u32, enough: u32, seed: u64) -> Self {
        let total: u32 = COUNTRIES.iter().map(|&(.., millions)| millions).sum();
        let shares = COUNTRIES.map(|(.., millions)| f64::from(millions) / f64::from(total));
        let first = |currency| COUNTRIES.iter().position(|&(_, other, _)| other == currency).unwrap_or(0) as u8;
        Users {
            at_start,
            // Nodes are placed in regions by the same seed; users live elsewhere.
            countries: Placement::new(&shares, !seed),
            currencies: COUNTRIES.map(|(_, currency, _)| first(currency)),
            key: RandomKey::new(seed, Domain::Workload),
            enough,
        }
    }

    /// How many exist at the start.
    pub fn at_start(&self) -> u32 {
        self.at_start
    }

    /// Endorsements that make a user verified.
    pub fn enough(&self) -> u32 {
        self.enough
    }

    /// The user that the device of this rank registers as its `turn`-th.
    pub fn of_device(&self, rank: u32, turn: u32) -> u32 {
        self.at_start + rank * REGISTRATIONS_MAX + turn
    }

    /// The country of a user, or that issued a government id: a place in [`COUNTRIES`].
    #[inline]
    pub fn country(&self, number: u32) -> usize {
        self.countries.region_of(number)
    }

    /// The currency of a user: the first place in [`COUNTRIES`] that has it.
    #[inline]
    pub fn currency(&self, number: u32) -> u8 {
        self.currencies[self.country(number)]
    }

    /// Where the hash of a user's key falls.
    #[inline]
    pub fn key_hash(number: u32) -> u64 {
        hash_of(&address_of(number))
    }

    /// Where a government id falls; not where the key with the same number does.
    #[inline]
    pub fn id_hash(number: u32) -> u64 {
        let mut address = address_of(number);
        address[31] = 1;
        hash_of(&address)
    }

    /// How many have endorsed a user before the start: up to twice as many as make it verified.
    pub fn endorsements(&self, number: u32) -> u32 {
        scale_word(self.key.word(number, 0), u64::from(2 * self.enough + 1)) as u32
    }

    /// Whether `endorser` has endorsed `endorsed`, who exists at the start, before the start.
    pub fn is_endorsed_by(&self, endorsed: u32, endorser: u32) -> bool {
        let bound = u64::from(self.at_start);
        (1..=self.endorsements(endorsed))
            .any(|turn| scale_word(self.key.word(endorsed, turn), bound) as u32 == endorser)
    }

    /// What a device does for the `number`-th time, as a stream of draws.
    pub fn choices(&self, device: NodeId, number: u16) -> crate::contract::Stream {
        self.key.stream(device, 1 << 31 | u32::from(number))
    }
}

/// The users that exist at the start, by shard and within it by currency.
///
/// All replicas of a shard have the same ones and change none, so that they are in memory once: four bytes a user. A
/// replica knows how many of them it holds.
#[derive(Debug)]
pub struct Base {
    /// By shard, where its users begin; one more than there are shards.
    starts: Vec<u32>,
    keys: Column<u32>,
    /// By shard, how many government ids it keeps.
    ids: Vec<u32>,
}

impl Base {
    /// The users of each of `shards` shards, as `shard_of` says of a key and of a government id.
    pub fn new(users: &Users, shards: u32, shard_of: impl Fn(u32) -> [u32; 2]) -> Self {
        let mut counts = vec![0u32; shards as usize + 1];
        let mut ids = vec![0u32; shards as usize];
        let of: Column<u32> = Column::collect(
            users.at_start as usize,
            (0..users.at_start).map(|number| {
                let [of_key, of_id] = shard_of(number);
                counts[of_key as usize + 1] += 1;
                ids[of_id as usize] += 1;
                of_key
            }),
        );
        (1..counts.len()).for_each(|shard| counts[shard] += counts[shard - 1]);
        let (starts, mut next) = (counts.clone(), counts);
        let mut keys = Column::filled(users.at_start as usize, 0);
        for (number, &shard) in of.iter().enumerate() {
            keys[next[shard as usize] as usize] = number as u32;
            next[shard as usize] += 1;
        }
        for shard in 0..shards as usize {
            keys[starts[shard] as usize..starts[shard + 1] as usize]
                .sort_by_cached_key(|&number| users.currency(number));
        }
        Base { starts, keys, ids }
    }

    /// The users of `shard`, by currency and then by number.
    pub fn keys(&self, shard: u32) -> &[u32] {
        let shard = shard as usize;
        &self.keys[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }

    /// Those of `shard` that have `currency`.
    pub fn with_currency(&self, users: &Users, shard: u32, currency: u8) -> &[u32] {
        let keys = self.keys(shard);
        let start = keys.partition_point(|&number| users.currency(number) < currency);
        let end = keys.partition_point(|&number| users.currency(number) <= currency);
        &keys[start..end]
    }

    /// Users and government ids of `shard`.
    pub fn records(&self, shard: u32) -> [u32; 2] {
        [self.keys(shard).len() as u32, self.ids[shard as usize]]
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + (self.starts.len() + self.ids.len()) * 4
    }
}
