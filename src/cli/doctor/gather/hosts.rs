//! Looks up the names that clients are given.
//!
//! The system's resolver has no deadline: it is asked on threads that nobody waits for longer than [`DEADLINE`].

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::super::facts::Host;

/// How long the resolver may take for all names.
const DEADLINE: Duration = Duration::from_secs(5);

/// Names that are looked up at the same time: one that gets no answer does not hold up the others.
const THREADS_MAX: usize = 8;

type Resolve = fn(&str) -> io::Result<Vec<IpAddr>>;

/// Where the names and addresses of `--host` are. Wildcards are no names to look up.
///
/// # Errors
/// There is no thread to be had.
pub(super) fn look_up(hosts: &[String]) -> io::Result<Vec<Host>> {
    look_up_by(resolve, hosts, DEADLINE)
}

fn look_up_by(resolve: Resolve, hosts: &[String], within: Duration) -> io::Result<Vec<Host>> {
    let names = hosts.iter().filter(|host| !host.starts_with("*."));
    let queue: Vec<String> = names.clone().cloned().collect();
    let wanted = queue.len();
    let queue = Arc::new(Mutex::new(queue.into_iter()));
    let (tell, told) = channel();
    for _ in 0..wanted.min(THREADS_MAX) {
        let (queue, tell) = (Arc::clone(&queue), tell.clone());
        let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = move || {
            while let Some(name) = next() {
                let addresses = resolve(&name).map_err(|error| error.to_string());
                // Nobody listens any more after the deadline.
                if tell.send((name, addresses)).is_err() {
                    return;
                }
            }
        };
        Builder::new().name("resolver".to_owned()).spawn(work)?;
    }
    let end = Instant::now() + within;
    let mut found = BTreeMap::new();
    while found.len() < wanted {
        let left = end.saturating_duration_since(Instant::now());
        let Ok((name, addresses)) = told.recv_timeout(left) else {
            break;
        };
        found.insert(name, addresses);
    }
    let silent = || Err(format!("no answer within {} s", within.as_secs()));
    let host = |name: &String| Host {
        name: name.clone(),
        addresses: found.remove(name).unwrap_or_else(silent),
    };
    Ok(names.map(host).collect())
}

fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    // An address is taken as it stands, and asked of nobody.
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let addresses = (name, 0).to_socket_addrs()?;
    Ok(addresses.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_are_looked_up_and_addresses_taken_as_they_are() {
        let names = hosts(&["localhost", "*.example.com", "2001:db8::2", "192.0.2.7"]);
        let found = look_up(&names).unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|host| (host.name, host.addresses.unwrap()))
            .collect();
        let [(localhost, local), (_, v6), (_, v4)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(localhost, "localhost");
        assert!(!local.is_empty() && local.iter().all(IpAddr::is_loopback));
        assert_eq!(v6[..], ["2001:db8::2".parse::<IpAddr>().unwrap()]);
        assert_eq!(v4[..], ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        // RFC 6761, 6.4: there is no such name anywhere.
        let found = look_up(&hosts(&["no-such-name.invalid"])).unwrap();
        assert!(found[0].addresses.is_err(), "{found:?}");
    }

    #[test]
    fn a_resolver_that_hangs_costs_its_deadline_and_no_other_name() {
        fn hanging(name: &str) -> io::Result<Vec<IpAddr>> {
            if name.starts_with("hangs") {
                std::thread::park_timeout(Duration::from_secs(60));
            }
            resolve(name)
        }
        let names = hosts(&["hangs-1", "hangs-2", "192.0.2.7"]);
        let found = look_up_by(hanging, &names, Duration::from_secs(1)).unwrap();
        let [one, two, other] = &found[..] else {
            panic!("{found:?}");
        };
        for silent in [one, two] {
            let why = silent.addresses.as_ref().unwrap_err();
            assert_eq!(why, "no answer within 1 s");
        }
        assert!(other.addresses.is_ok());
    }
}
