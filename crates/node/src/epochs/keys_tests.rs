use super::*;

const DEPLOYMENT: [u8; 16] = [1; 16];

fn key(number: u32, bytes: u8) -> HeldKey {
    HeldKey::new(
        NodeKey::from_bytes([bytes; 32]),
        DeploymentId::from_bytes(DEPLOYMENT),
        KeyEpoch::new(number).unwrap(),
    )
}

fn told(epochs: &[(u32, u8, &str)]) -> v1::FetchResponse {
    let infos = epochs.iter().map(|(number, bytes, state)| v1::KeyEpochInfo {
        number: *number,
        state: (*state).to_owned(),
        scheme: "hmac-sha256".to_owned(),
        key_check_value: key(*number, *bytes).keys.key_check_value.as_bytes().to_vec(),
    });
    v1::FetchResponse {
        epochs: infos.collect(),
        ..v1::FetchResponse::default()
    }
}

fn numbers(keys: &Keys) -> (Option<u32>, Vec<u32>) {
    let registering = keys.registering();
    (
        keys.asking().map(|key| key.keys.number.get()),
        registering.iter().map(|key| key.keys.number.get()).collect(),
    )
}

#[test]
fn the_hub_says_what_a_key_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("next.key");
    let keys = Keys::new(
        DeploymentId::from_bytes(DEPLOYMENT),
        key(1, 1),
        Some(file.clone()),
    );
    assert_eq!(
        numbers(&keys),
        (None, vec![]),
        "nothing before the hub has spoken"
    );
    keys.hear(&told(&[(1, 1, "active"), (2, 2, "filling")])).unwrap();
    assert_eq!(
        numbers(&keys),
        (Some(1), vec![1]),
        "the next key is not there yet"
    );
    assert!(!keys.look_for_next());
    SecretFile::write_new(&file, Purpose::NodeKey, 2, &[2; 32]).unwrap();
    assert!(keys.look_for_next() && !keys.look_for_next(), "taken up once");
    assert_eq!(numbers(&keys), (Some(1), vec![1, 2]));
    keys.hear(&told(&[(1, 1, "active"), (2, 2, "prepared")])).unwrap();
    assert_eq!(numbers(&keys), (Some(1), vec![1]));
    keys.hear(&told(&[(1, 1, "draining"), (2, 2, "active")])).unwrap();
    assert_eq!(numbers(&keys), (Some(2), vec![2]));
    keys.hear(&told(&[(1, 1, "retired"), (2, 2, "active")])).unwrap();
    assert_eq!(numbers(&keys), (Some(2), vec![2]));
    assert_eq!(keys.retired().len(), 1);
}

#[test]
fn a_node_that_was_off_asks_in_the_draining_epoch_and_then_not_at_all() {
    let keys = Keys::new(DeploymentId::from_bytes(DEPLOYMENT), key(1, 1), None);
    keys.hear(&told(&[(1, 1, "draining"), (2, 2, "active")])).unwrap();
    assert_eq!(numbers(&keys), (Some(1), vec![]));
    let over = keys.hear(&told(&[(1, 1, "retired"), (2, 2, "active")]));
    assert!(matches!(over, Err(LinkError::Disagree("the key epoch"))));
    assert_eq!(numbers(&keys), (None, vec![]));
}

#[test]
fn a_wrong_key_is_not_used_and_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("next.key");
    SecretFile::write_new(&file, Purpose::NodeKey, 2, &[9; 32]).unwrap();
    let keys = Keys::new(
        DeploymentId::from_bytes(DEPLOYMENT),
        key(1, 1),
        Some(file.clone()),
    );
    assert!(keys.look_for_next());
    keys.hear(&told(&[(1, 1, "active"), (2, 2, "filling")])).unwrap();
    assert_eq!(numbers(&keys), (Some(1), vec![1]));
    let words: Vec<_> = keys.status().into_iter().map(|one| one.key).collect();
    assert_eq!(words, ["right", "wrong"]);
    keys.hear(&told(&[(1, 1, "draining"), (2, 2, "active")])).unwrap();
    assert_eq!(numbers(&keys), (Some(1), vec![]), "the old one still answers");
    let wrong = keys.hear(&told(&[(1, 1, "retired"), (2, 2, "active")]));
    assert!(matches!(wrong, Err(LinkError::Disagree(what)) if what.contains("check value")));
    // The right one takes its place.
    std::fs::remove_file(&file).unwrap();
    SecretFile::write_new(&file, Purpose::NodeKey, 2, &[2; 32]).unwrap();
    assert!(keys.look_for_next());
    assert_eq!(numbers(&keys), (Some(2), vec![2]));
}
