#!/bin/sh
# Compare VMMs with a stock Linux guest, on a host whose KVM can run one (guest-tests/nested makes such a host, and
# guest-tests/bench/bench starts this in it). POSIX sh; run as root: it makes a tap named bench0.
#
#   linux-bench.sh OUTDIR
#
# Each configuration gets the same kernel, initrd, one vCPU, memory and tap; a round boots each of CONFIGS in turn and
# runs each of TESTS against it; ROUNDS rounds (A B A B, so that a slow minute hits all). Results go to
# OUTDIR/results.tsv as lines config/test/round<TAB>key<TAB>value, consoles beside it.
#
# From the environment:
#   CONFIGS  words VMM[:KEYS]. VMM is minivmm, qemu (microvm), lkvm, or another minivmm binary at /put/VMM; KEYS go to
#            that VMM's network option in its own language: minivmm:transport=pci qemu:vhost=on lkvm:vhost=1
#   TESTS    words of: crr1 crr rr1 rr udp1 stream maerts (default: all; 1 means one connection at a time)
#   ROUNDS (2), SECS per test (4), WARMUP (1), CONNECTIONS (32), MEM in MiB (512), APPEND to the guest's command line
#   MINIVMM, LKVM, QEMU: programs; KERNEL, INITRD: the guest, whose initrd has /put/linux-guest.sh and /put/crr;
#   CRR: the client here (default /put/crr)
set -u
out=${1:?usage: linux-bench.sh OUTDIR}
: "${MINIVMM:=/m/minivmm}" "${LKVM:=/m/lkvm}" "${QEMU:=/usr/bin/qemu-system-x86_64}" "${CRR:=/put/crr}"
: "${KERNEL:=/l2/bzImage}" "${INITRD:=/l2/initrd}" "${MEM:=512}" "${APPEND:=}"
: "${ROUNDS:=2}" "${SECS:=4}" "${WARMUP:=1}" "${CONNECTIONS:=32}"
: "${TESTS:=crr1 crr rr1 rr udp1 stream maerts}"
kvm=/sys/kernel/debug/kvm
mac=52:54:00:00:00:01
words="console=ttyS0 quiet mitigations=off panic=-1 case=/put/linux-guest.sh $APPEND"
mkdir -p "$out"
results=$out/results.tsv
work=$(mktemp -d)
vmm=

default_configs()
{
	[ ! -x "$MINIVMM" ] || echo minivmm:transport=mmio minivmm:transport=pci
	[ ! -x "$QEMU" ] || echo qemu qemu:vhost=on
	[ ! -x "$LKVM" ] || echo lkvm lkvm:vhost=1
}

# Becomes the VMM of configuration $1 (to be called in a process of its own).
become()
{
	keys=
	case $1 in
	*:*) keys=,${1#*:} ;;
	esac
	case ${1%%:*} in
	qemu)
		exec "$QEMU" -M microvm -enable-kvm -cpu host -smp 1 -m "${MEM}M" -nodefaults -no-user-config -no-reboot \
			-nographic -serial stdio -global virtio-mmio.force-legacy=false \
			-kernel "$KERNEL" -initrd "$INITRD" -append "$words" \
			-netdev "tap,id=n,ifname=bench0,script=no,downscript=no$keys" \
			-device "virtio-net-device,netdev=n,mac=$mac" ;;
	lkvm)
		exec "$LKVM" run --name bench -c 1 -m "$MEM" -k "$KERNEL" -i "$INITRD" -p "$words" \
			--console serial --network "mode=tap,tapif=bench0,guest_mac=$mac$keys" ;;
	minivmm) program=$MINIVMM ;;
	*) program=/put/${1%%:*} ;;
	esac
	exec "$program" --kernel "$KERNEL" --initrd "$INITRD" --append "$words" --cpus 1 --mem "${MEM}M" \
		--stats "$work/stats" --net "tap=bench0,mac=$mac$keys"
}

# The guest's console: kept in $2, with the time (hundredths of a second) at which each thing of interest came.
watch_console()
{
	while IFS= read -r line; do
		read -r now _ </proc/uptime
		echo "$line" >>"$1"
		case $line in
		*'bench-guest: up'*) echo "$now" >"$work/up" ;;
		*'crr: serving'*) echo "$now" >"$work/serving" ;;
		esac
	done
}

row() # row LABEL KEY VALUE
{
	printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$results"
}

since() # since T0 T1: milliseconds
{
	awk "BEGIN { printf \"%d\", ($2 - $1) * 1000 + 0.5 }"
}

# Resident memory in KiB, the guest's own left out: any mapping at least half as large as the guest.
own_memory()
{
	awk -v guest=$((MEM * 512)) '/^Size:/ { skip = $2 >= guest } /^Pss:/ && !skip { sum += $2 }
		END { print sum }' "/proc/$vmm/smaps"
}

# Clock ticks (10 ms) used by the VMM and by the vhost thread that works for it.
cpu_ticks()
{
	for stat in "/proc/$vmm/stat" $(grep -ls "^vhost-$vmm\$" /proc/[0-9]*/comm | sed 's/comm$/stat/'); do
		cat "$stat"
	done | sed 's/.*) //' | awk '{ sum += $12 + $13 } END { print sum }'
}

