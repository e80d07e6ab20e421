//! Charts as SVG: lines over a logarithmic axis, on white, so that they read in light and in dark.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use plotters::coord::ranged1d::{KeyPointHint, Ranged};
use plotters::prelude::*;
use serde::Serialize;

/// Colours that people tell apart, whatever their sight (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
];
const SIZE: (u32, u32) = (760, 400);

/// The lines of a chart: points by name.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Chart {
    /// The file's name, without its ending.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Of the axes.
    pub(crate) across: &'static str,
    pub(crate) up: &'static str,
    pub(crate) lines: BTreeMap<String, Vec<(f64, f64)>>,
}

impl Chart {
    pub(crate) fn new(
        name: &'static str,
        title: &'static str,
        across: &'static str,
        up: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            across,
            up,
            lines: BTreeMap::new(),
        }
    }

    pub(crate) fn point(&mut self, line: &str, at: f64, value: f64) {
        self.lines.entry(line.to_owned()).or_default().push((at, value));
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.values().flatten().copied()
    }

    /// What a reader who does not see it is told.
    pub(crate) fn alternative(&self) -> String {
        let line = |(name, points): (&String, &Vec<(f64, f64)>)| {
            let points: Vec<String> = points
                .iter()
                .map(|(at, value)| {
                    format!(
                        "{} at {}",
                        super::stats::number(*value),
                        super::stats::number(*at)
                    )
                })
                .collect();
            format!("{name}: {}", points.join(", "))
        };
        let lines: Vec<String> = self.lines.iter().map(line).collect();
        format!("{}; {}. {}", self.title, self.up, lines.join("; "))
    }

    /// Writes it into a folder.
    pub(crate) fn draw(&self, dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        let mut text = String::new();
        self.draw_in(&mut text).unwrap();
        fs::write(dir.join(format!("{}.svg", self.name)), text).unwrap();
    }

    fn draw_in(&self, text: &mut String) -> Result<(), Box<dyn std::error::Error + '_>> {
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let least = self.points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let most = self.points().map(|point| point.0).fold(0.0, f64::max);
        let highest = self.points().map(|point| point.1).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 20))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(78)
            .build_cartesian_2d(Marks::of(self, least, most), 0.0..highest * 1.12)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc(self.across)
            .y_desc(self.up)
            .axis_desc_style(("sans-serif", 15))
            .label_style(("sans-serif", 13))
            .x_label_formatter(&|at| super::stats::number(*at))
            .y_label_formatter(&|value| super::stats::number(*value))
            .draw()?;
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            chart
                .draw_series(line)?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            let dots = points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
            chart.draw_series(dots)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 14))
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// A logarithmic axis with marks where something was measured.
struct Marks {
    at: Vec<f64>,
    from: f64,
    to: f64,
}

impl Marks {
    fn of(chart: &Chart, least: f64, most: f64) -> Self {
        let mut marks: Vec<f64> = chart.points().map(|point| point.0).collect();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        Self {
            at: marks,
            from: least.ln(),
            to: most.ln(),
        }
    }
}

impl Ranged for Marks {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "a place in a picture")]
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let part = (value.ln() - self.from) / (self.to - self.from).max(1e-9);
        // A little room on both sides.
        let part = 0.04 + 0.92 * part;
        limit.0 + (part * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.at.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.from.exp()..self.to.exp()
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for Marks {
    fn format(value: &f64) -> String {
        super::stats::number(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_shows_its_lines_on_white() {
        let mut chart = Chart::new("c", "Title", "in flight", "questions/s");
        for (at, value) in [(1.0, 500.0), (16.0, 3_000.0), (256.0, 9_000.0)] {
            chart.point("ours", at, value);
            chart.point("ceiling", at, value * 1.2);
        }
        let dir = tempfile::tempdir().unwrap();
        chart.draw(dir.path());
        let svg = fs::read_to_string(dir.path().join("c.svg")).unwrap();
        for shown in ["#FFFFFF", "Title", "ours", "ceiling", "questions/s", "256"] {
            assert!(svg.contains(shown), "{shown} is not in the chart");
        }
        assert!(chart.alternative().contains("ours: 500 at 1.00"));
    }
}
