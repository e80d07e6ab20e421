//! Sign-in through the organisation's own identity provider: `OpenID` Connect, authorization code with PKCE.
//!
//! - `settings` checks what the configuration says, when the console opens.
//! - `known` is what the provider says of itself: its addresses and keys.
//! - `flow` remembers who went to the provider, until they come back.
//! - `exchange` fetches the token for the code that somebody came back with.
//! - `token` decides whether a token is the provider's word about this sign-in.
//! - `person` reads from it who that is, and which roles they hold.
//!
//! Nothing that came from provider or browser is repeated in a text, a log or an error: what is told is a code of ours.

mod exchange;
mod flow;
pub(crate) mod fuzz;
mod known;
mod person;
mod settings;
mod token;

use hitmachine_node::accounts::AccountError;
use hitmachine_node::language::Language;
use hitmachine_service::web::WebError;
use jiff::Timestamp;

pub(crate) use flow::{BROWSER_SECONDS, Browser, Next};
pub(crate) use person::Person;
pub use settings::OidcConfigError;

use flow::{Flow, Flows};
use known::{Known, Provider};
use settings::Settings;

/// Why somebody was not signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// The provider cannot be reached, or does not answer in time.
    #[error("the identity provider cannot be reached")]
    Unreachable(#[source] WebError),
    /// It says something that is no answer to what was asked.
    #[error("the identity provider gave no proper answer ({0})")]
    Answer(&'static str),
    /// Nobody went to the provider with this state: never, too long ago, in another browser, or it came back before.
    #[error("no sign-in is under way that this answer belongs to")]
    State,
    /// The person or the provider broke off.
    #[error("the identity provider did not let the person in")]
    Denied,
    /// The provider does not accept how this console asks; somebody has to look at the configuration.
    #[error("the identity provider refuses this console")]
    Client,
    /// The code is worth nothing, or not any more.
    #[error("the identity provider refuses the code")]
    Code,
    /// A token that is not the provider's word about this sign-in.
    #[error("the token is not to be trusted")]
    Token(#[from] token::TokenError),
    /// The provider names the person by nothing that can be a user name here.
    #[error("the identity provider gives no usable user name")]
    Name,
    /// The person holds none of the roles.
    #[error("the person holds no role here")]
    NoRole,
    /// An account of this node has the same name.
    #[error("an account of this node has that name")]
    Taken,
    /// The person is blocked here.
    #[error("the account is blocked")]
    Blocked,
    /// The accounts failed.
    #[error("the accounts failed")]
    Account(#[source] AccountError),
    /// This process is ending.
    #[error("this process is ending")]
    Ended,
    /// No randomness to be had.
    #[error("the operating system gives no random bytes")]
    Random,
}

impl OidcError {
    /// Stable code, for page, log and book.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "oidc_unreachable",
            Self::Answer(_) => "oidc_answer",
            Self::State => "oidc_state",
            Self::Denied => "oidc_denied",
            Self::Client => "oidc_client",
            Self::Code => "oidc_code",
            Self::Token(error) => error.code(),
            Self::Name => "oidc_name",
            Self::NoRole => "oidc_no_role",
            Self::Taken => "oidc_taken",
            Self::Blocked => "oidc_blocked",
            Self::Account(_) => "oidc_account",
            Self::Ended => "oidc_ended",
            Self::Random => "oidc_random",
        }
    }
}

impl From<AccountError> for OidcError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Unknown => Self::Blocked,
            AccountError::Exists => Self::Taken,
            error => Self::Account(error),
        }
    }
}

/// The provider, as this console knows it.
pub(crate) struct Oidc {
    settings: Settings,
    provider: Provider,
    flows: Flows,
}

/// What somebody came back with.
#[derive(Debug, Default)]
pub(crate) struct Returned<'a> {
    /// To be exchanged.
    pub(crate) code: Option<&'a str>,
    /// Whom it says that it comes from (RFC 9207).
    pub(crate) issuer: Option<&'a str>,
    /// Instead of a code.
    pub(crate) error: bool,
}

