//! What buckets give, over any stretch of time.

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;

fn quota(of: QuotaOf, purpose: Option<&str>, persons: u32, hours: u32) -> Quota {
    Quota {
        of,
        partner: None,
        purpose: purpose.map(|code| code.parse().unwrap()),
        persons,
        hours,
    }
}

struct Who {
    partner: PartnerId,
    oin: Oin,
    user: UserId,
    purpose: PurposeCode,
}

impl Who {
    fn new(user: &str, purpose: &str) -> Self {
        Self {
            partner: "gemeente".parse().unwrap(),
            oin: "00000099000000000010".parse().unwrap(),
            user: user.parse().unwrap(),
            purpose: purpose.parse().unwrap(),
        }
    }

    fn asks(&self, persons: u32) -> Demand<'_> {
        Demand {
            partner: &self.partner,
            oin: &self.oin,
            user: Some(&self.user),
            purpose: &self.purpose,
            persons,
        }
    }
}

impl Buckets {
    fn took(&mut self, quotas: &[Quota], demand: &Demand<'_>, now_ms: i64) -> Result<(), Over> {
        self.take(quotas, demand, now_ms).map(drop)
    }
}

fn full() -> Buckets {
    Buckets::new(DigestKey::from_bytes([7; 32]))
}

#[test]
fn a_bucket_empties_and_says_when_it_fits() {
    let quotas = [quota(QuotaOf::User, None, 10, 1)];
    let (one, two) = (Who::new("jansen", "a"), Who::new("smit", "a"));
    let mut buckets = full();
    assert_eq!(buckets.took(&quotas, &one.asks(8), 0), Ok(()));
    assert_eq!(buckets.took(&quotas, &two.asks(8), 0), Ok(()), "one's own bucket");
    // 6 are missing of which 2 are there: four tenths of an hour.
    let wait = 4 * 360_000;
    assert_eq!(buckets.took(&quotas, &one.asks(6), 0), Err(Over::Later(wait)));
    assert_eq!(buckets.took(&quotas, &one.asks(11), 0), Err(Over::Never));
    let at = i64::try_from(wait).unwrap();
    assert_eq!(buckets.took(&quotas, &one.asks(6), at - 1), Err(Over::Later(1)));
    assert_eq!(buckets.took(&quotas, &one.asks(6), at), Ok(()));
    assert_eq!(buckets.took(&quotas, &one.asks(1), at), Err(Over::Later(360_000)));
}

#[test]
fn looking_gives_nothing() {
    let quotas = [quota(QuotaOf::Partner, None, 1, 1)];
    let who = Who::new("jansen", "a");
    let mut buckets = full();
    buckets.took(&quotas, &who.asks(1), 0).unwrap();
    for _ in 0..3 {
        assert_eq!(
            buckets.took(&quotas, &who.asks(1), 0),
            Err(Over::Later(3_600_000))
        );
    }
}

#[test]
fn all_buckets_give_or_none_does() {
    let quotas = [
        quota(QuotaOf::Partner, None, 100, 24),
        quota(QuotaOf::User, Some("a"), 4, 1),
        quota(QuotaOf::User, Some("a"), 6, 24),
    ];
    let (a, b) = (Who::new("jansen", "a"), Who::new("jansen", "b"));
    let mut buckets = full();
    assert_eq!(buckets.took(&quotas, &a.asks(4), 0), Ok(()));
    // Two more a day: so many hours until four are there again, though the bucket of the hour is full long before.
    assert_eq!(
        buckets.took(&quotas, &a.asks(4), HOUR),
        Err(Over::Later(7 * 3_600_000))
    );
    assert_eq!(
        buckets.took(&quotas, &b.asks(96), 0),
        Ok(()),
        "nothing was taken of the partner's"
    );
    assert_eq!(
        buckets.took(&quotas, &a.asks(1), HOUR),
        Ok(()),
        "4 came back in that hour"
    );
    let other = Quota {
        partner: Some("leerplicht".parse().unwrap()),
        ..quota(QuotaOf::Partner, None, 1, 1)
    };
    assert_eq!(
        full().took(&[other], &a.asks(50), 0),
        Ok(()),
        "not for this partner"
    );
}

