use super::*;

const GOOD: &str = r#"format = 1
id = "zvh-test"
title = "Convenant test"
version = 1
valid_from = "2026-01-01"
valid_until = "2030-12-31"

[deployment]
id = "000102030405060708090a0b0c0d0e0f"
kind = "test"

[[partner]]
id = "zvh"
name = "Veiligheidshuis"
oin = "00000099000000000001"
domain = "veiligheidshuis"
contact = "meldpunt@zvh.example"
answers = "index"
registers = []
signing_keys = ["fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618"]

[[partner]]
id = "leerplicht"
name = "Leerplicht"
oin = "00000099000000000002"
domain = "gemeente"
contact = "leerplicht@gemeente.example"
answers = "index"
registers = ["minor"]
registration_days = 365

[[purpose]]
code = "screening"
title = "Screening"
legal_basis = "WGS"
processing_activity = "https://register.example/v1/act/1"
askers = ["zvh"]
roles = ["informatiecoordinator"]
consults = ["leerplicht"]
log_retention_months = 60
max_subjects = 16
"#;

#[test]
fn a_good_covenant_is_read_whole() {
    let covenant = Covenant::parse(GOOD.as_bytes()).unwrap();
    assert_eq!(covenant.partners().len(), 2);
    assert_eq!(covenant.version().0, <[u8; 32]>::from(Sha256::digest(GOOD)));
    let leerplicht = covenant.partner(&"leerplicht".parse().unwrap()).unwrap();
    assert!(leerplicht.registers(SubjectClass::Minor) && !leerplicht.registers(SubjectClass::Adult));
    assert_eq!(
        (leerplicht.registration_days, leerplicht.stale_after_hours),
        (365, 72)
    );
    assert_eq!(covenant.purposes()[0].max_subjects, 16);
}

#[test]
fn what_is_wrong_is_named_by_line_and_field() {
    for (name, from, to, line, field, problem) in [
        (
            "unknown field",
            "title = \"Conv",
            "titel = \"Conv",
            3,
            "file",
            "unknown field `titel`",
        ),
        (
            "missing field",
            "domain = \"gemeente\"\n",
            "",
            22,
            "file",
            "missing field `domain`",
        ),
        ("not TOML", "format = 1", "format = ", 1, "file", ""),
        ("format", "format = 1", "format = 2", 1, "format", "format 1"),
        (
            "title of two lines",
            "title = \"Convenant test\"",
            "title = \"Convenant\\ntest\"",
            3,
            "title",
            "one line",
        ),
        (
            "partner twice",
            "id = \"leerplicht\"",
            "id = \"zvh\"",
            23,
            "partner.id",
            "named twice",
        ),
        (
            "oin twice",
            "00000099000000000002",
            "00000099000000000001",
            25,
            "partner.oin",
            "OIN of zvh",
        ),
        (
            "oin form",
            "00000099000000000002",
            "123",
            25,
            "partner.oin",
            "required form",
        ),
        (
            "class",
            "[\"minor\"]",
            "[\"child\"]",
            29,
            "partner.registers",
            "minor",
        ),
        (
            "class twice",
            "[\"minor\"]",
            "[\"minor\", \"minor\"]",
            29,
            "partner.registers",
            "twice",
        ),
        (
            "term",
            "registration_days = 365",
            "registration_days = 4000",
            30,
            "partner.registration_days",
            "731",
        ),
        (
            "asker",
            "askers = [\"zvh\"]",
            "askers = [\"zvz\"]",
            37,
            "purpose.askers",
            "zvz is not a",
        ),
        (
            "consults asker-only",
            "consults = [\"leerplicht\"]",
            "consults = [\"zvh\"]",
            39,
            "purpose.consults",
            "registers nobody",
        ),
        (
            "consults twice",
            "consults = [\"leerplicht\"]",
            "consults = [\"leerplicht\", \"leerplicht\"]",
            39,
            "purpose.consults",
            "twice",
        ),
        (
            "uri",
            "https://register",
            "http://register",
            36,
            "purpose.processing_activity",
            "https",
        ),
        (
            "cap",
            "max_subjects = 16",
            "max_subjects = 65",
            41,
            "purpose.max_subjects",
            "64",
        ),
        ("dates", "2030-12-31", "2025-12-31", 6, "valid_until", "before"),
        ("date", "2030-12-31", "31-12-2030", 6, "valid_until", "date"),
        (
            "kind",
            "kind = \"test\"",
            "kind = \"prod\"",
            10,
            "deployment.kind",
            "",
        ),
        (
            "test OIN in production",
            "kind = \"test\"",
            "kind = \"production\"",
            15,
            "partner.oin",
            "test OIN",
        ),
        (
            "answers",
            "answers = \"index\"\nregisters = []",
            "answers = \"post\"\nregisters = []",
            18,
            "partner.answers",
            "live",
        ),
    ] {
        assert!(GOOD.contains(from), "{name}");
        let error = Covenant::parse(GOOD.replacen(from, to, 1).as_bytes()).expect_err(name);
        assert_eq!(
            (error.line, error.field.as_str()),
            (line, field),
            "{name}: {error}"
        );
        assert!(error.problem.contains(problem), "{name}: {error}");
    }
    let error = Covenant::parse(b"format = 1\nid = \"\xff\"").expect_err("not UTF-8");
    assert_eq!(error.line, 2);
}

#[test]
fn an_empty_grant_grants_nothing() {
    let text = GOOD.replace("askers = [\"zvh\"]", "askers = []");
    assert!(
        Covenant::parse(text.as_bytes()).unwrap().purposes()[0]
            .askers
            .is_empty()
    );
}
