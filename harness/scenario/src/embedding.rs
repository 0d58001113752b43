//! Vectors that stand for texts: what a simulated provider answers with, and what a client expects to get back.
//!
//! Drawn from the bytes of the text alone, so that equal texts have equal vectors, whoever asks and however often, and other
//! texts have others. They mean nothing: texts that are alike are no nearer to each other than any two.

/// Numbers in a vector, where nobody asks for more or fewer. Real models have a hundred times as many.
pub const DIMENSIONS: u32 = 16;

/// How far a number may be from the one expected: it was written in decimals and read again.
const TOLERANCE: f64 = 1e-5;

/// The vector of `text`, of length 1.
pub fn vector(text: &str, dimensions: u32) -> Vec<f32> {
    let root = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let numbers: Vec<f64> = (0..u64::from(dimensions)).map(|place| number(root, place)).collect();
    let length = libm::sqrt(numbers.iter().map(|number| number * number).sum());
    numbers.into_iter().map(|number| (number / length) as f32).collect()
}

/// Whether `numbers` are the vector of `text`.
pub fn is_vector_of(text: &str, numbers: &[f64]) -> bool {
    let Ok(dimensions) = u32::try_from(numbers.len()) else {
        return false;
    };
    let near = |(expected, number): (f32, &f64)| libm::fabs(f64::from(expected) - number) <= TOLERANCE;
    dimensions > 0 && vector(text, dimensions).into_iter().zip(numbers).all(near)
}

/// From -1 to 1, without 0: the top bits of a mix (splitmix64's) of both.
fn number(root: u64, place: u64) -> f64 {
    let mut mixed = root.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 * (2.0 / 9_007_199_254_740_992.0) - 1.0 + f64::EPSILON
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_vector_has_length_one_and_is_known_again(text in ".{0,40}", dimensions in 2_u32..64) {
            let vector = vector(&text, dimensions);
            let numbers: Vec<f64> = vector.iter().map(|number| f64::from(*number)).collect();
            let length: f64 = numbers.iter().map(|number| number * number).sum();
            prop_assert!((length - 1.0).abs() < 1e-5, "{length}");
            prop_assert!(is_vector_of(&text, &numbers));
            let other = format!("{text}.");
            prop_assert!(!is_vector_of(&other, &numbers));
        }
    }

    #[test]
    fn nothing_is_nobodys_vector() {
        assert!(!is_vector_of("a", &[]));
        assert!(!is_vector_of("a", &[0.0; 16]));
    }
}
