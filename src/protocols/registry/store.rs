//! What a replica of a shard keeps, and what the rules of the registry make of a command.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use super::shards::Shards;
use super::users::{Base, Users};
use crate::contract::{NodeId, SimTime};
use crate::registry::rules::{self, Records, Refusal, Standing};

/// What is asked of a shard, and what its log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum CommandKind {
    /// A leader begins.
    Begin,
    /// `id` is claimed for the user `key`.
    Claim,
    /// The user `key` with `id`, whose claim has `token`, is created.
    Create,
    /// Both, where one shard keeps both.
    Register,
    /// The claim of `id` for `key` is for good: the user exists.
    Confirm,
    /// The claim of `id` for `key` with `token` is given up.
    Release,
    /// `id` endorses `key`.
    Endorse,
    /// The user `key` shall not be created with `id` by claims up to `token`.
    Fence,
    /// Whether the user `key` is registered; is in no log.
    Standing,
    /// The node `id` becomes a member.
    Add,
    /// The node `id` is a member no more.
    Remove,
}

impl CommandKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [CommandKind; 11] = [
        CommandKind::Begin,
        CommandKind::Claim,
        CommandKind::Create,
        CommandKind::Register,
        CommandKind::Confirm,
        CommandKind::Release,
        CommandKind::Endorse,
        CommandKind::Fence,
        CommandKind::Standing,
        CommandKind::Add,
        CommandKind::Remove,
    ];

    /// Whether clients' requests lead to it, by way of a gateway.
    pub const fn is_request(self) -> bool {
        !matches!(self, CommandKind::Begin | CommandKind::Add | CommandKind::Remove)
    }

    /// Whether it changes who the members are.
    pub const fn is_change(self) -> bool {
        matches!(self, CommandKind::Add | CommandKind::Remove)
    }
}

/// A command with its operands; those that it does not have are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What is to be done.
    pub kind: CommandKind,
    /// A user.
    pub key: u32,
    /// A government id, an endorser, or a node.
    pub id: u32,
    /// Which claim: the place of its entry in the log of the government id's shard.
    pub token: u32,
}

impl Command {
    /// A command without a token.
    pub const fn new(kind: CommandKind, key: u32, id: u32) -> Self {
        Command { kind, key, id, token: 0 }
    }
}

/// A command in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// In which term it was appended.
    pub term: u32,
    /// What is to be done.
    pub command: Command,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Outcome {
    /// It is done; of a question, yes.
    Done,
    /// It was done already.
    Repeated,
    /// Somebody else, or with another government id, has the key.
    KeyTaken,
    /// Somebody else has the government id.
    IdTaken,
    /// Who is asked for, or endorsed, is not registered.
    UnknownUser,
    /// Who endorses is not registered.
    UnknownEndorser,
    /// Nobody endorses themselves.
    SelfEndorsement,
    /// Nobody endorses twice.
    EndorsedAlready,
    /// The claim was given up meanwhile.
    Fenced,
}

impl Outcome {
    /// How many there are.
    pub const COUNT: usize = 9;
    /// All of them, in the order of their numbers.
    pub const ALL: [Outcome; Outcome::COUNT] = [
        Outcome::Done,
        Outcome::Repeated,
        Outcome::KeyTaken,
        Outcome::IdTaken,
        Outcome::UnknownUser,
        Outcome::UnknownEndorser,
        Outcome::SelfEndorsement,
        Outcome::EndorsedAlready,
        Outcome::Fenced,
    ];

    /// Whether what was asked for is so.
    pub const fn is_done(self) -> bool {
        matches!(self, Outcome::Done | Outcome::Repeated)
    }
}

impl From<Refusal<u32>> for Outcome {
    fn from(refusal: Refusal<u32>) -> Self {
        match refusal {
            Refusal::KeyTaken => Outcome::KeyTaken,
            Refusal::GovernmentIdTaken { .. } => Outcome::IdTaken,
            Refusal::UnknownUser => Outcome::UnknownUser,
            Refusal::UnknownEndorser => Outcome::UnknownEndorser,
            Refusal::SelfEndorsement => Outcome::SelfEndorsement,
            Refusal::EndorsedAlready => Outcome::EndorsedAlready,
        }
    }
}

