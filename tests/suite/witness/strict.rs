//! A purpose under which no answer leaves before a quorum of partners has cosigned its entry.

use hitmachine_audit::{EntryKind, QuorumTime};
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::AgeClass;
use hitmachine_tests::program::{metric, replace_after, until};
use hitmachine_tests::wire::{Shared, Wire, bytes};
use hitmachine_tests::world::World;

use super::hub::{Hub, QUORUM, ask_when_ready, policy, until_published};

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_purpose_waits_for_the_quorum() {
    let world = World::witnessed(306);
    replace_after(
        &world.deployment.covenant(),
        "code = \"screening\"",
        "max_subjects = 16",
        "max_subjects = 16\nstrict = true",
    );
    let hub = Hub::start(&world);
    let mut nodes: Vec<_> = QUORUM.iter().map(|partner| world.serve(partner)).collect();
    ask_when_ready(&world, COORDINATOR);

    // What the answer brings covers the answer's own entry.
    let (wire, shared) = (
        Wire::of(&world.deployment, COORDINATOR, world.address).await,
        Shared::of(&world.deployment),
    );
    for _ in 0..5 {
        let token = shared.token(world.bsn(AgeClass::Adult));
        let query = shared.query("screening", "informatiecoordinator", &token);
        let request = wire.request(bytes(&query), Vec::new());
        let response = wire.ask(request).await.unwrap();
        let index = response.answers[0].receipt.as_ref().unwrap().leaf_index;
        let (cosigned, quorum) = policy(&world).open(&response.cosigned.unwrap().note).unwrap();
        assert!(matches!(quorum, QuorumTime::Held { .. }));
        assert!(
            cosigned.checkpoint.size > index,
            "the quorum has not seen entry {index}"
        );
    }

    // Two of four gone: logged, not shown.
    nodes.truncate(2);
    until("two are gone", || {
        metric(&hub.broker, "hitmachine_witnesses") <= 2 || {
            // The figure is of the last round.
            world.ask(COORDINATOR);
            false
        }
    });
    let before = metric(&hub.broker, "hitmachine_log_entries");
    let said = world.ask(COORDINATOR);
    assert_eq!(said.failure(), (1, "no_quorum".into()));
    assert!(!said.out.contains("persons"), "{said:?}");
    assert_eq!(metric(&hub.broker, "hitmachine_log_entries"), before + 1);
    // Other purposes need not wait.
    assert_eq!(world.ask("leerplicht").code, 0);

    nodes.extend(QUORUM[2..].iter().map(|partner| world.serve(partner)));
    let mut answered = None;
    until("the quorum is back", || {
        let said = world.ask(COORDINATOR);
        if said.code == 0 {
            answered = said.json()["log_size"].as_u64();
        }
        answered.is_some()
    });
    until_published(&world, answered.unwrap());
    drop(nodes);
    let log = world.stop(hub.broker, &[world.bsn(AgeClass::Adult).as_bytes()]);
    let entry = log.iter().find(|entry| entry.index == before).unwrap();
    assert_eq!((entry.kind(), entry.refusal()), (EntryKind::Lookup, None));
}
