//! A covenant for people: who may ask whom for what, in words and as a matrix, and what has changed in it.

mod json;

use std::fmt::Display;

use hitmachine_core::covenant::{Advice, Answers, Change, QuotaOf, advice};
use hitmachine_core::{Covenant, Partner, PartnerId, Purpose, SubjectClass};
use jiff::Timestamp;

use crate::language::Language;
use crate::view::table;

pub use json::{changes_json, covenant_json};

/// Signs in the matrix.
const LIVE: &str = "°";
const NOTICE: &str = "*";

/// What a covenant says, for people: the matrix, each purpose in words, partners, quotas, alarm rules and advice.
pub fn explain(
    covenant: &Covenant,
    language: Language,
    now: Timestamp,
    witnesses: Option<&dyn Fn(&PartnerId) -> bool>,
) -> String {
    let mut text = head(covenant, language, now);
    text.push_str(&format!(
        "\n{}\n",
        language.pick(
            "Wie mag wie vragen, en waarvoor",
            "Who may ask whom, and what for"
        )
    ));
    text.push_str(&matrix(covenant, language));
    text.push_str(&format!("\n{}\n", language.pick("Instanties", "Organisations")));
    text.push_str(&partners(covenant, language));
    for purpose in covenant.purposes() {
        text.push_str(&format!("\n{}", purpose_text(covenant, purpose, language)));
    }
    text.push_str(&format!("\n{}", rules_text(covenant, language)));
    let advice = advice(covenant, now, witnesses);
    if !advice.is_empty() {
        text.push_str(&format!("\n{}\n", language.pick("Let op", "Please note")));
        for each in &advice {
            text.push_str(&format!("  ! {}\n", advice_text(each, language)));
        }
    }
    text
}

/// Name, number, validity, deployment and version, a line each.
pub fn head(covenant: &Covenant, language: Language, now: Timestamp) -> String {
    let (from, until) = covenant.validity();
    let force = if covenant.in_force(now) {
        language.pick("vandaag geldig", "in force today")
    } else {
        language.pick("vandaag NIET geldig", "NOT in force today")
    };
    let deployment = covenant.deployment();
    let administrators = match (covenant.administrators(), language) {
        (None, Language::Nl) => "geen beheerders".to_owned(),
        (None, Language::En) => "no administrators".to_owned(),
        (Some(list), _) => {
            let names = list.keys().iter().map(hitmachine_audit::NoteVerifier::name);
            let of = match language {
                Language::Nl => format!(
                    "beheerders, {} van de {} tekenen",
                    list.needed(),
                    list.keys().len()
                ),
                Language::En => format!("administrators, {} of {} sign", list.needed(), list.keys().len()),
            };
            format!("{of}: {}", joined(names))
        }
    };
    match language {
        Language::Nl => format!(
            "{} ({}, nummer {})\nvan {from} tot en met {until}: {force}\ninstallatie {} ({})\nversie {}\n{administrators}\n",
            covenant.title(),
            covenant.id(),
            covenant.number(),
            deployment.id,
            deployment.kind,
            covenant.version()
        ),
        Language::En => format!(
            "{} ({}, number {})\nfrom {from} until {until}: {force}\ndeployment {} ({})\nversion {}\n{administrators}\n",
            covenant.title(),
            covenant.id(),
            covenant.number(),
            deployment.id,
            deployment.kind,
            covenant.version()
        ),
    }
}

