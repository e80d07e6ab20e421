//! BSNs in texts where they do not belong, against the plainest way to look: every run of neighbouring groups.

use hitmachine_identifier::contains_bsn;

use super::passes_elfproef;

const SEPARATORS: &[char] = &[
    '.', '-', ' ', '\u{a0}', '\u{2007}', '\u{2008}', '\u{2009}', '\u{200a}', '\u{200b}', '\u{2010}',
    '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{202f}',
];

/// The target.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    assert_eq!(contains_bsn(text), plainly(text));
    // Letters around it change nothing, and neither does more of it, apart.
    if contains_bsn(text) {
        for around in [
            format!("x{text}x"),
            format!("zaak/{text}/2"),
            format!("{text}x{text}"),
        ] {
            assert!(contains_bsn(&around));
        }
    }
}

fn plainly(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let digit = |at: usize| characters.get(at).is_some_and(char::is_ascii_digit);
    let begins: Vec<usize> = (0..characters.len())
        .filter(|at| digit(*at) && !(*at > 0 && digit(at - 1)))
        .collect();
    let ends: Vec<usize> = (0..characters.len())
        .filter(|at| digit(*at) && !digit(at + 1))
        .collect();
    begins.iter().any(|from| {
        ends.iter().filter(|to| *to >= from).any(|to| {
            let run = &characters[*from..=*to];
            let together = run.iter().all(|c| c.is_ascii_digit() || SEPARATORS.contains(c));
            let digits: String = run.iter().filter(|c| c.is_ascii_digit()).collect();
            together
                && (8..=9).contains(&digits.len())
                && passes_elfproef(&format!("{digits:0>9}"))
                && !is_reference(run)
        })
    })
}

/// A date, or a year with a serial number after a hyphen.
fn is_reference(run: &[char]) -> bool {
    let digits = |part: &[char]| part.iter().all(char::is_ascii_digit);
    let number = |part: &[char]| part.iter().collect::<String>().parse::<u32>().unwrap_or(0);
    let year = |part: &[char]| part.len() == 4 && digits(part) && (1900..=2099).contains(&number(part));
    let small = |part: &[char], most| part.len() == 2 && digits(part) && (1..=most).contains(&number(part));
    let parts: Vec<&[char]> = run.split(|c| *c == '-').collect();
    let serial = parts.len() > 1 && year(parts[0]) && parts[1].len() >= 4 && digits(parts[1]);
    let date = ['-', '.'].into_iter().any(|between| {
        let parts: Vec<&[char]> = run.split(|c| *c == between).collect();
        let [first, month, last] = parts[..] else {
            return false;
        };
        small(month, 12) && ((year(first) && small(last, 31)) || (small(first, 31) && year(last)))
    });
    serial || date
}
