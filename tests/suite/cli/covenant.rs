//! `hitmachine covenant check`.

use std::fs;

use hitmachine_core::Covenant;
use hitmachine_tests::deployment;

use crate::{ended, err, hitmachine, out};

/// A change to a covenant: its name, a text in it, what stands there instead; then a part of the line, and the field
/// and the problem that are named.
type Wrong = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const WRONG: [Wrong; 21] = [
    (
        "an unknown field",
        "title =",
        "titel =",
        "titel =",
        "file",
        "unknown field `titel`",
    ),
    (
        "a field too many",
        "kind = \"demo\"",
        "kind = \"demo\"\nsecret = 1",
        "secret = 1",
        "file",
        "unknown field `secret`",
    ),
    ("no TOML", "format = 1", "format =", "format =", "file", ""),
    (
        "another format",
        "format = 1",
        "format = 2",
        "format = 2",
        "format",
        "format 1",
    ),
    (
        "a day that is none",
        "\"2099-12-31\"",
        "\"31-12-2099\"",
        "31-12-2099",
        "valid_until",
        "date",
    ),
    (
        "an end before the begin",
        "\"2099-12-31\"",
        "\"2019-12-31\"",
        "2019-12-31",
        "valid_until",
        "before",
    ),
    (
        "a kind that is none",
        "kind = \"demo\"",
        "kind = \"play\"",
        "kind = \"play\"",
        "deployment.kind",
        "",
    ),
    (
        "a partner twice",
        "id = \"regieteams\"",
        "id = \"leerplicht\"\n#",
        "#",
        "partner.id",
        "named twice",
    ),
    (
        "an OIN twice",
        "00000099000000000012",
        "00000099000000000011",
        "",
        "partner.oin",
        "leerplicht",
    ),
    (
        "an OIN that is none",
        "00000099000000000012",
        "12",
        "oin = \"12\"",
        "partner.oin",
        "",
    ),
    (
        "a test OIN in production",
        "kind = \"demo\"",
        "kind = \"production\"",
        "00000099000000000010",
        "partner.oin",
        "test OIN",
    ),
    (
        "an unknown way to answer",
        "answers = \"index\"",
        "answers = \"post\"",
        "post",
        "partner.answers",
        "live",
    ),
    (
        "an unknown class",
        "[\"minor\"]",
        "[\"child\"]",
        "child",
        "partner.registers",
        "adult",
    ),
    (
        "too long a term",
        "registration_days = 365",
        "registration_days = 4000",
        "days = 4000",
        "partner.registration_days",
        "731",
    ),
    (
        "no contact",
        "contact = \"ZSM-tafel, 024 000 00 04\"",
        "contact = \" \"",
        "contact = \" \"",
        "partner.contact",
        "empty",
    ),
    (
        "an asker that is no partner",
        "askers = [\"veiligheidshuis\"]",
        "askers = [\"politie\"]",
        "politie",
        "purpose.askers",
        "politie",
    ),
    (
        "asks who registers nobody",
        "consults = [\"leerplicht\"",
        "consults = [\"veiligheidshuis\"",
        "consults = [\"veiligheidshuis\"",
        "purpose.consults",
        "registers nobody",
    ),
    (
        "an activity that is no link",
        "https://register.hitmachine.example/v1/activities/screening",
        "somewhere",
        "somewhere",
        "purpose.processing_activity",
        "https",
    ),
    (
        "kept for ever",
        "log_retention_months = 60",
        "log_retention_months = 9999",
        "months = 9999",
        "purpose.log_retention_months",
        "240",
    ),
    (
        "a whole town at once",
        "max_subjects = 16",
        "max_subjects = 65",
        "max_subjects = 65",
        "purpose.max_subjects",
        "64",
    ),
    (
        "a purpose twice",
        "code = \"signalering\"",
        "code = \"screening\"\n#",
        "#",
        "purpose.code",
        "named twice",
    ),
];

