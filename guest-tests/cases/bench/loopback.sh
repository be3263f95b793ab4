# crr against itself in network namespaces of its own: every statement here can fail.
crr=$build/crr

dir=$TMP
server=

start_server() { # start_server OPTION...
	"$crr" server --json "$dir/server" "$@" >"$dir/ready" 2>"$dir/err" &
	server=$!
	until grep -q serving "$dir/ready"; do
		kill -0 "$server" || fail "the server does not start: $(cat "$dir/err")"
		sleep 0.05
	done
}

stop_server() {
	kill -TERM "$server"
	wait "$server"
}

client() { # client OPTION...: result in $dir/client
	"$crr" client 127.0.0.1 --seconds 0.5 --warmup 0.1 --json "$dir/client" "$@" >/dev/null
}

value() { # value FILE KEY
	sed -n "s/.*\"$2\": \"\\?\\([^,}\"]*\\).*/\\1/p" "$dir/$1"
}

for test in crr rr udp_rr; do
	start_server
	client --test $test --connections 20 --threads 2
	check "$test: exit status" [ $? = 0 ]
	stop_server
	check "$test: answers counted on both sides" \
		[ "$(value client transactions_all)" = "$(value server requests)" ]
	check "$test: one byte out for each in" [ "$(value server bytes_in)" = "$(value server bytes_out)" ]
	check "$test: no failures" [ "$(value client failures)" = 0 ]
	check "$test: something happened" [ "$(value client transactions)" -gt 0 ]
done

start_server
client --test crr --connections 20
stop_server
check "crr: a connection for each transaction" \
	[ "$(value client transactions_all)" = "$(value server accepted)" ]

start_server
client --test rr --connections 20
stop_server
check "rr: connections are kept" [ "$(value server accepted)" = 20 ]

start_server --request 3000 --response 200K
client --test crr --connections 4 --request 3000 --response 200K
check "large request and response: exit status" [ $? = 0 ]
stop_server
check "large response: every byte" \
	[ "$(value server bytes_out)" = $(($(value client transactions_all) * 204800)) ]

start_server
client --test stream --connections 3
stop_server
check "stream: bytes sent are the bytes received" \
	[ "$(value client bytes_all)" = "$(value server bytes_in)" ]
check "stream: something happened" [ "$(value client bytes)" -gt 0 ]

start_server
client --test maerts --connections 3
check "maerts: exit status" [ $? = 0 ]
stop_server
check "maerts: not more received than sent" \
	[ "$(value client bytes_all)" -le "$(value server bytes_out)" ]

start_server
for test in crr rr udp_rr; do
	client --test $test --count 1000 --connections 7 --threads 3
	check "$test, counted: exit status" [ $? = 0 ]
	check "$test, counted: so many" [ "$(value client transactions_all)" = 1000 ]
done
client --test stream --count 8M --connections 3
check "stream, counted and checked" [ $?/$(value client bytes_all) = 0/25165824 ]
client --test maerts --count 8M --connections 3
check "maerts, counted and checked" [ $?/$(value client bytes_all) = 0/25165824 ]
client --test stream --count 1M --port 5009
check "a stream that nobody has checked is a failure" [ $?/$(value client failures.EBADMSG) = 1/1 ]
client --test maerts --count 1M --port 5002 --timeout 0.2
check "a stream that does not come is a failure" [ $?/$(value client failures.ETIMEDOUT) = 1/1 ]
stop_server

# The same bytes, but one: an echo that answers 3000 bytes with 3000 others.
start_server --request 3000 --response 3000
client --test rr --request 3000 --response 3000 --count 100
check "answers are checked" [ $? = 0 ]
client --test rr --request 2999 --response 3000 --count 100 --timeout 0.2
check "a request that is short of a byte gets no answer" [ $? = 1 ]
client --test rr --request 6000 --response 5999 --count 1
check "an answer with a byte too many is a failure" [ $? = 1 ]
client --test rr --request 6000 --response 6000 --count 1
check "an answer with wrong bytes is a failure" [ $?/$(value client failures.EBADMSG) = 1/1 ]
stop_server

start_server
for _ in $(seq 50); do # the last of them is missed by a client that the host holds up then
	client --rate 200 --connections 5
	[ "$(value client transactions_all)" -lt 120 ] || break # more than that is a fault at once
