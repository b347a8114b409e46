//! The widths of the perceptrons of MLP and NeuMF.

use crate::model::Refused;
use crate::model::tower::{Layer, Perceptron, Tables};

/// The largest width of a layer or an embedding: far above what the papers use.
pub(super) const MAX_WIDTH: u32 = 65_536;
/// The most layers.
const MAX_LAYERS: u32 = 32;

/// Refuses a width that makes no layer.
pub(super) fn check(field: &'static str, width: u32) -> Result<(), Refused> {
    if (1..=MAX_WIDTH).contains(&width) {
        return Ok(());
    }
    Err(Refused { field, message: format!("must be between 1 and {MAX_WIDTH}, not {width}") })
}

/// Refuses a probability of dropping everything, and what is no probability.
pub(super) fn check_dropout(dropout: f64) -> Result<(), Refused> {
    if (0.0..1.0).contains(&dropout) {
        return Ok(());
    }
    Err(Refused { field: "dropout", message: format!("must be at least 0 and below 1, not {dropout}") })
}

/// The widths of the layers and of the embeddings: as given, or the tower of the paper, `f · 2^(L−1)`, …, `2f`, `f`
/// over embeddings of width `f · 2^(L−1)` (He et al. 2017, section 3.3).
pub(super) fn resolve(
    factors: u32,
    layers: Option<u32>,
    hidden: Option<Vec<u32>>,
    embedding: Option<u32>,
) -> Result<(Vec<u32>, u32), Refused> {
    let hidden = match (hidden, layers) {
        (Some(_), Some(_)) => {
            let message = "cannot be given beside `hidden`, which says how many layers there are".to_owned();
            return Err(Refused { field: "layers", message });
        }
        (Some(hidden), None) => {
            if hidden.is_empty() || hidden.len() > MAX_LAYERS as usize {
                let message = format!("must have between 1 and {MAX_LAYERS} widths, not {}", hidden.len());
                return Err(Refused { field: "hidden", message });
            }
            hidden
        }
        (None, layers) => {
            let layers = layers.unwrap_or(3);
            let widest = 1_u32.checked_shl(layers.saturating_sub(1)).and_then(|times| factors.checked_mul(times));
            if layers == 0 || widest.is_none_or(|widest| widest > MAX_WIDTH) {
                let message = format!("must be at least 1 and leave the widest layer below {MAX_WIDTH}, not {layers}");
                return Err(Refused { field: "layers", message });
            }
            (0..layers).rev().map(|layer| factors << layer).collect()
        }
    };
    hidden.iter().try_for_each(|&width| check("hidden", width))?;
    let embedding = embedding.unwrap_or(hidden[0]);
    check("embedding", embedding)?;
    Ok((hidden, embedding))
}

/// A perceptron of these widths, whose layers have the names that `name` gives to their number.
pub(super) fn perceptron(tables: Tables, hidden: &[u32], dropout: f64, name: impl Fn(usize) -> String) -> Perceptron {
    let mut inputs = 2 * tables.width;
    let layers = hidden.iter().enumerate().map(|(number, &outputs)| {
        let (name, outputs) = (name(number), outputs as usize);
        let layer = Layer { weight: format!("{name}.weight"), bias: format!("{name}.bias"), inputs, outputs };
        inputs = outputs;
        layer
    });
    let layers = layers.collect();
    Perceptron { tables, layers, dropout }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tower_of_the_paper_halves_from_layer_to_layer() {
        // He et al. 2017, section 4.1: for 8 factors, the layers 32 → 16 → 8 over embeddings of size 16 each.
        assert_eq!(resolve(8, None, None, None), Ok((vec![32, 16, 8], 32)));
        assert_eq!(resolve(8, Some(1), None, None), Ok((vec![8], 8)));
        assert_eq!(resolve(8, None, Some(vec![10, 20]), None), Ok((vec![10, 20], 10)));
        assert_eq!(resolve(8, None, Some(vec![128, 64, 32]), Some(64)), Ok((vec![128, 64, 32], 64)));
    }

    #[test]
    fn widths_that_make_no_tower_are_refused() {
        let field = |layers, hidden, embedding| resolve(32, layers, hidden, embedding).unwrap_err().field;
        assert_eq!(field(Some(0), None, None), "layers");
        assert_eq!(field(Some(64), None, None), "layers");
        assert_eq!(field(Some(13), None, None), "layers");
        assert_eq!(field(Some(2), Some(vec![1]), None), "layers");
        assert_eq!(field(None, Some(vec![]), None), "hidden");
        assert_eq!(field(None, Some(vec![8, 0]), None), "hidden");
        assert_eq!(field(None, Some(vec![8; 33]), None), "hidden");
        assert_eq!(field(None, None, Some(0)), "embedding");
        assert!(check_dropout(1.0).is_err() && check_dropout(f64::NAN).is_err() && check_dropout(-0.1).is_err());
    }
}
