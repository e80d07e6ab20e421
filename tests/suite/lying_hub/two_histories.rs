//! A hub with two histories for one node: as its answers (F2), and as what it is to cosign (F1, F4).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hitmachine_audit::{AddCheckpoint, Checkpoint, Evidence, Front, LogSigner, Origin, Verdict, leaf_hash};
use hitmachine_proto::v1::hub_message::Message as ToNode;
use hitmachine_proto::v1::witness_message::Message as FromNode;
use hitmachine_proto::v1::witness_service_server::{WitnessService, WitnessServiceServer};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::{COORDINATOR, LOG_ORIGIN};
use hitmachine_testkit::process::{BrokerProcess, free_address, program};
use hitmachine_tests::logbook;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::*;

/// What the evidence in a node's folder shows.
pub(crate) fn verdicts(world: &World, partner: &str) -> Vec<Verdict> {
    let verifier = logbook::verifier(&world.deployment);
    let dir = world.path(&format!("nodes/{partner}/state/evidence"));
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "evidence"))
        .collect();
    // The names begin with the time.
    files.sort();
    let verdict = |path: &std::path::PathBuf| {
        let evidence = Evidence::parse(&std::fs::read(path).unwrap()).unwrap();
        evidence.verify(&verifier).unwrap()
    };
    files.iter().map(verdict).collect()
}

fn copied(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// F2: two answers at once, each of which continues what the node holds, on two branches. Both are shown, and from
/// then on the node asks each side for the other's head.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_answers_on_two_branches_are_noticed_at_the_next() {
    let world = World::new(15);
    let broker = world.broker();
    let (liar, address) = Liar::start(&world).await;
    let node = Arc::new(node(&world.deployment, COORDINATOR, address).await);
    let question = screening(&node, world.bsn(AgeClass::Adult), "1980-01-01");
    node.inquirer().ask(&question).await.unwrap();
    broker.stop().unwrap();

    for folder in ["data", "audit-keys"] {
        copied(
            &world.path("broker").join(folder),
            &world.path(&format!("broker/second-{folder}")),
        );
    }
    let broker = world.broker();
    let mut command = Command::new(program("hitmachine-broker").unwrap());
    command
        .env("HITMACHINE_BROKER_DATA_DIR", world.path("broker/second-data"))
        .env(
            "HITMACHINE_BROKER_AUDIT__KEYS_DIR",
            world.path("broker/second-audit-keys"),
        );
    let second = BrokerProcess::start_with(command, &world.deployment, free_address().unwrap()).unwrap();
    let one = Wire::of(&world.deployment, COORDINATOR, world.address).await;
    let other = Wire::of(&world.deployment, COORDINATOR, second.address()).await;
    // The other branch is longer.
    let shared = hitmachine_tests::wire::Shared::of(&world.deployment);
    for _ in 0..3 {
        let token = shared.token(world.bsn(AgeClass::Minor));
        let query = shared.query("screening", "informatiecoordinator", &token);
        other
            .ask_logged(&world.deployment, query.encode_to_vec(), Vec::new())
            .await;
    }

    let all = Arc::new(Barrier::new(2));
    let both = [&one, &other].map(|wire| (wire.clone(), Arc::clone(&all)));
    liar.others.lock().unwrap().extend(both);
    let (first, then) = tokio::join!(node.inquirer().ask(&question), node.inquirer().ask(&question));
    let mut sizes = [first.unwrap().log_size, then.unwrap().log_size];
    sizes.sort_unstable();
    assert!(sizes[0] < sizes[1], "{sizes:?}");

    let alone = Arc::new(Barrier::new(1));
    for wire in [&other, &one, &other] {
        liar.others
            .lock()
            .unwrap()
            .push((wire.clone(), Arc::clone(&alone)));
        let asked = node.inquirer().ask(&question).await;
        assert!(matches!(asked, Err(AskError::NotProven(_))), "{asked:?}");
    }
    let found = verdicts(&world, COORDINATOR);
    assert!(
        matches!(found[0], Verdict::ProofDoesNotConnect { from, .. } if from == sizes[0]),
        "{found:?}"
    );
    second.stop().unwrap();
    broker.stop().unwrap();
}

/// A hub that asks a witness to cosign what it likes.
struct Script {
    bodies: Vec<AddCheckpoint>,
    heard: mpsc::UnboundedSender<FromNode>,
}

