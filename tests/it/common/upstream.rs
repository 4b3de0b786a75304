//! A crossbar that a test scripts: it is told of each request's head, and answers over the bare connection, right or wrong.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The head of a request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.header(name).is_some()
    }
}

/// The connection that a request came by.
pub struct Line {
    pub from: BufReader<TcpStream>,
    pub to: TcpStream,
}

impl Line {
    /// Reads a request's body to its end, in whichever way it comes; `each` is told of its pieces.
    pub fn body(&mut self, asked: &Asked, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        if asked.header("transfer-encoding") == Some("chunked") {
            loop {
                let mut size = String::new();
                self.from.read_line(&mut size)?;
                let size = u64::from_str_radix(size.trim(), 16).map_err(|_| io::ErrorKind::UnexpectedEof)?;
                self.take(size, &mut each)?;
                self.from.read_line(&mut String::new())?;
                if size == 0 {
                    return Ok(());
                }
            }
        }
        let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.take(length, &mut each)
    }

    fn take(&mut self, mut left: u64, each: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut piece = vec![0; 64 * 1024];
        while left > 0 {
            let most = piece.len().min(usize::try_from(left).unwrap());
            let read = self.from.read(&mut piece[..most])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            each(&piece[..read]);
            left -= read as u64;
        }
        Ok(())
    }

    /// The whole body as text.
    pub fn text(&mut self, asked: &Asked) -> io::Result<String> {
        let mut text = Vec::new();
        self.body(asked, |piece| text.extend_from_slice(piece))?;
        Ok(String::from_utf8(text).unwrap())
    }

    /// Sends what it is told.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(text.as_bytes())
    }

    /// Sends an answer of a length.
    pub fn answer(&mut self, status: &str, headers: &str, body: &str) -> io::Result<()> {
        self.say(&format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
    }
}

/// The upstream. It answers at its root by itself, as crossbar greets.
pub struct Upstream {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    /// Answers as `script` does; a connection ends where it fails.
    pub fn start(script: impl Fn(&Asked, &mut Line) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, connections): (Arc<Mutex<Vec<Asked>>>, Arc<AtomicUsize>) = Default::default();
        let (script, told, counted) = (Arc::new(script), Arc::clone(&asked), Arc::clone(&connections));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (script, told) = (Arc::clone(&script), Arc::clone(&told));
                let (to, counted) = (client.unwrap(), Arc::clone(&counted));
                thread::spawn(move || {
                    let mut line = Line { from: BufReader::new(to.try_clone().unwrap()), to };
                    let mut is_first = true;
                    while let Ok(Some(asked)) = head(&mut line.from) {
                        let answered = if asked.target == "/" {
                            line.answer("200 OK", "", "greetings")
                        } else {
                            counted.fetch_add(usize::from(std::mem::take(&mut is_first)), Ordering::SeqCst);
                            told.lock().unwrap().push(asked.clone());
                            script(&asked, &mut line)
                        };
                        if answered.is_err() {
                            break;
                        }
                    }
                    let _ = line.to.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, asked, connections }
    }

    /// Answers everything so.
    pub fn saying(answer: &'static str) -> Self {
        Self::start(move |asked, line| {
            line.body(asked, |_| {})?;
            line.say(answer)
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far, but for greetings.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Over how many connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn head(from: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => return Ok(Some(Asked { method, target, headers })),
        }
    }
}
