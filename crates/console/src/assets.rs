//! Style and script of the pages, in this program.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::problem::Problem;

/// One sheet: components of NL Design System, the theme, and what is the console's own.
const STYLE: &str = concat!(
    include_str!("../assets/vendor/nl-design-system.css"),
    include_str!("../assets/theme.css"),
    include_str!("../assets/console.css"),
);
const SCRIPT: &str = include_str!("../assets/console.js");

/// First digits of the content's hash: a changed file has another address, so browsers may keep each for ever.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(STYLE).chain_update(SCRIPT).finalize();
    hex::encode(&digest[..6])
});

/// Address of an asset, such as `console.css`.
pub(crate) fn address(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/assets/{version}/{name}", get(asset))
}

async fn asset(Path((_, name)): Path<(String, String)>) -> Result<Response, Problem> {
    let (kind, text) = match name.as_str() {
        "console.css" => ("text/css; charset=utf-8", STYLE),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return Err(Problem::not_found()),
    };
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, text).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const THEME: &str = include_str!("../assets/theme.css");

    /// Colours of the theme, in light and in dark.
    fn themes() -> [BTreeMap<&'static str, [f64; 3]>; 2] {
        let (light, dark) = THEME.split_once("@media").unwrap();
        let colours = |part: &'static str| {
            let lines = part.lines().filter_map(|line| line.trim().strip_suffix(';'));
            let pairs = lines.filter_map(|line| line.split_once(": #"));
            pairs.map(|(name, digits)| {
                let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
                (
                    name,
                    [part(0), part(2), part(4)].map(|each| f64::from(each) / 255.0),
                )
            })
        };
        let light: BTreeMap<_, _> = colours(light).collect();
        let mut both = light.clone();
        both.extend(colours(dark));
        [light, both]
    }

    /// Contrast as WCAG 2.2 defines it.
    fn contrast(one: [f64; 3], two: [f64; 3]) -> f64 {
        let luminance = |colour: [f64; 3]| {
            let linear = colour.map(|each| {
                if each <= 0.04045 {
                    each / 12.92
                } else {
                    ((each + 0.055) / 1.055).powf(2.4)
                }
            });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (one, two) = (luminance(one) + 0.05, luminance(two) + 0.05);
        if one > two { one / two } else { two / one }
    }

    #[test]
    fn text_and_edges_stand_out_in_light_and_dark() {
        let mut pairs: Vec<(String, String, f64)> = Vec::new();
        let mut add = |front: &str, back: &str, least| {
            pairs.push((
                format!("--basis-color-{front}"),
                format!("--basis-color-{back}"),
                least,
            ));
        };
        for back in ["default-bg-document", "default-bg-default"] {
            for front in [
                "default-color-default",
                "default-color-subtle",
                "accent-1-color-default",
                "negative-color-default",
            ] {
                add(front, back, 4.5);
            }
            for edge in [
                "default-border-default",
                "accent-1-border-default",
                "negative-border-default",
            ] {
                add(edge, back, 3.0);
            }
        }
        add("default-color-subtle", "default-bg-subtle", 4.5);
        for kind in ["info", "positive", "warning", "negative", "accent-1"] {
            let back = format!("{kind}-bg-default");
            add(&format!("{kind}-color-default"), &back, 4.5);
            add("default-color-default", &back, 4.5);
            add("default-color-subtle", &back, 4.5);
            add(&format!("{kind}-border-default"), &back, 3.0);
        }
        for kind in ["accent-1", "negative"] {
            for back in ["default", "hover"] {
                add(
                    &format!("{kind}-inverse-color-default"),
                    &format!("{kind}-inverse-bg-{back}"),
                    4.5,
                );
            }
        }
        for front in ["color", "subtle-color", "focus-color"] {
            let (front, back) = (
                format!("--hitmachine-header-{front}"),
                "--hitmachine-header-background-color",
            );
            pairs.push((front, back.into(), 4.5));
        }
        let (ink, paper) = ("--hitmachine-chart-color", "--hitmachine-chart-background-color");
        pairs.push((ink.into(), paper.into(), 4.5));
        for (theme, name) in themes().iter().zip(["light", "dark"]) {
            for (front, back, least) in &pairs {
                let found = contrast(theme[front.as_str()], theme[back.as_str()]);
                assert!(found >= *least, "{name}: {front} on {back} is {found:.2}");
            }
        }
    }

    #[test]
    fn every_value_that_the_style_takes_from_the_theme_is_there() {
        for part in STYLE.split("var(--").skip(1) {
            let name = part.split([')', ',']).next().unwrap();
            // A vendored component's value may be left out: it then has its own.
            let own =
                name.starts_with("basis-") || name.starts_with("hitmachine-") || name.starts_with("icon");
            assert!(!own || STYLE.contains(&format!("--{name}:")), "{name}");
        }
        assert!(STYLE.len() < 50_000, "{}", STYLE.len());
        assert!(
            !STYLE.contains("url(http") && !STYLE.contains("@import"),
            "something from elsewhere"
        );
    }
}
