# The guest's TCP against Linux's over a bad line: checksummed transfers both ways, floods, many
# connections. The stack runs as a program with the sanitizers on (guest-stack), so that the line's
# faults need nothing from the kernel.
head -c 2000000 /dev/urandom >"$TMP/random"

receive() { # chargen's first megabyte is what it has to be
	timeout 300 head -c 1000000 </dev/tcp/$address/19 | awk '
		NR > 13513 { next } # the last line is cut
		length($0) != 73 || (NR > 1 && substr($0, 1, 71) != substr(last, 2, 71)) { bad++ }
		{ last = $0 }
		END { exit NR < 13513 || bad }'
}

requests() {
	for i in {1..30}; do
		exec 8<>/dev/tcp/$address/80 || return 1
		printf 'GET /health HTTP/1.0\r\n\r\n' >&8
		timeout 60 grep -q '^OK' <&8 || return 1
	done
}

stack() { # stack OPTIONS: on a fresh tap
	ip link del $tap 2>/dev/null
	tap 0
	guest_run exec "$build/guest-stack" $tap "$@"
}

stack_end() { # stack_end NAME: no complaint of the sanitizers
	kill "$guest_pid" 2>/dev/null
	wait "$guest_pid"
	local status=$?
	if [ $status = 0 ]; then
		passed "$1: no fault in the stack"
	else
		failed "$1" "$(grep -m 1 -e ERROR -e error "$TMP/console")"
	fi
}

line() { # line NAME OPTIONS COUNTERS
	stack $2
	check "$1: both ways" transfer
	check "$1: to the host" receive
	check "$1: many short connections" requests
	stack_end "$1"
	positive "$1" $3
}

line "good line" "" "tcp_closed"
line "loss 1%" "loss=10 delay=2" "tcp_retransmits tcp_fast_recoveries tcp_out_of_order"
line "loss 5%" "loss=50 delay=2 seed=2" "tcp_retransmits tcp_timeouts tcp_out_of_order"
line "reordering 20%" "reorder=200 delay=1" "tcp_out_of_order"
line "duplicates 10%" "duplicate=100 delay=1" "tcp_duplicates"
line "bit errors 1%" "corrupt=10 delay=1" "rx_bad_checksum tcp_retransmits"
line "all of it" "loss=20 duplicate=20 reorder=50 corrupt=5 delay=3 seed=3" \
	"tcp_retransmits tcp_out_of_order tcp_duplicates rx_bad_checksum"

# A flood of SYNs from addresses that never answer: what is established goes on, what is new gets in.
flood() {
	"$crr" client $address --netperf 12865 --test rr --seconds 4 >"$TMP/rr" 2>&1 &
	local rr=$!
	sleep 1
	"$crr" flood $address --port 80 --count 20000 && requests && wait $rr
}
stack
check "SYN flood" flood
check "2000 connections at once" many 2000 "$crr" client $address --port 7 --test rr --connections 2000 --count 6000
stack_end "SYN flood"
positive "SYN flood" tcp_cookies_sent tcp_cookies_good