/// Rows ask, columns are asked; in the cells the purposes.
pub fn matrix(covenant: &Covenant, language: Language) -> String {
    let asks = |partner: &&Partner| {
        covenant
            .purposes()
            .iter()
            .any(|purpose| purpose.askers.contains(&partner.id))
    };
    let asked = |partner: &&Partner| {
        covenant
            .purposes()
            .iter()
            .any(|purpose| purpose.consults.contains(&partner.id))
    };
    let columns: Vec<&Partner> = covenant.partners().iter().filter(asked).collect();
    let heads: Vec<String> = columns
        .iter()
        .map(|partner| {
            let live = if partner.answers == Answers::Live {
                LIVE
            } else {
                ""
            };
            format!("{}{live}\n({})", partner.id, classes(partner, language))
        })
        .collect();
    let mut header = vec![language.pick("vraagt ↓   bevraagd →", "asks ↓   is asked →")];
    header.extend(heads.iter().map(String::as_str));
    let mut rows = table(&header);
    let mut any = false;
    for asker in covenant.partners().iter().filter(asks) {
        any = true;
        let mut row = vec![asker.id.to_string()];
        for column in &columns {
            let cell: Vec<String> = cells(covenant, asker, column)
                .map(|purpose| {
                    let told = purpose.notifies.contains(&column.id);
                    format!("{}{}", purpose.code, if told { NOTICE } else { "" })
                })
                .collect();
            row.push(if cell.is_empty() {
                "–".to_owned()
            } else {
                cell.join("\n")
            });
        }
        rows.add_row(row);
    }
    if !any || columns.is_empty() {
        return language
            .pick("  Niemand mag iets vragen.\n", "  Nobody may ask anything.\n")
            .to_owned();
    }
    let legend = match language {
        Language::Nl => {
            format!("{NOTICE} krijgt bericht van een treffer   {LIVE} antwoordt rechtstreeks (live)")
        }
        Language::En => format!("{NOTICE} is told of a hit   {LIVE} answers live"),
    };
    format!("{rows}\n{legend}\n")
}

/// The purposes for which one partner may ask another.
fn cells<'a>(
    covenant: &'a Covenant,
    asker: &'a Partner,
    asked: &'a Partner,
) -> impl Iterator<Item = &'a Purpose> {
    covenant.purposes().iter().filter(move |purpose| {
        asker.id != asked.id
            && !purpose.roles.is_empty()
            && purpose.askers.contains(&asker.id)
            && purpose.consults.contains(&asked.id)
    })
}

fn partners(covenant: &Covenant, language: Language) -> String {
    let mut rows = table(&[
        language.pick("Instantie", "Partner"),
        language.pick("Naam", "Name"),
        "OIN",
        language.pick("Domein", "Domain"),
        language.pick("Antwoordt", "Answers"),
        language.pick("Registreert", "Registers"),
        language.pick("Termijn", "Term"),
        language.pick("Te oud na", "Stale after"),
    ]);
    for partner in covenant.partners() {
        let mut row = vec![
            partner.id.to_string(),
            partner.name.clone(),
            partner.oin.to_string(),
            partner.domain.clone(),
        ];
        if partner.registers.is_empty() {
            row.extend([
                "–".to_owned(),
                classes(partner, language),
                "–".to_owned(),
                "–".to_owned(),
            ]);
        } else {
            row.extend([
                match partner.answers {
                    Answers::Index => language.pick("uit het register", "from the index").to_owned(),
                    Answers::Live => format!("live ({} ms)", partner.live_deadline_ms),
                },
                classes(partner, language),
                format!("{} {}", partner.registration_days, language.pick("dagen", "days")),
                format!("{} {}", partner.stale_after_hours, language.pick("uur", "hours")),
            ]);
        }
        rows.add_row(row);
    }
    format!("{rows}\n")
}

/// One purpose in words.
pub fn purpose_text(covenant: &Covenant, purpose: &Purpose, language: Language) -> String {
    let names = |ids: &[PartnerId]| {
        if ids.is_empty() {
            return language.pick("niemand", "nobody").to_owned();
        }
        // Names have commas.
        let name = |id: &PartnerId| {
            covenant
                .partner(id)
                .map_or_else(|| id.to_string(), |partner| partner.name.clone())
        };
        ids.iter().map(name).collect::<Vec<_>>().join("; ")
    };
    let roles = if purpose.roles.is_empty() {
        language.pick("geen", "none").to_owned()
    } else {
        joined(&purpose.roles)
    };
    let (askers, consults, notifies) = (
        names(&purpose.askers),
        names(&purpose.consults),
        names(&purpose.notifies),
    );
    let (code, title, basis, activity) = (
        &purpose.code,
        &purpose.title,
        &purpose.legal_basis,
        &purpose.processing_activity,
    );
    let (subjects, screening, months) = (
        purpose.max_subjects,
        purpose.max_screening,
        purpose.log_retention_months,
    );
    let mut text = match language {
        Language::Nl => format!(
            "Doel {code}: {title}\n  Grondslag: {basis}; verwerking {activity}.\n  Vragen mag: {askers}, in de rol {roles}.\n  \
             Bevraagd wordt: {consults}. Bericht bij een treffer krijgt: {notifies}.\n  \
             Ten hoogste {subjects} personen in één vraag en {screening} in één screening; logregels blijven {months} maanden.\n"
        ),
        Language::En => format!(
            "Purpose {code}: {title}\n  Legal basis: {basis}; activity {activity}.\n  May ask: {askers}, in the role {roles}.\n  \
             Are asked: {consults}. Told of a hit: {notifies}.\n  \
             At most {subjects} persons in one question and {screening} in one screening; entries are kept {months} months.\n"
        ),
    };
    if purpose.strict {
        text.push_str(language.pick(
            "  Een antwoord wacht tot genoeg partners de logregel hebben bevestigd.\n",
            "  An answer waits until enough partners have cosigned its log entry.\n",
        ));
    }
    if purpose.confidential {
        text.push_str(language.pick(
            "  Deze vragen staan niet in het overzicht dat een betrokkene krijgt.\n",
            "  These questions are left out of the report that a person gets.\n",
        ));
    }
    text
}

