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
guest_reset_control() { guest 0 c && guest 0 c --rng --transport pci && guest 126 c --expect-status && says 'the guest ended (reset) without'; }
guest_system_port_reset() { guest 0 a; }
guest_firmware_reset() { guest 0 f; }
guest_triple_fault_as_a_reset() { guest 0 w && guest 126 w --expect-status && says 'the guest ended (reset) without'; }
guest_triple_fault() { guest 126 t && grep -q 'triple fault; at RIP 0x100[0-9a-f]*, 32-bit protected mode, ring 0' "$tmp/err"; }
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

# ---- the sandbox ----
# in_threads FIELD: what /proc says of it, each value once, in all threads of the running guest $pid.
in_threads() { sed -n "s/^$1:[[:space:]]*//p" /proc/$pid/task/*/status | sort -u | tr '\n' ' '; }
# confined MODE SECCOMP NO_NEW_PRIVS THREADS LANDLOCK: a machine with every kind of device, as the kernel and the accounts have it.
confined()
{
	local pid i got
	truncate -s 1M "$tmp/disk"
	"$minivmm" --kernel "$small" --append l --timeout 50s --sandbox "$1" --stats "$tmp/stats" --disk "$tmp/disk" --rng --cpus 2 \
		</dev/null 2>"$tmp/err" &
	pid=$!
	for ((i = 0; i < 200; i++)); do
		sleep 0.1
		kill -USR1 $pid || break
		grep -q '"outcome":"running"' "$tmp/stats" && break
	done
	got="$(in_threads Seccomp)$(in_threads NoNewPrivs)$(in_threads CapEff)$(in_threads CapInh)"
	kill -TERM $pid
	wait $pid
	[ $? -eq 143 ] || { why="$1: it ended by $?: $(tail -n 1 "$tmp/err")"; return 1; }
	[ "$got" = "$2 $3 $4 0000000000000000 " ] || { why="$1: seccomp, no_new_privs, capabilities: $got"; return 1; }
	got=$(grep '"sandbox"' "$tmp/stats")
	[[ $got =~ \"seccomp\":$5,\ \"landlock\":$6[,}] ]] || { why="$1: accounts: $got"; return 1; }
}
guest_sandbox()
{
	local none=0000000000000000 mine abi='[0-9]+'
	mine=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
	confined on 2 1 $none 8 "$abi" && confined log 2 1 "$mine" 8 0 && confined off 0 0 "$mine" 0 0
}
# The list of calls is what machines call: disk and rng are driven by the Linux case `calls`.
guest_sandbox_list()
{
	local i trace pid
	command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null || { why=skip; return 1; }
	rm -f "$tmp"/trace.*
	minivmm=$tmp/traced
	printf '#!/bin/sh\nexec strace -D -f -o "%s/trace.$$" "%s" "$@"\n' "$tmp" "$real" >"$minivmm"
	chmod +x "$minivmm"
	guest_crr_example && guest_sigusr1 && guest_terminal_restored || return 1
	for trace in "$tmp"/trace.*; do # strace is behind
		pid=$(sed -n '1s/ .*//p' "$trace")
		for ((i = 0; i < 100; i++)); do
			! grep -q "^$pid *+++ exited" "$trace" || break
			sleep 0.1
		done
	done
	awk -v kinds='main vcpu net' -f "$top/guest-tests/cases/linux/calls.awk" "$top/vmm/seccomp.c" "$tmp"/trace.* >"$tmp/out" ||
		{ why=$(tr '\n' ';' <"$tmp/out"); return 1; }
}
# A debugger's stop, and Ctrl-Z: every wait goes on.
guest_stopped_and_continued()
{
	local pid i
	truncate -s 1M "$tmp/disk"
	"$minivmm" --kernel "$small" --append l --timeout 3s --disk "$tmp/disk" --rng </dev/null 2>"$tmp/err" &
	pid=$!
	for ((i = 0; i < 10; i++)); do
		sleep 0.1
		kill -STOP $pid && kill -CONT $pid || break
	done
	wait $pid
	[ $? -eq 124 ] && says 'timed out'
}
# A parent that may do more opens everything.
guest_descriptors()
{
	[ "$EUID" -eq 0 ] || { why=skip; return 1; }
	rm -f "$tmp/disk" && truncate -s 1M "$tmp/disk" && chmod 755 "$tmp" && cp "$small" "$real" "$tmp" || return 1
	minivmm=$tmp/minivmm
	setpriv --reuid 65534 --clear-groups "$minivmm" --kernel "$tmp/small.elf" --append s --mem 16M --kvm fd=7 --disk fd=8,transport=mmio \
		7<>/dev/kvm 8<>"$tmp/disk" </dev/null >"$tmp/out" 2>"$tmp/err"
	[ $? -eq 42 ]
}
# KILLS machines (20) are ended by SIGKILL at any moment from their start to their end; nothing of them is left.
guest_killed()
{
	local unshare=(unshare --net)
	[ "$EUID" -eq 0 ] || unshare=(unshare --user --map-root-user --net)
	[ -w /dev/net/tun ] && "${unshare[@]}" true 2>/dev/null || { why=skip; return 1; }
	mkdir "$tmp/killed" && cp "$small" "$tmp/killed/kernel" && truncate -s 1M "$tmp/killed/disk" || return 1
	export -f killed_machines left_behind
	minivmm=$minivmm tmp=$tmp/killed build=$build top=$top "${unshare[@]}" bash -c "killed_machines ${KILLS:-20}" >"$tmp/out" 2>"$tmp/err" ||
		{ why=$(tail -n 1 "$tmp/out"); return 1; }
}
killed_machines()
{
	local i pid load killed=0
	for ((i = 0; i < $1; i++)); do
		if ((i % 2)); then # a short life
			"$minivmm" --kernel "$tmp/kernel" --append s --net tap0 --disk "$tmp/disk" --rng --console "$tmp/console" \
				--stats "$tmp/stats" </dev/null &
			pid=$!
			sleep 0.0$((RANDOM % 90 + 10))
		else # traffic
			"$minivmm" --config "$top/configs/crr.conf" --kernel "$top/build/guest.elf" --console "$tmp/console" </dev/null &
			pid=$!
			until ip link show tap0 >/dev/null 2>&1 || ! kill -0 $pid; do sleep 0.01; done
			ip addr add 10.0.0.1/24 dev tap0
			"$build/crr" client 10.0.0.2 --test crr --seconds 5 >/dev/null &
			load=$!
			sleep 0.$((RANDOM % 5))$((RANDOM % 10))
		fi
		kill -KILL $pid && killed=$((killed + 1))
		wait $pid
		[ ! "${load:-}" ] || { kill $load; wait $load; }
		load=''
		! left_behind || return
	done
	echo "only $killed of $1 were alive"
	((killed > $1 / 2))
}
left_behind() # something is: says what
{
	local found
	found=$(ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | grep -vx lo) && echo "an interface: $found" && return
	found=$(pgrep -f "$tmp/kernel|$tmp/console") && echo "a process: $found" && return
	found=$(cd "$tmp" && ls -A | grep -vxE 'kernel|disk|console|stats') && echo "a file: $found"
}

. "$(dirname "${BASH_SOURCE[0]}")/ends.sh"
. "$(dirname "${BASH_SOURCE[0]}")/files.sh"

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
user_help() { vmm 0 --help && grep -q -- '--kernel FILE' "$tmp/out" && [ "$(wc -l <"$tmp/out")" -le 80 ] && [ "$(wc -L <"$tmp/out")" -le 100 ]; }
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
