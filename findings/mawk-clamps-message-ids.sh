#!/usr/bin/env bash
# mawk, Debian's awk, turns a number of sixteen digits into 2147483647 when it is printed with %d.
#
# Expected: awk counts in doubles, which hold every whole number up to 2^53, so that a msgId (microseconds since 1970,
# sixteen digits) comes out of printf "%d" as it went in, as it does with gawk.
# What happens: %d goes through an int of 32 bits and is clamped; print rounds to six digits. "%.0f" is exact.
# Seen with mawk 1.3.4-20200120 (Debian 12's 1.3.4.20200120-3.1), 2026-11-29.
#
# Why it matters here: a script that keeps the last msgId by awk's %d logs in with after=2147483647. That is a bound
# like any other, far before the first message, and so everything comes again without a word.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq mawk=1.3.4.20200120-3.1 2>apt.log || { cat apt.log; exit 1; }
dpkg -x mawk_*.deb .

id=1764000000123456
said() { printf '%s\n' "$id" | ./usr/bin/mawk "$1"; }
whole=$(said '{ printf "%d\n", $1 }')
bare=$(said '{ print $1 + 0 }')
float=$(said '{ printf "%.0f\n", $1 }')
echo "$id comes out of %d as $whole, of print as $bare, of %.0f as $float"
if [[ $whole == 2147483647 && $bare == 1.764e+15 && $float == "$id" ]]; then
  echo "as it was: clamped, rounded, exact"
else
  echo "this has changed"
  exit 1
fi
