//! Who may change the covenant: its administrators, so many of them together.
//!
//! Each administrator signs, with a key of their own, the text
//!
//! ```text
//! hitmachine.v1/covenant
//! <covenant id>
//! <number>
//! <SHA-256 of the file, 64 hexadecimal digits>
//! ```
//!
//! as a C2SP signed note beside the file. A covenant is accepted when enough administrators of the one **before** signed
//! it, and enough of those that it names **itself**: the partners' trust is handed on, never assumed. Where none was held
//! before, the administrators in the process's own configuration stand in for the one before. Its number is higher than
//! that of the one before. A demo needs none of this.

use std::fmt;

use hitmachine_audit::{NoteError, NoteVerifier, SignedText};
use hitmachine_pseudonym::DeploymentKind;
use serde::Deserialize;

use super::{Covenant, Document};

/// First line of what is signed.
const KIND: &str = "hitmachine.v1/covenant";
/// The most administrators; a note holds at most 100 lines.
const MOST: usize = 50;

/// Who must sign a covenant: `needed` of these. In a configuration: `{ needed = 2, keys = ["…", "…", "…"] }`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Section")]
pub struct Administrators {
    needed: usize,
    keys: Vec<NoteVerifier>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    needed: usize,
    keys: Vec<String>,
}

impl TryFrom<Section> for Administrators {
    type Error = AdministratorsError;

    fn try_from(section: Section) -> Result<Self, AdministratorsError> {
        Self::new(section.needed, &section.keys)
    }
}

/// Why a list of administrators is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdministratorsError {
    /// Not `name+hash+base64`.
    #[error("key {0} is no verifier key as `hitmachine keys show --purpose administrator` prints it")]
    Key(usize),
    /// One key under two names would be one person with two votes; two keys under one name cannot be told apart.
    #[error("key {0} has the key or the name of another; each person has a key and a name of their own")]
    Twice(usize),
    /// Nobody, or more than 50.
    #[error("there must be 1 to 50 keys")]
    Count,
    /// Nobody needed, or more than there are.
    #[error("needed must be from 1 to the number of keys")]
    Needed,
}

impl Administrators {
    /// `needed` of the people with these verifier keys.
    ///
    /// # Errors
    /// [`AdministratorsError`]; keys are counted from 1.
    pub fn new<S: AsRef<str>>(needed: usize, keys: &[S]) -> Result<Self, AdministratorsError> {
        if keys.is_empty() || keys.len() > MOST {
            return Err(AdministratorsError::Count);
        }
        let mut read: Vec<NoteVerifier> = Vec::with_capacity(keys.len());
        for (key, place) in keys.iter().zip(1..) {
            let key: NoteVerifier = key
                .as_ref()
                .parse()
                .map_err(|_: NoteError| AdministratorsError::Key(place))?;
            if read
                .iter()
                .any(|other| other.same_key(&key) || other.name() == key.name())
            {
                return Err(AdministratorsError::Twice(place));
            }
            read.push(key);
        }
        if !(1..=read.len()).contains(&needed) {
            return Err(AdministratorsError::Needed);
        }
        Ok(Self { needed, keys: read })
    }

    /// How many must sign.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// The people, in the order of the file.
    pub fn keys(&self) -> &[NoteVerifier] {
        &self.keys
    }

    /// Names of those who signed.
    ///
    /// # Errors
    /// [`NotAccepted::BadSignature`].
    pub fn signers<'a>(&'a self, note: &SignedText<'_>) -> Result<Vec<&'a str>, NotAccepted> {
        let mut names = Vec::new();
        for key in &self.keys {
            match note.is_signed_by(key) {
                Ok(true) => names.push(key.name()),
                Ok(false) => {}
                Err(_) => return Err(NotAccepted::BadSignature),
            }
        }
        Ok(names)
    }

