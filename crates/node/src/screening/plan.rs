//! What asking about a list would mean, in numbers and names, before anybody is asked.

use hitmachine_core::covenant::{Answers, Quota, QuotaOf};
use hitmachine_core::{Covenant, PartnerId, Purpose, PurposeCode, SubjectClass};
use serde::{Deserialize, Serialize};

use super::{List, ScreeningView};
use crate::control::ClassWord;
use crate::failure::Failure;
use crate::language::Language;
use crate::node::Node;
use crate::screen::Frame;
use crate::view::{refusal_text, table};

/// Milliseconds per person asked about, where nothing was measured yet.
const ASSUMED_MS: u64 = 40;

/// What asking about a list would mean.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Households on the list.
    pub households: usize,
    /// Persons on the list with a usable number.
    pub persons: usize,
    /// Of those, younger than 18.
    pub minors: usize,
    /// Rows left out.
    pub bad_rows: u64,
    /// Questions: one for each household, and more for those that are larger than the covenant's cap.
    pub questions: usize,
    /// Households that take more than one question; each stays one in the result.
    pub split_households: usize,
    /// The case reference that is logged.
    pub case: String,
    /// Who asks, in which role.
    pub user: String,
    /// In which role.
    pub role: String,
    /// What the covenant says; absent if the hub could not be asked.
    pub covenant: Option<PlanCovenant>,
    /// Why the hub could not be asked.
    pub hub: Option<Failure>,
    /// Seconds it takes at the rate measured last, or at an assumed one.
    pub seconds: u64,
    /// Whether that rate was measured.
    pub measured: bool,
    /// A screening of this very list and frame that has not come to its end.
    pub unfinished: Option<ScreeningView>,
}

/// What the covenant says about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanCovenant {
    /// Its number.
    pub number: u32,
    /// Name of the purpose for people.
    pub purpose: String,
    /// Lawful basis.
    pub legal_basis: String,
    /// The code of the refusal that every question would meet, if any.
    pub refused: Option<String>,
    /// The most persons in one question.
    pub max_subjects: usize,
    /// The most persons in one screening.
    pub max_screening: u32,
    /// Whether the list is larger than that.
    pub too_many: bool,
    /// Who is consulted.
    pub partners: Vec<PlanPartner>,
    /// Quotas that apply.
    pub quotas: Vec<PlanQuota>,
}

/// A partner that is consulted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanPartner {
    /// Short name.
    pub partner: String,
    /// Name for people.
    pub name: String,
    /// Whether its node answers each question itself.
    pub live: bool,
    /// Persons of the list it is asked about.
    pub persons: usize,
    /// Whether it is asked about minors, and about adults.
    pub classes: Vec<ClassWord>,
    /// Whether it is told of a hit.
    pub notified: bool,
}

/// A quota that applies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanQuota {
    /// `partner` or `user`: whose questions are counted together.
    pub of: String,
    /// Whether only this purpose is counted.
    pub of_this_purpose: bool,
    /// Persons in a full bucket.
    pub persons: u32,
    /// Hours in which an empty bucket is full again.
    pub hours: u32,
    /// Hours that the list takes at least, beginning with a full bucket; 0 if it fits at once.
    pub at_least_hours: u64,
}

impl Node {
    pub(super) async fn plan_of(&self, frame: &Frame, list: &List) -> Result<Plan, Failure> {
        self.check_list(frame, list)?;
        let covenant = self.link.covenant().await;
        let own = &self.link.own().partner;
        let store = &self.screenings.store;
        let rate = store.rate_ms().await?;
        let unfinished = store
            .unfinished(frame, list, |id| self.screenings.is_running(id))
            .await?;
        let covenant = covenant.map_err(Failure::from);
        let said = covenant
            .as_ref()
            .map(|covenant| of_covenant(covenant, own, frame, list));
        let cap = said.as_ref().map_or(usize::MAX, |said| said.max_subjects.max(1));
        let parts = |persons: usize| persons.div_ceil(cap);
        let sizes = list.households.iter().map(|household| household.persons.len());
        let questions: usize = sizes.clone().map(parts).sum();
        let quota_seconds = said.as_ref().map_or(0, |said| {
            let hours = said.quotas.iter().map(|quota| quota.at_least_hours);
            hours.max().unwrap_or(0).saturating_mul(3_600)
        });
        let persons = list.persons();
        let asking_ms = (persons as u64).saturating_mul(rate.unwrap_or(ASSUMED_MS));
        let minors = list.households.iter().flat_map(|household| &household.persons);
        Ok(Plan {
            households: list.households.len(),
            persons,
            minors: minors
                .filter(|person| person.person.class == ClassWord::Minor)
                .count(),
            bad_rows: list.issue_count,
            questions,
            split_households: sizes.filter(|size| parts(*size) > 1).count(),
            case: frame.case.clone(),
            user: frame.user.clone(),
            role: frame.role.clone(),
            hub: covenant.as_ref().err().cloned(),
            covenant: said.ok(),
            seconds: asking_ms.div_ceil(1_000).max(quota_seconds),
            measured: rate.is_some(),
            unfinished,
        })
    }
}

