# A machine for the commands of a page: sourced in a mount namespace of its own, so that nothing outside changes.
# Arguments: the mount namespace of who calls, a scratch directory, the program.
set -eu
outside=$1 scratch=$2 program=$3
if [ -z "$outside" ] || [ "$(readlink /proc/self/ns/mnt)" = "$outside" ]; then
  echo 'this must run in a mount namespace of its own' >&2
  exit 1
fi
mkdir -p "$scratch/bin" "$scratch/etc"
cp -a /etc/. "$scratch/etc"
mount --bind "$scratch/etc" /etc
echo 'relaybox:x:64990:64990::/var/lib/relaybox:/usr/sbin/nologin' >>/etc/passwd
echo 'relaybox:x:64990:' >>/etc/group
mkdir -p /etc/systemd/system /etc/cron.d
touch "$scratch/bin/relaybox"
mount --bind "$program" "$scratch/bin/relaybox"

# What systemd does with the units that the page names.
cat >"$scratch/bin/systemctl" <<'END_OF_STUB'
#!/bin/bash
set -eu
as_relaybox() { exec setpriv --reuid relaybox --regid relaybox --clear-groups "$@"; }
case "$*" in
  'start relaybox')
    (as_relaybox relaybox serve --data /var/lib/relaybox --certs /run/relaybox/certs \
      --listen 127.0.0.1:0) >/run/relaybox/out 2>/run/relaybox/log &
    echo $! >/run/relaybox/pid
    for _ in $(seq 200); do
      if grep -q '^ready' /run/relaybox/out; then exit 0; fi
      sleep 0.1
    done
    cat /run/relaybox/log >&2
    exit 1 ;;
  'stop relaybox')
    pid=$(cat /run/relaybox/pid)
    kill "$pid"
    for _ in $(seq 200); do
      if ! kill -0 "$pid" 2>/run/relaybox/gone; then exit 0; fi
      sleep 0.1
    done
    exit 1 ;;
  daemon-reload) ;;
  'enable --now relaybox-backup.timer') grep -q '^OnCalendar=' /etc/systemd/system/relaybox-backup.timer ;;
  'start relaybox-backup.service')
    unit=/etc/systemd/system/relaybox-backup.service
    grep -qx 'User=relaybox' "$unit"
    (as_relaybox env -i PATH=/usr/bin:/bin $(sed -n 's/^ExecStart=//p' "$unit")) >/run/relaybox/journal ;;
  *) echo "systemctl: $*?" >&2; exit 1 ;;
esac
END_OF_STUB
printf '#!/bin/sh\ngrep . /run/relaybox/journal\n' >"$scratch/bin/journalctl"
if ! command -v restic >"$scratch/restic"; then
  cat >"$scratch/bin/restic" <<'END_OF_STUB'
#!/bin/sh
set -eu
test -s "$RESTIC_PASSWORD_FILE"
case "$1" in
  init) mkdir "$RESTIC_REPOSITORY" ;;
  backup) mkdir -p "$RESTIC_REPOSITORY/$4"; cp -a "$4/." "$RESTIC_REPOSITORY/$4" ;;
  forget) ;;
  restore) mkdir -p "$6"; cp -a "$RESTIC_REPOSITORY/." "$6" ;;
esac
END_OF_STUB
  chmod 755 "$scratch/bin/restic"
fi
chmod 755 "$scratch/bin/systemctl" "$scratch/bin/journalctl"
mount --rbind "$scratch/bin" /usr/local/bin
for place in /mnt /var/lib /var/backups /run; do
  mount -t tmpfs -o mode=755 none "$place"
done
mount -t tmpfs -o mode=1777 none /tmp
mkdir -p /mnt/backup
install -d -m 700 -o relaybox -g relaybox /var/lib/relaybox /run/relaybox
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /
relaybox domain add shop --data /var/lib/relaybox
chown -R relaybox:relaybox /var/lib/relaybox
systemctl start relaybox
trap 'systemctl stop relaybox' EXIT

# A server that is started in a terminal is ended there by Ctrl-C.
relaybox() {
  if [ "$1" != serve ]; then
    command relaybox "$@"
    return
  fi
  command relaybox "$@" >/run/relaybox/terminal 2>/run/relaybox/terminal.log &
  local server=$!
  for _ in $(seq 200); do
    if grep -q '^ready' /run/relaybox/terminal; then break; fi
    sleep 0.1
  done
  grep -q '^ready' /run/relaybox/terminal
  kill -TERM "$server"
  wait "$server"
}
