//! The covenant's rules, over random covenants and random questions, against a second and plainer statement of them:
//! who may ask, who is named, what each says, and that nothing leaves without its entry.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a failure is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use hitmachine_core::record::{DecodedRecord, DecodedResult, Kind};
use hitmachine_core::registry::{Change, Completed, Register, Tally, TallyMask};
use hitmachine_core::{
    AnswerContent, Asker, Covenant, CovenantVersion, Day, Finding, LiveAnswers, LiveFrame, LiveStatus,
    PartnerStatus, Permit, Query, RequestId, RequestSigner, Subject, SubjectClass, TraceContext, User,
};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Pepper, Scheme, TagKeys, Token};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// A day in the middle of everything, and noon on it.
const TODAY: u32 = 20_600;
const NOON: i64 = TODAY as i64 * 86_400 + 43_200;
const EPOCH: u32 = 3;
const ROLES: [&str; 3] = ["professional", "coordinator", "manager"];

#[derive(Clone, Debug)]
struct PartnerPlan {
    live: bool,
    registers: BTreeSet<bool>,
    registration_days: u32,
    stale_after_hours: u32,
    pinned: bool,
    /// Hours since its last completed sync; `None` if it never made one.
    synced_hours_ago: Option<i64>,
    /// Person, minor or adult, and how many days before today the registration was made.
    registered: BTreeMap<u8, (bool, u32)>,
    /// What a live node says, by person; absent: no answer in time.
    live_answers: Option<BTreeSet<u8>>,
}

#[derive(Clone, Debug)]
struct PurposePlan {
    askers: BTreeSet<usize>,
    roles: BTreeSet<usize>,
    consults: Vec<usize>,
    max_subjects: usize,
    months: u16,
}

#[derive(Clone, Debug)]
struct QuestionPlan {
    /// Beyond the list: somebody who is no partner.
    asker: usize,
    wrong_key_pin: bool,
    signer: usize,
    live_signer: usize,
    /// Beyond the list: a purpose that the covenant does not have.
    purpose: usize,
    role: usize,
    old_covenant: bool,
    old_epoch: bool,
    subjects: Vec<(u8, bool)>,
    /// Days from today to the covenant's last day; it began ten days before that.
    covenant_ends: i32,
}

fn partner() -> impl Strategy<Value = PartnerPlan> {
    (
        prop::bool::weighted(0.3),
        prop_oneof![2 => Just(BTreeSet::from([false, true])), 1 => prop::collection::btree_set(any::<bool>(), 0..=1)],
        1..=731_u32,
        1..=200_u32,
        prop::bool::weighted(0.2),
        prop::option::weighted(0.9, prop_oneof![3 => 0..24_i64, 1 => 0..400_i64]),
        prop::collection::btree_map(
            0..12_u8,
            // One in three made a day before, on, or a day after the one from which it does not answer any more.
            (
                any::<bool>(),
                prop_oneof![0..30_u32, 0..800_u32],
                prop_oneof![2 => Just(None), 1 => (0..=2_u32).prop_map(Some)],
            ),
            0..10,
        ),
        prop::option::weighted(0.8, prop::collection::btree_set(0..12_u8, 0..8)),
    )
        .prop_map(
            |(
                live,
                registers,
                registration_days,
                stale_after_hours,
                pinned,
                synced,
                registered,
                live_answers,
            )| {
                let registered = registered.into_iter().map(|(person, (minor, days_ago, edge))| {
                    let days_ago = edge.map_or(days_ago, |edge| registration_days - 1 + edge);
                    (person, (minor, days_ago))
                });
                let registered: BTreeMap<_, _> = registered.collect();
                PartnerPlan {
                    live,
                    registers,
                    registration_days,
                    stale_after_hours,
                    pinned,
                    synced_hours_ago: synced,
                    registered,
                    live_answers,
                }
            },
        )
}

fn purpose(partners: usize) -> impl Strategy<Value = PurposePlan> {
    let some = || prop::collection::btree_set(0..partners, 0..=partners);
    // A question meets several conditions; each holds often enough for all of them to hold now and then.
    let many = |all: usize| prop_oneof![4 => Just((0..all).collect()), 1 => prop::collection::btree_set(0..all, 0..=all)];
    (
        many(partners),
        many(ROLES.len()),
        some().prop_map(|consults| consults.into_iter().collect::<Vec<_>>()),
        any::<u64>(),
        1..=8_usize,
        1..=240_u16,
    )
        .prop_map(|(askers, roles, mut consults, order, max_subjects, months)| {
            // Any order: answers follow the covenant's, not the partners'.
            consults.sort_by_key(|place| (*place as u64 + 1).wrapping_mul(order | 1));
            PurposePlan {
                askers,
                roles,
                consults,
                max_subjects,
                months,
            }
        })
}

