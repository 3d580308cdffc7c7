//! What a registry stands on: ordered families of keys and values, changed in atomic batches.

/// A family of keys. Each has a keyspace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Users.
    User,
    /// Who has which key, where users are kept by an id of their own.
    Key,
    /// Who has which government id.
    GovernmentId,
    /// Endorsements.
    Endorsement,
    /// Users by currency.
    Currency,
    /// Users by country.
    Country,
    /// What is known of the registry as a whole: layout, counters, progress of long work.
    Meta,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 7] = [
        Family::User,
        Family::Key,
        Family::GovernmentId,
        Family::Endorsement,
        Family::Currency,
        Family::Country,
        Family::Meta,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Family::User => "user",
            Family::Key => "key",
            Family::GovernmentId => "govid",
            Family::Endorsement => "endorse",
            Family::Currency => "currency",
            Family::Country => "country",
            Family::Meta => "meta",
        }
    }
}

/// A value, or nothing.
pub type Value = Vec<u8>;

/// Changes that are made all together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What is put (a value) or removed (none), in this order.
    pub changes: Vec<(Family, Vec<u8>, Option<Value>)>,
}

impl Batch {
    /// Puts `value` at `key`.
    pub fn put(&mut self, family: Family, key: impl Into<Vec<u8>>, value: impl Into<Value>) {
        self.changes.push((family, key.into(), Some(value.into())));
    }

    /// Removes what is at `key`.
    pub fn remove(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        self.changes.push((family, key.into(), None));
    }
}

/// A key with its value.
pub type Entry = (Vec<u8>, Value);
/// Keys and values in order, as far as they can be read.
pub type Entries<'a, E> = Box<dyn Iterator<Item = Result<Entry, E>> + 'a>;

/// An ordered store. Whatever is committed is seen by everybody who reads afterwards.
pub trait Store: Send + Sync {
    /// Why something cannot be read or written.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What is at `key`.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Value>, Self::Error>;
    /// Whether anything is at `key`.
    fn contains(&self, family: Family, key: &[u8]) -> Result<bool, Self::Error>;
    /// Keys and values whose key begins with `prefix` and is not below `from`, in order of keys. It holds little at a time,
    /// and may or may not see what is committed while it is under way.
    fn scan<'a>(&'a self, family: Family, prefix: &[u8], from: &[u8]) -> Entries<'a, Self::Error>;
    /// Makes all changes of `batch`, or none. They survive the end of the process, but not that of the machine, unless
    /// [`Store::sync`] returns after it.
    fn commit(&self, batch: Batch) -> Result<(), Self::Error>;
    /// Returns when all that was committed before is on disk.
    fn sync(&self) -> Result<(), Self::Error>;
}

/// A store that takes sorted entries in bulk, past whatever makes single changes atomic and durable.
pub trait BulkStore: Store {
    /// Adds `entries` to `family`, all or none of them, and returns how many. They are on disk when it returns. Their keys
    /// ascend strictly, and nothing is written at one of them meanwhile.
    ///
    /// # Errors
    ///
    /// The first error of `entries`, a key that is not above the one before, or what hinders writing.
    fn ingest<E: From<Self::Error>>(
        &self,
        family: Family,
        entries: impl Iterator<Item = Result<Entry, E>>,
    ) -> Result<u64, E>;
}

/// The least key that is above all that begin with `prefix`; none if `prefix` is empty or all ones.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut above = prefix[..=last].to_vec();
    above[last] += 1;
    Some(above)
}
