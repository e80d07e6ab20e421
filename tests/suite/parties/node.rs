//! A node that lies about registrations and requests.

use hitmachine_core::registry::{Change, Tally};
use hitmachine_core::{Day, SubjectClass};
use hitmachine_proto::v1;
use hitmachine_pseudonym::{IdentifierType, Token};
use hitmachine_testkit::pki::test_oin;
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_tests::logbook;
use hitmachine_tests::program::query;
use hitmachine_tests::wire::{self, Shared, Sync, Wire};
use hitmachine_tests::world::World;
use jiff::Timestamp;

const LIAR: &str = "leerplicht";
const OTHER: &str = "regieteams";
const COORDINATOR: &str = "veiligheidshuis";

fn change(token: &Token, registration: Option<(SubjectClass, Day)>) -> Change {
    Change {
        identifier: IdentifierType::Bsn,
        token: token.clone(),
        registration,
    }
}

/// What an answer about a minor says of the liar.
fn status(world: &World, bsn: &str) -> String {
    let said = query(
        &world.deployment,
        COORDINATOR,
        world.address,
        bsn,
        &["--class", "minor"],
    );
    said.status_of(LIAR)
}

async fn begin(wire: &Wire, shared: &Shared, full: bool) -> (Sync, v1::SyncBegun) {
    let begin = v1::SyncBegin {
        full,
        ..shared.begin()
    };
    wire.sync(begin).await.unwrap()
}

/// Batches that were sent before are sent again, in the same sync and in another, under their own generation and under
/// the next: nobody comes back who was withdrawn.
#[tokio::test(flavor = "multi_thread")]
async fn batches_sent_again_bring_nobody_back() {
    let world = World::new(901);
    let broker = world.broker();
    let shared = Shared::of(&world.deployment);
    let wire = Wire::of(&world.deployment, LIAR, world.address).await;
    let minor = world.bsn(AgeClass::Minor);
    let token = shared.token(minor);
    let until = Day::of(Timestamp::now()).plus(100);
    let joins = [change(&token, Some((SubjectClass::Minor, until)))];
    let leaves = [change(&token, None)];
    let mut there = Tally::default();
    there.add(IdentifierType::Bsn, &token, SubjectClass::Minor, until);

    let (mut sync, begun) = begin(&wire, &shared, false).await;
    let first = begun.generation;
    sync.batch(first, 1, &joins).await.unwrap();
    assert!(sync.end(first, 1, there.digest().to_vec()).await.unwrap());
    assert_eq!(status(&world, minor), "known");
    let (mut sync, _) = begin(&wire, &shared, false).await;
    sync.batch(first, 2, &leaves).await.unwrap();
    // The recorded first batch, in the middle of it.
    assert_eq!(sync.batch(first, 1, &joins).await.unwrap(), 2);
    let none = Tally::default().digest().to_vec();
    assert!(sync.end(first, 0, none.clone()).await.unwrap());
    assert_eq!(status(&world, minor), "not_known");
    // In a sync of its own.
    let (mut sync, begun) = begin(&wire, &shared, false).await;
    assert_eq!((begun.next_sequence, begun.count), (3, 0));
    assert_eq!(sync.batch(first, 1, &joins).await.unwrap(), 2);
    assert!(sync.end(first, 0, none.clone()).await.unwrap());
    assert_eq!(status(&world, minor), "not_known");
    // Under the next generation the old one's are refused.
    let (mut sync, begun) = begin(&wire, &shared, true).await;
    assert_ne!(begun.generation, first);
    let refused = sync.batch(first, 1, &joins).await.unwrap_err();
    assert!(refused.message().starts_with("generation: "), "{refused}");
    assert_eq!(status(&world, minor), "not_known");
    world.stop(broker, &[minor.as_bytes(), token.expose_secret()]);
}

