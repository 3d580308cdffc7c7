//! What a registry can be asked and told, wherever it is kept: in a store of this process or on a server.

use super::access::DatabaseError;
use super::commit::Durability;
use super::consensus::UserRegistryConsensus;
use super::database::Cursor;
use super::meta::Counters;
use super::record::{Country, Currency, Digest, Endorsement, User, UserKey};
use super::rules::Standing;
use super::store::{Family, Store};
use super::verify::Report;

/// What comes of asking or telling a registry whose keeper fails with `E`.
pub type Answer<T, E> = Result<T, DatabaseError<E>>;

/// Users of which a list consists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All of them.
    All,
    /// Those born with this currency.
    Currency(Currency),
    /// Those who live in this country.
    Country(Country),
}

/// A registry. Operations may run on any number of threads; each is atomic, and the rules hold whoever writes at the same
/// time. What is written is acknowledged when the registry's [`Durability`] says.
pub trait Operations: Send + Sync + Sized {
    /// Why whatever keeps the registry fails.
    type Error: std::error::Error + Send + Sync + 'static;

    /// With writes acknowledged when `durability` says.
    #[must_use]
    fn with_durability(self, durability: Durability) -> Self;
    /// How the registry is laid out where it is kept.
    fn layout_name(&self) -> &'static str;
    /// See [`UserRegistryConsensus::register_user`].
    fn register_user(&self, user: &User) -> Answer<(), Self::Error>;
    /// See [`UserRegistryConsensus::submit_endorsement`].
    fn submit_endorsement(&self, endorsement: &Endorsement) -> Answer<Standing, Self::Error>;
    /// See [`super::UserDatabase::store_batch`]. A refusal says which of `users` it concerns, from 0.
    fn store_batch(&self, users: &[User]) -> Result<(), super::BatchError<Self::Error>>;
    /// See [`super::UserDatabase::index_government_id`].
    fn index_government_id(&self, government_id: &Digest, key: &UserKey) -> Answer<(), Self::Error>;
    /// See [`super::UserDatabase::delete_user`].
    fn delete_user(&self, key: &UserKey) -> Answer<bool, Self::Error>;
    /// The user with `key`.
    fn get_user(&self, key: &UserKey) -> Answer<Option<User>, Self::Error>;
    /// Who has `government_id`.
    fn lookup_by_government_id(&self, government_id: &Digest) -> Answer<Option<UserKey>, Self::Error>;
    /// All endorsements of the user with `key`, in any order; none if nobody has that key.
    fn endorsements_of(&self, key: &UserKey) -> Answer<Vec<Endorsement>, Self::Error>;
    /// Some users of a list, `at_most` so many, from where a cursor stands, and the place behind them. Fewer than that are
    /// the last.
    fn page(&self, of: Listing, from: &Cursor, at_most: usize) -> Answer<(Vec<User>, Cursor), Self::Error>;
    /// How many there are.
    fn counters(&self) -> Answer<Counters, Self::Error>;
    /// Checks everything, and tells `progress` of what is read.
    fn verify(&self, progress: &mut dyn FnMut(Family)) -> Answer<Report, Self::Error>;

    /// Stores `user`, as [`super::UserDatabase::store_user`] does.
    ///
    /// # Errors
    ///
    /// If another user has the government id, or the name is too long, or the keeper fails.
    fn store_user(&self, user: &User) -> Answer<(), Self::Error> {
        self.store_batch(std::slice::from_ref(user)).map_err(|error| error.cause)
    }

    /// The users of a list, one after the other.
    fn list(&self, of: Listing) -> List<'_, Self> {
        List { registry: self, of, cursor: Some(Cursor::default()), page: Vec::new().into_iter() }
    }
}

/// Users of a list, read in pages as they are asked for.
pub struct List<'a, R: Operations> {
    registry: &'a R,
    of: Listing,
    /// Where the next page begins; none behind the last.
    cursor: Option<Cursor>,
    page: std::vec::IntoIter<User>,
}

impl<R: Operations> List<'_, R> {
    /// Users that are read at once.
    const PAGE: usize = 1 << 10;
}

impl<R: Operations> Iterator for List<'_, R> {
    type Item = Answer<User, R::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            let cursor = self.cursor.take()?;
            match self.registry.page(self.of, &cursor, Self::PAGE) {
                Ok((page, behind)) => {
                    self.cursor = (page.len() == Self::PAGE).then_some(behind);
                    self.page = page.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
        self.page.next().map(Ok)
    }
}

impl<S: Store> Operations for UserRegistryConsensus<S> {
    type Error = S::Error;

    fn with_durability(self, durability: Durability) -> Self {
        self.with_durability(durability)
    }

    fn layout_name(&self) -> &'static str {
        self.database().layout().name()
    }

    fn register_user(&self, user: &User) -> Answer<(), S::Error> {
        self.register_user(user)
    }

    fn submit_endorsement(&self, endorsement: &Endorsement) -> Answer<Standing, S::Error> {
        self.submit_endorsement(endorsement)
    }

    fn store_batch(&self, users: &[User]) -> Result<(), super::BatchError<S::Error>> {
        self.database().store_batch(users, self.durability())
    }

    fn store_user(&self, user: &User) -> Answer<(), S::Error> {
        self.database().store_user(user, self.durability())
    }

    fn index_government_id(&self, government_id: &Digest, key: &UserKey) -> Answer<(), S::Error> {
        self.database().index_government_id(government_id, key, self.durability())
    }

    fn delete_user(&self, key: &UserKey) -> Answer<bool, S::Error> {
        self.database().delete_user(key, self.durability())
    }

    fn get_user(&self, key: &UserKey) -> Answer<Option<User>, S::Error> {
        Ok(self.database().get_user(key)?.map(|stored| stored.user.clone()))
    }

    fn lookup_by_government_id(&self, government_id: &Digest) -> Answer<Option<UserKey>, S::Error> {
        self.database().lookup_by_government_id(government_id)
    }

    fn endorsements_of(&self, key: &UserKey) -> Answer<Vec<Endorsement>, S::Error> {
        Ok(self.database().endorsements_of(key)?.to_vec())
    }

    fn page(&self, of: Listing, from: &Cursor, at_most: usize) -> Answer<(Vec<User>, Cursor), S::Error> {
        let mut users = match of {
            Listing::All => self.database().users(from),
            Listing::Currency(currency) => self.database().users_by_currency(currency, from),
            Listing::Country(country) => self.database().users_by_country(country, from),
        };
        let page =
            users.by_ref().take(at_most).map(|found| found.map(|stored| stored.user)).collect::<Result<_, _>>()?;
        Ok((page, users.cursor()))
    }

    fn counters(&self) -> Answer<Counters, S::Error> {
        Ok(self.database().counters())
    }

    fn verify(&self, progress: &mut dyn FnMut(Family)) -> Answer<Report, S::Error> {
        self.database().verify(progress)
    }
}
