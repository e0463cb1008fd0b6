#!/usr/bin/env bash
# btrfs: where the quota of a subvolume is used up, a file can be removed, but not renamed, nor made shorter.
#
# Expected: EDQUOT is for what takes more room. Names may change places, a file may be cut, also to nothing, and
# what is overwritten in place takes no more than before; statvfs says what is left.
# What happens: rename, rename over another file, exchange, ftruncate (also to 0, of space that was only reserved),
# mkdir and a write over what stands there are all refused with EDQUOT. chmod, fsync and unlink succeed. statvfs
# says that most of the disk is free.
# Seen with Linux 6.18.44, btrfs-progs 6.2 (Debian 12's 6.2-1+deb12u2), 2026-11-29. Needs root and a loop device.
#
# Why it matters here: what is kept back for a full disk is given up by removing whole files, which is the one thing
# that works. A file that was replaced "at no cost" by a rename, and a journal segment that gives its reserved space
# back by ftruncate, need something of that first.
set -euo pipefail
dir=$(mktemp -d)
trap 'umount "$dir/disk" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq btrfs-progs=6.2-1+deb12u2 liblzo2-2=2.10-2 2>apt.log || { cat apt.log; exit 1; }
for package in *.deb; do dpkg -x "$package" tools; done
libraries=$(dirname "$(find tools -name 'liblzo2.so.2' | head -1)")
export LD_LIBRARY_PATH=$dir/$libraries PATH=$dir/tools/usr/bin:$dir/tools/bin:$dir/tools/sbin:$PATH

truncate -s 512M image
mkfs.btrfs -q -m single image >mkfs.log 2>&1
mkdir disk
mount -t btrfs -o loop image disk
btrfs quota enable disk
btrfs qgroup limit 64M disk
cat >try.py <<'PYTHON'
import ctypes, errno, os

libc = ctypes.CDLL(None, use_errno=True)
RENAMEAT2, HERE, EXCHANGE, KEEP_SIZE = 316, -100, 2, 1  # x86_64

def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "")

for name in "one", "other":
    with open(name, "wb") as file:
        file.write(b"x" * 8192)
        os.fsync(file.fileno())
reserved = os.open("reserved", os.O_CREAT | os.O_RDWR)
os.write(reserved, b"x" * 4096)
checked(libc.fallocate(reserved, KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(8 << 20)))
os.fsync(reserved)

filler, size = os.open("filler", os.O_CREAT | os.O_WRONLY), 1 << 20
while size:
    try:
        os.write(filler, os.urandom(size))
    except OSError as error:
        assert error.errno == errno.EDQUOT
        size //= 2

def tried(what, work):
    try:
        work()
        return f"{what}: ok"
    except OSError as error:
        return f"{what}: {errno.errorcode[error.errno]}"

free = os.statvfs(".")
print("statvfs: " + ("most is free" if free.f_bavail * 10 > free.f_blocks * 7 else "little is free"))
print(tried("rename", lambda: os.rename("one", "renamed")))
print(tried("rename over", lambda: os.replace("one", "other")))
print(tried("exchange", lambda: checked(libc.syscall(RENAMEAT2, HERE, b"one", HERE, b"other", EXCHANGE))))
print(tried("ftruncate of what is reserved", lambda: os.ftruncate(reserved, 4096)))
print(tried("ftruncate to 0", lambda: os.ftruncate(reserved, 0)))
print(tried("mkdir", lambda: os.mkdir("directory")))
print(tried("write over", lambda: (os.pwrite(reserved, b"y" * 4096, 0), os.fsync(reserved))))
print(tried("chmod", lambda: os.chmod("one", 0o600)))
print(tried("fsync", lambda: os.fsync(reserved)))
print(tried("unlink", lambda: os.unlink("other")))
PYTHON
(cd disk && python3 ../try.py) | tee said
diff - said <<'SAID' || { echo "this has changed"; exit 1; }
statvfs: most is free
rename: EDQUOT
rename over: EDQUOT
exchange: EDQUOT
ftruncate of what is reserved: EDQUOT
ftruncate to 0: EDQUOT
mkdir: EDQUOT
write over: EDQUOT
chmod: ok
fsync: ok
unlink: ok
SAID
echo "as it was: only what removes succeeds"
