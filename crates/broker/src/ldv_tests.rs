//! The records, and what the configuration may say.

use hitmachine_audit::{FieldId, Fields, Opening, Salt};
use hitmachine_core::ldv::REVIEW_ACTIVITY;
use hitmachine_core::record::{Kind, Record, Result as RecordResult};
use hitmachine_core::{
    CaseReference, Covenant, CovenantVersion, Oin, PartnerStatus, Purpose, RequestId, RequestSigner,
    SignedRequest, Subject, SubjectClass, TraceContext, User,
};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};
use jiff::Timestamp;
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::*;

pub(super) const ORIGIN: &str = "test.example/hub/audit/1";
const ACTIVITY: &str = "https://register.example/activities/1/v2";
const OIN: &str = "00000099000000000010";
/// 2026-11-21T12:00:00Z.
const NOON: u64 = 1_795_262_400_000;
const TOKEN: [u8; 32] = [0x5a; 32];
/// Everything of group B, as it stands in each entry that has it.
const APART: [&str; 5] = [
    "jansen-gebruiker",
    "rolwoord",
    "pietersen-baas",
    "Z-2026-geheim",
    "ruw-verzoek",
];

/// Entry number `number` of some kind.
pub(super) struct Entry {
    kind: Kind,
    number: u64,
    ground: bool,
    subject: bool,
    trace: TraceContext,
    status: PartnerStatus,
}

impl Entry {
    pub(super) fn new(kind: Kind, number: u64) -> Self {
        let mut trace = TraceContext {
            trace: [7; 16],
            parent: [9; 8],
        };
        trace.trace[8..].copy_from_slice(&number.to_be_bytes());
        Self {
            kind,
            number,
            ground: true,
            subject: true,
            trace,
            status: PartnerStatus::NotKnown,
        }
    }

    pub(super) fn fields(&self) -> Fields {
        let purpose = purpose();
        let oin: Oin = OIN.parse().unwrap();
        let user = User {
            id: APART[0].parse().unwrap(),
            role: APART[1].parse().unwrap(),
            responsible: Some(APART[2].parse().unwrap()),
        };
        let case: CaseReference = APART[3].parse().unwrap();
        let subject = Subject {
            class: SubjectClass::Adult,
            tokens: vec![
                (IdentifierType::Bsn, Token::from_bytes(TOKEN)),
                (IdentifierType::ALL[1], Token::from_bytes([0x6b; 32])),
            ],
        };
        let partners = [("weet".parse().unwrap(), self.status)];
        let signed: SignedRequest =
            RequestSigner::new(&[9; 32]).sign(format!("{} {}", APART[4], self.number).into_bytes());
        Record {
            kind: self.kind,
            time: Timestamp::from_millisecond(i64::try_from(NOON + self.number).unwrap()).unwrap(),
            request: Some(RequestId::generate()),
            requester: &oin,
            user: Some(&user),
            ground: self.ground.then_some((&purpose, CovenantVersion([3; 32]))),
            case: Some(&case),
            subject: self.subject.then_some((KeyEpoch::FIRST, &subject)),
            result: match self.kind {
                Kind::Lookup => RecordResult::Answered(&partners),
                Kind::Denied => RecordResult::Refused("not_allowed"),
                Kind::OfficerSearch | Kind::Export => RecordResult::Done {
                    action: "search",
                    rows: 3,
                },
            },
            trace: self.trace,
            place: 0,
            signed: Some(&signed),
            request_digest: signed.digest(),
            answer_digest: [4; 32],
        }
        .fields()
    }

    fn opening(&self) -> Opening {
        Opening::new(
            Salt::from_bytes([1; 32]),
            Salt::from_bytes([2; 32]),
            self.fields(),
        )
    }

    /// As it stands in a log, committed 5 ms later.
    fn stored(&self, content: impl FnOnce(Opening) -> StoredContent) -> StoredEntry {
        let opening = self.opening();
        StoredEntry {
            index: self.number,
            time_ms: NOON + self.number + 5,
            leaf_hash: opening.commitment().leaf_hash(),
            key_ids: Some([1, 2]),
            content: content(opening),
        }
    }

    fn told(&self) -> LdvRecord {
        record(&source(), &self.stored(StoredContent::Open)).unwrap()
    }

    fn json(&self) -> Json {
        serde_json::to_value(self.told()).unwrap()
    }
}

