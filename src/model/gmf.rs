//! Generalised matrix factorisation.

use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::scorer::{self, ScoreError, Scorer};
use crate::model::{Architecture, Catalogue, Init, Parameter, Refused, Result, Weights};

const USER: &str = "embed_user_GMF.weight";
const ITEM: &str = "embed_item_GMF.weight";
const OUTPUT: &str = "predict_layer.weight";
const BIAS: &str = "predict_layer.bias";

/// The largest number of factors: a thousand times what the papers use.
const MAX_FACTORS: u32 = 65_536;

/// Generalised matrix factorisation (He et al. 2017, eq. 9): `logit = h · (p_u ∘ q_i) + b`.
///
/// In PyTorch, with the names that the reference implementation of the paper gives its tensors:
///
/// ```python
/// self.embed_user_GMF = nn.Embedding(n_users, factors)
/// self.embed_item_GMF = nn.Embedding(n_items, factors)
/// self.predict_layer = nn.Linear(factors, 1)
/// return self.predict_layer(self.embed_user_GMF(user) * self.embed_item_GMF(item)).view(-1)
/// ```
///
/// A module that declares the tables of an MLP beside these, whether it uses them or not, takes the file with
/// `load_state_dict(load_file("model.safetensors"), strict=False)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gmf {
    /// The length of the embeddings.
    #[serde(default = "default_factors")]
    #[schemars(range(min = 1, max = 65_536))]
    pub factors: u32,
}

fn default_factors() -> u32 {
    32
}

impl Architecture for Gmf {
    fn name(&self) -> &'static str {
        "GMF"
    }

    fn check(&self) -> Result<(), Refused> {
        if (1..=MAX_FACTORS).contains(&self.factors) {
            return Ok(());
        }
        Err(Refused { field: "factors", message: format!("must be between 1 and {MAX_FACTORS}, not {}", self.factors) })
    }

    fn parameters(&self, Catalogue { n_users, n_items }: Catalogue) -> Vec<Parameter> {
        let factors = self.factors as usize;
        let table = |name, rows: u32| {
            let init = Init::Normal { std: 0.01 };
            Parameter { name, shape: vec![rows as usize, factors], init }
        };
        vec![
            table(USER, n_users),
            table(ITEM, n_items),
            Parameter { name: OUTPUT, shape: vec![1, factors], init: Init::KaimingUniform { fan_in: factors } },
            Parameter { name: BIAS, shape: vec![1], init: Init::Zeros },
        ]
    }

    fn logits(&self, weights: &Weights, users: &Tensor, items: &Tensor) -> Result<Tensor> {
        let p = weights.get(USER)?.index_select(users, 0)?;
        let q = weights.get(ITEM)?.index_select(items, 0)?;
        let logits = (p * q)?.matmul(&weights.get(OUTPUT)?.t()?)?.squeeze(1)?;
        Ok(logits.broadcast_add(weights.get(BIAS)?)?)
    }

    fn scorer(&self, weights: &Weights) -> Result<Box<dyn Scorer + Send + Sync>> {
        Ok(Box::new(GmfScorer::new(weights)?))
    }
}

/// As many items as are scored together: their sums stay in registers.
const LANES: usize = 16;

/// Scores by `(h ∘ p_u) · q_i + b`, with the item table laid out so that the sums of [`LANES`] items run side by side.
///
/// Each sum runs over the factors in their order, whatever else is scored: all scores are exactly reproducible, and
/// those of the two methods are equal to the last bit.
struct GmfScorer {
    factors: usize,
    n_items: usize,
    /// `h ∘ P`, row by row.
    users: Vec<f32>,
    /// `Q`, row by row, for single items.
    items: Vec<f32>,
    /// `Q` in blocks of [`LANES`] items, factor by factor; the last block is filled up with zeros.
    blocks: Vec<f32>,
    bias: f32,
}

impl GmfScorer {
    fn new(weights: &Weights) -> Result<Self> {
        let values = |name| -> Result<Vec<f32>> { Ok(weights.get(name)?.flatten_all()?.to_vec1()?) };
        let (h, p, items, bias) = (values(OUTPUT)?, values(USER)?, values(ITEM)?, values(BIAS)?);
        let factors = h.len().max(1);
        let users = p.chunks_exact(factors).flat_map(|row| row.iter().zip(&h).map(|(p, h)| p * h)).collect();
        let n_items = items.len() / factors;
        let mut blocks = vec![0.0; n_items.div_ceil(LANES) * LANES * factors];
        for (item, row) in items.chunks_exact(factors).enumerate() {
            let block = item / LANES * LANES * factors;
            for (k, &value) in row.iter().enumerate() {
                blocks[block + k * LANES + item % LANES] = value;
            }
        }
        Ok(Self { factors, n_items, users, items, blocks, bias: bias.iter().sum() })
    }

