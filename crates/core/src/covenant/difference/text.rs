//! Differences for people: Dutch (B1) and English.

use super::{Change, ChangeKind, QuotaName, Subject, Unit, Value};
use crate::covenant::Answers;
use crate::ids::SubjectClass;

#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Dutch,
    English,
}

impl In {
    fn pick<'a>(self, nl: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Dutch => nl,
            Self::English => en,
        }
    }
}

impl Change {
    /// One sentence in Dutch.
    pub fn text_nl(&self) -> String {
        self.text(In::Dutch)
    }

    /// One sentence in English.
    pub fn text_en(&self) -> String {
        self.text(In::English)
    }

    fn text(&self, language: In) -> String {
        let subject = self.subject.text(language);
        let table = self.subject.table();
        let what = match &self.kind {
            ChangeKind::Added => added(&self.subject, language).to_owned(),
            ChangeKind::Removed => removed(&self.subject, language).to_owned(),
            ChangeKind::Set { from, to } => {
                let name = field_name(table, self.field, language);
                let (from, to) = (from.text(language), to.text(language));
                match language {
                    In::Dutch => format!("{name} was {from} en wordt {to}"),
                    In::English => format!("{name} was {from} and becomes {to}"),
                }
            }
            ChangeKind::Gained(value) => sentence(gained(table, self.field, language), value, language),
            ChangeKind::Lost(value) => sentence(lost(table, self.field, language), value, language),
            ChangeKind::Reordered => {
                let name = field_name(table, self.field, language);
                format!("{name}: {}", language.pick("andere volgorde", "another order"))
            }
        };
        format!("{subject}: {what}")
    }
}

impl Subject {
    fn text(&self, language: In) -> String {
        match self {
            Self::Covenant => language.pick("Convenant", "Covenant").to_owned(),
            Self::Administrators => language
                .pick("Beheerders van het convenant", "Administrators of the covenant")
                .to_owned(),
            Self::Terms => language.pick("Termijnen", "Terms").to_owned(),
            Self::Alarms => language.pick("Alarmregels", "Alarm rules").to_owned(),
            Self::Partner(id, name) => {
                format!("{} {name} ({id})", language.pick("Instantie", "Organisation"))
            }
            Self::Purpose(code, _) => format!("{} {code}", language.pick("Doel", "Purpose")),
            Self::Officer(_, name) => format!(
                "{} {name}",
                language.pick("Privacyfunctionaris bij", "Privacy officer at")
            ),
            Self::Quota(quota) => quota.text(language),
        }
    }
}

impl QuotaName {
    fn text(&self, language: In) -> String {
        let mut text = match (self.each_user, language) {
            (false, In::Dutch) => "Quotum per instantie".to_owned(),
            (true, In::Dutch) => "Quotum per gebruiker".to_owned(),
            (false, In::English) => "Quota per organisation".to_owned(),
            (true, In::English) => "Quota per user".to_owned(),
        };
        if let Some((_, name)) = &self.partner {
            text.push_str(&format!(" {} {name}", language.pick("van", "of")));
        }
        if let Some(purpose) = &self.purpose {
            text.push_str(&format!(" {} {purpose}", language.pick("voor", "for")));
        }
        text
    }
}

impl Value {
    /// In Dutch, for people.
    pub fn text_nl(&self) -> String {
        self.text(In::Dutch)
    }

    /// In English, for people.
    pub fn text_en(&self) -> String {
        self.text(In::English)
    }

    fn text(&self, language: In) -> String {
        match self {
            Self::Words(words) => words.clone(),
            Self::Count(number, unit) => {
                let unit = unit.text(*number, language);
                if unit.is_empty() {
                    number.to_string()
                } else {
                    format!("{number} {unit}")
                }
            }
            Self::Day(day) => day.to_string(),
            Self::Flag(on) => if *on {
                language.pick("ja", "yes")
            } else {
                language.pick("nee", "no")
            }
            .to_owned(),
            Self::Answers(Answers::Index) => language
                .pick("uit het register bij de hub", "from its register at the hub")
                .to_owned(),
            Self::Answers(Answers::Live) => language.pick("rechtstreeks (live)", "live").to_owned(),
            Self::Class(SubjectClass::Minor) => language.pick("minderjarigen", "minors").to_owned(),
            Self::Class(SubjectClass::Adult) => language.pick("volwassenen", "adults").to_owned(),
            Self::Partner(_, name) => name.clone(),
            Self::Hours(from, to) => {
                let (from, to) = (from.strftime("%H:%M"), to.strftime("%H:%M"));
                format!("{from}–{to}")
            }
        }
    }
}

