//! What an officer sees on a terminal, in Dutch (B1) and English. Entries count from 1 for people.

use jiff::tz::TimeZone;

use super::overlap::OverlapView;
use super::page::{ErasureView, Form, OwnEntry, PageView, RecordView, RowView};
use super::published::VerifyView;
use super::task::{CompletenessView, ErasedView, StatisticsView, StretchView, TrendView};
use crate::language::Language;
use crate::view::{refusal_text, table};

/// A time of a row where people live, `2026-11-21 13:00:00`; the text itself if it is no time.
pub fn local(time: &str) -> String {
    let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// An outcome in words.
pub fn outcome(word: &str, language: Language) -> &str {
    match word {
        "hit" => language.pick("bekend", "known"),
        "no_hit" => language.pick("niet bekend", "not known"),
        "could_not_ask" => language.pick("niet overal bevraagd", "could not be asked everywhere"),
        "refused" => language.pick("geweigerd", "refused"),
        "officer" => language.pick("privacyfunctionaris", "privacy officer"),
        other => other,
    }
}

/// An officer's action in words.
pub fn action(code: &str, language: Language) -> &str {
    match code {
        "search" => language.pick("zoeken", "search"),
        "waiting_notices" => language.pick("wachtende hitberichten", "waiting hit notices"),
        "entries" => language.pick("inzien", "show"),
        "export" => language.pick("uitvoer naar bestand", "export"),
        "report" => language.pick("overzicht voor een persoon", "report for a person"),
        "sample" => language.pick("steekproef", "random sample"),
        "ldv" => language.pick("uitvoer LDV", "LDV export"),
        "statistics" => language.pick("tellingen", "statistics"),
        "completeness" => language.pick("volledigheid", "completeness"),
        "review" => language.pick("beoordeling", "review"),
        "alarms" => language.pick("alarmen", "alarms"),
        "erase" => language.pick("wissen", "erase"),
        "overview" => language.pick("overzicht per kwartaal of jaar", "overview of a quarter or year"),
        other => other,
    }
}

fn form(form: Form, language: Language) -> &'static str {
    match form {
        Form::Whole => language.pick("volledig", "whole"),
        Form::Processing => language.pick("zonder gebruiker en zaak", "without user and case"),
        Form::Control => language.pick("openbare regel", "public entry"),
        Form::Erased => language.pick("gewist", "erased"),
    }
}

/// Text that others wrote, fit for a terminal: no control characters, which could move the cursor or change colours.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Where this look at the log is recorded itself.
pub fn own(own: &OwnEntry, language: Language) -> String {
    format!(
        "{} {}{}\n",
        language.pick(
            "Deze handeling is vastgelegd als logregel",
            "This action is log entry"
        ),
        own.log_index.saturating_add(1),
        language.pick(
            "; alle bewijzen zijn gecontroleerd.",
            "; all proofs have been checked."
        ),
    )
}

/// A page of entries as a table.
pub fn page(page: &PageView, language: Language) -> String {
    let mut out = table(&[
        language.pick("Regel", "Entry"),
        language.pick("Tijd", "Time"),
        language.pick("Instantie", "Organisation"),
        language.pick("Gebruiker", "User"),
        language.pick("Doel", "Purpose"),
        language.pick("Zaak", "Case"),
        language.pick("Uitkomst", "Outcome"),
        language.pick("Bewijs", "Proof"),
    ]);
    for row in &page.rows {
        let record = row.record.clone().unwrap_or_default();
        let what = match (&row.record, &record.action) {
            (None, _) => form(row.form, language).to_owned(),
            (_, Some(code)) => action(code, language).to_owned(),
            _ => outcome(&record.outcome, language).to_owned(),
        };
        let ground = record.ground.unwrap_or_default();
        out.add_row([
            row.log_index.saturating_add(1).to_string(),
            local(&row.time),
            plain(&record.requester.name),
            plain(&record.user.unwrap_or_default().id),
            plain(&ground.title),
            plain(&record.case.unwrap_or_default()),
            plain(&what),
            // A row that is not proven does not get here.
            "✓".to_owned(),
        ]);
    }
    let mut text = format!("{out}\n");
    if page.rows.is_empty() {
        text.push_str(language.pick("Geen regels gevonden.\n", "No entries found.\n"));
    }
    if page.next > 0 {
        text.push_str(&format!(
            "{} --before {}\n",
            language.pick("Er is meer; volgende bladzijde:", "There is more; next page:"),
            page.next.saturating_add(1)
        ));
    }
    text + &own(&page.own, language)
}

