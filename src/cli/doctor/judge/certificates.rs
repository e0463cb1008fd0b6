//! Whether clients accept the certificate, now and for some time: files, names, dates.

use std::net::{IpAddr, SocketAddr};

use super::super::super::progress::counted;
use super::super::facts::{Facts, WithTls};
use super::super::finding::{Check, Findings, Report};
use super::dates::{DAY_S, date};
use super::trust;
use crate::config::{Config, is_loopback};
use crate::net::inspect::{Certificate, Inspected, Pair};
use crate::net::{CertificateError, EARLIEST_S, near_end_s};

/// A running server renews its own certificate within less than this, once it is due.
const RENEWAL_S: i64 = 3600;
/// Apple's clients refuse certificates with a longer lifetime, whoever signed them.
const GOOD_DAYS_MAX: i64 = 825;
/// Most names listed in a finding.
const NAMES_TOLD_MAX: usize = 5;

pub(super) fn judge(config: &Config, facts: &Facts, out: &mut Findings) {
    let (Some(listen), Some(tls)) = (config.listen, &facts.tls) else {
        return;
    };
    let found = &tls.certificates;
    files(facts, tls, out);
    rights(found, out);
    if matches!(found.pair, Pair::Absent) && config.host.is_empty() && !is_loopback(listen) {
        out.on(Check::CertificateNames).warning(
            "the certificate that is made will be for this machine only, and clients on others \
             will refuse it: give the server's name with --host",
        );
    }
    if let Some(leaf) = found.chain.first() {
        let at = (listen, tls);
        names(config, facts, at, leaf, out);
        dates(facts, tls, leaf, out);
    }
    trust::judge(config, facts, tls, out);
}

fn files(facts: &Facts, tls: &WithTls, out: &mut Findings) {
    let found = &tls.certificates;
    let (certificate, key) = (found.certificate.display(), found.key.display());
    let files = &mut out.on(Check::CertificateFiles);
    for note in &found.notes {
        files.warning(note);
    }
    match &found.pair {
        Pair::Usable => {
            if found.notes.is_empty() {
                let fit = format!("{certificate} and {key} can be served");
                files.ok(fit);
            }
            out.on(Check::CertificateKey)
                .ok("the key is that of the certificate");
        }
        Pair::Unusable(error @ CertificateError::Mismatch { .. }) => {
            out.on(Check::CertificateKey).problem(error.to_string());
        }
        Pair::Unusable(error) => files.problem(format!("no server starts: {error}")),
        Pair::Absent if facts.server_runs() => files.warning(format!(
            "{certificate} and {key} are gone: the running server goes on with what it has, and \
             the next start makes others"
        )),
        Pair::Absent if tls.certificates_writable => files.ok(format!(
            "there is no {certificate} yet: the first start makes it, and a CA that clients have \
             to trust"
        )),
        Pair::Absent => files.problem(format!(
            "there is no {certificate}, and it cannot be made: let the server write there \
             (--certs), or put a certificate there"
        )),
    }
}

fn rights(found: &Inspected, out: &mut Findings) {
    let out = &mut out.on(Check::KeyRights);
    for (file, mode) in &found.key_modes {
        let file = file.display();
        if mode & 0o007 != 0 {
            out.warning(format!(
                "every user of this machine can get at {file} (mode {mode:04o}): chmod 600 {file}"
            ));
        }
    }
    if !found.key_modes.is_empty() && out.is_empty() {
        out.ok("no key is open to all users of this machine");
    }
}

fn names(
    config: &Config,
    facts: &Facts,
    (listen, tls): (SocketAddr, &WithTls),
    leaf: &Certificate,
    out: &mut Findings,
) {
    let out = &mut out.on(Check::CertificateNames);
    let addresses = leaf.addresses.iter().map(ToString::to_string);
    let names: Vec<String> = leaf.dns_names.iter().cloned().chain(addresses).collect();
    let Some(told) = enumerate(&names) else {
        return out.problem(
            "the certificate names no host (subject alternative names), and clients look at \
             nothing else: have it issued for the server's names",
        );
    };
    let missing: Vec<String> = config
        .host
        .iter()
        .filter(|host| !leaf.covers(host))
        .cloned()
        .collect();
    if let Some(missing) = enumerate(&missing) {
        let says = format!("the certificate is for {told}, not for {missing}");
        if !tls.certificates.is_made_here {
            out.problem(format!(
                "{says} (--host): clients that connect by that name refuse it; have one issued for \
                 it"
            ));
        } else if facts.server_runs() {
            out.warning(format!(
                "{says}: start the server again, and it is made anew"
            ));
        } else {
            renewal(&says, tls, out);
        }
        return;
    }
    let mut names = leaf.dns_names.iter();
    let is_local = names.all(|name| name.eq_ignore_ascii_case("localhost"))
        && leaf.addresses.iter().all(IpAddr::is_loopback);
    if is_local && !is_loopback(listen) {
        let how = match tls.certificates.is_made_here {
            true => "give the server's name with --host",
            false => "have one issued for the server's name",
        };
        out.warning(format!(
            "the certificate is for this machine only ({told}), and clients on others refuse it: \
             {how}"
        ));
        return;
    }
    let not_local = match leaf.covers("localhost") {
        true => "",
        false => " (not for localhost)",
    };
    out.ok(format!("the certificate is for {told}{not_local}"));
}

