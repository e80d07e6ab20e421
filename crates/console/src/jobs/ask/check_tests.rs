use hitmachine_node::accounts::Roles;
use jiff::civil::date;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;
use crate::caller::Caller;

fn purpose(max_persons: usize) -> PurposeChoice {
    PurposeChoice {
        code: "screening".into(),
        title: "Screening".into(),
        legal_basis: "Wet".into(),
        processing_activity: "https://register.example/1".into(),
        consults: Vec::new(),
        max_persons,
        max_screening: 1,
        strict: false,
    }
}

fn person(number: &str, birth: &str, class: Option<ClassWord>, reference: &str) -> AskedFor {
    AskedFor {
        kind: NumberKind::Bsn,
        number: Zeroizing::new(number.into()),
        birth_date: Some(birth.into()),
        class,
        reference: Some(reference.into()),
    }
}

fn asking(case: &str, persons: Vec<AskedFor>) -> Asking {
    Asking {
        form: Uuid::new_v4(),
        purpose: "screening".into(),
        case: case.into(),
        responsible: None,
        persons,
    }
}

fn check(asking: &Asking) -> Result<Checked, Vec<(Field, &'static str)>> {
    let caller = Caller {
        user: "pietersen".into(),
        name: "P".into(),
        roles: Roles {
            asks_as: Some("informatiecoordinator".into()),
            ..Roles::default()
        },
        purposes: None,
    };
    let asker = caller.asker().unwrap();
    let admission = Admission::with_default_prefixes("test".parse().unwrap());
    let checked = checked(&asker, asking, vec![purpose(3)], &admission, date(2026, 11, 22));
    checked.map_err(|mistakes| {
        for mistake in &mistakes {
            for text in [&mistake.text_nl, &mistake.text_en] {
                assert!(text.chars().filter(char::is_ascii_digit).count() < 9, "{text}");
            }
        }
        mistakes
            .into_iter()
            .map(|mistake| (mistake.field, mistake.code))
            .collect()
    })
}

fn wrong(asking: &Asking) -> Vec<(Field, &'static str)> {
    check(asking).err().unwrap_or_default()
}

const BSN: &str = "999990019";

#[test]
fn a_question_without_mistakes() {
    let mut question = asking(
        " ZK-1 ",
        vec![person("9999.90.019", "01-02-2016", None, " LP-1 ")],
    );
    question.responsible = Some("  ".into());
    let Ok(checked) = check(&question) else {
        panic!("{:?}", wrong(&question))
    };
    assert_eq!(
        (checked.ask.case.as_str(), checked.ask.user.as_str()),
        ("ZK-1", "pietersen")
    );
    assert_eq!(
        (checked.ask.role.as_str(), checked.ask.responsible),
        ("informatiecoordinator", None)
    );
    assert_eq!(checked.persons[0].class, ClassWord::Minor);
    assert_eq!(checked.persons[0].reference.as_deref(), Some("LP-1"));
}

#[test]
fn each_field_says_what_is_wrong_with_it() {
    let good = || person(BSN, "", Some(ClassWord::Adult), "");
    for (question, expected) in [
        (asking("", vec![good()]), (Field::Case, "case_missing")),
        (asking(&"x".repeat(65), vec![good()]), (Field::Case, "too_long")),
        (asking("a\u{7}b", vec![good()]), (Field::Case, "character")),
        (asking(BSN, vec![good()]), (Field::Case, "bsn_in_text")),
        (asking("x", vec![]), (Field::Persons, "persons_missing")),
        (
            asking("x", vec![person("", "", Some(ClassWord::Adult), "")]),
            (Field::Number(0), "number_missing"),
        ),
        (
            asking("x", vec![person("999990018", "", Some(ClassWord::Adult), "")]),
            (Field::Number(0), "bsn_check_digit"),
        ),
        (
            asking("x", vec![person("99999001", "", Some(ClassWord::Adult), "")]),
            (Field::Number(0), "bsn_check_digit"),
        ),
        (
            asking("x", vec![person("9999900", "", Some(ClassWord::Adult), "")]),
            (Field::Number(0), "bsn_length"),
        ),
        (
            asking("x", vec![person("99999001x", "", Some(ClassWord::Adult), "")]),
            (Field::Number(0), "bsn_character"),
        ),
        (
            asking("x", vec![good(), good()]),
            (Field::Number(1), "number_twice"),
        ),
        (
            asking("x", vec![person(BSN, "", None, "")]),
            (Field::Birth(0), "age_missing"),
        ),
        (
            asking("x", vec![person(BSN, "1 feb 2016", None, "")]),
            (Field::Birth(0), "birth_date_form"),
        ),
        (
            asking("x", vec![person(BSN, "00-00-2016", None, "")]),
            (Field::Birth(0), "birth_date_partial"),
        ),
        (
            asking("x", vec![person(BSN, "01-02-2027", None, "")]),
            (Field::Birth(0), "birth_date_implausible"),
        ),
        (
            asking("x", vec![person(BSN, "01-02-2016", Some(ClassWord::Adult), "")]),
            (Field::Class(0), "age_differs"),
        ),
        (
            asking("x", vec![person(BSN, "01-02-2016", None, &format!("Jan {BSN}"))]),
            (Field::Reference(0), "bsn_in_text"),
        ),
        (
            asking("x", vec![person(BSN, "01-02-2016", None, &"x".repeat(65))]),
            (Field::Reference(0), "too_long"),
        ),
    ] {
        assert_eq!(wrong(&question), [expected]);
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_the_cap_counts() {
    let persons = (0..4).map(|_| person("", "", None, "")).collect();
    let question = Asking {
        purpose: "spying".into(),
        responsible: Some(BSN.into()),
        ..asking("", persons)
    };
    let fields: Vec<_> = wrong(&question)
        .into_iter()
        .map(|(field, _)| field.pointer())
        .collect();
    assert_eq!(fields[..3], ["/purpose", "/case", "/responsible"]);
    assert_eq!(fields[3..5], ["/persons/0/number", "/persons/0/birth_date"]);
    assert_eq!(fields.len(), 3 + 2 * 4);
    let persons = (0..4).map(|_| person("", "", None, "")).collect();
    assert_eq!(
        wrong(&asking("x", persons))[0],
        (Field::Persons, "persons_too_many")
    );
}