fn of_covenant(covenant: &Covenant, own: &PartnerId, frame: &Frame, list: &List) -> PlanCovenant {
    let persons = list.persons();
    let code = frame.purpose.parse::<PurposeCode>().ok();
    let purpose = code.and_then(|code| covenant.purpose(&code));
    let refused = match purpose {
        None => Some("unknown_purpose"),
        Some(purpose) if !purpose.askers.contains(own) => Some("purpose_not_granted"),
        Some(purpose) if !purpose.roles.iter().any(|role| role.as_str() == frame.role) => {
            Some("role_not_granted")
        }
        Some(_) => None,
    };
    let Some(purpose) = purpose.filter(|_| refused.is_none()) else {
        // Who is consulted for what one may not ask is not said.
        return PlanCovenant {
            number: covenant.number(),
            purpose: frame.purpose.clone(),
            legal_basis: String::new(),
            refused: refused.map(str::to_owned),
            max_subjects: hitmachine_proto::query::MAX_SUBJECTS,
            max_screening: 0,
            too_many: false,
            partners: Vec::new(),
            quotas: Vec::new(),
        };
    };
    PlanCovenant {
        number: covenant.number(),
        purpose: purpose.title.clone(),
        legal_basis: purpose.legal_basis.clone(),
        refused: None,
        max_subjects: purpose.max_subjects,
        max_screening: purpose.max_screening,
        too_many: persons > usize::try_from(purpose.max_screening).unwrap_or(usize::MAX),
        partners: partners(covenant, purpose, own, list),
        quotas: covenant
            .quotas()
            .iter()
            .filter(|quota| applies(quota, own, purpose))
            .map(|quota| PlanQuota {
                of: match quota.of {
                    QuotaOf::Partner => "partner",
                    QuotaOf::User => "user",
                }
                .to_owned(),
                of_this_purpose: quota.purpose.is_some(),
                persons: quota.persons,
                hours: quota.hours,
                at_least_hours: least_hours(persons as u64, quota),
            })
            .collect(),
    }
}

fn applies(quota: &Quota, own: &PartnerId, purpose: &Purpose) -> bool {
    quota.partner.as_ref().is_none_or(|partner| partner == own)
        && quota.purpose.as_ref().is_none_or(|code| *code == purpose.code)
}

/// How long it takes until so many persons have been asked about, beginning with a full bucket.
fn least_hours(persons: u64, quota: &Quota) -> u64 {
    let beyond = persons.saturating_sub(quota.persons.into());
    beyond
        .saturating_mul(quota.hours.into())
        .div_ceil(u64::from(quota.persons).max(1))
}

fn partners(covenant: &Covenant, purpose: &Purpose, own: &PartnerId, list: &List) -> Vec<PlanPartner> {
    let consulted = purpose.consulted_by(own).filter_map(|id| covenant.partner(id));
    consulted
        .map(|partner| {
            let classes = [ClassWord::Minor, ClassWord::Adult]
                .into_iter()
                .filter(|class| partner.registers(SubjectClass::from(*class)));
            let classes: Vec<_> = classes.collect();
            let persons = list.households.iter().flat_map(|household| &household.persons);
            PlanPartner {
                partner: partner.id.to_string(),
                name: partner.name.clone(),
                live: partner.answers == Answers::Live,
                persons: persons
                    .filter(|person| classes.contains(&person.person.class))
                    .count(),
                classes,
                notified: purpose.notifies.contains(&partner.id),
            }
        })
        .collect()
}

