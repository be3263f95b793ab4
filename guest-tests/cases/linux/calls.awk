# Compares the list of system calls in vmm/seccomp.c with what threads called behind their filters:
#
#   awk -v kinds='main vcpu' -f calls.awk vmm/seccomp.c TRACE...		TRACE: of strace -f -o
#
# Says each call of these kinds of thread that is on the list and was not seen, unless its reason is "rare:", and each
# that was seen and is not on the list. Status 1 if there is any.
FNR == 1 {
	file++
	main = $1
}

file == 1 && /^\t\{ SYS_/ {
	split($0, part, ", ")
	call = part[1]
	sub(/.*SYS_/, "", call)
	gsub(/ /, "", part[2])
	sub(/ALL/, "MAIN|VCPU|NET|DISK|RNG|FS|JOB", part[2])
	n = split(tolower(part[2]), kind, "|")
	for (i = 1; i <= n; i++)
		listed[kind[i] " " call what($0, call)] = /"rare: / ? "rare" : "usual"
}

file > 1 && /prctl\(PR_SET_NAME, "/ {
	split($0, part, "\"")
	kind_of[file, $1] = part[2]
	sub(/^job.*|[0-9.]+$/, part[2] ~ /^job/ ? "job" : "", kind_of[file, $1])
}

file > 1 && $2 ~ /^[a-z0-9_]+\(/ && behind[file, $1] {
	call = $2
	sub(/\(.*/, "", call)
	sub(/^syscall_0x1c4$/, "fchmodat2", call) # to an older strace
	seen[kind_of[file, $1] " " call what($0, call)]++
}

file > 1 && /seccomp\(SECCOMP_SET_MODE_FILTER/ {
	behind[file, $1] = 1
	if ($1 == main)
		kind_of[file, $1] = "main"
}

# The condition by which several rows of one call differ.
function what(text, call)
{
	if (call == "tgkill")
		return text ~ /SIGABRT/ ? " SIGABRT" : " KICK_SIGNAL"
	if (call != "ioctl" && call != "futex")
		return ""
	sub(/_PRIVATE/, "", text)
	if (!match(text, /KVM_[A-Z_]+|VHOST_[A-Z_]+|TUN[A-Z]+|TC[SG]ETS|TIOC[A-Z]+|FIONREAD|SIOC[A-Z]+|FUTEX_WA[A-Z]+(_BITSET)?/))
		return " ?"
	return " " substr(text, RSTART, RLENGTH)
}

function asked(key)
{
	split(key, part, " ")
	return (" " kinds " ") ~ (" " part[1] " ")
}

END {
	for (key in listed)
		if (asked(key) && listed[key] == "usual" && !seen[key] && ++bad)
			print "on the list, not seen: " key
	for (key in seen)
		if (asked(key) && seen[key] && !(key in listed) && ++bad)
			print "seen, not on the list: " key
	exit bad > 0
}
