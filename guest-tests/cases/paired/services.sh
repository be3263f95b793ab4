# variants: VMMS minivmm-rtl8139
# The guest's services, in both modes.
tap 0 vnet_hdr
head -c 20000000 /dev/urandom >"$TMP/random"

echo_udp() { # echo_udp LENGTH
	local text
	text=$(head -c "$1" /dev/zero | tr '\0' x)
	exec 8<>/dev/udp/$address/7
	printf %s "$text" >&8
	[ "$(timeout 60 dd bs=65536 count=1 status=none <&8)" = "$text" ]
}

chargen() { # 5000 lines, each one the last one turned by a character
	timeout 120 head -c $((74 * 5000)) </dev/tcp/$address/19 | awk '
		length($0) != 73 || (NR > 1 && substr($0, 1, 71) != substr(last, 2, 71)) { bad++ }
		{ last = $0 }
		END { exit NR != 5000 || bad }'
}

discard() {
	timeout 120 bash -c 'cat "$1" >/dev/tcp/'$address'/9' - "$TMP/random"
}

http() { # http REQUEST PATTERN: the answer's first line, from one connection that it closes
	local answer
	exec 8<>/dev/tcp/$address/80
	printf "$1" >&8
	answer=$(timeout 60 cat <&8) || return 1
	grep -q "$2" <<<"$answer" || { echo "$answer"; return 1; }
}

http_pieces() { # a request that comes byte by byte
	local request=$'GET /health HTTP/1.0\r\n\r\n' i
	exec 8<>/dev/tcp/$address/80
	for ((i = 0; i < ${#request}; i++)); do
		printf %s "${request:i:1}" >&8
	done
	timeout 60 cat <&8 | grep -q '^OK'
}

http_pipeline() { # 100 requests at once, 100 answers
	exec 8<>/dev/tcp/$address/80
	for i in {1..99}; do printf 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'; done >"$TMP/requests"
	printf 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n' >>"$TMP/requests"
	cat "$TMP/requests" >&8
	[ "$(timeout 60 grep -c '^OK' <&8)" = 100 ]
}

refused() { # nothing listens there
	! timeout 60 bash -c "exec 8<>/dev/tcp/$address/81" 2>"$TMP/refused" && grep -q refused "$TMP/refused"
}

for mode in irq poll; do
	name="$VARIANT $mode"
	guest_start "mode=$mode"
	check "$name: ping" ping -q -c 20 -i 0.01 -w 20 $address
	check "$name: ping, a full frame" ping -q -c 3 -i 0.01 -w 20 -s 1472 $address
	check "$name: echo over TCP, 20 MB" transfer
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
	check "$name: a port without service refuses" refused
	guest_stop "$name"
	positive "$name" rx_packets tx_packets kicks icmp_echoes udp_received tcp_accepted tcp_closed tcp_no_port
	is "$name: no bad checksums" "$(counter rx_bad_checksum)" 0
done
