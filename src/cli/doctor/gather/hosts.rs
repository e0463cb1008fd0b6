//! Resolves the host names given to clients.
//!
//! The system's resolver has no deadline, so it runs on threads that are abandoned after
//! [`DEADLINE`].

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::facts::{Address, Host};
use crate::config::{Config, is_loopback};
use crate::model::Networks;
use crate::net;

/// Time limit for resolving all names.
const DEADLINE: Duration = Duration::from_secs(5);

/// Most concurrent lookups; one without an answer does not hold up the others.
const THREADS_MAX: usize = 8;

/// Resolves the names and addresses of `--host`, unless they are those of a proxy in front of the
/// server. Skips wildcards.
pub(super) fn of(config: &Config) -> Vec<Host> {
    let is_open = config.listen.is_some_and(|address| !is_loopback(address));
    let has_proxy = config.limits.trusted_proxies != Networks::default();
    match is_open && !has_proxy {
        true => SYSTEM.look_up(&config.host),
        false => Vec::new(),
    }
}

type Resolved = Result<Vec<IpAddr>, String>;
type Work = Box<dyn FnOnce() + Send>;

struct Resolver {
    ask: fn(&str) -> io::Result<Vec<IpAddr>>,
    /// Runs the work on its own thread.
    spawn: fn(Work) -> io::Result<()>,
    within: Duration,
}

const SYSTEM: Resolver = Resolver {
    ask: |name| {
        let addresses = (name, 0).to_socket_addrs()?;
        Ok(addresses.map(|address| address.ip()).collect())
    },
    spawn: |work| {
        let resolver = Builder::new().name("resolver".to_owned());
        resolver.spawn(work).map(drop)
    },
    within: DEADLINE,
};

impl Resolver {
    fn look_up(&self, hosts: &[String]) -> Vec<Host> {
        let (mut found, mut names) = (BTreeMap::new(), Vec::new());
        for host in hosts.iter().filter(|host| !host.starts_with("*.")) {
            match host.parse() {
                Ok(ip) => drop(found.insert(host.clone(), Ok(vec![ip]))),
                Err(_) => names.push(host.clone()),
            }
        }
        found.append(&mut self.ask_for(names));
        let address = |ip: IpAddr| Address {
            ip: ip.to_canonical(),
            is_own: net::is_own(ip),
        };
        let host = |(name, ips): (String, Resolved)| Host {
            name,
            addresses: ips.map(|ips| ips.into_iter().map(address).collect()),
        };
        found.into_iter().map(host).collect()
    }

    fn ask_for(&self, names: Vec<String>) -> BTreeMap<String, Resolved> {
        let seconds = self.within.as_secs();
        let silent = |name: &String| (name.clone(), Err(format!("no answer within {seconds} s")));
        let mut found: BTreeMap<String, Resolved> = names.iter().map(silent).collect();
        let threads = names.len().min(THREADS_MAX);
        let queue = Arc::new(Mutex::new(names.into_iter()));
        let mut unasked = format!("it was not asked for within {seconds} s, behind others");
        let (tell, told) = channel();
        for _ in 0..threads {
            let (ask, queue, tell) = (self.ask, Arc::clone(&queue), tell.clone());
            let next = move || queue.lock().next();
            let work = move || {
                while let Some(name) = next() {
                    let addresses = ask(&name).map_err(|error| error.to_string());
                    // The receiver is gone after the deadline.
                    if tell.send((name, addresses)).is_err() {
                        return;
                    }
                }
            };
            if let Err(error) = (self.spawn)(Box::new(work)) {
                unasked = format!("no thread can be had to ask for it: {error}");
                break;
            }
        }
        drop(tell);
        let end = Instant::now() + self.within;
        let left = || end.saturating_duration_since(Instant::now());
        while let Ok((name, addresses)) = told.recv_timeout(left()) {
            found.insert(name, addresses);
        }
        let mut queue = queue.lock();
        found.extend(queue.by_ref().map(|name| (name, Err(unasked.clone()))));
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::{self, Env, FileText};

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn hanging(name: &str) -> io::Result<Vec<IpAddr>> {
        if name.starts_with("hangs") {
            std::thread::sleep(Duration::from_secs(60));
        }
        (SYSTEM.ask)(name)
    }

    #[test]
    fn names_are_looked_up_and_addresses_taken_as_they_are() {
        let names = hosts(&["localhost", "*.example.com", "2001:db8::2", "192.0.2.7"]);
        let found = SYSTEM.look_up(&names);
        let found: Vec<_> = found
            .into_iter()
            .map(|host| (host.name, host.addresses.unwrap()))
            .collect();
        let [(_, v4), (_, v6), (localhost, local)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(localhost, "localhost");
        assert!(!local.is_empty() && local.iter().all(|address| address.ip.is_loopback()));
        for (addresses, ip) in [(v4, "192.0.2.7"), (v6, "2001:db8::2")] {
            let ip = ip.parse().unwrap();
            assert_eq!(addresses[..], [Address { ip, is_own: false }]);
        }
        // RFC 6761, 6.4: this name exists nowhere.
        let found = SYSTEM.look_up(&hosts(&["no-such-name.invalid"]));
        assert!(found[0].addresses.is_err(), "{found:?}");
    }

    #[test]
    fn a_resolver_that_hangs_costs_its_deadline_and_no_address() {
        let resolver = Resolver {
            ask: hanging,
            within: Duration::from_secs(1),
            ..SYSTEM
        };
        let names: Vec<_> = (0..=THREADS_MAX).map(|n| format!("hangs-{n}")).collect();
        let told = |names: &[String]| {
            let found = resolver.look_up(names).into_iter();
            found
                .map(|host| host.addresses.err())
                .collect::<Vec<Option<String>>>()
        };
        let silent = Some("no answer within 1 s".to_owned());
        let few = [&names[..2], &hosts(&["localhost"])].concat();
        assert_eq!(told(&few), [silent.clone(), silent.clone(), None]);

        let all = [&names[..], &hosts(&["127.0.0.1"])].concat();
        let mut expected = vec![silent; THREADS_MAX];
        expected.insert(0, None);
        expected.push(Some(
            "it was not asked for within 1 s, behind others".to_owned(),
        ));
        assert_eq!(told(&all), expected);
    }

    #[test]
    fn without_threads_addresses_are_known_all_the_same() {
        let resolver = Resolver {
            spawn: |_| Err(io::Error::other("too many")),
            ..SYSTEM
        };
        let found = resolver.look_up(&hosts(&["127.0.0.1", "localhost"]));
        assert!(found[0].addresses.is_ok(), "{found:?}");
        let why = found[1].addresses.as_ref().unwrap_err();
        assert_eq!(why, "no thread can be had to ask for it: too many");
    }

    #[test]
    fn names_that_lead_to_a_proxy_are_not_looked_up() {
        let count = |text: &str| {
            let file = FileText {
                path: "relaybox.toml".into(),
                text: format!("host = '192.0.2.7'\n{text}"),
            };
            let loaded = config::resolve(&[].into(), &Env::new(), Some(&file), None);
            of(&loaded.unwrap().config).len()
        };
        assert_eq!(count(""), 1);
        assert_eq!(count("plain = '127.0.0.1:80'"), 1);
        for text in [
            "trusted_proxies = '192.0.2.1'",
            "listen = 'off'\nplain = '0.0.0.0:80'",
            "listen = '127.0.0.1:8443'",
        ] {
            assert_eq!(count(text), 0, "{text}");
        }
    }
}
