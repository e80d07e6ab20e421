//! `CovenantService`.

use hitmachine_core::covenant::Document;
use hitmachine_proto::v1;
use hitmachine_proto::v1::covenant_service_server::CovenantService;
use tonic::{Request, Response, Status};

use super::Shared;

/// The most bytes of earlier covenants that are sent along; a node that missed more is told so, and is given a newer
/// list of administrators in its configuration.
const MOST_MISSED: usize = 2 * 1024 * 1024;

#[tonic::async_trait]
impl CovenantService for Shared {
    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        let partner = self.partner(&request)?;
        if self.registers.hear(&partner, &request.get_ref().held) {
            tracing::error!(%partner, "a node has another pseudonym key than its key epoch's");
            self.alarms.raise("wrong_key", partner.as_str());
        }
        let agreed = self.rules.agreed();
        let mut fetched = v1::FetchResponse {
            covenant: agreed.document.file.clone(),
            covenant_signatures: agreed.document.signatures.clone(),
            missed: missed(&agreed.before, request.get_ref().held_number),
            ..self.public.as_ref().clone()
        };
        self.registers.describe(&mut fetched);
        Ok(Response::new(fetched))
    }
}

/// Those after the one that the node holds, oldest first; of too many the newest.
fn missed(before: &[(u32, Document)], held: u32) -> Vec<v1::SignedCovenant> {
    // A node that holds none trusts the administrators in its configuration, who may have signed any of them.
    let after = before.iter().filter(|(number, _)| *number > held);
    let mut room = MOST_MISSED;
    let mut missed = Vec::new();
    for (_, document) in after.rev() {
        let Some(left) = room.checked_sub(document.file.len() + document.signatures.len()) else {
            break;
        };
        room = left;
        missed.push(v1::SignedCovenant {
            covenant: document.file.clone(),
            signatures: document.signatures.clone(),
        });
    }
    missed.reverse();
    missed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_gets_what_it_missed_in_order_and_within_bounds() {
        let before: Vec<(u32, Document)> = (1..=5)
            .map(|number| {
                let size = if number == 2 { MOST_MISSED } else { 10 };
                let file = vec![u8::try_from(number).unwrap(); size];
                let signatures = Vec::new();
                (number, Document { file, signatures })
            })
            .collect();
        let numbers = |held| -> Vec<u8> {
            missed(&before, held)
                .iter()
                .map(|each| each.covenant[0])
                .collect()
        };
        assert_eq!(numbers(3), [4, 5]);
        assert_eq!(numbers(9), [0u8; 0]);
        assert_eq!(numbers(0), [3, 4, 5], "the newest, up to one that is too long");
    }
}
