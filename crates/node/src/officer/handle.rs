//! A node does an officer's task.

use std::sync::Arc;

use hitmachine_audit::Period;
use hitmachine_core::overview::LEAST_THRESHOLD;
use hitmachine_core::{Covenant, Oin, PartnerId, PurposeCode, User, UserId};
use hitmachine_identifier::contains_bsn;
use hitmachine_proto::officer::{Action, MAX_CUTS, MAX_ROWS};
use hitmachine_proto::v1;
use hitmachine_proto::v1::officer_result::Result as Outcome;
use hitmachine_pseudonym::{CanonicalIdentifier, Pseudonymiser};

use super::alarms::{AlarmChangedView, AlarmRow, AlarmsView};
use super::client::{Acted, Officer, OfficerFrame};
use super::overview::{OverviewView, Report};
use super::page::{self, ErasureView, OwnEntry, PageView};
use super::task::{
    Aim, CompletenessView, ErasedView, OfficerAsk, OfficerReply, SearchAsk, StatisticsRowView,
    StatisticsView, StretchView, Task, TrendView,
};
use super::waiting::WaitingView;
use super::{OfficerError, sample};
use crate::ask::{AskError, Evidence};
use crate::control::{field, identifier};
use crate::failure::Failure;
use crate::node::Node;
use crate::sync::Progress;

/// Characters of a review note.
const MOST_NOTE: usize = 1_000;