    fn check(&self, note: &SignedText<'_>, whose: Whose) -> Result<(), NotAccepted> {
        let found = self.signers(note)?.len();
        if found < self.needed {
            let needed = self.needed;
            return Err(NotAccepted::TooFew { whose, needed, found });
        }
        Ok(())
    }
}

/// Whose administrators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of the covenant held before.
    Before,
    /// In this process's configuration.
    Configured,
    /// Of the covenant itself.
    Own,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "of the covenant before it",
            Self::Configured => "in this process's configuration",
            Self::Own => "that it names itself",
        })
    }
}

impl Whose {
    fn text_nl(self) -> &'static str {
        match self {
            Self::Before => "van het vorige convenant",
            Self::Configured => "uit de eigen configuratie",
            Self::Own => "die het zelf noemt",
        }
    }
}

/// Why a covenant is not accepted; the one before stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAccepted {
    /// Another covenant's short name.
    #[error("it is another covenant than the one in force (id)")]
    OtherCovenant,
    /// Another deployment, or another kind: pseudonyms would not fit.
    #[error("it is for another deployment than the one in force")]
    OtherDeployment,
    /// A lower number.
    #[error("its number {offered} is not higher than that of the one in force ({held})")]
    Older {
        /// Number of the covenant in force.
        held: u32,
        /// Number of this one.
        offered: u32,
    },
    /// No signatures.
    #[error("it is not signed (no .sig beside it)")]
    Unsigned,
    /// The note is not one, or is about another file.
    #[error("its signatures are of another file")]
    OtherFile,
    /// A signature that does not fit.
    #[error("a signature in the name of an administrator does not fit")]
    BadSignature,
    /// Not enough signatures.
    #[error("{found} of the {needed} administrators needed {whose} signed it")]
    TooFew {
        /// Of whom.
        whose: Whose,
        /// How many must sign.
        needed: usize,
        /// How many did.
        found: usize,
    },
    /// It names no administrators: nobody could ever change it.
    #[error("it names no [administrators]; outside a demo a covenant does")]
    NoAdministrators,
    /// No covenant is held, and the configuration names no administrators either.
    #[error("no covenant was accepted before, and the configuration names no covenant_administrators")]
    NobodyTrusted,
}

impl NotAccepted {
    /// Stable code for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherCovenant => "covenant_other",
            Self::OtherDeployment => "covenant_other_deployment",
            Self::Older { .. } => "covenant_older",
            Self::Unsigned => "covenant_unsigned",
            Self::OtherFile | Self::BadSignature => "covenant_signature",
            Self::TooFew { .. } => "covenant_too_few_signatures",
            Self::NoAdministrators => "covenant_no_administrators",
            Self::NobodyTrusted => "covenant_nobody_trusted",
        }
    }

    /// In Dutch, for people.
    pub fn text_nl(&self) -> String {
        match self {
            Self::OtherCovenant => "het is een ander convenant dan het geldende (id)".into(),
            Self::OtherDeployment => "het is voor een andere installatie dan het geldende".into(),
            Self::Older { held, offered } => {
                format!("het nummer {offered} is niet hoger dan dat van het geldende convenant ({held})")
            }
            Self::Unsigned => "het is niet ondertekend (er staat geen .sig naast)".into(),
            Self::OtherFile => "de handtekeningen zijn van een ander bestand".into(),
            Self::BadSignature => "een handtekening op naam van een beheerder klopt niet".into(),
            Self::TooFew { whose, needed, found } => format!(
                "van de {needed} benodigde beheerders {} hebben er {found} getekend",
                whose.text_nl()
            ),
            Self::NoAdministrators => {
                "het noemt geen beheerders ([administrators]); buiten een demo moet dat".into()
            }
            Self::NobodyTrusted => {
                "er is nog geen convenant aanvaard, en de configuratie noemt geen covenant_administrators"
                    .into()
            }
        }
    }
}

