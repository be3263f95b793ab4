# The harness of guest-tests (bash, sourced): assertions, what this machine can do, and how a case is run in it.
#
# A result is one line on standard output: `ok WHAT`, `FAIL WHAT: WHY` or `skip WHAT: WHY`. Whoever wants numbers counts
# such lines (tally); nothing else does.

# Whatever the parent's are. Signals that it has ignored no shell could trap, but a new one.
ignored=$(sed -n 's/^SigIgn:[[:space:]]*//p' /proc/$$/status 2>/dev/null)
if ((16#${ignored:-0} & 16#17a01)) && [[ -x $0 && ! ${SIGNALS_RESET:-} ]]; then # HUP, USR1, USR2, PIPE, ALRM, TERM, CHLD
	SIGNALS_RESET=1 exec env --default-signal "$0" "$@"
fi
export LC_ALL=C PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin
umask 022

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BUILD:-$top/build}
[[ $build == /* ]] || build=$PWD/$build
export HOME=${HOME:-$build}
minivmm=${MINIVMM:-$build/minivmm}
STATUS_SIGTERM=143

# ---- assertions ----

passed() { echo "ok $1"; }
failed() { echo "FAIL $1: ${2:-}"; }
skipped() { echo "skip $1: $2"; }

# fail WHY, skip WHY: end the command of a check, or else the whole case.
fail()
{
	echo "$*"
	((BASH_SUBSHELL)) || echo "$*" >"$WORK/reason"
	exit 1
}

skip()
{
	echo "$*"
	((BASH_SUBSHELL)) || echo "$*" >"$WORK/reason"
	exit 77
}

# check WHAT COMMAND...: an assertion. The command runs in a shell of its own; what it printed, or left in $why, is the
# reason if it fails; why=skip makes it a skip.
check()
{
	local what=$1 status=0
	shift
	(
		why=
		"$@" && exit
		status=$?
		[[ $why != skip ]] || skip 'a program or a right that it needs is missing'
		[[ ! $why ]] || echo "$why"
		exit $status
	) >"$TMP/check" 2>&1 || status=$?
	case $status in
	0) passed "$what" ;;
	77) skipped "$what" "$(tail -n 1 "$TMP/check")" ;;
	*) failed "$what" "'$*' gives $status: $(tail -n 3 "$TMP/check" | tr '\n' ' ')" ;;
	esac
}

is() # is WHAT GOT WANTED
{
	if [[ $2 == "$3" ]]; then passed "$1"; else failed "$1" "'$2' instead of '$3'"; fi
}

# tally: of the result lines on standard input, and cmocka's: how many passed, failed, were skipped.
tally()
{
	awk '
		/^ok / { p++ }
		/^FAIL / { f++ }
		/^skip / { s++ }
		/^\[  PASSED  \] [0-9]+ test/ { p += $4 }
		/^\[  FAILED  \] [0-9]+ test/ { f += $4 }
		/^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
		END { print p + 0, f + 0, s + 0 }'
}

closing() # closing PASSED FAILED SKIPPED
{
	echo "$1 passed, $2 failed$( (($3)) && echo ", $3 skipped")"
}

# ---- this machine ----

die() # die WHY: 125, what could not be done
{
	echo "${0#"$top/"}: $*" >&2
	exit 125
}

# need PACKAGE...: Debian packages, installed by root and named to others.
need()
{
	local p missing=()
	for p in "$@"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>&1) == installed ]] || missing+=("$p")
	done
	((${#missing[@]})) || return 0
	((EUID == 0)) || die "missing Debian packages: apt-get install ${missing[*]}"
	echo "${0#"$top/"}: installing ${missing[*]}" >&2
	{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
		>"${TMPDIR:-/tmp}/minivmm-apt.log" 2>&1 || die "apt-get install failed: $(tail -n 3 "${TMPDIR:-/tmp}/minivmm-apt.log")"
}

# The guest's half of a Linux case stands below this line.
guest_half='^# ---- guest ----$'

kvm_usable() { [[ -r /dev/kvm && -w /dev/kvm ]]; }

# Some hosts' KVM emulates the guest's ring 0: good for small guests only.
boots_stock_kernels() { kvm_usable && ((EUID == 0)) && grep -qwE 'vmx|svm' /proc/cpuinfo; }

# in_namespaces: the words that start a command in namespaces of its own, in which it can do as it likes; all of its
# processes end with it. By its path: busybox's timeout would run busybox's own. A root without rights is as anybody.
in_namespaces=("$(type -P unshare)" --net --mount --pid --fork --kill-child --mount-proc)
((EUID == 0)) && unshare --net true 2>/dev/null || in_namespaces+=(--map-root-user)

# pack DIR: a cpio archive of it, the same bytes for the same files.
pack()
{
	find "$1" -exec touch -h -d @0 {} +
	(cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet)
}

# put_libraries ROOT PROGRAM: what it loads, to the same places below ROOT.
put_libraries()
{
	{ ldd "$2" 2>&1 || true; } | grep -o '/[^ ]*\.so[^ ]*' | sort -u | while read -r lib; do
		[[ -e $1$lib ]] || install -D -m 755 "$lib" "$1$lib"
	done
}

# linux_initrd BASE OUTPUT [FILE...]: the image of Linux guests. BASE is l2.cpio of host/image (busybox and the modules of
# the kernel beside it); the init, each case's half, what `make` built for guests and each FILE, as /put/NAME, come
# as a second archive, which the kernel unpacks over the first.
linux_initrd()
{
	local base=$1 output=$2 root case
	shift 2
	root=$(mktemp -d)
	mkdir "$root"/{guest,tools,put}
	install -m 755 "$top/guest-tests/guests/linux/init" "$root/init"
	cp "$top/guest-tests/guests/linux/lib.sh" "$root/guest/lib.sh"
	for case in "$top"/guest-tests/cases/linux/*.sh; do
		sed "1,/$guest_half/d" "$case" >"$root/guest/$(basename "$case" .sh)"
	done
	find "$build/linux" -maxdepth 1 -type f -perm -u+x -exec cp -t "$root/tools" {} +
	(($# == 0)) || cp -t "$root/put" "$@"
	{ cat "$base"; pack "$root"; } >"$output"
	rm -rf "$root"
}

# ---- cases ----

# run_case: the case $CASE (KIND/NAME, file cases/$CASE.sh) from its start to its end, in its namespaces. Each function
# whose name begins with $assertions is one; a case without assertions passes by coming to its end. From `run`: CASE, VARIANT,
# WORK (a directory: what is in it stays), TMP (one that does not).
run_case()
{
	local kind=$top/guest-tests/cases/${CASE%/*}.sh f assertions=
	trap 'end_case $?' EXIT
	set -u
	ip link set lo up 2>/dev/null
	[[ ! -e $kind ]] || . "$kind"
	eval "$(sed "/$guest_half/,\$d" "$top/guest-tests/cases/$CASE.sh")"
	[[ ! $assertions ]] || for f in $(compgen -A function | grep -E "^($assertions)"); do check "$f" "$f"; done
}

# end_case: nothing is left of it. What it started itself in the background ends here; all others are a fault.
end_case()
{
	local status=$1 p i others words
	trap - EXIT
	set +e
	jobs -p >"$TMP/jobs"
	[[ ! -s $TMP/jobs ]] || kill $(cat "$TMP/jobs") 2>/dev/null
	if (($$ == 1)); then
		for ((i = 0; i < 50; i++)); do
			others=''
			for p in /proc/[0-9]*; do
				[[ $p == /proc/1 ]] || ! { mapfile -d '' -t words <"$p/cmdline"; } 2>/dev/null || others+="${words[*]} "
			done
			[[ ${others// /} ]] || break
			pause
		done
		[[ ! ${others// /} ]] || failed "$CASE${VARIANT:+-$VARIANT}" "left behind: $others"
	fi
	exit "$status"
}

# await WHAT COMMAND...: until the command succeeds. The limit is the whole case's; its report then says WHAT.
await()
{
	echo "waiting: $1" >"$WORK/reason"
	shift
	until "$@" >"$TMP/await" 2>&1; do
		pause
	done
	rm "$WORK/reason"
}

# A tenth of a second without a process: who looks again and again costs an emulated CPU more than what is looked at.
pause()
{
	[[ -p $TMP/.pause ]] || mkfifo "$TMP/.pause"
	read -rt 0.1 <>"$TMP/.pause" || :
}

# tap N [WORD...]: makes tapN with the host's address on it, 10.0.N.1; the guest has 10.0.N.2. Its queue holds frames of
# thousands of connections.
tap()
{
	local n=$1
	shift
	ip tuntap add "tap$n" mode tap "$@" && ip addr add "10.0.$n.1/24" dev "tap$n" && ip link set "tap$n" txqueuelen 20000 up
}
