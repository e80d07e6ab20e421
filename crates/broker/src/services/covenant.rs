//! `CovenantService`.

use hitmachine_proto::v1;
use hitmachine_proto::v1::covenant_service_server::CovenantService;
use tonic::{Request, Response, Status};

use super::Shared;

#[tonic::async_trait]
impl CovenantService for Shared {
    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        self.partner(&request)?;
        Ok(Response::new(v1::FetchResponse {
            covenant: self.rules.agreed().file.clone(),
            ..self.public.as_ref().clone()
        }))
    }
}
