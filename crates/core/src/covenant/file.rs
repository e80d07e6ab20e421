//! The TOML form of a covenant, and the checks that make it one.

use std::collections::HashSet;
use std::ops::Range;
use std::str::FromStr;

use hitmachine_pseudonym::{DeploymentId, DeploymentKind};
use jiff::civil::Date;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::acceptance::{Administrators, AdministratorsError};
use super::limits::{AlarmRules, Quota, QuotaOf, Terms};
use super::{Answers, Covenant, CovenantVersion, Deployment, Officer, Partner, Purpose};
use crate::ids::{Oin, PartnerId, PurposeCode, SubjectClass};

/// The longest term that a covenant may give a registration, in days (two years; Jeugdwet 7.1.4.5).
const MOST_REGISTRATION_DAYS: u32 = 731;
/// The longest term that a covenant may give a log entry, in months (twenty years).
const MOST_LOG_MONTHS: u16 = 240;
/// The most partners; a log entry counts them in one byte.
const MOST_PARTNERS: usize = 200;
/// The most persons in one query.
const MOST_SUBJECTS: usize = 64;

/// What is wrong with a covenant file, and where.
///
/// A covenant is a public document: its texts may be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {problem}")]
pub struct CovenantError {
    /// Line in the file, from 1.
    pub line: usize,
    /// The field, as a path such as `partner.oin`.
    pub field: String,
    /// What is wrong with it and what to do.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Spanned<u32>,
    id: Spanned<String>,
    title: Spanned<String>,
    version: u32,
    valid_from: Spanned<String>,
    valid_until: Spanned<String>,
    deployment: FileDeployment,
    administrators: Option<FileAdministrators>,
    #[serde(default)]
    partner: Vec<FilePartner>,
    #[serde(default)]
    purpose: Vec<FilePurpose>,
    #[serde(default)]
    officer: Vec<FileOfficer>,
    #[serde(default)]
    terms: FileTerms,
    #[serde(default)]
    quota: Vec<FileQuota>,
    #[serde(default)]
    alarms: FileAlarms,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDeployment {
    id: Spanned<String>,
    kind: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAdministrators {
    needed: Spanned<usize>,
    keys: Spanned<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePartner {
    id: Spanned<String>,
    name: Spanned<String>,
    oin: Spanned<String>,
    domain: Spanned<String>,
    contact: Spanned<String>,
    answers: Spanned<String>,
    registers: Vec<Spanned<String>>,
    #[serde(default = "default_registration_days")]
    registration_days: Spanned<u32>,
    #[serde(default = "default_stale_after_hours")]
    stale_after_hours: Spanned<u32>,
    #[serde(default)]
    key_pins: Vec<Spanned<String>>,
    #[serde(default)]
    signing_keys: Vec<Spanned<String>>,
    #[serde(default = "default_live_deadline_ms")]
    live_deadline_ms: Spanned<u32>,
}

fn default_registration_days() -> Spanned<u32> {
    Spanned::new(0..0, 365)
}

fn default_stale_after_hours() -> Spanned<u32> {
    Spanned::new(0..0, 72)
}

fn default_live_deadline_ms() -> Spanned<u32> {
    Spanned::new(0..0, 2_000)
}

fn default_max_screening() -> Spanned<u32> {
    Spanned::new(0..0, 1_000)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePurpose {
    code: Spanned<String>,
    title: Spanned<String>,
    legal_basis: Spanned<String>,
    processing_activity: Spanned<String>,
    askers: Vec<Spanned<String>>,
    roles: Vec<Spanned<String>>,
    consults: Vec<Spanned<String>>,
    #[serde(default)]
    notifies: Vec<Spanned<String>>,
    log_retention_months: Spanned<u16>,
    max_subjects: Spanned<usize>,
    #[serde(default = "default_max_screening")]
    max_screening: Spanned<u32>,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    confidential: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOfficer {
    partner: Spanned<String>,
    roles: Vec<Spanned<String>>,
    log_retention_months: Spanned<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileTerms {
    registration_days_at_most: Spanned<u32>,
    log_months_at_most: Spanned<u16>,
}

impl Default for FileTerms {
    fn default() -> Self {
        Self {
            registration_days_at_most: Spanned::new(0..0, MOST_REGISTRATION_DAYS),
            log_months_at_most: Spanned::new(0..0, MOST_LOG_MONTHS),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileQuota {
    of: Spanned<String>,
    partner: Option<Spanned<String>>,
    purpose: Option<Spanned<String>>,
    persons: Spanned<u32>,
    hours: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileAlarms {
    enumeration_window: Spanned<u32>,
    enumeration_hits: Spanned<u32>,
    volume_factor: Spanned<u32>,
    volume_least: Spanned<u32>,
    usual_hours: Spanned<[String; 2]>,
    notice_days: Spanned<u32>,
}

impl Default for FileAlarms {
    fn default() -> Self {
        let here = |number| Spanned::new(0..0, number);
        Self {
            enumeration_window: here(200),
            enumeration_hits: here(5),
            volume_factor: here(5),
            volume_least: here(100),
            usual_hours: Spanned::new(0..0, ["07:00".to_owned(), "20:00".to_owned()]),
            notice_days: here(7),
        }
    }
}

/// Turns places in the file into line numbers and problems into errors.
struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let end = span.start.min(self.text.len());
        1 + self.text.as_bytes()[..end]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
    }

    fn fail<T>(
        &self,
        span: &Range<usize>,
        field: &str,
        problem: impl Into<String>,
    ) -> Result<T, CovenantError> {
        Err(CovenantError {
            line: self.line(span),
            field: field.into(),
            problem: problem.into(),
        })
    }

    fn parsed<T: FromStr>(&self, value: &Spanned<String>, field: &str) -> Result<T, CovenantError>
    where
        T::Err: std::fmt::Display,
    {
        value
            .get_ref()
            .parse()
            .or_else(|error: T::Err| self.fail(&value.span(), field, error.to_string()))
    }

    fn words(&self, value: Spanned<String>, field: &str, most: usize) -> Result<String, CovenantError> {
        let span = value.span();
        let text = value.into_inner();
        if text.trim().is_empty() {
            return self.fail(&span, field, "must not be empty");
        }
        if text.chars().count() > most || text.chars().any(char::is_control) {
            return self.fail(
                &span,
                field,
                format!("must be one line of at most {most} characters"),
            );
        }
        Ok(text)
    }

    fn between<T: PartialOrd + Copy + std::fmt::Display>(
        &self,
        value: &Spanned<T>,
        field: &str,
        least: T,
        most: T,
    ) -> Result<T, CovenantError> {
        let number = *value.get_ref();
        if number < least || number > most {
            return self.fail(&value.span(), field, format!("must be from {least} to {most}"));
        }
        Ok(number)
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Covenant, CovenantError> {
    let text = std::str::from_utf8(bytes).map_err(|error| CovenantError {
        line: 1 + bytes[..error.valid_up_to()]
            .iter()
            .filter(|b| **b == b'\n')
            .count(),
        field: "file".into(),
        problem: "is not UTF-8 text".into(),
    })?;
    let reader = Reader { text };
    let file: File = toml::from_str(text).or_else(|error| {
        reader.fail(
            &error.span().unwrap_or(0..0),
            "file",
            error.message().replace('\n', " "),
        )
    })?;

    if *file.format.get_ref() != 1 {
        return reader.fail(
            &file.format.span(),
            "format",
            "this program reads covenants of format 1",
        );
    }
    let date = |value: &Spanned<String>, field: &str| -> Result<Date, CovenantError> {
        value
            .get_ref()
            .parse()
            .or_else(|_| reader.fail(&value.span(), field, "must be a date such as \"2026-01-01\""))
    };
    let (valid_from, valid_until) = (
        date(&file.valid_from, "valid_from")?,
        date(&file.valid_until, "valid_until")?,
    );
    if valid_until < valid_from {
        return reader.fail(&file.valid_until.span(), "valid_until", "lies before valid_from");
    }
    let deployment = Deployment {
        id: reader.parsed::<DeploymentId>(&file.deployment.id, "deployment.id")?,
        kind: reader.parsed::<DeploymentKind>(&file.deployment.kind, "deployment.kind")?,
    };

    let administrators = file.administrators.as_ref();
    let administrators = administrators
        .map(|entry| administrators_of(&reader, entry))
        .transpose()?;
    let terms = terms(&reader, &file.terms)?;

    let mut partners: Vec<Partner> = Vec::with_capacity(file.partner.len());
    for entry in file.partner {
        let span = entry.id.span();
        let oin_span = entry.oin.span();
        let partner = partner(&reader, entry, deployment, terms)?;
        if partners.iter().any(|other| other.id == partner.id) {
            return reader.fail(&span, "partner.id", format!("{} is named twice", partner.id));
        }
        if let Some(other) = partners.iter().find(|other| other.oin == partner.oin) {
            return reader.fail(
                &oin_span,
                "partner.oin",
                format!("is also the OIN of {}", other.id),
            );
        }
        partners.push(partner);
    }
    if partners.len() > MOST_PARTNERS {
        return reader.fail(
            &(0..0),
            "partner",
            format!("a covenant has at most {MOST_PARTNERS} partners"),
        );
    }
    if partners.is_empty() {
        return reader.fail(&(0..0), "partner", "a covenant needs at least one [[partner]]");
    }

    let mut purposes: Vec<Purpose> = Vec::with_capacity(file.purpose.len());
    for entry in file.purpose {
        let span = entry.code.span();
        let purpose = purpose(&reader, entry, &partners, terms)?;
        if purposes.iter().any(|other| other.code == purpose.code) {
            return reader.fail(&span, "purpose.code", format!("{} is named twice", purpose.code));
        }
        purposes.push(purpose);
    }
    let mut officers: Vec<Officer> = Vec::with_capacity(file.officer.len());
    for entry in file.officer {
        let span = entry.partner.span();
        let officer = officer(&reader, &entry, &partners, terms)?;
        if officers.iter().any(|other| other.partner == officer.partner) {
            return reader.fail(
                &span,
                "officer.partner",
                format!("{} is named twice", officer.partner),
            );
        }
        officers.push(officer);
    }

    let quotas = file
        .quota
        .iter()
        .map(|entry| quota(&reader, entry, &partners, &purposes))
        .collect::<Result<_, _>>()?;
    let alarm_rules = alarm_rules(&reader, &file.alarms)?;

    Ok(Covenant {
        version: CovenantVersion(Sha256::digest(bytes).into()),
        id: reader.words(file.id, "id", 64)?,
        title: reader.words(file.title, "title", 200)?,
        number: file.version,
        valid_from,
        valid_until,
        deployment,
        administrators,
        partners,
        purposes,
        officers,
        terms,
        quotas,
        alarm_rules,
    })
}

fn administrators_of(
    reader: &Reader<'_>,
    entry: &FileAdministrators,
) -> Result<Administrators, CovenantError> {
    let keys: Vec<&str> = entry
        .keys
        .get_ref()
        .iter()
        .map(|key| key.get_ref().as_str())
        .collect();
    Administrators::new(*entry.needed.get_ref(), &keys).or_else(|error| {
        let (span, field) = match error {
            AdministratorsError::Key(place) | AdministratorsError::Twice(place) => {
                let key = entry.keys.get_ref().get(place.saturating_sub(1));
                (key.map_or(0..0, Spanned::span), "administrators.keys")
            }
            AdministratorsError::Count => (entry.keys.span(), "administrators.keys"),
            AdministratorsError::Needed => (entry.needed.span(), "administrators.needed"),
        };
        reader.fail(&span, field, error.to_string())
    })
}

fn terms(reader: &Reader<'_>, entry: &FileTerms) -> Result<Terms, CovenantError> {
    Ok(Terms {
        registration_days_at_most: reader.between(
            &entry.registration_days_at_most,
            "terms.registration_days_at_most",
            1,
            MOST_REGISTRATION_DAYS,
        )?,
        log_months_at_most: reader.between(
            &entry.log_months_at_most,
            "terms.log_months_at_most",
            1,
            MOST_LOG_MONTHS,
        )?,
    })
}

fn quota(
    reader: &Reader<'_>,
    entry: &FileQuota,
    partners: &[Partner],
    purposes: &[Purpose],
) -> Result<Quota, CovenantError> {
    let of = match entry.of.get_ref().as_str() {
        "partner" => QuotaOf::Partner,
        "user" => QuotaOf::User,
        _ => return reader.fail(&entry.of.span(), "quota.of", "must be \"partner\" or \"user\""),
    };
    let partner: Option<PartnerId> = match &entry.partner {
        None => None,
        Some(name) => {
            let id = reader.parsed(name, "quota.partner")?;
            if !partners.iter().any(|partner| partner.id == id) {
                let problem = format!("{id} is not a [[partner]] of this covenant");
                return reader.fail(&name.span(), "quota.partner", problem);
            }
            Some(id)
        }
    };
    let purpose: Option<PurposeCode> = match &entry.purpose {
        None => None,
        Some(name) => {
            let code = reader.parsed(name, "quota.purpose")?;
            if !purposes.iter().any(|purpose| purpose.code == code) {
                let problem = format!("{code} is not a [[purpose]] of this covenant");
                return reader.fail(&name.span(), "quota.purpose", problem);
            }
            Some(code)
        }
    };
    Ok(Quota {
        of,
        partner,
        purpose,
        persons: reader.between(&entry.persons, "quota.persons", 1, 100_000_000)?,
        hours: reader.between(&entry.hours, "quota.hours", 1, 24 * 366)?,
    })
}

fn alarm_rules(reader: &Reader<'_>, entry: &FileAlarms) -> Result<AlarmRules, CovenantError> {
    let window = reader.between(&entry.enumeration_window, "alarms.enumeration_window", 20, 10_000)?;
    let [from, to] = entry.usual_hours.get_ref();
    let (Ok(from), Ok(to)) = (from.parse(), to.parse()) else {
        return reader.fail(
            &entry.usual_hours.span(),
            "alarms.usual_hours",
            "must be two times such as [\"07:00\", \"20:00\"]",
        );
    };
    if from >= to {
        return reader.fail(
            &entry.usual_hours.span(),
            "alarms.usual_hours",
            "the second time must lie after the first",
        );
    }
    Ok(AlarmRules {
        enumeration_window: window,
        enumeration_hits: reader.between(
            &entry.enumeration_hits,
            "alarms.enumeration_hits",
            0,
            window / 2,
        )?,
        volume_factor: reader.between(&entry.volume_factor, "alarms.volume_factor", 2, 1_000)?,
        volume_least: reader.between(&entry.volume_least, "alarms.volume_least", 1, 100_000_000)?,
        usual_hours: (from, to),
        notice_days: reader.between(&entry.notice_days, "alarms.notice_days", 1, 366)?,
    })
}

fn partner(
    reader: &Reader<'_>,
    entry: FilePartner,
    deployment: Deployment,
    terms: Terms,
) -> Result<Partner, CovenantError> {
    let oin: Oin = reader.parsed(&entry.oin, "partner.oin")?;
    if deployment.kind == DeploymentKind::Production && oin.is_test() {
        return reader.fail(
            &entry.oin.span(),
            "partner.oin",
            "is a test OIN, in a production covenant",
        );
    }
    let answers = match entry.answers.get_ref().as_str() {
        "index" => Answers::Index,
        "live" => Answers::Live,
        _ => {
            return reader.fail(
                &entry.answers.span(),
                "partner.answers",
                "must be \"index\" or \"live\"",
            );
        }
    };
    let mut registers = Vec::new();
    for class in &entry.registers {
        let class_value = match class.get_ref().as_str() {
            "minor" => SubjectClass::Minor,
            "adult" => SubjectClass::Adult,
            _ => {
                return reader.fail(
                    &class.span(),
                    "partner.registers",
                    "may hold \"minor\" and \"adult\"",
                );
            }
        };
        if registers.contains(&class_value) {
            return reader.fail(&class.span(), "partner.registers", "names a class twice");
        }
        registers.push(class_value);
    }
    let mut key_pins = Vec::new();
    for pin in &entry.key_pins {
        let mut bytes = [0; 32];
        if hex::decode_to_slice(pin.get_ref(), &mut bytes).is_err() {
            return reader.fail(
                &pin.span(),
                "partner.key_pins",
                "must be a SHA-256 in 64 hexadecimal digits",
            );
        }
        key_pins.push(bytes);
    }
    Ok(Partner {
        id: reader.parsed(&entry.id, "partner.id")?,
        name: reader.words(entry.name, "partner.name", 80)?,
        oin,
        domain: reader.words(entry.domain, "partner.domain", 40)?,
        contact: reader.words(entry.contact, "partner.contact", 200)?,
        answers,
        registers,
        registration_days: reader.between(
            &entry.registration_days,
            "partner.registration_days",
            1,
            terms.registration_days_at_most,
        )?,
        stale_after_hours: reader.between(
            &entry.stale_after_hours,
            "partner.stale_after_hours",
            1,
            24 * 366,
        )?,
        key_pins,
        signing_keys: entry
            .signing_keys
            .iter()
            .map(|key| reader.parsed(key, "partner.signing_keys"))
            .collect::<Result<_, _>>()?,
        live_deadline_ms: reader.between(&entry.live_deadline_ms, "partner.live_deadline_ms", 100, 10_000)?,
    })
}

/// A partner that the covenant names elsewhere, and that must be able to sign what it asks.
fn signing_partner(
    reader: &Reader<'_>,
    name: &Spanned<String>,
    id: &PartnerId,
    partners: &[Partner],
    field: &str,
) -> Result<(), CovenantError> {
    let Some(partner) = partners.iter().find(|partner| partner.id == *id) else {
        let problem = format!("{id} is not a [[partner]] of this covenant");
        return reader.fail(&name.span(), field, problem);
    };
    if partner.signing_keys.is_empty() {
        let problem = format!("{id} has no signing_keys, so it cannot sign what it asks");
        return reader.fail(&name.span(), field, problem);
    }
    Ok(())
}

fn officer(
    reader: &Reader<'_>,
    entry: &FileOfficer,
    partners: &[Partner],
    terms: Terms,
) -> Result<Officer, CovenantError> {
    let partner = reader.parsed(&entry.partner, "officer.partner")?;
    signing_partner(reader, &entry.partner, &partner, partners, "officer.partner")?;
    Ok(Officer {
        partner,
        roles: entry
            .roles
            .iter()
            .map(|role| reader.parsed(role, "officer.roles"))
            .collect::<Result<_, _>>()?,
        log_retention_months: reader.between(
            &entry.log_retention_months,
            "officer.log_retention_months",
            1,
            terms.log_months_at_most,
        )?,
    })
}

fn purpose(
    reader: &Reader<'_>,
    entry: FilePurpose,
    partners: &[Partner],
    terms: Terms,
) -> Result<Purpose, CovenantError> {
    let named = |list: &[Spanned<String>], field: &str| -> Result<Vec<PartnerId>, CovenantError> {
        let mut seen = HashSet::new();
        let mut ids = Vec::with_capacity(list.len());
        for name in list {
            let id: PartnerId = reader.parsed(name, field)?;
            if !partners.iter().any(|partner| partner.id == id) {
                return reader.fail(
                    &name.span(),
                    field,
                    format!("{id} is not a [[partner]] of this covenant"),
                );
            }
            if !seen.insert(id.clone()) {
                return reader.fail(&name.span(), field, format!("{id} is named twice"));
            }
            ids.push(id);
        }
        Ok(ids)
    };
    let askers = named(&entry.askers, "purpose.askers")?;
    for (id, name) in askers.iter().zip(&entry.askers) {
        signing_partner(reader, name, id, partners, "purpose.askers")?;
    }
    let consults = named(&entry.consults, "purpose.consults")?;
    for (id, name) in consults.iter().zip(&entry.consults) {
        if partners
            .iter()
            .any(|partner| partner.id == *id && partner.registers.is_empty())
        {
            return reader.fail(
                &name.span(),
                "purpose.consults",
                format!("{id} registers nobody (registers = []), so it cannot be consulted"),
            );
        }
    }
    let notifies = named(&entry.notifies, "purpose.notifies")?;
    for (id, name) in notifies.iter().zip(&entry.notifies) {
        if !consults.contains(id) {
            let problem = format!("{id} is not consulted, so no hit can fall there");
            return reader.fail(&name.span(), "purpose.notifies", problem);
        }
    }
    let roles = entry
        .roles
        .iter()
        .map(|role| reader.parsed(role, "purpose.roles"))
        .collect::<Result<Vec<_>, _>>()?;
    let span = entry.processing_activity.span();
    let processing_activity = reader.words(entry.processing_activity, "purpose.processing_activity", 200)?;
    if !processing_activity.starts_with("https://") || processing_activity.contains(char::is_whitespace) {
        return reader.fail(&span, "purpose.processing_activity", "must be an https URI");
    }
    Ok(Purpose {
        code: reader.parsed(&entry.code, "purpose.code")?,
        title: reader.words(entry.title, "purpose.title", 120)?,
        legal_basis: reader.words(entry.legal_basis, "purpose.legal_basis", 200)?,
        processing_activity,
        askers,
        roles,
        consults,
        log_retention_months: reader.between(
            &entry.log_retention_months,
            "purpose.log_retention_months",
            1,
            terms.log_months_at_most,
        )?,
        notifies,
        max_subjects: reader.between(&entry.max_subjects, "purpose.max_subjects", 1, MOST_SUBJECTS)?,
        max_screening: reader.between(&entry.max_screening, "purpose.max_screening", 1, 10_000_000)?,
        strict: entry.strict,
        confidential: entry.confidential,
    })
}

#[cfg(test)]
mod tests;
