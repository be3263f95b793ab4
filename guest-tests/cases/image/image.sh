#!/bin/bash
# The Linux guest: its initramfs and its kernel are reproducible, the kernel is what its configuration says, and
# minivmm boots it. The last line is `N passed, N failed, N skipped`.
#
#   test                 what takes little time; the kernel only if it is in the cache, else a skip
#   GUEST_LINUX=1 test   everything: builds the kernel, twice, in different directories; prints the time of start-up
#
# Booting happens on this machine's KVM where that runs stock kernels, else in guest-tests/host. Needs build/minivmm,
# build/crr and build/launch.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../guests/linux" && pwd)
top=$(cd "$here/../../.." && pwd)
build=$(realpath -m "${BUILD:-$top/build}")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0

check() # check WHAT COMMAND...
{
	local what=$1
	shift
	if "$@" >"$tmp/out" 2>&1; then
		passed=$((passed + 1))
		echo "ok $what"
	else
		failed=$((failed + 1))
		echo "FAIL $what"
		tail -n 5 "$tmp/out" | sed 's/^/  /'
	fi
}

skip()
{
	skipped=$((skipped + 1))
	echo "skip $1: $2"
}

# initramfs DIR: built below DIR, all of it.
initramfs()
{
	make -s -C "$top" BUILD="$1" NETSERVER="${2:-}" guest-linux-initramfs
}

twice()
{
	initramfs "$tmp/a" && (umask 077; cd /; TZ=Asia/Tokyo LC_ALL=POSIX initramfs "$tmp/b/longer/path") &&
		cmp "$tmp/a/guest-linux/initramfs" "$tmp/b/longer/path/guest-linux/initramfs"
}

list()
{
	cpio -t --quiet <"$1/guest-linux/initramfs"
}

same_list()
{
	diff <(list "$tmp/a") <(printf '%s\n' . bin bin/crr dev init proc sys tmp)
}

with_netserver()
{
	initramfs "$tmp/n" /usr/bin/printenv && list "$tmp/n" | grep -qx bin/netserver &&
		list "$tmp/n" | grep -q '/libc\.so' && list "$tmp/n" | grep -q '/ld-linux-x86-64\.so'
}

fails() # fails TEXT COMMAND...: with that text on stderr
{
	local text=$1
	shift
	! "$@" 2>"$tmp/err" && grep -F -- "$text" "$tmp/err"
}

# What no packet should pass, what was never asked for, and what would change from build to build.
no_surprises()
{
	grep -vxFf "$kernel/config" <(grep -E '^(# )?CONFIG_' "$here/config") && return 1
	! grep -E '=m$|^CONFIG_(MODULES|NETFILTER|AUDIT|SECURITY|BPF_SYSCALL|CGROUPS|IPV6|IP_PNP|USB_SUPPORT|INPUT|DEBUG_INFO)=y' \
		"$kernel/config"
}

bzimage()
{
	[[ $(dd if="$kernel/bzImage" bs=1 skip=514 count=4 status=none) == HdrS ]] &&
		(($(stat -c %s "$kernel/bzImage") < 6 << 20)) && readelf -n "$kernel/vmlinux" | grep -q '^  Xen '
}

kernel_twice()
{
	mkdir "$tmp/k" && (cd /; umask 077; TZ=Asia/Tokyo "$here/kernel" --build "$tmp/k") &&
		cmp "$tmp/k/bzImage" "$kernel/bzImage" && cmp "$tmp/k/vmlinux" "$kernel/vmlinux"
}

boots()
{
	local f stock rounds=0 put=()
	local files=("$kernel/bzImage" "$kernel/vmlinux" "$tmp/initramfs" "$tmp/initramfs-netserver" "$build/crr" "$build/launch")
	[[ ! ${GUEST_LINUX:-} ]] || rounds=2
	cp "$tmp/a/guest-linux/initramfs" "$tmp/initramfs"
	cp "$tmp/n/guest-linux/initramfs" "$tmp/initramfs-netserver"
	if [[ -w /dev/kvm && $EUID -eq 0 ]] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
		stock=$("$top/guest-tests/host/image") || return
		"$top/guest-tests/guests/linux/make-initrd" "$stock/l2.cpio" "$tmp/stock" "$top/guest-tests/bench/linux-guest.sh" \
			"$build/crr" || return
		mkdir "$tmp/files" && ln -s "${files[@]}" "$tmp/files" || return
		FILES=$tmp/files MINIVMM=${MINIVMM:-$build/minivmm} KERNEL=$stock/bzImage INITRD=$tmp/stock \
			unshare -n "$here/boot-test" "$rounds"
	else
		for f in "${files[@]}"; do
			put+=(--put "$f")
		done
		"$top/guest-tests/host/run" --put-guest "$top/guest-tests/bench/linux-guest.sh" --put-guest "$build/crr" \
			"${put[@]}" --exec "$here/boot-test" "$rounds"
	fi
}

check 'the initramfs, built twice in different places' twice
check 'what is in it' same_list
check 'a netserver with its libraries' with_netserver
check 'no netserver there: refused' fails 'no program /nowhere' initramfs "$tmp/a" /nowhere
check 'kernel: an unknown option' fails "unknown option --what" "$here/kernel" --what
check 'kernel: no directory' fails '--build takes a directory' "$here/kernel" --build
check 'kernel: a version that is not there' fails 'cannot download' \
	env LINUX_SOURCE_VERSION=0.1 MINIVMM_CACHE="$tmp/cache" "$here/kernel"
check 'and nothing half made is left' test -z "$(ls -A "$tmp/cache/guest-linux")"

if [[ ${GUEST_LINUX:-} ]]; then
	kernel=$("$here/kernel")
else
	kernel=$("$here/kernel" --cached)
fi
if [[ $kernel ]]; then
	check 'the configuration: no surprises' no_surprises
	check 'a bzImage of less than 6 MiB, a vmlinux with a PVH note' bzimage
	[[ ! ${GUEST_LINUX:-} ]] || check 'the kernel, built twice in different places' kernel_twice
	boots | tee "$tmp/boots" | grep -v " passed,"
	counts=$(grep -E "^[0-9]+ passed, [0-9]+ failed" "$tmp/boots") || counts="0 passed, 1 failed"
	read -r p _ f _ <<<"$counts"
	passed=$((passed + p)) failed=$((failed + f))
elif [[ ${GUEST_LINUX:-} ]]; then
	check 'the kernel is built' false
else
	skip 'the kernel' 'it is not in the cache (make guest-linux, or GUEST_LINUX=1, builds it)'
fi
summary="$passed passed, $failed failed"
((!skipped)) || summary+=", $skipped skipped"
echo "$summary"
((failed == 0))
