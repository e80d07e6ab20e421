//! The arguments of the privacy officer's commands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use hitmachine_node::officer::task::Range;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Search, show, export and check the hub's log. Each of these is a log entry itself, with your name and your reason;
/// only `verify` is not, for it reads what is published.
#[derive(Subcommand)]
pub(super) enum Audit {
    /// Find entries by time, organisation, user, purpose, case, outcome or person; newest first.
    Search(SearchArguments),
    /// Show one entry in full, with its proof.
    Show {
        #[command(flatten)]
        officer: OfficerArguments,
        /// Number of the entry, from 1.
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        entry: u64,
    },
    /// Write all entries that fit to files: CSV and JSON lines with a proof of each, or LDV records.
    Export(ExportArguments),
    /// Count by organisation, purpose and month; small counts are not shown.
    Statistics {
        #[command(flatten)]
        officer: OfficerArguments,
        #[command(flatten)]
        days: Days,
    },
    /// Check that every entry is there or was provably erased.
    Completeness {
        #[command(flatten)]
        officer: OfficerArguments,
    },
    /// Check the whole published log: every entry, the signatures, and what this node saw before.
    Verify,
    /// Draw random entries for review.
    Sample {
        #[command(flatten)]
        officer: OfficerArguments,
        #[command(flatten)]
        days: Days,
        /// How many.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
        count: u32,
    },
    /// Count a year or a quarter for a council: no personal data, small counts not shown.
    Overview(OverviewArguments),
    /// Put a note on an entry; the note is an entry itself.
    Review {
        #[command(flatten)]
        officer: OfficerArguments,
        /// Number of the entry, from 1.
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        entry: u64,
        /// What you found.
        #[arg(long, value_enum)]
        verdict: Verdict,
        /// Why, at most 1,000 characters. Never a BSN.
        #[arg(long)]
        note: String,
    },
    /// Write the report for a person (AVG art. 15): everything asked about them. The BSN is asked for, or read from
    /// standard input; it is never an argument and not in the report.
    Report(ReportArguments),
    /// Show how many hit notices wait for which organisation: those that it did not fetch.
    Notices {
        #[command(flatten)]
        officer: OfficerArguments,
    },
    /// List the alarms in the log that nobody has dealt with, or acknowledge one.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Alarms(AlarmsArguments),
    /// Allow questions again that were stopped because numbers seemed to be tried; this is an entry itself.
    Lift {
        #[command(flatten)]
        officer: OfficerArguments,
        /// Whose questions, by the organisation's short name in the covenant.
        #[arg(long)]
        organisation: String,
        /// Of which of its people, as the alarm says; all of the organisation if absent.
        #[arg(long, value_name = "USER")]
        by_user: Option<String>,
        /// Why, at most 1,000 characters. Never a BSN.
        #[arg(long)]
        note: String,
    },
    /// Erase the entries whose term has ended.
    Erase {
        #[command(flatten)]
        officer: OfficerArguments,
        /// Also months up to and including this one (yyyy-mm), before their term; refused in production.
        #[arg(long)]
        up_to: Option<String>,
        /// Do not ask whether you are sure.
        #[arg(long)]
        yes: bool,
    },
    /// Compare the log with this node's own journal: is what was asked there, and was what is there asked?
    Overlap {
        #[command(flatten)]
        officer: OfficerArguments,
        #[command(flatten)]
        days: Days,
    },
}

#[derive(Args)]
pub(super) struct AlarmsArguments {
    // As in `OfficerArguments`, which cannot be absent as a whole: a name may come from the environment.
    /// Who looks; the name of the account if absent.
    #[arg(long, env = "HITMACHINE_USER", help_heading = "Who and why")]
    user: Option<String>,
    /// In which role, by its short name in the covenant.
    #[arg(long, default_value = "privacyfunctionaris", help_heading = "Who and why")]
    role: String,
    /// Why you look: a file, an instruction, a request. Never a BSN.
    #[arg(long, value_name = "WHY", required = true, help_heading = "Who and why")]
    reference: Option<String>,
    /// On whose behalf, if somebody else's.
    #[arg(long, help_heading = "Who and why")]
    responsible: Option<String>,
    /// Also alarms that were dealt with.
    #[arg(long)]
    pub(super) all: bool,
    #[command(subcommand)]
    pub(super) action: Option<AlarmAction>,
}

impl AlarmsArguments {
    /// Who looks; nothing without a reason.
    pub(super) fn officer(self) -> Option<OfficerArguments> {
        Some(OfficerArguments {
            user: self.user,
            role: self.role,
            reference: self.reference?,
            responsible: self.responsible,
        })
    }
}

#[derive(Subcommand)]
pub(super) enum AlarmAction {
    /// Say that you have seen an alarm, and what you found. A stop that came with it goes on: see `lift`.
    Acknowledge {
        #[command(flatten)]
        officer: OfficerArguments,
        /// Number of the alarm's entry, from 1.
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        entry: u64,
        /// What you found, at most 1,000 characters. Never a BSN.
        #[arg(long)]
        note: String,
    },
}

#[derive(Args)]
pub(super) struct OfficerArguments {
    /// Who looks; the name of the account if absent.
    #[arg(long, env = "HITMACHINE_USER", help_heading = "Who and why")]
    pub(super) user: Option<String>,
    /// In which role, by its short name in the covenant.
    #[arg(long, default_value = "privacyfunctionaris", help_heading = "Who and why")]
    pub(super) role: String,
    /// Why you look: a file, an instruction, a request. Never a BSN.
    #[arg(long, value_name = "WHY", help_heading = "Who and why")]
    pub(super) reference: String,
    /// On whose behalf, if somebody else's.
    #[arg(long, help_heading = "Who and why")]
    pub(super) responsible: Option<String>,
}

