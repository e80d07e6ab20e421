//! The rules of a hit/no-hit hub, without I/O.
//!
//! This crate decides; it does not listen, store or send. It holds the [`covenant`] (who may ask what
//! about whom), turns a question into a [`Permit`] or a [`Refusal`], looks a permitted question up in the
//! [`Register`] and says what goes into the audit log. It knows no runtime, no network and no disk: what
//! it needs of those are the traits [`Store`] and [`Clock`].
//!
//! The order of a query is kept by types, so that a question that was not authorised or not logged
//! cannot be answered:
//!
//! ```text
//! Query ──authorise──▶ Permit ──look_up──▶ Lookup ──answered──▶ Finding ──seal──▶ drafts for the log + Unreleased
//!                        └─ or Refusal ───────────────────────────────seal──▶        │
//!                                                       audit log ── Receipts ──▶ release ──▶ Released (the only answer)
//! ```
//!
//! Left to others: cryptography of pseudonyms (`hitmachine-pseudonym`), the log's bytes
//! (`hitmachine-audit`), the wire (`hitmachine-proto`), engines (`hitmachine-store`).

pub mod again;
pub mod alarm;
pub mod canary;
pub mod clock;
pub mod combinations;
pub mod covenant;
mod disclosure;
pub mod enumeration;
pub mod epoch;
pub mod ids;
pub mod ldv;
pub mod live;
pub mod notice;
pub mod officer;
pub mod overview;
pub mod permit;
pub mod query;
pub mod quota;
pub mod record;
pub mod refusal;
pub mod registry;
pub mod signed;
pub mod statistics;
pub mod store;
pub mod usage;
pub mod volume;

pub use clock::{Clock, Day, SystemClock, dutch_date};
pub use covenant::{Covenant, CovenantError, CovenantVersion, Officer, Partner, Purpose};
pub use ids::{
    CaseReference, Oin, PartnerId, PurposeCode, RequestId, RoleCode, SubjectClass, TextError, TraceContext,
    UserId,
};
pub use ldv::{LdvRecord, LdvSource, LdvStatus};
pub use live::{LiveAnswers, LiveFrame, LiveQuestion, LiveStatus, LiveSubject};
pub use notice::HitNotice;
pub use officer::{OfficerPermit, OfficerRequest, RefusedOfficer};
pub use permit::{AnswerContent, Finding, Lookup, Permit, RefusedQuery, ReleaseError, Released, Unreleased};
pub use query::{Asker, PartnerStatus, Query, Subject, User};
pub use refusal::Refusal;
pub use registry::{Batch, Change, Register, Registration, RegistryError, Tally};
pub use signed::{RequestKey, RequestSigner, SignedRequest};
pub use store::{PartnerState, Store, StoreError, StoredBatch};
