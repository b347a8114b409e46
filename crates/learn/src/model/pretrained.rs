//! NeuMF out of a trained GMF and a trained MLP.

use candle_core::Tensor;

use crate::model::{AnyModel, Config, Error, ModelSpec, NeuMf, Result, Weights};

/// The first weights of NeuMF from those of GMF and MLP (He et al. 2017, section 3.4.1): tables and layers are copied,
/// and the output layer is `[α h_gmf ; (1 − α) h_mlp]`, with the bias `α b_gmf + (1 − α) b_mlp`.
///
/// # Errors
/// When the two are not a GMF and an MLP whose widths and catalogues are those of the NeuMF.
pub fn pretrained(neumf: &NeuMf, parts: [(&Config, &Weights); 2], alpha: f64) -> Result<Weights> {
    let [(gmf, gmf_weights), (mlp, mlp_weights)] = parts;
    let other = |name: &str, config: &Config, expected: &str| {
        let found = serde_json::to_string(&config.model).unwrap_or_default();
        Error::failed(format!("the model connected as `{name}` is {found}, not {expected}"))
            .help("give both the widths that NeuMF has, or NeuMF theirs")
    };
    if !matches!(&gmf.model, AnyModel::Trained(ModelSpec::Gmf(gmf)) if gmf.factors == neumf.factors) {
        return Err(other("gmf", gmf, &format!("a GMF of {} factors", neumf.factors)));
    }
    let same = |mlp: &crate::model::Mlp| (&mlp.hidden, mlp.embedding) == (&neumf.hidden, neumf.embedding);
    if !matches!(&mlp.model, AnyModel::Trained(ModelSpec::Mlp(mlp)) if same(mlp)) {
        let (hidden, embedding) = (neumf.hidden.as_deref().unwrap_or_default(), neumf.embedding.unwrap_or(0));
        return Err(other("mlp", mlp, &format!("an MLP of layers {hidden:?} over embeddings of length {embedding}")));
    }
    if gmf.catalogue() != mlp.catalogue() {
        return Err(Error::failed("the models connected as `gmf` and `mlp` have other numbers of users or items")
            .help("train both on the same split"));
    }
    let (weight, bias) = ("predict_layer.weight", "predict_layer.bias");
    let mut tensors = gmf_weights.tensors().clone();
    tensors.extend(mlp_weights.tensors().clone());
    let own = |name| -> Result<[Tensor; 2]> {
        Ok([(gmf_weights.get(name)? * alpha)?, (mlp_weights.get(name)? * (1.0 - alpha))?])
    };
    let [a, b] = own(bias)?;
    tensors.insert(weight.to_owned(), Tensor::cat(&own(weight)?, 1)?);
    tensors.insert(bias.to_owned(), (a + b)?);
    let parameters = ModelSpec::NeuMf(neumf.clone()).parameters(gmf.catalogue());
    let dtype = gmf_weights.get(weight)?.dtype();
    Weights::new(tensors, &parameters, dtype)
}