impl Unit {
    fn text(self, number: u64, language: In) -> &'static str {
        let one = number == 1;
        let pick = |(nl_one, nl, en_one, en): (&'static str, &'static str, &'static str, &'static str)| {
            match language {
                In::Dutch if one => nl_one,
                In::Dutch => nl,
                In::English if one => en_one,
                In::English => en,
            }
        };
        pick(match self {
            Self::Plain => ("", "", "", ""),
            Self::Days => ("dag", "dagen", "day", "days"),
            Self::Hours => ("uur", "uur", "hour", "hours"),
            Self::Months => ("maand", "maanden", "month", "months"),
            Self::Persons => ("persoon", "personen", "person", "persons"),
            Self::Milliseconds => ("milliseconde", "milliseconden", "millisecond", "milliseconds"),
        })
    }
}

/// `{}` in a template stands for the value.
fn sentence(template: &str, value: &Value, language: In) -> String {
    template.replacen("{}", &value.text(language), 1)
}

fn added(subject: &Subject, language: In) -> &'static str {
    match (subject, language) {
        (Subject::Partner(..), In::Dutch) => "doet nu mee",
        (Subject::Partner(..), In::English) => "takes part now",
        (Subject::Officer(..), In::Dutch) => "mag het logboek nu beoordelen",
        (Subject::Officer(..), In::English) => "may review the log now",
        (_, In::Dutch) => "is nieuw",
        (_, In::English) => "is new",
    }
}

fn removed(subject: &Subject, language: In) -> &'static str {
    match (subject, language) {
        (Subject::Partner(..), In::Dutch) => "doet niet meer mee; wat zij registreerde wordt gewist",
        (Subject::Partner(..), In::English) => "takes no part any more; what it registered is deleted",
        (Subject::Purpose(..), In::Dutch) => "vervalt; niemand mag er nog om vragen",
        (Subject::Purpose(..), In::English) => "is gone; nobody may ask for it any more",
        (Subject::Officer(..), In::Dutch) => "mag het logboek niet meer beoordelen",
        (Subject::Officer(..), In::English) => "may not review the log any more",
        (_, In::Dutch) => "vervalt",
        (_, In::English) => "is gone",
    }
}

fn gained(table: &str, field: &str, language: In) -> &'static str {
    let (nl, en) = match (table, field) {
        ("purpose", "askers") => ("{} mag nu ook vragen", "{} may ask now, too"),
        ("purpose", "consults") => ("{} wordt nu ook bevraagd", "{} is asked now, too"),
        ("purpose", "notifies") => (
            "{} krijgt nu een bericht bij een treffer",
            "{} is told of a hit now",
        ),
        ("purpose", "roles") => ("de rol {} mag nu ook vragen", "the role {} may ask now, too"),
        ("officer", "roles") => ("de rol {} mag dat nu ook", "the role {} may now, too"),
        ("partner", "registers") => (
            "registreert nu ook {} en wordt over hen bevraagd",
            "registers {} now, too, and is asked about them",
        ),
        ("partner", "key_pins") => (
            "nieuwe sleutel voor het certificaat: {}",
            "new key for its certificate: {}",
        ),
        ("partner", "signing_keys") => ("nieuwe sleutel om mee te vragen: {}", "new key to ask with: {}"),
        ("administrators", _) => ("{} komt erbij", "{} is new"),
        ("quota", _) => ("nieuw, met {}", "new, with {}"),
        _ => ("erbij: {}", "new: {}"),
    };
    match language {
        In::Dutch => nl,
        In::English => en,
    }
}

