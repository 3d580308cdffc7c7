//! The least that users can take on a disk, whatever the engine: what cannot be compressed.

/// What the fields of a population hold, in bits, beside keys, hashes and signatures, which nothing compresses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldBits {
    /// Currency of a user: the entropy of their distribution.
    pub currency: f64,
    /// Country of a user, likewise.
    pub country: f64,
    /// Name of a user.
    pub name: f64,
    /// Time of registration: the logarithm of the span over which they are spread, in seconds.
    pub registered_at: f64,
    /// Time of an endorsement, likewise.
    pub signed_at: f64,
}

/// The least bytes of a user on average, in two parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Each field of the user and of the endorsements, once, at its entropy.
    pub fields: f64,
    /// The indexes of the compact layout besides. They follow from the fields, but that is what an index is.
    pub indexes: f64,
}

/// The bound for `users` users, of whom each has `endorsements` of them by anybody.
///
/// A key has 257 bits, of which one is the parity; hashes have 256, a signature 512. An endorser is one of all users,
/// log2 n bits; in which order a user's k endorsements came is not kept, which saves log2 k! of them. An index by fingerprints of f bits
/// keeps them sorted, which saves log2 n! / n = log2 n - log2 e bits of each, and leads from each to one of n users: f + log2 e
/// bits an entry. An index by currency or country says of each user what the record says once more.
pub fn bound(users: u64, endorsements: u32, bits: &FieldBits) -> Bound {
    let order: f64 = (2..=endorsements).map(|rank| libm::log2(rank.into())).sum();
    let endorser = libm::log2(users.max(1) as f64);
    let of_endorsements = f64::from(endorsements) * (512.0 + bits.signed_at + endorser) - order;
    let of_user = 257.0 + 2.0 * 256.0 + bits.currency + bits.country + bits.name + bits.registered_at;
    let fingerprint = 8.0 * super::compact::FINGERPRINT_LEN as f64;
    let indexes = 2.0 * (fingerprint + std::f64::consts::LOG2_E) + bits.currency + bits.country;
    Bound { fields: (of_user + of_endorsements) / 8.0, indexes: indexes / 8.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_signatures_are_most_of_the_bound() {
        let bits = FieldBits { currency: 3.0, country: 3.0, name: 16.0, registered_at: 27.0, signed_at: 27.0 };
        let without = bound(1 << 20, 0, &bits);
        assert!((without.fields - (257.0 + 512.0 + 49.0) / 8.0).abs() < 1e-9);
        // 5 signatures, 5 times, 5 numbers of 20 bits, of which one of 120 orders is not kept.
        let with = bound(1 << 20, 5, &bits);
        let endorsements = 5.0 * (512.0 + 27.0 + 20.0) - libm::log2(120.0);
        assert!((with.fields - without.fields - endorsements / 8.0).abs() < 1e-9);
        assert!((with.indexes - (2.0 * 41.4427 + 6.0) / 8.0).abs() < 1e-4);
        assert!((3.0 * 32.0 + 5.0 * 64.0) / with.fields > 0.9);
    }
}
