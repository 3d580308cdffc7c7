//! Users and endorsements as text: the fields of a line of CSV or JSON, and why they are not taken.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::currencies;
use super::record::{Currency, Endorsement, NAME_LEN_MAX, User, from_hex, to_hex};

/// The columns of users, in the order in which they are written.
pub const USER_COLUMNS: [&str; 9] = [
    "key",
    "government_id",
    "identity_proof",
    "birth_currency",
    "country",
    "name",
    "registered_at",
    "endorsements",
    "verified",
];
/// Of those, the columns that a file must have. The others are counted anew and may be left out.
const USER_COLUMNS_NEEDED: usize = 7;
/// The columns of endorsements.
pub const ENDORSEMENT_COLUMNS: [&str; 4] = ["endorsed", "endorser", "signature", "signed_at"];

/// A user or an endorsement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A user, without endorsements.
    User(User),
    /// An endorsement.
    Endorsement(Endorsement),
}

/// A line: the fields of a user, or those of an endorsement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are those of `User` and `Endorsement`, which say what they are")]
pub struct Line<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub government_id: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub identity_proof: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub birth_currency: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub country: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endorsements: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub endorsed: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub endorser: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<u64>,
}

/// A currency in use.
///
/// # Errors
///
/// What is wrong with `text`, with the currency that may have been meant.
pub fn currency(text: &str) -> Result<Currency, String> {
    let read = text.parse::<Currency>();
    if let Ok(currency) = read
        && currencies::is_known(currency)
    {
        return Ok(currency);
    }
    let meant = currencies::closest(text).map(|close| format!("; did you mean {close}?")).unwrap_or_default();
    match read {
        Ok(unknown) => Err(format!("{unknown} is no currency in use (ISO 4217){meant}")),
        Err(error) => Err(format!("{error}{meant}")),
    }
}

/// The bytes of a signature.
///
/// # Errors
///
/// What is wrong with `text`.
pub fn signature(text: &str) -> Result<[u8; 64], String> {
    from_hex(text).ok_or_else(|| format!("a signature is 128 hexadecimal digits, not {:?}", start(text)))
}