/// A certificate made by relaybox that must be replaced: the next start does so, if it can write.
fn renewal(says: &str, tls: &WithTls, out: &mut Report) {
    match tls.certificates_writable {
        true => out.ok(format!("{says}, and is made anew at the next start")),
        false => {
            let file = tls.certificates.certificate.display();
            out.problem(format!(
                "{says}, and {file} cannot be made anew: let the server write there"
            ));
        }
    }
}

/// Lists up to [`NAMES_TOLD_MAX`] names; `None` if there are none.
fn enumerate(names: &[String]) -> Option<String> {
    let told: Vec<&str> = names
        .iter()
        .take(NAMES_TOLD_MAX)
        .map(String::as_str)
        .collect();
    let more = match names.len().saturating_sub(NAMES_TOLD_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!told.is_empty()).then(|| told.join(", ") + &more)
}

fn dates(facts: &Facts, tls: &WithTls, leaf: &Certificate, out: &mut Findings) {
    let out = &mut out.on(Check::CertificateDates);
    let now_s = facts.now_s();
    let is_made_here = tls.certificates.is_made_here;
    // In the second case, once it is no longer valid.
    let is_mended = is_made_here || tls.certificates.has_lost_its_ca;
    let end = date(leaf.not_after_s);
    let left_days = leaf.not_after_s.saturating_sub(now_s) / DAY_S;
    let near_end_s = near_end_s(leaf.not_before_s, leaf.not_after_s);
    if leaf.not_before_s > now_s {
        let begin = date(leaf.not_before_s);
        let says = format!("the certificate is good from {begin} on only");
        // With a clock that cannot be right, nothing is renewed for being too early.
        let is_due = is_mended && now_s >= EARLIEST_S;
        if is_due && !facts.server_runs() {
            renewal(&says, tls, out);
        } else {
            let advice = match is_due {
                true => ", and why could the running server not make it anew (its log says)",
                false => "",
            };
            out.problem(format!(
                "{says}, and clients refuse it until then: is this machine's clock right{advice}?"
            ));
        }
    } else if is_made_here && !facts.server_runs() && now_s >= near_end_s {
        renewal(&format!("the certificate ends on {end}"), tls, out);
    } else if leaf.not_after_s <= now_s && is_mended && !facts.server_runs() {
        renewal(&format!("the certificate expired on {end}"), tls, out);
    } else if leaf.not_after_s <= now_s {
        let advice = match is_mended {
            true => "the running server could not make it anew, and its log says why",
            false => "put a new one in its place, which a running server takes by itself",
        };
        out.problem(format!(
            "the certificate expired on {end}, and clients refuse it: {advice}"
        ));
    } else if is_made_here && now_s >= near_end_s.saturating_add(RENEWAL_S) {
        out.warning(format!(
            "the certificate ends on {end}, and the running server could not make it anew: its log \
             says why"
        ));
    } else if !is_made_here && now_s >= near_end_s {
        let left = counted(left_days.unsigned_abs(), "day");
        let advice = match is_mended {
            true => "another CA makes the next then, unless its own is there again with its key",
            false => "renew it, and a running server takes the new one by itself",
        };
        let says = format!("the certificate ends on {end}, in {left}: {advice}");
        out.warning(says);
    }
    // A CA made by relaybox is replaced when due.
    let issuers = tls.certificates.chain.iter().skip(1);
    for issuer in issuers.filter(|_| !is_made_here) {
        let subject = &issuer.subject;
        if issuer.not_before_s > now_s {
            let begin = date(issuer.not_before_s);
            out.problem(format!(
                "the certificate of its issuer ({subject}) is good from {begin} on only, and \
                 clients refuse both until then: is this machine's clock right?"
            ));
        } else if issuer.not_after_s <= now_s {
            let end = date(issuer.not_after_s);
            out.problem(format!(
                "the certificate of its issuer ({subject}) expired on {end}, and clients refuse \
                 both: take the chain that the CA has now"
            ));
        }
    }
    let good_days = leaf.not_after_s.saturating_sub(leaf.not_before_s) / DAY_S;
    if good_days > GOOD_DAYS_MAX {
        out.warning(format!(
            "the certificate is good for {good_days} days, and Apple's clients refuse more than \
             {GOOD_DAYS_MAX}: have one issued for less"
        ));
    }
    if out.is_empty() {
        out.ok(format!("the certificate is good until {end}"));
    }
}
