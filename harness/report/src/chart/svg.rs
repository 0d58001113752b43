//! A chart as an SVG document: plotters' drawing under a head of our own.

use plotters::prelude::SVGBackend;

use super::{ChartError, Sketch};

/// The document. It scales with its place and names itself to screen readers.
pub(super) fn document(sketch: &Sketch, title: &str) -> Result<String, ChartError> {
    let mut drawn = String::new();
    sketch.draw(SVGBackend::with_string(&mut drawn, sketch.units()))?;
    let (_, body) = drawn
        .split_once('\n')
        .ok_or_else(|| ChartError("the SVG has no head".to_owned()))?;
    let ((width, height), (wide, high)) = (sketch.size(), sketch.units());
    let label = escaped(title);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {wide} {high}\" \
         role=\"img\" aria-label=\"{label}\">\n{}",
        body.replace(" opacity=\"1\"", "").replace(" stroke=\"none\"", "")
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
