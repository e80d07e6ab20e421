//! Signing a covenant, and checking signatures.

use std::fs;
use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};

use clap::Args;
use hitmachine_audit::{NoteSigner, NoteVerifier};
use hitmachine_core::Covenant;
use hitmachine_core::covenant::{Administrators, Document, NotAccepted, Trust, acceptance, difference};
use hitmachine_node::covenant_view;
use hitmachine_node::language::Language;
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_service::{console, exit};
use jiff::Timestamp;
use serde_json::json;

use super::{print_json, read, signatures_of};
use crate::Failure;

#[derive(Args)]
pub(crate) struct SignArguments {
    /// The covenant. The signature goes into the file beside it with .sig after its name.
    file: PathBuf,
    /// Your key file (`hitmachine keys new --purpose administrator`).
    #[arg(long)]
    key: PathBuf,
    /// Your name, as in the covenant's list of administrators.
    #[arg(long)]
    name: String,
    /// The covenant in force now: then the difference is shown, and its administrators may sign, too.
    #[arg(long)]
    previous: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Language; the machine's own if absent.
    #[arg(long, value_enum)]
    lang: Option<Language>,
}

#[derive(Args)]
pub(crate) struct VerifyArguments {
    /// The covenant; its signatures are in the file beside it with .sig after its name.
    file: PathBuf,
    /// The covenant in force now: enough of its administrators must have signed, and the difference is shown.
    #[arg(long)]
    previous: Option<PathBuf>,
    /// Language; the machine's own if absent.
    #[arg(long, value_enum)]
    lang: Option<Language>,
    /// Print JSON for machines.
    #[arg(long)]
    json: bool,
}

pub(crate) fn sign(arguments: &SignArguments) -> Result<(), Failure> {
    let language = arguments.lang.unwrap_or_else(Language::of_machine);
    let (covenant, document) = read(&arguments.file)?;
    let previous = arguments.previous.as_deref().map(read).transpose()?;
    let previous = previous.as_ref().map(|(previous, _)| previous);
    let read = SecretFile::read(&arguments.key, Purpose::Administrator);
    let (_, key) = read.map_err(|error| Failure::from_error(&error, exit::USAGE))?;
    let signer = NoteSigner::new(arguments.name.as_str(), &key)
        .map_err(|error| Failure::from_error(&error, exit::USAGE))?;
    if !is_named(&covenant, previous, &signer.verifier()) {
        return Err(Failure::new(
            language.pick(
                "deze sleutel staat onder deze naam niet bij de beheerders van dit convenant; wie er niet meer bij staat \
                 maar nog wel moet tekenen, noemt het geldende convenant met --previous",
                "the covenant does not name this key under this name among its administrators; who is not named any more \
                 but still has to sign, names the covenant in force with --previous",
            ),
            exit::REFUSED,
        ));
    }
    if !document.signatures.is_empty() && acceptance::signatures_of(&covenant, &document).is_err() {
        let beside = signatures_of(&arguments.file);
        let beside = beside.display();
        return Err(Failure::new(
            match language {
                Language::Nl => {
                    format!("{beside} hoort bij een eerdere versie van het bestand; verwijder het eerst")
                }
                Language::En => format!("{beside} is of an earlier version of the file; remove it first"),
            },
            exit::REFUSED,
        ));
    }
    console::print(covenant_view::head(&covenant, language, Timestamp::now()));
    if let Some(previous) = previous {
        console::print(difference_text(previous, &covenant, language));
    }
    let question = language.pick("Ondertekenen? (ja/nee) ", "Sign it? (yes/no) ");
    if !arguments.yes && !is_agreed(question).map_err(|error| Failure::from_error(&error, exit::REFUSED))? {
        return Err(Failure::new(
            language.pick("niet ondertekend", "not signed"),
            exit::REFUSED,
        ));
    }
    let others = Some(document.signatures.as_slice()).filter(|note| !note.is_empty());
    let note = signer
        .sign(&acceptance::signed_text(&covenant), others)
        .map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    let beside = signatures_of(&arguments.file);
    replace(&beside, &note).map_err(|error| {
        Failure::new(
            format!("cannot write {}: {error}", beside.display()),
            exit::REFUSED,
        )
    })?;
    let signed = Document {
        signatures: note,
        ..document
    };
    console::print(signers_text(&covenant, previous, &signed, language)?);
    Ok(())
}

