//! Roles in forms.

use hitmachine_node::accounts::{Role, Roles};

use crate::app::App;
use crate::fields::Fields;
use crate::page::Page;

/// What a form offers: a role of the covenant to ask in and one to review in, and whether somebody keeps the node.
pub(super) struct RoleFields {
    pub(super) asking: Vec<(String, String)>,
    pub(super) asks_as: String,
    pub(super) reviewing: Vec<(String, String)>,
    pub(super) reviews_as: String,
    pub(super) administers: bool,
}

impl RoleFields {
    /// Without a covenant there are no roles to give; a node that has just begun asks the hub for it first.
    pub(super) async fn new(app: &App, page: &Page, chosen: &Roles) -> Self {
        let covenant = app.covenant().await.ok();
        let known = covenant
            .and_then(|_| app.node().covenant_roles())
            .unwrap_or_default();
        let options = |mut codes: Vec<String>, chosen: &Option<String>, none: &str| {
            codes.extend(chosen.clone().filter(|code| !codes.contains(code)));
            let codes = codes.into_iter().map(|code| (code.clone(), code));
            [(String::new(), page.t(none).to_owned())]
                .into_iter()
                .chain(codes)
                .collect()
        };
        Self {
            asking: options(known.asking, &chosen.asks_as, "users.asks_not"),
            asks_as: chosen.asks_as.clone().unwrap_or_default(),
            reviewing: options(known.reviewing, &chosen.reviews_as, "users.reviews_not"),
            reviews_as: chosen.reviews_as.clone().unwrap_or_default(),
            administers: chosen.administers,
        }
    }
}

/// The roles that a form gives.
pub(super) fn read(fields: &Fields) -> Roles {
    let code = |name| Some(fields.get(name).to_owned()).filter(|code| !code.is_empty());
    Roles {
        asks_as: code("asks_as"),
        reviews_as: code("reviews_as"),
        administers: fields.get("administers") == "yes",
    }
}

/// Roles in words.
pub(super) fn text(page: &Page, roles: &Roles) -> String {
    let words = roles.held().map(|role| match role {
        Role::Asker => page.t1("users.asks", roles.asks_as.as_deref().unwrap_or_default()),
        Role::Officer => page.t1("users.reviews", roles.reviews_as.as_deref().unwrap_or_default()),
        Role::Administrator => page.t("users.administers").to_owned(),
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() {
        page.t("users.none").to_owned()
    } else {
        words.join(", ")
    }
}
