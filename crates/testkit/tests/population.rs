//! The population has the trial's figures for every seed, and its files are what their styles say.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;

use hitmachine_testkit::ground_truth::ground_truth;
use hitmachine_testkit::population::{
    AgeClass, LIST_FILE, Population, PopulationError, Register, large_register,
};
use jiff::Span;
use jiff::civil::{Date, date};

const TODAY: Date = date(2026, 11, 23);

/// The elfproef, apart from the product's: Σ(9,8,7,6,5,4,3,2,−1)·d ≡ 0 (mod 11).
fn passes(bsn: &str) -> bool {
    let weights = [9, 8, 7, 6, 5, 4, 3, 2, -1];
    let sum: i32 = weights
        .iter()
        .zip(bsn.bytes())
        .map(|(weight, byte)| weight * i32::from(byte - b'0'))
        .sum();
    bsn.len() == 9 && sum % 11 == 0
}

#[test]
fn the_list_has_the_figures_of_the_trial() {
    let mut at_om = BTreeSet::new();
    for seed in 0..40 {
        let population = Population::generate(seed, TODAY, 300).unwrap();
        let mut households: BTreeMap<u16, Vec<_>> = BTreeMap::new();
        for person in population.list() {
            households
                .entry(person.household.unwrap())
                .or_default()
                .push(person);
        }
        assert_eq!(households.len(), 145, "seed {seed}");
        assert_eq!(population.list().count(), 239, "seed {seed}");
        assert!(
            households.values().all(|members| members.len() <= 6),
            "seed {seed}"
        );
        let without: Vec<_> = households
            .values()
            .filter(|members| {
                !members
                    .iter()
                    .any(|person| person.references.keys().any(|register| register.is_municipal()))
            })
            .collect();
        assert_eq!(without.len(), 77, "seed {seed}");
        let known = without
            .iter()
            .filter(|members| {
                members
                    .iter()
                    .any(|person| person.references.contains_key(&Register::OmReclassering))
            })
            .count();
        assert!((18..=35).contains(&known), "seed {seed}: {known}");
        at_om.insert(known);
    }
    assert!(at_om.len() > 5, "differs by seed: {at_om:?}");
}

#[test]
fn everybody_is_of_the_class_the_registers_admit_and_stays_so() {
    let population = Population::generate(11, TODAY, 2_000).unwrap();
    let mut numbers = HashSet::new();
    for person in population.persons() {
        assert!(passes(&person.bsn) && numbers.insert(person.bsn.clone()));
        assert!(
            population
                .prefixes()
                .iter()
                .any(|prefix| person.bsn.starts_with(prefix))
        );
        let eighteen = person.birth_date.saturating_add(Span::new().years(18));
        for shift in [-60, 0, 60] {
            let day = TODAY.saturating_add(Span::new().days(shift));
            let class = if eighteen <= day {
                AgeClass::Adult
            } else {
                AgeClass::Minor
            };
            assert_eq!(class, person.class, "{shift} days away");
        }
        for (register, reference) in &person.references {
            assert!(register.admits(person.class));
            assert!(
                !reference.contains(&person.bsn[4..]),
                "no part of the number in the reference"
            );
        }
    }
}