/// Who has a government id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The user.
    pub key: u32,
    /// Which claim of the user it is.
    pub token: u32,
    /// Whether the user is known to exist.
    pub confirmed: bool,
    /// When this replica learnt of it, or asked last what became of it.
    pub since: SimTime,
}

/// What a shard has beyond the users that exist at the start.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Store {
    /// New users and their government ids.
    users: BTreeMap<u32, u32>,
    /// Users that have been endorsed, and how often in all.
    standings: BTreeMap<u32, u32>,
    ids: BTreeMap<u32, Claim>,
    /// Government ids that are claimed by users who may not exist yet.
    open: BTreeSet<u32>,
    /// Who is endorsed by whom.
    endorsed: BTreeSet<(u32, u32)>,
    /// By user and government id, the last claim by which the one may not be created with the other.
    fences: BTreeMap<(u32, u32), u32>,
    by_currency: BTreeSet<(u8, u32)>,
}

/// What all replicas know: users, shards and who belongs where.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    /// Who exists at the start.
    pub users: &'a Users,
    /// Who belongs where.
    pub shards: &'a Shards,
    /// Those that exist at the start, by shard.
    pub base: &'a Base,
}

impl Directory<'_> {
    /// Whether the user exists at the start, in `shard`.
    fn is_base(&self, key: u32, shard: u32) -> bool {
        key < self.users.at_start() && self.shards.of_key(self.users, key) == shard
    }

    fn is_base_id(&self, id: u32, shard: u32) -> bool {
        id < self.users.at_start() && self.shards.of_id(self.users, id) == shard
    }
}

impl Store {
    /// The government id of the user `key` of `shard`, if there is such a user.
    pub fn government_id(&self, directory: &Directory<'_>, shard: u32, key: u32) -> Option<u32> {
        if directory.is_base(key, shard) { Some(key) } else { self.users.get(&key).copied() }
    }

    /// New users with their government ids.
    pub fn users(&self) -> impl Iterator<Item = (u32, u32)> {
        self.users.iter().map(|(&key, &id)| (key, id))
    }

    /// How many records there are beyond those at the start: users, claims and endorsements.
    pub fn records(&self) -> [usize; 3] {
        [self.users.len(), self.ids.len(), self.endorsed.len()]
    }

    /// How many claims are open, and how many fences there are.
    pub fn leftovers(&self) -> [usize; 2] {
        [self.open.len(), self.fences.len()]
    }

    /// Whose claim `id` is, if it was claimed after the start.
    pub fn claim(&self, id: u32) -> Option<&Claim> {
        self.ids.get(&id)
    }

    /// Up to `most` claims that are open since `before`; `now` they are looked at.
    pub fn stale_claims(&mut self, before: SimTime, now: SimTime, most: usize) -> Vec<(u32, Claim)> {
        let ids = &self.ids;
        let stale =
            self.open.iter().filter_map(|id| Some((*id, *ids.get(id)?))).filter(|(_, claim)| claim.since < before);
        let stale: Vec<(u32, Claim)> = stale.take(most).collect();
        for (id, _) in &stale {
            self.ids.entry(*id).and_modify(|claim| claim.since = now);
        }
        stale
    }

    /// Appends up to `most` users with `currency` to `out`, four bytes each, little-endian.
    pub fn page(&self, directory: &Directory<'_>, shard: u32, currency: u8, most: usize, out: &mut Vec<u8>) {
        let old = directory.base.with_currency(directory.users, shard, currency).iter().copied();
        let new = self.by_currency.range((currency, 0)..=(currency, u32::MAX)).map(|&(_, key)| key);
        old.chain(new).take(most).for_each(|key| out.extend_from_slice(&key.to_le_bytes()));
    }

    /// Memory, in bytes: keys and values, with the share of the nodes of maps that stands empty.
    pub fn bytes(&self) -> usize {
        let maps = self.users.len() * 8
            + self.standings.len() * 8
            + self.ids.len() * (4 + size_of::<Claim>())
            + self.open.len() * 4
            + self.endorsed.len() * 8
            + self.fences.len() * 12
            + self.by_currency.len() * 8;
        maps * 3 / 2
    }

