//! Made-up rows for the tests of what is written from them.

use super::page::{
    ContactView, CovenantView, ErasureView, Form, GroundView, OrganisationView, PageView, PartnerResult,
    PurposeView, RecordView, RowView, UserView,
};
use crate::view::StatusWord;

fn partner(id: &str, name: &str, status: StatusWord) -> PartnerResult {
    PartnerResult {
        partner: id.into(),
        name: name.into(),
        status,
    }
}

/// A hit with a partner that could not be asked.
fn hit() -> RowView {
    RowView {
        log_index: 7,
        time: "2026-11-21T12:00:00Z".into(),
        form: Form::Whole,
        record: Some(RecordView {
            kind: "lookup".into(),
            request_id: Some("0193-made-up".into()),
            requester: OrganisationView {
                oin: "00000099000000001000".into(),
                partner: Some("gemeente".into()),
                name: "Gemeente Voorbeeld".into(),
            },
            user: Some(UserView {
                id: "j.jansen".into(),
                role: "zorgregisseur".into(),
                responsible: None,
            }),
            ground: Some(GroundView {
                purpose: "screening".into(),
                title: "Screening van een casus".into(),
                legal_basis: "Wams art. 2".into(),
                processing_activity: "https://register.example/v/1".into(),
                covenant: "cc".repeat(32),
            }),
            case: Some("ZK-2026-1".into()),
            class: Some("adult".into()),
            key_epoch: Some(1),
            outcome: "hit".into(),
            partners: vec![
                partner("leerplicht", "Leerplicht", StatusWord::Known),
                partner("politie", "Politie", StatusWord::CouldNotAsk),
            ],
            trace_id: "11".repeat(16),
            span_id: "22".repeat(8),
            parent_span_id: "33".repeat(8),
            data_subject: Some("ab".repeat(32)),
            ..RecordView::default()
        }),
        leaf: "44".repeat(32),
        ..RowView::default()
    }
}

/// A hit, a refusal, an officer's action and an erased entry.
pub(crate) fn rows() -> Vec<RowView> {
    let mut refused = hit();
    refused.log_index = 6;
    if let Some(record) = &mut refused.record {
        record.kind = "denied".into();
        record.outcome = "refused".into();
        record.refused = Some("role_not_granted".into());
        record.partners.clear();
    }
    let mut officer = hit();
    officer.log_index = 5;
    if let Some(record) = &mut officer.record {
        record.kind = "officer_search".into();
        record.outcome = "officer".into();
        record.action = Some("search".into());
        record.rows = Some(3);
        record.partners.clear();
        (record.ground, record.data_subject) = (None, None);
    }
    let erased = RowView {
        log_index: 4,
        time: "2026-11-01T12:00:00Z".into(),
        leaf: "55".repeat(32),
        ..RowView::default()
    };
    vec![hit(), refused, officer, erased]
}

/// A question about somebody known nowhere.
pub(crate) fn miss() -> RowView {
    let mut miss = hit();
    miss.log_index = 3;
    if let Some(record) = &mut miss.record {
        record.outcome = "no_hit".into();
        record.partners = vec![
            partner("leerplicht", "Leerplicht", StatusWord::NotKnown),
            partner("jeugdzorg", "Jeugdzorg", StatusWord::DoesNotApply),
        ];
    }
    miss
}

/// A row with `text` wherever somebody else decides what is there.
pub(crate) fn hostile(text: &str) -> RowView {
    let mut row = hit();
    let text = text.to_owned();
    row.record = Some(RecordView {
        kind: text.clone(),
        request_id: Some(text.clone()),
        requester: OrganisationView {
            oin: text.clone(),
            partner: Some(text.clone()),
            name: text.clone(),
        },
        user: Some(UserView {
            id: text.clone(),
            role: text.clone(),
            responsible: Some(text.clone()),
        }),
        ground: Some(GroundView {
            purpose: text.clone(),
            title: text.clone(),
            legal_basis: text.clone(),
            processing_activity: text.clone(),
            covenant: text.clone(),
        }),
        case: Some(text.clone()),
        class: Some(text.clone()),
        outcome: text.clone(),
        refused: None,
        partners: vec![partner(&text, &text, StatusWord::Known)],
        action: Some(text.clone()),
        ..RecordView::default()
    });
    row.time.clone_from(&text);
    row.leaf = text;
    row
}

/// A page of a report.
pub(crate) fn page(rows: Vec<RowView>) -> PageView {
    PageView {
        rows,
        indexed: 9,
        erasures: vec![ErasureView {
            log_index: 8,
            time: "2026-11-20T08:00:00Z".into(),
            ground: "term".into(),
            by: "hub".into(),
            periods: vec!["2021-09/60".into()],
            entries: 12,
        }],
        checkpoint: "made up".into(),
        covenant: CovenantView {
            title: "Convenant Voorbeeld".into(),
            number: 2,
            log: "log.example/hub".into(),
            partners: vec![
                ContactView {
                    partner: "gemeente".into(),
                    name: "Gemeente Voorbeeld".into(),
                    contact: "loket@gemeente.example".into(),
                },
                ContactView {
                    partner: "leerplicht".into(),
                    name: "Leerplicht".into(),
                    contact: "020-0000000".into(),
                },
                ContactView {
                    partner: "zorg".into(),
                    name: "Zorg".into(),
                    contact: "nooit gevraagd".into(),
                },
            ],
            purposes: vec![PurposeView {
                purpose: "screening".into(),
                title: "Screening van een casus".into(),
                log_retention_months: 60,
                confidential: false,
            }],
        },
        ..PageView::default()
    }
}
