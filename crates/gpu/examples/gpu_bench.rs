//! How fast training and ranking are on the GPU of this machine, on synthetic data of known shapes, and whether both
//! agree with the processor there. Needs the driver, NVRTC and cuBLAS; no files.
//!
//! `gpu_bench [--device N] [--check] [--only TEXT] [--seconds S]` prints a Markdown table; `--check` only compares.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::rc::Rc;
use std::time::Instant;

use ncf_pipe_gpu::{
    Adam, Data, Device, Gpu, Loss, Optimizer, Output, Precision, Ranker, Rows, Settings, Shape, Trainer,
};
use ncf_pipe_kernel::Tower;

type Done<T = ()> = Result<T, Box<dyn Error>>;

struct Job {
    name: &'static str,
    sizes: (u32, u32, u32),
    gmf: usize,
    mlp: usize,
    hidden: &'static [usize],
    batch: u32,
    negatives: u32,
    loss: Loss,
    precision: Precision,
    filter: bool,
}

const ML20M: (u32, u32, u32) = (138_493, 26_744, 20_000_000);
const ML1M: (u32, u32, u32) = (6_040, 3_706, 994_169);
const YELP: (u32, u32, u32) = (45_548, 57_396, 1_672_520);
const DEEP: &[usize] = &[256, 128, 64];
const BASE: Job = Job {
    name: "ML-20M NeuMF, fp32",
    sizes: ML20M,
    gmf: 64,
    mlp: 128,
    hidden: DEEP,
    batch: 1 << 20,
    negatives: 4,
    loss: Loss::Bce,
    precision: Precision::Float32,
    filter: true,
};
const T_CE: Loss = Loss::TCe { max_drop_rate: 0.2, steps: 30_000, exponent: 1.0 };
const JOBS: &[Job] = &[
    BASE,
    Job { name: "ML-20M NeuMF, fp32, unfiltered", filter: false, ..BASE },
    Job { name: "ML-20M NeuMF, TF32", precision: Precision::Tf32, ..BASE },
    Job { name: "ML-20M NeuMF, bf16", precision: Precision::Bf16, ..BASE },
    Job { name: "ML-20M GMF", mlp: 0, hidden: &[], ..BASE },
    Job { name: "ML-1M NeuMF 32, batch 256", sizes: ML1M, gmf: 32, hidden: &[128, 64, 32], batch: 256, ..BASE },
    Job { name: "ML-1M GMF 32, batch 256", sizes: ML1M, gmf: 32, mlp: 0, hidden: &[], batch: 256, ..BASE },
    Job {
        name: "Yelp GMF 32, T-CE",
        sizes: YELP,
        gmf: 32,
        mlp: 0,
        hidden: &[],
        batch: 1024,
        negatives: 1,
        loss: T_CE,
        ..BASE
    },
    Job { name: "Yelp NeuMF 32", sizes: YELP, gmf: 32, hidden: &[128, 64, 32], batch: 1024, negatives: 1, ..BASE },
];

