//! `QueryService`.

use hitmachine_proto::v1;
use hitmachine_proto::v1::query_service_server::QueryService;
use tonic::{Request, Response, Status};

use super::{Shared, ask_status};

#[tonic::async_trait]
impl QueryService for Shared {
    async fn ask(&self, request: Request<v1::AskRequest>) -> Result<Response<v1::AskResponse>, Status> {
        let asker = self.peers.identify(&request)?;
        let answered = self.hub()?.ask(&asker, request.into_inner()).await;
        answered.map(Response::new).map_err(|error| ask_status(&error))
    }
}
