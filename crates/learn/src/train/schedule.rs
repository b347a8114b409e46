//! How the learning rate changes in the course of training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Refused;

/// How the learning rate changes in the course of training. The rate of a step is that of the optimizer times the factor
/// of the schedule, after a warm-up if there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// The number of steps in which the rate grows linearly to its full value: the factor of step `t`, counted from 0,
    /// is `(t + 1) / warmup_steps` until it reaches 1.
    pub warmup_steps: u64,
    /// What follows.
    pub decay: Decay,
}

/// How the learning rate falls, step by step, after the warm-up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decay {
    /// Not at all.
    #[default]
    Constant,
    /// Linearly, to 0 after the last step.
    Linear {},
    /// Along half a cosine, to 0 after the last step (Loshchilov & Hutter 2017, without restarts).
    Cosine {},
    /// By a factor after every so many steps: `torch.optim.lr_scheduler.StepLR`.
    Step {
        /// After how many steps.
        every: u64,
        /// By what it is multiplied.
        factor: f64,
    },
    /// By a factor after every step: `torch.optim.lr_scheduler.ExponentialLR`.
    Exponential {
        /// By what it is multiplied.
        factor: f64,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self { warmup_steps: 0, decay: Decay::Constant }
    }
}

impl Schedule {
    /// Refuses settings that cannot work.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self) -> Result<(), Refused> {
        let refused = |field, message: String| Err(Refused { field, message });
        match self.decay {
            Decay::Step { every: 0, .. } => refused("decay.every", "must be at least 1, not 0".to_owned()),
            Decay::Step { factor, .. } | Decay::Exponential { factor } if !(factor > 0.0 && factor <= 1.0) => {
                refused("decay.factor", format!("must be above 0 and at most 1, not {factor}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether it depends on how long training is to last.
    pub fn needs_end(&self) -> bool {
        matches!(self.decay, Decay::Linear {} | Decay::Cosine {})
    }

    /// The factor of a step, counted from 0, of `total` steps.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let (step, total) = (step - self.warmup_steps, total.saturating_sub(self.warmup_steps).max(1));
        let share = (step as f64 / total as f64).min(1.0);
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear {} => 1.0 - share,
            Decay::Cosine {} => 0.5 * (1.0 + (std::f64::consts::PI * share).cos()),
            Decay::Step { every, factor } => factor.powf((step / every.max(1)) as f64),
            Decay::Exponential { factor } => factor.powf(step as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: &str, steps: &[u64], total: u64) -> Vec<f64> {
        let schedule: Schedule = serde_json::from_str(schedule).unwrap();
        assert_eq!(schedule.check(), Ok(()));
        steps.iter().map(|&step| schedule.factor(step, total)).collect()
    }

    #[test]
    fn the_rate_grows_in_the_warm_up_and_then_follows_its_decay() {
        assert_eq!(factors("{}", &[0, 5, 1_000_000], 10), [1.0, 1.0, 1.0]);
        assert_eq!(factors(r#"{"warmup_steps":4}"#, &[0, 1, 3, 4], 10), [0.25, 0.5, 1.0, 1.0]);
        assert_eq!(factors(r#"{"decay":{"kind":"linear"}}"#, &[0, 5, 9], 10), [1.0, 0.5, 1.0 - 0.9]);
        assert_eq!(factors(r#"{"warmup_steps":2,"decay":{"kind":"linear"}}"#, &[2, 6], 10), [1.0, 0.5]);
        let cosine = factors(r#"{"decay":{"kind":"cosine"}}"#, &[0, 5, 10], 10);
        assert!((cosine[0] - 1.0).abs() + (cosine[1] - 0.5).abs() + cosine[2].abs() < 1e-15);
        // StepLR(step_size=30, gamma=.5) and ExponentialLR(gamma=.5).
        assert_eq!(factors(r#"{"decay":{"kind":"step","every":30,"factor":0.5}}"#, &[29, 30, 60], 9), [1.0, 0.5, 0.25]);
        assert_eq!(factors(r#"{"decay":{"kind":"exponential","factor":0.5}}"#, &[0, 1, 3], 9), [1.0, 0.5, 0.125]);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        for text in [
            r#"{"decay":{"kind":"step","every":0,"factor":0.5}}"#,
            r#"{"decay":{"kind":"step","every":1,"factor":0}}"#,
            r#"{"decay":{"kind":"exponential","factor":1.5}}"#,
        ] {
            assert!(serde_json::from_str::<Schedule>(text).unwrap().check().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Schedule>(r#"{"decay":{"kind":"step"}}"#).is_err());
    }
}
