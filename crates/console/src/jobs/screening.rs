//! Screening a list: the plan, the start, how far it is, what came of it. Each person sees their own.

use axum::http::StatusCode;
use hitmachine_identifier::contains_bsn;
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::failure::Failure;
use hitmachine_node::language::Language;
use hitmachine_node::screen::{Frame, ScreeningReport};
use hitmachine_node::screening::{
    List, OnQuota, Plan, ScreenAsk, ScreenReply, ScreeningState, ScreeningView,
};
use hitmachine_node::view::refusal_text;

use crate::app::App;
use crate::caller::Asker;
use crate::problem::Problem;

/// What is the same for every question of a screening. Who asks, and in which role, comes from the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Screening {
    /// Purpose, by its short name.
    pub purpose: String,
    /// Case reference.
    pub case: String,
    /// On whose behalf, if somebody else's.
    pub responsible: Option<String>,
}

/// A purpose that may be screened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreeningPurpose {
    /// Short name.
    pub code: String,
    /// Name for people.
    pub title: String,
    /// Lawful basis.
    pub legal_basis: String,
    /// The most persons in one screening.
    pub max_persons: u32,
}

/// The purposes for which this caller may screen: the covenant grants them to the organisation and the caller's role, and
/// the caller's own limits do not rule them out.
///
/// # Errors
/// [`Problem`] if there is no covenant.
pub async fn purposes(app: &App, asker: &Asker<'_>) -> Result<Vec<ScreeningPurpose>, Problem> {
    let covenant = app.covenant().await?;
    let own = &app.node().config().partner;
    let granted = covenant.purposes().iter().filter(|purpose| {
        purpose.askers.iter().any(|asker| asker.as_str() == own)
            && purpose.roles.iter().any(|role| role.as_str() == asker.role())
            && asker.may_ask_for(purpose.code.as_str())
    });
    let choices = granted.map(|purpose| ScreeningPurpose {
        code: purpose.code.to_string(),
        title: purpose.title.clone(),
        legal_basis: purpose.legal_basis.clone(),
        max_persons: purpose.max_screening,
    });
    Ok(choices.collect())
}

/// What asking about a list would mean. Nobody is asked, nothing is kept.
///
/// # Errors
/// [`Problem`]: 422 for a list or a case that cannot be asked with.
pub async fn plan(app: &App, asker: &Asker<'_>, screening: &Screening, list: List) -> Result<Plan, Problem> {
    let frame = frame(asker, screening)?;
    check(&list)?;
    let ask = ScreenAsk::Plan { frame, list };
    match app.call(Request::Screening(Box::new(ask))).await? {
        Reply::Screening(reply) => match *reply {
            ScreenReply::Planned(plan) => Ok(plan),
            _ => Err(Problem::malformed()),
        },
        _ => Err(Problem::malformed()),
    }
}

/// Begins to ask about a list; the screening's name. It goes on by itself, and twice the same call begins it twice.
///
/// # Errors
/// [`Problem`]; then nobody was asked.
pub async fn start(
    app: &App,
    asker: &Asker<'_>,
    screening: &Screening,
    list: List,
    on_quota: OnQuota,
) -> Result<String, Problem> {
    let frame = frame(asker, screening)?;
    let plan = plan(app, asker, screening, list.clone()).await?;
    may_start(&plan)?;
    Ok(app.node().begin_screening(&frame, list, on_quota).await?)
}

/// The caller's own screenings, the newest first.
///
/// # Errors
/// [`Problem`].
pub async fn list(app: &App, asker: &Asker<'_>) -> Result<Vec<ScreeningView>, Problem> {
    Ok(app.node().screenings_of(asker.user()).await?)
}

/// How far it is.
///
/// # Errors
/// [`Problem::not_found`] if it is not the caller's own.
pub async fn state(app: &App, asker: &Asker<'_>, id: &str) -> Result<ScreeningState, Problem> {
    app.node().screening_state(id, asker.user()).await.map_err(own)
}

/// What came of it so far, person by person.
///
/// # Errors
/// [`Problem::not_found`] if it is not the caller's own.
pub async fn report(app: &App, asker: &Asker<'_>, id: &str) -> Result<ScreeningReport, Problem> {
    app.node().screening_report(id, asker.user()).await.map_err(own)
}

/// Goes on with one that stopped; one that runs or is done is left as it is.
///
/// # Errors
/// [`Problem::not_found`] if it is not the caller's own.
pub async fn resume(app: &App, asker: &Asker<'_>, id: &str, on_quota: OnQuota) -> Result<(), Problem> {
    app.node()
        .go_on_screening(id, asker.user(), on_quota)
        .await
        .map_err(own)
}