/// Somebody whom the provider vouches for, and what their sign-in was begun with.
pub(crate) struct Vouched {
    pub(crate) person: Person,
    pub(crate) next: Next,
}

impl Oidc {
    /// From the configuration; the provider is not asked anything yet.
    pub(crate) fn open(
        section: &hitmachine_node::config::OidcSection,
        url: &str,
    ) -> Result<Self, OidcConfigError> {
        let settings = Settings::check(section, url)?;
        Ok(Self {
            settings,
            provider: Provider::default(),
            flows: Flows::default(),
        })
    }

    /// How people call the provider.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Begins a sign-in of this browser; where to send the person.
    pub(crate) async fn begin(
        &self,
        browser: &Browser,
        next: Next,
        now: Timestamp,
    ) -> Result<String, OidcError> {
        let known = self.provider.known(&self.settings).await?;
        let language = next.language;
        let begun = self.flows.begin(browser, next, now)?;
        Ok(self.address(&known, &begun, language))
    }

    fn address(&self, known: &Known, begun: &flow::Begun, language: Language) -> String {
        let settings = &self.settings;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &settings.back)
            .append_pair("scope", &settings.scope)
            .append_pair("state", &begun.state)
            .append_pair("nonce", begun.nonce.secret())
            .append_pair("code_challenge", begun.challenge.as_str())
            .append_pair("code_challenge_method", "S256")
            .append_pair("ui_locales", language.pick("nl en", "en nl"));
        if !settings.acr.is_empty() {
            query.append_pair("acr_values", &settings.acr.join(" "));
        }
        with_query(&known.metadata.authorization_endpoint, &query.finish())
    }

    /// The sign-in that this browser has come back from. It is over with that, whatever comes of it.
    pub(crate) fn come_back(
        &self,
        state: &str,
        browser: Option<&Browser>,
        now: Timestamp,
    ) -> Result<Flow, OidcError> {
        self.flows.take(state, browser, now).ok_or(OidcError::State)
    }

    /// Finishes a sign-in.
    pub(crate) async fn finish(
        &self,
        flow: Flow,
        returned: &Returned<'_>,
        now: Timestamp,
    ) -> Result<Vouched, OidcError> {
        let known = self.provider.known(&self.settings).await?;
        match returned.issuer {
            // An answer of another provider that somebody mixed in.
            Some(issuer) if issuer != self.settings.issuer => return Err(OidcError::Answer("issuer")),
            None if known.metadata.authorization_response_iss_parameter_supported => {
                return Err(OidcError::Answer("issuer"));
            }
            _ => {}
        }
        if returned.error {
            return Err(OidcError::Denied);
        }
        let code = returned.code.ok_or(OidcError::Answer("code"))?;
        let tokens = exchange::tokens(&self.settings, &known, code, &flow.verifier).await?;
        let checking = token::Checking {
            settings: &self.settings,
            nonce: &flow.nonce,
            begun: flow.begun,
            now,
        };
        let claims = match checking.claims(&tokens, &known.keys) {
            // The provider may have new keys.
            Err(token::TokenError::UnknownKey) => {
                let known = self.provider.with_newer_keys(&self.settings, &known).await?;
                checking.claims(&tokens, &known.keys)?
            }
            claims => claims?,
        };
        let claims = exchange::with_user_info(&self.settings, &known, &tokens, claims).await?;
        Ok(Vouched {
            person: Person::of(&claims, &self.settings)?,
            next: flow.next,
        })
    }

    /// Where a person signs out of the provider itself; `None` if it has no such place, or cannot be reached now.
    pub(crate) async fn way_out(&self) -> Option<String> {
        let known = self.provider.known(&self.settings).await.ok()?;
        let place = known.metadata.end_session_endpoint.as_ref()?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", &self.settings.after);
        Some(with_query(place, &query.finish()))
    }
}

/// An address may have a query of its own.
fn with_query(address: &str, query: &str) -> String {
    let joint = if address.contains('?') { '&' } else { '?' };
    format!("{address}{joint}{query}")
}