#[test]
fn a_covenant_is_explained_or_its_fault_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let deployment = deployment(&dir.path().join("d"), 31);
    let path = deployment.covenant();
    let text = fs::read_to_string(&path).unwrap();
    let covenant = Covenant::parse(text.as_bytes()).unwrap();
    let said = out(&ended(
        hitmachine(&["covenant", "check", path.to_str().unwrap(), "--lang", "en"]),
        0,
    ));
    assert!(
        said.contains("in force today") && !said.contains("NOT in force"),
        "{said}"
    );
    assert!(said.contains(&covenant.version().to_string()), "{said}");
    for partner in covenant.partners() {
        let row = said
            .lines()
            .find(|line| line.contains(&partner.oin.to_string()))
            .unwrap();
        assert!(row.contains(&partner.name), "{row}");
        assert_eq!(row.contains("365 days"), !partner.registers.is_empty(), "{row}");
    }
    // The matrix: leerplicht may be asked about minors, by whom the purposes name, and not by itself.
    let cells = |language: &str, name: &str| -> Vec<String> {
        let said = hitmachine(&["covenant", "check", path.to_str().unwrap(), "--lang", language]);
        let said = out(&ended(said, 0));
        let (_, matrix) = said.split_once("→").unwrap();
        let row = matrix
            .lines()
            .find(|line| line.starts_with(&format!("│ {name} ")))
            .unwrap();
        row.split_whitespace()
            .filter(|cell| *cell != "│")
            .map(str::to_owned)
            .collect()
    };
    for language in ["nl", "en"] {
        assert_eq!(
            cells(language, "leerplicht"),
            ["leerplicht", "–", "signalering*", "signalering*", "–"]
        );
        let asks = [
            "veiligheidshuis",
            "screening*",
            "screening*",
            "screening*",
            "screening*",
        ];
        assert_eq!(cells(language, "veiligheidshuis"), asks);
    }
    assert!(
        said.contains("(minors, adults)") && said.contains("Purpose signalering: "),
        "{said}"
    );
    assert!(said.contains("At most 8 persons in one question"), "{said}");
    let json = ended(
        hitmachine(&["covenant", "check", path.to_str().unwrap(), "--json"]),
        0,
    );
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["version"], covenant.version().to_string());
    // Four that the coordinator asks, and each of three asks the other two.
    assert_eq!(json["matrix"].as_array().unwrap().len(), 4 + 3 * 2);
    assert_eq!(
        json["warnings"].as_array().unwrap().len(),
        0,
        "{}",
        json["warnings"]
    );

    let wrong = dir.path().join("wrong.toml");
    let check = |bytes: &[u8]| {
        fs::write(&wrong, bytes).unwrap();
        hitmachine(&["covenant", "check", wrong.to_str().unwrap(), "--lang", "en"])
    };
    for (name, from, to, mark, field, problem) in WRONG {
        assert!(text.contains(from), "{name}");
        let changed = text.replacen(from, to, 1);
        // The last line with the mark, or the one before a comment put there as a mark.
        let line = match mark {
            "" => {
                changed
                    .lines()
                    .enumerate()
                    .filter(|line| line.1.contains("00000099000000000011"))
                    .nth(1)
                    .unwrap()
                    .0
            }
            "#" => changed.lines().skip(1).position(|line| line == "#").unwrap(),
            mark => changed.lines().position(|line| line.contains(mark)).unwrap(),
        };
        let output = ended(check(changed.as_bytes()), 2);
        let said = err(&output);
        assert!(
            said.contains(&format!("line {}", line + 1)),
            "{name}: line {} is wrong: {said}",
            line + 1
        );
        assert!(said.contains(field) && said.contains(problem), "{name}: {said}");
        assert!(
            said.contains("wrong.toml") && output.stdout.is_empty(),
            "{name}: {said}"
        );
    }
    for bytes in [b"".as_slice(), b"\xff\xfe", b"format = 1\n\xff"] {
        ended(check(bytes), 2);
    }
    ended(hitmachine(&["covenant", "check", "/nonexistent"]), 2);

    // Valid, but not today.
    let ended_long_ago = text.replace("2099-12-31", "2020-12-31");
    let output = ended(check(ended_long_ago.as_bytes()), 0);
    assert!(out(&output).contains("NOT in force today"), "{}", out(&output));
    assert!(out(&output).contains("the covenant is over"), "{}", out(&output));
    // Valid, and probably not meant.
    let nobody = text.replacen("askers = [\"veiligheidshuis\"]", "askers = []", 1);
    let output = ended(check(nobody.as_bytes()), 0);
    for said in [
        "nobody can ask for purpose screening",
        "om-reclassering neither asks nor is asked",
    ] {
        assert!(out(&output).contains(said), "{said}: {}", out(&output));
    }
}
