//! The list of a screening.

use super::super::households::{Household, HouseholdOutcome, HouseholdSource, read, read_rows};
use super::*;

fn list() -> HouseholdSource {
    toml::from_str(
        "path = \"folder/clients.csv\"\n[columns]\nhousehold = \"gezin\"\nidentifier = \"bsn\"\n\
         birth_date = \"geboren\"\nreference = \"label\"",
    )
    .unwrap()
}

fn read_text(text: &str) -> HouseholdOutcome {
    let format = Format {
        delimiter: list().delimiter,
        encoding: list().encoding,
    };
    let mut rows =
        |wanted: &[&str], visit: Visit<'_>| table::each_row(text.as_bytes(), format, wanted, visit);
    read_rows(0, &list(), &admission(), TODAY, &mut |_, _| {}, &mut rows).unwrap()
}

/// `name:row,row!bad` of each household.
fn shown(household: &Household) -> String {
    let rows: Vec<_> = household
        .persons
        .iter()
        .map(|person| person.row.to_string())
        .collect();
    let bad: Vec<_> = household.bad_rows.iter().map(u64::to_string).collect();
    format!("{}:{}!{}", household.name, rows.join(","), bad.join(","))
}

#[test]
fn households_in_the_order_of_the_file_with_their_bad_rows() {
    let [a, b, c] = [made_up(1), made_up(2), made_up(3)];
    let outcome = read_text(&format!(
        "gezin;bsn;geboren;label\nJ2;{a};1-2-2016;kind\nJ1;{b};1-2-1980;moeder\nJ2;999990018;1-2-2014;\n\
         \nJ2;{c};1-2-1980;\nJ3;{b};00-00-1980;\n;{b};1-2-1980;\nJ4;{b}\nJ1;{b};1-2-1980;\nJ2;{b};1-2-1980;\n"
    ));
    let households: Vec<_> = outcome.households.iter().map(shown).collect();
    assert_eq!(households, ["J2:2,6,11!4", "J1:3!", "J3:!7"]);
    let child = &outcome.households[0].persons[0];
    assert_eq!(
        (child.class, child.reference.as_deref()),
        (SubjectClass::Minor, Some("kind"))
    );
    assert_eq!(child.identifier.expose_secret(), a.as_bytes());
    let issues: Vec<_> = outcome
        .issues
        .iter()
        .map(|issue| {
            format!(
                "{}/{}/{}",
                issue.row,
                issue.column.as_deref().unwrap_or("-"),
                issue.code()
            )
        })
        .collect();
    let expected = [
        "4/bsn/bsn_check_digit",
        "7/geboren/birth_date_partial",
        "8/gezin/field_empty",
        "9/-/row_width",
        "10/bsn/duplicate",
    ];
    assert_eq!(issues, expected);
    assert_eq!((outcome.issue_count, outcome.total_rows), (5, 9));
}

#[test]
fn nothing_about_people_is_shown() {
    let a = made_up(1);
    let outcome = read_text(&format!(
        "gezin;bsn;geboren;label\nJansen;{a};1-2-2016;Piet\nJansen;x;1-2-2016;Piet\n"
    ));
    let mut text = format!("{outcome:?}");
    for issue in &outcome.issues {
        text.extend([issue.to_string(), issue.text_nl()]);
    }
    for value in [a.as_str(), "Jansen", "Piet", "2016"] {
        assert!(!text.contains(value), "{value} in {text}");
    }
}

#[test]
fn the_rules_for_files_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = list();
    source.path = folder.path().join("list.csv");
    let error = |text: &str| {
        std::fs::write(&source.path, text).unwrap();
        read(&source, &admission(), TODAY, &mut |_, _| {}).unwrap_err()
    };
    assert!(matches!(error(""), SourceError::Empty));
    assert!(
        matches!(error("bsn;geboren;label\n"), SourceError::MissingColumn { wanted, .. } if wanted == "gezin")
    );
    let wrong = toml::from_str::<HouseholdSource>(
        "path = \"x\"\n[columns]\nhousehold = \"g\"\nidentifier = \"b\"\nidentifier_type = \"skn\"\nclass = \"k\"",
    );
    assert!(wrong.is_err(), "a screening asks by BSN");
    source.path = PathBuf::from("/nowhere/list.csv");
    assert!(matches!(
        read(&source, &admission(), TODAY, &mut |_, _| {}),
        Err(SourceError::Open { .. })
    ));
}
