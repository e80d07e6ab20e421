//! `hitmachine audit verify`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{ArgGroup, Args};
use hitmachine_audit::tiles::{Folder, Observer, Report, VerifyError};
use hitmachine_audit::{Cosignature, LogVerifier, Policy, PolicyWitness, ReadTile, verify_published};
use hitmachine_node::language::Language;
use hitmachine_service::{console, exit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::files::{self, Kind};
use super::findings::{Cosigned, Findings, WitnessFound};
use super::place::Tree;
use super::{evidence, proof, text};
use crate::Failure;

#[derive(Args)]
#[command(group(ArgGroup::new("trust").required(true).args(["policy", "log"])))]
pub(crate) struct Arguments {
    /// Folder with `checkpoint` and `tile` in it. Files ending in .tlog-proof and .evidence in it and below it are
    /// checked as well.
    dir: PathBuf,
    /// Witness policy (C2SP tlog-policy): the log's key, the witnesses, and how many of them have to cosign.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Verifier key of the log, to check without witnesses.
    #[arg(long, value_name = "VKEY")]
    log: Option<LogVerifier>,
    /// A proof, evidence, or a folder of these, besides what is in the published folder. May be repeated.
    #[arg(long, value_name = "FILE-OR-FOLDER")]
    proof: Vec<PathBuf>,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Language of what people see.
    #[arg(long, value_enum)]
    lang: Option<Language>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let language = arguments.lang.unwrap_or_else(Language::of_machine);
    let policy = policy(arguments)?;
    if !arguments.dir.is_dir() {
        let text = format!("{} is no folder", arguments.dir.display());
        return Err(Failure::new(text, exit::USAGE));
    }
    let files = files::collect(&arguments.dir, &arguments.proof)?;

    let findings = check(&arguments.dir, &policy, &files, language)?;
    if arguments.json {
        console::print_line(findings.to_json());
    } else {
        console::print(text::of(&findings, language));
    }
    if findings.is_whole() {
        Ok(())
    } else {
        Err(Failure::new(text::verdict(&findings, language), exit::INTEGRITY))
    }
}

/// Which keys are trusted. A log's key by itself is a policy without witnesses.
fn policy(arguments: &Arguments) -> Result<Policy, Failure> {
    let (name, file) = match (&arguments.policy, &arguments.log) {
        (Some(path), _) => {
            let file = fs::read(path).map_err(|error| files::cannot_read(path, &error))?;
            (path.display().to_string(), file)
        }
        (None, Some(log)) => {
            let generated = Policy::generate(log, &[]);
            let file = generated.map_err(|error| Failure::from_error(&error, exit::USAGE))?;
            ("--log".into(), file.into_bytes())
        }
        // The arguments ask for one of the two.
        (None, None) => return Err(Failure::new("--policy or --log is needed", exit::USAGE)),
    };
    let policy =
        Policy::parse(&file).map_err(|error| Failure::new(format!("{name}: {error}"), exit::USAGE))?;
    if policy.logs().is_empty() {
        return Err(Failure::new(format!("{name}: names no log"), exit::USAGE));
    }
    Ok(policy)
}

fn check(dir: &Path, policy: &Policy, files: &[PathBuf], language: Language) -> Result<Findings, Failure> {
    let begun = Instant::now();
    let folder = Folder(dir.to_path_buf());
    let log = log_of(policy, &folder)?;
    let mut bar = Bar::new(language);
    let checked = verify_published(&folder, log, &mut bar);
    bar.0.finish_and_clear();
    let report = match checked {
        Ok(report) => report,
        // Nothing is known about the log then, so nothing is said about it.
        Err(error @ VerifyError::Read { .. }) => return Err(Failure::from_error(&error, exit::UNREACHABLE)),
        Err(error) => {
            let refused = (error.code(), console::chain(&error));
            return Ok(Findings::new(log.origin().clone(), Err(refused)));
        }
    };
    let mut tree = Tree::new(&folder, report.checkpoint.head());
    let (mut proofs, mut evidence) = (Vec::new(), Vec::new());
    for path in files {
        let (kind, bytes) = files::read(path)?;
        let unreadable = |error| Failure::from_error(&error, exit::UNREACHABLE);
        match kind {
            Kind::Proof => {
                let checked = proof::check(&bytes, log, policy, &mut tree).map_err(unreadable)?;
                proofs.push((path.clone(), checked));
            }
            Kind::Evidence => {
                let shown = evidence::check(&bytes, log, &mut tree).map_err(unreadable)?;
                evidence.push((path.clone(), shown));
            }
        }
    }
    let mut findings = cosigned(log, policy, report);
    findings.proofs = proofs;
    findings.evidence = evidence;
    findings.took = begun.elapsed();
    Ok(findings)
}

/// The log of the policy that signed the checkpoint; the first if none did, to say what is wrong.
fn log_of<'a>(policy: &'a Policy, folder: &Folder) -> Result<&'a LogVerifier, Failure> {
    let note = folder.checkpoint().unwrap_or_default().unwrap_or_default();
    let signed = policy
        .logs()
        .iter()
        .find(|log| log.verifier().open(&note).is_ok());
    let log = signed.or(policy.logs().first());
    log.map(hitmachine_audit::PolicyLog::verifier)
        .ok_or_else(|| Failure::new("the policy names no log", exit::USAGE))
}

/// Who cosigned the checkpoint, witness by witness, so that a wrong line is named.
fn cosigned(log: &LogVerifier, policy: &Policy, report: Report) -> Findings {
    let mut good: Vec<Cosignature> = Vec::new();
    let mut witnesses = Vec::new();
    for witness in policy.witnesses().map(PolicyWitness::verifier) {
        let cosigned = match log.open_cosigned(&report.note, &[witness]) {
            Ok(mut opened) => match opened.cosignatures.pop() {
                Some(cosignature) => {
                    let time_s = cosignature.time_s();
                    good.push(cosignature);
                    Cosigned::At(time_s)
                }
                None => Cosigned::No,
            },
            Err(_) => Cosigned::Wrong,
        };
        let name = witness.name().to_string();
        witnesses.push(WitnessFound { name, cosigned });
    }
    let all_fit = witnesses.iter().all(|found| found.cosigned != Cosigned::Wrong);
    // A line in the name of another log of the policy may be wrong.
    let note = policy.open(&report.note).err().filter(|_| all_fit);
    Findings {
        witnesses,
        needed: policy.needed(),
        quorum: policy.quorum_time(&good),
        note: note.map(|error| error.code()),
        ..Findings::new(log.origin().clone(), Ok(report))
    }
}

/// How far the check is, on a terminal only.
struct Bar(ProgressBar);

impl Bar {
    fn new(language: Language) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // The template is a constant; were it wrong, the default style would show.
        if let Ok(style) = ProgressStyle::with_template("{msg:24} [{bar:40}] {pos}/{len} {per_sec} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(language.pick("Regels controleren", "Checking entries").to_owned());
        Self(bar)
    }
}

impl Observer for Bar {
    fn progress(&mut self, done: u64, size: u64) {
        self.0.set_length(size);
        self.0.set_position(done);
    }
}