/// One entry, every field in words, and its proof.
pub fn show(row: &RowView, language: Language) -> String {
    let title = format!(
        "{} {}",
        language.pick("Regel", "Entry"),
        row.log_index.saturating_add(1)
    );
    let mut out = table(&[&title, ""]);
    let mut add = |nl, en, value: String| {
        if !value.is_empty() {
            out.add_row([language.pick(nl, en).to_owned(), plain(&value)]);
        }
    };
    add("Tijd", "Time", format!("{} ({})", local(&row.time), row.time));
    add("Inhoud", "Content", form(row.form, language).to_owned());
    if let Some(record) = &row.record {
        fields(record, language, &mut add);
    }
    if let Some(control) = &row.control {
        add("Openbare regel", "Public entry", control.to_string());
    }
    add("Bladhash", "Leaf hash", row.leaf.clone());
    let mut text = format!("{out}\n");
    if let Some(proof) = &row.proof {
        text.push_str(language.pick(
            "Bewijs (pad van blad naar wortel, gecontroleerd):\n",
            "Proof (path from leaf to root, checked):\n",
        ));
        for hash in &proof.path {
            text.push_str(&format!("  {hash}\n"));
        }
    }
    text
}

fn fields(record: &RecordView, language: Language, add: &mut dyn FnMut(&'static str, &'static str, String)) {
    let requester = &record.requester;
    add(
        "Instantie",
        "Organisation",
        format!("{} (OIN {})", requester.name, requester.oin),
    );
    if let Some(user) = &record.user {
        add("Gebruiker", "User", user.id.clone());
        add("Rol", "Role", user.role.clone());
        let responsible = user.responsible.clone().unwrap_or_default();
        add("Namens", "On behalf of", responsible);
    }
    if let Some(ground) = &record.ground {
        add(
            "Doel",
            "Purpose",
            format!("{} ({})", ground.title, ground.purpose),
        );
        add("Grondslag", "Legal basis", ground.legal_basis.clone());
        add(
            "Verwerkingsactiviteit",
            "Processing activity",
            ground.processing_activity.clone(),
        );
        add(
            "Convenant (SHA-256)",
            "Covenant (SHA-256)",
            ground.covenant.clone(),
        );
    }
    add(
        "Zaak of reden",
        "Case or reason",
        record.case.clone().unwrap_or_default(),
    );
    let class = match record.class.as_deref() {
        Some("minor") => language.pick("minderjarig", "minor"),
        Some("adult") => language.pick("volwassen", "adult"),
        other => other.unwrap_or_default(),
    };
    add("Betrokkene", "Data subject", class.to_owned());
    add(
        "Uitkomst",
        "Outcome",
        outcome(&record.outcome, language).to_owned(),
    );
    if let Some(code) = &record.refused {
        let words = refusal_text(code, language);
        add(
            "Reden van weigering",
            "Reason of refusal",
            format!("{words} ({code})"),
        );
    }
    for partner in &record.partners {
        let status = language.status(partner.status.into());
        add("Antwoord", "Answer", format!("{}: {status}", partner.name));
    }
    if let Some(code) = &record.action {
        let rows = record.rows.unwrap_or(0);
        let of = language.pick("regels", "entries");
        add(
            "Handeling",
            "Action",
            format!("{} ({rows} {of})", action(code, language)),
        );
    }
    add("Vraag", "Request", record.request_id.clone().unwrap_or_default());
    add(
        "Trace",
        "Trace",
        format!("{} / {}", record.trace_id, record.span_id),
    );
    add(
        "Verzoek (SHA-256)",
        "Request (SHA-256)",
        record.request_digest.clone(),
    );
    add(
        "Antwoord (SHA-256)",
        "Answer (SHA-256)",
        record.answer_digest.clone(),
    );
}

