//! What is kept of the course of training, and what follows from it.

/// What is kept at the end of each epoch and at each validation. No times: the history is part of the output, whose
/// bytes must not depend on speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// The epoch that was going on or had just ended, counted from 1.
    pub epoch: u32,
    /// How many steps were made since training began.
    pub step: u64,
    /// The mean loss of the samples since the last record, each at the weights with which it was trained on.
    pub train_loss: f64,
    /// The mean loss of the validation samples, if the model was validated.
    pub valid_loss: Option<f64>,
    /// The ranking metric that validation goes by, if it goes by one and the model was validated.
    pub valid_metric: Option<f64>,
}

/// What a run's validations say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The number of the record with the best validation; the first of equally good ones.
    pub(super) best: Option<usize>,
    /// Whether training should end because of the patience.
    pub(super) stop: bool,
}

/// Judges the records so far, by the metric where there is one, else by the loss. A pure function of the history, so
/// that a resumed run needs no other memory.
pub(super) fn judge(history: &[Record], patience: Option<u32>) -> Verdict {
    let mut best: Option<(usize, f64)> = None;
    let mut worse_in_a_row = 0;
    // The smaller, the better.
    let cost = |record: &Record| record.valid_metric.map(|metric| -metric).or(record.valid_loss);
    for (number, cost) in history.iter().enumerate().filter_map(|(number, record)| Some((number, cost(record)?))) {
        if best.is_none_or(|(_, least)| cost < least) {
            best = Some((number, cost));
            worse_in_a_row = 0;
        } else {
            worse_in_a_row += 1;
        }
    }
    Verdict { best: best.map(|(number, _)| number), stop: patience.is_some_and(|patience| worse_in_a_row >= patience) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(valid_loss: f64, valid_metric: f64) -> Record {
        let some = |value: f64| (!value.is_nan()).then_some(value);
        let (valid_loss, valid_metric) = (some(valid_loss), some(valid_metric));
        Record { epoch: 1, step: 1, train_loss: 1.0, valid_loss, valid_metric }
    }

    #[test]
    fn training_stops_once_patience_is_used_up_and_the_first_best_record_is_kept() {
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
            let history: Vec<_> = losses.iter().map(|&loss| record(loss, n)).collect();
            assert_eq!(judge(&history, patience), Verdict { best, stop }, "{losses:?} {patience:?}");
        }
    }

    #[test]
    fn a_metric_counts_before_the_loss_and_the_larger_is_the_better() {
        let history = [record(3.0, 0.2), record(2.0, 0.5), record(1.0, 0.5), record(0.5, 0.4)];
        assert_eq!(judge(&history, Some(2)), Verdict { best: Some(1), stop: true });
    }
}
