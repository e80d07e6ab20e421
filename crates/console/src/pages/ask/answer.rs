//! The answer: a card for each organisation, a table for a household, the receipt, and a text for the case file.

use hitmachine_audit::WARN_AGE_S;
use hitmachine_node::asking::Given;
use hitmachine_node::control::ClassWord;
use hitmachine_node::failure::Failure;
use hitmachine_node::view::{PartnerView, PersonView, StatusWord, refusal_text};
use hitmachine_service::exit;

use super::words::{day_and_time, grouped, retry};
use crate::kept::{Kept, Outcome};
use crate::page::Page;

/// One organisation's word about one person.
struct Card {
    name: String,
    /// End of the classes of its card and badge.
    class: &'static str,
    status: &'static str,
    contact: Option<String>,
    /// Why it could not be asked, if so.
    reason: &'static str,
}

/// All about one person.
struct Block {
    /// Place, from 1.
    n: usize,
    class: &'static str,
    reference: Option<String>,
    /// Those that were asked; known first.
    asked: Vec<Card>,
    could_not: Vec<Card>,
    /// In the covenant's order, for the table.
    row: Vec<Card>,
    summary: String,
    refused: Option<&'static str>,
    retry: Option<String>,
    /// The entry, as people count.
    entry: String,
}

/// Why there is no answer.
struct Missing {
    /// `alert--…`.
    kind: &'static str,
    title: &'static str,
    texts: Vec<String>,
    code: String,
    /// Text of the link that asks once more; none if one should not.
    again: Option<&'static str>,
}

#[derive(askama::Template)]
#[template(path = "answer.html")]
pub(super) struct AnswerPage {
    page: Page,
    kept: Kept,
    asked_at: String,
    blocks: Vec<Block>,
    /// Names of the consulted organisations, for the table's head.
    partners: Vec<String>,
    /// The answer in a line.
    summary: String,
    could_not: bool,
    refused: bool,
    witnessed: Option<String>,
    witnessed_late: bool,
    missing: Option<Missing>,
    copy: String,
}

impl AnswerPage {
    /// `fetches`: the answer of a question in doubt can still be fetched.
    pub(super) fn new(page: Page, kept: Kept, fetches: bool) -> Self {
        let asked_at = day_and_time(kept.asked_at);
        let missing = missing(&page, &kept.outcome, fetches);
        let given = kept.answer().ok();
        let blocks: Vec<_> = given.map_or_else(Vec::new, |given| blocks(&page, &kept, given));
        let partners = given.and_then(|given| {
            given
                .view
                .persons
                .iter()
                .find(|person| !person.partners.is_empty())
        });
        let partners = partners.map_or_else(Vec::new, |person| {
            person
                .partners
                .iter()
                .map(|partner| partner.name.clone())
                .collect()
        });
        let age = given.and_then(|given| given.view.witnessed_s);
        let copy = if given.is_some() {
            copy(&page, &kept, &asked_at, &blocks)
        } else {
            String::new()
        };
        Self {
            summary: summary(&page, given, &blocks),
            refused: blocks.iter().any(|block| block.refused.is_some()),
            could_not: blocks.iter().any(|block| !block.could_not.is_empty()),
            witnessed: age.map(|age| page.t1("ask.witnessed", grouped(page.language, age))),
            witnessed_late: age.is_some_and(|age| age >= WARN_AGE_S),
            asked_at,
            blocks,
            partners,
            missing,
            copy,
            page,
            kept,
        }
    }
}

fn missing(page: &Page, outcome: &Outcome, fetches: bool) -> Option<Missing> {
    Some(match outcome {
        Outcome::Answered(_) => return None,
        Outcome::NotAsked(failure) => Missing {
            kind: "error",
            title: page.t("ask.not_asked"),
            texts: vec![why(page, failure), page.t("ask.not_asked_means").to_owned()],
            code: failure.code.clone(),
            again: Some(page.t("ask.try_again")),
        },
        Outcome::InDoubt(failure) => Missing {
            kind: "warning",
            title: page.t("ask.in_doubt"),
            texts: vec![
                why(page, failure),
                page.t(if fetches {
                    "ask.in_doubt_fetch"
                } else {
                    "ask.in_doubt_lost"
                })
                .to_owned(),
                page.t("ask.in_doubt_means").to_owned(),
            ],
            code: failure.code.clone(),
            again: Some(page.t(if fetches { "ask.fetch" } else { "ask.again_all" })),
        },
        Outcome::NotProven(failure) => Missing {
            kind: "error",
            title: page.t("ask.not_proven"),
            texts: vec![
                page.t("ask.not_proven_text").to_owned(),
                page.t("ask.not_proven_do").to_owned(),
            ],
            code: failure.code.clone(),
            again: None,
        },
    })
}

/// Why a question has no answer. What a coordinator can do nothing with is left to the code.
fn why(page: &Page, failure: &Failure) -> String {
    match (failure.exit, failure.code.as_str()) {
        (_, "not_backed" | "no_quorum") => page.t("ask.why_not_backed").to_owned(),
        (exit::UNREACHABLE, _) => page.t("ask.why_unreachable").to_owned(),
        _ => page.t("ask.why_fault").to_owned(),
    }
}

