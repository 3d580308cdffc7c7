//! What a registry stands on: ordered families of keys and values, changed in atomic batches.

/// A family of keys. Each has a keyspace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Users.
    User,
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
    pub const ALL: [Family; 6] =
        [Family::User, Family::GovernmentId, Family::Endorsement, Family::Currency, Family::Country, Family::Meta];
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

/// An ordered store. Whatever is committed is seen by everybody who reads afterwards.
pub trait Store: Send + Sync {
    /// Why something cannot be read or written.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What is at `key`.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Value>, Self::Error>;
    /// Whether anything is at `key`.
    fn contains(&self, family: Family, key: &[u8]) -> Result<bool, Self::Error>;
    /// Keys and values whose key begins with `prefix` and is not below `from`, in order of keys.
    fn scan<'a>(
        &'a self,
        family: Family,
        prefix: &'a [u8],
        from: &'a [u8],
    ) -> Box<dyn Iterator<Item = Result<(Vec<u8>, Value), Self::Error>> + 'a>;
    /// Makes all changes of `batch`, or none. They survive the end of the process, but not that of the machine, unless
    /// [`Store::sync`] returns after it.
    fn commit(&self, batch: Batch) -> Result<(), Self::Error>;
    /// Returns when all that was committed before is on disk.
    fn sync(&self) -> Result<(), Self::Error>;
}
