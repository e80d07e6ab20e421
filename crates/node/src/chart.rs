//! Bar charts as SVG, for reports to print: no scripts, nothing fetched, readable in grey, with a text for who cannot see
//! them.
//!
//! A chart draws published numbers only. What is suppressed is a hatched bar of one size, whatever it stands for.

use std::fmt::Write;

use crate::html::escape;

/// One bar: a label and its parts, in the order of the chart's series. `None` is suppressed.
#[derive(Clone, Debug)]
pub struct Bar {
    /// In front of it.
    pub label: String,
    /// Its length, by part.
    pub parts: Vec<Option<u64>>,
    /// What is written behind it.
    pub end: String,
}

/// A chart of horizontal bars with stacked parts.
#[derive(Clone, Debug)]
pub struct BarChart<'a> {
    /// Of this chart only, for ids in the page: lower-case letters, digits and hyphens.
    pub id: &'a str,
    /// What is counted.
    pub title: &'a str,
    /// [`WIDTH`] or [`NARROW`].
    pub width: f64,
    /// Names of the parts, at most four.
    pub series: &'a [&'a str],
    /// What a hatched bar means.
    pub suppressed: &'a str,
    /// From top to bottom.
    pub bars: &'a [Bar],
}

/// Width of a chart that has a page for itself, in units of which a letter takes about 6.6.
pub const WIDTH: f64 = 720.0;
/// Width of a chart beside another one, and on a telephone.
pub const NARROW: f64 = 380.0;
/// Room for labels, at least and at most.
const LABELS: (f64, f64) = (60.0, 258.0);
/// Width of a letter, about.
const LETTER: f64 = 6.6;
const ENDS: f64 = 78.0;
const ROW: f64 = 26.0;
const BAR: f64 = 18.0;
/// Of a suppressed part.
const HATCHED: f64 = 16.0;
const LEGEND: f64 = 24.0;
/// Characters that fit before a bar.
const MOST_LABEL: usize = 40;
/// Fills, from dark to light, so that they differ in grey; text on them.
const FILLS: [(&str, &str); 4] = [
    ("#1d4e74", "#fff"),
    ("#a9c8e0", "#111"),
    ("#e8b04a", "#111"),
    ("#7a3b2e", "#fff"),
];

impl BarChart<'_> {
    /// The picture, an element of a page.
    pub fn svg(&self) -> String {
        let bars = u32::try_from(self.bars.len()).unwrap_or(u32::MAX);
        // One kind of part needs no legend: the title says what it is.
        let hatched = self.bars.iter().any(|bar| bar.parts.contains(&None));
        let top = if self.series.len() > 1 || hatched {
            LEGEND + 8.0
        } else {
            4.0
        };
        let height = top + f64::from(bars) * ROW + 4.0;
        let (id, title, width) = (self.id, escape(self.title), self.width);
        let mut out = format!(
            "<svg class=\"chart\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" viewBox=\"0 0 {width} {height}\" fill=\"currentColor\" \
             font-size=\"12\" font-family=\"system-ui, sans-serif\">\n<title id=\"{id}-t\">{title}</title>\n\
             <desc id=\"{id}-d\">{}</desc>\n<defs><pattern id=\"{id}-h\" width=\"6\" height=\"6\" \
             patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" \
             fill=\"#fff\"/><rect width=\"2\" height=\"6\" fill=\"#555\"/></pattern></defs>\n",
            escape(&self.description())
        );
        if top > LEGEND {
            self.legend(&mut out);
        }
        let scale = self.scale();
        for (place, bar) in (0_u32..).zip(self.bars) {
            self.bar(&mut out, bar, top + f64::from(place) * ROW, scale);
        }
        out.push_str("</svg>\n");
        out
    }

    /// Room for the longest label.
    fn labels(&self) -> f64 {
        let longest = self.bars.iter().map(|bar| cut(&bar.label).chars().count()).max();
        let (least, most) = LABELS;
        (number(longest.unwrap_or(0) as u64) * LETTER + 16.0).clamp(least, most)
    }

    /// Pixels for one.
    fn scale(&self) -> f64 {
        let room = self.width - self.labels() - ENDS;
        let scales = self.bars.iter().map(|bar| {
            let hidden = bar.parts.iter().filter(|part| part.is_none()).count();
            let hidden = f64::from(u32::try_from(hidden).unwrap_or(u32::MAX)) * HATCHED;
            (room - hidden).max(room / 4.0) / number(bar.parts.iter().flatten().sum::<u64>().max(1))
        });
        scales.fold(room, f64::min)
    }

    fn legend(&self, out: &mut String) {
        let mut x = 0.0;
        let hatched = self.bars.iter().any(|bar| bar.parts.contains(&None));
        let url = format!("url(#{}-h)", self.id);
        let fills = FILLS.iter().map(|(fill, _)| *fill);
        let named = self.series.iter().copied().zip(fills);
        for (name, fill) in named.chain(hatched.then_some((self.suppressed, url.as_str()))) {
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"4\" width=\"14\" height=\"14\" fill=\"{fill}\" stroke=\"currentColor\" \
                 stroke-width=\".7\"/><text x=\"{:.1}\" y=\"15\">{}</text>",
                x + 19.0,
                escape(name)
            );
            x += 40.0 + LETTER * number(name.chars().count() as u64);
        }
    }

    fn bar(&self, out: &mut String, bar: &Bar, y: f64, scale: f64) {
        let middle = y + BAR / 2.0 + 4.3;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            self.labels() - 8.0,
            escape(&cut(&bar.label))
        );
        let mut x = self.labels();
        for (part, (fill, ink)) in bar.parts.iter().zip(FILLS) {
            let width = part.map_or(HATCHED, |value| number(value) * scale);
            if width <= 0.0 {
                continue;
            }
            let fill = if part.is_some() {
                fill.to_owned()
            } else {
                format!("url(#{}-h)", self.id)
            };
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{fill}\" \
                 stroke=\"currentColor\" stroke-width=\".7\"/>"
            );
            if let Some(value) = part {
                let text = value.to_string();
                if width > 9.0 * number(text.len() as u64) + 4.0 && self.series.len() > 1 {
                    let _ = writeln!(
                        out,
                        "<text x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{text}</text>",
                        x + width / 2.0
                    );
                }
            }
            x += width;
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{middle:.1}\">{}</text>",
            x + 6.0,
            escape(&bar.end)
        );
    }

    /// Every number in words.
    fn description(&self) -> String {
        let bars = self.bars.iter().map(|bar| {
            let parts = bar.parts.iter().zip(self.series);
            let parts: Vec<String> = parts
                .map(|(part, name)| match part {
                    Some(value) => format!("{name} {value}"),
                    None => format!("{name}: {}", self.suppressed),
                })
                .collect();
            format!("{}: {}", bar.label, parts.join(", "))
        });
        bars.collect::<Vec<_>>().join("; ")
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of questions as a length on paper"
)]
fn number(value: u64) -> f64 {
    value as f64
}

