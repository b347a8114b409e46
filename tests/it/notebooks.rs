//! The notebooks as pipelines, each run whole on a small data set in the format of the real one.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::support::{Project, Ran, repository};

/// Ratings of 60 users for 50 items, a third of them by taste, as lines of a format.
fn ratings(line: impl Fn(u32, u32, u32, u32) -> String) -> String {
    let mut text = String::new();
    for user in 1..=60_u32 {
        for k in 0..20_u32 {
            // The items of the user's half, each once, and a few of the other half, rated low.
            let low = k % 5 == 4;
            let half = (user + u32::from(low)) % 2;
            let item = 1 + half * 25 + (user * 7 + k * 3) % 25;
            writeln!(text, "{}", line(user, item, if low { 2 } else { 4 + k % 2 }, 900_000_000 + user * 1000 + k))
                .unwrap();
        }
    }
    text
}

/// The files of Wang et al.: `user item flag`, the last item of each user for test, the one before for validation.
fn denoising(project: &Project, key: &str) {
    let [mut train, mut valid, mut test] = [const { String::new() }; 3];
    for user in 0..60_u32 {
        for k in 0..14_u32 {
            let noisy = k % 6 == 5;
            let item = (user + u32::from(noisy)) % 2 * 25 + (user * 7 + k * 3) % 25;
            match k {
                12 => writeln!(valid, "{user}\t{item}\t1").unwrap(),
                13 => writeln!(test, "{user}\t{item}").unwrap(),
                _ => writeln!(train, "{user}\t{item}\t{}", u32::from(!noisy)).unwrap(),
            }
        }
    }
    project.write(&format!("data/{key}.train.rating"), train);
    project.write(&format!("data/{key}.valid.rating"), valid);
    project.write(&format!("data/{key}.test.negative"), test);
}

/// Runs a shipped pipeline with the data in `data/`, and again, which must do nothing.
fn run(project: &Project, name: &str, settings: &[&str]) -> Ran {
    let file = repository().join(format!("pipelines/{name}.yaml"));
    let mut more = vec!["--set", "data=data"];
    more.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    let ran = project.run(file.to_str().unwrap(), &more).ends(0);
    let again = project.run(file.to_str().unwrap(), &more).ends(0);
    assert_eq!(again.with("fresh").len(), ran.statuses().len(), "{name}: the second run does nothing");
    ran
}

/// The rows of `results.json` of a pipeline: how many there are.
fn results(project: &Project, name: &str) -> usize {
    let text = fs::read_to_string(project.path(&format!("outputs/{name}/results/results.json"))).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    json.as_array().or_else(|| json["rows"].as_array()).unwrap().len()
}

#[test]
fn the_focal_loss_experiments_run_whole() {
    let project = Project::new();
    project.write("data/ratings.dat", ratings(|u, i, r, t| format!("{u}::{i}::{r}::{t}")));
    let small = ["epochs=3", "factors=4", "hidden=[8, 4]"];
    let ran = run(&project, "focal_ml1m", &small);
    assert!(ran.with("ran").contains(&"expectations".to_owned()));
    let grid = [&small[..], &["gammas=[0.5, 2.0]", "alphas=[0.25]", "seeds=[1, 2]"]].concat();
    run(&project, "focal_grid_ml1m", &grid);
    assert_eq!(results(&project, "focal_grid_ml1m"), 4);
}

#[test]
fn the_movielens_100k_experiments_run_whole() {
    let project = Project::new();
    project.write("data/u.data", ratings(|u, i, r, t| format!("{u}\t{i}\t{r}\t{t}")));
    run(&project, "negatives_ml100k", &["epochs=1", "counts=[1, 4]"]);
    assert_eq!(results(&project, "negatives_ml100k"), 2);
    run(&project, "architectures_ml100k", &["epochs=1", "architectures=[[8, 4], [16]]"]);
    run(&project, "pretrain_ml100k", &["epochs=1"]);
    run(&project, "bpr_ml100k", &["epochs=1", "seeds=[1, 2]"]);
    assert_eq!(results(&project, "bpr_ml100k"), 2);
}

#[test]
fn the_ncf_experiments_run_whole() {
    let project = Project::new();
    project.write("data/ratings.dat", ratings(|u, i, r, t| format!("{u}::{i}::{r}::{t}")));
    run(&project, "ncf_ml1m", &["epochs=1", "factors=4"]);
    let [mut train, mut test, mut candidates] = [const { String::new() }; 3];
    for user in 0..60_u32 {
        for k in 0..12_u32 {
            let line = format!("{user}\t{}\t5\t{k}\n", (user % 2) * 25 + (user * 7 + k * 3) % 25);
            if k == 11 { test.push_str(&line) } else { train.push_str(&line) }
        }
        let positive = (user % 2) * 25 + (user * 7 + 33) % 25;
        let negatives: Vec<String> = (0..10).map(|k| ((1 - user % 2) * 25 + k).to_string()).collect();
        writeln!(candidates, "({user},{positive})\t{}", negatives.join("\t")).unwrap();
    }
    for (name, text) in [("train.rating", train), ("test.rating", test), ("test.negative", candidates)] {
        project.write(&format!("data/ml-1m.{name}"), text);
    }
    run(&project, "ncf_paper_ml1m", &["epochs=1", "pretrained_epochs=1", "factors=4", "seeds=[1, 2]"]);
    // Four neural models with two seeds each, and three baselines.
    assert_eq!(results(&project, "ncf_paper_ml1m"), 4 * 2 + 3);
}

#[test]
fn the_denoising_experiments_run_whole_and_report_what_was_dropped() {
    let project = Project::new();
    for key in ["yelp", "amazon_book", "adressa"] {
        denoising(&project, key);
        let name = format!("denoise_{key}");
        let settings = [
            "epochs=2",
            "factors=4",
            "batch_size=64",
            "every_steps=10",
            "tce_gmf={kind: t_ce, max_drop_rate: 0.2, steps: 10}",
            "tce_neumf={kind: t_ce, max_drop_rate: 0.2, steps: 10}",
        ];
        run(&project, &name, &settings);
        assert_eq!(results(&project, &name), 6, "two models, three losses");
        let cells: Vec<_> = fs::read_dir(project.path(&format!("outputs/{name}/gmf"))).unwrap().collect();
        let reports =
            cells.into_iter().filter(|cell| cell.as_ref().unwrap().path().join("denoising.parquet").is_file());
        assert_eq!(reports.count(), 2, "of T-CE and R-CE, not of cross-entropy");
    }
}
