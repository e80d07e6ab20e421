//! What a node tells people and machines: JSON with stable names, and tables made of the same.

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{ContentArrangement, Table};
use hitmachine_core::alarm::AlarmKind;
use hitmachine_core::volume::local;
use hitmachine_core::{Covenant, PartnerStatus, Refusal};
use hitmachine_proto::answer::Outcome;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alarm::Alarm;
use crate::ask::VerifiedAnswer;
use crate::canary::CanaryView;
use crate::epochs::EpochStatus;
use crate::language::Language;
use crate::live::LiveView;
use crate::notification::Counts;
use crate::source::RowIssue;
use crate::sync_book::SyncView;

/// An answer whose proof has been checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnswerView {
    /// The question's name.
    pub request_id: String,
    /// Size of the log in which every entry below is proven.
    pub log_size: u64,
    /// Seconds since a quorum of partners cosigned the log; absent if the policy asks for no witnesses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witnessed_s: Option<u64>,
    /// One for each person, in the order asked.
    pub persons: Vec<PersonView>,
}

/// The answer about one person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonView {
    /// Place of its entry in the log, from 0.
    pub log_index: u64,
    /// The refusal's stable code, if it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// When it may be asked again (RFC 3339), if it was refused and time is all that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
    /// One for each consulted partner, in the covenant's order; empty if refused.
    pub partners: Vec<PartnerView>,
}

/// What one partner's register says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartnerView {
    /// Short name in the covenant.
    pub partner: String,
    /// Name for people.
    pub name: String,
    /// `known`, `not_known`, `could_not_ask` or `does_not_apply`.
    pub status: StatusWord,
    /// How to reach it; only where the person is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

/// [`PartnerStatus`] in machine-readable output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusWord {
    /// Bekend.
    Known,
    /// Niet bekend.
    NotKnown,
    /// Niet bevraagd.
    CouldNotAsk,
    /// Niet van toepassing.
    DoesNotApply,
}

impl From<PartnerStatus> for StatusWord {
    fn from(status: PartnerStatus) -> Self {
        match status {
            PartnerStatus::Known => Self::Known,
            PartnerStatus::NotKnown => Self::NotKnown,
            PartnerStatus::CouldNotAsk => Self::CouldNotAsk,
            PartnerStatus::DoesNotApply => Self::DoesNotApply,
        }
    }
}

impl From<StatusWord> for PartnerStatus {
    fn from(status: StatusWord) -> Self {
        match status {
            StatusWord::Known => Self::Known,
            StatusWord::NotKnown => Self::NotKnown,
            StatusWord::CouldNotAsk => Self::CouldNotAsk,
            StatusWord::DoesNotApply => Self::DoesNotApply,
        }
    }
}

impl AnswerView {
    /// From a verified answer and the covenant that it was given under.
    pub fn new(answer: &VerifiedAnswer, covenant: &Covenant) -> Self {
        let persons = answer
            .persons
            .iter()
            .map(|person| {
                let (refused, partners) = match &person.outcome {
                    Outcome::Refused(code) => (Some(code.clone()), Vec::new()),
                    Outcome::Found(rows) => (
                        None,
                        rows.iter()
                            .map(|(id, status)| partner_view(covenant, id, *status))
                            .collect(),
                    ),
                };
                PersonView {
                    log_index: person.log_index,
                    refused,
                    retry_at: person.retry_at.map(|at| at.to_string()),
                    partners,
                }
            })
            .collect();
        Self {
            request_id: answer.request.to_string(),
            log_size: answer.log_size,
            witnessed_s: answer.witnessed_s,
            persons,
        }
    }

    /// The first refusal, if any.
    pub fn refusal(&self) -> Option<&str> {
        self.persons.iter().find_map(|person| person.refused.as_deref())
    }