/// Not longer than there is room for.
fn cut(label: &str) -> String {
    if label.chars().count() <= MOST_LABEL {
        return label.to_owned();
    }
    let start: String = label.chars().take(MOST_LABEL - 1).collect();
    format!("{}…", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(parts: &[Vec<Option<u64>>]) -> String {
        let bars: Vec<Bar> = parts
            .iter()
            .map(|parts| Bar {
                label: "<b>Organisatie met een heel erg lange naam, gemeente Ergens</b>".into(),
                parts: parts.clone(),
                end: "&".into(),
            })
            .collect();
        let chart = BarChart {
            id: "t",
            title: "A & B",
            width: WIDTH,
            series: &["one", "two"],
            suppressed: "not shown",
            bars: &bars,
        };
        chart.svg()
    }

    #[test]
    fn texts_are_escaped_and_cut() {
        let svg = chart(&[vec![Some(3), Some(0)]]);
        assert!(svg.contains("<title id=\"t-t\">A &amp; B</title>"), "{svg}");
        assert!(svg.contains("…</text>") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("one 3, two 0"), "{svg}");
    }

    /// What is suppressed has one size, alone or beside others, and so has everything else.
    #[test]
    fn suppressed_parts_have_one_size() {
        let svg = chart(&[vec![None, Some(500)], vec![None, None], vec![Some(0), Some(1)]]);
        let hatched: Vec<&str> = svg
            .lines()
            .filter(|line| line.contains("fill=\"url(#t-h)\"") && line.contains("height=\"18\""))
            .collect();
        assert_eq!(hatched.len(), 3, "{svg}");
        assert!(
            hatched.iter().all(|line| line.contains("width=\"16.0\"")),
            "{hatched:?}"
        );
        assert!(svg.contains("not shown"));
    }

    #[test]
    fn bars_stay_on_the_paper() {
        let svg = chart(&[vec![Some(u64::MAX / 2), Some(1)], vec![None, None]]);
        for line in svg.lines().filter(|line| line.starts_with("<rect x=")) {
            let of = |name: &str| -> f64 {
                let rest = line.split_once(name).unwrap().1;
                rest.split_once('"').unwrap().0.parse().unwrap()
            };
            assert!(of(" x=\"") + of(" width=\"") <= WIDTH, "{line}");
        }
    }
}
