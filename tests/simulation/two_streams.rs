//! Two of our streams, joined by a transport that does what it wants, within what is allowed.

use super::{
    application::{Application, WriteEnd},
    choices::Choices,
    executor,
    one_stream::{Endpoint, Setting},
    transport::{Line, Transport},
};
use fastwebsockets_stream::WebSocketStream;
use std::io;

/// Runs a conversation to its end, and checks that nothing was lost.
pub(crate) fn run(bytes: &[u8]) {
    let choices = Choices::new(bytes);
    let ends = [choices.pick(&[WriteEnd::Shutdown, WriteEnd::Close]), WriteEnd::Shutdown];
    let settings = settings(&choices);
    let capacities = [(); 2].map(|()| choices.pick(&[usize::MAX, 1, 3, 100, 1024, 70_000]));
    let lines = capacities.map(|capacity| Line::new(capacity, choices.one_in(4)));
    let [a, b] = [0, 1].map(|side| {
        let transport = Transport::new(&choices, &lines[1 - side], &lines[side]);
        let setting = settings[side];
        let stream = WebSocketStream::after_handshake(transport, setting.role(), setting.config());
        Application::new(&choices, stream)
    });
    let small = capacities.iter().any(|capacity| *capacity < 100);
    let sizes = [(); 2].map(|()| if small { choices.below(2000) } else { choices.size() });
    let sent = [0, 1].map(|side| settings[side].payload(sizes[side]));
    let rest = executor::run(
        &choices,
        vec![
            Box::pin(a.clone().read()),
            Box::pin(a.clone().write(sent[0], ends[0])),
            Box::pin(b.clone().read()),
            Box::pin(b.clone().write(sent[1], ends[1])),
        ],
        &lines,
    );

    assert!(rest.waiting.is_empty(), "tasks {:?} wait for ever", rest.waiting);
    for (from, to, half_close) in
        [(&a, &b, settings[0].half_close), (&b, &a, settings[1].half_close)]
    {
        let stats = [from, to].map(|side| side.stream.borrow().stats());
        let (from, to) = (from.log.borrow(), to.log.borrow());
        if !to.closing {
            // The rest of a code point that a Close came in the way of was never sent.
            let unfinished = match std::str::from_utf8(&from.accepted) {
                Err(error) if settings[0].text => from.accepted.len() - error.valid_up_to(),
                _ => 0,
            };
            let sent = from.accepted.len() - unfinished;
            assert!(unfinished == 0 || from.write_error.is_some());
            assert!(to.received == from.accepted[..sent], "what was written is what is read");
            assert_eq!(stats[0].frames_written, stats[1].frames_read);
            assert_eq!(stats[1].bytes_read, sent as u64);
            assert!(matches!(to.read_end, Some(Ok(()))), "{:?}", to.read_end);
        }
        // Half a code point that can't be sent is a loss.
        match &from.write_end {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error:?}");
                assert!(std::str::from_utf8(&from.accepted).is_err() && settings[0].text);
            }
            None => panic!("a writer that never ended"),
        }
        // Without half-close the peer's Close may come first.
        if let Some(error) = &from.write_error {
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            assert!(!half_close, "the directions end one by one");
        }
    }
}

/// A client and a server that agree on the payload type, each with its own idea of closing.
fn settings(choices: &Choices) -> [Setting; 2] {
    let mut settings = [(); 2].map(|()| Setting::new(choices));
    settings[0].endpoint = Endpoint::Client;
    settings[1].endpoint = Endpoint::Server;
    settings[1].text = settings[0].text;
    for setting in &mut settings {
        // The application's own code isn't a normal one.
        setting.strict_close = false;
    }
    settings
}
