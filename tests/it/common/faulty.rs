//! A node of a CouchDB that can be made faulty: it carries one request a connection to the CouchDB behind it, or does
//! what its fault says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use url::Url;

/// What is wrong with a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// It hangs up on who connects.
    HangsUp,
    /// It hangs before its answer, for as long as it has this fault.
    Hangs,
    /// It hangs in the middle of its answer.
    HangsInBody,
    /// It hangs up in the middle of its answer.
    CutsBody,
    /// It answers so, as CouchDB would: with `error` and `reason`.
    Says(u16),
    /// It answers so, with a proxy's page.
    Page(u16),
    /// It answers 200 with this for JSON.
    Tells(&'static str),
    /// It sends whoever asks elsewhere.
    Redirects(u16, SocketAddr),
    /// What it sends is small, and large when it is unpacked.
    GzipBomb,
    /// Its answer has no end.
    Endless,
    /// It answers so much later.
    Slow(Duration),
    /// It takes what it is told, and does not say that it did.
    LosesAnswer,
    /// The same; and then it is away for so long.
    LosesAnswerAndGoes(Duration),
}

/// What of a node is faulty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Of {
    All,
    AllButGreeting,
    Views,
    Puts,
}

impl Of {
    fn holds(self, request: &str) -> bool {
        match self {
            Self::All => true,
            Self::AllButGreeting => !request.starts_with("GET / "),
            Self::Views => request.contains("/_view/"),
            Self::Puts => request.starts_with("PUT "),
        }
    }
}

pub struct Faulty {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    fault: Mutex<Option<(Of, Fault)>>,
    /// How many connections there are, and the most that there were.
    connections: AtomicUsize,
    most_connections: AtomicUsize,
}

impl Faulty {
    /// A node that is well, before the CouchDB of a URL.
    pub fn before(url: &str) -> Self {
        let url = Url::parse(url).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: url.socket_addrs(|| None).unwrap()[0],
            fault: Mutex::default(),
            connections: AtomicUsize::new(0),
            most_connections: AtomicUsize::new(0),
        });
        let of_all = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, shared) = (client.unwrap(), Arc::clone(&of_all));
                thread::spawn(move || {
                    let now = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                    shared.most_connections.fetch_max(now, Ordering::SeqCst);
                    // the client may be gone
                    let _ = shared.serve(&client);
                    let _ = client.shutdown(Shutdown::Both);
                    shared.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    /// The CouchDB's URL, by way of here.
    pub fn url(&self, server: &str) -> String {
        let mut url = Url::parse(server).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    pub fn is(&self, of: Of, fault: Fault) {
        *self.shared.fault.lock().unwrap() = Some((of, fault));
    }

    pub fn is_well(&self) {
        *self.shared.fault.lock().unwrap() = None;
    }

    pub fn most_connections(&self) -> usize {
        self.shared.most_connections.load(Ordering::SeqCst)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        // who hangs may end
        self.is_well();
    }
}

impl Shared {
    fn fault(&self, request: &str) -> Option<Fault> {
        let fault = self.fault.lock().unwrap().clone();
        fault.filter(|(of, _)| of.holds(request)).map(|(_, fault)| fault)
    }

    /// Ends with the fault, or when the client hangs up.
    fn hang(&self, request: &str, fault: &Fault, client: &TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(Duration::from_millis(20)))?;
        while self.fault(request).as_ref() == Some(fault) && !matches!(client.peek(&mut [0]), Ok(0)) {}
        Ok(())
    }

    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        let request = request(client)?;
        let line = String::from_utf8_lossy(&request[..request.len().min(4096)]).lines().next().unwrap().to_owned();
        let Some(fault) = self.fault(&line) else { return self.carry(&request, client) };
        let mut client = client;
        let mut tell = |status: u16, headers: &str, body: &[u8]| {
            let head = format!("HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
            client.write_all(&[head.as_bytes(), headers.as_bytes(), b"\r\n", body].concat())
        };
        let json = "Content-Type: application/json\r\n";
        let page = "<html><body>An error page</body></html>".as_bytes();
        let half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"_id\":";
        match &fault {
            Fault::HangsUp => Ok(()),
            Fault::Hangs => self.hang(&line, &fault, client),
            Fault::HangsInBody => {
                client.write_all(half)?;
                self.hang(&line, &fault, client)
            }
            Fault::CutsBody => client.write_all(half),
            Fault::Says(404) => tell(404, json, br#"{"error":"not_found","reason":"missing"}"#),
            Fault::Says(status) => tell(*status, json, br#"{"error":"fault","reason":"As the test wants it."}"#),
            Fault::Page(status) => tell(*status, "Content-Type: text/html\r\nETag: \"5f-61a\"\r\n", page),
            Fault::Tells(text) => tell(200, json, text.as_bytes()),
            Fault::Redirects(status, to) => tell(*status, &format!("Location: http://{to}/\r\n"), b""),
            Fault::GzipBomb => tell(200, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", &BOMB),
            Fault::Endless => {
                client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")?;
                loop {
                    client.write_all(&[b' '; 16 * 1024])?;
                }
            }
            Fault::Slow(late) => {
                thread::sleep(*late);
                self.carry(&request, client)
            }
            Fault::LosesAnswer => self.carry(&request, io::sink()),
            Fault::LosesAnswerAndGoes(away) => {
                self.carry(&request, io::sink())?;
                *self.fault.lock().unwrap() = Some((Of::All, Fault::HangsUp));
                let _ = client.shutdown(Shutdown::Both);
                thread::sleep(*away);
                *self.fault.lock().unwrap() = None;
                Ok(())
            }
        }
    }

    /// Brings a request to the server, and its answer back.
    fn carry(&self, request: &[u8], mut client: impl Write) -> io::Result<()> {
        let mut server = TcpStream::connect(self.server)?;
        server.write_all(request)?;
        io::copy(&mut server, &mut client)?;
        Ok(())
    }
}

/// A whole request, which asks for the connection's end.
fn request(client: &TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(client);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        request.extend(line.bytes());
    }
    request.extend(b"Connection: close\r\n\r\n");
    let head = request.len();
    request.resize(head + length, 0);
    reader.read_exact(&mut request[head..])?;
    Ok(request)
}

/// A document of 64 MB, and much less of it to be sent.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(br#"{"_id":"bomb","rows":[],"version":"1","rev":"1-a","filler":""#).unwrap();
    for _ in 0..64 {
        packed.write_all(&[b' '; 1024 * 1024]).unwrap();
    }
    packed.write_all(br#""}"#).unwrap();
    packed.finish().unwrap()
});

/// Somebody whom nobody should ask: gives its address, and how many did.
pub fn trap() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            // as if it were a CouchDB without documents
            let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{\"version\":\"1\"}";
            let _ = client.unwrap().write_all(answer);
        }
    });
    (address, asked)
}
