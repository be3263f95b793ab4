# variants: route client netserver nonsense gw ip
# What the small guest makes of its command line: its status is crr's, and what is wrong there is refused.
small

# says STATUS TEXT WORDS OPTION...: it ends by itself, with this status, and its console has this text.
says()
{
	boot bzImage initramfs "$3" "${@:4}"
	ends "$1"
	said "$2" || fail "its console has no '$2'"
}

# refused WORD TEXT: of its address or route.
refused()
{
	tap 1
	says 123 "$2" "$1" --net "$(nic 1)"
}

case $VARIANT in
route)
	tap 1
	ip addr add 10.0.1.10/30 dev tap1
	ip addr add 10.0.9.1/32 dev lo
	boot bzImage initramfs 'ip=10.0.1.9/30 gw=10.0.1.10' --net "$(nic 1)"
	console_has 'crr: serving'
	crr client 10.0.1.9 --test rr --source 10.0.9.1 --count 100 --timeout 60
	kill "$vmm"
	ends "$STATUS_SIGTERM"
	;;
client)
	tap 1
	background crr server
	says 0 transactions '-- client 10.0.1.1 --test crr --count 100 --timeout 60' --net "$(nic 1)"
	;;
netserver) # a program with libraries in its place, printenv
	tap 1
	boot bzImage initramfs-netserver marker=here --net "$(nic 1)"
	console_has 'marker=here'
	console_has 'crr: serving'
	kill "$vmm"
	ends "$STATUS_SIGTERM"
	;;
nonsense) # with no card, and two CPUs
	says 2 "crr: say 'crr client HOST'" 'loglevel=7 -- nonsense' --cpus 2
	said 'init: no network card' || fail 'its console has no word of the card'
	said 'Brought up 1 node, 2 CPUs' || fail 'it has not two CPUs'
	;;
gw) refused gw=10.3.3.3 "cannot set the route to '10.3.3.3'" ;;
ip) refused ip=10.0.1 "cannot understand address '10.0.1'" ;; # more of them: boot/test/test_agent_net.c
esac
