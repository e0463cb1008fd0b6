//! `relaybox listen`: prints messages delivered to a user's device, until told to stop.
//!
//! Invariant: a message is confirmed only once it has been written to standard output; once
//! written, it is not written again by the same process, however often it is delivered.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use tokio::time::sleep;

use super::login_args::{self, Account, LoginArgs};
use super::printer::{Format, Printer};
use super::signals::{StopSignals, UNHANDLED};
use super::{Failure, output, runtime};
use crate::client::frame::{Delivery, ServerFrame};
use crate::client::{Backoff, Connection, Ended, Login, Verdict};
use crate::model::{MsgId, Resource};

const EXAMPLES: &str = "\
Examples:
  relaybox listen --domain demo --id u2
  relaybox listen --domain demo --id u2 --after 0 --json | jq .content
  relaybox listen --url chat.example.com:8443 --domain demo --id u2 --count 1

The token comes from RELAYBOX_CLIENT_TOKEN or --token-file FILE. A message counts as received
once it is written; what has not been comes again the next time. Ctrl-C ends it.";

/// Default resource of the login.
const RESOURCE: &str = "cli";

/// Prints the messages that arrive for a user, first those that it has not received yet
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ListenArgs {
    /// Prints each message as the JSON that was delivered, one a line
    #[arg(long)]
    json: bool,
    /// Begins behind this message, whatever was received already; 0 for everything there is
    #[arg(long, value_name = "MSGID", value_parser = msg_id)]
    after: Option<MsgId>,
    /// Ends after so many messages
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
    #[command(flatten)]
    login: LoginArgs,
}

fn msg_id(text: &str) -> Result<MsgId, String> {
    MsgId::parse(text).ok_or_else(|| "expected a msgId, or 0".to_owned())
}

pub(super) fn run(args: &ListenArgs) -> Result<(), Failure> {
    let resource = Resource::parse(RESOURCE).expect("this is a name");
    let account = args.login.resolve(&resource)?;
    let format = if args.json {
        Format::json()
    } else {
        Format::Human
    };
    let printer = Printer::start(format, io::stdout())?;
    let listener = Listener {
        login: account.login(&resource, args.after),
        account,
        printer,
        left: args.count.map(NonZeroU64::get),
        handed: MsgId::ZERO,
        online: false,
        greeted: false,
        backoff: Backoff::default(),
    };
    Ok(runtime::run(listener.listen())??)
}

struct Listener {
    account: Account,
    login: Login,
    printer: Printer,
    /// Messages still wanted; `None`: all.
    left: Option<u64>,
    /// The last message passed to the printer.
    handed: MsgId,
    /// Whether any login was accepted; from then on, trouble is considered temporary.
    online: bool,
    /// Whether the login of this session was accepted and reported.
    greeted: bool,
    backoff: Backoff,
}

impl Listener {
    async fn listen(mut self) -> anyhow::Result<()> {
        let mut stop = StopSignals::register().context(UNHANDLED)?;
        loop {
            // Cancel-safe: an abandoned attempt has printed nothing.
            let opened = tokio::select! {
                _ = stop.next() => return Ok(()),
                opened = Connection::open(&self.login, &self.account.trust) => opened,
            };
            let (trouble, wait) = match opened {
                Err(error) if !self.online && error.verdict() == Verdict::Stop => {
                    return Err(anyhow!(login_args::explain(&error)));
                }
                Err(error) => (login_args::explain(&error), None),
                Ok(mut connection) => {
                    // Cancel-safe: `handed` records what was passed to the printer.
                    let end = tokio::select! {
                        _ = stop.next() => Ok(()),
                        end = self.session(&mut connection) => end,
                    };
                    let error = end.as_ref().err();
                    match error.and_then(|error| error.downcast_ref::<Ended>()) {
                        Some(ended) => self.judge(ended)?,
                        None => return self.end(connection, &mut stop, end).await,
                    }
                }
            };
            let pause = self.backoff.pause(wait);
            let seconds = pause.as_secs_f64();
            output::hint(&format!("relaybox: {trouble}; again in {seconds:.1} s"));
            tokio::select! {
                _ = stop.next() => return Ok(()),
                () = sleep(pause) => {}
            }
        }
    }

    /// The sentence to print, and the wait that the server asks for; an error if there should be no
    /// retry.
    fn judge(&self, ended: &Ended) -> anyhow::Result<(String, Option<Duration>)> {
        let sentence = output::plain(&ended.to_string());
        match ended.verdict() {
            Verdict::Again { wait } if matches!(ended, Ended::Closed { .. }) => {
                Ok((format!("the server closed the session: {sentence}"), wait))
            }
            Verdict::Again { wait } => Ok((sentence, wait)),
            Verdict::Stop if self.online => {
                Err(anyhow!("the server ended the session: {sentence}"))
            }
            Verdict::Stop => Err(anyhow!("the server refused the login: {sentence}")),
        }
    }