/// Has it stop after the questions that are under way.
///
/// # Errors
/// [`Problem::not_found`] if it is not the caller's own.
pub async fn stop(app: &App, asker: &Asker<'_>, id: &str) -> Result<(), Problem> {
    app.node().stop_screening(id, asker.user()).await.map_err(own)
}

/// Forgets it with its results. What is in the hub's log stays there.
///
/// # Errors
/// [`Problem::not_found`] if it is not the caller's own; 409 while it runs.
pub async fn forget(app: &App, asker: &Asker<'_>, id: &str) -> Result<(), Problem> {
    app.node().forget_screening(id, asker.user()).await.map_err(own)
}

fn own(failure: Failure) -> Problem {
    match failure.code.as_str() {
        "unknown_screening" => Problem::not_found(),
        _ => failure.into(),
    }
}

fn frame(asker: &Asker<'_>, screening: &Screening) -> Result<Frame, Problem> {
    if !asker.may_ask_for(&screening.purpose) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "purpose_not_granted",
            "Voor dit doel mag u geen vragen stellen.",
            "You may not ask for this purpose.",
        ));
    }
    Ok(Frame {
        purpose: screening.purpose.clone(),
        case: screening.case.clone(),
        user: asker.user().to_owned(),
        role: asker.role().to_owned(),
        responsible: screening.responsible.clone().filter(|id| !id.is_empty()),
    })
}

/// Names of households and labels are shown and kept with the results, so none may be a number of a person.
fn check(list: &List) -> Result<(), Problem> {
    let names = list.households.iter().map(|household| household.name.as_str());
    let persons = list.households.iter().flat_map(|household| &household.persons);
    let labels = persons.filter_map(|person| person.label.as_deref());
    if names.chain(labels).any(contains_bsn) {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bsn_in_list",
            "In de kolom van het huishouden of het kenmerk staat een BSN. Kies een andere kolom of pas uw lijst aan.",
            "The column of the household or of the label holds a BSN. Choose another column or change your list.",
        ));
    }
    Ok(())
}

/// What every question of it would be refused for is refused at once.
fn may_start(plan: &Plan) -> Result<(), Problem> {
    if let Some(failure) = &plan.hub {
        return Err(failure.clone().into());
    }
    if let Some(code) = plan
        .covenant
        .as_ref()
        .and_then(|covenant| covenant.refused.as_deref())
    {
        let [nl, en] = [Language::Nl, Language::En].map(|language| refusal_text(code, language));
        return Err(Problem::new(StatusCode::FORBIDDEN, code, nl, en));
    }
    let problem = |code, nl, en| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, nl, en);
    if plan.covenant.as_ref().is_some_and(|covenant| covenant.too_many) {
        return Err(problem(
            "too_many_to_screen",
            "De lijst is langer dan het convenant in één screening toestaat. Maak de lijst korter.",
            "The list is longer than the covenant allows in one screening. Make the list shorter.",
        ));
    }
    if plan.persons == 0 {
        return Err(problem(
            "nobody_on_list",
            "Op de lijst staat niemand die kan worden bevraagd.",
            "There is nobody on the list who can be asked about.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hitmachine_node::control::{AskPerson, ClassWord, NumberKind};
    use hitmachine_node::screening::{ListHousehold, ListPerson};
    use hitmachine_node::source::AgeBracket;

    fn list(household: &str, label: Option<&str>) -> List {
        let person = AskPerson {
            kind: NumberKind::Bsn,
            number: "999990019".to_owned().into(),
            class: ClassWord::Adult,
            age: AgeBracket::From16,
            reference: None,
        };
        List {
            households: vec![ListHousehold {
                name: household.into(),
                bad_rows: Vec::new(),
                persons: vec![ListPerson {
                    row: 2,
                    label: label.map(Into::into),
                    person,
                }],
            }],
            issues: Vec::new(),
            issue_count: 0,
        }
    }

    #[test]
    fn no_number_of_a_person_becomes_a_name_or_a_label() {
        assert!(check(&list("H001", Some("2026-0031"))).is_ok());
        for (household, label) in [("999990019", None), ("H1", Some("bsn 9999.90.019"))] {
            let problem = check(&list(household, label)).unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.code.as_str()),
                (422, "bsn_in_list")
            );
        }
    }
}
