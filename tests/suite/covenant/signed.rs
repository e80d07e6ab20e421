//! Outside a demo a covenant is signed by its administrators, or it does not hold.

use std::fs;

use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::process::{node_command, program};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{Said, broker_refuses, replace};
use hitmachine_tests::world::World;

use super::{count_up, covenant, hang_up, in_force, outside_demo, refused};

fn tool(arguments: &[&str]) -> Said {
    let mut command = std::process::Command::new(program("hitmachine").unwrap());
    Said::of(command.args(["covenant"]).args(arguments).output().unwrap())
}

/// What a change needs: a higher number, and two of the three administrators. Everything else is refused, by the running
/// broker and at a start, and the old one holds.
#[test]
fn a_change_needs_enough_signatures_and_a_higher_number() {
    let world = World::new(311);
    outside_demo(&world);
    let deployment = &world.deployment;
    let broker = world.broker();
    assert_eq!(world.ask("veiligheidshuis").code, 0);
    let path = deployment.covenant();
    let first = (
        fs::read(&path).unwrap(),
        fs::read(deployment.covenant_signatures()).unwrap(),
    );

    replace(&path, "max_subjects = 16", "max_subjects = 15");
    deployment.sign_covenant(&["ann", "bob"]).unwrap();
    refused(&broker, 1); // the same number
    count_up(&world);
    refused(&broker, 2); // signatures of the text before
    deployment.sign_covenant(&["ann"]).unwrap();
    refused(&broker, 3); // one of two
    fs::remove_file(deployment.covenant_signatures()).unwrap();
    refused(&broker, 4); // nobody
    assert_eq!(world.ask("veiligheidshuis").code, 0, "the old one holds");
    let said = broker.log().unwrap();
    for text in [
        "its number 1 is not higher than that of the one in force (1)",
        "its signatures are of another file",
        "1 of the 2 administrators needed of the covenant before it signed it",
        "it is not signed",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    deployment.sign_covenant(&["cas", "ann"]).unwrap();
    hang_up(&broker);
    in_force(&broker, 2);
    assert_eq!(world.ask("veiligheidshuis").code, 0);
    let second = (
        fs::read(&path).unwrap(),
        fs::read(deployment.covenant_signatures()).unwrap(),
    );

    // An older one, with all its signatures: refused while it runs, and at a start.
    fs::write(&path, &first.0).unwrap();
    fs::write(deployment.covenant_signatures(), &first.1).unwrap();
    refused(&broker, 5);
    assert_eq!(broker.stop().unwrap(), Some(0));
    let said = broker_refuses(deployment);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(
        said.err
            .contains("is not higher than that of the one in force (2)"),
        "{said:?}"
    );
    // Also by a broker whose tables are lost: its log remembers.
    let tables = deployment.dir().join("broker/data/tables");
    let aside = deployment.dir().join("broker/data/tables.aside");
    fs::rename(&tables, &aside).unwrap();
    let said = broker_refuses(deployment);
    assert!(
        said.err
            .contains("is not higher than that of the one in force (2)"),
        "{said:?}"
    );
    fs::remove_dir_all(&tables).unwrap();
    fs::rename(&aside, &tables).unwrap();
    // Unsigned, at a start.
    fs::write(&path, &second.0).unwrap();
    fs::remove_file(deployment.covenant_signatures()).unwrap();
    let broker = world.broker();
    assert_eq!(
        world.ask("veiligheidshuis").code,
        0,
        "what was accepted needs no signatures again"
    );
    assert_eq!(broker.stop().unwrap(), Some(0));
    count_up(&world);
    let said = broker_refuses(deployment);
    assert!(
        said.code == 4 && said.err.contains("it is not signed"),
        "{said:?}"
    );
    assert_eq!(logbook::controls(deployment, &["covenant"]).len(), 1);
}

/// Administrators make way for others. A node that was away for two such changes follows; one that trusts others does
/// not.
#[test]
fn administrators_are_replaced_and_nodes_follow() {
    let world = World::new(312);
    outside_demo(&world);
    let deployment = &world.deployment;
    let broker = world.broker();
    assert_eq!(world.ask("veiligheidshuis").code, 0);
    let path = deployment.covenant();
    let administrators = covenant(&world).administrators().unwrap().clone();
    let key = |place: usize| format!("{:?}", administrators.keys()[place].to_string());
    let list = |places: &[usize]| {
        places
            .iter()
            .map(|place| key(*place))
            .collect::<Vec<_>>()
            .join(", ")
    };
    // Everybody but ann goes, then she makes way for bob: he alone could not have.
    replace(
        &path,
        &format!("needed = 2\nkeys = [{}]", list(&[0, 1, 2])),
        &format!("needed = 1\nkeys = [{}]", list(&[0])),
    );
    count_up(&world);
    deployment.sign_covenant(&["ann"]).unwrap();
    refused(&broker, 1);
    deployment.sign_covenant(&["ann", "cas"]).unwrap();
    hang_up(&broker);
    in_force(&broker, 2);
    replace(
        &path,
        &format!("keys = [{}]", list(&[0])),
        &format!("keys = [{}]", list(&[1])),
    );
    count_up(&world);
    deployment.sign_covenant(&["bob", "cas"]).unwrap();
    refused(&broker, 2);
    deployment.sign_covenant(&["ann", "bob"]).unwrap();
    hang_up(&broker);
    in_force(&broker, 3);
    // It held number 1.
    assert_eq!(world.ask("veiligheidshuis").code, 0);
    // One that holds none yet trusts the administrators of the beginning: it walks the same way.
    assert_eq!(world.ask("leerplicht").code, 0);
    // One that trusts others asks nothing, and says why.
    let config = deployment.node_config("regieteams");
    let text = fs::read_to_string(&config).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("covenant_administrators"))
        .unwrap();
    let bob = list(&[1]);
    for (with, code) in [
        (
            format!(
                "covenant_administrators = {{ needed = 2, keys = [{}] }}",
                // Each signed one of the three, and none was signed by both.
                list(&[1, 2])
            ),
            "covenant_too_few_signatures",
        ),
        (String::new(), "covenant_nobody_trusted"),
    ] {
        fs::write(&config, text.replace(line, &with)).unwrap();
        assert_eq!(world.ask("regieteams").failure(), (4, code.into()), "{with}");
    }
    fs::write(
        &config,
        text.replace(
            line,
            &format!("covenant_administrators = {{ needed = 1, keys = [{bob}] }}"),
        ),
    )
    .unwrap();
    assert_eq!(world.ask("regieteams").code, 0);
    let said = Said::of(
        node_command(deployment, "regieteams", world.address)
            .unwrap()
            .arg("covenant")
            .output()
            .unwrap(),
    );
    assert_eq!(said.code, 0, "{said:?}");
    for text in [
        "number 3",
        "What this organisation may ask",
        "Who asks this organisation",
        "signalering",
    ] {
        assert!(said.out.contains(text), "{text}: {said:?}");
    }
    let bsn = world.bsn(AgeClass::Adult).to_owned();
    world.stop(broker, &[bsn.as_bytes()]);
}

