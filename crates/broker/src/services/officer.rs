//! `OfficerService`.

use hitmachine_proto::v1;
use hitmachine_proto::v1::officer_service_server::OfficerService;
use tonic::{Request, Response, Status};

use super::{Shared, act_status};

#[tonic::async_trait]
impl OfficerService for Shared {
    async fn act(
        &self,
        request: Request<v1::OfficerRequest>,
    ) -> Result<Response<v1::OfficerResponse>, Status> {
        let asker = self.peers.identify(&request)?;
        let acted = self.office()?.act(&asker, request.into_inner()).await;
        acted.map(Response::new).map_err(|error| act_status(&error))
    }
}
