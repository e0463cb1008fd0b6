//! `relaybox send`: sends one message and waits until it is on disk.
//!
//! Never confirms deliveries to its session, since nobody has seen them. Invariant: succeeds only
//! once the message was acknowledged.

use std::io::{self, IsTerminal as _, Read as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{sleep, timeout};

use super::login_args::{self, Account, LoginArgs, STDIN};
use super::{Failure, output, runtime};
use crate::auth::random_key;
use crate::client::frame::{Ack, ServerFrame};
use crate::client::{Backoff, Connection, Ended, Verdict};
use crate::config::limits::CONTENT_BYTES_MAX;
use crate::model::{ClientMsgId, Resource, UserId};

const EXAMPLES: &str = "\
Examples:
  relaybox send --domain demo --id u1 u2 \"hello\"
  uptime | relaybox send --domain demo --id u1 u2
  relaybox send --domain demo --id u1 u2 --to u3 --json '{\"text\":\"hello\"}' --type 20

The token comes from RELAYBOX_CLIENT_TOKEN or --token-file FILE. Standard output gets the msgId
of each recipient's copy, once it is on disk.";

/// Resources for sends. A second concurrent send as the same device ends the first session, and the
/// first send retries as another of these. They are few, since the server keeps a cursor for each.
const RESOURCES: [&str; 4] = ["cli-send", "cli-send-2", "cli-send-3", "cli-send-4"];

/// Close code of a session whose device has logged in again.
const REPLACED: u16 = 4409;

/// Sends a message to a user, online or not
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SendArgs {
    /// The recipient's id
    #[arg(value_name = "TO")]
    to: String,
    /// The message; without it, or with -, it is read from standard input
    text: Option<String>,
    /// A further recipient's id; repeatable
    #[arg(long = "to", value_name = "ID")]
    more: Vec<String>,
    /// The message is JSON, and is sent as it stands
    #[arg(long)]
    json: bool,
    /// What kind of message it is: 10 text, 20 image, 30 voice, 40 audio or video, 100 system
    #[arg(long = "type", value_name = "NUMBER", default_value_t = 10, value_parser = kind)]
    kind: u32,
    /// Only this device of the recipients gets it
    #[arg(long, value_name = "NAME")]
    to_resource: Option<String>,
    /// The send's own id: a repeat with the same one within 24 hours is stored once [default: a random one]
    #[arg(long, value_name = "ID")]
    client_msg_id: Option<String>,
    /// How long to wait until the message is on disk
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    login: LoginArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'a> {
    to_id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_resource: Option<&'a str>,
    #[serde(rename = "type")]
    kind: u32,
    /// Before the content: if that is too large, the server reads only the beginning of the frame.
    client_msg_id: &'a str,
    content: &'a RawValue,
}

fn kind(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a 32-bit number".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a duration such as 30s".into())
}

pub(super) fn run(args: &SendArgs) -> Result<(), Failure> {
    let wrong = |what: &str, error| Failure::Usage(format!("{what} {error}"));
    for id in args.more.iter().chain([&args.to]) {
        UserId::parse(id).map_err(|error| wrong("a recipient's id", error))?;
    }
    let to_resource = args.to_resource.as_deref();
    let parsed = to_resource.map(Resource::parse).transpose();
    parsed.map_err(|error| wrong("--to-resource", error))?;
    let client_msg_id = match &args.client_msg_id {
        Some(id) => ClientMsgId::parse(id).map_err(|error| wrong("--client-msg-id", error))?,
        None => random_id(),
    };
    let account = args.login.resolve(&resource(0))?;
    let content = content(args)?;
    let frame = Frame {
        to_id: match args.more.is_empty() {
            true => args.to.as_str().into(),
            false => recipients(args).collect(),
        },
        to_resource,
        kind: args.kind,
        client_msg_id: client_msg_id.as_str(),
        content: &content,
    };
    let frame = serde_json::to_string(&frame).context("the message cannot be written as JSON")?;

    let mut trouble = None;
    let sending = send(&account, &frame, &client_msg_id, &mut trouble);
    let sent = runtime::run(async { timeout(args.timeout, sending).await })?;
    let ack = sent.unwrap_or_else(|_| {
        let time = humantime::format_duration(args.timeout);
        let id = output::plain(client_msg_id.as_str());
        let trouble = trouble.map_or(String::new(), |trouble| format!(" (the last attempt: {trouble})"));
        Err(anyhow!(
            "no acknowledgement within {time}{trouble}: whether the message was stored is not known; with \
             --client-msg-id {id} the same send can be repeated, and is stored once"
        ))
    })?;
    if ack.duplicate {
        output::hint("It was stored before: this is the first one's msgId.");
    }
    let ids: Vec<_> = ack.ids.iter().map(ToString::to_string).collect();
    Ok(output::print(&ids.join("\n"))?)
}

fn recipients(args: &SendArgs) -> impl Iterator<Item = &str> {
    std::iter::once(args.to.as_str()).chain(args.more.iter().map(String::as_str))
}

