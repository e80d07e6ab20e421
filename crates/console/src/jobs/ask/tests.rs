use std::sync::Arc;

use hitmachine_node::control::{Ask, AskPerson};
use hitmachine_node::source::AgeBracket;
use hitmachine_node::state::{State, StateKey};

use super::*;
use crate::kept::Book;

fn asked(dir: &std::path::Path, key: u8) -> Asked {
    let state = State::open(dir, &StateKey::from_bytes([3; 32])).unwrap();
    let table = Arc::new(state).table("answers").unwrap();
    Asked::new(Book::open(table, 30).unwrap(), [key; 32])
}

fn question(number: &str, case: &str) -> Ask {
    Ask {
        purpose: "screening".into(),
        case: case.into(),
        user: "pietersen".into(),
        role: "informatiecoordinator".into(),
        responsible: None,
        persons: vec![AskPerson {
            kind: NumberKind::Bsn,
            number: Zeroizing::new(number.into()),
            class: ClassWord::Adult,
            age: AgeBracket::From16,
            reference: None,
        }],
    }
}

#[test]
fn a_form_is_one_question() {
    let dir = tempfile::tempdir().unwrap();
    let asked = asked(dir.path(), 1);
    let form = Uuid::new_v4();
    let print = asked.print(&question("1", "a"));
    let Begun::First(turn, first) = asked.begin(form, print) else {
        panic!("used")
    };
    // Sent again while it is asked: no second turn, and the same answer.
    let Begun::Again(second) = asked.begin(form, print) else {
        panic!("asked twice")
    };
    // With another number, case or user it is another question.
    for other in [
        question("2", "a"),
        question("1", "b"),
        Ask {
            user: "jansen".into(),
            ..question("1", "a")
        },
    ] {
        assert!(matches!(asked.begin(form, asked.print(&other)), Begun::Used));
    }
    turn.end(Err(form_used()), true);
    for answer in [first, second] {
        assert!(matches!(&*answer.borrow(), Some(Err(problem)) if problem.code == FORM_USED));
    }
    assert!(matches!(asked.begin(form, print), Begun::Again(_)), "later, too");
}

/// A question that was not asked, or whose task stopped, may be asked with the same form.
#[test]
fn a_turn_that_came_to_nothing_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let asked = asked(dir.path(), 1);
    let (form, print) = (Uuid::new_v4(), asked.print(&question("1", "a")));
    let Begun::First(turn, _) = asked.begin(form, print) else {
        panic!("used")
    };
    turn.end(Err(form_used()), false);
    let Begun::First(turn, answer) = asked.begin(form, print) else {
        panic!("not given back")
    };
    drop(turn);
    assert!(answer.has_changed().is_err() || answer.borrow().is_none());
    assert!(matches!(asked.begin(form, print), Begun::First(..)));
}

/// What is remembered of a form says nothing outside this run.
#[test]
fn a_print_is_of_one_run() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ask = question("1", "a");
    assert_ne!(
        asked(dirs[0].path(), 1).print(&ask),
        asked(dirs[1].path(), 2).print(&ask)
    );
}

const COVENANT: &str = r#"
format = 1
id = "zvh"
title = "Convenant"
version = 1
valid_from = "2020-01-01"
valid_until = "2099-12-31"
[deployment]
id = "00000000000000000000000000000001"
kind = "demo"
"#;

fn covenant() -> Covenant {
    let mut text = COVENANT.to_owned();
    for (place, (id, answers)) in [("vh", "index"), ("lp", "index"), ("om", "live")]
        .into_iter()
        .enumerate()
    {
        let key = hitmachine_core::RequestSigner::new(&[id.as_bytes()[0]; 32]).key();
        text.push_str(&format!(
            "[[partner]]\nid = \"{id}\"\nname = \"De {id}\"\noin = \"0000009900000000{place}000\"\ndomain = \"zorg\"\n\
             contact = \"desk\"\nanswers = \"{answers}\"\nregisters = [\"adult\"]\nregistration_days = 30\n\
             stale_after_hours = 72\nsigning_keys = [\"{key}\"]\n"
        ));
    }
    for (code, askers, roles) in [
        ("mine", "\"vh\"", "\"vrager\""),
        ("other-role", "\"vh\"", "\"arts\""),
        ("other-partner", "\"lp\"", "\"vrager\""),
    ] {
        text.push_str(&format!(
            "[[purpose]]\ncode = \"{code}\"\ntitle = \"T\"\nlegal_basis = \"Wet\"\nprocessing_activity = \
             \"https://r.example/1\"\naskers = [{askers}]\nroles = [{roles}]\nconsults = [\"vh\", \"lp\", \"om\"]\nnotifies = \
             [\"lp\"]\nlog_retention_months = 60\nmax_subjects = 5\n"
        ));
    }
    Covenant::parse(text.as_bytes()).unwrap()
}

#[test]
fn only_purposes_that_covenant_role_and_application_allow() {
    let roles = hitmachine_node::accounts::Roles {
        asks_as: Some("vrager".into()),
        ..Default::default()
    };
    let mut caller = crate::caller::Caller {
        user: "u".into(),
        name: "U".into(),
        roles,
        purposes: None,
    };
    let own = "vh".parse().unwrap();
    let found = granted(&covenant(), &own, &caller.asker().unwrap());
    assert_eq!(
        found.iter().map(|each| each.code.as_str()).collect::<Vec<_>>(),
        ["mine"]
    );
    assert_eq!(found[0].max_persons, 5);
    // Never the asker itself; who answers live, and who is told.
    let consults: Vec<_> = found[0]
        .consults
        .iter()
        .map(|each| (each.name.as_str(), each.live, each.told_of_hits))
        .collect();
    assert_eq!(consults, [("De lp", false, true), ("De om", true, false)]);
    caller.purposes = Some(vec!["other-role".into()]);
    assert!(granted(&covenant(), &own, &caller.asker().unwrap()).is_empty());
}