fn question(partners: usize, purposes: usize) -> impl Strategy<Value = QuestionPlan> {
    (
        prop_oneof![20 => 0..partners, 1 => Just(partners)],
        prop::bool::weighted(0.05),
        // Mostly its own key: 255 stands for that.
        (
            prop_oneof![15 => Just(255), 1 => 0..partners],
            prop_oneof![15 => Just(255), 1 => 0..partners],
        ),
        prop_oneof![20 => 0..purposes, 1 => Just(purposes)],
        0..ROLES.len(),
        prop::bool::weighted(0.03),
        prop::bool::weighted(0.03),
        prop_oneof![9 => prop::collection::vec((0..12_u8, any::<bool>()), 1..=4), 1 => prop::collection::vec((0..12_u8, any::<bool>()), 1..=10)],
        prop_oneof![20 => 0..=10_i32, 1 => -3..14_i32],
    )
        .prop_map(
            |(asker, wrong_key_pin, (signer, live_signer), purpose, role, old_covenant, old_epoch, subjects, ends)| {
                QuestionPlan {
                    asker,
                    wrong_key_pin,
                    signer: if signer == 255 { asker } else { signer },
                    live_signer: if live_signer == 255 { asker } else { live_signer },
                    purpose,
                    role,
                    old_covenant,
                    old_epoch,
                    subjects,
                    covenant_ends: ends,
                }
            },
        )
}

type World = (Vec<PartnerPlan>, Vec<PurposePlan>, QuestionPlan);

fn world() -> impl Strategy<Value = World> {
    prop::collection::vec(partner(), 2..=6).prop_flat_map(|partners| {
        let count = partners.len();
        prop::collection::vec(purpose(count), 1..=3).prop_flat_map(move |purposes| {
            let asked = question(count, purposes.len());
            (Just(partners.clone()), Just(purposes), asked)
        })
    })
}

fn id(place: usize) -> String {
    format!("partner-{place}")
}

fn oin(place: usize) -> String {
    format!("00000099{place:012}")
}

fn key_pin(place: usize) -> [u8; 32] {
    [u8::try_from(place).unwrap() + 1; 32]
}

fn signer(place: usize) -> RequestSigner {
    RequestSigner::new(&[u8::try_from(place).unwrap() + 100; 32])
}

fn class(minor: bool) -> SubjectClass {
    if minor {
        SubjectClass::Minor
    } else {
        SubjectClass::Adult
    }
}

