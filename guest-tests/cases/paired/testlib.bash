# testlib.bash - what the guest kernel's tests share: results, a network namespace, guests on some VMM. Sourced.
#
# Environment: BUILD (default build/ at the top of the tree); VMMS, which VMMs to test (of minivmm-pci,
# minivmm-mmio, microvm, q35, q35-intx; default: minivmm with both transports); IMAGE, guest.elf or
# guest.bzImage; ACCEL, QEMU's accelerator (kvm).

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
build=${BUILD:-$top/build}
build=$(cd "$build" && pwd) || exit 2
vmms=${VMMS:-minivmm-pci minivmm-mmio}
passed=0
failed=0
skipped=0
address=10.0.0.2
tap=guest0

ok() { # ok NAME
	echo "ok $1"
	passed=$((passed + 1))
}

fail() { # fail NAME REASON
	echo "FAIL $1: $2"
	failed=$((failed + 1))
}

skip() { # skip NAME REASON
	echo "skip $1: $2"
	skipped=$((skipped + 1))
}

# check NAME COMMAND...: ok if the command succeeds; its output is the reason if not.
check() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		ok "$name"
	else
		fail "$name" "'$*' gives $?: $(tail -n 3 <<<"$output" | tr '\n' ' ')"
	fi
}

# Everything happens in a network namespace that ends with the test; without root, in a user namespace too.
in_own_network() {
	[ -n "${GUEST_TEST_NETWORK:-}" ] && return
	local user=()
	[ "$(id -u)" = 0 ] || user=(--map-root-user)
	export GUEST_TEST_NETWORK=1
	exec unshare "${user[@]}" --net "$0" "$@"
}

need_kvm() {
	[ -r /dev/kvm ] && [ -w /dev/kvm ] && return
	skip "$(basename "$0")" "/dev/kvm cannot be opened"
	finish
}

network_up() { # network_up [VNET_HDR]: a tap with the host's address
	ip link set lo up
	ip link del $tap 2>/dev/null
	# The queue holds three frames of each of thousands of connections.
	ip tuntap add $tap mode tap "$@" && ip addr add 10.0.0.1/24 dev $tap && ip link set $tap txqueuelen 20000 up
}

work=$(mktemp -d)
guest_pid=
trap '[ -z "$guest_pid" ] || kill "$guest_pid" 2>/dev/null; rm -rf "$work"' EXIT

# vmm VMM CPUS MEMORY_MB WORDS: runs the guest kernel with a tap until it ends; its console is the
# output. The status is the guest's.
vmm() {
	local which=$1 cpus=$2 mem=$3 words=$4 status
	local net=() qemu=(-display none -no-reboot -nodefaults -serial stdio -monitor none -m "$mem" -smp "$cpus"
		-device isa-debug-exit,iobase=0xf4,iosize=1)
	case $which in
	minivmm-*)
		ip link show $tap >/dev/null 2>&1 && net=(--net "tap=$tap,transport=${which#minivmm-}")
		"$build/minivmm" --kernel "$build/${IMAGE:-guest.elf}" --cpus "$cpus" --mem "${mem}M" "${net[@]}" \
			--timeout 400s --append "virtio_mmio.device=4K@0xfeb00000:5 $words" </dev/null
		return
		;;
	microvm)
		qemu+=(-M microvm,acpi=off -global virtio-mmio.force-legacy=false)
		net=(-netdev "tap,id=n,ifname=$tap,script=no,downscript=no" -device virtio-net-device,netdev=n)
		;;
	q35 | q35-intx) # without MSI-X vectors the interrupt line is used
		qemu+=(-M q35)
		net=(-netdev "tap,id=n,ifname=$tap,script=no,downscript=no"
			-device "virtio-net-pci,disable-legacy=on,netdev=n$([ "$which" = q35 ] || echo ,vectors=0)")
		;;
	*)
		echo "there is no VMM '$which'" >&2
		return 125
		;;
	esac
	ip link show $tap >/dev/null 2>&1 || net=()
	timeout 400 qemu-system-x86_64 "${qemu[@]}" "${net[@]}" -accel "${ACCEL:-kvm}" \
		-kernel "$build/${IMAGE:-guest.elf}" -append "$words" </dev/null
	status=$?
	# isa-debug-exit makes 2 * N + 1 of the guest's N.
	[ $((status & 1)) = 0 ] || status=$((status / 2))
	return $status
}

# guest_start VMM WORDS: the same in the background, until it serves.
guest_start() {
	guest_run vmm "$1" 1 128 "$2"
}

# guest_run COMMAND...: starts what prints "ready" when it serves.
guest_run() {
	: >"$work/console"
	"$@" >"$work/console" 2>&1 &
	guest_pid=$!
	local deadline=$((SECONDS + 60))
	until grep -q ready "$work/console"; do
		if ! kill -0 $guest_pid 2>/dev/null || [ $SECONDS -gt $deadline ]; then
			echo "the guest does not start: $(tail -n 3 "$work/console")"
			return 1
		fi
		sleep 0.1
	done
}

# control TEXT: a datagram to the guest's control port, again until it is answered.
control() {
	local tries status=1
	exec 9<>/dev/udp/$address/4
	for ((tries = 0; tries < 20 && status; tries++)); do
		printf %s "$1" >&9
		timeout 2 head -c 1 <&9 >/dev/null 2>&1
		status=$?
	done
	exec 9>&-
	return $status
}

# guest_stop STATUS: has the guest end with that status; the status that the VMM gives for it.
guest_stop() {
	local status
	control "quit $1" || kill $guest_pid
	wait $guest_pid
	status=$?
	guest_pid=
	return $status
}

# counter NAME: what the guest printed at its end.
counter() {
	sed -n "s/^$1=\([0-9]*\).*/\1/p" "$work/console"
}

finish() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ]
	exit
}
