# What `run` and `bench` share: where things are, namespaces, the description of the machine, the report.
top=$(cd "$here/../.." && pwd)
build=$(realpath "${BUILD:-$top/build}")

# own_namespaces PROGRAM ARG...: starts PROGRAM again in a network and mount namespace of its own, unless it is in one.
own_namespaces()
{
	[[ ! ${BENCH_INSIDE:-} ]] || { ip link set lo up; return 0; }
	local user=()
	((EUID == 0)) || user=(--user --map-root-user)
	BENCH_INSIDE=1 exec unshare "${user[@]}" --net --mount "$@"
}

# about_machine FILE: rows that say what was measured, and on what.
about_machine()
{
	local row
	{
		printf 'date\t%s\n' "$(date -u '+%Y-%m-%d %H:%M UTC')"
		printf 'minivmm\t%s\n' "$(git -C "$top" describe --always --dirty 2>/dev/null || echo unknown)"
		printf 'host\t%s, %s, %s CPUs, %s MiB\n' "$(uname -sr)" \
			"$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
			"$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
		printf 'load before\t%s\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
	} | sed 's/^/about\t/' >"$1"
}

# compare_paired OUTDIR: compare with the paired guest kernel; the environment says the rest.
compare_paired()
{
	printf 'about\tguest\tpaired kernel, 1 vCPU, %s MiB\nabout\tload\t%s connections (crr, rr), %s s each\n' \
		"${MEM:=256}" "${CONNECTIONS:=32}" "${SECS:-4}" >>"$1/about.tsv"
	GUEST=paired GUEST_ELF=$build/guest.elf GUEST_BZ=$build/guest.bzImage MINIVMM=${MINIVMM:-$build/minivmm} \
		CRR=$build/crr LAUNCH=$build/launch LKVM=${MINIVMM_LKVM:-$(command -v lkvm || echo /none)} \
		MEM=$MEM CONNECTIONS=$CONNECTIONS CONFIGS=${CONFIGS:-} TESTS=${TESTS:-} ROUNDS=${ROUNDS:-} \
		STARTS=${STARTS:-} SECS=${SECS:-} WARMUP=${WARMUP:-} APPEND=${APPEND:-} "$here/compare" "$1"
}

# report OUTDIR: the table on standard output, and report.html, report.json and report.csv.
report()
{
	local base=()
	[[ ! ${BASE:-} ]] || base=(--base "$BASE")
	"$build/report" "${base[@]}" --html "$1/report.html" --json "$1/report.json" --csv "$1/report.csv" \
		"$1/about.tsv" "$1/results.tsv"
	echo "written: $1/report.html, report.json, report.csv"
}