impl Job {
    fn settings(&self) -> Settings {
        let (n_users, n_items, _) = self.sizes;
        let (gmf, mlp, hidden, output) = (self.gmf, self.mlp, self.hidden.to_vec(), Output::Affine);
        Settings {
            shape: Shape { n_users, n_items, gmf, mlp, hidden, output, item_bias: false },
            optimizer: Optimizer::Adam(Adam::default()),
            loss: self.loss,
            dropout: 0.0,
            batch: self.batch,
            negatives: self.negatives,
            seed: 42,
            precision: self.precision,
            rows: None,
        }
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Users with as many items as the mean, items in proportion to about 1 / rank.
fn synthetic((n_users, n_items, n): (u32, u32, u32)) -> (Vec<u32>, Vec<u32>, Vec<usize>) {
    let (mut users, mut items, mut starts) = (Vec::new(), Vec::new(), vec![0]);
    for user in 0..n_users {
        let wanted = (u64::from(user) + 1) * u64::from(n) / u64::from(n_users)
            - u64::from(user) * u64::from(n) / u64::from(n_users);
        let mut own: Vec<u32> = Vec::new();
        let mut draw = u64::from(user) << 32;
        while (own.len() as u64) < wanted {
            for _ in own.len() as u64..wanted {
                draw += 1;
                let unit = (mix(draw.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 11) as f64 / (1_u64 << 53) as f64;
                own.push((f64::from(n_items).powf(unit) as u32 - 1).wrapping_mul(7919) % n_items);
            }
            own.sort_unstable();
            own.dedup();
        }
        users.extend(std::iter::repeat_n(user, own.len()));
        items.extend(own);
        starts.push(items.len());
    }
    (users, items, starts)
}

fn fill(trainer: &mut Trainer, shape: &Shape, mut other: Option<&mut Tower>) -> Done {
    for (salt, (tensor, dims)) in (1_u64..).zip(shape.tensors()) {
        let n: usize = dims.iter().product();
        let values: Vec<f32> =
            (0..n as u64).map(|k| (mix(k * 31 + salt) >> 40) as f32 / 8_388_608.0 - 1.0).map(|x| 0.05 * x).collect();
        trainer.set_values(tensor, &values)?;
        if let Some(tower) = &mut other {
            tower.set_values(tensor, &values)?;
        }
    }
    Ok(())
}

/// How far values are from others: by the length of the difference and by its greatest value, each relative to the
/// same of the others; infinite where one is no number, which a maximum would pass over.
fn distance(ours: &[f32], theirs: &[f32]) -> [f64; 2] {
    let (mut lengths, mut greatest) = ([1e-60_f64, 0.0], [1e-30_f64, 0.0]);
    for (a, b) in ours.iter().zip(theirs) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        let apart = if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
        lengths = [lengths[0] + b * b, lengths[1] + apart * apart];
        greatest = [greatest[0].max(b.abs()), greatest[1].max(apart)];
    }
    [(lengths[1] / lengths[0]).sqrt(), greatest[1] / greatest[0]]
}

/// A hundred steps (ten of a large batch) here and on the processor; the greatest distances of any tensor.
fn check(device: &Rc<dyn Device>, job: &Job) -> Done<Option<[f64; 2]>> {
    let small = (job.sizes.0.min(5_000), job.sizes.1.min(3_000), job.sizes.2.min(200_000));
    let job = Job { sizes: small, batch: job.batch.min(1 << 16), ..*job };
    // What T-CE keeps is checked by the tests; here it would take the processor's loss.
    let Loss::Bce = job.loss else { return Ok(None) };
    let (users, items, starts) = synthetic(job.sizes);
    let (settings, seen) = (job.settings(), Rows { starts: &starts, items: &items });
    let data = Data { users: &users, items: &items, seen, fixed: None, weights: None, redraw: true };
    let mut trainer = Trainer::new(device.clone(), &settings, &data)?;
    let mut tower = Tower::new(&settings.shape, &settings.optimizer, 0)?;
    fill(&mut trainer, &settings.shape, Some(&mut tower))?;
    for step in 0..if job.batch > 4096 { 10 } else { 100 } {
        let (users, items, labels) = trainer.batch()?;
        trainer.run(&[1e-3])?;
        let logits = tower.forward(&users, &items, None)?;
        let n = labels.len() as f64;
        let slope = |(x, y): (&f32, &f32)| ((1.0 / (1.0 + (-f64::from(*x)).exp()) - f64::from(*y)) / n) as f32;
        let slopes: Vec<f32> = logits.iter().zip(&labels).map(slope).collect();
        tower.backward(&slopes, 1e-3)?;
        if trainer.left() == 0 {
            trainer.begin_epoch(step + 1, 0)?;
        }
    }
    trainer.settle()?;
    tower.flush();
    let (ours, theirs) = (trainer.state()?, tower.state());
    let mut most = [0.0_f64; 2];
    for (tensor, parts) in &theirs.tensors {
        for (ours, theirs) in ours.tensors[tensor].iter().zip(parts) {
            let [length, greatest] = distance(ours, theirs);
            most = [most[0].max(length), most[1].max(greatest)];
        }
    }
    Ok(Some(most))
}

fn measure(device: &Rc<dyn Device>, job: &Job, seconds: f64) -> Done<String> {
    let (users, items, starts) = synthetic(job.sizes);
    let (settings, zeros) = (job.settings(), vec![0; starts.len()]);
    let filter = Rows { starts: &starts, items: &items };
    let seen = if job.filter { filter } else { Rows { starts: &zeros, items: &[] } };
    let data = Data { users: &users, items: &items, seen, fixed: None, weights: None, redraw: true };
    let mut trainer = Trainer::new(device.clone(), &settings, &data)?;
    fill(&mut trainer, &settings.shape, None)?;
    // The first epoch compiles and records.
    let mut rates = Vec::new();
    let (mut samples, mut epochs, mut clock) = (0, 0, Instant::now());
    for epoch in 0.. {
        if epoch == 1 {
            (samples, epochs, clock) = (0, 0, Instant::now());
        }
        trainer.begin_epoch(epoch, 0)?;
        samples += trainer.left();
        rates.resize(trainer.steps_left() as usize, 1e-3);
        trainer.run(&rates)?;
        let progress = trainer.progress()?;
        epochs += 1;
        if !progress.loss.is_finite() {
            return Err(format!("{}: the loss is no number", job.name).into());
        }
        if epoch > 0 && clock.elapsed().as_secs_f64() > seconds {
            break;
        }
    }
    let training = clock.elapsed().as_secs_f64();
    let bytes = trainer.plan().bytes;
    let mut ranker = Ranker::new(&mut trainer)?;
    let everybody: Vec<u32> = (0..job.sizes.0).collect();
    let held: Vec<u32> = everybody.iter().map(|u| (mix(u64::from(*u)) % u64::from(job.sizes.1)) as u32).collect();
    let rows: Vec<usize> = (0..=everybody.len()).collect();
    // A large catalogue with a tower takes long: users enough for a few seconds are a fair share.
    let n = if job.hidden.is_empty() { everybody.len() } else { everybody.len().min(8 * ranker.block()) };
    let positives = Rows { starts: &rows[..=n], items: &held[..n] };
    let masks = ranker.masks(&[filter])?;
    // The first block loads what cuBLAS needs.
    let few = n.min(ranker.block());
    ranker.standings(&everybody[..few], &Rows { starts: &rows[..=few], items: &held[..few] }, &masks)?;
    let clock = Instant::now();
    ranker.standings(&everybody[..n], &positives, &masks)?;
    let ranking = clock.elapsed().as_secs_f64() * everybody.len() as f64 / n as f64;
    Ok(format!(
        "| {} | {:.1} | {:.3} | {ranking:.2} | {:.2} |",
        job.name,
        samples as f64 / training / 1e6,
        training / f64::from(epochs),
        bytes as f64 / 1e9
    ))
}

fn main() -> Done {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let index = value("--device").map_or(Ok(0), |text| text.parse())?;
    let seconds = value("--seconds").map_or(Ok(5.0), |text| text.parse())?;
    let device: Rc<dyn Device> = Rc::new(Gpu::open(index)?);
    let jobs = || JOBS.iter().filter(|job| value("--only").is_none_or(|text| job.name.contains(text.as_str())));
    println!("{}, {:.1} GB free", device.name(), device.free()? as f64 / 1e9);
    let mut wrong = 0;
    for job in jobs() {
        let Some([length, greatest]) = check(&device, job)? else { continue };
        // By length: among hundreds of millions of units, a few are so near 0 that rounding decides whether they are
        // there, which moves single values of single rows. Rounded factors are not expected to agree as closely.
        let bound = if job.precision == Precision::Float32 { 1e-3 } else { 0.1 };
        wrong += usize::from(length > bound);
        println!(
            "{}: {length:.1e} from the processor after the first steps (bound {bound}), single values {greatest:.1e}",
            job.name
        );
    }
    if wrong > 0 {
        return Err(format!("{wrong} of the models do not agree with the processor").into());
    }
    if args.iter().any(|arg| arg == "--check") {
        return Ok(());
    }
    println!(
        "\n| training | M samples/s | epoch, s | full ranking of all users, s | memory, GB |\n|---|---|---|---|---|"
    );
    for job in jobs() {
        println!("{}", measure(&device, job, seconds)?);
    }
    Ok(())
}
