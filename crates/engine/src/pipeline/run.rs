//! The runner: makes every wanted stage fresh, independent stages at the same time.
//!
//! Workers share one table behind a lock; a node is handed out once all its producers are done. Decisions are made
//! by the worker, so that hashing a large source does not hold up the rest.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::cache::{Lease, Manifest, Trust};
use crate::stage::{Cancel, Class, Device, Fault, Memory, Precision, machine_bytes};

use crate::pipeline::graph::{Graph, NodeId};
use crate::pipeline::make::{Job, Made, make};
use crate::pipeline::observe::Observer;
use crate::pipeline::plan::{Selected, Selection};
use crate::pipeline::report::{RunReport, StageReport, Status};
use crate::pipeline::world::World;

/// A stage tries this often again when its inputs turn out damaged while they are read.
const MOST_RETRIES: u32 = 3;
/// Query planning and safetensors parsing recurse; the default stack of a thread is small for them.
const STACK_BYTES: usize = 16 << 20;

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which stages.
    pub selection: Selection,
    /// How many stages at the same time, at least 1.
    pub jobs: usize,
    /// Where tensors live.
    pub device: Device,
    /// How a GPU multiplies matrices.
    pub precision: Precision,
    /// Whether stages that do not need a failed one still run.
    pub keep_going: bool,
    /// Whether to run each stage a second time, and to fail it if the bytes differ. Nothing of that is published.
    pub check_determinism: bool,
    /// How many bytes of memory stages may plan with together; by default all that this process may use.
    pub memory: Option<u64>,
    /// Whether to stop.
    pub cancel: Cancel,
}

/// What is known of a node while the run goes on.
#[derive(Default)]
struct Slot {
    /// Counts how often it was settled: a consumer that finds damage tells which time it read from.
    generation: u32,
    /// Counts how often it found its inputs damaged.
    retries: u32,
    running: bool,
    report: Option<StageReport>,
    /// There once the node is fresh.
    manifest: Option<Arc<Manifest>>,
}

#[derive(Default)]
struct Table {
    slots: BTreeMap<NodeId, Slot>,
    /// Positions in the graph's order.
    ready: BTreeSet<usize>,
    running: usize,
    stopped: bool,
}

/// The manifests of a node's producers as it found them (and of theirs, where the kind reports how its inputs were made),
/// with their generation.
type Producers = BTreeMap<NodeId, (u32, Arc<Manifest>)>;

/// What panics say that come from a library which could not start a thread. Pools are made when they are first needed.
const NO_THREAD: [&str; 3] = ["ThreadPoolBuildError", "could not spawn threads", "failed to spawn thread"];

/// What a panic is to the user.
fn defect(panic: &(dyn Any + Send)) -> Fault {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    if NO_THREAD.iter().any(|words| text.contains(words)) {
        return Fault::io("cannot start a thread", text).help(
            "run again; if it happens again, raise the limits of processes and of memory (`ulimit -u`, `ulimit -v`)",
        );
    }
    Fault::failed(format!("stopped by a defect: {text}"))
        .help("this is a bug in ncf-pipe: please report it with the pipeline file and this message")
}

struct Runner<'a> {
    graph: &'a Graph,
    world: &'a World,
    options: &'a Options,
    observer: &'a dyn Observer,
    selected: Selected,
    /// The position of each wanted node in the graph's order: what is ready first in file order starts first.
    places: BTreeMap<NodeId, usize>,
    table: Mutex<Table>,
    memory: Memory,
    lease: Lease,
    changed: Condvar,
}

/// Makes every wanted stage fresh.
///
/// # Errors
/// When the selection names a stage that does not exist. What fails while running is in the report.
pub fn run(graph: &Graph, world: &World, options: &Options, observer: &dyn Observer) -> Result<RunReport, Fault> {
    let start = Instant::now();
    let lease = world.store.lease()?;
    let selected = options.selection.resolve(graph).map_err(Fault::data)?;
    let places: BTreeMap<NodeId, usize> = graph
        .order()
        .iter()
        .enumerate()
        .filter(|(_, id)| selected.wanted.contains(id))
        .map(|(place, id)| (*id, place))
        .collect();
    let workers = options.jobs.clamp(1, places.len().max(1));
    let memory = Memory::within(options.memory.unwrap_or_else(machine_bytes), workers);
    let runner = Runner {
        graph,
        world,
        options,
        observer,
        selected,
        places,
        table: Mutex::default(),
        lease,
        memory,
        changed: Condvar::new(),
    };
    runner.prepare();
    std::thread::scope(|scope| {
        for n in 1..workers {
            let spawned = std::thread::Builder::new()
                .name(format!("stage-{n}"))
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, || runner.work());
            if let Err(error) = spawned {
                let text = format!("running {n} stages at a time: no more threads can be made ({error})");
                runner.tell(|observer| observer.warning(&text));
                break;
            }
        }
        // One worker always exists, so that a machine out of threads still finishes.
        runner.work();
    });
    let stages = runner.reports();
    let ok = stages.iter().all(|stage| matches!(stage.status, Status::Fresh | Status::Ran));
    let removed = if ok && options.selection.only.is_empty() { tidy(graph, world, observer) } else { Vec::new() };
    let (pipeline, seconds) = (graph.pipeline.clone(), start.elapsed().as_secs_f64());
    Ok(RunReport { pipeline, ok, seconds, stages, error: None, removed })
}

