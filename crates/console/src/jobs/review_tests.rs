use super::*;

const SAMPLE: &str = include_str!("../../../../deploy/covenant.toml");

fn row(month: &str, oin: &str, purpose: &str, total: Option<u64>) -> StatisticsRowView {
    StatisticsRowView {
        month: month.into(),
        oin: oin.into(),
        organisation: String::new(),
        purpose: purpose.into(),
        hit: None,
        no_hit: None,
        could_not_ask: None,
        refused: Some(0),
        officer: Some(0),
        total,
    }
}

#[test]
fn a_calendar_says_what_is_erased_when() {
    let covenant = Covenant::parse(SAMPLE.as_bytes()).unwrap();
    let purpose = &covenant.purposes()[0];
    let (code, months) = (purpose.code.to_string(), purpose.log_retention_months);
    let month: Period = "2026-01".parse().unwrap();
    let end = month.expires(RetentionClass(months)).unwrap();
    let rows = [
        row("2026-02", "x", "gone", Some(9)),
        row("2026-02", "x", &code, Some(7)),
        row("2026-01", "x", &code, Some(7)),
        row("2026-01", "y", &code, None),
        row("2026-01", "z", &code, Some(0)),
    ];
    // The last month in which they must be there, and the first in which they need not.
    let before = Period::new(
        end.year() - u16::from(end.month() == 1),
        (end.month() + 10) % 12 + 1,
    )
    .unwrap();
    for (now, reached) in [(before, false), (end, true)] {
        let groups = groups(&rows, &covenant, now);
        let of = Of::Purpose(purpose.title.clone());
        assert_eq!(
            groups[0],
            Group {
                month,
                of,
                months,
                expires: Some(end),
                at_least: 7,
                more: true,
                reached,
            }
        );
        assert_eq!(groups.len(), 3);
        assert_eq!(
            (groups[1].month.to_string().as_str(), groups[1].reached),
            ("2026-02", false)
        );
        assert_eq!(
            (&groups[2].of, groups[2].expires),
            (&Of::GonePurpose("gone".into()), None)
        );
    }
}

#[test]
fn officers_and_refusals_without_a_purpose_have_their_own_terms() {
    let covenant = Covenant::parse(SAMPLE.as_bytes()).unwrap();
    let officer = &covenant.officers()[0];
    let oin = covenant.partner(&officer.partner).unwrap().oin.to_string();
    let mut both = row("2026-01", &oin, "", Some(9));
    both.officer = Some(6);
    both.refused = None;
    let groups = groups(&[both], &covenant, "2026-02".parse().unwrap());
    let found: Vec<_> = groups
        .iter()
        .map(|group| (&group.of, group.months, group.at_least, group.more))
        .collect();
    let mut wanted = [
        (&Of::Officers, officer.log_retention_months, 6, false),
        (&Of::Refused, RETENTION_WITHOUT_PURPOSE, 0, true),
    ];
    wanted.sort_by_key(|(of, months, ..)| (*months, (*of).clone()));
    assert_eq!(found, wanted);
    assert_eq!(officers_term(&covenant, "no oin"), RETENTION_WITHOUT_PURPOSE);
}
