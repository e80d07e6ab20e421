//! The covenant (convenant): who may ask what about whom, as data.
//!
//! One TOML file, versioned by the SHA-256 of its bytes. Unknown fields are refused, every name that is
//! referred to must exist, and what it does not grant is not allowed: an empty list grants nothing.
//! [`Covenant::parse`] is the only way to one, so a `Covenant` that exists has been checked.

pub mod acceptance;
mod advice;
pub mod difference;
mod document;
mod file;
mod limits;

use std::fmt;

use hitmachine_pseudonym::{DeploymentId, DeploymentKind};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::clock::{Day, dutch_date};
use crate::ids::{Oin, PartnerId, PurposeCode, RoleCode, SubjectClass};
use crate::signed::{RequestKey, SignedRequest};

pub use acceptance::{Administrators, AdministratorsError, NotAccepted, Trust};
pub use advice::{Advice, advice};
pub use difference::{Change, difference};
pub use document::Document;
pub use file::CovenantError;
pub use limits::{AlarmRules, Quota, QuotaOf, Terms};

/// SHA-256 of the covenant file's bytes; part of every query and every log entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CovenantVersion(pub [u8; 32]);

impl fmt::Display for CovenantVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for CovenantVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CovenantVersion({}…)", hex::encode(&self.0[..4]))
    }
}

/// The agreement between the partners.
#[derive(Clone, Debug)]
pub struct Covenant {
    version: CovenantVersion,
    id: String,
    title: String,
    number: u32,
    valid_from: Date,
    valid_until: Date,
    deployment: Deployment,
    administrators: Option<Administrators>,
    partners: Vec<Partner>,
    purposes: Vec<Purpose>,
    officers: Vec<Officer>,
    terms: Terms,
    quotas: Vec<Quota>,
    alarm_rules: AlarmRules,
}

/// Which installation a covenant is for; part of every pseudonym, so that numbers of a test can never match
/// numbers of production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// 16 public random bytes.
    pub id: DeploymentId,
    /// Production, test or demo.
    pub kind: DeploymentKind,
}

/// How a partner answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// It registers pseudonyms at the broker, which answers from its index.
    Index,
    /// Its node answers each question itself and the broker keeps nothing.
    Live,
}

/// An organisation that signed the covenant (convenantpartner, instantie).
#[derive(Clone, Debug)]
pub struct Partner {
    /// Short name.
    pub id: PartnerId,
    /// Name as people know it.
    pub name: String,
    /// Identity in its certificate, `subject.serialNumber`.
    pub oin: Oin,
    /// Life domain or chain, such as `gemeente`, `zorg` or `strafrecht`.
    pub domain: String,
    /// How to reach it after a hit: desk, telephone, e-mail.
    pub contact: String,
    /// From an index at the broker, or live.
    pub answers: Answers,
    /// Which classes it may register and is asked about; empty for one that only asks.
    pub registers: Vec<SubjectClass>,
    /// How many days a registration answers after the sync that sent it.
    pub registration_days: u32,
    /// After how many hours without a completed sync its index is not asked any more.
    pub stale_after_hours: u32,
    /// SHA-256 of the public keys (SPKI) its certificate may have; empty allows every certificate of the
    /// trusted authority with its OIN.
    pub key_pins: Vec<[u8; 32]>,
    /// Keys with which its node signs requests; without one it cannot ask.
    pub signing_keys: Vec<RequestKey>,
    /// How long the hub waits for its node if it answers live, in milliseconds; after that it could not be asked.
    pub live_deadline_ms: u32,
}

impl Partner {
    /// Whether the covenant lets it register persons of this class.
    pub fn registers(&self, class: SubjectClass) -> bool {
        self.registers.contains(&class)
    }

    /// Whether a certificate with this public key may speak for it.
    pub fn accepts_key(&self, public_key_sha256: &[u8; 32]) -> bool {
        self.key_pins.is_empty() || self.key_pins.contains(public_key_sha256)
    }

    /// Whether one of its keys signed the request.
    pub fn signed(&self, request: &SignedRequest) -> bool {
        self.signing_keys.iter().any(|key| key.verifies(request))
    }

    /// Whether one of its keys signed what partners that answer live get of a question.
    pub fn signed_live(&self, frame: &[u8], signature: &[u8; 64]) -> bool {
        self.signing_keys
            .iter()
            .any(|key| key.verifies_live(frame, signature))
    }

    /// Whether its registrations are kept at the broker. Those of one that answers live, or registers nobody, are
    /// not.
    pub fn keeps_register(&self) -> bool {
        self.answers == Answers::Index && !self.registers.is_empty()
    }

    /// After how many hours without a completed sync its index is not asked any more: as the covenant says, and never
    /// after a registration of its last sync would have expired. So a term that the covenant shortened holds for
    /// registrations made before, too.
    pub fn asked_for_hours(&self) -> u32 {
        self.stale_after_hours
            .min(self.registration_days.saturating_mul(24))
    }