impl Node {
    /// Does an officer's task; `progress` hears how far it is.
    ///
    /// # Errors
    /// [`Failure`]; then nothing of a result is shown.
    pub(crate) async fn officer(
        &self,
        ask: OfficerAsk,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<OfficerReply, Failure> {
        let officer = Officer {
            inquirer: &self.inquirer,
        };
        if matches!(ask.task, Task::Verify) {
            // Public files: nobody needs to say why.
            let view = officer.verify_published(progress).await;
            return Ok(OfficerReply::Verified(view.map_err(Failure::from)?));
        }
        let responsible = ask.responsible.as_deref().filter(|id| !id.is_empty());
        let user = User {
            id: field(&ask.user, "user")?,
            role: field(&ask.role, "role")?,
            responsible: responsible.map(|id| field(id, "responsible user")).transpose()?,
        };
        let frame = OfficerFrame {
            user,
            reference: field(&ask.reference, "reference")?,
        };
        let person = match &ask.task {
            Task::Search(search) => search.person.as_ref(),
            _ => None,
        };
        let admission = self.admission()?;
        let person = person.map(|person| identifier(person, &admission)).transpose()?;
        let done = self.task(&officer, &frame, ask.task, person, progress).await;
        done.map_err(Failure::from)
    }

    async fn task(
        &self,
        officer: &Officer<'_>,
        frame: &OfficerFrame,
        task: Task,
        person: Option<CanonicalIdentifier>,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<OfficerReply, OfficerError> {
        let log = &self.link.own().origin;
        Ok(match task {
            Task::Verify => OfficerReply::Verified(officer.verify_published(progress).await?),
            Task::Search(ask) => {
                let search = self.search(&ask, person).await?;
                let (wanted, proofs) = (search.r#use(), ask.proofs);
                let acted = officer.act(frame, &Action::Search(search)).await?;
                OfficerReply::Page(Box::new(page::page(&acted, log, wanted, proofs)))
            }
            Task::Show(indexes) => {
                if indexes.is_empty() || indexes.len() as u64 > u64::from(MAX_ROWS) {
                    return Err(OfficerError::Value("the entries"));
                }
                let entries = v1::Entries {
                    indexes,
                    r#use: v1::Use::View.into(),
                };
                let acted = officer.act(frame, &Action::Entries(entries)).await?;
                OfficerReply::Page(Box::new(page::page(&acted, log, v1::Use::View, true)))
            }
            Task::Sample { count, range } => {
                if count == 0 || count > sample::MOST {
                    return Err(OfficerError::Value("--count"));
                }
                let (drawn, last) = officer.sample(frame, count, range).await?;
                let rows = drawn.iter().map(|(acted, row)| {
                    let under = Some(&acted.checkpoint);
                    page::row_view(row, &acted.covenant, v1::Use::Sample, under)
                });
                OfficerReply::Page(Box::new(PageView {
                    rows: rows.collect(),
                    next: 0,
                    ..page::page(&last, log, v1::Use::Sample, false)
                }))
            }
            Task::Overlap(range) => {
                let (view, _) = officer.overlap(frame, range, &progress).await?;
                OfficerReply::Overlap(view)
            }
            Task::Trend(cuts) => {
                if !(2..=MAX_CUTS).contains(&cuts.len()) || !cuts.is_sorted_by(|a, b| a < b) {
                    return Err(OfficerError::Value("the times"));
                }
                let wanted = v1::Statistics {
                    cuts: cuts.clone(),
                    ..v1::Statistics::default()
                };
                let acted = officer.act(frame, &Action::Statistics(wanted)).await?;
                OfficerReply::Trend(trend(&acted, &cuts)?)
            }
            simple => {
                let action = action(simple)?;
                answer(&officer.act(frame, &action).await?)?
            }
        })
    }

    async fn search(
        &self,
        ask: &SearchAsk,
        person: Option<CanonicalIdentifier>,
    ) -> Result<v1::Search, OfficerError> {
        let covenant = self.link.covenant().await.map_err(AskError::from)?;
        for (field, text) in [
            ("--by-user", &ask.user),
            ("--case", &ask.case),
            ("--purpose", &ask.purpose),
        ] {
            if contains_bsn(text) {
                return Err(AskError::BsnInText(field).into());
            }
        }
        let requester = match ask.organisation.as_str() {
            "" => String::new(),
            id => oin_of(&covenant, id)
                .ok_or(OfficerError::UnknownPartner)?
                .to_string(),
        };
        if !ask.purpose.is_empty() {
            // It may have been in an earlier covenant, so any that is one by its form.
            let _: PurposeCode = ask
                .purpose
                .parse()
                .map_err(|_| OfficerError::Value("--purpose"))?;
        }
        let outcome = match ask.outcome.as_str() {
            "" => 0,
            word => {
                let outcome = page::outcome(word).ok_or(OfficerError::Value("--outcome"))?;
                i32::from(outcome.code())
            }
        };
        if ask.limit == 0 || ask.limit > MAX_ROWS {
            return Err(OfficerError::Value("--limit"));
        }
        let mut tokens = Vec::new();
        if let Some(person) = person {
            let held = self.inquirer.keys.held();
            let held = held.iter().map(|key| &key.pseudonymiser);
            tokens = tokens_of(person, held.chain(&self.past)).await?;
        }
        Ok(v1::Search {
            from_ms: ask.range.from_ms,
            to_ms: ask.range.to_ms,
            requester,
            user: ask.user.clone(),
            purpose: ask.purpose.clone(),
            case_reference: ask.case.clone(),
            outcome,
            tokens,
            before: ask.before,
            limit: ask.limit,
            r#use: match ask.aim {
                Aim::View => v1::Use::View,
                Aim::Export => v1::Use::Export,
                Aim::Report => v1::Use::Report,
                Aim::Ldv => v1::Use::Ldv,
            }
            .into(),
            ..v1::Search::default()
        })
    }
}

/// One person under every key.
async fn tokens_of(
    person: CanonicalIdentifier,
    keys: impl Iterator<Item = &Arc<dyn Pseudonymiser>>,
) -> Result<Vec<Vec<u8>>, OfficerError> {
    let ids = [person];
    let mut tokens = Vec::new();
    for key in keys {
        let made = key.tokens(&ids).await?;
        tokens.extend(made.iter().map(|token| token.expose_secret().to_vec()));
    }
    Ok(tokens)
}

fn oin_of(covenant: &Covenant, id: &str) -> Option<Oin> {
    let id: PartnerId = id.parse().ok()?;
    covenant.partner(&id).map(|partner| partner.oin.clone())
}

/// A note that may go into the log.
fn checked(note: &str) -> Result<String, OfficerError> {
    if contains_bsn(note) {
        return Err(AskError::BsnInText("the note").into());
    }
    let note = note.trim();
    if note.is_empty() || note.chars().count() > MOST_NOTE {
        return Err(OfficerError::Value("--note"));
    }
    Ok(note.to_owned())
}

/// The actions that go to the hub as they are.
fn action(task: Task) -> Result<Action, OfficerError> {
    Ok(match task {
        Task::Statistics(range) => Action::Statistics(v1::Statistics {
            from_ms: range.from_ms,
            to_ms: range.to_ms,
            cuts: Vec::new(),
        }),
        Task::Completeness => Action::Completeness(v1::Completeness {}),
        Task::Review { index, verdict, note } => {
            if !["in_order", "question", "breach"].contains(&verdict.as_str()) {
                return Err(OfficerError::Value("--verdict"));
            }
            let note = checked(&note)?;
            Action::Review(v1::Review { index, verdict, note })
        }
        Task::Notices => Action::WaitingNotices(v1::ListWaitingNotices {}),
        Task::Alarms => Action::Alarms(v1::ListAlarms {}),
        Task::Acknowledge { index, note } => Action::Acknowledge(v1::AcknowledgeAlarm {
            index,
            note: checked(&note)?,
        }),
        Task::Lift {
            organisation,
            user,
            note,
        } => {
            let partner: Result<PartnerId, _> = organisation.parse();
            partner.map_err(|_| OfficerError::Value("--organisation"))?;
            if contains_bsn(&user) {
                return Err(AskError::BsnInText("--by-user").into());
            }
            if !user.is_empty() {
                let _: UserId = user.parse().map_err(|_| OfficerError::Value("--by-user"))?;
            }
            Action::Lift(v1::LiftStop {
                partner: organisation,
                user,
                note: checked(&note)?,
            })
        }
        Task::Erase { up_to } => {
            if !up_to.is_empty() && up_to.parse::<Period>().is_err() {
                return Err(OfficerError::Value("--up-to"));
            }
            Action::Erase(v1::Erase { up_to })
        }
        Task::Overview {
            year,
            quarter,
            threshold,
        } => {
            let least = u32::try_from(LEAST_THRESHOLD).unwrap_or(u32::MAX);
            if threshold > 0 && threshold < least {
                return Err(OfficerError::Value("--threshold"));
            }
            Action::Overview(v1::Overview {
                year,
                quarter,
                threshold,
            })
        }
        Task::Search(_)
        | Task::Show(_)
        | Task::Trend(_)
        | Task::Sample { .. }
        | Task::Verify
        | Task::Overlap(_) => {
            return Err(OfficerError::Value("the task"));
        }
    })
}

fn answer(acted: &Acted) -> Result<OfficerReply, OfficerError> {
    let own = OwnEntry::from(acted);
    Ok(match &acted.outcome {
        Outcome::Statistics(table) => OfficerReply::Statistics(statistics(own, table, &acted.covenant)),
        Outcome::Completeness(found) => OfficerReply::Completeness(CompletenessView {
            own,
            entries: found.entries,
            control: found.control,
            whole: found.whole,
            processing_only: found.processing_only,
            erased: found.erased,
            first_bad: found.broken.then_some(found.first_bad),
            reason: found.reason.clone(),
        }),
        Outcome::Reviewed(_) => OfficerReply::Reviewed(own),
        Outcome::Alarms(alarms) => OfficerReply::Alarms(AlarmsView::new(own, &alarms.alarms)),
        Outcome::AlarmChanged(changed) => {
            let not_said = || AskError::NotProven(Evidence::Result);
            let alarm = changed.alarm.as_ref().ok_or_else(not_said)?;
            let alarm = AlarmRow::new(alarm, std::slice::from_ref(alarm));
            OfficerReply::AlarmChanged(Box::new(AlarmChangedView { own, alarm }))
        }
        Outcome::WaitingNotices(waiting) => {
            OfficerReply::Notices(WaitingView::new(own, waiting, &acted.covenant))
        }
        Outcome::Erased(report) => OfficerReply::Erased(ErasedView {
            own,
            erasures: report.erasures.iter().map(ErasureView::from).collect(),
        }),
        Outcome::Overview(tables) => OfficerReply::Overview(Box::new(OverviewView {
            own,
            report: Report::new(tables, &acted.covenant, acted.entry),
        })),
        // The client lets no other result through.
        Outcome::Rows(_) | Outcome::Refused(_) => return Err(AskError::NotProven(Evidence::Result).into()),
    })
}

fn trend(acted: &Acted, cuts: &[u64]) -> Result<TrendView, OfficerError> {
    let found = match &acted.outcome {
        Outcome::Statistics(table) => stretches(table, cuts),
        _ => None,
    };
    Ok(TrendView {
        own: OwnEntry::from(acted),
        stretches: found.ok_or(AskError::NotProven(Evidence::Result))?,
    })
}

/// One row for each stretch, or it is not what was asked for.
fn stretches(table: &v1::StatisticsTable, cuts: &[u64]) -> Option<Vec<StretchView>> {
    if table.rows.len() + 1 != cuts.len() {
        return None;
    }
    let stretches = table.rows.iter().zip(cuts).map(|(row, from_ms)| {
        let count = |place: usize| row.counts.get(place).and_then(|count| u64::try_from(*count).ok());
        StretchView {
            from_ms: *from_ms,
            hit: count(0).unwrap_or(0),
            no_hit: count(1).unwrap_or(0),
            could_not_ask: count(2).unwrap_or(0),
            refused: count(3).unwrap_or(0),
            officer: count(4).unwrap_or(0),
        }
    });
    Some(stretches.collect())
}

fn statistics(own: OwnEntry, table: &v1::StatisticsTable, covenant: &Covenant) -> StatisticsView {
    let rows = table.rows.iter().map(|row| {
        // -1 is suppressed, and so is what is not there.
        let count = |place: usize| row.counts.get(place).and_then(|count| u64::try_from(*count).ok());
        let partner = row.requester.parse().ok();
        let partner = partner.and_then(|oin: Oin| covenant.partner_by_oin(&oin));
        StatisticsRowView {
            month: row.month.clone(),
            oin: row.requester.clone(),
            organisation: partner.map_or_else(|| row.requester.clone(), |partner| partner.name.clone()),
            purpose: row.purpose.clone(),
            hit: count(0),
            no_hit: count(1),
            could_not_ask: count(2),
            refused: count(3),
            officer: count(4),
            total: u64::try_from(row.total).ok(),
        }
    });
    StatisticsView {
        own,
        rows: rows.collect(),
        threshold: table.threshold,
    }
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
