use hitmachine_audit::NoteSigner;

use super::*;

const BARE: &str = include_str!("../../../../deploy/covenant.toml");

fn signer(name: &str) -> NoteSigner {
    let seed = name.bytes().fold([7; 32], |mut seed: [u8; 32], byte| {
        seed[usize::from(byte) % 32] ^= byte;
        seed
    });
    NoteSigner::new(name, &seed).unwrap()
}

/// The sample with this number, administrators (m of these), and something changed.
fn file(number: u32, needed: usize, administrators: &[&str], more: (&str, &str)) -> String {
    let (head, tail) = BARE.split_once("\n[administrators]").unwrap();
    // Up to the next section.
    let tail = tail.split_once("\n\n").unwrap().1;
    let keys: Vec<String> = administrators
        .iter()
        .map(|name| format!("{:?}", signer(name).verifier().to_string()))
        .collect();
    let section = match needed {
        0 => String::new(),
        needed => format!(
            "\n[administrators]\nneeded = {needed}\nkeys = [{}]\n",
            keys.join(", ")
        ),
    };
    let text =
        format!("{head}\n{section}\n{tail}").replacen("version = 1 ", &format!("version = {number} "), 1);
    assert!(text.contains(more.0), "{}", more.0);
    text.replacen(more.0, more.1, 1)
}

fn signed(file: String, by: &[&str]) -> (Covenant, Document) {
    let covenant = Covenant::parse(file.as_bytes()).unwrap();
    let text = signed_text(&covenant);
    let mut note: Option<Vec<u8>> = None;
    for name in by {
        note = Some(signer(name).sign(&text, note.as_deref()).unwrap());
    }
    let document = Document {
        file: file.into_bytes(),
        signatures: note.unwrap_or_default(),
    };
    (covenant, document)
}

const SAME: (&str, &str) = ("", "");
const ABC: [&str; 3] = ["ann", "bob", "cas"];

#[test]
fn what_is_signed_names_the_file() {
    let (covenant, document) = signed(file(1, 2, &ABC, SAME), &["ann"]);
    let expected = format!(
        "hitmachine.v1/covenant\nzvh-rivierenland\n1\n{}\n",
        covenant.version()
    );
    assert_eq!(signed_text(&covenant), expected);
    let note = signatures_of(&covenant, &document).unwrap();
    assert_eq!(covenant.administrators().unwrap().signers(&note), Ok(vec!["ann"]));
}

