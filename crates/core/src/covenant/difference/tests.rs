use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SAMPLE: &str = include_str!("../../../../../deploy/covenant.toml");

/// One field changed: table, field, what stands in the sample, what instead.
type Edit = (&'static str, &'static str, &'static str, &'static str);

/// Every field that a covenant has, each changed once; no two of them touch the same text.
const EDITS: &[Edit] = &[
    (
        "covenant",
        "id",
        "id = \"zvh-rivierenland\"",
        "id = \"zvh-ander\"",
    ),
    ("covenant", "title", "Rivierenland (voorbeeld)", "Rivierenland"),
    ("covenant", "version", "version = 1 ", "version = 2 "),
    ("covenant", "valid_from", "\"2026-01-01\"", "\"2026-02-01\""),
    ("covenant", "valid_until", "\"2030-12-31\"", "\"2031-12-31\""),
    ("covenant", "deployment.id", "6f1c0b52", "6f1c0b53"),
    (
        "covenant",
        "deployment.kind",
        "kind = \"test\"",
        "kind = \"demo\"",
    ),
    ("administrators", "needed", "needed = 2", "needed = 3"),
    ("administrators", "keys", "    \"s.bakker+", "    # \"s.bakker+"),
    (
        "terms",
        "registration_days_at_most",
        "registration_days_at_most = 365",
        "registration_days_at_most = 366",
    ),
    (
        "terms",
        "log_months_at_most",
        "log_months_at_most = 60",
        "log_months_at_most = 61",
    ),
    (
        "alarms",
        "enumeration_window",
        "enumeration_window = 200",
        "enumeration_window = 201",
    ),
    (
        "alarms",
        "enumeration_hits",
        "enumeration_hits = 5",
        "enumeration_hits = 6",
    ),
    (
        "alarms",
        "volume_factor",
        "volume_factor = 5",
        "volume_factor = 6",
    ),
    (
        "alarms",
        "volume_least",
        "volume_least = 100",
        "volume_least = 101",
    ),
    (
        "alarms",
        "usual_hours",
        "[\"07:00\", \"20:00\"]",
        "[\"07:00\", \"20:30\"]",
    ),
    ("alarms", "notice_days", "notice_days = 7", "notice_days = 8"),
    (
        "partner",
        "name",
        "name = \"Leerplicht, gemeente Rivierenland\"",
        "name = \"Leerplicht\"",
    ),
    ("partner", "oin", "00000099000000000012", "00000099000000000022"),
    (
        "partner",
        "domain",
        "domain = \"strafrecht\"",
        "domain = \"justitie\"",
    ),
    (
        "partner",
        "contact",
        "ZSM-tafel, 0344 00 00 04",
        "ZSM-tafel, 0344 00 00 05",
    ),
    (
        "partner",
        "answers",
        "answers = \"live\" ",
        "answers = \"index\" ",
    ),
    (
        "partner",
        "registers",
        "registers = [\"adult\"]",
        "registers = [\"adult\", \"minor\"]",
    ),
    (
        "partner",
        "registration_days",
        "registration_days = 180",
        "registration_days = 181",
    ),
    (
        "partner",
        "stale_after_hours",
        "stale_after_hours = 30",
        "stale_after_hours = 31",
    ),
    (
        "partner",
        "key_pins",
        "domain = \"veiligheidshuis\"",
        "domain = \"veiligheidshuis\"\nkey_pins = [\"0000000000000000000000000000000000000000000000000000000000000000\"]",
    ),
    (
        "partner",
        "signing_keys",
        "signing_keys = [\"91a28a0b74381593a4d9469579208926afc8ad82c8839b7644359b9eba9a4b3a\"]",
        "signing_keys = [\"43a72e714401762df66b68c26dfbdf2682aaec9f2474eca4613e424a0fbafd3c\"]",
    ),
    (
        "partner",
        "live_deadline_ms",
        "live_deadline_ms = 2000",
        "live_deadline_ms = 2500",
    ),
    ("purpose", "title", "Screening van de Top-150", "Screening"),
    (
        "purpose",
        "legal_basis",
        "processing_activity = \"https://verwerkingen.zvh.example/screening\"",
        "processing_activity = \"https://verwerkingen.zvh.example/screening\" #",
    ),
    (
        "purpose",
        "processing_activity",
        "zvh.example/signalering",
        "zvh.example/signaal",
    ),
    (
        "purpose",
        "askers",
        "askers = [\"leerplicht\", \"schuldhulpverlening\", \"regieteams\"]",
        "askers = [\"leerplicht\", \"regieteams\"]",
    ),
    (
        "purpose",
        "roles",
        "roles = [\"professional\"]",
        "roles = [\"professional\", \"teamleider\"]",
    ),
    (
        "purpose",
        "consults",
        "consults = [\"leerplicht\", \"schuldhulpverlening\", \"regieteams\", \"om-reclassering\"]",
        "consults = [\"schuldhulpverlening\", \"leerplicht\", \"regieteams\", \"om-reclassering\"]",
    ),
    (
        "purpose",
        "notifies",
        "notifies = [\"leerplicht\", \"schuldhulpverlening\", \"regieteams\"]",
        "notifies = [\"leerplicht\"]",
    ),
    (
        "purpose",
        "log_retention_months",
        "log_retention_months = 60\nmax_subjects = 16",
        "log_retention_months = 48\nmax_subjects = 16",
    ),
    ("purpose", "max_subjects", "max_subjects = 8", "max_subjects = 9"),
    (
        "purpose",
        "max_screening",
        "max_screening = 50\n",
        "max_screening = 51\n",
    ),
    (
        "purpose",
        "strict",
        "title = \"Vermoeden",
        "strict = true\ntitle = \"Vermoeden",
    ),
    (
        "purpose",
        "confidential",
        "code = \"signalering\"",
        "code = \"signalering\"\nconfidential = true",
    ),
    (
        "officer",
        "roles",
        "roles = [\"privacyfunctionaris\"]",
        "roles = [\"fg\"]",
    ),
    (
        "officer",
        "log_retention_months",
        "log_retention_months = 60\n\n# --- Quotas",
        "log_retention_months = 48\n\n# --- Quotas",
    ),
    ("quota", "persons", "persons = 500", "persons = 501"),
    ("quota", "hours", "hours = 168", "hours = 169"),
];

