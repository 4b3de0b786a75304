//! How long the service takes from its start to its first answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Starts it before a store, asks until it answers, and ends it.
pub fn milliseconds(program: &str, store: &str, path: &str, token: &str) -> io::Result<f64> {
    // the port is free again when the listener is dropped
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let began = Instant::now();
    let mut service = Command::new(program)
        .args(["serve", "--listen", &address.to_string(), "--store", store])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let answered = first_answer(&mut service, address, path, token, began);
    service.kill()?;
    service.wait()?;
    Ok(answered?.as_secs_f64() * 1000.0)
}

fn first_answer(
    service: &mut Child,
    address: SocketAddr,
    path: &str,
    token: &str,
    began: Instant,
) -> io::Result<Duration> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nConnection: close\r\n\r\n");
    while began.elapsed() < WITHIN && service.try_wait()?.is_none() {
        if let Ok(mut connection) = TcpStream::connect(address) {
            connection.write_all(request.as_bytes())?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            if answer.starts_with("HTTP/1.1 200") {
                return Ok(began.elapsed());
            }
            return Err(io::Error::other(answer));
        }
        thread::sleep(Duration::from_micros(500));
    }
    Err(io::Error::other("the service does not start"))
}
