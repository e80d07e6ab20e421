//! `CovenantService`.

use hitmachine_proto::v1;
use hitmachine_proto::v1::covenant_service_server::CovenantService;
use tonic::{Request, Response, Status};

use super::Shared;

#[tonic::async_trait]
impl CovenantService for Shared {
    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        let asker = self.peers.identify(&request)?;
        let refused = |refusal: hitmachine_core::Refusal| {
            Status::permission_denied(format!("{}: {refusal}", refusal.code()))
        };
        self.hub.covenant().identify(&asker).map_err(refused)?;
        Ok(Response::new(self.hub.public_parameters()))
    }
}
