//! Lists that a checkpoint keeps with their capacity, because memory that is reported counts it; for `#[serde(with)]`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Column;

/// Most items that a list may have room for beyond those it has, when it is read: more is refused, not allocated.
const SPARE_MAX: usize = 1 << 24;

/// A list whose capacity can be set.
pub trait List: Sized {
    /// What it holds.
    type Item;

    /// An empty list with room for exactly `capacity` items.
    fn with_room(capacity: usize) -> Self;

    /// Items that there is room for.
    fn room(&self) -> usize;

    /// Appends an item, for which there is room.
    fn append(&mut self, item: Self::Item);

    /// The items, of which the number is known.
    fn items(&self) -> impl ExactSizeIterator<Item = &Self::Item>;
}

impl<T> List for Vec<T> {
    type Item = T;

    fn with_room(capacity: usize) -> Self {
        Vec::with_capacity(capacity)
    }

    fn room(&self) -> usize {
        self.capacity()
    }

    fn append(&mut self, item: T) {
        self.push(item);
    }

    fn items(&self) -> impl ExactSizeIterator<Item = &T> {
        self.iter()
    }
}

impl<T> List for VecDeque<T> {
    type Item = T;

    fn with_room(capacity: usize) -> Self {
        VecDeque::with_capacity(capacity)
    }

    fn room(&self) -> usize {
        self.capacity()
    }

    fn append(&mut self, item: T) {
        self.push_back(item);
    }

    fn items(&self) -> impl ExactSizeIterator<Item = &T> {
        self.iter()
    }
}

impl<T: Copy> List for Column<T> {
    type Item = T;

    fn with_room(capacity: usize) -> Self {
        Column::with_capacity(capacity)
    }

    fn room(&self) -> usize {
        self.capacity()
    }

    #[inline(always)]
    fn append(&mut self, item: T) {
        self.push(item);
    }

    fn items(&self) -> impl ExactSizeIterator<Item = &T> {
        self.iter()
    }
}

/// Writes the capacity of `list` and its items.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<L: List<Item: Serialize>, S: Serializer>(list: &L, serializer: S) -> Result<S::Ok, S::Error> {
    struct Items<'a, L>(&'a L);

    impl<L: List<Item: Serialize>> Serialize for Items<'_, L> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.items())
        }
    }

    let mut parts = serializer.serialize_tuple(2)?;
    parts.serialize_element(&(list.room() as u64))?;
    parts.serialize_element(&Items(list))?;
    parts.end()
}

/// Reads what [`serialize`] wrote. Memory is allocated only for items that the reader knows to have, and for a bounded
/// number more.
///
/// # Errors
/// Those of the deserializer, and if the capacity cannot be that of the list.
pub fn deserialize<'de, L: List<Item: Deserialize<'de>>, D: Deserializer<'de>>(reader: D) -> Result<L, D::Error> {
    reader.deserialize_tuple(2, Parts(PhantomData))
}

/// Takes the capacity, then the items.
struct Parts<L>(PhantomData<L>);

impl<'de, L: List<Item: Deserialize<'de>>> Visitor<'de> for Parts<L> {
    type Value = L;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list with its capacity")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<L, A::Error> {
        let room: u64 = parts.next_element()?.ok_or_else(|| A::Error::custom("a list without its capacity"))?;
        let room = usize::try_from(room).map_err(A::Error::custom)?;
        parts.next_element_seed(Items(room, PhantomData))?.ok_or_else(|| A::Error::custom("a list without its items"))
    }
}

/// Takes the items of a list with so much room.
struct Items<L>(usize, PhantomData<L>);

impl<'de, L: List<Item: Deserialize<'de>>> serde::de::DeserializeSeed<'de> for Items<L> {
    type Value = L;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<L, D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de, L: List<Item: Deserialize<'de>>> Visitor<'de> for Items<L> {
    type Value = L;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the items of a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<L, A::Error> {
        // A reader that knows how much it has gives no hint that it cannot keep.
        let len = items.size_hint().ok_or_else(|| A::Error::custom("a list is longer than what holds it"))?;
        // Some lists round their capacity up, and have no other where they hold nothing of any size.
        let spare = self.0.checked_sub(len).filter(|&spare| spare <= SPARE_MAX || self.0 == usize::MAX);
        spare.ok_or_else(|| A::Error::custom("a list has a capacity that it cannot have"))?;
        let mut list = L::with_room(if self.0 == usize::MAX { len } else { self.0 });
        while let Some(item) = items.next_element()? {
            list.append(item);
        }
        Ok(list)
    }
}

impl<T: Copy + Serialize> Serialize for Column<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, serializer)
    }
}

impl<'de, T: Copy + Deserialize<'de>> Deserialize<'de> for Column<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        deserialize(reader)
    }
}

/// Maps of lists that are kept with their capacities; for `#[serde(with)]`.
pub mod values {
    use super::{BTreeMap, Deserialize, Deserializer, List, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(bound(serialize = "L: List<Item: Serialize>", deserialize = "L: List<Item: Deserialize<'de>>"))]
    struct Exact<L>(#[serde(with = "super")] L);

    #[derive(Serialize)]
    #[serde(bound(serialize = "L: List<Item: Serialize>"))]
    struct Borrowed<'a, L>(#[serde(serialize_with = "borrowed")] &'a L);

    fn borrowed<L: List<Item: Serialize>, S: Serializer>(list: &&L, serializer: S) -> Result<S::Ok, S::Error> {
        super::serialize(*list, serializer)
    }

    /// Writes a map whose values are lists.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<K: Serialize, L: List<Item: Serialize>, S: Serializer>(
        map: &BTreeMap<K, L>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(key, list)| (key, Borrowed(list))))
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// As [`deserialize`](super::deserialize).
    pub fn deserialize<'de, K: Deserialize<'de> + Ord, L: List<Item: Deserialize<'de>>, D: Deserializer<'de>>(
        reader: D,
    ) -> Result<BTreeMap<K, L>, D::Error> {
        let map = BTreeMap::<K, Exact<L>>::deserialize(reader)?;
        Ok(map.into_iter().map(|(key, list)| (key, list.0)).collect())
    }
}

/// Arrays of more than 32 items, or of a number that a type leaves open; for `#[serde(with)]`.
pub mod array {
    use std::ops::Deref;

    use super::{Deserialize, Deserializer, Error, Serialize, Serializer};

    /// Writes an array, or a box of one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Serialize, A: AsItems<T>, S: Serializer>(array: &A, serializer: S) -> Result<S::Ok, S::Error> {
        array.as_items().serialize(serializer)
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the deserializer, and if there are more or fewer items.
    pub fn deserialize<'de, T: Deserialize<'de>, A: AsItems<T> + TryFrom<Vec<T>>, D: Deserializer<'de>>(
        reader: D,
    ) -> Result<A, D::Error> {
        let items = Vec::<T>::deserialize(reader)?;
        A::try_from(items).map_err(|_| D::Error::custom("an array has another length"))
    }

    /// What holds an array of `T`.
    pub trait AsItems<T> {
        /// Its items.
        fn as_items(&self) -> &[T];
    }

    impl<T, const N: usize> AsItems<T> for [T; N] {
        fn as_items(&self) -> &[T] {
            self
        }
    }

    impl<T, const N: usize> AsItems<T> for Box<[T; N]> {
        fn as_items(&self) -> &[T] {
            self.deref()
        }
    }
}
