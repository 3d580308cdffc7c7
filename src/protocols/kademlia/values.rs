//! Values that a node keeps for others: so many and no more.

use serde::{Deserialize, Serialize};

use crate::contract::{Key256, exact};

/// Values by key; a node without any takes no more than their place.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Values {
    /// In the order of the keys.
    #[serde(with = "exact")]
    entries: Vec<(Key256, Box<[u8]>)>,
}

impl Values {
    /// The value of `key`.
    pub fn get(&self, key: &Key256) -> Option<&[u8]> {
        self.place(key).ok().map(|place| &*self.entries[place].1)
    }

    /// Keeps `value` as that of `key`, instead of an older one if there is one. Returns false if it is one more than
    /// `most`: then it is not kept, so that nobody can have others forgotten.
    pub fn store(&mut self, key: &Key256, value: &[u8], most: usize) -> bool {
        match self.place(key) {
            Ok(place) => self.entries[place].1 = value.into(),
            Err(_) if self.entries.len() >= most => return false,
            Err(place) => {
                if self.entries.len() == self.entries.capacity() {
                    self.entries.reserve_exact(self.entries.len() / 8 + 1);
                }
                self.entries.insert(place, (*key, value.into()));
            }
        }
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let contents: usize = self.entries.iter().map(|(_, value)| value.len()).sum();
        self.entries.capacity() * size_of::<(Key256, Box<[u8]>)>() + contents
    }

    fn place(&self, key: &Key256) -> Result<usize, usize> {
        self.entries.binary_search_by(|(other, _)| other.cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_until_it_is_replaced_and_no_more_than_there_may_be() {
        let mut values = Values::default();
        let key = |number| [number; 32];
        for number in [3, 1, 2] {
            assert!(values.store(&key(number), &[number], 3));
        }
        assert!(!values.store(&key(4), &[4], 3), "there is no room");
        assert!(values.store(&key(2), &[7, 7], 3), "but for a newer value of a key");
        assert_eq!(
            [1, 2, 3, 4].map(|number| values.get(&key(number))),
            [Some(&[1][..]), Some(&[7, 7]), Some(&[3]), None]
        );
        assert_eq!((values.len(), values.bytes()), (3, 3 * 48 + 4));
    }
}
