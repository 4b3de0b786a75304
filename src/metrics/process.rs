//! What the system tells of this process, for Prometheus, under the names that its own clients give it. What the system
//! does not tell is not shown; that is all of it where there is no `/proc`.

use std::sync::Mutex;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge};

/// What is told of this process, read anew whenever it is asked for.
pub struct Process {
    cpu: Counter,
    resident: IntGauge,
    open_files: IntGauge,
    most_files: IntGauge,
    threads: IntGauge,
    /// Who reads: the processor's seconds are added to what was read before.
    reading: Mutex<()>,
}

impl Process {
    /// Nothing is read yet.
    ///
    /// Errors: never, the names are good.
    pub fn new() -> prometheus::Result<Self> {
        Ok(Self {
            cpu: Counter::new("process_cpu_seconds_total", "Seconds of processors that the process has used")?,
            resident: IntGauge::new("process_resident_memory_bytes", "Memory that the process holds")?,
            open_files: IntGauge::new("process_open_fds", "Files and connections that the process has open")?,
            most_files: IntGauge::new("process_max_fds", "How many of them it may have open")?,
            threads: IntGauge::new("process_threads", "Threads of the process")?,
            reading: Mutex::default(),
        })
    }

    fn all(&self) -> [&dyn Collector; 5] {
        [&self.cpu, &self.resident, &self.open_files, &self.most_files, &self.threads]
    }

    #[cfg(target_os = "linux")]
    fn read(&self) -> procfs::ProcResult<()> {
        use procfs::process::LimitValue;

        let process = procfs::process::Process::myself()?;
        let stat = process.stat()?;
        // ticks since 1970 would still be exact in these
        #[allow(clippy::cast_precision_loss)]
        let used = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        self.cpu.inc_by((used - self.cpu.get()).max(0.0));
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.resident.set(number(stat.rss.saturating_mul(procfs::page_size())));
        self.threads.set(stat.num_threads);
        self.open_files.set(i64::try_from(process.fd_count()?).unwrap_or(i64::MAX));
        self.most_files.set(match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(most) => number(most),
            LimitValue::Unlimited => i64::MAX,
        });
        Ok(())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _reading = self.reading.lock();
        #[cfg(target_os = "linux")]
        match self.read() {
            Ok(()) => return self.all().into_iter().flat_map(Collector::collect).collect(),
            Err(error) => log::debug!("no metrics of the process: {error}"),
        }
        Vec::new()
    }
}
