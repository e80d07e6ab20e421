use proptest::prelude::*;

use super::*;
use crate::{checkpoint::Checkpoint, cosignature::WitnessSigner, hash::Hash, note::LogSigner};

fn log() -> LogSigner {
    LogSigner::new("log.example/a/audit/1".parse().unwrap(), &[7; 32])
}

fn witness(seed: u8) -> WitnessSigner {
    WitnessSigner::new(format!("w{seed}").parse().unwrap(), &[seed; 32])
}

fn key(seed: u8) -> WitnessVerifier {
    witness(seed).verifier()
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: log().origin().clone(),
        size: 3,
        root: Hash([5; 32]),
    }
}

/// A note with cosignatures of these witnesses at these times.
fn note(cosigned: &[(u8, u64)]) -> Vec<u8> {
    let mut note = log().sign(&checkpoint()).unwrap();
    for (seed, time_s) in cosigned {
        note.extend(
            witness(*seed)
                .cosign(&checkpoint(), *time_s)
                .unwrap()
                .into_bytes(),
        );
    }
    note
}

fn quorum(policy: &Policy, cosigned: &[(u8, u64)]) -> QuorumTime {
    policy.open(&note(cosigned)).unwrap().1
}

/// The example of the standard: two groups of three in a group.
fn example() -> String {
    let mut text = format!("log {}\n\n", log().verifier());
    for (index, name) in ["X1", "X2", "X3", "Y1", "Y2", "Y3"].into_iter().enumerate() {
        let seed = u8::try_from(index + 1).unwrap();
        text += &format!("witness {name} {}\n", key(seed));
    }
    text + "group X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\n\
            group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
}

#[test]
fn the_table_of_quorums() {
    let table = [0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7];
    for (n, k) in table.into_iter().enumerate() {
        assert_eq!(quorum_of(n), k, "{n}");
    }
    for n in 1..1_000 {
        let k = quorum_of(n);
        assert_eq!(k, 1 + 2 * n / 3);
        assert!(
            3 * (2 * k - n) > n && k <= n,
            "two quorums share more than a third of {n}"
        );
    }
    assert_eq!(quorum_of(usize::MAX), 1 + usize::MAX / 3 * 2);
}

#[test]
fn generated_policies() {
    for n in 0..=10 {
        let witnesses: Vec<_> = (0..n).map(|index| key(20 + index)).collect();
        let text = Policy::generate(&log().verifier(), &witnesses).unwrap();
        let policy = Policy::parse(text.as_bytes()).unwrap();
        let k = quorum_of(usize::from(n));
        assert_eq!(policy.needed(), Some(k));
        assert_eq!(policy.logs()[0].verifier(), &log().verifier());
        assert!(policy.witnesses().map(PolicyWitness::verifier).eq(&witnesses));
        for count in 0..=n {
            let cosigned: Vec<_> = (0..count)
                .map(|index| (20 + index, 1_000 + u64::from(index)))
                .collect();
            let expected = match (n, usize::from(count).checked_sub(k)) {
                (0, _) => QuorumTime::NotAsked,
                (_, None) => QuorumTime::Missing,
                // The k-th newest of them.
                (_, Some(older)) => QuorumTime::Held {
                    since_s: 1_000 + u64::try_from(older).unwrap(),
                },
            };
            assert_eq!(quorum(&policy, &cosigned), expected, "{count} of {n}");
        }
    }
    let four: Vec<_> = (1..=4).map(key).collect();
    assert!(
        Policy::generate(&log().verifier(), &four)
            .unwrap()
            .ends_with("# 3 of 4: 1 + 2n/3, rounded down\ngroup partners 3 w1 w2 w3 w4\nquorum partners\n")
    );
    let named = |name: &str| WitnessSigner::new(name.parse().unwrap(), &[9; 32]).verifier();
    for (what, witnesses, problem) in [
        (
            "key twice",
            vec![key(9), named("other")],
            PolicyProblem::DuplicateKey,
        ),
        (
            "name twice",
            vec![key(8), named("w8")],
            PolicyProblem::DuplicateName,
        ),
        ("reserved", vec![named("none")], PolicyProblem::Reserved),
        (
            "the group's name",
            vec![named("partners")],
            PolicyProblem::DuplicateName,
        ),
    ] {
        let refused = Policy::generate(&log().verifier(), &witnesses).unwrap_err();
        assert_eq!(refused.problem, problem, "{what}");
    }
}

