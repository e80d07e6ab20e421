//! `hitmachine-node source check`.

use std::fs;

use hitmachine_testkit::population::Register;
use hitmachine_tests::program::assert_holds_none;
use hitmachine_tests::world::World;
use serde_json::json;

use super::{members, replace_source};

#[test]
fn a_source_is_tried_out_in_numbers_without_hub_or_keys() {
    let world = World::new(621);
    let partner = Register::Leerplicht.id();
    let rows = members(&world, Register::Leerplicht);
    // Without the keys and the state that everything else needs.
    let node = world.path(&format!("nodes/{partner}"));
    for key in ["node-key.key", "node-state.key"] {
        fs::remove_file(node.join(key)).unwrap();
    }

    let said = world.node(partner, &["source", "check"]);
    assert_eq!(said.code, 0, "{said:?}");
    let found = &said.json()[0];
    assert_eq!((&found["kind"], &found["usable"]), (&json!("csv"), &json!(true)));
    let content = &found["content"];
    assert_eq!(content["persons"], json!(rows.len()));
    let (minors, adults) = (
        content["minors"].as_u64().unwrap(),
        content["adults"].as_u64().unwrap(),
    );
    assert_eq!(minors + adults, rows.len() as u64);
    let secrets: Vec<&[u8]> = rows.iter().map(|row| row[0].as_bytes()).collect();
    assert_holds_none(&said.out, &secrets);
    assert!(!node.join("state").exists(), "nothing was opened");

    // Three sources, of which one has a bad row too many and one is not there.
    fs::write(node.join("a.csv"), "bsn;geboren\nx;1-2-2016\n;1-2-2016\n").unwrap();
    fs::write(
        node.join("b.csv"),
        format!("bsn;geboren\n{};1-2-2016\n", rows[0][0]),
    )
    .unwrap();
    let section = |name: &str| {
        format!(
            "[[source]]\npath = \"{name}.csv\"\n[source.columns]\nidentifier = \"bsn\"\nbirth_date = \"geboren\"\n"
        )
    };
    replace_source(
        &world,
        partner,
        &[section("a"), section("b"), section("c")].concat(),
    );
    let said = world.node(partner, &["source", "check", "--issues", "1"]);
    assert_eq!(said.code, 1, "{said:?}");
    let json = said.json();
    assert_eq!(json[0]["content"]["bad_rows"], 2);
    assert_eq!(json[0]["content"]["issues"].as_array().unwrap().len(), 1);
    let reasons: Vec<_> = json[0]["content"]["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| &reason["code"])
        .collect();
    assert_eq!(reasons, ["bsn_character", "field_empty"]);
    assert_eq!(
        (&json[1]["usable"], &json[1]["content"]["minors"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(
        (&json[2]["usable"], &json[2]["refused"]["code"]),
        (&json!(false), &json!("source_open"))
    );
    assert_eq!(
        world
            .node(partner, &["source", "check", "--source", "b.csv"])
            .code,
        0
    );
    assert_eq!(
        world
            .node(partner, &["source", "check", "--source", "d.csv"])
            .code,
        2
    );
    let path = world.deployment.node_config(partner);
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("watch_seconds", "max_bad_rows = 1\nwatch_seconds");
    fs::write(&path, text).unwrap();
    let said = world.node(partner, &["source", "check", "--source", "a.csv"]);
    assert_eq!(
        (said.code, &said.json()[0]["refused"]["code"]),
        (1, &json!("too_many_bad_rows"))
    );
}
