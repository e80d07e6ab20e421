//! Templates of letters: against a reader that takes them apart at the braces.

use hitmachine_node::notification::letter::{FIELDS, Template, TemplateError};

/// The target.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let found = Template::parse(text);
    assert_eq!(found.as_ref().err(), wrong(text).as_ref());
    if let Err(error) = found {
        for said in [error.to_string(), error.text_nl()] {
            assert!(said.chars().count() < 120);
        }
    }
}

/// The first thing that is wrong, line by line.
fn wrong(text: &str) -> Option<TemplateError> {
    (1..).zip(text.split_inclusive('\n')).find_map(|(line, text)| {
        // Each piece but the first begins inside a field.
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            let inside = &rest[at + 2..];
            let Some(end) = inside.find("}}") else {
                pieces.push(None);
                break;
            };
            pieces.push(Some(inside[..end].trim()));
            rest = &inside[end + 2..];
        }
        pieces.into_iter().find_map(|name| match name {
            None => Some(TemplateError::NotClosed { line }),
            Some(name) if FIELDS.iter().any(|(field, ..)| *field == name) => None,
            Some(name) => Some(TemplateError::Field {
                line,
                name: name.chars().take(40).collect(),
            }),
        })
    })
}
