use super::*;
use crate::control::{ClassWord, NumberKind};
use crate::screening::{ListHousehold, ListPerson};
use crate::source::AgeBracket;
use crate::state::StateKey;

const NUMBERS: [&str; 3] = ["999990019", "999990020", "999990032"];

fn frame() -> Frame {
    Frame {
        purpose: "screening".into(),
        case: "T150".into(),
        user: "jansen".into(),
        role: "informatiecoordinator".into(),
        responsible: None,
    }
}

fn person(row: u64, number: &str) -> ListPerson {
    ListPerson {
        row,
        label: Some(format!("L-{row}")),
        person: AskPerson {
            kind: NumberKind::Bsn,
            number: number.to_owned().into(),
            class: ClassWord::Adult,
            age: AgeBracket::default(),
            reference: None,
        },
    }
}

/// Two households, the second with a row that was left out, and one with nobody.
fn list() -> List {
    let household = |name: &str, bad_rows: &[u64], persons| ListHousehold {
        name: name.into(),
        bad_rows: bad_rows.to_vec(),
        persons,
    };
    List {
        households: vec![
            household("H1", &[], vec![person(2, NUMBERS[0]), person(3, NUMBERS[1])]),
            household("H2", &[5], vec![person(4, NUMBERS[2])]),
            household("H3", &[6], Vec::new()),
        ],
        issues: Vec::new(),
        issue_count: 2,
    }
}

fn answer(asked: &Asked, refused: Option<&str>) -> Answered {
    let view = |index| PersonView {
        log_index: index,
        refused: refused.map(str::to_owned),
        retry_at: None,
        partners: Vec::new(),
    };
    Answered {
        household: asked.household,
        from: asked.from,
        covenant: 7,
        request: "r".into(),
        persons: (0..asked.persons.len() as u64).map(view).collect(),
    }
}

fn now() -> Timestamp {
    "2026-11-22T06:00:00Z".parse().unwrap()
}

struct World {
    store: Store,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(dir.path(), &StateKey::from_bytes([3; 32])).unwrap());
    World {
        store: Store::open(&state, 30).unwrap(),
        _dir: dir,
    }
}

/// How often a number stands in what is kept, once opened.
async fn kept(store: &Store) -> usize {
    let rows = store.with(|table| table.scan(b"s/")).await.unwrap();
    let holds = |value: &[u8], number: &&str| value.windows(9).any(|part| part == number.as_bytes());
    let numbers = |value: &[u8]| NUMBERS.iter().filter(|number| holds(value, number)).count();
    rows.iter().map(|(_, value)| numbers(value)).sum()
}

#[tokio::test]
async fn a_number_is_kept_until_its_question_has_an_answer() {
    let World { store, _dir } = world();
    let id = store.create(&frame(), list(), now()).await.unwrap();
    let whole = store.load(&id).await.unwrap();
    assert_eq!(
        (whole.asked.len(), whole.persons(), whole.stand()),
        (2, 3, Stand::Stopped)
    );
    assert_eq!(kept(&store).await, 3);
    let first = &whole.asked[&0];
    store.answer(&id, 0, &answer(first, None)).await.unwrap();
    assert_eq!(kept(&store).await, 1);
    let mut second = whole.asked[&1].clone();
    second.refused = Some(answer(&second, Some("over_quota")));
    store.ask(&id, 1, &second).await.unwrap();
    let half = store.load(&id).await.unwrap();
    assert_eq!((half.persons_answered(), half.stand()), (2, Stand::Stopped));
    let results = half.results();
    assert!(results[0].iter().all(Option::is_some) && results[2].is_empty());
    let Some((ScreenResult::Answer(refused), 7)) = &results[1][0] else {
        panic!("the refusal is shown");
    };
    assert_eq!(refused.refused.as_deref(), Some("over_quota"));

    // A refusal that ends it ends the keeping too.
    let end = End {
        because: Some(Failure::node("refused")),
    };
    store
        .end(&id, &end, half.asked.into_iter().collect())
        .await
        .unwrap();
    assert_eq!(kept(&store).await, 0);
    let ended = store.load(&id).await.unwrap();
    assert_eq!((ended.persons(), ended.stand()), (3, Stand::Ended));
    assert!(ended.results()[1][0].is_some(), "what was answered stays");
}

