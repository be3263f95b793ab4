#!/bin/bash
# minivmm itself, from outside: how guests end, the console, the accounts, and what users get wrong. Runs the smallest
# guest on this machine's /dev/kvm, whatever that can do; without a usable one it says so and runs the rest.
#
#   run [CASE...]       needs build/minivmm and build/small.elf
#
# One line a case (ok, FAIL, skip); the last line is `N passed, N failed, N skipped`.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
build=$(realpath -m "${BUILD:-$top/build}")
minivmm=${MINIVMM:-$build/minivmm}
real=$minivmm
small=$build/small.elf
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# vmm STATUS ARG...: runs minivmm, output in $tmp/out and $tmp/err, and wants that exit status.
vmm()
{
	local want=$1 got
	shift
	timeout 60 "$minivmm" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	got=$?
	[ $got -eq "$want" ] || { why="status $got, not $want: $(tail -n 1 "$tmp/err")"; return 1; }
}

guest()
{
	local want=$1 command=$2
	shift 2
	vmm "$want" --kernel "$small" --append "$command" --mem 16M --timeout 30s "$@"
}

# says TEXT: the one line on stderr has that text.
says()
{
	grep -qF -- "$1" "$tmp/err" || { why="no '$1' in: $(head -n 2 "$tmp/err")"; return 1; }
	[ "$(wc -l <"$tmp/err")" -eq "${2:-1}" ] || { why="not ${2:-1} line(s): $(cat "$tmp/err")"; return 1; }
}

cannot()
{
	local text=$1
	shift
	vmm 125 "$@" && says "$text"
}

# ---- guests ----
guest_serial() { guest 42 s && grep -qx 'hello from a small guest' "$tmp/out"; }
guest_power_off() { guest 0 o; }
guest_reset() { guest 0 r; }
guest_i8042_reset() { guest 0 k; }
guest_triple_fault() { guest 126 t && grep -q 'triple fault; at RIP 0x1000[0-9a-f]*, 32-bit protected mode, ring 0' "$tmp/err"; }
guest_status_too_large() { guest 123 b && says 'status 200'; }
guest_holes() { guest 0 m && guest 0 m --stats "$tmp/stats" && grep -q '"mmio":{"misses":2}' "$tmp/stats"; }
guest_expect_status() { guest 126 o --expect-status && says 'without reporting a status' && guest 42 s --expect-status; }
guest_timeout() { vmm 124 --kernel "$small" --append l --timeout 300ms && says 'timed out after 300 ms'; }
guest_input()
{
	local answer
	answer=$(printf 'abcdefghijklmnopqrstuvwxyz%01000d' 0 | tr q Q | sed 's/$/q/' |
		timeout 60 "$minivmm" --kernel "$small" --append e --timeout 30s 2>"$tmp/err")
	[ $? -eq 7 ] && [ "$answer" = "$(printf 'abcdefghijklmnopQrstuvwxyz%01000dq' 0)" ]
}
guest_input_file()
{
	printf 'from a fileq' >"$tmp/in"
	timeout 60 "$minivmm" --kernel "$small" --append e --timeout 30s <"$tmp/in" >"$tmp/out" 2>"$tmp/err"
	[ $? -eq 7 ] && [ "$(cat "$tmp/out")" = 'from a fileq' ]
}
guest_console_file() { guest 42 s --console "$tmp/console" && [ ! -s "$tmp/out" ] && grep -q hello "$tmp/console"; }
guest_console_none() { guest 42 s --console none && [ ! -s "$tmp/out" ]; }
guest_output_closed()
{
	timeout 60 "$minivmm" --kernel "$small" --append s --timeout 30s >&- 2>"$tmp/err" </dev/null
	[ $? -eq 42 ]
}
guest_output_full()
{
	timeout 60 "$minivmm" --kernel "$small" --append s --timeout 30s --stats "$tmp/stats" >/dev/full 2>"$tmp/err" </dev/null
	[ $? -eq 42 ] && grep -q '"tx_lost":25' "$tmp/stats"
}
# signalled SIGNAL STATUS: a running guest ends by the signal.
signalled()
{
	local pid status
	"$minivmm" --kernel "$small" --append l --timeout 50s </dev/null >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	sleep 0.5
	kill -"$1" $pid
	wait $pid
	status=$?
	[ $status -eq "$2" ] || { why="status $status"; return 1; }
}
guest_sigterm() { signalled TERM 143; }
guest_sigint() { (trap - INT; signalled INT 130) || signalled HUP 129; }
guest_sigusr1()
{
	local pid i
	"$minivmm" --kernel "$small" --append l --timeout 50s --stats "$tmp/stats" </dev/null 2>"$tmp/err" &
	pid=$!
	for ((i = 0; i < 100; i++)); do
		sleep 0.1
		kill -USR1 $pid || break
		grep -q '"outcome":"running"' "$tmp/stats" && break
	done
	kill -TERM $pid
	wait $pid
	[ $i -lt 100 ] && grep -q '"outcome":"signal", "status":143' "$tmp/stats" && [ "$(grep -c outcome "$tmp/stats")" -eq 1 ]
}
guest_terminal_restored()
{
	command -v script >/dev/null || { why=skip; return 1; }
	# A terminal of its own, and a guest that never reads: Ctrl-A x still ends it, and the terminal is as it was.
	script -qec "stty -g; '$minivmm' --kernel '$small' --append l --timeout 20s; echo status \$?; stty -g" /dev/null \
		< <(sleep 2; head -c 2000 /dev/zero | tr '\0' z; printf '\001x'; sleep 2) >"$tmp/tty" 2>&1
	tr -d '\r' <"$tmp/tty" | grep -a '^[0-9a-f]*:[0-9a-f:]*$' | sort | uniq -c | grep -q '^ *2 ' &&
		grep -q 'status 0' "$tmp/tty"
}
guest_stats()
{
	guest 42 s --stats "$tmp/stats" &&
		grep -q '"outcome":"status", "status":42' "$tmp/stats" &&
		grep -q '"serial":{"tx_bytes":25, "tx_lost":0' "$tmp/stats" &&
		grep -qE '"vcpu0":\{"pio":[1-9]' "$tmp/stats"
}
guest_stats_stderr() { guest 42 s --stats - && grep -q '"status":42' "$tmp/err"; }
guest_disk_and_cpus()
{
	truncate -s 1M "$tmp/disk"
	guest 42 s --disk "$tmp/disk" --disk "$tmp/disk,ro" 2>/dev/null && return 1 # in use twice
	guest 42 s --disk "$tmp/disk" --rng --transport mmio && guest 42 s --disk "$tmp/disk,transport=pci" --cpus 2
}
guest_config_file()
{
	printf '# a machine\nkernel = %s\nappend = o\n\nmem=16M\n  timeout = 30s\nrng\n' "$small" >"$tmp/conf"
	vmm 0 --config "$tmp/conf" && vmm 42 --append s --config "$tmp/conf"
}

