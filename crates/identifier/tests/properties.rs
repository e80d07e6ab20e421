//! What holds for every number.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use hitmachine_identifier::{Admission, Bsn, BsnError, Skn, check_digit, contains_bsn};
use hitmachine_pseudonym::{DeploymentKind, IdentifierType};
use proptest::prelude::*;

/// Takes every BSN: what the elfproef says must not depend on the range.
fn everyone() -> Admission {
    Admission::new(
        DeploymentKind::Test,
        (0..10).map(|digit: u8| digit.to_string()).collect(),
    )
    .unwrap()
}

/// A valid number from one of the test ranges, as nine digits.
fn any_bsn() -> impl Strategy<Value = String> {
    (prop::sample::select(vec![0_u32, 9999]), 0..10_000_u32).prop_filter_map(
        "no check digit",
        |(prefix, n)| {
            let first8 = prefix * 10_000 + n;
            Some(format!("{first8:08}{}", check_digit(first8)?))
        },
    )
}

/// `digits` with separators strewn between them.
fn spread(digits: &str, separators: &[String]) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 {
            text.push_str(&separators[at - 1]);
        }
        text.push(digit);
    }
    text
}

proptest! {
    #[test]
    fn every_wrong_digit_is_caught(bsn in any_bsn()) {
        for at in 0..9 {
            for digit in (b'0'..=b'9').filter(|digit| *digit != bsn.as_bytes()[at]) {
                let mut wrong = bsn.clone().into_bytes();
                wrong[at] = digit;
                let wrong = String::from_utf8(wrong).unwrap();
                let expected = if wrong == "000000000" { BsnError::Zero } else { BsnError::CheckDigit };
                prop_assert_eq!(Bsn::parse(&wrong, &everyone()), Err(expected));
            }
        }
    }

    #[test]
    fn every_swap_of_neighbours_is_caught(bsn in any_bsn()) {
        for at in 0..8 {
            let mut swapped = bsn.clone().into_bytes();
            swapped.swap(at, at + 1);
            let swapped = String::from_utf8(swapped).unwrap();
            if swapped != bsn {
                prop_assert_eq!(Bsn::parse(&swapped, &everyone()), Err(BsnError::CheckDigit));
            }
        }
    }

    #[test]
    fn parsing_what_was_written_gives_the_same(bsn in any_bsn(), separators in prop::collection::vec("[ .-]{0,2}", 8)) {
        let parsed = Bsn::parse(&bsn, &everyone()).unwrap();
        prop_assert_eq!(parsed.expose_secret(), &bsn);
        let canonical = parsed.canonical();
        prop_assert_eq!((canonical.kind(), canonical.expose_secret()), (IdentifierType::Bsn, bsn.as_bytes()));

        let number: u64 = bsn.parse().unwrap();
        for other in [
            Bsn::parse(&spread(&bsn, &separators), &everyone()),
            Bsn::from_number(number, &everyone()),
            Bsn::parse_numeric_text(&number.to_string(), &everyone()),
            Bsn::parse_numeric_text(&format!("{number}.0"), &everyone()),
        ] {
            prop_assert_eq!(other, Ok(parsed.clone()));
        }
        let without_zero = bsn.strip_prefix('0').map(|eight| Bsn::parse(eight, &everyone()));
        prop_assert!(without_zero.is_none_or(|eight| eight == Ok(parsed)));
    }

    /// What a source may hold as a BSN, free text may not hold.
    #[test]
    fn what_parses_is_found_in_free_text(
        bsn in any_bsn(), separators in prop::collection::vec("[ .-]{0,2}", 8), eight in any::<bool>(),
        before in "([^0-9]{0,4}[a-z:]|[0-9]{1,3}-)?", after in "([a-z.,;][^0-9]{0,4}|-[0-9]{1,3})?",
    ) {
        let digits = bsn.strip_prefix('0').filter(|_| eight).unwrap_or(&bsn);
        let text = format!("{before}{}{after}", spread(digits, &separators));
        prop_assert!(contains_bsn(&text), "{}", text);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,20}|[0-9 .-]{0,14}") {
        let _ = Bsn::parse(&text, &everyone());
        let _ = Bsn::parse_numeric_text(&text, &everyone());
        let _ = Skn::parse(&text);
        let _ = Skn::parse_numeric_text(&text);
        let _ = contains_bsn(&text);
    }

    #[test]
    fn an_skn_is_one_number_however_many_zeros(number in 1..100_000_000_u64, zeros in 0..10_usize) {
        let parsed = Skn::from_number(number).unwrap();
        prop_assert_eq!(parsed.expose_secret(), format!("{number:08}"));
        prop_assert_eq!(Skn::parse(&format!("{}{number}", "0".repeat(zeros))), Ok(parsed.clone()));
        prop_assert_eq!(Skn::parse(parsed.expose_secret()), Ok(parsed.clone()));
        prop_assert_eq!(parsed.canonical().kind(), IdentifierType::Skn);
    }

    #[test]
    fn nothing_prints_a_number(bsn in any_bsn()) {
        let parsed = Bsn::parse(&bsn, &everyone()).unwrap();
        let wrong = format!("{}x", &bsn[..8]);
        let error = Bsn::parse(&wrong, &everyone()).unwrap_err();
        let printed = format!("{parsed:?} {:?} {error} {error:?} {}", parsed.canonical(), error.text_nl());
        prop_assert!(!printed.contains(char::is_numeric), "{}", printed);
    }
}

/// A production deployment and a test deployment never both take one number.
#[test]
fn deployments_share_no_number() {
    let [production, demo] =
        [DeploymentKind::Production, DeploymentKind::Demo].map(Admission::with_default_prefixes);
    let mut taken = [0, 0];
    for first8 in (0..20_000).chain(99_980_000..100_000_000) {
        let Some(digit) = check_digit(first8) else {
            continue;
        };
        let number = u64::from(first8) * 10 + u64::from(digit);
        let of = [&production, &demo].map(|admission| Bsn::from_number(number, admission).is_ok());
        assert_ne!(of[0], of[1], "{first8}");
        taken[usize::from(of[1])] += 1;
    }
    // Half of each stretch lies in a test range: 9,090 numbers in 0000 and 9,091 in 9999.
    assert_eq!(taken[1], 9_090 + 9_091);
    assert!(taken[0] > 18_000);
}

#[test]
fn secrets_are_erased_on_drop() {
    fn erased<T: zeroize::ZeroizeOnDrop>() -> bool {
        std::mem::needs_drop::<T>()
    }
    assert!(erased::<Bsn>() && erased::<Skn>());
    let skn = Skn::parse("1234567").unwrap();
    assert_eq!(format!("{skn:?}"), "Skn(…)");
}
