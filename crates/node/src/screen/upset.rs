//! The picture: a row for each combination that occurs, dots for its organisations and a bar for its persons; below the
//! dots a bar for each organisation. After Lex and others, "`UpSet`: Visualization of Intersecting Sets" (2014), turned so
//! that it prints upright.

use std::fmt::Write;

use super::shared::{Combination, Kind, Picture};
use crate::html::escape;
use crate::language::Language;

const COLUMN: usize = 40;
const ROW: usize = 26;
const NAMES: usize = 128;
const LEFT: usize = 16;
const BARS: usize = 330;
const NUMBER: usize = 96;
const SETS: usize = 84;

/// The picture as an SVG element, with a title and a description for those who do not see it.
pub(super) fn svg(picture: &Picture, language: Language) -> String {
    let columns = picture.partners.len();
    let matrix = columns * COLUMN;
    let bars_at = LEFT + matrix + 18;
    // Names lean to the right, over the bars.
    let width = (bars_at + BARS + NUMBER).max(LEFT + matrix + NAMES);
    let rows_end = NAMES + picture.rows.len() * ROW;
    let height = rows_end + SETS + 26;
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#111\" \
         role=\"img\" aria-labelledby=\"picture-title picture-text\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n<title id=\"picture-title\">{}</title>\n\
         <desc id=\"picture-text\">{}</desc>\n\
         <defs><pattern id=\"left-out\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"#fff\"/>\
         <line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" stroke=\"#767676\" stroke-width=\"2.5\"/></pattern></defs>\n",
        escape(language.pick(
            "In welke combinatie van organisaties personen bekend zijn",
            "In which combination of organisations persons are known"
        )),
        escape(&description(picture, language)),
    );
    for (place, name) in picture.partners.iter().enumerate() {
        let x = LEFT + place * COLUMN + COLUMN / 2;
        let y = NAMES - 12;
        let name = shortened(name);
        let _ = writeln!(
            out,
            "<text class=\"name\" transform=\"translate({x} {y}) rotate(-38)\">{}</text>",
            escape(&name)
        );
    }
    let most = picture
        .rows
        .iter()
        .filter_map(|(_, count)| *count)
        .max()
        .unwrap_or(1);
    for (place, (combination, count)) in picture.rows.iter().enumerate() {
        let y = NAMES + place * ROW + ROW / 2;
        if place % 2 == 0 {
            let (top, wide) = (y - ROW / 2, width - LEFT / 2);
            let _ = writeln!(
                out,
                "<rect x=\"{}\" y=\"{top}\" width=\"{}\" height=\"{ROW}\" fill=\"#f3f5f8\"/>",
                LEFT / 2,
                wide - LEFT / 2
            );
        }
        dots(&mut out, combination, columns, y, language);
        bar(&mut out, (bars_at, y), *count, most);
    }
    let most = picture.known.iter().flatten().copied().max().unwrap_or(1).max(1);
    for (place, count) in picture.known.iter().enumerate() {
        let x = LEFT + place * COLUMN + COLUMN / 2;
        let top = rows_end + 12;
        let (length, fill, said) = match count {
            Some(count) => (scaled(*count, most, SETS - 28), "#1f4e79", count.to_string()),
            None => (10, "url(#left-out)", "–".to_owned()),
        };
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{top}\" width=\"16\" height=\"{length}\" fill=\"{fill}\"/>\
             <text class=\"count\" text-anchor=\"middle\" x=\"{x}\" y=\"{}\">{said}</text>",
            x - 8,
            top + length + 14
        );
    }
    let _ = writeln!(
        out,
        "<text class=\"axis\" x=\"{bars_at}\" y=\"{}\">{}</text>\n</svg>",
        rows_end + 26,
        escape(language.pick(
            "← personen bekend per organisatie",
            "← persons known per organisation"
        ))
    );
    out
}

