//! A chart as a PNG: drawn twice too large and averaged down, so that edges are smooth.

use plotters::prelude::BitMapBackend;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};

use super::font::SIZE_PER_EM;
use super::{ChartError, Sketch, UNITS};

/// Pixels of the drawing that make one of the file, along each side.
const OVERSAMPLING: usize = 2;

/// Pixels of the file to the metre: two to the CSS pixel of 1/96 inch.
const PER_METRE: u32 = 96 * 2 * 10_000 / 254;

/// The file.
pub(super) fn png(sketch: &Sketch) -> Result<Vec<u8>, ChartError> {
    debug_assert_eq!(UNITS as usize, 2 * OVERSAMPLING, "two pixels to the CSS pixel");
    let (width, height) = sketch.units();
    let mut drawn = vec![u8::MAX; (width * height * 3) as usize];
    sketch.draw(Lettered(BitMapBackend::with_buffer(&mut drawn, (width, height))))?;
    let pixels = averaged(&drawn, width as usize, height as usize);
    encoded(&pixels, width / OVERSAMPLING as u32, height / OVERSAMPLING as u32)
        .map_err(|error| ChartError(error.to_string()))
}

/// Every square of pixels as its mean.
fn averaged(drawn: &[u8], width: usize, height: usize) -> Vec<u8> {
    let (wide, high) = (width / OVERSAMPLING, height / OVERSAMPLING);
    let mut pixels = Vec::with_capacity(wide * high * 3);
    for y in 0..high {
        for x in 0..wide {
            for channel in 0..3 {
                let of = |n: usize| {
                    let (row, column) = (y * OVERSAMPLING + n / OVERSAMPLING, x * OVERSAMPLING + n % OVERSAMPLING);
                    u32::from(drawn[(row * width + column) * 3 + channel])
                };
                let squares = OVERSAMPLING * OVERSAMPLING;
                let sum: u32 = (0..squares).map(of).sum();
                pixels.push((sum / squares as u32) as u8);
            }
        }
    }
    pixels
}

fn encoded(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_adaptive_filter(png::AdaptiveFilterType::Adaptive);
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: PER_METRE,
        yppu: PER_METRE,
        unit: png::Unit::Meter,
    }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}

/// plotters' bitmap, with text on the same base lines as its SVG: left alone it stands a few pixels higher.
struct Lettered<'a>(BitMapBackend<'a>);

type Lost<'a> = DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>;

impl<'a> DrawingBackend for Lettered<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Result<(), Lost<'a>> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Result<(), Lost<'a>> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Result<(), Lost<'a>> {
        self.0.draw_pixel(point, color)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Result<(), Lost<'a>> {
        self.0.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Result<(), Lost<'a>> {
        // The SVG ends before its last row and column; so does this.
        let to = if fill { (to.0 - 1, to.1 - 1) } else { to };
        self.0.draw_rect(from, to, style, fill)
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Result<(), Lost<'a>> {
        let failed = |error| DrawingErrorKind::FontError(Box::new(error));
        let ((left, _), (right, _)) = style.layout_box(text).map_err(failed)?;
        let dx = match style.anchor().h_pos {
            HPos::Left => 0,
            HPos::Right => left - right,
            HPos::Center => (left - right) / 2,
        };
        let em = style.size() / SIZE_PER_EM;
        let base_line = match style.anchor().v_pos {
            VPos::Top => 0.76 * em,
            VPos::Center => 0.27 * em,
            VPos::Bottom => -0.27 * em,
        };
        // The font's `draw` puts the base line half a size below its origin.
        let dy = (base_line - style.size() / 2.0).round() as i32;
        let (turn, (width, height)) = (style.transform(), self.get_size());
        let drawn = style.draw(text, (0, 0), |x, y, color| {
            let (x, y) = turn.transform(x + dx, y + dy);
            let (x, y) = (at.0 + x, at.1 + y);
            let visible = (0..width.cast_signed()).contains(&x) && (0..height.cast_signed()).contains(&y);
            if visible {
                self.draw_pixel((x, y), color)
            } else {
                Ok(())
            }
        });
        drawn.map_err(failed)?
    }
}
