# Ends that must come whatever is stuck: readers that do not read, parents that close and ignore, every signal.
# No case fails by the clock: where a machine that does not end would be killed, its status is another.

# run STATUS ARG...: as vmm, with the standard descriptors that the caller gives it.
run()
{
	local want=$1 got
	shift
	timeout -s KILL 50 "$minivmm" --kernel "$small" --mem 16M "$@"
	got=$?
	[ $got -eq "$want" ] || { why="status $got, not $want, of $*"; return 1; }
}

# A pipe on descriptor 8 that is full and that nobody reads.
fill()
{
	rm -f "$tmp/full"
	mkfifo "$tmp/full"
	exec 8<>"$tmp/full"
	dd if=/dev/zero of="$tmp/full" bs=4096 oflag=nonblock 2>/dev/null
	true
}

guest_full_stderr()
{
	fill
	run 124 --append l --timeout 300ms 2>&8 </dev/null &&
		run 126 --append t --timeout 40s 2>&8 </dev/null &&
		run 123 --append b --timeout 40s 2>&8 </dev/null &&
		run 125 --append s --nonsense 2>&8 </dev/null &&
		run 42 --append s --stats "$tmp/stats" >"$tmp/out" 2>&8 </dev/null &&
		run 0 --append o --verbose --stats - 2>&8 </dev/null &&
		{ background --append l 2>&8 </dev/null; kill $pid; over 143; }
}
guest_full_stdout()
{
	fill
	run 124 --append p --timeout 1s --stats "$tmp/stats" >&8 2>"$tmp/err" </dev/null &&
		grep -qE '"tx_lost":[1-9]' "$tmp/stats" && grep -q 'output of the serial port is being lost' "$tmp/err" &&
		run 42 --append s --timeout 40s --stats "$tmp/stats" >&8 2>&8 </dev/null && grep -q '"tx_lost":25,' "$tmp/stats" &&
		{ background --append p >&8 2>&8 </dev/null; kill $pid; over 143; }
}
guest_full_standard_input()
{
	# Another process reads what we were told of: we must not wait for more.
	mkfifo "$tmp/shared" && exec 7<>"$tmp/shared"
	background --append e <&7 >"$tmp/out" 2>"$tmp/err"
	for _ in 1 2 3 4 5; do echo x >&7; read -r -t 0.01 _ <&7; done
	kill $pid
	over 143
}
guest_fifo_stats()
{
	local i
	mkfifo "$tmp/fifo"
	run 124 --append l --timeout 300ms --stats "$tmp/fifo" 2>"$tmp/err" </dev/null && grep -q "stats for '$tmp/fifo' were not read" "$tmp/err" || return 1
	background --append l --stats "$tmp/fifo" 2>"$tmp/err" </dev/null
	for ((i = 0; i < 100; i++)); do kill -USR1 $pid; soon taken; done
	kill $pid
	over 143 && grep -qE 'were not read: [1-9].*[1-9][0-9]* times' "$tmp/err"
}
guest_fifo_stats_read()
{
	mkfifo "$tmp/fifo2"
	cat "$tmp/fifo2" >"$tmp/stats" &
	run 42 --append s --stats "$tmp/fifo2" >/dev/null 2>"$tmp/err" </dev/null && wait $! &&
		grep -q '"status":42' "$tmp/stats" && tail -c 3 "$tmp/stats" | grep -q '}}' && [ ! -s "$tmp/err" ]
}
guest_fifo_console()
{
	mkfifo "$tmp/fifo3"
	run 42 --append s --console "$tmp/fifo3" --stats "$tmp/stats" 2>"$tmp/err" </dev/null && grep -q '"tx_lost":25,' "$tmp/stats" || return 1
	# A reader that comes later finds what was kept for it, and then the rest.
	background --append p --console "$tmp/fifo3" 2>"$tmp/err" </dev/null
	head -c 200000 "$tmp/fifo3" | tail -n +2 | head -n 100 | sort -u >"$tmp/out"
	kill $pid
	over 143 && grep -qx 'hello from a small guest' "$tmp/out" && [ "$(wc -l <"$tmp/out")" = 1 ]
}
guest_console_bounded()
{
	echo 'what was there before, and is longer' >"$tmp/console"
	run 42 --append s --console "$tmp/console,max=10" --stats "$tmp/stats" 2>"$tmp/err" </dev/null &&
		[ "$(cat "$tmp/console")" = 'hello from' ] && grep -q '"tx_lost":15,' "$tmp/stats" && says 'has reached its bound' &&
		{ background --append p --console "$tmp/console,max=8K" 2>"$tmp/err" </dev/null; soon says 'has reached its bound'; } &&
		kill $pid && over 143 && [ "$(stat -c %s "$tmp/console")" = 8192 ] &&
		run 42 --append s --console "$tmp/console,max=25" 2>"$tmp/err" </dev/null && [ ! -s "$tmp/err" ] &&
		cannot 'a size above 0' --kernel x --console "$tmp/console,max=0" && cannot 'a file or none first' --kernel x --console max=1M
}

