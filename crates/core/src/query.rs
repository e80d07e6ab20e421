//! One question, parsed: who asks what about whom, and what a partner's register can say.

use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};

use crate::covenant::CovenantVersion;
use crate::ids::{CaseReference, Oin, PurposeCode, RequestId, RoleCode, SubjectClass, TraceContext, UserId};
use crate::signed::SignedRequest;

/// One question about one person or household, parsed (bevraging).
#[derive(Clone, Debug)]
pub struct Query {
    /// Its name, made by the asking node.
    pub request: RequestId,
    /// Why one asks.
    pub purpose: PurposeCode,
    /// For which case.
    pub case: CaseReference,
    /// Who asks, inside the asking organisation.
    pub user: User,
    /// The covenant that the asking node knows.
    pub covenant: CovenantVersion,
    /// The epoch of every token in it.
    pub epoch: KeyEpoch,
    /// The persons asked about, 1 to 64.
    pub subjects: Vec<Subject>,
    /// Ids that tie the records of one query together.
    pub trace: TraceContext,
    /// The query's bytes exactly as received, and the asking node's signature over them.
    pub signed: SignedRequest,
}

/// Who asks: a person in a role, and whoever is responsible if that is somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The person.
    pub id: UserId,
    /// In which role.
    pub role: RoleCode,
    /// On whose behalf (NEN 7513: responsible user).
    pub responsible: Option<UserId>,
}

/// One person asked about (betrokkene).
#[derive(Clone, Debug)]
pub struct Subject {
    /// Minor or adult, as the asking node computed it.
    pub class: SubjectClass,
    /// One token for each identifier the asking node has, 1 to 4, of different types.
    pub tokens: Vec<(IdentifierType, Token)>,
}

/// What one partner's register says about one person. The codes are those of the wire and of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PartnerStatus {
    /// Bekend.
    Known = 1,
    /// Niet bekend.
    NotKnown = 2,
    /// Niet bevraagd: unreachable, too long without a sync, or not complete. Never the same as not known.
    CouldNotAsk = 3,
    /// Niet van toepassing: the covenant does not let it register this class.
    DoesNotApply = 4,
}

impl PartnerStatus {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Known, Self::NotKnown, Self::CouldNotAsk, Self::DoesNotApply];

    /// The byte on the wire and in the log.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The status with that byte.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// The word in machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::NotKnown => "not_known",
            Self::CouldNotAsk => "could_not_ask",
            Self::DoesNotApply => "does_not_apply",
        }
    }
}

/// Who asks, as the connection proves it: never a field of a message.
#[derive(Clone, Debug)]
pub struct Asker {
    /// OIN in the client certificate.
    pub oin: Oin,
    /// SHA-256 of its public key.
    pub public_key_sha256: [u8; 32],
}
