//! Notifications as tables for people and as CSV for a mail merge.

use super::entry::{Kind, Reason as _, State, What};
use super::letter::{FIELDS, addressee, day, value};
use super::task::{NotificationReply, NotificationView};
use crate::language::Language;
use crate::spreadsheet::safe;
use crate::view::table;

/// A list, one line each.
pub fn list(reply: &NotificationReply, language: Language) -> String {
    if reply.notifications.is_empty() {
        return language
            .pick("Geen kennisgevingen.\n", "No notifications.\n")
            .to_owned();
    }
    let mut rows = table(&[
        language.pick("Nummer", "Number"),
        language.pick("Soort", "Kind"),
        language.pick("Casus", "Case"),
        language.pick("Kenmerk", "Reference"),
        language.pick("Aan", "To"),
        language.pick("Sinds", "Since"),
        language.pick("Uiterlijk", "Last day"),
        language.pick("Stand", "State"),
    ]);
    for each in &reply.notifications {
        rows.add_row([
            each.id.to_string(),
            kind(each.kind, language).to_owned(),
            each.case.clone(),
            each.reference.clone().unwrap_or_default(),
            addressee(each.addressee, language).to_owned(),
            each.since.to_string(),
            each.last_day.map_or_else(String::new, |last| last.to_string()),
            state(each, language),
        ]);
    }
    let overdue = reply.notifications.iter().filter(|each| each.overdue).count();
    let mut text = format!("{rows}\n");
    if overdue > 0 {
        text.push_str(&format!("{} {overdue}\n", language.pick("Te laat:", "Overdue:")));
    }
    text
}

/// One, with its history.
pub fn show(each: &NotificationView, language: Language) -> String {
    let mut rows = table(&[
        language.pick("Kennisgeving", "Notification"),
        &each.id.to_string(),
    ]);
    let last_day = each.last_day.map_or_else(String::new, |last| day(last, language));
    for (nl, en, value) in [
        ("Soort", "Kind", kind(each.kind, language).to_owned()),
        ("Casus", "Case", each.case.clone()),
        ("Kenmerk", "Reference", each.reference.clone().unwrap_or_default()),
        ("Aan", "To", addressee(each.addressee, language).to_owned()),
        ("Doel", "Purpose", each.purpose_title.clone()),
        ("Grondslag", "Legal basis", each.legal_basis.clone()),
        (
            "Verwerking",
            "Processing activity",
            each.processing_activity.clone(),
        ),
        ("Sinds", "Since", day(each.since, language)),
        ("Wettelijk uiterlijk", "Last day by law", day(each.due, language)),
        ("Uiterlijk", "Last day", last_day),
        ("Stand", "State", state(each, language)),
    ] {
        rows.add_row([language.pick(nl, en), &value]);
    }
    let mut text = format!("{rows}\n");
    for act in &each.history {
        text.push_str(&format!(
            "  {} {}: {}\n",
            act.at,
            act.by,
            what(&act.what, language)
        ));
    }
    text
}

/// A kind in words.
fn kind(kind: Kind, language: Language) -> &'static str {
    match kind {
        Kind::Entry => language.pick("instroom", "entry"),
        Kind::Exit => language.pick("uitstroom", "exit"),
    }
}

fn state(each: &NotificationView, language: Language) -> String {
    match each.state {
        _ if each.overdue => language.pick("TE LAAT", "OVERDUE").to_owned(),
        State::Due => language.pick("te versturen", "to be sent").to_owned(),
        State::Deferred { until } => format!("{} {until}", language.pick("uitgesteld tot", "deferred until")),
        State::Sent { on } => format!("{} {on}", language.pick("verstuurd op", "sent on")),
        State::NotNeeded { .. } => language.pick("niet nodig", "not needed").to_owned(),
    }
}

fn what(what: &What, language: Language) -> String {
    let with = |text: String, note: &Option<String>| match note {
        Some(note) => format!("{text} ({note})"),
        None => text,
    };
    match what {
        What::Asked => language.pick("gevraagd", "asked").to_owned(),
        What::Closed => language.pick("casus gesloten", "case closed").to_owned(),
        What::Sent => language.pick("verstuurd", "sent").to_owned(),
        What::Deferred { reason, until, note } => {
            let why = language.pick(reason.text_nl(), reason.text_en());
            with(
                format!(
                    "{} {until}: {why}",
                    language.pick("uitgesteld tot", "deferred until")
                ),
                note,
            )
        }
        What::NotNeeded { reason, note } => {
            let why = language.pick(reason.text_nl(), reason.text_en());
            with(
                format!("{}: {why}", language.pick("niet nodig", "not needed")),
                note,
            )
        }
    }
}

/// The data of letters for a mail merge: `;` between fields, UTF-8 with a byte order mark, columns named as the fields
/// of a template, and `kind` and `addressee_code` for choosing between letters.
///
/// # Errors
/// As the writer, which is memory here.
pub fn letters_csv(reply: &NotificationReply, language: Language) -> std::io::Result<Vec<u8>> {
    let mut out = csv::WriterBuilder::new()
        .delimiter(b';')
        .terminator(csv::Terminator::CRLF)
        .from_writer("\u{feff}".as_bytes().to_vec());
    let names = FIELDS.iter().map(|(name, ..)| *name);
    out.write_record(names.chain(["kind", "addressee_code"]))?;
    for each in &reply.notifications {
        let values = FIELDS
            .iter()
            .map(|(field, ..)| safe(&value(field, each, reply, language)));
        let codes = [each.kind.word().to_owned(), each.addressee.word().to_owned()];
        out.write_record(values.chain(codes))?;
    }
    out.into_inner().map_err(csv::IntoInnerError::into_error)
}
