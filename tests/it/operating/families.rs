//! Machines with an address of IPv6 that nobody listens on; and those that have no IPv6, or have it switched off: the
//! default address serves IPv4 then, and says so.

use std::process::{Command, Stdio};

use crate::support::Home;

/// Runs a program for which `socket(AF_INET6, …)` fails as on a kernel without it (seccomp(2)).
const REFUSE_IPV6: &str = "
import ctypes, os, platform, struct, sys
number = {'x86_64': 41, 'aarch64': 198}[platform.machine()]
EAFNOSUPPORT, AF_INET6 = 97, 10
steps = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 16), (0x15, 0, 1, AF_INET6),
         (0x06, 0, 0, 0x50000 | EAFNOSUPPORT), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit('prctl: ' + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
";

/// A network of its own with this address.
const NETWORK: &str = "ip link set lo up && ip address add 192.0.2.7/32 dev lo";

/// What there is beside it, in the program's place.
const SWITCHED_OFF: &str = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && exec \"$@\"";
const MISSING: &str = "exec python3 refuse.py \"$@\"";
const NOT_LISTENED_ON: &str =
    "ip address add 2001:db8::2/128 dev lo && RELAYBOX_LISTEN=0.0.0.0:8443 exec \"$@\"";

/// A first start, and `doctor` beside it.
const LOOK: &str = "
\"$0\" serve >out 2>log &
server=$!
until grep -q '^ready' out; do kill -0 $server || exit 1; sleep 0.05; done
\"$0\" doctor --host 2001:db8::2 --host 192.0.2.7 >found
kill $server && wait $server && cat out found log";

/// What [`LOOK`] shows there; `None` where there cannot be such a network.
async fn look(network: &str) -> Option<String> {
    let home = Home::new();
    home.write("refuse.py", REFUSE_IPV6);
    let relaybox = env!("CARGO_BIN_EXE_relaybox");
    let within = |script: &str| {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--net", "sh", "-c"]);
        command.arg(format!("{NETWORK} && {network}")).arg("sh");
        command.args(["/bin/sh", "-c", script, relaybox]);
        command
            .current_dir(home.path(""))
            .env_remove("RELAYBOX_LOG");
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    if Command::new("unshare").arg("--version").output().is_err() {
        eprintln!("skipped: there is no unshare");
        return None;
    }
    let tried = home.run(within("true")).await;
    if tried.code != Some(0) {
        eprintln!(
            "skipped: no network of its own can be had here: {}",
            tried.stderr
        );
        return None;
    }
    Some(home.run(within(LOOK)).await.success())
}

#[track_caller]
fn serves_ipv4(said: &str, ready: &str) {
    let not_here = "2001:db8::2 leads to 2001:db8::2, which this machine does not have";
    for words in [
        ready,
        "\n  wss://127.0.0.1:8443/ws?",
        "\nConsole: https://127.0.0.1:8443/\n",
        "port: the running server answers on [::]:8443",
        not_here,
        "192.0.2.7 leads to 192.0.2.7, which [::]:8443 listens on",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}

#[tokio::test]
async fn ipv6_that_is_switched_off_is_not_in_the_urls() {
    if let Some(said) = look(SWITCHED_OFF).await {
        // It may be switched on again while the server runs.
        serves_ipv4(&said, "\nready https://[::]:8443\n");
    }
}

#[tokio::test]
async fn a_machine_without_ipv6_is_served_by_ipv4() {
    if let Some(said) = look(MISSING).await {
        serves_ipv4(&said, "\nready https://0.0.0.0:8443\n");
    }
}

#[tokio::test]
async fn an_address_of_this_machine_that_is_not_listened_on_is_told_of() {
    if let Some(said) = look(NOT_LISTENED_ON).await {
        for words in [
            "warning  host-addresses: 2001:db8::2 (--host) leads to 2001:db8::2, and 0.0.0.0:8443 does not listen there",
            "ok       host-addresses: 192.0.2.7 leads to 192.0.2.7, which 0.0.0.0:8443 listens on",
        ] {
            assert!(said.contains(words), "no {words:?} in {said}");
        }
    }
}
