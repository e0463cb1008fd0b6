//! The server's own names.

use super::tls::Tls;
use super::x509;
use crate::state::Names;

/// Names from the settings and, with TLS, from the certificate in use.
pub struct OwnNames {
    hosts: Vec<String>,
    tls: Option<Tls>,
}

impl OwnNames {
    /// `hosts` come from the settings.
    pub fn new(hosts: &[String], tls: Option<&Tls>) -> Self {
        Self {
            hosts: hosts.to_vec(),
            tls: tls.cloned(),
        }
    }

    fn has(&self, is_wanted: impl Fn(&str) -> bool) -> bool {
        let is_in = |names: &[String]| names.iter().any(|name| is_wanted(name));
        is_in(&self.hosts) || self.tls.as_ref().is_some_and(|tls| is_in(&tls.dns_names()))
    }
}

impl Names for OwnNames {
    fn hold(&self, host: &str) -> bool {
        self.has(|name| name.eq_ignore_ascii_case(host))
    }

    fn cover(&self, host: &str) -> bool {
        self.has(|name| x509::covers(name, host))
    }
}
