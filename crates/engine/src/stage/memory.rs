//! What a stage leaves in memory for the stages that follow in the same run.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The memory in bytes that this process may use: that of the machine, or of the container or batch job that it runs in.
pub fn machine_bytes() -> u64 {
    let system = rustix::system::sysinfo();
    let machine = system.totalram.saturating_mul(u64::from(system.mem_unit));
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    group.map_or(machine, |group: u64| group.min(machine))
}

/// Decoded files by the digest of their bytes, so that the next stage need not read and decode what this process has
/// just written. Only a shortcut: a value stands for exactly the bytes with that digest, and whatever is not here is
/// read from the store.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    limit: u64,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    values: BTreeMap<String, (u64, Arc<dyn Any + Send + Sync>)>,
}

impl Memory {
    /// A memory that keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// A memory for values of `limit` bytes together.
    pub fn of(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while holding the lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the decoded form, of about `bytes` bytes, of the file with this digest, if there is room.
    pub fn keep(&self, digest: &str, bytes: u64, value: Arc<dyn Any + Send + Sync>) {
        let mut held = self.held();
        if held.bytes.saturating_add(bytes) <= self.limit && !held.values.contains_key(digest) {
            held.bytes += bytes;
            held.values.insert(digest.to_owned(), (bytes, value));
        }
    }

    /// The decoded form of the file with this digest.
    pub fn get<T: Any + Send + Sync>(&self, digest: &str) -> Option<Arc<T>> {
        let value = Arc::clone(&self.held().values.get(digest)?.1);
        value.downcast().ok()
    }

    /// Lets go of the file with this digest.
    pub fn forget(&self, digest: &str) {
        let mut held = self.held();
        if let Some((bytes, _)) = held.values.remove(digest) {
            held.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_up_to_the_limit_and_forgotten() {
        let memory = Memory::of(10);
        memory.keep("a", 6, Arc::new(1_u32));
        memory.keep("b", 6, Arc::new(2_u32));
        assert_eq!((memory.get::<u32>("a").as_deref(), memory.get::<u32>("b")), (Some(&1), None));
        assert_eq!(memory.get::<u64>("a"), None, "another type is no match");
        memory.forget("a");
        memory.keep("b", 6, Arc::new(2_u32));
        assert_eq!((memory.get::<u32>("a"), memory.get::<u32>("b").as_deref()), (None, Some(&2)));
        Memory::none().keep("c", 1, Arc::new(3_u32));
    }
}