done
check "fixed rate: what was asked for" [ "$(value client transactions_all)" = 120 ]
client --close client --port 5002 --connections 3
check "close=client: no failures" [ "$(value client failures)" = 0 ]
client --close reset --port 5002 --connections 3
check "close=reset: no failures" [ "$(value client failures)" = 0 ]
client --source 127.0.0.5,127.0.0.6 --source-ports 2000-2009 --connections 2 --count 100
check "ten source ports serve many connections" [ "$(value client transactions_all)" = 100 ]
check "ten source ports: no failures" [ "$(value client failures)" = 0 ]
client --test crr --port 5002 --connections 2 --timeout 0.2
check "a server that never closes is reported" [ "$(value client failures.NOCLOSE)" -gt 0 ]
client --test rr --port 5009 --connections 2 --timeout 0.2
check "a server that never answers: exit status" [ $? = 1 ]
check "a server that never answers: ETIMEDOUT" [ "$(value client failures.ETIMEDOUT)" -gt 0 ]
client --test rr --port 5001 --connections 2
check "a server that closes early: EOF or reset" \
	[ "$(value client failures)" -gt 0 ]
client --test rr --response 2 --timeout 0.2
check "a short response is no response" [ "$(value client transactions)" = 0 ]
client --source 192.0.2.1
check "a source address that is not ours" [ "$(value client failures.EADDRNOTAVAIL)" -gt 0 ]
"$crr" server --bind 127.0.0.1 2>"$dir/err"
check "a second server is refused" [ $? = 2 ]
check "it says which port and why" grep -q 'port 5001 on 127.0.0.1: Address already in use' "$dir/err"

kill -STOP "$server"
client --rate 100 --timeout 10 --connections 2 &
# 1389 is port 5001, 01 an established connection: the kernel takes it for the server that sleeps.
until grep -q ':1389 [0-9A-F:]* 01 ' /proc/net/tcp; do
	sleep 0.01
done
sleep 0.4
kill -CONT "$server"
wait $!
check "a server asleep for part of the run is seen in an open loop's median" \
	[ "$(value client p50_us | cut -d. -f1)" -gt 10000 ]

"$crr" client 127.0.0.1 --warmup 0 --seconds 600 --json "$dir/client" >/dev/null &
pid=$!
sleep 1.5
kill -INT $pid
wait $pid
check "SIGINT: exit status" [ $? = 0 ]
check "SIGINT: still prints what was measured" [ "$(value client transactions)" -gt 0 ]
check "SIGINT: the time that it ran" [ "$(value client seconds | cut -d. -f1)" -lt 60 ]

# Loss: at random where the kernel has netem, else a queue of a few packets that overflows.
if ! tc qdisc add dev lo root netem loss 20% 2>"$dir/err"; then
	tc qdisc add dev lo root tbf rate 2mbit burst 66000 limit 3000
fi
client --test crr --connections 50 --seconds 2
check "retransmissions under loss are counted" [ "$(value client tcp.RetransSegs)" -gt 0 ]
tc qdisc del dev lo root
stop_server

client
check "no server: exit status" [ $? = 1 ]
check "no server: ECONNREFUSED" [ "$(value client failures.ECONNREFUSED)" -gt 0 ]
check "no server: no rate" [ "$(value client rate)" = 0.0 ]
check "no server: no latency" [ "$(value client p50_us)" = null ]
client --test udp_stream
check "no server for datagrams: ECONNREFUSED" [ "$(value client failures.ECONNREFUSED)" -gt 0 ]
"$crr" client 127.0.0.1 --netperf 12865 2>"$dir/err"
check "no netserver: status" [ $? = 2 ]
check "no netserver: says so" grep -q 'netserver: no control connection: Connection refused' "$dir/err"
client --test udp_rr
check "no UDP server: ECONNREFUSED" [ "$(value client failures.ECONNREFUSED)" -gt 0 ]
"$crr" client 127.0.0.1 --seconds 0.1 --warmup 0 --json "$dir/no/such" >/dev/null 2>"$dir/err"
check "a result that cannot be written: exit status" [ $? = 2 ]
check "it says so" grep -q "cannot write '$dir/no/such'" "$dir/err"
"$crr" client 127.0.0.1 --seconds 0.1 --warmup 0 --json /dev/full >/dev/null 2>"$dir/err"
check "a full disk is told of as that" grep -q "cannot write '/dev/full': No space left" "$dir/err"

mount -t tmpfs none /proc 2>/dev/null
client
check "without /proc: counters are null" [ "$(value client tcp.RetransSegs)" = null ]
"$crr" --help >/dev/full 2>"$dir/err"
check "a full standard output" [ $?/"$(cat "$dir/err")" = 2/'crr: cannot write to standard output: No space left on device' ]
