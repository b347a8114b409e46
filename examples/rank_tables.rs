//! Ranks all users of a model with given tables and prints how long it takes: the Rust side of `bench/ranking.py`.
//!
//! usage: rank_tables MODEL DIR USERS ITEMS FACTORS THREADS
//!
//! DIR has a file of little-endian f32 for each tensor of the model, `NAME.f32`. The held-out item of user `u` is
//! `u mod ITEMS`.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use ncf_pipe::data::csr::Csr;
use ncf_pipe::eval::{Task, Watch, evaluate, top_k};
use ncf_pipe::metric::{Measure, Metric};
use ncf_pipe::model::{Catalogue, Config, NoHistory, Weights};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, dir, users, items, factors, threads] = args.as_slice() else {
        return Err("usage: rank_tables MODEL DIR USERS ITEMS FACTORS THREADS".into());
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    let config = format!(r#"{{"model":{{"kind":"{model}","factors":{factors}}},"n_users":{users},"n_items":{items}}}"#);
    let config = Config::from_json(config.as_bytes())?;
    let (n_users, n_items) = (config.n_users, config.n_items);
    let parameters = config.model.parameters(Catalogue { n_users, n_items });
    let tensors = parameters.iter().map(|parameter| {
        let bytes = std::fs::read(Path::new(dir).join(format!("{}.f32", parameter.name)))?;
        let values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        Ok((parameter.name.clone(), Tensor::from_vec(values, parameter.shape.as_slice(), &Device::Cpu)?))
    });
    let weights = Weights::new(tensors.collect::<Result<_, Box<dyn Error>>>()?, &parameters, DType::F32)?;

    let time = Instant::now();
    let scorer = config.model.scorer(config.catalogue(), &weights, &NoHistory)?;
    let prepared = time.elapsed().as_secs_f64();

    let everybody: Vec<u32> = (0..n_users).collect();
    let held_out: Vec<u32> = everybody.iter().map(|user| user % n_items).collect();
    let positives = Csr::from_pairs(n_users, n_items, &everybody, &held_out)?;
    let watch = Watch { advance: &|_| (), stop: &|| false };
    let ten = std::num::NonZeroUsize::new(10).ok_or("10 is not 0")?;
    let measures = Measure::of_all(&[Metric::Hr, Metric::Ndcg], &[ten]);
    let task = Task { positives: &positives, sampled: None, full: Some(&[]), measures: &measures, audience: None };
    let time = Instant::now();
    let full = evaluate(scorer.as_ref(), &task, &watch)?.full.ok_or("there are ranks")?;
    let ranks = time.elapsed().as_secs_f64();

    let time = Instant::now();
    let top = top_k(scorer.as_ref(), &everybody, &[], 100, &watch)?;
    let best = time.elapsed().as_secs_f64();

    // 100 candidates a user, as many times as it takes for the pairs of seed 002.
    let pool: Vec<u32> = (0..115_056_u32 * 100).map(|place| place.wrapping_mul(2_654_435_761) % n_items).collect();
    let list = |user: u32| pool.get(user as usize % 115_056 * 100..).map(|pool| &pool[..100]);
    let task = Task { sampled: Some(&list), full: None, ..task };
    let rounds = 115_056_u32.div_ceil(n_users);
    let time = Instant::now();
    for _ in 0..rounds {
        evaluate(scorer.as_ref(), &task, &watch)?;
    }
    let sampled = time.elapsed().as_secs_f64() / f64::from(rounds * n_users) * 115_056.0;

    let rank_sum: f64 = full.ranks().iter().sum();
    let first_sum: u64 =
        (0..top.n_rows()).filter_map(|user| top.row(user).0.first()).map(|&item| u64::from(item)).sum();
    let peak = peak().map_or("null".to_owned(), |bytes| bytes.to_string());
    println!(
        r#"{{"prepare":{prepared},"ranks":{ranks},"top":{best},"sampled":{sampled},"peak":{peak},"rank_sum":{rank_sum},"first_sum":{first_sum}}}"#
    );
    Ok(())
}

/// The most memory in bytes that this process has had, where the system tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
