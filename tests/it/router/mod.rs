//! The router in memory: what needs no socket, TLS or process, over a real store and a clock that stands still.
//!
//! Requests take all layers that a listener has. Headers that hyper adds, connections and their deadlines are not here;
//! each endpoint is asked over a socket in other modules, too.

mod backend;
mod history;
mod limits;
mod service;

use service::Service;
