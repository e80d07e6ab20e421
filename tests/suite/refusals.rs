//! Every refusal has a defined outcome with a stable code, is in the log if it is about a question, and says nothing
//! about a person.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{EntryKind, FieldId};
use hitmachine_core::registry::{Change, Tally};
use hitmachine_core::{Day, SubjectClass};
use hitmachine_proto::answer::{self, Outcome};
use hitmachine_proto::v1;
use hitmachine_proto::v1::sync_request::Step;
use hitmachine_pseudonym::{IdentifierType, Token};
use hitmachine_service::client::ConnectError;
use hitmachine_service::tls::certificate_facts;
use hitmachine_testkit::pki::{IssueOptions, TestAuthority, test_oin};
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{self, assert_holds_none, metric, replace, replace_after, until};
use hitmachine_tests::wire::{self, Shared, Wire};
use hitmachine_tests::world::World;
use jiff::{Timestamp, ToSpan};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tonic::Code;

/// OINs as the deployment gives them out.
const VEILIGHEIDSHUIS: u64 = 10;
const LEERPLICHT: u64 = 11;
/// What the questions here say; none of it may be in a text.
const CASE: &[u8] = b"ZK-2026-77";
const USER: &[u8] = b"pietersen";

#[tokio::test(flavor = "multi_thread")]
async fn tls_lets_in_only_valid_certificates_of_the_authority() {
    let world = World::new(101);
    let (deployment, address) = (&world.deployment, world.address);
    let authority = deployment.authority().unwrap();
    // Of the right name, as somebody who wants to be taken for it would call it.
    let other = TestAuthority::new("Hitmachine demo authority").unwrap();
    let unrelated = TestAuthority::new("Somebody else").unwrap();
    let now = Timestamp::now();
    let good = IssueOptions::partner("Zorg- en Veiligheidshuis", &test_oin(VEILIGHEIDSHUIS), now, 30);
    let expired = IssueOptions {
        not_before: now - 48.hours(),
        not_after: now - 1.hour(),
        ..good.clone()
    };
    let early = IssueOptions {
        not_before: now + 1.hour(),
        not_after: now + 48.hours(),
        ..good.clone()
    };
    let mut broker_certificate = IssueOptions {
        common_name: hitmachine_testkit::deployment::BROKER_NAME.into(),
        dns_names: vec![hitmachine_testkit::deployment::BROKER_NAME.into()],
        ..IssueOptions::partner("Hitmachine demo", &test_oin(1), now, 30)
    };
    let broker = world.broker();

    // From outside, whatever a node would have noticed itself.
    for (what, issued) in [
        ("of another authority", Some(unrelated.issue(&good).unwrap())),
        (
            "of an authority with the right name and another key",
            Some(other.issue(&good).unwrap()),
        ),
        ("expired", Some(authority.issue(&expired).unwrap())),
        ("not valid yet", Some(authority.issue(&early).unwrap())),
        ("none", None),
    ] {
        let tls = unchecked(
            &authority,
            issued
                .as_ref()
                .map(|issued| (issued.certificate_pem(), issued.key_pem().expose_secret())),
        );
        let error = Wire::open(address, tls).await.err().unwrap();
        assert!(
            matches!(error, ConnectError::OurCertificateRefused { .. }),
            "{what}: {error:?}"
        );
        assert_eq!(error.code(), "our_certificate_refused");
    }
    for (reason, count) in [
        ("CertificateExpired", 1),
        ("CertificateRefused", 3),
        ("NoCertificate", 1),
    ] {
        let name = format!("tls_handshake_failures_total{{reason=\"{reason}\"}}");
        // The client hears of it before the broker has counted it.
        until(reason, || metric(&broker, &name) >= count);
        assert_eq!(metric(&broker, &name), count, "{reason}");
    }
    // The same client with the right certificate is let in: it is the certificate.
    let issued = authority.issue(&good).unwrap();
    let tls = unchecked(
        &authority,
        Some((issued.certificate_pem(), issued.key_pem().expose_secret())),
    );
    Wire::open(address, tls).await.unwrap().fetch().await.unwrap();

    // The node's own program.
    let bsn = world.bsn(AgeClass::Adult);
    let ask = || {
        let said = program::query(deployment, "veiligheidshuis", address, bsn, &[]);
        assert_holds_none(&(said.out.clone() + &said.err), &[bsn.as_bytes(), CASE, USER]);
        assert!(!said.out.contains("partners"), "something is shown: {}", said.out);
        said
    };
    let home = deployment.dir().join("nodes/veiligheidshuis");
    unrelated.issue(&good).unwrap().save(&home, "node").unwrap();
    assert_eq!(ask().failure(), (3, "our_certificate_refused".into()));
    // Its own expired certificate it does not even show.
    authority.issue(&expired).unwrap().save(&home, "node").unwrap();
    let said = ask();
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("expired at"), "{said:?}");
    authority.issue(&good).unwrap().save(&home, "node").unwrap();
    // It does not take just any server for the hub.
    unrelated.save(&home).unwrap();
    let config = deployment.node_config("veiligheidshuis");
    replace(&config, "../../authority/ca.pem", "ca.pem");
    assert_eq!(ask().failure(), (3, "server_certificate_invalid".into()));
    replace(&config, "\"ca.pem\"", "\"../../authority/ca.pem\"");
    assert_eq!(
        metric(&broker, "hitmachine_log_entries"),
        0,
        "something was asked"
    );
    assert_eq!(broker.stop().unwrap(), Some(0));

    // A hub whose certificate runs out while it serves.
    let until = Timestamp::now() + 3.seconds();
    broker_certificate.not_after = until;
    let broker_home = deployment.dir().join("broker");
    authority
        .issue(&broker_certificate)
        .unwrap()
        .save(&broker_home, "broker")
        .unwrap();
    let broker = world.broker();
    while Timestamp::now() < until + 1.second() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask().failure(), (3, "server_certificate_invalid".into()));

    assert!(
        world.stop(broker, &[CASE, USER]).is_empty(),
        "something was asked"
    );
}

