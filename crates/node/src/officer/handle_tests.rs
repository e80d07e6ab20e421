use hitmachine_pseudonym::{DeploymentId, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch, NodeKey};

use super::*;

fn key(epoch: u32) -> HmacSha256Pseudonymiser {
    let secret = NodeKey::from_bytes([u8::try_from(epoch).unwrap(); 32]);
    let deployment = DeploymentId::from_bytes([1; 16]);
    HmacSha256Pseudonymiser::new(secret, deployment, KeyEpoch::new(epoch).unwrap())
}

#[tokio::test]
async fn a_person_is_looked_up_under_every_key() {
    let person = || CanonicalIdentifier::new(IdentifierType::Bsn, b"999990019").unwrap();
    let keys: [Arc<dyn Pseudonymiser>; 3] = [Arc::new(key(3)), Arc::new(key(1)), Arc::new(key(2))];
    let tokens = tokens_of(person(), keys.iter()).await.unwrap();
    let expected = [3, 1, 2].map(|epoch| key(epoch).token(&person()).expose_secret().to_vec());
    assert_eq!(tokens, expected);
}

#[test]
fn what_an_officer_types_is_checked_before_it_is_sent() {
    let review = |verdict: &str, note: String| {
        action(Task::Review {
            index: 3,
            verdict: verdict.into(),
            note,
        })
    };
    assert!(matches!(
        review("breach", " no case of that name ".into()),
        Ok(Action::Review(review)) if review.note == "no case of that name" && review.index == 3
    ));
    assert!(matches!(
        review("fine", "x".into()),
        Err(OfficerError::Value("--verdict"))
    ));
    assert!(matches!(
        review("breach", " ".into()),
        Err(OfficerError::Value("--note"))
    ));
    assert!(review("breach", "é".repeat(1_000)).is_ok());
    assert!(matches!(
        review("breach", "é".repeat(1_001)),
        Err(OfficerError::Value("--note"))
    ));
    assert!(matches!(
        review("question", "about 999990019".into()),
        Err(OfficerError::Ask(AskError::BsnInText("the note")))
    ));
    for (up_to, good) in [("", true), ("2026-11", true), ("2026-13", false), ("nov", false)] {
        let erase = action(Task::Erase { up_to: up_to.into() });
        assert_eq!(erase.is_ok(), good, "{up_to}");
    }
}

#[test]
fn suppressed_counts_are_none() {
    let covenant = Covenant::parse(include_bytes!("../../../../deploy/covenant.toml")).unwrap();
    let row = v1::StatisticsRow {
        month: "2026-11".into(),
        requester: "00000099999999999999".into(),
        purpose: "screening".into(),
        counts: vec![-1, 7, 0],
        total: -1,
    };
    let table = v1::StatisticsTable {
        rows: vec![row],
        threshold: 5,
    };
    let view = statistics(OwnEntry::default(), &table, &covenant);
    let row = &view.rows[0];
    assert_eq!((row.hit, row.no_hit, row.could_not_ask), (None, Some(7), Some(0)));
    assert_eq!((row.refused, row.total), (None, None));
    assert_eq!(row.organisation, "00000099999999999999", "no partner: its OIN");
}

#[test]
fn a_trend_has_one_row_for_each_stretch() {
    let row = |counts: &[i64]| v1::StatisticsRow {
        counts: counts.to_vec(),
        ..v1::StatisticsRow::default()
    };
    let table = |rows: Vec<v1::StatisticsRow>| v1::StatisticsTable { rows, threshold: 0 };
    let rows = vec![row(&[1, 2, 3, 4, 5]), row(&[0, 0, 7])];
    let found = stretches(&table(rows.clone()), &[10, 20, 30]).unwrap();
    assert_eq!(
        found.iter().map(|each| each.from_ms).collect::<Vec<_>>(),
        [10, 20]
    );
    assert_eq!(
        (found[0].questions(), found[0].officer),
        (10, 5),
        "an officer's action is no question"
    );
    assert_eq!((found[1].could_not_ask, found[1].refused), (7, 0));
    for cuts in [&[10, 20][..], &[10, 20, 30, 40], &[]] {
        assert_eq!(stretches(&table(rows.clone()), cuts), None, "{cuts:?}");
    }
}