#[test]
fn the_example_of_the_standard() {
    let policy = Policy::parse(example().as_bytes()).unwrap();
    assert_eq!(policy.needed(), None, "not a matter of numbers alone");
    for (cosigned, expected) in [
        (&[][..], QuorumTime::Missing),
        (&[(1, 10), (2, 20), (3, 30)], QuorumTime::Missing),
        (&[(1, 10), (4, 20), (5, 30), (6, 40)], QuorumTime::Missing),
        (&[(1, 10), (2, 20), (4, 30)], QuorumTime::Held { since_s: 10 }),
        (
            &[(1, 10), (2, 20), (3, 30), (4, 40)],
            QuorumTime::Held { since_s: 20 },
        ),
        (
            &[(1, 50), (3, 30), (4, 20), (5, 25)],
            QuorumTime::Held { since_s: 25 },
        ),
        // Two lines of one witness are one.
        (&[(1, 10), (1, 20), (4, 30)], QuorumTime::Missing),
        // A witness outside the policy does not count.
        (&[(1, 10), (9, 20), (4, 30)], QuorumTime::Missing),
    ] {
        assert_eq!(quorum(&policy, cosigned), expected, "{cosigned:?}");
    }
    // Any white space, comments, no order between logs and witnesses, lines after the quorum.
    let loose = example()
        .replace(' ', "\t  ")
        .replace('\n', " \n\t # comment\u{e9}\n\n")
        + &format!(
            "log {}\n",
            LogSigner::new("log.example/b".parse().unwrap(), &[6; 32]).verifier()
        );
    let loose = Policy::parse(loose.as_bytes()).unwrap();
    assert_eq!(loose.nodes, policy.nodes);
    assert_eq!(loose.logs().len(), 2);
    assert_eq!(Policy::parse(&policy.to_text()).unwrap(), policy);
}

#[test]
fn one_witness_addresses_and_bytes_beyond_ascii() {
    let mut text = format!("log {} https://log.example/\nwitness K ", log().verifier()).into_bytes();
    text.extend(format!("{} \u{e9}\nwitness \u{212a} {}\nwitness ", key(1), key(2)).into_bytes());
    text.extend(b"\xff\xfe ");
    text.extend(format!("{}\nquorum K\n", key(3)).into_bytes());
    let policy = Policy::parse(&text).unwrap();
    assert_eq!(policy.to_text(), text);
    assert_eq!(policy.needed(), Some(1));
    assert_eq!(policy.logs()[0].url(), Some(b"https://log.example/".as_slice()));
    let urls: Vec<_> = policy.witnesses().map(PolicyWitness::url).collect();
    assert_eq!(urls, [Some("\u{e9}".as_bytes()), None, None]);
    assert_eq!(
        quorum(&policy, &[(2, 5)]),
        QuorumTime::Missing,
        "K is not the Kelvin sign"
    );
    assert_eq!(quorum(&policy, &[(1, 5)]), QuorumTime::Held { since_s: 5 });
    assert_eq!(Policy::parse(b"quorum none\n").unwrap().needed(), Some(0));
    assert_eq!(
        Policy::parse(b"quorum none\n").unwrap().open(&note(&[])),
        Err(NoteError::NotSigned)
    );
}

