//! Letters: the bundled font, text styles in CSS pixels and how wide a text comes out.
//!
//! PNG files are lettered with the bundled font; an SVG names it first and lets its reader choose among others.

use std::sync::OnceLock;

use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor, TextStyle, register_font};

use super::{ChartError, UNITS};

/// The name under which the font is registered: for the SVG a CSS list.
const FAMILY: &str = "Roboto, Helvetica, Arial, sans-serif";

/// plotters' font sizes are line heights of this many em.
pub(super) const SIZE_PER_EM: f64 = 1.24;

/// A weight.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// Makes the font known to plotters, once.
pub(super) fn register() -> Result<(), ChartError> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        let regular = include_bytes!("../../assets/fonts/Roboto-Regular.ttf");
        let bold = include_bytes!("../../assets/fonts/Roboto-Bold.ttf");
        register_font(FAMILY, FontStyle::Normal, regular).is_ok()
            && register_font(FAMILY, FontStyle::Bold, bold).is_ok()
    });
    if *registered {
        Ok(())
    } else {
        Err(ChartError("the bundled font is damaged".to_owned()))
    }
}

/// Text of `px` CSS pixels to the em.
pub(super) fn style(px: f64, weight: Weight, color: RGBColor) -> TextStyle<'static> {
    let style = match weight {
        Weight::Regular => FontStyle::Normal,
        Weight::Bold => FontStyle::Bold,
    };
    let size = px * SIZE_PER_EM * f64::from(UNITS);
    FontDesc::new(FontFamily::Name(FAMILY), size, style).color(&color)
}

/// How wide `text` comes out, in CSS pixels. The estimate is a few per cent above what an SVG shows, which leaves room
/// for wider fonts.
pub(super) fn width(text: &str, style: &TextStyle) -> f64 {
    let right = style.font.layout_box(text).map_or(0, |(_, (right, _))| right);
    f64::from(right) / f64::from(UNITS)
}

/// `text` in as few lines of at most `limit` CSS pixels as it needs, of about equal length.
pub(super) fn balanced(text: &str, style: &TextStyle, limit: f64) -> Vec<String> {
    let lines = wrap(text, style, limit).len();
    let narrower = (10..20).map(|twentieths| limit * f64::from(twentieths) / 20.0);
    narrower
        .map(|limit| wrap(text, style, limit))
        .find(|wrapped| wrapped.len() == lines)
        .unwrap_or_else(|| wrap(text, style, limit))
}

/// `text` in lines of at most `limit` CSS pixels, broken between words but never before a unit; a longer word stands
/// alone.
pub(super) fn wrap(text: &str, style: &TextStyle, limit: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), style) <= limit => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// Words, a number and its unit taken as one.
fn words(text: &str) -> Vec<String> {
    const UNITS: [&str; 7] = ["%", "ms", "s", "min", "k", "M", "G"];
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let is_unit = UNITS.contains(&word.trim_end_matches([')', ',', ';', '.']));
        match words.last_mut() {
            Some(number) if is_unit => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::palette::INK;

    #[test]
    fn a_number_is_not_parted_from_its_unit() {
        assert_eq!(
            words("from 830 ms to 61.1 %, or so"),
            ["from", "830 ms", "to", "61.1 %,", "or", "so"]
        );
    }

    #[test]
    fn lines_fit_and_none_is_left_with_a_single_word() {
        register().expect("the font is sound");
        let style = style(17.0, Weight::Bold, INK);
        let text =
            "In the fault window the median latency goes from 830 ms to 2.75 s with naive and to 1.11 s with resilient";
        let lines = balanced(text, &style, 800.0);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| width(line, &style) <= 800.0));
        assert!(lines[1].split(' ').count() > 3, "{lines:?}");
    }
}