fn blocks(page: &Page, kept: &Kept, given: &Given) -> Vec<Block> {
    let persons = given.view.persons.iter().zip(&kept.persons);
    let block = |(n, (person, of)): (usize, (&PersonView, &crate::kept::KeptPerson))| {
        let cards = || person.partners.iter().map(|partner| card(page, given, partner));
        let (mut asked, mut could_not) = (Vec::new(), Vec::new());
        for (card, partner) in cards().zip(&person.partners) {
            match partner.status {
                StatusWord::CouldNotAsk => could_not.push(card),
                status => asked.push((status, card)),
            }
        }
        // Known, not known, does not apply; within each in the covenant's order.
        asked.sort_by_key(|(status, _)| *status);
        Block {
            n,
            class: page.t(match of.class {
                ClassWord::Minor => "ask.minor",
                ClassWord::Adult => "ask.adult",
            }),
            reference: of.reference.clone(),
            asked: asked.into_iter().map(|(_, card)| card).collect(),
            could_not,
            row: cards().collect(),
            summary: person_summary(page, person),
            refused: person
                .refused
                .as_deref()
                .map(|code| refusal_text(code, page.language)),
            retry: person
                .retry_at
                .as_deref()
                .and_then(|at| at.parse().ok())
                .map(|at| retry(page, at)),
            entry: grouped(page.language, person.log_index.saturating_add(1)),
        }
    };
    (1..).zip(persons).map(block).collect()
}

fn card(page: &Page, given: &Given, partner: &PartnerView) -> Card {
    let (class, status) = match partner.status {
        StatusWord::Known => ("known", "ask.known"),
        StatusWord::NotKnown => ("not-known", "ask.not_known"),
        StatusWord::CouldNotAsk => ("could-not-ask", "ask.could_not_ask"),
        StatusWord::DoesNotApply => ("does-not-apply", "ask.does_not_apply"),
    };
    let live = given.live.contains(&partner.partner);
    Card {
        name: partner.name.clone(),
        class,
        status: page.t(status),
        contact: partner.contact.clone().filter(|contact| !contact.is_empty()),
        reason: page.t(if live {
            "ask.could_not_live"
        } else {
            "ask.could_not_stale"
        }),
    }
}

fn count(person: &PersonView, status: StatusWord) -> usize {
    person
        .partners
        .iter()
        .filter(|partner| partner.status == status)
        .count()
}

/// "Bekend bij 2 van de 4 instanties." and who could not be asked.
fn person_summary(page: &Page, person: &PersonView) -> String {
    if person.refused.is_some() {
        return page.t("ask.summary_refused").to_owned();
    }
    let known = count(person, StatusWord::Known);
    let could_not = count(person, StatusWord::CouldNotAsk);
    let all = person.partners.len();
    let mut text = match known {
        0 if could_not > 0 && all - could_not == 1 => page.t("ask.summary_none_asked_one").to_owned(),
        0 if could_not > 0 => page.t1("ask.summary_none_asked", all - could_not),
        0 => page.t("ask.summary_none").to_owned(),
        known => page.t2("ask.summary_known", known, all),
    };
    if could_not > 0 {
        text.push(' ');
        text.push_str(&match could_not {
            1 => page.t("ask.summary_could_not_one").to_owned(),
            more => page.t1("ask.summary_could_not", more),
        });
    }
    text
}

/// All of it in a line.
fn summary(page: &Page, given: Option<&Given>, blocks: &[Block]) -> String {
    let persons = given.map_or(&[][..], |given| &given.view.persons);
    match blocks {
        [] => String::new(),
        [one] => one.summary.clone(),
        _ => {
            let known = persons
                .iter()
                .filter(|person| count(person, StatusWord::Known) > 0)
                .count();
            let could_not = persons
                .iter()
                .any(|person| count(person, StatusWord::CouldNotAsk) > 0);
            let refused = persons.iter().any(|person| person.refused.is_some());
            let mut text = if refused {
                page.t("ask.summary_refused").to_owned()
            } else {
                page.t2("ask.summary_persons", known, persons.len())
            };
            if could_not {
                text.push(' ');
                text.push_str(page.t("ask.summary_persons_could_not"));
            }
            text
        }
    }
}

/// For the case file: no number, name or reference of a person.
fn copy(page: &Page, kept: &Kept, asked_at: &str, blocks: &[Block]) -> String {
    let mut lines = vec![
        page.t1("ask.copy_head", asked_at),
        format!(
            "{} {} ({})",
            page.t("ask.copy_purpose"),
            kept.title,
            kept.legal_basis
        ),
        format!("{} {}", page.t("ask.copy_case"), kept.case),
    ];
    for block in blocks {
        if blocks.len() > 1 {
            lines.push(format!(
                "{} {} ({}):",
                page.t("ask.person"),
                block.n,
                block.class.to_lowercase()
            ));
        }
        match block.refused {
            Some(refused) => lines.push(format!("{} {refused}", page.t("ask.summary_refused"))),
            None => lines.extend(
                block
                    .row
                    .iter()
                    .map(|card| format!("- {}: {}", card.name, card.status.to_lowercase())),
            ),
        }
        lines.push(page.t1("ask.receipt", &block.entry));
    }
    lines.join("\n")
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
