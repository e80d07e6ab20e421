//! A row, whatever kind of source it comes from: the values of the wanted columns.

use std::borrow::Cow;

use jiff::civil::Date;

use super::issue::IssueKind;

/// A row that is not empty.
pub(super) struct Line<'a> {
    /// Number as a spreadsheet shows it; in the result of a query counted from 1.
    pub(super) row: u64,
    /// Bytes of the file taken so far, if that can be told; otherwise 0.
    pub(super) bytes_read: u64,
    /// The wanted fields, unless the row is not as wide as the header.
    pub(super) cells: Result<&'a dyn Cells, IssueKind>,
}

/// Called with each row.
pub(super) type Visit<'a> = &'a mut dyn FnMut(Line<'_>);

/// The wanted fields of a row.
pub(super) trait Cells {
    /// What stands in wanted column `at`, counted in the order in which columns were asked for; text without white
    /// space around it. An issue if it cannot be used whatever it is needed for.
    fn value(&self, at: usize) -> Result<Value<'_>, IssueKind>;
}

/// What a field holds. CSV knows text only; others know numbers and dates.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Nothing.
    Empty,
    /// Text, never empty.
    Text(Cow<'a, str>),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Fraction(f64),
    /// A date, perhaps with a time of day, which is left out.
    Date(Date),
}

impl<'a> Value<'a> {
    /// Text without white space around it, or nothing.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        let text = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        };
        if text.is_empty() {
            Self::Empty
        } else {
            Self::Text(text)
        }
    }

    /// A number of a format that has only floating point ones.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and below 2^53, so exact in both types"
    )]
    pub(super) fn number(number: f64) -> Self {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() < EXACT {
            Self::Whole(number as i64)
        } else {
            Self::Fraction(number)
        }
    }

    /// As a person would read it.
    pub(super) fn shown(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Empty => None,
            Self::Text(text) => Some(text),
            Self::Whole(number) => Some(number.to_string().into()),
            Self::Fraction(number) => Some(number.to_string().into()),
            Self::Date(date) => Some(date.to_string().into()),
        }
    }
}

/// What wanted column `at` holds; an issue if that is nothing.
pub(super) fn needed(cells: &dyn Cells, at: usize) -> Result<Value<'_>, IssueKind> {
    match cells.value(at)? {
        Value::Empty => Err(IssueKind::Empty),
        value => Ok(value),
    }
}

/// The text of wanted column `at`, as a person would read it; an issue if there is none.
pub(super) fn needed_text(cells: &dyn Cells, at: usize) -> Result<Cow<'_, str>, IssueKind> {
    needed(cells, at)?.shown().ok_or(IssueKind::Empty)
}

/// The text of wanted column `at`, as a person would read it; `None` if there is none.
pub(super) fn optional_text(cells: &dyn Cells, at: usize) -> Result<Option<Box<str>>, IssueKind> {
    Ok(cells.value(at)?.shown().map(Box::from))
}

/// Values that were read already.
pub(super) struct Values<'a>(pub(super) Vec<Result<Value<'a>, IssueKind>>);

impl Cells for Values<'_> {
    fn value(&self, at: usize) -> Result<Value<'_>, IssueKind> {
        self.0.get(at).cloned().unwrap_or(Ok(Value::Empty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_or_not() {
        assert_eq!(Value::number(12_345_678.0), Value::Whole(12_345_678));
        assert_eq!(Value::number(-3.0), Value::Whole(-3));
        for other in [0.5, f64::INFINITY, 1e300] {
            assert_eq!(Value::number(other), Value::Fraction(other));
        }
        assert!(matches!(Value::number(f64::NAN), Value::Fraction(_)));
    }

    #[test]
    fn text_is_trimmed_and_never_empty() {
        assert_eq!(Value::text(" a "), Value::Text("a".into()));
        assert_eq!(Value::text(String::from(" \t")), Value::Empty);
        assert_eq!(Value::Whole(7).shown().as_deref(), Some("7"));
        assert_eq!(Value::Empty.shown(), None);
    }
}