/// The tool by which administrators sign: on their own, one after the other, and what it refuses.
#[test]
fn the_tool_signs_and_verifies() {
    let world = World::new(313);
    outside_demo(&world);
    let deployment = &world.deployment;
    let path = deployment.covenant();
    let file = path.to_str().unwrap();
    let previous = world.path("before.toml");
    fs::copy(&path, &previous).unwrap();
    let previous = previous.to_str().unwrap();
    let key = |name: &str| deployment.administrator_key(name).to_str().unwrap().to_owned();
    replace(&path, "max_subjects = 16", "max_subjects = 15");
    count_up(&world);

    let sign = |name: &str, more: &[&str]| {
        tool(
            &[
                &["sign", file, "--key", &key(name), "--name", name, "--lang", "en"],
                more,
            ]
            .concat(),
        )
    };
    let said = sign("ann", &["--yes"]);
    assert!(
        said.code == 1 && said.err.contains("earlier version of the file"),
        "{said:?}"
    );
    fs::remove_file(deployment.covenant_signatures()).unwrap();
    // Without a yes nothing is signed; there is nobody to say it here.
    let said = sign("ann", &[]);
    assert!(
        said.code == 1 && !deployment.covenant_signatures().exists(),
        "{said:?}"
    );
    let said = sign("ann", &["--yes", "--previous", previous]);
    assert_eq!(said.code, 0, "{said:?}");
    for text in [
        "number 2",
        "most persons in one question was 16 persons and becomes 15 persons",
        "1 signed (ann), 2 needed",
    ] {
        assert!(said.out.contains(text), "{text}: {said:?}");
    }
    let said = tool(&["verify", file, "--previous", previous, "--lang", "en"]);
    assert!(
        said.code == 4
            && said
                .err
                .contains("1 of the 2 administrators needed of the covenant before it signed it"),
        "{said:?}"
    );
    assert_eq!(sign("cas", &["--yes"]).code, 0);
    for more in [vec![], vec!["--previous", previous]] {
        let said = tool(&[&["verify", file, "--json"], more.as_slice()].concat());
        assert_eq!(said.code, 0, "{said:?}");
        let json = said.json();
        assert_eq!(json["accepted"], true);
        assert_eq!(json["signed_by"], serde_json::json!(["ann", "cas"]));
    }
    // Somebody else's key, a key under another name, and a key for something else.
    let stranger = world.path("stranger.key");
    let stranger = stranger.to_str().unwrap();
    let keys = |arguments: &[&str]| {
        let mut command = std::process::Command::new(program("hitmachine").unwrap());
        Said::of(command.arg("keys").args(arguments).output().unwrap())
    };
    assert_eq!(keys(&["new", stranger, "--purpose", "administrator"]).code, 0);
    let shown = keys(&["show", stranger, "--purpose", "administrator", "--name", "eve"]);
    assert!(shown.out.starts_with("eve+"), "{shown:?}");
    let before = fs::read(deployment.covenant_signatures()).unwrap();
    for (key, name, code) in [
        (stranger, "eve", 1),
        (&*key("ann"), "bob", 1),
        (
            &*deployment.dir().join("broker/pepper.key").to_string_lossy(),
            "ann",
            2,
        ),
    ] {
        let said = tool(&["sign", file, "--key", key, "--name", name, "--yes"]);
        assert_eq!(said.code, code, "{name}: {said:?}");
    }
    assert_eq!(fs::read(deployment.covenant_signatures()).unwrap(), before);
    // The broker's own check looks at signatures, too.
    let check = || {
        let mut command = std::process::Command::new(program("hitmachine-broker").unwrap());
        Said::of(
            command
                .args(["check", "--config"])
                .arg(deployment.broker_config())
                .output()
                .unwrap(),
        )
    };
    assert_eq!(check().code, 0);
    fs::remove_file(deployment.covenant_signatures()).unwrap();
    let said = check();
    assert!(
        said.code == 4 && said.err.contains("it is not signed"),
        "{said:?}"
    );
}
