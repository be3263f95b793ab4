# What cases of minivmm from outside have, beside lib.sh: the smallest guest (guests/small.S), on any /dev/kvm. Each
# function user_... is an assertion, and where /dev/kvm is ours to open, guest_... too. The output of minivmm is in
# $tmp/out and $tmp/err.
small=$build/small.elf
tmp=$TMP
real=$minivmm
assertions='user_'
if kvm_usable; then assertions+='|guest_'; else skipped 'guests from outside' 'no /dev/kvm that is ours to open'; fi

# vmm STATUS ARG...: runs minivmm, and wants that exit status.
vmm()
{
	local want=$1 got
	shift
	timeout 60 "$minivmm" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	got=$?
	((got == want)) || { why="status $got, not $want: $(tail -n 1 "$tmp/err")"; return 1; }
}

# guest STATUS COMMAND ARG...: the smallest guest with that command (a letter, see there).
guest()
{
	local want=$1 command=$2
	shift 2
	vmm "$want" --kernel "$small" --append "$command" --mem 16M --timeout 30s "$@"
}

# cannot TEXT ARG...: minivmm says so, in one line, and ends with 125.
cannot()
{
	local text=$1
	shift
	vmm 125 "$@" && says "$text"
}

# says TEXT [LINES]: stderr has the text, and so many lines (1).
says()
{
	grep -qF -- "$1" "$tmp/err" || { why="no '$1' in: $(head -n 2 "$tmp/err")"; return 1; }
	[ "$(wc -l <"$tmp/err")" -eq "${2:-1}" ] || { why="not ${2:-1} line(s): $(cat "$tmp/err")"; return 1; }
}

# background ARG...: the smallest guest, with the caller's descriptors; its process in $pid once it runs.
background()
{
	# A job of this shell would have SIGINT and SIGQUIT ignored.
	env --default-signal "$minivmm" --kernel "$small" --mem 16M --timeout 50s "$@" &
	pid=$!
	soon runs
}
# Its signals and its terminal are minivmm's then.
runs() { cat /proc/$pid/task/*/comm 2>/dev/null | grep -q '^vcpu0'; }
# Whatever signal was sent has arrived.
taken() { grep -q '^ShdPnd:[[:space:]]*0*$' /proc/$pid/status; }

# soon COMMAND...: it succeeds before $pid has ended.
soon()
{
	until "$@"; do
		kill -0 $pid 2>/dev/null || { why="$pid has ended before: $*"; return 1; }
		sleep 0.05
	done
}

# over STATUS: $pid ends so.
over()
{
	local got
	wait $pid
	got=$?
	[ $got -eq "$1" ] || { why="status $got, not $1"; return 1; }
}

# while_it_runs COMMAND...: some machine; for what is typed on its terminal.
while_it_runs()
{
	until any_runs; do sleep 0.05; done
	"$@"
	while any_runs; do sleep 0.05; done
}
any_runs() { cat /proc/[0-9]*/task/*/comm 2>/dev/null | grep -q '^vcpu0'; }
