//! A log in memory with made-up entries, and a hub that answers officers from it, rightly unless told otherwise.

use hitmachine_audit::{
    Checkpoint, Fields, Front, Head, LogSigner, LogVerifier, Opening, Origin, Processing, Salt, leaf_hash,
};
use hitmachine_core::record::{Kind, Record, Result as RecordResult};
use hitmachine_core::{
    CovenantVersion, OfficerRequest, Oin, PartnerStatus, Purpose, RequestId, RequestSigner, SignedRequest,
    Subject, SubjectClass, TraceContext, User,
};
use hitmachine_proto::officer::{self, Action};
use hitmachine_proto::v1::officer_result::Result as Outcome;
use hitmachine_proto::{receipt, v1};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};
use jiff::Timestamp;
use prost::Message;
use sha2::{Digest, Sha256};

/// The moment at which everything happens.
pub(super) const NOW: Timestamp = Timestamp::constant(1_795_262_400, 0);

pub(super) fn oin() -> Oin {
    "00000099000000001000".parse().unwrap()
}

fn user() -> User {
    User {
        id: "a.bakker".parse().unwrap(),
        role: "privacyfunctionaris".parse().unwrap(),
        responsible: None,
    }
}

/// A request for an action, signed by a made-up node.
pub(super) fn request(action: &Action) -> OfficerRequest {
    let mut request = OfficerRequest {
        request: RequestId::generate(),
        user: user(),
        reference: "FG-2026-1".parse().unwrap(),
        covenant: CovenantVersion([9; 32]),
        trace: TraceContext {
            trace: [1; 16],
            parent: [2; 8],
        },
        signed: SignedRequest::default(),
    };
    request.signed = RequestSigner::new(&[5; 32]).sign(officer::encode(&request, action.clone()));
    request
}

/// A lookup about the person with this token.
pub(super) fn lookup(token: u8, requester: &Oin) -> Fields {
    let purpose = Purpose {
        code: "screening".parse().unwrap(),
        title: "Screening".into(),
        legal_basis: "Wams art. 2".into(),
        processing_activity: "https://register.example/v/1".into(),
        askers: Vec::new(),
        roles: Vec::new(),
        consults: Vec::new(),
        log_retention_months: 60,
        notifies: vec![],
        max_subjects: 1,
        max_screening: 1,
        strict: false,
        confidential: false,
    };
    let subject = Subject {
        class: SubjectClass::Adult,
        tokens: vec![(IdentifierType::Bsn, Token::from_bytes([token; 32]))],
    };
    let known = [("leerplicht".parse().unwrap(), PartnerStatus::Known)];
    let (user, case) = (user(), "ZK-2026-1".parse().unwrap());
    let signed = RequestSigner::new(&[5; 32]).sign(vec![token]);
    // Version 7, and the same in every log of these tests.
    let mut id = [token; 16];
    (id[6], id[8]) = (0x70, 0x80);
    Record {
        kind: Kind::Lookup,
        time: NOW,
        request: Some(RequestId::from_bytes(&id).unwrap()),
        requester,
        user: Some(&user),
        ground: Some((&purpose, CovenantVersion([9; 32]))),
        case: Some(&case),
        subject: Some((KeyEpoch::FIRST, &subject)),
        result: RecordResult::Answered(&known),
        trace: TraceContext::default(),
        place: 0,
        signed: Some(&signed),
        request_digest: signed.digest(),
        answer_digest: [0; 32],
    }
    .fields()
}

/// A log of which everything is known.
pub(super) struct TestLog {
    front: Front,
    signer: LogSigner,
    openings: Vec<Opening>,
}

impl TestLog {
    /// Lookups about these persons by the own organisation, then a control entry.
    pub(super) fn of(tokens: &[u8]) -> Self {
        let origin = Origin::new("log.example/hub").unwrap();
        let mut log = Self {
            front: Front::new(),
            signer: LogSigner::new(origin, &[7; 32]),
            openings: Vec::new(),
        };
        for token in tokens {
            log.add(lookup(*token, &oin()));
        }
        log.front.push(leaf_hash(&[&[2], CONTROL].concat()));
        log
    }