#[test]
fn enough_of_those_before_and_of_its_own_must_sign() {
    let (held, _) = signed(file(1, 2, &ABC, SAME), &["ann", "bob"]);
    let changed = ("registration_days = 180", "registration_days = 90");
    let too_few = |whose, needed, found| Err(NotAccepted::TooFew { whose, needed, found });
    for (case, file, by, expected) in [
        (
            "two of three",
            file(2, 2, &ABC, changed),
            vec!["ann", "cas"],
            Ok(()),
        ),
        (
            "all",
            file(9, 2, &ABC, changed),
            vec!["cas", "bob", "ann"],
            Ok(()),
        ),
        (
            "one of two",
            file(2, 2, &ABC, changed),
            vec!["ann"],
            too_few(Whose::Before, 2, 1),
        ),
        (
            "a stranger",
            file(2, 2, &ABC, changed),
            vec!["ann", "eve"],
            too_few(Whose::Before, 2, 1),
        ),
        (
            "nobody",
            file(2, 2, &ABC, changed),
            vec![],
            Err(NotAccepted::Unsigned),
        ),
        // The administrators make way for others, who sign too; they cannot do so by themselves.
        (
            "rotated",
            file(2, 1, &["dik"], SAME),
            vec!["ann", "bob", "dik"],
            Ok(()),
        ),
        (
            "by the new only",
            file(2, 1, &["dik"], SAME),
            vec!["dik"],
            too_few(Whose::Before, 2, 0),
        ),
        (
            "by the old only",
            file(2, 1, &["dik"], SAME),
            vec!["ann", "bob"],
            too_few(Whose::Own, 1, 0),
        ),
        (
            "lowered",
            file(2, 1, &ABC, SAME),
            vec!["ann"],
            too_few(Whose::Before, 2, 1),
        ),
        (
            "raised",
            file(2, 3, &ABC, SAME),
            vec!["ann", "bob"],
            too_few(Whose::Own, 3, 2),
        ),
        (
            "without",
            file(2, 0, &ABC, SAME),
            vec!["ann", "bob"],
            Err(NotAccepted::NoAdministrators),
        ),
        // A number goes up.
        (
            "same number",
            file(1, 2, &ABC, changed),
            vec!["ann", "bob"],
            Err(NotAccepted::Older { held: 1, offered: 1 }),
        ),
        (
            "older",
            file(0, 2, &ABC, changed),
            vec!["ann", "bob"],
            Err(NotAccepted::Older { held: 1, offered: 0 }),
        ),
        // It stays the same agreement.
        (
            "id",
            file(2, 2, &ABC, ("id = \"zvh-rivierenland\"", "id = \"zvh-ander\"")),
            vec!["ann", "bob"],
            Err(NotAccepted::OtherCovenant),
        ),
        (
            "deployment",
            file(2, 2, &ABC, ("6f1c0b52", "6f1c0b53")),
            vec!["ann", "bob"],
            Err(NotAccepted::OtherDeployment),
        ),
        (
            "now a demo",
            file(2, 2, &ABC, ("kind = \"test\"", "kind = \"demo\"")),
            vec!["ann", "bob"],
            Err(NotAccepted::OtherDeployment),
        ),
    ] {
        let (offered, document) = signed(file, &by);
        assert_eq!(
            accept(Trust::Held(&held), &offered, &document),
            expected,
            "{case}"
        );
    }
}

#[test]
fn signatures_are_of_this_file_and_fit() {
    let (held, _) = signed(file(1, 2, &ABC, SAME), &[]);
    let (offered, good) = signed(file(2, 2, &ABC, SAME), &["ann", "bob"]);
    let (_, other) = signed(file(3, 2, &ABC, SAME), &["ann", "bob"]);
    let refused = |signatures: Vec<u8>| {
        let document = Document {
            signatures,
            ..good.clone()
        };
        accept(Trust::Held(&held), &offered, &document)
    };
    assert_eq!(refused(good.signatures.clone()), Ok(()));
    assert_eq!(refused(other.signatures), Err(NotAccepted::OtherFile));
    assert_eq!(refused(b"nonsense".to_vec()), Err(NotAccepted::OtherFile));
    // The signature of another under the name of bob.
    let text = signed_text(&offered);
    let forged = signer("eve").sign(&text, None).unwrap();
    let forged = String::from_utf8(forged).unwrap();
    let good_text = String::from_utf8(good.signatures.clone()).unwrap();
    let lines: Vec<&str> = good_text.lines().collect();
    let bob = lines.iter().find(|line| line.contains("bob")).unwrap();
    let mut broken = (*bob).to_owned();
    // One character of the signature, not of the key id.
    let at = broken.len() - 10;
    let other = if &broken[at..=at] == "A" { "B" } else { "A" };
    broken.replace_range(at..=at, other);
    assert_eq!(
        refused(good_text.replace(*bob, &broken).into_bytes()),
        Err(NotAccepted::BadSignature)
    );
    let with_stranger = format!("{good_text}{}\n", forged.lines().last().unwrap());
    assert_eq!(
        refused(with_stranger.into_bytes()),
        Ok(()),
        "others may sign beside"
    );
}

