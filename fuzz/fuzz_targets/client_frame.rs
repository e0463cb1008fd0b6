//! Any text as a client frame, with small limits: it is understood or refused, never a panic;
//! what is understood keeps the rules of the contract; a refusal names what was wrong.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaybox::model::{MessageType, MsgId};
use relaybox::protocol::client_frame::{
    ClientFrame, FRAME_RECIPIENTS_MAX, FrameRules, parse, too_large,
};

const CONTENT_BYTES_MAX: usize = 64;
const CONTENT_DEPTH_MAX: usize = 8;

fuzz_target!(|text: &str| {
    let rules = FrameRules {
        content_bytes_max: CONTENT_BYTES_MAX,
        content_depth_max: CONTENT_DEPTH_MAX,
        types: MessageType::BASE.into(),
    };
    // As the start of a frame of which no more was read: what the whole would have said.
    let cut = too_large(text.as_bytes(), text.len(), &rules).client_msg_id;
    match parse(text, &rules) {
        Ok(ClientFrame::Ping) => assert_eq!(text, "ping"),
        Ok(ClientFrame::Received(id)) => {
            assert!(id <= MsgId::MAX);
            // Else it is a number with a fraction or an exponent, or written with escapes.
            assert!(text.contains(&id.to_string()) || text.contains(['.', 'e', 'E', '\\']));
        }
        Ok(ClientFrame::Send(send)) => {
            assert_eq!(cut, send.client_msg_id);
            assert!((1..=FRAME_RECIPIENTS_MAX).contains(&send.to.len()));
            assert!(send.to_array || send.to.len() == 1);
            assert!(rules.types.contains(&send.kind));
            assert!(send.content.len() <= CONTENT_BYTES_MAX && *send.content != *"null");
            // Byte for byte as it stands in the frame, and JSON by itself.
            assert!(text.contains(&*send.content));
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&send.content).is_ok());
        }
        Err(error) => {
            assert!(!error.message.is_empty());
            assert!(
                error
                    .field
                    .is_none_or(|field| error.message.contains(field))
            );
        }
    }
});
