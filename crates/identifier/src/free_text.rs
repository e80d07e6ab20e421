//! Finds BSNs where they do not belong.

use crate::elfproef;

/// Whether a person could read a valid BSN in `text`: for refusing case references and user names.
///
/// A BSN here is 8 or 9 ASCII digits that pass the elfproef, whatever the deployment, alone or in
/// groups with dots, hyphens or spaces between them (also the ones word processors make: no-break
/// space, en dash). The groups may be part of a longer row, and letters may be glued to either side:
/// `z-999990019-2`, `BSN999990019`. Digits *inside* a longer group do not count.
///
/// One in eleven other numbers of 8 or 9 digits passes the elfproef as well and is taken for a BSN.
/// So that usual case references are not refused at random, two spellings never count although they
/// have the right number of digits: a date (`2026-11-21`, `21.11.2026`), and a year from 1900 to 2099
/// with a hyphen and a group of four digits or more (`2026-0031`, `ZVH-2026-00031`). Nobody groups the
/// digits of a BSN like that.
pub fn contains_bsn(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit() && !is_separator(c))
        .any(row_contains_bsn)
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | '-' | ' ' | '\u{a0}' | '\u{2007}'..='\u{200b}' | '\u{2010}'..='\u{2014}' | '\u{202f}')
}

/// Looks at each run of neighbouring groups in a row of digits and separators.
fn row_contains_bsn(row: &str) -> bool {
    let starts = row.char_indices().filter(|(at, c)| {
        c.is_ascii_digit() && !row[..*at].ends_with(|before: char| before.is_ascii_digit())
    });
    starts.map(|(at, _)| &row[at..]).any(begins_with_bsn)
}

/// Whether the first groups of `row` together are a BSN.
fn begins_with_bsn(row: &str) -> bool {
    // Right-aligned after a zero: with eight digits read, `digits` is their nine-digit form.
    let mut digits = [b'0'; 9];
    let mut len = 0;
    for (at, c) in row.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
        if len == 9 {
            return false;
        }
        digits.rotate_left(1);
        digits[8] = row.as_bytes()[at];
        len += 1;
        let (run, rest) = row.split_at(at + c.len_utf8());
        let group_ends = !rest.starts_with(|next: char| next.is_ascii_digit());
        if group_ends && len >= 8 && digits != [b'0'; 9] && elfproef::passes(&digits) && !is_reference(run) {
            return true;
        }
    }
    false
}

/// A date, or a year with a serial number.
fn is_reference(run: &str) -> bool {
    let groups: Vec<&str> = run.split('-').collect();
    if let [year, serial, ..] = groups[..]
        && is_year(year)
        && serial.len() >= 4
        && serial.bytes().all(|b| b.is_ascii_digit())
    {
        return true;
    }
    ['-', '.']
        .into_iter()
        .any(|separator| match run.split(separator).collect::<Vec<_>>()[..] {
            [year, month, day] if year.len() == 4 => is_date(year, month, day),
            [day, month, year] => is_date(year, month, day),
            _ => false,
        })
}

fn is_date(year: &str, month: &str, day: &str) -> bool {
    let within = |text: &str, max| text.len() == 2 && text.parse().is_ok_and(|n: u8| (1..=max).contains(&n));
    is_year(year) && within(month, 12) && within(day, 31)
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && text.parse().is_ok_and(|year: u16| (1900..=2099).contains(&year))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_bsn_however_it_is_written() {
        for text in [
            "999990019",
            "BSN:999990019.",
            "bsn999990019",
            "999990019x",
            "z-999990019-2",
            "2-999990019",
            "2026-999990019",
            "zaak 12 999990019",
            "9999.90.019",
            "9999-90-019",
            "999 990 019",
            "9 9 9 9 9 0 0 1 9",
            "9999 - 90 - 019",
            "9999\u{a0}90\u{a0}019",
            "9999\u{2013}90\u{2013}019",
            "(999990019)",
            "J. de Vries, 999990019, Nijmegen",
            "a/999990019/b",
            "user_999990019",
            "é999990019é",
            "00012348",
            "12.00012348",
            "000012348",
            "1,999990019",
            // Accepted anywhere, so found anywhere: the admission plays no part.
            "000099995",
        ] {
            assert!(contains_bsn(text), "{text:?}");
        }
    }

    #[test]
    fn leaves_other_text_alone() {
        for text in [
            "",
            "-",
            "zaak 2026",
            "999990018",
            "9999900190",
            "1999990019",
            "999990019999990019",
            "99999001",
            "000000000",
            "00000000",
            "0001234",
            "9999/90/019",
            "9999,90019",
            "9999_90019",
            "+++...---",
            "９９９９９００１９",
        ] {
            assert!(!contains_bsn(text), "{text:?}");
        }
    }

    #[test]
    fn usual_case_references_are_never_refused() {
        for year in [1999, 2026, 2099] {
            for serial in 0..10_000 {
                for text in [
                    format!("ZVH-{year}-{serial:04}"),
                    format!("{year}-{serial:05}"),
                    format!("{year}-{serial:04}-2"),
                    format!("{year}-{serial:06}"),
                ] {
                    assert!(!contains_bsn(&text), "{text}");
                }
            }
        }
        for day in 1..=31 {
            for month in 1..=12 {
                for text in [
                    format!("2026-{month:02}-{day:02}"),
                    format!("huisbezoek {day:02}-{month:02}-2026"),
                    format!("{day:02}.{month:02}.2026"),
                ] {
                    assert!(!contains_bsn(&text), "{text}");
                }
            }
        }
    }

    /// Every number that begins like a year is still found when it is written like a BSN.
    #[test]
    fn the_exceptions_are_narrow() {
        for first8 in 20_260_000..20_270_000 {
            let Some(digit) = crate::check_digit(first8) else {
                continue;
            };
            let bsn = format!("{first8}{digit}");
            let (a, b, c) = (&bsn[..4], &bsn[4..6], &bsn[6..]);
            for text in [
                bsn.clone(),
                format!("{a}.{b}.{c}"),
                format!("{a}-{b}-{c}"),
                format!("{a} {}", &bsn[4..]),
                format!("{} {} {}", &bsn[..3], &bsn[3..6], c),
                format!("{}-{}", &bsn[..3], &bsn[3..]),
            ] {
                assert!(contains_bsn(&text), "{first8}");
            }
        }
    }

    #[test]
    fn a_date_that_cannot_be_is_no_date() {
        // Each part of a date is out of range, or separators are mixed.
        for (run, reference) in [
            ("2026-11-21", true),
            ("2026-13-21", false),
            ("2026-11-32", false),
            ("2026-00-21", false),
            ("2126-11-21", false),
            ("21-11-2026", true),
            ("21-11-1899", false),
            ("21.11-2026", false),
            ("2026-0031", true),
            ("2026-003-1", false),
            ("2026.0031", false),
            ("0031-2026", false),
        ] {
            assert_eq!(is_reference(run), reference, "{run}");
        }
    }
}