/// A client that does not look at its own certificate.
fn unchecked(authority: &TestAuthority, shown: Option<(&str, &str)>) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_in_the_covenant_is_told_and_logged() {
    let world = World::new(102);
    let (deployment, address) = (&world.deployment, world.address);
    let authority = deployment.authority().unwrap();
    let shared = Shared::of(deployment);
    let bsn = world.bsn(AgeClass::Adult);
    let token = shared.token(bsn);
    let stranger = test_oin(99);
    let options = IssueOptions::partner("A stranger", &stranger, Timestamp::now(), 30);
    let broker = world.broker();

    let wire = Wire::open(address, wire::identity(deployment, &authority, &options))
        .await
        .unwrap();
    let status = wire.fetch().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().starts_with("unknown_partner: "), "{status}");
    let status = wire.sync(shared.begin()).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().starts_with("unknown_partner: "), "{status}");
    let query = shared.query("screening", "informatiecoordinator", &token);
    let logged = wire.ask_logged(deployment, wire::bytes(&query), vec![]).await;
    assert_eq!(logged[0].refusal(), Some("unknown_partner"));
    assert_eq!(logged[0].requester(), stranger);

    // A node with this certificate says so, and asks nothing.
    let home = deployment.dir().join("nodes/veiligheidshuis");
    let kept = logbook::copy(&home);
    authority.issue(&options).unwrap().save(&home, "node").unwrap();
    let said = program::query(deployment, "veiligheidshuis", address, bsn, &[]);
    assert_eq!(said.failure(), (1, "unknown_partner".into()));
    for file in ["node.pem", "node.key"] {
        std::fs::copy(kept.path().join(file), home.join(file)).unwrap();
    }
    let entries = world.stop(broker, &[bsn.as_bytes(), token.expose_secret(), CASE, USER]);
    assert_eq!(
        summary(&entries),
        [(stranger.clone(), Some("unknown_partner".into()))]
    );

    // Pins: another key than this certificate's, then its own.
    let pem = std::fs::read(home.join("node.pem")).unwrap();
    let pin = certificate_facts(&CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap()
        .public_key_sha256;
    let pin = hex::encode(pin);
    let covenant = deployment.covenant();
    let pins = |pin: &str| format!("stale_after_hours = 72\nkey_pins = [\"{pin}\"]");
    replace(&covenant, "stale_after_hours = 72", &pins(&"0".repeat(64)));
    let broker = world.broker();
    let shared = Shared::of(deployment);
    let wire = Wire::of(deployment, "veiligheidshuis", address).await;
    let status = wire.fetch().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().starts_with("key_not_pinned: "), "{status}");
    let query = shared.query("screening", "informatiecoordinator", &token);
    let logged = wire.ask_logged(deployment, wire::bytes(&query), vec![]).await;
    assert_eq!(logged[0].refusal(), Some("key_not_pinned"));
    assert_eq!(logged[0].requester(), test_oin(VEILIGHEIDSHUIS));
    let said = program::query(deployment, "veiligheidshuis", address, bsn, &[]);
    assert_eq!(said.failure(), (1, "key_not_pinned".into()));
    assert_eq!(broker.stop().unwrap(), Some(0));
    replace(&covenant, &"0".repeat(64), &pin);
    let broker = world.broker();
    let said = program::query(deployment, "veiligheidshuis", address, bsn, &[]);
    assert_eq!(said.code, 0, "{said:?}");

    let entries = world.stop(broker, &[bsn.as_bytes(), token.expose_secret(), CASE, USER]);
    let own = test_oin(VEILIGHEIDSHUIS);
    let expected = [
        (stranger, Some("unknown_partner".into())),
        (own.clone(), Some("key_not_pinned".into())),
        (own, None),
    ];
    assert_eq!(summary(&entries), expected);
}