#[derive(Args)]
pub(super) struct Days {
    /// First day (YYYY-MM-DD), in the Netherlands.
    #[arg(long, value_name = "DAY")]
    pub(super) from: Option<Date>,
    /// Last day, included.
    #[arg(long, value_name = "DAY")]
    pub(super) to: Option<Date>,
}

#[derive(Args)]
pub(super) struct FilterArguments {
    #[command(flatten)]
    pub(super) days: Days,
    /// Organisation that asked, by its short name in the covenant.
    #[arg(long)]
    pub(super) organisation: Option<String>,
    /// Person that asked.
    #[arg(long, value_name = "USER")]
    pub(super) by_user: Option<String>,
    /// Purpose, by its short name.
    #[arg(long)]
    pub(super) purpose: Option<String>,
    /// Reference of the case.
    #[arg(long)]
    pub(super) case: Option<String>,
    /// What came of it.
    #[arg(long, value_enum)]
    pub(super) outcome: Option<OutcomeWord>,
    /// About one person; the BSN is asked for, or read from standard input.
    #[arg(long)]
    pub(super) person: bool,
    /// The number is an SKN, not a BSN.
    #[arg(long, requires = "person")]
    pub(super) skn: bool,
}

#[derive(Args)]
pub(super) struct SearchArguments {
    #[command(flatten)]
    pub(super) officer: OfficerArguments,
    #[command(flatten)]
    pub(super) filter: FilterArguments,
    /// At most so many entries.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) limit: u32,
    /// Only entries before this number; the next page, as the page before says.
    #[arg(long, value_name = "ENTRY", value_parser = clap::value_parser!(u64).range(2..))]
    pub(super) before: Option<u64>,
}

#[derive(Args)]
pub(super) struct ExportArguments {
    #[command(flatten)]
    pub(super) officer: OfficerArguments,
    #[command(flatten)]
    pub(super) filter: FilterArguments,
    /// Folder to write to; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Full)]
    pub(super) format: Format,
    /// Replace files that are there.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Args)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    pub(super) officer: OfficerArguments,
    /// File for the report as HTML, to print.
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// File for the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) json_out: Option<PathBuf>,
    /// Folder for a proof of each entry.
    #[arg(long, value_name = "DIR")]
    pub(super) proofs: Option<PathBuf>,
    /// How you name the person or the request in the report. Never a BSN.
    #[arg(long, value_name = "TEXT")]
    pub(super) subject_reference: Option<String>,
    /// The number is an SKN, not a BSN.
    #[arg(long)]
    pub(super) skn: bool,
    /// Replace files that are there.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Args)]
pub(super) struct OverviewArguments {
    #[command(flatten)]
    pub(super) officer: OfficerArguments,
    /// Which year, in UTC. Of one year publish either the quarters or the whole: side by side they may give away small
    /// counts.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1970..=9999))]
    pub(super) year: u32,
    /// Only this quarter.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4))]
    pub(super) quarter: Option<u32>,
    /// Do not show counts from 1 to below this.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..=1000))]
    pub(super) threshold: u32,
    /// Folder for the report: a page to print, JSON, and a CSV file for each table. It is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long, requires = "out")]
    pub(super) force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// CSV, JSON lines and a tlog-proof of each entry.
    Full,
    /// Data-processing records (Logius, Logboek dataverwerkingen): without users and cases.
    Ldv,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutcomeWord {
    Hit,
    NoHit,
    CouldNotAsk,
    Refused,
    Officer,
}

impl OutcomeWord {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::NoHit => "no_hit",
            Self::CouldNotAsk => "could_not_ask",
            Self::Refused => "refused",
            Self::Officer => "officer",
        }
    }
}

/// What an officer found.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Verdict {
    /// As it should be.
    InOrder,
    /// Something to ask about.
    Question,
    /// Not as it should be.
    Breach,
}

impl Verdict {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::InOrder => "in_order",
            Self::Question => "question",
            Self::Breach => "breach",
        }
    }
}

impl Days {
    /// From the first moment of the first day to the last of the last, where people live.
    pub(super) fn range(&self) -> Result<Range, &'static str> {
        let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
        let begins = |day: Date| {
            let begins = day.to_zoned(zone.clone()).ok()?;
            u64::try_from(begins.timestamp().as_millisecond()).ok()
        };
        let from_ms = self.from.map(|day| begins(day).ok_or("--from"));
        let after = |day: Date| begins(day.tomorrow().ok()?)?.checked_sub(1);
        let to_ms = self.to.map(|day| after(day).ok_or("--to"));
        let range = Range {
            from_ms: from_ms.transpose()?.unwrap_or(0),
            to_ms: to_ms.transpose()?.unwrap_or(0),
        };
        if range.to_ms > 0 && range.from_ms > range.to_ms {
            return Err("--from");
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        super::super::Arguments::command().debug_assert();
    }

    #[test]
    fn days_are_those_of_people() {
        let day = |text: &str| Some(text.parse::<Date>().unwrap());
        let (winter, summer) = ("2026-11-21", "2026-07-01");
        let days = |from, to| Days { from, to }.range();
        assert_eq!(days(None, None), Ok(Range::default()));
        // 2026-11-20T23:00Z up to 2026-11-21T22:59:59.999Z.
        let range = days(day(winter), day(winter)).unwrap();
        assert_eq!(
            (range.from_ms, range.to_ms),
            (1_795_215_600_000, 1_795_301_999_999)
        );
        let range = days(day(summer), day(summer)).unwrap();
        assert_eq!(range.to_ms + 1 - range.from_ms, 86_400_000);
        assert_eq!(range.from_ms % 86_400_000, 22 * 3_600_000, "summer time");
        assert_eq!(days(day(winter), day(summer)), Err("--from"));
    }
}