    /// Does what the entry at `index` of the log says, which is committed.
    pub fn apply(&mut self, directory: &Directory<'_>, command: &Command, index: u32, now: SimTime) {
        let Command { kind, key, id, token } = *command;
        match kind {
            CommandKind::Claim => {
                self.ids.insert(id, Claim { key, token: index, confirmed: false, since: now });
                self.open.insert(id);
            }
            CommandKind::Create => self.create(directory, key, id),
            CommandKind::Register => {
                self.ids.insert(id, Claim { key, token: index, confirmed: true, since: now });
                self.create(directory, key, id);
            }
            CommandKind::Confirm => {
                if let Some(claim) = self.ids.get_mut(&id).filter(|claim| claim.key == key) {
                    claim.confirmed = true;
                    self.open.remove(&id);
                }
            }
            CommandKind::Release => {
                if self.ids.get(&id).is_some_and(|claim| claim.is_open_for(key, token)) {
                    self.ids.remove(&id);
                    self.open.remove(&id);
                }
            }
            CommandKind::Endorse => {
                if self.endorsed.insert((key, id)) {
                    let at_start = if self.users.contains_key(&key) { 0 } else { directory.users.endorsements(key) };
                    *self.standings.entry(key).or_insert(at_start) += 1;
                }
            }
            CommandKind::Fence => {
                let fence = self.fences.entry((key, id)).or_default();
                *fence = token.max(*fence);
            }
            CommandKind::Begin | CommandKind::Standing | CommandKind::Add | CommandKind::Remove => {}
        }
    }

    fn create(&mut self, directory: &Directory<'_>, key: u32, id: u32) {
        self.users.insert(key, id);
        self.by_currency.insert((directory.users.currency(key), key));
    }
}

impl Claim {
    /// Whether it is the claim `token` of `key`, and the user is not known to exist.
    fn is_open_for(&self, key: u32, token: u32) -> bool {
        self.key == key && self.token == token && !self.confirmed
    }
}

/// The records of a shard as they will be when all of the leader's log is committed.
#[derive(Clone, Copy, Debug)]
pub struct Tentative<'a> {
    /// What all know.
    pub directory: Directory<'a>,
    /// Which shard it is.
    pub shard: u32,
    /// What is committed.
    pub store: &'a Store,
    /// What is not, and where in the log it begins.
    pub pending: &'a [Entry],
    /// As above.
    pub first: u32,
}

/// What a leader makes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes into the log, and is done when it is committed.
    Append,
    /// It changes nothing; this is the answer when all that it rests on is committed.
    Answer(Outcome),
}

