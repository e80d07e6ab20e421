//! `[console.oidc]`: sign-in through the organisation's own identity provider.

use std::path::{Path, PathBuf};

use hitmachine_service::config::resolve;
use serde::Deserialize;

/// `[console.oidc]`. The provider vouches for persons, with their second factor, and says which roles they hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSection {
    /// Address of the provider, exactly as its tokens name it, such as `https://login.gemeente.example`.
    pub issuer: String,
    /// By which the provider knows this console.
    pub client_id: String,
    /// File with the secret that goes with it, or `credential:<name>`; a public client has none.
    pub client_secret: Option<PathBuf>,
    /// How people call the provider; stands on the button.
    pub name: String,
    /// What is asked of the provider; `openid` always is.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim with the user name, by which the hub's log knows who asked. Dots lead into objects.
    #[serde(default = "default_user_claim")]
    pub user_claim: String,
    /// The claim with the name for people; the user name where it is absent.
    #[serde(default = "default_name_claim")]
    pub name_claim: String,
    /// The claim with the roles: a text, or a list of texts. Dots lead into objects, as in `realm_access.roles`.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
    /// What the values of that claim mean; others mean nothing.
    #[serde(default)]
    pub role: Vec<OidcRole>,
    /// The token must say that the person signed in at one of these levels (`acr`); any if absent.
    #[serde(default)]
    pub required_acr: Vec<String>,
    /// The token must name each of these methods (`amr`), such as `mfa`; any if absent.
    #[serde(default)]
    pub required_amr: Vec<String>,
    /// PEM certificates of the authority that the provider's certificate must come from; those that this machine trusts if
    /// absent.
    pub authority: Option<PathBuf>,
    /// How much the provider's clock may differ from this one's.
    #[serde(default = "default_clock_skew_seconds")]
    pub clock_skew_seconds: u32,
    /// How long one call to the provider may take.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: u32,
    /// Whether people may also sign in with an account of this node.
    #[serde(default = "default_local_accounts")]
    pub local_accounts: bool,
}

/// `[[console.oidc.role]]`: a value of the role claim, and the role that it gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcRole {
    /// As the provider has it.
    pub value: String,
    /// `vrager`, `privacyfunctionaris` or `beheerder`.
    pub role: String,
    /// The role in the covenant in which somebody asks or reviews; needed for a `vrager`.
    pub covenant_role: Option<String>,
}

impl OidcSection {
    /// With its paths resolved against the folder of the configuration file.
    pub(super) fn resolve(&mut self, file: &Path) {
        for each in [&mut self.client_secret, &mut self.authority]
            .into_iter()
            .flatten()
        {
            *each = resolve(file, &*each);
        }
    }
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile"].map(ToOwned::to_owned).into()
}

fn default_user_claim() -> String {
    "preferred_username".into()
}

fn default_name_claim() -> String {
    "name".into()
}

fn default_role_claim() -> String {
    "roles".into()
}

fn default_clock_skew_seconds() -> u32 {
    60
}

fn default_timeout_seconds() -> u32 {
    10
}

fn default_local_accounts() -> bool {
    true
}