#[test]
fn a_clock_that_goes_back_gives_and_takes_nothing() {
    let quotas = [quota(QuotaOf::Partner, None, 10, 1)];
    let who = Who::new("jansen", "a");
    let mut buckets = full();
    buckets.took(&quotas, &who.asks(10), 5 * HOUR).unwrap();
    assert_eq!(
        buckets.took(&quotas, &who.asks(1), 4 * HOUR),
        Err(Over::Later(3_600_000 + 360_000)),
        "an hour until the clock is back, and then the time it takes"
    );
    assert_eq!(buckets.took(&quotas, &who.asks(10), 6 * HOUR), Ok(()));
}

#[test]
fn a_new_covenant_keeps_what_was_taken() {
    let who = Who::new("jansen", "a");
    let of = |persons, hours| [quota(QuotaOf::User, None, persons, hours)];
    let mut buckets = full();
    buckets.took(&of(10, 1), &who.asks(8), 0).unwrap();
    let mut wider = buckets.clone();
    assert_eq!(wider.took(&of(20, 2), &who.asks(12), 0), Ok(()));
    assert!(wider.took(&of(20, 2), &who.asks(1), 0).is_err());
    let mut smaller = buckets.clone();
    assert_eq!(
        smaller.took(&of(5, 1), &who.asks(1), 0),
        Err(Over::Later(720_000)),
        "no less than empty"
    );
    let named = Quota {
        partner: Some(who.partner.clone()),
        ..of(10, 1)[0].clone()
    };
    let mut named_now = buckets.clone();
    assert!(
        named_now.took(&[named], &who.asks(3), 0).is_err(),
        "the same bucket"
    );
    // The order of the file says nothing.
    let (hour, day) = (
        quota(QuotaOf::User, None, 4, 1),
        quota(QuotaOf::User, None, 9, 24),
    );
    let mut buckets = full();
    buckets
        .took(&[hour.clone(), day.clone()], &who.asks(4), 0)
        .unwrap();
    assert_eq!(
        buckets.took(&[day, hour], &who.asks(1), 0),
        Err(Over::Later(900_000))
    );
}

#[test]
fn full_buckets_are_forgotten() {
    let quotas = [quota(QuotaOf::User, None, 10, 1)];
    let mut buckets = full();
    for user in 0..1_000 {
        let who = Who::new(&format!("gebruiker-{user}"), "a");
        buckets.took(&quotas, &who.asks(10), i64::from(user)).unwrap();
    }
    assert_eq!((buckets.len(), buckets.take_changes().len()), (1_000, 1_000));
    buckets.forget_full(HOUR - 1);
    assert_eq!(buckets.len(), 1_000);
    buckets.forget_full(HOUR + 499);
    assert_eq!(buckets.len(), 500);
    let gone = buckets.take_changes();
    assert!(gone.len() == 500 && gone.iter().all(|(_, bytes)| bytes.is_none()));
}

#[test]
fn names_of_users_are_not_in_names_of_buckets() {
    let (one, other) = (DigestKey::from_bytes([1; 32]), DigestKey::from_bytes([2; 32]));
    let who = Who::new("jansen", "a");
    let digest = one.who(&who.oin, Some(&who.user));
    assert_ne!(digest, other.who(&who.oin, Some(&who.user)));
    assert_ne!(digest, one.who(&who.oin, None));
    assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    assert_eq!(format!("{one:?}"), "DigestKey(…)");
}

