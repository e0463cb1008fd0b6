//! The parameters of `GET /message-log`.

use crate::command::history::{HistoryQuery, Order, Place, Senders};
use crate::http::parameters::{bad_parameter, mailbox, msg_id, number, user_id};
use crate::http::problem::Problem;
use crate::model::MsgId;
use crate::protocol::query::Query;

/// Most messages per answer.
pub const SIZE_MAX: u64 = 100;

/// Default number of messages per answer.
pub const SIZE_DEFAULT: u64 = 10;

/// Mutually exclusive parameters.
const CONTRADICTORY: [(&str, &str); 7] = [
    ("fromId", "with"),
    ("with", "page"),
    ("with", "order"),
    ("before", "page"),
    ("before", "order"),
    ("after", "page"),
    ("after", "order"),
];

/// Parses all known parameters, including those without effect on this request.
///
/// # Errors
/// 400 that names the first invalid one.
pub fn parse(parameters: &Query) -> Result<HistoryQuery, Problem> {
    let mailbox = mailbox(parameters, "toId")?;
    let from = user_id(parameters, "fromId")?;
    let with = user_id(parameters, "with")?;
    let page = number(parameters, "page", 1, MsgId::MAX.0)?;
    let size = number(parameters, "size", 1, SIZE_MAX)?;
    let order = order(parameters)?;
    let before = msg_id(parameters, "before")?;
    let after = msg_id(parameters, "after")?;
    let as_of = msg_id(parameters, "asOf")?;
    let since_ms = number(parameters, "since", 0, MsgId::MAX.0)?;
    let until_ms = number(parameters, "until", 0, MsgId::MAX.0)?;
    for (one, other) in CONTRADICTORY {
        let given = |name| parameters.value(name).map_err(bad_parameter);
        if given(one)?.is_some() && given(other)?.is_some() {
            let what = format!("`{one}` and `{other}` do not go together: give one of them");
            return Err(Problem::parameter(what));
        }
    }
    let by_cursor = with.is_some() || before.is_some() || after.is_some();
    Ok(HistoryQuery {
        mailbox,
        senders: match (from, with) {
            (None, None) => Senders::All,
            (Some(from), _) => Senders::From(from),
            (None, Some(with)) => Senders::With(with),
        },
        since_ms,
        until_ms,
        as_of,
        place: if by_cursor {
            Place::Cursor { before, after }
        } else {
            Place::Page(page.unwrap_or(1), order.unwrap_or(Order::Descending))
        },
        size: size.unwrap_or(SIZE_DEFAULT),
    })
}

fn order(parameters: &Query) -> Result<Option<Order>, Problem> {
    match parameters.value("order").map_err(bad_parameter)? {
        None => Ok(None),
        Some("asc") => Ok(Some(Order::Ascending)),
        Some("desc") => Ok(Some(Order::Descending)),
        Some(_) => Err(Problem::parameter("`order` must be `asc` or `desc`")),
    }
}
