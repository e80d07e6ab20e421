//! Why something did not work, for the person at the command line and for machines.

use hitmachine_audit::tiles::VerifyError;
use hitmachine_core::Refusal;
use hitmachine_service::console::chain;
use hitmachine_service::exit;
use hitmachine_store::DbError;
use serde::{Deserialize, Serialize};

use crate::ask::AskError;
use crate::language::Language;
use crate::link::LinkError;
use crate::officer::OfficerError;
use crate::source::SourceError;
use crate::state::StateError;
use crate::sync::SyncError;

/// Why something did not work, for people and machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// Exit code of the process.
    pub exit: u8,
    /// In English.
    pub text_en: String,
    /// In Dutch.
    pub text_nl: String,
}

impl Failure {
    pub(crate) fn new(code: &str, exit: u8, text_en: impl Into<String>, text_nl: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            exit,
            text_en: text_en.into(),
            text_nl: text_nl.into(),
        }
    }

    /// The text in one language.
    pub fn text(&self, language: Language) -> &str {
        language.pick(&self.text_nl, &self.text_en)
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        Self::from(&error)
    }
}

impl From<&LinkError> for Failure {
    fn from(error: &LinkError) -> Self {
        let en = error.to_string();
        match error {
            LinkError::Connect(cause) => {
                let nl = format!("het knooppunt is niet bereikbaar: {}", cause.text_nl());
                Self::new(cause.code(), exit::UNREACHABLE, en, nl)
            }
            LinkError::TimedOut => Self::new(
                "timed_out",
                exit::UNREACHABLE,
                en,
                "het knooppunt antwoordde niet op tijd",
            ),
            LinkError::Refused(text) => {
                // The hub says `code: text`; a library on its way may have said something else.
                let stable = |code: &&str| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                let code = text.split_once(": ").map(|(code, _)| code).filter(stable);
                let nl = format!("het knooppunt weigert: {text}");
                Self::new(code.unwrap_or("refused"), exit::REFUSED, en, nl)
            }
            LinkError::Disagree(what) => {
                let nl = format!("dit station en het knooppunt zijn het niet eens over: {what}");
                Self::new("disagree", exit::INTEGRITY, en, nl)
            }
            LinkError::NotAccepted(why) => {
                let nl = format!(
                    "het convenant van het knooppunt wordt niet aanvaard: {}",
                    why.text_nl()
                );
                Self::new(why.code(), exit::INTEGRITY, en, nl)
            }
            LinkError::State(error) => Self::state(error),
            LinkError::Unreadable(what) => {
                let nl = format!("het knooppunt stuurde iets onleesbaars: {what}");
                Self::new("unreadable", exit::INTEGRITY, en, nl)
            }
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let en = error.to_string();
        match error {
            AskError::Link(error) => error.into(),
            AskError::Field { .. } => {
                Self::new("field", exit::USAGE, en.clone(), format!("veld niet goed: {en}"))
            }
            AskError::BsnInText(_) => Self::new(
                "bsn_in_text",
                exit::USAGE,
                en,
                "in een tekstveld staat wat een BSN lijkt; er is niets verstuurd. Schrijf een kenmerk dat geen BSN is",
            ),
            AskError::PersonCount(most) => Self::new(
                "person_count",
                exit::USAGE,
                en,
                format!("een vraag gaat over 1 tot {most} personen"),
            ),
            AskError::NotProven(_) => Self::new(
                "not_proven",
                exit::INTEGRITY,
                en,
                "het antwoord is niet bewezen vastgelegd en wordt niet getoond; waarschuw de privacyfunctionaris",
            ),
            AskError::NotBacked(_) => Self::new(
                "not_backed",
                exit::REFUSED,
                en,
                "te weinig partners bevestigen op dit moment het logboek van het knooppunt; het antwoord wordt niet \
                 getoond. Probeer het over een minuut opnieuw",
            ),
            AskError::NoSigningKey => Self::new(
                "no_signing_key",
                exit::USAGE,
                en,
                "dit station heeft geen signing_key en kan geen vragen stellen",
            ),
            AskError::State(error) => Self::state(&error),
            other => Self::new(
                "node",
                exit::REFUSED,
                chain(&other),
                "dit station heeft een storing; zie het logboek",
            ),
        }
    }
}

impl From<OfficerError> for Failure {
    fn from(error: OfficerError) -> Self {
        let en = chain(&error);
        match error {
            OfficerError::Ask(AskError::NotProven(_)) => Self::new(
                "not_proven",
                exit::INTEGRITY,
                en,
                "het resultaat is niet bewezen vastgelegd en wordt niet getoond; het bewijs daarvan is bewaard",
            ),
            OfficerError::Ask(error) => error.into(),
            OfficerError::Refused(code) => {
                let nl = Refusal::text_nl(&code);
                let en = Refusal::text_en(&code);
                Self::new(
                    &code,
                    exit::REFUSED,
                    format!("refused: {en}"),
                    format!("geweigerd: {nl}"),
                )
            }
            OfficerError::UnknownPartner => Self::new(
                "unknown_partner",
                exit::USAGE,
                en,
                "het convenant heeft geen instantie met deze korte naam",
            ),
            OfficerError::Value(what) => {
                Self::new("value", exit::USAGE, en, format!("ongeldige waarde voor {what}"))
            }
            OfficerError::Published(VerifyError::Read { .. }) => Self::new(
                "published_unreadable",
                exit::UNREACHABLE,
                en,
                "het gepubliceerde logboek is niet te lezen",
            ),
            OfficerError::Published(error) => Self::new(
                error.code(),
                exit::INTEGRITY,
                en,
                "het gepubliceerde logboek is niet door het knooppunt ondertekend",
            ),
        }
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        Self::from(&error)
    }
}

impl From<&SyncError> for Failure {
    fn from(error: &SyncError) -> Self {
        let en = chain(error);
        match error {
            SyncError::Link(error) => error.into(),
            SyncError::Source(error) => Self::source(error),
            SyncError::Shrunk { before, lost } => Self::new(
                "shrunk",
                exit::REFUSED,
                en,
                format!(
                    "de bron had {before} personen en zou er {lost} verliezen; klopt dat, gebruik dan --confirm-shrink"
                ),
            ),
            SyncError::TooManyBadRows { bad, limit } => Self::new(
                "too_many_bad_rows",
                exit::REFUSED,
                en,
                format!("{bad} foute rijen, meer dan max_bad_rows = {limit}; er is niets verstuurd"),
            ),
            SyncError::NoSource => {
                Self::new("no_source", exit::USAGE, en, "dit station heeft geen [[source]]")
            }
            SyncError::RegistersNobody => Self::new(
                "registers_nobody",
                exit::REFUSED,
                en,
                "volgens het convenant registreert deze instantie geen personen",
            ),
            SyncError::State(error) => Self::state(error),
            SyncError::StillDiffers => Self::new(
                "still_differs",
                exit::INTEGRITY,
                en,
                "station en knooppunt verschillen ook na volledig opnieuw versturen",
            ),
            _ => Self::new(
                "node",
                exit::REFUSED,
                en,
                "dit station heeft een storing; zie het logboek",
            ),
        }
    }
}

impl Failure {
    /// The node's own state cannot be used.
    fn state(error: &StateError) -> Self {
        match error {
            StateError::DoesNotOpen | StateError::Db(DbError::Damaged(_)) => Self::new(
                "state_damaged",
                exit::INTEGRITY,
                chain(error),
                "de eigen gegevens van dit station zijn beschadigd of horen bij een andere sleutel; zet een reservekopie terug",
            ),
            other => Self::node(&chain(other)),
        }
    }

    /// A fault of this node itself.
    pub(crate) fn node(problem: &str) -> Self {
        Self::new(
            "node",
            exit::REFUSED,
            problem,
            "dit station heeft een storing; zie het logboek",
        )
    }

    /// A source that cannot be used.
    pub fn source(error: &SourceError) -> Self {
        Self::new(error.code(), error.exit_code(), chain(error), error.text_nl())
    }
}