# Every signal that ends a process ends the machine in good order.
guest_signals()
{
	local s n
	for s in HUP INT QUIT ILL TRAP ABRT BUS FPE USR2 SEGV ALRM TERM STKFLT XCPU VTALRM PROF IO PWR RTMIN RTMIN+1 RTMAX; do
		n=$(kill -l $s)
		rm -f "$tmp/stats"
		background --append l --stats "$tmp/stats" 2>"$tmp/err" </dev/null
		kill -$s $pid
		over $((128 + n)) && grep -q "\"outcome\":\"signal\", \"status\":$((128 + n))," "$tmp/stats" || { why="$s: $why"; return 1; }
	done
	# And these end nothing.
	background --append l 2>"$tmp/err" </dev/null
	for s in PIPE XFSZ CHLD URG WINCH CONT USR1; do kill -$s $pid; done
	soon taken
	kill -TERM $pid
	over 143
}
# What a parent has us ignore stays ignored.
guest_ignored_signals()
{
	local s
	(trap '' HUP INT QUIT USR1 USR2 TERM; exec "$minivmm" --kernel "$small" --append l --timeout 2s </dev/null 2>"$tmp/err") &
	pid=$!
	soon runs
	for s in HUP INT QUIT USR1 USR2 TERM; do kill -$s $pid; done
	over 124 || return 1
	nohup "$minivmm" --kernel "$small" --append l --timeout 50s </dev/null >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	soon runs
	kill -HUP $pid
	kill -TERM $pid
	over 143
}
guest_stopped()
{
	background --append l --timeout 500ms </dev/null 2>"$tmp/err"
	kill -STOP $pid
	sleep 0.5
	kill -CONT $pid
	over 124 || return 1
	background --append l </dev/null 2>"$tmp/err"
	kill -TSTP $pid
	sleep 0.2
	kill -CONT $pid
	kill -TERM $pid
	over 143
}
# Without /proc, too, what a careless parent left open is closed, and a job's kernel is heard.
guest_without_proc()
{
	local fds
	command -v unshare >/dev/null || skip 'a program or a right is missing'
	(exec env --default-signal unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' - "$minivmm" --kernel "$small" --mem 16M --append l --timeout 50s \
		7</etc/passwd 2>"$tmp/err" </dev/null) &
	pid=$!
	soon runs || { why=skip; return 1; }
	fds=$(ls -l /proc/$pid/fd)
	kill $pid
	over 143 && ! grep passwd <<<"$fds" && grep -q kvm-vcpu <<<"$fds" || return 1
	{ cat "$small"; printf 'Linux version 0.0-test '; } >"$tmp/resets"
	unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' - timeout 50 "$minivmm" run --root / --kernel "$tmp/resets" --log "$tmp/log" \
		--mem 64M -- x >"$tmp/out" 2>"$tmp/err" </dev/null
	[ $? -eq 134 ] && says 'without a word' || { why="status $?: $(cat "$tmp/err")"; return 1; }
}
guest_parent_ignores_children()
{
	(trap '' CHLD; exec timeout -s KILL 50 "$minivmm" --kernel "$small" --append s </dev/null >"$tmp/out" 2>"$tmp/err")
	[ $? -eq 42 ]
}

# Parents that leave nothing as it usually is; and a host of which parts are missing.
guest_odd_parents()
{
	local odd
	while read -r odd; do
		eval "timeout -s KILL 50 $odd \"\$minivmm\" --kernel '$small' --mem 16M --cpus 2 --rng --append s --stats '$tmp/stats'" \
			>"$tmp/out" 2>"$tmp/err" </dev/null
		case $? in
		42) [ ! -s "$tmp/err" ] && grep -q hello "$tmp/out" || fail "$odd: $(cat "$tmp/err")" ;;
		*) fail "$odd: status $?: $(cat "$tmp/err")" ;;
		esac
	done <<-'EOF'
		env -i
		env --block-signal
		env --ignore-signal
		bash -c 'exec -a "" "$@"' -
		env LC_ALL=tr_TR.UTF-8 TZ=:/nowhere MALLOC_PERTURB_=165
		setpriv --no-new-privs
		unshare -pf
		unshare -m sh -c 'mount -t tmpfs none /sys && exec "$@"' -
		env tmp="$tmp" unshare -m sh -c 'mount --bind "$tmp" "$tmp" && mount -o remount,bind,ro / && exec "$@"' -
		bash -c 'ulimit -c 0 -l 0 -i 0 -q 0 -x 0 && exec "$@"' -
	EOF
}
# The first process of its namespace, to which the kernel sends no signal that it does not want.
guest_first_process()
{
	local outer
	unshare -pf env --default-signal "$minivmm" --kernel "$small" --mem 16M --timeout 50s --append l 2>"$tmp/err" </dev/null &
	outer=$!
	pid=$outer
	soon is_child || return 1
	soon runs && kill -TSTP $pid && kill -CONT $pid && kill -TERM $pid
	wait $outer
	[ $? -eq 143 ]
}
is_child() # $pid becomes that of the machine whose parent it was
{
	local p
	for p in /proc/[0-9]*; do
		! grep -qs "^PPid:[[:space:]]*$outer$" $p/status || { pid=${p#/proc/}; return; }
	done
	return 1
}

# Whatever cannot be had: one line says what, and where all can be had there is none.
guest_limits()
{
	local args=(--kernel "$small" --mem 16M --append s --rng --cpus 2 --fs /usr,ro --stats "$tmp/stats" --console none --disk "$tmp/disk") kind n
	truncate -s 1M "$tmp/disk"
	[ ! -w /dev/net/tun ] || args+=(--net "tap=limit0,queues=2,pcap=$tmp/pcap" --net tap=limit1,model=rtl8139)
	for kind in 'n 5 1 90' 'v 2000 1000 60000' 'd 500 1000 60000'; do
		set -- $kind
		for ((n = $2; n < $4; n += $3)); do
			(ulimit -$1 $n && exec "$minivmm" "${args[@]}") </dev/null 2>"$tmp/err"
			case $?/$(wc -l <"$tmp/err") in
			125/1 | 42/0 | 127/*) ;; # 127: not even its libraries
			*) fail "ulimit -$1 $n: $(cat "$tmp/err")" ;;
			esac
		done
		[ ! -s "$tmp/err" ] || fail "ulimit -$1 $n is not enough: $(cat "$tmp/err")"
	done
}

# Deeper than a parent allows we cannot go; where only its soft limit is low we raise that.
guest_small_stack()
{
	local n
	for ((n = 16; n < 128; n += 16)); do
		(ulimit -S -s $n && exec "$minivmm" --kernel "$small" --mem 16M --append s) >"$tmp/out" 2>"$tmp/err" </dev/null
		[ $? -eq 42 ] || { why="ulimit -S -s $n: $(cat "$tmp/err")"; return 1; }
		(ulimit -s $n && exec "$minivmm" --kernel "$small" --mem 16M --append s) >"$tmp/out" 2>"$tmp/err" </dev/null
		case $?/$(wc -l <"$tmp/err") in
		42/0) ;; # root, with all its rights
		*) says "cannot run on a stack of $n KiB (ulimit -s 128)" || return 1 ;;
		esac
	done
}

# Whatever of 0, 1 and 2 is closed, no file of ours takes its place.
guest_closed_descriptors()
{
	local closed i
	for ((i = 1; i < 8; i++)); do
		closed=
		((i & 1)) && closed+=' 0<&-'
		((i & 2)) && closed+=' 1>&-'
		((i & 4)) && closed+=' 2>&-'
		rm -f "$tmp/stats" "$tmp/console"
		eval "run 42 --append s --timeout 40s --stats '$tmp/stats' $closed" >"$tmp/out" 2>"$tmp/err" && head -c 13 "$tmp/stats" | grep -qF '{"uptime_us":' &&
			[ "$(grep -c outcome "$tmp/stats")" = 1 ] && ! grep -q 'hello\|minivmm:' "$tmp/stats" &&
			eval "run 42 --append s --timeout 40s --console '$tmp/console' --stats '$tmp/stats' $closed" >"$tmp/out" 2>"$tmp/err" &&
			[ "$(cat "$tmp/console")" = 'hello from a small guest' ] && leads_nowhere || { why="with $closed: $why"; return 1; }
	done
}
leads_nowhere() # what is $closed does
{
	local fd done=0
	eval "background --append l $closed" 2>"$tmp/err"
	for fd in 0 1 2; do
		[[ $closed != *" $fd"[\<\>]* || $(readlink /proc/$pid/fd/$fd) == /dev/null ]] || { why="$fd is $(readlink /proc/$pid/fd/$fd)"; done=1; }
	done
	kill $pid
	over 143 && return $done
}
guest_odd_input()
{
	run 42 --append s --timeout 40s </ >"$tmp/out" 2>"$tmp/err" && run 42 --append s --timeout 40s </dev/full >"$tmp/out" 2>"$tmp/err" &&
		: | run 42 --append s --timeout 40s >"$tmp/out" 2>"$tmp/err"
}

# on_terminal INPUT ARG...: on a terminal of its own; $tmp/tty has what it showed.
on_terminal()
{
	local input=$1
	shift
	command -v script >/dev/null || { why=skip; return 1; }
	script -qec "'$minivmm' --kernel '$small' --mem 16M --timeout 20s $*; echo status \$?; stty -a | grep -o ' -*icanon'" /dev/null \
		< <(while_it_runs printf "$input") >"$tmp/tty" 2>&1
	grep -q 'status 7' "$tmp/tty" && grep -q ' icanon' "$tmp/tty"
}
# Escape sequences of the guest: undone on a terminal, and only there, and only where there were any.
guest_terminal_reset()
{
	local show
	show=$(printf '\033[?25h')
	on_terminal '\033[31m\033[?25l\033[?1049hq' --append e && grep -qF "$show" "$tmp/tty" &&
		on_terminal 'plain\tq' --append e && ! grep -qF "$show" "$tmp/tty" &&
		printf '\033[31m\033[?25lq' | run 7 --append e --timeout 40s >"$tmp/out" 2>"$tmp/err" &&
		[ "$(cat "$tmp/out")" = "$(printf '\033[31m\033[?25lq')" ]
}

# A file system that does not answer: its server is stopped. Calls on it wait for ever, on whatever thread.
guest_hung_file_system()
{
	local server later
	((EUID == 0)) && [ -w /dev/fuse ] && command -v mount >/dev/null || skip 'a program or a right is missing'
	mkdir "$tmp/kept" "$tmp/hung" && truncate -s 1M "$tmp/kept/disk" || return 1
	"$build/mountfs" "$tmp/kept" "$tmp/hung" >"$tmp/server" &
	server=$!
	until grep -qs ready "$tmp/server"; do kill -0 $server || skip 'no FUSE here'; sleep 0.05; done
	hung 124 p --console "$tmp/hung/console" --timeout 1s && hung 124 l --stats "$tmp/hung/stats" --timeout 1s &&
		hung 143 p --console "$tmp/hung/console" && hung 143 l --stats "$tmp/hung/stats" &&
		hung_at_start --disk "$tmp/hung/disk" && hung_at_start --stats "$tmp/hung/new" && hung_on_a_terminal
	set -- $?
	umount "$tmp/hung"
	wait $server
	return $1
}
# Of a request that the server has in its hands the kernel lets nobody go, not the dead either: so it goes on after a
# while in any case, when the machine has said its last word.
stop_server()
{
	kill -STOP $server
	(trap 'kill $!' TERM; sleep 20 & wait; kill -CONT $server) &
	later=$!
}
server_goes_on()
{
	kill $later
	wait $later
}
ended_by_force() # ended_by_force STATUS: and the server goes on
{
	local done
	over "$1" && grep -q 'a file system of this host does not answer' "$tmp/err"
	done=$?
	server_goes_on
	return $done
}
# hung STATUS LETTER OPTION...: with a server that is stopped once the machine runs.
hung()
{
	background --append "${@:2}" 2>"$tmp/err" </dev/null || return 1
	stop_server
	case $* in
	*--timeout*) ;;
	*) sleep 0.2; kill -TERM $pid ;;
	esac
	ended_by_force "$1"
}
# With one that is stopped before, what is opened then never is.
hung_at_start()
{
	stop_server
	env --default-signal "$minivmm" --kernel "$small" --mem 16M --append l "$@" 2>"$tmp/err" </dev/null &
	pid=$!
	soon holds_sigterm && kill -TERM $pid
	ended_by_force 143
}
holds_sigterm() { grep -q '^SigBlk:.*[4567cdef]...$' /proc/$pid/status; }
# A terminal is the user's again.
hung_on_a_terminal()
{
	command -v script >/dev/null || skip 'a program or a right is missing'
	script -qec "'$minivmm' --kernel '$small' --mem 16M --append l --stats '$tmp/hung/stats' --timeout 1s; echo status \$?; stty -a" /dev/null \
		< <(while_it_runs stop_server; server_goes_on) >"$tmp/tty" 2>&1
	grep -q 'status 124' "$tmp/tty" && grep -q ' icanon .* echo ' "$tmp/tty" || { why=$(tr -d '\r' <"$tmp/tty" | tail -n 5); return 1; }
}

# Whatever signal ends the machine, the terminal is put back.
signal_it()
{
	local p
	for p in /proc/[0-9]*; do
		! grep -qs '^vcpu0' $p/task/*/comm || kill -"$1" "${p#/proc/}"
	done
}
guest_signals_on_a_terminal()
{
	local s
	command -v script >/dev/null || skip 'a program or a right is missing'
	for s in HUP INT QUIT ABRT SEGV USR2 ALRM TERM XCPU RTMIN; do
		script -qec "ulimit -c 0; '$minivmm' --kernel '$small' --mem 16M --timeout 50s --append l; echo status \$?; stty -a" /dev/null \
			< <(while_it_runs signal_it $s) >"$tmp/tty" 2>&1
		grep -q "status $((128 + $(kill -l $s)))" "$tmp/tty" && grep -q ' icanon .* echo ' "$tmp/tty" ||
			fail "$s: $(tr -d '\r' <"$tmp/tty" | tail -n 5)"
	done
}

# A job's terminal, too, is the shell's as long as that has stopped us.
stop_it()
{
	signal_it TSTP
	until [ -e "$tmp/stopped" ]; do sleep 0.05; done
	signal_it TERM
}
guest_job_stopped_on_a_terminal()
{
	command -v script >/dev/null || skip 'a program or a right is missing'
	{ LC_ALL=C sed 's/\x80\xf9c/\x80\xf9\xff/; s/\x80\xf9l/\x80\xf9c/' "$small"; printf 'Linux version 0.0-test '; } >"$tmp/halts"
	cat >"$tmp/shell" <<-EOF
		set -m
		'$minivmm' run --root / --kernel '$tmp/halts' --mem 64M --tty -- x
		stty -a | grep -o ' -*icanon' | sed 's/^/stopped/'
		: >'$tmp/stopped'
		fg
		echo "status \$?"
		stty -a
	EOF
	script -qec "bash '$tmp/shell'" /dev/null < <(while_it_runs stop_it) >"$tmp/tty" 2>&1
	grep -q 'stopped icanon' "$tmp/tty" && grep -q 'status 143' "$tmp/tty" && grep -q ' icanon .* echo ' "$tmp/tty" ||
		fail "$(tr -d '\r' <"$tmp/tty" | tail -n 8)"
}