#[test]
fn policies_are_refused_for_each_reason() {
    let (w1, w2, w3) = (key(1), key(2), key(3));
    let known = format!("witness a {w1}\nwitness b {w2}\nwitness c {w3}\n");
    let renamed = WitnessSigner::new("x".parse().unwrap(), &[1; 32]).verifier();
    let relog = LogSigner::new("log.example/b".parse().unwrap(), &[7; 32]).verifier();
    let log = log().verifier();
    for (what, text, line, problem) in [
        ("nothing", String::new(), 1, PolicyProblem::NoQuorum),
        ("no quorum", format!("log {log}\n\n"), 2, PolicyProblem::NoQuorum),
        ("cut off", "quorum none".to_owned(), 1, PolicyProblem::CutOff),
        (
            "carriage return",
            "\nquorum none\r\n".to_owned(),
            2,
            PolicyProblem::Character,
        ),
        ("delete", "# \u{7f}\n".to_owned(), 1, PolicyProblem::Character),
        ("keyword", "Quorum none\n".to_owned(), 1, PolicyProblem::Keyword),
        (
            "comment after",
            "quorum none # yes\n".to_owned(),
            1,
            PolicyProblem::Items,
        ),
        ("log without key", "log\n".to_owned(), 1, PolicyProblem::Items),
        (
            "log with too much",
            format!("log {log} a b\n"),
            1,
            PolicyProblem::Items,
        ),
        (
            "witness without key",
            "witness a\n".to_owned(),
            1,
            PolicyProblem::Items,
        ),
        (
            "witness with too much",
            format!("witness a {w1} u v\n"),
            1,
            PolicyProblem::Items,
        ),
        (
            "group without members",
            format!("{known}group g all\n"),
            4,
            PolicyProblem::Items,
        ),
        (
            "quorum without name",
            "quorum\n".to_owned(),
            1,
            PolicyProblem::Items,
        ),
        ("witness as log", format!("log {w1}\n"), 1, PolicyProblem::Key),
        (
            "log as witness",
            format!("witness a {log}\n"),
            1,
            PolicyProblem::Key,
        ),
        (
            "log twice",
            format!("log {log}\nlog {relog}\n"),
            2,
            PolicyProblem::DuplicateKey,
        ),
        (
            "witness twice, under another key name",
            format!("{known}witness d {renamed}\n"),
            4,
            PolicyProblem::DuplicateKey,
        ),
        (
            "witness none",
            format!("witness none {w1}\n"),
            1,
            PolicyProblem::Reserved,
        ),
        (
            "group none",
            format!("{known}group none all a\n"),
            4,
            PolicyProblem::Reserved,
        ),
        (
            "name twice",
            format!("{known}witness a {}\n", key(4)),
            4,
            PolicyProblem::DuplicateName,
        ),
        (
            "group as witness",
            format!("{known}group a all b\n"),
            4,
            PolicyProblem::DuplicateName,
        ),
        (
            "unknown member",
            format!("{known}group g all a d\n"),
            4,
            PolicyProblem::UnknownName,
        ),
        (
            "itself",
            format!("{known}group g all g\n"),
            4,
            PolicyProblem::UnknownName,
        ),
        (
            "none as member",
            format!("{known}group g all none\n"),
            4,
            PolicyProblem::UnknownName,
        ),
        (
            "declared later",
            format!("quorum a\n{known}"),
            1,
            PolicyProblem::UnknownName,
        ),
        (
            "member twice",
            format!("{known}group g 2 a a\n"),
            4,
            PolicyProblem::MemberTwice,
        ),
        (
            "member of two groups",
            format!("{known}group g any a b\ngroup h any a c\n"),
            5,
            PolicyProblem::MemberTwice,
        ),
        (
            "k = 0",
            format!("{known}group g 0 a b\n"),
            4,
            PolicyProblem::Threshold,
        ),
        (
            "k > n",
            format!("{known}group g 3 a b\n"),
            4,
            PolicyProblem::Threshold,
        ),
        (
            "k signed",
            format!("{known}group g +1 a b\n"),
            4,
            PolicyProblem::Threshold,
        ),
        (
            "k with zero",
            format!("{known}group g 01 a b\n"),
            4,
            PolicyProblem::Threshold,
        ),
        (
            "k huge",
            format!("{known}group g 18446744073709551617 a\n"),
            4,
            PolicyProblem::Threshold,
        ),
        (
            "k missing",
            format!("{known}group g a b\n"),
            4,
            PolicyProblem::Threshold,
        ),
        (
            "two quorums",
            "quorum none\nquorum none\n".to_owned(),
            2,
            PolicyProblem::SecondQuorum,
        ),
        ("too long", "#\n".repeat(MAX_POLICY), 1, PolicyProblem::TooLong),
    ] {
        let refused = Policy::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused, PolicyError { line, problem }, "{what}");
        assert!(
            refused
                .to_string()
                .starts_with(&format!("line {line} of the policy: "))
        );
        assert!(refused.code().starts_with("policy_"));
    }
}

