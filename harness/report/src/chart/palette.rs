//! Colours: the Okabe-Ito palette, which people with any colour vision tell apart, and a few greys.

use plotters::style::RGBColor;

pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
pub(super) const VERMILLION: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
pub(super) const GREEN: RGBColor = RGBColor(0x00, 0x9E, 0x73);
pub(super) const ORANGE: RGBColor = RGBColor(0xE6, 0x9F, 0x00);
pub(super) const PURPLE: RGBColor = RGBColor(0xCC, 0x79, 0xA7);
pub(super) const SKY: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
pub(super) const YELLOW: RGBColor = RGBColor(0xF0, 0xE4, 0x42);
pub(super) const GREY: RGBColor = RGBColor(0x9A, 0xA0, 0xA6);

/// Titles and names.
pub(super) const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Notes and tick labels.
pub(super) const FAINT: RGBColor = RGBColor(0x59, 0x63, 0x6E);
/// Axes.
pub(super) const AXIS: RGBColor = RGBColor(0xA8, 0xB0, 0xB8);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(0xE4, 0xE8, 0xEC);

/// The colour of variant `index`: readable as a line on white.
pub(super) fn variant(index: usize) -> RGBColor {
    const LINES: [RGBColor; 7] = [VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY, INK];
    LINES[index % LINES.len()]
}

/// The colour of the `index`th part of a bar.
pub(super) fn part(index: usize) -> RGBColor {
    const FILLS: [RGBColor; 8] = [BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW, GREY];
    FILLS[index % FILLS.len()]
}

/// The colour of text upon `ground`.
pub(super) fn on(ground: RGBColor) -> RGBColor {
    let RGBColor(red, green, blue) = ground;
    let luma = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
    if luma > 120.0 { INK } else { RGBColor(255, 255, 255) }
}
