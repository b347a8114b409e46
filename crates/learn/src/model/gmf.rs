//! Generalised matrix factorisation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::mlp::FACTORS;
use crate::model::tower::{Head, Tables, Tower};
use crate::model::{Family, Refused, widths};

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
    FACTORS
}

impl Family for Gmf {
    fn name(&self) -> &'static str {
        "GMF"
    }

    fn normalise(&mut self) -> Result<(), Refused> {
        widths::check("factors", self.factors)
    }

    fn tower(&self) -> Tower {
        Tower {
            product: Some(tables(self.factors)),
            perceptron: None,
            head: Head::Linear { weight: "predict_layer.weight", bias: Some("predict_layer.bias") },
            item_bias: None,
            normal_init: false,
        }
    }
}

/// The embeddings of GMF, alone and as a part of NeuMF.
pub(super) fn tables(factors: u32) -> Tables {
    Tables { user: "embed_user_GMF.weight", item: "embed_item_GMF.weight", width: factors as usize }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;
    use crate::model::{Architecture, Catalogue, Config, Input, NoHistory, Trainable, Weights};

    const USER: &str = "embed_user_GMF.weight";
    const BIAS: &str = "predict_layer.bias";
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
            (p.name.clone(), Tensor::from_vec(values, p.shape.as_slice(), &Device::Cpu).unwrap())
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
        let logits = gmf()
            .logits(&weights(), &Input::pairs(&tensor(&users), &tensor(&items)))
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        for ((user, item), logit) in users.into_iter().zip(items).zip(logits) {
            assert!((f64::from(logit) - by_hand(user as usize, item as usize)).abs() < 1e-6);
        }
    }

    #[test]
    fn scores_follow_the_formula_and_both_methods_agree_to_the_last_bit() {
        let scorer = gmf().scorer(SIZES, &weights(), &NoHistory).unwrap();
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
        let scorer = gmf().scorer(SIZES, &weights(), &NoHistory).unwrap();
        assert!(scorer.score_user(5, &[0], &mut [0.0]).is_err());
        assert!(scorer.score_user(0, &[37], &mut [0.0]).is_err());
        assert!(scorer.score_all(&[0, u32::MAX], &mut [0.0; 74]).is_err());
        let out = Tensor::new(&[5_u32], &Device::Cpu).unwrap();
        assert!(gmf().logits(&weights(), &Input::pairs(&out, &out)).is_err());
    }

    #[test]
    fn factors_must_be_between_one_and_a_limit() {
        assert!(Architecture::normalise(&mut gmf()).is_ok());
        assert_eq!(Architecture::normalise(&mut Gmf { factors: 0 }).unwrap_err().field, "factors");
        assert!(Architecture::normalise(&mut Gmf { factors: widths::MAX_WIDTH + 1 }).is_err());
    }

    #[test]
    fn a_model_file_comes_back_with_its_configuration() {
        let config = Config { model: crate::model::ModelSpec::Gmf(gmf()).into(), n_users: 5, n_items: 37 };
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
        let config = Config { model: crate::model::ModelSpec::Gmf(gmf()).into(), n_users: 5, n_items: 37 };
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