#[test]
fn as_many_as_the_standard_asks_for() {
    let mut text = String::new();
    for seed in 0..64_u8 {
        let one = LogSigner::new(format!("l{seed}").parse().unwrap(), &[seed; 32]);
        text += &format!("log {}\nwitness w{seed} {}\n", one.verifier(), key(seed));
    }
    // A chain: each group holds the one before.
    text += "group g0 all w0\n";
    for index in 1..64 {
        text += &format!("group g{index} all g{} w{index}\n", index - 1);
    }
    let policy = Policy::parse((text + "quorum g63\n").as_bytes()).unwrap();
    assert_eq!(policy.logs().len(), 64);
    let all: Vec<_> = (0..64).map(|seed| (seed, 500 - u64::from(seed))).collect();
    let cosignatures = log()
        .verifier()
        .open_cosigned(&note(&all), &(0..64).map(key).collect::<Vec<_>>())
        .unwrap()
        .cosignatures;
    assert_eq!(
        policy.quorum_time(&cosignatures),
        QuorumTime::Held { since_s: 437 }
    );
    assert_eq!(policy.quorum_time(&cosignatures[1..]), QuorumTime::Missing);
}

#[test]
fn a_bad_line_of_any_listed_key_spoils_the_note() {
    let other = LogSigner::new("log.example/a/audit/1".parse().unwrap(), &[6; 32]);
    let text = format!(
        "log {}\nlog {}\nquorum none\n",
        log().verifier(),
        other.verifier()
    );
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let good = String::from_utf8(note(&[])).unwrap();
    let wrong = Checkpoint {
        size: 4,
        ..checkpoint()
    };
    let wrong = String::from_utf8(other.sign(&wrong).unwrap()).unwrap();
    let line = wrong.split_once("\n\n").unwrap().1;
    assert!(policy.open(good.as_bytes()).is_ok());
    assert_eq!(
        policy.open(format!("{good}{line}").as_bytes()),
        Err(NoteError::BadSignature)
    );
}

proptest! {
    /// The quorum's time is what it is defined to be: the largest t at which the cosignatures made at t or
    /// later are still a quorum.
    #[test]
    fn the_time_is_the_largest_that_still_holds(
        times in proptest::collection::vec(proptest::option::of(1_u64..20), 6),
    ) {
        let policy = Policy::parse(example().as_bytes()).unwrap();
        let since = |t: u64| -> Vec<(u8, u64)> {
            let cosigned = (1..=6_u8).zip(&times).filter_map(|(seed, time)| time.map(|time| (seed, time)));
            cosigned.filter(|(_, time)| *time >= t).collect()
        };
        let holds = |t: u64| {
            let seeds: Vec<u8> = since(t).into_iter().map(|(seed, _)| seed).collect();
            seeds.iter().filter(|seed| **seed <= 3).count() >= 2 && seeds.iter().any(|seed| *seed > 3)
        };
        let expected = match (1..20).rev().find(|t| holds(*t)) {
            Some(since_s) => QuorumTime::Held { since_s },
            None => QuorumTime::Missing,
        };
        prop_assert_eq!(quorum(&policy, &since(0)), expected);
    }

    /// Whatever is read is written in one form, which reads the same.
    #[test]
    fn any_policy_that_is_read_has_one_text(
        lines in proptest::collection::vec(0_usize..12, 0..12),
    ) {
        let parts = [
            format!("log {}", log().verifier()), format!("witness a {}", key(1)),
            format!("witness b {} u", key(2)), "group g all a b".into(), "group h any g".into(),
            "group g 1 a".into(), "quorum g".into(), "quorum none".into(), "quorum a".into(),
            "# c".into(), String::new(), "group i 2 a g".into(),
        ];
        let text: String = lines.iter().flat_map(|line| [parts[*line].as_str(), "\n"]).collect();
        if let Ok(policy) = Policy::parse(text.as_bytes()) {
            prop_assert_eq!(Policy::parse(&policy.to_text()), Ok(policy));
        }
    }
}
