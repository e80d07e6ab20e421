//! A broker answers nothing until a quorum has confirmed its log.

use std::time::{Duration, Instant};

use hitmachine_audit::{QuorumTime, verify_published};
use hitmachine_proto::v1;
use hitmachine_proto::v1::log_service_client::LogServiceClient;
use hitmachine_service::client::connect;
use hitmachine_testkit::deployment::{BROKER_NAME, COORDINATOR};
use hitmachine_tests::logbook;
use hitmachine_tests::program::until;
use hitmachine_tests::wire::of_files;
use hitmachine_tests::world::World;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::hub::{Hub, QUORUM, ask_when_ready, policy, published};

/// An answer is published, with its quorum, within so long.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(2);

async fn channel(world: &World) -> Channel {
    let dir = world.path("nodes").join(COORDINATOR);
    let tls = of_files(&world.deployment, &dir, "node");
    connect(&world.address.to_string(), BROKER_NAME, tls)
        .await
        .unwrap()
}

async fn serves(channel: &Channel) -> bool {
    let request = HealthCheckRequest {
        service: "hitmachine.v1.QueryService".into(),
    };
    let checked = HealthClient::new(channel.clone()).check(request).await.unwrap();
    checked.into_inner().status() == tonic_health::pb::health_check_response::ServingStatus::Serving
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_until_a_quorum_has_confirmed_the_log() {
    let world = World::witnessed(301);
    let hub = Hub::start(&world);
    let channel = channel(&world).await;
    let mut nodes: Vec<_> = QUORUM[..3].iter().map(|partner| world.serve(partner)).collect();
    until("three witnesses", || {
        hub.broker.log().unwrap().matches("witness connected").count() >= 3
    });
    for _ in 0..2 {
        let said = world.ask(COORDINATOR);
        assert_eq!(said.failure(), (1, "log_unconfirmed".into()));
        assert!(!said.out.contains("persons"), "{said:?}");
        assert!(!serves(&channel).await);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(published(&world).is_none(), "nothing is signed before that");

    nodes.push(world.serve(QUORUM[3]));
    let said = ask_when_ready(&world, COORDINATOR);
    let asked = Instant::now();
    assert!(serves(&channel).await);
    let answer = said.json();
    let size = answer["log_size"].as_u64().unwrap();
    assert!(answer["witnessed_s"].as_u64().unwrap() < 60, "{answer}");

    let cosigned = loop {
        if let Some((cosigned, QuorumTime::Held { .. })) = published(&world)
            && cosigned.checkpoint.size >= size
        {
            break cosigned;
        }
        assert!(asked.elapsed() < PUBLISHED_WITHIN, "{:?}", published(&world));
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(cosigned.cosignatures.len() >= 4);

    // Three ways to the same log: the folder, HTTP, and the partners' own service.
    let verifier = logbook::verifier(&world.deployment);
    let report = verify_published(&hub, &verifier, &mut ()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert!(report.checkpoint.size >= size);
    assert!(matches!(
        policy(&world).open(&report.note).unwrap().1,
        QuorumTime::Held { .. }
    ));
    let mut log = LogServiceClient::new(channel.clone());
    let note = log
        .checkpoint(v1::CheckpointRequest {})
        .await
        .unwrap()
        .into_inner()
        .note;
    let (cosigned, quorum) = policy(&world).open(&note).unwrap();
    assert!(cosigned.checkpoint.size >= size && matches!(quorum, QuorumTime::Held { .. }));
    assert!(cosigned.cosignatures.len() >= 4);
    // Whoever has no node has all it needs in the checkpoint: no person, no question.
    assert!(!String::from_utf8(note).unwrap().contains("ZK-2026"));
    drop(nodes);
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
}