fn dots(out: &mut String, combination: &Combination, columns: usize, y: usize, language: Language) {
    let x = |place: usize| LEFT + place * COLUMN + COLUMN / 2;
    let words = match combination.kind {
        Kind::Answered => None,
        Kind::Refused => Some(language.pick("geweigerd", "refused")),
        Kind::NotAsked => Some(language.pick("niet bevraagd door storing", "not asked: failure")),
    };
    if let Some(words) = words {
        let _ = writeln!(
            out,
            "<text class=\"words\" x=\"{}\" y=\"{}\">{}</text>",
            LEFT,
            y + 4,
            escape(words)
        );
        return;
    }
    if let (Some(first), Some(last)) = (combination.known.first(), combination.known.last())
        && first < last
    {
        let _ = writeln!(
            out,
            "<line x1=\"{}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"#1f4e79\" stroke-width=\"3\"/>",
            x(*first),
            x(*last)
        );
    }
    for place in 0..columns {
        let x = x(place);
        let _ = if combination.known.contains(&place) {
            writeln!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"7\" fill=\"#1f4e79\"/>")
        } else if combination.could_not.contains(&place) {
            writeln!(
                out,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"7.5\" fill=\"#fff\" stroke=\"#9a3412\" stroke-width=\"2\"/>\
                 <text class=\"ask\" text-anchor=\"middle\" x=\"{x}\" y=\"{}\">?</text>",
                y + 4
            )
        } else {
            writeln!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"#c3c9d1\"/>")
        };
    }
}

fn bar(out: &mut String, (x, y): (usize, usize), count: Option<u64>, most: u64) {
    let (length, fill, said) = match count {
        Some(count) => (scaled(count, most, BARS), "#1f4e79", count.to_string()),
        None => (28, "url(#left-out)", "–".to_owned()),
    };
    let _ = writeln!(
        out,
        "<rect x=\"{x}\" y=\"{}\" width=\"{length}\" height=\"14\" fill=\"{fill}\"/>\
         <text class=\"count\" x=\"{}\" y=\"{}\">{said}</text>",
        y - 7,
        x + length + 7,
        y + 4
    );
}

/// At least 2, so that a 1 among thousands is seen.
fn scaled(count: u64, most: u64, room: usize) -> usize {
    let length = u128::from(count) * (room as u128) / u128::from(most.max(1));
    if count == 0 {
        0
    } else {
        usize::try_from(length).unwrap_or(room).clamp(2, room)
    }
}

/// A name that fits in its place; the table has all of it.
fn shortened(name: &str) -> String {
    if name.chars().count() <= 24 {
        return name.to_owned();
    }
    let head: String = name.chars().take(23).collect();
    format!("{}…", head.trim_end())
}

/// A combination in words.
pub(super) fn words(combination: &Combination, partners: &[String], language: Language) -> String {
    let names = |places: &[usize]| {
        let names = places.iter().filter_map(|place| partners.get(*place));
        names.map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let mut text = match combination.kind {
        Kind::Refused => return language.pick("geweigerd", "refused").to_owned(),
        Kind::NotAsked => {
            return language
                .pick("niet bevraagd door een storing", "not asked because of a failure")
                .to_owned();
        }
        Kind::Answered if combination.known.is_empty() => {
            language.pick("nergens bekend", "known nowhere").to_owned()
        }
        Kind::Answered => names(&combination.known),
    };
    if !combination.could_not.is_empty() {
        text.push_str(&format!(
            "; {}: {}",
            language.pick("kon niet worden bevraagd", "could not be asked"),
            names(&combination.could_not)
        ));
    }
    text
}

fn description(picture: &Picture, language: Language) -> String {
    let rows = picture.rows.iter().map(|(combination, count)| {
        let count = count.map_or_else(
            || language.pick("weggelaten", "left out").to_owned(),
            |count| count.to_string(),
        );
        format!("{}: {count}", words(combination, &picture.partners, language))
    });
    rows.collect::<Vec<_>>().join(". ")
}