/// A right signature of one partner under another partner's certificate, and requests that were sent before.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_is_its_senders_and_is_one_entry() {
    let world = World::new(902);
    let broker = world.broker();
    let deployment = &world.deployment;
    let shared = Shared::of(deployment);
    let bsn = world.bsn(AgeClass::Minor);
    let token = shared.token(bsn);
    let own = Wire::of(deployment, LIAR, world.address).await;
    let thief = Wire::of(deployment, OTHER, world.address).await;
    let question = shared.query("signalering", "professional", &token);
    let signed = own.request(wire::bytes(&question), vec![]);
    let first = own.ask(signed.clone()).await.unwrap();
    let first = wire::logged(deployment, &signed, &first);
    assert_eq!(first[0].refusal(), None);

    // Captured and sent by another, as new and as asked before: it is not the other's, and the entry names the thief.
    let stolen = thief.ask(signed.clone()).await.unwrap();
    let stolen = wire::logged(deployment, &signed, &stolen);
    assert_eq!(stolen[0].refusal(), Some("not_signed"));
    assert_eq!(stolen[0].requester(), test_oin(13));
    let again = v1::AskRequest {
        again: true,
        ..signed.clone()
    };
    match thief.ask(again.clone()).await {
        Err(status) => assert!(status.message().starts_with("never_asked: "), "{status}"),
        Ok(response) => {
            let logged = wire::logged(deployment, &again, &response);
            assert_eq!(logged[0].refusal(), Some("not_signed"));
        }
    }
    let entries = hitmachine_tests::program::metric(&broker, "hitmachine_log_entries");
    // Sent again by its own sender: the same entry, and no other.
    let repeated = own.ask(again.clone()).await.unwrap();
    let repeated = wire::logged(deployment, &again, &repeated);
    assert_eq!(repeated[0].receipt.leaf_index(), first[0].receipt.leaf_index());
    assert_eq!(
        hitmachine_tests::program::metric(&broker, "hitmachine_log_entries"),
        entries
    );
    // Its name for another question.
    let mut other = question;
    other.case_reference = "ZK-2026-78".into();
    let other = own.ask_logged(deployment, wire::bytes(&other), vec![]).await;
    assert_eq!(other[0].refusal(), Some("request_id_used"));
    world.stop(broker, &[bsn.as_bytes(), token.expose_secret()]);
}

/// Somebody who is not its client is registered all the same: nothing in the protocol can know. It is believed, and it
/// is told of questions about that person; what remains are the log and its own signature under nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_registers_others_clients_is_believed_and_told() {
    let world = World::new(903);
    let broker = world.broker();
    let shared = Shared::of(&world.deployment);
    let minors = world.population.persons().iter();
    let stranger = minors
        .filter(|person| person.class == AgeClass::Minor)
        .find(|person| !person.references.contains_key(&Register::Leerplicht))
        .unwrap();
    let token = shared.token(&stranger.bsn);
    world.sync_all();
    assert_eq!(status(&world, &stranger.bsn), "not_known");

    let wire = Wire::of(&world.deployment, LIAR, world.address).await;
    let (mut sync, begun) = begin(&wire, &shared, false).await;
    let until = Day::of(Timestamp::now()).plus(100);
    let added = [change(&token, Some((SubjectClass::Minor, until)))];
    sync.batch(begun.generation, begun.next_sequence, &added)
        .await
        .unwrap();
    drop(sync);
    let (_acks, mut notices) = wire.notices().await.unwrap();
    assert_eq!(status(&world, &stranger.bsn), "known");
    let notice = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            let notice = notices.message().await.unwrap().unwrap();
            if notice.subject.as_ref().unwrap().tokens[0].token == token.expose_secret() {
                return notice;
            }
        }
    });
    assert_eq!(notice.await.unwrap().requester, test_oin(10));
    // The question, and that it was a hit there, is in the log for the officer.
    let entries = world.stop(broker, &[stranger.bsn.as_bytes(), token.expose_secret()]);
    let asked = entries.iter().filter(|entry| entry.requester() == test_oin(10));
    assert_eq!(asked.count(), 2);
    // An honest node of the partner finds what it never sent, and sends everything again.
    let broker = world.broker();
    let said = world.node(LIAR, &["sync"]);
    assert_eq!((said.code, &said.json()["full"]), (0, &true.into()), "{said:?}");
    assert_eq!(status(&world, &stranger.bsn), "not_known");
    let entries: Vec<logbook::Entry> = world.stop(broker, &[stranger.bsn.as_bytes()]);
    assert_eq!(entries.len(), 3);
}
