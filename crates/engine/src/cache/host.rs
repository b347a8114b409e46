//! Who owns a temporary directory or a lease.

use rustix::process::{Pid, test_kill_process};

/// The process that a name such as `node7-1234-a1b2c3` belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    host: String,
    pid: i32,
}

impl Owner {
    /// This process.
    pub(super) fn this() -> Self {
        let name = rustix::system::uname();
        let host = name.nodename().to_string_lossy();
        let host = host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).take(64).collect();
        Self { host, pid: std::process::id() as i32 }
    }

    /// Reads it back from a name that begins with [`Owner::prefix`].
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '-');
        let (host, pid, _) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { host: host.to_owned(), pid: pid.parse().ok().filter(|pid| *pid > 0)? })
    }

    /// What the names of its files begin with.
    pub(super) fn prefix(&self) -> String {
        format!("{}-{}-", self.host, self.pid)
    }

    /// Whether the process is known to be gone. Of other hosts nothing is known.
    pub(super) fn is_dead(&self) -> bool {
        let gone = |pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
        self.host == Self::this().host && Pid::from_raw(self.pid).is_some_and(gone)
    }

    /// Whether the process is known to run.
    pub(super) fn is_alive(&self) -> bool {
        let there = |pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH));
        self.host == Self::this().host && Pid::from_raw(self.pid).is_some_and(there)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A process of this host that has ended.
    pub(in crate::cache) fn dead() -> Owner {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        Owner { pid: child.id() as i32, ..Owner::this() }
    }

    pub(in crate::cache) fn elsewhere() -> Owner {
        Owner { host: "another.host".into(), pid: 1 }
    }

    #[test]
    fn an_owner_is_read_back_from_a_name() {
        let this = Owner::this();
        assert_eq!(Owner::parse(&format!("{}abc", this.prefix())), Some(this));
        for bad in ["", "host", "host-12", "host-x-a", "host-0-a", "host--1-a", "host-99999999999-a"] {
            assert_eq!(Owner::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_processes_of_this_host_are_known_to_live_or_to_be_dead() {
        assert!(Owner::this().is_alive() && !Owner::this().is_dead());
        assert!(!dead().is_alive() && dead().is_dead());
        assert!(!elsewhere().is_alive() && !elsewhere().is_dead());
    }
}