fn purpose() -> Purpose {
    let covenant = format!(
        r#"
format = 1
id = "test"
title = "Test"
version = 1
valid_from = "2020-01-01"
valid_until = "2099-12-31"
[deployment]
id = "01010101010101010101010101010101"
kind = "test"
[[partner]]
id = "vraagt"
name = "Vraagt"
oin = "{OIN}"
domain = "zorg"
contact = "-"
answers = "index"
registers = []
signing_keys = ["fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618"]
[[partner]]
id = "weet"
name = "Weet"
oin = "00000099000000000011"
domain = "zorg"
contact = "-"
answers = "index"
registers = ["adult"]
[[purpose]]
code = "vraag"
title = "Vraag"
legal_basis = "-"
processing_activity = "{ACTIVITY}"
askers = ["vraagt"]
roles = ["rol"]
consults = ["weet"]
log_retention_months = 12
max_subjects = 1
"#
    );
    Covenant::parse(covenant.as_bytes()).unwrap().purposes()[0].clone()
}

fn source() -> LdvSource {
    LdvSource::new("hub", "1.2.3", ORIGIN, REVIEW_ACTIVITY)
}

#[test]
fn a_lookup_is_told_in_the_standards_words() {
    let entry = Entry::new(Kind::Lookup, 1);
    let span = entry.told().span_id;
    assert_eq!(
        entry.json(),
        json!({
            "trace_id": "07070707070707070000000000000001",
            "span_id": hexadecimal(&span),
            "parent_span_id": "0909090909090909",
            "status": "Ok",
            "name": "lookup",
            "start_time": NOON + 1,
            "end_time": NOON + 6,
            "resource": {"attributes": {
                "service.name": "hub",
                "service.version": "1.2.3",
                "hitmachine.log.origin": ORIGIN,
            }},
            "attributes": {
                "dpl.core.processing_activity_id": ACTIVITY,
                // printf 'hitmachine/ldv\0ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ' | sha256sum
                "dpl.core.data_subject_id": SUBJECT_ID,
                "dpl.core.data_subject_id_type": "https://hitmachine.example/id/pseudonym-sha256",
                "dpl.core.foreign_operation.processor": "urn:oin:00000099000000000010",
            },
        })
    );
    assert_ne!(span, [0; 8]);
    assert_eq!(span, read_span(&entry), "the entry's own");
}

/// SHA-256 by another program.
const SUBJECT_ID: &str = "a192500bb96641d431dec4a442c6014cc5308aa8c9b79a66c014663b256b2aa2";

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn read_span(entry: &Entry) -> [u8; 8] {
    entry.fields().get(FieldId::Trace).unwrap()[16..24]
        .try_into()
        .unwrap()
}

#[test]
fn each_kind_has_its_name_status_and_activity() {
    for (kind, ground, name, status, activity) in [
        (Kind::Lookup, true, "lookup", "Ok", ACTIVITY),
        (Kind::Denied, true, "lookup refused", "Error", ACTIVITY),
        (Kind::Denied, false, "lookup refused", "Error", REVIEW_ACTIVITY),
        (
            Kind::OfficerSearch,
            false,
            "officer search",
            "Ok",
            REVIEW_ACTIVITY,
        ),
        (Kind::OfficerSearch, true, "officer search", "Ok", REVIEW_ACTIVITY),
        (Kind::Export, false, "export", "Ok", REVIEW_ACTIVITY),
    ] {
        let entry = Entry {
            ground,
            ..Entry::new(kind, 1)
        };
        let told = entry.json();
        assert_eq!(told["name"], name);
        assert_eq!(told["status"], status, "{name}");
        assert_eq!(
            told["attributes"]["dpl.core.processing_activity_id"], activity,
            "{name}"
        );
    }
}

#[test]
fn a_hit_looks_like_a_miss() {
    let told = [
        PartnerStatus::Known,
        PartnerStatus::NotKnown,
        PartnerStatus::CouldNotAsk,
    ]
    .map(|status| {
        Entry {
            status,
            ..Entry::new(Kind::Lookup, 1)
        }
        .told()
    });
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}

#[test]
fn an_entry_about_nobody_has_no_subject() {
    let entry = Entry {
        subject: false,
        ..Entry::new(Kind::Denied, 1)
    };
    let attributes = entry.told().attributes;
    let names: Vec<_> = attributes.keys().copied().collect();
    assert_eq!(
        names,
        [
            "dpl.core.foreign_operation.processor",
            "dpl.core.processing_activity_id"
        ]
    );
}

