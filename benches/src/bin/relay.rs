//! A plain TCP relay, for comparison with the tunnel: `relay TARGET` takes connections on a port of
//! the system's choice, which it prints.

use std::{env, io};
use tokio::{
    io::copy_bidirectional_with_sizes,
    net::{TcpListener, TcpStream},
};

/// As much as the tunnel reads at a time.
const BUFFER: usize = 256 * 1024;

#[tokio::main]
async fn main() -> io::Result<()> {
    let target = env::args().nth(1).expect("relay TARGET");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (mut here, _) = listener.accept().await?;
        let target = target.clone();
        tokio::spawn(async move {
            let mut there = TcpStream::connect(target).await?;
            here.set_nodelay(true)?;
            there.set_nodelay(true)?;
            copy_bidirectional_with_sizes(&mut here, &mut there, BUFFER, BUFFER).await
        });
    }
}
