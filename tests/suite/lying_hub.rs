//! A hub that lies: it stands between a node and the real broker and changes one thing in each answer. The node
//! must show nothing, whatever it is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "lying_hub/backing.rs"]
mod backing;
#[path = "lying_hub/two_histories.rs"]
mod two_histories;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hitmachine_node::Node;
use hitmachine_node::ask::{AskError, AskedPerson, Question};
use hitmachine_proto::v1;
use hitmachine_proto::v1::covenant_service_server::{CovenantService, CovenantServiceServer};
use hitmachine_proto::v1::query_service_server::{QueryService, QueryServiceServer};
use hitmachine_testkit::population::AgeClass;
use hitmachine_tests::wire::Wire;
use hitmachine_tests::world::World;
use hitmachine_tests::{node, screening};
use prost::Message;
use tokio::sync::Barrier;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// What the liar does to one response.
type Lie = Arc<dyn Fn(&mut v1::AskResponse) + Send + Sync>;

/// Another hub, and where its answer waits for the liar's.
type Other = (Wire, Arc<Barrier>);

/// A hub with the real one's certificate, that passes everything on and lies about answers.
#[derive(Clone)]
struct Liar {
    real: Wire,
    lie: Arc<Mutex<Lie>>,
    /// The last honest response.
    last: Arc<Mutex<v1::AskResponse>>,
    /// Other brokers, one for each of the next questions; these wait until all of them are there.
    others: Arc<Mutex<Vec<Other>>>,
}

#[tonic::async_trait]
impl QueryService for Liar {
    async fn ask(&self, request: Request<v1::AskRequest>) -> Result<Response<v1::AskResponse>, Status> {
        let other = self.others.lock().unwrap().pop();
        let real = match other {
            Some((other, all)) => {
                all.wait().await;
                other
            }
            None => self.real.clone(),
        };
        let mut response = real.ask(request.into_inner()).await?;
        let honest = response.clone();
        let lie = Arc::clone(&self.lie.lock().unwrap());
        lie(&mut response);
        *self.last.lock().unwrap() = honest;
        Ok(Response::new(response))
    }
}

#[tonic::async_trait]
impl CovenantService for Liar {
    async fn fetch(&self, _: Request<v1::FetchRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        self.real.fetch().await.map(Response::new)
    }
}

impl Liar {
    async fn start(world: &World) -> (Self, SocketAddr) {
        let honest: Lie = Arc::new(|_| ());
        let real = Wire::of(&world.deployment, "veiligheidshuis", world.address).await;
        let liar = Self {
            real,
            lie: Arc::new(Mutex::new(honest)),
            last: Arc::default(),
            others: Arc::default(),
        };
        let routes = Routes::new(QueryServiceServer::new(liar.clone()))
            .add_service(CovenantServiceServer::new(liar.clone()));
        let address = world.serve_as_hub(routes).await;
        (liar, address)
    }

    fn will(&self, lie: impl Fn(&mut v1::AskResponse) + Send + Sync + 'static) {
        *self.lie.lock().unwrap() = Arc::new(lie);
    }
}

/// One thing changed in a response.
type Change = fn(&mut v1::AskResponse);

/// A household of two: somebody on whom there are answers to swap.
fn household(world: &World, node: &Node) -> Question {
    let mut question = screening(node, world.bsn(AgeClass::Minor), "2015-01-01");
    let second = screening(node, world.bsn(AgeClass::Adult), "1980-01-01");
    let [person]: [AskedPerson; 1] = second.persons.try_into().unwrap();
    question.persons.push(person);
    question
}