fn random_id() -> ClientMsgId {
    let hex: String = random_key()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ClientMsgId::parse(&format!("cli-{hex}")).expect("36 plain characters are an id")
}

/// The first attempt uses the default device; later ones, a random one.
fn resource(attempt: u32) -> Resource {
    let at = match attempt {
        0 => 0,
        _ => usize::from(random_key()[0]) % RESOURCES.len(),
    };
    Resource::parse(RESOURCES[at]).expect("these are names")
}

fn content(args: &SendArgs) -> Result<Box<RawValue>, Failure> {
    let text = match args.text.as_deref() {
        Some(text) if text != STDIN => text.to_owned(),
        _ => from_stdin(&args.login)?,
    };
    let content = match args.json {
        false => to_raw_value(&text).context("the message cannot be written as JSON")?,
        true => serde_json::from_str::<Box<RawValue>>(text.trim())
            .map_err(|e| Failure::Usage(format!("the message is not JSON: {e}")))?,
    };
    if content.get() == "null" {
        return Err(Failure::Usage("the message must not be null".to_owned()));
    }
    if content.get().len() as u64 > CONTENT_BYTES_MAX {
        return Err(too_long());
    }
    Ok(content)
}

fn too_long() -> Failure {
    Failure::Usage(format!(
        "the message is longer than any server takes: {} bytes of JSON text",
        CONTENT_BYTES_MAX
    ))
}

fn from_stdin(login: &LoginArgs) -> Result<String, Failure> {
    if login.takes_stdin() {
        let sentence = "standard input holds the token: give the message as an argument";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        output::hint("Type the message; Ctrl-D at the start of a line ends it.");
    }
    let mut text = Vec::new();
    let mut limited = (&mut stdin).take(CONTENT_BYTES_MAX + 1);
    let read = limited.read_to_end(&mut text);
    read.context("the message cannot be read from standard input")?;
    if text.len() as u64 > CONTENT_BYTES_MAX {
        return Err(too_long());
    }
    let mut text = String::from_utf8(text)
        .map_err(|_| Failure::Usage("the message on standard input is not UTF-8".to_owned()))?;
    // The final line end is the shell's, not the message's.
    let line_end = text.strip_suffix('\n').map(str::len);
    text.truncate(line_end.unwrap_or(text.len()));
    if text.is_empty() {
        let sentence =
            "standard input holds no message: an empty one is sent with \"\" as the argument";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    Ok(text)
}

/// Sends until the message is acknowledged. Retries after a broken connection: the id makes a
/// repeat harmless. `trouble` is why the last attempt failed.
async fn send(
    account: &Account,
    frame: &str,
    id: &ClientMsgId,
    trouble: &mut Option<String>,
) -> anyhow::Result<Ack> {
    let mut backoff = Backoff::default();
    let mut attempt = 0;
    loop {
        let login = account.login(&resource(attempt), None);
        let wait = match Connection::open(&login, &account.trust).await {
            Ok(connection) => match exchange(connection, frame, id).await {
                Ok(ack) => return Ok(ack),
                Err(error) => {
                    let ended = error.downcast::<Ended>()?;
                    *trouble = Some(output::plain(&ended.to_string()));
                    retry_wait(account, &ended)?
                }
            },
            // Never reached: the address is more likely wrong than the server down.
            Err(error) if attempt == 0 || error.verdict() == Verdict::Stop => {
                return Err(anyhow!(login_args::explain(&error)));
            }
            Err(error) => {
                *trouble = Some(login_args::explain(&error));
                None
            }
        };
        attempt += 1;
        sleep(backoff.pause(wait)).await;
    }
}

/// The pause before the next attempt asked for by the server; an error if a retry is pointless.
fn retry_wait(account: &Account, ended: &Ended) -> anyhow::Result<Option<Duration>> {
    let sentence = output::plain(&ended.to_string());
    match (ended.verdict(), ended) {
        // Only this one frame was sent.
        _ if ended.is_for_a_frame() => {
            Err(anyhow!("the server does not take the message: {sentence}"))
        }
        (Verdict::Again { wait }, _) => Ok(wait),
        // Another send is running: the next attempt uses another device.
        (_, Ended::Closed { code: REPLACED, .. }) if !account.resource_given => Ok(None),
        (Verdict::Stop, _) => Err(anyhow!("the server ended the session: {sentence}")),
    }
}

/// One attempt: the acknowledgement, or how the session ended before it. A refusal is an error.
async fn exchange(
    mut connection: Connection,
    frame: &str,
    id: &ClientMsgId,
) -> anyhow::Result<Ack> {
    connection.send(frame.to_owned()).await?;
    loop {
        let text = connection.next().await?;
        match ServerFrame::parse(&text).context("the server's answer cannot be read")? {
            ServerFrame::Ack(ack) if ack.client_msg_id == id.as_str() => {
                connection.close().await;
                return Ok(ack);
            }
            // Only this one frame was sent, so the refusal is for it.
            ServerFrame::Refused(sentence) => {
                let sentence = output::plain(&sentence);
                connection.close().await;
                bail!("the server refused the message: {sentence}");
            }
            _ => {}
        }
    }
}