#[test]
fn ids_of_zeros_are_never_told() {
    let zeros = |number| Entry {
        trace: TraceContext::default(),
        ..Entry::new(Kind::Denied, number)
    };
    let told = zeros(1).told();
    assert_ne!(told.trace_id, [0; 16]);
    assert_eq!(told.trace_id, zeros(1).told().trace_id, "of one request");
    assert_ne!(told.trace_id, zeros(2).told().trace_id);
    assert_eq!(told.parent_span_id, None);
    let mut root = Entry::new(Kind::Lookup, 1);
    root.trace.parent = [0; 8];
    assert_eq!(root.told().parent_span_id, None);
    assert!(root.json().get("parent_span_id").is_none());
    assert!(span(&root.told()).parent_span_id.is_empty());
}

#[test]
fn the_end_is_not_before_the_start() {
    let entry = Entry::new(Kind::Lookup, 1);
    let decoded = DecodedRecord::decode(&entry.fields()).unwrap();
    for (committed, end) in [(0, NOON + 1), (NOON - 60_000, NOON + 1), (NOON + 9, NOON + 9)] {
        let told = source().record(&decoded, committed);
        assert_eq!((told.start_time, told.end_time), (NOON + 1, end));
    }
}

#[test]
fn users_cases_and_tokens_are_in_no_record() {
    for kind in [Kind::Lookup, Kind::Denied, Kind::OfficerSearch, Kind::Export] {
        let entry = Entry::new(kind, 1);
        // As read from the log, and as somebody would who decoded both groups.
        let whole = DecodedRecord::decode(&entry.fields()).unwrap();
        assert!(whole.user.is_some() && whole.case.is_some() && whole.signed.is_some());
        for told in [entry.told(), source().record(&whole, NOON + 6)] {
            let texts = [
                serde_json::to_vec(&told).unwrap(),
                request(source().resource(), std::slice::from_ref(&told)).encode_to_vec(),
                format!("{told:?}").into_bytes(),
            ];
            let token = hexadecimal(&TOKEN);
            for text in texts {
                let contains = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
                for secret in APART {
                    assert!(!contains(secret.as_bytes()), "{kind:?}: {secret}");
                }
                assert!(
                    !contains(&TOKEN) && !contains(token.as_bytes()),
                    "{kind:?}: token"
                );
            }
            assert!(!format!("{told:?}").contains(SUBJECT_ID));
        }
    }
}

#[test]
fn an_entry_without_users_and_cases_is_told_the_same() {
    let entry = Entry::new(Kind::Lookup, 1);
    let rest = |opening: Opening| StoredContent::Processing(Processing::of(&opening).unwrap());
    let erased = entry.stored(rest);
    let source = source();
    assert_eq!(record(&source, &erased).unwrap(), entry.told());
    for nothing in [
        entry.stored(|_| StoredContent::Erased),
        entry.stored(|_| StoredContent::Control(serde_json::Map::new())),
    ] {
        assert_eq!(record(&source, &nothing), None);
    }
}

#[test]
fn a_span_says_what_the_record_says() {
    let told = Entry::new(Kind::Denied, 1).told();
    let message = request(source().resource(), std::slice::from_ref(&told));
    let message = ExportTraceServiceRequest::decode(message.encode_to_vec().as_slice()).unwrap();
    let [spans] = message.resource_spans.as_slice() else {
        panic!("one resource");
    };
    let texts = |pairs: &[KeyValue]| -> Vec<(String, String)> {
        let text = |pair: &KeyValue| match pair.value.clone().unwrap().value.unwrap() {
            Value::StringValue(text) => (pair.key.clone(), text),
            other => panic!("{other:?}"),
        };
        pairs.iter().map(text).collect()
    };
    let owned = |attributes: &Attributes| -> Vec<(String, String)> {
        attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    };
    assert_eq!(
        texts(&spans.resource.as_ref().unwrap().attributes),
        owned(&told.resource.attributes)
    );
    let span = &spans.scope_spans[0].spans[0];
    assert_eq!(texts(&span.attributes), owned(&told.attributes));
    assert_eq!(span.trace_id, told.trace_id);
    assert_eq!(span.span_id, told.span_id);
    assert_eq!(span.parent_span_id, told.parent_span_id.unwrap());
    assert_eq!(span.name, "lookup refused");
    assert_eq!(span.start_time_unix_nano, (NOON + 1) * 1_000_000);
    assert_eq!(span.end_time_unix_nano, (NOON + 6) * 1_000_000);
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(span.flags, 1);
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, ""));
}

