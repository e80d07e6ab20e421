//! What an administrator does with accounts and applications.

use std::sync::Arc;

use hitmachine_node::accounts::{
    AccountError, Accounts, Application, ApplicationToken, Checked, Entries, Filter, InitialPassword,
    NewApplication, NewUser, Roles, UserView,
};

use crate::app::App;
use crate::caller::Administrator;
use crate::problem::Problem;

/// Passwords are hashed and the state is written: not on a thread that serves others.
async fn off<T: Send + 'static>(
    app: &App,
    job: impl FnOnce(&Accounts) -> Result<T, AccountError> + Send + 'static,
) -> Result<T, Problem> {
    let accounts = Arc::clone(app.node().accounts());
    let done = tokio::task::spawn_blocking(move || job(&accounts)).await;
    Ok(done.map_err(|error| Problem::node(&error))??)
}

/// All accounts.
///
/// # Errors
/// [`Problem`] if the node has a fault.
pub async fn users(app: &App, _who: &Administrator<'_>) -> Result<Vec<UserView>, Problem> {
    off(app, Accounts::users).await
}

/// One account.
///
/// # Errors
/// [`Problem::not_found`].
pub async fn user(app: &App, _who: &Administrator<'_>, id: &str) -> Result<UserView, Problem> {
    let id = id.to_owned();
    let found = off(app, move |accounts| accounts.view(&id)).await?;
    found.ok_or_else(Problem::not_found)
}

/// Makes an account; its first password is shown once.
///
/// # Errors
/// [`Problem`] with the code of [`AccountError`], or `covenant_role`.
pub async fn create(app: &App, who: &Administrator<'_>, new: NewUser) -> Result<InitialPassword, Problem> {
    app.node().check_covenant_roles(&new.roles)?;
    let by = who.user().to_owned();
    off(app, move |accounts| accounts.create(&new, &by)).await
}

/// What can be done to an account without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Give these roles.
    Roles(Roles),
    /// Let its owner sign in no more.
    Block,
    /// Let its owner sign in again.
    Unblock,
    /// End its sessions.
    SignOut,
    /// Remove it.
    Remove,
}

/// Changes an account.
///
/// # Errors
/// [`Problem::not_found`], [`Problem`] with the code of [`AccountError`], or `covenant_role`.
pub async fn change(app: &App, who: &Administrator<'_>, id: &str, change: Change) -> Result<(), Problem> {
    if let Change::Roles(roles) = &change {
        app.node().check_covenant_roles(roles)?;
    }
    let (id, by) = (id.to_owned(), who.user().to_owned());
    let job = move |accounts: &Accounts| match change {
        Change::Roles(roles) => accounts.set_roles(&id, &roles, &by),
        Change::Block => accounts.block(&id, &by),
        Change::Unblock => accounts.unblock(&id, &by),
        Change::SignOut => accounts.sign_out_everywhere(&id, &by).map(drop),
        Change::Remove => accounts.remove(&id, &by),
    };
    off(app, job).await
}

/// Gives an account a new first password, and forgets its second factor.
///
/// # Errors
/// [`Problem::not_found`], [`Problem`] with the code of [`AccountError`].
pub async fn reset(app: &App, who: &Administrator<'_>, id: &str) -> Result<InitialPassword, Problem> {
    let (id, by) = (id.to_owned(), who.user().to_owned());
    off(app, move |accounts| accounts.reset(&id, &by)).await
}

/// All applications.
///
/// # Errors
/// [`Problem`] if the node has a fault.
pub async fn applications(app: &App, _who: &Administrator<'_>) -> Result<Vec<Application>, Problem> {
    off(app, Accounts::applications).await
}

/// Adds an application; its token is shown once.
///
/// # Errors
/// [`Problem`] with the code of [`AccountError`], or `covenant_role`.
pub async fn add_application(
    app: &App,
    who: &Administrator<'_>,
    new: NewApplication,
) -> Result<ApplicationToken, Problem> {
    app.node().check_covenant_roles(&new.roles)?;
    let by = who.user().to_owned();
    off(app, move |accounts| accounts.create_application(new, &by)).await
}

/// Makes an application's token worth nothing.
///
/// # Errors
/// [`Problem::not_found`].
pub async fn revoke(app: &App, who: &Administrator<'_>, id: &str) -> Result<(), Problem> {
    let (id, by) = (id.to_owned(), who.user().to_owned());
    off(app, move |accounts| accounts.revoke_application(&id, &by)).await
}

/// Entries of the book of sign-ins, and what a check of its chain found, if asked for.
///
/// # Errors
/// [`Problem`] if the node has a fault.
pub async fn book(
    app: &App,
    _who: &Administrator<'_>,
    filter: Filter,
    most: usize,
    check: bool,
) -> Result<(Entries, Option<Checked>), Problem> {
    off(app, move |accounts| {
        let checked = check.then(|| accounts.book().check()).transpose()?;
        Ok((accounts.book().list(&filter, most)?, checked))
    })
    .await
}
