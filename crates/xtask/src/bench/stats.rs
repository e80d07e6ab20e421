//! Figures: a median with its spread, what it is held against, and whether the bar is met.

use std::fmt;

use serde::Serialize;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// Things in a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Bytes.
    Bytes,
    /// Instructions of the processor.
    Instructions,
}

/// Three digits that count, with thousands set apart.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 99.95 || size == 0.0 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut out = sign.to_owned();
    for (left, digit) in (0..whole.len()).rev().zip(whole.chars()) {
        out.push(digit);
        if left > 0 && left % 3 == 0 {
            out.push(',');
        }
    }
    out + rest
}

/// A whole number, with thousands set apart.
#[expect(clippy::cast_precision_loss, reason = "for people to read")]
pub(crate) fn count(value: u64) -> String {
    number(value as f64)
}

impl Unit {
    /// A value with its unit.
    pub(crate) fn write(self, value: f64) -> String {
        let text = number(value);
        match self {
            Self::PerSecond => format!("{text}/s"),
            Self::Seconds => format!("{text} s"),
            Self::Ms => format!("{text} ms"),
            Self::Us => format!("{text} µs"),
            Self::Bytes if value >= 1e9 => format!("{} GB", number(value / 1e9)),
            Self::Bytes if value >= 1e6 => format!("{} MB", number(value / 1e6)),
            Self::Bytes => format!("{text} B"),
            Self::Instructions => format!("{text} instructions"),
        }
    }
}

/// The median of some rounds, with the least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) rounds: usize,
    pub(crate) unit: Unit,
}

impl Figure {
    /// Of one value for each round, at least one.
    pub(crate) fn of(rounds: &[f64], unit: Unit) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Self {
            median,
            least: sorted[0],
            most: sorted[sorted.len() - 1],
            rounds: sorted.len(),
            unit,
        }
    }

    /// What was measured once.
    pub(crate) fn once(value: f64, unit: Unit) -> Self {
        Self::of(&[value], unit)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.unit.write(self.median))?;
        if self.rounds > 1 {
            write!(f, " ({}–{})", number(self.least), number(self.most))?;
        }
        Ok(())
    }
}

/// What must hold of a row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bar {
    /// The figure is at least so many times that of the other.
    RatioAtLeast(f64),
    /// The figure is at most so many times that of the other.
    RatioAtMost(f64),
    /// The figure itself.
    AtLeast(f64),
    /// The figure itself.
    AtMost(f64),
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Which part of the benchmarks, as `--only` names it.
    pub(crate) part: &'static str,
    /// What was measured.
    pub(crate) what: String,
    pub(crate) figure: Figure,
    /// What it is compared with, measured in the same run.
    pub(crate) against: Option<(String, Figure)>,
    pub(crate) bar: Option<Bar>,
    /// Whether other processes took too much of the machine meanwhile.
    pub(crate) noisy: bool,
    /// More about it, in words.
    pub(crate) details: Vec<String>,
}

impl Row {
    pub(crate) fn new(part: &'static str, what: impl Into<String>, figure: Figure) -> Self {
        Self {
            part,
            what: what.into(),
            figure,
            against: None,
            bar: None,
            noisy: false,
            details: Vec::new(),
        }
    }

    pub(crate) fn against(mut self, what: impl Into<String>, figure: Figure) -> Self {
        self.against = Some((what.into(), figure));
        self
    }

    pub(crate) fn bar(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }

    pub(crate) fn noisy(mut self, noisy: bool) -> Self {
        self.noisy = noisy;
        self
    }

    pub(crate) fn detail(mut self, text: impl Into<String>) -> Self {
        self.details.push(text.into());
        self
    }

    /// How many times the other figure this one is.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (_, other) = self.against.as_ref()?;
        Some(self.figure.median / other.median)
    }

    /// Whether the bar is met; `None` if there is none.
    pub(crate) fn is_met(&self) -> Option<bool> {
        Some(match self.bar? {
            Bar::RatioAtLeast(bar) => self.ratio()? >= bar,
            Bar::RatioAtMost(bar) => self.ratio()? <= bar,
            Bar::AtLeast(bar) => self.figure.median >= bar,
            Bar::AtMost(bar) => self.figure.median <= bar,
        })
    }

    /// The bar in words.
    pub(crate) fn bar_text(&self) -> String {
        let unit = self.figure.unit;
        match self.bar {
            None => String::new(),
            Some(Bar::RatioAtLeast(bar)) => format!("≥ {}×", number(bar)),
            Some(Bar::RatioAtMost(bar)) => format!("≤ {}×", number(bar)),
            Some(Bar::AtLeast(bar)) => format!("≥ {}", unit.write(bar)),
            Some(Bar::AtMost(bar)) => format!("≤ {}", unit.write(bar)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_has_its_spread() {
        let odd = Figure::of(&[3.0, 1.0, 2.0], Unit::Ms);
        assert_eq!((odd.median, odd.least, odd.most), (2.0, 1.0, 3.0));
        let even = Figure::of(&[4.0, 1.0, 2.0, 3.0], Unit::Ms);
        assert_eq!(even.to_string(), "2.50 ms (1.00–4.00)");
        assert_eq!(odd.to_string(), "2.00 ms (1.00–3.00)");
        assert_eq!(
            Figure::once(1_234_567.0, Unit::PerSecond).to_string(),
            "1,234,567/s"
        );
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        let shown = [0.0, 0.0123, 1.2345, 12.345, 99.96, 123.4, 1234.5, -1234.5].map(number);
        assert_eq!(
            shown,
            ["0", "0.012", "1.23", "12.3", "100", "123", "1,234", "-1,234"]
        );
    }

    #[test]
    fn a_bar_is_met_or_missed() {
        let row = |bar| {
            Row::new("p", "w", Figure::once(8.0, Unit::PerSecond))
                .against("o", Figure::once(10.0, Unit::PerSecond))
                .bar(bar)
        };
        assert_eq!(row(Bar::RatioAtLeast(0.8)).is_met(), Some(true));
        assert_eq!(row(Bar::RatioAtLeast(0.81)).is_met(), Some(false));
        assert_eq!(row(Bar::RatioAtMost(0.79)).is_met(), Some(false));
        assert_eq!(row(Bar::AtLeast(8.0)).is_met(), Some(true));
        assert_eq!(row(Bar::AtMost(7.0)).is_met(), Some(false));
        assert_eq!(Row::new("p", "w", Figure::once(1.0, Unit::Ms)).is_met(), None);
        assert_eq!(row(Bar::AtMost(7.0)).bar_text(), "≤ 7.00/s");
    }
}
