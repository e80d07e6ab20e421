use super::test_log::{covenant, lookup, officers, refusal};
use super::*;
use PartnerStatus::{CouldNotAsk, DoesNotApply, Known, NotKnown};

fn overview() -> Overview {
    Overview::new(Span::new(2026, Some(1)).unwrap())
}

fn publish(overview: &Overview) -> OverviewTables {
    let registrations = [("p", 4), ("q", 90)].map(|(id, count)| (id.parse().unwrap(), count));
    overview.publish(&covenant(), &BTreeMap::from(registrations), 5)
}

#[test]
fn spans_are_quarters_and_years() {
    let months =
        |span: Option<Span>| -> Vec<String> { span.unwrap().months().map(|m| m.to_string()).collect() };
    assert_eq!(
        months(Span::new(2026, Some(4))),
        ["2026-10", "2026-11", "2026-12"]
    );
    assert_eq!(months(Span::new(2026, None)).len(), 12);
    for (year, quarter) in [(2026, Some(0)), (2026, Some(5)), (1969, None), (10_000, None)] {
        assert_eq!(Span::new(year, quarter), None);
    }
    let span = Span::new(2026, Some(1)).unwrap();
    assert!(!span.is_over("2026-03".parse().unwrap()));
    assert!(span.is_over("2026-04".parse().unwrap()));
}

