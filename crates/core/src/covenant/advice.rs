//! What is allowed in a covenant and yet probably not meant.

use jiff::{Timestamp, ToSpan};

use hitmachine_pseudonym::DeploymentKind;

use super::{Answers, Covenant, Partner, Purpose};
use crate::clock::dutch_date;
use crate::ids::{PartnerId, PurposeCode};

/// So many days before its end people are warned.
const ENDS_SOON_DAYS: i64 = 60;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Its last day is past.
    Over,
    /// Its first day is still to come.
    NotBegun,
    /// Its last day is near: so many days left.
    EndsSoon(i64),
    /// Nobody can ever ask for this purpose: no askers, no roles, or nobody to ask.
    NobodyMayAsk(PurposeCode),
    /// It registers persons, and no purpose asks it.
    NeverAsked(PartnerId),
    /// It neither asks nor is asked.
    NoPart(PartnerId),
    /// It may ask and no quota bounds it, while there are some for others.
    NoQuota(PartnerId),
    /// It answers live, and no witness of its own is in the witness policy.
    LiveWithoutWitness(PartnerId),
    /// Nobody may review the log.
    NoOfficer,
    /// Nobody is named who can change it.
    NoAdministrators,
    /// One person can change it alone.
    OneAdministrator,
}

impl Advice {
    /// Stable code for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::NotBegun => "not_begun",
            Self::EndsSoon(_) => "ends_soon",
            Self::NobodyMayAsk(_) => "nobody_may_ask",
            Self::NeverAsked(_) => "never_asked",
            Self::NoPart(_) => "no_part",
            Self::NoQuota(_) => "no_quota",
            Self::LiveWithoutWitness(_) => "live_without_witness",
            Self::NoOfficer => "no_officer",
            Self::NoAdministrators => "no_administrators",
            Self::OneAdministrator => "one_administrator",
        }
    }

    /// In Dutch, for people.
    pub fn text_nl(&self) -> String {
        match self {
            Self::Over => "het convenant is niet meer geldig: niemand krijgt antwoord".into(),
            Self::NotBegun => "het convenant is nog niet geldig: niemand krijgt antwoord".into(),
            Self::EndsSoon(days) => {
                format!("het convenant loopt over {days} dagen af; maak op tijd een nieuw")
            }
            Self::NobodyMayAsk(code) => format!("voor doel {code} kan niemand vragen"),
            Self::NeverAsked(id) => {
                format!("{id} registreert personen, maar geen doel bevraagt deze instantie")
            }
            Self::NoPart(id) => format!("{id} vraagt niet en wordt niet bevraagd"),
            Self::NoQuota(id) => format!("{id} mag vragen zonder quotum"),
            Self::LiveWithoutWitness(id) => {
                format!("{id} antwoordt rechtstreeks, maar staat niet als getuige in het getuigenbeleid")
            }
            Self::NoOfficer => "niemand mag het logboek beoordelen (geen [[officer]])".into(),
            Self::NoAdministrators => {
                "er zijn geen beheerders ([administrators]): buiten een demo wordt het niet aanvaard".into()
            }
            Self::OneAdministrator => "één beheerder kan het convenant alleen wijzigen".into(),
        }
    }

    /// In English, for people.
    pub fn text_en(&self) -> String {
        match self {
            Self::Over => "the covenant is over: nobody gets an answer".into(),
            Self::NotBegun => "the covenant has not begun: nobody gets an answer".into(),
            Self::EndsSoon(days) => format!("the covenant ends in {days} days; make a new one in time"),
            Self::NobodyMayAsk(code) => format!("nobody can ask for purpose {code}"),
            Self::NeverAsked(id) => format!("{id} registers persons, but no purpose asks it"),
            Self::NoPart(id) => format!("{id} neither asks nor is asked"),
            Self::NoQuota(id) => format!("{id} may ask without a quota"),
            Self::LiveWithoutWitness(id) => {
                format!("{id} answers live, but is no witness in the witness policy")
            }
            Self::NoOfficer => "nobody may review the log (no [[officer]])".into(),
            Self::NoAdministrators => {
                "there are no [administrators]: outside a demo it is not accepted".into()
            }
            Self::OneAdministrator => "one administrator can change the covenant alone".into(),
        }
    }
}

