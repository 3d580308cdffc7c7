//! What a process asks of the others that run a scenario with it. One that is alone agrees with itself.

use super::super::Failure;
use super::told_elsewhere;
use crate::contract::Share;
use crate::engine::Ranks;

/// The processes that run a scenario together, of which this is one. All of them make the same calls in the same order.
pub(in crate::cli) struct Company<'a> {
    ranks: Option<&'a dyn Ranks>,
    /// Ends the others.
    abandon: &'a (dyn Fn(&Failure) + Sync),
}

impl<'a> Company<'a> {
    /// This process alone.
    pub(in crate::cli) const ALONE: Company<'static> = Company { ranks: None, abandon: &|_| () };

    /// This process and the other `ranks`, which `abandon` ends, with this one.
    #[cfg(feature = "mpi")]
    pub(super) fn of(ranks: &'a dyn Ranks, abandon: &'a (dyn Fn(&Failure) + Sync)) -> Self {
        Company { ranks: Some(ranks), abandon }
    }

    /// The others; `None` if there are none.
    pub(in crate::cli) fn ranks(&self) -> Option<&'a dyn Ranks> {
        self.ranks
    }

    /// Which of the processes this is.
    pub(in crate::cli) fn share(&self) -> Share {
        self.ranks.map_or(Share::WHOLE, Ranks::share)
    }

    /// Whether this is the one that writes and prints.
    pub(in crate::cli) fn is_first(&self) -> bool {
        self.share().rank() == 0
    }

    /// Whether any process says so.
    pub(in crate::cli) fn any(&self, own: bool) -> bool {
        let mut any = [u64::from(own)];
        if let Some(ranks) = self.ranks {
            ranks.max(&mut any);
        }
        any[0] > 0
    }

    /// What this process has, if all have theirs. Else the first of those that failed says why.
    pub(in crate::cli) fn agree<T>(&self, own: Result<T, Failure>) -> Result<T, Failure> {
        let Some(ranks) = self.ranks else { return own };
        let share = ranks.share();
        let is_told = own.as_ref().is_err_and(|failure| !failure.message.is_empty());
        // The first rank that failed has the largest number.
        let number = if is_told { (share.ranks() - share.rank()) as u64 } else { 0 };
        let mut first = [number];
        ranks.max(&mut first);
        match own {
            Ok(own) if first[0] == 0 => Ok(own),
            Err(failure) if first[0] == number => Err(failure),
            _ => Err(told_elsewhere()),
        }
    }

    /// What only the first process does, if it could.
    pub(in crate::cli) fn first<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<Option<T>, Failure> {
        self.agree(self.is_first().then(work).transpose())
    }

    /// What all processes bring, in order; nothing on all but the first.
    pub(in crate::cli) fn gather(&self, own: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(ranks) = self.ranks else { return vec![own] };
        let (mut outgoing, mut incoming) = (vec![Vec::new(); ranks.share().ranks()], vec![]);
        incoming.resize(outgoing.len(), Vec::new());
        if self.is_first() {
            ranks.swap(&outgoing, &mut incoming);
            incoming[0] = own;
            return incoming;
        }
        outgoing[0] = own;
        ranks.swap(&outgoing, &mut incoming);
        Vec::new()
    }

    /// The failure of this process alone, of which the others do not know: it ends them.
    pub(in crate::cli) fn abandon(&self, failure: Failure) -> Failure {
        (self.abandon)(&failure);
        failure
    }
}
