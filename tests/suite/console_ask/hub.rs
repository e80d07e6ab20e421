//! A hub that stands between a node and the real broker, and does something else with answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hitmachine_proto::v1;
use hitmachine_proto::v1::covenant_service_server::{CovenantService, CovenantServiceServer};
use hitmachine_proto::v1::query_service_server::{QueryService, QueryServiceServer};
use hitmachine_tests::wire::Wire;
use hitmachine_tests::world::World;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// What it does with an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Passes it on.
    Honest,
    /// Loses it: the question is in the log, and nobody hears of it.
    Loses,
    /// Changes its proof.
    Lies,
}

/// The hub.
#[derive(Clone)]
pub(crate) struct Hub {
    real: Wire,
    deed: Arc<Mutex<Deed>>,
}

impl Hub {
    /// Starts one, and says where it listens.
    pub(crate) async fn start(world: &World) -> (Self, SocketAddr) {
        let hub = Self {
            real: Wire::of(&world.deployment, "veiligheidshuis", world.address).await,
            deed: Arc::new(Mutex::new(Deed::Honest)),
        };
        let routes = Routes::new(QueryServiceServer::new(hub.clone()))
            .add_service(CovenantServiceServer::new(hub.clone()));
        let address = world.serve_as_hub(routes).await;
        (hub, address)
    }

    /// What it does from now on.
    pub(crate) fn will(&self, deed: Deed) {
        *self.deed.lock().unwrap() = deed;
    }
}

#[tonic::async_trait]
impl QueryService for Hub {
    async fn ask(&self, request: Request<v1::AskRequest>) -> Result<Response<v1::AskResponse>, Status> {
        let mut response = self.real.ask(request.into_inner()).await?;
        let deed = *self.deed.lock().unwrap();
        match deed {
            Deed::Honest => Ok(Response::new(response)),
            Deed::Loses => Err(Status::deadline_exceeded("lost")),
            Deed::Lies => {
                response.answers[0].receipt.as_mut().unwrap().leaf_index ^= 1;
                Ok(Response::new(response))
            }
        }
    }
}

#[tonic::async_trait]
impl CovenantService for Hub {
    async fn fetch(&self, _: Request<v1::FetchRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        self.real.fetch().await.map(Response::new)
    }
}