    /// The answer as text for people.
    pub fn text(&self, language: Language) -> String {
        let mut text = String::new();
        for (number, person) in self.persons.iter().enumerate() {
            if self.persons.len() > 1 {
                text.push_str(&format!(
                    "{} {}\n",
                    language.pick("Persoon", "Person"),
                    number + 1
                ));
            }
            if let Some(code) = &person.refused {
                text.push_str(&format!(
                    "{} {} ({code})\n",
                    language.pick("Niet beantwoord:", "Not answered:"),
                    refusal_text(code, language)
                ));
                let retry = person.retry_at.as_deref().and_then(|at| at.parse().ok());
                if let Some(at) = retry {
                    text.push_str(&retry_text(at, Timestamp::now(), language));
                }
            } else {
                let mut table = table(&[
                    language.pick("Instantie", "Organisation"),
                    language.pick("Uitkomst", "Result"),
                    language.pick("Contact", "Contact"),
                ]);
                for row in &person.partners {
                    table.add_row([
                        row.name.as_str(),
                        language.status(row.status.into()),
                        row.contact.as_deref().unwrap_or(""),
                    ]);
                }
                text.push_str(&format!("{table}\n"));
            }
            text.push_str(&format!(
                "{} {}{}\n",
                language.pick("Vastgelegd als logregel", "Recorded as log entry"),
                person.log_index + 1,
                language.pick("; het bewijs is gecontroleerd.", "; the proof has been checked."),
            ));
        }
        if let Some(age) = self
            .witnessed_s
            .filter(|age| *age >= hitmachine_audit::WARN_AGE_S)
        {
            text.push_str(&format!(
                "{} {age} {}\n",
                language.pick(
                    "Let op: partners bevestigden het logboek",
                    "Note: partners cosigned the log"
                ),
                language.pick(
                    "seconden geleden voor het laatst.",
                    "seconds ago for the last time."
                ),
            ));
        }
        text
    }
}

/// When to try again, by the clock here, and in how long.
fn retry_text(at: Timestamp, now: Timestamp, language: Language) -> String {
    let at = at.max(now);
    let minutes = (at.as_second() - now.as_second()).div_euclid(60) + 1;
    // The next whole minute: before it, the question is refused again.
    let whole = at.as_second().div_euclid(60) * 60 + 60;
    let clock = local(Timestamp::from_second(whole).unwrap_or(at));
    let today = local(now).date();
    let day = if clock.date() == today {
        String::new()
    } else {
        format!("{} ", clock.strftime("%d-%m-%Y"))
    };
    let within = match minutes {
        1 => language.pick("1 minuut", "1 minute").to_owned(),
        2..120 => format!("{minutes} {}", language.pick("minuten", "minutes")),
        _ => format!("{} {}", (minutes + 59) / 60, language.pick("uur", "hours")),
    };
    let clock = clock.strftime("%H:%M");
    match language {
        Language::Nl => format!("Probeer het na {day}{clock} (over {within}) opnieuw.\n"),
        Language::En => format!("Try again after {day}{clock} (in {within}).\n"),
    }
}

fn partner_view(covenant: &Covenant, id: &hitmachine_core::PartnerId, status: PartnerStatus) -> PartnerView {
    let partner = covenant.partner(id);
    PartnerView {
        partner: id.to_string(),
        name: partner.map_or_else(|| id.to_string(), |partner| partner.name.clone()),
        status: status.into(),
        contact: partner
            .filter(|_| status == PartnerStatus::Known)
            .map(|partner| partner.contact.clone()),
    }
}

/// A refusal in words.
pub fn refusal_text(code: &str, language: Language) -> &'static str {
    match language {
        Language::Nl => Refusal::text_nl(code),
        Language::En => Refusal::text_en(code),
    }
}

/// A table with a header, as all tables here look.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// A row that was left out, for reports: never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueView {
    /// File name without its folder.
    pub file: String,
    /// Row as a spreadsheet shows it.
    pub row: u64,
    /// Column, if it is about one.
    pub column: Option<String>,
    /// Stable code.
    pub code: String,
    /// The message in English.
    pub text_en: String,
    /// The message in Dutch.
    pub text_nl: String,
}

impl From<&RowIssue> for IssueView {
    fn from(issue: &RowIssue) -> Self {
        Self {
            file: issue.file.to_string(),
            row: issue.row,
            column: issue.column.as_deref().map(str::to_owned),
            code: issue.code().to_owned(),
            text_en: issue.to_string(),
            text_nl: issue.text_nl(),
        }
    }
}