#[tonic::async_trait]
impl WitnessService for Script {
    type WitnessStream = ReceiverStream<Result<v1::HubMessage, Status>>;

    async fn witness(
        &self,
        request: Request<Streaming<v1::WitnessMessage>>,
    ) -> Result<Response<Self::WitnessStream>, Status> {
        let mut incoming = request.into_inner();
        let (to_node, stream) = mpsc::channel(16);
        let (bodies, heard) = (self.bodies.clone(), self.heard.clone());
        tokio::spawn(async move {
            // As long as it lives the stream is open.
            let _to_node = to_node.clone();
            let mut rounds = bodies.iter().zip(1..);
            while let Ok(Some(message)) = incoming.message().await {
                if heard.send(message.message.unwrap()).is_err() {
                    break;
                }
                // One at a time: evidence is named after the millisecond.
                tokio::time::sleep(Duration::from_millis(5)).await;
                let Some((body, round)) = rounds.next() else {
                    continue;
                };
                let request = v1::AddCheckpointRequest {
                    round,
                    body: body.format(),
                };
                let message = v1::HubMessage {
                    message: Some(ToNode::AddCheckpoint(request)),
                };
                if to_node.send(Ok(message)).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn history(side: &str, size: u64) -> Front {
    let mut front = Front::new();
    for index in 0..size {
        let side = if index < 3 { "both" } else { side };
        front.push(leaf_hash(format!("{side} {index}").as_bytes()));
    }
    front
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_cosigns_one_history_and_reports_the_other() {
    let world = World::witnessed(16);
    let key = world.path("broker/audit-signing.key");
    let (_, key) = SecretFile::read(key, Purpose::AuditSigning).unwrap();
    let log = LogSigner::new(Origin::new(LOG_ORIGIN).unwrap(), &key);
    let body = |side: &str, old: u64, size: u64| {
        let front = history(side, size);
        let checkpoint = Checkpoint {
            origin: log.origin().clone(),
            size,
            root: front.root(),
        };
        AddCheckpoint {
            old,
            proof: front.consistency_proof(old).unwrap_or_default(),
            checkpoint: log.sign(&checkpoint).unwrap(),
        }
    };
    let script = [
        (body("one", 0, 3), 200),
        (body("one", 3, 5), 200),
        // The same size, another root; and a longer one of that kind.
        (body("other", 5, 5), 422),
        (body("other", 5, 7), 422),
        // An earlier day.
        (body("one", 3, 4), 409),
        (body("one", 0, 3), 409),
        (body("one", 5, 6), 200),
    ];
    let (bodies, expected): (Vec<_>, Vec<u32>) = script.into_iter().unzip();
    let (heard, mut hears) = mpsc::unbounded_channel();
    let address = world
        .serve_as_hub(Routes::new(WitnessServiceServer::new(Script { bodies, heard })))
        .await;
    let node = Arc::new(node(&world.deployment, "leerplicht", address).await);
    let witnessing = {
        let node = Arc::clone(&node);
        tokio::spawn(async move { node.witness().await })
    };
    let (mut statuses, mut reports) = (Vec::new(), Vec::new());
    while statuses.len() < expected.len() || reports.len() < 2 {
        let message = tokio::time::timeout(Duration::from_secs(20), hears.recv()).await;
        match message.unwrap().unwrap() {
            FromNode::Hello(hello) => assert!(hello.notes.is_empty()),
            FromNode::AddCheckpoint(answer) => {
                if answer.status == 409 {
                    assert_eq!(answer.body, b"5\n");
                }
                statuses.push(answer.status);
            }
            FromNode::Alarm(report) => reports.push(report),
        }
    }
    assert_eq!(statuses, expected);
    let found = verdicts(&world, "leerplicht");
    assert!(
        matches!(
            found.as_slice(),
            [
                Verdict::SameSizeTwoRoots { size: 5, .. },
                Verdict::ProofDoesNotConnect { from: 5, to: 7 }
            ]
        ),
        "{found:?}"
    );
    let alarms = node.status(false).await.alarms;
    assert_eq!(alarms.len(), 2, "{alarms:?}");
    for report in &reports {
        let evidence = Evidence::parse(&report.evidence).unwrap();
        assert!(!matches!(
            evidence.verify(&log.verifier()).unwrap(),
            Verdict::NoConflict
        ));
    }
    witnessing.abort();
}
