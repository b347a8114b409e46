//! A loss as a candle operation.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, WithDType, bail};

use crate::loss::{Asked, LossSpec, Scored};

/// The loss of a batch, differentiable by the logits.
pub(super) fn of_batch(loss: LossSpec, logits: &Tensor, labels: &[f32], step: u64) -> Result<Tensor> {
    if logits.dims() != [labels.len()] || labels.is_empty() {
        bail!("a loss takes as many logits as labels, at least one, not {:?} and {}", logits.dims(), labels.len());
    }
    logits.contiguous()?.apply_op1(OfBatch { loss, labels: labels.to_vec(), step })
}

/// All is computed in f64 and in the order of the batch, so that the result depends neither on the type, but for its
/// rounding, nor on threads.
struct OfBatch {
    loss: LossSpec,
    labels: Vec<f32>,
    step: u64,
}

impl CustomOp1 for OfBatch {
    fn name(&self) -> &'static str {
        "loss-of-batch"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let value = match x {
            CpuStorage::F32(x) => CpuStorage::F32(vec![self.value(slice(x, layout)?) as f32]),
            CpuStorage::F64(x) => CpuStorage::F64(vec![self.value(slice(x, layout)?)]),
            _ => bail!("a loss takes logits of type f32 or f64"),
        };
        Ok((value, Shape::from(())))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(match x.dtype() {
            DType::F32 => self.slopes::<f32>(x, grad)?,
            DType::F64 => self.slopes::<f64>(x, grad)?,
            other => bail!("a loss has no gradient of type {other:?}"),
        }))
    }
}

impl OfBatch {
    fn value<T: WithDType>(&self, x: &[T]) -> f64 {
        let logits: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
        self.loss.evaluate(Scored { logits: &logits, labels: &self.labels, step: self.step }, Asked::default())
    }

    fn slopes<T: WithDType>(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let logits: Vec<f64> = x.to_vec1::<T>()?.iter().map(|x| x.to_f64()).collect();
        let mut slopes = vec![0.0; logits.len()];
        let batch = Scored { logits: &logits, labels: &self.labels, step: self.step };
        self.loss.evaluate(batch, Asked { slopes: Some(&mut slopes), weights: None });
        let share = grad.to_scalar::<T>()?.to_f64();
        let slopes: Vec<T> = slopes.into_iter().map(|slope| T::from_f64(slope * share)).collect();
        Tensor::from_vec(slopes, x.shape(), x.device())
    }
}

fn slice<'a, T>(values: &'a [T], layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("a loss takes contiguous logits"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType::{F32, F64, U32};
    use candle_core::{DType, Device, Var};

    use crate::loss::LossSpec;

    const X: [f64; 6] = [-40.0, -1.25, 0.0, 0.5, 3.0, 17.5];
    const LABELS: [f32; 6] = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0];
    const Y: [f64; 6] = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0];

    /// The stable form out of candle's own differentiable operations.
    fn by_candle(x: &Var, y: &candle_core::Tensor) -> candle_core::Tensor {
        let softplus = (x.abs().unwrap().neg().unwrap().exp().unwrap() + 1.0).unwrap().log().unwrap();
        ((x.relu().unwrap() - (x.as_tensor() * y).unwrap()).unwrap() + softplus).unwrap().mean_all().unwrap()
    }

    #[test]
    fn value_and_gradient_equal_those_of_candles_own_operations() {
        let x = Var::new(&X, &Device::Cpu).unwrap();
        let y = candle_core::Tensor::new(&Y, &Device::Cpu).unwrap();
        let (ours, theirs) = (LossSpec::default().of_batch(&x, &LABELS, 0).unwrap(), by_candle(&x, &y));
        let scalar = |t: &candle_core::Tensor| t.to_scalar::<f64>().unwrap();
        assert!((scalar(&ours) - scalar(&theirs)).abs() < 1e-14);
        let gradient =
            |t: &candle_core::Tensor| (t * 3.0).unwrap().backward().unwrap().get(&x).unwrap().to_vec1::<f64>().unwrap();
        for (ours, theirs) in gradient(&ours).into_iter().zip(gradient(&theirs)) {
            assert!((ours - theirs).abs() < 1e-14, "{ours} {theirs}");
        }
    }

    #[test]
    fn batches_of_different_lengths_or_types_are_errors() {
        let of = |n: usize, dtype: DType, labels: usize| {
            let logits = candle_core::Tensor::zeros(n, dtype, &Device::Cpu).unwrap();
            LossSpec::default().of_batch(&logits, &vec![0.0; labels], 0)
        };
        assert!(of(3, F32, 2).is_err());
        assert!(of(0, F32, 0).is_err());
        assert!(of(3, U32, 3).is_err());
        assert!(of(3, F64, 3).is_ok());
    }

    #[test]
    fn an_unknown_loss_or_hyper_parameter_is_refused() {
        let parse = |text| serde_json::from_str::<LossSpec>(text);
        assert_eq!(parse(r#"{"kind":"bce"}"#).unwrap(), LossSpec::default());
        assert!(parse(r#"{"kind":"bce","gamma":1}"#).is_err());
        assert!(parse(r#"{"kind":"bc"}"#).is_err());
        assert!(parse("{}").is_err());
    }
}
