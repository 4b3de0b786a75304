//! The sockets that clients connect to, and where clients find them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How many connections may wait to be taken. The system may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// Listens on an address (port 0: any that is free), and gives the one that it is. A connection is closed whose client
/// takes nothing of what is sent to it for `send_time_out`.
///
/// Errors: it can't be listened on.
pub(crate) fn on(address: SocketAddr, send_time_out: Duration) -> io::Result<(TcpListener, SocketAddr)> {
    let cannot = |error: io::Error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}"));
    let socket = open(address, send_time_out).map_err(cannot)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The URL at which a listener's clients find it.
pub fn url(address: SocketAddr, is_tls: bool) -> String {
    format!("{}://{address}", if is_tls { "https" } else { "http" })
}

/// Where clients of this machine reach who listens at an address, which may be all that the machine has.
pub fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether an address of its own for operators' machines is served over TLS, where the service has a certificate: on loopback
/// nobody listens in, and nobody calls it by the certificate's name.
pub fn admin_has_tls(address: SocketAddr) -> bool {
    !address.ip().is_loopback()
}

fn open(address: SocketAddr, send_time_out: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // connections take this from their listener
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(send_time_out))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
