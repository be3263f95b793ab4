# variants: VMMS
# All memory of the map is there, once, and it is as much as was asked for.
IMAGE=guest.bzImage guest 0 1 64 "case=memory" "memory: total="
for mem in 16 128 3072 3073 5000; do
	guest 0 1 $mem "case=memory" "memory: total="
	# The first megabyte has holes of its own, and firmware keeps a little.
	total=$(sed -n 's/^memory: total=\([0-9]*\).*/\1/p' "$TMP/console")
	check "$VARIANT: $mem MiB of memory are in the map, which has ${total:=0}" \
		test "$((total >> 20))" -ge $((mem - 2)) -a "$total" -le $((mem << 20))
done
case $VARIANT in
minivmm-*) guest 0 1 64 "case=holes" ;; # a peer may read what is not there as 0
esac
