#!/bin/bash
# The guest's services, on every VMM and in both modes.
. "$(dirname "$0")/testlib.bash"
in_own_network "$@"
need_kvm
network_up vnet_hdr
crr=$build/crr
head -c 20000000 /dev/urandom >"$work/random"

echo_tcp() {
	"$@" timeout 60 bash -c '
		exec 8<>/dev/tcp/'$address'/7
		cat "$1" >&8 & head -c "$(stat -c %s "$1")" <&8 | cmp - "$1"' - "$work/random"
}

echo_udp() { # echo_udp LENGTH
	local text
	text=$(head -c "$1" /dev/zero | tr '\0' x)
	exec 8<>/dev/udp/$address/7
	printf %s "$text" >&8
	[ "$(timeout 5 dd bs=65536 count=1 status=none <&8)" = "$text" ]
}

chargen() { # 5000 lines, each one the last one turned by a character
	timeout 20 head -c $((74 * 5000)) </dev/tcp/$address/19 | awk '
		length($0) != 73 || (NR > 1 && substr($0, 1, 71) != substr(last, 2, 71)) { bad++ }
		{ last = $0 }
		END { exit NR != 5000 || bad }'
}

discard() {
	timeout 20 bash -c 'cat "$1" >/dev/tcp/'$address'/9' - "$work/random"
}

http() { # http REQUEST PATTERN: the answer's first line, from one connection that it closes
	local answer
	exec 8<>/dev/tcp/$address/80
	printf "$1" >&8
	answer=$(timeout 5 cat <&8) || return 1
	grep -q "$2" <<<"$answer" || { echo "$answer"; return 1; }
}

http_pieces() { # a request that comes byte by byte
	local request=$'GET /health HTTP/1.0\r\n\r\n' i
	exec 8<>/dev/tcp/$address/80
	for ((i = 0; i < ${#request}; i++)); do
		printf %s "${request:i:1}" >&8
	done
	timeout 5 cat <&8 | grep -q '^OK'
}

http_pipeline() { # 100 requests at once, 100 answers
	exec 8<>/dev/tcp/$address/80
	for i in {1..99}; do printf 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'; done >"$work/requests"
	printf 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n' >>"$work/requests"
	cat "$work/requests" >&8
	[ "$(timeout 5 grep -c '^OK' <&8)" = 100 ]
}

load() { # load OPTIONS: ab counts failures, but does not make them its status
	timeout 100 ab -q -n 15000 -c 150 "$@" "http://$address/health" >"$work/ab" 2>&1 &&
		grep -q 'Complete requests: *15000' "$work/ab" && grep -q 'Failed requests: *0' "$work/ab"
}

result() { # result KEY: of the last rates
	sed -n "s/^crr\t$1\t\([0-9]*\).*/\1/p" "$work/rates"
}

rates() { # rates CONNECTIONS: none of them waits for a timer, because nothing is lost
	rm -f "$work/rates"
	"$crr" client $address --port 5001 --connections "$1" --count $(($1 * 5 + 3000)) --timeout 60 --tsv "$work/rates" &&
		"$crr" counters $address >"$work/counters" || return 1
	grep -qx tx_lost=0 "$work/counters" || { echo "lost: $(grep tx_lost "$work/counters")"; return 1; }
	[ "$(result dev.tx_dropped)" = 0 ] || { echo "the tap's queue was full"; return 1; }
	# Who has to wait for 200 ms, Linux's shortest timeout, repeats what was not lost.
	[ "$(result tcp.RetransSegs)" = 0 ] || [ "$(result max_us)" -ge 200000 ] || { echo "$(result tcp.RetransSegs) retransmissions"; return 1; }
}

udp_stream() { # every byte of ten datagrams arrives
	"$crr" client $address --netperf 12865 --test udp_stream --count 655070 >"$work/udp" && grep -qx 'netserver *655070' "$work/udp"
}

refused() { # nothing listens there
	! timeout 5 bash -c "exec 8<>/dev/tcp/$address/81" 2>"$work/refused" && grep -q refused "$work/refused"
}

for which in $vmms; do
	for mode in irq poll; do
		name="$which $mode"
		if ! guest_start "$which" "mode=$mode ip=$address" >"$work/why"; then
			fail "$name" "$(cat "$work/why")"
			continue
		fi
		check "$name: ping" ping -q -c 20 -i 0.01 -w 20 $address
		check "$name: ping, a full frame" ping -q -c 3 -i 0.01 -w 20 -s 1472 $address
		check "$name: echo over TCP, 20 MB" echo_tcp
		check "$name: echo over UDP" echo_udp 1
		check "$name: echo over UDP, a full datagram" echo_udp 1472
		check "$name: chargen" chargen
		check "$name: discard" discard
		check "$name: HTTP/1.0" http 'GET /health HTTP/1.0\r\n\r\n' '^HTTP/1.1 200 '
		check "$name: HTTP, head only" http 'HEAD /health HTTP/1.0\r\n\r\n' '^Content-Length: 3'
		check "$name: HTTP, nothing there" http 'GET / HTTP/1.0\r\n\r\n' '^HTTP/1.1 404 '
		check "$name: HTTP, no such method" http 'PUT /health HTTP/1.1\r\n\r\n' '^HTTP/1.1 405 '
		check "$name: HTTP, nonsense" http '\001\002\r\n\r\n' '^HTTP/1.1 405 '
		check "$name: HTTP, byte by byte" http_pieces
		check "$name: HTTP, 100 requests at once" http_pipeline
		for n in 1 32 150 1000 4000; do
			check "$name: $n connections, nothing is lost" rates $n
		done
		if command -v ab >/dev/null; then
			check "$name: ab" load
			check "$name: ab, keep-alive" load -k
		else
			skip "$name: ab" "not installed (Debian: apache2-utils)"
		fi
		check "$name: a port without service refuses" refused
		for t in crr rr cc udp_rr stream maerts; do
			check "$name: netperf protocol, $t" "$crr" client $address --netperf 12865 --test $t --seconds 1
			check "$name: netperf protocol, $t, counted" \
				"$crr" client $address --netperf 12865 --test $t --count 1000
		done
		if command -v netperf >/dev/null; then # which Debian has in non-free only
			for t in TCP_CRR TCP_RR TCP_CC UDP_RR UDP_STREAM TCP_STREAM TCP_MAERTS; do
				check "$name: netperf, $t" timeout 60 netperf -H $address -t $t -l 1
			done
		fi
		# The default of netperf's UDP_STREAM: datagrams of 45 fragments. Few of them, all of which must arrive.
		check "$name: netperf protocol, udp_stream" "$crr" client $address --netperf 12865 --test udp_stream --seconds 1
		check "$name: netperf protocol, udp_stream, counted" udp_stream
		check "$name: netperf protocol, large requests" \
			"$crr" client $address --netperf 12865 --test rr --seconds 1 --request 10000 --response 60000
		check "$name: 3000 connections at once" \
			"$crr" client $address --port 7 --test rr --connections 3000 --count 9000
		guest_stop 42
		status=$?
		if [ $status = 42 ]; then ok "$name: quit"; else fail "$name: quit" "status $status"; fi
		for c in rx_packets tx_packets kicks icmp_echoes udp_received tcp_accepted tcp_closed tcp_no_port; do
			value=$(counter $c)
			if [ "${value:-0}" -gt 0 ]; then ok "$name: $c=$value"; else fail "$name: $c" "${value:-not printed}"; fi
		done
		value=$(counter rx_bad_checksum)
		if [ "$value" = 0 ]; then ok "$name: no bad checksums"; else fail "$name: bad checksums" "$value"; fi
	done
done
finish