prop_compose! {
    fn steps()(steps in prop::collection::vec((-20_000_i64..400_000, 1_u32..12), 1..120)) -> Vec<(i64, u32)> {
        let mut now = 0;
        steps.into_iter().map(|(later, persons)| { now += later; (now, persons) }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_stretch_of_time_gets_more_than_a_bucket_and_what_fills(
        steps in steps(), persons in 1_u32..40, hours in 1_u32..3,
    ) {
        let quotas = [quota(QuotaOf::Partner, None, persons, hours)];
        let who = Who::new("jansen", "a");
        let mut buckets = full();
        let mut given: Vec<(i64, u64)> = Vec::new();
        for (now, wanted) in steps {
            if buckets.took(&quotas, &who.asks(wanted), now).is_ok() {
                given.push((now, u64::from(wanted)));
            }
        }
        // By the latest time seen: a clock that went back begins no new stretch.
        let mut latest = i64::MIN;
        let given: Vec<_> = given.iter().map(|(at, count)| { latest = latest.max(*at); (latest, *count) }).collect();
        for (first, (from, _)) in given.iter().enumerate() {
            let mut sum = 0;
            for (to, count) in &given[first..] {
                sum += count;
                let stretch = u64::try_from(to - from).unwrap();
                let filled = u64::from(persons) * stretch / (u64::from(hours) * MS_PER_HOUR);
                prop_assert!(sum <= u64::from(persons) + filled);
            }
        }
    }

    #[test]
    fn the_moment_that_is_named_is_the_first(steps in steps(), persons in 1_u32..40) {
        let quotas = [quota(QuotaOf::Partner, None, persons, 1), quota(QuotaOf::User, None, persons / 2 + 1, 2)];
        let who = Who::new("jansen", "a");
        let mut buckets = full();
        for (now, wanted) in steps {
            if let Err(Over::Later(after)) = buckets.clone().took(&quotas, &who.asks(wanted), now) {
                let at = now + i64::try_from(after).unwrap();
                prop_assert!(buckets.clone().took(&quotas, &who.asks(wanted), at).is_ok());
                prop_assert!(buckets.clone().took(&quotas, &who.asks(wanted), at - 1).is_err());
            }
            let _ = buckets.took(&quotas, &who.asks(wanted), now);
        }
    }

    #[test]
    fn a_restart_makes_no_difference(steps in steps(), persons in 5_u32..40, kept in 0_usize..100) {
        let quotas = [quota(QuotaOf::Partner, None, persons, 1), quota(QuotaOf::User, Some("a"), persons, 2)];
        let who = Who::new("jansen", "a");
        let mut live = full();
        let (mut table, mut log) = (HashMap::new(), Vec::new());
        for (place, (now, wanted)) in steps.into_iter().enumerate() {
            let before = (table.clone(), log.clone());
            let taken = live.took(&quotas, &who.asks(wanted), now).is_ok();
            // Killed here: what the table has, and after it the log.
            let mut restarted = full();
            for (id, bytes) in before.0 {
                restarted.restore(id, bytes);
            }
            for (at, persons) in before.1 {
                restarted.charge(&quotas, &who.asks(persons), at);
            }
            prop_assert_eq!(restarted.took(&quotas, &who.asks(wanted), now).is_ok(), taken);
            if taken {
                log.push((now, wanted));
            }
            if place == kept {
                for (id, bytes) in live.take_changes() {
                    table.insert(id, bytes.unwrap());
                }
                log.clear();
            }
        }
    }

    #[test]
    fn order_within_a_moment_and_in_the_file_means_nothing(
        wanted in prop::collection::vec(1_u32..5, 1..20), persons in 100_u32..200,
    ) {
        let quotas = [quota(QuotaOf::Partner, None, persons, 1), quota(QuotaOf::Partner, None, persons, 2)];
        let turned = [quotas[1].clone(), quotas[0].clone()];
        let who = Who::new("jansen", "a");
        let (mut one, mut two) = (full(), full());
        for count in &wanted {
            one.took(&quotas, &who.asks(*count), 5).unwrap();
        }
        for count in wanted.iter().rev() {
            two.took(&turned, &who.asks(*count), 5).unwrap();
        }
        prop_assert_eq!(one.missing, two.missing);
    }
}
