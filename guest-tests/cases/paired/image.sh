# The guest kernel's image: the same bits wherever it is built, small, with the marks that boot loaders look for.

limit=65536

build_in() { # build_in FOLDER: a copy of the sources, built there
	mkdir -p "$1/guest-tests/guests" &&
		cp -r "$top/Makefile" "$1/" &&
		cp -r "$top/guest-tests/guests/paired" "$1/guest-tests/guests/" &&
		make -s -C "$1" BUILD="$1/out" VERSION=test guest
}


# The second folder is elsewhere and longer.
mkdir -p "$TMP/one" "$TMP/a-longer/way/down"
check "builds in one folder" build_in "$TMP/one"
check "builds in another" build_in "$TMP/a-longer/way/down"
for f in guest.elf guest.bzImage; do
	check "$f is the same from both" cmp "$TMP/one/out/$f" "$TMP/a-longer/way/down/out/$f"
	size=$(stat -c %s "$build/$f")
	if [ "$size" -le $limit ]; then passed "$f has $size bytes"; else failed "$f's size" "$size bytes"; fi
	if strings "$build/$f" | grep -q -e "$TMP" -e "$top" -e /home -e GCC; then
		failed "$f knows where it was built" "$(strings "$build/$f" | grep -e "$top" -e GCC | head -n 1)"
	else
		passed "$f does not know where it was built"
	fi
done

bytes() { # bytes FILE OFFSET COUNT: in hexadecimal
	od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

bz=$build/guest.bzImage
is "bzImage: boot_flag" "$(bytes "$bz" 510 2)" 55aa
is "bzImage: HdrS" "$(bytes "$bz" 514 4)" 48647253
is "bzImage: version 2.15" "$(bytes "$bz" 518 2)" 0f02
setup=$((0x$(bytes "$bz" 497 1)))
readelf -lW "$build/guest.elf" >"$TMP/elf"
offset=$(awk '$1 == "LOAD" { print $2 }' "$TMP/elf")
length=$(awk '$1 == "LOAD" { print $5 }' "$TMP/elf")
tail -c +$(((setup + 1) * 512 + 1)) "$bz" >"$TMP/payload"
tail -c +$((offset + 1)) "$build/guest.elf" | head -c $((length)) >"$TMP/segment"
payload=$(stat -c %s "$TMP/payload")
check "both wrappings hold the same image" cmp -n "$payload" "$TMP/payload" "$TMP/segment"
# Xen's note of type 18 holds the 32-bit entry point.
is "ELF: PVH note" "$(readelf -nW "$build/guest.elf" 2>/dev/null | grep -c 'Xen.*0x00000004.*0x00000012')" 1
is "ELF: 64-bit entry at 0x200" "$(readelf -hW "$build/guest.elf" | awk '/Entry/ { print $4 }')" 0x100200
