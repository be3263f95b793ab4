# How guests end, the console, the accounts.
guest_serial() { guest 42 s && grep -qx 'hello from a small guest' "$tmp/out"; }
guest_power_off() { guest 0 o; }
guest_reset() { guest 0 r; }
guest_i8042_reset() { guest 0 k; }
guest_reset_control() { guest 0 c && guest 0 c --rng --transport pci && guest 126 c --expect-status && says 'the guest ended (reset) without'; }
guest_system_port_reset() { guest 0 a; }
guest_firmware_reset() { guest 0 f; }
guest_triple_fault_as_a_reset() { guest 0 w && guest 126 w --expect-status && says 'the guest ended (reset) without'; }
guest_triple_fault() { guest 126 t && grep -q 'triple fault; at RIP 0x100[0-9a-f]*, 32-bit protected mode, ring 0' "$tmp/err"; }
# Of what a parent left open only what an option names is open in the machine.
guest_inherited_descriptors()
{
	local pid fds
	printf x >"$tmp/inherited"
	background --append l --rng --stats /dev/fd/9 7<"$tmp/inherited" 8<"$tmp/inherited" 9>"$tmp/inherited.stats" 200<"$tmp/inherited" \
		2>"$tmp/err" </dev/null || return 1
	fds=$(ls -l /proc/$pid/fd)
	kill $pid
	over 143 && ! grep 'inherited$' <<<"$fds" && grep -q kvm-vcpu <<<"$fds" && grep -q outcome "$tmp/inherited.stats"
}
guest_pin_of_nobody() { vmm 125 --kernel "$small" --mem 16M --pin disk=0 && says "cannot pin 'disk': there is no such thread (there are: vcpu0 main)"; }
guest_pin_to_nowhere() { vmm 125 --kernel "$small" --mem 16M --pin vcpu=0,1023 && says 'cannot pin thread vcpu0 to CPU 1023: it is not there'; }
guest_pinned()
{
	local pid cpu
	cpu=$(awk '/^Cpus_allowed_list/ { split($2, first, /[,-]/); print first[1] }' /proc/self/status)
	background --append l --pin "vcpu0=$cpu" 2>"$tmp/err" </dev/null && soon pinned "$cpu"
	kill $pid
	over 143
}
pinned() # pinned CPU: the vCPU of $pid is
{
	local task
	task=$(grep -lx vcpu0 /proc/$pid/task/*/comm)
	grep -q "^Cpus_allowed_list:[[:space:]]$1\$" "${task%comm}status"
}
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
	local pid
	background --append l </dev/null >"$tmp/out" 2>"$tmp/err"
	kill -"$1" $pid
	over "$2"
}
guest_sigterm() { signalled TERM 143; }
guest_sigint() { (trap - INT; signalled INT 130) || signalled HUP 129; }
# asked ARG...: in the background, until its accounts in $tmp/stats have been asked for.
asked()
{
	rm -f "$tmp/stats"
	background --append l --stats "$tmp/stats" "$@" </dev/null 2>"$tmp/err"
	kill -USR1 $pid
	soon grep -q '"outcome":"running"' "$tmp/stats"
}
guest_sigusr1()
{
	local pid
	asked || return 1
	kill -TERM $pid
	over 143 && grep -q '"outcome":"signal", "status":143' "$tmp/stats" && [ "$(grep -c outcome "$tmp/stats")" -eq 1 ]
}
type_and_end() { head -c 2000 /dev/zero | tr '\0' z; printf '\001x'; }
guest_terminal_restored()
{
	command -v script >/dev/null || skip 'a program or a right is missing'
	# A terminal of its own, and a guest that never reads: Ctrl-A x still ends it, and the terminal is as it was.
	script -qec "stty -g; '$minivmm' --kernel '$small' --append l --timeout 20s; echo status \$?; stty -g" /dev/null \
		< <(while_it_runs type_and_end) >"$tmp/tty" 2>&1
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
	cannot 'it is also the disk' --kernel "$small" --disk "$tmp/disk" --disk "$tmp/disk,ro" &&
		guest 42 s --disk "$tmp/disk" --rng --transport mmio && guest 42 s --disk "$tmp/disk,transport=pci" --cpus 2
}
guest_config_file()
{
	printf '# a machine\nkernel = %s\nappend = o\n\nmem=16M\n  timeout = 30s\nrng\n' "$small" >"$tmp/conf"
	vmm 0 --config "$tmp/conf" && vmm 42 --append s --config "$tmp/conf"
}

# Each of configs/ makes a machine, on a tap of its own.
guest_configs()
{
	local conf
	[ -w /dev/net/tun ] || skip 'no /dev/net/tun that is ours to open'
	for conf in "$top"/configs/*.conf; do
		(cd "$tmp" && timeout 60 "$minivmm" --config "$conf" --kernel "$small" --append s </dev/null >out 2>err)
		[ $? -eq 42 ] || fail "$conf: $(tail -n 1 "$tmp/err")"
	done
}

# on_a_tap COMMAND...: with the paired guest running from README's configuration on tap0.
on_a_tap()
{
	local pid done
	[ -w /dev/net/tun ] || skip 'no /dev/net/tun that is ours to open'
	tap 0 || return
	rm -f "$tmp/console"
	(cd "$top" && exec "$minivmm" --config configs/crr.conf --console "$tmp/console" </dev/null 2>"$tmp/err") &
	pid=$!
	await 'the guest serves' grep -q ready "$tmp/console"
	"$@"
	done=$?
	kill $pid
	wait $pid
	[ $? -eq 143 ] && [ $done -eq 0 ] || fail "the command ended with $done: $(tail -n 1 "$tmp/err")"
	ip link del tap0 2>/dev/null || :
}
# README's example: measured by crr.
crr_example()
{
	"$build/crr" client 10.0.0.2 --test crr --seconds 1 --json "$tmp/crr.json" && grep -q '"failures": *0' "$tmp/crr.json"
}
guest_crr_example() { on_a_tap crr_example; }
# The tap goes away under a running guest: said once, and the machine goes on to its ordinary end.
tap_deleted() { ip link del tap0 && soon says 'is gone; the guest'; }
guest_tap_deleted() { on_a_tap tap_deleted; }
# paired NAME ADDRESS OPTION...: the paired guest, its process in $pid, once it is ready.
paired()
{
	local console=$tmp/console.$1
	rm -f "$console"
	"$minivmm" --kernel "$build/guest.elf" --mem 64M --append "ip=$2" --console "$console" --timeout 50s "${@:3}" \
		</dev/null 2>>"$tmp/err" &
	pid=$!
	await 'the guest serves' ready_or_ended "$console" && grep -q ready "$console"
}
ready_or_ended() { grep -q ready "$1" || ! kill -0 "$pid"; }
# Two machines on a bridge of large frames: two addresses, and the bridge stays as it is.
guest_two_on_a_bridge()
{
	local first second
	[ -w /dev/net/tun ] && ip link add br0 type bridge || skip 'no tap or no bridge'
	ip tuntap add big mode tap && ip link set big mtu 9000 master br0 up &&
		ip addr add 10.0.0.1/24 dev br0 && ip link set br0 up || return 1
	paired one 10.0.0.2 --net bridge=br0 && first=$pid && paired two 10.0.0.3 --net bridge=br0 && second=$pid || return 1
	ping -c 1 -W 5 10.0.0.2 && ping -c 1 -W 5 10.0.0.3 || return 1
	ip -o link show br0 | grep -q 'mtu 9000' && [ "$(ip -o link | grep -c ': mvm[01]: .*mtu 9000')" -eq 2 ] || return 1
	[ "$(ip neigh show dev br0 | grep -o 'lladdr [0-9a-f:]*' | sort -u | wc -l)" -eq 2 ] || return 1
	kill $first $second
	wait $first $second
	ip link del br0 && ip link del big
}
guest_bridge_down()
{
	[ -w /dev/net/tun ] && ip link add br0 type bridge || skip 'no tap or no bridge'
	guest 42 s --net bridge=br0 && says "bridge 'br0' is down: no frame will pass" && ip link set br0 up &&
		guest 42 s --net bridge=br0 && [ ! -s "$tmp/err" ] && ip link del br0
}
# A tap with several queues belongs to one machine.
guest_tap_open_twice()
{
	[ -w /dev/net/tun ] || skip 'no /dev/net/tun that is ours to open'
	ip tuntap add tap0 mode tap multi_queue && ip link set tap0 up && paired one 10.0.0.2 --net tap0 || return 1
	vmm 125 --kernel "$build/guest.elf" --net tap0 --timeout 10s --console none && says 'ip tuntap add'
	kill $pid
	wait $pid
	[ $? -eq 143 ] && ip link del tap0
}

# ---- the sandbox ----
# in_threads FIELD: what /proc says of it, each value once, in all threads of the running guest $pid.
in_threads() { sed -n "s/^$1:[[:space:]]*//p" /proc/$pid/task/*/status | sort -u | tr '\n' ' '; }
# confined MODE SECCOMP NO_NEW_PRIVS THREADS LANDLOCK: a machine with every kind of device, as the kernel and the accounts have it.
confined()
{
	local pid got
	truncate -s 1M "$tmp/disk"
	asked --sandbox "$1" --disk "$tmp/disk" --rng --cpus 2 || return 1
	got="$(in_threads Seccomp)$(in_threads NoNewPrivs)$(in_threads CapEff)$(in_threads CapInh)"
	kill -TERM $pid
	over 143 || return 1
	[ "$got" = "$2 $3 $4 0000000000000000 " ] || fail "$1: seccomp, no_new_privs, capabilities: $got"
	got=$(grep '"sandbox"' "$tmp/stats")
	[[ $got =~ \"seccomp\":$5,\ \"landlock\":$6[,}] ]] || fail "$1: accounts: $got"
}
# A device's interrupt that nobody has taken when the machine ends is let go behind the filter, too.
guest_interrupt_at_the_end()
{
	[ -w /dev/net/tun ] || skip 'no /dev/net/tun that is ours to open'
	guest 42 i --net tap=pin0,model=rtl8139 && [ ! -s "$tmp/err" ] || { why=$(cat "$tmp/err"); return 1; }
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
	local trace pid
	command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null || skip 'a program or a right is missing'
	rm -f "$tmp"/trace.*
	minivmm=$tmp/traced
	printf '#!/bin/sh\nexec strace -D -f -o "%s/trace.$$" "%s" "$@"\n' "$tmp" "$real" >"$minivmm"
	chmod +x "$minivmm"
	guest_crr_example && guest_sigusr1 && guest_terminal_restored || return 1
	for trace in "$tmp"/trace.*; do # strace is behind
		pid=$(sed -n '1s/ .*//p' "$trace")
		await 'strace ends' grep -q "^$pid *+++ exited" "$trace"
	done
	awk -v kinds='main vcpu net' -f "$top/guest-tests/cases/linux/calls.awk" "$top/vmm/seccomp.c" "$tmp"/trace.* >"$tmp/out" ||
		fail "$(tr '\n' ';' <"$tmp/out")"
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
	setpriv --reuid 65534 true 2>/dev/null || skip 'no right to become another user'
	rm -f "$tmp/disk" && truncate -s 1M "$tmp/disk" && chmod 755 "$tmp" && cp "$small" "$real" "$tmp" || return 1
	minivmm=$tmp/minivmm
	setpriv --reuid 65534 --clear-groups "$minivmm" --kernel "$tmp/small.elf" --append s --mem 16M --kvm fd=7 --disk fd=8,transport=mmio \
		7<>/dev/kvm 8<>"$tmp/disk" </dev/null >"$tmp/out" 2>"$tmp/err"
	[ $? -eq 42 ]
}
# What a careless parent left open is closed, so that no guest finds it, sandbox or not.
guest_closes_what_it_inherits() { closes_what_it_inherits on && closes_what_it_inherits off && closes_what_it_inherits log; }
closes_what_it_inherits()
{
	local pid found
	asked --sandbox "$1" --kvm fd=7 5</etc/passwd 7<>/dev/kvm 9</etc 100<>/dev/null || return 1
	found=$(ls -l /proc/$pid/fd | grep -E ' (/etc|/dev/kvm|/dev/null$)' | grep -v ' 0 ->')
	kill -TERM $pid
	over 143 || return 1
	[ ! "$found" ] || { why="still open: $found"; return 1; }
}
# KILLS machines (20) are ended by SIGKILL at any moment from their start to their end; nothing of them is left.
guest_killed()
{
	[ -w /dev/net/tun ] || skip 'no /dev/net/tun that is ours to open'
	mkdir "$tmp/killed" && cp "$small" "$tmp/killed/kernel" && truncate -s 1M "$tmp/killed/disk" || return 1
	tmp=$tmp/killed
	killed_machines "${KILLS:-20}"
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
			"$minivmm" --config "$top/configs/crr.conf" --kernel "$build/guest.elf" --console "$tmp/console" </dev/null &
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
