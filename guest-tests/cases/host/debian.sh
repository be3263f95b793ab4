# `debian` made anew, with a script that stands in for mmdebstrap: its path is all that stands on standard output.
mkdir "$TMP/bin"
cat >"$TMP/bin/mmdebstrap" <<'FAKE'
#!/bin/bash
echo from mmdebstrap
mkdir -p "${!#}"/var/{cache/apt,lib/apt/lists}
FAKE
chmod +x "$TMP/bin/mmdebstrap"
made()
{
	MINIVMM_CACHE=$TMP/cache PATH=$TMP/bin:$PATH "$top/guest-tests/host/debian" 2>"$TMP/err"
}
first=$(made)
is "its disk is where it says" "$(dumpe2fs -h "$first" 2>&1 | grep -c '^Filesystem OS type: *Linux')" 1
check "it says that it is made" grep -q "making $first" "$TMP/err"
is "the second time it is there" "$(made)$(cat "$TMP/err")" "$first"
