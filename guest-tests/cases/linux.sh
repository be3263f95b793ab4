# What the host's half of a Linux case has (in bash, with set -e: a command that fails ends the case), beside lib.sh:
#
#   WORK, TMP        directories; what is in the first one stays
#   MINIVMM
#   KERNEL, INITRD   a stock kernel, as a bzImage, and its guest image
#   VMLINUX          what that kernel unpacks itself to. Most cases boot this: an emulated CPU unpacks for longer than it boots
#   GENERIC          the directory with bzImage, vmlinux and initrd of the generic kernel, which has modules for cards of hardware
#   SMALL            the directory with the kernel of `make guest-linux`, if that was made
#   QUICK            that kernel, else VMLINUX: for what is the same with any. It is sooner up (linux/job-kernels tells by how much)
#   DEBIAN, SOURCE   for cases debian*: a disk with a root that has a compiler, and what of this project can be compiled in it
#   TOOLS            crr and what else `make` built for guests; also in PATH
#
# What stands below a line `# ---- guest ----` runs in the guest, in busybox sh with guests/linux/lib.sh.
#
# The host is 10.0.1.1 on tap1, the guest 10.0.1.2 and 52:54:00:00:00:01 there; a second card has 2 in place of the 1.
set -e
export PATH=$TOOLS:$PATH
QUICK=$VMLINUX
[[ ! -e ${SMALL:-}/vmlinux ]] || QUICK=$SMALL/vmlinux

background() { "$@" & }

# nic N [KEYS]: the value of --net for card N.
nic()
{
	echo "tap=tap$1,mac=52:54:00:00:00:0$1${2:+,$2}"
}

# start 'NAME=VALUE...' OPTION...: starts minivmm on a Linux that runs the guest's half. $APPEND goes onto the guest's
# command line; $BOOT is the kernel.
start()
{
	local parameters=$1
	shift
	launch --kernel "${BOOT:-$VMLINUX}" --initrd "$INITRD" --append \
		"console=ttyS0 quiet mitigations=off cryptomgr.notests panic=-1 ${APPEND:-} case=${CASE#*/}${parameters:+ $parameters}" "$@"
}

# launch OPTION...: starts minivmm. The guest's console is in $WORK/console, what minivmm says itself in $WORK/vmm.err.
launch()
{
	mkfifo "$TMP/stdin"
	exec 3<>"$TMP/stdin" # so that minivmm never reads an end of file
	"$minivmm" "$@" <"$TMP/stdin" >"$WORK/console" 2>"$WORK/vmm.err" 3<&- &
	vmm=$!
}

running()
{
	kill -0 "$vmm" 2>/dev/null
}

# console_has TEXT: waits for the guest to say it.
console_has()
{
	await "the guest says '$1'" said_or_ended "$1"
	said "$1" && return
	wait "$vmm" || fail "minivmm ended with status $?$(guest_said)"
	fail "minivmm ended with status 0$(guest_said)"
}

said() # by no process: it is asked ten times a second
{
	local text=()
	mapfile -d '' text <"$WORK/console"
	[[ ${text[*]} == *"$1"* ]]
}

said_or_ended()
{
	said "$1" || ! running
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

# ends STATUS: waits for minivmm to end, with this status. That nothing is left of it is seen to behind every case.
ends()
{
	local status=0
	echo 'waiting: minivmm ends' >"$WORK/reason"
	wait "$vmm" || status=$?
	rm "$WORK/reason"
	[[ $status == "$1" ]] || fail "minivmm ended with status $status, not $1$(guest_said)"
}

# small: for cases of the small guest, which takes minutes to build.
small()
{
	[[ -e ${SMALL:-}/vmlinux ]] || skip 'it is not built (make guest-linux)'
}

# boot KERNEL INITRD WORDS OPTION...: starts it. noacpi stands for the words that other VMMs put on the command line and
# that nobody knows.
boot()
{
	launch --kernel "$SMALL/$1" --initrd "$SMALL/$2" --mem 256M \
		--append "console=ttyS0 panic=-1 quiet noacpi $3" "${@:4}"
}
