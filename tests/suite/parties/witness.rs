//! Witnesses that cosign with a key that is not in the policy, or say what is not asked.

use std::time::Duration;

use hitmachine_audit::{AddCheckpoint, LogVerifier, WitnessSigner};
use hitmachine_proto::v1;
use hitmachine_proto::v1::hub_message::Message as Asked;
use hitmachine_proto::v1::witness_message::Message;
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::witness_name;
use hitmachine_testkit::population::AgeClass;
use hitmachine_tests::logbook;
use hitmachine_tests::program::until;
use hitmachine_tests::wire::{Shared, Wire, bytes};
use hitmachine_tests::world::World;
use tonic::Code;

const QUORUM: [&str; 4] = [
    "leerplicht",
    "schuldhulpverlening",
    "regieteams",
    "om-reclassering",
];

/// The key of a partner's witness.
fn signer(world: &World, partner: &str) -> WitnessSigner {
    let file = world.path(&format!("nodes/{partner}/witness.key"));
    let (_, key) = SecretFile::read(file, Purpose::Witness).unwrap();
    WitnessSigner::new(witness_name(partner).parse().unwrap(), &key)
}

/// How a liar answers a request to cosign.
type Deed = fn(&WitnessSigner, &AddCheckpoint, &LogVerifier) -> (u32, Vec<u8>);

fn cosigned(with: &WitnessSigner, asked: &AddCheckpoint, log: &LogVerifier) -> Vec<u8> {
    let checkpoint = log.open(&asked.checkpoint).unwrap();
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    with.cosign(&checkpoint, now).unwrap().into_bytes()
}

/// What is beside an answer, after rounds of cosigning with witnesses that answer so.
async fn beside(world: &World, deed: Deed) -> Option<v1::Cosigned> {
    let log = logbook::verifier(&world.deployment);
    let mut liars = Vec::new();
    for partner in QUORUM {
        let own = signer(world, partner);
        let wire = Wire::of(&world.deployment, partner, world.address).await;
        let hello = v1::WitnessHello {
            verifier: own.verifier().to_string(),
            notes: Vec::new(),
        };
        let (says, mut hears) = wire.witness(hello).await.unwrap();
        let log = log.clone();
        liars.push(tokio::spawn(async move {
            while let Ok(Some(message)) = hears.message().await {
                let Some(Asked::AddCheckpoint(asked)) = message.message else {
                    continue;
                };
                let request = AddCheckpoint::parse(&asked.body).unwrap();
                let (status, body) = deed(&own, &request, &log);
                let answer = v1::AddCheckpointResponse {
                    round: asked.round,
                    status,
                    body,
                };
                let message = Some(Message::AddCheckpoint(answer));
                if says.send(v1::WitnessMessage { message }).await.is_err() {
                    break;
                }
            }
        }));
    }
    let shared = Shared::of(&world.deployment);
    let wire = Wire::of(&world.deployment, "leerplicht", world.address).await;
    let token = shared.token(world.bsn(AgeClass::Minor));
    let mut last = None;
    for _ in 0..4 {
        let query = shared.query("signalering", "professional", &token);
        let request = wire.request(bytes(&query), vec![]);
        let response = loop {
            match wire.ask(request.clone()).await {
                Ok(response) => break response,
                // Nothing is answered until four have said hello.
                Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        last = response.cosigned;
        // A round each second when the log grew.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    for liar in liars {
        liar.abort();
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_key_in_the_policy_cosigns() {
    let world = World::witnessed(921);
    let broker = world.broker();

    // In another's name, or in one that the policy does not have.
    let wire = Wire::of(&world.deployment, "leerplicht", world.address).await;
    let stranger = WitnessSigner::new(witness_name("leerplicht").parse().unwrap(), &[9; 32]);
    for verifier in [
        signer(&world, "regieteams").verifier().to_string(),
        stranger.verifier().to_string(),
        String::new(),
    ] {
        let notes = Vec::new();
        let refused = wire.witness(v1::WitnessHello { verifier, notes }).await;
        let refused = refused.err().unwrap();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().starts_with("unknown_witness: "), "{refused}");
    }

    let lies: [(&str, Deed); 4] = [
        ("another key", |own, asked, log| {
            let other = WitnessSigner::new(own.name().clone(), &[9; 32]);
            (200, cosigned(&other, asked, log))
        }),
        ("another log's checkpoint", |own, asked, log| {
            let mut other = log.open(&asked.checkpoint).unwrap();
            other.size += 1;
            (200, own.cosign(&other, 1_900_000_000).unwrap().into_bytes())
        }),
        ("no cosignature at all", |_, _, _| {
            (200, b"gezien en goedgekeurd\n".to_vec())
        }),
        ("it holds more", |_, _, _| (409, b"999999999\n".to_vec())),
    ];
    for (what, deed) in lies {
        assert!(beside(&world, deed).await.is_none(), "{what}: it counts");
    }
    // A question that nobody backs is not shown.
    let said = world.ask("leerplicht");
    assert_ne!(said.code, 0, "{said:?}");
    assert!(!said.out.contains("\"partners\""), "something is shown: {said:?}");
    // The same four with their own keys.
    let honest: Deed = |own, asked, log| (200, cosigned(own, asked, log));
    assert!(
        beside(&world, honest).await.is_some(),
        "honest witnesses do not count"
    );
    let nodes = QUORUM.map(|partner| world.serve(partner));
    until("an answer is shown", || world.ask("leerplicht").code == 0);
    drop(nodes);
    world.stop(broker, &[world.bsn(AgeClass::Minor).as_bytes()]);
}