#[test]
fn the_first_one_is_signed_by_those_in_the_configuration() {
    let (offered, document) = signed(file(4, 2, &ABC, SAME), &["ann", "bob"]);
    let keys = |names: &[&str]| -> Vec<String> {
        names
            .iter()
            .map(|name| signer(name).verifier().to_string())
            .collect()
    };
    let own = Administrators::new(2, &keys(&ABC)).unwrap();
    let others = Administrators::new(1, &keys(&["dik"])).unwrap();
    let with = |trust| accept(Trust::Configured(trust), &offered, &document);
    assert_eq!(with(Some(&own)), Ok(()));
    let (whose, needed, found) = (Whose::Configured, 1, 0);
    assert_eq!(
        with(Some(&others)),
        Err(NotAccepted::TooFew { whose, needed, found })
    );
    assert_eq!(with(None), Err(NotAccepted::NobodyTrusted));
    // The held one is taken again, whatever lies beside it.
    let unsigned = Document {
        signatures: Vec::new(),
        ..document.clone()
    };
    assert_eq!(accept(Trust::Held(&offered), &offered, &unsigned), Ok(()));
    assert_eq!(
        accept(Trust::Configured(Some(&own)), &offered, &unsigned),
        Err(NotAccepted::Unsigned)
    );
}

#[test]
fn a_demo_needs_nobody_but_stays_the_same_agreement() {
    let demo = ("kind = \"test\"", "kind = \"demo\"");
    let (held, document) = signed(file(5, 0, &[], demo), &[]);
    assert_eq!(accept(Trust::Configured(None), &held, &document), Ok(()));
    let (older, document) = signed(file(4, 0, &[], demo), &[]);
    assert_eq!(accept(Trust::Held(&held), &older, &document), Ok(()));
    let (test, document) = signed(file(6, 1, &["ann"], SAME), &["ann"]);
    assert_eq!(
        accept(Trust::Held(&held), &test, &document),
        Err(NotAccepted::OtherDeployment)
    );
}

#[test]
fn who_missed_some_walks_over_them() {
    let (one, _) = signed(file(1, 1, &["ann"], SAME), &["ann"]);
    let (_, two) = signed(file(2, 1, &["bob"], SAME), &["ann", "bob"]);
    let (three, document) = signed(file(3, 1, &["cas"], SAME), &["bob", "cas"]);
    let (_, foreign) = signed(file(2, 1, &["eve"], SAME), &["eve"]);
    let garbage = Document {
        file: b"?".to_vec(),
        signatures: Vec::new(),
    };
    let walk = |missed: &[Document]| accept_after(Trust::Held(&one), missed, &three, &document);
    assert_eq!(walk(std::slice::from_ref(&two)), Ok(()));
    assert_eq!(walk(&[garbage.clone(), foreign.clone(), two]), Ok(()));
    assert!(matches!(
        walk(&[]),
        Err(NotAccepted::TooFew {
            whose: Whose::Before,
            ..
        })
    ));
    assert!(walk(&[foreign, garbage]).is_err());
}

#[test]
fn lists_of_administrators_are_checked() {
    let key = |name: &str| signer(name).verifier().to_string();
    let same_key = NoteSigner::new("ann2", &[9; 32]).unwrap().verifier().to_string();
    let same_too = NoteSigner::new("ann3", &[9; 32]).unwrap().verifier().to_string();
    let renamed = NoteSigner::new("ann", &[9; 32]).unwrap().verifier().to_string();
    for (needed, keys, expected) in [
        (1, vec![], AdministratorsError::Count),
        (0, vec![key("ann")], AdministratorsError::Needed),
        (2, vec![key("ann")], AdministratorsError::Needed),
        (1, vec!["ann".into()], AdministratorsError::Key(1)),
        (1, vec![same_key, same_too], AdministratorsError::Twice(2)),
        (1, vec![key("ann"), renamed], AdministratorsError::Twice(2)),
        (
            1,
            (0..51).map(|n| key(&format!("p{n}"))).collect(),
            AdministratorsError::Count,
        ),
    ] {
        assert_eq!(Administrators::new(needed, &keys), Err(expected));
    }
}
