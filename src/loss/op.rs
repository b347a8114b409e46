//! A pointwise loss as a candle operation.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType, bail};

use crate::loss::Pointwise;

/// The mean of `loss` over a batch, differentiable by the logits.
pub(super) fn mean(loss: impl Pointwise + 'static, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    logits.contiguous()?.apply_op2(&labels.contiguous()?, Mean { loss })
}

/// Each term is computed in f64 and the sum is taken in the order of the batch, so that the result depends neither on
/// the type, but for its rounding, nor on threads.
struct Mean<L> {
    loss: L,
}

impl<L: Pointwise> CustomOp2 for Mean<L> {
    fn name(&self) -> &'static str {
        "mean-pointwise-loss"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, y: &CpuStorage, yl: &Layout) -> Result<(CpuStorage, Shape)> {
        if xl.dims() != yl.dims() || xl.dims().len() != 1 || xl.dims()[0] == 0 {
            bail!("a loss takes as many logits as labels, at least one, not {:?} and {:?}", xl.dims(), yl.dims());
        }
        let mean = match (x, y) {
            (CpuStorage::F32(x), CpuStorage::F32(y)) => {
                CpuStorage::F32(vec![self.mean(slice(x, xl)?, slice(y, yl)?) as f32])
            }
            (CpuStorage::F64(x), CpuStorage::F64(y)) => CpuStorage::F64(vec![self.mean(slice(x, xl)?, slice(y, yl)?)]),
            _ => bail!("a loss takes logits and labels of the same type, f32 or f64"),
        };
        Ok((mean, Shape::from(())))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = match x.dtype() {
            DType::F32 => self.slopes::<f32>(x, y, grad)?,
            DType::F64 => self.slopes::<f64>(x, y, grad)?,
            other => bail!("a loss has no gradient of type {other:?}"),
        };
        Ok((Some(dx), None))
    }
}

impl<L: Pointwise> Mean<L> {
    fn mean<T: WithDType>(&self, x: &[T], y: &[T]) -> f64 {
        let sum: f64 = x.iter().zip(y).map(|(x, y)| self.loss.value(x.to_f64(), y.to_f64())).sum();
        sum / x.len() as f64
    }

    fn slopes<T: WithDType>(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (xs, ys) = (x.to_vec1::<T>()?, y.to_vec1::<T>()?);
        let share = grad.to_scalar::<T>()?.to_f64() / xs.len() as f64;
        let slope = |(x, y): (&T, &T)| T::from_f64(self.loss.slope(x.to_f64(), y.to_f64()) * share);
        Tensor::from_vec(xs.iter().zip(&ys).map(slope).collect::<Vec<T>>(), x.shape(), x.device())
    }
}

fn slice<'a, T>(values: &'a [T], layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("a loss takes contiguous logits and labels"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType::{F32, F64, U32};
    use candle_core::{DType, Device, Var};

    use crate::loss::LossSpec;

    const X: [f64; 6] = [-40.0, -1.25, 0.0, 0.5, 3.0, 17.5];
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
        let (ours, theirs) = (LossSpec::default().mean(&x, &y).unwrap(), by_candle(&x, &y));
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
        let tensor = |n: usize, dtype: DType| candle_core::Tensor::zeros(n, dtype, &Device::Cpu).unwrap();
        let mean = |a, b| LossSpec::default().mean(&a, &b);
        assert!(mean(tensor(3, F32), tensor(2, F32)).is_err());
        assert!(mean(tensor(0, F32), tensor(0, F32)).is_err());
        assert!(mean(tensor(3, F32), tensor(3, F64)).is_err());
        assert!(mean(tensor(3, U32), tensor(3, U32)).is_err());
        assert!(mean(tensor(3, F64), tensor(3, F64)).is_ok());
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
