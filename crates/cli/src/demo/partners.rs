//! What partners do besides answering from the index: one answers live, and one hears that it was found.

use std::sync::Arc;
use std::time::Duration;

use hitmachine_node::Node;
use hitmachine_node::control::{Ask, AskPerson, Reply, Request};
use hitmachine_node::notice::{NoticeAsk, NoticeReply, NoticeView, NoticesView, Which, text};
use hitmachine_node::screen::{HouseholdView, ScreeningReport};
use hitmachine_node::screening::List;
use hitmachine_node::view::{AnswerView, StatusWord};
use hitmachine_service::exit;
use hitmachine_testkit::population::Register;
use serde::Serialize;

use super::show::Show;
use super::{ASKER, LIVE};
use crate::Failure;

/// Case of the question while the live partner is off, and of the family that a partner asks about.
const CASE_WITHOUT: &str = "TOP150-DEMO-2";
const CASE_FAMILY: &str = "SHV-DEMO-2";
/// Where the hit falls that is told.
const TOLD: &str = "leerplicht";
/// How long a notice may take.
const PATIENCE_SECONDS: u64 = 30;

/// A partner asked about a family, and another heard of it.
#[derive(Serialize)]
pub(super) struct Told {
    answer: AnswerView,
    notice: NoticeView,
}

/// The family of the list, by the place of its household, that fits; the demo may look.
fn household(screening: &ScreeningReport, fits: impl Fn(&HouseholdView) -> bool) -> Result<usize, Failure> {
    let found = screening.households.iter().position(fits);
    found.ok_or_else(|| Failure::new("no household of the list fits", exit::REFUSED))
}

fn ask(list: &List, place: usize, (purpose, case, user, role): (&str, &str, &str, &str)) -> Request {
    let household = list.households.get(place);
    let persons: Vec<AskPerson> = household
        .iter()
        .flat_map(|household| household.persons.iter().map(|person| person.person.clone()))
        .collect();
    Request::Ask(Ask {
        purpose: purpose.into(),
        case: case.into(),
        user: user.into(),
        role: role.into(),
        responsible: None,
        persons,
    })
}

async fn answer(node: &Node, request: Request) -> Result<AnswerView, Failure> {
    match node.handle(request, Arc::new(|_| ())).await {
        Reply::Asked(answer) => Ok(answer),
        Reply::Failed(failure) => Err(Failure::new(failure.text_en, failure.exit)),
        _ => Err(Failure::new("unexpected reply", exit::REFUSED)),
    }
}

/// Asks about a household that only the live partner knows, while its node is off: it could not be asked, and that is
/// never "not known".
pub(super) async fn without_the_live_partner(
    coordinator: &Node,
    list: &List,
    screening: &ScreeningReport,
    show: &Show,
) -> Result<AnswerView, Failure> {
    let only_there = household(screening, |household| {
        let municipal: Vec<&str> = Register::ALL
            .into_iter()
            .filter(|register| register.is_municipal())
            .map(Register::id)
            .collect();
        household.is_known_at(&[LIVE.id()]) && !household.is_known_at(&municipal)
    })?;
    let question = (
        "screening",
        CASE_WITHOUT,
        "demo-coordinator",
        "informatiecoordinator",
    );
    let answer = answer(coordinator, ask(list, only_there, question)).await?;
    let mut said = answer.persons.iter().flat_map(|person| &person.partners);
    if said.any(|row| row.partner == LIVE.id() && row.status != StatusWord::CouldNotAsk) {
        let text = "a partner that was off seems to have been asked";
        return Err(Failure::new(text, exit::INTEGRITY));
    }
    show.line(show.pick(
        "OM/reclassering antwoordt live. Nu staat zijn station uit: een gezin dat alleen daar bekend is, opnieuw bevraagd:",
        "OM/reclassering answers live. Now its node is off: a family that is known only there, asked about again:",
    ));
    show.line(&answer.text(show.language));
    Ok(answer)
}

/// Schuldhulpverlening asks about the family of a client; leerplicht hears that somebody in its register was found, by
/// its own file number.
pub(super) async fn family(
    nodes: &[(&str, Arc<Node>)],
    list: &List,
    screening: &ScreeningReport,
    show: &Show,
) -> Result<Told, Failure> {
    let node = |id: &str| {
        nodes
            .iter()
            .find(|(partner, _)| *partner == id)
            .map(|(_, node)| node)
    };
    let (Some(asker), Some(told)) = (node(ASKER.id()), node(TOLD)) else {
        return Err(Failure::new("no such partner", exit::REFUSED));
    };
    let both = household(screening, |household| {
        household.is_known_at(&[TOLD]) && household.is_known_at(&[ASKER.id()])
    });
    let family = both.or_else(|_| household(screening, |household| household.is_known_at(&[TOLD])))?;
    let question = ("signalering", CASE_FAMILY, "demo-medewerker", "professional");
    let answer = answer(asker, ask(list, family, question)).await?;
    show.line(show.pick(
        "Schuldhulpverlening vraagt naar het gezin van een cliënt:",
        "Schuldhulpverlening asks about the family of a client:",
    ));
    show.line(&answer.text(show.language));
    let listed = NoticeAsk::List {
        which: Which::New,
        case: Some(CASE_FAMILY.to_owned()),
    };
    let heard = async {
        loop {
            let reply = told
                .handle(Request::Notice(listed.clone()), Arc::new(|_| ()))
                .await;
            // An earlier run may have left some of its own.
            let of_this = |notice: &&NoticeView| {
                let mut persons = answer.persons.iter();
                persons.any(|person| person.log_index == notice.log_index)
            };
            if let Reply::Notice(NoticeReply::Notices(found)) = reply
                && let Some(notice) = found.notices.iter().find(of_this)
            {
                return notice.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(PATIENCE_SECONDS), heard).await;
    let notice = heard.map_err(|_| Failure::new("no hit notice came in time", exit::UNREACHABLE))?;
    show.line(show.pick(
        "Leerplicht krijgt daarvan een hitbericht, met het eigen kenmerk:",
        "Leerplicht gets a hit notice of that, with its own file number:",
    ));
    let view = NoticesView {
        notices: vec![notice.clone()],
        new: 1,
        muted: 0,
        last: notice.number,
    };
    show.line(&text::list(&view, show.language));
    Ok(Told { answer, notice })
}