/// Terms, quotas and alarm rules, a line each.
fn rules_text(covenant: &Covenant, language: Language) -> String {
    let mut text = format!("{}\n", language.pick("Grenzen", "Limits"));
    let terms = covenant.terms();
    let (days, months) = (terms.registration_days_at_most, terms.log_months_at_most);
    text.push_str(&match language {
        Language::Nl => {
            format!("  Een registratie blijft ten hoogste {days} dagen, een logregel {months} maanden.\n")
        }
        Language::En => format!("  A registration stays {days} days at most, a log entry {months} months.\n"),
    });
    for quota in covenant.quotas() {
        let (persons, hours) = (quota.persons, quota.hours);
        let whose = match (&quota.partner, quota.of, language) {
            (None, QuotaOf::Partner, Language::Nl) => "elke instantie".to_owned(),
            (None, QuotaOf::Partner, Language::En) => "each organisation".to_owned(),
            (None, QuotaOf::User, Language::Nl) => "elke gebruiker".to_owned(),
            (None, QuotaOf::User, Language::En) => "each user".to_owned(),
            (Some(id), QuotaOf::Partner, _) => id.to_string(),
            (Some(id), QuotaOf::User, Language::Nl) => format!("elke gebruiker van {id}"),
            (Some(id), QuotaOf::User, Language::En) => format!("each user of {id}"),
        };
        let purpose = quota.purpose.as_ref().map_or_else(String::new, |code| {
            format!(" {} {code}", language.pick("voor doel", "for purpose"))
        });
        text.push_str(&match language {
            Language::Nl => format!(
                "  Quotum: {whose}{purpose} vraagt over ten hoogste {persons} personen per {hours} uur.\n"
            ),
            Language::En => {
                format!("  Quota: {whose}{purpose} asks about at most {persons} persons in {hours} hours.\n")
            }
        });
    }
    let alarms = covenant.alarm_rules();
    let (window, hits) = (alarms.enumeration_window, alarms.enumeration_hits);
    let (factor, least, days) = (alarms.volume_factor, alarms.volume_least, alarms.notice_days);
    let (from, to) = (
        alarms.usual_hours.0.strftime("%H:%M"),
        alarms.usual_hours.1.strftime("%H:%M"),
    );
    text.push_str(&match language {
        Language::Nl => format!(
            "  Alarm: ten hoogste {hits} treffers onder de laatste {window} personen van een gebruiker; meer dan {factor} keer \
             het gewone aantal per dag (vanaf {least}); vragen buiten {from}–{to} op werkdagen; een bericht dat {days} dagen \
             niet is opgehaald.\n"
        ),
        Language::En => format!(
            "  Alarm: at most {hits} hits among a user's last {window} persons; more than {factor} times the usual number in \
             a day (from {least}); questions outside {from}–{to} on weekdays; a notice not fetched for {days} days.\n"
        ),
    });
    text
}

