//! Answers that the log proves but partners do not back: too few of them, too long ago, or another history.
//!
//! The real broker asks for no witnesses here; the liar adds the cosigned checkpoint, with the partners' own keys.

use std::process::Command;

use hitmachine_audit::{
    Checkpoint, LogSigner, LogVerifier, MAX_AGE_S, MAX_AHEAD_S, Verdict, WitnessSigner, leaf_hash,
};
use hitmachine_node::BackingError;
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::{COORDINATOR, witness_name};
use hitmachine_testkit::process::{BrokerProcess, program};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{query, replace_after};

use super::*;

const PARTNERS: [&str; 5] = [
    COORDINATOR,
    "leerplicht",
    "schuldhulpverlening",
    "regieteams",
    "om-reclassering",
];

fn alone(world: &World) -> BrokerProcess {
    let policy = world.path("alone.txt");
    let log = logbook::verifier(&world.deployment);
    std::fs::write(&policy, format!("log {log}\nquorum none\n")).unwrap();
    let mut command = Command::new(program("hitmachine-broker").unwrap());
    command.env("HITMACHINE_BROKER_AUDIT__POLICY", policy);
    BrokerProcess::start_with(command, &world.deployment, world.address).unwrap()
}

/// The witnesses, as somebody has them who took their keys.
struct Witnesses(Vec<WitnessSigner>, LogVerifier);

impl Witnesses {
    fn of(world: &World) -> Self {
        let signer = |partner: &&str| {
            let path = world.path(&format!("nodes/{partner}/witness.key"));
            let (_, key) = SecretFile::read(path, Purpose::Witness).unwrap();
            WitnessSigner::new(witness_name(partner).parse().unwrap(), &key)
        };
        Self(
            PARTNERS.iter().map(signer).collect(),
            logbook::verifier(&world.deployment),
        )
    }

    /// This note, cosigned by the first `count` at `time_s`.
    fn cosign(&self, note: &[u8], count: usize, time_s: u64) -> Vec<u8> {
        let checkpoint: Checkpoint = self.1.open(note).unwrap();
        let lines: String = self.0[..count]
            .iter()
            .map(|signer| signer.cosign(&checkpoint, time_s).unwrap())
            .collect();
        [note, lines.as_bytes()].concat()
    }
}

fn now_s() -> u64 {
    jiff::Timestamp::now().as_second().try_into().unwrap()
}