/// What to look at in a covenant at this moment. `witnesses` says whether a partner has a witness in the policy, where
/// that is known.
pub fn advice(
    covenant: &Covenant,
    now: Timestamp,
    witnesses: Option<&dyn Fn(&PartnerId) -> bool>,
) -> Vec<Advice> {
    let mut found = Vec::new();
    let (today, (from, until)) = (dutch_date(now), covenant.validity());
    let soon = today.checked_add(ENDS_SOON_DAYS.days()).unwrap_or(until);
    if today > until {
        found.push(Advice::Over);
    } else if today < from {
        found.push(Advice::NotBegun);
    } else if until <= soon {
        found.push(Advice::EndsSoon((until - today).get_days().into()));
    }
    match covenant.administrators() {
        None if covenant.deployment().kind == DeploymentKind::Demo => {}
        None => found.push(Advice::NoAdministrators),
        Some(administrators) if administrators.needed() == 1 => found.push(Advice::OneAdministrator),
        Some(_) => {}
    }
    if !covenant
        .officers()
        .iter()
        .any(|officer| !officer.roles.is_empty())
    {
        found.push(Advice::NoOfficer);
    }
    let dead = covenant
        .purposes()
        .iter()
        .filter(|purpose| !can_be_asked_for(purpose));
    found.extend(dead.map(|purpose| Advice::NobodyMayAsk(purpose.code.clone())));
    for partner in covenant.partners() {
        let purposes = || {
            covenant
                .purposes()
                .iter()
                .filter(|purpose| can_be_asked_for(purpose))
        };
        let asks = purposes().any(|purpose| purpose.askers.contains(&partner.id));
        let other = |purpose: &&Purpose| {
            purpose.consults.contains(&partner.id) && purpose.askers.iter().any(|asker| *asker != partner.id)
        };
        let is_asked = purposes().any(|purpose| other(&purpose));
        if !asks && !is_asked {
            found.push(Advice::NoPart(partner.id.clone()));
        } else if !is_asked && !partner.registers.is_empty() {
            found.push(Advice::NeverAsked(partner.id.clone()));
        }
        if asks && !covenant.quotas().is_empty() && !has_quota(covenant, partner) {
            found.push(Advice::NoQuota(partner.id.clone()));
        }
        let is_witness = witnesses.is_none_or(|witnesses| witnesses(&partner.id));
        if partner.answers == Answers::Live && !partner.registers.is_empty() && !is_witness {
            found.push(Advice::LiveWithoutWitness(partner.id.clone()));
        }
    }
    found
}

fn can_be_asked_for(purpose: &Purpose) -> bool {
    let somebody_else = |asker: &PartnerId| purpose.consulted_by(asker).next().is_some();
    !purpose.roles.is_empty() && purpose.askers.iter().any(somebody_else)
}

fn has_quota(covenant: &Covenant, partner: &Partner) -> bool {
    let applies = |quota: &super::Quota| quota.partner.as_ref().is_none_or(|of| *of == partner.id);
    covenant.quotas().iter().any(applies)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../../deploy/covenant.toml");

    fn at(text: &str, now: &str) -> Vec<&'static str> {
        let covenant = Covenant::parse(text.as_bytes()).unwrap();
        let found = advice(&covenant, now.parse().unwrap(), None);
        assert!(
            found
                .iter()
                .all(|each| !each.text_nl().is_empty() && !each.text_en().is_empty())
        );
        found.iter().map(Advice::code).collect()
    }

    #[test]
    fn the_sample_is_as_it_should_be_and_what_is_not_is_said() {
        let now = "2026-11-21T12:00:00Z";
        assert_eq!(at(SAMPLE, now), [""; 0]);
        for (now, codes) in [
            ("2025-12-31T22:59:59Z", vec!["not_begun"]),
            ("2025-12-31T23:00:00Z", vec![]),
            ("2030-10-31T12:00:00Z", vec![]),
            ("2030-11-01T12:00:00Z", vec!["ends_soon"]),
            ("2030-12-31T22:59:59Z", vec!["ends_soon"]),
            ("2030-12-31T23:00:00Z", vec!["over"]),
        ] {
            assert_eq!(at(SAMPLE, now), codes, "{now}");
        }
        for (from, to, codes) in [
            (
                "roles = [\"informatiecoordinator\"]",
                "roles = []",
                vec!["nobody_may_ask", "no_part", "no_part"],
            ),
            (
                "roles = [\"privacyfunctionaris\"]",
                "roles = []",
                vec!["no_officer"],
            ),
            ("needed = 2", "needed = 1", vec!["one_administrator"]),
            (", \"om-reclassering\"]\nnotifies", "]\nnotifies", vec!["no_part"]),
        ] {
            assert!(SAMPLE.contains(from), "{from}");
            assert_eq!(at(&SAMPLE.replacen(from, to, 1), now), codes, "{to}");
        }
        let covenant = Covenant::parse(SAMPLE.as_bytes()).unwrap();
        let found = advice(&covenant, now.parse().unwrap(), Some(&|_| false));
        assert_eq!(
            found.iter().map(Advice::code).collect::<Vec<_>>(),
            ["live_without_witness"]
        );
    }
}
