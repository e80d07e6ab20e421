//! Canaries: every few minutes this node proves that its tokens still meet those of the other partners' nodes at the
//! hub. If they did not, every "not known" could be wrong, and nobody would notice.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hitmachine_core::canary::canary_name;
use hitmachine_core::volume::local;
use hitmachine_core::{Clock, Covenant, Partner, PartnerId};
use hitmachine_proto::v1;
use hitmachine_pseudonym::{KeyEpoch, Token};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::epochs::HeldKey;
use crate::language::Language;
use crate::link::{Link, LinkError};

/// The first pauses while others' nodes are still to come, as after a start; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The pause after a check that could not be made.
const AGAIN: Duration = Duration::from_secs(15);

/// A partner whose canary was another than the one that this node expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedView {
    /// Short name in the covenant.
    pub partner: String,
    /// Name for people.
    pub name: String,
    /// In which key epoch.
    pub key_epoch: u32,
}

/// How the last check went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryView {
    /// When (RFC 3339); absent if nothing was checked yet, or the last check could not be made. Then the rest is empty.
    pub checked_at: Option<String>,
    /// The other partners of the covenant.
    pub others: usize,
    /// How many of them were met.
    pub met: usize,
    /// Those that were missed: "not known" is not to be relied on between them and this node.
    pub missed: Vec<MissedView>,
    /// Those whose nodes have not been at the hub since it was started, by short name.
    pub not_there_yet: Vec<String>,
}

impl CanaryView {
    /// For people, in one line.
    pub fn text(&self, language: Language) -> String {
        let at: Option<Timestamp> = self.checked_at.as_deref().and_then(|at| at.parse().ok());
        let Some(at) = at else {
            return language.pick("niet gecontroleerd", "not checked").to_owned();
        };
        let at = local(at).strftime("%H:%M");
        let (of, met) = (language.pick("van", "of"), language.pick("gevonden", "met"));
        let mut text = format!("{} {of} {} {met}", self.met, self.others);
        if !self.not_there_yet.is_empty() {
            let yet = language.pick("nog niet begonnen", "not there yet");
            text.push_str(&format!(", {} {yet}", self.not_there_yet.len()));
        }
        text.push_str(&format!(", {} {at}", language.pick("laatst", "last")));
        if !self.missed.is_empty() {
            let names: Vec<_> = self.missed.iter().map(|missed| missed.name.as_str()).collect();
            let said = language.pick(
                "NIET GEVONDEN, vertrouw \u{201c}niet bekend\u{201d} niet",
                "MISSED, do not rely on \u{201c}not known\u{201d}",
            );
            text.push_str(&format!("; {said}: {}", names.join(", ")));
        }
        text
    }
}

/// What the hub said in one key epoch, in the order of the others.
type Said = (KeyEpoch, Vec<v1::CanaryState>);

/// What all epochs come to. A miss in any of them counts; for the rest the first does, which is the one in use: into
/// the next a partner comes when it has its key.
fn gather(others: &[&Partner], said: &[Said], now: Timestamp) -> CanaryView {
    let mut view = CanaryView {
        checked_at: Some(now.to_string()),
        others: others.len(),
        ..CanaryView::default()
    };
    for (place, partner) in others.iter().enumerate() {
        let mut states = said
            .iter()
            .filter_map(|(epoch, states)| Some((epoch, *states.get(place)?)));
        let missed = states
            .clone()
            .find(|(_, state)| *state == v1::CanaryState::Missed);
        let present = states.next().map(|(_, state)| state);
        match (missed, present) {
            (Some((epoch, _)), _) => view.missed.push(MissedView {
                partner: partner.id.to_string(),
                name: partner.name.clone(),
                key_epoch: epoch.get(),
            }),
            (None, Some(v1::CanaryState::Met)) => view.met += 1,
            (None, _) => view.not_there_yet.push(partner.id.to_string()),
        }
    }
    view
}

/// Checks canaries, and remembers how the last check went.
pub(crate) struct Canaries {
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
    /// Zero if it is turned off.
    every: Duration,
    last: Mutex<CanaryView>,
}

impl Canaries {
    /// One check in so many minutes; none if that is zero.
    pub(crate) fn new(minutes: u32, link: Arc<Link>, clock: Arc<dyn Clock>) -> Self {
        Self {
            link,
            clock,
            every: Duration::from_mins(minutes.into()),
            last: Mutex::default(),
        }
    }

    /// How the last check went; `None` if this node is told not to check.
    pub(crate) fn view(&self) -> Option<CanaryView> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (!self.every.is_zero()).then(|| last.clone())
    }

    /// Checks for ever.
    pub(crate) async fn keep(&self) {
        if self.every.is_zero() {
            return std::future::pending().await;
        }
        // All nodes may have been started together; the hub should not hear them all at once.
        let mut growing = FIRST_PAUSE;
        tokio::time::sleep(spread(growing)).await;
        let mut missed = Vec::new();
        loop {
            let checked = self.check().await;
            let pause = match &checked {
                Ok(view) if view.not_there_yet.is_empty() => self.every,
                Ok(_) => {
                    let pause = growing;
                    growing = (growing * 2).min(self.every);
                    pause
                }
                Err(error) => {
                    tracing::debug!(%error, "the canaries cannot be checked");
                    growing = FIRST_PAUSE;
                    AGAIN
                }
            };
            if let Ok(view) = &checked {
                tell(&missed, &view.missed);
                missed.clone_from(&view.missed);
            }
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = checked.unwrap_or_default();
            tokio::time::sleep(spread(pause.min(self.every))).await;
        }
    }

    /// Checks once, with every key that this node registers with.
    async fn check(&self) -> Result<CanaryView, LinkError> {
        let covenant = self.link.covenant().await?;
        let own = &self.link.own().partner;
        let (mine, others): (Vec<_>, Vec<_>) =
            covenant.partners().iter().partition(|partner| partner.id == *own);
        let keys = self.link.keys().registering();
        if keys.is_empty() {
            return Err(LinkError::Disagree("the key epoch"));
        }
        let mut said = Vec::with_capacity(keys.len());
        for key in &keys {
            let partners: Vec<_> = mine.iter().chain(&others).copied().collect();
            let request = request(&covenant, key, &partners).await?;
            let states = self.link.check_canaries(request).await?;
            if states.len() != others.len() {
                return Err(LinkError::Unreadable("canaries"));
            }
            said.push((key.keys.number, states));
        }
        Ok(gather(&others, &said, self.clock.now()))
    }
}