# The kernel's own counts of exits, the same for every VMM.
exits()
{
	for counter in exits io_exits mmio_exits halt_exits irq_injections; do
		[ ! -e "$kvm/$counter" ] || echo "$counter $(cat "$kvm/$counter")"
	done
}

start() # start CONFIG CONSOLE: 0 when its server is up
{
	rm -f "$work"/*
	mkfifo "$work/in" "$work/out"
	ip tuntap add bench0 mode tap && ip addr add 10.0.1.1/24 dev bench0 && ip link set bench0 up || return 1
	# Open both ways, so that a VMM never reads the end of its input.
	exec 3<>"$work/in"
	watch_console "$2" <"$work/out" &
	read -r started _ </proc/uptime
	(
		echo "$(exec sh -c 'echo $PPID')" >"$work/pid"
		become "$1"
	) <"$work/in" >"$work/out" 2>"$2.err" 3<&- &
	child=$!
	left=1200
	until [ -s "$work/serving" ]; do
		left=$((left - 1))
		if [ $left -eq 0 ] || ! kill -0 $child 2>/dev/null; then
			echo "linux-bench: $1 did not come up: $(tail -n 2 "$2.err" "$2" 2>/dev/null | tr '\r\n' '  ')" >&2
			return 1
		fi
		sleep 0.1
	done
	vmm=$(cat "$work/pid")
}

stop()
{
	kill "$child" 2>/dev/null
	(sleep 5; kill -9 "$child") 2>/dev/null &
	killer=$!
	wait "$child" 2>/dev/null
	kill "$killer" 2>/dev/null
	exec 3<&-
	ip tuntap del bench0 mode tap
	vmm=
}

measure() # measure LABEL TEST
{
	case $2 in
	crr1) set -- "$1" --test crr ;;
	crr) set -- "$1" --test crr --connections "$CONNECTIONS" ;;
	rr1) set -- "$1" --test rr ;;
	rr) set -- "$1" --test rr --connections "$CONNECTIONS" ;;
	udp1) set -- "$1" --test udp_rr ;;
	stream | maerts) set -- "$1" --test "$2" ;;
	*)
		echo "linux-bench: no test '$2'" >&2
		exit 2 ;;
	esac
	label=$1
	shift
	exits >"$work/before"
	ticks=$(cpu_ticks)
	"$CRR" client 10.0.1.2 "$@" --seconds "$SECS" --warmup "$WARMUP" --tsv "$work/result" --label "$label" \
		>"$work/text" 2>&1 || echo "linux-bench: $label: crr ended with status $?: $(tail -n 1 "$work/text")" >&2
	ticks=$(($(cpu_ticks) - ticks))
	exits >"$work/after"
	[ -s "$work/result" ] || return
	cat "$work/result" >>"$results"
	# A unit of work is a transaction or a megabyte.
	units=$(awk -F'\t' '$2 == "transactions_all" { print $3 } $2 == "bytes_all" { print $3 / 1e6 }' "$work/result")
	rm "$work/result"
	awk -v label="$label" -v units="$units" -v ticks="$ticks" 'NR == FNR { before[$1] = $2; next }
		units > 0 { printf "%s\t%s_per_unit\t%.3f\n", label, $1, ($2 - before[$1]) / units }
		END { if (units > 0) printf "%s\tcpu_us_per_unit\t%.2f\n", label, ticks * 10000 / units }' \
		"$work/before" "$work/after" >>"$results"
	awk -v label="$label" '$1 == "rate" || $1 == "mbit_per_s" || $1 == "p50_us" || $1 == "p99_us" ||
		$1 == "failures" || $1 == "tcp.RetransSegs" { line = line "  " $1 " " $2 }
		END { print label line }' "$work/text"
}

run() # run CONFIG ROUND
{
	console=$out/console-$(echo "$1" | tr ':=,' '---')-$2
	if start "$1" "$console"; then
		row "$1/start/$2" userland_ms "$(since "$started" "$(cat "$work/up")")"
		row "$1/start/$2" serving_ms "$(since "$started" "$(cat "$work/serving")")"
		row "$1/memory/$2" own_kib "$(own_memory)"
		echo "$1/start/$2  userland $(since "$started" "$(cat "$work/up")") ms, own memory $(own_memory) KiB"
		for test in $TESTS; do
			measure "$1/$test/$2" "$test"
		done
	else
		failed=1
	fi
	stop
	# minivmm's own counters, over the whole life of the guest.
	[ ! -s "$work/stats" ] || cp "$work/stats" "$console.stats"
}

trap 'kill $child 2>/dev/null; exit 130' INT TERM
[ -d $kvm ] || mount -t debugfs none /sys/kernel/debug
[ -w /dev/kvm ] || { echo "linux-bench: no usable /dev/kvm" >&2; exit 2; }
: "${CONFIGS:=$(default_configs)}"
child= failed=0
: >"$results"
for round in $(seq "$ROUNDS"); do
	for config in $CONFIGS; do
		run "$config" "$round"
	done
done
rm -rf "$work"
exit $failed
