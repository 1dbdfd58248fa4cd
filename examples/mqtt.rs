//! A little MQTT client: lines of standard input to a topic, or a topic's messages to standard
//! output.
//!
//! ```console
//! $ printf 'listener 9883 127.0.0.1\nprotocol websockets\nallow_anonymous true\n' >mosquitto.conf
//! $ mosquitto -c mosquitto.conf
//! $ cargo run --features connect --example mqtt -- ws://127.0.0.1:9883/ subscribe news 1
//! $ echo hello | cargo run --features connect --example mqtt -- ws://127.0.0.1:9883/ publish news
//! ```
//!
//! The subscriber ends after so many messages. Brokers demand the subprotocol `mqtt`.

use bytes::BytesMut;
use fastwebsockets_stream::client::Builder;
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use mqttbytes::{
    QoS,
    v4::{self, Connect, Disconnect, Packet, PubAck, Publish, Subscribe},
};
use std::{env, error::Error, io};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};
use tokio_util::codec::{Decoder, Encoder, Framed};

const LARGEST_PACKET: usize = 64 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [url, action, topic, ref count @ ..] = arguments[..] else {
        return Err("URL, then publish TOPIC or subscribe TOPIC COUNT".into());
    };
    let (stream, _) = Builder::new(url).subprotocols(["mqtt"]).connect().await?;
    let (mut packets, mut answers) = Framed::new(stream, Mqtt).split();
    let mut connect = Connect::new("");
    connect.keep_alive = 0;
    packets.send(Packet::Connect(connect)).await?;
    answers.try_next().await?.ok_or("not accepted")?;

    match (action, count) {
        ("publish", []) => {
            let mut lines = BufReader::new(stdin()).split(b'\n');
            let mut sent = 0;
            while let Some(line) = lines.next_segment().await? {
                let mut message = Publish::new(topic, QoS::AtLeastOnce, line);
                message.pkid = sent % 1000 + 1;
                packets.feed(Packet::Publish(message)).await?;
                sent += 1;
            }
            packets.flush().await?;
            answers.by_ref().take(sent.into()).try_collect::<Vec<_>>().await?;
        }
        ("subscribe", [count]) => {
            let mut subscribe = Subscribe::new(topic, QoS::AtLeastOnce);
            subscribe.pkid = 1;
            packets.send(Packet::Subscribe(subscribe)).await?;
            let mut output = stdout();
            let mut missing: u32 = count.parse()?;
            while missing > 0 {
                match answers.try_next().await?.ok_or("the broker has gone")? {
                    Packet::SubAck(_) => {}
                    Packet::Publish(message) => {
                        output.write_all(&[&message.payload, &b"\n"[..]].concat()).await?;
                        packets.send(Packet::PubAck(PubAck::new(message.pkid))).await?;
                        missing -= 1;
                    }
                    other => return Err(format!("unexpected: {other:?}").into()),
                }
            }
            output.flush().await?;
        }
        _ => return Err("publish TOPIC, or subscribe TOPIC COUNT".into()),
    }
    packets.send(Packet::Disconnect).await?;
    packets.close().await?;
    Ok(())
}

/// The packets of MQTT 3.1.1, and no WebSocket in sight.
struct Mqtt;

impl Decoder for Mqtt {
    type Item = Packet;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Packet>> {
        match v4::read(bytes, LARGEST_PACKET) {
            Ok(packet) => Ok(Some(packet)),
            Err(mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(invalid(error)),
        }
    }
}

impl Encoder<Packet> for Mqtt {
    type Error = io::Error;

    fn encode(&mut self, packet: Packet, bytes: &mut BytesMut) -> io::Result<()> {
        match packet {
            Packet::Connect(connect) => connect.write(bytes),
            Packet::Publish(publish) => publish.write(bytes),
            Packet::PubAck(ack) => ack.write(bytes),
            Packet::Subscribe(subscribe) => subscribe.write(bytes),
            Packet::Disconnect => Disconnect.write(bytes),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        .map(drop)
        .map_err(invalid)
    }
}

fn invalid(error: mqttbytes::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{error:?}"))
}
