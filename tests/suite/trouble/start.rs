//! What a broker says before it starts, and that two of them never share their data.

use super::*;

#[test]
fn a_broker_says_what_is_wrong_before_it_starts() {
    let world = World::new(203);
    let broker = world.path("broker");
    let covenant = world.deployment.covenant();
    let key = fs::read_to_string(broker.join("pepper.key")).unwrap();
    let secret = key.trim().rsplit(' ').next().unwrap().to_owned();
    let expired = {
        let now = Timestamp::now();
        let options = IssueOptions {
            dns_names: vec![BROKER_NAME.into()],
            not_before: now - 48.hours(),
            not_after: now - 1.hour(),
            ..IssueOptions::partner("Hitmachine demo", &test_oin(1), now, 1)
        };
        world.deployment.authority().unwrap().issue(&options).unwrap()
    };
    let add = |path: &Path, text: &str| fs::write(path, fs::read_to_string(path).unwrap() + text).unwrap();
    let second = "\n[[partner]]\nid = \"leerplicht\"\nname = \"X\"\noin = \"00000099000000000077\"\ndomain = \"x\"\n\
                  contact = \"x\"\nanswers = \"index\"\nregisters = []\n";
    let lines = fs::read_to_string(&covenant).unwrap().lines().count();
    let rekey = |purpose, number| {
        fs::remove_file(broker.join("pepper.key")).unwrap();
        SecretFile::write_new(&broker.join("pepper.key"), purpose, number, &[9; 32]).unwrap();
    };
    let open_up = |name: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(broker.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    };
    let named_twice = format!("line {}: partner.id: leerplicht is named twice", lines + 3);
    let cases: [(&str, Damage<'_>, &[&str]); 14] = [
        (
            "a covenant with an unknown field",
            &|| replace(&covenant, "title = \"Conv", "colour = \"red\"\ntitle = \"Conv"),
            &["covenant.toml", "line 4:", "colour"],
        ),
        (
            "a partner named twice",
            &|| add(&covenant, second),
            &["covenant.toml", &named_twice],
        ),
        (
            "a covenant that is no text",
            &|| fs::write(&covenant, b"\xff\xfe").unwrap(),
            &["line 1:", "UTF-8"],
        ),
        (
            "no covenant",
            &|| fs::remove_file(&covenant).unwrap(),
            &["covenant.toml", "cannot read"],
        ),
        (
            "no pepper",
            &|| fs::remove_file(broker.join("pepper.key")).unwrap(),
            &["cannot read", "pepper.key"],
        ),
        (
            "a pepper of another epoch",
            &|| rekey(Purpose::Pepper, 2),
            &["key epoch 2", "says 1"],
        ),
        (
            "another key as pepper",
            &|| rekey(Purpose::NodeKey, 1),
            &["pepper.key does not hold a pepper key"],
        ),
        (
            "a key that others can read",
            &|| open_up("pepper.key"),
            &["pepper.key", "0644", "chmod 600"],
        ),
        (
            "a signing key that others can read",
            &|| open_up("audit-signing.key"),
            &["audit-signing.key", "chmod 600"],
        ),
        (
            "a TLS key that others can read",
            &|| open_up("broker.key"),
            &["broker.key", "chmod 600"],
        ),
        (
            "an expired certificate",
            &|| expired.save(&broker, "broker").unwrap(),
            &["broker.pem expired at"],
        ),
        (
            "a certificate of another key",
            &|| fs::write(broker.join("broker.pem"), expired.certificate_pem()).unwrap(),
            &["broker.pem"],
        ),
        (
            "an unknown setting",
            &|| {
                replace(
                    &world.deployment.broker_config(),
                    "data_dir",
                    "colour = \"red\"\ndata_dir",
                );
            },
            &["broker.toml", "colour"],
        ),
        (
            "a setting of another form",
            &|| {
                replace(
                    &world.deployment.broker_config(),
                    "number = 1",
                    "number = \"one\"",
                );
            },
            &["broker.toml", "number"],
        ),
    ];
    for (what, damage, texts) in cases {
        let kept = logbook::copy(world.deployment.dir());
        damage();
        let said = broker_refuses(&world.deployment);
        assert_eq!(said.code, 2, "{what}: {said:?}");
        let message = said.err.lines().last().unwrap_or_default();
        assert!(message.starts_with("hitmachine-broker: "), "{what}: {said:?}");
        for text in texts {
            assert!(message.contains(text), "{what}: no {text:?} in {message}");
        }
        assert!(
            !said.err.contains(&secret) && !said.out.contains(&secret),
            "{what}"
        );
        // Nothing was begun.
        assert!(!broker.join("data").exists(), "{what}");
        restore(&kept, world.deployment.dir());
    }
    // A port that is taken is no fault of the configuration.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = world.deployment.broker_config();
    replace(&config, "127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    let said = broker_refuses(&world.deployment);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("cannot listen on"), "{said:?}");
    drop(taken);
    // And with everything in order it starts.
    assert_eq!(world.broker().stop().unwrap(), Some(0));
}

#[test]
fn two_brokers_never_share_their_data() {
    let world = World::new(204);
    let broker = world.broker();
    world.sync_all();
    let said = broker_refuses(&world.deployment);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("in use by another process"), "{said:?}");
    // Also if only the log is shared.
    let elsewhere = world.path("broker/elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(world.path("broker/data/audit"), elsewhere.join("audit")).unwrap();
    let config = world.deployment.broker_config();
    replace(&config, "data_dir = \"data\"", "data_dir = \"elsewhere\"");
    let said = broker_refuses(&world.deployment);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("log is in use by another process"), "{said:?}");
    // The first one was not disturbed.
    let bsn = world.bsn(AgeClass::Adult);
    let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(broker.stop().unwrap(), Some(0));
}