/// The table of counts.
pub fn statistics(view: &StatisticsView, language: Language) -> String {
    let outcomes = ["hit", "no_hit", "could_not_ask", "refused", "officer"];
    let mut header = vec![
        language.pick("Maand", "Month"),
        language.pick("Instantie", "Organisation"),
        language.pick("Doel", "Purpose"),
    ];
    header.extend(outcomes.map(|word| outcome(word, language)));
    header.push(language.pick("Totaal", "Total"));
    let mut out = table(&header);
    let count = |count: Option<u64>| count.map_or_else(|| "*".to_owned(), |count| count.to_string());
    for row in &view.rows {
        out.add_row([
            plain(&row.month),
            plain(&row.organisation),
            plain(&row.purpose),
            count(row.hit),
            count(row.no_hit),
            count(row.could_not_ask),
            count(row.refused),
            count(row.officer),
            count(row.total),
        ]);
    }
    let why = language.pick(
        "* niet getoond: het aantal is kleiner dan, of verraadt een aantal kleiner dan",
        "* not shown: the count is below, or would give away a count below",
    );
    format!("{out}\n{why} {}.\n{}", view.threshold, own(&view.own, language))
}

/// Counts by stretches of time.
pub fn trend(view: &TrendView, language: Language) -> String {
    let outcomes = ["hit", "no_hit", "could_not_ask", "refused", "officer"];
    let mut header = vec![language.pick("Vanaf", "From")];
    header.extend(outcomes.map(|word| outcome(word, language)));
    let mut out = table(&header);
    for stretch in &view.stretches {
        let StretchView {
            from_ms,
            hit,
            no_hit,
            could_not_ask,
            refused,
            officer,
        } = *stretch;
        let mut row = vec![local(&super::page::time(from_ms))];
        row.extend([hit, no_hit, could_not_ask, refused, officer].map(|count| count.to_string()));
        out.add_row(row);
    }
    format!("{out}\n{}", own(&view.own, language))
}

/// What is there of the log.
pub fn completeness(view: &CompletenessView, language: Language) -> String {
    let mut out = table(&["", language.pick("Aantal", "Number")]);
    for (nl, en, count) in [
        ("Regels", "Entries", view.entries),
        ("Volledig", "Whole", view.whole),
        (
            "Zonder gebruiker en zaak",
            "Without user and case",
            view.processing_only,
        ),
        ("Gewist", "Erased", view.erased),
        ("Openbaar", "Public", view.control),
    ] {
        out.add_row([language.pick(nl, en), &count.to_string()]);
    }
    let verdict = match view.first_bad {
        None => language
            .pick(
                "Het logboek is volledig: elke regel is er, of is aantoonbaar gewist.",
                "The log is complete: every entry is there, or was provably erased.",
            )
            .to_owned(),
        Some(index) => format!(
            "{} {}: {}",
            language.pick("NIET VOLLEDIG, vanaf regel", "NOT COMPLETE, from entry"),
            index.saturating_add(1),
            plain(&view.reason)
        ),
    };
    format!("{out}\n{verdict}\n{}", own(&view.own, language))
}

/// What was erased now.
pub fn erased(view: &ErasedView, language: Language) -> String {
    let mut text = String::new();
    for erasure in &view.erasures {
        text.push_str(&format!("{}\n", erasure_line(erasure, language)));
    }
    if view.erasures.is_empty() {
        text.push_str(language.pick("Er was niets te wissen.\n", "There was nothing to erase.\n"));
    }
    text + &own(&view.own, language)
}

/// One erasure in a sentence.
pub fn erasure_line(erasure: &ErasureView, language: Language) -> String {
    let months: Vec<&str> = erasure
        .periods
        .iter()
        .map(|period| period.split_once('/').map_or(period.as_str(), |(month, _)| month))
        .collect();
    let (months, at, count) = (plain(&months.join(", ")), local(&erasure.time), erasure.entries);
    match language {
        Language::Nl => format!("Van {months} zijn {count} regels gewist op {at}."),
        Language::En => format!("Of {months} {count} entries were erased on {at}."),
    }
}