/// Who asked, and the refusal's code, of each entry.
fn summary(entries: &[logbook::Entry]) -> Vec<(String, Option<String>)> {
    let rows = entries.iter().map(|entry| {
        let refusal = entry.refusal();
        let kind = if refusal.is_some() {
            EntryKind::Denied
        } else {
            EntryKind::Lookup
        };
        assert_eq!(entry.kind(), kind);
        (entry.requester(), refusal)
    });
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_says_who_asks() {
    let world = World::new(103);
    let (deployment, address) = (&world.deployment, world.address);
    let shared = Shared::of(deployment);
    let bsn = world.bsn(AgeClass::Adult);
    let token = shared.token(bsn);
    let broker = world.broker();
    let oin = test_oin(LEERPLICHT);

    // Leerplicht asks for what only the Veiligheidshuis may; no field of the message could say who one is.
    let wire = Wire::of(deployment, "leerplicht", address).await;
    let query = shared.query("screening", "informatiecoordinator", &token);
    let logged = wire.ask_logged(deployment, wire::bytes(&query), vec![]).await;
    assert_eq!(logged[0].refusal(), Some("purpose_not_granted"));
    assert_eq!(logged[0].requester(), oin);
    let query = shared.query("signalering", "professional", &token);
    let logged = wire.ask_logged(deployment, wire::bytes(&query), vec![]).await;
    assert_eq!(logged[0].refusal(), None);
    assert_eq!(logged[0].requester(), oin);
    let mut expected = vec![
        (oin.clone(), Some("purpose_not_granted".to_owned())),
        (oin.clone(), None),
    ];
    assert_eq!(metric(&broker, "hitmachine_log_entries"), 2);

    // A node that is configured as another partner than its certificate says shows nothing, whatever it is told: the
    // log names somebody else than who it thinks it is.
    let config = deployment.node_config("leerplicht");
    let mut name = "leerplicht".to_owned();
    for (other, purpose, role, refusal) in [
        (
            "veiligheidshuis",
            "screening",
            "informatiecoordinator",
            Some("purpose_not_granted"),
        ),
        ("regieteams", "signalering", "professional", None),
    ] {
        replace(
            &config,
            &format!("partner = \"{name}\""),
            &format!("partner = \"{other}\""),
        );
        name = other.to_owned();
        let said = program::query(
            deployment,
            "leerplicht",
            address,
            bsn,
            &["--purpose", purpose, "--role", role],
        );
        assert_eq!(said.failure(), (4, "not_proven".into()));
        for word in ["partners", "known", "refused"] {
            assert!(
                !said.out.contains(&format!("\"{word}")),
                "{other}: something is shown: {}",
                said.out
            );
        }
        assert_holds_none(
            &(said.out + &said.err),
            &[bsn.as_bytes(), token.expose_secret(), CASE, USER],
        );
        expected.push((oin.clone(), refusal.map(str::to_owned)));
    }
    // What proves it is kept, without anything of the question.
    let evidence = deployment.dir().join("nodes/leerplicht/state/evidence");
    let kept: Vec<_> = std::fs::read_dir(evidence).unwrap().collect();
    assert_eq!(kept.len(), 2);
    for file in kept {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert_holds_none(&text, &[bsn.as_bytes(), token.expose_secret(), CASE, USER]);
    }
    // A name that the covenant does not know: nothing is asked.
    replace(&config, &format!("partner = \"{name}\""), "partner = \"nobody\"");
    let said = program::query(deployment, "leerplicht", address, bsn, &[]);
    assert_eq!(said.failure(), (4, "disagree".into()));

    let entries = world.stop(broker, &[bsn.as_bytes(), token.expose_secret(), CASE, USER]);
    assert_eq!(summary(&entries), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_question_is_refused_proven_and_logged() {
    type Damage = fn(&mut v1::Query);
    let world = World::new(104);
    let (deployment, address) = (&world.deployment, world.address);
    let shared = Shared::of(deployment);
    let bsn = world.bsn(AgeClass::Adult);
    let token = shared.token(bsn);
    let broker = world.broker();
    let wire = Wire::of(deployment, "veiligheidshuis", address).await;
    let good = || shared.query("screening", "informatiecoordinator", &token);

    let cases: [(&str, Damage); 33] = [
        ("unknown_purpose", |q| q.purpose = "nieuwsgierigheid".into()),
        ("purpose_not_granted", |q| q.purpose = "signalering".into()),
        ("role_not_granted", |q| role(q, "stagiair")),
        ("too_many_subjects", |q| {
            q.subjects = vec![q.subjects[0].clone(); 17];
        }),
        ("covenant_changed", |q| q.covenant_version[0] ^= 1),
        ("wrong_epoch", |q| q.key_epoch = 2),
        ("token", |q| q.subjects[0].tokens[0].token.truncate(31)),
        ("token", |q| q.subjects[0].tokens[0].token.push(0)),
        ("token", |q| q.subjects[0].tokens[0].token.clear()),
        ("subject_class", |q| q.subjects[0].class = 0),
        ("subject_class", |q| q.subjects[0].class = 3),
        ("case_reference_missing", |q| q.case_reference.clear()),
        ("case_reference_missing", |q| q.case_reference = " \t ".into()),
        ("case_reference_too_long", |q| q.case_reference = "x".repeat(65)),
        ("case_reference", |q| q.case_reference = "ZK\u{1b}[2J".into()),
        ("user_missing", |q| q.user = None),
        ("user_missing", |q| user(q, "")),
        ("user_too_long", |q| user(q, &"x".repeat(65))),
        ("user", |q| user(q, "jan\nsen")),
        ("role", |q| role(q, "Chef!")),
        ("responsible", |q| {
            q.user.as_mut().unwrap().responsible = "x".repeat(65);
        }),
        ("responsible", |q| {
            q.user.as_mut().unwrap().responsible = "a\0b".into();
        }),
        ("purpose", |q| q.purpose.clear()),
        ("subjects_count", |q| q.subjects.clear()),
        ("subjects_count", |q| q.subjects = vec![q.subjects[0].clone(); 65]),
        ("subject_tokens", |q| q.subjects[0].tokens.clear()),
        ("identifier_type", |q| q.subjects[0].tokens[0].r#type = 0),
        ("identifier_type", |q| q.subjects[0].tokens[0].r#type = 257),
        ("identifier_type_twice", |q| {
            let again = q.subjects[0].tokens[0].clone();
            q.subjects[0].tokens.push(again);
        }),
        ("covenant_version", |q| q.covenant_version.clear()),
        ("key_epoch", |q| q.key_epoch = 0),
        ("request_id", |q| q.request_id = vec![0; 16]),
        ("trace_id", |q| q.trace_id.truncate(15)),
    ];
    let mut expected = Vec::new();
    let mut heads = Vec::new();
    for (place, (code, damage)) in cases.into_iter().enumerate() {
        let mut query = good();
        damage(&mut query);
        // Whatever could be read has an entry for each person; of the rest there is one.
        let persons = if code == "too_many_subjects" { 17 } else { 1 };
        let logged = wire
            .ask_logged(deployment, wire::bytes(&query), heads.clone())
            .await;
        assert_eq!(logged.len(), persons, "{place} {code}");
        for (subject, one) in logged.iter().enumerate() {
            assert_eq!(one.refusal(), Some(code), "{place}");
            assert_eq!(one.answer.subject, subject, "{place} {code}");
            assert_eq!(one.requester(), test_oin(VEILIGHEIDSHUIS), "{place} {code}");
            assert_eq!(
                one.receipt.opening().fields().get(FieldId::Event).unwrap()[0],
                EntryKind::Denied as u8
            );
            let request = one.answer.request.map(|id| id.as_bytes().to_vec());
            let own = Some(query.request_id.clone()).filter(|_| code != "request_id");
            assert_eq!(request, own, "{place} {code}");
            expected.push(code.to_owned());
        }
        heads = vec![logged[0].receipt.head().size];
    }
    // Bytes that are no question at all.
    for garbage in [
        vec![],
        vec![0xff; 9],
        vec![0; 1000],
        b"SELECT * FROM registrations".to_vec(),
    ] {
        let logged = wire.ask_logged(deployment, garbage.clone(), vec![]).await;
        let code = if garbage.is_empty() {
            "request_id"
        } else {
            "query_encoding"
        };
        assert_eq!(logged[0].refusal(), Some(code), "{} bytes", garbage.len());
        assert_eq!(logged[0].answer.request, None);
        expected.push(code.into());
    }
    // Not signed by a key that the covenant names for this partner: by nobody, by another partner, over another question,
    // or with something that is no signature. Only the last cannot be told from a broken message.
    let question = wire::bytes(&good());
    let other = wire.clone().signing(deployment, "leerplicht");
    let mut wrong = vec![
        (other.request(question.clone(), vec![]), "not_signed"),
        (wire.request(question.clone(), vec![]), "not_signed"),
        (wire.request(wire::bytes(&good()), vec![]), "not_signed"),
        (wire.request(question.clone(), vec![]), "signature"),
    ];
    wrong[1].0.signature = vec![0; 64];
    wrong[2].0.query = question;
    wrong[3].0.signature.truncate(63);
    for (request, code) in wrong {
        let response = wire.ask(request.clone()).await.unwrap();
        if code == "signature" {
            assert_eq!(
                answer::parse(&response.answers[0].answer).unwrap().outcome,
                Outcome::Refused(code.into())
            );
        } else {
            let logged = wire::logged(deployment, &request, &response);
            assert_eq!(logged[0].refusal(), Some(code));
        }
        expected.push(code.into());
    }
    // A good question with more log heads than may be named; 64 are fine, also such as never were.
    let logged = wire
        .ask_logged(deployment, wire::bytes(&good()), (0..65).collect())
        .await;
    assert_eq!(logged[0].refusal(), Some("known_sizes"));
    expected.push("known_sizes".into());
    assert_eq!(metric(&broker, "hitmachine_log_entries"), expected.len() as u64);
    let logged = wire
        .ask_logged(
            deployment,
            wire::bytes(&good()),
            (u64::MAX - 63..=u64::MAX).collect(),
        )
        .await;
    assert_eq!(logged[0].refusal(), None, "the question is good");

    let entries = world.stop(broker, &[bsn.as_bytes(), token.expose_secret(), CASE, USER]);
    let denied: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind() == EntryKind::Denied)
        .collect();
    assert_eq!(
        denied
            .iter()
            .filter_map(|entry| entry.refusal())
            .collect::<Vec<_>>(),
        expected
    );
    assert!(
        denied
            .iter()
            .all(|entry| entry.requester() == test_oin(VEILIGHEIDSHUIS))
    );
    assert_eq!(entries.len(), denied.len() + 1);
    assert_eq!(entries.last().unwrap().kind(), EntryKind::Lookup);
}

fn user(query: &mut v1::Query, id: &str) {
    query.user.as_mut().unwrap().id = id.into();
}

fn role(query: &mut v1::Query, role: &str) {
    query.user.as_mut().unwrap().role = role.into();
}

#[test]
fn a_bsn_in_a_text_is_not_sent() {
    let world = World::new(105);
    let (deployment, address) = (&world.deployment, world.address);
    let broker = world.broker();
    let bsn = world.bsn(AgeClass::Adult);
    let other = world.population.persons().last().unwrap().bsn.clone();
    let ask = |more: &[&str]| {
        let said = program::query(deployment, "veiligheidshuis", address, bsn, more);
        assert_holds_none(
            &(said.out.clone() + &said.err),
            &[bsn.as_bytes(), other.as_bytes()],
        );
        said
    };
    assert_eq!(ask(&[]).code, 0, "a question that is good");
    assert_eq!(metric(&broker, "hitmachine_log_entries"), 1);
    let dotted = format!("{}.{}.{}", &other[..4], &other[4..6], &other[6..]);
    for more in [
        ["--case", other.as_str()],
        ["--case", &format!("gezin {dotted}")],
        ["--case", &format!("dossier{other}b")],
        ["--user", &other],
        ["--responsible", &dotted],
        ["--role", &other],
        ["--role", &format!("role-{other}")],
        ["--purpose", &other],
    ] {
        assert_eq!(ask(&more).failure(), (2, "bsn_in_text".into()), "{}", more[0]);
    }
    // Other fields that are wrong do not leave the node either.
    for more in [
        ["--case", ""],
        ["--case", &"x".repeat(65)],
        ["--user", "a\nb"],
        ["--role", "Chef!"],
    ] {
        assert_eq!(ask(&more).failure(), (2, "field".into()), "{}", more[0]);
    }
    // And a number that is none.
    let said = program::query(deployment, "veiligheidshuis", address, "123456789", &[]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_holds_none(&(said.out.clone() + &said.err), &[b"123456789"]);
    assert_eq!(metric(&broker, "hitmachine_log_entries"), 1, "something was sent");
    assert_eq!(
        world
            .stop(broker, &[bsn.as_bytes(), other.as_bytes(), CASE, USER])
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_not_read() {
    let world = World::new(106);
    let (deployment, address) = (&world.deployment, world.address);
    let shared = Shared::of(deployment);
    let token = shared.token(world.bsn(AgeClass::Adult));
    let broker = world.broker();
    let wire = Wire::of(deployment, "regieteams", address).await;

    let mut query = shared.query("signalering", "professional", &token);
    query.case_reference = "x".repeat(hitmachine_proto::MAX_MESSAGE_BYTES);
    let request = wire.request(wire::bytes(&query), vec![]);
    let status = wire.ask(request).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    // As large as allowed it is read, and refused for what it says.
    query.case_reference = "x".repeat(hitmachine_proto::MAX_MESSAGE_BYTES - 1024);
    let logged = wire.ask_logged(deployment, wire::bytes(&query), vec![]).await;
    assert_eq!(logged[0].refusal(), Some("query_too_long"));

    let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
    let changes = vec![1; hitmachine_proto::MAX_MESSAGE_BYTES + 1];
    sync.say(Step::Batch(v1::SyncBatch {
        generation: begun.generation,
        sequence: 1,
        changes,
    }))
    .await;
    let status = sync.hear().await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let (_sync, begun) = wire.sync(shared.begin()).await.unwrap();
    assert_eq!(begun.next_sequence, 1, "something of it was taken");
    // The connection goes on.
    let good = shared.query("signalering", "professional", &token);
    assert_eq!(
        wire.ask_logged(deployment, wire::bytes(&good), vec![]).await[0].refusal(),
        None
    );
    assert_eq!(world.stop(broker, &[token.expose_secret(), CASE, USER]).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_breaks_the_rules_changes_nothing_and_the_node_repairs() {
    let world = World::new(107);
    let (deployment, address) = (&world.deployment, world.address);
    let shared = Shared::of(deployment);
    let broker = world.broker();
    let wire = Wire::of(deployment, "leerplicht", address).await;
    let minor = world.bsn(AgeClass::Minor);
    let token = shared.token(minor);
    let today = Day::of(Timestamp::now());

    // A begin that does not fit.
    let mut wrong_key = shared.begin();
    wrong_key.key_check_value[0] ^= 1;
    let no_key = v1::SyncBegin {
        key_check_value: vec![],
        ..shared.begin()
    };
    let epoch = v1::SyncBegin {
        key_epoch: 2,
        ..shared.begin()
    };
    let elsewhere = v1::SyncBegin {
        deployment: vec![7; 16],
        ..shared.begin()
    };
    for (begin, code) in [
        (wrong_key, "wrong_key"),
        (no_key, "wrong_key"),
        (epoch, "wrong_epoch"),
        (elsewhere, "wrong_deployment"),
    ] {
        let status = wire.sync(begin).await.err().unwrap();
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        assert!(status.message().starts_with(&format!("{code}: ")), "{status}");
    }
    let mut unbegun = wire.stream().await;
    let status = unbegun
        .batch(1, 1, &[registered(&token, SubjectClass::Minor, today)])
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("sync_begin: "), "{status}");

    // Batches that do not fit: nothing of any of them is taken.
    let many = |count: usize| vec![registered(&token, SubjectClass::Minor, today); count];
    for (what, sequence, changes, code) in [
        (
            "a class that is not granted",
            1,
            vec![registered(&token, SubjectClass::Adult, today)],
            "class_not_allowed",
        ),
        (
            "one bad change among good ones",
            1,
            vec![
                registered(&token, SubjectClass::Minor, today),
                registered(&token, SubjectClass::Adult, today),
            ],
            "class_not_allowed",
        ),
        (
            "a term that is too long",
            1,
            vec![registered(&token, SubjectClass::Minor, today.plus(367))],
            "term_too_long",
        ),
        (
            "a term that is over",
            1,
            vec![registered(&token, SubjectClass::Minor, Day(today.0 - 2))],
            "term_in_past",
        ),
        ("a gap", 2, many(1), "batch_gap"),
        ("1,025 changes", 1, many(1025), "changes_length"),
        ("no changes", 1, vec![], "changes_length"),
    ] {
        let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
        assert_eq!((begun.next_sequence, begun.count), (1, 0), "before {what}");
        let status = sync
            .batch(begun.generation, sequence, &changes)
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status}");
        assert!(
            status.message().starts_with(&format!("{code}: ")),
            "{what}: {status}"
        );
        assert_holds_none(status.message(), &[minor.as_bytes(), token.expose_secret()]);
    }
    let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
    let status = sync.batch(begun.generation + 1, 1, &many(1)).await.unwrap_err();
    assert!(status.message().starts_with("generation: "), "{status}");
    let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
    let status = sync.end(begun.generation, 0, vec![0; 31]).await.unwrap_err();
    assert!(status.message().starts_with("digest: "), "{status}");

    // The longest term and 1,024 changes are fine; resending changes nothing.
    let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
    let mut full = many(1023);
    full.push(registered(
        &Token::from_bytes([9; 32]),
        SubjectClass::Minor,
        today.plus(365),
    ));
    assert_eq!(sync.batch(begun.generation, 1, &full).await.unwrap(), 1);
    assert_eq!(sync.batch(begun.generation, 1, &full).await.unwrap(), 1);

    // One sync at a time for each partner; others are not held up.
    let status = wire.sync(shared.begin()).await.err().unwrap();
    assert_eq!(status.code(), Code::Aborted);
    assert!(status.message().starts_with("sync_under_way: "), "{status}");
    let said = program::node(deployment, "leerplicht", address, &["sync"]);
    assert_eq!(said.failure(), (1, "sync_under_way".into()));
    let said = program::node(deployment, "regieteams", address, &["sync"]);
    assert_eq!(said.code, 0, "{said:?}");

    // A sync that was broken off does not stand in the way of the next, however soon it comes.
    let leaves = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(sync);
    };
    let (next, ()) = tokio::join!(wire.sync(shared.begin()), leaves);
    let (mut sync, begun) = next.unwrap();

    // Count or digest differ: both sides are told, and the register does not answer.
    let mut tally = Tally::default();
    tally.add(IdentifierType::Bsn, &token, SubjectClass::Minor, today);
    assert!(
        !sync
            .end(begun.generation, 2, tally.digest().to_vec())
            .await
            .unwrap(),
        "digest"
    );
    let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
    assert_eq!((begun.next_sequence, begun.count), (2, 2));
    tally.add(
        IdentifierType::Bsn,
        &Token::from_bytes([9; 32]),
        SubjectClass::Minor,
        today.plus(365),
    );
    assert!(
        !sync
            .end(begun.generation, 1, tally.digest().to_vec())
            .await
            .unwrap(),
        "count"
    );
    let status_of = |world: &World| {
        let said = program::query(
            deployment,
            "veiligheidshuis",
            world.address,
            minor,
            &["--class", "minor"],
        );
        assert_eq!(said.code, 0, "{said:?}");
        said.json()["persons"][0]["partners"][0].clone()
    };
    let before = status_of(&world);
    assert_eq!(
        (&before["partner"], &before["status"]),
        (&"leerplicht".into(), &"could_not_ask".into())
    );

    // The node's own sync finds batches it never sent, and sends everything again.
    let said = program::node(deployment, "leerplicht", address, &["sync"]);
    assert_eq!(said.code, 0, "{said:?}");
    let report = said.json();
    let members = world.population.members(Register::Leerplicht).count() as u64;
    assert_eq!(report["full"], true);
    assert_eq!(report["persons"], members);
    assert_eq!(report["registered"], members);
    let again = program::node(deployment, "leerplicht", address, &["sync"]).json();
    assert_eq!(
        (&again["full"], &again["registered"], &again["withdrawn"]),
        (&false.into(), &0.into(), &0.into())
    );
    let known = world
        .population
        .members(Register::Leerplicht)
        .any(|person| person.bsn == minor);
    let word = if known { "known" } else { "not_known" };
    assert_eq!(status_of(&world)["status"], word);

    let entries = world.stop(broker, &[minor.as_bytes(), token.expose_secret(), CASE, USER]);
    assert!(entries.iter().all(|entry| entry.kind() == EntryKind::Lookup));
    assert_eq!(entries.len(), 2);
}

fn registered(token: &Token, class: SubjectClass, until: Day) -> Change {
    Change {
        identifier: IdentifierType::Bsn,
        token: token.clone(),
        registration: Some((class, until)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_asks_registers_nobody() {
    let world = World::new(108);
    let (deployment, address) = (&world.deployment, world.address);
    let shared = Shared::of(deployment);
    let broker = world.broker();
    let wire = Wire::of(deployment, "veiligheidshuis", address).await;
    let status = wire.sync(shared.begin()).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().starts_with("registers_nobody: "), "{status}");

    let said = program::node(deployment, "veiligheidshuis", address, &["sync"]);
    assert_eq!(said.failure(), (2, "no_source".into()));
    let config = deployment.node_config("veiligheidshuis");
    let with_source = std::fs::read_to_string(deployment.node_config("regieteams")).unwrap();
    let source = &with_source[with_source.find("[[source]]").unwrap()..];
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + source).unwrap();
    let said = program::node(deployment, "veiligheidshuis", address, &["sync"]);
    assert_eq!(said.failure(), (1, "registers_nobody".into()));

    // Another key at the node: it notices before it sends anything.
    let home = deployment.dir().join("nodes/regieteams");
    std::fs::remove_file(home.join("node-key.key")).unwrap();
    let purpose = hitmachine_service::secret::Purpose::NodeKey;
    hitmachine_service::secret::SecretFile::write_new(&home.join("node-key.key"), purpose, 1, &[5; 32])
        .unwrap();
    let said = program::node(deployment, "regieteams", address, &["sync"]);
    assert_eq!(said.failure(), (4, "disagree".into()));
    let bsn = world.bsn(AgeClass::Adult);
    let said = program::query(deployment, "regieteams", address, bsn, &[]);
    assert_eq!(said.failure(), (4, "disagree".into()));

    // A role, a purpose: refused by the hub, in words, by the node's own program.
    let mut codes = BTreeMap::new();
    for (more, code) in [
        (["--purpose", "signalering"], "purpose_not_granted"),
        (["--purpose", "onzin"], "unknown_purpose"),
        (["--role", "stagiair"], "role_not_granted"),
    ] {
        let said = program::query(deployment, "veiligheidshuis", address, bsn, &more);
        assert_eq!(said.code, 1, "{said:?}");
        let person = &said.json()["persons"][0];
        assert_eq!(person["refused"], code);
        assert_eq!(person["partners"].as_array().unwrap().len(), 0);
        codes.insert(person["log_index"].as_u64().unwrap(), Some(code.to_owned()));
    }
    // The covenant is over: nobody asks, nobody registers.
    let entries = world.stop(broker, &[bsn.as_bytes(), CASE, USER]);
    let logged: BTreeMap<_, _> = entries
        .iter()
        .map(|entry| (entry.index, entry.refusal()))
        .collect();
    assert_eq!(logged, codes);
    let covenant = deployment.covenant();
    replace_after(&covenant, "valid_until", "2099-12-31", "2020-12-31");
    let broker = world.broker();
    let said = program::query(deployment, "veiligheidshuis", address, bsn, &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(said.json()["persons"][0]["refused"], "covenant_not_in_force");
    let said = program::node(deployment, "leerplicht", address, &["sync"]);
    assert_eq!(said.failure(), (1, "covenant_not_in_force".into()));
    let entries = world.stop(broker, &[bsn.as_bytes(), CASE, USER]);
    assert_eq!(
        entries.last().unwrap().refusal().as_deref(),
        Some("covenant_not_in_force")
    );
    assert_eq!(entries.len(), 4);
}
