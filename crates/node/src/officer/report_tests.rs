use super::*;
use crate::officer::sample_rows::{hostile, miss, page, rows};
use crate::view::StatusWord;

fn report(rows: Vec<RowView>) -> Report {
    Report::new(
        &[page(rows)],
        Some("AVG-2026-3".into()),
        "2026-11-22T09:00:00Z".into(),
    )
}

fn all() -> Report {
    let mut all = rows();
    all.push(miss());
    report(all)
}

#[test]
fn hits_misses_and_refusals_are_in_it_alike() {
    let report = all();
    // The officer's action and the erased entry are about nobody.
    let entries: Vec<u64> = report.rows.iter().map(|row| row.log_entry).collect();
    assert_eq!(entries, [8, 7, 4]);
    let html = report.html(Language::Nl);
    for part in [
        "2026-11-21 13:00:00: Gemeente Voorbeeld",
        "Screening van een casus",
        "Wams art. 2",
        "https://register.example/v/1",
        "Leerplicht: bekend",
        "Politie: niet bevraagd",
        "Leerplicht: niet bekend",
        "Jeugdzorg: niet van toepassing",
        "Geweigerd; er is niets over u verteld.",
        "AVG-2026-3",
        "Convenant Voorbeeld (2)",
        "60 maanden",
        "Van 2021-09 zijn 12 regels gewist op 2026-11-20 09:00:00.",
        "niet meer vast te stellen",
        "autoriteitpersoonsgegevens.nl",
        "loket@gemeente.example",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("nooit gevraagd"), "only who asked or was asked");
}

#[test]
fn users_and_cases_are_in_neither_form() {
    let report = all();
    let json = serde_json::to_string(&report).unwrap();
    for text in [json, report.html(Language::Nl), report.html(Language::En)] {
        for never in ["jansen", "zorgregisseur", "ZK-2026-1", "abababab"] {
            assert!(!text.contains(never), "{never}");
        }
    }
    assert!(report.withheld.users && report.withheld.cases);
}

#[test]
fn confidential_activities_are_named_as_withheld_only_if_there_can_be_any() {
    let without = all();
    assert!(!without.withheld.confidential);
    assert!(!without.html(Language::Nl).contains("artikel 23"));
    let mut withholding = page(Vec::new());
    withholding.withholds = true;
    let with = Report::new(&[page(rows()), withholding], None, String::new());
    assert!(with.withheld.confidential, "on whichever page");
    assert!(with.html(Language::Nl).contains("AVG artikel 23"));
    assert!(with.html(Language::En).contains("GDPR article 23"));
}

#[test]
fn a_report_without_questions_says_so() {
    let html = report(Vec::new()).html(Language::Nl);
    assert!(html.contains("geen vragen over u"));
    assert!(
        html.contains("zijn 12 regels gewist"),
        "they may have been about the person"
    );
}

#[test]
fn nobody_writes_markup_into_it() {
    let evil = "<script>alert('x')</script>\"&<img src=x onerror=y>";
    let mut row = hostile(evil);
    if let Some(record) = &mut row.record {
        record.action = None;
        record.refused = Some(evil.into());
        record.partners[0].status = StatusWord::Known;
    }
    let mut hostile_page = page(vec![row]);
    hostile_page.covenant.title = evil.into();
    hostile_page.covenant.log = evil.into();
    for partner in &mut hostile_page.covenant.partners {
        (partner.partner, partner.name, partner.contact) = (evil.into(), evil.into(), evil.into());
    }
    for purpose in &mut hostile_page.covenant.purposes {
        purpose.title = evil.into();
    }
    for erasure in &mut hostile_page.erasures {
        (erasure.time, erasure.periods) = (evil.into(), vec![evil.into()]);
    }
    let report = Report::new(&[hostile_page], Some(evil.into()), evil.into());
    for language in [Language::Nl, Language::En] {
        let html = report.html(language);
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        assert!(html.matches("&lt;script&gt;").count() >= 10, "{html}");
        assert!(!html.contains("http-equiv=\"refresh\""));
        assert!(html.contains("default-src 'none'"));
    }
}