fn token(person: u8) -> Token {
    Token::from_bytes([person + 1; 32])
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    let quoted: Vec<_> = items.into_iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Who can be consulted at all: one that registers nobody cannot, and the file says so.
fn consults<'a>(plan: &'a PurposePlan, partners: &'a [PartnerPlan]) -> impl Iterator<Item = usize> + 'a {
    plan.consults
        .iter()
        .copied()
        .filter(|place| !partners[*place].registers.is_empty())
}

fn covenant((partners, purposes, question): &World) -> Covenant {
    let day = |offset: i32| {
        let seconds = NOON + i64::from(offset) * 86_400;
        Timestamp::from_second(seconds)
            .unwrap()
            .strftime("%Y-%m-%d")
            .to_string()
    };
    let mut text = format!(
        "format = 1\nid = \"random\"\ntitle = \"Random\"\nversion = 1\nvalid_from = \"{}\"\nvalid_until = \"{}\"\n\
         [deployment]\nid = \"000102030405060708090a0b0c0d0e0f\"\nkind = \"demo\"\n",
        day(question.covenant_ends - 10),
        day(question.covenant_ends),
    );
    for (place, plan) in partners.iter().enumerate() {
        let classes = plan
            .registers
            .iter()
            .map(|minor| class(*minor).as_str().to_owned());
        write!(
            text,
            "[[partner]]\nid = \"{}\"\nname = \"P{place}\"\noin = \"{}\"\ndomain = \"d\"\ncontact = \"c\"\n\
             answers = \"{}\"\nregisters = {}\nregistration_days = {}\nstale_after_hours = {}\nkey_pins = {}\n\
             signing_keys = [\"{}\"]\n",
            id(place),
            oin(place),
            if plan.live { "live" } else { "index" },
            list(classes),
            plan.registration_days,
            plan.stale_after_hours,
            list(plan.pinned.then(|| hex::encode(key_pin(place)))),
            signer(place).key(),
        )
        .unwrap();
    }
    for (place, plan) in purposes.iter().enumerate() {
        write!(
            text,
            "[[purpose]]\ncode = \"purpose-{place}\"\ntitle = \"T\"\nlegal_basis = \"basis {place}\"\n\
             processing_activity = \"https://register.example/{place}\"\naskers = {}\nroles = {}\nconsults = {}\n\
             log_retention_months = {}\nmax_subjects = {}\n",
            list(plan.askers.iter().map(|place| id(*place))),
            list(plan.roles.iter().map(|role| ROLES[*role].to_owned())),
            list(consults(plan, partners).map(id)),
            plan.months,
            plan.max_subjects,
        )
        .unwrap();
    }
    Covenant::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Each registration as it would have been made on its day, and each partner's last completed sync.
fn register(covenant: &Covenant, partners: &[PartnerPlan]) -> Register {
    let pepper = Pepper::from_bytes([5; 32]);
    let (deployment, epoch) = (covenant.deployment().id, KeyEpoch::new(EPOCH).unwrap());
    let mut register = Register::new(
        TagKeys::derive(&pepper, &deployment, epoch, Scheme::HmacSha256),
        TallyMask::derive(&pepper, &deployment, epoch, Scheme::HmacSha256),
    );
    for (place, plan) in partners.iter().enumerate() {
        let Some(hours) = plan.synced_hours_ago else {
            continue;
        };
        let partner = covenant.partner(&id(place).parse().unwrap()).unwrap();
        let begun = register.begin(&partner.id, true).unwrap();
        let mut tally = Tally::default();
        let mut sequence = 0;
        for (person, (minor, days_ago)) in &plan.registered {
            if !plan.registers.contains(minor) {
                continue;
            }
            let made_on = Day(TODAY - days_ago);
            let until = partner.latest_valid_until(made_on);
            let change = Change {
                identifier: IdentifierType::Bsn,
                token: token(*person),
                registration: Some((class(*minor), until)),
            };
            sequence += 1;
            let prepared = register
                .prepare(partner, begun.generation, vec![(sequence, vec![change])], made_on)
                .unwrap();
            prepared.batches.iter().for_each(|batch| register.apply(batch));
            tally.add(IdentifierType::Bsn, &token(*person), class(*minor), until);
        }
        let at = Timestamp::from_second(NOON - hours * 3_600).unwrap();
        let Completed::Agreed { state } = register
            .complete(&partner.id, begun.generation, tally, at)
            .unwrap()
        else {
            panic!("the tallies differ");
        };
        register.switch(&partner.id, state);
    }
    register
}

/// Why the question must be refused: every reason that holds, for any of them may be named.
fn reasons((partners, purposes, question): &World) -> BTreeSet<&'static str> {
    let mut reasons = BTreeSet::new();
    let Some(asker) = partners.get(question.asker) else {
        return BTreeSet::from(["unknown_partner"]);
    };
    if asker.pinned && question.wrong_key_pin {
        reasons.insert("key_not_pinned");
    }
    if question.signer != question.asker {
        reasons.insert("not_signed");
    }
    if !(0..=10).contains(&question.covenant_ends) {
        reasons.insert("covenant_not_in_force");
    }
    if question.old_covenant {
        reasons.insert("covenant_changed");
    }
    if question.old_epoch {
        reasons.insert("wrong_epoch");
    }
    match purposes.get(question.purpose) {
        None => drop(reasons.insert("unknown_purpose")),
        Some(purpose) => {
            if !purpose.askers.contains(&question.asker) {
                reasons.insert("purpose_not_granted");
            }
            if !purpose.roles.contains(&question.role) {
                reasons.insert("role_not_granted");
            }
            let mut consulted = consults(purpose, partners).filter(|place| *place != question.asker);
            if consulted.any(|place| partners[place].live) && question.live_signer != question.asker {
                reasons.insert("not_signed");
            }
            if question.subjects.len() > purpose.max_subjects {
                reasons.insert("too_many_subjects");
            }
        }
    }
    reasons
}

/// What one partner must be shown to say about one person.
fn expected(plan: &PartnerPlan, person: u8, minor: bool) -> PartnerStatus {
    if !plan.registers.contains(&minor) {
        return PartnerStatus::DoesNotApply;
    }
    let said = |known| {
        if known {
            PartnerStatus::Known
        } else {
            PartnerStatus::NotKnown
        }
    };
    if plan.live {
        return plan
            .live_answers
            .as_ref()
            .map_or(PartnerStatus::CouldNotAsk, |known| said(known.contains(&person)));
    }
    match plan.synced_hours_ago {
        Some(hours) if hours <= i64::from(plan.stale_after_hours.min(plan.registration_days * 24)) => {
            let found = plan.registered.get(&person);
            said(found.is_some_and(|(registered_as, days_ago)| {
                plan.registers.contains(registered_as) && *days_ago <= plan.registration_days
            }))
        }
        _ => PartnerStatus::CouldNotAsk,
    }
}

/// The question as its asker would send it; the bytes stand for the encoding, which is another crate's.
fn ask((partners, _, question): &World, covenant: &Covenant) -> (Asker, Query) {
    let asker = Asker {
        oin: oin(question.asker).parse().unwrap(),
        public_key_sha256: if question.wrong_key_pin {
            [0; 32]
        } else {
            key_pin(question.asker)
        },
    };
    let subjects = question.subjects.iter().map(|(person, minor)| Subject {
        class: class(*minor),
        tokens: vec![(IdentifierType::Bsn, token(*person))],
    });
    let number = if question.old_epoch { EPOCH - 1 } else { EPOCH };
    let bytes = format!("question {question:?} {}", partners.len()).into_bytes();
    let mut query = Query {
        request: RequestId::generate(),
        purpose: format!("purpose-{}", question.purpose).parse().unwrap(),
        case: "CASE-1".parse().unwrap(),
        user: User {
            id: "user-1".parse().unwrap(),
            role: ROLES[question.role].parse().unwrap(),
            responsible: None,
        },
        covenant: if question.old_covenant {
            CovenantVersion([0; 32])
        } else {
            covenant.version()
        },
        epoch: KeyEpoch::new(number).unwrap(),
        subjects: subjects.collect(),
        trace: TraceContext::default(),
        signed: signer(question.signer).sign(bytes),
    };
    // Beside it, what partners that answer live get; needed only if one is consulted.
    let frame = LiveFrame::of(&id(question.asker).parse().unwrap(), &query).encode();
    let live = signer(question.live_signer).sign_live(&frame);
    query.signed = query.signed.with_live(live);
    (asker, query)
}

/// The lookup, with what the live partners say to exactly what they are asked.
fn find(
    permit: Permit,
    (partners, _, question): &World,
    register: &Register,
    now: Timestamp,
) -> Result<Finding, TestCaseError> {
    let lookup = permit.look_up(register, now);
    let mut answers = LiveAnswers::default();
    for asked in lookup.live_questions() {
        let plan = (0..partners.len()).find(|place| id(*place) == asked.partner.as_str());
        let plan = &partners[plan.expect("a partner of the covenant")];
        prop_assert!(plan.live);
        // Nobody is asked about a class that the covenant does not let it register.
        let persons = asked.subjects.iter().map(|(place, _)| question.subjects[*place]);
        let persons: Vec<_> = persons.collect();
        prop_assert!(persons.iter().all(|(_, minor)| plan.registers.contains(minor)));
        let Some(known) = &plan.live_answers else {
            continue;
        };
        let said = persons.iter().map(|(person, _)| {
            if known.contains(person) {
                LiveStatus::Known
            } else {
                LiveStatus::NotKnown
            }
        });
        answers.insert(asked.partner.clone(), said.collect());
    }
    Ok(lookup.answered(&answers))
}

/// What was answered or refused, in words that can be compared; the encoder of this test's answers.
fn encode(content: &AnswerContent<'_>) -> Vec<u8> {
    match content {
        AnswerContent::Found {
            subject, partners, ..
        } => format!("{subject} {partners:?}"),
        AnswerContent::Refused { subject, refusal, .. } => format!("{subject} refused {}", refusal.code()),
    }
    .into_bytes()
}

/// Checks one question; what came of it.
fn check(world: &World) -> Result<Vec<String>, TestCaseError> {
    let mut happened = Vec::new();
    let (partners, purposes, question) = world;
    let covenant = Arc::new(covenant(world));
    let register = register(&covenant, partners);
    let (asker, query) = ask(world, &covenant);
    let (request, signed) = (query.request, query.signed.digest());
    let now = Timestamp::from_second(NOON).unwrap();
    let reasons = reasons(world);
    let epoch = KeyEpoch::new(EPOCH).unwrap();
    let (drafts, unreleased, refused) = match covenant.authorise(&asker, query, epoch, now) {
        Ok(permit) => {
            prop_assert!(reasons.is_empty(), "allowed, although {reasons:?}");
            let (drafts, unreleased) = find(permit, world, &register, now)?.seal(now, encode);
            (drafts, unreleased, None)
        }
        Err(refused) => {
            let code = refused.refusal().code();
            prop_assert!(
                reasons.contains(code),
                "refused with {code}, expected of {reasons:?}"
            );
            let (drafts, unreleased) = refused.seal(now, encode);
            (drafts, unreleased, Some(code))
        }
    };
    // Nothing leaves before the log has one entry for each person, answered or refused.
    prop_assert_eq!(drafts.len(), question.subjects.len());
    prop_assert!(unreleased.release(vec![]).is_err());
    for (place, (draft, (person, minor))) in drafts.iter().zip(&question.subjects).enumerate() {
        let fields = draft.fields().expect("an entry about a person");
        let entry = DecodedRecord::decode(fields).expect("an entry of this version");
        prop_assert_eq!(entry.requester.as_str(), oin(question.asker));
        prop_assert_eq!(entry.request, Some(request));
        prop_assert_eq!(entry.request_digest, signed);
        let subject = &entry.subject.as_ref().expect("the person asked about").1;
        prop_assert_eq!(subject.class, class(*minor));
        prop_assert_eq!(&subject.tokens[0].1, &token(*person));
        let named = purposes
            .get(question.purpose)
            .filter(|_| question.asker < partners.len());
        prop_assert_eq!(
            entry.ground.map(|ground| ground.purpose.to_string()),
            purposes
                .get(question.purpose)
                .map(|_| format!("purpose-{}", question.purpose))
        );
        prop_assert_eq!(
            entry.user.map(|user| user.role.to_string()),
            Some(ROLES[question.role].to_owned())
        );
        let answer = match (&entry.result, refused) {
            (DecodedResult::Refused(code), Some(refused)) => {
                prop_assert_eq!(entry.kind, Kind::Denied);
                prop_assert_eq!(code, refused);
                happened.push(code.clone());
                format!("{place} refused {code}")
            }
            (DecodedResult::Answered(said), None) => {
                prop_assert_eq!(entry.kind, Kind::Lookup);
                // Exactly those whom the purpose consults, in its order, without the asker; each with what it says.
                let purpose = named.expect("a purpose of the covenant");
                let asked: Vec<_> = consults(purpose, partners)
                    .filter(|consulted| *consulted != question.asker)
                    .map(|consulted| (id(consulted), expected(&partners[consulted], *person, *minor)))
                    .collect();
                let said: Vec<_> = said
                    .iter()
                    .map(|(id, status)| (id.to_string(), *status))
                    .collect();
                prop_assert_eq!(&said, &asked);
                happened.extend(asked.iter().map(|(_, status)| format!("{status:?}")));
                let said: Vec<_> = asked
                    .into_iter()
                    .map(|(id, status)| (id.parse::<hitmachine_core::PartnerId>().unwrap(), status))
                    .collect();
                format!("{place} {said:?}")
            }
            (result, refused) => {
                return Err(TestCaseError::fail(format!(
                    "the entry says {result:?}, the answer {refused:?}"
                )));
            }
        };
        // The entry is bound to the very bytes that leave.
        let digest: [u8; 32] =
            sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(answer)).into();
        prop_assert_eq!(entry.answer_digest, digest);
    }
    Ok(happened)
}

#[test]
fn nothing_happens_that_the_covenant_does_not_grant() {
    const CASES: u32 = 10_000;
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // How often each thing happened: a rule that is never tried is not tested.
    let seen = Mutex::new(BTreeMap::<String, u32>::new());
    let tried = TestRunner::new(config).run(&world(), |world| {
        let happened = check(&world)?;
        let mut seen = seen.lock().unwrap();
        for what in happened {
            *seen.entry(what).or_default() += 1;
        }
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner().unwrap();
    for what in [
        "Known",
        "NotKnown",
        "CouldNotAsk",
        "DoesNotApply",
        "unknown_partner",
        "key_not_pinned",
        "not_signed",
        "covenant_not_in_force",
        "covenant_changed",
        "unknown_purpose",
        "purpose_not_granted",
        "role_not_granted",
        "too_many_subjects",
        "wrong_epoch",
    ] {
        let times = seen.get(what).copied().unwrap_or_default();
        assert!(times >= 100, "{what}: {times} times in {seen:?}");
    }
}
