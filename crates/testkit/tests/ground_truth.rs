//! Two programs in two languages, one answer; and the rules checked on files written by hand.

use std::fs;
use std::path::Path;
use std::process::Command;

use hitmachine_testkit::ground_truth::{GroundTruthError, Status, ground_truth};
use hitmachine_testkit::population::{Population, Register};
use jiff::civil::{Date, date};

const TODAY: Date = date(2026, 11, 23);

/// What `tests/ground_truth.py` prints. Python is required: without it nobody checks this crate's arithmetic.
fn python(dir: &Path, today: Date) -> Result<String, Box<dyn std::error::Error>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/ground_truth.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(dir)
        .arg(today.to_string())
        .env("PYTHONIOENCODING", "utf-8")
        .output()
        .map_err(|error| format!("this test needs python3, which cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn rust_and_python_agree_to_the_byte() {
    for (seed, persons) in [(1, 4_000), (2, 300), (3, 1_000), (20_261_123, 6_000)] {
        let dir = tempfile::tempdir().unwrap();
        let population = Population::generate(seed, TODAY, persons).unwrap();
        population.write(dir.path()).unwrap();
        let truth = ground_truth(dir.path(), TODAY).unwrap();
        assert_eq!(
            truth.to_json().unwrap(),
            python(dir.path(), TODAY).unwrap(),
            "seed {seed}"
        );

        assert_eq!((truth.households, truth.persons), (145, 239));
        assert_eq!(truth.households_without_municipal_indication, 77);
        assert!((18..=35).contains(&truth.of_those_known_at_om));
        // And both agree with what the population was made to be.
        for register in Register::ALL {
            let on_list = population
                .list()
                .filter(|person| person.references.contains_key(&register))
                .count();
            assert_eq!(truth.hits_per_partner[register.id()], on_list, "{register}");
        }
        for (person, (household, reference, statuses)) in population.list().zip(&truth.per_person) {
            assert_eq!(household, &format!("H{:03}", person.household.unwrap()));
            assert_eq!(Some(reference), person.list_reference().as_ref());
            for register in Register::ALL {
                let expected = match (
                    register.admits(person.class),
                    person.references.contains_key(&register),
                ) {
                    (false, _) => Status::DoesNotApply,
                    (true, true) => Status::Known,
                    (true, false) => Status::NotKnown,
                };
                assert_eq!(statuses[register.id()], expected);
            }
        }
    }
}

/// A month later, on a leap day, and so on: everybody keeps their class.
#[test]
fn a_run_next_month_gives_the_same_answer() {
    for today in [TODAY, date(2028, 2, 29), date(2027, 1, 1)] {
        let dir = tempfile::tempdir().unwrap();
        Population::generate(9, today, 500)
            .unwrap()
            .write(dir.path())
            .unwrap();
        let truth = ground_truth(dir.path(), today).unwrap();
        let later = today.saturating_add(jiff::Span::new().days(60));
        assert_eq!(truth, ground_truth(dir.path(), later).unwrap());
        assert_eq!(truth.to_json().unwrap(), python(dir.path(), later).unwrap());
    }
}

/// Files by hand, with what a population never has: an adult in the school register, a child in the debt
/// register, birthdays today and tomorrow, a household that is known only where it does not count.
#[test]
fn the_rules_on_files_written_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| fs::write(dir.path().join(name), text).unwrap();
    write(
        "top150.csv",
        b"huishouden;bsn;geboortedatum;kenmerk\n\
          H1;999900006;23-11-2008;eighteen today\n\
          H1;999900018;24-11-2008;eighteen tomorrow\n\
          H2;000012348;01-02-1980;adult in the school register\n\
          H3;999900031;01-02-2015;child in the debt register\n\
          H4;000000012;01-02-1990;known at OM only\n",
    );
    write(
        "leerplicht.csv",
        "\u{feff}bsn;geboortedatum;dossier\r\n999900018;24-11-2008;LP-1\r\n\
          000012348;01-02-1980;LP-2\r\n;01-02-2015;LP-3\r\n"
            .as_bytes(),
    );
    write(
        "schuldhulpverlening.csv",
        b"burgerservicenummer,geboortedatum,zaaknummer\n999900006,2008-11-23,SHV-1\n\
          999900031,2015-02-01,SHV-2\n",
    );
    write(
        "regieteams.csv",
        b"wijk;bsn;geboortedatum;traject\r\nS\xfcd\x96Oost;999900006;23-11-2008;RT-1\r\n",
    );
    write(
        "om-reclassering.tsv",
        b"BSN\tGEBOORTEDATUM\tREGISTRATIE\n12\t19900201\tOM-1\n12348\t19800201\tOM-2\n",
    );

    let truth = ground_truth(dir.path(), TODAY).unwrap();
    assert_eq!(truth.to_json().unwrap(), python(dir.path(), TODAY).unwrap());
    assert_eq!((truth.households, truth.persons), (4, 5));
    assert_eq!(truth.households_without_municipal_indication, 3);
    assert_eq!(truth.of_those_known_at_om, 2);
    let hits: Vec<(&str, usize)> = truth
        .hits_per_partner
        .iter()
        .map(|(id, hits)| (id.as_str(), *hits))
        .collect();
    assert_eq!(
        hits,
        [
            ("leerplicht", 1),
            ("om-reclassering", 2),
            ("regieteams", 1),
            ("schuldhulpverlening", 1)
        ]
    );
    let status = |person: usize, partner: &str| truth.per_person[person].2[partner];
    assert_eq!(status(0, "leerplicht"), Status::DoesNotApply);
    assert_eq!(status(0, "schuldhulpverlening"), Status::Known);
    assert_eq!(status(1, "leerplicht"), Status::Known);
    assert_eq!(status(2, "leerplicht"), Status::DoesNotApply);
    assert_eq!(status(2, "schuldhulpverlening"), Status::NotKnown);
    assert_eq!(status(3, "schuldhulpverlening"), Status::DoesNotApply);
    assert_eq!(status(4, "om-reclassering"), Status::Known);
}

#[test]
fn unreadable_files_are_named_without_their_contents() {
    let dir = tempfile::tempdir().unwrap();
    Population::generate(1, TODAY, 300)
        .unwrap()
        .write(dir.path())
        .unwrap();
    let list = dir.path().join("top150.csv");
    let good = fs::read_to_string(&list).unwrap();

    fs::write(&list, good.replacen("huishouden", "household", 1)).unwrap();
    let error = ground_truth(dir.path(), TODAY).unwrap_err();
    assert!(
        matches!(error, GroundTruthError::Format { line: 1, .. }),
        "{error}"
    );

    fs::write(&list, format!("{good}H146;999900006;31-02-2000;x\n")).unwrap();
    let error = ground_truth(dir.path(), TODAY).unwrap_err();
    assert!(
        matches!(
            error,
            GroundTruthError::Format {
                line: 241,
                what: "not a date",
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.to_string().contains("999900006"));

    fs::remove_file(&list).unwrap();
    assert!(matches!(
        ground_truth(dir.path(), TODAY),
        Err(GroundTruthError::Read { .. })
    ));
}
