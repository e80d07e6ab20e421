//! What a verification found, for people.

use std::path::{Path, PathBuf};

use hitmachine_audit::QuorumTime;
use hitmachine_audit::tiles::{Problem, ProblemKind, Report};
use hitmachine_node::language::Language;
use hitmachine_node::view::table;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::evidence::Shown;
use super::findings::{Cosigned, Findings};
use super::proof::{Checked, Shows};

/// Most lines of one kind.
const LINES: usize = 20;

pub(super) fn of(findings: &Findings, language: Language) -> String {
    let mut text = format!("{} {}\n", language.pick("Logboek", "Log"), findings.origin);
    match &findings.tree {
        Ok(report) => text.push_str(&tree(report, language)),
        Err((_, why)) => text.push_str(&format!("{}: {why}\n", language.pick("GEWEIGERD", "REFUSED"))),
    }
    if findings.tree.is_ok() {
        text.push_str(&witnesses(findings, language));
    }
    if !findings.proofs.is_empty() {
        text.push_str(&proofs(&findings.proofs, language));
    }
    for (path, shown) in &findings.evidence {
        text.push_str(&format!("{}: {}\n", path.display(), evidence(*shown, language)));
    }
    let took = findings.took.as_secs_f64();
    text.push_str(&format!("\n{} ({took:.1} s)\n", verdict(findings, language)));
    text
}

/// One sentence.
pub(super) fn verdict(findings: &Findings, language: Language) -> String {
    if findings.is_whole() {
        return language
            .pick(
                "Alles klopt: het logboek is heel.",
                "Everything fits: the log is whole.",
            )
            .into();
    }
    let mut text = language
        .pick(
            "NIET IN ORDE: het logboek klopt niet",
            "NOT IN ORDER: the log does not fit",
        )
        .to_owned();
    let size = findings.tree.as_ref().ok().map(|report| report.checkpoint.size);
    match findings.first_bad() {
        // All files agree with each other, and not with the signature.
        Some(index) if Some(index) == size => {
            text.push_str(language.pick("; alleen de wortel is anders", "; only the root is another"));
        }
        Some(index) => text.push_str(&format!(
            "{} {index} {}",
            language.pick("; eerste foute index", "; first bad index"),
            language.pick("(geteld vanaf 0)", "(counted from 0)")
        )),
        None => text.push_str(language.pick(
            " met een handtekening, bewijs of getuige",
            " a signature, proof or witness",
        )),
    }
    text
}

fn tree(report: &Report, language: Language) -> String {
    let checkpoint = &report.checkpoint;
    let mut text = format!(
        "{} {}, {} {}\n{}\n",
        checkpoint.size,
        language.pick("regels", "entries"),
        language.pick("wortel", "root"),
        checkpoint.root,
        language.pick(
            "ondertekend met de sleutel van het logboek",
            "signed with the log's key"
        ),
    );
    if report.is_sound() {
        text.push_str(language.pick(
            "alle regels en tegels geven samen de ondertekende wortel\n",
            "all entries and tiles together give the signed root\n",
        ));
        return text;
    }
    text.push_str(&format!(
        "{} {} {}:\n",
        report.problems.len(),
        language.pick("bestanden fout, na", "files wrong, after"),
        format_args!("{} {}", report.checked, language.pick("regels", "entries")),
    ));
    let mut sorted: Vec<&Problem> = report.problems.iter().collect();
    sorted.sort_by_key(|problem| problem.index);
    for problem in sorted.iter().take(LINES) {
        text.push_str(&format!("  {}\n", line(problem, language)));
    }
    text.push_str(&more(sorted.len(), language));
    text
}

fn line(problem: &Problem, language: Language) -> String {
    if language == Language::En {
        return problem.to_string();
    }
    let Problem { file, index, kind } = problem;
    match kind {
        ProblemKind::Missing => format!("{file} ontbreekt, vanaf index {index}"),
        ProblemKind::Malformed => format!("{file} is geen geldig bestand, vanaf index {index}"),
        ProblemKind::Root => format!("{file} heeft een andere wortel bij {index} regels"),
        _ => format!("{file} past niet bij de andere bestanden, vanaf index {index}"),
    }
}

fn witnesses(findings: &Findings, language: Language) -> String {
    let mut text = String::new();
    if !findings.witnesses.is_empty() {
        let mut rows = table(&[
            language.pick("Getuige", "Witness"),
            language.pick("Medeondertekend", "Cosigned"),
        ]);
        for witness in &findings.witnesses {
            let cosigned = match witness.cosigned {
                Cosigned::At(time_s) => time(time_s),
                Cosigned::No => language.pick("nee", "no").into(),
                Cosigned::Wrong => language
                    .pick("FOUT: handtekening past niet", "WRONG: does not fit")
                    .into(),
            };
            rows.add_row([witness.name.clone(), cosigned]);
        }
        text.push_str(&format!("{rows}\n"));
    }
    if let Some(code) = findings.note {
        text.push_str(&format!(
            "{}: {code}\n",
            language.pick("Checkpoint geweigerd", "Checkpoint refused")
        ));
    }
    let needed = findings
        .needed
        .map(|needed| format!(" ({needed})"))
        .unwrap_or_default();
    let quorum = match findings.quorum {
        QuorumTime::NotAsked => language
            .pick("geen getuigen gevraagd", "no witnesses asked for")
            .to_owned(),
        QuorumTime::Missing => format!(
            "{}{needed}",
            language.pick("TE WEINIG getuigen", "TOO FEW witnesses")
        ),
        QuorumTime::Held { since_s } => format!(
            "{}{needed} {} {}",
            language.pick("genoeg getuigen", "enough witnesses"),
            language.pick("sinds", "since"),
            time(since_s)
        ),
    };
    text.push_str(&format!("{quorum}\n"));
    text
}

