//! The service under load: the program, which is killed and started again at the same address.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::client;

/// How long it may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The service.
pub struct Service {
    program: String,
    store: String,
    pub address: SocketAddr,
    process: Mutex<Child>,
    is_up: AtomicBool,
    kills: AtomicU64,
    most_memory: AtomicU64,
}

/// What the process holds.
pub struct Held {
    /// Kilobytes of memory.
    pub memory: u64,
    /// Open files and connections.
    pub handles: u64,
}

impl Service {
    /// Starts it before a store.
    pub fn start(program: &str, store: &str) -> io::Result<Self> {
        // the port is free again when the listener is dropped
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let service = Self {
            program: program.to_owned(),
            store: store.to_owned(),
            address,
            process: Mutex::new(spawn(program, store, address)?),
            is_up: AtomicBool::new(false),
            kills: AtomicU64::new(0),
            most_memory: AtomicU64::new(0),
        };
        service.wait_until_ready()?;
        Ok(service)
    }

    /// Ends it without warning, and starts it again.
    pub fn kill(&self) -> io::Result<()> {
        self.is_up.store(false, Ordering::SeqCst);
        {
            let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            self.remember_memory(process.id());
            process.kill()?;
            process.wait()?;
            *process = spawn(&self.program, &self.store, self.address)?;
        }
        self.wait_until_ready()?;
        self.kills.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Ends it, and waits until it has.
    pub fn stop(&self) -> io::Result<()> {
        self.is_up.store(false, Ordering::SeqCst);
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        self.remember_memory(process.id());
        process.kill()?;
        process.wait().map(drop)
    }

    /// Whether it should answer.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::SeqCst)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.try_wait().is_ok_and(|status| status.is_some())
    }

    /// How often it was killed.
    pub fn kills(&self) -> u64 {
        self.kills.load(Ordering::SeqCst)
    }

    /// The most kilobytes that any of its processes had.
    pub fn most_memory(&self) -> u64 {
        self.most_memory.load(Ordering::SeqCst)
    }

    /// What it holds now.
    pub fn held(&self) -> Option<Held> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).id();
        let handles = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64;
        Some(Held { memory: status(process, "VmRSS:")?, handles })
    }

    fn remember_memory(&self, process: u32) {
        self.most_memory.fetch_max(status(process, "VmHWM:").unwrap_or_default(), Ordering::SeqCst);
    }

    fn wait_until_ready(&self) -> io::Result<()> {
        let began = Instant::now();
        while !client::send(self.address, "GET", "/readyz", &[], None).is_ok_and(|answer| answer.status == 200) {
            if began.elapsed() > READY_WITHIN || self.has_ended() {
                return Err(io::Error::other("the service does not start"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.is_up.store(true, Ordering::SeqCst);
        Ok(())
    }
}

fn spawn(program: &str, store: &str, address: SocketAddr) -> io::Result<Child> {
    let mut process = Command::new(program)
        .args(["serve", "--rate-limit", "off", "--listen", &address.to_string(), "--store", store])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(log) = process.stderr.take() {
        // what it says of faults is shown
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if line.contains("ERROR") || line.contains("panicked") {
                    eprintln!("{line}");
                }
            }
        });
    }
    Ok(process)
}

/// A number of a process's status.
fn status(process: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name))?.trim().trim_end_matches(" kB").parse().ok()
}
