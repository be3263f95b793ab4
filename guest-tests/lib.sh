# What the host side of the Linux guest cases shares (POSIX sh). `run` loads it before a case, in namespaces that only
# the case has, and defines: CASE, VARIANT, WORK (a directory: logs stay, tmp/ does not), MINIVMM, KERNEL, INITRD, TOOLS.
#
# The host is 10.0.1.1 on tap1, the guest 10.0.1.2 and 52:54:00:00:00:01 there; a second card has 2 in place of the 1.

STATUS_SIGTERM=143
PATH=$TOOLS:$PATH
export PATH
TMP=$WORK/tmp
mkdir -p "$TMP"
: >"$WORK/pids"
ip link set lo up

fail()
{
	echo "$*" >"$WORK/reason"
	exit 1
}

skip()
{
	echo "$*" >"$WORK/reason"
	exit 77
}

# background COMMAND...: runs it until the case ends.
background()
{
	"$@" &
	echo $! >>"$WORK/pids"
}

# await WHAT COMMAND...: until the command succeeds. The limit is the whole case's; its report then says WHAT.
await()
{
	echo "waiting: $1" >"$WORK/reason"
	shift
	until "$@" >"$TMP/await" 2>&1; do
		sleep 0.1
	done
	rm "$WORK/reason"
}

# tap N: makes tapN with the host's address on it.
tap()
{
	ip tuntap add "tap$1" mode tap
	ip link set "tap$1" up
	ip addr add "10.0.$1.1/24" dev "tap$1"
}

# nic N [KEYS]: the value of --net for card N.
nic()
{
	echo "tap=tap$1,mac=52:54:00:00:00:0$1${2:+,$2}"
}

# start 'GUEST-PART [NAME=VALUE...]' OPTION...: starts minivmm on a Linux that runs guest/GUEST-PART. $APPEND goes onto
# the guest's command line.
start()
{
	start_case=$1
	shift
	launch --kernel "$KERNEL" --initrd "$INITRD" \
		--append "console=ttyS0 quiet mitigations=off panic=-1 ${APPEND:-} case=$start_case" "$@"
}

# launch OPTION...: starts minivmm. The guest's console is in $WORK/console, what minivmm says itself in $WORK/vmm.err.
launch()
{
	mkfifo "$TMP/stdin"
	rm -f "$WORK/status"
	(
		# The process that will be minivmm writes its own id.
		started=0
		sh -c 'echo $$ >"$WORK/vmm.pid"; echo $$ >>"$WORK/pids"; exec "$@"' - "$MINIVMM" "$@" \
			<"$TMP/stdin" >"$WORK/console" 2>"$WORK/vmm.err" 3<&- || started=$?
		echo $started >"$WORK/status"
	) &
	# Kept open for as long as the case lives, so that minivmm never reads an end of file.
	exec 3>"$TMP/stdin"
	await 'minivmm starts' test -s "$WORK/vmm.pid"
	vmm=$(cat "$WORK/vmm.pid")
}

# console_has TEXT: waits for the guest to say it.
console_has()
{
	await "the guest says '$1'" said_or_ended "$1"
	said "$1" || fail "minivmm ended with status $(cat "$WORK/status")$(guest_said)"
}

said()
{
	grep -qF -- "$1" "$WORK/console"
}

said_or_ended()
{
	said "$1" || [ -s "$WORK/status" ]
}

guest_said()
{
	sed -n 's/^FAIL: \([^\r]*\)\r*$/ (guest: \1)/p' "$WORK/console" | head -n 1
}

# tell TEXT: one line into the guest's console.
tell()
{
	echo "$1" >&3
}

# ends STATUS: waits for minivmm to end, with this status and without a trace.
ends()
{
	await 'minivmm ends' test -s "$WORK/status"
	status=$(cat "$WORK/status")
	[ "$status" = "$1" ] || fail "minivmm ended with status $status, not $1$(guest_said)"
	for process in /proc/[0-9]*; do
		[ "$(readlink "$process/ns/net")" = "$(readlink /proc/self/ns/net)" ] || continue
		[ "$(readlink "$process/exe")" != "$(realpath "$MINIVMM")" ] ||
			fail "process ${process##*/} of minivmm is left"
	done 2>/dev/null
}

# Called behind each case: one that started a guest must have seen it end.
finish()
{
	[ ! -e "$WORK/vmm.pid" ] || [ -s "$WORK/status" ] || fail 'the case did not wait for minivmm to end'
}
