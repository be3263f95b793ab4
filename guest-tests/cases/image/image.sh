# The small Linux guest: its initramfs and its kernel are reproducible, and the kernel is what its configuration says.
# That minivmm boots it, cases/linux/small-*.sh show. Without NO_SKIP or GUEST_LINUX the kernel is judged only if it is
# in the cache; GUEST_LINUX=1 builds it twice, in different directories.
gl=$top/guest-tests/guests/linux
tmp=$TMP

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
	grep -vxFf "$kernel/config" <(grep -E '^(# )?CONFIG_' "$gl/config") && return 1
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
	mkdir "$tmp/k" && (cd /; umask 077; TZ=Asia/Tokyo "$gl/kernel" --build "$tmp/k") &&
		cmp "$tmp/k/bzImage" "$kernel/bzImage" && cmp "$tmp/k/vmlinux" "$kernel/vmlinux"
}

check 'the initramfs, built twice in different places' twice
check 'what is in it' same_list
check 'a netserver with its libraries' with_netserver
check 'no netserver there: refused' fails 'no program /nowhere' initramfs "$tmp/a" /nowhere
check 'kernel: an unknown option' fails "unknown option --what" "$gl/kernel" --what
check 'kernel: no directory' fails '--build takes a directory' "$gl/kernel" --build
check 'kernel: a version that is not there' fails 'cannot download' \
	env LINUX_SOURCE_VERSION=0.1 MINIVMM_CACHE="$tmp/cache" "$gl/kernel"
check 'and nothing half made is left' test -z "$(ls -A "$tmp/cache/guest-linux")"

kernel=$("$gl/kernel" --cached)
if [[ $kernel || ${GUEST_LINUX:-} || ${NO_SKIP:-} ]]; then
	# With what the Linux cases small-*.sh boot.
	check 'the kernel is built' make -s -C "$top" BUILD="$build" guest-linux
	cp "$tmp/n/guest-linux/initramfs" "$build/guest-linux/initramfs-netserver"
	kernel=$("$gl/kernel" --cached)
else
	skipped 'the kernel' 'it is not in the cache (make guest-linux, or GUEST_LINUX=1, builds it)'
fi
if [[ $kernel ]]; then
	check 'the configuration: no surprises' no_surprises
	check 'a bzImage of less than 6 MiB, a vmlinux with a PVH note' bzimage
	[[ ! ${GUEST_LINUX:-} ]] || check 'the kernel, built twice in different places' kernel_twice
fi