/// A name that may be shown.
///
/// # Errors
///
/// What is wrong with `text`.
pub fn name(text: &str) -> Result<String, String> {
    match text {
        _ if text.len() > NAME_LEN_MAX => Err(format!("a name has at most {NAME_LEN_MAX} bytes, not {}", text.len())),
        _ if text.chars().any(char::is_control) => Err("a name has no control characters".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn start(text: &str) -> String {
    text.chars().take(80).collect()
}

fn need<'a>(field: &'a Option<Cow<'_, str>>, name: &str) -> Result<&'a str, String> {
    field.as_deref().ok_or_else(|| format!("the field {name} is missing"))
}

fn field<T>(text: &Option<Cow<'_, str>>, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
    read(need(text, name)?).map_err(|reason| format!("{name}: {reason}"))
}

fn parsed<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

impl<'a> Line<'a> {
    /// Whether this is an endorsement rather than a user.
    pub fn is_endorsement(&self) -> bool {
        self.endorsed.is_some() || self.endorser.is_some() || self.signature.is_some() || self.signed_at.is_some()
    }

    /// What the line says.
    ///
    /// # Errors
    ///
    /// What is wrong with it. How a user stands with endorsements is not read, since they are counted anew.
    pub fn read(&self) -> Result<Item, String> {
        if !self.is_endorsement() {
            return Ok(Item::User(User {
                key: field(&self.key, "key", parsed)?,
                government_id: field(&self.government_id, "government_id", parsed)?,
                identity_proof: field(&self.identity_proof, "identity_proof", parsed)?,
                birth_currency: field(&self.birth_currency, "birth_currency", currency)?,
                country: field(&self.country, "country", parsed)?,
                name: field(&self.name, "name", name)?,
                registered_at: self.registered_at.ok_or("the field registered_at is missing")?,
                endorsements: 0,
                verified: false,
            }));
        }
        let of_user =
            [&self.key, &self.government_id, &self.identity_proof, &self.birth_currency, &self.country, &self.name];
        if of_user.iter().any(|field| field.is_some()) {
            return Err("a line is a user or an endorsement, not both".to_owned());
        }
        Ok(Item::Endorsement(Endorsement {
            endorsed: field(&self.endorsed, "endorsed", parsed)?,
            endorser: field(&self.endorser, "endorser", parsed)?,
            signature: field(&self.signature, "signature", signature)?,
            signed_at: self.signed_at.ok_or("the field signed_at is missing")?,
        }))
    }

    /// Whether `columns` are those of endorsements; otherwise they are those of users.
    ///
    /// # Errors
    ///
    /// If they are neither: what is missing or too much.
    pub fn check_columns(columns: &[String]) -> Result<bool, String> {
        let endorsements = columns.iter().any(|name| ENDORSEMENT_COLUMNS.contains(&name.as_str()));
        let (known, needed): (&[&str], usize) =
            if endorsements { (&ENDORSEMENT_COLUMNS, 4) } else { (&USER_COLUMNS, USER_COLUMNS_NEEDED) };
        let expected = || {
            format!(
                "the header of users is {}, that of endorsements {}",
                USER_COLUMNS.join(","),
                ENDORSEMENT_COLUMNS.join(",")
            )
        };
        if let Some(unknown) = columns.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("unknown column {:?}; {}", start(unknown), expected()));
        }
        if let Some(missing) = known[..needed].iter().find(|name| !columns.iter().any(|column| column == *name)) {
            return Err(format!("the column {missing} is missing; {}", expected()));
        }
        match columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(name)) {
            Some((_, twice)) => Err(format!("the column {twice} is there twice")),
            None => Ok(endorsements),
        }
    }

    /// The fields of `record` under `columns`.
    pub(super) fn of_columns(columns: &[String], record: &'a csv::ByteRecord) -> Result<Self, String> {
        if record.len() != columns.len() {
            return Err(format!("{} fields under {} columns", record.len(), columns.len()));
        }
        let mut line = Line::default();
        for (column, bytes) in columns.iter().zip(record) {
            let text = std::str::from_utf8(bytes).map_err(|_| format!("{column}: no UTF-8"))?;
            if text.contains('\n') {
                return Err(format!("{column}: a quotation mark is not closed on its line"));
            }
            let number = || text.parse().map_err(|_| format!("{column}: a whole number, not {:?}", start(text)));
            let field = match column.as_str() {
                "key" => &mut line.key,
                "government_id" => &mut line.government_id,
                "identity_proof" => &mut line.identity_proof,
                "birth_currency" => &mut line.birth_currency,
                "country" => &mut line.country,
                "name" => &mut line.name,
                "endorsed" => &mut line.endorsed,
                "endorser" => &mut line.endorser,
                "signature" => &mut line.signature,
                "registered_at" => {
                    line.registered_at = Some(number()?);
                    continue;
                }
                "signed_at" => {
                    line.signed_at = Some(number()?);
                    continue;
                }
                _ => continue,
            };
            *field = Some(Cow::Borrowed(text));
        }
        Ok(line)
    }
}

impl From<&User> for Line<'static> {
    fn from(user: &User) -> Self {
        Line {
            key: Some(user.key.to_string().into()),
            government_id: Some(user.government_id.to_string().into()),
            identity_proof: Some(user.identity_proof.to_string().into()),
            birth_currency: Some(user.birth_currency.to_string().into()),
            country: Some(user.country.to_string().into()),
            name: Some(user.name.clone().into()),
            registered_at: Some(user.registered_at),
            endorsements: Some(user.endorsements),
            verified: Some(user.verified),
            ..Line::default()
        }
    }
}

impl From<&Endorsement> for Line<'static> {
    fn from(endorsement: &Endorsement) -> Self {
        Line {
            endorsed: Some(endorsement.endorsed.to_string().into()),
            endorser: Some(endorsement.endorser.to_string().into()),
            signature: Some(to_hex(&endorsement.signature).into()),
            signed_at: Some(endorsement.signed_at),
            ..Line::default()
        }
    }
}
