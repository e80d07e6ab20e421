use super::*;
use crate::failure::Failure;
use crate::language::Language;
use crate::screen::{Frame, HouseholdView, ScreenedPerson, totals};
use crate::screening::Stand;
use crate::view::{PartnerView, PersonView};

const PARTNERS: [&str; 3] = ["leerplicht", "om", "regieteams"];

/// A report of persons, each in a household of its own: what each partner says, or nothing for a failure, or nobody for
/// a refusal.
fn report(persons: &[(usize, Option<&[StatusWord]>)]) -> ScreeningReport {
    let mut households = Vec::new();
    for (count, statuses) in persons {
        for _ in 0..*count {
            let row = households.len() as u64 + 2;
            let result = match statuses {
                None => ScreenResult::NotAsked(Failure::node("gone")),
                Some(statuses) => ScreenResult::Answer(PersonView {
                    log_index: row,
                    refused: statuses.is_empty().then(|| "over_quota".to_owned()),
                    retry_at: None,
                    partners: PARTNERS
                        .iter()
                        .zip(*statuses)
                        .map(|(partner, status)| PartnerView {
                            partner: (*partner).into(),
                            name: format!("<{partner}>"),
                            status: *status,
                            contact: None,
                        })
                        .collect(),
                }),
            };
            households.push(HouseholdView {
                household: format!("Van Kleef-{row}"),
                bad_rows: Vec::new(),
                persons: vec![ScreenedPerson {
                    row,
                    label: Some(format!("secret-{row}")),
                    covenant: Some(1),
                    result,
                }],
            });
        }
    }
    ScreeningReport {
        id: Some("s0123456789".into()),
        stand: Stand::Done,
        stopped: None,
        started_at: "2026-11-22T06:00:00Z".into(),
        frame: Frame {
            purpose: "screening".into(),
            case: "ZK-77".into(),
            user: "jansen".into(),
            role: "rol".into(),
            responsible: None,
        },
        covenants: [(1, 1)].into(),
        totals: totals(&households, 0),
        issues: Vec::new(),
        households,
    }
}

use StatusWord::{CouldNotAsk as C, DoesNotApply as D, Known as K, NotKnown as N};

#[test]
fn could_not_be_asked_refused_and_failed_are_each_their_own() {
    let report = report(&[
        (20, Some(&[N, N, N])),
        (10, Some(&[K, N, N])),
        (9, Some(&[N, C, N])),
        (8, Some(&[K, C, D])),
        (7, Some(&[])),
        (6, None),
    ]);
    let picture = Picture::of(&report, 5);
    let counts: Vec<_> = picture.rows.iter().map(|(_, count)| count.unwrap()).collect();
    assert_eq!(counts, [20, 10, 9, 8, 7, 6]);
    assert_eq!(picture.known, [Some(18), Some(0), Some(0)]);
    assert_eq!(picture.could_not, [Some(0), Some(17), Some(0)]);
    let figures = (
        picture.answered,
        picture.refused,
        picture.not_asked,
        picture.persons,
    );
    assert_eq!(figures, (Some(47), Some(7), Some(6), Some(60)));
    assert!(!picture.leaves_out());
    let page = report.shared_html(Language::En, 5);
    for said in [
        "could not be asked: &lt;om&gt;",
        ">refused<",
        "not asked because of a failure",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn the_shared_report_says_nothing_about_anybody() {
    let report = report(&[
        (50, Some(&[N, N, N])),
        (20, Some(&[K, N, N])),
        (15, Some(&[N, K, N])),
        (3, Some(&[K, K, N])),
        (2, Some(&[N, N, K])),
    ]);
    let picture = Picture::of(&report, 5);
    assert!(picture.leaves_out());
    let small = picture
        .rows
        .iter()
        .filter(|(combination, _)| combination.known.len() == 2);
    assert!(small.into_iter().all(|(_, count)| count.is_none()));
    // What is left out comes last, in an order that does not tell which is larger.
    let left_out: Vec<_> = picture
        .rows
        .iter()
        .skip_while(|(_, count)| count.is_some())
        .collect();
    assert!(left_out.iter().all(|(_, count)| count.is_none()));
    assert!(left_out.is_sorted_by(|a, b| a.0 < b.0));
    let page = report.shared_html(Language::Nl, 5);
    for secret in ["Van Kleef", "secret-", "ZK-77", "jansen", "<script", "href"] {
        assert!(!page.contains(secret), "{secret}");
    }
    let full = report.full_html(Language::Nl);
    for said in ["Van Kleef", "secret-", "ZK-77", "jansen", "Vertrouwelijk"] {
        assert!(full.contains(said), "{said}");
    }
    assert!(
        full.contains(">3<") && full.contains(">2<"),
        "nothing is left out there"
    );
}

#[test]
fn households_known_nowhere_do_not_tell_what_persons_may_not() {
    // One person in each household: both numbers are the same, so both are left out.
    let report = report(&[
        (7, Some(&[N, N, N])),
        (2, Some(&[K, N, N])),
        (30, Some(&[N, K, N])),
    ]);
    let picture = Picture::of(&report, 5);
    let nowhere = picture
        .rows
        .iter()
        .find(|(combination, _)| combination.is_unknown())
        .unwrap();
    if nowhere.1.is_none() {
        assert_eq!(picture.households_not_known, None);
    }
    let few = Picture::of(&self::report(&[(3, Some(&[N, N, N]))]), 5);
    assert_eq!(
        (few.persons, few.households, few.households_not_known),
        (None, None, None)
    );
    assert_eq!(Picture::of(&self::report(&[]), 5).persons, Some(0));
}

#[test]
fn a_spreadsheet_has_a_line_for_each_person_and_computes_nothing() {
    let mut report = report(&[(1, Some(&[K, C, D])), (1, Some(&[])), (1, None)]);
    report.households[0].household = "=HYPERLINK(\"x\")".into();
    let bytes = report.csv().unwrap();
    let text = std::str::from_utf8(&bytes)
        .unwrap()
        .strip_prefix('\u{feff}')
        .unwrap();
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(b';')
        .from_reader(text.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let cells = |row: usize| rows[row].iter().collect::<Vec<_>>();
    assert_eq!(
        &cells(0)[..8],
        [
            "'=HYPERLINK(\"x\")",
            "2",
            "secret-2",
            "answered",
            "",
            "known",
            "could_not_ask",
            "does_not_apply"
        ]
    );
    assert_eq!(&cells(1)[3..8], ["refused", "over_quota", "", "", ""]);
    assert_eq!(&cells(2)[3..8], ["could_not_ask", "node", "", "", ""]);
}