    pub(super) fn verifier(&self) -> LogVerifier {
        self.signer.verifier()
    }

    pub(super) fn add(&mut self, fields: Fields) -> Opening {
        let salt = u8::try_from(self.front.size()).unwrap();
        let opening = Opening::new(
            Salt::from_bytes([salt; 32]),
            Salt::from_bytes([salt ^ 0xff; 32]),
            fields,
        );
        self.front.push(opening.commitment().leaf_hash());
        self.openings.push(opening.clone());
        opening
    }

    pub(super) fn head(&self) -> Head {
        Head {
            size: self.front.size(),
            root: self.front.root(),
        }
    }

    pub(super) fn note(&self) -> Vec<u8> {
        let head = self.head();
        let checkpoint = Checkpoint {
            origin: self.signer.origin().clone(),
            size: head.size,
            root: head.root,
        };
        self.signer.sign(&checkpoint).unwrap()
    }

    /// A row with all fields of the entry at `index`, which is a lookup.
    pub(super) fn whole(&self, index: u64) -> v1::Row {
        let opening = &self.openings[usize::try_from(index).unwrap()];
        row(index, v1::row::Content::Opening(opening.encode()))
    }

    pub(super) fn part(&self, index: u64) -> v1::Row {
        let opening = &self.openings[usize::try_from(index).unwrap()];
        let part = Processing::of(opening).unwrap().encode();
        row(index, v1::row::Content::Processing(part))
    }

    pub(super) fn erased(&self, index: u64) -> v1::Row {
        let leaf = self.front.node(0, index).unwrap();
        row(index, v1::row::Content::Erased(leaf.0.to_vec()))
    }

    pub(super) fn path(&self, index: u64) -> Vec<u8> {
        receipt::flat(&self.front.inclusion_proof(index).unwrap())
    }

    /// Logs the action as the broker does and answers it; `spoil` may change record and result.
    pub(super) fn answer(
        &mut self,
        request: &OfficerRequest,
        action: &Action,
        outcome: Outcome,
        spoil: &dyn Fn(&mut Record<'_>),
    ) -> v1::OfficerResponse {
        let (oin, refused) = (
            oin(),
            match &outcome {
                Outcome::Refused(refused) => Some(refused.code.clone()),
                _ => None,
            },
        );
        let indexes: Vec<u64> = match &outcome {
            Outcome::Rows(rows) => rows.rows.iter().map(|row| row.index).collect(),
            _ => Vec::new(),
        };
        let result = v1::OfficerResult {
            request_id: request.request.as_bytes().to_vec(),
            result: Some(outcome),
        };
        let result = result.encode_to_vec();
        let rows = u32::try_from(indexes.len()).unwrap();
        let mut record = Record {
            kind: match &refused {
                Some(_) => Kind::Denied,
                None if officer::is_export(action) => Kind::Export,
                None => Kind::OfficerSearch,
            },
            time: NOW,
            request: Some(request.request),
            requester: &oin,
            user: Some(&request.user),
            ground: None,
            case: Some(&request.reference),
            subject: None,
            result: refused.as_deref().map_or(
                RecordResult::Done {
                    action: officer::action_code(action),
                    rows,
                },
                RecordResult::Refused,
            ),
            trace: request.trace,
            place: 0,
            signed: Some(&request.signed),
            request_digest: request.signed.digest(),
            answer_digest: Sha256::digest(&result).into(),
        };
        spoil(&mut record);
        let opening = self.add(record.fields());
        let own = self.front.size() - 1;
        v1::OfficerResponse {
            result,
            receipt: Some(v1::Receipt {
                opening: opening.encode(),
                leaf_index: own,
                inclusion: self.path(own),
            }),
            checkpoint: self.note(),
            consistency: Vec::new(),
            inclusion: indexes.into_iter().map(|index| self.path(index)).collect(),
        }
    }
}

/// JSON of the control entry.
pub(super) const CONTROL: &[u8] = br#"{"made":"up"}"#;

pub(super) fn row(index: u64, content: v1::row::Content) -> v1::Row {
    v1::Row {
        index,
        time_ms: 1_795_262_400_000,
        content: Some(content),
    }
}
