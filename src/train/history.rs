//! What is kept of each epoch, and what follows from it.

/// What is kept of an epoch. No times: the history is part of the output, whose bytes must not depend on speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochRecord {
    /// The mean loss of the epoch's samples, each at the weights with which it was trained on.
    pub train_loss: f64,
    /// The mean loss of the validation samples after the epoch, if it was validated.
    pub valid_loss: Option<f64>,
}

/// What a run's validations say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The epoch with the smallest validation loss, counted from 0; the first of equally good ones.
    pub(super) best: Option<usize>,
    /// Whether training should end because of the patience.
    pub(super) stop: bool,
}

/// Judges the epochs so far. A pure function of the history, so that a resumed run needs no other memory.
pub(super) fn judge(history: &[EpochRecord], patience: Option<u32>) -> Verdict {
    let mut best: Option<(usize, f64)> = None;
    let mut worse_in_a_row = 0;
    for (epoch, loss) in history.iter().enumerate().filter_map(|(epoch, record)| Some((epoch, record.valid_loss?))) {
        if best.is_none_or(|(_, least)| loss < least) {
            best = Some((epoch, loss));
            worse_in_a_row = 0;
        } else {
            worse_in_a_row += 1;
        }
    }
    Verdict { best: best.map(|(epoch, _)| epoch), stop: patience.is_some_and(|patience| worse_in_a_row >= patience) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_stops_once_patience_is_used_up_and_the_first_best_epoch_is_kept() {
        let n = f64::NAN;
        for (losses, patience, best, stop) in [
            (vec![], Some(1), None, false),
            (vec![n, n], Some(1), None, false),
            (vec![3.0], Some(1), Some(0), false),
            (vec![3.0, 2.0], Some(1), Some(1), false),
            (vec![3.0, 3.0], Some(1), Some(0), true),
            (vec![3.0, 3.0], Some(2), Some(0), false),
            (vec![3.0, 3.0], None, Some(0), false),
            (vec![3.0, n, 4.0, n, 4.0], Some(2), Some(0), true),
            (vec![3.0, 4.0, 2.0, 4.0], Some(2), Some(2), false),
            (vec![3.0, 4.0, 2.0, 4.0, 2.0], Some(2), Some(2), true),
        ] {
            let record = |&loss: &f64| EpochRecord { train_loss: 1.0, valid_loss: (!loss.is_nan()).then_some(loss) };
            let history: Vec<_> = losses.iter().map(record).collect();
            assert_eq!(judge(&history, patience), Verdict { best, stop }, "{losses:?} {patience:?}");
        }
    }
}
