# variants: 128M 1G 5G
# Memory, and CPUs: 1, 2, 4. Of 5 GiB, 2 lie above 4 GiB: the hole from 3 to 4 GiB moves them there. Only a part of them is
# touched. A bzImage is told of it in another way than a vmlinux.
case $VARIANT in
128M) cpus=1 parameters='want=128 fill=32 high=0' ;;
1G) cpus=2 parameters='want=1024 fill=64 high=0' ;;
5G) cpus=4 parameters='want=5120 fill=256 high=128' BOOT=$KERNEL ;;
esac
available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
[ "$available" -ge 1500 ] || skip "this host has $available MiB of memory left, and 1500 may be needed"
start "$parameters cpus=$cpus" --mem "$VARIANT" --cpus "$cpus"
ends 0

# ---- guest ----
# want=MIB fill=MIB high=MIB: the size is right, a part of it holds what is written, and so much lies above 4 GiB.
ram=0
while read -r range colon what; do
	[ "$what" = "System RAM" ] || continue
	ram=$((ram + 0x${range#*-} - 0x${range%-*} + 1))
done </proc/iomem
# What lies between 640 KiB and 1 MiB is not memory.
missing=$((want * 1024 - ram / 1024))
[ $missing -ge 0 ] && [ $missing -le 1024 ] || fail "$((ram / 1024)) KiB of memory, not $((want * 1024))"
must memfill "$fill" >/tmp/said
cat /tmp/said
above=$(sed -n 's/.* \([0-9]*\) MiB of them above.*/\1/p' /tmp/said)
[ "$above" -ge "$high" ] || fail "$above MiB above 4 GiB were used, not $high"

# cpus=N: all CPUs are online, and each of them computes.
online=$(nproc)
[ "$online" -eq "$cpus" ] || fail "$online CPUs are online, not $cpus"
cpu=0
while [ $cpu -lt "$cpus" ]; do
	must taskset -c $cpu seq 1 20000 >/dev/null
	ran=$(awk -v c=cpu$cpu '$1 == c { print ($2 + $3 + $4 > 0) }' /proc/stat)
	[ "$ran" = 1 ] || fail "CPU $cpu never ran"
	cpu=$((cpu + 1))
done
