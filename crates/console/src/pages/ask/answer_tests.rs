use askama::Template as _;
use hitmachine_node::language::Language;
use hitmachine_node::view::AnswerView;
use uuid::Uuid;

use super::*;
use crate::kept::KeptPerson;

fn page() -> Page {
    Page {
        language: Language::Nl,
        organisation: "Zorg- en Veiligheidshuis".into(),
        back: String::new(),
        path: "/answers/x".into(),
        who: None,
        csrf: String::new(),
        notices: 0,
    }
}

fn partner(id: &str, status: StatusWord) -> PartnerView {
    PartnerView {
        partner: id.into(),
        name: format!("De {id}"),
        status,
        contact: (status == StatusWord::Known).then(|| format!("desk van {id}")),
    }
}

fn person(partners: Vec<PartnerView>) -> PersonView {
    PersonView {
        log_index: 12_344,
        refused: None,
        retry_at: None,
        partners,
    }
}

fn answered(persons: Vec<PersonView>, witnessed_s: Option<u64>) -> Outcome {
    Outcome::Answered(Box::new(Given {
        view: AnswerView {
            request_id: "r".into(),
            log_size: 20_000,
            witnessed_s,
            persons,
        },
        covenant: 1,
        live: vec!["om".into()],
        proofs: Vec::new(),
    }))
}

fn shown(outcome: Outcome) -> String {
    let persons = match &outcome {
        Outcome::Answered(given) => given.view.persons.len(),
        _ => 1,
    };
    let person = KeptPerson {
        class: ClassWord::Adult,
        reference: Some("T150-7".into()),
    };
    let kept = Kept {
        id: Uuid::nil(),
        user: "pietersen".into(),
        role: "informatiecoordinator".into(),
        responsible: None,
        purpose: "screening".into(),
        title: "Screening".into(),
        legal_basis: "Wet".into(),
        case: "ZK-1".into(),
        asked_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        persons: vec![person; persons],
        outcome,
    };
    AnswerPage::new(page(), kept, true).render().unwrap()
}

fn failure(code: &str, exit: u8) -> Failure {
    Failure {
        code: code.into(),
        exit,
        text_en: "en".into(),
        text_nl: "nl".into(),
    }
}

/// The place of a text, which must be there.
fn place(page: &str, text: &str) -> usize {
    page.find(text)
        .unwrap_or_else(|| panic!("{text} is not in {page}"))
}

#[test]
fn who_could_not_be_asked_stands_apart_with_the_reason() {
    let page = shown(answered(
        vec![person(vec![
            partner("leerplicht", StatusWord::NotKnown),
            partner("om", StatusWord::CouldNotAsk),
            partner("schuldhulp", StatusWord::Known),
            partner("regieteams", StatusWord::CouldNotAsk),
        ])],
        Some(12),
    ));
    assert!(
        page.contains("Bekend bij 1 van de 4 instanties. 2 instanties zijn niet bevraagd."),
        "{page}"
    );
    // Known first, then not known, then apart who was not asked.
    let order = [
        "De schuldhulp</h3>",
        "De leerplicht</h3>",
        "Van deze instanties weten wij nu niets",
        "De om</h3>",
    ];
    let places: Vec<_> = order.iter().map(|text| place(&page, text)).collect();
    assert!(places.is_sorted(), "{places:?}");
    let cards = &page[places[2]..];
    let live = place(cards, "beantwoordt elke vraag zelf");
    assert!(place(cards, "De om</h3>") < live && live < place(cards, "De regieteams</h3>"));
    assert!(place(cards, "De regieteams</h3>") < place(cards, "niet op tijd bijgewerkt"));
    assert_eq!(page.matches("status--not-known").count(), 1);
    assert!(page.contains("desk van schuldhulp") && page.contains("Vastgelegd als regel 12.345."));
    assert!(page.contains("12 seconden") && !page.contains("te lang geleden"));
    // For the case file: statuses, and nothing of the person.
    let copy = &page[place(&page, "<textarea")..place(&page, "</textarea>")];
    assert!(
        copy.contains("- De om: niet bevraagd") && copy.contains("ZK-1"),
        "{copy}"
    );
    assert!(!copy.contains("T150-7"));
}

/// Nobody known where not everybody could be asked is not "known nowhere".
#[test]
fn not_known_is_said_of_those_that_answered_only() {
    let page = shown(answered(
        vec![person(vec![
            partner("leerplicht", StatusWord::NotKnown),
            partner("om", StatusWord::CouldNotAsk),
        ])],
        None,
    ));
    assert!(
        page.contains("Niet bekend bij de ene instantie die antwoord gaf. 1 instantie is niet bevraagd."),
        "{page}"
    );
    assert!(!page.contains("Bij geen van de instanties bekend"));
    let page = shown(answered(
        vec![person(vec![partner("leerplicht", StatusWord::NotKnown)])],
        Some(100_000),
    ));
    assert!(page.contains("Bij geen van de instanties bekend."));
    assert!(page.contains("te lang geleden") && !page.contains("Niet bevraagd"));
}

#[test]
fn a_refusal_says_when_to_try_again() {
    let mut refused = person(Vec::new());
    refused.refused = Some("over_quota".into());
    refused.retry_at = Some("2026-11-22T13:04:50Z".into());
    let page = shown(answered(vec![refused], None));
    assert!(
        page.contains("U kunt het opnieuw proberen op 22-11-2026 na 14:05 uur."),
        "{page}"
    );
    assert!(page.contains("Er zijn nu te veel vragen gesteld.") && !page.contains("card--"));
}

#[test]
fn without_proof_nothing_is_shown_but_the_alarm() {
    let page = shown(Outcome::NotProven(failure("not_proven", 4)));
    assert!(
        page.contains("Dit antwoord is niet te vertrouwen. Wij tonen het niet.")
            && page.contains("not_proven")
    );
    for hidden in ["status--", "card--", "Vastgelegd als", "<textarea", "ask?from="] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
    let page = shown(Outcome::NotAsked(failure("connection_refused", 3)));
    assert!(
        page.contains("De vraag is niet gesteld") && page.contains("ask?from="),
        "{page}"
    );
    assert!(page.contains("niets vastgelegd") && !page.contains("status--"));
    let page = shown(Outcome::InDoubt(failure("timed_out", 3)));
    assert!(
        page.contains("Haal het antwoord op") && !page.contains("niets vastgelegd"),
        "{page}"
    );
}