fn config(ldv: &str) -> BrokerConfig {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broker.toml");
    let text = format!(
        r#"
listen = "127.0.0.1:0"
covenant = "covenant.toml"
data_dir = "data"
[tls]
certificate = "a.pem"
key = "a.key"
authority = "ca.pem"
[epoch]
number = 1
scheme = "hmac-sha256"
key_check_value = "7a41c09be2d5f683"
pepper = "pepper"
[audit]
origin = "{ORIGIN}"
signing_key = "s"
wrapping_key = "w"
keys_dir = "keys"
policy = "policy"
{ldv}
"#
    );
    fs::write(&path, text).unwrap();
    BrokerConfig::load(&path).unwrap()
}

#[test]
fn without_the_section_nothing_is_told() {
    assert!(Exporter::read(&config("")).unwrap().is_none());
}

#[test]
fn records_leave_the_machine_by_tls_only() {
    for good in [
        "http://127.0.0.1:4317",
        "http://127.1.2.3:1/",
        "http://[::1]:4317",
    ] {
        let exporter = Exporter::read(&config(&format!("[ldv]\nendpoint = \"{good}\"\n")));
        let exporter = exporter.unwrap().unwrap();
        assert!(matches!(exporter.destination, Destination::Here(_)), "{good}");
        assert_eq!(exporter.service_name, "hitmachine-broker");
        assert_eq!(exporter.review_activity, REVIEW_ACTIVITY);
        assert!(exporter.cursor.ends_with("data/ldv-cursor"));
    }
    for (section, setting) in [
        ("endpoint = \"http://10.0.0.1:4317\"", "ldv.endpoint"),
        ("endpoint = \"http://collector.example:4317\"", "ldv.endpoint"),
        ("endpoint = \"http://localhost:4317\"", "ldv.endpoint"),
        ("endpoint = \"http://127.0.0.1.example:4317\"", "ldv.endpoint"),
        ("endpoint = \"http://127.0.0.1@10.0.0.1:4317\"", "ldv.endpoint"),
        ("endpoint = \"http://user@127.0.0.1:4317\"", "ldv.endpoint"),
        ("endpoint = \"http://[::2]:4317\"", "ldv.endpoint"),
        ("endpoint = \"http://[::ffff:10.0.0.1]:4317\"", "ldv.endpoint"),
        ("endpoint = \"http://127.0.0.1\"", "ldv.endpoint"),
        ("endpoint = \"http://127.0.0.1:4317/v1/traces\"", "ldv.endpoint"),
        ("endpoint = \"127.0.0.1:4317\"", "ldv.endpoint"),
        ("endpoint = \"ftp://127.0.0.1:4317\"", "ldv.endpoint"),
        ("endpoint = \"\"", "ldv.endpoint"),
        ("endpoint = \"https://collector.example:4317\"", "ldv.authority"),
        (
            "endpoint = \"http://127.0.0.1:4317\"\nauthority = \"ca.pem\"",
            "ldv.authority",
        ),
        (
            "endpoint = \"http://127.0.0.1:4317\"\nresource_name = \" \"",
            "ldv.resource_name",
        ),
        (
            "endpoint = \"http://127.0.0.1:4317\"\nreview_activity = \"x\"",
            "ldv.review_activity",
        ),
    ] {
        match Exporter::read(&config(&format!("[ldv]\n{section}\n"))) {
            Err(error @ StartError::Setting(found)) => {
                assert_eq!(found, setting, "{section}");
                assert_eq!(error.exit_code(), 2, "{section}");
            }
            other => panic!("{section}: {:?}", other.map(|_| ())),
        }
    }
    let elsewhere =
        config("[ldv]\nendpoint = \"https://collector.example:4317\"\nauthority = \"ldv-ca.pem\"\n");
    let authority = elsewhere.ldv.as_ref().unwrap().authority.as_ref().unwrap();
    assert!(authority.is_absolute(), "beside the configuration");
    match Exporter::read(&elsewhere) {
        Err(error @ StartError::Tls(_)) => assert_eq!(error.exit_code(), 2),
        other => panic!("the files are not there: {:?}", other.map(|_| ())),
    }
}
