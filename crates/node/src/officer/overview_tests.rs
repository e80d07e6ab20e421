use std::collections::BTreeSet;

use super::super::overview_sheets::{csv, notes, on_terminal, sheets};
use super::*;

/// Tables in which every shown number is one of `SHOWN`, and names that a page must escape.
fn tables() -> v1::OverviewTables {
    let month = |month: &str, counts: [i64; 4], total| v1::OverviewMonth {
        month: month.into(),
        counts: counts.to_vec(),
        total,
    };
    let consulted = |partner: &str, known, could_not_ask, does_not_apply| v1::OverviewConsulted {
        purpose: "screening".into(),
        partner: partner.into(),
        withheld: false,
        known,
        not_known: 901,
        could_not_ask,
        does_not_apply,
        total: 1_000,
    };
    v1::OverviewTables {
        threshold: 5,
        months: vec![
            month("2026-10", [111, 222, -1, 0], 350),
            month("2026-11", [-1, 222, -1, 0], -1),
            month("2026-12", [0, 0, 0, 0], 0),
            month("", [777, 444, 19, 0], 1_240),
        ],
        purposes: vec![v1::OverviewPurpose {
            purpose: "screening".into(),
            counts: vec![777, 444, -1],
            total: 1_240,
            consulted_withheld: false,
            cases_withheld: true,
        }],
        answered: 1_240,
        consulted: vec![
            consulted("leerplicht", 77, 22, -2),
            consulted("regieteams", -1, -1, 0),
            v1::OverviewConsulted {
                purpose: "screening".into(),
                partner: "om-reclassering".into(),
                withheld: true,
                ..v1::OverviewConsulted::default()
            },
        ],
        refused_askers: vec![String::new(), "leerplicht".into()],
        refusals: vec![
            v1::OverviewRefusals {
                code: "role_not_granted".into(),
                counts: vec![0, 9],
                total: 9,
            },
            v1::OverviewRefusals {
                code: String::new(),
                counts: vec![0, 9],
                total: 9,
            },
        ],
        registered: vec![v1::OverviewRegistered {
            partner: "leerplicht".into(),
            live: false,
            count: -1,
        }],
        erased: 12,
        counted_ms: 1_795_262_400_000,
        over: false,
        ..v1::OverviewTables::default()
    }
}

/// All numbers that may be in any form of the report.
const SHOWN: [u64; 18] = [
    0, 5, 9, 12, 19, 22, 77, 97, 111, 222, 350, 444, 777, 901, 978, 1_000, 1_240, 41,
];

fn report() -> Report {
    let covenant = include_bytes!("../../../../deploy/covenant.toml");
    Report::new(&tables(), &Covenant::parse(covenant).unwrap(), 40)
}

#[test]
fn suppressed_and_withheld_stay_so() {
    let report = report();
    assert_eq!(report.months[1].hit, None);
    assert_eq!(report.all.total, Some(1_240));
    let [first, second, third] = &report.consulted[..] else {
        panic!()
    };
    assert!(first.together && first.does_not_apply.is_none());
    assert_eq!(
        (second.known, second.does_not_apply, second.together),
        (None, Some(0), false)
    );
    assert!(third.withheld && third.total.is_none() && third.known.is_none());
    let response: Vec<_> = report
        .response
        .iter()
        .map(|row| (row.partner.as_str(), row.answered, row.percent()))
        .collect();
    assert_eq!(
        response,
        [("leerplicht", Some(978), Some(97)), ("regieteams", None, None)]
    );
}

/// Neither the page, its pictures, the tables nor the files say a number that was not published.
#[test]
fn only_published_numbers_are_written() {
    let report = report();
    for language in [Language::Nl, Language::En] {
        for sheet in sheets(&report, language) {
            let text = String::from_utf8(csv(&sheet).unwrap()).unwrap();
            let cells = text
                .trim_start_matches('\u{feff}')
                .lines()
                .skip(1)
                .flat_map(|line| line.split(';'));
            for number in cells.filter_map(|cell| cell.parse::<u64>().ok()) {
                assert!(SHOWN.contains(&number), "{number} in {}", sheet.name);
            }
            assert!(
                sheet.rows.iter().all(|row| row.len() == sheet.header.len()),
                "{}",
                sheet.name
            );
        }
        let page = report.html(language);
        let (_, body) = page.split_once("<body>").unwrap();
        // Texts, not attributes: a picture's lengths are made of the same numbers.
        let texts = body
            .split('>')
            .filter_map(|part| part.split_once('<'))
            .map(|(text, _)| text);
        let words = texts.flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '-'));
        let numbers: BTreeSet<u64> = words.filter_map(|word| word.parse().ok()).collect();
        let known = |number: &u64| SHOWN.contains(number) || [2026, 1, 13, 11, 21].contains(number);
        assert!(numbers.iter().all(known), "{numbers:?}");
        assert!(
            page.contains("stroke-width") && !page.contains("<script"),
            "{page}"
        );
    }
}

#[test]
fn what_is_not_counted_is_said() {
    let all = notes(&report(), Language::En).join("\n");
    for part in [
        "below 5",
        "12 log entries",
        "provisional",
        "either the quarters or the whole",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    let view = OverviewView {
        own: OwnEntry::default(),
        report: report(),
    };
    let text = on_terminal(&view, Language::Nl);
    for part in [
        "2026-10 tot en met 2026-12",
        "niet getoond",
        "bij niet bekend",
        "buiten het convenant",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn names_of_others_do_not_get_into_the_page() {
    let mut report = report();
    report.covenant = "<script>".into();
    report.consulted[0].name = "\"><img src=x>".into();
    report.refused_askers[1] = "=1+1".into();
    let page = report.html(Language::Nl);
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    let refusals = sheets(&report, Language::Nl)
        .into_iter()
        .find(|sheet| sheet.name == "refusals");
    let text = String::from_utf8(csv(&refusals.unwrap()).unwrap()).unwrap();
    assert!(text.contains(";'=1+1;"), "{text}");
}
