//! Which GPU a stage gets, and what its manifest says of that.

use std::sync::OnceLock;

use crate::stage::{Context, Device, Fault, Precision, Result};
use crate::train::{Card, Offer};

/// Whether `auto` found a GPU: looked for once a process, when the first stage could use one.
static FOUND: OnceLock<bool> = OnceLock::new();

/// A GPU that a stage may use.
pub(super) struct Gpu {
    card: Card,
    named: bool,
    precision: Precision,
}

impl Gpu {
    /// The GPU that the run was given, if any: that of `--device cuda:N`, or with `auto` the first one there is.
    pub(super) fn of(context: &Context<'_>) -> Option<Self> {
        let precision = context.precision();
        match context.device() {
            Device::Cpu => None,
            Device::Cuda(number) => Some(Self { card: Card(number), named: true, precision }),
            Device::Auto => FOUND.get_or_init(look).then_some(Self { card: Card(0), named: false, precision }),
        }
    }

    pub(super) fn offer(&self) -> Offer<'_> {
        let precision = match self.precision {
            Precision::Float32 => crate::train::Precision::Float32,
            Precision::Tf32 => crate::train::Precision::Tf32,
            Precision::Bf16 => crate::train::Precision::Bf16,
        };
        Offer { lender: &self.card, precision, named: self.named }
    }

    /// Notes that the GPU of this name did the work.
    pub(super) fn note(&self, name: &str, context: &Context<'_>) {
        context.ran_on(format!("cuda:{}", self.card.0));
        context.fact("gpu", name);
        context.fact("gpu_precision", format!("{:?}", self.precision).to_lowercase());
    }
}

fn look() -> bool {
    match Card(0).find() {
        Ok(name) => {
            tracing::info!("GPU 0 is used where it can be: {name}; `--device cpu` leaves it alone");
            true
        }
        // Nothing that anybody has to know of on a machine or in a build without.
        Err(error) => {
            tracing::debug!("no GPU is used: {error}");
            false
        }
    }
}

/// Refuses a GPU that the user named and that is not there, before anything runs, and warns of a precision that nothing
/// will use.
///
/// # Errors
/// What is missing, and what to do.
pub fn check_device(device: Device, precision: Precision) -> Result<()> {
    let Device::Cuda(number) = device else {
        let asked = precision != Precision::default();
        if asked && (device == Device::Cpu || !FOUND.get_or_init(look)) {
            tracing::warn!("`--gpu-precision` changes nothing: no GPU is used, and the processor computes in float32");
        }
        return Ok(());
    };
    match Card(number).find() {
        Ok(name) => {
            tracing::info!("GPU {number} is used where it can be: {name}");
            Ok(())
        }
        Err(error) => {
            // What is wrong, and behind it what to do.
            let text = error.to_string();
            let (message, help) = text.split_once(": ").unwrap_or((&text, ""));
            let other = if text.contains("--device cpu") { "" } else { "; or use `--device cpu`" };
            Err(Fault::data(message).help(format!("{help}{other}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{Class, ContextParts};

    #[test]
    fn a_gpu_that_is_not_there_is_refused_with_what_to_do() {
        let single = Precision::Float32;
        assert!(check_device(Device::Cpu, single).is_ok() && check_device(Device::Auto, single).is_ok());
        let refused = check_device(Device::Cuda(usize::MAX), single).unwrap_err();
        assert_eq!(refused.class, Class::Data);
        assert!(!refused.message.is_empty());
        let help = refused.help.unwrap();
        assert!(help.contains("--device cpu"), "{help}");
    }

    #[test]
    fn only_who_names_a_gpu_insists_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let of = |device| Gpu::of(&Context::new(ContextParts { device, ..ContextParts::in_dir(dir.path()) }));
        assert!(of(Device::Cpu).is_none());
        assert!(of(Device::Cuda(3)).is_some_and(|gpu| gpu.named && gpu.card == Card(3)));
        assert!(of(Device::Auto).is_none_or(|gpu| !gpu.named && gpu.card == Card(0)));
    }
}
