//! Scores beside candle's logits, for every kind of model.

use candle_core::{DType, Device, Tensor};

use crate::model::scorer::Scorer;
use crate::model::{Catalogue, Cdae, Gmf, History, Input, Mf, Mlp, ModelSpec, NeuMf, NeuMfD2l, Weights};

/// Values without structure, in (-1, 1).
fn noise(n: usize, salt: u64) -> Vec<f32> {
    let mix = |k: u64| (k ^ (k >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
    (0..n as u64).map(|k| mix((k + 1) * 0x9e37_79b9 + salt * 0x1234_5677) as f32 / 8_388_608.0 - 1.0).collect()
}

/// User `u` has the items `u`, `u + 7` and `u + 9`, if they exist; user 3 has none.
struct Some3;

impl History for Some3 {
    fn items(&self, user: u32) -> &[u32] {
        const ITEMS: [[u32; 3]; 6] = [[0, 7, 9], [1, 8, 10], [2, 9, 11], [0; 3], [4, 11, 13], [5, 12, 14]];
        if user == 3 { &[] } else { ITEMS.get(user as usize).map_or(&[], |items| items) }
    }
}

fn models() -> Vec<ModelSpec> {
    let mlp = |hidden: &[u32], embedding| {
        ModelSpec::Mlp(Mlp { factors: None, layers: None, hidden: Some(hidden.into()), embedding, dropout: 0.5 })
    };
    let neumf = |factors, hidden: &[u32], embedding| {
        let hidden = Some(hidden.to_vec());
        ModelSpec::NeuMf(NeuMf { factors, layers: None, hidden, embedding, dropout: 0.0 })
    };
    let mut models = vec![
        mlp(&[1], Some(1)),
        mlp(&[33, 16, 7], Some(5)),
        mlp(&[64], Some(64)),
        neumf(32, &[128, 64, 32], Some(128)),
        neumf(3, &[17, 40, 1], Some(31)),
        ModelSpec::NeuMfD2l(NeuMfD2l { factors: 10, hidden: vec![10, 10, 10] }),
        ModelSpec::Cdae(Cdae { hidden: 13, corruption: 0.5 }),
        ModelSpec::Cdae(Cdae { hidden: 200, corruption: 0.0 }),
    ];
    for factors in [1, 2, 7, 8, 31, 32, 33, 64, 100] {
        models.push(ModelSpec::Gmf(Gmf { factors }));
        models.push(ModelSpec::Mf(Mf { factors, item_bias: factors % 2 == 0 }));
    }
    models
}

/// A model's weights: noise, in layers scaled so that sums keep their size.
fn weights(model: &ModelSpec, catalogue: Catalogue) -> Weights {
    let parameters = model.parameters(catalogue);
    let tensors = (0..).zip(&parameters).map(|(salt, parameter)| {
        let scale = parameter.shape.get(1).map_or(1.0, |&width| (width as f32).sqrt().recip());
        let values: Vec<f32> = noise(parameter.count().unwrap(), salt).iter().map(|value| value * scale).collect();
        let tensor = Tensor::from_vec(values, parameter.shape.as_slice(), &Device::Cpu).unwrap();
        (parameter.name.clone(), tensor)
    });
    Weights::new(tensors.collect(), &parameters, DType::F32).unwrap()
}

#[test]
fn scores_are_the_logits_of_every_model() {
    let catalogue = Catalogue { n_users: 6, n_items: 71 };
    let ids = |of: fn(u32) -> u32| Tensor::from_iter((0..6 * 71).map(of), &Device::Cpu).unwrap();
    let (users, items) = (ids(|pair| pair / 71), ids(|pair| pair % 71));
    for model in models() {
        let weights = weights(&model, catalogue);
        let input = Input { history: &Some3, ..Input::pairs(&users, &items) };
        let logits = model.logits(&weights, &input).unwrap().to_vec1::<f32>().unwrap();
        let scorer = model.scorer(catalogue, &weights, &Some3).unwrap();
        let mut scores = vec![f32::NAN; logits.len()];
        scorer.score_all(&[0, 1, 2, 3, 4, 5], &mut scores).unwrap();
        let size = logits.iter().fold(0.0_f32, |size, logit| size.max(logit.abs()));
        for (score, logit) in scores.iter().zip(&logits) {
            assert!((score - logit).abs() <= 1e-5 * size, "{model:?}: {score} is not {logit}");
        }
        assert_eq!(in_pieces(scorer.as_ref()), scores, "{model:?}");
    }
}

/// All scores, each asked for in lists or tiles of other lengths, by several threads.
fn in_pieces(scorer: &(dyn Scorer + Send + Sync)) -> Vec<f32> {
    let users = 0..scorer.n_users() as u32;
    let n_items = scorer.n_items() as u32;
    let row = |user: u32| -> Vec<f32> {
        let mut row = vec![f32::NAN; n_items as usize];
        let (head, tail) = row.split_at_mut(10 * (user as usize + 1));
        let cut = head.len() as u32;
        scorer.score_tile(&[user], 0..cut, head).unwrap();
        scorer.score_user(user, &(cut..n_items).collect::<Vec<_>>(), tail).unwrap();
        row
    };
    let row = &row;
    std::thread::scope(|scope| {
        let threads: Vec<_> = users.map(|user| scope.spawn(move || row(user))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}