fn apply(text: &str, edit: &Edit) -> String {
    // The legal basis stands twice, in words that are the same; its own line follows the title.
    if edit.1 == "legal_basis" {
        return text.replacen("AVG art. 6 lid 1 onder e", "AVG art. 6 lid 1 onder c", 1);
    }
    assert!(text.contains(edit.2), "{:?} is not in the sample", edit.2);
    text.replacen(edit.2, edit.3, 1)
}

fn parse(text: &str) -> Covenant {
    Covenant::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn named(changes: &[Change]) -> BTreeSet<(&'static str, &'static str)> {
    changes
        .iter()
        .map(|change| (change.subject.table(), change.field))
        .collect()
}

#[test]
fn each_field_that_changes_is_named_and_said_in_both_languages() {
    let old = parse(SAMPLE);
    for edit in EDITS {
        // Three of two is one too many; with three of three it is a number that changes.
        let new = parse(&apply(SAMPLE, edit));
        for (before, after) in [(&old, &new), (&new, &old)] {
            let changes = difference(before, after);
            assert_eq!(named(&changes), BTreeSet::from([(edit.0, edit.1)]), "{changes:?}");
            for change in &changes {
                for text in [change.text_nl(), change.text_en()] {
                    assert!(text.len() > 10 && !text.contains("{}"), "{text}");
                    // No field's own name: people read words.
                    assert!(!text.contains('_'), "{text}");
                }
            }
        }
    }
}

/// A field that is added to the file and not to the difference fails here.
#[test]
fn every_field_of_the_file_is_among_those() {
    let tested: BTreeSet<String> = EDITS
        .iter()
        .map(|edit| format!("{}.{}", edit.0, edit.1))
        .collect();
    let file: toml::Table = SAMPLE.parse().unwrap();
    for (name, value) in &file {
        let tables: Vec<&toml::Table> = match value {
            toml::Value::Table(table) => vec![table],
            toml::Value::Array(tables) => tables.iter().filter_map(toml::Value::as_table).collect(),
            _ => {
                assert!(
                    name == "format" || tested.contains(&format!("covenant.{name}")),
                    "{name}"
                );
                continue;
            }
        };
        for field in tables.into_iter().flat_map(toml::Table::keys) {
            // What names the part; another one is another part.
            let names = [
                "partner.id",
                "purpose.code",
                "officer.partner",
                "quota.of",
                "quota.partner",
                "quota.purpose",
            ];
            let path = format!("{name}.{field}");
            let of_covenant = tested.contains(&format!("covenant.{path}"));
            assert!(
                names.contains(&&*path) || of_covenant || tested.contains(&path),
                "{path}"
            );
        }
    }
}

#[test]
fn parts_that_come_and_go_are_said() {
    let old = parse(SAMPLE);
    let without = |from: &str, until: &str| {
        let at = SAMPLE.find(from).unwrap();
        let start = SAMPLE[..at].rfind("\n[[").unwrap();
        let end = at + SAMPLE[at..].find(until).unwrap();
        SAMPLE[..start].to_owned() + &SAMPLE[end..]
    };
    let quota = without("hours = 168", "\n# --- Alarms");
    let purpose = without("code = \"signalering\"", "\n# --- Privacy officers");
    let officer = without("roles = [\"privacyfunctionaris\"]", "\n# --- Quotas");
    let partner =
        without("id = \"om-reclassering\"", "\n# --- Purposes").replace(", \"om-reclassering\"]", "]");
    for (text, said) in [
        (
            quota,
            "Quotum per gebruiker van Zorg- en Veiligheidshuis Rivierenland voor screening: het quotum met 1000 personen vervalt",
        ),
        (purpose, "Doel signalering: vervalt; niemand mag er nog om vragen"),
        (
            officer,
            "Privacyfunctionaris bij Zorg- en Veiligheidshuis Rivierenland: mag het logboek niet meer beoordelen",
        ),
        (
            partner,
            "Instantie OM en reclassering (om-reclassering): doet niet meer mee; wat zij registreerde wordt gewist",
        ),
    ] {
        let new = parse(&text);
        let texts: Vec<String> = difference(&old, &new).iter().map(Change::text_nl).collect();
        assert!(texts.contains(&said.to_owned()), "{texts:?}");
        assert!(!difference(&new, &old).is_empty());
    }
    let administrators = SAMPLE.replacen("[administrators]", "[[nobody]]", 1);
    assert!(Covenant::parse(administrators.as_bytes()).is_err());
}

#[test]
fn it_reads_like_a_sentence() {
    let old = parse(SAMPLE);
    let mut texts = Vec::new();
    for (from, to) in [
        (
            "askers = [\"veiligheidshuis\"]",
            "askers = [\"veiligheidshuis\", \"regieteams\"]",
        ),
        ("max_subjects = 16", "max_subjects = 12"),
        ("stale_after_hours = 30", "stale_after_hours = 1"),
    ] {
        let new = parse(&SAMPLE.replacen(from, to, 1));
        let changes = difference(&old, &new);
        assert_eq!(changes.len(), 1);
        texts.push((changes[0].text_nl(), changes[0].text_en()));
    }
    let expected = [
        (
            "Doel screening: Regieteams, gemeente Rivierenland mag nu ook vragen",
            "Purpose screening: Regieteams, gemeente Rivierenland may ask now, too",
        ),
        (
            "Doel screening: meeste personen in één vraag was 16 personen en wordt 12 personen",
            "Purpose screening: most persons in one question was 16 persons and becomes 12 persons",
        ),
        (
            "Instantie OM en reclassering (om-reclassering): te oud om te bevragen na was 30 uur en wordt 1 uur",
            "Organisation OM en reclassering (om-reclassering): too old to be asked after was 30 hours and becomes 1 hour",
        ),
    ];
    for ((nl, en), (expected_nl, expected_en)) in texts.iter().zip(expected) {
        assert_eq!((nl.as_str(), en.as_str()), (expected_nl, expected_en));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever changes together: nothing is left out, and nothing is made up.
    #[test]
    fn exactly_what_changed_is_found(picked in proptest::collection::btree_set(0..EDITS.len(), 0..8)) {
        let old = parse(SAMPLE);
        prop_assert!(difference(&old, &old).is_empty());
        // One of three administrators cannot go while three are needed.
        let contradicts = |edit: &Edit| edit.1 == "keys" && picked.iter().any(|place| EDITS[*place].1 == "needed");
        let edits: Vec<&Edit> = picked.iter().map(|place| &EDITS[*place]).filter(|edit| !contradicts(edit)).collect();
        let text = edits.iter().fold(SAMPLE.to_owned(), |text, edit| apply(&text, edit));
        let expected: BTreeSet<_> = edits.iter().map(|edit| (edit.0, edit.1)).collect();
        prop_assert_eq!(named(&difference(&old, &parse(&text))), expected);
    }
}
