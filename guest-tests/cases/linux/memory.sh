# variants: 128M 1G 5G
# Of 5 GiB, 2 lie above 4 GiB: the hole from 3 to 4 GiB moves them there. Only a part of them is touched.
case $VARIANT in
128M) parameters='want=128 fill=32 high=0' ;;
1G) parameters='want=1024 fill=256 high=0' ;;
5G) parameters='want=5120 fill=768 high=512' ;;
esac
available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
[ "$available" -ge 1500 ] || skip "this host has $available MiB of memory left, and 1500 may be needed"
start "memory $parameters" --mem "$VARIANT"
ends 0
