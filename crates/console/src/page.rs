//! What every page shows around its own content, and how a page becomes an answer.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use hitmachine_node::accounts::Role;
use hitmachine_node::language::Language;
use hitmachine_node::notice::Which;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::visitor::{self, Visitor};
use crate::{assets, texts};

/// Around the content: language, who is signed in, and what the navigation says.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Of every text.
    pub(crate) language: Language,
    /// Name of the organisation's node, for the head of the page.
    pub(crate) organisation: String,
    /// Path of this page.
    pub(crate) path: String,
    /// Where another language brings back to: this page with its query.
    pub(crate) back: String,
    /// Who is signed in.
    pub(crate) who: Option<Caller>,
    /// What forms carry; empty before somebody has signed in.
    pub(crate) csrf: String,
    /// Hit notices that nobody has seen; for those who ask.
    pub(crate) notices: usize,
}

/// A link of the navigation.
pub(crate) struct Link {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    /// Number of things that wait there; 0 shows none.
    pub(crate) count: usize,
    /// Whether this page, or one below it.
    pub(crate) here: bool,
}

impl Page {
    /// A text by its name.
    pub(crate) fn t(&self, name: &str) -> &'static str {
        texts::text(self.language, name)
    }

    /// A text with something filled in.
    pub(crate) fn t1(&self, name: &str, value: impl std::fmt::Display) -> String {
        texts::filled(self.language, name, &[&value])
    }

    /// A text with two things filled in.
    pub(crate) fn t2(&self, name: &str, one: impl std::fmt::Display, two: impl std::fmt::Display) -> String {
        texts::filled(self.language, name, &[&one, &two])
    }

    /// `nl` or `en`.
    pub(crate) fn lang(&self) -> &'static str {
        self.language.pick("nl", "en")
    }

    /// The language that this page is not in: its code, and its own name for itself.
    pub(crate) fn other_language(&self) -> (&'static str, &'static str) {
        match self.language {
            Language::Nl => ("en", "English"),
            Language::En => ("nl", "Nederlands"),
        }
    }

    /// Address of style or script.
    #[expect(clippy::unused_self, reason = "templates call it on the page")]
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    /// Whether this role is held.
    pub(crate) fn holds(&self, role: Role) -> bool {
        self.who.as_ref().is_some_and(|who| who.roles.holds(role))
    }

    /// The navigation: for each role that is held, its pages.
    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        let mut add = |role, path: &'static str, text, count| {
            if self.holds(role) {
                let below = self.path.strip_prefix(path);
                let here = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                let text = texts::text(self.language, text);
                links.push(Link {
                    path,
                    text,
                    count,
                    here,
                });
            }
        };
        add(Role::Asker, "/ask", "common.nav_ask", 0);
        add(Role::Asker, "/screenings", "common.nav_screenings", 0);
        add(Role::Asker, "/history", "common.nav_history", 0);
        add(Role::Asker, "/notices", "common.nav_notices", self.notices);
        add(Role::Officer, "/officer", "common.nav_officer", 0);
        add(Role::Administrator, "/admin", "common.nav_admin", 0);
        links
    }

    fn of(app: &App, parts: &mut Parts) -> Result<Self, Problem> {
        let visitor = Visitor::of_parts(app, parts)?;
        let (who, csrf) =
            visitor.map_or_else(Default::default, |visitor| (Some(visitor.caller), visitor.csrf));
        let asks = who.as_ref().is_some_and(|who| who.roles.holds(Role::Asker));
        let notices = if asks { app.node().notices(Which::New) } else { 0 };
        Ok(Self {
            language: visitor::language(app, &parts.headers),
            organisation: app.organisation(),
            path: parts.uri.path().to_owned(),
            back: back(&parts.uri),
            who,
            csrf,
            notices,
        })
    }
}

/// Where another language brings back to. What an identity provider sent along is good for one sign-in and on no page.
fn back(uri: &axum::http::Uri) -> String {
    if uri.path().starts_with("/sign-in/oidc") {
        return "/sign-in".to_owned();
    }
    uri.path_and_query().map_or("/", |back| back.as_str()).to_owned()
}

