//! What is wrong with the node, in words: what it is, and what to do.

use hitmachine_node::failure::Failure;
use hitmachine_node::health::CertificateOf;

use crate::jobs::admin::{Finding, Level, State};
use crate::moment::number;
use crate::page::Page;

/// One thing that is wrong.
pub(super) struct Said {
    /// Whether something does not work now.
    pub(super) error: bool,
    /// What is wrong.
    pub(super) what: String,
    /// What to do.
    pub(super) advice: String,
}

/// What is wrong, in words.
pub(super) fn said(page: &Page, state: &State) -> Vec<Said> {
    let findings = state.findings.iter();
    findings
        .map(|finding| {
            let (what, advice) = words(page, finding, state);
            Said {
                error: finding.level() == Level::Error,
                what,
                advice: advice.to_owned(),
            }
        })
        .collect()
}

fn reason(page: &Page, failure: Option<&Failure>) -> String {
    failure.map_or_else(String::new, |failure| failure.text(page.language).to_owned())
}

fn words(page: &Page, finding: &Finding, state: &State) -> (String, &'static str) {
    let count = |count: u64| number(page.language, count);
    match finding {
        Finding::Hub => (
            page.t1("admin.hub_gone", reason(page, state.health.hub_failure.as_ref())),
            page.t("admin.hub_gone_do"),
        ),
        Finding::CertificateOver(of) => (
            page.t1("admin.certificate_over", certificate(page, *of)),
            page.t("admin.certificate_do"),
        ),
        Finding::CertificateSoon(of, days) => (
            page.t2("admin.certificate_soon", certificate(page, *of), days),
            page.t("admin.certificate_do"),
        ),
        Finding::CertificateUnread(of) => (
            page.t1("admin.certificate_unread", certificate(page, *of)),
            page.t("admin.certificate_unread_do"),
        ),
        Finding::CovenantOver => (
            page.t("admin.covenant_over").to_owned(),
            page.t("admin.covenant_do"),
        ),
        Finding::CovenantSoon(days) => (page.t1("admin.covenant_soon", days), page.t("admin.covenant_do")),
        Finding::KeyWrong(epoch) => (page.t1("admin.key_wrong", epoch), page.t("admin.key_do")),
        Finding::KeyMissing(epoch) => (page.t1("admin.key_missing", epoch), page.t("admin.key_do")),
        Finding::Canaries(names) => (
            page.t1("admin.canaries_missed", names),
            page.t("admin.canaries_do"),
        ),
        Finding::WitnessesGone => (
            page.t("admin.witnesses_gone").to_owned(),
            page.t("admin.witnesses_do"),
        ),
        Finding::WitnessesLate => (
            page.t("admin.witnesses_late").to_owned(),
            page.t("admin.witnesses_do"),
        ),
        Finding::NotWitnessing => (
            page.t("admin.not_witnessing").to_owned(),
            page.t("admin.not_witnessing_do"),
        ),
        Finding::LiveGone => (page.t("admin.live_gone").to_owned(), page.t("admin.live_do")),
        Finding::LiveReplaced => (
            page.t("admin.live_replaced").to_owned(),
            page.t("admin.live_replaced_do"),
        ),
        Finding::Notices => (
            page.t("admin.notices_gone").to_owned(),
            page.t("admin.notices_do"),
        ),
        Finding::Sync => (
            page.t1(
                "admin.sync_failed",
                reason(page, state.sources.last.failure.as_ref()),
            ),
            page.t("admin.sync_do"),
        ),
        Finding::Shrunk(lost, before) => (
            page.t2("admin.shrunk_found", count(*lost), count(*before)),
            page.t("admin.shrunk_do"),
        ),
        Finding::NeverSynchronised => (
            page.t("admin.sync_never").to_owned(),
            page.t("admin.sync_never_do"),
        ),
        Finding::BadRows(bad) => (
            page.t1("admin.bad_rows_found", count(*bad)),
            page.t("admin.bad_rows_do"),
        ),
        Finding::Alarms(alarms) => (page.t1("admin.alarms_found", alarms), page.t("admin.alarms_do")),
        Finding::Disk(mib) => (page.t1("admin.disk_found", count(*mib)), page.t("admin.disk_do")),
    }
}

/// Whose certificate it is.
pub(super) fn certificate(page: &Page, of: CertificateOf) -> &'static str {
    page.t(match of {
        CertificateOf::Node => "admin.certificate_node",
        CertificateOf::Console => "admin.certificate_console",
        CertificateOf::Hub => "admin.certificate_hub",
    })
}
