//! The privacy officer's part of the demo: the report that a person may ask for, with proofs that others can check.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hitmachine_node::Node;
use hitmachine_node::control::{AskPerson, NumberKind, Reply, Request};
use hitmachine_node::officer::page::PageView;
use hitmachine_node::officer::report::Report;
use hitmachine_node::officer::task::{Aim, OfficerAsk, OfficerReply, SearchAsk, Task};
use hitmachine_node::source::{AgeBracket, class_on};
use hitmachine_service::exit;
use hitmachine_testkit::deployment::Deployment;
use jiff::civil::Date;
use serde::Serialize;

use super::show::Show;
use crate::Failure;

/// Most entries on one page.
const PAGE: u32 = 500;

/// What the report says, for machines.
#[derive(Serialize)]
pub(super) struct PersonReport {
    /// Questions about the person.
    rows: usize,
    /// Folder with the report and a proof of each question.
    dir: PathBuf,
}

/// Makes the report for the first person of the list, in the demo's folder.
pub(super) async fn report(
    deployment: &Deployment,
    coordinator: &Arc<Node>,
    today: Date,
    show: &Show,
) -> Result<PersonReport, Failure> {
    let (number, birth_date) = first_person(&deployment.registers())?;
    let class = class_on(today, &birth_date).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    let person = AskPerson {
        kind: NumberKind::Bsn,
        number: number.into(),
        class: class.into(),
        age: AgeBracket::default(),
        reference: None,
    };
    let ask = OfficerAsk {
        user: "demo-functionaris".into(),
        role: "privacyfunctionaris".into(),
        responsible: None,
        reference: "AVG-DEMO-1".into(),
        task: Task::Search(SearchAsk {
            person: Some(person),
            limit: PAGE,
            aim: Aim::Report,
            proofs: true,
            ..SearchAsk::default()
        }),
    };
    // One page is enough for who was asked about a few times.
    let page = match coordinator
        .handle(Request::Officer(Box::new(ask)), Arc::new(|_| ()))
        .await
    {
        Reply::Officer(OfficerReply::Page(page)) => *page,
        Reply::Failed(failure) => return Err(Failure::new(failure.text_en, failure.exit)),
        _ => return Err(Failure::new("unexpected reply", exit::REFUSED)),
    };
    let dir = deployment.dir().join("report");
    let rows = write(&dir, page, show).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    show.line(&format!(
        "{} {rows}. {} {}",
        show.pick(
            "De privacyfunctionaris maakt het overzicht voor een persoon van de lijst. Vragen over die persoon:",
            "The privacy officer makes the report for a person of the list. Questions about them:",
        ),
        show.pick("Overzicht en bewijzen staan in", "Report and proofs are in"),
        dir.display(),
    ));
    Ok(PersonReport { rows, dir })
}

fn write(dir: &Path, mut page: PageView, show: &Show) -> std::io::Result<usize> {
    fs::create_dir_all(dir)?;
    for row in &mut page.rows {
        if let Some(proof) = row.proof.take() {
            let name = format!("{}.tlog-proof", row.log_index + 1);
            fs::write(dir.join(name), proof.tlog_proof)?;
        }
    }
    let report = Report::new(&[page], None, jiff::Timestamp::now().to_string());
    fs::write(dir.join("report.html"), report.html(show.language))?;
    fs::write(dir.join("report.json"), serde_json::to_vec_pretty(&report)?)?;
    Ok(report.rows.len())
}

/// Number and birth date of the first person, read from the list as the officer would.
fn first_person(registers: &Path) -> Result<(String, String), Failure> {
    let style = hitmachine_testkit::population::list_style();
    let text = fs::read_to_string(registers.join(hitmachine_testkit::population::LIST_FILE))
        .map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split(style.delimiter).collect();
    let place = |name: &str| header.iter().position(|cell| *cell == name);
    let (number, birth_date) = (place(style.bsn_column), place(style.birth_date_column));
    let found = lines.next().and_then(|row| {
        let cells: Vec<&str> = row.split(style.delimiter).collect();
        Some((
            (*cells.get(number?)?).to_owned(),
            (*cells.get(birth_date?)?).to_owned(),
        ))
    });
    found.ok_or_else(|| Failure::new("the list names nobody", exit::REFUSED))
}
