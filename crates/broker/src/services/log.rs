//! `LogService`: the published log, for partners.

use hitmachine_proto::v1;
use hitmachine_proto::v1::log_service_server::LogService;
use tonic::{Request, Response, Status};

use super::Shared;

#[tonic::async_trait]
impl LogService for Shared {
    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::CheckpointResponse>, Status> {
        self.partner(&request)?;
        let publication = self.publication.clone();
        let note = self.blocking(move || publication.checkpoint()).await?;
        Ok(Response::new(v1::CheckpointResponse { note }))
    }

    async fn tile(&self, request: Request<v1::TileRequest>) -> Result<Response<v1::TileResponse>, Status> {
        self.partner(&request)?;
        let publication = self.publication.clone();
        let path = request.into_inner().path;
        let content = self.blocking(move || publication.file(&path)).await?;
        Ok(Response::new(v1::TileResponse { content }))
    }
}
