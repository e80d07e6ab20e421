//! Days and hours where people live.

use jiff::civil::{Time, date};

use super::*;

fn rules() -> AlarmRules {
    AlarmRules {
        enumeration_window: 200,
        enumeration_hits: 5,
        volume_factor: 5,
        volume_least: 100,
        usual_hours: (Time::constant(7, 0, 0, 0), Time::constant(20, 0, 0, 0)),
        notice_days: 7,
    }
}

fn at(text: &str) -> DateTime {
    local(text.parse().unwrap())
}

#[test]
fn usual_hours_are_those_on_the_clock_here() {
    for (moment, usual) in [
        ("2026-11-23T05:59:59Z", false),
        ("2026-11-23T06:00:00Z", true),
        ("2026-11-23T18:59:59Z", true),
        ("2026-11-23T19:00:00Z", false),
        // In summer an hour earlier by UTC.
        ("2026-07-06T04:59:59Z", false),
        ("2026-07-06T05:00:00Z", true),
        ("2026-07-06T18:00:00Z", false),
        // Saturday, Sunday, and the Monday after the clock went back.
        ("2026-11-21T12:00:00Z", false),
        ("2026-11-22T12:00:00Z", false),
        ("2026-10-26T05:30:00Z", false),
        ("2026-10-26T06:00:00Z", true),
    ] {
        assert_eq!(is_usual(&rules(), at(moment)), usual, "{moment}");
    }
}

#[test]
fn round_the_clock_no_hour_is_unusual() {
    let whole = AlarmRules {
        usual_hours: (Time::midnight(), Time::constant(23, 59, 0, 0)),
        ..rules()
    };
    assert!(is_usual(&whole, at("2026-11-22T22:59:30Z")));
    let night = AlarmRules {
        usual_hours: (Time::midnight(), Time::constant(23, 0, 0, 0)),
        ..rules()
    };
    assert!(!is_usual(&night, at("2026-11-22T12:00:00Z")));
}

#[test]
fn a_day_is_compared_with_the_days_of_use_before() {
    let rules = rules();
    let mut volume = Volume::default();
    let noon = |day: i8| {
        date(2026, 9, 1)
            .at(12, 0, 0, 0)
            .checked_add(jiff::Span::new().days(day))
            .unwrap()
    };
    // Nothing is usual yet: five times the least.
    assert!(!volume.count(&rules, 500, noon(0)).volume);
    assert!(volume.count(&rules, 1, noon(0)).volume);
    assert!(!volume.count(&rules, 900, noon(0)).volume, "once a day");
    for day in 1..29 {
        assert!(!volume.count(&rules, 30, noon(day)).volume);
    }
    assert_eq!(volume.before.len(), 28);
    // The median is 30.
    assert!(!volume.count(&rules, 150, noon(29)).volume);
    assert!(volume.count(&rules, 1, noon(29)).volume);
    assert_eq!(Volume::from_bytes(&volume.to_bytes()), Some(volume.clone()));
    assert_eq!(Volume::from_bytes(&volume.to_bytes()[1..]), None);
    // Little is never much.
    let mut small = Volume::default();
    for day in 0..10 {
        small.count(&rules, 1, noon(day));
    }
    assert!(!small.count(&rules, 99, noon(10)).volume);
    assert!(small.count(&rules, 1, noon(10)).volume);
}

#[test]
fn midnight_and_a_clock_that_goes_back() {
    let rules = rules();
    let mut volume = Volume::default();
    assert!(
        volume.count(&rules, 1, at("2026-11-21T23:30:00Z")).hours,
        "Sunday, here"
    );
    assert!(
        !volume.count(&rules, 1, at("2026-11-21T23:45:00Z")).hours,
        "once a day"
    );
    let sunday = volume.day;
    // Back over midnight: no other day, no second alarm.
    assert!(!volume.count(&rules, 1, at("2026-11-21T22:30:00Z")).hours);
    assert_eq!((volume.day, volume.persons), (sunday, 3));
    assert!(
        volume.count(&rules, 1, at("2026-11-22T23:30:00Z")).hours,
        "Monday at half past midnight"
    );
    assert_eq!((volume.before.len(), volume.persons), (1, 1));
}
