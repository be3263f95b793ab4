# variants: 1 2 4
start "want=$VARIANT" --cpus "$VARIANT"
ends 0

# ---- guest ----
# want=N: all CPUs are online, and each of them computes.
online=$(nproc)
[ "$online" -eq "$want" ] || fail "$online CPUs are online, not $want"
cpu=0
while [ $cpu -lt "$want" ]; do
	must taskset -c $cpu seq 1 20000 >/dev/null
	ran=$(awk -v c=cpu$cpu '$1 == c { print ($2 + $3 + $4 > 0) }' /proc/stat)
	[ "$ran" = 1 ] || fail "CPU $cpu never ran"
	cpu=$((cpu + 1))
done
