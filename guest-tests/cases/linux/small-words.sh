# variants: route client netserver nonsense no-card cpus gw ip1 ip2 ip3 ip4 ip5 ip6 ip7
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
nonsense) says 2 "crr: say 'crr client HOST'" '-- nonsense' ;;
no-card) says 0 'init: no network card' '-- --help' ;;
cpus) says 0 'Brought up 1 node, 2 CPUs' 'loglevel=7 -- --help' --cpus 2 ;;
gw) refused gw=10.3.3.3 'cannot add the route by gw=10.3.3.3' ;;
ip1) refused ip=10.0.1 'init: bad ip=10.0.1' ;;
ip2) refused ip=10.0.1.2/33 'init: bad ip=10.0.1.2/33' ;;
ip3) refused ip=10.0.1.2/ 'init: bad ip=10.0.1.2/' ;;
ip4) refused ip=10.0.1.2/2x 'init: bad ip=10.0.1.2/2x' ;;
ip5) refused ip=10.0.1.2.3.4.5.6.7.8.9/24 'init: bad ip=10.0.1.2.3.4.5.6.7.8.9/24' ;;
ip6) refused gw=10.0.1.1/24 'init: bad gw=10.0.1.1/24' ;;
ip7) refused gw=here 'init: bad gw=here' ;;
esac
