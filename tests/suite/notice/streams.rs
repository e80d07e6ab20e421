//! The stream itself, without a node: what the hub does with odd ones.

use std::time::Duration;

use hitmachine_proto::v1;
use hitmachine_tests::wire::{Shared, Wire};
use tonic::{Code, Streaming};

use super::*;

async fn next(stream: &mut Streaming<v1::Notice>) -> v1::Notice {
    let next = tokio::time::timeout(Duration::from_secs(20), stream.message()).await;
    next.unwrap().unwrap().unwrap()
}

fn of(log_indexes: Vec<u64>) -> v1::NoticeAck {
    v1::NoticeAck { log_indexes }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_comes_again_and_odd_acknowledgements_change_nothing() {
    let world = World::new(530);
    let broker = world.broker();
    world.sync_all();
    let known = world.adults(Register::Regieteams, true);
    let shared = Shared::of(&world.deployment);
    let told = Wire::of(&world.deployment, TOLD, world.address).await;
    let asks = Wire::of(&world.deployment, ASKS, world.address).await;

    // The window: so many are under way, and the rest waits for acknowledgements.
    let token = shared.token(&known[0].bsn);
    let mut asked = Vec::new();
    for _ in 0..80 {
        let query = shared.query("signalering", "professional", &token);
        let query = hitmachine_tests::wire::bytes(&query);
        let logged = asks.ask_logged(&world.deployment, query, vec![]).await;
        asked.push(logged[0].receipt.leaf_index());
    }
    let (acks, mut stream) = told.notices().await.unwrap();
    let mut came = Vec::new();
    for _ in 0..64 {
        let notice = next(&mut stream).await;
        assert_eq!(
            notice.subject.as_ref().unwrap().tokens[0].token,
            token.expose_secret()
        );
        assert_eq!(notice.case_reference, "ZK-2026-77");
        came.push(notice.log_index);
    }
    let soon = Duration::from_millis(500);
    assert!(
        tokio::time::timeout(soon, stream.message()).await.is_err(),
        "beyond the window"
    );
    assert_eq!(came, asked[..64]);

    // Twice, of nobody, and of another's entries.
    acks.send(of(vec![asked[0], asked[0], 1_000_000])).await.unwrap();
    acks.send(of(vec![asked[0]])).await.unwrap();
    assert_eq!(next(&mut stream).await.log_index, asked[64]);

    // A second stream of the partner ends the first, and gets everything that was not acknowledged, in order.
    let (second_acks, mut second) = told.notices().await.unwrap();
    let ended = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a word"),
                Err(status) => break status,
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .unwrap();
    assert_eq!(ended.code(), Code::Aborted);
    assert!(ended.message().starts_with("replaced: "), "{ended}");
    for index in &asked[1..] {
        assert_eq!(next(&mut second).await.log_index, *index);
        second_acks.send(of(vec![*index])).await.unwrap();
    }
    until("all are acknowledged", || {
        waiting(&world, TOLD)["acknowledged"] == 80
    });
    // The other partner acknowledged in vain.
    let (others, _stream) = asks.notices().await.unwrap();
    others.send(of(asked.clone())).await.unwrap();

    // An end of the hub ends the stream.
    assert_eq!(broker.stop().unwrap(), Some(0));
    assert!(!matches!(second.message().await, Ok(Some(_))));

    // Nothing comes again after a restart.
    let broker = world.broker();
    let told = Wire::of(&world.deployment, TOLD, world.address).await;
    let (_acks, mut stream) = told.notices().await.unwrap();
    let query = hitmachine_tests::wire::bytes(&shared.query("signalering", "professional", &token));
    let asks = Wire::of(&world.deployment, ASKS, world.address).await;
    let logged = asks.ask_logged(&world.deployment, query, vec![]).await;
    assert_eq!(next(&mut stream).await.log_index, logged[0].receipt.leaf_index());
    assert_eq!(broker.stop().unwrap(), Some(0));
}
