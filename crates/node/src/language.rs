//! Texts for people, in Dutch (B1) and English.

use clap::ValueEnum;
use hitmachine_core::PartnerStatus;
use serde::Deserialize;

/// Language of texts for people. Machine-readable output has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Nederlands.
    Nl,
    /// English.
    En,
}

impl Language {
    /// Dutch if the machine is set to Dutch, otherwise English.
    pub fn of_machine() -> Self {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        if set.is_some_and(|value| value.starts_with("nl")) {
            Self::Nl
        } else {
            Self::En
        }
    }

    /// The one of two texts that is in this language.
    pub fn pick<'a>(self, nl: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Nl => nl,
            Self::En => en,
        }
    }

    /// A partner's status in words.
    pub fn status(self, status: PartnerStatus) -> &'static str {
        match (self, status) {
            (Self::Nl, PartnerStatus::Known) => "bekend",
            (Self::Nl, PartnerStatus::NotKnown) => "niet bekend",
            (Self::Nl, PartnerStatus::CouldNotAsk) => "niet bevraagd",
            (Self::Nl, PartnerStatus::DoesNotApply) => "niet van toepassing",
            (Self::En, PartnerStatus::Known) => "known",
            (Self::En, PartnerStatus::NotKnown) => "not known",
            (Self::En, PartnerStatus::CouldNotAsk) => "could not be asked",
            (Self::En, PartnerStatus::DoesNotApply) => "does not apply",
        }
    }
}