impl Plan {
    /// The plan as text for people.
    pub fn text(&self, language: Language) -> String {
        let mut out = table(&[language.pick("Plan", "Plan"), ""]);
        let mut add = |nl: &str, en: &str, value: String| {
            out.add_row([language.pick(nl, en).to_owned(), value]);
        };
        add("Huishoudens", "Households", self.households.to_string());
        let persons = format!(
            "{} ({} {})",
            self.persons,
            self.minors,
            language.pick("minderjarig", "minors")
        );
        add("Personen", "Persons", persons);
        add("Rijen overgeslagen", "Rows left out", self.bad_rows.to_string());
        add(
            "Vragen aan het knooppunt",
            "Questions to the hub",
            self.questions.to_string(),
        );
        if self.split_households > 0 {
            add(
                "Huishoudens met meer dan één vraag",
                "Households with more than one question",
                self.split_households.to_string(),
            );
        }
        add("Zaaknummer", "Case reference", self.case.clone());
        add("Wie vraagt", "Who asks", format!("{} ({})", self.user, self.role));
        if let Some(covenant) = &self.covenant {
            add("Convenant", "Covenant", covenant.number.to_string());
            add("Doel", "Purpose", covenant.purpose.clone());
            if covenant.refused.is_none() {
                add("Grondslag", "Legal basis", covenant.legal_basis.clone());
                add(
                    "Hoogstens in één screening",
                    "At most in one screening",
                    covenant.max_screening.to_string(),
                );
            }
        }
        let rate = if self.measured {
            language.pick("naar de laatste meting", "as measured last")
        } else {
            language.pick("geschat", "estimated")
        };
        add(
            "Duurt ongeveer",
            "Takes about",
            format!("{} ({rate})", duration(self.seconds, language)),
        );
        let mut text = format!("{out}\n");
        if let Some(covenant) = &self.covenant {
            text.push_str(&covenant.text(language, self.persons));
        }
        if let Some(failure) = &self.hub {
            text.push_str(&format!("! {}\n", failure.text(language)));
        }
        text.push_str(language.pick(
            "Van elke persoon wordt vastgelegd wie vroeg, waarom en wat het antwoord was.\n",
            "For every person it is recorded who asked, why, and what the answer was.\n",
        ));
        text
    }
}

impl PlanCovenant {
    fn text(&self, language: Language, persons: usize) -> String {
        let mut text = String::new();
        if let Some(code) = &self.refused {
            text.push_str(&format!("! {}\n", refusal_text(code, language)));
        } else {
            let mut out = table(&[
                language.pick("Wie wordt bevraagd", "Who is consulted"),
                language.pick("Over", "About"),
                language.pick("Personen", "Persons"),
                language.pick("Antwoordt", "Answers"),
                language.pick("Hoort van een treffer", "Told of a hit"),
            ]);
            for partner in &self.partners {
                let about = match partner.classes.as_slice() {
                    [ClassWord::Minor] => language.pick("minderjarigen", "minors"),
                    [ClassWord::Adult] => language.pick("volwassenen", "adults"),
                    [] => language.pick("niemand", "nobody"),
                    _ => language.pick("iedereen", "everybody"),
                };
                let how = if partner.live {
                    language.pick("zelf, per vraag", "itself, each question")
                } else {
                    language.pick(
                        "uit het register bij het knooppunt",
                        "from its register at the hub",
                    )
                };
                let told = if partner.notified {
                    language.pick("ja", "yes")
                } else {
                    language.pick("nee", "no")
                };
                let count = partner.persons.to_string();
                out.add_row([partner.name.as_str(), about, &count, how, told]);
            }
            text.push_str(&format!("{out}\n"));
        }
        if self.too_many {
            text.push_str(&format!(
                "! {}\n",
                super::run::too_many(persons, self.max_screening).text(language)
            ));
        }
        for quota in &self.quotas {
            text.push_str(&quota.text(language));
        }
        text
    }
}

impl PlanQuota {
    fn text(&self, language: Language) -> String {
        let whose = match self.of.as_str() {
            "user" => language.pick("per gebruiker", "per user"),
            _ => language.pick("per instantie", "per organisation"),
        };
        let (persons, hours, least) = (self.persons, self.hours, self.at_least_hours);
        match (language, least) {
            (Language::Nl, 0) => {
                format!(
                    "Quotum {whose}: {persons} personen per {hours} uur. De lijst past, als het quotum nog niet is gebruikt.\n"
                )
            }
            (Language::Nl, _) => {
                format!(
                    "! Quotum {whose}: {persons} personen per {hours} uur. De lijst duurt daardoor minstens {least} uur.\n"
                )
            }
            (Language::En, 0) => {
                format!(
                    "Quota {whose}: {persons} persons per {hours} hours. The list fits, if none of it is used yet.\n"
                )
            }
            (Language::En, _) => {
                format!(
                    "! Quota {whose}: {persons} persons per {hours} hours. The list therefore takes {least} hours at least.\n"
                )
            }
        }
    }
}

fn duration(seconds: u64, language: Language) -> String {
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{hours} {} {minutes} min", language.pick("uur", "h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_evenly() {
        let quota = Quota {
            of: QuotaOf::User,
            partner: None,
            purpose: None,
            persons: 100,
            hours: 24,
        };
        for (persons, hours) in [(0, 0), (100, 0), (101, 1), (200, 24), (1_000, 216)] {
            assert_eq!(least_hours(persons, &quota), hours, "{persons}");
        }
    }

    #[test]
    fn durations_are_said_in_words() {
        let said = |seconds| duration(seconds, Language::En);
        assert_eq!(said(3), "3 s");
        assert_eq!(said(61), "2 min");
        assert_eq!(said(7_260), "2 h 1 min");
    }
}