fn change_answer(response: &mut v1::AskResponse, place: usize, change: impl Fn(&mut Vec<v1::PartnerAnswer>)) {
    let mut answer = v1::Answer::decode(response.answers[place].answer.as_slice()).unwrap();
    let Some(v1::answer::Outcome::Found(found)) = &mut answer.outcome else {
        panic!("not answered")
    };
    change(&mut found.partners);
    response.answers[place].answer = answer.encode_to_vec();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_of_what_the_log_does_not_prove() {
    let world = World::new(11);
    let broker = world.broker();
    world.sync_all();
    let (liar, address) = Liar::start(&world).await;
    let node = node(&world.deployment, "veiligheidshuis", address).await;
    let question = household(&world, &node);
    // Honest answers pass through the same way: what fails below fails because of the lie.
    for _ in 0..2 {
        assert_eq!(node.inquirer().ask(&question).await.unwrap().persons.len(), 2);
    }

    let lies: [(&str, Change); 15] = [
        ("a hit becomes a miss, or the reverse", |r| {
            change_answer(r, 0, |p| p[0].status = if p[0].status == 1 { 2 } else { 1 });
        }),
        ("could not ask becomes not known", |r| {
            change_answer(r, 1, |p| p[1].status ^= 1);
        }),
        ("a partner is left out", |r| {
            change_answer(r, 0, |p| drop(p.pop()));
        }),
        ("a partner is added", |r| {
            change_answer(r, 0, |p| p.push(p[0].clone()));
        }),
        ("two persons are swapped", |r| r.answers.swap(0, 1)),
        ("only the answers are swapped", |r| {
            let first = r.answers[0].answer.clone();
            r.answers[0].answer = std::mem::replace(&mut r.answers[1].answer, first);
        }),
        ("one person is left out", |r| drop(r.answers.pop())),
        ("the other's receipt", |r| {
            r.answers[0].receipt = r.answers[1].receipt.clone();
        }),
        ("no receipt", |r| r.answers[0].receipt = None),
        ("the opening is changed", |r| {
            *r.answers[0].receipt.as_mut().unwrap().opening.last_mut().unwrap() ^= 1;
        }),
        ("another place in the log", |r| {
            r.answers[0].receipt.as_mut().unwrap().leaf_index ^= 1;
        }),
        ("the path is cut", |r| {
            let path = &mut r.answers[0].receipt.as_mut().unwrap().inclusion;
            path.truncate(path.len() - 32);
        }),
        ("the checkpoint is not signed", |r| {
            let place = r.checkpoint.len() - 5;
            r.checkpoint[place] ^= 1;
        }),
        ("no proof that the log only grew", |r| r.consistency.clear()),
        ("another proof that the log only grew", |r| {
            let proof = &mut r.consistency[0].hashes;
            let place = proof.len() - 1;
            proof[place] ^= 1;
        }),
    ];
    let evidence = world
        .deployment
        .dir()
        .join("nodes/veiligheidshuis/state/evidence");
    for (place, (name, lie)) in lies.into_iter().enumerate() {
        liar.will(lie);
        match node.inquirer().ask(&question).await {
            Err(AskError::NotProven(_)) => {}
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(
            std::fs::read_dir(&evidence).unwrap().count(),
            place + 1,
            "{name}: evidence is kept"
        );
    }

    // An old answer to the same question: another request, and an older log.
    let old = liar.last.lock().unwrap().clone();
    liar.will(move |response| *response = old.clone());
    assert!(
        matches!(node.inquirer().ask(&question).await, Err(AskError::NotProven(_))),
        "replay"
    );

    liar.will(|_| ());
    assert_eq!(
        node.inquirer().ask(&question).await.unwrap().persons.len(),
        2,
        "honest again"
    );
    broker.stop().unwrap();
}

/// The log is put back to an earlier day: the node has seen more of it and shows nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_of_the_log_is_noticed() {
    let world = World::new(12);
    let broker = world.broker();
    let node = node(&world.deployment, "veiligheidshuis", world.address).await;
    let question = screening(&node, world.bsn(AgeClass::Adult), "1980-01-01");
    node.inquirer().ask(&question).await.unwrap();
    broker.stop().unwrap();
    let audit = world.deployment.dir().join("broker/data/audit");
    let backup = hitmachine_tests::logbook::copy(&audit);

    let broker = world.broker();
    for _ in 0..3 {
        node.inquirer().ask(&question).await.unwrap();
    }
    broker.stop().unwrap();
    std::fs::remove_dir_all(&audit).unwrap();
    let restored = std::process::Command::new("cp")
        .arg("-a")
        .arg(backup.path())
        .arg(&audit)
        .status()
        .unwrap();
    assert!(restored.success());

    let broker = world.broker();
    for _ in 0..2 {
        let asked = node.inquirer().ask(&question).await;
        assert!(matches!(asked, Err(AskError::NotProven(_))), "{asked:?}");
    }
    broker.stop().unwrap();
}