impl IssueView {
    /// The message.
    pub fn text(&self, language: Language) -> &str {
        language.pick(&self.text_nl, &self.text_en)
    }
}

/// How a node is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusView {
    /// Short name in the covenant.
    pub partner: String,
    /// Whether a `serve` is running, or this is a look from outside.
    pub serving: bool,
    /// `ok`, or why the hub cannot be used.
    pub hub: String,
    /// Number of the covenant in force, if the hub could be asked.
    pub covenant_number: Option<u32>,
    /// SHA-256 of the covenant.
    pub covenant_version: Option<String>,
    /// Key epoch.
    pub key_epoch: u32,
    /// Key check value of this node's key; the same at every node.
    pub key_check_value: String,
    /// All key epochs that the hub told of, oldest first, and whether this node has their keys.
    #[serde(default)]
    pub epochs: Vec<EpochStatus>,
    /// Configured sources.
    pub sources: usize,
    /// Persons registered, as both sides last agreed.
    pub persons: u64,
    /// When that was (RFC 3339), if ever.
    pub synchronised_at: Option<String>,
    /// Batches sent or written of which the hub's word is not in yet.
    pub batches_in_doubt: usize,
    /// How the last syncs went, and how each source was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<SyncView>,
    /// Largest size of the hub's log that this node has seen.
    pub log_size_seen: u64,
    /// Partners that must cosign the log; 0 if the policy asks for none.
    pub witness_quorum: usize,
    /// Seconds since a quorum cosigned the log, as far as this node knows.
    pub witnessed_s: Option<u64>,
    /// Hit notices that nobody has seen.
    pub notices_new: usize,
    /// Whether the stream on which hit notices come is open.
    pub notices_connected: bool,
    /// Alarms about the log, oldest first.
    pub alarms: Vec<Alarm>,
    /// How answering live goes; absent if the covenant does not say that this organisation does, or cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveView>,
    /// Persons to be informed that this organisation asked about them; absent if this node keeps no queue.
    #[serde(default)]
    pub notifications: Option<Counts>,
    /// Whether this node's tokens meet the other partners'; absent if it is told not to check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canaries: Option<CanaryView>,
}

