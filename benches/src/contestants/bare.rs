//! The transport itself.

use super::{ByteStream, Kind, Role, Transport};

pub struct Bare;

impl ByteStream for Bare {
    const NAME: &'static str = "bare transport";
    const KIND: Kind = Kind::Bare;
    type Stream<S: Transport> = S;

    fn stream<S: Transport>(io: S, _role: Role, _text: bool) -> Option<S> {
        Some(io)
    }
}
