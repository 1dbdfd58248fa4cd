//! Protobuf messages behind their lengths.

use crate::{common::bytes, each_way};
use bytes::Bytes;
use fastwebsockets_stream::Config;
use futures_util::{SinkExt, StreamExt};
use prost::Message;
use tokio::join;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

#[derive(Clone, PartialEq, Message)]
struct Item {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(bytes = "vec", tag = "2")]
    content: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    parts: Vec<Item>,
}

/// Of all sizes: none (a message of defaults is no bytes at all), small ones, one of MiB.
fn items() -> impl Iterator<Item = Item> {
    (0..1000).map(|number| Item {
        number,
        content: bytes(if number == 500 { 3 << 20 } else { number as usize * 7 % 3000 }),
        parts: vec![Item { number: number % 3, ..Item::default() }; number as usize % 4],
    })
}

#[tokio::test]
async fn messages_go_both_ways_at_once() {
    each_way(Config::new().half_close(true), async |one, other| {
        let talk = async |stream| {
            let (mut sink, mut source) = Framed::new(stream, LengthDelimitedCodec::new()).split();
            let send = async {
                for item in items() {
                    sink.feed(Bytes::from(item.encode_to_vec())).await.unwrap();
                }
                sink.close().await.unwrap();
            };
            let receive = async {
                for item in items() {
                    let message = source.next().await.unwrap().unwrap();
                    assert!(Item::decode(message).unwrap() == item, "{}", item.number);
                }
                assert!(source.next().await.is_none());
            };
            join!(send, receive);
        };
        join!(talk(one), talk(other));
    })
    .await;
}
