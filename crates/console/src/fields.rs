//! Fields of a form.

use zeroize::Zeroizing;

use crate::problem::Problem;

/// Fields in the order in which they came; a name may come more than once.
#[derive(Clone)]
pub(crate) struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    /// Of a body as `application/x-www-form-urlencoded`.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body);
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned())))
                .collect(),
        )
    }

    /// Of a body that was taken apart elsewhere.
    pub(crate) fn of(fields: Vec<(String, Zeroizing<String>)>) -> Self {
        Self(fields)
    }

    /// The first value, without space around it; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.first(name).unwrap_or("")
    }

    /// The first value just as it was typed: space is part of a password.
    pub(crate) fn exact(&self, name: &str) -> &str {
        let named = self.0.iter().find(|(each, _)| each == name);
        named.map_or("", |(_, value)| value.as_str())
    }

    /// All values of a name, without space around them.
    pub(crate) fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let named = self.0.iter().filter(move |(each, _)| each == name);
        named.map(|(_, value)| value.trim())
    }

    /// The first value, which must be there.
    pub(crate) fn need(&self, name: &str) -> Result<&str, Problem> {
        self.first(name).ok_or_else(Problem::malformed)
    }

    /// Those with such names and values.
    pub(crate) fn only(&self, keep: impl Fn(&str, &str) -> bool) -> Self {
        let kept = self.0.iter().filter(|(name, value)| keep(name, value));
        Self(kept.cloned().collect())
    }

    /// All names and values, as they came.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let pairs = self
            .0
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()));
        pairs.collect()
    }

    fn first(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().find(|(each, _)| each == name);
        named.map(|(_, value)| value.trim())
    }
}
