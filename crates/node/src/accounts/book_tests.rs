use proptest::prelude::*;

use super::super::tests::{MINUTE, bench};
use super::*;

fn filled(count: u64) -> super::super::tests::Bench {
    let bench = bench();
    for number in 0..count {
        let user = format!("user{}", number % 3);
        let kind = if number.is_multiple_of(2) {
            Kind::SignIn
        } else {
            Kind::SignOut
        };
        bench.accounts.book().write(&New::of(kind, &user)).unwrap();
    }
    bench
}

/// Writes an entry's value past the book.
fn put(book: &Book, number: u64, value: Option<Vec<u8>>) {
    book.table.change(&[(key(number), value)]).unwrap();
}

fn get(book: &Book, number: u64) -> Vec<u8> {
    book.table.get(&key(number)).unwrap().unwrap().to_vec()
}

#[test]
fn it_is_read_newest_first_and_by_pages() {
    let bench = filled(10);
    let book = bench.accounts.book();
    let numbers = |filter: &Filter, most| {
        let found = book.list(filter, most).unwrap();
        (
            found.entries.iter().map(|entry| entry.number).collect::<Vec<_>>(),
            found.more,
        )
    };
    let all = Filter::default();
    assert_eq!(numbers(&all, 3), (vec![10, 9, 8], true));
    assert_eq!(
        numbers(
            &Filter {
                before: Some(8),
                ..all.clone()
            },
            7
        ),
        ((1..=7).rev().collect(), false)
    );
    let user = Filter {
        user: Some("user1".into()),
        ..all.clone()
    };
    assert_eq!(numbers(&user, 3), (vec![8, 5, 2], false));
    assert_eq!(
        numbers(
            &Filter {
                kind: Some(Kind::SignOut),
                ..user
            },
            3
        ),
        (vec![8, 2], false)
    );
    book.write(&New::of(Kind::Roles, "iemand").by("user1")).unwrap();
    let by = Filter {
        user: Some("user1".into()),
        ..all
    };
    assert_eq!(numbers(&by, 1), (vec![11], true), "also what somebody did");
}

#[test]
fn words_are_read_as_they_are_written() {
    for kind in Kind::ALL {
        assert_eq!(Kind::of(kind.word()), Some(kind));
        assert_eq!(
            serde_json::to_string(&kind).unwrap(),
            format!("\"{}\"", kind.word())
        );
    }
}

#[test]
fn the_first_break_of_the_chain_is_named() {
    let intact = filled(8).accounts.book().check().unwrap();
    assert_eq!((intact.entries, intact.last, intact.broken), (8, 8, None));
    let changed = |change: &dyn Fn(&Book)| {
        let bench = filled(8);
        change(bench.accounts.book());
        bench.accounts.book().check().unwrap().broken
    };
    let edited = |book: &Book, number: u64| {
        let text = String::from_utf8_lossy(&get(book, number)[32..]).replace("user", "loser");
        let mut value = get(book, number)[..32].to_vec();
        value.extend_from_slice(text.as_bytes());
        value
    };
    assert_eq!(
        changed(&|book| put(book, 3, Some(edited(book, 3)))),
        Some(3),
        "changed"
    );
    assert_eq!(changed(&|book| put(book, 5, None)), Some(5), "removed");
    assert_eq!(changed(&|book| put(book, 8, None)), Some(8), "the last removed");
    assert_eq!(changed(&|book| put(book, 1, None)), Some(1), "the first removed");
    assert_eq!(
        changed(&|book| put(book, 4, Some(get(book, 5)))),
        Some(4),
        "another in its place"
    );
    let again = |book: &Book| {
        // The last one written anew so that it fits what was before it.
        let text = edited(book, 8)[32..].to_vec();
        let before = hex::encode(&get(book, 7)[..32]);
        put(
            book,
            8,
            Some([chained(&before, &text).as_slice(), &text].concat()),
        );
    };
    assert_eq!(changed(&again), Some(8), "rewritten");
}

#[test]
fn old_entries_go_and_the_chain_stays_whole() {
    let bench = filled(4);
    let book = bench.accounts.book();
    bench.clock.forward(MINUTE * (60 * 24 * 300));
    book.write(&New::of(Kind::SignIn, "later")).unwrap();
    assert_eq!(book.check().unwrap().entries, 5, "not yet old");
    bench.clock.forward(MINUTE * (60 * 24 * 100));
    book.write(&New::of(Kind::SignIn, "now")).unwrap();
    let checked = book.check().unwrap();
    assert_eq!((checked.entries, checked.last, checked.broken), (2, 6, None));
    assert_eq!(book.list(&Filter::default(), 10).unwrap().entries.len(), 2);
    // And after a restart.
    let clock: Arc<dyn Clock> = Arc::<super::super::tests::Hands>::clone(&bench.clock);
    let again = Book::load(&bench.state, 1, clock).unwrap();
    assert_eq!(again.check().unwrap(), checked);
    again.write(&New::of(Kind::SignIn, "again")).unwrap();
    assert_eq!(again.check().unwrap().last, 7);
}

#[test]
fn strangers_do_not_fill_it() {
    let bench = bench();
    let book = bench.accounts.book();
    for _ in 0..200 {
        book.write_of_stranger(Kind::Failure, "token").unwrap();
    }
    assert_eq!(book.check().unwrap().entries, 60);
    bench.clock.forward(MINUTE * 60);
    book.write_of_stranger(Kind::Failure, "token").unwrap();
    let last = book.list(&Filter::default(), 1).unwrap().entries.remove(0);
    assert_eq!(
        (last.user.as_str(), last.detail.as_deref()),
        (UNKNOWN, Some("token;+140"))
    );
    assert_eq!(
        last.detail_text(Language::En),
        "unknown or expired application token (+140)"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever single byte of whichever entry is changed, the check names that entry.
    #[test]
    fn a_changed_byte_is_found(number in 1_u64..=6, place in any::<prop::sample::Index>(), by in 1_u8..=255) {
        let bench = filled(6);
        let book = bench.accounts.book();
        let mut value = get(book, number);
        let place = place.index(value.len());
        value[place] ^= by;
        put(book, number, Some(value));
        prop_assert_eq!(book.check().unwrap().broken, Some(number));
    }
}
