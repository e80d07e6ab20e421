//! Notices for people.

use super::{AskerView, MuteView, NoticeView, NoticesView, StateWord};
use crate::control::ClassWord;
use crate::language::Language;
use crate::officer::text::{local, plain};
use crate::view::table;

/// A table of notices, and what is not in it.
pub fn list(view: &NoticesView, language: Language) -> String {
    let mut out = table(&[
        language.pick("Logregel", "Entry"),
        language.pick("Gevraagd", "Asked"),
        language.pick("Door", "By"),
        language.pick("Doel", "Purpose"),
        language.pick("Hun zaak", "Their case"),
        language.pick("Uw dossier", "Your file"),
        language.pick("Stand", "State"),
    ]);
    for notice in &view.notices {
        out.add_row([
            entry(notice),
            when(&notice.asked_at),
            asker(&notice.asker),
            purpose(notice),
            case(notice, language),
            file(notice, language),
            state(notice.state, language).to_owned(),
        ]);
    }
    let mut text = if view.notices.is_empty() {
        format!("{}\n", language.pick("Geen hitberichten.", "No hit notices."))
    } else {
        format!("{out}\n")
    };
    let (new, muted) = (view.new, view.muted);
    text.push_str(&match language {
        Language::Nl => format!("{new} nieuw, {muted} gedempt.\n"),
        Language::En => format!("{new} new, {muted} muted.\n"),
    });
    text
}

/// One notice, field by field.
pub fn show(notice: &NoticeView, language: Language) -> String {
    let mut out = table(&[language.pick("Hitbericht", "Hit notice"), ""]);
    let mut row = |nl: &str, en: &str, value: String| {
        out.add_row([language.pick(nl, en).to_owned(), value]);
    };
    row("Logregel", "Log entry", entry(notice));
    row("Gevraagd", "Asked", when(&notice.asked_at));
    row("Ontvangen", "Received", when(&notice.received_at));
    row("Instantie", "Organisation", plain(&notice.asker.name));
    row("Contact", "Contact", plain(&notice.asker.contact));
    row("Doel", "Purpose", purpose(notice));
    row("Hun zaak", "Their case", case(notice, language));
    row("Uw dossier", "Your file", file(notice, language));
    let class = match notice.class {
        ClassWord::Minor => language.pick("minderjarig", "minor"),
        ClassWord::Adult => language.pick("volwassen", "adult"),
    };
    row("Leeftijdsklasse", "Class", class.to_owned());
    row("Bevraging", "Question", plain(&notice.request_id));
    row("Stand", "State", state(notice.state, language).to_owned());
    if let (Some(by), Some(at)) = (&notice.seen_by, &notice.seen_at) {
        row("Gezien door", "Seen by", format!("{} ({})", plain(by), when(at)));
    }
    if let Some(until) = &notice.kept_until {
        row("Bewaard tot", "Kept until", plain(until));
    }
    format!("{out}\n")
}

/// One notice on one line, as it comes.
pub fn line(notice: &NoticeView, language: Language) -> String {
    format!(
        "{}  {}  {}: {}  {}: {}  {}: {}",
        when(&notice.asked_at),
        asker(&notice.asker).replace('\n', ", "),
        language.pick("doel", "purpose"),
        purpose(notice),
        language.pick("hun zaak", "their case"),
        case(notice, language),
        language.pick("uw dossier", "your file"),
        file(notice, language),
    )
}

/// Cases that are muted.
pub fn mutes(mutes: &[MuteView], language: Language) -> String {
    if mutes.is_empty() {
        return format!("{}\n", language.pick("Geen zaken gedempt.", "No cases muted."));
    }
    let mut out = table(&[
        language.pick("Instantie", "Organisation"),
        language.pick("Hun zaak", "Their case"),
        language.pick("Gedempt door", "Muted by"),
        language.pick("Op", "At"),
        language.pick("Reden", "Reason"),
    ]);
    for mute in mutes {
        out.add_row([
            plain(&mute.asker),
            plain(&mute.case),
            plain(&mute.by),
            when(&mute.at),
            plain(mute.reason.as_deref().unwrap_or("")),
        ]);
    }
    format!("{out}\n")
}

/// A time where people live.
fn when(time: &str) -> String {
    plain(&local(time))
}

/// For people entries count from 1.
fn entry(notice: &NoticeView) -> String {
    notice.log_index.saturating_add(1).to_string()
}

fn asker(asker: &AskerView) -> String {
    match asker.contact.as_str() {
        "" => plain(&asker.name),
        contact => format!("{}\n{}", plain(&asker.name), plain(contact)),
    }
}

fn purpose(notice: &NoticeView) -> String {
    match notice.purpose_title.as_str() {
        "" => plain(&notice.purpose),
        title => plain(title),
    }
}

fn case(notice: &NoticeView, language: Language) -> String {
    match &notice.case {
        Some(case) => plain(case),
        None => language.pick("niet meer bewaard", "no longer kept").to_owned(),
    }
}

fn file(notice: &NoticeView, language: Language) -> String {
    if !notice.references.is_empty() {
        return plain(&notice.references.join(", "));
    }
    if notice.registered {
        language.pick("zonder kenmerk", "without a reference")
    } else {
        language.pick("staat niet meer in het register", "no longer registered")
    }
    .to_owned()
}

fn state(state: StateWord, language: Language) -> &'static str {
    match (state, language) {
        (StateWord::New, Language::Nl) => "nieuw",
        (StateWord::New, Language::En) => "new",
        (StateWord::Seen, Language::Nl) => "gezien",
        (StateWord::Seen, Language::En) => "seen",
        (StateWord::Muted, Language::Nl) => "gedempt",
        (StateWord::Muted, Language::En) => "muted",
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
