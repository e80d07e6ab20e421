//! How long, how much, and when somebody is alarmed.

use jiff::civil::Time;

use crate::ids::{PartnerId, PurposeCode};

/// The longest terms that a covenant allows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Of a registration, in days; no partner's term is longer.
    pub registration_days_at_most: u32,
    /// Of a log entry, in months; no purpose's term is longer.
    pub log_months_at_most: u16,
}

/// What a quota counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaOf {
    /// All questions of one partner.
    Partner,
    /// All questions of one user of a partner.
    User,
}

/// How many persons may be asked about in how long: a bucket that holds `persons`, and fills up again evenly in
/// `hours`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Whose questions one bucket counts.
    pub of: QuotaOf,
    /// The partner it is for; each partner has its own bucket if absent.
    pub partner: Option<PartnerId>,
    /// The purpose it is for; all purposes are counted together if absent.
    pub purpose: Option<PurposeCode>,
    /// Persons in a full bucket.
    pub persons: u32,
    /// Hours in which an empty bucket is full again.
    pub hours: u32,
}

/// When a privacy officer is alarmed. None of it is an answer's business but enumeration, which also stops who does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmRules {
    /// Enumeration: in so many persons asked about by one user, or by one partner …
    pub enumeration_window: u32,
    /// … at most so many hits are those of somebody who tries numbers. How they are counted, `enumeration` says.
    pub enumeration_hits: u32,
    /// Unusual volume: more persons in a day than so many times the usual number of this partner.
    pub volume_factor: u32,
    /// Unusual volume is not looked at below so many persons in a day.
    pub volume_least: u32,
    /// Usual hours, Dutch local time, Monday to Friday: first and last moment. From 00:00 to 23:59 or later means that
    /// work goes on round the clock: then no hour is unusual, in no weekend either.
    pub usual_hours: (Time, Time),
    /// A hit notice that was not fetched for so many days.
    pub notice_days: u32,
}
