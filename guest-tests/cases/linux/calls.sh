# What the threads of disks and of the entropy device call, besides what `guest_sandbox_list` sees from outside.
list=$(dirname "$LIB")/seccomp.c
[ -f "$list" ] || list=$(dirname "$LIB")/../vmm/seccomp.c
command -v strace >"$TMP/strace" || skip 'no strace'
printf '#!/bin/sh\nexec strace -D -f -o "%s" "%s" "$@"\n' "$TMP/trace" "$MINIVMM" >"$TMP/traced"
chmod +x "$TMP/traced"
MINIVMM=$TMP/traced
truncate -s 32M "$TMP/disk"
start calls --disk "$TMP/disk" --rng
ends 0
await 'strace ends' grep -q "^$vmm *+++ exited" "$TMP/trace"
awk -v kinds='disk rng' -f "$(dirname "$LIB")/cases/linux/calls.awk" "$list" "$TMP/trace" >"$TMP/differs" ||
	fail "$(tr '\n' ';' <"$TMP/differs")"
