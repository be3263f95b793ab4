# What the threads of disks and of the entropy device call, besides what `guest_sandbox_list` sees from outside.
command -v strace >"$TMP/strace" || skip 'no strace'
printf '#!/bin/sh\nexec strace -D -f -o "%s" "%s" "$@"\n' "$TMP/trace" "$minivmm" >"$TMP/traced"
chmod +x "$TMP/traced"
minivmm=$TMP/traced
truncate -s 32M "$TMP/disk"
start '' --disk "$TMP/disk" --rng
ends 0
await 'strace ends' grep -q "^$vmm *+++ exited" "$TMP/trace"
awk -v kinds='disk rng' -f "$top/guest-tests/cases/linux/calls.awk" "$top/vmm/seccomp.c" "$TMP/trace" >"$TMP/differs" ||
	fail "$(tr '\n' ';' <"$TMP/differs")"

# ---- guest ----
# Uses a disk and the entropy device in every way that they have.
must dd if=/dev/urandom of=/dev/vda bs=64k count=64 conv=fsync
echo 3 >/proc/sys/vm/drop_caches
must dd if=/dev/vda of=/dev/null bs=64k count=64
must blkdiscard /dev/vda
must dd if=/dev/hwrng of=/dev/null bs=64 count=64