#[test]
fn everything_is_counted_where_it_belongs() {
    let mut overview = overview();
    for (count, statuses) in [
        (40, [("p", Known), ("q", NotKnown), ("r", NotKnown)]),
        (20, [("p", Known), ("q", Known), ("r", CouldNotAsk)]),
        (30, [("p", NotKnown), ("q", NotKnown), ("r", NotKnown)]),
        (10, [("p", DoesNotApply), ("q", NotKnown), ("r", CouldNotAsk)]),
    ] {
        for place in 0..count {
            let month = if place % 2 == 0 { "2026-01" } else { "2026-03" };
            let case = format!("zaak {}", place % 7);
            overview.add(&lookup(month, "vh", "a", Some(&case), &statuses));
        }
    }
    for _ in 0..6 {
        overview.add(&refusal("2026-02", "q", "role_not_granted"));
        overview.add(&refusal("2026-02", "unknown", "unknown_partner"));
    }
    for month in ["2025-12", "2026-04"] {
        overview.add(&lookup(month, "vh", "a", None, &[("p", Known)]));
        overview.add(&refusal(month, "q", "role_not_granted"));
    }
    overview.add(&officers("2026-01"));
    let at = |time: &str| u64::try_from(time.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap();
    overview.add_erased(Some(at("2026-03-31T23:59:59Z")));
    overview.add_erased(Some(at("2026-04-01T00:00:00Z")));
    overview.add_erased(None);
    overview.add_unreadable(at("2026-01-01T00:00:00Z"));
    overview.add_unreadable(at("2025-12-31T23:59:59Z"));
    let tables = publish(&overview);
    let months: Vec<_> = tables.months.iter().map(|row| (row.counts, row.total)).collect();
    assert_eq!(
        months,
        [
            ([30, 15, 5, 0].map(Some), Some(50)),
            ([0, 0, 0, 12].map(Some), Some(12)),
            ([30, 15, 5, 0].map(Some), Some(50)),
        ]
    );
    assert_eq!(
        (tables.all.counts, tables.all.total),
        ([60, 30, 10, 12].map(Some), Some(112))
    );
    assert_eq!(tables.answered, Some(100));
    let [a, b] = &tables.purposes[..] else { panic!() };
    assert_eq!((a.counts, a.total), ([60, 30, 10].map(Some), Some(100)));
    assert_eq!((a.consulted, a.cases), (Detail::Shown, Detail::Shown));
    assert_eq!((b.counts, b.total), ([Some(0); 3], Some(0)));
    let consulted: Vec<_> = tables
        .consulted
        .iter()
        .map(|row| row.counts.clone().unwrap())
        .collect();
    let counts = |known, not_known, could_not_ask, does_not_apply| ConsultedCounts {
        known: Some(known),
        not_known: Some(not_known),
        could_not_ask: Some(could_not_ask),
        does_not_apply: Some(does_not_apply),
        total: 100,
    };
    assert_eq!(
        consulted,
        [counts(60, 30, 0, 10), counts(20, 80, 0, 0), counts(0, 70, 30, 0)]
    );
    let partner = |id: &str| Some(id.parse().unwrap());
    assert_eq!(tables.refusals.columns, [None, partner("q")]);
    let refusals: Vec<_> = tables
        .refusals
        .rows
        .iter()
        .map(|row| (row.label.as_str(), row.counts.clone()))
        .collect();
    let some = |values: [u64; 2]| values.map(Some).to_vec();
    assert_eq!(
        refusals,
        [
            ("role_not_granted", some([0, 6])),
            ("unknown_partner", some([6, 0]))
        ]
    );
    let cases = CaseRow {
        purpose: "a".parse().unwrap(),
        partner: partner("vh"),
        count: Some(7),
    };
    assert_eq!(tables.cases, [cases]);
    let registered: Vec<_> = tables
        .registered
        .iter()
        .map(|row| (row.partner.as_str(), row.live, row.count))
        .collect();
    assert_eq!(
        registered,
        [("p", false, None), ("q", false, Some(90)), ("r", true, Some(0))]
    );
    assert_eq!(
        (tables.erased, tables.erased_undated, tables.unreadable),
        (1, 1, 1)
    );
    assert!(!tables.some_without_case);
}

/// Usual figures keep what makes the report worth its while, also with a few that could not be asked.
#[test]
fn a_few_small_counts_do_not_take_everything_with_them() {
    let mut overview = overview();
    for (count, statuses) in [
        (30, [("p", Known), ("q", NotKnown)]),
        (25, [("p", NotKnown), ("q", Known)]),
        (12, [("p", Known), ("q", Known)]),
        (90, [("p", NotKnown), ("q", NotKnown)]),
        (3, [("p", NotKnown), ("q", CouldNotAsk)]),
    ] {
        for _ in 0..count {
            overview.add(&lookup("2026-02", "vh", "a", None, &statuses));
            overview.add(&lookup("2026-03", "vh", "b", None, &statuses));
        }
    }
    let tables = publish(&overview);
    assert_eq!(tables.all.total, Some(320));
    assert!(tables.some_without_case);
    for row in &tables.purposes {
        assert_eq!((row.counts[COULD_NOT], row.total), (None, Some(160)));
        assert_eq!(row.consulted, Detail::Shown, "{tables:#?}");
    }
    for row in &tables.consulted {
        let counts = row.counts.as_ref().unwrap();
        assert_eq!(counts.known.is_some(), row.partner.as_str() == "p", "{row:?}");
    }
}

const COULD_NOT: usize = 2;

/// Who asks and is asked tells by its total how many questions were its own.
#[test]
fn a_small_number_of_own_questions_is_not_given_away() {
    let mut overview = overview();
    for (requester, other, count) in [("p", "q", 3), ("q", "p", 60)] {
        for _ in 0..count {
            overview.add(&lookup(
                "2026-02",
                requester,
                "a",
                None,
                &[(other, NotKnown), ("r", NotKnown)],
            ));
        }
    }
    let tables = publish(&overview);
    let rows: Vec<_> = tables
        .consulted
        .iter()
        .map(|row| (row.partner.as_str(), row.counts.is_some()))
        .collect();
    assert_eq!(rows, [("p", false), ("q", false), ("r", true)]);
}

#[test]
fn as_many_cases_as_questions_say_nothing_more() {
    let mut overview = overview();
    for place in 0..9 {
        let requester = if place < 3 { "p" } else { "vh" };
        let case = format!("zaak {place}");
        overview.add(&lookup(
            "2026-02",
            requester,
            "a",
            Some(&case),
            &[("r", NotKnown)],
        ));
    }
    // 6 cases of one and at least 1 of the other are fewer than the 9 questions: that says nothing.
    assert_eq!(publish(&overview).cases.len(), 2);
    overview.add(&lookup("2026-02", "q", "a", Some("z"), &[("r", NotKnown)]));
    for place in 0..2 {
        overview.add(&lookup(
            "2026-02",
            "vh",
            "b",
            Some(&format!("{place}")),
            &[("r", NotKnown)],
        ));
    }
    assert_eq!(
        publish(&overview).purposes[1].cases,
        Detail::Withheld,
        "too few to say how many"
    );
    let mut overview = self::overview();
    for place in 0..7 {
        let requester = if place == 0 { "p" } else { "vh" };
        overview.add(&lookup(
            "2026-02",
            requester,
            "a",
            Some(&format!("{place}")),
            &[("r", NotKnown)],
        ));
    }
    // 6 and at least 1 of 7 questions would say that it is 1.
    assert_eq!(publish(&overview).purposes[0].cases, Detail::Withheld);
}