# Each of configs/ makes a machine, on a tap of its own in a network namespace of its own.
guest_configs()
{
	local conf unshare=(unshare --net)
	[ "$EUID" -eq 0 ] || unshare=(unshare --user --map-root-user --net)
	[ -w /dev/net/tun ] && "${unshare[@]}" true 2>/dev/null || { why=skip; return 1; }
	for conf in "$top"/configs/*.conf; do
		(cd "$tmp" && timeout 60 "${unshare[@]}" "$minivmm" --config "$conf" --kernel "$small" --append s </dev/null >out 2>err)
		[ $? -eq 42 ] || { why="$conf: $(tail -n 1 "$tmp/err")"; return 1; }
	done
}

# on_a_tap FUNCTION: with the paired guest running from README's configuration on tap0, in a network namespace of its own.
on_a_tap()
{
	local unshare=(unshare --net)
	[ "$EUID" -eq 0 ] || unshare=(unshare --user --map-root-user --net)
	[ -x "$build/crr" ] && [ -e "$top/build/guest.elf" ] && [ -w /dev/net/tun ] && "${unshare[@]}" true 2>/dev/null ||
		{ why=skip; return 1; }
	export -f with_guest "$1"
	(cd "$top" && minivmm=$minivmm build=$build tmp=$tmp timeout 60 "${unshare[@]}" bash -c "with_guest $1") \
		>"$tmp/out" 2>"$tmp/err"
}
with_guest()
{
	local pid i done
	ip tuntap add tap0 mode tap && ip addr add 10.0.0.1/24 dev tap0 && ip link set tap0 up || return 1
	rm -f "$tmp/console"
	"$minivmm" --config configs/crr.conf --console "$tmp/console" </dev/null &
	pid=$!
	for ((i = 0; i < 200; i++)); do
		grep -q ready "$tmp/console" 2>/dev/null && break
		sleep 0.1
	done
	"$1"
	done=$?
	kill $pid
	wait $pid
	[ $? -eq 143 ] && [ $done -eq 0 ]
}
# README's example: measured by crr.
crr_example()
{
	"$build/crr" client 10.0.0.2 --test crr --seconds 1 --json "$tmp/crr.json" && grep -q '"failures": *0' "$tmp/crr.json"
}
guest_crr_example() { on_a_tap crr_example; }
# The tap goes away under a running guest: said once, and the machine goes on to its ordinary end.
tap_deleted() { ip link del tap0 && sleep 1; }
guest_tap_deleted() { on_a_tap tap_deleted && says 'is gone; the guest'; }

# in_a_net FUNCTION: in a network namespace of its own, with the paired guest at hand.
in_a_net()
{
	local unshare=(unshare --net)
	[ "$EUID" -eq 0 ] || unshare=(unshare --user --map-root-user --net)
	[ -e "$top/build/guest.elf" ] && [ -w /dev/net/tun ] && "${unshare[@]}" ip link add br0 type bridge 2>/dev/null ||
		{ why=skip; return 1; }
	export -f paired "$1"
	(cd "$top" && minivmm=$minivmm tmp=$tmp timeout 60 "${unshare[@]}" bash -c "$1") >"$tmp/out" 2>"$tmp/err"
}
# paired NAME ADDRESS OPTION...: the paired guest, its process in $pid, once it is ready.
paired()
{
	local i console=$tmp/console.$1
	rm -f "$console"
	"$minivmm" --kernel build/guest.elf --mem 64M --append "ip=$2" --console "$console" --timeout 50s "${@:3}" </dev/null &
	pid=$!
	for ((i = 0; i < 200; i++)); do
		! grep -q ready "$console" 2>/dev/null || return 0
		sleep 0.1
	done
	return 1
}
# Two machines on a bridge of large frames: two addresses, and the bridge stays as it is.
two_on_a_bridge()
{
	local first second
	ip link add br0 type bridge && ip tuntap add big mode tap && ip link set big mtu 9000 master br0 up &&
		ip addr add 10.0.0.1/24 dev br0 && ip link set br0 up || return 1
	paired one 10.0.0.2 --net bridge=br0 && first=$pid && paired two 10.0.0.3 --net bridge=br0 && second=$pid || return 1
	ping -c 1 -W 5 10.0.0.2 && ping -c 1 -W 5 10.0.0.3 || return 1
	ip -o link show br0 | grep -q 'mtu 9000' && [ "$(ip -o link | grep -c ': mvm[01]: .*mtu 9000')" -eq 2 ] || return 1
	[ "$(ip neigh show dev br0 | grep -o 'lladdr [0-9a-f:]*' | sort -u | wc -l)" -eq 2 ] || return 1
	kill $first $second
	wait
}
guest_two_on_a_bridge() { in_a_net two_on_a_bridge; }
# A tap with several queues belongs to one machine.
tap_open_twice()
{
	ip tuntap add tap0 mode tap multi_queue && ip link set tap0 up && paired one 10.0.0.2 --net tap0 || return 1
	"$minivmm" --kernel build/guest.elf --net tap0 --timeout 10s --console none
	[ $? -eq 125 ] && kill $pid
	wait $pid
	[ $? -eq 143 ]
}
guest_tap_open_twice() { in_a_net tap_open_twice && says 'ip tuntap add'; }

# ---- users ----
user_no_kernel_option() { cannot 'no kernel given'; }
user_no_such_kernel() { cannot "'$tmp/none'" --kernel "$tmp/none"; }
user_kernel_is_directory() { cannot "'$tmp'" --kernel "$tmp"; }
user_kernel_is_text() { echo hello >"$tmp/text"; cannot "'$tmp/text'" --kernel "$tmp/text"; }
user_kernel_is_empty() { : >"$tmp/empty"; cannot "'$tmp/empty'" --kernel "$tmp/empty"; }
user_kernel_truncated() { head -c 300 "$small" >"$tmp/cut"; cannot "'$tmp/cut'" --kernel "$tmp/cut"; }
user_no_such_initrd() { cannot "'$tmp/none'" --kernel "$small" --initrd "$tmp/none"; }
user_initrd_too_large() { truncate -s 64M "$tmp/initrd"; cannot "'$tmp/initrd'" --kernel "$small" --initrd "$tmp/initrd" --mem 16M; }
user_unknown_option() { cannot "unknown option 'kernal' (the nearest is 'kernel'" --kernal x; }
user_unknown_key() { cannot "unknown key in --net 'transpart' (the nearest is 'transport'" --kernel x --net tap0,transpart=pci; }
user_bad_memory() { cannot "bad value '15M' for mem" --kernel x --mem 15M && cannot "'-1'" --kernel x --mem -1 && cannot "'99999999999999999999'" --kernel x --mem 99999999999999999999; }
user_bad_cpus() { cannot "bad value '0' for cpus" --kernel x --cpus 0 && cannot "bad value '1x'" --kernel x --cpus 1x; }
user_bad_timeout() { cannot "bad value '30' for timeout" --kernel x --timeout 30; }
user_bad_mac() { cannot "a unicast address" --kernel x --net tap0,mac=01:00:00:00:00:00 && cannot "bad value '52:54'" --kernel x --net tap0,mac=52:54; }
user_same_tap_twice() { cannot 'already belongs to another --net' --kernel x --net tap0 --net tap=tap0; }
user_long_tap_name() { cannot 'at most 15 characters' --kernel x --net abcdefghijklmnopq; }
user_fd_is_no_tap() { cannot 'fd=0 is not an open tap' --kernel "$small" --net fd=0; }
user_no_kvm()
{
	[ "$EUID" -eq 0 ] || { why=skip; return 1; }
	minivmm=$tmp/no-kvm
	printf '#!/bin/sh\nexec unshare -m sh -c "mount -t tmpfs none /dev && exec \\"\\$0\\" \\"\\$@\\"" "%s" "$@"\n' "$real" >"$minivmm"
	chmod +x "$minivmm"
	cannot '/dev/kvm: No such file or directory (the host has no KVM' --kernel "$small"
}
user_kvm_forbidden()
{
	[ "$EUID" -eq 0 ] || { why=skip; return 1; }
	minivmm=$tmp/forbidden
	# On a node of its own, as this machine's may be open to all.
	printf '#!/bin/sh\nexec unshare -m sh -c "mount -t tmpfs none /dev && : >/dev/kvm && chmod 600 /dev/kvm && exec setpriv --reuid 65534 --clear-groups \\"\\$0\\" \\"\\$@\\"" "%s" "$@"\n' "$tmp/minivmm" >"$minivmm"
	chmod +x "$minivmm"
	chmod 755 "$tmp" && cp "$real" "$small" "$tmp"
	cannot '/dev/kvm: Permission denied (join the group of the node' --kernel "$tmp/small.elf"
}
user_missing_value() { cannot 'needs a value' --kernel; }
user_stray_argument() { cannot "unexpected argument 'x'" x; }
user_no_such_disk() { cannot "'$tmp/none'" --kernel "$small" --disk "$tmp/none"; }
user_no_such_config() { cannot "'$tmp/none'" --config "$tmp/none"; }
user_bad_config_line() { echo 'mem = much' >"$tmp/conf"; vmm 125 --config "$tmp/conf" && says "in line 1 of configuration file '$tmp/conf'" 2; }
user_stats_not_writable() { cannot "'/proc/none'" --kernel "$small" --stats /proc/none; }
user_memory_too_large() { (ulimit -v 2000000; cannot 'cannot reserve' --kernel "$small" --mem 1000G); }
user_help() { vmm 0 --help && grep -q -- '--kernel FILE' "$tmp/out" && [ "$(wc -l <"$tmp/out")" -le 60 ] && [ "$(wc -L <"$tmp/out")" -le 100 ]; }
# README tells the truth: its links lead somewhere, its make targets and options exist.
user_readme()
{
	local what
	for what in $(grep -oE '\]\([^)]*\)' "$top/README.md" | tr -d '()]'); do
		[ -e "$top/$what" ] || { why="README links to $what"; return 1; }
	done
	for what in $(grep -oE '(^    |`)make [a-z-]+' "$top/README.md" | sed 's/.*make //' | sort -u); do
		make -C "$top" -n "$what" >/dev/null 2>"$tmp/err" || { why="README has make $what"; return 1; }
	done
	"$minivmm" --help >"$tmp/help"
	for what in $(grep -E 'minivmm .*--|`--' "$top/README.md" | grep -oE -- '--[a-z-]+' | sort -u); do
		grep -qE -- "^  (--[a-z]+, )?$what( |,|$)" "$tmp/help" || { why="README has $what, --help does not"; return 1; }
	done
}
user_version() { vmm 0 --version && grep -q '^minivmm ' "$tmp/out"; }

all() { declare -F | sed -n 's/^declare -f \(\(guest\|user\)_.*\)/\1/p'; }

usable=yes
[ -w /dev/kvm ] || usable="no /dev/kvm that is ours to open"
passed=0 failed=0 skipped=0
for c in ${@:-$(all)}; do
	why='' minivmm=$real
	case $c in guest_*) [ "$usable" = yes ] || { echo "skip $c: $usable"; skipped=$((skipped + 1)); continue; } ;; esac
	if "$c"; then
		echo "ok $c"
		passed=$((passed + 1))
	elif [ "$why" = skip ]; then
		echo "skip $c: a program or a right that it needs is missing"
		skipped=$((skipped + 1))
	else
		echo "FAIL $c: ${why:-$(tail -n 1 "$tmp/err" 2>/dev/null)}"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
