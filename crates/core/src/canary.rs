//! Canaries: tokens that stand for a partner and for no person. Each node makes its own and those of all others; as
//! long as each meets what the other's node made itself, the tokens of persons meet too, and "not known" is true.

use std::collections::BTreeMap;

use hitmachine_pseudonym::{CanaryName, Tag};

use crate::covenant::Covenant;
use crate::ids::{Oin, PartnerId};

/// What came of looking for one partner's canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryState {
    /// The same as that partner's own.
    Met,
    /// Another than that partner's own: neither would find whom the other registers.
    Missed,
    /// That partner has none yet.
    NotThereYet,
}

/// The canaries of one key epoch, as each partner's own node made them.
#[derive(Debug, Default)]
pub struct Canaries {
    own: BTreeMap<PartnerId, (Oin, Tag)>,
}

impl Canaries {
    /// Puts `partner`'s canary in the place of the one that it had, and drops those of partners that the covenant does
    /// not name any more.
    pub fn put(&mut self, covenant: &Covenant, partner: &PartnerId, tag: Tag) {
        self.own.retain(|other, _| covenant.partner(other).is_some());
        if let Some(own) = covenant.partner(partner) {
            self.own.insert(partner.clone(), (own.oin.clone(), tag));
        }
    }

    /// Looks for the canary of a partner.
    pub fn look(&self, covenant: &Covenant, partner: &PartnerId, tag: &Tag) -> CanaryState {
        let named = covenant.partner(partner);
        let own = self.own.get(partner);
        match named.zip(own) {
            // A canary is made of an OIN: under another one it says nothing.
            Some((named, (oin, own))) if named.oin == *oin => {
                if own == tag {
                    CanaryState::Met
                } else {
                    CanaryState::Missed
                }
            }
            _ => CanaryState::NotThereYet,
        }
    }
}

/// What a partner's canary is made of.
pub fn canary_name(oin: &Oin) -> Option<CanaryName> {
    oin.as_str().as_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use hitmachine_pseudonym::{
        DeploymentId, HmacSha256Pseudonymiser, KeyEpoch, NodeKey, Pepper, Scheme, TagKeys,
    };

    use super::*;

    const COVENANT: &str = include_str!("../../../deploy/covenant.toml");

    fn covenant(text: &str) -> Covenant {
        Covenant::parse(text.as_bytes()).unwrap()
    }

    /// The tag of a partner's canary, made at a node with this key.
    fn tag(covenant: &Covenant, partner: &PartnerId, key: u8) -> Tag {
        let (deployment, epoch) = (DeploymentId::from_bytes([1; 16]), KeyEpoch::FIRST);
        let node = HmacSha256Pseudonymiser::new(NodeKey::from_bytes([key; 32]), deployment, epoch);
        let pepper = Pepper::from_bytes([3; 32]);
        let keys = TagKeys::derive(&pepper, &deployment, epoch, Scheme::HmacSha256);
        let named = covenant.partner(partner).unwrap();
        keys.canary_tag(&node.canary(&canary_name(&named.oin).unwrap()))
    }

    #[test]
    fn the_same_key_meets_and_another_misses() {
        let covenant = covenant(COVENANT);
        let [one, two] = [0, 1].map(|at| covenant.partners()[at].id.clone());
        let mut canaries = Canaries::default();
        let looked = |canaries: &Canaries, key| canaries.look(&covenant, &two, &tag(&covenant, &two, key));
        assert_eq!(looked(&canaries, 7), CanaryState::NotThereYet);
        canaries.put(&covenant, &one, tag(&covenant, &one, 7));
        assert_eq!(looked(&canaries, 7), CanaryState::NotThereYet, "another's");
        canaries.put(&covenant, &two, tag(&covenant, &two, 7));
        assert_eq!(looked(&canaries, 7), CanaryState::Met);
        assert_eq!(looked(&canaries, 8), CanaryState::Missed);
        // The name of another under the same key.
        let wrong = canaries.look(&covenant, &two, &tag(&covenant, &one, 7));
        assert_eq!(wrong, CanaryState::Missed);
        canaries.put(&covenant, &two, tag(&covenant, &two, 8));
        assert_eq!(looked(&canaries, 7), CanaryState::Missed, "the last one counts");
    }

    #[test]
    fn a_canary_ends_with_its_partner_and_its_oin() {
        let covenant_of_two = covenant(COVENANT);
        let [one, two] = [0, 1].map(|at| covenant_of_two.partners()[at].clone());
        let tag = tag(&covenant_of_two, &two.id, 7);
        let mut canaries = Canaries::default();
        canaries.put(&covenant_of_two, &two.id, tag);
        let renumbered = covenant(&COVENANT.replace(two.oin.as_str(), "00000099000000777000"));
        let look = |canaries: &Canaries, covenant: &Covenant| canaries.look(covenant, &two.id, &tag);
        assert_eq!(look(&canaries, &covenant_of_two), CanaryState::Met);
        assert_eq!(look(&canaries, &renumbered), CanaryState::NotThereYet);
        // One that is renamed has left, for all that its old name says.
        let quoted = |name: &str| format!("\"{name}\"");
        let without = covenant(&COVENANT.replace(&quoted(two.id.as_str()), &quoted("anders")));
        assert_eq!(look(&canaries, &without), CanaryState::NotThereYet);
        canaries.put(&without, &two.id, tag);
        canaries.put(&without, &one.id, tag);
        assert_eq!(
            look(&canaries, &covenant_of_two),
            CanaryState::NotThereYet,
            "dropped"
        );
    }
}
