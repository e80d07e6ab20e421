//! `[console.oidc]`, checked.

use std::time::Duration;

use hitmachine_core::RoleCode;
use hitmachine_node::accounts::Role;
use hitmachine_node::config::{OidcRole, OidcSection};
use hitmachine_service::secret::{SecretError, SecretText};
use hitmachine_service::web::{WebAddressError, WebClient};
use jiff::SignedDuration;

/// Clocks that differ more are not clocks.
const MOST_SKEW: u32 = 600;
/// The role in the covenant of one who reviews, if the configuration names none.
const OFFICER: &str = "privacyfunctionaris";

/// Why `[console.oidc]` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcConfigError {
    /// Not `https://…` (or `http://` with a loopback address), or with a query.
    #[error("console.oidc.issuer must be an https address without ? and #")]
    Issuer,
    /// Something that must be there is empty.
    #[error("console.oidc.{0} is empty")]
    Empty(&'static str),
    /// The file with the secret.
    #[error("console.oidc.client_secret")]
    Secret(#[from] SecretError),
    /// The authority.
    #[error("console.oidc.authority")]
    Authority(#[from] WebAddressError),
    /// No role can be had.
    #[error("console.oidc.role is absent: nobody could sign in")]
    NoRoles,
    /// Not one of the roles, or one that lacks its role in the covenant; counted from 1.
    #[error(
        "console.oidc.role number {0}: role is vrager, privacyfunctionaris or beheerder; a vrager needs a covenant_role, \
         a beheerder has none"
    )]
    Role(usize),
    /// Out of bounds.
    #[error("console.oidc.clock_skew_seconds is at most {MOST_SKEW}")]
    Skew,
    /// Out of bounds.
    #[error("console.oidc.timeout_seconds is 1 to 60")]
    Timeout,
}

/// A value of the role claim, and what it gives.
pub(super) struct Rule {
    pub(super) value: String,
    pub(super) role: Role,
    /// Empty for an administrator.
    pub(super) covenant_role: String,
}

pub(super) struct Settings {
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) secret: Option<SecretText>,
    pub(super) name: String,
    pub(super) scope: String,
    pub(super) user_claim: String,
    pub(super) name_claim: String,
    pub(super) role_claim: String,
    pub(super) rules: Vec<Rule>,
    pub(super) acr: Vec<String>,
    pub(super) amr: Vec<String>,
    pub(super) skew: SignedDuration,
    /// Where people come back.
    pub(super) back: String,
    /// Where they come after they signed out at the provider.
    pub(super) after: String,
    pub(super) web: WebClient,
}

impl Settings {
    /// `url` is where people reach this console.
    pub(super) fn check(section: &OidcSection, url: &str) -> Result<Self, OidcConfigError> {
        if !WebClient::accepts(&section.issuer) || section.issuer.contains(['?', '#']) {
            return Err(OidcConfigError::Issuer);
        }
        for (name, text) in [
            ("client_id", &section.client_id),
            ("name", &section.name),
            ("user_claim", &section.user_claim),
            ("role_claim", &section.role_claim),
        ] {
            if text.trim().is_empty() {
                return Err(OidcConfigError::Empty(name));
            }
        }
        if section.role.is_empty() {
            return Err(OidcConfigError::NoRoles);
        }
        if section.clock_skew_seconds > MOST_SKEW {
            return Err(OidcConfigError::Skew);
        }
        if !(1..=60).contains(&section.timeout_seconds) {
            return Err(OidcConfigError::Timeout);
        }
        let rules = section.role.iter().enumerate();
        let rules = rules.map(|(at, role)| Rule::check(role).ok_or(OidcConfigError::Role(at + 1)));
        let patience = Duration::from_secs(section.timeout_seconds.into());
        Ok(Self {
            issuer: section.issuer.clone(),
            client_id: section.client_id.clone(),
            secret: section.client_secret.as_ref().map(SecretText::read).transpose()?,
            name: section.name.trim().to_owned(),
            scope: scope(&section.scopes),
            user_claim: section.user_claim.clone(),
            name_claim: section.name_claim.clone(),
            role_claim: section.role_claim.clone(),
            rules: rules.collect::<Result<_, _>>()?,
            acr: section.required_acr.clone(),
            amr: section.required_amr.clone(),
            skew: SignedDuration::from_secs(section.clock_skew_seconds.into()),
            back: format!("{url}/sign-in/oidc/back"),
            after: format!("{url}/sign-in"),
            web: WebClient::new(section.authority.as_deref(), patience)?,
        })
    }
}