    fn user(&self, user: u32) -> scorer::Result<&[f32]> {
        row(&self.users, self.factors, user).ok_or_else(|| ScoreError::new(format!("the model has no user {user}")))
    }
}

fn row(table: &[f32], factors: usize, id: u32) -> Option<&[f32]> {
    let start = (id as usize).checked_mul(factors)?;
    table.get(start..)?.get(..factors)
}

impl Scorer for GmfScorer {
    fn n_users(&self) -> usize {
        self.users.len() / self.factors
    }

    fn n_items(&self) -> usize {
        self.n_items
    }

    fn score_user(&self, user: u32, items: &[u32], out: &mut [f32]) -> scorer::Result<()> {
        let p = self.user(user)?;
        for (score, &item) in out.iter_mut().zip(items) {
            let q = row(&self.items, self.factors, item)
                .ok_or_else(|| ScoreError::new(format!("the model has no item {item}")))?;
            *score = p.iter().zip(q).fold(0.0, |sum, (p, q)| sum + p * q) + self.bias;
        }
        Ok(())
    }

    fn score_all(&self, users: &[u32], out: &mut [f32]) -> scorer::Result<()> {
        // Items outside, users inside: a block of items is read from memory once for all users.
        if users.len().checked_mul(self.n_items) != Some(out.len()) {
            let (n, m) = (users.len(), self.n_items);
            return Err(ScoreError::new(format!("{n} × {m} scores do not fit {} places", out.len())));
        }
        let rows: Vec<&[f32]> = users.iter().map(|&user| self.user(user)).collect::<scorer::Result<_>>()?;
        for (block, q) in self.blocks.chunks_exact(LANES * self.factors).enumerate() {
            let first = block * LANES;
            let width = LANES.min(self.n_items - first);
            for (row, p) in rows.iter().enumerate() {
                let mut sums = [0.0_f32; LANES];
                for (&p, q) in p.iter().zip(q.as_chunks::<LANES>().0) {
                    for (sum, q) in sums.iter_mut().zip(q) {
                        *sum += p * q;
                    }
                }
                let start = row * self.n_items + first;
                for (score, sum) in out[start..start + width].iter_mut().zip(sums) {
                    *score = sum + self.bias;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::model::Config;

    const SIZES: Catalogue = Catalogue { n_users: 5, n_items: 37 };

    fn gmf() -> Gmf {
        Gmf { factors: 7 }
    }

    /// Values without structure, in (-1, 1).
    fn noise(n: usize, salt: u64) -> Vec<f32> {
        let mix = |k: u64| (k ^ (k >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
        (0..n as u64).map(|k| mix((k + 1) * 0x9e37_79b9 + salt * 0x1234_5677) as f32 / 8_388_608.0 - 1.0).collect()
    }

    fn weights() -> Weights {
        let parameters = gmf().parameters(SIZES);
        let tensors = parameters.iter().zip(0..).map(|(p, salt)| {
            let values = noise(p.count().unwrap(), salt);
            (p.name.to_owned(), Tensor::from_vec(values, p.shape.as_slice(), &Device::Cpu).unwrap())
        });
        Weights::new(tensors.collect(), &parameters, DType::F32).unwrap()
    }

    /// The formula, written down element by element in f64.
    fn by_hand(user: usize, item: usize) -> f64 {
        let (p, q, h, b) = (noise(35, 0), noise(259, 1), noise(7, 2), noise(1, 3));
        let term = |k: usize| f64::from(h[k]) * f64::from(p[user * 7 + k]) * f64::from(q[item * 7 + k]);
        (0..7).map(term).sum::<f64>() + f64::from(b[0])
    }

    #[test]
    fn logits_follow_the_formula() {
        let (users, items) = ([0_u32, 4, 2, 4], [36_u32, 0, 17, 17]);
        let tensor = |ids: &[u32]| Tensor::new(ids, &Device::Cpu).unwrap();
        let logits = gmf().logits(&weights(), &tensor(&users), &tensor(&items)).unwrap().to_vec1::<f32>().unwrap();
        for ((user, item), logit) in users.into_iter().zip(items).zip(logits) {
            assert!((f64::from(logit) - by_hand(user as usize, item as usize)).abs() < 1e-6);
        }
    }

    #[test]
    fn scores_follow_the_formula_and_both_methods_agree_to_the_last_bit() {
        let scorer = gmf().scorer(&weights()).unwrap();
        assert_eq!((scorer.n_users(), scorer.n_items()), (5, 37));
        let users = [3, 0, 3, 4];
        let mut all = vec![f32::NAN; users.len() * 37];
        scorer.score_all(&users, &mut all).unwrap();
        let items: Vec<u32> = (0..37).collect();
        for (user, row) in users.into_iter().zip(all.chunks_exact(37)) {
            let mut one = vec![f32::NAN; 37];
            scorer.score_user(user, &items, &mut one).unwrap();
            assert_eq!(one, row);
            for (item, &score) in row.iter().enumerate() {
                assert!((f64::from(score) - by_hand(user as usize, item)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn ids_outside_of_the_catalogue_are_errors() {
        let scorer = gmf().scorer(&weights()).unwrap();
        assert!(scorer.score_user(5, &[0], &mut [0.0]).is_err());
        assert!(scorer.score_user(0, &[37], &mut [0.0]).is_err());
        assert!(scorer.score_all(&[0, u32::MAX], &mut [0.0; 74]).is_err());
        assert!(scorer.score_all(&[0], &mut [0.0; 36]).is_err());
        let out = Tensor::new(&[5_u32], &Device::Cpu).unwrap();
        assert!(gmf().logits(&weights(), &out, &out).is_err());
    }

    #[test]
    fn factors_must_be_between_one_and_a_limit() {
        assert!(gmf().check().is_ok());
        assert_eq!(Gmf { factors: 0 }.check().unwrap_err().field, "factors");
        assert!(Gmf { factors: MAX_FACTORS + 1 }.check().is_err());
    }

    #[test]
    fn a_model_file_comes_back_with_its_configuration() {
        let config = Config { model: crate::model::ModelSpec::Gmf(gmf()), n_users: 5, n_items: 37 };
        assert_eq!(config.to_json(), r#"{"model":{"kind":"gmf","factors":7},"n_users":5,"n_items":37}"#);
        assert_eq!(Config::from_json(config.to_json().as_bytes()), Ok(config.clone()));
        let bytes = weights().to_file(&config).unwrap();
        let back = Weights::from_file(&bytes, &config).unwrap();
        for (name, tensor) in weights().tensors() {
            let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(tensor), values(back.get(name).unwrap()));
        }
        assert_eq!(back.to_file(&config).unwrap(), bytes);
    }

    #[test]
    fn weights_of_other_names_shapes_types_or_values_are_refused() {
        let config = Config { model: crate::model::ModelSpec::Gmf(gmf()), n_users: 5, n_items: 37 };
        let refusal = |change: &dyn Fn(&mut std::collections::BTreeMap<String, Tensor>)| {
            let mut tensors = weights().tensors().clone();
            change(&mut tensors);
            let bytes = crate::model::file::encode(&tensors, "k", String::new()).unwrap();
            Weights::from_file(&bytes, &config).expect_err("must be refused").message
        };
        let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
        assert!(refusal(&|t| drop(t.remove(USER))).contains("`embed_user_GMF.weight` is missing"));
        assert!(refusal(&|t| drop(t.insert("x".into(), zeros(&[1], DType::F32)))).contains("`x` is not part"));
        assert!(refusal(&|t| drop(t.insert(USER.into(), zeros(&[7, 5], DType::F32)))).contains("[7, 5] instead of"));
        assert!(refusal(&|t| drop(t.insert(BIAS.into(), zeros(&[1], DType::F64)))).contains("f64 [1] instead of f32"));
        for bad in [f32::NAN, f32::INFINITY] {
            let tensor = Tensor::new(&[bad], &Device::Cpu).unwrap();
            assert!(refusal(&|t| drop(t.insert(BIAS.into(), tensor.clone()))).contains("`predict_layer.bias` has"));
        }
    }

    #[test]
    fn a_configuration_that_makes_no_model_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"model":{"kind":"gmf","factors":0},"n_users":1,"n_items":1}"#,
            r#"{"model":{"kind":"gmf","factors":-1},"n_users":1,"n_items":1}"#,
            r#"{"model":{"kind":"gmf","factor":1},"n_users":1,"n_items":1}"#,
            r#"{"model":{"kind":"other"},"n_users":1,"n_items":1}"#,
            r#"{"model":{"kind":"gmf","factors":8},"n_users":1,"n_items":4294967296}"#,
            r#"{"model":{"kind":"gmf","factors":8},"n_users":1,"n_items":1,"more":1}"#,
        ] {
            assert!(Config::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }
}
