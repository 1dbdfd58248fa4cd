//! A little `psql`: lines of standard input are statements, pipelined; their rows are printed, and
//! whatever the server notifies.
//!
//! PostgreSQL speaks no WebSocket; websockify does it for it, or the example `tunnel`, which asks for a
//! header:
//!
//! ```console
//! $ websockify 127.0.0.1:6082 127.0.0.1:5432
//! $ echo 'select version()' | cargo run --features connect --example postgres -- \
//!       ws://127.0.0.1:6082/ 'user=postgres dbname=postgres'
//! $ tunnel server --listen 127.0.0.1:6083 --allow 127.0.0.1:5432
//! $ echo 'select version()' | cargo run --features connect --example postgres -- \
//!       ws://127.0.0.1:6083/ 'user=postgres dbname=postgres' tunnel-target:127.0.0.1:5432
//! ```

use fastwebsockets_stream::client::Builder;
use futures_util::{StreamExt, future::poll_fn, stream::FuturesOrdered};
use std::{env, error::Error, sync::Arc};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let config = arguments.next().ok_or("which configuration?")?;
    let mut open = Builder::new(url);
    for header in arguments {
        let (name, value) = header.split_once(':').ok_or("a header is NAME:VALUE")?;
        open = open.header(name, value);
    }
    let (stream, _) = open.connect().await?;
    let (client, mut connection) = config.parse::<Config>()?.connect_raw(stream, NoTls).await?;
    let connection = tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message? {
                println!("{}: {}", notification.channel(), notification.payload());
            }
        }
        Ok::<_, tokio_postgres::Error>(())
    });

    let client = Arc::new(client);
    let mut statements = BufReader::new(stdin()).lines();
    let mut results = FuturesOrdered::new();
    let mut more = true;
    while more || !results.is_empty() {
        tokio::select! {
            statement = statements.next_line(), if more => match statement? {
                Some(statement) => results.push_back(query(Arc::clone(&client), statement)),
                None => more = false,
            },
            Some(rows) = results.next() => for row in rows? {
                println!("{row}");
            },
        }
    }
    // The connection ends once its last client has gone.
    drop((client, results));
    Ok(connection.await??)
}

/// The rows, as `psql -At` prints them.
async fn query(
    client: Arc<Client>,
    statement: String,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let messages = client.simple_query(&statement).await?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let columns: Vec<_> = (0..row.len()).map(|i| row.get(i).unwrap_or_default()).collect();
            Some(columns.join("|"))
        }
        _ => None,
    });
    Ok(rows.collect())
}
