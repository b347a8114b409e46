//! The first weights of a model, drawn from the run's seed.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::data::rng::{Philox, Stream, normal_pair, unit_f64};
use crate::model::{Catalogue, Init, ModelSpec, Parameter, Weights};
use crate::train::Result;

/// The first weights of a model, of type F32 or F64; the former are the latter, rounded.
///
/// A value depends on the seed, on the number of its tensor, and on its place there; not on threads.
///
/// # Errors
/// When the model is too large for any memory.
pub fn first_weights(model: &ModelSpec, catalogue: Catalogue, seed: u64, dtype: DType) -> Result<Weights> {
    let philox = Philox::new(seed, Stream::Init);
    let parameters = model.parameters(catalogue);
    let tensors = parameters
        .iter()
        .zip(0..)
        .map(|(parameter, number)| {
            let values = values(parameter, philox, number)?;
            let tensor = Tensor::from_vec(values, parameter.shape.as_slice(), &Device::Cpu)?.to_dtype(dtype)?;
            Ok((parameter.name.clone(), tensor))
        })
        .collect::<Result<_>>()?;
    Weights::new(tensors, &parameters, dtype)
}

fn values(parameter: &Parameter, philox: Philox, number: u32) -> Result<Vec<f64>> {
    /// Elements that one task fills; even, because normal numbers come in pairs.
    const CHUNK: usize = 1 << 14;
    let mut values = vec![0.0; parameter.count()?];
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
        let first = (chunk * CHUNK) as u64;
        match parameter.init {
            Init::Zeros => {}
            Init::Normal { std } => {
                for (pair, block) in values.chunks_mut(2).zip(first / 2..) {
                    let normals = normal_pair(philox.words(block, number));
                    pair.iter_mut().zip(normals).for_each(|(value, normal)| *value = std * normal);
                }
            }
            Init::XavierUniform { fan_in, fan_out } => {
                uniform(values, (6.0 / (fan_in + fan_out) as f64).sqrt(), |place| philox.word(first + place, number));
            }
            Init::KaimingUniform { fan_in } => {
                uniform(values, (3.0 / fan_in as f64).sqrt(), |place| philox.word(first + place, number));
            }
        }
    });
    Ok(values)
}

/// Fills `values` with numbers between plus and minus `bound`.
fn uniform(values: &mut [f64], bound: f64, word: impl Fn(u64) -> u64) {
    for (value, place) in values.iter_mut().zip(0..) {
        *value = bound * (2.0 * unit_f64(word(place)) - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gmf;

    fn gmf() -> ModelSpec {
        ModelSpec::Gmf(Gmf { factors: 64 })
    }

    const SIZES: Catalogue = Catalogue { n_users: 1000, n_items: 700 };

    fn drawn(seed: u64, name: &str) -> Vec<f64> {
        let weights = first_weights(&gmf(), SIZES, seed, DType::F64).unwrap();
        weights.get(name).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn embeddings_have_the_moments_of_a_normal_distribution_with_deviation_one_hundredth() {
        let values = drawn(7, "embed_user_GMF.weight");
        let n = values.len() as f64;
        let moment = |k: i32| values.iter().map(|x| (x / 0.01).powi(k)).sum::<f64>() / n;
        // The variances of the first four powers of a standard normal number are 1, 2, 15 and 96.
        let five_errors = |variance: f64| 5.0 * (variance / n).sqrt();
        assert!(moment(1).abs() < five_errors(1.0));
        assert!((moment(2) - 1.0).abs() < five_errors(2.0));
        assert!(moment(3).abs() < five_errors(15.0));
        assert!((moment(4) - 3.0).abs() < five_errors(96.0));
    }

    #[test]
    fn output_weights_fill_the_kaiming_interval_and_the_bias_is_zero() {
        let bound = (3.0_f64 / 64.0).sqrt();
        let values: Vec<f64> = (0..200).flat_map(|seed| drawn(seed, "predict_layer.weight")).collect();
        let mut cells = [0_u32; 10];
        for x in &values {
            assert!(x.abs() <= bound);
            cells[((x / bound + 1.0) * 5.0).min(9.0) as usize] += 1;
        }
        let expected = values.len() as f64 / 10.0;
        let chi_square: f64 = cells.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
        assert!(chi_square < 27.9, "the 0.1 % point of 9 degrees of freedom, got {chi_square}");
        assert_eq!(drawn(7, "predict_layer.bias"), [0.0]);
    }

    #[test]
    fn seeds_tensors_and_types_are_told_apart() {
        let (user, item) = ("embed_user_GMF.weight", "embed_item_GMF.weight");
        assert_eq!(drawn(1, user), drawn(1, user));
        assert_ne!(drawn(1, user), drawn(2, user));
        assert_ne!(drawn(1, user)[..64], drawn(1, item)[..64]);
        let single = first_weights(&gmf(), SIZES, 1, DType::F32).unwrap();
        let single: Vec<f32> = single.get(user).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert!(single.into_iter().zip(drawn(1, user)).all(|(a, b)| a == b as f32));
    }
}
