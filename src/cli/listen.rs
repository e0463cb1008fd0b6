//! `relaybox listen`: prints what is delivered to a user's device, until it is told to end.
//!
//! Invariant: a message is confirmed only once it has been written to standard output; one that was
//! written is not written again by the same process, however often it is delivered.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::login_args::{self, Account, LoginArgs};
use super::printer::{Format, Printer};
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

/// The device that listening logs in as.
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

/// Runs the command.
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
    /// How many messages are still wanted; `None`: all.
    left: Option<u64>,
    /// The last message that was handed to the printer.
    handed: MsgId,
    /// Whether a login was accepted: from then on trouble passes.
    online: bool,
    /// Whether that of this session was, and was told.
    greeted: bool,
    backoff: Backoff,
}

/// Why a session is at its end.
enum End {
    /// It is enough: of messages, or somebody says so.
    Enough,
    /// The server, or what is between.
    Ended(Ended),
}

impl Listener {
    async fn listen(mut self) -> anyhow::Result<()> {
        let mut stop = Stop::register().context("signals cannot be handled")?;
        loop {
            // Cancel-safe: an attempt that is given up has printed nothing.
            let opened = tokio::select! {
                () = stop.asked() => return Ok(()),
                opened = Connection::open(&self.login, &self.account.trust) => opened,
            };
            let (trouble, told) = match opened {
                Err(error) if !self.online && error.verdict() == Verdict::Stop => {
                    return Err(anyhow!(login_args::explain(&error)));
                }
                Err(error) => (login_args::explain(&error), None),
                Ok(mut connection) => {
                    // Cancel-safe: what was handed to the printer is known here.
                    let end = tokio::select! {
                        () = stop.asked() => Ok(End::Enough),
                        end = self.session(&mut connection) => end,
                    };
                    match end {
                        Ok(End::Ended(ended)) => self.judge(&ended)?,
                        Ok(End::Enough) => return self.end(connection, &mut stop, Ok(())).await,
                        Err(error) => return self.end(connection, &mut stop, Err(error)).await,
                    }
                }
            };
            let pause = self.backoff.pause(told);
            let seconds = pause.as_secs_f64();
            output::hint(&format!("relaybox: {trouble}; again in {seconds:.1} s"));
            tokio::select! {
                () = stop.asked() => return Ok(()),
                () = sleep(pause) => {}
            }
        }
    }

    /// What to say, and how long the server wants to be left alone; an error where it is not to be
    /// asked again.
    fn judge(&self, ended: &Ended) -> anyhow::Result<(String, Option<Duration>)> {
        let sentence = output::plain(&ended.to_string());
        match ended.verdict() {
            Verdict::Again { told } if matches!(ended, Ended::Closed { .. }) => {
                Ok((format!("the server closed the session: {sentence}"), told))
            }
            Verdict::Again { told } => Ok((sentence, told)),
            Verdict::Stop if self.online => {
                Err(anyhow!("the server ended the session: {sentence}"))
            }
            Verdict::Stop => Err(anyhow!("the server refused the login: {sentence}")),
        }
    }

    /// One session, until it ends or enough was printed. Standard output's end is an error.
    async fn session(&mut self, connection: &mut Connection) -> anyhow::Result<End> {
        self.greeted = false;
        let mut receipts = Receipts::after(self.printer.written());
        // Answered only after the login: that is how a client learns of it.
        let mut greeted = connection.send("ping".to_owned()).await;
        if let (Ok(()), Some(received)) = (&greeted, receipts.again()) {
            greeted = connection.send(received).await;
        }
        if let Err(ended) = greeted {
            return Ok(End::Ended(ended));
        }
        loop {
            if self.left == Some(0) && receipts.confirmed >= self.handed {
                return Ok(End::Enough);
            }
            // Cancel-safe, both.
            let text = tokio::select! {
                progress = self.printer.progress() => {
                    progress?;
                    None
                }
                text = connection.next(), if self.printer.has_room() => Some(text),
            };
            match text {
                Some(Err(ended)) => return Ok(End::Ended(ended)),
                Some(Ok(text)) => self.take(&text, &mut receipts)?,
                None => {}
            }
            if let Some(received) = receipts.due(self.printer.written())
                && let Err(ended) = connection.send(received).await
            {
                return Ok(End::Ended(ended));
            }
        }
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
            ServerFrame::Refused(refused) => {
                let sentence = output::plain(&refused.sentence);
                output::hint(&format!(
                    "relaybox: the server refused a receipt: {sentence}"
                ));
            }
            ServerFrame::Ack(_) | ServerFrame::Other => {}
        }
        Ok(())
    }

    /// Prints a message, unless it was printed before or is one too many.
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
        // The server knows from the first login on where to go on.
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

    /// Ends in order, unless told again to end: what waits is written, what is written is confirmed.
    async fn end(
        self,
        mut connection: Connection,
        stop: &mut Stop,
        done: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let ending = async {
            let written = self.printer.end().await;
            // A receipt that does not arrive costs a repeat the next time, no message.
            if written == MsgId::ZERO || connection.send(received(written)).await.is_ok() {
                connection.close().await;
            }
        };
        tokio::select! {
            () = stop.asked() => {}
            () = ending => {}
        }
        done
    }
}

/// What one session has confirmed. Receipts are cumulative, and must name what this session has delivered
/// or the one before had.
struct Receipts {
    delivered: MsgId,
    confirmed: MsgId,
}

impl Receipts {
    /// A session that follows one that had written so far.
    fn after(written: MsgId) -> Self {
        Self {
            delivered: written,
            confirmed: written,
        }
    }

    /// What an earlier session may not have got through.
    fn again(&self) -> Option<String> {
        (self.confirmed > MsgId::ZERO).then(|| received(self.confirmed))
    }

    /// The receipt to send now.
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

/// SIGINT and SIGTERM: it is enough.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn register() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        // Cancel-safe: `recv` keeps a signal that it has not handed out.
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
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
            // Written by an earlier session's grace, and not yet delivered again.
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
