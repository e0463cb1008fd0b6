#!/usr/bin/env bash
# On Linux, `[::]` can be listened on where IPv6 is switched off; `[::1]` cannot.
#
# Expected: where the sysctl net.ipv6.conf.all.disable_ipv6 is 1, taking an address of IPv6 fails (EADDRNOTAVAIL or
# EAFNOSUPPORT), so that a server which falls back to 0.0.0.0 then, and only then, knows whether it has IPv6.
# What happens: the unspecified address is taken as ever, and with IPV6_V6ONLY off it serves IPv4; only an address of an
# interface, `[::1]` too, fails with EADDRNOTAVAIL. The address that getsockname tells is `[::]`.
# Seen on Linux 6.18.44 with Python 3.11.7, 2026-11-30.
#
# Why it matters here: a URL with `localhost` may lead to `[::1]`, where nobody is; so whether there is IPv6 is asked of
# `[::1]`, for the URLs of the first start and for `doctor`. The socket stays that of `[::]`: IPv6 may be switched on later.
#
# Needs root (a network of its own), ip and python3.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/run.py" <<'PY'
import errno, socket, sys


def listen(address):
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((address, 0))
    listener.listen()
    return listener


def outcome(work):
    try:
        work()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]


all_of_it = listen("::")
name, port = all_of_it.getsockname()[:2]
seen = {
    "named": name,
    "listen on [::1]": outcome(lambda: listen("::1")),
    "connect to 127.0.0.1": outcome(lambda: socket.create_connection(("127.0.0.1", port), 5)),
    "connect to [::1]": outcome(lambda: socket.create_connection(("::1", port), 5)),
}
print("listen on [::]: ok,", ", ".join(f"{what}: {how}" for what, how in seen.items()))
sys.exit(0 if list(seen.values()) == ["::", "EADDRNOTAVAIL", "ok", "EADDRNOTAVAIL"] else 1)
PY
network='ip link set lo up && echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
if timeout 60 unshare --net sh -c "$network && exec python3 \"\$0\"" "$dir/run.py"; then
  echo "as it was: [::] is listened on without IPv6"
else
  echo "this has changed"
  exit 1
fi