/// A covenant as one organisation sees it: what it may ask, and who asks it.
pub fn for_partner(covenant: &Covenant, partner: &PartnerId, language: Language, now: Timestamp) -> String {
    let mut text = head(covenant, language, now);
    let name = |id: &PartnerId| {
        covenant
            .partner(id)
            .map_or_else(|| id.to_string(), |partner| partner.name.clone())
    };
    let mine = |purpose: &&Purpose| purpose.askers.contains(partner) && !purpose.roles.is_empty();
    text.push_str(&format!(
        "\n{}\n",
        language.pick("Wat deze instantie mag vragen", "What this organisation may ask")
    ));
    let mut rows = table(&[
        language.pick("Doel", "Purpose"),
        language.pick("In de rol", "In the role"),
        language.pick("Bevraagd", "Asked"),
        language.pick("Meeste personen", "Most persons"),
    ]);
    let mut any = false;
    for purpose in covenant.purposes().iter().filter(mine) {
        any = true;
        rows.add_row([
            format!("{}\n{}", purpose.code, purpose.title),
            joined(&purpose.roles),
            purpose
                .consulted_by(partner)
                .map(name)
                .collect::<Vec<_>>()
                .join("\n"),
            purpose.max_subjects.to_string(),
        ]);
    }
    text.push_str(&if any {
        format!("{rows}\n")
    } else {
        format!("  {}\n", language.pick("Niets.", "Nothing."))
    });
    text.push_str(&format!(
        "\n{}\n",
        language.pick("Wie deze instantie bevraagt", "Who asks this organisation")
    ));
    let mut rows = table(&[
        language.pick("Doel", "Purpose"),
        language.pick("Gevraagd door", "Asked by"),
        language.pick("Bericht bij een treffer", "Told of a hit"),
    ]);
    let mut any = false;
    for purpose in covenant
        .purposes()
        .iter()
        .filter(|purpose| purpose.consults.contains(partner))
    {
        let askers: Vec<String> = purpose
            .askers
            .iter()
            .filter(|id| *id != partner)
            .map(name)
            .collect();
        if askers.is_empty() || purpose.roles.is_empty() {
            continue;
        }
        any = true;
        let told = purpose.notifies.contains(partner);
        rows.add_row([
            format!("{}\n{}", purpose.code, purpose.title),
            askers.join("\n"),
            if told {
                language.pick("ja", "yes")
            } else {
                language.pick("nee", "no")
            }
            .to_owned(),
        ]);
    }
    text.push_str(&if any {
        format!("{rows}\n")
    } else {
        format!("  {}\n", language.pick("Niemand.", "Nobody."))
    });
    if let Some(own) = covenant.partner(partner).filter(|own| !own.registers.is_empty()) {
        let (classes, days) = (classes(own, language), own.registration_days);
        text.push_str(&match language {
            Language::Nl => format!(
                "{} over {classes}; een registratie blijft {days} dagen.\n",
                match own.answers {
                    Answers::Index => "Antwoordt uit het register bij het knooppunt",
                    Answers::Live => "Antwoordt zelf, rechtstreeks,",
                }
            ),
            Language::En => format!(
                "{} about {classes}; a registration stays {days} days.\n",
                match own.answers {
                    Answers::Index => "Answers from its register at the hub",
                    Answers::Live => "Answers itself, live,",
                }
            ),
        });
    }
    text
}

/// Differences, a line each.
pub fn changes_text(changes: &[Change], language: Language) -> String {
    if changes.is_empty() {
        return language
            .pick(
                "  Geen verschil in wat het regelt.\n",
                "  No difference in what it rules.\n",
            )
            .to_owned();
    }
    let line = |change: &Change| format!("  • {}\n", language.pick(&change.text_nl(), &change.text_en()));
    changes.iter().map(line).collect()
}

fn advice_text(advice: &Advice, language: Language) -> String {
    match language {
        Language::Nl => advice.text_nl(),
        Language::En => advice.text_en(),
    }
}

fn classes(partner: &Partner, language: Language) -> String {
    if partner.registers.is_empty() {
        return language.pick("niemand", "nobody").to_owned();
    }
    joined(partner.registers.iter().map(|class| match class {
        SubjectClass::Minor => language.pick("minderjarigen", "minors"),
        SubjectClass::Adult => language.pick("volwassenen", "adults"),
    }))
}

fn joined<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items = items.into_iter().map(|item| item.to_string());
    items.collect::<Vec<_>>().join(", ")
}
