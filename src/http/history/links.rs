//! The `Link` header of `GET /message-log` (RFC 8288): how to continue.
//!
//! Every link carries the filters and the `asOf` of its answer, so that a client that follows them
//! sees every message once, whatever arrives meanwhile. No link carries the token, which belongs in
//! a header.

use axum::http::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::command::history::{HistoryPage, HistoryQuery, Order, Place, Senders};

/// The links of an answer; `None` if there are none.
pub fn header(query: &HistoryQuery, page: &HistoryPage) -> Option<HeaderValue> {
    let base = base(query, page);
    let link = |rel: &str, place: &str| format!("<{base}{place}>; rel=\"{rel}\"");
    let links = match query.place {
        Place::Page(number, _) => pages(number, page.pages)
            .map(|(rel, number)| link(rel, &format!("&page={number}")))
            .collect(),
        Place::Cursor { after, .. } => {
            let next = page.next?;
            let place = match (query.order(), after) {
                (Order::Ascending, _) => format!("&after={next}"),
                (Order::Descending, None) => format!("&before={next}"),
                (Order::Descending, Some(after)) => format!("&before={next}&after={after}"),
            };
            vec![link("next", &place)]
        }
    };
    if links.is_empty() {
        return None;
    }
    HeaderValue::try_from(links.join(", ")).ok()
}

/// The neighbouring pages, by relation.
fn pages(number: u64, pages: u64) -> impl Iterator<Item = (&'static str, u64)> {
    let links = [
        ("first", Some(1)),
        // Beyond the end, this is the last page.
        ("prev", (number > 1).then(|| (number - 1).min(pages))),
        ("next", (number < pages).then_some(number + 1)),
        ("last", Some(pages)),
    ];
    let links = links.into_iter().filter(move |_| pages > 0);
    links.filter_map(|(rel, number)| Some((rel, number?)))
}

/// The address without its position. Relative, since a proxy may have stripped a prefix from the
/// path.
fn base(query: &HistoryQuery, page: &HistoryPage) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut base = format!(
        "?domain={}&toId={}",
        encode(query.mailbox.domain.as_str()),
        encode(query.mailbox.user.as_str())
    );
    match &query.senders {
        Senders::All => {}
        Senders::From(from) => base.push_str(&format!("&fromId={}", encode(from.as_str()))),
        Senders::With(with) => base.push_str(&format!("&with={}", encode(with.as_str()))),
    }
    for (name, time_ms) in [("since", query.since_ms), ("until", query.until_ms)] {
        if let Some(time_ms) = time_ms {
            base.push_str(&format!("&{name}={time_ms}"));
        }
    }
    if let Place::Page(_, Order::Ascending) = query.place {
        base.push_str("&order=asc");
    }
    base.push_str(&format!("&size={}&asOf={}", query.size, page.as_of));
    base
}
