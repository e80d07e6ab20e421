use std::sync::Arc;

use hitmachine_core::RequestId;

use super::*;
use crate::officer::rows;
use crate::officer::test_log::TestLog;

/// A page of one lookup, with everything or without user and case. In the covenant `screening` may be confidential.
fn acted(whole: bool, confidential: bool) -> Acted {
    let log = TestLog::of(&[0xab, 2]);
    let rows = [if whole { log.whole(0) } else { log.part(0) }];
    let verified = rows::verify(&rows, &[log.path(0)], &log.head()).unwrap();
    let text = include_str!("../../../../deploy/covenant.toml");
    let title = "code = \"screening\"";
    assert!(text.contains(title), "the example has this purpose");
    let text = text.replace(title, &format!("{title}\nconfidential = {confidential}"));
    Acted {
        request: RequestId::generate(),
        outcome: v1::officer_result::Result::Rows(v1::Rows::default()),
        rows: verified,
        entry: 3,
        head: log.head(),
        checkpoint: log.note(),
        covenant: Arc::new(Covenant::parse(text.as_bytes()).unwrap()),
    }
}

#[test]
fn a_view_holds_no_token_and_ldv_a_digest_of_it() {
    let token = "ab".repeat(32);
    for wanted in [v1::Use::View, v1::Use::Ldv] {
        let view = page(&acted(true, false), "log", wanted, false);
        let json = serde_json::to_string(&view).unwrap();
        assert!(!json.contains(&token), "{wanted:?}");
        let record = view.rows[0].record.as_ref().unwrap();
        assert_eq!(record.data_subject.is_some(), wanted == v1::Use::Ldv);
        if let Some(subject) = &record.data_subject {
            let digest = Sha256::digest([LDV, &[0xab; 32]].concat());
            assert_eq!(*subject, hex::encode(digest));
        }
    }
}

#[test]
fn a_proof_is_there_if_it_is_wanted_and_not_in_debug() {
    let view = page(&acted(true, false), "log", v1::Use::Export, true);
    let proof = view.rows[0].proof.as_ref().unwrap();
    assert!(proof.tlog_proof.starts_with("c2sp.org/tlog-proof@v1\nextra "));
    assert!(!proof.path.is_empty());
    assert!(!format!("{view:?}").contains("extra "));
    let without = page(&acted(true, false), "log", v1::Use::Export, false);
    assert!(without.rows[0].proof.is_none());
}

#[test]
fn confidential_rows_do_not_get_into_a_report_even_if_the_hub_sends_them() {
    let kept = page(&acted(false, false), "log", v1::Use::Report, false);
    assert_eq!((kept.rows.len(), kept.withholds), (1, false));
    let withheld = page(&acted(false, true), "log", v1::Use::Report, false);
    assert_eq!((withheld.rows.len(), withheld.withholds), (0, true));
    let viewed = page(&acted(false, true), "log", v1::Use::View, false);
    assert_eq!(viewed.rows.len(), 1, "the officer sees them");
}
