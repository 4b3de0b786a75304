//! The sockets that clients connect to.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How many connections may wait to be taken. The system may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// Listens on an address (port 0: any that is free), and gives the one that it is. A connection is closed whose client
/// takes nothing of what is sent to it for `send_time_out`.
///
/// Errors: it can't be listened on.
pub fn on(address: SocketAddr, send_time_out: Duration) -> io::Result<(TcpListener, SocketAddr)> {
    let cannot = |error: io::Error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}"));
    let socket = open(address, send_time_out).map_err(cannot)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
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