pub(crate) fn verify(arguments: &VerifyArguments) -> Result<(), Failure> {
    let language = arguments.lang.unwrap_or_else(Language::of_machine);
    let (covenant, document) = read(&arguments.file)?;
    let previous = arguments.previous.as_deref().map(read).transpose()?;
    let previous = previous.as_ref().map(|(previous, _)| previous);
    let verdict = match previous {
        Some(previous) => acceptance::accept(Trust::Held(previous), &covenant, &document),
        None => acceptance::signed_by_its_own(&covenant, &document),
    };
    if arguments.json {
        let failed = verdict.as_ref().err();
        print_json(&json!({
            "id": covenant.id(), "number": covenant.number(), "version": covenant.version().to_string(),
            "accepted": failed.is_none(), "code": failed.map(NotAccepted::code),
            "text_nl": failed.map(NotAccepted::text_nl), "text_en": failed.map(ToString::to_string),
            "signed_by": signed_by(covenant.administrators(), &covenant, &document),
            "signed_by_previous": previous.map(|previous| signed_by(previous.administrators(), &covenant, &document)),
            "changes": previous.map(|previous| covenant_view::changes_json(&difference(previous, &covenant))),
        }));
    } else {
        console::print(covenant_view::head(&covenant, language, Timestamp::now()));
        if let Some(previous) = previous {
            console::print(difference_text(previous, &covenant, language));
        }
        if !document.signatures.is_empty() && acceptance::signatures_of(&covenant, &document).is_ok() {
            console::print(signers_text(&covenant, previous, &document, language)?);
        }
        if verdict.is_ok() {
            console::print_line(language.pick("het wordt aanvaard", "it is accepted"));
        }
    }
    verdict.map_err(|error| {
        let text = match language {
            Language::Nl => format!("het convenant wordt niet aanvaard: {}", error.text_nl()),
            Language::En => format!("the covenant is not accepted: {error}"),
        };
        Failure::new(text, exit::INTEGRITY)
    })
}

/// Whether a key is one of those whose signature counts.
fn is_named(covenant: &Covenant, previous: Option<&Covenant>, key: &NoteVerifier) -> bool {
    let lists = [Some(covenant), previous].into_iter().flatten();
    lists
        .filter_map(Covenant::administrators)
        .any(|list| list.keys().contains(key))
}

fn signed_by(list: Option<&Administrators>, covenant: &Covenant, document: &Document) -> Vec<String> {
    let note = acceptance::signatures_of(covenant, document).ok();
    let names = note.zip(list).and_then(|(note, list)| {
        let names = list.signers(&note).ok()?;
        Some(names.into_iter().map(ToOwned::to_owned).collect())
    });
    names.unwrap_or_default()
}

fn signers_text(
    covenant: &Covenant,
    previous: Option<&Covenant>,
    document: &Document,
    language: Language,
) -> Result<String, Failure> {
    let note = acceptance::signatures_of(covenant, document)
        .map_err(|error| Failure::from_error(&error, exit::INTEGRITY))?;
    let mut text = String::new();
    for (list, nl, en) in [
        (
            covenant.administrators(),
            "Eigen beheerders",
            "Its own administrators",
        ),
        (
            previous.and_then(Covenant::administrators),
            "Beheerders van het geldende convenant",
            "Administrators of the covenant in force",
        ),
    ] {
        let Some(list) = list else { continue };
        let names = list
            .signers(&note)
            .map_err(|error| Failure::from_error(&error, exit::INTEGRITY))?;
        let (found, needed, who) = (names.len(), list.needed(), names.join(", "));
        text.push_str(&match language {
            Language::Nl => format!("{nl}: {found} getekend ({who}), {needed} nodig\n"),
            Language::En => format!("{en}: {found} signed ({who}), {needed} needed\n"),
        });
    }
    Ok(text)
}

fn difference_text(previous: &Covenant, covenant: &Covenant, language: Language) -> String {
    let number = previous.number();
    let title = match language {
        Language::Nl => format!("Verschil met nummer {number}"),
        Language::En => format!("Difference from number {number}"),
    };
    let changes = difference(previous, covenant);
    format!("\n{title}\n{}\n", covenant_view::changes_text(&changes, language))
}

fn is_agreed(question: &str) -> io::Result<bool> {
    console::print(question);
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let answer = answer.trim().to_lowercase();
    Ok(["y", "yes", "j", "ja"].contains(&answer.as_str()))
}

/// Writes a file whole or not at all: a broker may read it at any moment.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    fs::write(&new, bytes)?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, path)
}
