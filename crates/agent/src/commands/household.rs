//! `hitmachine-node query --household`: several persons in one question, from lines with a BSN and a birth date.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use hitmachine_identifier::{Admission, Bsn, contains_bsn};
use hitmachine_node::NodeConfig;
use hitmachine_node::control::{Ask, AskPerson, NumberKind, Reply, Request};
use hitmachine_node::screen::Frame;
use hitmachine_node::screening::{List, ListHousehold, ListPerson, ScreenAsk, ScreenReply};
use hitmachine_node::source::age_on;
use hitmachine_node::view::AnswerView;
use hitmachine_service::{console, exit};
use jiff::civil::Date;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Outcome, Shell, fail, open, print_json, today};

/// The most bytes read: 64 persons are far below.
const MOST_BYTES: u64 = 64 * 1024;

/// A line that was left out: never its content.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct LeftOut {
    row: u64,
    code: String,
    text_en: String,
    text_nl: String,
}

/// What lines hold: the persons with their rows, and what was left out.
type Lines = (Vec<(u64, AskPerson)>, Vec<LeftOut>);

/// For machines: the answer, the row of each person in it, and the rows left out.
#[derive(Serialize)]
struct HouseholdAnswer<'a> {
    #[serde(flatten)]
    answer: &'a AnswerView,
    rows: Vec<u64>,
    left_out: Vec<LeftOut>,
}

impl Shell {
    /// One question about everybody in `file`, or on standard input if that is `-`.
    pub(super) async fn query_household(&self, config: NodeConfig, frame: Frame, file: &Path) -> Outcome {
        let admission = open(config.admission())?;
        let text = read(file).map_err(|error| fail(&error, exit::USAGE))?;
        let (persons, left_out) = lines(&text, &admission, today());
        for line in &left_out {
            console::complain(format_args!(
                "  {} {}: {}",
                self.language.pick("rij", "row"),
                line.row,
                self.language.pick(&line.text_nl, &line.text_en)
            ));
        }
        if persons.is_empty() {
            console::complain(self.language.pick(
                "hitmachine-node: er is niemand om te bevragen",
                "hitmachine-node: there is nobody to ask about",
            ));
            return Err(ExitCode::from(exit::USAGE));
        }
        self.check_cap(config.clone(), &frame, &persons).await?;
        let rows: Vec<u64> = persons.iter().map(|(row, _)| *row).collect();
        let ask = Ask {
            purpose: frame.purpose,
            case: frame.case,
            user: frame.user,
            role: frame.role,
            responsible: frame.responsible,
            persons: persons.into_iter().map(|(_, person)| person).collect(),
        };
        let Reply::Asked(answer) = self.call(config, Request::Ask(ask)).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        let code = ExitCode::from(match answer.refusal() {
            Some(_) => exit::REFUSED,
            None => exit::OK,
        });
        if self.json {
            print_json(&HouseholdAnswer {
                answer: &answer,
                rows,
                left_out,
            });
        } else {
            console::print(answer.text(self.language));
            let places: Vec<_> = rows
                .iter()
                .zip(1..)
                .map(|(row, person)| format!("{person} = {} {row}", self.language.pick("rij", "row")))
                .collect();
            console::print_line(format!(
                "{}: {}",
                self.language.pick("Persoon", "Person"),
                places.join(", ")
            ));
        }
        Ok(code)
    }

    /// Says how many persons one question may be about, before anybody is asked.
    async fn check_cap(
        &self,
        config: NodeConfig,
        frame: &Frame,
        persons: &[(u64, AskPerson)],
    ) -> Result<(), ExitCode> {
        let list = List {
            households: vec![ListHousehold {
                name: String::new(),
                bad_rows: Vec::new(),
                persons: persons
                    .iter()
                    .map(|(row, person)| ListPerson {
                        row: *row,
                        label: None,
                        person: person.clone(),
                    })
                    .collect(),
            }],
            issues: Vec::new(),
            issue_count: 0,
        };
        let ask = ScreenAsk::Plan {
            frame: frame.clone(),
            list,
        };
        let reply = self.call(config, Request::Screening(Box::new(ask))).await?;
        let Reply::Screening(reply) = reply else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        let ScreenReply::Planned(plan) = *reply else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        if let Some(failure) = &plan.hub {
            return Err(self.failed(failure));
        }
        let most = plan.covenant.map_or(usize::MAX, |covenant| covenant.max_subjects);
        let count = persons.len();
        if count > most {
            let said = match self.language {
                hitmachine_node::language::Language::Nl => format!(
                    "het convenant staat {most} personen in één vraag toe voor dit doel; dit zijn er {count}. Er is \
                     niets gevraagd"
                ),
                hitmachine_node::language::Language::En => format!(
                    "the covenant allows {most} persons in one question for this purpose; these are {count}. Nobody was \
                     asked about"
                ),
            };
            console::complain(format_args!("hitmachine-node: {said}"));
            return Err(ExitCode::from(exit::REFUSED));
        }
        console::complain(format_args!(
            "  {} {count} ({} {most})",
            self.language
                .pick("Personen in deze vraag:", "Persons in this question:"),
            self.language.pick("hoogstens", "at most"),
        ));
        Ok(())
    }
}

