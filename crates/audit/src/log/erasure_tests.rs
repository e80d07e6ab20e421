use proptest::prelude::*;

use super::*;
use crate::draft::{Draft, parse_control};

fn month() -> impl Strategy<Value = Period> {
    (0..=9999_u16, 1..=12_u8).prop_map(|(year, month)| Period::new(year, month).unwrap())
}

prop_compose! {
    fn any_use()(id: u32, a: bool, class: u16, period in month()) -> KeyUse {
        let group = if a { Group::A } else { Group::B };
        KeyUse { id, group, class: RetentionClass(class), period }
    }
}

prop_compose! {
    fn any_erasure()(
        keys in prop::collection::vec(any_use(), 0..4),
        ground in "\\PC{1,20}",
        by in "[a-z]{1,9}",
        first_segment in 1..1_000_000_u64,
        segments in 0..4_u64,
        first: u32,
        entries: u32,
    ) -> Erasure {
        Erasure {
            keys,
            ground,
            by,
            segments: (first_segment..first_segment + segments).collect(),
            indexes: first.into()..u64::from(first) + u64::from(entries),
        }
    }
}

fn object(value: &Value) -> Map<String, Value> {
    // Through the bytes, as from a frame.
    parse_control(value.to_string().as_bytes()).unwrap()
}

fn erasure(keys: &[u32], segments: Range<u64>, indexes: Range<u64>) -> Erasure {
    let use_of = |id: &u32| KeyUse {
        id: *id,
        group: Group::A,
        class: RetentionClass(1),
        period: Period::new(2026, 1).unwrap(),
    };
    Erasure {
        keys: keys.iter().map(use_of).collect(),
        ground: "retention".to_owned(),
        by: "hub".to_owned(),
        segments: segments.collect(),
        indexes,
    }
}

proptest! {
    #[test]
    fn round_trip(erasure in any_erasure(), intent in prop::option::of(any::<u64>()), time_ms: u64) {
        let entry = erasure.to_control(intent, time_ms);
        prop_assert_eq!(&entry["type"], if intent.is_some() { "erase-done" } else { "erase-intent" });
        prop_assert_eq!(entry.get("intent").and_then(Value::as_u64), intent);
        prop_assert_eq!(Erasure::from_control(&object(&entry)), Some(erasure));
    }
}

#[test]
fn the_longest_erasure_fits_a_control_entry() {
    let keys: Vec<u32> = (0..400).map(|id| u32::MAX - id).collect();
    let mut longest = erasure(&keys, u64::MAX - 800..u64::MAX, 0..u64::MAX);
    for use_ in &mut longest.keys {
        use_.class = RetentionClass(u16::MAX);
    }
    longest.ground = "\"".repeat(255);
    longest.by = "\\".repeat(255);
    Draft::own_control(&longest.to_control(Some(u64::MAX), u64::MAX)).unwrap();
}

#[test]
fn malformed_entries_say_nothing() {
    let good = erasure(&[7], 3..5, 10..20).to_control(None, 1);
    assert!(Erasure::from_control(&object(&good)).is_some());
    for (what, member, value) in [
        ("another type", "type", json!("policy")),
        ("keys no list", "keys", json!(7)),
        ("key no object", "keys", json!([7])),
        (
            "key of no group",
            "keys",
            json!([{"id": 7, "group": "C", "class": 1, "period": "2026-01"}]),
        ),
        (
            "key of no month",
            "keys",
            json!([{"id": 7, "group": "A", "class": 1, "period": "2026-13"}]),
        ),
        (
            "key of too large a class",
            "keys",
            json!([{"id": 7, "group": "A", "class": 65536, "period": "2026-01"}]),
        ),
        (
            "key id too large",
            "keys",
            json!([{"id": 4_294_967_296_u64, "group": "A", "class": 1, "period": "2026-01"}]),
        ),
        ("segments with a gap", "segments", json!([3, 5])),
        ("segments backwards", "segments", json!([4, 3])),
        ("segment no number", "segments", json!(["3"])),
        ("end before first", "end", json!(9)),
        ("first negative", "first", json!(-1)),
        ("ground no text", "ground", json!(1)),
        ("nobody", "by", json!(null)),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        assert_eq!(Erasure::from_control(&object(&bad)), None, "{what}");
    }
    for member in ["keys", "segments", "first", "end", "ground", "by"] {
        let mut bad = object(&good);
        bad.remove(member);
        assert_eq!(Erasure::from_control(&bad), None, "without {member}");
    }
}

/// Only a done that repeats its intent counts.
#[test]
fn an_intent_alone_covers_nothing() {
    let first = erasure(&[1, 2], 1..3, 0..10);
    let mut book = Erasures::default();
    book.control(4, &object(&first.to_control(None, 0)));
    let begun = |book: &Erasures| {
        assert_eq!(book.unfinished(), Some((4, &first)));
        assert!(!book.has_key(1) && !book.has_key(2));
        assert_eq!(
            (book.named(), book.done_end(), book.highest_key()),
            ((2, 10), 0, 2)
        );
    };
    begun(&book);
    let mut other = first.clone();
    other.keys.pop();
    let mut longer = first.clone();
    longer.indexes.end += 1;
    for (what, done) in [
        ("other keys", other.to_control(Some(4), 0)),
        ("other entries", longer.to_control(Some(4), 0)),
        ("another intent", first.to_control(Some(5), 0)),
    ] {
        book.control(11, &object(&done));
        assert_eq!(book.unfinished(), Some((4, &first)), "{what}");
        begun(&book);
    }
    book.control(12, &object(&first.to_control(Some(4), 9)));
    assert_eq!(book.unfinished(), None);
    assert!(book.has_key(1) && book.has_key(2) && !book.has_key(3));
    assert_eq!(book.done_end(), 10);
    // The next goes on where this one ended; one that leaves a gap names nothing.
    let gap = erasure(&[3], 4..5, 15..20);
    book.control(13, &object(&gap.to_control(None, 0)));
    book.control(14, &object(&gap.to_control(Some(13), 0)));
    assert_eq!((book.named(), book.done_end()), ((2, 10), 10));
    let next = erasure(&[9], 3..5, 10..20);
    book.control(15, &object(&next.to_control(None, 0)));
    assert_eq!(
        (book.named(), book.done_end(), book.highest_key()),
        ((4, 20), 10, 9)
    );
    book.control(16, &object(&next.to_control(Some(15), 0)));
    assert_eq!((book.named(), book.done_end()), ((4, 20), 20));
}

#[test]
fn selections_take_what_they_name() {
    let use_ = |group, class, month| KeyUse {
        id: 1,
        group,
        class: RetentionClass(class),
        period: Period::new(2026, month).unwrap(),
    };
    let january = use_(Group::A, 1, 1);
    let months = |month| Period::new(2026, month).unwrap();
    for (now, expired) in [(1, false), (2, false), (3, true), (4, true)] {
        assert_eq!(
            Selection::Expired(months(now)).takes(&january),
            expired,
            "in month {now}"
        );
    }
    let of = vec![(RetentionClass(1), months(1)), (RetentionClass(2), months(2))];
    let both = Selection::Both(of.clone());
    let group_b = Selection::Group(Group::B, of);
    for (class, month, named) in [
        (1, 1, true),
        (2, 2, true),
        (1, 2, false),
        (2, 1, false),
        (3, 3, false),
    ] {
        let [a, b] = Group::ALL.map(|group| use_(group, class, month));
        assert_eq!([both.takes(&a), both.takes(&b)], [named; 2]);
        assert_eq!([group_b.takes(&a), group_b.takes(&b)], [false, named]);
    }
}
