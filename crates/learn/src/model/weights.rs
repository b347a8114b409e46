//! The values of a model's parameters.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::model::file;
use crate::model::{Config, Error, Parameter, Result, Values};

/// The metadata key of a model file under which its configuration stands.
const CONFIG_KEY: &str = "config";

/// Tensors by the name that they have in PyTorch's `state_dict`.
#[derive(Debug, Clone, Default)]
pub struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// Weights that have exactly the names and shapes of `parameters`; those of real numbers have the type `dtype`.
    ///
    /// # Errors
    /// Names the first tensor that is missing, too many, or of another shape or type.
    pub fn new(tensors: BTreeMap<String, Tensor>, parameters: &[Parameter], dtype: DType) -> Result<Self> {
        for parameter in parameters {
            let Some(tensor) = tensors.get(&parameter.name) else {
                return Err(Error::failed(format!("tensor `{}` is missing", parameter.name)));
            };
            let expected = match parameter.values {
                Values::Real => dtype,
                Values::Whole => DType::I32,
            };
            if tensor.dims() != parameter.shape || tensor.dtype() != expected {
                let (found, expected) = (tensor.dtype().as_str(), expected.as_str());
                return Err(Error::failed(format!(
                    "tensor `{}` is {found} {:?} instead of {expected} {:?}",
                    parameter.name,
                    tensor.dims(),
                    parameter.shape
                )));
            }
        }
        match tensors.keys().find(|name| parameters.iter().all(|parameter| parameter.name != **name)) {
            Some(name) => Err(Error::failed(format!("tensor `{name}` is not part of the model"))),
            None => Ok(Self(tensors)),
        }
    }

    /// Tensors that are known to be those of the model, such as copies of its weights.
    pub fn from_tensors(tensors: BTreeMap<String, Tensor>) -> Self {
        Self(tensors)
    }

    /// Weights out of plain numbers: those of real parameters, and those of whole ones, by name.
    ///
    /// # Errors
    /// When they are not those of `parameters`.
    pub fn of(real: Vec<(&str, Vec<f32>)>, whole: Vec<(&str, Vec<i32>)>, parameters: &[Parameter]) -> Result<Self> {
        let shape = |name: &str| -> &[usize] {
            parameters.iter().find(|parameter| parameter.name == name).map_or(&[], |parameter| &parameter.shape)
        };
        let mut tensors = BTreeMap::new();
        for (name, values) in real {
            tensors.insert(name.to_owned(), Tensor::from_vec(values, shape(name), &Device::Cpu)?);
        }
        for (name, values) in whole {
            tensors.insert(name.to_owned(), Tensor::from_vec(values, shape(name), &Device::Cpu)?);
        }
        Self::new(tensors, parameters, DType::F32)
    }

    /// The real numbers of this name, row by row.
    ///
    /// # Errors
    /// When there is no such tensor of type F32.
    pub fn real(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.get(name)?.flatten_all()?.to_vec1()?)
    }

    /// The whole numbers of this name, row by row.
    ///
    /// # Errors
    /// When there is no such tensor of type I32.
    pub fn whole(&self, name: &str) -> Result<Vec<i32>> {
        Ok(self.get(name)?.flatten_all()?.to_vec1()?)
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.0.get(name).ok_or_else(|| Error::failed(format!("tensor `{name}` is missing")))
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.0
    }

    /// A copy with its own memory, which does not follow when the originals are trained on.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn snapshot(&self) -> Result<Self> {
        let copy = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.copy()?.detach()));
        Ok(Self(self.0.iter().map(copy).collect::<Result<_>>()?))
    }

    /// Refuses weights that are not numbers.
    ///
    /// # Errors
    /// Names the first tensor with a NaN or an infinity.
    pub fn check_finite(&self) -> Result<()> {
        for (name, tensor) in self.0.iter().filter(|(_, tensor)| tensor.dtype().is_float()) {
            let values = tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::failed(format!("tensor `{name}` has the value {} at {place}", values[place])));
            }
        }
        Ok(())
    }

    /// A safetensors file with these weights, and the configuration in its metadata.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn to_file(&self, config: &Config) -> Result<Vec<u8>> {
        file::encode(&self.0, CONFIG_KEY, config.to_json())
    }

    /// Weights from the bytes of a safetensors file that was written here or by PyTorch.
    ///
    /// # Errors
    /// When the file is not well formed (see [`file::decode`]), does not hold exactly the tensors of the model as F32
    /// (I32 where they are whole numbers), or holds a NaN or an infinity.
    pub fn from_file(bytes: &[u8], config: &Config) -> Result<Self> {
        let parameters = config.model.parameters(config.catalogue());
        let weights = Self::new(file::decode(bytes, CONFIG_KEY)?.tensors, &parameters, DType::F32)?;
        weights.check_finite()?;
        Ok(weights)
    }
}
