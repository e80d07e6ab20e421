//! Who is on the other side of a connection: what its certificate says, never a field of a message.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use hitmachine_core::Asker;
use hitmachine_service::tls::certificate_facts;
use tonic::{Request, Status};

/// More certificates than a covenant has partners, also while they are being renewed.
const REMEMBERED: usize = 1024;

/// Reads certificates, and remembers those it has read: a connection asks thousands of times.
#[derive(Default)]
pub(crate) struct Peers {
    seen: RwLock<HashMap<Vec<u8>, Asker>>,
}

impl Peers {
    /// The organisation that the request's client certificate names.
    pub(crate) fn identify<T>(&self, request: &Request<T>) -> Result<Asker, Status> {
        let certificates = request.peer_certs();
        let leaf = certificates.as_ref().and_then(|chain| chain.first());
        let leaf = leaf.ok_or_else(|| Status::unauthenticated("no client certificate"))?;
        if let Some(asker) = self
            .seen
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(leaf.as_ref())
        {
            return Ok(asker.clone());
        }
        let facts = certificate_facts(leaf).map_err(|_| {
            Status::unauthenticated("the client certificate names no OIN in subject.serialNumber")
        })?;
        let oin = facts.oin.parse().map_err(|_| {
            Status::unauthenticated("the OIN in the client certificate does not have the required form")
        })?;
        let asker = Asker {
            oin,
            public_key_sha256: facts.public_key_sha256,
        };
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(leaf.as_ref().to_vec(), asker.clone());
        Ok(asker)
    }
}