impl FromRequestParts<App> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Self::of(app, parts)
    }
}

/// A page from its template.
pub(crate) fn html(template: &impl Template) -> Result<Response, Problem> {
    html_with(StatusCode::OK, template)
}

/// The same with another status, such as 422 for a form with a mistake in it.
pub(crate) fn html_with(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(|error| Problem::node(&error))?;
    Ok((status, Html(text)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every macro of `form.html`.
    #[derive(Template)]
    #[template(
        ext = "html",
        source = r#"{% import "form.html" as form -%}
<title>{% call form::title_prefix(page, !errors.is_empty()) %}{% endcall %}Vraag</title>
{% call form::csrf(page) %}{% endcall %}
{% call form::summary(page, errors) %}{% endcall %}
{% call form::text("case", "Zaak", value, help = "Zoals in het dossier", error = "Vul de zaak in", size = "12") %}{% endcall %}
{% call form::text("born", "Geboren", "", kind = "date", required = true) %}{% endcall %}
{% call form::area("note", "Toelichting", value, error = "Te lang") %}{% endcall %}
{% call form::select("purpose", "Doel", options, "b") %}{% endcall %}
{% call form::radios("kind", "Wie", options, "a", help = "Kies er een") %}{% endcall %}
{% call form::check("sure", "Ik weet het zeker", true) %}{% endcall %}
{% call form::table("Regels") %}<table class="table"><tr><td>{{ value }}</td></tr></table>{% endcall %}
{% call form::pagination(page, "21-40", "/history", "") %}{% endcall %}
{% call form::facts(options) %}{% endcall %}
{% call form::tabs(page, "Toezicht", links) %}{% endcall %}"#
    )]
    struct Forms {
        page: Page,
        value: &'static str,
        errors: Vec<(&'static str, &'static str)>,
        options: Vec<(String, String)>,
        links: Vec<(&'static str, &'static str)>,
    }

    #[test]
    fn a_field_is_tied_to_its_label_help_and_error() {
        let forms = Forms {
            page: Page {
                language: Language::Nl,
                organisation: "Huis".into(),
                path: "/officer".into(),
                back: "/officer".into(),
                who: None,
                csrf: "c5rf".into(),
                notices: 0,
            },
            value: "<script>\"'&",
            errors: vec![("case", "Vul de zaak in")],
            options: vec![("a".into(), "Eén".into()), ("b".into(), "Twee".into())],
            links: vec![("/officer", "Overzicht"), ("/officer/search", "Zoeken")],
        };
        let page = forms.render().unwrap();
        let has = |part: &str| assert!(page.contains(part), "{part}\n{page}");
        has("<title>Fout: Vraag</title>");
        has(r#"<input type="hidden" name="csrf" value="c5rf">"#);
        has(r##"<li><a href="#case">Vul de zaak in</a></li>"##);
        has(r#"<label for="case">Zaak</label>"#);
        has(r#"size="12" aria-describedby="case-help case-error" aria-invalid="true">"#);
        has(r#"<p class="field__error" id="case-error">Vul de zaak in</p>"#);
        has(r#"<input id="born" name="born" type="date" value="" autocomplete="off" required>"#);
        has(
            r#"<textarea id="note" name="note" rows="4" autocomplete="off" aria-describedby="note-error" aria-invalid="true">"#,
        );
        has(r#"<option value="b" selected>Twee</option>"#);
        has(r#"<fieldset class="fieldset" aria-describedby="kind-help">"#);
        has(r#"<input type="radio" id="kind" name="kind" value="a" checked>"#);
        has(r#"<input type="radio" id="kind-2" name="kind" value="b">"#);
        has(r#"<li><a href="/history" rel="prev">Vorige</a></li>"#);
        has("<dt>a</dt>\n  <dd>Eén</dd>");
        has(r#"<a href="/officer" aria-current="page">"#);
        has(r#"<a href="/officer/search">"#);
        assert!(!page.contains("<script>"), "{page}");
        assert!(
            !page.contains("\n<nav class=\"pagination\" aria-label=\"\""),
            "{page}"
        );
    }
}
