//! What one peer may have at the same time, over all its connections: however many it opens, the others keep their part.
//!
//! A peer is what its certificate says, the OIN. Those without one are refused by every handler; until then they are one
//! peer together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::tls::certificate_facts;

/// Everybody who is connected.
#[derive(Debug)]
pub(super) struct Peers {
    most_connections: usize,
    most_requests: usize,
    present: Arc<Mutex<HashMap<String, Present>>>,
}

#[derive(Debug)]
struct Present {
    connections: usize,
    requests: Arc<Semaphore>,
}

/// A connection that is counted as its peer's; not any more when it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    oin: String,
    requests: Arc<Semaphore>,
    most_requests: usize,
    present: Arc<Mutex<HashMap<String, Present>>>,
}

impl Peers {
    pub(super) fn new(most_connections: usize, most_requests: usize) -> Self {
        Self {
            most_connections: most_connections.max(1),
            most_requests: most_requests.clamp(1, Semaphore::MAX_PERMITS),
            present: Arc::default(),
        }
    }

    /// Counts a connection; `None` if its peer has as many as it may.
    pub(super) fn admit(&self, certificates: Option<&[CertificateDer<'_>]>) -> Option<Admitted> {
        let leaf = certificates.and_then(<[_]>::first);
        let oin = leaf.and_then(|leaf| certificate_facts(leaf).ok());
        let oin = oin.map_or_else(String::new, |facts| facts.oin);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let own = present.entry(oin.clone()).or_insert_with(|| Present {
            connections: 0,
            requests: Arc::new(Semaphore::new(self.most_requests)),
        });
        if own.connections >= self.most_connections {
            return None;
        }
        own.connections += 1;
        Some(Admitted {
            oin,
            requests: Arc::clone(&own.requests),
            most_requests: self.most_requests,
            present: Arc::clone(&self.present),
        })
    }
}

impl Admitted {
    /// What its peer's requests take one of.
    pub(super) fn requests(&self) -> &Arc<Semaphore> {
        &self.requests
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Occupied(mut own) = present.entry(std::mem::take(&mut self.oin)) else {
            return;
        };
        let peer = own.get_mut();
        peer.connections -= 1;
        // What it still has under way counts when it comes back.
        if peer.connections == 0 && peer.requests.available_permits() == self.most_requests {
            own.remove();
        }
    }
}

/// A request that counts as its peer's until this and all its copies are dropped. A handler that goes on with something
/// after its call may have ended takes it along, from the request's extensions.
#[derive(Clone, Debug)]
pub struct UnderWay {
    _place: Arc<OwnedSemaphorePermit>,
}

impl UnderWay {
    /// `None` if the peer has as many requests under way as it may.
    pub(super) fn begin(requests: &Arc<Semaphore>) -> Option<Self> {
        let place = Arc::clone(requests).try_acquire_owned().ok()?;
        Some(Self {
            _place: Arc::new(place),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_part_and_gives_it_back() {
        let peers = Peers::new(2, 3);
        let first = peers.admit(None).unwrap();
        let second = peers.admit(None).unwrap();
        assert!(peers.admit(None).is_none(), "a third connection");
        // Its requests are counted over both.
        let held: Vec<_> = [&first, &second, &first]
            .iter()
            .map(|own| UnderWay::begin(own.requests()).unwrap())
            .collect();
        assert!(UnderWay::begin(second.requests()).is_none(), "a fourth request");
        let copy = held[0].clone();
        drop((held, first, second));
        // What goes on after its connections have ended still counts.
        let again = peers.admit(None).unwrap();
        let two: Vec<_> = (0..2)
            .map(|_| UnderWay::begin(again.requests()).unwrap())
            .collect();
        assert!(UnderWay::begin(again.requests()).is_none());
        drop(copy);
        assert!(UnderWay::begin(again.requests()).is_some());
        drop((two, again));
        assert!(peers.present.lock().unwrap().is_empty(), "nothing is kept");
    }
}
