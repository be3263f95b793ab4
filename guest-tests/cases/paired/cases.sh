#!/bin/bash
# The small guest tests, on every VMM: each case's status and what it prints.
. "$(dirname "$0")/testlib.bash"
in_own_network "$@"
need_kvm
network_up
printable=$(printf '%b' "$(printf '\\x%x' {33..126})")

# run VMM STATUS CPUS MEMORY_MB WORDS [TEXT]: is the status right, and TEXT printed?
run() {
	local which=$1 wanted=$2 cpus=$3 mem=$4 words=$5 text=${6:-} status name
	name="$1: $5"
	vmm "$which" "$cpus" "$mem" "$words" >"$work/console" 2>"$work/errors"
	status=$?
	if [ $status != "$wanted" ]; then
		fail "$name" "status $status, not $wanted: $(tail -n 2 "$work/console" "$work/errors" | tr '\n' ' ')"
	elif [ -n "$text" ] && ! grep -qF -- "$text" "$work/console"; then
		fail "$name" "no '$text' in: $(tail -n 3 "$work/console" | tr '\n' ' ')"
	else
		ok "$name"
	fi
}

for which in $vmms; do
	run "$which" 0 1 64 "case=exit status=0"
	run "$which" 1 1 64 "case=exit status=1"
	# The other image: by Linux's 64-bit boot protocol, or through its own real-mode entry.
	IMAGE=guest.bzImage run "$which" 23 1 64 "case=exit status=23"
	IMAGE=guest.bzImage run "$which" 0 1 64 "case=memory" "memory: total="
	run "$which" 100 1 64 "case=exit status=100"
	run "$which" 103 1 64 "case=exit" "wants status="
	run "$which" 103 1 64 "case=exit status=x" "wants status="
	run "$which" 103 1 64 "case=exit status=256" "wants status="
	run "$which" 103 1 64 "case=nothing" "no such case"
	run "$which" 102 1 64 "case=fault" "fault: vector 14"
	run "$which" 0 1 64 "case=serial" "$printable"
	run "$which" 0 1 64 "case=timer" "tsc_hz="
	for mem in 16 128 3072 3073 5000; do
		run "$which" 0 1 $mem "case=memory" "memory: total="
		# The first megabyte has holes of its own, and firmware keeps a little.
		total=$(sed -n 's/^memory: total=\([0-9]*\).*/\1/p' "$work/console")
		if [ "$((${total:-0} >> 20))" -ge $((mem - 2)) ] && [ "${total:-0}" -le $((mem << 20)) ]; then
			ok "$which: $mem MiB of memory are in the map"
		else
			fail "$which: $mem MiB of memory" "the map has $total bytes"
		fi
	done
	case $which in
	microvm) ;; # without ACPI it has no MADT
	*)
		for cpus in 1 2 7; do
			run "$which" 0 $cpus 64 "case=smp" "smp: started=$cpus"
		done
		;;
	esac
	case $which in
	minivmm-*)
		run "$which" 0 1 64 "case=reboot"
		run "$which" 0 1 64 "case=holes"
		run "$which" 126 1 64 "case=crash"
		run "$which" 0 1 64 "case=hostile strict" "hostile: noticed="
		;;
	*) # a peer may have no keyboard controller, and read what is not there as 0
		run "$which" 0 1 64 "case=crash"
		run "$which" 0 1 64 "case=hostile" "hostile: noticed="
		;;
	esac
	ping -q -i 0.01 -w 600 $address >/dev/null 2>&1 &
	ping_pid=$!
	run "$which" 0 1 128 "case=reset ip=$address" "frames behind the last"
	kill $ping_pid
	wait $ping_pid 2>/dev/null
done

# No network card at all.
ip link del $tap
for which in $vmms; do
	run "$which" 101 1 128 "ip=$address" "no virtio network device"
	run "$which" 1 1 64 "case=hostile" "no network device"
	run "$which" 1 1 64 "case=reset ip=$address"
done
finish
