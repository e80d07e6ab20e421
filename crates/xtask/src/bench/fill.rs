//! Registers of any size, written as syncs would have left them: through the store's own door, in batches.
//!
//! Each of the partners knows the same persons, in an order of its own. Their tags are random, as tags are.

use std::fs;
use std::path::Path;
use std::process::Command;

use hitmachine_core::registry::{MAX_CHANGES, TallyMask};
use hitmachine_core::{
    Batch, Covenant, Day, PartnerId, PartnerState, Registration, Store as _, StoredBatch, SubjectClass, Tally,
};
use hitmachine_pseudonym::{KeyEpoch, Pepper, Scheme, Tag};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_store::SledStore;
use hitmachine_testkit::deployment::{ADMINISTRATORS, Deployment};
use hitmachine_testkit::pki::test_oin;
use hitmachine_tests::{program, today};
use jiff::Timestamp;

use super::ground;

/// Partners that register, in a deployment made here.
pub(crate) const PARTNERS: usize = 10;
/// Batches that become durable together.
const TOGETHER: usize = 64;
/// Registrations answer for so many days more.
const DAYS: u32 = 300;
/// No number of persons shares a factor with it.
const STEP: u64 = 1_000_000_007;

/// A deployment in `dir` in whose covenant ten partners register persons.
pub(crate) fn deployment(dir: &Path) -> Deployment {
    let deployment = ground::deployment(dir, &[]);
    let path = deployment.covenant();
    let mut names = Vec::new();
    for number in 1..=PARTNERS - deployment.registering().count() {
        let name = format!("gemeente-{number}");
        let partner = format!(
            "[[partner]]\nid = \"{name}\"\nname = \"Gemeente {number}\"\noin = \"{}\"\ndomain = \"gemeente\"\n\
             contact = \"024 000 00 00\"\nanswers = \"index\"\nregisters = [\"minor\", \"adult\"]\n\
             registration_days = 365\nstale_after_hours = 72\n\n[[purpose]]\ncode = \"screening\"",
            test_oin(100 + number as u64)
        );
        program::replace(&path, "[[purpose]]\ncode = \"screening\"", &partner);
        names.push(format!("\"{name}\""));
    }
    let to = format!("\"om-reclassering\", {}]\nnotifies", names.join(", "));
    program::replace(&path, "\"om-reclassering\"]\nnotifies", &to);
    deployment.sign_covenant(&ADMINISTRATORS[..2]).unwrap();
    deployment
}

/// A copy of a deployment that was never started.
pub(crate) fn copy(deployment: &Deployment, to: &Path) -> Deployment {
    let copied = Command::new("cp")
        .arg("-a")
        .arg(deployment.dir())
        .arg(to)
        .status();
    assert!(copied.unwrap().success(), "the deployment cannot be copied");
    Deployment::open(to).unwrap()
}

/// Random, and the same for the same person.
fn tag(person: u64) -> Tag {
    // SplitMix64 (Steele, Lea, Flood 2014).
    let mix = |mut x: u64| {
        x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mix(2 * person + 1).to_le_bytes());
    bytes[8..].copy_from_slice(&mix(2 * person + 2).to_le_bytes());
    Tag::from_bytes(bytes)
}

/// Fills the registry of a deployment whose broker is stopped: each partner that registers knows all `persons`.
pub(crate) fn fill(deployment: &Deployment, persons: u64) {
    let covenant = Covenant::parse(&fs::read(deployment.covenant()).unwrap()).unwrap();
    let pepper = deployment.dir().join("broker").join("pepper.key");
    let (_, pepper) = SecretFile::read(pepper, Purpose::Pepper).unwrap();
    let mask = TallyMask::derive(
        &Pepper::from_bytes(*pepper),
        &covenant.deployment().id,
        KeyEpoch::FIRST,
        Scheme::HmacSha256,
    );
    let store = SledStore::open(&deployment.dir().join("broker/data/registry")).unwrap();
    store.bind(mask.check_value()).unwrap();
    let partners = covenant.partners().iter();
    let registering = partners
        .filter(|partner| partner.registers(SubjectClass::Adult) || partner.registers(SubjectClass::Minor));
    for (partner, number) in registering.zip(1..) {
        let class = if partner.registers(SubjectClass::Adult) {
            SubjectClass::Adult
        } else {
            SubjectClass::Minor
        };
        let filling = Filling {
            partner: &partner.id,
            class,
            number,
            persons,
            mask: &mask,
        };
        filling.fill(&store);
    }
}

struct Filling<'a> {
    partner: &'a PartnerId,
    class: SubjectClass,
    /// Which of the partners, for an order of its own.
    number: u64,
    persons: u64,
    mask: &'a TallyMask,
}

impl Filling<'_> {
    fn fill(&self, store: &SledStore) {
        let most = MAX_CHANGES as u64;
        let mut waiting = Vec::with_capacity(TOGETHER);
        for (first, sequence) in (0..self.persons).step_by(MAX_CHANGES).zip(1..) {
            waiting.push(self.batch(sequence, first..self.persons.min(first + most)));
            if waiting.len() == TOGETHER {
                store.append(&waiting).unwrap();
                waiting.clear();
            }
        }
        if !waiting.is_empty() {
            store.append(&waiting).unwrap();
        }
        let state = PartnerState {
            active: Some(1),
            filling: None,
            complete_at: Some(Timestamp::now()),
        };
        store.set_state(self.partner, state).unwrap();
    }

    fn batch(&self, sequence: u64, places: std::ops::Range<u64>) -> StoredBatch {
        let valid_until = Day::from_date(today()).plus(DAYS);
        let count = places.end;
        let changes = places.map(|place| {
            let person = u128::from(place) * u128::from(STEP) + u128::from(self.number * STEP);
            Ok(Registration {
                tag: tag(u64::try_from(person % u128::from(self.persons)).unwrap_or(0)),
                class: self.class,
                valid_until,
            })
        });
        let batch = Batch {
            partner: self.partner.clone(),
            generation: 1,
            sequence,
            changes: changes.collect(),
            // What the digest is only the node knows, and nobody asks for it here.
            after: Tally::from_parts(count, &[0; 32]),
        };
        StoredBatch {
            partner: batch.partner.clone(),
            generation: 1,
            sequence,
            bytes: batch.pack(self.mask),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_partner_knows_every_person_once() {
        let tags: HashSet<[u8; 16]> = (0..10_000).map(|person| *tag(person).as_bytes()).collect();
        assert_eq!(tags.len(), 10_000);
        for number in [1, 7] {
            let places = (0..10_000_u64).map(|place| (place * STEP + number * STEP) % 10_000);
            assert_eq!(places.collect::<HashSet<_>>().len(), 10_000);
        }
    }
}
