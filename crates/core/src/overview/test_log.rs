//! Made-up entries and a covenant for them.

use hitmachine_audit::Period;
use jiff::Timestamp;

use super::*;
use crate::covenant::{Covenant, CovenantVersion};
use crate::ids::TraceContext;
use crate::record::{Ground, Kind};

/// Partners `vh`, which only asks, `p`, `q` and `r`; purposes `a` and `b`. OINs end in 10 to 13.
pub(super) fn covenant() -> Covenant {
    let mut text = String::from(
        "format = 1\nid = \"t\"\ntitle = \"T\"\nversion = 1\nvalid_from = \"2026-01-01\"\n\
         valid_until = \"2030-12-31\"\n[deployment]\nid = \"6f1c0b52a9d84e37b0e2c4718f95d3aa\"\nkind = \"test\"\n",
    );
    for (place, id) in ["vh", "p", "q", "r"].into_iter().enumerate() {
        let registers = if place == 0 {
            "[]"
        } else {
            "[\"minor\", \"adult\"]"
        };
        let answers = if id == "r" { "live" } else { "index" };
        text.push_str(&format!(
            "[[partner]]\nid = \"{id}\"\nname = \"{id}\"\noin = \"000000990000000000{}\"\ndomain = \"d\"\n\
             contact = \"c\"\nanswers = \"{answers}\"\nregisters = {registers}\n",
            10 + place
        ));
    }
    for code in ["a", "b"] {
        text.push_str(&format!(
            "[[purpose]]\ncode = \"{code}\"\ntitle = \"{code}\"\nlegal_basis = \"l\"\n\
             processing_activity = \"https://v.example/{code}\"\naskers = []\nroles = [\"x\"]\n\
             consults = [\"p\", \"q\", \"r\"]\nlog_retention_months = 60\nmax_subjects = 8\n"
        ));
    }
    Covenant::parse(text.as_bytes()).unwrap()
}

pub(super) fn oin(partner: &str) -> Oin {
    let last = match partner {
        "vh" => 10,
        "p" => 11,
        "q" => 12,
        "r" => 13,
        _ => 99,
    };
    format!("000000990000000000{last}").parse().unwrap()
}

fn record(month: &str, requester: &str) -> DecodedRecord {
    let month: Period = month.parse().unwrap();
    let time: Timestamp = format!("{month}-15T12:00:00Z").parse().unwrap();
    DecodedRecord {
        kind: Kind::Denied,
        time,
        request: None,
        requester: oin(requester),
        user: None,
        ground: None,
        case: None,
        subject: None,
        result: DecodedResult::Refused(String::new()),
        trace: TraceContext::default(),
        span: [0; 8],
        signed: None,
        request_digest: [0; 32],
        answer_digest: [0; 32],
    }
}

pub(super) fn lookup(
    month: &str,
    requester: &str,
    purpose: &str,
    case: Option<&str>,
    partners: &[(&str, PartnerStatus)],
) -> DecodedRecord {
    let statuses = partners.iter().map(|(id, status)| (id.parse().unwrap(), *status));
    DecodedRecord {
        kind: Kind::Lookup,
        ground: Some(Ground {
            processing_activity: String::new(),
            purpose: purpose.parse().unwrap(),
            legal_basis: String::new(),
            covenant: CovenantVersion([0; 32]),
        }),
        case: case.map(|case| case.parse().unwrap()),
        result: DecodedResult::Answered(statuses.collect()),
        ..record(month, requester)
    }
}

pub(super) fn refusal(month: &str, requester: &str, code: &str) -> DecodedRecord {
    DecodedRecord {
        result: DecodedResult::Refused(code.to_owned()),
        ..record(month, requester)
    }
}

pub(super) fn officers(month: &str) -> DecodedRecord {
    DecodedRecord {
        kind: Kind::OfficerSearch,
        result: DecodedResult::Done {
            action: "search".into(),
            rows: 1,
        },
        ..record(month, "vh")
    }
}
