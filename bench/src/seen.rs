//! How soon a process shows what another one wrote: one of its groups is renamed at the first, and asked for at the second
//! until it has that name.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long it may take.
const WITHIN: Duration = Duration::from_secs(10);

/// How long nothing is asked after each.
const BETWEEN: Duration = Duration::from_millis(5);

/// Milliseconds from the answer to a write until it is seen, of so many writes: the median, of 99 in 100, and the most.
pub fn milliseconds(writes_at: &str, reads_at: &str, path: &str, token: &str, times: usize) -> io::Result<[f64; 3]> {
    let (mut writer, mut reader) = (Client::new(writes_at, token)?, Client::new(reads_at, token)?);
    let mut took = Vec::with_capacity(times);
    for number in 0..times {
        let name = format!("seen-{number}");
        writer.ask("PATCH", path, &format!(r#"{{"data":{{"name":"{name}"}}}}"#))?;
        let began = Instant::now();
        while !reader.ask("GET", path, "")?.contains(&name) {
            if began.elapsed() > WITHIN {
                return Err(io::Error::other("what was written is not seen"));
            }
        }
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(BETWEEN);
    }
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    Ok([at(50), at(99), at(100)])
}

/// A connection to a service.
struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Client {
    fn new(url: &str, token: &str) -> io::Result<Self> {
        let address = url.strip_prefix("http://").unwrap_or(url);
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), token: token.to_owned() })
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        let (mut length, mut line) = (0, String::new());
        self.stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(line));
        }
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().map_err(io::Error::other)?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        String::from_utf8(answer).map_err(io::Error::other)
    }
}