    /// The last day on which a registration made on `today` may still answer.
    pub fn latest_valid_until(&self, today: Day) -> Day {
        today.plus(self.registration_days)
    }
}

/// Why one may ask: doel en grondslag (AVG art. 5 and 6).
#[derive(Clone, Debug)]
pub struct Purpose {
    /// Short name.
    pub code: PurposeCode,
    /// Name as people know it.
    pub title: String,
    /// Lawful basis in words.
    pub legal_basis: String,
    /// URI of the processing activity in the public register.
    pub processing_activity: String,
    /// Partners that may ask.
    pub askers: Vec<PartnerId>,
    /// Roles that may ask.
    pub roles: Vec<RoleCode>,
    /// Partners that are consulted, in the order in which answers list them.
    pub consults: Vec<PartnerId>,
    /// How long log entries under it are kept, in months.
    pub log_retention_months: u16,
    /// Which of the consulted partners are told of a hit at them (hit notice).
    pub notifies: Vec<PartnerId>,
    /// The most persons in one query (household cap), 1 to 64.
    pub max_subjects: usize,
    /// The most persons in one screening of a list (batch cap).
    pub max_screening: u32,
    /// Whether an answer waits until a quorum of witnesses has cosigned its log entry.
    pub strict: bool,
    /// Whether lookups under it are left out of the report for a person (AVG art. 23; LDV: confidentiality is a
    /// matter of the processing activity).
    pub confidential: bool,
}

/// Who may review the audit log (privacyfunctionaris, FG).
#[derive(Clone, Debug)]
pub struct Officer {
    /// The partner whose node they use.
    pub partner: PartnerId,
    /// Their roles.
    pub roles: Vec<RoleCode>,
    /// How long the log entries about their own actions are kept, in months.
    pub log_retention_months: u16,
}

impl Covenant {
    /// Reads and checks a covenant file.
    ///
    /// # Errors
    /// [`CovenantError`] names line and field of the first thing that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, CovenantError> {
        file::parse(bytes)
    }

    /// SHA-256 of the file.
    pub fn version(&self) -> CovenantVersion {
        self.version
    }

    /// Short name of the covenant.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Its number in the row of versions that people count.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// First and last day on which it is in force.
    pub fn validity(&self) -> (Date, Date) {
        (self.valid_from, self.valid_until)
    }

    /// Which installation it is for.
    pub fn deployment(&self) -> Deployment {
        self.deployment
    }

    /// Who must sign the next one; a demo may have none.
    pub fn administrators(&self) -> Option<&Administrators> {
        self.administrators.as_ref()
    }

    /// All partners, in the order of the file.
    pub fn partners(&self) -> &[Partner] {
        &self.partners
    }

    /// All purposes, in the order of the file.
    pub fn purposes(&self) -> &[Purpose] {
        &self.purposes
    }

    /// Who may review the log.
    pub fn officers(&self) -> &[Officer] {
        &self.officers
    }

    /// The longest terms that it allows.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// How many persons may be asked about in how long, in the order of the file.
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    /// When a privacy officer is alarmed.
    pub fn alarm_rules(&self) -> &AlarmRules {
        &self.alarm_rules
    }

    /// The partner with this short name.
    pub fn partner(&self, id: &PartnerId) -> Option<&Partner> {
        self.partners.iter().find(|partner| partner.id == *id)
    }

    /// The partner with this OIN.
    pub fn partner_by_oin(&self, oin: &Oin) -> Option<&Partner> {
        self.partners.iter().find(|partner| partner.oin == *oin)
    }

    /// The purpose with this short name.
    pub fn purpose(&self, code: &PurposeCode) -> Option<&Purpose> {
        self.purposes.iter().find(|purpose| purpose.code == *code)
    }

    /// Whether it is in force at this moment: from midnight at the beginning of its first day until midnight at the end
    /// of its last, where the partners live (Europe/Amsterdam, summer and winter).
    pub fn in_force(&self, now: Timestamp) -> bool {
        let today = dutch_date(now);
        self.valid_from <= today && today <= self.valid_until
    }
}

impl Purpose {
    /// The partners that are consulted when `asker` asks: all that the purpose names, but the asker itself.
    pub fn consulted_by<'a>(&'a self, asker: &'a PartnerId) -> impl Iterator<Item = &'a PartnerId> {
        self.consults.iter().filter(move |id| *id != asker)
    }

    /// Whether any partner that is consulted when `asker` asks answers live: then the question carries a signature for
    /// it.
    pub fn asks_live(&self, covenant: &Covenant, asker: &PartnerId) -> bool {
        self.consulted_by(asker)
            .filter_map(|id| covenant.partner(id))
            .any(|partner| partner.answers == Answers::Live)
    }
}
