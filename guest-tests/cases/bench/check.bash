# Sourced by the tests here: statements that are counted, and the closing line.
passed=0 failed=0

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

finish() {
	echo "$passed passed, $failed failed"
	exit $((failed > 0))
}
