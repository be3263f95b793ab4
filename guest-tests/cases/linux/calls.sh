# What the threads of disks, the entropy device, shares and a job call, besides what `guest_sandbox_list` sees from outside.
command -v strace >"$TMP/strace" || skip 'no strace'
printf '#!/bin/sh\nexec strace -D -f -o "%s.$$" "%s" "$@"\n' "$TMP/trace" "$minivmm" >"$TMP/traced"
chmod +x "$TMP/traced"
minivmm=$TMP/traced
truncate -s 32M "$TMP/disk"
start '' --disk "$TMP/disk" --rng
ends 0
mkdir "$TMP/share"
echo line | "$minivmm" run --root / --share "$TMP/share:/mnt:rw" --kernel "$VMLINUX" --mem 256M --timeout 300s -- /bin/busybox sh -c '
	cd /mnt && busybox cat >a && busybox mkdir d && busybox ln -s a s && busybox readlink s && busybox ln a h && busybox mv h d &&
	busybox chmod 600 a && busybox touch -d 2020-01-01 a && busybox ls -l d &&
	busybox dd if=/dev/zero of=b bs=64k count=4 conv=fsync && busybox truncate -s 1000 b && busybox cat a b && busybox rm -r a b d s' \
	>"$WORK/job.out" 2>"$WORK/job.err" || fail "the job: $(tail -n 1 "$WORK/job.err")"
for trace in "$TMP"/trace.*; do
	await 'strace ends' grep -q "^$(sed -n '1s/ .*//p' "$trace") *+++ exited" "$trace"
done
awk -v kinds='disk rng fs job' -f "$top/guest-tests/cases/linux/calls.awk" "$top/vmm/seccomp.c" "$TMP"/trace.* >"$TMP/differs" ||
	fail "$(tr '\n' ';' <"$TMP/differs")"

# ---- guest ----
# Uses a disk and the entropy device in every way that they have.
must dd if=/dev/urandom of=/dev/vda bs=64k count=64 conv=fsync
echo 3 >/proc/sys/vm/drop_caches
must dd if=/dev/vda of=/dev/null bs=64k count=64
must blkdiscard /dev/vda
must dd if=/dev/hwrng of=/dev/null bs=64 count=64