/// The request in one key epoch; the first partner is this node's own.
async fn request(
    covenant: &Covenant,
    key: &HeldKey,
    partners: &[&Partner],
) -> Result<v1::CanaryRequest, LinkError> {
    let unreadable = LinkError::Unreadable("the partners of the covenant");
    let names: Option<Vec<_>> = partners.iter().map(|partner| canary_name(&partner.oin)).collect();
    let Some(names) = names else {
        return Err(unreadable);
    };
    let Ok(tokens) = key.pseudonymiser.canaries(&names).await else {
        return Err(unreadable);
    };
    let Some((own, tokens)) = tokens.split_first() else {
        return Err(unreadable);
    };
    let bytes = |token: &Token| token.expose_secret().to_vec();
    let ids = partners.iter().skip(1).map(|partner| &partner.id);
    let other = |(partner, token): (&PartnerId, &Token)| v1::CanaryOther {
        partner: partner.to_string(),
        token: bytes(token),
    };
    Ok(v1::CanaryRequest {
        key_epoch: key.keys.number.get(),
        covenant_version: covenant.version().0.to_vec(),
        own: bytes(own),
        others: ids.zip(tokens).map(other).collect(),
    })
}

/// Logs what is new: not the same miss every few minutes.
fn tell(before: &[MissedView], now: &[MissedView]) {
    for missed in now.iter().filter(|missed| !before.contains(missed)) {
        let (partner, epoch) = (&missed.partner, missed.key_epoch);
        tracing::warn!(
            partner,
            epoch,
            "a canary was missed: do not rely on \"not known\" of this partner"
        );
    }
    if now.is_empty() && !before.is_empty() {
        tracing::info!("no canary is missed any more");
    }
}

/// A pause of seven eighths of `pause` up to all of it, at random.
fn spread(pause: Duration) -> Duration {
    let mut random = [0];
    // Without random bytes nodes check at the same moment, which is no harm but a busy one.
    let _ = getrandom::fill(&mut random);
    pause.saturating_sub(pause / 8 * u32::from(random[0]) / 256)
}

#[cfg(test)]
mod tests {
    use v1::CanaryState::{Met, Missed, NotThereYet};

    use super::*;

    const COVENANT: &str = include_str!("../../../deploy/covenant.toml");

    fn view(said: &[(u32, [v1::CanaryState; 4])]) -> CanaryView {
        let covenant = Covenant::parse(COVENANT.as_bytes()).unwrap();
        let others: Vec<_> = covenant.partners()[1..5].iter().collect();
        let said: Vec<Said> = said
            .iter()
            .map(|(epoch, states)| (KeyEpoch::new(*epoch).unwrap(), states.to_vec()))
            .collect();
        gather(&others, &said, "2026-11-23T12:53:20Z".parse().unwrap())
    }

    #[test]
    fn one_epoch_is_told_as_it_is() {
        let all = view(&[(1, [Met; 4])]);
        assert_eq!(all.text(Language::En), "4 of 4 met, last 13:53");
        assert_eq!(all.text(Language::Nl), "4 van 4 gevonden, laatst 13:53");
        let some = view(&[(1, [Met, NotThereYet, Missed, Met])]);
        assert_eq!((some.met, some.missed.len()), (2, 1));
        assert_eq!(some.not_there_yet, ["schuldhulpverlening"]);
        assert_eq!(
            some.text(Language::En),
            "2 of 4 met, 1 not there yet, last 13:53; MISSED, do not rely on \u{201c}not known\u{201d}: Regieteams, gemeente Rivierenland"
        );
        assert_eq!(CanaryView::default().text(Language::Nl), "niet gecontroleerd");
    }

    #[test]
    fn a_miss_counts_in_any_epoch_and_who_is_late_only_in_the_present_one() {
        let both = view(&[
            (1, [Met, Met, NotThereYet, Missed]),
            (2, [NotThereYet, Missed, Met, Met]),
        ]);
        let missed: Vec<_> = both
            .missed
            .iter()
            .map(|one| (one.partner.as_str(), one.key_epoch))
            .collect();
        assert_eq!(missed, [("schuldhulpverlening", 2), ("om-reclassering", 1)]);
        assert_eq!((both.met, both.not_there_yet), (1, vec!["regieteams".to_owned()]));
    }

    #[test]
    fn what_the_hub_leaves_out_was_not_met() {
        let short = view(&[]);
        assert_eq!((short.met, short.not_there_yet.len()), (0, 4));
    }

    #[test]
    fn pauses_are_spread_and_never_longer() {
        for _ in 0..100 {
            let pause = spread(Duration::from_secs(80));
            assert!((Duration::from_secs(70)..=Duration::from_secs(80)).contains(&pause));
        }
    }
}
