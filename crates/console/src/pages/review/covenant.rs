//! The covenant: who may ask whom for what, the rules, and what changed in it over time. It is public, and held here: to
//! look at it is no entry of the log, and needs no hub.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use hitmachine_core::covenant::{Answers, QuotaOf, difference};
use hitmachine_core::{Covenant, Partner, PartnerId, Purpose, SubjectClass};
use hitmachine_node::PastCovenant;
use hitmachine_node::covenant_view::covenant_json;

use super::files;
use crate::app::App;
use crate::jobs::review::covenants;
use crate::moment::{day, moment, number};
use crate::page::{Page, html};
use crate::pages::officer::OfficerVisitor;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/covenant", get(show))
        .route("/officer/covenant/covenant.toml", get(toml))
        .route("/officer/covenant/covenant.json", get(json))
        .route("/officer/covenant/{version}/covenant.toml", get(toml_of))
}

#[derive(askama::Template)]
#[template(path = "review_covenant.html")]
struct CovenantPage {
    page: Page,
    reference: String,
    title: String,
    in_force: bool,
    facts: Vec<(&'static str, String)>,
    columns: Vec<String>,
    matrix: Vec<(String, Vec<Cell>)>,
    purposes: Vec<PurposePart>,
    partners: Vec<PartnerPart>,
    quotas: Vec<String>,
    rules: Vec<String>,
    changes: Vec<ChangePart>,
}

/// For what one may ask another; nothing if it may not.
struct Cell(Vec<(String, bool)>);

struct PurposePart {
    title: String,
    marks: Vec<&'static str>,
    facts: Vec<(&'static str, String)>,
}

struct PartnerPart {
    name: String,
    contact: String,
    answers: String,
    registers: String,
    term: String,
    stale: String,
}

struct ChangePart {
    number: u32,
    version: String,
    short: String,
    heard: String,
    first: bool,
    lines: Vec<String>,
}

async fn show(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    let history = covenants(&app, officer.visitor.caller.officer()?).await?;
    let newest = history.first().ok_or_else(Problem::not_found)?;
    let covenant = newest.covenant.as_ref();
    let now = app.node().clock().now();
    let asked: Vec<&Partner> = some(covenant, |purpose| &purpose.consults);
    let asking: Vec<&Partner> = some(covenant, |purpose| &purpose.askers);
    html(&CovenantPage {
        title: covenant.title().to_owned(),
        in_force: covenant.in_force(now),
        facts: facts(&page, newest),
        columns: asked.iter().map(|partner| partner.name.clone()).collect(),
        matrix: asking
            .iter()
            .map(|asker| {
                let cells = asked.iter().map(|other| cell(covenant, asker, other));
                (asker.name.clone(), cells.collect())
            })
            .collect(),
        purposes: covenant
            .purposes()
            .iter()
            .map(|purpose| purpose_part(&page, covenant, purpose))
            .collect(),
        partners: covenant
            .partners()
            .iter()
            .map(|partner| partner_part(&page, partner))
            .collect(),
        quotas: quotas(&page, covenant),
        rules: rules(&page, covenant),
        changes: changes(&page, &history),
        reference: officer.reference.clone(),
        page,
    })
}

/// The partners that any purpose names in this list, in the covenant's order.
fn some(covenant: &Covenant, list: fn(&Purpose) -> &Vec<PartnerId>) -> Vec<&Partner> {
    let named = |partner: &&Partner| {
        covenant
            .purposes()
            .iter()
            .any(|purpose| list(purpose).contains(&partner.id))
    };
    covenant.partners().iter().filter(named).collect()
}

/// The same rule as the hub's: a purpose without roles lets nobody ask, and nobody asks itself.
fn cell(covenant: &Covenant, asker: &Partner, asked: &Partner) -> Cell {
    let may = |purpose: &&Purpose| {
        asker.id != asked.id
            && !purpose.roles.is_empty()
            && purpose.askers.contains(&asker.id)
            && purpose.consults.contains(&asked.id)
    };
    let purposes = covenant.purposes().iter().filter(may);
    Cell(
        purposes
            .map(|purpose| (purpose.title.clone(), purpose.notifies.contains(&asked.id)))
            .collect(),
    )
}

fn facts(page: &Page, held: &PastCovenant) -> Vec<(&'static str, String)> {
    let covenant = held.covenant.as_ref();
    let (from, until) = covenant.validity();
    let administrators = covenant.administrators().map_or_else(
        || page.t("review.administrators_none").to_owned(),
        |list| page.t2("review.administrators_of", list.needed(), list.keys().len()),
    );
    vec![
        (page.t("review.number"), covenant.number().to_string()),
        (
            page.t("review.valid"),
            page.t2(
                "review.period",
                day(page.language, from),
                day(page.language, until),
            ),
        ),
        (page.t("review.version"), grouped(&covenant.version().to_string())),
        (
            page.t("review.heard"),
            moment(page.language, &held.heard.to_string()),
        ),
        (page.t("review.administrators"), administrators),
    ]
}

/// Hexadecimal digits in groups, which a narrow screen can break between.
fn grouped(digits: &str) -> String {
    let groups: Vec<&str> = (0..digits.len())
        .step_by(8)
        .filter_map(|at| digits.get(at..(at + 8).min(digits.len())))
        .collect();
    groups.join(" ")
}

fn names(page: &Page, covenant: &Covenant, ids: &[PartnerId]) -> String {
    if ids.is_empty() {
        return page.t("review.nobody").to_owned();
    }
    let name = |id: &PartnerId| {
        covenant
            .partner(id)
            .map_or_else(|| id.to_string(), |partner| partner.name.clone())
    };
    ids.iter().map(name).collect::<Vec<_>>().join("; ")
}

fn purpose_part(page: &Page, covenant: &Covenant, purpose: &Purpose) -> PurposePart {
    let roles: Vec<String> = purpose.roles.iter().map(ToString::to_string).collect();
    let count = |count: u64| number(page.language, count);
    let mut marks = Vec::new();
    if purpose.strict {
        marks.push(page.t("review.strict"));
    }
    if purpose.confidential {
        marks.push(page.t("review.confidential"));
    }
    PurposePart {
        title: purpose.title.clone(),
        marks,
        facts: vec![
            (page.t("review.basis"), purpose.legal_basis.clone()),
            (page.t("review.activity"), purpose.processing_activity.clone()),
            (page.t("review.may_ask"), names(page, covenant, &purpose.askers)),
            (page.t("review.in_role"), roles.join(", ")),
            (page.t("review.asked"), names(page, covenant, &purpose.consults)),
            (page.t("review.told"), names(page, covenant, &purpose.notifies)),
            (page.t("review.most_persons"), count(purpose.max_subjects as u64)),
            (
                page.t("review.most_screening"),
                count(purpose.max_screening.into()),
            ),
            (
                page.t("review.log_term"),
                page.t1("review.months", purpose.log_retention_months),
            ),
        ],
    }
}

fn partner_part(page: &Page, partner: &Partner) -> PartnerPart {
    let classes: Vec<&str> = partner
        .registers
        .iter()
        .map(|class| {
            page.t(match class {
                SubjectClass::Minor => "review.minors",
                SubjectClass::Adult => "review.adults",
            })
        })
        .collect();
    let registers = !classes.is_empty();
    let only = |text: String| if registers { text } else { String::new() };
    PartnerPart {
        name: partner.name.clone(),
        contact: partner.contact.clone(),
        answers: match partner.answers {
            _ if !registers => page.t("review.only_asks").to_owned(),
            Answers::Index => page.t("review.from_index").to_owned(),
            Answers::Live => page.t("review.answers_live").to_owned(),
        },
        registers: classes.join(", "),
        term: only(page.t1("review.days", partner.registration_days)),
        stale: only(page.t1("review.hours", partner.stale_after_hours)),
    }
}

fn quotas(page: &Page, covenant: &Covenant) -> Vec<String> {
    let one = |quota: &hitmachine_core::covenant::Quota| {
        let whose = match (&quota.partner, quota.of) {
            (None, QuotaOf::Partner) => page.t("review.each_partner").to_owned(),
            (None, QuotaOf::User) => page.t("review.each_user").to_owned(),
            (Some(id), QuotaOf::Partner) => names(page, covenant, std::slice::from_ref(id)),
            (Some(id), QuotaOf::User) => page.t1(
                "review.each_user_of",
                names(page, covenant, std::slice::from_ref(id)),
            ),
        };
        let title = quota.purpose.as_ref().map(|code| {
            let purpose = covenant.purpose(code);
            purpose.map_or_else(|| code.to_string(), |purpose| purpose.title.clone())
        });
        let whose = title.map_or_else(
            || whose.clone(),
            |title| page.t2("review.quota_for", &whose, title),
        );
        let most = page.t2(
            "review.quota_most",
            number(page.language, quota.persons.into()),
            quota.hours,
        );
        format!("{whose}: {most}")
    };
    covenant.quotas().iter().map(one).collect()
}

fn rules(page: &Page, covenant: &Covenant) -> Vec<String> {
    let (terms, alarms) = (covenant.terms(), covenant.alarm_rules());
    let clock = |time: jiff::civil::Time| time.strftime("%H:%M").to_string();
    let (from, to) = alarms.usual_hours;
    vec![
        page.t2(
            "review.rule_terms",
            terms.registration_days_at_most,
            terms.log_months_at_most,
        ),
        page.t2(
            "review.rule_enumeration",
            alarms.enumeration_hits,
            alarms.enumeration_window,
        ),
        page.t2(
            "review.rule_volume",
            alarms.volume_factor,
            number(page.language, alarms.volume_least.into()),
        ),
        page.t2("review.rule_hours", clock(from), clock(to)),
        page.t1("review.rule_notices", alarms.notice_days),
    ]
}

/// What each covenant changed in the one before it, newest first.
fn changes(page: &Page, history: &[PastCovenant]) -> Vec<ChangePart> {
    let older = history.iter().skip(1).map(Some).chain([None]);
    let pairs = history.iter().zip(older);
    pairs
        .map(|(one, before)| {
            let changes = before.map(|before| difference(&before.covenant, &one.covenant));
            let version = one.covenant.version().to_string();
            ChangePart {
                number: one.covenant.number(),
                short: version.get(..12).unwrap_or(&version).to_owned(),
                version,
                heard: moment(page.language, &one.heard.to_string()),
                first: before.is_none(),
                lines: changes
                    .unwrap_or_default()
                    .iter()
                    .map(|change| {
                        page.language
                            .pick(&change.text_nl(), &change.text_en())
                            .to_owned()
                    })
                    .collect(),
            }
        })
        .collect()
}

fn file(held: &PastCovenant) -> Response {
    let name = format!("convenant-{}.toml", held.covenant.number());
    files::download(&name, "application/toml", held.file.clone())
}

async fn toml(officer: OfficerVisitor, State(app): State<App>) -> Result<Response, Problem> {
    let history = covenants(&app, officer.visitor.caller.officer()?).await?;
    Ok(file(history.first().ok_or_else(Problem::not_found)?))
}

async fn toml_of(
    officer: OfficerVisitor,
    State(app): State<App>,
    Path(version): Path<String>,
) -> Result<Response, Problem> {
    let history = covenants(&app, officer.visitor.caller.officer()?).await?;
    let one = history
        .iter()
        .find(|one| one.covenant.version().to_string() == version);
    Ok(file(one.ok_or_else(Problem::not_found)?))
}

async fn json(officer: OfficerVisitor, State(app): State<App>) -> Result<Response, Problem> {
    let history = covenants(&app, officer.visitor.caller.officer()?).await?;
    let held = history.first().ok_or_else(Problem::not_found)?;
    files::json(
        "convenant.json",
        &covenant_json(&held.covenant, app.node().clock().now(), None),
    )
}