impl StatusView {
    /// The status as text for people.
    pub fn text(&self, language: Language) -> String {
        let mut table = table(&[&self.partner, ""]);
        let never = language.pick("nog nooit", "never");
        let serving = if self.serving {
            language.pick("ja", "yes")
        } else {
            language.pick("nee", "no")
        };
        table.add_row([language.pick("Draait", "Running"), serving]);
        table.add_row([language.pick("Knooppunt", "Hub"), &self.hub]);
        let covenant = match (&self.covenant_number, &self.covenant_version) {
            (Some(number), Some(version)) => format!("{number} ({}…)", version.get(..12).unwrap_or(version)),
            _ => "-".into(),
        };
        table.add_row([language.pick("Convenant", "Covenant"), &covenant]);
        let epoch = format!("{} ({})", self.key_epoch, self.key_check_value);
        table.add_row([
            language.pick("Sleutelperiode (controlegetal)", "Key epoch (check value)"),
            &epoch,
        ]);
        for epoch in self.epochs.iter().filter(|epoch| epoch.number != self.key_epoch) {
            let name = format!(
                "{} {}",
                language.pick("Sleutelperiode", "Key epoch"),
                epoch.number
            );
            table.add_row([name, epoch.text(language)]);
        }
        table.add_row([language.pick("Bronnen", "Sources"), &self.sources.to_string()]);
        table.add_row([
            language.pick("Personen geregistreerd", "Persons registered"),
            &self.persons.to_string(),
        ]);
        let at = self.synchronised_at.as_deref().unwrap_or(never);
        table.add_row([
            language.pick("Laatst gelijk met knooppunt", "Last in step with the hub"),
            at,
        ]);
        if let Some(last) = self.last_sync.as_ref().filter(|_| self.sources > 0) {
            let text = last.text(language);
            table.add_row([
                language.pick("Laatste synchronisatie", "Last synchronisation"),
                &text,
            ]);
        }
        table.add_row([
            language.pick("Logregels gezien", "Log entries seen"),
            &self.log_size_seen.to_string(),
        ]);
        let witnessed = match (self.witness_quorum, self.witnessed_s) {
            (0, _) => language.pick("niet gevraagd", "not asked for").to_owned(),
            (_, None) => never.to_owned(),
            (quorum, Some(age)) => format!(
                "{age} s ({} {quorum}){}",
                language.pick("quorum", "quorum"),
                if age >= hitmachine_audit::WARN_AGE_S {
                    language.pick("; te lang geleden", "; too long ago")
                } else {
                    ""
                }
            ),
        };
        table.add_row([
            language.pick("Logboek bevestigd door partners", "Log cosigned by partners"),
            &witnessed,
        ]);
        let canaries = self.canaries.as_ref().map_or_else(
            || language.pick("uit", "off").to_owned(),
            |view| view.text(language),
        );
        table.add_row([language.pick("Proefpersonen", "Canaries"), &canaries]);
        let notices = format!(
            "{} {}{}",
            self.notices_new,
            language.pick("nieuw", "new"),
            if self.serving && !self.notices_connected {
                language.pick("; nu niet te ontvangen", "; cannot be received now")
            } else {
                ""
            }
        );
        table.add_row([language.pick("Hitberichten", "Hit notices"), &notices]);
        if let Some(live) = &self.live {
            table.add_row([
                language.pick("Antwoordt zelf (live)", "Answers live"),
                live.state.text(language),
            ]);
            table.add_row([
                language.pick("Bron laatst gelezen", "Source last read"),
                live.complete_at.as_deref().unwrap_or(never),
            ]);
            let last = live.last_at.as_deref().unwrap_or(never);
            table.add_row([
                language.pick("Vragen vandaag (laatste)", "Questions today (last)"),
                &format!("{} ({last})", live.questions_today),
            ]);
        }
        if let Some(counts) = self.notifications {
            let counts = format!(
                "{} {}, {} {}, {} {}",
                counts.due,
                language.pick("te versturen", "to be sent"),
                counts.overdue,
                language.pick("te laat", "overdue"),
                counts.deferred,
                language.pick("uitgesteld", "deferred"),
            );
            table.add_row([language.pick("Kennisgevingen", "Notifications"), &counts]);
        }
        let mut text = format!("{table}\n");
        for alarm in &self.alarms {
            let by = match (alarm.about.as_str(), alarm.by.as_str()) {
                ("", "") => language.pick("het knooppunt", "the hub"),
                ("", by) => by,
                (about, _) => about,
            };
            text.push_str(&format!(
                "ALARM {} {} ({by})\n",
                alarm.at,
                alarm_text(&alarm.code, language)
            ));
            if let Some(evidence) = &alarm.evidence {
                text.push_str(&format!("  {}\n", evidence.display()));
            }
        }
        text
    }
}

/// An alarm in words.
pub(crate) fn alarm_text(code: &str, language: Language) -> &'static str {
    let kind = AlarmKind::of(code);
    language.pick(kind.nl().0, kind.en().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_when_to_try_again() {
        let text =
            |now: &str, at: &str, language| retry_text(at.parse().unwrap(), now.parse().unwrap(), language);
        let now = "2026-11-23T12:53:20Z";
        assert_eq!(
            text(now, "2026-11-23T13:04:50Z", Language::Nl),
            "Probeer het na 14:05 (over 12 minuten) opnieuw.\n"
        );
        assert_eq!(
            text(now, "2026-11-23T12:53:21Z", Language::En),
            "Try again after 13:54 (in 1 minute).\n"
        );
        assert_eq!(
            text(now, "2026-11-24T05:30:00Z", Language::Nl),
            "Probeer het na 24-11-2026 06:31 (over 17 uur) opnieuw.\n"
        );
        assert_eq!(
            text(now, "2026-11-23T12:00:00Z", Language::En),
            "Try again after 13:54 (in 1 minute).\n"
        );
    }
}
