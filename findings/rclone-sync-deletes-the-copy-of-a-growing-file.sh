#!/usr/bin/env bash
# rclone sync leaves out a file that grows while it is read, and deletes the good copy of before.
#
# Expected: a file that grows while it is copied arrives as some beginning of it, as with cp, rsync and tar, or is
# skipped with the older copy left where it is: sync takes nothing away that the source has.
# What happens: the copy fails with "source file is being updated" (exit 6) and what was written is removed. It was
# written over the older copy of the file, and so that is gone too. All other files are there, and the result looks
# whole. With --local-no-check-updated the file is copied as long as it was.
# Seen with rclone 1.60.1 (Debian 12's 1.60.1+dfsg-2+b5), 2026-11-29.
#
# Why it matters here: the open segment of the journal is such a file. A nightly sync of the data directory ends without
# the newest acknowledged messages, and a failed one takes those of the night before as well. `relaybox check` says
# that the newest segment of such a copy is sealed; docs/BACKUP.md says what to pass.
set -euo pipefail
dir=$(mktemp -d)
writer=
trap '[[ -z $writer ]] || kill "$writer" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq rclone=1.60.1+dfsg-2+b5 2>apt.log || { cat apt.log; exit 1; }
dpkg -x rclone_*.deb .
sync() {
  local code=0
  ./usr/bin/rclone sync --config "$dir/none" --retries 1 "$@" source copy >sync.log 2>&1 || code=$?
  echo "$code"
}

mkdir source
head -c 4M /dev/zero >source/sealed
head -c 4M /dev/zero >source/open
quiet=$(sync)
before=$(ls copy | xargs)
# From here on it grows all the time, at most for two minutes. The limit keeps the reading longer than one step.
(for ((i = 0; i < 12000; i++)); do head -c 512 /dev/zero; sleep 0.01; done >>source/open) &
writer=$!
while (($(stat -c %s source/open) <= 4194304)); do sleep 0.01; done
growing=$(sync --bwlimit 2M)
after=$(ls copy | xargs)
reason=$(grep -o -m1 "source file is being updated" sync.log || true)
told=$(sync --bwlimit 8M --local-no-check-updated)
whole=$(ls copy | xargs)
echo "at rest: exit $quiet, copy holds: $before"
echo "while one file grows: exit $growing (${reason:-no reason}), copy holds: $after"
echo "with --local-no-check-updated: exit $told, copy holds: $whole"
if [[ "$quiet $before / $growing $reason $after / $told $whole" == \
  "0 open sealed / 6 source file is being updated sealed / 0 open sealed" ]]; then
  echo "as it was: the older copy of the growing file is deleted"
else
  echo "this has changed"
  exit 1
fi
