# What cases of the paired guest have, beside lib.sh: it under minivmm, or a peer that boots the same image.
#
# From the environment: IMAGE, guest.elf or guest.bzImage; ACCEL, QEMU's accelerator (kvm).
address=10.0.0.2
tap=tap0
keys= # more of the card's, of minivmm
queues= # of a tap that has several
crr=$build/crr
guest_pid=
backend= # of minivmm's card, in place of the tap
kvm_usable || skip 'no /dev/kvm that is ours to open'

# vmm VMM CPUS MEMORY_MB WORDS: runs the guest kernel, with a card if there is a tap, until it ends; its console is the
# output. The status is the guest's. VMM: minivmm-pci, minivmm-mmio, minivmm-rtl8139, microvm, q35,
# q35-intx or q35-rtl8139.
vmm()
{
	local which=$1 cpus=$2 mem=$3 words=$4 status
	local net=() qemu=(-display none -no-reboot -nodefaults -serial stdio -monitor none -m "$mem" -smp "$cpus"
		-device isa-debug-exit,iobase=0xf4,iosize=1)
	case $which in
	minivmm-*)
		net=transport=${which#minivmm-}
		[[ $which != minivmm-rtl8139 ]] || net=model=rtl8139
		net=(--net "${backend:-tap=$tap},$net${queues:+,queues=$queues}${keys:+,$keys}")
		ip link show $tap >/dev/null 2>&1 || net=()
		exec "$minivmm" --kernel "$build/${IMAGE:-guest.elf}" --cpus "$cpus" --mem "${mem}M" "${net[@]}" \
			${stats:+--stats "$stats"} --timeout 400s --append "virtio_mmio.device=4K@0xfeb00000:5 $words" </dev/null
		;;
	microvm)
		qemu+=(-M microvm,acpi=off -global virtio-mmio.force-legacy=false)
		net=(-netdev "tap,id=n,ifname=$tap,script=no,downscript=no" -device virtio-net-device,netdev=n)
		;;
	q35 | q35-intx) # without MSI-X vectors the interrupt line is used
		qemu+=(-M q35)
		net=(-netdev "tap,id=n,ifname=$tap,script=no,downscript=no${queues:+,queues=$queues}"
			-device "virtio-net-pci,disable-legacy=on,netdev=n$([ "$which" = q35 ] || echo ,vectors=0)${queues:+,mq=on}")
		;;
	q35-rtl8139)
		qemu+=(-M q35)
		net=(-netdev "tap,id=n,ifname=$tap,script=no,downscript=no" -device rtl8139,netdev=n)
		;;
	*) die "there is no VMM '$which'" ;;
	esac
	ip link show $tap >/dev/null 2>&1 || net=()
	timeout 400 qemu-system-x86_64 "${qemu[@]}" "${net[@]}" -accel "${ACCEL:-kvm}" \
		-kernel "$build/${IMAGE:-guest.elf}" -append "$words" </dev/null
	status=$?
	# isa-debug-exit makes 2 * N + 1 of the guest's N.
	((status & 1)) && exit $((status / 2)) || exit $status
}

# guest STATUS CPUS MEMORY_MB WORDS [TEXT]: an assertion: $VARIANT runs it to this status, and TEXT is printed, which stays
# in $TMP/console.
guest()
{
	local status
	(vmm "$VARIANT" "$2" "$3" "$4") >"$TMP/console" 2>"$TMP/errors"
	status=$?
	if ((status != $1)); then
		failed "$VARIANT: $4" "status $status, not $1: $(tail -n 2 "$TMP/console" "$TMP/errors" | tr '\n' ' ')"
	elif ! grep -qF -- "${5:-}" "$TMP/console" && [[ ${5:-} ]]; then
		failed "$VARIANT: $4" "no '$5' in: $(tail -n 3 "$TMP/console" | tr '\n' ' ')"
	else
		passed "$VARIANT: $4"
	fi
}

# guest_start WORDS: $VARIANT's guest in the background, until it serves.
guest_start()
{
	guest_run vmm "$VARIANT" 1 128 "$1 ip=$address"
}

# guest_run COMMAND...: starts what prints "ready" when it serves.
guest_run()
{
	: >"$TMP/console"
	"$@" >"$TMP/console" 2>&1 &
	guest_pid=$!
	await "the guest serves" ready_or_ended
	grep -q ready "$TMP/console" || fail "the guest does not start: $(tail -n 3 "$TMP/console")"
}

ready_or_ended()
{
	grep -q ready "$TMP/console" || ! kill -0 "$guest_pid"
}

# control TEXT: a datagram to the guest's control port, again until it is answered.
control()
{
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

# guest_stop NAME: an assertion: the guest ends as it is told, with status 42.
guest_stop()
{
	local status
	control 'quit 42' || kill "$guest_pid"
	wait "$guest_pid"
	status=$?
	is "$1: quit" $status 42
}

counter() # counter NAME: what the guest printed at its end
{
	sed -n "s/^$1=\([0-9]*\).*/\1/p" "$TMP/console"
}

positive() # positive NAME COUNTER...: an assertion each
{
	local name=$1 c value
	shift
	for c in "$@"; do
		value=$(counter "$c")
		if ((${value:-0} > 0)); then passed "$name: $c=$value"; else failed "$name: $c" "${value:-not printed}"; fi
	done
}

# many N COMMAND...: a command that opens so many connections, if it may.
many()
{
	local limit
	limit=$(ulimit -Hn)
	[[ $limit == unlimited || $limit -gt $(($1 + 20)) ]] || skip "$1 connections take more than $limit descriptors (ulimit -Hn)"
	"${@:2}"
}

# transfer: what the guest echoes is what was sent, $TMP/random.
transfer()
{
	timeout 300 bash -c 'exec 8<>/dev/tcp/'$address'/7
		cat "$1" >&8 & head -c "$(stat -c %s "$1")" <&8 | cmp - "$1"' - "$TMP/random"
}
