use serde_json::{Value, json};

use super::*;
use crate::model::Weights;
use crate::stage::{Artifact, Class, StageKind};
use crate::stages::tests::{Bench, Done, ITEMS, Rows, USERS};

/// A GMF with two factors whose user vectors are these; items have the vectors (i, 1 − i).
fn gmf(users: [[f32; 2]; USERS], trained_on: Option<&str>) -> Model {
    let text = format!(r#"{{"model": {{"kind": "gmf", "factors": 2}}, "n_users": {USERS}, "n_items": {ITEMS}}}"#);
    let config = Config::from_json(text.as_bytes()).unwrap();
    let items = (0..ITEMS).flat_map(|item| [item as f32, 1.0 - item as f32]).collect();
    let real = vec![
        ("embed_user_GMF.weight", users.concat()),
        ("embed_item_GMF.weight", items),
        ("predict_layer.weight", vec![1.0, 1.0]),
        ("predict_layer.bias", vec![0.0]),
    ];
    let weights = Weights::of(real, vec![], &config.model.parameters(config.catalogue())).unwrap();
    Model { config, weights, trained_on: trained_on.map(str::to_owned), chosen_on: None, begun_on: None }
}

const USER_VECTORS: [[f32; 2]; USERS] = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];

fn connect(bench: &mut Bench, port: &str, model: &Model) {
    bench.connect(port, port, |context| model.write(History::default(), "train", context).unwrap());
}

/// Users 0 and 2 have item 1 in common, user 1 nothing with anybody.
const TRAIN: Rows<'static> = &[(0, 0, 1), (0, 1, 2), (1, 4, 1), (2, 1, 1)];

fn bench(model: &Model) -> Bench {
    let mut bench = Bench::new();
    bench.split_as("feedback", TRAIN, &[], &[], false);
    connect(&mut bench, "model", model);
    bench
}

fn lists(done: &Done) -> Vec<i32> {
    Model::load(&done.dir).unwrap().weights.whole("colliding.neighbours").unwrap()
}

#[test]
fn neighbours_by_feedback_have_items_in_common() {
    let done =
        bench(&gmf(USER_VECTORS, None)).run::<CollidingInference>(json!({"neighbours": 5, "weight": 0.25})).unwrap();
    // Two lists of two places: there are two others.
    assert_eq!(lists(&done), [2, -1, -1, -1, 0, -1]);
    assert_eq!(done.fact("users_without_neighbours"), json!(1));
    assert_eq!(done.warnings(), ["1 of 3 users have no neighbours and keep the prediction of the model"]);
    let model = Model::load(&done.dir).unwrap();
    let train = crate::data::csr::Csr::from_pairs(3, 5, &[], &[]).unwrap();
    let scorer = model.scorer(&train).unwrap();
    let mut found = [0.0];
    scorer.score_user(0, &[3], &mut found).unwrap();
    // The logits of users 0 and 2 for item 3 are 3 and 3 − 2.
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let expected = 0.75 * sigmoid(3.0) + 0.25 * sigmoid(1.0);
    assert!((sigmoid(f64::from(found[0])) - expected).abs() < 1e-6);
    assert_eq!(done.json("model.json")["name"], "colliding inference");
}

#[test]
fn neighbours_by_vectors_point_the_same_way() {
    let mut bench = bench(&gmf(USER_VECTORS, None));
    connect(&mut bench, "vectors", &gmf([[1.0, 0.1], [-1.0, 0.2], [-2.0, 1.0]], None));
    let done = bench.run::<CollidingInference>(json!({"neighbours": 1})).unwrap();
    // Users 1 and 2 are near each other; the cosines of user 0 are negative.
    assert_eq!(lists(&done), [-1, 2, 1]);
}

#[test]
fn with_both_only_users_with_feedback_are_neighbours() {
    let mut bench = Bench::new();
    bench.split_as("feedback", &[(0, 0, 1), (2, 1, 1)], &[], &[], false);
    connect(&mut bench, "model", &gmf(USER_VECTORS, None));
    connect(&mut bench, "vectors", &gmf([[1.0, 0.1], [1.0, 0.2], [1.0, 1.0]], None));
    let done = bench.run::<CollidingInference>(json!({"neighbours": 2})).unwrap();
    assert_eq!(lists(&done), [2, -1, -1, -1, 0, -1]);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let refused = |bench: &Bench| bench.run::<CollidingInference>(json!({})).err().unwrap();
    let error = refused(&bench(&gmf(USER_VECTORS, Some("other rows"))));
    assert_eq!((error.class, error.help.unwrap().contains("`extra_feedback`")), (Class::Data, true));
    let mut two = bench(&gmf(USER_VECTORS, None));
    connect(&mut two, "vectors", &{
        let mut model = gmf(USER_VECTORS, None);
        model.config = Config::from_json(br#"{"model": {"kind": "popularity"}, "n_users": 3, "n_items": 5}"#).unwrap();
        let parameters = model.config.model.parameters(model.config.catalogue());
        Model { weights: Weights::of(vec![], vec![("item_counts", vec![1; 5])], &parameters).unwrap(), ..model }
    });
    assert_eq!(refused(&two).message, "popularity has no vectors of users");
    let mut other = bench(&gmf(USER_VECTORS, None));
    connect(&mut other, "vectors", &{
        let config = Config::from_json(br#"{"model": {"kind": "popularity"}, "n_users": 4, "n_items": 5}"#).unwrap();
        let parameters = config.model.parameters(config.catalogue());
        let weights = Weights::of(vec![], vec![("item_counts", vec![1; 5])], &parameters).unwrap();
        Model { config, weights, trained_on: None, chosen_on: None, begun_on: None }
    });
    assert!(refused(&other).message.contains("other numbers of users or items"));
}

#[test]
fn what_cannot_work_is_refused() {
    let decode = StageKind::of::<CollidingInference>().decode;
    let path = |params: Value| decode(params).err().unwrap().path;
    assert_eq!(path(json!({"neighbours": 0})), ["neighbours"]);
    assert_eq!(path(json!({"weight": 1.5})), ["weight"]);
    let stage = decode(json!({})).unwrap();
    assert_eq!(stage.params(), json!({"neighbours": 20, "weight": 0.5, "average": "probabilities"}));
    assert!(stage.check_inputs(&["model"]).is_err());
    assert!(stage.check_inputs(&["model", "vectors"]).is_ok());
}
