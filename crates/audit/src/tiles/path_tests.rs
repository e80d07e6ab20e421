use proptest::prelude::*;

use super::*;

fn width(width: u8) -> Option<NonZeroU8> {
    NonZeroU8::new(width)
}

#[test]
fn texts_of_the_standard() {
    let tile = |level, index, part| TilePath::tile(level, index, width(part)).unwrap();
    for (path, text) in [
        (tile(0, 0, 0), "tile/0/000"),
        (tile(0, 67, 0), "tile/0/067"),
        (tile(0, 999, 0), "tile/0/999"),
        (tile(0, 1000, 0), "tile/0/x001/000"),
        (tile(3, 1_234_067, 0), "tile/3/x001/x234/067"),
        (tile(3, 1_234_067, 1), "tile/3/x001/x234/067.p/1"),
        (tile(63, 5, 255), "tile/63/005.p/255"),
        (tile(1, 1_000_000, 0), "tile/1/x001/x000/000"),
        (tile(0, u64::MAX, 0), "tile/0/x018/x446/x744/x073/x709/x551/615"),
        (TilePath::entries(0, width(8)), "tile/entries/000.p/8"),
        (TilePath::entries(1_234_067, None), "tile/entries/x001/x234/067"),
    ] {
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
    }
    assert_eq!(TilePath::tile(64, 0, None), None);
}

#[test]
fn no_second_text() {
    for bad in [
        "",
        "/",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile//000",
        "tile/00/000",
        "tile/01/000",
        "tile/+1/000",
        "tile/-1/000",
        "tile/64/000",
        "tile/256/000",
        "tile/8/0/000",
        "tile/data/000",
        "tile/entries/",
        "tile/Entries/000",
        "Tile/0/000",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/1000",
        "tile/0/+00",
        "tile/0/x00",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/x000/x001/000",
        "tile/0/x001",
        "tile/0/001/000",
        "tile/0/X001/000",
        "tile/0/xx01/000",
        "tile/0/x001/x000",
        "tile/0/x001//000",
        "tile/0/x1/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x001/x018/x446/x744/x073/x709/x551/615",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/256",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/000.P/1",
        "tile/0/000p/1",
        "tile/0/.p/1",
        "tile/0/../000",
        "tile/0/..",
        "tile/0/000\0",
        "tile/0/000\n",
        " tile/0/000",
        "tile/0/٠٠٠",
        "tile/0/000%2ep/1",
        "tile\\0\\000",
        "checkpoint",
    ] {
        assert_eq!(bad.parse::<TilePath>(), Err(PathError), "{bad:?}");
    }
    assert_eq!(PathError.code(), "tile_path");
}

/// The example of the standard, and that of a tree of one full tile.
#[test]
fn needed_files() {
    let needed = |size| -> Vec<String> { TilePath::needed(size).map(|path| path.to_string()).collect() };
    assert!(needed(0).is_empty());
    assert_eq!(needed(1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
    assert_eq!(needed(256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
    let files = needed(70_000);
    let count = |row: &str| {
        let of_row = files.iter().filter(|file| file.starts_with(row));
        let (partial, full): (Vec<_>, Vec<_>) = of_row.partition(|file| file.contains(".p/"));
        (full.len(), partial.into_iter().cloned().collect::<Vec<_>>())
    };
    let one = |path: &str| vec![path.to_owned()];
    assert_eq!(count("tile/entries/"), (273, one("tile/entries/273.p/112")));
    assert_eq!(count("tile/0/"), (273, one("tile/0/273.p/112")));
    assert_eq!(count("tile/1/"), (1, one("tile/1/001.p/17")));
    assert_eq!(count("tile/2/"), (0, one("tile/2/000.p/1")));
    assert_eq!(files.len(), 273 + 1 + 273 + 1 + 1 + 1 + 1);
}

#[test]
fn largest_numbers() {
    let last = TilePath::tile(0, u64::MAX, None).unwrap();
    assert_eq!(last.first_leaf(), u64::MAX);
    let high = |level, index| TilePath::tile(level, index, None).unwrap().first_leaf();
    assert_eq!((high(8, 0), high(7, 0), high(2, 1)), (u64::MAX, 0, 1 << 24));
    assert_eq!(Row::all(u64::MAX).count(), 9, "entries and levels 0 to 7");
    assert_eq!(TilePath::entries(0, None).max_len(), 256 * 65_537);
    assert_eq!(TilePath::tile(1, 0, width(3)).unwrap().max_len(), 96);
}

proptest! {
    #[test]
    fn round_trip(level in 0..=63_u8, index: u64, small in 0..2_000_000_u64, part: u8, entries: bool) {
        for index in [index, small, index >> (index % 64)] {
            let path = if entries {
                TilePath::entries(index, width(part))
            } else {
                TilePath::tile(level, index, width(part)).unwrap()
            };
            let text = path.to_string();
            prop_assert_eq!(text.parse(), Ok(path));
            let tail = text.rsplit('/').next().unwrap().len();
            prop_assert!(tail <= 3 && text.is_ascii());
        }
    }

    /// What parses is written alike, so nothing else can be meant.
    #[test]
    fn any_text(text in "\\PC{0,40}", near in "tile/(entries|[0-9]{1,3})(/x?[0-9x.p]{1,4}){1,4}(\\.p/[0-9]{1,4})?") {
        for text in [text, near] {
            if let Ok(path) = text.parse::<TilePath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }

    /// Every single-character change is refused or is another path.
    #[test]
    fn near_misses(index in 0..5_000_000_u64, part: u8, place: prop::sample::Index, new in prop::char::range(' ', '~')) {
        let path = TilePath::entries(index, width(part));
        let text = path.to_string();
        let place = place.index(text.len());
        let mut changed = text.clone();
        changed.replace_range(place..=place, &new.to_string());
        if changed != text {
            prop_assert_ne!(changed.parse(), Ok(path));
        }
    }

    /// The difference of two sizes is just what the one needs and the other does not.
    #[test]
    fn needed_since_is_the_difference(from in 0..70_000_u64, more in 0..1_000_u64) {
        let to = from + more;
        let old: std::collections::BTreeSet<_> = TilePath::needed(from).collect();
        let new: std::collections::BTreeSet<_> = TilePath::needed(to).collect();
        let since: Vec<_> = TilePath::needed_since(from, to).collect();
        let difference: Vec<_> = new.difference(&old).copied().collect();
        prop_assert_eq!(since.iter().copied().collect::<std::collections::BTreeSet<_>>(), difference.into_iter().collect());
    }
}