/// What a check of the published log found.
pub fn verify(view: &VerifyView, language: Language) -> String {
    let mut text = String::new();
    let mut line = |nl: &str, en: &str| text.push_str(&format!("{}\n", language.pick(nl, en)));
    let (size, checked) = (view.log_size, view.checked);
    if view.sound {
        line(
            &format!("Het gepubliceerde logboek klopt: {size} regels, alle nagerekend."),
            &format!("The published log is right: {size} entries, all worked out."),
        );
    } else {
        let first = view.first_bad.unwrap_or(0).saturating_add(1);
        let files = view.problem_count;
        line(
            &format!(
                "HET LOGBOEK KLOPT NIET: {files} bestanden fout, vanaf regel {first} ({checked}/{size})."
            ),
            &format!("THE LOG IS NOT RIGHT: {files} files wrong, from entry {first} ({checked}/{size})."),
        );
        for problem in &view.problems {
            line(&format!("  {problem}"), &format!("  {problem}"));
        }
    }
    if view.cosigned {
        line(
            "Genoeg partners hebben het medeondertekend.",
            "Enough partners have cosigned it.",
        );
    } else {
        line(
            "NIET genoeg partners hebben het medeondertekend.",
            "NOT enough partners have cosigned it.",
        );
    }
    for size in &view.heads_off {
        line(
            &format!(
                "DIT STATION ZAG EEN ANDER LOGBOEK bij {size} regels. Bewaar dit en waarschuw de partners."
            ),
            &format!("THIS NODE SAW ANOTHER LOG at {size} entries. Keep this and warn the partners."),
        );
    }
    if view.sound {
        let (on, ahead) = (view.heads_on_it, view.heads_ahead);
        line(
            &format!(
                "Wat dit station eerder zag: {on} standen liggen erop, {ahead} zijn nieuwer dan gepubliceerd."
            ),
            &format!("What this node saw before: {on} heads lie on it, {ahead} are newer than published."),
        );
    }
    text
}

/// What the comparison with the journal found.
pub fn overlap(view: &OverlapView, language: Language) -> String {
    let (journal, log) = (view.journal, view.log);
    let mut text = match language {
        Language::Nl => {
            format!("{journal} eigen regels opgezocht in het logboek, {log} regels van het logboek hier.\n")
        }
        Language::En => {
            format!("{journal} own entries looked up in the log, {log} entries of the log here.\n")
        }
    };
    let mut line = |nl: &str, en: &str| text.push_str(&format!("{}\n", language.pick(nl, en)));
    if view.began.is_none() {
        line(
            "Dit station heeft nog niets gevraagd sinds het een eigen journaal bijhoudt.",
            "This node has asked nothing since it keeps a journal.",
        );
    }
    if !view.unanswered.is_empty() {
        let count = view.unanswered.len();
        line(
            &format!("{count} regels horen bij eigen vragen waarop geen antwoord aankwam."),
            &format!("{count} entries are of own questions to which no answer arrived."),
        );
    }
    for difference in &view.differences {
        let entry = difference.log_index.saturating_add(1);
        let (nl, en) = match difference.code.as_str() {
            "changed" => ("is anders dan toen", "is not what it was"),
            "repeated" => (
                "herhaalt een vraag die al een eigen regel heeft",
                "repeats a request that has its own entry",
            ),
            "not_signed" => (
                "staat op naam van deze instantie, maar is niet door dit station gevraagd",
                "is under this organisation's name, but was not asked by this node",
            ),
            _ => (
                "is niet in het journaal en kan niet meer worden nagegaan",
                "is not in the journal and can no longer be checked",
            ),
        };
        line(
            &format!("VERSCHIL: regel {entry} {nl}."),
            &format!("DIFFERENCE: entry {entry} {en}."),
        );
    }
    if view.differences.is_empty() && view.began.is_some() {
        line("Logboek en journaal stemmen overeen.", "Log and journal agree.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::officer::sample_rows::{hostile, page as sample, rows};

    #[test]
    fn a_page_shows_entries_from_one_and_local_time() {
        let text = page(&sample(rows()), Language::Nl);
        assert!(text.contains("2026-11-21 13:00:00"), "{text}");
        for part in ["j.jansen", "ZK-2026-1", "geweigerd", "zoeken", "gewist", "bekend"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(local("2026-07-01T12:00:00Z"), "2026-07-01 14:00:00");
        assert_eq!(local("no time"), "no time");
    }

    #[test]
    fn what_others_wrote_does_not_steer_the_terminal() {
        let row = hostile("\u{1b}[2J\u{7}x");
        let mut view = sample(vec![row.clone()]);
        view.rows[0].time = "2026-11-21T12:00:00Z".into();
        for text in [page(&view, Language::En), show(&view.rows[0], Language::En)] {
            assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
        }
    }

    #[test]
    fn an_entry_has_all_its_fields_in_words() {
        let text = show(&rows()[0], Language::En);
        for part in [
            "Entry 8",
            "Wams art. 2",
            "https://register.example/v/1",
            "Leerplicht: known",
            "Politie: could not be asked",
            "zorgregisseur",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
