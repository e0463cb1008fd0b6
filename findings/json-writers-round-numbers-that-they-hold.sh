#!/usr/bin/env bash
# Three writers of JSON round a number of sixteen digits that they hold exactly, to 14 or 15 digits.
#
# Expected: what is read as a double, which holds every whole number up to 2^53, is written with as many digits as it
# takes to read the same double again: 17, or the shortest form, as JavaScript, Python, PHP and Gson do. With Lua 5.3,
# which has integers of 64 bits, it would not even become a double.
# What happens: lua-cjson writes with %.14g, also on Lua 5.3, and takes no higher precision than 14; SQLite's
# json_object writes a REAL with %!.15g, although json_extract has read the number exactly; Perl's JSON::PP writes
# what has been divided, if only by 1, with Perl's own %.15g. The number itself is whole in all three.
# Seen with lua-cjson 2.1.0 (Debian 12's 2.1.0+dfsg-2.2) on Lua 5.3.6, SQLite 3.40.1 (3.40.1-2+deb12u2) and JSON::PP
# 4.16 on Perl 5.36 (4.16000-1), 2026-11-30.
#
# Why it matters here: {"received":1.7640000001235e+15} names a message that never was. So it is refused with the
# nearest msgId that was delivered, and nothing is confirmed by mistake; an exact number counts in any notation.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq lua5.3=5.3.6-2 lua-cjson=2.1.0+dfsg-2.2 sqlite3=3.40.1-2+deb12u2 libsqlite3-0=3.40.1-2+deb12u2 \
  libjson-pp-perl=4.16000-1 2>apt.log || { cat apt.log; exit 1; }
for package in *.deb; do dpkg -x "$package" .; done
lib=$(dirname "$(find . -name libsqlite3.so.0)")

id=1764000000123456
text="{\"msgId\":$id}"
cat >write.lua <<'LUA'
local json = require "cjson"
local id = json.decode(arg[1]).msgId
print(json.encode { received = id }, ("%.0f"):format(id), (pcall(json.encode_number_precision, 16)))
LUA
lua=$(LUA_CPATH="$lib/lua/5.3/?.so" LD_LIBRARY_PATH=$lib ./usr/bin/lua5.3 write.lua "$text")
sqlite=$(LD_LIBRARY_PATH=$lib ./usr/bin/sqlite3 -separator $'\t' :memory: "CREATE TABLE t (id REAL);
  INSERT INTO t VALUES (json_extract('$text', '\$.msgId'));
  SELECT json_object('received', id), printf('%.0f', id) FROM t")
perl=$(perl -Iusr/share/perl5 -MJSON::PP -E '
  my $id = decode_json($ARGV[0])->{msgId} / 1;
  say encode_json({received => $id}), "\t", sprintf("%.0f", $id)' "$text")
printf '%s\n' "written, held, and whether 16 digits can be asked for:" "lua-cjson  $lua" "SQLite     $sqlite" "JSON::PP   $perl"
if [[ $lua == $'{"received":1.7640000001235e+15}\t1764000000123456\tfalse' &&
  $sqlite == $'{"received":1.76400000012346e+15}\t1764000000123456' &&
  $perl == $'{"received":1.76400000012346e+15}\t1764000000123456' ]]; then
  echo "as it was: held exactly, written rounded"
else
  echo "this has changed"
  exit 1
fi