/// Removes from the outputs what was shown there for stages and cells that the pipeline no longer has.
fn tidy(graph: &Graph, world: &World, observer: &dyn Observer) -> Vec<PathBuf> {
    let shown = graph.order().iter().map(|id| graph.node(*id).view_path(&graph.pipeline)).collect();
    let (removed, error) = world.store.prune_view(&world.outputs, Path::new(&graph.pipeline), &shown);
    if let Some(error) = error {
        let text = format!("outputs of stages that are gone could not all be removed: {error}");
        // The run is a success all the same.
        let _ = catch_unwind(AssertUnwindSafe(|| observer.warning(&text)));
    }
    removed
}

impl Runner<'_> {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while holding the lock; if it did, the table would still be consistent.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self) {
        let mut table = self.table();
        for &id in self.places.keys() {
            table.slots.insert(id, Slot::default());
        }
        for &id in self.places.keys() {
            self.offer(&mut table, id);
        }
    }

    /// Marks a node ready if all that it reads is there and it has not been settled.
    fn offer(&self, table: &mut Table, id: NodeId) {
        let Some(place) = self.places.get(&id) else { return };
        let open = table.slots.get(&id).is_some_and(|slot| slot.report.is_none() && !slot.running);
        let fed = self.graph.producers(id).all(|from| table.slots.get(&from).is_some_and(|s| s.manifest.is_some()));
        if open && fed {
            table.ready.insert(*place);
        }
    }

    /// Takes ready nodes until nothing is left.
    fn work(&self) {
        let mut table = self.table();
        loop {
            table.stopped |= self.options.cancel.is_cancelled();
            let next = if table.stopped { None } else { table.ready.pop_first() };
            if let Some(place) = next {
                let id = self.graph.order()[place];
                let producers = self.start(&mut table, id);
                drop(table);
                let begun = Instant::now();
                let made = self.attempt(id, &producers);
                let seconds = begun.elapsed().as_secs_f64();
                table = self.table();
                table.running -= 1;
                // Whatever goes wrong here, nobody may be left waiting.
                let settled = catch_unwind(AssertUnwindSafe(|| self.settle(&mut table, id, &producers, made, seconds)));
                if let Err(panic) = settled {
                    table.stopped = true;
                    let Fault { class, message, help, .. } = defect(panic.as_ref());
                    let (class, error) = (Some(class), Some(message));
                    let report = StageReport { status: Status::Failed, class, error, help, ..self.blank(id) };
                    if let Some(slot) = table.slots.get_mut(&id) {
                        slot.report = Some(report);
                    }
                }
                self.changed.notify_all();
            } else if table.running == 0 {
                return;
            } else {
                table = self.changed.wait(table).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn start(&self, table: &mut Table, id: NodeId) -> Producers {
        table.running += 1;
        if let Some(slot) = table.slots.get_mut(&id) {
            slot.running = true;
        }
        let of = |from: NodeId| {
            let slot = table.slots.get(&from)?;
            Some((from, (slot.generation, Arc::clone(slot.manifest.as_ref()?))))
        };
        let mut known: Producers = self.graph.producers(id).filter_map(of).collect();
        if self.graph.node(id).kind.knows_runs {
            let earlier = self.graph.producers(id).flat_map(|from| self.graph.producers(from));
            known.extend(earlier.filter_map(of));
        }
        known
    }

    fn attempt(&self, id: NodeId, producers: &Producers) -> Made {
        let manifests = producers.iter().map(|(from, (_, manifest))| (*from, manifest.as_ref())).collect();
        let job = Job {
            graph: self.graph,
            id,
            world: self.world,
            options: self.options,
            observer: self.observer,
            manifests,
            forced: self.selected.forced.contains(&id),
            memory: &self.memory,
            lease: &self.lease,
        };
        catch_unwind(AssertUnwindSafe(|| make(&job))).unwrap_or_else(|panic| Made::failed(defect(panic.as_ref())))
    }

    /// Tells the observer something. One that panics is no reason to stop.
    fn tell(&self, what: impl FnOnce(&dyn Observer)) {
        if catch_unwind(AssertUnwindSafe(|| what(self.observer))).is_err() {
            tracing::debug!("an observer panicked");
        }
    }

    /// Records what became of a node and offers what waits for it.
    fn settle(&self, table: &mut Table, id: NodeId, producers: &Producers, made: Made, seconds: f64) {
        if let Some(slot) = table.slots.get_mut(&id) {
            slot.running = false;
        }
        let mut report = self.blank(id);
        (report.seconds, report.key, report.why, report.output) = (seconds, made.key, made.why, made.view);
        let manifest = match made.result {
            Ok(manifest) => {
                report.status = if made.ran { Status::Ran } else { Status::Fresh };
                report.facts.clone_from(&manifest.facts);
                report.warnings.clone_from(&manifest.warnings);
                Some(Arc::new(*manifest))
            }
            Err(error) => {
                if let Some(damaged) = &error.damaged
                    && self.remake(table, id, producers, &damaged.path)
                {
                    let text = format!("{error}: `{}` runs again", damaged.producer);
                    self.tell(|observer| observer.warning(&text));
                    return;
                }
                if error.class == Class::Cancelled {
                    table.stopped = true;
                    report.why = vec![error.message];
                } else {
                    table.stopped |= !self.options.keep_going;
                    report.status = Status::Failed;
                    (report.class, report.error, report.help) = (Some(error.class), Some(error.message), error.help);
                }
                None
            }
        };
        if let Some(slot) = table.slots.get_mut(&id) {
            slot.generation += 1;
            slot.manifest = manifest;
            slot.report = Some(report.clone());
        }
        let done = table.slots.values().filter(|slot| slot.report.is_some()).count();
        for consumer in self.graph.consumers(id) {
            self.offer(table, consumer);
        }
        self.let_go(table, id);
        self.tell(|observer| observer.finished(&report, done, self.places.len()));
    }

    /// Frees what the node and its producers hold in memory, where nobody is left to take it.
    fn let_go(&self, table: &Table, id: NodeId) {
        let settled = |id: NodeId| table.slots.get(&id).is_none_or(|slot| slot.report.is_some());
        for owner in self.graph.producers(id).chain([id]).filter(|owner| self.graph.consumers(*owner).all(settled)) {
            let manifest = table.slots.get(&owner).and_then(|slot| slot.manifest.as_ref());
            for file in manifest.map(|manifest| manifest.files()).unwrap_or_default().values() {
                self.memory.forget(&file.digest.to_string());
            }
        }
    }

    /// Has the producer of a damaged file run again, and `id` after it. False when that was tried often enough.
    fn remake(&self, table: &mut Table, id: NodeId, producers: &Producers, path: &Path) -> bool {
        let holds = |manifest: &Manifest| {
            manifest.files().values().any(|file| self.world.store.blob_path(&file.digest) == path)
        };
        let owner = producers.iter().find(|(_, (_, manifest))| holds(manifest));
        let Some((&owner, (generation, manifest))) = owner else { return false };
        let Some(slot) = table.slots.get_mut(&id) else { return false };
        slot.retries += 1;
        if slot.retries > MOST_RETRIES {
            return false;
        }
        // Hashes all of it, and puts away whatever is damaged: the file state alone may still look right.
        if self.world.store.check(manifest, Trust::Always).is_ok() {
            // Somebody else has made it again meanwhile.
            self.offer(table, id);
            return true;
        }
        // Another consumer may have noticed first, and the owner may be running or even be done again.
        if let Some(slot) = table.slots.get_mut(&owner).filter(|slot| slot.generation == *generation) {
            slot.report = None;
            slot.manifest = None;
            for consumer in self.graph.consumers(owner) {
                if let Some(place) = self.places.get(&consumer) {
                    table.ready.remove(place);
                }
            }
            self.offer(table, owner);
        }
        self.offer(table, id);
        true
    }

    fn blank(&self, id: NodeId) -> StageReport {
        let node = self.graph.node(id);
        StageReport {
            name: node.name(),
            stage: node.stage.clone(),
            cell: node.cell.clone(),
            kind: node.kind.name.to_owned(),
            status: Status::Skipped,
            seconds: 0.0,
            key: None,
            output: None,
            why: Vec::new(),
            facts: BTreeMap::new(),
            warnings: Vec::new(),
            error: None,
            help: None,
            class: None,
        }
    }

    /// All reports, producers first; what never started says what it waited for.
    fn reports(&self) -> Vec<StageReport> {
        let mut table = self.table();
        let mut broken: BTreeSet<NodeId> = BTreeSet::new();
        let mut reports = Vec::with_capacity(self.places.len());
        for &id in self.graph.order().iter().filter(|id| self.places.contains_key(id)) {
            let settled = table.slots.get_mut(&id).and_then(|slot| slot.report.take());
            let report = settled.unwrap_or_else(|| {
                let cause =
                    self.graph.producers(id).filter(|from| broken.contains(from)).min_by_key(|from| self.places[from]);
                let why = match cause {
                    Some(from) => format!("needs `{}`", self.graph.node(from).name()),
                    None if self.options.cancel.is_cancelled() => "the run was stopped".to_owned(),
                    None => "another stage failed first; `--keep-going` runs what does not need it".to_owned(),
                };
                StageReport { why: vec![why], ..self.blank(id) }
            });
            if matches!(report.status, Status::Failed | Status::Skipped) {
                broken.insert(id);
            }
            reports.push(report);
        }
        reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_finds_no_thread_is_no_defect() {
        let words = "The global thread pool has not been initialized.: ThreadPoolBuildError { kind: IOError }";
        let fault = defect(&words.to_owned());
        assert_eq!(fault.class, Class::Io);
        assert!(fault.help.unwrap().contains("ulimit -u"));
        assert_eq!(defect(&"index out of bounds").class, Class::Failed);
    }
}
