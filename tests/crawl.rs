//! A walk through a console along its links, as a person would go, without sending any form.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::site::{Answered, Visitor};

/// Pages of one shape (`/officer/entries/…`) that are opened; the rest are as these.
const OF_A_SHAPE: usize = 2;

/// A page that the walk came to.
#[derive(Clone, Debug)]
pub struct Crawled {
    /// Its address, with its query.
    pub path: String,
    /// The page where the link stood; empty for where the walk began.
    pub from: String,
    /// What came.
    pub answered: Answered,
}

impl Crawled {
    /// Whether this is a page, and not a file to download.
    pub fn is_page(&self) -> bool {
        self.answered.header("content-type").starts_with("text/html")
            && !self
                .answered
                .header("content-disposition")
                .starts_with("attachment")
    }

    /// What its forms would be sent to, with `post` or `get`.
    pub fn forms(&self) -> Vec<(String, String)> {
        let forms = self.answered.body.split("<form").skip(1);
        let forms = forms.filter_map(|form| form.split_once('>').map(|(tag, _)| tag));
        let forms = forms.map(|tag| {
            let method = attribute(tag, "method").unwrap_or("get");
            let action = attribute(tag, "action").map_or_else(|| self.path.clone(), unescaped);
            (method.to_ascii_lowercase(), action)
        });
        forms.collect()
    }

    /// A name for files about this page, such as `officer-entries-n`.
    pub fn name(&self) -> String {
        let shape = shape(&self.path);
        let name = shape.trim_matches('/').replace(['/', '?', '=', '&'], "-");
        if name.is_empty() { "home".into() } else { name }
    }

    /// The words that a person sees: without tags, and without what stands in attributes.
    pub fn words(&self) -> String {
        words(&self.answered.body)
    }
}

/// Whose pages an address belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Area {
    /// Of everybody, or of everybody who has signed in.
    Everybody,
    /// Of those who ask.
    Asker,
    /// Of the privacy officer.
    Officer,
    /// Of the administrator.
    Administrator,
}

/// Whose page this is, by the first part of its address.
pub fn area(path: &str) -> Area {
    let first = path
        .trim_start_matches('/')
        .split(['/', '?'])
        .next()
        .unwrap_or_default();
    match first {
        "ask" | "answers" | "history" | "screenings" | "notices" => Area::Asker,
        "officer" => Area::Officer,
        "admin" => Area::Administrator,
        _ => Area::Everybody,
    }
}

/// Opens these pages and all that they lead to within the console, at most this many. Redirects within the console count as
/// links.
pub async fn crawl(visitor: &Visitor, begin: &[&str], most: usize) -> Vec<Crawled> {
    let mut queue: VecDeque<(String, String)> = begin
        .iter()
        .map(|path| ((*path).to_owned(), String::new()))
        .collect();
    let mut seen: BTreeSet<String> = begin.iter().map(ToString::to_string).collect();
    let mut shapes: BTreeMap<String, usize> = BTreeMap::new();
    let mut crawled = Vec::new();
    while let Some((path, from)) = queue.pop_front() {
        if crawled.len() == most {
            break;
        }
        let of_shape = shapes.entry(shape(&path)).or_default();
        if *of_shape == OF_A_SHAPE {
            continue;
        }
        *of_shape += 1;
        let answered = visitor.get(&path).await;
        let onwards = match answered.header("location") {
            "" => links(&answered.body),
            to => own(to).into_iter().collect(),
        };
        for link in onwards {
            if seen.insert(link.clone()) {
                queue.push_back((link, path.clone()));
            }
        }
        crawled.push(Crawled { path, from, answered });
    }
    crawled
}

/// The addresses within the console that a page links to.
pub fn links(body: &str) -> Vec<String> {
    let anchors = body.split("<a ").skip(1);
    let tags = anchors.filter_map(|anchor| anchor.split_once('>').map(|(tag, _)| tag));
    let addresses = tags.filter_map(|tag| attribute(tag, "href"));
    addresses.filter_map(|address| own(&unescaped(address))).collect()
}

/// An address within the console, without its fragment.
fn own(address: &str) -> Option<String> {
    let path = address.split('#').next().unwrap_or_default();
    let own = path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/assets/");
    own.then(|| path.to_owned())
}

/// The value of an attribute within a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let at = tag.split(&format!("{name}=\"")).nth(1)?;
    at.split('"').next()
}

/// As a browser reads an attribute.
fn unescaped(text: &str) -> String {
    text.replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace("&#x2F;", "/")
}

/// An address with each part that is an id or a number, and each value of its query, made the same.
pub fn shape(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts = path.split('/').map(|part| {
        let id = part.bytes().any(|byte| byte.is_ascii_digit());
        if id { "n" } else { part }
    });
    let path = parts.collect::<Vec<_>>().join("/");
    let names: BTreeSet<&str> = query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() {
        path
    } else {
        format!("{path}?{}", names.into_iter().collect::<Vec<_>>().join("&"))
    }
}

/// A page without its tags.
pub fn words(body: &str) -> String {
    let mut words = String::new();
    let mut rest = body;
    while let Some((text, tag)) = rest.split_once('<') {
        words.push_str(text);
        words.push(' ');
        // What a script or a drawing's style holds is not read by people.
        let end = ["script", "style"].iter().find(|name| tag.starts_with(**name));
        let tag = end.map_or(Some(tag), |name| {
            tag.split_once(&format!("</{name}")).map(|(_, after)| after)
        });
        rest = tag
            .and_then(|tag| tag.split_once('>'))
            .map_or("", |(_, after)| after);
    }
    words.push_str(rest);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_within_the_console_are_followed() {
        let body = "<a href=\"/ask\">x</a> <a class=\"button\" href=\"/history?page=2&#38;case=a#top\">y</a> \
                    <a href=\"https://elsewhere.example/\">z</a> <a href=\"//elsewhere.example/\">z</a> <a href=\"#inhoud\">q</a>";
        assert_eq!(links(body), ["/ask", "/history?page=2&case=a"]);
        assert_eq!(shape("/answers/7f3a?page=2&case=x"), "/answers/n?case&page");
        assert_eq!(shape("/officer/entries/12"), "/officer/entries/n");
        assert_eq!(area("/officer?page=2"), Area::Officer);
        assert_eq!(area("/"), Area::Everybody);
    }

    #[test]
    fn words_are_what_people_see() {
        let body = "<p title=\"hidden\">Een <b>vraag</b></p><script>token</script><p>klaar</p>";
        let words: Vec<String> = words(body).split_whitespace().map(Into::into).collect();
        assert_eq!(words, ["Een", "vraag", "klaar"]);
    }
}