#[test]
fn registers_have_their_size_overlap_and_hold_the_list() {
    for persons in [300, 4_000, 6_000] {
        let population = Population::generate(5, TODAY, persons).unwrap();
        let mut sizes = BTreeSet::new();
        for register in Register::ALL {
            let size = population.members(register).count();
            assert!(
                (persons * 9 / 10..=persons * 11 / 10).contains(&size),
                "{register}: {size}"
            );
            sizes.insert(size);
            assert!(
                population
                    .members(register)
                    .any(|person| person.household.is_some())
            );
            let references: HashSet<_> = population
                .members(register)
                .map(|person| person.references[&register].clone())
                .collect();
            assert_eq!(references.len(), size, "references are distinct");
            let elsewhere = population
                .members(register)
                .filter(|person| person.references.len() > 1)
                .count();
            assert!(
                elsewhere * 20 > size && elsewhere < size,
                "{register}: {elsewhere} of {size} elsewhere too"
            );
        }
        assert!(sizes.len() > 1, "registers differ in size");
        let expected: &[&str] = if persons > 5_000 {
            &["9"]
        } else {
            &["9999", "0000"]
        };
        assert_eq!(population.prefixes(), expected);
    }
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_does_not() {
    let write = |seed| {
        let dir = tempfile::tempdir().unwrap();
        Population::generate(seed, TODAY, 400)
            .unwrap()
            .write(dir.path())
            .unwrap();
        let names = Register::ALL
            .map(Register::file_name)
            .into_iter()
            .chain([LIST_FILE]);
        names
            .map(|name| fs::read(dir.path().join(name)).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(write(1), write(1));
    assert!(write(1).iter().zip(write(2)).all(|(one, other)| *one != other));
    // Pinned, so that a demo or a measurement can be repeated in years to come.
    let digest = write(1)
        .concat()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    assert_eq!(
        digest, 591_136_088_965_947_166,
        "the population of seed 1 has changed"
    );
}

#[test]
fn exports_are_what_their_styles_say_and_bad_rows_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let population = Population::generate(2, TODAY, 500).unwrap();
    let files = population.write(dir.path()).unwrap();
    assert_eq!((files.list.households, files.list.persons), (145, 239));
    let on_list: HashSet<String> = population.list().map(|person| person.bsn.clone()).collect();

    for (register, file) in &files.registers {
        let bytes = fs::read(&file.path).unwrap();
        assert_eq!(
            bytes.starts_with(b"\xef\xbb\xbf"),
            *register == Register::Leerplicht
        );
        let is_text = String::from_utf8(bytes.clone()).is_ok();
        assert_eq!(
            is_text,
            *register != Register::Regieteams,
            "only windows-1252 is no UTF-8"
        );
        let text = if is_text {
            String::from_utf8(bytes)
                .unwrap()
                .trim_start_matches('\u{feff}')
                .to_owned()
        } else {
            assert!(bytes.windows(14).any(|part| part == b"Bottendaal\x96S\xfcd"));
            encoding_rs::WINDOWS_1252.decode(&bytes).0.into_owned()
        };
        let mut lines = text.lines();
        let heading: Vec<&str> = lines.next().unwrap().split(file.style.delimiter).collect();
        let at = |name: &str| heading.iter().position(|title| *title == name).unwrap();
        let (bsn, birth) = (at(file.style.bsn_column), at(file.style.birth_date_column));
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let (mut rows, mut empty, mut failing) = (0, 0, 0);
        for line in lines {
            rows += 1;
            *seen.entry(line).or_default() += 1;
            let fields: Vec<&str> = line.split(file.style.delimiter).collect();
            assert_eq!(fields.len(), heading.len());
            Date::strptime(file.style.date_format, fields[birth]).unwrap();
            assert!(!file.style.numeric_bsn || !fields[bsn].starts_with('0'));
            if fields[bsn].is_empty() {
                empty += 1;
            } else if !passes(&format!("{:0>9}", fields[bsn])) {
                failing += 1;
                assert!(fields[bsn].starts_with("9999"));
            }
        }
        let twice: Vec<&str> = seen
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(line, _)| *line)
            .collect();
        assert!(
            twice
                .iter()
                .all(|line| !on_list.iter().any(|bsn| line.contains(bsn.as_str())))
        );
        assert_eq!(
            (empty, failing, twice.len()),
            (
                file.bad_rows.empty_bsn,
                file.bad_rows.elfproef,
                file.bad_rows.duplicate
            )
        );
        assert!(empty > 0 && failing > 0 && twice.len() == 1);
        assert_eq!(rows, file.rows);
        assert_eq!(file.rows, file.persons + empty + failing + 1);
        assert_eq!(file.persons, population.members(*register).count());
        if file.style.numeric_bsn {
            assert!(seen.keys().any(|line| {
                line.split('\t')
                    .next()
                    .is_some_and(|bsn| (1..6).contains(&bsn.len()))
            }));
        }
    }
    // What was written is what was meant.
    let truth = ground_truth(dir.path(), TODAY).unwrap();
    assert_eq!(truth.households_without_municipal_indication, 77);
}

#[test]
fn a_size_that_cannot_be_is_refused() {
    for size in [0, 299, 1_000_001] {
        assert!(
            matches!(Population::generate(1, TODAY, size), Err(PopulationError::Size(asked)) if asked == size)
        );
    }
}

#[test]
fn debug_shows_no_number() {
    let population = Population::generate(3, TODAY, 300).unwrap();
    let shown = format!("{population:?}");
    assert!(
        population
            .persons()
            .iter()
            .all(|person| !shown.contains(&person.bsn))
    );
}

#[test]
fn a_large_register_has_distinct_valid_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.csv");
    let style = large_register(&path, 200_000, 1, &["9"]).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut numbers = HashSet::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(style.delimiter).collect();
        assert!(passes(fields[0]) && fields[0].starts_with('9'));
        assert!(numbers.insert(fields[0].to_owned()));
        Date::strptime(style.date_format, fields[1]).unwrap();
    }
    assert_eq!(numbers.len(), 200_000);
    let first: HashSet<_> = text.lines().skip(1).take(100).map(|line| &line[..3]).collect();
    assert!(first.len() > 60, "in scattered order");

    assert!(large_register(&path, 9_091, 1, &["9999"]).is_ok());
    assert!(large_register(&path, 9_092, 1, &["9999"]).is_err());
    assert!(large_register(&path, 1, 1, &["9", "9999"]).is_err());
}
