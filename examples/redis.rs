//! A little `redis-cli`: lines of standard input are commands, pipelined; the replies are printed,
//! and whatever the server pushes to a subscriber.
//!
//! Redis speaks no WebSocket; websockify does it for it, or the example `tunnel`, which asks for a
//! header:
//!
//! ```console
//! $ websockify 127.0.0.1:6081 127.0.0.1:6379
//! $ echo 'set greeting hello' | cargo run --features connect --example redis -- \
//!       ws://127.0.0.1:6081/
//! $ tunnel server --listen 127.0.0.1:6084 --allow 127.0.0.1:6379
//! $ echo 'get greeting' | cargo run --features connect --example redis -- \
//!       ws://127.0.0.1:6084/ tunnel-target:127.0.0.1:6379
//! ```

use fastwebsockets_stream::client::Builder;
use futures_util::StreamExt;
use redis::{
    AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Value,
    aio::MultiplexedConnection,
};
use std::{env, error::Error};
use tokio::{io::stdin, sync::mpsc};
use tokio_util::codec::{FramedRead, LinesCodec};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut open = Builder::new(arguments.next().ok_or("which URL?")?);
    for header in arguments {
        let (name, value) = header.split_once(':').ok_or("a header is NAME:VALUE")?;
        open = open.header(name, value);
    }
    let (stream, _) = open.connect().await?;
    // With RESP3, what the server says unasked comes over the same connection.
    let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
    let (sender, mut pushes) = mpsc::unbounded_channel();
    let config = AsyncConnectionConfig::new().set_push_sender(sender).set_response_timeout(None);
    let (mut connection, driver) =
        MultiplexedConnection::new_with_config(&info, stream, config).await?;
    let driver = tokio::spawn(driver);

    // The lines that are there already leave together.
    let mut input = FramedRead::new(stdin(), LinesCodec::new()).ready_chunks(1000);
    loop {
        tokio::select! {
            lines = input.next() => {
                let Some(lines) = lines else { break };
                let mut commands = redis::pipe();
                for line in lines {
                    commands.add_command(Cmd::new()).arg(line?.split_whitespace().collect::<Vec<_>>());
                }
                let replies: Vec<Value> = commands.query_async(&mut connection).await?;
                for reply in &replies {
                    println!("{}", text(reply));
                }
            }
            Some(push) = pushes.recv() => println!("{}: {}", push.kind, text(&Value::Array(push.data))),
        }
    }
    // The connection ends once nobody can send on it.
    drop(connection);
    Ok(driver.await?)
}

fn text(value: &Value) -> String {
    match value {
        Value::Okay => "OK".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}