/// Four of five, `ago` seconds ago (or ahead), for the answer's own head.
fn backed(witnesses: &Arc<Witnesses>, count: usize, ago: i64) -> impl Fn(&mut v1::AskResponse) + use<> {
    let witnesses = Arc::clone(witnesses);
    move |response| {
        let time_s = now_s().checked_add_signed(-ago).unwrap();
        response.cosigned = Some(v1::Cosigned {
            note: witnesses.cosign(&response.checkpoint, count, time_s),
            consistency: Vec::new(),
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_that_partners_do_not_back() {
    let world = World::witnessed(13);
    let broker = alone(&world);
    let (liar, address) = Liar::start(&world).await;
    let witnesses = Arc::new(Witnesses::of(&world));
    let old = i64::try_from(MAX_AGE_S).unwrap();
    let ahead = i64::try_from(MAX_AHEAD_S).unwrap();
    let bsn = world.bsn(AgeClass::Adult).to_owned();
    // A new node for each, as it comes from the program: it holds no cosigned checkpoint yet.
    let ask = || {
        let _ = std::fs::remove_dir_all(world.path("nodes/veiligheidshuis/state"));
        query(&world.deployment, COORDINATOR, address, &bsn, &[])
    };
    for (what, count, ago) in [
        ("too few", 3, 0),
        ("nobody", 0, 0),
        ("too old", 5, old + 2),
        ("ahead of the clock", 5, -ahead - 10),
    ] {
        liar.will(backed(&witnesses, count, ago));
        let said = ask();
        assert_eq!(said.failure(), (1, "not_backed".into()), "{what}");
        assert!(
            !said.out.contains("persons") && !said.out.contains("leerplicht"),
            "{what}: {said:?}"
        );
        assert!(!said.out.contains(&bsn) && !said.err.contains(&bsn), "{what}");
    }
    liar.will(|response| response.cosigned = None);
    assert_eq!(ask().failure(), (1, "not_backed".into()), "nothing at all");
    for (what, count, ago) in [("four", 4, 0), ("old, not too old", 4, old - 20)] {
        liar.will(backed(&witnesses, count, ago));
        let said = ask();
        assert_eq!(said.code, 0, "{what}: {said:?}");
        assert!(said.json()["witnessed_s"].as_i64().unwrap() >= ago, "{what}");
    }
    broker.stop().unwrap();
}

/// The covenant's strict purposes: the quorum must have seen the entry itself, also if the hub says it need not.
#[tokio::test(flavor = "multi_thread")]
async fn a_strict_purpose_takes_no_older_checkpoint() {
    let world = World::witnessed(14);
    replace_after(
        &world.deployment.covenant(),
        "code = \"screening\"",
        "max_subjects = 16",
        "max_subjects = 16\nstrict = true",
    );
    let broker = world.broker();
    let nodes: Vec<_> = PARTNERS[1..].iter().map(|partner| world.serve(partner)).collect();
    let (liar, address) = Liar::start(&world).await;
    let node = node(&world.deployment, COORDINATOR, address).await;
    let question = screening(&node, world.bsn(AgeClass::Adult), "1980-01-01");
    while node.inquirer().ask(&question).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let last = Arc::clone(&liar.last);
    liar.will(move |response| {
        let earlier = last.lock().unwrap().cosigned.clone().unwrap();
        response.cosigned = Some(v1::Cosigned {
            note: earlier.note,
            // From the size that the node names, which is that checkpoint's.
            consistency: response.consistency[0].hashes.clone(),
        });
    });
    let asked = node.inquirer().ask(&question).await;
    assert!(
        matches!(asked, Err(AskError::NotBacked(BackingError::NotCovered))),
        "{asked:?}"
    );
    liar.will(|_| ());
    node.inquirer().ask(&question).await.unwrap();
    drop(nodes);
    broker.stop().unwrap();
}

/// Partners cosigned another history than the one that the asker is shown: both are signed by the log.
fn another_history(world: &World, witnesses: Arc<Witnesses>) -> impl Fn(&mut v1::AskResponse) + use<> {
    let (_, key) = SecretFile::read(world.path("broker/audit-signing.key"), Purpose::AuditSigning).unwrap();
    let log = LogSigner::new(witnesses.1.origin().clone(), &key);
    move |response| {
        let mut other = witnesses.1.open(&response.checkpoint).unwrap();
        other.root = leaf_hash(b"another");
        let note = witnesses.cosign(&log.sign(&other).unwrap(), 4, now_s());
        response.cosigned = Some(v1::Cosigned {
            note,
            consistency: Vec::new(),
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_of_another_history_than_partners_cosigned() {
    let world = World::witnessed(17);
    let broker = alone(&world);
    let (liar, address) = Liar::start(&world).await;
    liar.will(another_history(&world, Arc::new(Witnesses::of(&world))));
    let said = query(
        &world.deployment,
        COORDINATOR,
        address,
        world.bsn(AgeClass::Adult),
        &[],
    );
    assert!([1, 4].contains(&said.failure().0), "{said:?}");
    assert!(!said.out.contains("persons"), "{said:?}");
    broker.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_than_partners_cosigned_is_a_fork() {
    let world = World::witnessed(18);
    let broker = alone(&world);
    let (liar, address) = Liar::start(&world).await;
    liar.will(another_history(&world, Arc::new(Witnesses::of(&world))));
    let said = query(
        &world.deployment,
        COORDINATOR,
        address,
        world.bsn(AgeClass::Adult),
        &[],
    );
    assert_eq!(said.failure(), (4, "not_proven".into()));
    let found = two_histories::verdicts(&world, COORDINATOR);
    assert!(
        matches!(found.as_slice(), [Verdict::SameSizeTwoRoots { size: 1, .. }]),
        "{found:?}"
    );
    broker.stop().unwrap();
}
