//! Registrations end, and classes are kept apart.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn registrations_end_and_classes_are_kept_apart() {
    let world = World::new(211);
    // The test's "today" must be the broker's for as long as it takes.
    let left = (Timestamp::now().as_second() / 86_400 + 1) * 86_400 - Timestamp::now().as_second();
    if left < 60 {
        std::thread::sleep(Duration::from_secs(u64::try_from(left).unwrap() + 1));
    }
    let today = Day::of(Timestamp::now());
    let broker = world.broker();
    let (adult, minor) = (world.bsn(AgeClass::Adult), world.bsn(AgeClass::Minor));
    let shared = Shared::of(&world.deployment);
    let ask = |bsn: &str, class: &str| -> BTreeMap<String, String> {
        let said = run::query(
            &world.deployment,
            "veiligheidshuis",
            world.address,
            bsn,
            &["--class", class],
        );
        assert_eq!(said.code, 0, "{said:?}");
        let said = said.json();
        let rows = said["persons"][0]["partners"].as_array().unwrap().iter();
        rows.map(|row| {
            (
                row["partner"].as_str().unwrap().into(),
                row["status"].as_str().unwrap().into(),
            )
        })
        .collect()
    };

    // Registered until yesterday, which a node whose clock runs behind may send: it does not answer. Until today: it does.
    let wire = Wire::of(&world.deployment, "regieteams", world.address).await;
    let mut tally = Tally::default();
    for (sequence, until, word) in [(1, Day(today.0 - 1), "not_known"), (2, today, "known")] {
        let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
        let change = Change {
            identifier: IdentifierType::Bsn,
            token: shared.token(adult),
            registration: Some((SubjectClass::Adult, until)),
        };
        assert_eq!(
            sync.batch(begun.generation, sequence, &[change]).await.unwrap(),
            sequence
        );
        tally = Tally::default();
        tally.add(
            IdentifierType::Bsn,
            &shared.token(adult),
            SubjectClass::Adult,
            until,
        );
        assert!(
            sync.end(begun.generation, 1, tally.digest().to_vec())
                .await
                .unwrap()
        );
        assert_eq!(ask(adult, "adult")["regieteams"], word);
    }
    assert_eq!(tally.count, 1);

    // Who registers only minors is not asked about an adult, and the reverse, whoever it knows.
    for register in [Register::Leerplicht, Register::Schuldhulpverlening] {
        assert_eq!(world.node(register.id(), &["sync"]).code, 0);
    }
    for (bsn, class, skipped) in [
        (adult, "adult", "leerplicht"),
        (minor, "minor", "schuldhulpverlening"),
    ] {
        let rows = ask(bsn, class);
        assert_eq!(rows[skipped], "does_not_apply");
        let asked = rows.values().filter(|status| *status == "does_not_apply").count();
        assert_eq!(asked, 1, "{rows:?}");
    }
    // A source with somebody of the other class has a bad row, and the rest is registered.
    let source = world.source(Register::Leerplicht);
    let text = fs::read_to_string(&source).unwrap();
    let style = Register::Leerplicht.style();
    let header: Vec<&str> = text
        .lines()
        .next()
        .unwrap()
        .trim_start_matches('\u{feff}')
        .split(';')
        .collect();
    let mut row = String::new();
    for column in &header {
        let cell = match *column {
            name if name == style.bsn_column => adult,
            name if name == style.birth_date_column => "01-01-1970",
            _ => "x",
        };
        write!(row, "{cell};").unwrap();
    }
    fs::write(&source, format!("{text}{}\r\n", row.trim_end_matches(';'))).unwrap();
    let report = world.node("leerplicht", &["sync"]).json();
    assert_eq!(report["persons"], world.members(Register::Leerplicht));
    assert_eq!(
        (&report["registered"], &report["withdrawn"]),
        (&json!(0), &json!(0))
    );
    fs::write(&source, text).unwrap();

    // A covenant with a shorter term: the node sends everything anew with the new term.
    assert_eq!(broker.stop().unwrap(), Some(0));
    replace_after(
        &world.deployment.covenant(),
        "id = \"leerplicht\"",
        "registration_days = 365",
        "registration_days = 1",
    );
    let broker = world.broker();
    let report = world.node("leerplicht", &["sync"]).json();
    let members = json!(world.members(Register::Leerplicht));
    assert_eq!(
        (&report["registered"], &report["persons"], &report["full"]),
        (&members, &members, &json!(false))
    );
    // One that goes on sending the old term is refused.
    let shared = Shared::of(&world.deployment);
    let wire = Wire::of(&world.deployment, "leerplicht", world.address).await;
    let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
    let change = |until| Change {
        identifier: IdentifierType::Bsn,
        token: shared.token(minor),
        registration: Some((SubjectClass::Minor, until)),
    };
    let status = sync
        .batch(begun.generation, begun.next_sequence, &[change(today.plus(365))])
        .await
        .unwrap_err();
    assert!(status.message().starts_with("term_too_long: "), "{status}");
    assert_eq!(metric(&broker, "hitmachine_sync_batches_total"), 1);
    assert_eq!(broker.stop().unwrap(), Some(0));
}
