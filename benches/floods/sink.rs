//! The control: a process that accepts, reads, and discards, and answers nothing.

use std::io::Write as _;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;

/// Connections that wait to be accepted, as the server has them.
const BACKLOG: u32 = 8192;
const BUFFER_BYTES: usize = 16 << 10;

/// Says on which address it listens, and goes on until it is killed.
pub async fn run() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(BACKLOG).unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(async move {
            let mut buffer = vec![0; BUFFER_BYTES];
            while let Ok(1..) = stream.read(&mut buffer).await {}
        });
    }
}
