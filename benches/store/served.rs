//! The same pages and queue as a client gets them from the real server, over TLS.

use std::time::Instant;

use crate::common::Server;
use crate::reads::{PAGE, PAGES, QUEUE, TIMES, page, print_pages};
use crate::traffic::{DOMAIN, Traffic, median};
use crate::{aged, disk};

/// Sessions that the server may have.
const SESSIONS: usize = 10;

/// Starts the server on the store, reads, and prints the table.
pub fn report() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(read());
}

async fn read() {
    let server = Server::on(&aged::dir(), SESSIONS, DOMAIN);
    let mut history = server.http().await;
    let mut traffic = Traffic::new(false);
    let target = |from: Option<&str>, page: u64| {
        let to = aged::READER;
        let from = from.map_or(String::new(), |from| format!("&fromId={from}"));
        format!("/message-log?domain={DOMAIN}&toId={to}{from}&size={PAGE}&page={page}")
    };
    let mut totals = [0; PAGES.len()];
    for ((_, from, _), total) in PAGES.iter().zip(&mut totals) {
        let first = history.get(&target(*from, 1)).await;
        *total = first["total"].as_u64().unwrap();
    }
    let mut times: [Vec<f64>; PAGES.len()] = Default::default();
    for _ in 0..TIMES {
        for (n, (_, from, deep)) in PAGES.iter().enumerate() {
            let page = page(totals[n], *deep, &mut traffic);
            let begun = Instant::now();
            let answer = history.get(&target(*from, page)).await;
            times[n].push(begun.elapsed().as_secs_f64() * 1e6);
            assert_eq!(answer["list"].as_array().unwrap().len() as u64, PAGE);
        }
    }
    let medians = times.map(median);
    let to = aged::READER;
    let target = |page: u64| format!("/message-log?domain={DOMAIN}&toId={to}&size=1&page={page}");
    let total = history.get(&target(1)).await["total"].as_u64().unwrap();
    let queue = QUEUE.min(total - 1);
    let before = history.get(&target(queue + 1)).await;
    let after = before["list"][0]["msgId"].as_u64().unwrap();
    let query = format!("id={to}&name=Reader&domain={DOMAIN}&resource=bench&after={after}");
    let begun = Instant::now();
    let mut session = server.login(&query).await;
    let drained = Server::drain(&mut session, queue).await;
    let rate = drained as f64 / begun.elapsed().as_secs_f64();
    println!("\n### The same from the real server, over TLS\n");
    print_pages(&medians);
    println!("| a queue of {drained} messages | {rate:.0} msg/s |");
    println!("| RSS | {:.0} MiB |", disk::mib(server.resident() as f64));
}