impl Tentative<'_> {
    fn commands(&self) -> impl Iterator<Item = (u32, &Command)> {
        (self.first..).zip(self.pending.iter().map(|entry| &entry.command))
    }

    /// The government id of the user `key`, if there is such a user.
    fn government_id(&self, key: u32) -> Option<u32> {
        let is_creation = |command: &&Command| {
            command.key == key && matches!(command.kind, CommandKind::Create | CommandKind::Register)
        };
        let pending = || self.pending.iter().map(|entry| &entry.command).find(is_creation).map(|command| command.id);
        self.store.government_id(&self.directory, self.shard, key).or_else(pending)
    }

    /// Whose claim `id` is, the users that exist at the start included.
    fn claim_of(&self, id: u32) -> Option<Claim> {
        let since = SimTime::ZERO;
        if self.directory.is_base_id(id, self.shard) {
            return Some(Claim { key: id, token: 0, confirmed: true, since });
        }
        let mut claim = self.store.ids.get(&id).copied();
        for (index, command) in self.commands().filter(|(_, command)| command.id == id) {
            let Command { kind, key, token, .. } = *command;
            match kind {
                CommandKind::Claim => claim = Some(Claim { key, token: index, confirmed: false, since }),
                CommandKind::Register => claim = Some(Claim { key, token: index, confirmed: true, since }),
                CommandKind::Confirm => {
                    claim.iter_mut().filter(|claim| claim.key == key).for_each(|claim| claim.confirmed = true);
                }
                CommandKind::Release => claim = claim.filter(|claim| !claim.is_open_for(key, token)),
                _ => {}
            }
        }
        claim
    }

    fn fence(&self, key: u32, id: u32) -> u32 {
        let pending = self.pending.iter().map(|entry| entry.command);
        let pending =
            pending.filter(|command| (command.kind, command.key, command.id) == (CommandKind::Fence, key, id));
        let last = pending.map(|command| command.token).max().unwrap_or(0);
        last.max(self.store.fences.get(&(key, id)).copied().unwrap_or(0))
    }

    /// What the rules make of `command`, which a request may be.
    pub fn decide(&self, command: &Command) -> Decision {
        let Command { kind, key, id, token } = *command;
        let ruled = |ruling: Result<(), Refusal<u32>>| match ruling {
            Ok(()) => Decision::Append,
            Err(refusal) => Decision::Answer(refusal.into()),
        };
        let exists = self.government_id(key) == Some(id);
        match kind {
            CommandKind::Claim => {
                let is_repeated = self.claim_of(id).is_some_and(|claim| claim.key == key && claim.confirmed);
                // A claim that is not confirmed is made anew, so that what gives up the old one does not meet it.
                if is_repeated {
                    Decision::Answer(Outcome::Repeated)
                } else {
                    ruled(sure(rules::claim(self, &id, &key)))
                }
            }
            CommandKind::Create | CommandKind::Register if exists => Decision::Answer(Outcome::Repeated),
            CommandKind::Create if token <= self.fence(key, id) => Decision::Answer(Outcome::Fenced),
            CommandKind::Create => ruled(sure(rules::create(self, &key))),
            CommandKind::Register => ruled(sure(rules::register(self, &key, &id))),
            CommandKind::Confirm => {
                let is_open = self.claim_of(id).is_some_and(|claim| claim.key == key && !claim.confirmed);
                if is_open { Decision::Append } else { Decision::Answer(Outcome::Repeated) }
            }
            CommandKind::Release => {
                let is_open = self.claim_of(id).is_some_and(|claim| claim.is_open_for(key, token));
                if is_open { Decision::Append } else { Decision::Answer(Outcome::Repeated) }
            }
            CommandKind::Endorse => {
                let enough = self.directory.users.enough();
                let is_here = self.directory.shards.of_key(self.directory.users, id) == self.shard;
                let rule = if is_here { rules::endorse } else { rules::receive };
                ruled(sure(rule(self, &key, &id, enough)).map(|_| ()))
            }
            CommandKind::Fence if exists => Decision::Answer(Outcome::Repeated),
            CommandKind::Fence => Decision::Append,
            CommandKind::Standing => {
                let found = sure(self.standing(&key)).is_some();
                Decision::Answer(if found { Outcome::Done } else { Outcome::UnknownUser })
            }
            CommandKind::Begin | CommandKind::Add | CommandKind::Remove => Decision::Answer(Outcome::UnknownUser),
        }
    }
}

/// What cannot fail.
fn sure<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}

impl Records for Tentative<'_> {
    type Key = u32;
    type GovernmentId = u32;
    type Error = Infallible;

    fn standing(&self, key: &u32) -> Result<Option<Standing>, Infallible> {
        if self.government_id(*key).is_none() {
            return Ok(None);
        }
        let users = self.directory.users;
        let at_start = if self.directory.is_base(*key, self.shard) { users.endorsements(*key) } else { 0 };
        let committed = self.store.standings.get(key).copied().unwrap_or(at_start);
        let endorses = |entry: &&Entry| (entry.command.kind, entry.command.key) == (CommandKind::Endorse, *key);
        let endorsements = committed + self.pending.iter().filter(endorses).count() as u32;
        Ok(Some(Standing { endorsements, verified: endorsements >= users.enough() }))
    }

    fn owner(&self, government_id: &u32) -> Result<Option<u32>, Infallible> {
        Ok(self.claim_of(*government_id).map(|claim| claim.key))
    }

    fn is_endorsed_by(&self, endorsed: &u32, endorser: &u32) -> Result<bool, Infallible> {
        let users = self.directory.users;
        let at_start = self.directory.is_base(*endorsed, self.shard) && users.is_endorsed_by(*endorsed, *endorser);
        let pending = self.pending.iter().map(|entry| entry.command);
        let mut same = pending.filter(|other| *other == Command::new(CommandKind::Endorse, *endorsed, *endorser));
        Ok(at_start || self.store.endorsed.contains(&(*endorsed, *endorser)) || same.next().is_some())
    }
}

/// Whether `node` is a member after `command`, if that changes it.
pub(super) fn changes(command: &Command) -> Option<(NodeId, bool)> {
    command.kind.is_change().then_some((command.id, command.kind == CommandKind::Add))
}
