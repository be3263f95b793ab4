# Sourced by the tests here: statements that are counted, and the closing line.
passed=0 failed=0 skipped=0

check() { # check WHAT CONDITION...
	local what=$1
	shift
	if "$@" >/dev/null; then
		echo "ok $what"
		passed=$((passed + 1))
	else
		echo "FAIL $what ($*)"
		failed=$((failed + 1))
	fi
}

skip() { # skip WHAT REASON
	echo "skip $1: $2"
	skipped=$((skipped + 1))
}

finish() {
	echo "$passed passed, $failed failed, $skipped skipped"
	exit $((failed > 0))
}
