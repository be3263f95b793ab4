# A short `make soak`, with the stand-in: what hundreds of jobs would leave, a few do too.
guest_soak()
{
	ROUNDS=8 AT_ONCE=16 KILLS=12 HOST_BYTES=0 BUILD=$build MINIVMM=$minivmm "$top/guest-tests/soak" >"$tmp/out" 2>&1 || { why=$(grep FAIL "$tmp/out"); return 1; }
	grep -q '^5 passed' "$tmp/out"
}