fn read(file: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if file == Path::new("-") {
        std::io::stdin().take(MOST_BYTES).read_to_string(&mut text)?;
    } else {
        let file = std::fs::File::open(file)?;
        file.take(MOST_BYTES).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// A person for each line: BSN and birth date, with `;`, `,`, a tab or blanks between. A first line without a digit is a
/// header. What cannot be read is left out and named by its row.
fn lines(text: &str, admission: &Admission, today: Date) -> Lines {
    let (mut persons, mut left_out): Lines = (Vec::new(), Vec::new());
    for (line, row) in text.trim_start_matches('\u{feff}').lines().zip(1_u64..) {
        let header = row == 1 && !line.bytes().any(|byte| byte.is_ascii_digit());
        if header || line.trim().is_empty() {
            continue;
        }
        match person(line, admission, today) {
            Ok(person) if persons.iter().any(|(_, other)| other.number == person.number) => {
                left_out.push(LeftOut {
                    row,
                    code: "duplicate".into(),
                    text_en: "this person is there already".into(),
                    text_nl: "deze persoon staat er al".into(),
                });
            }
            Ok(person) => persons.push((row, person)),
            Err((code, text_en, text_nl)) => left_out.push(LeftOut {
                row,
                code: code.to_owned(),
                text_en,
                text_nl,
            }),
        }
    }
    (persons, left_out)
}

fn person(
    line: &str,
    admission: &Admission,
    today: Date,
) -> Result<AskPerson, (&'static str, String, String)> {
    let mut cells = line
        .split([';', ',', '\t', ' '])
        .map(|cell| cell.trim().trim_matches('"'))
        .filter(|cell| !cell.is_empty());
    let (Some(number), Some(date)) = (cells.next(), cells.next()) else {
        return Err((
            "field_missing",
            "a line needs a BSN and a birth date".into(),
            "een regel heeft een BSN en een geboortedatum nodig".into(),
        ));
    };
    let bsn = Bsn::parse(number, admission)
        .map_err(|error| (error.code(), error.to_string(), error.text_nl().to_owned()))?;
    let age =
        age_on(today, date).map_err(|error| ("birth_date", error.to_string(), error.text_nl().to_owned()))?;
    let label = cells.next();
    if label.is_some_and(contains_bsn) {
        return Err((
            "label",
            "the label reads as a BSN".into(),
            "het kenmerk leest als een BSN".into(),
        ));
    }
    Ok(AskPerson {
        kind: NumberKind::Bsn,
        // Canonical numbers are ASCII digits: one form for each person.
        number: String::from_utf8_lossy(bsn.canonical().expose_secret())
            .into_owned()
            .into(),
        class: age.class.into(),
        age: age.bracket,
        reference: label.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use hitmachine_identifier::DEFAULT_TEST_PREFIXES;
    use hitmachine_node::control::ClassWord;
    use hitmachine_pseudonym::DeploymentKind;

    use super::*;

    #[test]
    fn one_bad_line_is_named_and_the_rest_goes_on() {
        let prefixes = DEFAULT_TEST_PREFIXES.iter().map(ToString::to_string);
        let admission = Admission::new(DeploymentKind::Test, prefixes.collect()).unwrap();
        let text = "\u{feff}bsn;geboortedatum\n999990019;2015-03-04\n\n999990018;1980-01-01\n999990019,01-02-1980\nx\n\
                    \"999990020\" 1980-13-01\n";
        let (persons, left_out) = lines(text, &admission, "2026-11-22".parse().unwrap());
        assert_eq!(persons.len(), 1);
        assert_eq!((persons[0].0, persons[0].1.class), (2, ClassWord::Minor));
        let named: Vec<_> = left_out.iter().map(|line| line.row).collect();
        assert_eq!(named, [4, 5, 6, 7]);
        let said = format!("{left_out:?}");
        assert!(!said.contains("99999") && !said.contains("1980"), "{said}");
    }
}
