//! How well a loss tells noise from true positives, where the truth is known.

use crate::data::sample::NONE;

/// What a loss did in an epoch with the training positives that are known to be noise, and with the others.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DenoisingRecord {
    /// How many positives the epoch had.
    pub positives: u64,
    /// How many of them are noise.
    pub noisy: u64,
    /// How many were left out of the loss.
    pub dropped: u64,
    /// How many of those are noise.
    pub dropped_noisy: u64,
    /// The sum of the weights of noisy positives, compared with binary cross-entropy.
    pub noisy_weight: f64,
    /// The sum of the weights of clean positives.
    pub clean_weight: f64,
}

impl DenoisingRecord {
    /// Counts a batch in: `origins[k]` is the number of the training pair that sample `k` is, and `weights[k]` how much
    /// it counted.
    pub(super) fn count(&mut self, clean: &[bool], origins: &[u32], weights: &[f32]) {
        for (&origin, &weight) in origins.iter().zip(weights).filter(|(origin, _)| **origin != NONE) {
            let noisy = !clean[origin as usize];
            self.positives += 1;
            self.noisy += u64::from(noisy);
            self.dropped += u64::from(weight == 0.0);
            self.dropped_noisy += u64::from(noisy && weight == 0.0);
            *(if noisy { &mut self.noisy_weight } else { &mut self.clean_weight }) += f64::from(weight);
        }
    }

    /// The share of noise among what was dropped; none if nothing was.
    pub fn precision(&self) -> Option<f64> {
        (self.dropped > 0).then(|| self.dropped_noisy as f64 / self.dropped as f64)
    }

    /// The share of the noise that was dropped; none if there is no noise.
    pub fn recall(&self) -> Option<f64> {
        (self.noisy > 0).then(|| self.dropped_noisy as f64 / self.noisy as f64)
    }

    /// The share of noise among the positives: the precision of dropping at random.
    pub fn noise_rate(&self) -> Option<f64> {
        (self.positives > 0).then(|| self.noisy as f64 / self.positives as f64)
    }

    /// The mean weights of noisy and of clean positives; none where there are none.
    pub fn mean_weights(&self) -> [Option<f64>; 2] {
        let mean = |sum: f64, n: u64| (n > 0).then(|| sum / n as f64);
        [mean(self.noisy_weight, self.noisy), mean(self.clean_weight, self.positives - self.noisy)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_counted_against_the_truth() {
        let mut record = DenoisingRecord::default();
        let clean = [true, false, false, true];
        record.count(&clean, &[0, 1, NONE, 2], &[0.0, 0.0, 0.0, 0.5]);
        record.count(&clean, &[3], &[1.0]);
        assert_eq!((record.positives, record.noisy, record.dropped, record.dropped_noisy), (4, 2, 2, 1));
        assert_eq!((record.precision(), record.recall(), record.noise_rate()), (Some(0.5), Some(0.5), Some(0.5)));
        assert_eq!(record.mean_weights(), [Some(0.25), Some(0.5)]);
        assert_eq!(DenoisingRecord::default().mean_weights(), [None, None]);
        assert_eq!(DenoisingRecord::default().precision(), None);
    }
}