fn proofs(proofs: &[(PathBuf, Checked)], language: Language) -> String {
    let bad = proofs.iter().filter(|(_, proof)| proof.code.is_some());
    let good = proofs.iter().filter(|(_, proof)| proof.code.is_none());
    let mut text = format!(
        "{} {} {} {}\n",
        language.pick("Bewijzen:", "Proofs:"),
        good.clone().count(),
        language.pick("goed van", "good of"),
        proofs.len()
    );
    let mut rows = table(&[
        language.pick("Bestand", "File"),
        "Index",
        language.pick("Toont", "Shows"),
        language.pick("Uitkomst", "Result"),
    ]);
    for (path, proof) in bad.chain(good).take(LINES) {
        rows.add_row([
            name(path),
            proof.index.map_or_else(|| "–".into(), |index| index.to_string()),
            proof.shows.map_or("–", |shows| shown(shows, language)).into(),
            match proof.code {
                None => language.pick("goed", "good").into(),
                Some(code) => format!("{} {}", language.pick("FOUT:", "WRONG:"), why(code, language)),
            },
        ]);
    }
    text.push_str(&format!("{rows}\n"));
    text.push_str(&more(proofs.len(), language));
    text
}

fn shown(shows: Shows, language: Language) -> &'static str {
    match shows {
        Shows::Everything => language.pick("alle velden", "all fields"),
        Shows::Processing => language.pick("zonder gebruiker en zaak", "without user and case"),
        Shows::Public => language.pick("openbare regel", "public entry"),
        Shows::Existence => language.pick("alleen dat de regel er is", "only that there is an entry"),
    }
}

/// The codes that people meet in words, others as they are.
fn why(code: &'static str, language: Language) -> &'static str {
    match code {
        "tlog_proof_malformed" => language.pick("geen bewijs", "not a proof"),
        "opening_encoding" => language.pick("opening is niet te lezen", "opening cannot be read"),
        "no_entry" => language.pick("geen regel met deze index", "no entry at this index"),
        "inclusion" => language.pick(
            "regel staat niet in de ondertekende boom",
            "entry is not in the signed tree",
        ),
        "not_signed" | "bad_signature" | "malformed" => language.pick(
            "checkpoint is niet van dit logboek",
            "checkpoint is not signed by this log",
        ),
        "bad_cosignature" => language.pick(
            "handtekening van een getuige past niet",
            "a witness's signature does not fit",
        ),
        "off_log" => language.pick(
            "checkpoint ligt niet op dit logboek",
            "checkpoint does not lie on this log",
        ),
        "beyond_copy" => language.pick(
            "checkpoint heeft meer regels dan deze kopie",
            "checkpoint has more entries than this copy",
        ),
        code => code,
    }
}

fn evidence(shown: Shown, language: Language) -> String {
    match shown {
        Shown::Settled => language
            .pick(
                "geen tegenspraak: beide checkpoints liggen op dit logboek",
                "no conflict: both checkpoints lie on this log",
            )
            .into(),
        Shown::TwoRoots(size) => format!(
            "{} {size} {}",
            language.pick(
                "BEWEZEN: het logboek ondertekende twee wortels bij",
                "PROVEN: the log signed two different roots at"
            ),
            language.pick("regels", "entries")
        ),
        Shown::OffLog(size) => format!(
            "{} {size} {}",
            language.pick(
                "BEWEZEN: het logboek ondertekende een stand die niet op deze kopie ligt, bij",
                "PROVEN: the log signed a head that does not lie on this copy, at"
            ),
            language.pick("regels", "entries")
        ),
        Shown::Beyond(size) => format!(
            "{} {size} {}",
            language.pick("een checkpoint heeft", "a checkpoint has"),
            language.pick(
                "regels, meer dan deze kopie: haal een nieuwere",
                "entries, more than this copy: get a newer one"
            )
        ),
        Shown::Nothing(code) => format!(
            "{} ({code})",
            language.pick(
                "bewijst niets: geen bewijsbestand van dit logboek",
                "shows nothing: not evidence of this log"
            )
        ),
    }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn more(count: usize, language: Language) -> String {
    match count.checked_sub(LINES) {
        None | Some(0) => String::new(),
        Some(rest) => format!("  {} {rest}\n", language.pick("en nog", "and more:")),
    }
}

/// In Dutch time; in UTC on a machine that does not know it.
fn time(time_s: u64) -> String {
    let moment = i64::try_from(time_s)
        .ok()
        .and_then(|time_s| Timestamp::from_second(time_s).ok());
    let Some(moment) = moment else {
        return time_s.to_string();
    };
    let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
    moment.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}
