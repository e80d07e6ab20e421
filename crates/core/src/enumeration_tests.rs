//! The figures of the module's page, exact and simulated.

use jiff::civil::Time;

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

/// A share of 500,000 persons in 90,909,090 valid numbers.
const CHANCE: f64 = 0.0055;
const NORMAL: f64 = 0.1;

/// The sum as a Markov chain: how much of it has stopped after each person.
fn stopped_by(hits: f64, from: &[f64], persons: usize) -> (Vec<f64>, Vec<f64>) {
    let (limit, off) = (limit(&rules()) as usize, taken_by_a_hit(&rules()) as usize);
    let mut at = from.to_vec();
    let (mut stopped, mut sum) = (Vec::new(), 0.0);
    for _ in 0..persons {
        let mut next = vec![0.0; limit];
        for (place, share) in at.iter().enumerate() {
            next[place.saturating_sub(off)] += share * hits;
            if place + 1 < limit {
                next[place + 1] += share * (1.0 - hits);
            } else {
                sum += share * (1.0 - hits);
            }
        }
        at = next;
        stopped.push(sum);
    }
    (stopped, at)
}

fn fresh() -> Vec<f64> {
    let mut fresh = vec![0.0; limit(&rules()) as usize];
    fresh[0] = 1.0;
    fresh
}

/// At most `most` of `count`.
fn binomial(count: i32, most: i32, share: f64) -> f64 {
    let mut term = (1.0 - share).powi(count);
    let mut sum = term;
    for hits in 0..most {
        term *= f64::from(count - hits) / f64::from(hits + 1) * share / (1.0 - share);
        sum += term;
    }
    sum
}

#[test]
fn figures_are_those_of_the_page() {
    assert_eq!((limit(&rules()), taken_by_a_hit(&rules())), (180, 32));
    let first = binomial(200, 5, CHANCE);
    assert!((0.999..0.9992).contains(&first), "{first}");
    let wrong = binomial(200, 5, NORMAL);
    assert!((3.8e-5..3.9e-5).contains(&wrong), "{wrong}");
    let (stopped, usual) = stopped_by(NORMAL, &fresh(), 3_000);
    let each = stopped[2_999] - stopped[2_998];
    assert!((9.0e-10..1.1e-9).contains(&each), "{each}");
    let (stopped, _) = stopped_by(CHANCE, &usual, 500);
    for (persons, share) in [(200, 0.50), (264, 0.90), (342, 0.99), (413, 0.999)] {
        let stopped = stopped[persons - 1];
        assert!(stopped >= share && stopped < share + 0.01, "{persons}: {stopped}");
    }
}

/// Numbers that are the same on each run (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let share = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }

    fn hit(&mut self, share: f64) -> bool {
        self.roll() < share
    }
}

#[test]
fn who_tries_numbers_is_stopped_within_two_hundred() {
    let rules = rules();
    let seeds = 20_000;
    let mut late = 0;
    for seed in 0..seeds {
        let mut dice = Dice(seed);
        let mut run = Run::default();
        let stopped = (0..200).any(|at| run.see(&rules, dice.hit(CHANCE), at));
        late += u32::from(!stopped);
    }
    // 0.0009 of them are expected.
    assert!(late <= 30, "{late} of {seeds}");
    let mut run = Run::default();
    let first = (1..=200).find(|at| run.see(&rules, false, *at));
    assert_eq!(first, Some(180), "without any hit");
}

/// Months of persons asked about; whether somebody was stopped.
fn stopped(seed: u64, months: u32, per_month: u32, household: u32, share: f64) -> bool {
    stopped_by_rules(&rules(), seed, (months, per_month), household, share)
}

fn stopped_by_rules(
    rules: &AlarmRules,
    seed: u64,
    (months, per_month): (u32, u32),
    household: u32,
    share: f64,
) -> bool {
    let mut dice = Dice(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ u64::from(per_month));
    let mut run = Run::default();
    let mut left = months * per_month;
    while left > 0 {
        // Households of one up to so many persons, all of them known or none.
        let size = 1 + (0..household - 1).filter(|_| dice.hit(0.5)).count();
        let hit = dice.hit(share);
        for _ in 0..size {
            left = left.saturating_sub(1);
            if run.see(rules, hit, 0) {
                return true;
            }
        }
    }
    false
}

#[test]
fn normal_use_is_not_stopped_in_a_hundred_months() {
    for seed in 0..40 {
        for per_month in [20, 200, 2_000] {
            assert!(
                !stopped(seed, 100, per_month, 1, NORMAL),
                "alone: {seed}, {per_month}"
            );
            assert!(
                !stopped(seed, 100, per_month, 4, 0.3),
                "households: {seed}, {per_month}"
            );
        }
    }
    assert!((0..40).all(|seed| stopped(seed, 100, 200, 1, CHANCE)));
    // The page says what households at one in ten do.
    let often = (0..40).filter(|seed| stopped(*seed, 100, 200, 5, NORMAL)).count();
    assert!(often > 10, "{often}");
    let wider = AlarmRules {
        enumeration_window: 600,
        enumeration_hits: 15,
        ..rules()
    };
    assert!((0..40).all(|seed| !stopped_by_rules(&wider, seed, (100, 200), 5, NORMAL)));
}

#[test]
fn a_stop_is_once_and_a_pardon_leaves_half() {
    let rules = rules();
    let mut run = Run::default();
    let stops = (0..400).filter(|at| run.see(&rules, false, *at)).count();
    assert_eq!((stops, run.is_stopped()), (1, true));
    assert_eq!(Run::from_bytes(run.to_bytes()), run);
    run.pardon(&rules);
    assert!(!run.is_stopped());
    let first = (1..=200).find(|at| run.see(&rules, false, *at));
    assert_eq!(first, Some(90));
}