/// What a process trusts when a covenant is offered.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The covenant that it accepted last.
    Held(&'a Covenant),
    /// None yet: the administrators in its configuration, if it has any.
    Configured(Option<&'a Administrators>),
}

/// The text that administrators of a covenant sign.
pub fn signed_text(covenant: &Covenant) -> String {
    format!(
        "{KIND}\n{}\n{}\n{}\n",
        covenant.id(),
        covenant.number(),
        covenant.version()
    )
}

/// Whether a process with this trust takes `offered`, which was read from `document`.
///
/// The covenant that is held already is taken again without a look at its signatures.
///
/// # Errors
/// [`NotAccepted`]: the first rule that it does not keep.
pub fn accept(trust: Trust<'_>, offered: &Covenant, document: &Document) -> Result<(), NotAccepted> {
    if let Trust::Held(held) = trust {
        if held.version() == offered.version() {
            return Ok(());
        }
        if held.id() != offered.id() {
            return Err(NotAccepted::OtherCovenant);
        }
        if held.deployment() != offered.deployment() {
            return Err(NotAccepted::OtherDeployment);
        }
    }
    if offered.deployment().kind == DeploymentKind::Demo {
        return Ok(());
    }
    if let Trust::Held(held) = trust
        && offered.number() <= held.number()
    {
        return Err(NotAccepted::Older {
            held: held.number(),
            offered: offered.number(),
        });
    }
    let own = offered.administrators().ok_or(NotAccepted::NoAdministrators)?;
    let (before, whose) = match trust {
        Trust::Held(held) => (held.administrators(), Whose::Before),
        Trust::Configured(configured) => (configured, Whose::Configured),
    };
    let before = before.ok_or(NotAccepted::NobodyTrusted)?;
    let note = signatures_of(offered, document)?;
    before.check(&note, whose)?;
    own.check(&note, Whose::Own)
}

/// Whether a covenant is signed by enough of the administrators that it names itself: all that can be said of it without
/// knowing the one before.
///
/// # Errors
/// [`NotAccepted`].
pub fn signed_by_its_own(offered: &Covenant, document: &Document) -> Result<(), NotAccepted> {
    if offered.deployment().kind == DeploymentKind::Demo {
        return Ok(());
    }
    let own = offered.administrators().ok_or(NotAccepted::NoAdministrators)?;
    own.check(&signatures_of(offered, document)?, Whose::Own)
}

/// The signatures in a document, about exactly this covenant.
///
/// # Errors
/// [`NotAccepted::Unsigned`], [`NotAccepted::OtherFile`].
pub fn signatures_of<'a>(covenant: &Covenant, document: &'a Document) -> Result<SignedText<'a>, NotAccepted> {
    if document.signatures.is_empty() {
        return Err(NotAccepted::Unsigned);
    }
    let note = SignedText::parse(&document.signatures).map_err(|_| NotAccepted::OtherFile)?;
    if note.text() != signed_text(covenant) {
        return Err(NotAccepted::OtherFile);
    }
    Ok(note)
}

/// As [`accept`], for a process that may have missed some: `missed` are those between what it holds and `offered`, oldest
/// first. Those that follow from what is held are walked over, so that administrators who were replaced twice meanwhile
/// are no obstacle; others are passed over.
///
/// # Errors
/// [`NotAccepted`] of the last step.
pub fn accept_after(
    trust: Trust<'_>,
    missed: &[Document],
    offered: &Covenant,
    document: &Document,
) -> Result<(), NotAccepted> {
    let direct = accept(trust, offered, document);
    if direct.is_ok() {
        return direct;
    }
    let mut held: Option<Covenant> = None;
    for step in missed {
        let Ok(covenant) = step.covenant() else { continue };
        let trust = held.as_ref().map_or(trust, Trust::Held);
        if accept(trust, &covenant, step).is_ok() {
            held = Some(covenant);
        }
    }
    held.map_or(direct, |held| accept(Trust::Held(&held), offered, document))
}

#[cfg(test)]
#[path = "acceptance_tests.rs"]
mod tests;