fn lost(table: &str, field: &str, language: In) -> &'static str {
    let (nl, en) = match (table, field) {
        ("purpose", "askers") => ("{} mag niet meer vragen", "{} may not ask any more"),
        ("purpose", "consults") => ("{} wordt niet meer bevraagd", "{} is not asked any more"),
        ("purpose", "notifies") => (
            "{} krijgt geen bericht meer bij een treffer",
            "{} is not told of a hit any more",
        ),
        ("purpose", "roles") => (
            "de rol {} mag niet meer vragen",
            "the role {} may not ask any more",
        ),
        ("officer", "roles") => ("de rol {} mag dat niet meer", "the role {} may not any more"),
        ("partner", "registers") => (
            "registreert geen {} meer en wordt niet meer over hen bevraagd",
            "registers no {} any more and is not asked about them",
        ),
        ("partner", "key_pins") => (
            "sleutel voor het certificaat vervalt: {}",
            "key for its certificate is gone: {}",
        ),
        ("partner", "signing_keys") => (
            "sleutel om mee te vragen vervalt: {}",
            "key to ask with is gone: {}",
        ),
        ("administrators", _) => ("{} vervalt", "{} is gone"),
        ("quota", _) => ("het quotum met {} vervalt", "the one with {} is gone"),
        _ => ("vervalt: {}", "gone: {}"),
    };
    match language {
        In::Dutch => nl,
        In::English => en,
    }
}

fn field_name(table: &str, field: &'static str, language: In) -> &'static str {
    let (nl, en) = match (table, field) {
        ("covenant", "id") => ("korte naam", "short name"),
        ("covenant" | "purpose", "title") => ("titel", "title"),
        ("covenant", "version") => ("nummer", "number"),
        ("covenant", "valid_from") => ("eerste dag", "first day"),
        ("covenant", "valid_until") => ("laatste dag", "last day"),
        ("covenant", "deployment.id") => ("installatie", "deployment"),
        ("covenant", "deployment.kind") => ("soort installatie", "kind of deployment"),
        ("administrators", "needed") => ("aantal dat moet tekenen", "number that must sign"),
        ("terms", "registration_days_at_most") => (
            "langste termijn van een registratie",
            "longest term of a registration",
        ),
        ("terms", "log_months_at_most") => (
            "langste bewaartermijn van een logregel",
            "longest term of a log entry",
        ),
        ("alarms", "enumeration_window") => (
            "aftasten: beoordeeld worden de laatste",
            "enumeration: looked at are the last",
        ),
        ("alarms", "enumeration_hits") => (
            "aftasten: verdacht tot en met zoveel treffers",
            "enumeration: suspect up to so many hits",
        ),
        ("alarms", "volume_factor") => (
            "ongewoon veel: meer dan zoveel keer het gewone aantal",
            "unusual volume: more than so many times the usual",
        ),
        ("alarms", "volume_least") => ("ongewoon veel: pas vanaf", "unusual volume: not below"),
        ("alarms", "usual_hours") => ("gewone uren", "usual hours"),
        ("alarms", "notice_days") => ("bericht niet opgehaald gedurende", "notice not fetched for"),
        ("partner", "name") => ("naam", "name"),
        ("partner", "oin") => ("OIN", "OIN"),
        ("partner", "domain") => ("domein", "domain"),
        ("partner", "contact") => ("bereikbaarheid", "contact"),
        ("partner", "answers") => ("manier van antwoorden", "way of answering"),
        ("partner", "registration_days") => ("termijn van een registratie", "term of a registration"),
        ("partner", "stale_after_hours") => ("te oud om te bevragen na", "too old to be asked after"),
        ("partner", "live_deadline_ms") => ("wachttijd op een antwoord", "time to wait for an answer"),
        ("purpose", "legal_basis") => ("grondslag", "legal basis"),
        ("purpose", "processing_activity") => ("verwerkingsactiviteit", "processing activity"),
        ("purpose", "consults") => ("bevraagde instanties", "organisations asked"),
        ("purpose" | "officer", "log_retention_months") => {
            ("bewaartermijn van logregels", "term of log entries")
        }
        ("purpose", "max_subjects") => ("meeste personen in één vraag", "most persons in one question"),
        ("purpose", "max_screening") => (
            "meeste personen in één screening",
            "most persons in one screening",
        ),
        ("purpose", "strict") => ("antwoord wacht op getuigen", "answer waits for witnesses"),
        ("purpose", "confidential") => (
            "blijft buiten het overzicht voor de betrokkene",
            "left out of the report for the person",
        ),
        ("quota", "persons") => ("aantal", "number"),
        ("quota", "hours") => ("weer vol na", "full again after"),
        _ => (field, field),
    };
    match language {
        In::Dutch => nl,
        In::English => en,
    }
}
