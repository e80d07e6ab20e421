//! What the broker counts. No label can hold anything about a person: labels are enumerations or partners.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::live::LiveMetrics;

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    pub(crate) outcome: &'static str,
}

/// Which partner, by its short name in the covenant, which is public.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PartnerLabel {
    pub(crate) partner: String,
}

/// One figure for each partner.
pub(crate) type ByPartner = Family<PartnerLabel, Gauge>;

/// Hit notices.
#[derive(Clone, Default)]
pub(crate) struct NoticeMetrics {
    /// Queued since the start.
    pub(crate) queued: Counter,
    /// Acknowledged since the start.
    pub(crate) acknowledged: Counter,
    /// Not acknowledged.
    pub(crate) waiting: ByPartner,
    /// Age of the oldest of these, in seconds; 0 if there is none.
    pub(crate) oldest_seconds: ByPartner,
}

impl NoticeMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "hitmachine_notices_queued",
            "Hit notices queued since the start",
            self.queued.clone(),
        );
        registry.register(
            "hitmachine_notices_acknowledged",
            "Hit notices that partners acknowledged since the start",
            self.acknowledged.clone(),
        );
        registry.register(
            "hitmachine_notices_waiting",
            "Hit notices that the partner has not acknowledged",
            self.waiting.clone(),
        );
        registry.register(
            "hitmachine_notices_oldest_seconds",
            "Age of the oldest hit notice that the partner has not acknowledged, 0 if there is none",
            self.oldest_seconds.clone(),
        );
    }
}

/// The broker's metrics.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// Persons asked about, by `answered`, `refused` or `repeated`.
    pub(crate) lookups: Family<OutcomeLabel, Counter>,
    /// Seconds from request to released answer.
    pub(crate) answer_seconds: Histogram,
    /// Sync batches that were acknowledged.
    pub(crate) batches: Counter,
    /// Persons in the index.
    pub(crate) persons: Gauge,
    /// Entries in the audit log.
    pub(crate) log_size: Gauge,
    /// Batches committed to the audit log since the start; each is one flush.
    pub(crate) log_batches: Gauge,
    /// Time of the last write and flush of the audit log, in microseconds.
    pub(crate) log_flush_us: Gauge,
    /// Partners that witness the log at this moment.
    pub(crate) witnesses: Gauge,
    /// Hit notices.
    pub(crate) notices: NoticeMetrics,
    /// Partners that answer live.
    pub(crate) live: LiveMetrics,
    /// Number of the covenant in force.
    pub(crate) covenant_number: Gauge,
    /// Changes of the covenant that were refused.
    pub(crate) covenants_refused: Counter,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            lookups: Family::default(),
            answer_seconds: Histogram::new(exponential_buckets(0.000_2, 2.0, 16)),
            batches: Counter::default(),
            persons: Gauge::default(),
            log_size: Gauge::default(),
            log_batches: Gauge::default(),
            log_flush_us: Gauge::default(),
            witnesses: Gauge::default(),
            notices: NoticeMetrics::default(),
            live: LiveMetrics::new(registry),
            covenant_number: Gauge::default(),
            covenants_refused: Counter::default(),
        };
        metrics.notices.register(registry);
        registry.register(
            "hitmachine_covenant_number",
            "Number of the covenant in force",
            metrics.covenant_number.clone(),
        );
        registry.register(
            "hitmachine_covenants_refused",
            "Changes of the covenant file that were refused since the start",
            metrics.covenants_refused.clone(),
        );
        registry.register(
            "hitmachine_witnesses",
            "Partners that witness the log at this moment",
            metrics.witnesses.clone(),
        );
        registry.register(
            "hitmachine_lookups",
            "Persons asked about",
            metrics.lookups.clone(),
        );
        registry.register(
            "hitmachine_answer_seconds",
            "Time from question to released answer",
            metrics.answer_seconds.clone(),
        );
        registry.register(
            "hitmachine_sync_batches",
            "Sync batches acknowledged",
            metrics.batches.clone(),
        );
        registry.register(
            "hitmachine_persons",
            "Persons in the index",
            metrics.persons.clone(),
        );
        registry.register(
            "hitmachine_log_entries",
            "Entries in the audit log",
            metrics.log_size.clone(),
        );
        registry.register(
            "hitmachine_log_batches",
            "Batches committed to the audit log since the start, one flush each",
            metrics.log_batches.clone(),
        );
        registry.register(
            "hitmachine_log_flush_microseconds",
            "Time of the last write and flush of the audit log",
            metrics.log_flush_us.clone(),
        );
        metrics
    }
}