    /// Runs one session until enough was printed. Else the error is [`Ended`], or that of a failing
    /// standard output.
    async fn session(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        self.greeted = false;
        let mut receipts = Receipts::after(self.printer.written());
        // The answer comes only after the login, and thereby confirms it.
        connection.send("ping".to_owned()).await?;
        if let Some(received) = receipts.again() {
            connection.send(received).await?;
        }
        while self.left != Some(0) || receipts.confirmed < self.handed {
            // Both branches are cancel-safe.
            tokio::select! {
                progress = self.printer.progress() => progress?,
                text = connection.next(), if self.printer.has_room() => {
                    self.take(&text?, &mut receipts)?;
                }
            }
            if let Some(received) = receipts.due(self.printer.written()) {
                connection.send(received).await?;
            }
        }
        Ok(())
    }

    fn take(&mut self, text: &str, receipts: &mut Receipts) -> anyhow::Result<()> {
        let Ok(frame) = ServerFrame::parse(text) else {
            output::hint("relaybox: the server sent something that is no message");
            return Ok(());
        };
        match frame {
            ServerFrame::Pong => self.logged_in(),
            ServerFrame::Message(delivery) => {
                self.logged_in();
                self.deliver(text, &delivery)?;
                receipts.delivered = delivery.id;
            }
            ServerFrame::Refused(sentence) => {
                let sentence = output::plain(&sentence);
                output::hint(&format!(
                    "relaybox: the server refused a receipt: {sentence}"
                ));
            }
            ServerFrame::Ack(_) | ServerFrame::Other => {}
        }
        Ok(())
    }

    /// Prints a message, unless it was printed before or exceeds the wanted number.
    fn deliver(&mut self, text: &str, delivery: &Delivery) -> anyhow::Result<()> {
        if delivery.id <= self.handed || self.left == Some(0) {
            return Ok(());
        }
        self.printer.print(text, delivery)?;
        self.handed = delivery.id;
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }

    fn logged_in(&mut self) {
        self.backoff.reset();
        // From the first login on, the server knows where to continue.
        self.login.after = None;
        self.online = true;
        if !self.greeted {
            self.greeted = true;
            let Login {
                address,
                domain,
                id,
                resource,
                ..
            } = &self.login;
            let who = output::plain(&format!("{id}/{resource} of {domain}"));
            output::hint(&format!("relaybox: listening as {who} on {address}"));
        }
    }

    /// Shuts down in order, unless told to stop again: pending messages are written, written ones
    /// confirmed.
    async fn end(
        self,
        mut connection: Connection,
        stop: &mut StopSignals,
        done: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let ending = async {
            let written = self.printer.end().await;
            // A lost receipt costs a repeated delivery next time, not a message.
            if written == MsgId::ZERO || connection.send(received(written)).await.is_ok() {
                connection.close().await;
            }
        };
        tokio::select! {
            _ = stop.next() => {}
            () = ending => {}
        }
        done
    }
}

/// Confirmations of one session. Receipts are cumulative, and must name a message delivered by this
/// session or the one before.
struct Receipts {
    delivered: MsgId,
    confirmed: MsgId,
}

impl Receipts {
    /// A session after an earlier one that had written up to `written`.
    fn after(written: MsgId) -> Self {
        Self {
            delivered: written,
            confirmed: written,
        }
    }

    /// The last receipt of the earlier session, which may not have arrived.
    fn again(&self) -> Option<String> {
        (self.confirmed > MsgId::ZERO).then(|| received(self.confirmed))
    }

    fn due(&mut self, written: MsgId) -> Option<String> {
        let upto = written.min(self.delivered);
        if upto <= self.confirmed {
            return None;
        }
        self.confirmed = upto;
        Some(received(upto))
    }
}

fn received(id: MsgId) -> String {
    format!("{{\"received\":{id}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_name_what_is_both_delivered_and_written() {
        let mut receipts = Receipts::after(MsgId(5));
        assert_eq!(receipts.again().as_deref(), Some("{\"received\":5}"));
        for (delivered, written, due) in [
            (5, 5, None),
            // Written by an earlier session, and not delivered again yet.
            (5, 9, None),
            (7, 9, Some("{\"received\":7}")),
            (8, 9, Some("{\"received\":8}")),
            (9, 9, Some("{\"received\":9}")),
            (12, 10, Some("{\"received\":10}")),
            (12, 10, None),
        ] {
            receipts.delivered = MsgId(delivered);
            assert_eq!(receipts.due(MsgId(written)).as_deref(), due);
        }
        assert_eq!(Receipts::after(MsgId::ZERO).again(), None);
    }
}
