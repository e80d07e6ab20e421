//! Who it is, and which roles they hold, from what the provider says.

use hitmachine_core::UserId;
use hitmachine_identifier::contains_bsn;
use hitmachine_node::accounts::{Role, Roles};
use serde_json::Value;

use super::OidcError;
use super::settings::Settings;
use super::token::Claims;

/// The longest name for people, in characters.
const LONGEST_NAME: usize = 100;

/// Somebody whom the provider vouches for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// The user name, in lower case as all are here.
    pub(crate) id: String,
    /// For people.
    pub(crate) name: String,
    /// Empty for somebody who may do nothing here.
    pub(crate) roles: Roles,
}

impl Person {
    /// Reads claims that were checked.
    pub(super) fn of(claims: &Claims, settings: &Settings) -> Result<Self, OidcError> {
        let id = found(claims, &settings.user_claim).and_then(Value::as_str);
        let id = id.map(|id| id.trim().to_lowercase()).ok_or(OidcError::Name)?;
        // It is written into the hub's log with every question, where no person's number may stand.
        if id.parse::<UserId>().is_err() || contains_bsn(&id) {
            return Err(OidcError::Name);
        }
        let name = found(claims, &settings.name_claim)
            .and_then(Value::as_str)
            .map(str::trim);
        let good = |name: &&str| {
            !name.is_empty()
                && name.chars().count() <= LONGEST_NAME
                && !name.chars().any(char::is_control)
                && !contains_bsn(name)
        };
        Ok(Self {
            name: name.filter(good).unwrap_or(&id).to_owned(),
            roles: roles(found(claims, &settings.role_claim), settings),
            id,
        })
    }
}

/// Of a role that can be had in several ways the first in the configuration counts.
fn roles(value: Option<&Value>, settings: &Settings) -> Roles {
    let held = |name: &str| match value {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(many)) => many.iter().any(|each| each.as_str() == Some(name)),
        _ => false,
    };
    let mut roles = Roles::default();
    for rule in settings.rules.iter().filter(|rule| held(&rule.value)) {
        let covenant_role = || rule.covenant_role.clone();
        match rule.role {
            Role::Asker => {
                roles.asks_as.get_or_insert_with(covenant_role);
            }
            Role::Officer => {
                roles.reviews_as.get_or_insert_with(covenant_role);
            }
            Role::Administrator => roles.administers = true,
        }
    }
    roles
}

/// The claim of this name; dots lead into objects, unless a claim has the whole as its name.
pub(super) fn found<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut parts = path.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::settings::tests::settings;

    fn person(claims: &Value) -> Result<Person, OidcError> {
        Person::of(claims.as_object().unwrap(), &settings(""))
    }

    #[test]
    fn roles_come_from_the_claim_and_nothing_else() {
        let of = |roles: Value| {
            let claims = json!({"preferred_username": "Pietersen", "name": " P. Pietersen ", "realm": {"roles": roles}});
            person(&claims).unwrap()
        };
        let one = of(json!(["offline_access", "hit-vrager"]));
        assert_eq!(
            (one.id.as_str(), one.name.as_str()),
            ("pietersen", "P. Pietersen")
        );
        let asks = |role: &str| Roles {
            asks_as: Some(role.into()),
            ..Roles::default()
        };
        assert_eq!(one.roles, asks("informatiecoordinator"));
        assert_eq!(of(json!("hit-vrager")).roles, asks("informatiecoordinator"));
        assert_eq!(of(json!(["hit-vraagt-ook"])).roles, asks("medewerker"));
        assert_eq!(
            of(json!(["hit-vraagt-ook", "hit-vrager"])).roles,
            asks("informatiecoordinator")
        );
        let both = of(json!(["hit-fg", "hit-beheer"])).roles;
        assert_eq!(
            (both.reviews_as.as_deref(), both.administers),
            (Some("privacyfunctionaris"), true)
        );
        for nothing in [
            json!([]),
            json!(["beheerder", "hit-vrager2", 7]),
            json!({"hit-vrager": true}),
            json!(null),
        ] {
            assert_eq!(of(nothing.clone()).roles, Roles::default(), "{nothing}");
        }
    }

    #[test]
    fn a_user_name_is_fit_for_the_log() {
        for bad in [
            json!(null),
            json!(7),
            json!(""),
            json!(" "),
            json!("a\nb"),
            json!("999990019"),
            json!("u-999.990.019"),
        ] {
            let claims = json!({"preferred_username": bad, "realm": {"roles": ["hit-vrager"]}});
            assert!(matches!(person(&claims), Err(OidcError::Name)), "{bad}");
        }
        assert!(matches!(
            person(&json!({"sub": "pietersen"})),
            Err(OidcError::Name)
        ));
    }

    #[test]
    fn a_name_that_is_none_is_replaced_by_the_user_name() {
        for bad in [
            json!(null),
            json!(""),
            json!("a\u{7}b"),
            json!("Jan 999990019"),
            json!("x".repeat(101)),
        ] {
            let found = person(&json!({"preferred_username": "jan", "name": bad})).unwrap();
            assert_eq!(found.name, "jan", "{bad}");
        }
    }

    #[test]
    fn a_claim_is_found_by_its_whole_name_first() {
        let claims = json!({"a": {"b": {"c": 1}}, "a.b": 2, "https://x.example/roles": 3});
        let claims = claims.as_object().unwrap();
        assert_eq!(found(claims, "a.b.c"), Some(&json!(1)));
        assert_eq!(found(claims, "a.b"), Some(&json!(2)));
        assert_eq!(found(claims, "https://x.example/roles"), Some(&json!(3)));
        assert_eq!(found(claims, "a.c"), None);
    }
}