#[tokio::test]
async fn a_question_that_is_too_large_becomes_two() {
    let World { store, _dir } = world();
    let id = store.create(&frame(), list(), now()).await.unwrap();
    let mut first = store.load(&id).await.unwrap().asked[&0].clone();
    let rest = Asked {
        from: 1,
        persons: first.persons.split_off(1),
        ..first.clone()
    };
    store.split(&id, (0, &first), (9, &rest)).await.unwrap();
    assert_eq!(kept(&store).await, 3);
    store.answer(&id, 9, &answer(&rest, None)).await.unwrap();
    let results = store.load(&id).await.unwrap().results();
    assert!(
        results[0][0].is_none() && results[0][1].is_some(),
        "in the place of its person"
    );
}

#[tokio::test]
async fn the_same_list_is_known_again_until_it_is_done() {
    let World { store, _dir } = world();
    let id = store.create(&frame(), list(), now()).await.unwrap();
    let found = |frame: Frame, list: List| {
        let store = &store;
        async move {
            let found = store.unfinished(&frame, &list, |_| false).await.unwrap();
            found.map(|view| view.id)
        }
    };
    assert_eq!(found(frame(), list()).await, Some(id.clone()));
    let mut birthday = list();
    birthday.households[0].persons[0].person.class = ClassWord::Minor;
    assert_eq!(
        found(frame(), birthday).await,
        Some(id.clone()),
        "a class changes by itself"
    );
    let mut other = list();
    other.households[0].persons[0].person.number = NUMBERS[2].to_owned().into();
    assert_eq!(found(frame(), other).await, None, "another person");
    let other = Frame {
        case: "T151".into(),
        ..frame()
    };
    assert_eq!(found(other, list()).await, None, "another case");
    for (number, asked) in store.load(&id).await.unwrap().asked {
        store.answer(&id, number, &answer(&asked, None)).await.unwrap();
    }
    store.end(&id, &End { because: None }, Vec::new()).await.unwrap();
    assert_eq!(store.load(&id).await.unwrap().stand(), Stand::Done);
    assert_eq!(
        found(frame(), list()).await,
        None,
        "it is done; asking again is a new screening"
    );
}

async fn ids(store: &Store) -> Vec<String> {
    let views = store.views(|_| false).await.unwrap();
    views.into_iter().map(|view| view.id).collect()
}

#[tokio::test]
async fn screenings_are_forgotten_in_time_and_one_by_one() {
    let World { store, _dir } = world();
    let one = store.create(&frame(), list(), now()).await.unwrap();
    let two = store.create(&frame(), list(), now() + 24.hours()).await.unwrap();
    let after = |hours: i64| now() + (30 * 24 + hours).hours();
    store.sweep(after(-1), Vec::new()).await.unwrap();
    assert_eq!(ids(&store).await, [one.clone(), two.clone()]);
    store.sweep(after(0), vec![one.clone()]).await.unwrap();
    assert_eq!(ids(&store).await.len(), 2, "not while it runs");
    store.sweep(after(0), Vec::new()).await.unwrap();
    assert_eq!(ids(&store).await, std::slice::from_ref(&two));
    for bad in ["", "s", &two[..6], &format!("{two}/q"), "s/../meta"] {
        assert_eq!(
            store.forget(bad).await.unwrap_err().code,
            "unknown_screening",
            "{bad}"
        );
    }
    store.forget(&two).await.unwrap();
    assert_eq!(kept(&store).await, 0);
}
