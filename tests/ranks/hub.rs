//! Ranks that are threads of one process.

use std::sync::{Barrier, Mutex};

use qnetsim::contract::Share;
use qnetsim::engine::Ranks;

/// Where ranks meet.
struct Hub {
    barrier: Barrier,
    values: Mutex<Vec<Vec<u64>>>,
    mail: Mutex<Vec<Vec<Vec<u8>>>>,
}

struct Member<'h> {
    hub: &'h Hub,
    share: Share,
}

impl Member<'_> {
    fn reduce(&self, values: &mut [u64], join: impl Fn(u64, u64) -> u64) {
        self.hub.values.lock().unwrap()[self.share.rank()] = values.to_vec();
        self.hub.barrier.wait();
        let all = self.hub.values.lock().unwrap().clone();
        for (place, value) in values.iter_mut().enumerate() {
            *value = all.iter().map(|values| values[place]).reduce(&join).unwrap();
        }
        self.hub.barrier.wait();
    }
}

impl Ranks for Member<'_> {
    fn share(&self) -> Share {
        self.share
    }

    fn max(&self, values: &mut [u64]) {
        self.reduce(values, u64::max);
    }

    fn sum(&self, values: &mut [u64]) {
        self.reduce(values, u64::wrapping_add);
    }

    fn swap(&self, outgoing: &[Vec<u8>], incoming: &mut [Vec<u8>]) {
        let own = self.share.rank();
        assert!(outgoing[own].is_empty(), "nothing is sent to oneself");
        self.hub.mail.lock().unwrap()[own] = outgoing.to_vec();
        self.hub.barrier.wait();
        for (from, bytes) in incoming.iter_mut().enumerate().filter(|(from, _)| *from != own) {
            *bytes = self.hub.mail.lock().unwrap()[from][own].clone();
        }
        self.hub.barrier.wait();
    }
}

/// What each of `ranks` ranks makes of `work`.
pub(crate) fn each_rank<R: Send>(ranks: usize, work: impl Fn(&dyn Ranks) -> R + Sync) -> Vec<R> {
    let hub = Hub {
        barrier: Barrier::new(ranks),
        values: Mutex::new(vec![Vec::new(); ranks]),
        mail: Mutex::new(vec![Vec::new(); ranks]),
    };
    let (hub, work) = (&hub, &work);
    std::thread::scope(|scope| {
        let start = |rank| scope.spawn(move || work(&Member { hub, share: Share::new(rank, ranks) }));
        let started: Vec<_> = (0..ranks).map(start).collect();
        started.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}
