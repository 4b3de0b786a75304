//! Lines on their way out: who logs puts a line here and goes on, and one thread writes them, many at a time. Nobody waits
//! for who reads them: while the queue is full further lines are lost, which is counted, and said where they would stand.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;

/// How many bytes of lines may wait, besides those that are being written: some 25,000 requests' lines.
pub const MOST: usize = 4 * 1024 * 1024;

/// How many bytes are written without waiting for more.
const BATCH: usize = 64 * 1024;

/// How long the writer waits for more lines after it wrote some: the first of them waits no longer than this.
const REST: Duration = Duration::from_millis(20);

/// Lines that wait to be written.
pub struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    lost: IntCounter,
}

struct Waiting {
    /// Whole lines, one after the other.
    lines: Vec<u8>,
    /// How many bytes of them wake the writer.
    wakes: usize,
    /// Whether no more are waited for.
    is_ending: bool,
}

/// The thread that writes the lines, until it is ended.
pub struct Writer {
    queue: Arc<Queue>,
    /// Ends with the thread.
    runs: Receiver<()>,
}

impl Queue {
    /// An empty queue. Lines that are not written are counted by `lost`.
    pub fn new(lost: IntCounter) -> Arc<Self> {
        let waiting = Waiting { lines: Vec::new(), wakes: usize::MAX, is_ending: false };
        Arc::new(Self { waiting: Mutex::new(waiting), wake: Condvar::new(), lost })
    }

    /// Puts a line (with its end) behind the others, or counts it as lost where there is no room for it.
    pub fn put(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.lines.len() + line.len() > MOST {
            self.lost.inc();
            return;
        }
        waiting.lines.extend_from_slice(line);
        if waiting.lines.len() >= waiting.wakes {
            waiting.wakes = usize::MAX;
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// Starts the thread that writes the lines to `out`. Where lines are missing it calls `tell` with how many, which may
    /// put a line that says so.
    ///
    /// Errors: there can be no further thread.
    pub fn start(
        self: Arc<Self>,
        out: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Writer> {
        let (ends, runs) = mpsc::channel();
        let queue = Arc::clone(&self);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            queue.write_all(out, tell);
            drop::<mpsc::Sender<()>>(ends);
        })?;
        Ok(Writer { queue: self, runs })
    }

    /// Writes lines until no more are waited for and none is left.
    fn write_all(&self, mut out: impl Write, tell: impl Fn(u64)) {
        let (mut batch, mut told, mut is_well) = (Vec::new(), self.lost.get(), true);
        while self.take(&mut batch) {
            let mut say = || {
                let lost = self.lost.get();
                if lost > told {
                    tell(lost - told);
                    told = lost;
                }
            };
            // lines that found no room stood behind those of the batch, and before those to come
            if is_well {
                say();
            }
            let left = write(&mut out, &batch);
            self.lost.inc_by(left.split(|byte| *byte == b'\n').skip(1).count() as u64);
            // as long as nobody takes lines none need say so
            let was_well = std::mem::replace(&mut is_well, left.is_empty());
            if is_well && !was_well {
                say();
            }
            batch.clear();
            batch.shrink_to(BATCH);
            self.rest();
        }
    }

    /// Waits for lines, and gives all that there are in place of an empty batch; false if there will be none.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let mut waiting = self.waiting();
        waiting.wakes = 1;
        let none = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.is_ending;
        let mut waiting = self.wake.wait_while(waiting, none).unwrap_or_else(PoisonError::into_inner);
        waiting.wakes = usize::MAX;
        std::mem::swap(&mut waiting.lines, batch);
        !batch.is_empty()
    }

    /// Lets lines gather.
    fn rest(&self) {
        let mut waiting = self.waiting();
        waiting.wakes = BATCH;
        let few = |waiting: &mut Waiting| waiting.lines.len() < BATCH && !waiting.is_ending;
        // that the time is over, or another thread has failed, changes nothing
        drop(self.wake.wait_timeout_while(waiting, REST, few));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Waits until all lines are written, but no longer than `patience`; false if they are not.
    pub fn end(&self, patience: Duration) -> bool {
        self.queue.waiting().is_ending = true;
        self.queue.wake.notify_one();
        self.runs.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }
}

/// Writes all bytes, and gives those that could not be written.
fn write<'b>(out: &mut impl Write, mut bytes: &'b [u8]) -> &'b [u8] {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // who started the process has made it so
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(REST),
            Err(_) => break,
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what it is given, each write as one, once it is let.
    struct Slow(mpsc::Sender<String>, Receiver<io::Result<()>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.recv().unwrap()?;
            self.0.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Test {
        queue: Arc<Queue>,
        writer: Writer,
        lost: IntCounter,
        written: Receiver<String>,
        lets: mpsc::Sender<io::Result<()>>,
    }

    impl Test {
        /// Puts a line, and waits until the writer has it.
        fn put_and_see_taken(&self, line: &str) {
            self.queue.put(line.as_bytes());
            while !self.queue.waiting().lines.is_empty() {
                thread::yield_now();
            }
        }
    }

    fn test() -> Test {
        let lost = IntCounter::new("lost", "lost").unwrap();
        let queue = Queue::new(lost.clone());
        let (sends, written) = mpsc::channel();
        let (lets, is_let) = mpsc::channel();
        let tells = Arc::clone(&queue);
        let tell = move |lost| tells.put(format!("{lost} lost\n").as_bytes());
        let writer = Arc::clone(&queue).start(Slow(sends, is_let), tell).unwrap();
        Test { queue, writer, lost, written, lets }
    }

    #[test]
    fn lines_that_come_while_others_are_written_are_written_together() {
        let test = test();
        test.put_and_see_taken("first\n");
        for line in ["a\n", "b\n", "c\n"] {
            test.queue.put(line.as_bytes());
        }
        for written in ["first\n", "a\nb\nc\n"] {
            test.lets.send(Ok(())).unwrap();
            assert_eq!(test.written.recv().unwrap(), written);
        }
        assert!(test.writer.end(Duration::from_secs(20)));
        assert_eq!(test.lost.get(), 0);
    }

    #[test]
    fn nobody_waits_and_what_is_lost_is_said_in_its_place() {
        let test = test();
        let line = vec![b'-'; MOST / 4];
        test.put_and_see_taken("first\n");
        for _ in 0..6 {
            test.queue.put(&line);
        }
        assert_eq!(test.lost.get(), 2);
        assert!(!test.writer.end(Duration::from_millis(1)));
        for _ in 0..3 {
            test.lets.send(Ok(())).unwrap();
        }
        let written: Vec<String> = test.written.iter().map(|text| text.replace('-', "")).collect();
        assert_eq!(written, ["first\n", "", "2 lost\n"]);
    }

    #[test]
    fn what_could_not_be_written_is_said_when_the_next_is() {
        let test = test();
        test.queue.put(b"a\nb\n");
        test.lets.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
        while test.lost.get() == 0 {
            thread::yield_now();
        }
        test.queue.put(b"c\n");
        test.lets.send(Ok(())).unwrap();
        assert_eq!(test.written.recv().unwrap(), "c\n");
        test.lets.send(Ok(())).unwrap();
        assert_eq!(test.written.recv().unwrap(), "2 lost\n");
        assert!(test.writer.end(Duration::from_secs(20)));
    }
}
