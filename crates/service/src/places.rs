//! So many at a time, and nobody can take all: when the places are full, the newcomer gets one, and whoever has had
//! one longest makes room, of the address that holds the most.
//!
//! Waiting for a free place would let one machine that holds all of them shut out everybody else. This way a machine
//! that opens connections without end only pushes out its own, as long as others hold fewer; and behind one address, such as
//! that of a gateway, what has been open longest goes first, which is what does nothing.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// As many connections as wanted, but no more than this part of the files that the process may have open: a database or a log
/// that can open no file any more is worse than a connection too few. As wanted where the system does not say.
pub fn affordable(wanted: usize, part: usize) -> usize {
    let most = most_files(&std::fs::read_to_string("/proc/self/limits").unwrap_or_default());
    let most = most.map_or(wanted, |most| (most / part.max(1)).max(1));
    if most < wanted {
        tracing::warn!(
            wanted,
            most,
            "this process may have few files open and so takes fewer connections; raise LimitNOFILE"
        );
    }
    wanted.min(most)
}

/// The soft limit, out of the text of proc(5).
fn most_files(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Places for connections whose peer nobody knows yet. Clone it to keep a handle.
#[derive(Clone, Debug)]
pub struct Places {
    most: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    count: usize,
    /// The oldest first; dropping a sender tells its place to go.
    by_address: HashMap<IpAddr, VecDeque<(u64, oneshot::Sender<()>)>>,
}

/// One place; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    number: u64,
    address: IpAddr,
    told: oneshot::Receiver<()>,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    /// So many places, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            taken: Arc::default(),
        }
    }

    /// A place for a connection from `address`. Somebody else's [`Place::lost`] may resolve for it.
    pub fn take(&self, address: IpAddr) -> Place {
        let address = holder(address);
        let mut taken = lock(&self.taken);
        if taken.count >= self.most {
            taken.make_room();
        }
        let number = taken.next;
        taken.next += 1;
        taken.count += 1;
        let (tell, told) = oneshot::channel();
        taken
            .by_address
            .entry(address)
            .or_default()
            .push_back((number, tell));
        Place {
            number,
            address,
            told,
            taken: Arc::clone(&self.taken),
        }
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        lock(&self.taken).count
    }
}

impl Taken {
    fn make_room(&mut self) {
        let longest = self
            .by_address
            .iter()
            .filter_map(|(address, held)| Some((held.len(), held.front()?.0, *address)))
            .max_by_key(|(held, oldest, _)| (*held, std::cmp::Reverse(*oldest)));
        if let Some((_, number, address)) = longest {
            self.remove(address, number);
        }
    }

    fn remove(&mut self, address: IpAddr, number: u64) {
        let Some(held) = self.by_address.get_mut(&address) else {
            return;
        };
        // In order, so that a flood of thousands does not cost a walk through all of them each time.
        let Ok(at) = held.binary_search_by_key(&number, |(each, _)| *each) else {
            return;
        };
        held.remove(at);
        self.count -= 1;
        if held.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl Place {
    /// Resolves when the place is somebody else's; whoever holds it ends what it does.
    pub async fn lost(&mut self) {
        // Nothing is ever sent: the end of the sender is the message.
        let _ = (&mut self.told).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).remove(self.address, self.number);
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who holds an address: of IPv6, a machine has the whole network of 64 bits to choose from.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Whether it has lost its place.
    fn is_lost(place: &mut Place) -> bool {
        place.told.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn the_oldest_of_the_greediest_makes_room() {
        let places = Places::new(4);
        let mut first = places.take(v4(1));
        let mut greedy: Vec<Place> = (0..3).map(|_| places.take(v4(2))).collect();
        for round in 0..3 {
            let mut next = places.take(v4(2));
            assert!(is_lost(&mut greedy[round]) && !is_lost(&mut next), "{round}");
            greedy.push(next);
            assert_eq!(places.taken(), 4);
        }
        // Others come, and it is always the greedy one who goes, until nobody has more than another.
        let mut others: Vec<Place> = (3..=4).map(|last| places.take(v4(last))).collect();
        assert_eq!(greedy.iter_mut().map(is_lost).filter(|lost| !lost).count(), 1);
        assert!(!is_lost(&mut first) && others.iter_mut().all(|place| !is_lost(place)));
        // One each: the oldest goes.
        let _fifth = places.take(v4(5));
        assert!(is_lost(&mut first) && others.iter_mut().all(|place| !is_lost(place)));
        assert_eq!(places.taken(), 4);
    }

    #[test]
    fn a_place_that_is_left_is_free() {
        let places = Places::new(2);
        let mut kept = places.take(v4(1));
        for _ in 0..10 {
            drop(places.take(v4(1)));
        }
        assert!(!is_lost(&mut kept));
        assert_eq!(places.taken(), 1);
        let _second = places.take(v4(1));
        let _third = places.take(v4(1));
        assert!(is_lost(&mut kept));
        // Who has lost a place does not free another's.
        drop(kept);
        assert_eq!(places.taken(), 2);
    }

    #[test]
    fn connections_leave_files_for_the_rest() {
        let limits = "Limit        Soft Limit   Hard Limit  Units\nMax open files            1024        524288     files\n";
        assert_eq!(most_files(limits), Some(1024));
        assert_eq!(most_files("Max open files   unlimited  unlimited files"), None);
        assert_eq!(most_files(""), None);
        let most = most_files(&std::fs::read_to_string("/proc/self/limits").unwrap()).unwrap();
        assert_eq!(affordable(usize::MAX, 2), most / 2);
        assert_eq!(affordable(1, 2), 1);
        assert_eq!(affordable(5, usize::MAX), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_holder() {
        let places = Places::new(3);
        let mut other = places.take("2001:db8:2::1".parse().unwrap());
        let mut first = places.take("2001:db8:1::1".parse().unwrap());
        let _second = places.take("2001:db8:1::2".parse().unwrap());
        let _third = places.take("2001:db8:1::3".parse().unwrap());
        assert!(is_lost(&mut first) && !is_lost(&mut other));
        assert_eq!(holder("::ffff:192.0.2.1".parse().unwrap()), v4(1));
    }

    #[tokio::test]
    async fn who_waits_is_told() {
        let places = Places::new(1);
        let mut first = places.take(v4(1));
        let waiting = tokio::spawn(async move { first.lost().await });
        let _second = places.take(v4(1));
        tokio::time::timeout(std::time::Duration::from_secs(10), waiting)
            .await
            .unwrap()
            .unwrap();
    }
}