impl Rule {
    fn check(role: &OidcRole) -> Option<Self> {
        let held = Role::of(&role.role)?;
        let covenant_role = match (held, &role.covenant_role) {
            (Role::Asker, None) | (Role::Administrator, Some(_)) => return None,
            (Role::Administrator, None) => String::new(),
            (Role::Officer, None) => OFFICER.to_owned(),
            (_, Some(named)) => named.parse::<RoleCode>().ok()?.as_str().to_owned(),
        };
        (!role.value.is_empty()).then(|| Self {
            value: role.value.clone(),
            role: held,
            covenant_role,
        })
    }
}

/// Without `openid` it would be no sign-in.
fn scope(scopes: &[String]) -> String {
    let mut words: Vec<&str> = scopes.iter().map(String::as_str).collect();
    if !words.contains(&"openid") {
        words.insert(0, "openid");
    }
    words.join(" ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a test begins with.
    pub(in crate::oidc) fn section(more: &str) -> OidcSection {
        let text = format!(
            "issuer = 'https://login.example'\nclient_id = 'hitmachine'\nname = 'Gemeente'\nrole_claim = 'realm.roles'\n\
             {more}\n\
             [[role]]\nvalue = 'hit-vrager'\nrole = 'vrager'\ncovenant_role = 'informatiecoordinator'\n\
             [[role]]\nvalue = 'hit-vraagt-ook'\nrole = 'vrager'\ncovenant_role = 'medewerker'\n\
             [[role]]\nvalue = 'hit-fg'\nrole = 'privacyfunctionaris'\n\
             [[role]]\nvalue = 'hit-beheer'\nrole = 'beheerder'\n"
        );
        toml::from_str(&text).unwrap()
    }

    pub(in crate::oidc) fn settings(more: &str) -> Settings {
        Settings::check(&section(more), "https://hub.example").unwrap()
    }

    #[test]
    fn a_configuration_that_lets_in_nobody_or_anybody_is_refused() {
        let check = |section: &OidcSection| Settings::check(section, "https://hub.example").map(|_| ());
        check(&section("")).unwrap();
        for issuer in [
            "http://login.example",
            "login.example",
            "https://login.example?a=b",
            "https://login.example#a",
        ] {
            let mut section = section("");
            section.issuer = issuer.into();
            assert!(
                matches!(check(&section), Err(OidcConfigError::Issuer)),
                "{issuer}"
            );
        }
        let mut without = section("");
        without.role.clear();
        assert!(matches!(check(&without), Err(OidcConfigError::NoRoles)));
        for (role, covenant_role) in [
            ("vrager", None),
            ("vrager", Some("Twee Woorden")),
            ("beheerder", Some("x")),
            ("baas", Some("x")),
        ] {
            let mut section = section("");
            section.role[1].role = role.into();
            section.role[1].covenant_role = covenant_role.map(Into::into);
            assert!(matches!(check(&section), Err(OidcConfigError::Role(2))), "{role}");
        }
        assert!(matches!(
            check(&section("clock_skew_seconds = 601")),
            Err(OidcConfigError::Skew)
        ));
        assert!(matches!(
            check(&section("timeout_seconds = 0")),
            Err(OidcConfigError::Timeout)
        ));
        assert!(matches!(
            check(&section("user_claim = ' '")),
            Err(OidcConfigError::Empty("user_claim"))
        ));
        assert!(matches!(
            check(&section("client_secret = '/nowhere'")),
            Err(OidcConfigError::Secret(_))
        ));
        assert!(matches!(
            check(&section("authority = '/nowhere'")),
            Err(OidcConfigError::Authority(_))
        ));
    }

    #[test]
    fn openid_is_always_asked_for() {
        assert_eq!(settings("scopes = ['email']").scope, "openid email");
        assert_eq!(settings("").scope, "openid profile");
    }
}
